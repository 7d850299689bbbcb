"""The rules of delivery, run over seeds: real outbox, agent, ingest and projecting, with everything else breaking."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.adapters.memory_bus import Faults, MemoryBus
from commands.proving.delivery_history import (
    SITE,
    Key,
    Made,
    WitnessedJournal,
    compare,
    of_store,
    older_copy,
    stored,
)
from commands.proving.delivery_parts import AGENT, Collector, Machine, ended
from commands.proving.delivery_witness import CountingDevice, Witnessed
from config.clock import VirtualClock, VirtualLoop, run_virtual
from edge.outbox import OutboxLimits
from edge.ports import LinkLost

START_MS: Final = 1_763_700_000_000
TROUBLE_S: Final = 300.0
QUIET_S: Final = 1200.0
"""As long as a slow disk needs for all that waited in 90 s without a collector."""
UNRESTORED: Final = 0.3
"""Of the seeds, in so many the journal stays as it is: what an older copy of it forgot is counted, and cannot be held."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one seed came to. `absorbed` are repeats that the store's key takes in (old copies only).

    `read` are readings that devices gave, `events` the trips among them, `pending` those that only memory
    held when their agent was killed. What agents say of themselves is among the `made` too.

    `accidents` counts by kind those that hit something. `forgotten` were journalled and confirmed before the
    journal became an older copy of itself, and are in none since; of these `not_stored` are in no store either.
    """

    seed: int
    read: int
    events: int
    pending: int
    made: int
    journalled: int
    lost: int
    forgotten: int
    not_stored: int
    thinned: int
    missing: int
    absorbed: int
    accidents: dict[str, int]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing stuck, nothing doubled, nothing lost beyond what was thinned and counted."""
        return not self.problems


def run_model(seed: int, *, trouble_s: float = TROUBLE_S) -> Verdict:
    """Run one seed in virtual time, `trouble_s` of it before the quiet."""
    loop = VirtualLoop()
    model = _Model(seed, VirtualClock(loop, START_MS))
    run_virtual(model.run(trouble_s), loop=loop)
    return model.verdict()


