from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.days import (
    add_months,
    add_periods,
    clock_time,
    local_date,
    midnight,
    roll_back,
    roll_near,
    weekday_working,
)
from collector.domain.intervals import (
    Due,
    DueState,
    Frame,
    compliance,
    fixed_dues,
    gap_dues,
    largest_gap,
    period_dues,
    period_of,
    state_of,
)
from config.standards import Fixed, MaxGap, Period, PerPeriod

UTC_ZONE, SHANGHAI, BERLIN = ZoneInfo("UTC"), ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
HOUR = 3_600_000


def always(_: date) -> bool:
    return True


def never(_: date) -> bool:
    return False


def frame(start: str = "2026-01-01", **other: object) -> Frame:
    values: dict[str, object] = {
        "zone": UTC_ZONE,
        "start": date.fromisoformat(start),
        "working": always,
    }
    return Frame(**(values | other))  # type: ignore[arg-type]  # a table of members


def days(dues: list[Due]) -> list[tuple[str, str, str]]:
    return [(str(d.early), str(d.due), str(d.late)) for d in dues]


def ms(text: str, zone: ZoneInfo = UTC_ZONE) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


# --- days


def test_a_day_that_the_month_lacks_becomes_its_last() -> None:
    assert add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert add_months(date(2028, 1, 31), 1) == date(2028, 2, 29)
    assert add_months(date(2026, 1, 31), -2) == date(2025, 11, 30)


def test_periods_are_counted_from_the_anchor_and_never_drift() -> None:
    month = Period(1, "month")
    assert [add_periods(date(2026, 1, 31), month, n).day for n in range(4)] == [31, 28, 31, 30]
    assert add_periods(date(2024, 2, 29), Period(1, "year"), 1) == date(2025, 2, 28)
    assert add_periods(date(2026, 1, 5), Period(2, "week"), 3) == date(2026, 2, 16)
    assert add_periods(date(2026, 1, 5), Period(3, "day"), 2) == date(2026, 1, 11)


def test_a_local_midnight_is_a_midnight_on_long_and_short_days() -> None:
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)
    assert midnight(spring + timedelta(days=1), BERLIN) - midnight(spring, BERLIN) == 23 * HOUR
    assert midnight(autumn + timedelta(days=1), BERLIN) - midnight(autumn, BERLIN) == 25 * HOUR


def test_a_time_that_does_not_exist_is_read_with_the_offset_before() -> None:
    at = clock_time(date(2026, 3, 29), 150, BERLIN)
    assert datetime.fromtimestamp(at / 1000, UTC).astimezone(BERLIN).strftime("%H:%M") == "03:30"


def test_a_time_that_exists_twice_is_the_first() -> None:
    at = clock_time(date(2026, 10, 25), 150, BERLIN)
    assert datetime.fromtimestamp(at / 1000, UTC).hour == 0


def test_twenty_four_hours_belongs_to_the_day_it_closes() -> None:
    assert clock_time(date(2026, 5, 1), 1440, SHANGHAI) == midnight(date(2026, 5, 2), SHANGHAI)
    assert local_date(midnight(date(2026, 5, 2), SHANGHAI) - 1, SHANGHAI) == date(2026, 5, 1)


SATURDAY, SUNDAY, MONDAY = date(2026, 5, 2), date(2026, 5, 3), date(2026, 5, 4)


def test_statutory_work_rolls_back_and_other_work_to_the_nearest() -> None:
    first, limit = date(2026, 4, 1), date(2026, 6, 1)
    assert roll_back(SUNDAY, first, weekday_working) == date(2026, 5, 1)
    assert roll_near(SUNDAY, first, limit, weekday_working) == MONDAY
    assert roll_near(SATURDAY, first, limit, weekday_working) == date(2026, 5, 1)


def test_of_two_equally_near_days_the_earlier_is_taken() -> None:
    assert (
        roll_near(SUNDAY, date(2026, 4, 1), date(2026, 6, 1), lambda d: d in (SATURDAY, MONDAY))
        == SATURDAY
    )


