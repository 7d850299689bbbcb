from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.intervals import Due
from collector.domain.looks import LATE_MS, Looked, look_from, next_look, stood, window
from collector.domain.plans import Completion, Owed

UTC_ZONE = ZoneInfo("UTC")
MIN, DAY = 60_000, 86_400_000


def due(early: int | None, late: int | None) -> Due:
    return Due("k", None, None, None, early, late, late)


OPEN = Owed(due(2 * DAY, 9 * DAY), since=DAY)
CLAIMED = Owed(due(2 * DAY, 9 * DAY), Completion(3 * DAY + MIN, "li"), since=DAY)
LATE = Owed(due(2 * DAY, 9 * DAY), Completion(11 * DAY, "li"), too_late=True, since=DAY)
ENDLESS = Owed(due(2 * DAY, None), Completion(11 * DAY, "li"), since=DAY)


@pytest.mark.parametrize(
    ("row", "now", "by_readings", "span"),
    [
        (OPEN, 3 * DAY, False, (2 * DAY, 3 * DAY)),
        (OPEN, 3 * DAY, True, (DAY, 3 * DAY)),
        (OPEN, 10 * DAY, False, (2 * DAY, 9 * DAY)),
        (CLAIMED, 10 * DAY, False, (DAY, 4 * DAY)),
        (LATE, 20 * DAY, False, (DAY, 12 * DAY)),
        (ENDLESS, 20 * DAY, False, (DAY, 12 * DAY)),
        (Owed(due(2 * DAY, None)), 20 * DAY, False, (2 * DAY, 20 * DAY)),
    ],
)
def test_where_the_work_counts(
    row: Owed, now: int, by_readings: bool, span: tuple[int, int]
) -> None:
    seen = window(row, now, UTC_ZONE, by_readings=by_readings)
    assert seen is not None
    assert (seen.start, seen.end) == span


def test_there_is_nowhere_to_look_before_it_counts() -> None:
    assert window(OPEN, 2 * DAY, UTC_ZONE, by_readings=False) is None
    assert window(Owed(due(None, None)), 2 * DAY, UTC_ZONE, by_readings=True) is None


def test_a_window_is_final_when_no_late_reading_can_come() -> None:
    for now, final in ((9 * DAY + LATE_MS - 1, False), (9 * DAY + LATE_MS, True)):
        seen = window(OPEN, now, UTC_ZONE, by_readings=False)
        assert seen is not None
        assert (seen.ended, seen.final) == (True, final)


def test_how_often_and_how_far_back_the_readings_are_looked_at() -> None:
    now = 3 * DAY
    seen = window(OPEN, now, UTC_ZONE, by_readings=False)
    assert seen is not None
    begin, standing = seen.start, stood(seen)
    assert look_from(OPEN, seen, None, now, brief=True) == begin
    assert look_from(OPEN, seen, Looked(now, now, (True, True, True)), now, brief=True) == begin
    assert look_from(OPEN, seen, Looked(now, now - 2 * MIN, standing), now, brief=True) == begin
    seldom = Looked(now - MIN, now - MIN, standing)
    assert look_from(OPEN, seen, seldom, now, brief=True) == now - 11 * MIN
    assert look_from(OPEN, seen, seldom, now, brief=False) is None
    assert look_from(OPEN, seen, Looked(now - 1, now - 1, standing), now, brief=True) is None


def test_the_readings_of_a_claim_may_be_on_their_way() -> None:
    now = 3 * DAY + MIN + 1
    seen = window(CLAIMED, now, UTC_ZONE, by_readings=False)
    assert seen is not None
    assert look_from(CLAIMED, seen, None, now, brief=True) is None
    assert look_from(CLAIMED, seen, None, now + MIN, brief=True) == seen.start


ROWS = [OPEN, CLAIMED, LATE, ENDLESS, Owed(due(2 * DAY, None)), Owed(due(None, None))]


def looked_at(row: Owed, last: Looked | None, now: int, *, by_readings: bool, brief: bool) -> Looked | None:  # fmt: skip
    """Where the planner stands after it asked at `now` whether to look."""
    seen = window(row, now, UTC_ZONE, by_readings=by_readings)
    start = None if seen is None else look_from(row, seen, last, now, brief=brief)
    if seen is None or start is None:
        return last
    whole_at = now if start == seen.start or last is None else last.whole_at
    return Looked(now, whole_at, stood(seen))


@given(
    st.sampled_from(ROWS), st.booleans(), st.booleans(),
    st.lists(st.sampled_from([1, 999, 10_000, MIN, 20 * MIN, DAY // 2, DAY]), min_size=1, max_size=40),
    st.floats(0, 1),
)  # fmt: skip
def test_before_the_next_look_none_is_wanted(
    row: Owed, by_readings: bool, brief: bool, steps: list[int], part: float
) -> None:
    now, last = DAY, None
    for step in steps:
        now += step
        last = looked_at(row, last, now, by_readings=by_readings, brief=brief)
    again = next_look(row, last, now, UTC_ZONE, by_readings=by_readings, brief=brief)
    until = now + 30 * DAY if again is None else again
    between = now + round(part * max(0, until - now - 1))
    assert looked_at(row, last, between, by_readings=by_readings, brief=brief) is last


@pytest.mark.parametrize(
    ("row", "now", "ago", "brief", "wait"),
    [
        (Owed(due(None, None)), 3 * DAY, 0, True, None),
        (OPEN, 2 * DAY, 0, True, 1),
        (OPEN, 3 * DAY, 0, True, MIN),
        (OPEN, 3 * DAY, 0, False, DAY // 1000),
        (OPEN, 9 * DAY - 5, 0, True, 5),
        (OPEN, 9 * DAY, 0, True, 7 * DAY // 1000),
        (OPEN, 16 * DAY - 5, 0, True, 5),
        (OPEN, 17 * DAY, DAY, True, 15 * DAY // 1000 - DAY),
        (CLAIMED, 3 * DAY + 2 * MIN, 0, True, (2 * DAY + 2 * MIN) // 1000),
    ],
)
def test_when_the_readings_are_looked_at_next(
    row: Owed, now: int, ago: int, brief: bool, wait: int | None
) -> None:
    seen = window(row, now, UTC_ZONE, by_readings=False)
    last = None if seen is None else Looked(now - ago, now - ago, stood(seen))
    again = next_look(row, last, now, UTC_ZONE, by_readings=False, brief=brief)
    assert again == (None if wait is None else now + wait)


def test_the_readings_of_a_claim_are_waited_for() -> None:
    claimed = 3 * DAY + MIN
    again = next_look(CLAIMED, None, claimed + 1, UTC_ZONE, by_readings=False, brief=True)
    assert again == claimed + 30_000
    later = next_look(CLAIMED, None, claimed + MIN, UTC_ZONE, by_readings=False, brief=True)
    assert later == claimed + MIN, "at once"
