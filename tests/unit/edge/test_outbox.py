import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from config.plant import Point, PointSpec
from config.profile import Register
from edge.outbox import Outbox, OutboxLimits
from edge.outbox_file import OutboxRefused
from edge.ports import PointReading
from edge.readings import WINDOW, Committed, Lane, decode_batch

NOW = 1_763_700_000_000


def point(name: str, unit: str = "bar") -> Point:
    spec = PointSpec({"en": name}, "measurement", unit, Register("holding", 0, "u16"))
    return Point(f"a/{name}", "a", "d", spec)


def outbox_at(path: Path | str, now: int = NOW, limits: OutboxLimits | None = None) -> Outbox:
    box = Outbox(path, now=now, rng=np.random.default_rng(1), limits=limits)
    box.define([point("p"), point("q")], now)
    return box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Outbox]:
    made = outbox_at(tmp_path / "o.outbox")
    yield made
    made.close()


def reading(value: float, at: int = NOW, name: str = "p") -> PointReading:
    return PointReading(f"a/{name}", value, 0, at)


def keep(
    box: Outbox,
    readings: list[PointReading],
    now: int = NOW,
    urgent: list[PointReading] | None = None,
) -> None:
    """Keep with a wall clock that was never set: both clocks go on together."""
    box.keep(readings, now, monotonic=(now - NOW) / 1000, urgent=urgent or [])


def sent(box: Outbox, lane: Lane, now: int = NOW) -> list[tuple[int, list[float | None]]]:
    """Number what waits for a lane, a window at most, and decode it."""
    box.number(lane, now, (now - NOW) / 1000)
    rows = []
    after = box.mark(lane)
    while outgoing := box.numbered(lane, after):
        batch = decode_batch(box.payload(outgoing, now))
        rows.append((batch.s, batch.v))
        after = batch.s
    return rows