def test_rolling_stays_within_its_limits() -> None:
    assert roll_near(SUNDAY, date(2026, 4, 1), SUNDAY, weekday_working) == date(2026, 5, 1)
    assert roll_near(SUNDAY, SATURDAY, SUNDAY, weekday_working) == SUNDAY
    assert roll_back(SUNDAY, SATURDAY, weekday_working) == SUNDAY
    assert roll_near(SUNDAY, date(2026, 4, 1), date(2026, 6, 1), never) == SUNDAY


# --- fixed


def test_a_grid_has_a_tenth_of_its_period_on_both_sides() -> None:
    dues = list(fixed_dues(Fixed(Period(2, "week"), "2026-01-05"), frame(), date(2026, 2, 5)))
    assert days(dues) == [
        ("2026-01-04", "2026-01-05", "2026-01-06"),
        ("2026-01-18", "2026-01-19", "2026-01-20"),
        ("2026-02-01", "2026-02-02", "2026-02-03"),
    ]
    assert [d.key for d in dues] == ["2026-01-05", "2026-01-19", "2026-02-02"]


def test_statutory_work_has_no_grace_and_its_early_side_counts_from_the_rolled_day() -> None:
    interval = Fixed(Period(1, "month"), "2026-01-31")
    got = list(
        fixed_dues(interval, frame(working=weekday_working, statutory=True), date(2026, 1, 31))
    )
    assert days(got) == [("2026-01-27", "2026-01-30", "2026-01-31")]


def test_late_counts_from_the_day_before_rolling() -> None:
    got = list(
        fixed_dues(
            Fixed(Period(1, "month"), "2026-01-31"),
            frame(working=weekday_working),
            date(2026, 1, 31),
        )
    )
    assert days(got) == [("2026-01-27", "2026-01-30", "2026-02-03")]


def test_a_grid_owes_its_first_date_on_or_after_the_start() -> None:
    got = list(
        fixed_dues(Fixed(Period(1, "month"), "2020-01-31"), frame("2026-02-15"), date(2026, 3, 1))
    )
    assert days(got)[0] == ("2026-02-25", "2026-02-28", "2026-03-03")


def test_no_window_opens_before_the_start_and_a_stated_tolerance_wins() -> None:
    got = list(
        fixed_dues(
            Fixed(Period(1, "month"), "2026-01-02"),
            frame("2026-01-01", tolerance_days=5),
            date(2026, 1, 5),
        )
    )
    assert days(got) == [("2026-01-01", "2026-01-02", "2026-01-07")]


def test_daily_work_does_not_roll() -> None:
    got = list(
        fixed_dues(
            Fixed(Period(1, "day"), "2026-05-02"),
            frame("2026-05-02", working=weekday_working),
            date(2026, 5, 3),
        )
    )
    assert [d[1] for d in days(got)] == ["2026-05-02", "2026-05-03"]


@given(
    st.integers(1, 6), st.sampled_from(["day", "week", "month", "year"]),
    st.dates(date(1990, 1, 1), date(2030, 1, 1)), st.dates(date(2000, 1, 1), date(2035, 1, 1)),
)  # fmt: skip
def test_a_fixed_grid_never_drifts(n: int, unit: str, anchor: date, start: date) -> None:
    period = Period(n, unit)  # type: ignore[arg-type]  # one of its units
    made = fixed_dues(
        Fixed(period, anchor.isoformat()), frame(start.isoformat()), start + timedelta(days=2500)
    )
    keys = [date.fromisoformat(due.key) for _, due in zip(range(6), made, strict=False)]
    assert all(key >= start for key in keys)
    index = next(i for i in range(100_000) if add_periods(anchor, period, i) >= start)
    assert keys == [add_periods(anchor, period, index + i) for i in range(len(keys))]


# --- never more than


