"""Days of a point that is away for a while, days that are over, and which limit lies ahead."""

import numpy as np
import pytest

from collector.domain.courses import ANY, Course, Days, Rows, anew, nearest, said, went_on
from collector.domain.slopes import DAY_MS, Refusal, Slope
from config.rules import Level

NOON = DAY_MS // 2


def rows(*of: tuple[float, float], bad: int = -1) -> Rows:
    """(day, value) each; the one at place `bad` is of bad quality."""
    quality = np.array([65 * (n == bad) for n in range(len(of))], np.uint8)
    time = np.array([round(day * DAY_MS) for day, _ in of], np.int64)
    return time, np.array([value for _, value in of]), quality


def grown(*of: tuple[float, float], bad: int = -1) -> Course:
    return went_on(Course(0), 9 * DAY_MS, {ANY: rows(*of, bad=bad)}, step=0.1)


def test_a_day_is_over_when_the_next_one_has_a_reading() -> None:
    days = grown((1.1, 4.0), (1.2, 6.0), (1.3, 9.0), (3.1, 5.0)).days[ANY]
    assert days == Days((DAY_MS + NOON,), (6.0,), 3, (5.0,))


def test_bad_readings_and_none_make_no_day() -> None:
    assert grown((1.1, 4.0), (2.1, 6.0), bad=0).days[ANY] == Days((), (), 2, (6.0,))
    assert grown((1.1, 4.0), bad=0).days[ANY] == Days()


def test_portions_of_a_day_are_one_day() -> None:
    one = grown((1.1, 4.0), (1.2, 6.0), (2.1, 1.0))
    first = went_on(Course(0), DAY_MS, {ANY: rows((1.1, 4.0))}, step=0.1)
    other = went_on(first, 9 * DAY_MS, {ANY: rows((1.2, 6.0), (2.1, 1.0))}, step=0.1)
    assert other == one


def test_the_day_that_goes_on_is_not_counted_until_it_is_over() -> None:
    course = grown((1.1, 4.0), (2.1, 6.0))
    assert [one.days for one in said(course, [], 2 * DAY_MS + NOON)] == [1]
    assert [one.days for one in said(course, [], 3 * DAY_MS)] == [2]


LEVELS = (Level("high", 7.0, "medium"), Level("high", 9.0, "high"), Level("low", 1.0, "low"))


@pytest.mark.parametrize(
    ("level", "per_day", "limit"),
    [(5.0, 0.1, 7.0), (7.5, 0.1, 9.0), (9.5, 0.1, None), (5.0, -0.1, 1.0), (0.5, -0.1, None), (5.0, 1e-9, None)],
    ids=["next", "passed the first", "passed all", "falling", "passed below", "too slow for ever"],
)  # fmt: skip
def test_the_next_limit_on_the_way_counts(
    level: float, per_day: float, limit: float | None
) -> None:
    line = Slope(per_day, per_day / 2, per_day * 2, 0, level, 0.0, 0.001)
    found = nearest(line, LEVELS)
    assert (found.limit if found else None) == limit


def test_a_state_first_seen_days_after_a_service_is_young_because_of_it() -> None:
    course = went_on(anew(DAY_MS), 9 * DAY_MS, {ANY: rows((3.1, 4.0), (4.1, 6.0))}, step=0.1)
    (only,) = said(course, [], 5 * DAY_MS)
    assert (only.refusal, only.days) == (Refusal.AFTER_RESET, 2)
