from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from collector.domain.meters import (
    MeterPath,
    MeterReading,
    meter_dues,
    running_meter,
    thinned,
    usable,
)
from config.standards import Meter

UTC_ZONE = ZoneInfo("UTC")
HOUR, DAY = 3_600_000, 86_400_000


def readings(*rows: tuple[float, float]) -> list[MeterReading]:
    return [MeterReading(round(hour * HOUR), value) for hour, value in rows]


def test_a_meter_grows_by_differences_over_a_rollover() -> None:
    path = running_meter(
        readings((0, 65530), (10, 65535), (20, 4)), rolls_over_at=65536, hours=False
    )
    assert [step.value for step in path.steps] == [65530, 65535, 65540]
    assert path.flagged == ()


def test_a_drop_without_a_known_range_is_flagged_and_left_out() -> None:
    path = running_meter(readings((0, 100), (1, 20), (2, 30)), rolls_over_at=None, hours=False)
    assert [step.value for step in path.steps] == [100, 110]
    assert path.flagged == (HOUR,)


def test_a_drop_of_more_than_half_the_range_is_no_rollover() -> None:
    assert running_meter(
        readings((0, 30_000), (1, 10)), rolls_over_at=65536, hours=False
    ).flagged == (HOUR,)


def test_run_hours_do_not_outrun_the_clock() -> None:
    path = running_meter(
        readings((0, 100), (1, 101), (2, 150), (3, 151)), rolls_over_at=None, hours=True
    )
    assert [step.value for step in path.steps] == [100, 101, 102]
    assert path.flagged == (2 * HOUR,)


def test_an_hours_meter_rolls_over_within_the_elapsed_time() -> None:
    path = running_meter(readings((0, 9_999), (2, 0.5)), rolls_over_at=10_000, hours=True)
    assert path.steps[-1].value == pytest.approx(10_000.5)
    assert running_meter(readings((0, 5_000), (2, 1)), rolls_over_at=10_000, hours=True).flagged


def test_passed_marks_and_the_next_one_are_owed() -> None:
    path = MeterPath(tuple(readings((0, 950), (24, 1_010), (48, 1_120), (72, 2_005))))
    made = list(meter_dues(Meter("run_hours", 1_000, tolerance=100), path, [], UTC_ZONE))
    assert [(d.key, d.early_at, str(d.due), d.late_at) for d in made] == [
        ("mark:1000", 0, "1970-01-02", 48 * HOUR),
        ("mark:2000", 72 * HOUR, "1970-01-04", None),
        ("mark:3000", None, "None", None),
    ]
    assert list(meter_dues(Meter("run_hours", 1_000), MeterPath(()), [], UTC_ZONE)) == []


def test_a_floating_meter_counts_from_the_last_service() -> None:
    path = MeterPath(tuple(readings((0, 100), (24, 300), (48, 700))))
    made = list(
        meter_dues(Meter("h", 500, floating=True), path, [0, 30 * HOUR, 31 * HOUR], UTC_ZONE)
    )
    assert [d.mark for d in made] == [600, 800]


def test_a_hole_in_the_readings_loses_no_hours() -> None:
    path = running_meter(readings((2.07, 1892.0), (4.84, 1894.8)), rolls_over_at=None, hours=True)
    assert (path.steps[-1].value, path.flagged) == (1894.8, ())


def test_a_meter_that_shows_whole_hours_may_seem_to_outrun_the_clock_by_one() -> None:
    rows = readings((0, 100), (0.1, 101), (0.2, 140))
    path = running_meter(rows, rolls_over_at=None, hours=True, step=1.0)
    assert ([s.value for s in path.steps], len(path.flagged)) == ([100, 101], 1)


def test_only_good_readings_around_a_change_are_usable() -> None:
    time = np.arange(7, dtype=np.int64)
    value = np.array([1.0, 1.0, 1.0, np.nan, 5.0, 2.0, 2.0])
    quality = np.array([0, 0, 0, 0, 64, 0, 0], np.uint8)
    assert [(r.at, r.value) for r in usable(time, value, quality)] == [
        (0, 1),
        (2, 1),
        (5, 2),
        (6, 2),
    ]
    assert usable(time[:0], value[:0], quality[:0]) == []


def test_a_meter_goes_on_from_where_it_was() -> None:
    rows = readings((0, 65530), (10, 65535), (20, 4), (30, 9))
    whole = running_meter(rows, rolls_over_at=65536, hours=False)
    half = running_meter(rows[:2], rolls_over_at=65536, hours=False)
    assert running_meter(rows[2:], rolls_over_at=65536, hours=False, before=half) == whole


def test_a_thinned_meter_owes_the_same_dues() -> None:
    rows = readings(*[(hour / 4, hour / 4) for hour in range(0, 4 * 24 * 40)])
    path = running_meter(rows, rolls_over_at=None, hours=True)
    serviced = [5 * DAY + 3 * HOUR, 20 * DAY + 7 * HOUR]
    for floating in (False, True):
        interval = Meter("h", 200, floating=floating, tolerance=20)
        dues = list(meter_dues(interval, path, serviced, UTC_ZONE))
        instants = {at for due in dues for at in (due.early_at, due.late_at) if at is not None}
        thin = thinned(path, instants, serviced, UTC_ZONE)
        assert len(thin.steps) < 60
        assert list(meter_dues(interval, thin, serviced, UTC_ZONE)) == dues
    assert thinned(MeterPath(()), set(), serviced, UTC_ZONE) == MeterPath(())


def test_a_mark_is_due_on_the_day_of_the_reading_itself() -> None:
    path = MeterPath(tuple(readings((0, 990), (23.9, 1_000), (24.1, 1_001))))
    (passed, _) = meter_dues(Meter("h", 1_000, tolerance=5), path, [], UTC_ZONE)
    assert passed.due == date(1970, 1, 1)
