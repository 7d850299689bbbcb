"""A table of points that is long on its line: a birth is asked for no more often than the line can carry it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector.adapters.memory_bus import Faults, MemoryBus
from commands.prove_delivery import START_MS
from commands.proving.delivery_history import SITE
from commands.proving.delivery_parts import AGENT, LINE, Collector, ended, plant
from config.clock import Clock, VirtualClock, VirtualLoop, run_virtual
from config.plant import Device, Point
from edge.agent import Agent
from edge.outbox import Outbox
from edge.ports import LinkLost, PointReading, ReadResult

BYTES_PER_S = 3_000.0
"""24 kbit/s: a birth of a thousand points takes 37 s of it."""
FLOW = "pump/flow"
PLANT = plant(["flow", "trip", *(f"still{n}" for n in range(1_000))], period_s=10.0)


@dataclass
class Meter:
    """Its flow goes on by one every ten seconds; the rest has nothing to tell."""

    clock: Clock

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        time = self.clock.now() // 10_000 * 10_000
        return ReadResult([PointReading(FLOW, time / 10_000, 0, time)])

    def forget(self, device: str) -> None:
        """Nothing is learnt of it."""

    def words(self) -> str:
        return ""

    async def close(self) -> None:
        """There is no link."""


def test_a_birth_longer_than_the_wait_for_its_answer_is_said_once_and_then_all_goes_out() -> None:
    loop = VirtualLoop()
    clock, rng = VirtualClock(loop, START_MS), np.random.default_rng(1)

    async def run() -> None:
        bus = MemoryBus(clock, rng, LinkLost, Faults(latency_s=0.05, bytes_per_s=BYTES_PER_S))
        outbox = Outbox(":memory:", now=clock.now(), rng=rng)
        readers = {LINE: Meter(clock)}
        agent = Agent(PLANT, AGENT, readers, outbox, bus.connect(SITE, AGENT), clock, rng)
        collector = Collector(bus, clock, site=PLANT)
        collector.start()
        running = asyncio.create_task(agent.run())
        await asyncio.sleep(30)
        assert (agent.session_stats.births, agent.session_stats.sent) == (1, 0)
        await asyncio.sleep(275)
        said = agent.session_stats
        assert (said.births, said.connections, outbox.batches) == (1, 1, 0)
        assert outbox.mark("data") > 20
        await ended(running)
        await collector.kill()
        outbox.close()

    run_virtual(run(), loop=loop)
