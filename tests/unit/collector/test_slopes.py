import itertools
import math
from statistics import median

import numpy as np
import pytest

from collector.domain.slopes import (
    DAY_MS,
    DEPENDENCE_MAX,
    ROWS_MAX,
    Refusal,
    Slope,
    TimeToLimit,
    daily_medians,
    dependence,
    first_whole_day,
    mann_kendall,
    slope,
    time_to_limit,
)
from edge.readings import Floats, Ints


def days(count: int) -> Ints:
    return np.arange(count, dtype=np.int64) * DAY_MS


def found(value: Floats) -> Slope:
    result = told(days(len(value)), value)
    assert isinstance(result, Slope)
    return result


def told(time: Ints, value: Floats, since: int | None = None) -> Slope | Refusal:
    """Asked on the last row's day."""
    return slope(time, value, now=int(time[-1]) if len(time) else 0, since=since)


def chance_of(n: int, s_at_least: int) -> float:
    """Exact: so many of the n! orders have at least this S, counted by their inversions."""
    ways = [1]
    for k in range(2, n + 1):
        ways = [sum(ways[max(0, i - k + 1) : i + 1]) for i in range(len(ways) + k - 1)]
    pairs = n * (n - 1) // 2
    return sum(w for i, w in enumerate(ways) if pairs - 2 * i >= s_at_least) / math.factorial(n)