class _Model:
    """One estate of one agent, one broker, one collector, and a seeded enemy."""

    def __init__(self, seed: int, clock: VirtualClock) -> None:
        self.seed = seed
        self.clock = clock
        self.rng = np.random.default_rng(seed)
        self.history = Made()
        self.accidents: Counter[str] = Counter()
        self.problems: list[str] = []
        self.copies: list[tuple[bytes, set[Key]]] = []
        tight = self.rng.random() < 0.4
        self.bus = MemoryBus(clock, self.rng, LinkLost, self._faults())
        self.machine = self._machine(0, OutboxLimits(mb_max=0.006 if tight else 1.0))
        self.double: Machine | None = None
        """Another machine that believes to be the same agent, with a disk of its own."""
        disk_s = float(self.rng.choice([0.005, 0.2, 2.0]))
        self.journals = (WitnessedJournal(), WitnessedJournal())
        self.collector, self.other = (
            Collector(self.bus, clock, journal, disk_s=disk_s) for journal in self.journals
        )
        """Runs beside the collector for a while now and then, and journals for itself."""

    def _machine(self, number: int, limits: OutboxLimits) -> Machine:
        device = CountingDevice(self.clock, number)
        return Machine(self.bus, self.clock, self.rng, self.history, limits, device)

    def _faults(self) -> Faults:
        chance = self.rng.choice([0.0, 0.02, 0.1])
        return Faults(
            repeated=chance, lost=chance, latency_s=float(self.rng.choice([0.0, 0.02, 0.3]))
        )

    async def run(self, trouble_s: float) -> None:
        """Trouble, then quiet until the outboxes are empty."""
        self.machine.start()
        self.collector.start()
        accidents = asyncio.create_task(self._trouble())
        await self._sleep(trouble_s)
        await ended(accidents)
        await self._quiet()
        await self.collector.kill()
        for collector in (self.collector, self.other):
            collector.start()
            await self._stored(collector)
            await collector.kill()

    async def _quiet(self) -> None:
        """Everybody is there once and nothing breaks; one machine after the other sends what it has."""
        self.bus.faults = Faults()
        if not self.bus.up:
            self.bus.start()
        await self.other.kill()
        await self.collector.kill()
        self.collector.start()
        if self.double is not None:
            await self.double.kill()
        for machine in (self.machine, self.double):
            if machine is not None:
                machine.device.silent = True
                if not machine.runs:  # one that runs gets out of all trouble by itself
                    await self._sleep(0.1)  # none starts in the millisecond in which another ended
                    machine.start()
                await self._drained(machine)
                await machine.kill()

    async def _drained(self, machine: Machine) -> None:
        end = self.clock.monotonic() + QUIET_S
        while self.clock.monotonic() < end:
            await self._sleep(1.0)
            if machine.outbox.backlog()[0] == 0 and machine.untold == 0:
                return
        if held := machine.outbox.backlog()[0]:
            self.problems.append(f"stuck: {held} batches after {QUIET_S} s of quiet")
        if machine.untold:
            self.problems.append(f"{machine.untold} readings dropped that nobody was told of")

    async def _stored(self, collector: Collector) -> None:
        end = self.clock.monotonic() + QUIET_S
        while collector.behind and self.clock.monotonic() < end:
            await self._sleep(0.1)
        if collector.behind:
            self.problems.append(f"the store is stuck at {collector.store.cursor()}")

    # --- accidents: each says whether it hit something

    async def _trouble(self) -> None:
        every = (
            (self._agent_killed, 3), (self._collector_killed, 3), (self._broker_killed, 2),
            (self._cut, 4), (self._collector_cut, 2), (self._copied, 3), (self._rolled_back, 2),
            (self._journal_restored, 2), (self._agent_half_open, 3), (self._agent_taken_over, 2),
            (self._agent_doubled, 2), (self._collector_taken_over, 2), (self._agent_power_cut, 2),
            (self._collector_half_open, 2), (self._two_collectors, 2),
        )  # fmt: skip
        self.accidents.update({deed.__name__.strip("_"): 0 for deed, _ in every})
        never = self._rolled_back if self.rng.random() < 0.5 else self._two_collectors
        without = [never]  # decision 126
        if self.rng.random() < UNRESTORED:
            without.append(self._journal_restored)
        deeds = [row for row in every if row[0] not in without]
        weights = np.array([weight for _, weight in deeds], float)
        while True:
            await self._sleep(float(self.rng.exponential(8.0)))
            deed = deeds[self.rng.choice(len(deeds), p=weights / weights.sum())][0]
            self.accidents[deed.__name__.strip("_")] += await deed()

    async def _down(self) -> None:
        await self._sleep(float(self.rng.choice([0.1, 2.0, 15.0, 90.0], p=[0.3, 0.4, 0.2, 0.1])))

    async def _agent_killed(self) -> bool:
        ran = await self.machine.kill()
        await self._down()
        self.machine.start()
        return ran

    async def _agent_power_cut(self) -> bool:
        """What was confirmed may be on the disk once more, and nothing else is undone."""
        undone = await self.machine.power_cut()
        await self._down()
        self.machine.start()
        return undone

    async def _copied(self) -> bool:
        self.copies.append((self.machine.outbox.image(), set(self.history.made)))
        return True

    async def _rolled_back(self) -> bool:
        """The agent's disk is an old copy: what was made since then is gone unless it was sent."""
        image = b""
        if self.copies:
            image, made = self.copies[self.rng.integers(len(self.copies))]
            own = [key for key, n in self.history.made.items() if n >= 0]  # not the double's
            for key in [key for key in own if key not in made]:
                self.history.gone[key] = self.history.made.pop(key)
            self.copies = [(i, m) for i, m in self.copies if m <= made]
        await self.machine.kill(image=image)
        await self._down()
        self.machine.start()
        return bool(image)

    async def _agent_half_open(self) -> bool:
        """The link is dead and nobody says so; what was under way arrives late, behind a new session's."""
        dead = self.bus.stall(SITE, AGENT, float(self.rng.choice([2.0, 20.0, 45.0, 100.0])))
        if self.rng.random() < 0.5:
            await self._agent_killed()
        return dead

    async def _agent_taken_over(self) -> bool:
        """A stranger comes in under the agent's name, again and again, and says nothing."""
        taken = 0
        for _ in range(self.rng.integers(1, 5)):
            before = self.bus.sessions_taken
            async with self.bus.connect(SITE, AGENT)(b""):
                taken += self.bus.sessions_taken - before
                await self._sleep(float(self.rng.exponential(1.0)))
        return taken > 0

    async def _agent_doubled(self) -> bool:
        """Another machine under the agent's name: each takes the session from the other."""
        if self.double is None:
            self.double = self._machine(1, OutboxLimits())
        before = self.bus.sessions_taken
        self.double.start()
        await self._sleep(float(self.rng.uniform(2.0, 40.0)))
        await self.double.kill()
        return self.bus.sessions_taken > before

    async def _collector_killed(self) -> bool:
        ran = await self.collector.kill()
        await self._down()
        self.collector.start()
        return ran

    async def _collector_taken_over(self) -> bool:
        """A stranger has the collector's session for a while and throws away what comes."""
        away_s = float(self.rng.exponential(3.0))
        cut = self.bus.cut_collector(away_s=away_s)
        await self._sleep(away_s + 0.1)
        return cut

    async def _collector_half_open(self) -> bool:
        """What the collector commits arrives late, mostly after another one has begun."""
        before = self.bus.messages_late
        self.bus.stall_collector(float(self.rng.choice([1.0, 10.0, 60.0])))
        await self._sleep(float(self.rng.exponential(3.0)))
        await self._collector_killed()
        return self.bus.messages_late > before

    async def _two_collectors(self) -> bool:
        """Two for a while, each with its own journal: both hear, or one takes the session from the other."""
        before, heard = self.bus.sessions_taken, self.other.journal.last()
        self.bus.both_hear = bool(self.rng.random() < 0.5)
        self.other.start(beside=True)
        for _ in range(self.rng.integers(1, 8)):
            await self._sleep(float(self.rng.exponential(3.0)))
            mine = self.rng.random() < 0.5
            source = self.collector.source if mine else self.other.source
            if source is not None:
                self.bus.give_session(source)
        self.bus.both_hear = False
        await self.other.kill()
        if self.collector.source is not None:
            self.bus.give_session(self.collector.source)
        return self.other.journal.last() > heard or self.bus.sessions_taken > before

    async def _journal_restored(self) -> bool:
        await self.collector.kill()
        journal = self.journals[0]
        last = journal.last()
        position = int(self.rng.integers(last // 2, last + 1))
        older_copy(self.history, journal, position, cursor=self.collector.store.cursor())
        forgot = journal.last() < last
        await self._down()
        self.collector.start()
        return forgot

    async def _broker_killed(self) -> bool:
        was_up = self.bus.stop(forget=bool(self.rng.random() < 0.5))
        await self._down()
        self.bus.start()
        return was_up

    async def _cut(self) -> bool:
        return self.bus.cut(SITE, AGENT)

    async def _collector_cut(self) -> bool:
        return self.bus.cut_collector()

    async def _sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.monotonic() + seconds)

    def _happened(self) -> dict[str, int]:
        """What befell the parts, and what the broker did to messages."""
        messages = {"lost": self.bus.messages_lost, "repeated": self.bus.messages_repeated}
        return {**self.accidents, **{f"message_{what}": n for what, n in messages.items()}}

    # --- the history

    def verdict(self) -> Verdict:
        """Compare made, journalled, thinned and missing."""
        thinned = sum(count.thinned for count in self.machine.outbox.counts())
        found = compare(self.history, self.journals, thinned=thinned)
        stores = (self.collector.store, self.other.store)
        not_stored = [key for key in found.forgotten if not any(stored(s, key) for s in stores)]
        witnessed = self.machine.witnessed + (self.double.witnessed if self.double else Witnessed())
        written = self.history.stored_and_forgotten + self.history.stored_again
        problems = [
            *of_store(self.journals[0], self.collector.store, written),
            *of_store(self.journals[1], self.other.store, Counter()),
        ]
        return Verdict(
            seed=self.seed, read=witnessed.read, events=witnessed.events, pending=witnessed.pending,
            made=len(self.history.made), journalled=found.journalled,
            lost=found.lost, forgotten=len(found.forgotten), not_stored=len(not_stored),
            thinned=thinned, missing=found.missing, absorbed=found.absorbed,
            accidents=self._happened(),
            problems=(*self.problems, *witnessed.problems, *found.problems, *problems),
        )  # fmt: skip
