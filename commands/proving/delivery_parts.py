"""The parts of the delivery model: real outbox, agent and receiving over twins, each of which can be killed."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from collector.adapters.memory_bus import MemoryBus, MemorySource
from collector.adapters.memory_journal import MemoryJournal
from collector.receiving import Receiving
from commands.proving.delivery_history import Made
from config.clock import Clock
from config.plant import Device, Line, Plant, Point, PointSpec
from config.profile import JsonPath
from edge.agent import Agent
from edge.outbox import Outbox, OutboxLimits
from edge.ports import PointReading

SITE: Final = "proof"
AGENT: Final = "edge-a"
ASSET: Final = "pump"
POINTS: Final = ("flow", "pressure", "trip")
APPEND_S: Final = 0.005


class WitnessedOutbox(Outbox):
    """An outbox of which a history is written, until its machine is killed."""

    history: Made
    alive = True

    def keep(
        self, readings: Sequence[PointReading], now: int, *, monotonic: float,
        urgent: Sequence[PointReading] = (),
    ) -> None:  # fmt: skip
        super().keep(readings, now, monotonic=monotonic, urgent=urgent)
        if self.alive:
            made = {(r.point, r.time): r.value or 0.0 for r in (*readings, *urgent)}
            self.history.made |= made
            self.history.urgent |= {(r.point, r.time) for r in urgent}


@dataclass(slots=True)
class Machine:
    """A machine that runs an agent: its disk, and its process while there is one."""

    bus: MemoryBus
    clock: Clock
    rng: np.random.Generator
    history: Made
    limits: OutboxLimits
    outbox: WitnessedOutbox = field(init=False)
    agent: Agent | None = field(init=False, default=None)
    _task: asyncio.Task[None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.outbox = self._disk(b"")

    def _disk(self, image: bytes) -> WitnessedOutbox:
        outbox = WitnessedOutbox(
            ":memory:", now=self.clock.now(), rng=self.rng, limits=self.limits, image=image
        )
        outbox.history = self.history
        return outbox

    def start(self) -> None:
        """Start the agent over the disk as it is."""
        connect = self.bus.connect(SITE, AGENT)
        self.agent = Agent(plant(), AGENT, {}, self.outbox, connect, self.clock, self.rng)
        self._task = asyncio.create_task(self.agent.run())

    async def kill(self, *, image: bytes = b"") -> None:
        """Its disk stays as it was at that instant, or becomes `image`; what its process does while
        it dies goes nowhere.
        """
        left = image or self.outbox.image()
        self.outbox.alive = False
        self.bus.cut(SITE, AGENT)
        task, self._task, self.agent = self._task, None, None
        if task is not None:
            await ended(task)
        self.outbox.close()
        self.outbox = self._disk(left)

    def take(self, serial: int, now: int, *, trip: bool) -> None:
        """The agent reads its points, if it runs."""
        names = [name for name in POINTS if name != "trip" or trip]
        if self.agent is not None:
            self.agent.take([PointReading(f"{ASSET}/{n}", float(serial), 0, now) for n in names])


@dataclass(slots=True)
class Collector:
    """A collector's process over its own journal, which outlives it."""

    bus: MemoryBus
    clock: Clock
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    site: Plant = field(default_factory=lambda: plant())
    source: MemorySource | None = field(init=False, default=None)
    _task: asyncio.Task[None] | None = field(init=False, default=None)

    def start(self, *, beside: bool = False) -> None:
        """Start it; with `beside` another one lives on and loses its session."""
        self.source = self.bus.source(beside=beside)
        self._task = asyncio.create_task(self._run(self.source))

    async def kill(self) -> None:
        """What it had not journalled yet is gone."""
        source, self.source = self.source, None
        if source is not None:
            source.end()
        task, self._task = self._task, None
        if task is not None:
            await ended(task)

    async def _run(self, source: MemorySource) -> None:
        receiving = Receiving([self.site], self.clock)
        receiving.restore(self.journal)
        async for messages in source.batches():
            taken = receiving.take(messages)
            await self._sleep(APPEND_S)
            self.journal.append(taken.entries)
            await self._sleep(APPEND_S)
            for reply in taken.replies:
                await source.commit(reply[0], reply[1], retain=reply[2])

    async def _sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.monotonic() + seconds)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def plant(names: Sequence[str] = POINTS, *, unit: str = "bar", period_s: float = 1.0) -> Plant:
    """One agent, one line, one device, and points of which `trip` is urgent."""
    points = {
        f"{ASSET}/{name}": Point(
            id=f"{ASSET}/{name}", asset=ASSET, device="d",
            spec=PointSpec(
                name={"en": name}, kind="measurement", unit=unit,
                source=JsonPath(topic=name, path=()), period_s=period_s,
                lane="event" if name == "trip" else "data",
            ),
        )
        for name in names
    }  # fmt: skip
    return Plant(
        site=SITE, name={"en": SITE}, time_zone="UTC", calendar="", seasons={}, systems={},
        locations={}, agents=(AGENT,), lines={"l": Line("l", AGENT, "mqtt")},
        devices={"d": Device("d", "p", "l", ASSET)}, profiles={}, assets={}, points=points,
        rules={}, plans={}, poll_classes={},
    )  # fmt: skip
