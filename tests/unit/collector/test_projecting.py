"""The journal reaches the store whole and once, whatever the store does meanwhile."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collector import projecting as module
from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.memory_journal import MemoryJournal
from collector.columns import Columns
from collector.live import LiveTable
from collector.ports import Entry, Message, StoreBatch, Unavailable
from collector.projecting import Projecting, inline
from config.clock import SteppedClock
from tests.unit.collector.feeding import SITE, T0, Store, batch, birth, plant


class Fed:
    """A journal with its projecting; `feed` does what ingest does."""

    def __init__(
        self, journal: MemoryJournal | SqliteJournal | None = None, store: Store | None = None
    ) -> None:
        self.journal = journal or MemoryJournal()
        self.store = store or Store()
        self.live = LiveTable([plant()])
        self.columns = Columns(self.live)
        self.clock = SteppedClock(T0)
        self.projecting = Projecting(self.journal, self.store, self.live, inline, self.clock)

    def feed(self, *messages: Message, offered: bool = True) -> None:
        entries = [entry(message) for message in messages]
        joined = self.columns.join(entries)
        before = self.journal.last()
        position = self.journal.append(entries)
        if offered:
            self.projecting.offer(before, position, joined)

    def values(self) -> list[float]:
        return [row[2] for row in self.store.rows]


@asynccontextmanager
async def running(fed: Fed) -> AsyncIterator[None]:
    task = asyncio.create_task(fed.projecting.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class ReadOnly(Store):
    """As one whose disk is full."""

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        raise Unavailable("its disk is full")


def entry(message: Message) -> Entry:
    _, _, site, agent, what = message.topic.split("/")
    if what == "birth":
        return Entry(message.received, "birth", site, agent, epoch="E1", payload=message.payload)
    return Entry(
        message.received, "batch", site, agent, what, "E1", 1, payload=message.payload, readings=1  # type: ignore[arg-type]  # a lane's name
    )  # fmt: skip


async def test_what_was_offered_is_stored_from_memory() -> None:
    fed = Fed()
    fed.feed(birth())
    fed.feed(batch(1, (0, 1.0), (1, None, 66)))
    fed.journal.groups_from = None  # type: ignore[assignment,method-assign]  # must not be asked
    await fed.projecting.drain()
    assert [(p, t, q) for p, t, _, q in fed.store.rows] == [("pump/flow", T0, 0), ("pump/pressure", T0, 66)]  # fmt: skip
    assert fed.store.position == 2
    assert fed.projecting.lag == 0
    assert fed.store.writes == 1


async def test_what_was_not_offered_is_read_from_the_journal() -> None:
    fed = Fed()
    fed.feed(birth(), offered=False)
    fed.feed(batch(1, (0, 1.0)), offered=False)
    fed.feed(batch(2, (0, 2.0)))
    await fed.projecting.drain()
    assert fed.values() == [1.0, 2.0]


async def test_a_restart_goes_on_behind_the_store_s_cursor() -> None:
    fed = Fed()
    fed.feed(birth())
    fed.feed(batch(1, (0, 1.0)))
    await fed.projecting.drain()
    fed.feed(batch(2, (0, 2.0)))
    again = Fed(fed.journal, fed.store)
    again.projecting.restore()
    assert again.projecting.lag == 1
    await again.projecting.drain()
    assert again.values() == [1.0, 2.0]


async def test_memory_is_bounded_and_the_journal_has_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MEMORY_BYTES_MAX", 3 * 1_475)
    monkeypatch.setattr(module, "READINGS_AT_ONCE", 2)
    monkeypatch.setattr(module, "ENTRIES_AT_ONCE", 1)
    fed = Fed()
    fed.feed(birth())
    for n in range(1, 8):
        fed.feed(batch(n, (0, float(n))))
    assert len(fed.projecting._waiting) == 4
    await fed.projecting.step()
    fed.feed(batch(8, (0, 8.0)))
    await fed.projecting.drain()
    assert fed.values() == [float(n) for n in range(1, 9)]
    assert not fed.projecting._waiting


async def test_groups_without_readings_take_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_BYTES_MAX", 3 * 1_200)
    fed = Fed()
    for _ in range(8):
        fed.feed(birth())
    assert len(fed.projecting._waiting) == 3
    for _ in range(2):
        await fed.projecting.drain()
        fed.feed(birth())
    assert fed.projecting._held_bytes == 1_200
    assert fed.projecting.lag == 1


async def test_a_unit_that_changes_is_a_new_series() -> None:
    fed = Fed()
    fed.feed(birth(unit="bar"))
    fed.feed(batch(1, (0, 1.0)))
    fed.feed(birth(unit="kPa"))
    fed.feed(batch(2, (0, 100.0)))
    await fed.projecting.drain()
    keys = fed.live.series.keys
    assert {(k.site, k.point, k.unit) for k in keys} >= {(SITE, "pump/flow", "bar"), (SITE, "pump/flow", "kPa")}  # fmt: skip
    assert fed.values() == [1.0, 100.0]


async def test_a_store_that_is_away_is_tried_again_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    fed = Fed()
    fed.feed(birth())
    fed.feed(batch(1, (0, 1.0)))
    fed.store.away = 3
    draining = asyncio.create_task(fed.projecting.drain())
    await fed.clock.advance(0.1)
    assert not fed.projecting.stats.ok
    assert fed.projecting.lag == 2
    await fed.clock.advance(10)
    await draining
    assert fed.values() == [1.0]
    assert (fed.projecting.stats.refused, fed.projecting.stats.ok) == (3, True)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


async def test_a_journal_that_cannot_be_read_is_tried_again_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    journal = MemoryJournal()
    fed = Fed(journal)
    fed.feed(birth(), offered=False)
    fed.feed(batch(1, (0, 1.0)), offered=False)
    journal.fail_reads = 3
    async with running(fed):
        await fed.clock.advance(0.1)
        assert (fed.projecting.stats.ok, fed.values()) == (False, [])
        assert "cannot be read" in fed.projecting.stats.detail
        await fed.clock.advance(10)
        assert fed.values() == [1.0]
        assert (fed.projecting.stats.refused, fed.projecting.stats.ok) == (3, True)
        assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


async def test_it_runs_for_ever_and_does_not_write_row_by_row() -> None:
    fed = Fed()
    fed.store.away = 1
    async with running(fed):
        await fed.clock.advance(1)
        for n in range(1, 6):
            fed.feed(*([birth()] if n == 1 else []), batch(n, (0, float(n))))
            await fed.clock.advance(0.01)
            assert (fed.values(), fed.store.writes) == ([1.0], 1)
        await fed.clock.advance(1)
        assert (fed.values(), fed.store.writes) == ([1.0, 2.0, 3.0, 4.0, 5.0], 2)
        fed.feed(batch(6, (0, 6.0)))
        await fed.clock.advance(0.01)
        assert (fed.values()[5:], fed.store.writes) == ([6.0], 3)


async def test_what_waits_in_the_journal_waits_for_nothing_more() -> None:
    fed = Fed()
    fed.feed(birth(), offered=False)
    for n in range(1, 4):
        fed.feed(batch(n, (0, float(n))), offered=False)
    async with running(fed):
        await fed.clock.advance(0)
        assert fed.values() == [1.0, 2.0, 3.0]


async def test_positions_that_nobody_holds_any_more_do_not_stop_it() -> None:
    fed = Fed()
    fed.feed(birth())
    fed.journal.rise(100)
    await fed.projecting.drain()
    assert (fed.projecting.lag, fed.store.position) == (0, 1)


async def test_a_store_that_was_ahead_is_begun_again_once_and_not_at_each_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing new came since: the end that the journal rose to is nowhere written."""
    store = Store()
    first = Fed(SqliteJournal(tmp_path), store)
    first.feed(birth(), batch(1, (0, 1.0)))
    store.position = 20
    for _ in range(3):
        fed = Fed(SqliteJournal(tmp_path), store)
        fed.projecting.restore()
        await fed.projecting.drain()
        assert (fed.values(), fed.projecting.lag) == ([1.0], 0)
    assert caplog.text.count("older copy") == 1


