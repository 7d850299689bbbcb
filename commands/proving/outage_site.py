"""A site whose link to the broker goes for days: real agent and outbox file, the rest twins, in virtual time."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from collector.adapters.memory_bus import Faults, MemoryBus
from collector.adapters.memory_journal import MemoryJournal
from collector.ports import Entry, StoreBatch
from commands.proving.delivery_history import SITE, WitnessedStore
from commands.proving.delivery_parts import AGENT, ASSET, Collector, ended, plant
from commands.virtual_machine import spoil
from config.clock import VirtualClock
from config.plant import Plant
from edge.agent import Agent
from edge.outbox import Outbox, OutboxLimits
from edge.ports import LinkLost, PointReading
from edge.readings import Birth, decode, decode_batch

CYCLES_AN_HOUR: Final = 360
START_MS: Final = 1_763_700_000_000
PERIOD_MS: Final = 10_000
LINE: Final = Faults(latency_s=0.05, bytes_per_s=125_000.0)
"""1 Mbit/s upwards, 50 ms each way."""
EVENT_S_ONLINE: Final = 2.0
EVENT_S_OFFLINE: Final = 300.0

Counts = npt.NDArray[np.uint8]


def value_of(cycle: int, point: int) -> float:
    """What a point shows in a cycle: another value each time, with the digits that a scale of 0.1 makes."""
    return ((cycle * 7919 + point * 104_729) % 50_000) * 0.1


class ForgetfulStore(WitnessedStore):
    """Keeps where it stands alone: of days there would be millions of readings."""

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        super().write((), cursor)


class Tally(MemoryJournal):
    """A journal that holds each reading against what was made and then lets go of it.

    `cells[cycle, point]` says how often it came, `events` when each urgent one came first, by its
    time (UTC ms); `told` are the agent's readings of itself, `lanes` readings by lane.
    """

    def __init__(self, clock: VirtualClock, cycles: int, points: int) -> None:
        super().__init__()
        self.cells: Counts = np.zeros((cycles, points), np.uint8)
        self.events: dict[int, int] = {}
        self.told: list[tuple[str, float]] = []
        self.lanes: dict[str, int] = {}
        self.wrong = 0
        self.again = 0
        self._clock = clock
        self._names: dict[str, list[str]] = {}

    def append(self, entries: Sequence[Entry]) -> int:
        position = super().append(entries)
        for entry in entries:
            if entry.kind == "birth":
                birth = decode(entry.payload, Birth)
                self._names[birth.epoch] = [row.point.rpartition("/")[2] for row in birth.points]
            elif entry.kind == "batch":
                self._take(entry)
        self.trim(position)
        return position

    def _take(self, entry: Entry) -> None:
        batch, names = decode_batch(entry.payload), self._names[entry.epoch]
        self.lanes[entry.lane] = self.lanes.get(entry.lane, 0) + len(batch.i)
        for index, offset, value in zip(batch.i, batch.d, batch.v, strict=True):
            name, time = names[index], batch.t + offset
            if name == "trip":
                self.again += time in self.events
                self.events.setdefault(time, self._clock.now())
            elif name.startswith("p"):
                self._cell((time - START_MS) // PERIOD_MS, int(name[1:]), value)
            elif value is not None:
                self.told.append((name, value))

    def _cell(self, cycle: int, point: int, value: float | None) -> None:
        self.again += bool(self.cells[cycle, point])
        self.cells[cycle, point] = 1
        self.wrong += value != value_of(cycle, point)


@dataclass(slots=True)
class OutageSite:
    """One agent with its outbox on a real disk, which reads on whatever happens to its link."""

    folder: Path
    clock: VirtualClock
    rng: np.random.Generator
    points: int
    hours_max: float
    limits: OutboxLimits = field(default_factory=OutboxLimits)
    tell: Callable[[], None] = lambda: None
    """Called every hour of the site's."""
    event_s: float = EVENT_S_ONLINE
    linked: bool = True
    kills: int = 0
    overflowed: int = 0
    """Readings that memory let go, of all the processes that were."""
    refusals: int = 0
    made: Counts = field(init=False)
    """By cycle, 1 where the agent read."""
    events: list[int] = field(init=False, default_factory=list)
    bus: MemoryBus = field(init=False)
    tally: Tally = field(init=False)
    outbox: Outbox = field(init=False)
    agent: Agent | None = field(init=False, default=None)
    _plant: Plant = field(init=False)
    _collector: Collector = field(init=False)
    _task: asyncio.Task[None] | None = field(init=False, default=None)
    _reading: list[asyncio.Task[None]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        cycles = int(self.hours_max * 3_600_000 / PERIOD_MS)
        self.made = np.zeros(cycles, np.uint8)
        names = [*(f"p{number}" for number in range(self.points)), "trip"]
        self._plant = plant(names, unit="", period_s=PERIOD_MS / 1000)
        self.bus = MemoryBus(self.clock, self.rng, LinkLost, LINE)
        self.tally = Tally(self.clock, cycles, self.points)
        self._collector = Collector(self.bus, self.clock, self.tally, ForgetfulStore(), self._plant)

    @property
    def path(self) -> Path:
        """The outbox file."""
        return self.folder / f"{AGENT}.outbox"

    def begin(self) -> None:
        """Everything starts."""
        self._collector.start()
        self.start()
        self._reading = [
            asyncio.create_task(self._polling()),
            asyncio.create_task(self._tripping()),
        ]

    async def end(self) -> None:
        """Everything ends."""
        await self.read_no_more()
        await self.kill()
        await self._collector.kill()

    async def read_no_more(self) -> None:
        """Nothing more is read."""
        for task in self._reading:
            await ended(task)
        self._reading = []

    # --- the agent

    def start(self) -> None:
        """Start the agent over the file as it is."""
        self.outbox = Outbox(self.path, now=self.clock.now(), rng=self.rng, limits=self.limits)
        opened = self.bus.connect(SITE, AGENT)

        def connect(will: bytes) -> Any:
            if not self.linked:
                raise LinkLost("the link is down")
            return opened(will)

        self.agent = Agent(self._plant, AGENT, {}, self.outbox, connect, self.clock, self.rng)
        self._task = asyncio.create_task(self.agent.run())

    async def kill(self) -> None:
        """End the agent's process between two readings."""
        task, agent, self._task, self.agent = self._task, self.agent, None, None
        if task is not None and agent is not None:
            self.kills += 1
            self.bus.cut(SITE, AGENT)
            await ended(task)
            self.overflowed += agent.stats.overflowed.readings
            self.refusals += agent.stats.refused
            self.outbox.close()

    def unlink(self) -> None:
        """The link goes, and events become seldom."""
        self.linked, self.event_s = False, EVENT_S_OFFLINE
        self.bus.cut(SITE, AGENT)

    def link(self) -> None:
        """The link is back."""
        self.linked, self.event_s = True, EVENT_S_ONLINE

    async def _polling(self) -> None:
        for cycle in range(len(self.made)):
            due = cycle * PERIOD_MS / 1000
            await self.clock.sleep_until(due)
            if self.agent is not None:
                time = START_MS + cycle * PERIOD_MS
                self.agent.take(
                    [
                        PointReading(f"{ASSET}/p{point}", value_of(cycle, point), 0, time)
                        for point in range(self.points)
                    ]
                )
                self.made[cycle] = 1
            if cycle % CYCLES_AN_HOUR == 0:
                self.tell()

    async def _tripping(self) -> None:
        while True:
            await self.sleep(float(self.rng.exponential(EVENT_S_ONLINE)))
            if self.rng.random() >= EVENT_S_ONLINE / self.event_s:
                continue
            now = self.clock.now()
            if self.agent is not None and (not self.events or now > self.events[-1]):
                self.events.append(now)
                self.agent.take([PointReading(f"{ASSET}/trip", float(len(self.events)), 0, now)])

    # --- the disk

    def size_mb(self) -> float:
        """What the outbox takes on disk, in MB, while no agent runs."""
        return self.path.stat().st_size / 1e6

    def copy(self, to: Path) -> None:
        """Keep a copy of the outbox while no agent runs."""
        shutil.copytree(self.folder, to, dirs_exist_ok=True)

    def put_back(self, copy: Path) -> None:
        """The disk becomes that copy."""
        for part in self.folder.iterdir():
            part.unlink()
        shutil.copytree(copy, self.folder, dirs_exist_ok=True)

    def damage(self) -> None:
        """Overwrite the file behind its first page."""
        spoil(self.path)

    def set_aside(self) -> list[Path]:
        """Damaged files that were put away."""
        damaged = self.folder.glob(f"{AGENT}.outbox.damaged-*")
        return [path for path in damaged if not path.name.endswith(("-wal", "-shm"))]

    async def sleep(self, seconds: float) -> None:
        """Let so much virtual time pass."""
        await self.clock.sleep_until(self.clock.monotonic() + seconds)

    async def between_readings(self) -> None:
        """Until the middle of the next period, when everything read has long been kept."""
        period_s = PERIOD_MS / 1000
        await self.sleep(1.5 * period_s - self.clock.monotonic() % period_s)
