"""One pass from bytes to `committed`, and the same again from the journal after a restart."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.memory_journal import MemoryJournal
from collector.ingest import Ingest
from collector.live import LiveTable, SavedFiles
from collector.ports import Entry, Message, TakenOver, Unavailable
from collector.projecting import Projecting, inline
from config.clock import SteppedClock
from edge.readings import Committed, Reply, decode, encode, topic
from tests.unit.collector.feeding import (
    SITE,
    T0,
    Recorder,
    Source,
    Store,
    batch,
    birth,
    plant,
    same,
)
from tests.waiting import until

HOUR_MS = 3_600_000


class Pipe:
    """Ingest over twins; `again` is a restart over the same journal."""

    def __init__(self, journal: MemoryJournal | None = None, **more: Any) -> None:
        self.journal = journal or MemoryJournal()
        self.source = Source()
        self.judge = more.pop("judge", None) or Recorder()
        self.clock = SteppedClock(more.pop("at", T0))
        self.live = LiveTable([plant()])
        self.store = more.pop("store", None) or Store()
        self.projecting = Projecting(self.journal, self.store, self.live, inline, self.clock)
        self.ingest = Ingest(
            self.source, self.journal, self.live, [self.judge], [plant()], self.clock,
            self.projecting, **more,
        )  # fmt: skip
        self.ingest.restore()

    async def take(self, *messages: Message) -> None:
        await self.ingest.take(messages)

    def marks(self) -> list[tuple[str, Committed]]:
        return [
            (t.split("/")[3], decode(p, Committed))
            for t, p, _ in self.source.sent
            if t.endswith("committed")
        ]

    def shown(self) -> dict[str, float]:
        snapshot = self.live.snapshot(SITE)
        return {
            p: v for p, v in zip(snapshot.points, snapshot.value.tolist(), strict=True) if v == v
        }

    def asides(self) -> list[tuple[str, int]]:
        entries = [e for _, e in self.journal.read_from(0, 999)]
        return [(e.reason, e.readings) for e in entries if e.kind == "aside"]


async def test_a_reading_is_journalled_shown_judged_and_committed() -> None:
    pipe = Pipe()
    await pipe.take(birth())
    await pipe.take(batch(1, (0, 4.25), (1, None, 65)))
    assert [e.kind for _, e in pipe.journal.read_from(0, 9)] == ["birth", "batch"]
    assert pipe.shown() == {"pump/flow": 4.25}
    assert pipe.live.quality[:2].tolist() == [0, 65]
    assert [len(g) for g in pipe.judge.groups] == [0, 2]
    assert [(a, m.data) for a, m in pipe.marks()] == [("a1", 0), ("a1", 1)]
    assert pipe.source.sent[-1][2] is True
    assert pipe.ingest.stats.readings == 2


async def test_what_an_agent_replies_is_handed_on() -> None:
    told: list[tuple[str, str, Reply]] = []
    pipe = Pipe(replied=lambda *said: told.append(said))
    await pipe.take(Message(topic(SITE, "a1", "reply"), encode(Reply("r-1", "done")), T0))
    assert told == [(SITE, "a1", Reply("r-1", "done"))]


async def test_who_lost_its_journal_or_its_ledger_ends() -> None:
    """An error that only waiting mends is tried again; this one is not mended."""
    lost = TakenOver("another collector has it")
    pipe = Pipe()
    pipe.journal.append = failing(lost)  # type: ignore[method-assign]  # as that of a former owner
    with pytest.raises(TakenOver):
        await asyncio.wait_for(pipe.take(birth()), 5)
    pipe = Pipe()
    pipe.judge.flush = failing(lost)  # type: ignore[method-assign]  # as above
    with pytest.raises(TakenOver):
        await asyncio.wait_for(pipe.take(birth()), 5)


def failing(error: Exception) -> Callable[..., Any]:
    def fails(*_: object) -> None:
        raise error

    return fails


async def test_it_is_durable_before_it_is_committed() -> None:
    pipe = Pipe()
    said: list[str] = []
    append, commit = pipe.journal.append, pipe.source.commit

    def noted(entries: Sequence[Entry]) -> int:
        said.append("journal")
        return append(entries)

    async def sent(*arguments: Any, **more: Any) -> None:
        said.append("committed")
        await commit(*arguments, **more)

    pipe.journal.append = noted  # type: ignore[method-assign]  # the order of two calls is the point
    pipe.source.commit = sent  # type: ignore[method-assign]  # as above
    await pipe.take(birth())
    await pipe.take(batch(1, (0, 1.0)))
    assert said == ["journal", "committed"] * 2


async def test_what_waits_is_decoded_while_the_disk_is_at_work() -> None:
    order = list[str]()

    async def offload(work: Callable[[], Any]) -> Any:
        order.append("the disk begins")
        await asyncio.sleep(0)
        order.append("the disk has it")
        return work()

    pipe = Pipe(offload=offload)
    await pipe.take(birth())
    pipe.source.give(batch(2))
    look_ahead = pipe.ingest.receiving.look_ahead

    def seen(messages: Sequence[Message]) -> None:
        order.append(f"{len(messages)} looked at")
        look_ahead(messages)

    pipe.ingest.receiving.look_ahead = seen  # type: ignore[method-assign]  # in order to see when
    order.clear()
    await pipe.take(batch(1))
    assert order == ["the disk begins", "1 looked at", "the disk has it"]
    assert pipe.source.waiting() == [batch(2)]


@pytest.mark.parametrize("ticks", [1, 2, 3])
async def test_a_pass_that_is_cancelled_leaves_no_append_behind(ticks: int) -> None:
    async def offload(work: Callable[[], Any]) -> Any:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return work()

    pipe = Pipe(offload=offload)
    passing = asyncio.create_task(pipe.take(birth()))
    for _ in range(ticks):
        await asyncio.sleep(0)
    passing.cancel()
    for _ in range(9):
        await asyncio.sleep(0)
    assert (passing.cancelled(), pipe.journal.last()) == (True, 0)


async def test_a_full_journal_commits_nothing_until_it_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipe = Pipe()
    await pipe.take(birth())
    pipe.journal.fail_appends = 3
    taking = asyncio.create_task(pipe.take(batch(1, (0, 1.0))))
    await until(lambda: pipe.ingest.stats.journal_refused == 1)
    assert pipe.marks()[-1][1].data == 0
    assert pipe.shown() == {}
    refused = pipe.ingest.stats
    assert (refused.journal_ok, refused.detail) == (False, "the journal's disk is full")
    await pipe.clock.advance(10)
    await taking
    assert pipe.marks()[-1][1].data == 1
    assert pipe.ingest.stats.journal_refused == 3
    assert pipe.ingest.stats.journal_ok
    told = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(told) == 1


async def test_the_loop_ends_when_the_source_is_closed() -> None:
    pipe = Pipe()
    running = asyncio.create_task(pipe.ingest.run())
    pipe.source.give(birth())
    pipe.source.give(batch(1, (0, 1.0)))
    await until(lambda: pipe.shown())
    await pipe.source.close()
    await running


async def test_back_fill_is_kept_and_judged_as_history() -> None:
    pipe = Pipe()
    await pipe.take(birth())
    await pipe.take(batch(1, (0, 1.0), lane="backfill"))
    assert pipe.shown() == {}
    assert pipe.judge.groups[-1].live.tolist() == [False]


async def test_all_batches_of_a_list_are_one_group_in_order_of_arrival() -> None:
    pipe = Pipe()
    await pipe.take(birth(), birth("fan/speed", agent="a2"))
    await pipe.take(batch(1, (0, 1.0)), batch(1, (0, 7.0), agent="a2"), batch(2, (0, 2.0)))
    group = pipe.judge.groups[-1]
    assert group.value.tolist() == [1.0, 7.0, 2.0]
    assert [group.agents[a] for a in group.agent.tolist()] == ["riverside/a1", "riverside/a2", "riverside/a1"]  # fmt: skip
    assert pipe.shown() == {"pump/flow": 2.0, "fan/speed": 7.0}
    assert group.position == 5


Seen = tuple[int, int]


@pytest.mark.parametrize(
    ("error", "offset", "expected"),
    [
        pytest.param(0, -5_000, (T0 - 5_000, 0), id="right"),
        pytest.param(30_000, 0, (T0 + 30_000, 0), id="within a minute it stays"),
        pytest.param(HOUR_MS, 0, (T0, 3), id="an hour ahead"),
        pytest.param(-HOUR_MS, 0, (T0, 3), id="an hour behind"),
        pytest.param(0, 25 * HOUR_MS, (T0, 3), id="a reading from tomorrow"),
        pytest.param(0, -T0, (T0, 3), id="a reading from 1970"),
        pytest.param(-T0, 0, (T0, 3), id="a clock that was never set"),
    ],
)
async def test_wrong_times_are_corrected_and_flagged(
    error: int, offset: int, expected: Seen
) -> None:
    pipe = Pipe()
    await pipe.take(birth())
    await pipe.take(batch(1, (0, 1.0, 0, offset), error=error))
    group = pipe.judge.groups[-1]
    assert (group.time.tolist(), group.quality.tolist()) == ([expected[0]], [expected[1]])
    assert pipe.ingest.stats.corrected == (1 if expected[1] else 0)


async def test_a_bad_reading_of_a_wrong_clock_keeps_its_own_reason() -> None:
    pipe = Pipe()
    await pipe.take(birth())
    await pipe.take(batch(1, (0, None, 66), error=HOUR_MS))
    assert pipe.judge.groups[-1].quality.tolist() == [66]


async def test_a_reading_that_cannot_be_right_is_set_aside_alone() -> None:
    pipe = Pipe()
    await pipe.take(birth("pump/flow", "pump/pressure", "pump/old", retired=[2]))
    await pipe.take(batch(1, (0, 1.0), (1, None, 0), (2, 5.0), (2, 6.0)))
    assert pipe.judge.groups[-1].value.tolist() == [1.0]
    assert pipe.asides() == [("retired_index", 2), ("not_finite", 1)]
    counts = pipe.journal.counts()[SITE, "a1", "data", T0 - T0 % HOUR_MS]
    assert (counts.readings, counts.aside) == (4, 3)
    assert pipe.marks()[-1][1].data == 1
    assert pipe.ingest.stats.set_aside == 3


async def test_a_point_of_another_agent_is_not_taken_from_this_one() -> None:
    pipe = Pipe()
    await pipe.take(birth("pump/flow", "fan/speed"))
    await pipe.take(batch(1, (0, 1.0), (1, 99.0)))
    assert pipe.shown() == {"pump/flow": 1.0}
    assert pipe.asides() == [("not_its_point", 1)]


async def test_a_value_beside_a_bad_quality_is_no_value() -> None:
    pipe = Pipe()
    await pipe.take(birth())
    await pipe.take(batch(1, (0, 5.0, 69)))
    assert pipe.shown() == {}
    assert pipe.judge.groups[-1].quality.tolist() == [69]


async def test_a_point_that_the_plant_does_not_know_is_kept_and_shown() -> None:
    pipe = Pipe()
    await pipe.take(birth("pump/flow", "pump/new"))
    await pipe.take(batch(1, (1, 3.0)))
    assert pipe.shown() == {"pump/new": 3.0}


async def test_malformed_messages_do_not_stop_the_others() -> None:
    pipe = Pipe()
    await pipe.take(birth())
    broken = Message(topic(SITE, "a1", "data"), b'{"e":', T0)
    await pipe.take(broken, batch(1, (0, 1.0)))
    assert pipe.shown() == {"pump/flow": 1.0}


async def test_judges_recall_once_before_the_first_group() -> None:
    first = Pipe()
    await varied(first)
    second = Pipe(first.journal, judge=Recorder())
    assert second.judge.said == ["recall", *["judge"] * 5]


async def test_a_ledger_that_is_away_holds_up_nothing() -> None:
    pipe = Pipe()
    await pipe.take(birth())
    pipe.judge.away = 2
    await pipe.take(batch(1, (0, 1.0)))
    await pipe.take(batch(2, (0, 2.0)))
    assert pipe.ingest.stats.judge_refused == 2
    assert pipe.marks()[-1][1].data == 2
    await pipe.take(batch(3, (0, 3.0)))
    assert pipe.ingest.stats.judges_ok
    assert pipe.judge.position == 4


# --- restart -----------------------------------------------------------------------------------


async def varied(pipe: Pipe) -> None:
    """Groups with everything that a replay could get wrong."""
    await pipe.take(birth("pump/flow", "pump/pressure", "pump/old"))
    await pipe.take(batch(1, (0, 1.0), (2, 5.0), error=2 * HOUR_MS))
    await pipe.take(
        birth("pump/flow", "pump/pressure", "pump/old", retired=[2]), birth("fan/speed", agent="a2")
    )
    await pipe.take(batch(2, (0, 2.0), (2, 5.0)), batch(1, (0, None, 66), agent="a2", lane="event"))
    await pipe.take(batch(3, (0, 3.0, 0, -T0)), batch(1, (1, 9.0), lane="backfill"))  # fmt: skip


async def test_a_replay_gives_the_same_groups_byte_for_byte() -> None:
    first = Pipe()
    await varied(first)
    second = Pipe(first.journal, judge=Recorder())
    assert len(first.judge.groups) == len(second.judge.groups) == 5
    assert all(map(same, first.judge.groups, second.judge.groups))
    assert first.shown() == second.shown()
    assert second.source.sent == []


async def test_a_restart_judges_only_what_was_not_decided_yet() -> None:
    first = Pipe()
    await varied(first)
    second = Pipe(first.journal, judge=Recorder(position=first.judge.groups[2].position))
    assert len(second.judge.groups) == 2
    assert all(map(same, first.judge.groups[3:], second.judge.groups))
    assert second.shown() == first.shown()


async def test_a_restart_goes_on_with_the_next_number() -> None:
    first = Pipe()
    await varied(first)
    second = Pipe(first.journal)
    await second.take(batch(3, (0, 8.0)), batch(4, (0, 4.0)))
    assert second.marks()[-1][1].data == 4
    assert second.shown()["pump/flow"] == 4.0


async def test_the_saved_table_spares_the_journal_that_all_have_read(tmp_path: Path) -> None:
    file = tmp_path / "live"
    first = Pipe(saved=SavedFiles(file))
    await varied(first)
    await first.projecting.drain()
    await first.clock.advance(61)
    await first.take(batch(4, (0, 4.0)))
    await first.take(batch(5, (0, 5.0)))
    assert file.exists()
    kept = [e.seq for _, e in first.journal.read_from(0, 99)]
    assert kept == [4, 5]
    second = Pipe(first.journal, judge=Recorder(first.judge.position), saved=SavedFiles(file))
    assert second.shown() == first.shown()
    assert second.judge.groups == []


@pytest.mark.parametrize("spoilt", [b"", b"nonsense"])
async def test_a_spoilt_table_is_named_and_a_missing_or_empty_one_is_not(
    spoilt: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "live"
    first = Pipe(saved=SavedFiles(file))
    await first.ingest.save()
    first = Pipe(saved=SavedFiles(file))
    await varied(first)
    assert caplog.messages == []
    file.write_bytes(spoilt)
    second = Pipe(first.journal, saved=SavedFiles(file))
    assert second.shown() == first.shown()
    (said,) = caplog.messages
    assert f"{file} is spoilt" in said
    await second.ingest.save()
    Pipe(first.journal, saved=SavedFiles(file))
    assert len(caplog.messages) == 1


async def test_nothing_is_trimmed_that_the_store_does_not_hold(tmp_path: Path) -> None:
    pipe = Pipe(saved=SavedFiles(tmp_path / "live"))
    await varied(pipe)
    await pipe.ingest.save()
    assert pipe.journal.read_from(0, 1)[0][0] == 1


async def test_a_table_that_cannot_be_saved_costs_only_time(tmp_path: Path) -> None:
    pipe = Pipe(saved=SavedFiles(tmp_path / "missing" / "live"))
    await varied(pipe)
    await pipe.projecting.drain()
    await pipe.ingest.save()
    assert pipe.journal.read_from(0, 1)[0][0] == 1
    assert pipe.shown()["pump/flow"] == 3.0


async def test_what_all_had_read_before_a_kill_is_no_loss_after_it(tmp_path: Path) -> None:
    """Files that were full and not trimmed yet go when the next one is begun: nobody misses them."""
    small = partial(SqliteJournal, tmp_path, file_bytes=1, cap_bytes=350)
    pipe = Pipe(small(), store=Store())  # type: ignore[arg-type]  # the real one
    await pipe.take(birth())
    await pipe.take(batch(1, (0, 1.0)))
    await pipe.ingest.projecting.drain()  # type: ignore[union-attr]
    pipe.journal.close()
    again = Pipe(small(), store=pipe.store, judge=Recorder(pipe.judge.position))  # type: ignore[arg-type]
    for n in range(2, 5):
        await again.take(batch(n, (0, 2.0)))
        await again.ingest.projecting.drain()  # type: ignore[union-attr]
    assert [e.seq for _, e in again.journal.read_from(0, 9)][-1] == 4
    assert again.journal.dropped == 0  # type: ignore[attr-defined]
    again.journal.close()


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), Unavailable("lost its server")]
)
async def test_a_journal_that_cannot_be_trimmed_is_trimmed_later(
    error: Exception, tmp_path: Path
) -> None:
    pipe = Pipe(saved=SavedFiles(tmp_path / "live"))
    await varied(pipe)
    await pipe.projecting.drain()
    trim = pipe.journal.trim

    def refused(position: int) -> None:
        raise error

    pipe.journal.trim = refused  # type: ignore[method-assign]  # the disk's fault
    await pipe.ingest.save()
    pipe.journal.trim = trim  # type: ignore[method-assign]
    await pipe.ingest.save()
    assert pipe.journal.read_from(0, 1) == []


@pytest.mark.parametrize("ahead", [lambda s: setattr(s, "position", 500)])
async def test_a_restored_journal_gives_no_position_that_was_used(
    ahead: Callable[[Store], None],
) -> None:
    store = Store()
    ahead(store)
    pipe = Pipe(store=store)
    await pipe.take(birth())
    await pipe.take(batch(1, (0, 1.0)))
    await pipe.projecting.drain()
    assert store.rows == [("pump/flow", T0, 1.0, 0)]


def opened(folder: Path, store: Store, at: int = T0) -> Pipe:
    journal: Any = SqliteJournal(folder)
    return Pipe(journal, store=store, at=at)


def restored_while_its_store_is_away(pipe: Pipe, folder: Path, store: Store, at: int = T0) -> Pipe:
    """The journal's newest entries are gone (an older copy, or a file set aside), the store is away, and news comes."""
    pipe.journal.close()
    for path in folder.glob("journal-*.sqlite*"):
        path.unlink()
    store.away = 1
    return opened(folder, store, at)


