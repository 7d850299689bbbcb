"""The rules of delivery, run over seeds: real outbox, agent and receiving, with everything else breaking."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from collector.adapters.memory_bus import Faults, MemoryBus
from collector.adapters.memory_journal import MemoryJournal
from collector.receiving import Receiving
from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.plant import Device, Line, Plant, Point
from config.profile import JsonPath
from edge.agent import Agent
from edge.outbox import Outbox, OutboxLimits
from edge.ports import LinkLost, PointReading
from edge.readings import Batch, Birth, PointRow, decode, decode_batch

START_MS: Final = 1_763_700_000_000
SITE: Final = "proof"
AGENT: Final = "edge-a"
TROUBLE_S: Final = 300.0
QUIET_S: Final = 240.0
STEP_S: Final = 0.5
APPEND_S: Final = 0.005
ASSET: Final = "pump"
POINTS: Final = ("flow", "pressure", "trip")

Key = tuple[str, int]
"""Point and source time: what a reading is known by."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one seed came to. `absorbed` are repeats that the store's key takes in (old copies only)."""

    seed: int
    made: int
    journalled: int
    lost: int
    thinned: int
    missing: int
    absorbed: int
    accidents: dict[str, int]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing stuck, nothing doubled, nothing lost beyond what was thinned and counted."""
        return not self.problems


def run_model(seed: int) -> Verdict:
    """Run one seed in virtual time."""
    loop = VirtualLoop()
    model = _Model(seed, VirtualClock(loop, START_MS))
    run_virtual(model.run(), loop=loop)
    return model.verdict()


@dataclass(slots=True)
class _History:
    """What was made (and is not gone with a rolled-back disk), and what the journal forgot."""

    made: dict[Key, float] = field(default_factory=dict)
    urgent: set[Key] = field(default_factory=set)
    gone: dict[Key, float] = field(default_factory=dict)
    forgotten: set[Key] = field(default_factory=set)


class _WitnessedOutbox(Outbox):
    """An outbox of which a history is written, until its machine is killed."""

    history: _History
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


class _Model:
    """One estate of one agent, one broker, one collector, and a seeded enemy."""

    def __init__(self, seed: int, clock: VirtualClock) -> None:
        self.seed = seed
        self.clock = clock
        self.rng = np.random.default_rng(seed)
        self.plant = _plant()
        self.journal = MemoryJournal()
        self.history = _History()
        self.accidents: Counter[str] = Counter()
        self.problems: list[str] = []
        self.serial = 0
        tight = self.rng.random() < 0.4
        self.limits = OutboxLimits(mb_max=0.006 if tight else 1.0)
        self.copies: list[tuple[bytes, set[Key]]] = []
        self.bus = MemoryBus(clock, self.rng, LinkLost, self._faults())
        self.outbox = self._outbox(b"")
        self.agent: Agent | None = None
        self.agent_task: asyncio.Task[None] | None = None
        self.collector_task: asyncio.Task[None] | None = None

    def _faults(self) -> Faults:
        chance = self.rng.choice([0.0, 0.02, 0.1])
        return Faults(
            repeated=chance, lost=chance, latency_s=float(self.rng.choice([0.0, 0.02, 0.3]))
        )

    async def run(self) -> None:
        """Trouble, then quiet until the outbox is empty."""
        self._start_agent()
        self._start_collector()
        accidents = asyncio.create_task(self._trouble())
        end = self.clock.monotonic() + TROUBLE_S
        while self.clock.monotonic() < end:
            self._make()
            await self._sleep(STEP_S)
        await _ended(accidents)
        await self._quiet()
        await self._kill_agent()
        await self._kill_collector()

    async def _quiet(self) -> None:
        self.bus.faults = Faults()
        if not self.bus.up:
            self.bus.start()
        if self.collector_task is None:
            self._start_collector()
        if self.agent_task is None:
            self._start_agent()
        end = self.clock.monotonic() + QUIET_S
        while self.clock.monotonic() < end:
            await self._sleep(1.0)
            if self.outbox.backlog()[0] == 0:
                return
        self.problems.append(
            f"stuck: {self.outbox.backlog()[0]} batches after {QUIET_S} s of quiet"
        )

    def _make(self) -> None:
        if self.agent is None:
            return
        self.serial += 1
        now = self.clock.now()
        names = [name for name in POINTS if name != "trip" or self.rng.random() < 0.1]
        self.agent.take(
            [PointReading(f"{ASSET}/{name}", float(self.serial), 0, now) for name in names]
        )

    # --- accidents

    async def _trouble(self) -> None:
        deeds = (
            (self._agent_killed, 3), (self._collector_killed, 3), (self._broker_killed, 2),
            (self._cut, 4), (self._collector_cut, 2), (self._copied, 3), (self._rolled_back, 1),
            (self._journal_restored, 1),
        )  # fmt: skip
        self.accidents.update({deed.__name__.strip("_"): 0 for deed, _ in deeds})
        weights = np.array([weight for _, weight in deeds], float)
        while True:
            await self._sleep(float(self.rng.exponential(8.0)))
            deed = deeds[self.rng.choice(len(deeds), p=weights / weights.sum())][0]
            self.accidents[deed.__name__.strip("_")] += 1
            await deed()

    async def _down(self) -> None:
        await self._sleep(float(self.rng.choice([0.1, 2.0, 15.0, 90.0], p=[0.3, 0.4, 0.2, 0.1])))

    async def _agent_killed(self) -> None:
        image = await self._kill_agent()
        self.outbox = self._outbox(image)
        await self._down()
        self._start_agent()

    async def _copied(self) -> None:
        self.copies.append((self.outbox.image(), set(self.history.made)))

    async def _rolled_back(self) -> None:
        """The agent's disk is an old copy: what was made since then is gone unless it was sent."""
        last = await self._kill_agent()
        if self.copies:
            image, made = self.copies[self.rng.integers(len(self.copies))]
            for key in [key for key in self.history.made if key not in made]:
                self.history.gone[key] = self.history.made.pop(key)
            self.copies = [(i, m) for i, m in self.copies if m <= made]
            self.outbox = self._outbox(image)
        else:
            self.outbox = self._outbox(last)
        await self._down()
        self._start_agent()

    async def _collector_killed(self) -> None:
        await self._kill_collector()
        await self._down()
        self._start_collector()

    async def _journal_restored(self) -> None:
        await self._kill_collector()
        position = int(self.rng.integers(self.journal.last() // 2, self.journal.last() + 1))
        before = set(self._journalled())
        self.journal.forget_after(position)
        self.history.forgotten |= before - set(self._journalled())
        await self._down()
        self._start_collector()

    async def _broker_killed(self) -> None:
        self.bus.stop(forget=bool(self.rng.random() < 0.5))
        await self._down()
        self.bus.start()

    async def _cut(self) -> None:
        self.bus.cut(SITE, AGENT)

    async def _collector_cut(self) -> None:
        self.bus.cut_collector()

    # --- parts

    def _outbox(self, image: bytes) -> Outbox:
        outbox = _WitnessedOutbox(
            ":memory:", now=self.clock.now(), rng=self.rng, limits=self.limits, image=image
        )
        outbox.history = self.history
        return outbox

    def _start_agent(self) -> None:
        connect = self.bus.connect(SITE, AGENT)
        self.agent = Agent(self.plant, AGENT, {}, self.outbox, connect, self.clock, self.rng)
        self.agent_task = asyncio.create_task(self.agent.run())

    async def _kill_agent(self) -> bytes:
        """Its disk as it was at that instant; what it does while it dies goes nowhere."""
        image = self.outbox.image()
        if isinstance(self.outbox, _WitnessedOutbox):
            self.outbox.alive = False
        self.bus.cut(SITE, AGENT)
        task, self.agent_task, self.agent = self.agent_task, None, None
        if task is not None:
            await _ended(task)
        return image

    def _start_collector(self) -> None:
        self.collector_task = asyncio.create_task(self._collect())

    async def _kill_collector(self) -> None:
        if self.bus.source_now is not None:
            self.bus.source_now.end()
        task, self.collector_task = self.collector_task, None
        if task is not None:
            await _ended(task)

    async def _collect(self) -> None:
        receiving = Receiving([self.plant], self.clock)
        receiving.restore(self.journal)
        source = self.bus.source()
        async for messages in source.batches():
            taken = receiving.take(messages)
            await self._sleep(APPEND_S)
            self.journal.append(taken.entries)
            await self._sleep(APPEND_S)
            for reply in taken.replies:
                await source.commit(reply[0], reply[1], retain=reply[2])

    async def _sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.monotonic() + seconds)

    # --- the history

    def _journalled(self) -> Counter[Key]:
        """How often each reading stands in the journal; notes readings that nobody made."""
        tables: dict[str, list[PointRow]] = {}
        found: Counter[Key] = Counter()
        for _, entry in self.journal.read_from(0, self.journal.last()):
            if entry.kind == "birth":
                tables[entry.epoch] = decode(entry.payload, Birth).points
            elif entry.kind == "batch":
                batch = decode_batch(entry.payload)
                found.update(_keys(batch, tables[entry.epoch]))
        return found

    def verdict(self) -> Verdict:
        """Compare made, journalled, thinned and missing."""
        journalled = self._journalled()
        made = self.history.made
        lost = set(made) - set(journalled) - self.history.forgotten
        thinned = sum(count.thinned for count in self.outbox.counts())
        missing = self._check_numbers()
        rolled_back, restored = self.accidents["rolled_back"], self.accidents["journal_restored"]
        absorbed = sum(count - 1 for count in journalled.values())
        self._problem(lost & self.history.urgent, "urgent readings lost")
        self._problem(set(journalled) - set(made) - set(self.history.gone), "never made")
        if len(lost) > thinned or (len(lost) < thinned and not rolled_back):
            self.problems.append(f"{len(lost)} lost, but {thinned} counted as thinned")
        if absorbed and not rolled_back:
            self.problems.append(f"{absorbed} journalled twice")
        if missing and not restored:
            self.problems.append(f"{missing} numbers missing although no journal was restored")
        return Verdict(
            seed=self.seed, made=len(made), journalled=len(journalled), lost=len(lost),
            thinned=thinned, missing=missing, absorbed=absorbed,
            accidents=dict(self.accidents), problems=tuple(self.problems),
        )  # fmt: skip

    def _problem(self, keys: Iterable[Key], what: str) -> None:
        found = sorted(keys)
        if found:
            self.problems.append(f"{len(found)} {what}, first {found[0]}")

    def _check_numbers(self) -> int:
        """Every number of a lane is journalled once or counted missing once; how many are missing."""
        waiting: Counter[tuple[str, str]] = Counter()
        missing = 0
        for _, entry in self.journal.read_from(0, self.journal.last()):
            if entry.kind not in ("batch", "missing"):
                continue
            lane = (entry.epoch, entry.lane)
            if entry.seq != waiting[lane] + 1:
                self.problems.append(f"{lane}: {entry.seq} behind {waiting[lane]}")
            waiting[lane] = max(entry.seq, entry.until)
            missing += entry.until - entry.seq + 1 if entry.kind == "missing" else 0
        return missing


def _keys(batch: Batch, table: Sequence[PointRow]) -> list[Key]:
    return [(table[i].point, batch.t + d) for i, d in zip(batch.i, batch.d, strict=True)]


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _plant() -> Plant:
    """One agent, one line, one device, three points of which one is urgent."""
    points = {
        f"{ASSET}/{name}": Point(
            id=f"{ASSET}/{name}", asset=ASSET, device="d", name={"en": name}, kind="measurement",
            unit="bar", source=JsonPath(topic=name, path=()), period_s=1.0,
            lane="event" if name == "trip" else "data",
        )
        for name in POINTS
    }  # fmt: skip
    return Plant(
        site=SITE, name={"en": SITE}, time_zone="UTC", calendar="", seasons={}, systems={},
        locations={}, agents=(AGENT,), lines={"l": Line("l", AGENT, "mqtt")},
        devices={"d": Device("d", "p", "l", ASSET)}, profiles={}, assets={}, points=points,
        rules={}, plans={}, poll_classes={},
    )  # fmt: skip
