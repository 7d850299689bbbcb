"""A table of points that is long on its line: a birth is asked for no more often than the line can carry it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from collector.adapters.memory_bus import Faults, MemoryBus
from commands.prove_delivery import START_MS
from commands.proving.delivery_history import SITE
from commands.proving.delivery_parts import AGENT, LINE, Collector, ended, plant
from config.clock import Clock, VirtualClock, VirtualLoop, run_virtual
from config.plant import Device, Point
from edge.agent import Agent
from edge.outbox import Outbox
from edge.ports import LinkLost, PointReading, PublisherContext, ReadResult
from edge.session import AWAY

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


def meet(story: Callable[[Agent, Collector], Awaitable[None]], *, bytes_per_s: float, deaf: bool = False) -> None:  # fmt: skip
    """An agent and its collector over a line of this breadth; on a deaf first connection the agent hears nothing."""
    loop = VirtualLoop()
    clock, rng = VirtualClock(loop, START_MS), np.random.default_rng(1)

    async def run() -> None:
        bus = MemoryBus(clock, rng, LinkLost, Faults(latency_s=0.05, bytes_per_s=bytes_per_s))
        connect = bus.connect(SITE, AGENT)
        connections: list[bytes] = []

        def connected(will: bytes) -> PublisherContext:
            connection = connect(will)
            connection.deaf = deaf and not connections
            connections.append(will)
            return connection

        outbox = Outbox(":memory:", now=clock.now(), rng=rng)
        agent = Agent(PLANT, AGENT, {LINE: Meter(clock)}, outbox, connected, clock, rng)
        collector = Collector(bus, clock, site=PLANT)
        running = asyncio.create_task(agent.run())
        await story(agent, collector)
        await ended(running)
        outbox.close()

    run_virtual(run(), loop=loop)


def test_a_birth_longer_than_the_wait_for_its_answer_is_said_once_and_then_all_goes_out() -> None:
    async def story(agent: Agent, collector: Collector) -> None:
        collector.start()
        await asyncio.sleep(30)
        said = agent.session_stats
        assert (said.births, said.sent) == (1, 0)
        await asyncio.sleep(275)
        assert (said.births, said.connections, agent.outbox.batches) == (1, 1, 0)
        assert agent.outbox.mark("data") > 20
        await collector.kill()

    meet(story, bytes_per_s=BYTES_PER_S)


@pytest.mark.parametrize("bytes_per_s", [BYTES_PER_S, 60_000.0])
def test_a_deaf_connection_is_left_though_each_birth_waits_for_the_line(bytes_per_s: float) -> None:
    """What its own births take of the line is not forgiven a connection that answers none."""

    async def story(agent: Agent, collector: Collector) -> None:
        collector.start()
        await asyncio.sleep(900)
        assert agent.session_stats.connections == 2
        assert agent.outbox.mark("data") > 20
        await collector.kill()

    meet(story, bytes_per_s=bytes_per_s, deaf=True)


def test_that_no_collector_answers_is_said_once_on_a_connection_though_each_birth_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(agent: Agent, collector: Collector) -> None:
        await asyncio.sleep(115)
        assert agent.session_stats.births > 2
        assert [text for text in caplog.messages if text == AWAY % AGENT] == [AWAY % AGENT]

    meet(story, bytes_per_s=60_000.0)