@pytest.mark.parametrize("news", [2, 8], ids=["less than was forgotten", "more"])
async def test_what_comes_while_the_store_is_away_takes_no_position_that_it_may_have_seen(
    news: int, tmp_path: Path
) -> None:
    store = Store()
    pipe = opened(tmp_path, store)
    await pipe.take(birth(), *(batch(n, (0, float(n))) for n in range(1, 5)))
    await pipe.projecting.drain()
    pipe = restored_while_its_store_is_away(pipe, tmp_path, store)
    for message in (birth(), *(batch(n + 1, (1, float(n))) for n in range(news))):
        await pipe.take(message)
    assert pipe.projecting.lag == 1 + news
    pipe.journal.close()  # killed before the store was there
    pipe = opened(tmp_path, store)
    await pipe.projecting.drain()
    assert [row[2] for row in store.rows if row[0] == "pump/pressure"] == list(range(news))
    assert pipe.projecting.lag == 0


async def test_a_journal_that_leapt_and_was_put_back_leaps_further(tmp_path: Path) -> None:
    """The store has seen what came behind the first leap."""
    store = Store()
    store.away = 1
    pipe = opened(tmp_path, store)
    await pipe.take(birth(), *(batch(n, (0, float(n))) for n in range(1, 5)))
    pipe.projecting.restore()
    await pipe.projecting.drain()
    pipe = restored_while_its_store_is_away(pipe, tmp_path, store, at=T0 + 60_000)
    for message in (birth(), *(batch(n + 1, (1, float(n))) for n in range(8))):
        await pipe.take(message)
    pipe.journal.close()
    pipe = opened(tmp_path, store, at=T0 + 120_000)
    await pipe.projecting.drain()
    assert [row[2] for row in store.rows if row[0] == "pump/pressure"] == list(range(8))


async def test_a_store_that_is_away_at_the_start_is_waited_for() -> None:
    store = Store()
    store.away = 1
    pipe = Pipe(store=store)
    await pipe.take(birth())
    await pipe.take(batch(1, (0, 1.0)))
    assert pipe.shown() == {"pump/flow": 1.0}
    await pipe.projecting.drain()
    assert len(store.rows) == 1
