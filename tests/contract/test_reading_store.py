"""One suite for every store: DuckDB (hours open and closed), InfluxDB and the twin."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from collector.ports import Buckets, CountKey, Raw, ReadingStore, SeriesKey, StoreBatch
from commands.proving.readings import fill, problems_of
from edge.readings import QUALITIES
from tests.contract.reading_stores import Place, place, rolling, store

__all__ = ("place", "rolling", "store")  # fixtures

SITE = "riverside"
PRESSURE = SeriesKey(SITE, "booster/pressure", "bar", "number")
FLOW = SeriesKey(SITE, "booster/flow", "m3/h", "number")
HOUR = 3_600_000
T0 = 1_773_532_800_000  # 2026-03-15T00:00:00Z
GOOD, NO_ANSWER, SUSPECT = QUALITIES["good"], QUALITIES["no_answer"], QUALITIES["clock_suspect"]
Row = tuple[int, float | None, int]
END = T0 + 10 * 366 * 24 * HOUR


def batch(key: SeriesKey, rows: Iterable[Row]) -> StoreBatch:
    return mixed([(key, *row) for row in rows])


def mixed(rows: Sequence[tuple[SeriesKey, int, float | None, int]]) -> StoreBatch:
    keys = list(dict.fromkeys(row[0] for row in rows))
    return StoreBatch(
        keys,
        np.array([keys.index(row[0]) for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([math.nan if row[2] is None else row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.uint8),
    )


def rows_of(raw: Raw) -> list[Row]:
    columns = (raw.time.tolist(), raw.value.tolist(), raw.quality.tolist())
    return [(t, None if math.isnan(v) else v, q) for t, v, q in zip(*columns, strict=True)]


def everything(store: ReadingStore, key: SeriesKey = PRESSURE) -> list[Row]:
    return rows_of(store.raw(key.site, key.point, 0, END))


def random_rows(seed: int, count: int, span_ms: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    times = T0 + np.sort(rng.choice(span_ms, count, replace=False))
    missing = rng.random(count) < 0.1
    return [
        (int(t), None, NO_ANSWER) if gone else (int(t), float(v), SUSPECT if v > 2 else GOOD)
        for t, v, gone in zip(times, rng.normal(size=count), missing, strict=True)
    ]


# --- writing ---------------------------------------------------------------------------------------


def test_a_new_store_holds_nothing_and_its_cursor_is_zero(store: ReadingStore) -> None:
    assert (store.count(), store.cursor(), everything(store)) == (0, 0, [])


def test_what_is_written_is_read_back_in_order_of_time(store: ReadingStore) -> None:
    rows = random_rows(1, 500, 5 * HOUR)
    store.write([batch(PRESSURE, rows)], 17)
    assert (everything(store), store.cursor(), store.count()) == (rows, 17, 500)


def test_late_and_disordered_readings_take_their_place(store: ReadingStore) -> None:
    rows = random_rows(2, 300, 6 * HOUR)
    shuffled = [rows[i] for i in np.random.default_rng(3).permutation(300)]
    for n in range(0, 300, 100):
        store.write([batch(PRESSURE, shuffled[n : n + 100])], n + 100)
    assert everything(store) == rows


def test_the_same_write_again_changes_nothing(store: ReadingStore) -> None:
    rows = random_rows(4, 200, 3 * HOUR)
    for _ in range(3):
        store.write([batch(PRESSURE, rows)], 5)
    assert (everything(store), store.count(), store.cursor()) == (rows, 200, 5)


REWRITES: dict[str, tuple[list[Row], Row]] = {
    "value by value": ([(T0, 1.0, GOOD), (T0, 2.0, GOOD)], (T0, 2.0, GOOD)),
    "value by none": ([(T0, 1.0, GOOD), (T0, None, NO_ANSWER)], (T0, None, NO_ANSWER)),
    "none by value": ([(T0, None, NO_ANSWER), (T0, 3.0, GOOD)], (T0, 3.0, GOOD)),
    "quality only": ([(T0, 1.0, GOOD), (T0, 1.0, SUSPECT)], (T0, 1.0, SUSPECT)),
    "there and back": ([(T0, 1.0, GOOD), (T0, 2.0, GOOD), (T0, 1.0, GOOD)], (T0, 1.0, GOOD)),
}


@pytest.mark.parametrize("name", REWRITES)
@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "one by one"])
def test_of_equal_times_the_last_arrival_stays(
    store: ReadingStore, name: str, at_once: bool
) -> None:
    rows, stays = REWRITES[name]
    for write in [rows] if at_once else [[row] for row in rows]:
        store.write([batch(PRESSURE, write)], 1)
        store.write([batch(FLOW, [(T0 + HOUR, 0.0, GOOD)])], 1)  # lets the first hour close
    assert everything(store) == [stays]
    assert store.latest(SITE, [PRESSURE.point])[PRESSURE.point][0] == T0


def test_several_batches_of_one_write_arrive_in_their_order(store: ReadingStore) -> None:
    first, second = batch(PRESSURE, [(T0, 1.0, GOOD)]), batch(PRESSURE, [(T0, 2.0, GOOD)])
    store.write([first, second], 1)
    assert everything(store) == [(T0, 2.0, GOOD)]


def test_points_of_one_batch_do_not_mix(store: ReadingStore) -> None:
    other_site = SeriesKey("harbour", PRESSURE.point, "bar", "number")
    deep = SeriesKey(SITE, "booster/pump-1/current", "A", "number")
    keys = (PRESSURE, FLOW, other_site, deep)
    rows = [(key, T0 + n, float(i), GOOD) for n in range(3) for i, key in enumerate(keys)]
    store.write([mixed(rows)], 1)
    for i, key in enumerate(keys):
        assert everything(store, key) == [(T0 + n, float(i), GOOD) for n in range(3)]


AWKWARD = (
    "a b/c,d=e",
    "a\\/b",
    'qu"ote/x',
    "泵 1/压力",
    "no-slash",
    "x/fn quality",
    "x/time",
    "time",
    "x/_field",
    "_measurement/_value",
)


@pytest.mark.parametrize("point", AWKWARD)
def test_any_name_comes_back(store: ReadingStore, point: str) -> None:
    key = SeriesKey("site, one=1", point, "°C", "number")
    store.write([batch(key, [(T0, 1.5, GOOD), (T0 + 1, None, NO_ANSWER)])], 1)
    assert everything(store, key) == [(T0, 1.5, GOOD), (T0 + 1, None, NO_ANSWER)]
    assert store.latest(key.site, [point]).keys() == {point}


def test_every_finite_double_comes_back_bit_for_bit(store: ReadingStore) -> None:
    special = [-0.0, 0.0, 5e-324, -5e-324, 2.0**53, -(2.0**53), 2.0**53 - 1, 16777217.0, 0.1]
    limits = [np.finfo(float).max, np.finfo(float).min, np.finfo(float).tiny, 1e22, 1e-7]
    patterns = np.random.default_rng(5).integers(-(2**63), 2**63, 3000).view(np.float64)
    values = np.concatenate([special, limits, patterns[np.isfinite(patterns)]])
    rows: list[Row] = [(T0 + n * 1000, v, GOOD) for n, v in enumerate(values.tolist())]
    store.write([batch(PRESSURE, rows)], 1)
    read = store.raw(SITE, PRESSURE.point, 0, END)
    assert np.array_equal(read.value.view(np.int64), values.view(np.int64))


def test_every_quality_code_comes_back(store: ReadingStore) -> None:
    rows: list[Row] = [
        (T0 + n, None if code >= 64 else 1.0, code) for n, code in enumerate(QUALITIES.values())
    ]
    store.write([batch(PRESSURE, rows)], 1)
    assert everything(store) == rows


def test_an_empty_write_moves_the_cursor_only(store: ReadingStore) -> None:
    store.write([], 4)
    store.write([batch(PRESSURE, [])], 9)
    assert (store.cursor(), store.count()) == (9, 0)


def test_what_was_taken_counts_also_what_replaced_or_is_gone(place: Place) -> None:
    store = place.open()
    assert store.taken() == 0
    store.write([batch(PRESSURE, [(T0, 1.0, GOOD), (T0 + 1, 2.0, GOOD)])], 1)
    store.write([batch(PRESSURE, [(T0, 3.0, GOOD)]), batch(FLOW, [(T0, None, NO_ANSWER)])], 2)
    store.write([], 3)
    assert (store.taken(), store.count()) == (4, 3)
    store.delete_before(T0 + HOUR)
    store.write([batch(PRESSURE, [(T0, 5.0, GOOD)])], 4)
    assert (store.taken(), store.count()) == (5, 0)
    again = place.open()
    again.write([batch(FLOW, [(T0 + 2 * HOUR, 1.0, GOOD)])], 5)
    assert (again.taken(), again.cursor()) == (6, 5)


def test_who_gave_what_was_taken_is_known_by_hour_of_arrival(place: Place) -> None:
    """Also of hours long past, and after opening again; the hour of arrival is not that of the readings."""
    store = place.open()
    assert dict(store.given()) == {}
    rows: list[Row] = [(T0, 1.0, GOOD), (T0 + 1, 2.0, GOOD), (T0 + 2, 2.0, GOOD)]
    due: Counter[CountKey] = Counter()
    for position, ago in enumerate((9, 9, 8, 3, 1, 0, 9, 0)):
        key = (SITE, "edge a", "data", T0 + (9 - ago) * HOUR)
        other = (SITE, "网关=b,c", "event", T0 + (9 - ago) * HOUR)
        given = Counter({key: 2, other: 1})
        store.write([replace(batch(PRESSURE, rows), given=given)], position + 1)
        due += given
        if position == 4:
            store = place.open()
    assert (dict(store.given()), store.taken()) == (dict(due), 24)
    assert dict(place.open().given()) == dict(due)


# --- life ------------------------------------------------------------------------------------------


def test_readings_and_cursor_are_there_after_opening_again(place: Place) -> None:
    rows = random_rows(6, 100, 3 * HOUR)
    place.open().write([batch(PRESSURE, rows)], 42)
    again = place.open()
    assert (everything(again), again.cursor(), again.count()) == (rows, 42, 100)


def test_after_opening_again_the_later_arrival_still_stays(place: Place) -> None:
    place.open().write([batch(PRESSURE, [(T0, 1.0, GOOD)])], 1)
    place.open().write([batch(PRESSURE, [(T0, 2.0, GOOD)])], 2)
    assert everything(place.open()) == [(T0, 2.0, GOOD)]


def test_close_may_be_called_twice(store: ReadingStore) -> None:
    store.close()
    store.close()


# --- reading ---------------------------------------------------------------------------------------


def test_a_span_holds_its_start_and_not_its_end(store: ReadingStore) -> None:
    rows: list[Row] = [(T0 + n * HOUR, float(n), GOOD) for n in range(6)]
    store.write([batch(PRESSURE, rows)], 1)
    assert rows_of(store.raw(SITE, PRESSURE.point, T0 + HOUR, T0 + 4 * HOUR)) == rows[1:4]
    assert rows_of(store.raw(SITE, PRESSURE.point, T0 + HOUR + 1, T0 + 3 * HOUR + 1)) == rows[2:4]


EMPTY = {
    "no length": (PRESSURE.point, T0, T0),
    "turned round": (PRESSURE.point, T0 + HOUR, T0),
    "before all": (PRESSURE.point, T0 - HOUR, T0),
    "unknown point": ("booster/nothing", T0, T0 + HOUR),
    "unknown asset": ("nobody/pressure", T0, T0 + HOUR),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_span_or_an_unknown_point_is_empty_and_no_error(
    store: ReadingStore, name: str
) -> None:
    store.write([batch(PRESSURE, [(T0, 1.0, GOOD)])], 1)
    point, start, end = EMPTY[name]
    assert rows_of(store.raw(SITE, point, start, end)) == []
    assert len(store.buckets(SITE, point, start, end, 1000).time) == 0


def test_latest_is_by_source_time_and_leaves_out_what_it_does_not_know(
    store: ReadingStore,
) -> None:
    store.write([batch(PRESSURE, [(T0 + 5 * HOUR, 5.0, GOOD), (T0, 0.5, GOOD)])], 1)
    store.write([batch(PRESSURE, [(T0 + HOUR, 1.0, GOOD)])], 2)
    found = store.latest(SITE, [PRESSURE.point, FLOW.point])
    assert dict(found) == {PRESSURE.point: (T0 + 5 * HOUR, 5.0, GOOD)}
    assert store.latest(SITE, []) == {}
    assert store.latest("elsewhere", [PRESSURE.point]) == {}


def test_latest_of_a_point_without_a_value_is_its_missing_value(store: ReadingStore) -> None:
    rows: list[Row] = [(T0, 1.0, GOOD), (T0 + 2 * HOUR, None, NO_ANSWER)]
    store.write([batch(PRESSURE, rows)], 1)
    time, value, quality = store.latest(SITE, [PRESSURE.point])[PRESSURE.point]
    assert (time, quality) == (T0 + 2 * HOUR, NO_ANSWER)
    assert math.isnan(value)


def test_history_joins_the_series_of_a_point_whose_unit_changed(place: Place) -> None:
    in_kpa = SeriesKey(SITE, PRESSURE.point, "kPa", "number")
    opened = place.open()
    opened.write([batch(PRESSURE, [(T0, 4.0, GOOD), (T0 + 2 * HOUR, 4.5, GOOD)])], 1)
    opened.write([batch(in_kpa, [(T0 + 3 * HOUR, 460.0, GOOD)])], 2)
    opened = place.open()
    assert [row[1] for row in everything(opened)] == [4.0, 4.5, 460.0]
    assert opened.latest(SITE, [PRESSURE.point])[PRESSURE.point] == (T0 + 3 * HOUR, 460.0, GOOD)
    assert opened.count() == 3


# --- buckets ---------------------------------------------------------------------------------------


def by_hand(rows: list[Row], width: int) -> list[tuple[float | int | None, ...]]:
    """Buckets in plain Python: start, min, max, mean, first, last, count, worst."""
    out = []
    for start in sorted({row[0] // width * width for row in rows}):
        inside = [row for row in rows if start <= row[0] < start + width]
        values = [row[1] for row in inside if row[1] is not None]
        numbers: tuple[float | None, ...] = (None,) * 5
        if values:
            mean = math.fsum(values) / len(values)
            numbers = (min(values), max(values), mean, values[0], values[-1])
        out.append((start, *numbers, len(inside), max(row[2] for row in inside)))
    return out


def in_rows(buckets: Buckets) -> list[tuple[float | int | None, ...]]:
    names = ("time", "min", "max", "mean", "first", "last", "count", "worst")
    columns = [getattr(buckets, name).tolist() for name in names]
    return [tuple(None if x != x else x for x in row) for row in zip(*columns, strict=True)]


def assert_same_buckets(found: Buckets, expected: list[tuple[float | int | None, ...]]) -> None:
    rows = in_rows(found)
    assert [row[:3] + row[4:] for row in rows] == [row[:3] + row[4:] for row in expected]
    means = [math.nan if row[3] is None else row[3] for row in expected]
    np.testing.assert_allclose(found.mean, means, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [1000, 60_000, 7 * 60_000, HOUR, 24 * HOUR])
def test_buckets_are_those_of_the_raw_readings(store: ReadingStore, width: int) -> None:
    rows = random_rows(7, 400, 8 * HOUR)
    store.write([batch(PRESSURE, rows)], 1)
    start, end = T0 + 1_234_567, T0 + 7 * HOUR + 89
    inside = [row for row in rows if start <= row[0] < end]
    found = store.buckets(SITE, PRESSURE.point, start, end, width)
    assert_same_buckets(found, by_hand(inside, width))
    assert found.width_ms == width


def test_gaps_stay_gaps(store: ReadingStore) -> None:
    rows: list[Row] = [(T0, 1.0, GOOD), (T0 + 5 * HOUR, 2.0, GOOD)]
    store.write([batch(PRESSURE, rows)], 1)
    found = store.buckets(SITE, PRESSURE.point, T0, T0 + 6 * HOUR, HOUR)
    assert found.time.tolist() == [T0, T0 + 5 * HOUR]


def test_a_bucket_of_missing_values_only_counts_them_and_has_no_numbers(
    store: ReadingStore,
) -> None:
    rows: list[Row] = [(T0 + n, None, NO_ANSWER) for n in range(3)] + [(T0 + 60_000, 1.0, GOOD)]
    store.write([batch(PRESSURE, rows)], 1)
    found = store.buckets(SITE, PRESSURE.point, T0, T0 + HOUR, 60_000)
    assert_same_buckets(found, by_hand(rows, 60_000))


def test_a_value_that_a_missing_one_replaced_is_in_no_bucket(store: ReadingStore) -> None:
    store.write(
        [batch(PRESSURE, [(T0, 9.0, GOOD), (T0 + 1, 1.0, GOOD), (T0 + 2, 3.0, SUSPECT)])], 1
    )
    store.write([batch(PRESSURE, [(T0, None, NO_ANSWER), (T0 + HOUR, 5.0, GOOD)])], 2)
    found = store.buckets(SITE, PRESSURE.point, T0, T0 + 2 * HOUR, HOUR)
    assert found.min.tolist() == [1.0, 5.0]
    assert found.max.tolist() == [3.0, 5.0]
    assert found.mean.tolist() == [2.0, 5.0]
    assert found.first.tolist() == [1.0, 5.0]
    assert found.last.tolist() == [3.0, 5.0]
    assert found.count.tolist() == [3, 1]
    assert found.worst.tolist() == [NO_ANSWER, GOOD]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_day_with_a_clock_change_has_all_its_hours(
    store: ReadingStore, day: tuple[int, int, int], hours: int
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    begin = datetime(*day, tzinfo=berlin)
    start = int(begin.timestamp() * 1000)
    end = int((begin + timedelta(days=1)).timestamp() * 1000)
    rows: list[Row] = [(t, float(t), GOOD) for t in range(start - HOUR, end + HOUR, HOUR // 2)]
    store.write([batch(PRESSURE, rows)], 1)
    found = store.buckets(SITE, PRESSURE.point, start, end, HOUR)
    assert found.time.tolist() == list(range(start, end, HOUR))
    assert (len(found.time), set(found.count.tolist())) == (hours, {2})


@pytest.mark.usefixtures("unmeasured")
def test_two_years_in_day_buckets(store: ReadingStore) -> None:
    days = range(0, 730, 9)
    rows: list[Row] = [(T0 + (24 * d + h) * HOUR, d + h / 7, GOOD) for d in days for h in (1, 5)]
    store.write([batch(PRESSURE, rows)], 1)
    found = store.buckets(SITE, PRESSURE.point, T0, T0 + 730 * 24 * HOUR, 24 * HOUR)
    assert_same_buckets(found, by_hand(rows, 24 * HOUR))


@pytest.mark.usefixtures("unmeasured")
def test_many_points_come_back_as_the_proof_of_ten_million_readings_says(rolling: Place) -> None:
    opened = rolling.open()
    fill(opened, 1900, 5)
    assert problems_of(opened, 1900, 5) == []
    opened = rolling.open()
    assert problems_of(opened, 1900, 5) == []
    assert len(problems_of(opened, 1901, 5)) > 5


# --- retention -------------------------------------------------------------------------------------


def test_what_is_older_than_a_time_goes_and_nothing_else(place: Place) -> None:
    rows = random_rows(8, 400, 8 * HOUR)
    opened = place.open()
    opened.write([batch(PRESSURE, rows), batch(FLOW, rows[:10])], 3)
    cut = rows[200][0]
    assert opened.newest() == max(rows)[0]
    opened.delete_before(cut)
    assert (opened.newest(), opened.kept_from()) == (max(rows)[0], cut)
    assert everything(opened) == rows[200:]
    assert (opened.count(), opened.cursor()) == (200, 3)
    assert opened.latest(SITE, [PRESSURE.point, FLOW.point]).keys() == {PRESSURE.point}
    assert everything(place.open()) == rows[200:]


def test_after_retention_new_readings_are_taken_as_before(store: ReadingStore) -> None:
    store.write([batch(PRESSURE, random_rows(9, 50, 3 * HOUR))], 1)
    store.delete_before(T0 + 10 * HOUR)
    assert store.newest() is None
    store.write([batch(PRESSURE, [(T0 + 11 * HOUR, 1.0, GOOD)])], 2)
    assert everything(store) == [(T0 + 11 * HOUR, 1.0, GOOD)]


# --- roll-ups beyond the readings ------------------------------------------------------------------


def spread(days: int) -> list[Row]:
    """Five readings at odd times in an hour of each second day, and around the cut."""
    hours = [*range(0, days * 24, 48), 12 * 24 - 1, 12 * 24 + 1, 12 * 24 + 2]
    return [(T0 + h * HOUR + n * 400_123, h + n / 7, GOOD) for h in sorted(hours) for n in range(5)]


CUT = T0 + 12 * 24 * HOUR + 25 * 60_000 + 17
"""Readings are kept from here on: amid an hour, a minute and the readings."""


WIDTHS = {1000: 60_000, 7000: 60_000, 60_000: 60_000, 90_000: 120_000, HOUR: HOUR, 24 * HOUR: 24 * HOUR}  # fmt: skip
"""A width to the one that roll-ups of minutes can give."""


def test_buckets_before_the_readings_come_from_minutes(rolling: Place) -> None:
    rows = spread(20)
    rolling.open().write([batch(PRESSURE, rows)], 1)
    rolling.open().delete_before(CUT)
    opened = rolling.open()
    ends = (CUT - 30_007, CUT + 2 * HOUR + 1, T0 + 20 * 24 * HOUR)
    for start, end, asked in itertools.product((T0 + 1, CUT - 90_001), ends, WIDTHS):
        found = opened.buckets(SITE, PRESSURE.point, start, end, asked)
        first = start // 60_000 * 60_000
        last = -(-end // 60_000) * 60_000 if end < CUT else end
        inside = [row for row in rows if first <= row[0] < last]
        assert_same_buckets(found, by_hand(inside, WIDTHS[asked]))
        assert found.width_ms == WIDTHS[asked]


def test_where_minutes_are_gone_too_hours_are_left_and_then_nothing(rolling: Place) -> None:
    rows = spread(20)
    opened = rolling.open()
    opened.write([batch(PRESSURE, rows)], 1)
    opened.delete_before(T0 + 15 * 24 * HOUR)
    opened.delete_before(T0 + 10 * 24 * HOUR, "minute")
    opened.delete_before(T0 + 5 * 24 * HOUR, "hour")
    opened = rolling.open()
    found = opened.buckets(SITE, PRESSURE.point, T0, END, 60_000)
    left = [row for row in rows if row[0] >= T0 + 5 * 24 * HOUR]
    assert_same_buckets(found, by_hand(left, HOUR))
    assert everything(opened) == [row for row in rows if row[0] >= T0 + 15 * 24 * HOUR]
    found = opened.buckets(SITE, PRESSURE.point, T0 + 11 * 24 * HOUR, END, 1000)
    left = [row for row in rows if row[0] >= T0 + 11 * 24 * HOUR]
    assert_same_buckets(found, by_hand(left, 60_000))


def test_from_the_first_reading_that_is_kept_on_all_is_exact(rolling: Place) -> None:
    rows = spread(20)
    opened = rolling.open()
    opened.write([batch(PRESSURE, rows)], 1)
    opened.delete_before(CUT)
    for width in (1000, 60_000, HOUR):
        found = opened.buckets(SITE, PRESSURE.point, CUT, END, width)
        assert_same_buckets(found, by_hand([row for row in rows if row[0] >= CUT], width))
        assert found.width_ms == width


def test_what_comes_later_than_its_retention_changes_nothing(rolling: Place) -> None:
    rows = spread(20)
    opened = rolling.open()
    opened.write([batch(PRESSURE, rows)], 1)
    opened.delete_before(CUT)
    before = in_rows(opened.buckets(SITE, PRESSURE.point, T0, END, 60_000))
    count = opened.count()
    opened.write([batch(PRESSURE, [(T0 + 1, 99.0, GOOD), (CUT - 1, 98.0, GOOD)])], 2)
    opened.delete_before(CUT - HOUR)
    assert in_rows(rolling.open().buckets(SITE, PRESSURE.point, T0, END, 60_000)) == before
    assert (rolling.open().count(), rolling.open().cursor()) == (count, 2)
