"""The parts of the delivery model: real outbox, agent, ingest and projecting over twins, each of which can be killed."""

import asyncio
import contextlib
import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np

from collector.adapters.memory_bus import MemoryBus, MemorySource
from collector.adapters.memory_journal import MemoryJournal
from collector.ingest import Ingest
from collector.live import LiveTable
from collector.projecting import Projecting
from commands.proving.delivery_history import (
    SITE,
    Key,
    Made,
    WitnessedStore,
    keys_of,
)
from commands.proving.delivery_witness import CountingDevice, Kept, Life, Witnessed, witness
from config.clock import Clock
from config.plant import Device, Line, Plant, Point, PointSpec
from config.profile import JsonPath
from edge.agent import Agent
from edge.batches import Outgoing, payload_of
from edge.outbox import Outbox, OutboxLimits
from edge.ports import PointReading
from edge.readings import LANES, Committed, Lane, decode_batch

T = TypeVar("T")

AGENT: Final = "edge-a"
ASSET: Final = "pump"
LINE: Final = "l"
POINTS: Final = ("flow", "pressure", "trip")
DROPPED: Final = f"{AGENT}/outbox_dropped"
FULL: Final = 2
"""As SQLite numbers `PRAGMA synchronous`: from there on a transaction waits for the disk."""
EVENTS: Final = frozenset({f"{ASSET}/trip"})


class WitnessedOutbox(Outbox):
    """An outbox of which a history is written, until its machine is killed."""

    history: Made
    life: Life
    """Of the process that it is of."""
    opened: Mapping[Lane, int]
    """The highest number of each lane when its process began."""
    alive = True
    synced = b""
    """What a power cut leaves: all of it when something last waited for the disk."""

    def _durably(
        self, now: int, work: Callable[[sqlite3.Connection], T], *, soon: bool = False
    ) -> T:
        done = super()._durably(now, work, soon=soon)
        if self._file.db.execute("PRAGMA synchronous").fetchone()[0] >= FULL:
            self.synced = self.image()
        return done

    def keep(
        self, readings: Sequence[PointReading], now: int, *, monotonic: float,
        urgent: Sequence[PointReading] = (), at_once: bool = False,
    ) -> None:  # fmt: skip
        super().keep(readings, now, monotonic=monotonic, urgent=urgent, at_once=at_once)
        if self.alive:
            kept = (*readings, *urgent)
            self.life.kept += [Kept(now, reading, urgent=False) for reading in readings]
            self.life.kept += [Kept(now, reading, urgent=True) for reading in urgent]
            own = (r for r in kept if r.point.startswith(f"{AGENT}/"))
            self.history.said.update((r.point, r.time) for r in own)
            self.history.made |= {(r.point, r.time): r.value or 0.0 for r in kept}
            self.history.quality |= {(r.point, r.time): r.quality for r in kept}
            self.history.urgent |= {(r.point, r.time) for r in urgent}

    def commit(self, committed: Committed, now: int) -> bool:
        """A renewed epoch numbers anew what had a number and is not covered: that may be under way, or journalled, by both."""
        if self.alive and committed.epoch == self.epoch and self.outrun_by(committed):
            for lane in LANES:
                covered = min(getattr(committed, lane), self.opened[lane])
                self.history.put_back += self._readings("lane = ? AND seq > ?", lane, covered)
        return super().commit(committed, now)

    def unnumbered(self) -> Counter[Key]:
        """How often each reading is on the disk and has no number yet."""
        return self._readings("seq IS NULL")

    def _readings(self, which: str, *values: str | int) -> Counter[Key]:
        rows, found = list(self._rows()), Counter[Key]()
        asked = f"SELECT columns FROM batches WHERE {which}"  # noqa: S608  # our own words
        for (columns,) in self._file.db.execute(asked, values):
            sent = payload_of(Outgoing("data", 1, columns), epoch=self.epoch, oldest=1, now=0)
            found.update(keys_of(decode_batch(sent), rows))
        return found


