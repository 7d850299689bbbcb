"""The server says how it stands as an agent would, and looks whether synthetic readings come through."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.memory_journal import MemoryJournal
from collector.adapters.memory_store import MemoryStore
from collector.adapters.mqtt import Broker, MqttSource
from collector.groups import Group
from collector.ingest import Ingest
from collector.live import LiveTable
from collector.ports import Entry, Message, SeriesKey, StoreBatch
from collector.projecting import Projecting, inline
from collector.selfwatch import SelfWatch, Synthetic, through_at, unproven_ms
from config.clock import SteppedClock
from config.links import ROWS, SERVER_ROWS, link_points
from config.plant import Plant
from tests.unit.collector.feeding import (
    SITE,
    T0,
    MarksBeside,
    Recorder,
    Source,
    batch,
    birth,
    plant,
)

MINUTE = 60_000
BEAT = SeriesKey(SITE, "a1/heartbeat", "", "counter")


def watched_plant() -> Plant:
    small = plant()
    points = link_points(small.lines, small.devices.values(), (*ROWS, *SERVER_ROWS))
    return replace(small, points={**small.points, **{point.id: point for point in points}})


class Watched:
    """A server over twins whose watch speaks; `queue` is what waits in its connection to the broker."""

    def __init__(self, journal: MemoryJournal, at: int = T0) -> None:
        its, self.clock = watched_plant(), SteppedClock(at)
        self.live, self.store = LiveTable([its]), MemoryStore()
        projecting = Projecting(journal, self.store, self.live, inline, self.clock)
        self.judge = Recorder()
        self.ingest = Ingest(
            Source(), journal, self.live, [self.judge], [its], self.clock, projecting
        )
        self.ingest.restore()
        self.queue: list[Message] = []
        self.watch = SelfWatch([its], self.live, journal, self.store, self.clock, inline)
        self.watch.put = self.queue.append
        self.watch.says = lambda: {"queue": 7.0}

    async def deliver(self) -> None:
        taken, self.queue[:] = list(self.queue), []
        await self.ingest.take(taken)

    async def hear(self, seq: int, *, stored: bool) -> None:
        """A heartbeat of agent a1 arrives now."""
        now = self.clock.now()
        born = birth("a1/heartbeat", unit="", at=now)
        await self.ingest.take([born, batch(seq, (0, float(seq)), at=now)])
        if stored:
            row = np.array([0])
            self.store.write([StoreBatch([BEAT], row, np.array([now]), row + 1.0, row.astype(np.uint8))], seq)  # fmt: skip

    def shown(self, point: str) -> float:
        return float(self.live.value[self.live.row(SITE, point)])


async def test_what_the_server_says_of_itself_is_journalled_and_shown_as_any_reading() -> None:
    journal = MemoryJournal()
    one = Watched(journal)
    await one.watch.look()
    await one.deliver()
    assert (one.shown("steward/queue"), one.shown("steward/synthetic_age")) == (7.0, 0.0)
    assert np.isnan(one.shown("steward/journal_fill"))  # nobody gave it: no value is not zero
    assert [entry.kind for _, entry in journal.read_from(0, 10)] == ["birth", "batch"]


async def test_after_a_restart_it_goes_on_where_its_numbers_ended() -> None:
    journal = MemoryJournal()
    for life in range(2):
        one = Watched(journal, T0 + life * MINUTE)
        await one.watch.look()
        await one.deliver()
    assert [entry.seq for _, entry in journal.read_from(0, 10) if entry.kind == "batch"] == [1, 2]
    assert one.ingest.receiving.counts == {"birth": 1}


async def test_what_a_refusing_journal_does_not_take_is_not_piled_up() -> None:
    one = Watched(MemoryJournal())
    for _ in range(4):
        await one.watch.look()
    assert len(one.queue) == 2  # a birth and one batch
    await one.clock.advance(300)
    await one.watch.look()
    await one.deliver()
    assert one.ingest.receiving.counts == {"birth": 1, "repeat": 1}


async def test_a_heartbeat_that_is_shown_and_not_given_back_by_the_store_is_told() -> None:
    one = Watched(MemoryJournal())
    await one.hear(1, stored=True)
    await one.watch.look()
    await one.deliver()
    assert (one.shown("steward/synthetic_age"), one.watch.age_ms()) == (0.0, 0)
    await one.clock.advance(60)
    await one.hear(2, stored=False)
    await one.clock.advance(60)
    await one.watch.look()
    await one.deliver()
    assert (one.shown("steward/synthetic_age"), one.watch.age_ms()) == (120.0, 2 * MINUTE)
    assert one.watch.is_proven(2 * MINUTE)
    assert not one.watch.is_proven(2 * MINUTE - 1)


async def test_a_journal_that_cannot_be_read_costs_a_minute_of_its_own_points() -> None:
    journal = MemoryJournal()
    one = Watched(journal)
    one.watch.says = lambda: {"queue": float(len(journal.read_from(0, 1)))}
    journal.fail_reads = 1
    await one.watch.look()
    await one.deliver()
    assert np.isnan(one.shown("steward/queue"))
    assert one.shown("steward/synthetic_age") == 0.0
    await one.clock.advance(60)
    await one.watch.look()
    await one.deliver()
    assert one.shown("steward/queue") == 1.0


async def test_the_loop_does_not_wait_for_the_journal_s_lock() -> None:
    journal = MarksBeside()
    its = watched_plant()
    queue: list[Message] = []
    watch = SelfWatch([its], LiveTable([its]), journal, MemoryStore(), SteppedClock(T0), journal.beside)  # fmt: skip
    watch.put = queue.append
    await watch.look()
    assert len(queue) == 2  # a birth and one batch


LOOKED = T0 + 2 * MINUTE
CASES = [
    ((), 0, 0),
    ((Synthetic(),), 0, 0),  # never heard
    ((Synthetic(T0, T0, LOOKED), Synthetic(T0 - MINUTE, T0 - MINUTE, LOOKED)), 0, T0),  # one is silent
    ((Synthetic(T0, T0 - MINUTE, LOOKED),), 3 * MINUTE, T0 - MINUTE),
    ((Synthetic(T0, 0, LOOKED),), 12 * MINUTE, 0),  # none since looking began
    ((Synthetic(T0 - MINUTE, T0, LOOKED),), 0, T0 - MINUTE),  # a live table of before
    ((Synthetic(T0, T0 - MINUTE, T0 + MINUTE), Synthetic(T0, T0, LOOKED)), 2 * MINUTE, T0),  # at its own turn
    ((Synthetic(T0 - 9 * MINUTE, 0, LOOKED),), 0, 0),  # silent for so long that it is not asked for
]  # fmt: skip


@pytest.mark.parametrize(("synthetic", "unproven", "through"), CASES)
def test_only_what_was_heard_is_missed_in_the_store(
    synthetic: tuple[Synthetic, ...], unproven: int, through: int
) -> None:
    assert unproven_ms(synthetic, T0 - 10 * MINUTE) == unproven
    assert through_at(synthetic) == through


class Many:
    """A watch over a hundred agents, which say their heartbeat every minute; the store is always one behind."""

    def __init__(self) -> None:
        self.agents = [f"a{n}" for n in range(100)]
        its = plant({agent: (f"{agent}/heartbeat",) for agent in self.agents})
        self.clock, self.live, self.store = SteppedClock(T0), LiveTable([its]), MemoryStore()
        self.watch = SelfWatch([its], self.live, MemoryJournal(), self.store, self.clock, inline)

    async def minute(self, *, stored: bool = True) -> float:
        """Everybody says a heartbeat, then a look; how long the store accuses itself, s."""
        keys = [SeriesKey(SITE, f"{agent}/heartbeat", "", "counter") for agent in self.agents]
        before, zeros = self.clock.now(), np.zeros(100, np.uint8)
        each, values = np.arange(100), np.arange(1.0, 101.0)
        if stored:
            self.store.write([StoreBatch(keys, each, np.full(100, before), values, zeros)], self.store.cursor())  # fmt: skip
        await self.clock.advance(60)
        now = self.clock.now()
        rows = np.array([self.live.row(SITE, f"{agent}/heartbeat") for agent in self.agents])
        self.live.apply(Group(1, now, rows, np.full(100, now), values, zeros, np.ones(100, np.bool_), each * 0, ("x",)))  # fmt: skip
        await self.watch.look()
        return self.watch.unproven_ms(now) / 1000


async def test_a_hundred_healthy_agents_accuse_nobody_however_seldom_each_has_its_turn() -> None:
    many = Many()
    assert max([await many.minute() for _ in range(30)]) <= 60


async def test_a_store_that_keeps_nothing_any_more_is_told_as_soon_as_of_one_agent() -> None:
    many = Many()
    for _ in range(15):
        await many.minute()
    ages = [await many.minute(stored=False) for _ in range(6)]
    assert ages == [60.0 * (n + 2) for n in range(6)]


async def test_a_store_that_does_not_answer_is_told_since_it_did() -> None:
    many = Many()
    for _ in range(15):
        await many.minute()
    many.store.unavailable = "away"
    assert [await many.minute(stored=False) for _ in range(3)] == [60, 120, 180]
    many.store.unavailable = ""
    assert await many.minute() <= 60


async def test_what_is_put_comes_in_the_lists_of_a_source_that_reaches_no_broker() -> None:
    source = MqttSource(Broker("127.0.0.1", 1), SteppedClock())
    own = Message("steward/v1/riverside/steward/data", b"{}", T0)
    source.put(own)
    assert source.waiting_bytes > len(own.payload)
    lists = source.batches()
    assert await anext(lists) == [own]
    assert source.waiting_bytes == 0
    await source.close()


def test_a_write_that_fails_was_long_all_the_same(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    journal.append([Entry(T0, "batch", SITE, "a1", "data", "E1", 1, readings=1)])
    assert (journal.commits.count, journal.commits.total_s > 0) == (1, True)
    with pytest.raises(TypeError), journal.commits.timed():
        raise TypeError
    assert (journal.commits.count, journal.commits.longest_s() > 0) == (2, True)
    assert journal.commits.longest_s() == 0.0
    journal.close()