async def test_a_store_that_answers_and_takes_nothing_is_not_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its disk is full."""
    caplog.set_level(logging.INFO)
    fed = Fed(store=ReadOnly())
    fed.store.away = 1
    fed.feed(birth(), batch(1, (0, 1.0)), offered=False)
    async with running(fed):
        await fed.clock.advance(60)
        assert not fed.projecting.stats.ok
        assert [r.levelname for r in caplog.records] == ["WARNING"]


async def test_a_store_that_answers_again_and_lacks_nothing_is_well() -> None:
    fed = Fed()
    fed.store.away = 2
    async with running(fed):
        await fed.clock.advance(0.1)
        assert not fed.projecting.stats.ok
        await fed.clock.advance(10)
        assert (fed.projecting.stats.ok, fed.projecting.stats.detail) == (True, "")


@pytest.mark.parametrize("away", [0, 1], ids=["there", "away at the start"])
@pytest.mark.parametrize("entries", [4, 30], ids=["fewer than it knew", "more than it knew"])
async def test_a_store_that_is_ahead_of_the_journal_takes_all_of_it_again(
    away: int, entries: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An older copy of the journal, put back: what it gets before the store is asked has numbers that the store has seen."""
    store = Store()
    store.position, store.away = 20, away
    fed = Fed(store=store)
    with contextlib.suppress(Unavailable):
        fed.projecting.restore()
    fed.feed(birth(), offered=False)
    for n in range(entries):
        fed.feed(batch(n + 1, (0, float(n))), offered=False)
    fed.projecting.restore()
    killed = Fed(fed.journal, fed.store)
    killed.projecting.restore()
    await killed.projecting.drain()
    assert killed.values() == [float(n) for n in range(entries)]
    assert "older copy" in caplog.text
    assert killed.journal.append([entry(birth())]) > 20


def test_a_store_that_is_ahead_holds_nothing_until_it_has_begun_anew() -> None:
    """The journal lets go of what lies before its position."""
    fed = Fed(store=ReadOnly())
    fed.store.position = 20
    with pytest.raises(Unavailable):
        fed.projecting.restore()
    assert fed.projecting.position == 0


def test_what_comes_while_a_store_that_is_ahead_takes_nothing_has_positions_of_its_own() -> None:
    fed = Fed(store=ReadOnly())
    fed.store.position = 20
    with pytest.raises(Unavailable):
        fed.projecting.restore()
    fed.feed(birth())
    assert fed.journal.last() == 21


def test_a_journal_leaps_only_before_anything_is_taken() -> None:
    """A store that answered and is away again: something may be being appended, under the next position."""
    fed = Fed()
    fed.projecting.restore()
    fed.store.away = 1
    with pytest.raises(Unavailable):
        fed.projecting.restore()
    assert fed.journal.last() == 0


async def test_what_this_life_stored_does_not_put_the_store_ahead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fed = Fed()
    fed.projecting.restore()
    fed.feed(birth())
    await fed.projecting.drain()
    assert (fed.projecting.restore(), caplog.text) == (1, "")
