"""An outbox whose wall clock is wrong, is set, or jumps."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from config.plant import Point, PointSpec
from config.profile import Register
from edge.outbox import Outbox, OutboxLimits
from edge.ports import PointReading
from edge.readings import Lane, decode_batch

NOW = 1_763_700_000_000
BOOT = 5_000
"""What a machine without a battery says at boot."""
YEAR_2099 = 4_070_908_800_000
DAY_S = 86_400


def box_at(path: Path | str, now: int) -> Outbox:
    box = Outbox(path, now=now, rng=np.random.default_rng(1), limits=OutboxLimits())
    source = Register("holding", 0, "u16")
    spec = PointSpec({"en": "p"}, "measurement", "bar", source)
    box.define([Point("a/p", "a", "d", spec)], now)
    return box


def keep(box: Outbox, now: int, monotonic: float, time: int | None = None) -> None:
    box.keep(
        [PointReading("a/p", monotonic, 0, now if time is None else time)], now, monotonic=monotonic
    )


def times(box: Outbox, lane: Lane, now: int, monotonic: float) -> list[int]:
    """When the readings of a lane were made, as they go over the wire at `now`."""
    box.number(lane, now, monotonic)
    found, after = [], box.mark(lane)
    while outgoing := box.numbered(lane, after):
        batch = decode_batch(box.payload(outgoing, now))
        found += [batch.t + d for d in batch.d]
        after = batch.s
    return found


@pytest.mark.parametrize("to", [NOW, YEAR_2099, 0], ids=["set", "far ahead", "back"])
def test_a_clock_that_is_set_drops_nothing(to: int) -> None:
    box = box_at(":memory:", BOOT)
    for n in range(100):
        keep(box, BOOT + n * 1000, float(n))
    keep(box, to, 100.0)
    keep(box, NOW, 101.0)
    assert box.backlog()[0] == 102
    assert box.dropped.readings == 0


def test_what_waited_for_longer_than_the_days_goes_whatever_the_clock_says() -> None:
    box = box_at(":memory:", NOW)
    keep(box, NOW, 0.0)
    keep(box, NOW, 3.0 * DAY_S)
    keep(box, NOW, 7.5 * DAY_S)
    assert box.backlog()[0] == 2
    assert box.dropped.readings == 1


def test_what_was_made_before_the_clock_was_set_goes_out_with_its_true_time() -> None:
    box = box_at(":memory:", BOOT)
    keep(box, BOOT, 0.0)
    keep(box, BOOT + 20_000, 20.0)
    keep(box, NOW, 50.0)
    assert box.backlog() == (3, NOW - 50_000)
    assert times(box, "data", NOW, 50.0) == [NOW - 50_000, NOW - 30_000, NOW]


def test_a_clock_set_between_making_and_sending_is_seen_at_the_sending() -> None:
    box = box_at(":memory:", BOOT)
    keep(box, BOOT, 0.0)
    assert times(box, "backfill", NOW, 3600.0) == [NOW - 3_600_000]


def test_a_clock_that_went_astray_and_came_back_leaves_every_time_right() -> None:
    box = box_at(":memory:", NOW)
    keep(box, NOW, 0.0)
    keep(box, YEAR_2099, 1.0)
    keep(box, NOW + 2_000, 2.0)
    assert times(box, "data", NOW + 2_000, 2.0) == [NOW, NOW + 1_000, NOW + 2_000]


def test_the_correction_outlives_the_process(tmp_path: Path) -> None:
    box = box_at(tmp_path / "o.outbox", BOOT)
    keep(box, BOOT, 0.0)
    keep(box, NOW, 10.0)
    box.close()
    again = box_at(tmp_path / "o.outbox", NOW + 5_000)
    assert times(again, "data", NOW + 5_000, 777.0) == [NOW - 10_000, NOW]
    again.close()


def test_a_time_that_the_device_told_is_not_touched() -> None:
    box = box_at(":memory:", BOOT)
    keep(box, BOOT, 0.0, time=NOW - 90_000)
    assert times(box, "data", NOW, 10.0) == [NOW - 90_000]


def test_a_clock_that_drifts_or_is_nudged_moves_nothing() -> None:
    box = box_at(":memory:", NOW)
    keep(box, NOW, 0.0)
    keep(box, NOW + 21_000, 20.0)
    assert times(box, "data", NOW + 21_000, 20.0) == [NOW, NOW + 21_000]


@pytest.mark.parametrize(
    ("reopened", "lane"),
    [(NOW + 20_000, "data"), (NOW + 61_000, "backfill"), (NOW - 1, "backfill"), (YEAR_2099, "backfill")],
)  # fmt: skip
def test_what_an_earlier_process_left_is_history_unless_the_clock_says_young(
    tmp_path: Path, reopened: int, lane: Lane
) -> None:
    box = box_at(tmp_path / "o.outbox", NOW)
    keep(box, NOW, 0.0)
    box.close()
    again = box_at(tmp_path / "o.outbox", reopened)
    keep(again, reopened, 5.0)
    assert again.backlog()[0] == 2
    assert NOW in times(again, lane, reopened, 5.0)
    again.close()


def test_a_file_of_the_first_release_is_taken_up_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "o.outbox"
    box = box_at(path, NOW)
    keep(box, NOW, 0.0)
    box.close()
    with sqlite3.connect(path) as db:
        db.executescript(
            "DROP INDEX unsent; ALTER TABLE batches DROP COLUMN ran; ALTER TABLE batches DROP COLUMN shift;"
            "CREATE INDEX waiting ON batches (urgent, made, id) WHERE seq IS NULL;"
        )
    db.close()
    again = box_at(path, NOW + 1_000)
    assert again.set_aside == []
    keep(again, NOW + 1_000, 1.0)
    assert sorted(times(again, "backfill", NOW + 1_000, 1.0) + times(again, "data", NOW + 1_000, 1.0)) == [NOW, NOW + 1_000]  # fmt: skip
    again.close()


def test_a_set_clock_is_noted_once_however_much_waits(tmp_path: Path) -> None:
    """A row for each batch would need as much disk again, and stop the agent for as long as it takes."""
    box = box_at(tmp_path / "o.outbox", BOOT)
    for n in range(500):
        keep(box, BOOT + 1000 * n, float(n))
    before = box._file.db.total_changes
    keep(box, NOW, 500.0)
    assert box._file.db.total_changes - before <= 10
    assert times(box, "backfill", NOW, 500.0)[:2] == [NOW - 500_000, NOW - 499_000]
    box.close()


def test_each_run_has_its_own_correction(tmp_path: Path) -> None:
    """Two runs that began in 1970 and were set later, and a third that was always right."""
    path, made = tmp_path / "o.outbox", []
    for run in range(2):
        box = box_at(path, BOOT)
        keep(box, BOOT, 0.0)
        keep(box, BOOT + 90_000, 90.0)
        keep(box, NOW + run * 3_600_000, 100.0)
        made += [NOW + run * 3_600_000 - late for late in (100_000, 10_000, 0)]
        keep(box, NOW + run * 3_600_000 + 500_000, 101.0)  # set again: it was not right yet
        made = [*made[:-3], *(at + 499_000 for at in made[-3:]), NOW + run * 3_600_000 + 500_000]
        box.close()
    box = box_at(path, NOW + 9_000_000)
    keep(box, NOW + 9_000_000, 0.0)
    assert sorted(times(box, "backfill", NOW + 9_000_000, 1.0)) == sorted(made)
    assert times(box, "data", NOW + 9_000_000, 1.0) == [NOW + 9_000_000]
    assert box._file.db.execute("SELECT COUNT(*) FROM runs").fetchone() == (3,)
    box.close()
