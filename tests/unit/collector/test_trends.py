import itertools
import math
import pickle
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.domain.slopes import DAY_MS, Refusal, daily_medians, mann_kendall, slope
from collector.domain.trends import (
    DECISION,
    LEARN_ROWS,
    SPACING_MS,
    STATES_MAX,
    Sums,
    Trend,
    baseline_of,
    reset,
    same_since,
    summed,
    took,
    took_in_states,
)
from edge.readings import Codes, Floats, Ints

Rows = tuple[Ints, Floats, Codes]


def rows(value: Floats, start: int = 0) -> Rows:
    """One every ten minutes, all good."""
    time = start + np.arange(len(value), dtype=np.int64) * SPACING_MS
    return time, value, np.zeros(len(value), dtype=np.uint8)


def grown(value: Floats, trend: Trend | None = None, start: int = 0) -> Trend:
    return took(trend or Trend(step=0.1), *rows(value, start))


def noise(count: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(50.0, 2.0, count)


def test_the_baseline_is_mean_and_sigma_and_no_outlier_moves_it() -> None:
    found = baseline_of(np.array([1.0, 2.0, 3.0, 4.0, 1e9]), step=0.1)
    assert (found.mean, found.sigma) == pytest.approx((2.5, math.sqrt(1.25)))
    drawn = baseline_of(noise(4000), step=0.1)
    assert (drawn.mean, drawn.sigma) == pytest.approx((50, 2), abs=0.1)
    spoilt = np.append(noise(600), np.full(400, 1e6))
    assert baseline_of(spoilt, step=0.1).mean == pytest.approx(50, abs=1)


def test_without_a_step_there_is_no_baseline() -> None:
    with pytest.raises(ValueError, match="above 0"):
        baseline_of(np.ones(3), step=0.0)


@pytest.mark.parametrize("middle", [32.0, 32.4])
def test_a_value_in_coarse_steps_does_not_change_out_of_nothing(middle: float) -> None:
    for seed in range(4):
        flow = np.round(np.random.default_rng(seed).normal(middle, 0.4, LEARN_ROWS + 2000))
        assert took(Trend(step=1.0), *rows(flow)).change is None


def test_a_step_that_is_said_finer_than_the_values_show_is_not_believed() -> None:
    """A gauge that shows halves, said to show hundredths: 300 at 20, 150 half above, 50 half below."""
    gauge = np.repeat([20.0, 20.5, 19.5], [300, 150, 50])
    assert baseline_of(gauge, step=0.01) == baseline_of(gauge, step=0.5)
    assert baseline_of(gauge, step=0.01).sigma == pytest.approx(gauge.std())
    still = np.append(np.full(499, 20.0), 1e9)
    assert baseline_of(still, step=0.01).mean == 20


def test_no_baseline_is_learnt_from_what_changed_meanwhile() -> None:
    value = noise(LEARN_ROWS)
    value[250:] += 15.0
    trend = grown(value)
    assert trend.baseline is None
    assert len(trend.first) < LEARN_ROWS
    later = grown(noise(LEARN_ROWS, 2) + 15.0, trend, LEARN_ROWS * SPACING_MS)
    assert later.baseline is not None
    assert (later.baseline.mean, later.baseline.sigma) == pytest.approx((65, 2), abs=0.5)
    assert later.change is None


def test_a_point_with_a_daily_course_has_a_baseline() -> None:
    hours = np.arange(LEARN_ROWS) / 6
    assert grown(noise(LEARN_ROWS) + 3 * np.sin(hours * math.pi / 12)).baseline is not None


def test_the_day_of_a_service_or_of_a_change_is_of_neither() -> None:
    served = reset(Trend(step=0.1), 35 * DAY_MS + SPACING_MS)
    assert same_since(served) == 36 * DAY_MS


def test_a_point_that_stands_still_has_the_noise_of_its_step() -> None:
    assert baseline_of(np.full(9, 7.0), step=1.2).sigma == pytest.approx(0.34641)


def test_sums_are_those_of_montgomerys_example() -> None:
    """Introduction to Statistical Quality Control, the table of the cusum: μ₀ 10, σ 1, k 1/2, h 5."""
    values = (
        9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34,
        9.03, 11.47, 10.51, 9.40, 10.08, 9.37, 10.62, 10.31, 8.52, 10.84,
        10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52,
    )  # fmt: skip
    sums, ups, downs = Sums(), [], []
    for at, value in enumerate(values, start=1):
        sums = summed(sums, at, value - 10)
        ups.append(round(sums.up, 2))
        downs.append(round(sums.down, 2))
    assert ups[3:6] == [1.16, 2.82, 2.50]
    assert ups[-8:] == [1.79, 2.79, 2.89, 3.47, 3.35, 4.47, 5.28, 5.30]
    assert downs[:4] == [0.05, 1.56, 1.77, 0.0]
    assert sums.up_since == 23  # the shift began between 22 and 23


def test_a_shift_of_one_sigma_is_found_as_soon_as_siegmund_says() -> None:
    """Run length (e^{−2Δb} + 2Δb − 1) / 2Δ², Δ = 1 − k, b = h + 1.166: 32.3 for h 16."""
    rng = np.random.default_rng(6)
    lengths = []
    for _ in range(1500):
        sums, at = Sums(), 0
        while sums.up <= DECISION:
            at += 1
            sums = summed(sums, at, float(rng.normal(1.0)))
        lengths.append(at)
    assert np.mean(lengths) == pytest.approx(32.3, abs=0.8)


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_a_change_is_told_once_with_its_likely_begin_and_stays(up: bool) -> None:
    shift = 3.0 if up else -3.0
    value = noise(LEARN_ROWS + 200)
    value[LEARN_ROWS + 100 :] += shift
    change = grown(value).change
    begun = (LEARN_ROWS + 100) * SPACING_MS
    assert change is not None
    assert change.up is up
    assert abs(change.since - begun) <= 15 * SPACING_MS
    assert begun < change.at <= begun + 20 * SPACING_MS
    assert grown(noise(50), grown(value), DAY_MS * 30).change == change


def test_nothing_is_judged_while_the_baseline_is_learnt() -> None:
    learning = grown(np.append(np.zeros(LEARN_ROWS - 1), []))
    assert (learning.baseline, learning.change, len(learning.first)) == (None, None, LEARN_ROWS - 1)
    learnt = grown(np.zeros(LEARN_ROWS))
    assert learnt.baseline is not None
    assert learnt.first == ()


@pytest.mark.usefixtures("unmeasured")
def test_an_unchanged_point_has_no_change_for_weeks() -> None:
    assert all(grown(noise(LEARN_ROWS + 2000, seed)).change is None for seed in range(8))


def test_maintenance_begins_anew() -> None:
    value = noise(LEARN_ROWS + 200)
    value[LEARN_ROWS + 100 :] += 5.0
    before = grown(value)
    at = len(value) * SPACING_MS
    after = reset(before, at)
    assert before.change is not None
    assert (after.change, after.baseline, after.reset_at) == (None, None, at)
    again = grown(noise(LEARN_ROWS + 200, 2) + 5.0, after, at)
    assert again.baseline is not None
    assert again.baseline.mean == pytest.approx(55, abs=0.5)
    assert again.change is None


def test_bad_readings_holes_and_repeats_are_left_out() -> None:
    time, value, quality = rows(np.array([1.0, 2.0, np.nan, 4.0, 5.0]))
    quality[1] = 64
    dense = np.repeat(time, 3) + np.tile([0, 1, 59_000], 5)
    trend = took(Trend(step=0.1), dense, np.repeat(value, 3), np.repeat(quality, 3))
    assert trend.first == (1.0, 4.0, 5.0)
    assert trend.last == 4 * SPACING_MS


def test_a_step_is_no_creep() -> None:
    value = noise(144 * 40)
    value[144 * 20 :] += 15.0
    time, _, _ = rows(value)
    days, medians = daily_medians(time, value)
    now = 40 * DAY_MS
    assert mann_kendall(medians).p < 1e-6
    trend = grown(value)
    begun = same_since(trend)
    assert begun == pytest.approx(20 * DAY_MS, abs=DAY_MS)
    assert slope(days, medians, now=now, since=begun) == Refusal.NOT_SIGNIFICANT
    later = reset(trend, 35 * DAY_MS)
    assert same_since(later) == 35 * DAY_MS
    assert same_since(Trend(step=0.1)) is None


@pytest.mark.usefixtures("unmeasured")
@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 700), max_size=8), seed=st.integers(0, 99))
def test_portions_change_nothing(cuts: list[int], seed: int) -> None:
    value = noise(700, seed)
    value[560:] += 1.5
    whole = grown(value)
    trend = Trend(step=0.1)
    bounds = [0, *sorted(cuts), 700]
    for begin, end in itertools.pairwise(bounds):
        trend = grown(value[begin:end], trend, begin * SPACING_MS)
    assert trend == whole


def test_what_is_kept_is_bounded_however_much_comes() -> None:
    trend = grown(np.zeros(LEARN_ROWS - 1))
    assert len(pickle.dumps(trend)) < 9 * LEARN_ROWS + 1000
    flood = np.arange(200_000, dtype=np.int64) * 60_000
    trend = took(trend, flood, noise(len(flood)), np.zeros(len(flood), dtype=np.uint8))
    assert len(pickle.dumps(trend)) < 1000


def test_each_state_has_a_trend_of_its_own_up_to_a_bound() -> None:
    slow, fast = noise(600), noise(600, 2) + 100.0
    found = took_in_states({}, {"slow": rows(slow), "fast": rows(fast)}, step=0.1)
    middles = {state: trend.baseline.mean for state, trend in found.items() if trend.baseline}
    assert middles == pytest.approx({"slow": 50, "fast": 150}, abs=0.5)
    many = took_in_states(
        found, {str(n): rows(noise(1)) for n in range(STATES_MAX)} | {"slow": rows(noise(1), DAY_MS * 9)}, step=0.1
    )  # fmt: skip
    assert len(many) == STATES_MAX
    assert many["slow"].last == 9 * DAY_MS
    assert isinstance(many, MappingProxyType)