def test_fifteen_days_from_the_first_to_the_sixteenth_is_kept() -> None:
    rows = list(gap_dues(MaxGap(15), frame("2026-01-01"), [date(2026, 1, 16)]))
    assert [(str(d.late), closed) for d, closed in rows] == [
        ("2026-01-16", True),
        ("2026-01-31", False),
    ]
    first = rows[0][0]
    assert first.late_at == ms("2026-01-17T00:00:00")


def test_only_one_is_open_and_several_on_one_date_are_one() -> None:
    done = [date(2026, 1, 3), date(2026, 1, 3), date(2026, 1, 20)]
    rows = list(gap_dues(MaxGap(10), frame("2026-01-01"), done))
    assert [(str(d.late), closed) for d, closed in rows] == [
        ("2026-01-11", True), ("2026-01-13", True), ("2026-01-30", False),
    ]  # fmt: skip


def test_it_counts_from_the_in_service_date_and_its_due_day_rolls_back() -> None:
    rows = list(
        gap_dues(
            MaxGap(15),
            frame("2026-01-01", counts_from=date(2026, 4, 18), working=weekday_working),
            [],
        )
    )
    ((due, closed),) = rows
    assert (str(due.early), str(due.due), str(due.late), closed) == (
        "2026-04-30",
        "2026-05-01",
        "2026-05-03",
        False,
    )


# --- k per period


NAMES = [
    ("day", "2026-05-02", "2026-05-02"), ("week", "2026-01-01", "2026-W01"), ("month", "2026-05-02", "2026-05"),
    ("half_month", "2026-02-15", "2026-02-a"), ("half_month", "2026-02-16", "2026-02-b"),
    ("quarter", "2026-06-30", "2026-Q2"), ("half_year", "2026-07-01", "2026-H2"), ("year", "2026-05-02", "2026"),
]  # fmt: skip


@pytest.mark.parametrize(("unit", "day", "name"), NAMES)
def test_a_period_has_its_name_and_holds_its_day(unit: str, day: str, name: str) -> None:
    first, last, said = period_of(date.fromisoformat(day), unit)
    assert said == name
    assert first <= date.fromisoformat(day) <= last


def slots(unit: str, times: int, start: str, until: str) -> list[tuple[str, str, str]]:
    interval = PerPeriod(unit, times)  # type: ignore[arg-type]  # one of its units
    return days(list(period_dues(interval, frame(start), date.fromisoformat(until))))


def test_three_a_week_and_two_a_week_as_the_rules_say() -> None:
    assert [(a, b) for a, b, _ in slots("week", 3, "2026-05-04", "2026-05-10")] == [
        ("2026-05-04", "2026-05-05"), ("2026-05-06", "2026-05-07"), ("2026-05-08", "2026-05-10"),
    ]  # fmt: skip
    assert [(a, b) for a, b, _ in slots("week", 2, "2026-05-04", "2026-05-10")] == [
        ("2026-05-04", "2026-05-06"), ("2026-05-07", "2026-05-10"),
    ]  # fmt: skip


def test_the_hard_limit_is_the_end_of_the_period() -> None:
    assert slots("year", 2, "2026-01-01", "2026-12-31") == [
        ("2026-01-01", "2026-06-30", "2026-12-31"), ("2026-07-01", "2026-12-31", "2026-12-31"),
    ]  # fmt: skip


def test_more_slots_than_months_are_counted_by_days() -> None:
    assert len(slots("quarter", 4, "2026-01-01", "2026-03-31")) == 4


def test_a_cut_period_owes_what_ends_inside_and_its_window_is_cut() -> None:
    assert slots("month", 2, "2026-01-20", "2026-01-31") == [
        ("2026-01-20", "2026-01-31", "2026-01-31")
    ]
    assert slots("month", 2, "2026-01-10", "2026-01-31")[0] == (
        "2026-01-10",
        "2026-01-15",
        "2026-01-31",
    )