def test_the_file_is_written_durably(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o.outbox")
    assert box._file.db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert box._file.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    box.close()


def test_what_was_confirmed_is_deleted_without_waiting_for_the_disk_and_may_come_back(
    tmp_path: Path,
) -> None:
    (tmp_path / "before").mkdir()
    box = outbox_at(tmp_path / "before" / "o.outbox")
    keep(box, [reading(1.5)], NOW)
    assert sent(box, "data") == [(1, [1.5])]
    shutil.copytree(tmp_path / "before", tmp_path / "cut")  # what a power cut after it may leave
    confirmed = Committed(box.epoch, data=1)
    assert box.commit(confirmed, NOW)
    assert box._file.db.execute("PRAGMA synchronous").fetchone() == (1,)
    keep(box, [reading(2.5)], NOW)
    assert box._file.db.execute("PRAGMA synchronous").fetchone() == (2,)
    again = outbox_at(tmp_path / "cut" / "o.outbox", NOW + 1_000)
    assert (again.backlog()[0], again.given("data"), again.mark("data")) == (1, 1, 0)
    assert again.commit(confirmed, NOW + 1_000)
    assert (again.backlog()[0], again.epoch) == (0, box.epoch)
    keep(again, [reading(3.5)], NOW + 1_000)
    assert sent(again, "data", NOW + 1_000) == [(2, [3.5])]
    box.close()
    again.close()


def test_what_was_kept_is_there_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    box = outbox_at(tmp_path / "before" / "o.outbox")
    keep(box, [reading(1.5)], NOW, urgent=[reading(1.0, name="q")])
    epoch = box.epoch
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    again = outbox_at(tmp_path / "after" / "o.outbox", NOW + 1_000)
    assert again.epoch == epoch
    assert again.backlog()[0] == 2
    assert sent(again, "event") == [(1, [1.0])]
    assert sent(again, "data") == [(1, [1.5])]
    again.close()
    box.close()


def test_a_batch_gets_its_lane_when_it_is_first_sent(box: Outbox) -> None:
    keep(box, [reading(1.0)], NOW)
    keep(box, [reading(2.0)], NOW + 30_000)
    assert sent(box, "backfill", NOW + 61_000) == [(1, [1.0])]
    assert sent(box, "data", NOW + 61_000) == [(1, [2.0])]


def test_an_urgent_one_stays_an_event_however_old(box: Outbox) -> None:
    keep(box, [], NOW, urgent=[reading(1.0)])
    assert sent(box, "backfill", NOW + 3_600_000) == []
    assert sent(box, "event", NOW + 3_600_000) == [(1, [1.0])]


def test_a_number_once_given_stays_over_a_restart(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o.outbox")
    keep(box, [reading(1.0)], NOW)
    assert box.number("data", NOW, 0.0) == 1
    box.close()
    again = outbox_at(tmp_path / "o.outbox", NOW + 90_000)
    outgoing = again.numbered("data", 0)
    assert outgoing is not None
    assert decode_batch(again.payload(outgoing, NOW)).s == 1
    assert again.number("backfill", NOW + 90_000, 0.0) == 0
    again.close()


def test_what_is_committed_is_deleted_and_still_counted(box: Outbox) -> None:
    keep(box, [reading(1.0), reading(2.0, NOW + 1)], NOW)
    sent(box, "data")
    assert box.commit(Committed(box.epoch, data=1), NOW)
    assert box.backlog() == (0, None)
    assert box.mark("data") == 1
    (count,) = [c for c in box.counts() if c.lane == "data"]
    assert (count.made, count.sent) == (2, 2)


def test_what_is_sent_at_once_costs_one_durable_write_and_another_when_it_is_deleted(
    box: Outbox,
) -> None:
    writes: list[str] = []
    box._file.db.set_trace_callback(writes.append)
    for n in range(1, 11):
        box.keep([reading(float(n))], NOW, monotonic=0.0, at_once=True)
        assert sent(box, "data") == [(n, [float(n)])]
        assert box.commit(Committed(box.epoch, data=n), NOW)
        assert (box.batches, box.backlog()) == (0, (0, None))
    assert writes.count("COMMIT") == 20
    assert [(count.made, count.sent) for count in box.counts()] == [(10, 10)]


def test_what_is_numbered_as_it_is_made_has_its_number_after_a_kill(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o.outbox")
    box.keep([reading(1.0)], NOW, monotonic=0.0, urgent=[reading(2.0, name="q")], at_once=True)
    shutil.copytree(tmp_path, tmp_path / "killed")
    box.close()
    again = outbox_at(tmp_path / "killed" / "o.outbox")
    assert (again.given("event"), again.given("data"), again.batches) == (1, 1, 2)
    assert [*sent(again, "event"), *sent(again, "data")] == [(1, [2.0]), (1, [1.0])]
    again.close()


def test_nothing_is_numbered_before_what_waits_nor_beyond_the_window(box: Outbox) -> None:
    keep(box, [reading(1.0)])
    box.keep([reading(2.0)], NOW, monotonic=0.0, at_once=True)
    assert box.given("data") == 0
    assert sent(box, "data") == [(1, [1.0]), (2, [2.0])]
    for n in range(3, WINDOW + 2):
        box.keep([reading(float(n))], NOW, monotonic=0.0, at_once=True)
    assert (box.given("data"), box.batches) == (WINDOW, WINDOW + 1)
    box.commit(Committed(box.epoch, data=1), NOW)
    assert sent(box, "data")[-1] == (WINDOW + 1, [WINDOW + 1.0])


def test_marks_of_another_epoch_and_lower_ones_change_nothing(box: Outbox) -> None:
    keep(box, [reading(1.0)], NOW)
    keep(box, [reading(2.0)], NOW)
    sent(box, "data")
    assert not box.commit(Committed("another", data=2), NOW)
    box.commit(Committed(box.epoch, data=1), NOW)
    box.commit(Committed(box.epoch, data=0), NOW)
    assert box.mark("data") == 1
    assert box.backlog()[0] == 1


def test_the_oldest_that_is_still_held_goes_with_each_sending(box: Outbox) -> None:
    for value in (1.0, 2.0, 3.0):
        keep(box, [reading(value)], NOW)
    sent(box, "data")
    box.commit(Committed(box.epoch, data=2), NOW)
    outgoing = box.numbered("data", 2)
    assert outgoing is not None
    assert decode_batch(box.payload(outgoing, NOW + 5)).o == 3
    assert decode_batch(box.payload(outgoing, NOW + 5)).n == NOW + 5


def test_the_table_of_points_only_grows(box: Outbox) -> None:
    box.define([point("q"), point("p", "kPa"), point("r")], NOW)
    rows = list(box.table.rows())
    assert [(r.index, r.point, r.unit, r.retired) for r in rows] == [
        (0, "a/p", "bar", True), (1, "a/q", "bar", False), (2, "a/p", "kPa", False), (3, "a/r", "bar", False),
    ]  # fmt: skip
    box.define([point("q"), point("p", "kPa"), point("r")], NOW)
    assert list(box.table.rows()) == rows


def test_a_file_knows_its_points_again_and_is_not_written_anew(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o.outbox")
    box.define([point("q")], NOW)
    rows = list(box.table.rows())
    assert [row.retired for row in rows] == [True, False]
    box.close()
    again = Outbox(tmp_path / "o.outbox", now=NOW, rng=np.random.default_rng(2))
    again.define([point("q")], NOW)
    assert (list(again.table.rows()), again.table_changes) == (rows, 0)
    again.define([point("p"), point("q")], NOW)
    assert (again.table.index, again.table_changes) == ({"a/p": 0, "a/q": 1}, 1)
    again.close()


def test_a_file_that_is_damaged_at_work_leaves_its_table_to_the_new_one(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o.outbox")
    box.define([point("q"), point("p", "kPa")], NOW)
    rows, epoch = list(box.table.rows()), box.epoch
    with pytest.raises(OutboxRefused, match="damaged"), box._guarded():
        raise sqlite3.DatabaseError("a page is not what it was")
    assert (list(box.table.rows()), list(box._rows())) == (rows, rows)
    assert box.epoch != epoch
    keep(box, [reading(1.0)])
    assert sent(box, "data") == [(1, [1.0])]
    box.close()


def test_an_old_copy_is_found_out_and_begins_a_new_epoch(tmp_path: Path) -> None:
    """What the copy had numbered the marks cover; a number given since then was another batch's there."""
    box = outbox_at(tmp_path / "o.outbox")
    keep(box, [reading(1.0)], NOW)
    sent(box, "data")
    box.close()
    box = outbox_at(tmp_path / "o.outbox")
    keep(box, [reading(2.0)], NOW)
    assert sent(box, "data") == [(1, [1.0]), (2, [2.0])]  # to a collector that knows nothing
    keep(box, [reading(3.0)], NOW)
    before = box.epoch
    rows = list(box.table.rows())
    box.commit(Committed(before, data=9), NOW + 1)
    assert box.epoch != before
    assert (list(box.table.rows()), list(box._rows())) == (rows, rows)
    assert (box.given("data"), box.mark("data"), box.backlog()[0]) == (0, 0, 2)
    assert sent(box, "data") == [(1, [2.0]), (2, [3.0])]
    box.close()


def test_a_full_outbox_is_thinned_oldest_first_and_says_so(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o.outbox", limits=OutboxLimits(mb_max=0.02))
    keep(box, [], NOW, urgent=[reading(7.0, NOW, "q")])
    for n in range(400):
        keep(box, [reading(float(n), NOW + n)], NOW + n)
    box.thin(NOW + 400, 0.4)
    kept = box.backlog()[0] - 1
    assert 0 < kept < 400
    first = [values[0] for _, values in sent(box, "data", NOW + 400)]
    assert first == [float(n) for n in range(400 - kept, 400 - kept + len(first))]
    assert box.dropped.readings == 400 - kept
    assert (box.dropped.first, box.dropped.last) == (NOW, NOW + 399 - kept)
    assert sent(box, "event") == [(1, [7.0])]
    box.close()


def test_what_was_dropped_waits_for_no_number(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o.outbox", limits=OutboxLimits(days_max=1.0))
    keep(box, [reading(1.0)])
    keep(box, [reading(2.0)])
    later = NOW + 2 * 86_400_000
    assert box.thin(later, 2 * 86_400.0) == 2
    box.keep([reading(3.0, later)], later, monotonic=2 * 86_400.0, at_once=True)
    assert (box.given("data"), box.batches) == (1, 1)
    box.close()


def test_a_damaged_file_is_set_aside_by_name_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "o.outbox"
    path.write_bytes(b"this is no database" * 500)
    box = outbox_at(path)
    assert len(box.set_aside) == 1
    assert box.set_aside[0].read_bytes().startswith(b"this is no database")
    keep(box, [reading(1.0)], NOW)
    assert sent(box, "data") == [(1, [1.0])]
    box.close()


def test_a_second_process_over_the_same_file_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o.outbox")
    keep(box, [reading(1.0)])
    with pytest.raises(OutboxRefused, match="another process has it"):
        outbox_at(tmp_path / "o.outbox")
    assert sent(box, "data") == [(1, [1.0])]
    box.close()
    again = outbox_at(tmp_path / "o.outbox")
    assert again.set_aside == []
    assert again.backlog()[0] == 1
    again.close()


def test_a_connection_number_grows_over_restarts_and_copies(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o.outbox")
    first, second = box.connect(NOW), box.connect(NOW - 5_000)
    assert second > first
    box.close()
    again = outbox_at(tmp_path / "o.outbox")
    assert again.connect(NOW) > second
    again.close()


def test_the_file_can_be_opened_by_sqlite_alone(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o.outbox")
    keep(box, [reading(1.0)], NOW)
    box.close()
    with sqlite3.connect(tmp_path / "o.outbox") as db:
        assert db.execute("SELECT sum(made) FROM counts").fetchone() == (1,)
    db.close()


def test_counts_beyond_their_keeping_are_forgotten_the_first_begun_first() -> None:
    box = outbox_at(":memory:", limits=OutboxLimits(counts_max=3))
    for hour in (500_000, 1, 2, 3, 4):
        box.keep([reading(1.0)], hour * 3_600_000, monotonic=0.0)
    assert [count.hour // 3_600_000 for count in box.counts()] == [2, 3, 4]