@dataclass(slots=True)
class Machine:
    """A machine that runs an agent: its device, its disk, and its process while there is one."""

    bus: MemoryBus
    clock: Clock
    rng: np.random.Generator
    history: Made
    limits: OutboxLimits
    device: CountingDevice
    outbox: WitnessedOutbox = field(init=False)
    witnessed: Witnessed = field(init=False, default=Witnessed())
    """Of the processes that were."""
    _task: asyncio.Task[None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.outbox = self._disk(b"")

    def _disk(self, image: bytes) -> WitnessedOutbox:
        outbox = WitnessedOutbox(
            ":memory:", now=self.clock.now(), rng=self.rng, limits=self.limits, image=image
        )
        outbox.history, outbox.life = self.history, self.device.life
        outbox.synced = outbox.image()
        outbox.opened = {lane: outbox.given(lane) for lane in LANES}
        return outbox

    def start(self) -> None:
        """Start the agent over the disk as it is."""
        connect = self.bus.connect(SITE, AGENT)
        self.device.life = self.outbox.life = Life(self.clock.now())
        readers = {LINE: self.device}
        agent = Agent(plant(), AGENT, readers, self.outbox, connect, self.clock, self.rng)
        self._task = asyncio.create_task(agent.run())

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._task is not None

    @property
    def untold(self) -> int:
        """Readings that the outbox dropped and nobody was told of."""
        told = max(
            (n for (point, _), n in self.history.made.items() if point == DROPPED), default=0
        )
        return max(0, self.outbox.dropped.readings - int(told))

    async def power_cut(self) -> bool:
        """As a kill, and what did not wait for the disk is undone; returns whether anything was."""
        undone = self.outbox.synced != self.outbox.image()
        return await self._end(self.outbox.synced) and undone

    async def kill(self, *, image: bytes = b"") -> bool:
        """Its disk stays as it was at that instant, or becomes `image`; what its process does while
        it dies goes nowhere. Returns whether there was a process.
        """
        ran = await self._end(image or self.outbox.image())
        if image:
            self.history.put_back += self.outbox.unnumbered()
        return ran

    async def _end(self, left: bytes) -> bool:
        self.outbox.alive = False
        self.bus.cut(SITE, AGENT)
        task, self._task = self._task, None
        if task is not None:
            life, now = self.device.life, self.clock.now()
            self.witnessed += witness(life, now, agent=AGENT, events=EVENTS)
            await ended(task)
        self.outbox.close()
        self.outbox = self._disk(left)
        return task is not None


@dataclass(slots=True)
class Collector:
    """A collector's process over its own journal and store, which outlive it.

    `disk_s` is what the disk takes before something is on it, and again before that is known: a kill may fall into either.
    """

    bus: MemoryBus
    clock: Clock
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    store: WitnessedStore = field(default_factory=WitnessedStore)
    site: Plant = field(default_factory=lambda: plant())
    disk_s: float = 0.005
    source: MemorySource | None = field(init=False, default=None)
    _task: asyncio.Task[None] | None = field(init=False, default=None)

    def start(self, *, beside: bool = False) -> None:
        """Start it; with `beside` another one lives on and loses its session."""
        self.source = self.bus.source(beside=beside)
        self._task = asyncio.create_task(self._run(self.source))

    async def kill(self) -> bool:
        """What it had not journalled yet is gone. Returns whether there was a process."""
        source, self.source = self.source, None
        if source is not None:
            source.end()
        task, self._task = self._task, None
        if task is not None:
            await ended(task)
        return task is not None

    @property
    def behind(self) -> bool:
        """Whether the journal holds what the store does not."""
        return bool(self.journal.groups_from(self.store.cursor(), 1))

    async def _run(self, source: MemorySource) -> None:
        live = LiveTable([self.site], life=0)
        projecting = Projecting(self.journal, self.store, live, self._on_disk, self.clock)
        ingest = Ingest(
            source, self.journal, live, [], [self.site], self.clock, projecting, self._on_disk,
            save_every_s=math.inf,
        )  # fmt: skip
        ingest.restore()
        async with asyncio.TaskGroup() as both:
            both.create_task(ingest.run())
            both.create_task(projecting.run())

    async def _on_disk(self, work: Callable[[], T]) -> T:
        await self._sleep(self.disk_s)
        done = work()
        await self._sleep(self.disk_s)
        return done

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
        locations={}, agents=(AGENT,), lines={LINE: Line(LINE, AGENT, "mqtt")},
        devices={"d": Device("d", "p", LINE, ASSET)}, profiles={}, assets={}, points=points,
        rules={}, plans={}, poll_classes={},
    )  # fmt: skip