def test_twice_a_day_is_counted_by_the_clock() -> None:
    made = list(
        period_dues(PerPeriod("day", 2), frame("2026-03-29", zone=BERLIN), date(2026, 3, 29))
    )
    assert [d.key for d in made] == ["2026-03-29/1", "2026-03-29/2"]
    assert [d.early_at for d in made] == [
        ms("2026-03-29T00:00", BERLIN),
        ms("2026-03-29T12:00", BERLIN),
    ]
    assert [d.due_at for d in made] == [
        ms("2026-03-29T12:00", BERLIN),
        ms("2026-03-30T00:00", BERLIN),
    ]
    assert {d.late_at for d in made} == {ms("2026-03-30T00:00", BERLIN)}


def test_a_daily_duty_is_owed_on_holidays_too_and_others_roll_within_their_slot() -> None:
    daily = period_dues(
        PerPeriod("day"), frame("2026-05-02", working=weekday_working), date(2026, 5, 3)
    )
    assert [str(d.due) for d in daily] == ["2026-05-02", "2026-05-03"]
    weekly = period_dues(
        PerPeriod("week"), frame("2026-05-04", working=weekday_working), date(2026, 5, 10)
    )
    assert [str(d.due) for d in weekly] == ["2026-05-08"]


@given(st.sampled_from(["week", "month", "half_month", "quarter", "half_year", "year"]), st.integers(1, 7), st.dates(date(2020, 1, 1), date(2032, 1, 1)))  # fmt: skip
def test_slots_tile_their_period(unit: str, times: int, day: date) -> None:
    first, last, name = period_of(day, unit)
    made = [
        d
        for d in period_dues(PerPeriod(unit, times), frame(first.isoformat()), last)  # type: ignore[arg-type]  # one of its units
        if d.period == name
    ]
    assert len(made) == times
    assert made[0].early == first
    assert made[-1].due == last
    for one, two in pairwise(made):
        assert one.due is not None
        assert two.early == one.due + timedelta(days=1)


# --- states and figures


def due_of(early: int | None, due: int | None, late: int | None, *, by_clock: bool = False) -> Due:
    early_day = local_date(early, UTC_ZONE) if early is not None else None
    return Due("k", early_day, None, None, early, due, late, by_clock)


DAY = 24 * HOUR
STATES = [
    ("done", due_of(0, 1, 2), True, 9, DueState.DONE),
    ("at the hard limit it is missed", due_of(0, 5, 9), False, 9, DueState.MISSED),
    ("at the due instant it is late", due_of(0, 5, 9), False, 5, DueState.LATE),
    ("open", due_of(0, 5, 9), False, 4, DueState.DUE),
    ("opens in seven days", due_of(7 * DAY, 8 * DAY, 9 * DAY), False, DAY - 1, DueState.COMING),
    ("opens in eight days", due_of(8 * DAY, 9 * DAY, 9 * DAY), False, DAY - 1, DueState.FUTURE),
    ("opens in 168 hours by the clock", due_of(7 * DAY, 8 * DAY, 9 * DAY, by_clock=True), False, 0, DueState.COMING),
    ("opens in more by the clock", due_of(7 * DAY + 1, 8 * DAY, 9 * DAY, by_clock=True), False, 0, DueState.FUTURE),
    ("a mark below its tolerance", due_of(None, None, None), False, 0, DueState.FUTURE),
    ("a mark within its tolerance", due_of(5, None, None), False, 6, DueState.DUE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "due", "done", "now", "state"), STATES, ids=[s[0] for s in STATES]
)
def test_how_an_occurrence_stands(
    name: str, due: Due, done: bool, now: int, state: DueState
) -> None:
    assert state_of(due, done=done, now=now, zone=UTC_ZONE) is state


def test_largest_gap_counts_both_ends_and_compliance_needs_something_to_divide() -> None:
    done = [date(2026, 1, 20), date(2026, 1, 10)]
    assert largest_gap(done, date(2026, 1, 1), date(2026, 2, 4)) == 15
    assert largest_gap([], date(2026, 1, 1), date(2026, 1, 4)) == 3
    assert compliance(3, 1) == 0.75
    assert compliance(0, 0) is None
