"""What a day's readings add up to, reckoned by hand, and that it is the same whenever it is computed."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from collector.domain.derived import Course, Derived, derived, usual_day
from collector.domain.meters import MeterReading
from config.profile import Derivation, DerivedKind

T0 = 1_763_683_200_000  # a midnight in UTC
HOUR = 3_600_000
DAY = 24 * HOUR
GOOD, UNSURE, REPLACED, NOTHING = 0, 2, 6, 65
NAN = math.nan

Row = tuple[float, float] | tuple[float, float, int]
"""Hours since midnight, value, quality."""


def course(rows: Sequence[Row], silence_h: float = 25, rolls_over_at: float | None = None) -> Course:  # fmt: skip
    full = [(*row, 0)[:3] for row in rows]
    return Course(
        np.array([T0 + round(h * HOUR) for h, *_ in full], np.int64),
        np.array([value for _, value, _ in full], np.float64),
        np.array([quality for *_, quality in full], np.uint8),
        T0, T0 + DAY, round(silence_h * HOUR), (T0 + 2 * HOUR, T0 + 4 * HOUR), rolls_over_at,
    )  # fmt: skip


def day(kind: DerivedKind, rows: Sequence[Row], silence_h: float = 25, rolls_over_at: float | None = None) -> Derived:  # fmt: skip
    what = Derivation(kind, "pump/x", frozenset({1, 3}), over_s=3600.0)
    return derived(what, course(rows, silence_h, rolls_over_at))


RAN = [(-1, 1), (2, 0), (10, 3), (14, 0), (20, 2)]


def test_time_in_states_counts_from_midnight_on_whatever_began_before() -> None:
    assert day("time_in", RAN) == Derived(2 + 4, GOOD)
    assert day("share_in", RAN) == Derived(25, GOOD)


def test_a_start_is_one_from_another_state_and_not_what_ran_at_midnight() -> None:
    assert day("starts", RAN) == Derived(1, GOOD)
    assert day("starts", [(-1, 0), (1, 1), (2, 3), (3, 1), (4, 0), (5, 1)]) == Derived(2, GOOD)


def test_a_gap_is_no_time_in_any_state_and_makes_a_day_uncertain_then_nothing() -> None:
    """A pump that ran is heard until 2 h after its last reading, and again after a bad one."""
    heard: list[Row] = [(-1, 1), (1, 1), (2, NAN, 66), (8, 0), *((9 + n, 0) for n in range(15))]
    assert day("time_in", heard, silence_h=2) == Derived(2, UNSURE)
    share = day("share_in", heard, silence_h=2)
    assert share.value == pytest.approx(100 * 2 / 18)
    assert share.quality == UNSURE
    lost = day("time_in", [(-1, 1), (1, 1)], silence_h=2)
    assert (math.isnan(lost.value), lost.quality) == (True, NOTHING)


def test_a_start_over_a_gap_is_one() -> None:
    rows: list[Row] = [(0, 0), (1, NAN, 66), (3, 1), *((4 + n, 1) for n in range(20))]
    assert day("starts", rows, silence_h=2) == Derived(1, UNSURE)


GROWTH = [
    ([(-2, 100), (6, 110), (20, 125)], None, Derived(25, GOOD)),
    ([(-2, 995), (6, 5)], 1000, Derived(10, GOOD)),  # rolled over
    ([(-2, 500), (6, 520), (8, 0), (20, 7)], None, Derived(27, REPLACED)),  # another meter
    ([(6, 520), (20, 527)], None, Derived(7, UNSURE)),  # nobody knows what it was at midnight
    ([(-2, 100), (6, NAN, 65), (20, 104)], None, Derived(4, GOOD)),
]


@pytest.mark.parametrize(("rows", "rolls_over_at", "wanted"), GROWTH)
def test_a_counter_grows_over_rollovers_and_replacements(
    rows: list[Row], rolls_over_at: float | None, wanted: Derived
) -> None:
    assert day("growth", rows, rolls_over_at=rolls_over_at) == wanted


SILENT = [
    ([(-0.5, 100), (6, 110), (23.5, 125)], Derived(25, GOOD)),
    ([(-0.5, 100), (6, 110), (12, 125)], Derived(25, UNSURE)),  # the store has half of it, or the agent is away
    ([(-5, 100), (6, 110), (23.5, 125)], Derived(25, UNSURE)),  # some of it is yesterday's
    ([(-5, 100), (-0.5, 100), (6, 100), (12, 110), (23.5, 110)], Derived(10, GOOD)),  # it stood still, and was heard
]  # fmt: skip


@pytest.mark.parametrize(("rows", "wanted"), SILENT)
def test_growth_is_sure_where_the_counter_was_heard_at_both_ends_of_the_day(rows: list[Row], wanted: Derived) -> None:  # fmt: skip
    assert day("growth", rows, silence_h=1) == wanted


def grown(rows: list[Row], **known: Any) -> Derived:
    return derived(Derivation("growth", "x"), replace(course(rows), **known))


LEAPS = [
    ([(-2, 100), (6, 104), (8, 50_104), (20, 50_110)], {"rate_max": 1 / 3600}, Derived(10, REPLACED)),
    ([(-2, 100), (6, 104), (8, 50_104), (20, 50_110)], {"usual_day": 20.0}, Derived(10, REPLACED)),
    ([(-2, 100), (6, 104), (8, 50_104), (20, 50_110)], {}, Derived(50_010, GOOD)),  # nobody knows better
    ([(-2, 100), (6, 104), (8, 1e6), (10, 106), (20, 110)], {"usual_day": 20.0}, Derived(8, REPLACED)),  # one wild reading
    ([(-2, 100), (0.1, 102.0), (20, 110)], {"rate_max": 1 / 3600}, Derived(10, GOOD)),
    ([(-2, 100), (6, 100), (6.01, 101), (20, 101)], {"rate_max": 1 / 3600}, Derived(1, GOOD)),  # an hour's at once
    ([(-2, 100), (6, 110), (7, 490), (20, 500)], {"usual_day": 20.0}, Derived(400, GOOD)),  # a day of much work
    ([(-2, 995), (6, 5)], {"rolls_over_at": 1000, "usual_day": 20.0}, Derived(10, GOOD)),
    ([(-2, 500), (6, 520), (8, 0), (20, 7)], {"rolls_over_at": 1000, "usual_day": 900.0}, Derived(507, GOOD)),
    ([(-2, 500), (6, 520), (8, 0), (20, 7)], {"rolls_over_at": 1000, "usual_day": 10.0}, Derived(27, REPLACED)),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "known", "wanted"), LEAPS)
def test_a_meter_that_shows_more_than_it_can_have_counted_is_another_one(
    rows: list[Row], known: dict[str, float], wanted: Derived
) -> None:
    found = grown(rows, **known)
    assert found.value == pytest.approx(wanted.value)
    assert found.quality == wanted.quality


def test_behind_a_hole_a_counter_goes_on_from_what_it_showed_before() -> None:
    earlier = MeterReading(T0 - 5 * DAY, 100.0)
    assert grown([(6, 150), (20, 155)], earlier=earlier) == Derived(55, UNSURE)
    assert grown([(-2, 148), (6, 150), (20, 155)], earlier=earlier) == Derived(7, GOOD)
    assert grown([(6, 350), (20, 355)], earlier=earlier, usual_day=3.0) == Derived(255, UNSURE)
    assert grown([(6, 450), (20, 455)], earlier=earlier, usual_day=3.0) == Derived(5, REPLACED)


def test_a_usual_day_is_the_median_of_those_on_which_the_counter_grew() -> None:
    days = np.arange(12, dtype=np.int64) * DAY
    last = np.cumsum([0.0, 5, 0, 6, 7, 0, 8, 9, 400, 4, np.nan, 1])
    assert usual_day(days, last) == 7.0
    assert usual_day(days[:8], last[:8]) is None
    assert usual_day(2 * days, last) is None  # what grew in two days is no day's


def test_growth_of_days_adds_up_to_the_whole() -> None:
    """Whatever is between the last reading of one day and the first of the next belongs to one of them."""
    times, values = [-30, -2, 3, 20], [10.0, 40.0, 55.0, 70.0]
    rows = list(zip(times, values, strict=True))
    before = course(rows[:2])
    first = derived(Derivation("growth", "x"), Course(before.time, before.value, before.quality, T0 - DAY, T0, DAY, (0, 0)))  # fmt: skip
    assert first.value + day("growth", rows).value == 60.0


def test_the_least_flow_of_a_night_is_of_a_whole_slot_and_weighted_by_time() -> None:
    """2 to 3 o'clock: half an hour at 6 and half at 2; 3 to 4: 15 minutes at 0, then 8."""
    rows = [(1, 6), (2.5, 2), (3, 0), (3.25, 8), (5, 0)]
    assert day("night_minimum", rows) == Derived(4, GOOD)
    unsure = day("night_minimum", [(1, 6), (2.5, 2), (3, NAN, 65)])
    assert unsure == Derived(4, UNSURE)
    assert day("night_minimum", [(5, 1)]).quality == NOTHING


@pytest.mark.parametrize("kind", get_args(DerivedKind))
def test_a_day_of_which_nothing_is_known_has_no_value(kind: DerivedKind) -> None:
    """Nor is it a day of no hours, no starts and no growth."""
    unknown = day(kind, [(-30, 1), (-29, NAN, 66)])
    assert (math.isnan(unknown.value), unknown.quality) == (True, NOTHING)