def with_s(n: int, s: int) -> Floats:
    """An order of 0 … n − 1 with this S: one falling pair after another is made of the rising row."""
    falling = (n * (n - 1) // 2 - s) // 2
    order: list[int] = []
    for value in range(n):
        back = min(falling, len(order))
        order.insert(len(order) - back, value)
        falling -= back
    return np.array(order, dtype=np.float64)


@pytest.mark.parametrize(
    ("s", "table"),
    [(9, 0.242), (15, 0.108), (19, 0.054), (23, 0.023), (27, 0.0083)],
)
def test_mann_kendall_is_near_kendalls_table_for_ten_values(s: int, table: float) -> None:
    assert chance_of(10, s) == pytest.approx(table, abs=0.0005)
    for sign in (1, -1):
        test = mann_kendall(sign * with_s(10, s))
        assert test.s == sign * s
        assert test.p == pytest.approx(2 * table, abs=0.01)


def test_mann_kendall_by_hand() -> None:
    test = mann_kendall(np.array([1.0, 3.0, 2.0, 4.0]))
    assert (test.s, test.variance) == pytest.approx((4, 4 * 3 * 13 / 18))
    assert test.p == pytest.approx(0.308, abs=0.0005)  # z = 3 / 2.944 = 1.019


def test_ties_take_from_the_variance() -> None:
    test = mann_kendall(np.array([1.0, 1.0, 2.0, 2.0]))
    assert (test.s, test.variance) == pytest.approx((4, (156 - 18 - 18) / 18))
    assert mann_kendall(np.full(12, 7.0)).p == 1


def test_the_slope_is_the_median_of_all_pairs_and_not_moved_by_an_outlier() -> None:
    value = 0.5 * np.arange(20.0)
    value[7] = 400.0
    pairs = [
        (value[j] - value[i]) / (j - i) for i, j in itertools.combinations(range(len(value)), 2)
    ]
    result = found(value)
    assert result.per_day == pytest.approx(median(pairs))
    assert result.per_day == pytest.approx(0.5)
    assert (result.at, result.level) == pytest.approx((19 * DAY_MS, 9.5))


def test_the_interval_stands_at_gilberts_ranks() -> None:
    rng = np.random.default_rng(3)
    value = 0.3 * np.arange(16.0) + rng.normal(size=16)
    pairs = sorted((value[j] - value[i]) / (j - i) for i, j in itertools.combinations(range(16), 2))
    half = 1.96 * math.sqrt(16 * 15 * 37 / 18)  # 43.5: ranks 38.3 and 82.7 of 120
    assert half == pytest.approx(43.53, abs=0.01)
    result = found(value)
    assert (result.low, result.high) == pytest.approx((pairs[37], pairs[82]))


def test_the_interval_holds_the_true_slope_in_at_least_95_of_100_cases() -> None:
    rng = np.random.default_rng(4)
    held = given = 0
    for _ in range(1000):
        result = told(days(20), 0.5 * np.arange(20.0) + rng.normal(size=20))
        if isinstance(result, Slope):
            given += 1
            held += result.low <= 0.5 <= result.high
    assert given > 900
    assert (
        held / given > 0.95
    )  # wider than it need be: twenty days may always depend on one another


def test_noise_alone_has_a_slope_in_one_of_a_hundred_cases() -> None:
    rng = np.random.default_rng(5)
    refused = [told(days(20), rng.normal(size=20)) for _ in range(1000)]
    given = sum(one != Refusal.NOT_SIGNIFICANT for one in refused)
    assert given == pytest.approx(10, abs=9)


def test_days_that_follow_one_another_have_no_slope_much_oftener() -> None:
    """First-order dependence of 0.7: the plain test would see a trend in a quarter of the cases."""
    rng = np.random.default_rng(8)
    plain = given = 0
    for _ in range(400):
        value = np.zeros(90)
        for day in range(1, 90):
            value[day] = 0.7 * value[day - 1] + rng.normal()
        plain += mann_kendall(value[30:]).p <= 0.01
        given += told(days(60), value[30:]) != Refusal.NOT_SIGNIFICANT
    assert plain > 60
    assert given < 24


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("rho", [0.0, 0.4, 0.8])
@pytest.mark.parametrize("count", [15, 30])
def test_a_few_days_that_follow_one_another_have_a_slope_in_no_more_than_one_of_twenty_cases(
    count: int, rho: float
) -> None:
    rng = np.random.default_rng(11)
    value = rng.normal(size=(400, count))
    for day in range(1, count):
        value[:, day] = rho * value[:, day - 1] + math.sqrt(1 - rho**2) * value[:, day]
    given = sum(told(days(count), row) != Refusal.NOT_SIGNIFICANT for row in value)
    assert given <= 20


def test_dependence_is_the_correlation_of_neighbours_without_what_few_days_hide() -> None:
    """12 − 3 pairs alike of 24 squares: r = 9/24; (24 r + 2) / 20 and half of 1/√24."""
    pairs = np.array([3.0, 3.0, 3.0, -3.0, -3.0, -3.0] * 4)
    assert dependence(pairs) == pytest.approx(11 / 20 + 0.5 / math.sqrt(24))
    assert dependence(np.array([1.0, -1.0] * 10)) == 0
    assert dependence(np.arange(-10.0, 10.0)) == DEPENDENCE_MAX
    test = mann_kendall(np.array([1.0, 3.0, 2.0, 4.0]), 0.5)
    assert test.variance == pytest.approx(3 * 4 * 3 * 13 / 18)


@pytest.mark.parametrize("count", [15, 16, 20, 30])
@pytest.mark.parametrize("step", [0.1, 1 / 3, 0.7])
def test_a_line_without_noise_is_accepted_whatever_rounding_leaves(count: int, step: float) -> None:
    result = found(20.0 + step * np.arange(float(count)))
    assert (result.low, result.per_day, result.high) == pytest.approx((step, step, step))


def test_the_first_whole_day_is_the_day_itself_where_it_begins_with_it() -> None:
    assert first_whole_day(3 * DAY_MS) == 3 * DAY_MS
    assert first_whole_day(3 * DAY_MS + 1) == 4 * DAY_MS


def test_nothing_is_said_of_a_point_that_is_silent_or_was_for_half_of_the_time() -> None:
    rising = np.arange(30.0)
    assert slope(days(30), rising, now=31 * DAY_MS) != Refusal.STALE
    assert slope(days(30), rising, now=33 * DAY_MS) == Refusal.STALE
    apart = np.append(days(15), days(15) + 400 * DAY_MS)
    assert told(apart, rising) == Refusal.GAP


def test_a_day_is_the_median_of_its_finite_values_at_its_noon() -> None:
    time = np.array([1, 2, 3, DAY_MS - 1, DAY_MS, 3 * DAY_MS + 5], dtype=np.int64)
    value = np.array([1.0, np.nan, 9.0, 5.0, 7.0, 8.0])
    noon, medians = daily_medians(time, value)
    assert noon.tolist() == [DAY_MS // 2, DAY_MS * 3 // 2, DAY_MS * 7 // 2]
    assert medians.tolist() == [5.0, 7.0, 8.0]
    none = daily_medians(time[:0], value[:0])
    assert [len(column) for column in none] == [0, 0]


def test_a_slope_is_refused_under_14_days() -> None:
    assert told(days(14), np.arange(14.0)) == Refusal.TOO_SHORT
    assert isinstance(told(days(15), np.arange(15.0)), Slope)
    assert told(days(0), np.array([])) == Refusal.TOO_SHORT


def test_rows_of_before_a_reset_say_nothing() -> None:
    value = np.append(np.arange(20.0), np.zeros(20))
    assert told(days(40), value, since=27 * DAY_MS) == Refusal.AFTER_RESET
    assert told(days(40), value, since=20 * DAY_MS) == Refusal.NOT_SIGNIFICANT
    assert isinstance(told(days(40), np.arange(40.0), since=25 * DAY_MS), Slope)
    assert told(days(40), value, since=40 * DAY_MS) == Refusal.AFTER_RESET


def test_a_slope_needs_ten_rows() -> None:
    assert told(days(9) * 2, np.arange(9.0)) == Refusal.TOO_FEW
    assert isinstance(told(days(10) * 2, np.arange(10.0)), Slope)


def test_only_the_last_rows_count() -> None:
    value = np.append(np.zeros(500), np.arange(float(ROWS_MAX)))
    assert found(value).per_day == pytest.approx(1.0)


def test_rows_of_one_time_make_no_pair() -> None:
    time = np.sort(np.append(days(16), days(16)))
    result = told(time, time / DAY_MS)
    assert isinstance(result, Slope)
    assert (result.low, result.per_day, result.high) == pytest.approx((1.0, 1.0, 1.0))


LINE = Slope(per_day=0.5, low=0.25, high=1.0, at=100 * DAY_MS, level=10.0, spread=0.0, p=0.001)
FALLING = Slope(
    per_day=-0.5, low=-1.0, high=-0.25, at=100 * DAY_MS, level=10.0, spread=0.0, p=0.001
)
NOISY = Slope(per_day=0.5, low=0.25, high=1.0, at=100 * DAY_MS, level=10.0, spread=1.0, p=0.001)
WIDE = Slope(per_day=0.5, low=-0.1, high=1.0, at=100 * DAY_MS, level=10.0, spread=0.0, p=0.009)


@pytest.mark.parametrize(
    ("line", "limit", "rising", "expected"),
    [
        (LINE, 15.0, True, TimeToLimit(105 * DAY_MS, 120 * DAY_MS)),
        (FALLING, 5.0, False, TimeToLimit(105 * DAY_MS, 120 * DAY_MS)),
        (WIDE, 15.0, True, TimeToLimit(105 * DAY_MS, None)),
        (NOISY, 15.0, True, TimeToLimit(104 * DAY_MS, 124 * DAY_MS)),
        (NOISY, 10.5, True, TimeToLimit(100 * DAY_MS, 106 * DAY_MS)),
        (LINE, 5.0, False, None),
        (WIDE, 9.0, False, None),
        (LINE, 9.0, True, TimeToLimit(100 * DAY_MS, 100 * DAY_MS)),
        (LINE, 10.0 + 15_000, True, TimeToLimit(15_100 * DAY_MS, None)),
        (LINE, 10.0 + 20_000, True, None),
        (LINE, 10.0 + 40_000, True, None),
    ],
    ids=[
        "up",
        "down",
        "perhaps never",
        "noisy",
        "noise reaches it",
        "away",
        "hardly away",
        "beyond",
        "flattest too slow",
        "line too slow",
        "all too slow",
    ],
)
def test_the_time_to_the_limit_is_a_range(
    line: Slope, limit: float, rising: bool, expected: TimeToLimit | None
) -> None:
    assert time_to_limit(line, limit, rising=rising) == expected
