"""What a plan owes and when: typed intervals to occurrences with their windows (rules-due-dates)."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from collector.domain.days import (
    Working,
    add_months,
    add_periods,
    clock_time,
    days_of,
    local_date,
    midnight,
    roll_back,
    roll_near,
    tolerance_days,
)
from config.standards import Fixed, MaxGap, PerPeriod

DAY_MS = 86_400_000
COMING_DAYS = 7
ONE_DAY = timedelta(days=1)


class DueState(StrEnum):
    """How an occurrence stands (rules-due-dates 4)."""

    FUTURE = "future"
    COMING = "coming"
    DUE = "due"
    LATE = "late"
    MISSED = "missed"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Due:
    """One thing owed. `key` is what it is for: a date, a period and slot, a meter mark.

    Dates are local and inclusive. Instants are UTC ms: the window is early_at ≤ t; from `due_at` on it
    is late, from `late_at` on missed. Meter marks have None where no reading has shown it yet.
    """

    key: str
    early: date | None
    due: date | None
    late: date | None
    early_at: int | None
    due_at: int | None
    late_at: int | None
    by_clock: bool = False
    period: str = ""
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What holds for all dues of one plan: its zone, first day, statutory or not, own tolerance."""

    zone: ZoneInfo
    start: date
    working: Working
    statutory: bool = False
    tolerance_days: int | None = None
    counts_from: date | None = None
    """For 'never more than': the in-service date, where it is known."""


def _whole_days(key: str, early: date, due: date, late: date, zone: ZoneInfo) -> Due:
    return Due(
        key, early, due, late,
        midnight(early, zone), midnight(due + ONE_DAY, zone), midnight(late + ONE_DAY, zone),
    )  # fmt: skip


# --- fixed -------------------------------------------------------------------------------------


def fixed_dues(interval: Fixed, frame: Frame, until: date) -> Iterator[Due]:
    """The grid from the plan's start on, as far as windows open up to `until` (rules 5, 6, 8, 10)."""
    anchor = date.fromisoformat(interval.anchor)
    length = days_of(interval.period)
    side = frame.tolerance_days if frame.tolerance_days is not None else tolerance_days(length)
    n = max(0, (frame.start - anchor).days // (length + 1 + length // 28) - 1)
    while add_periods(anchor, interval.period, n) < frame.start:
        n += 1
    while True:
        grid = add_periods(anchor, interval.period, n)
        late = grid if frame.statutory else grid + timedelta(days=side)
        due = _rolled(grid, frame.start, late, frame) if length > 1 else grid
        early = max(frame.start, due - timedelta(days=side))
        if early > until:
            return
        yield _whole_days(grid.isoformat(), early, due, max(late, due), frame.zone)
        n += 1


def _rolled(day: date, stop: date, limit: date, frame: Frame) -> date:
    if frame.statutory:
        return roll_back(day, stop, frame.working)
    return roll_near(day, stop, limit, frame.working)


# --- never more than n days --------------------------------------------------------------------


def gap_dues(interval: MaxGap, frame: Frame, done: Sequence[date]) -> Iterator[tuple[Due, bool]]:
    """The chain of 'never more than n days', with whether a later completion closed it (rules 11, 12).

    `done` are local dates of completions in order; the last due yielded is the open one.
    """
    side = frame.tolerance_days
    side = tolerance_days(interval.days) if side is None else side
    last = frame.counts_from or frame.start
    days = sorted({d for d in done if d > last})
    while True:
        limit = last + timedelta(days=interval.days)
        due = roll_back(limit, last + ONE_DAY, frame.working)
        early = max(last + ONE_DAY, due - timedelta(days=side))
        closing = days.pop(0) if days else None
        yield _whole_days(limit.isoformat(), early, due, limit, frame.zone), closing is not None
        if closing is None:
            return
        last = closing


# --- k per period ------------------------------------------------------------------------------

MONTHS_OF = {"quarter": 3, "half_year": 6, "year": 12}


def period_of(day: date, unit: str) -> tuple[date, date, str]:
    """First day, last day and name of the calendar period that holds a date (rule 14)."""
    if unit == "day":
        return day, day, day.isoformat()
    if unit == "week":
        first = day - timedelta(days=day.weekday())
        year, week, _ = day.isocalendar()
        return first, first + timedelta(days=6), f"{year}-W{week:02}"
    first = day.replace(day=1)
    last = add_months(first, 1) - ONE_DAY
    if unit == "month":
        return first, last, f"{day:%Y-%m}"
    if unit == "half_month":
        if day.day <= 15:
            return first, first.replace(day=15), f"{day:%Y-%m}-a"
        return first.replace(day=16), last, f"{day:%Y-%m}-b"
    return _months_of(day, MONTHS_OF[unit])


def _months_of(day: date, months: int) -> tuple[date, date, str]:
    number = (day.month - 1) // months
    first = date(day.year, number * months + 1, 1)
    name = {3: f"{day.year}-Q{number + 1}", 6: f"{day.year}-H{number + 1}", 12: f"{day.year}"}
    return first, add_months(first, months) - ONE_DAY, name[months]


def _slots(first: date, last: date, unit: str, times: int) -> Iterator[tuple[date, date]]:
    """K equal slots: quarter and longer by months, others by days; slot j ends after j × length ÷ k."""
    months = MONTHS_OF.get(unit, 0)
    by_months = bool(months) and times <= months
    length = months if by_months else (last - first).days + 1
    begin = first
    for j in range(1, times + 1):
        count = j * length // times
        end = add_months(first, count) if by_months else first + timedelta(days=count)
        yield begin, end - ONE_DAY
        begin = end


def period_dues(interval: PerPeriod, frame: Frame, until: date) -> Iterator[Due]:
    """K slots in each calendar period from the plan's start on (rules 8, 14, 16)."""
    day = frame.start
    while day <= until:
        first, last, name = period_of(day, interval.unit)
        if interval.unit == "day" and interval.times > 1:
            yield from _clock_slots(first, interval.times, frame.zone)
        else:
            yield from _day_slots(interval, frame, (first, last, name), until)
        day = last + ONE_DAY


def _day_slots(
    interval: PerPeriod, frame: Frame, period: tuple[date, date, str], until: date
) -> Iterator[Due]:
    first, last, name = period
    for j, (begin, end) in enumerate(_slots(first, last, interval.unit, interval.times), start=1):
        early = max(begin, frame.start)
        if end < frame.start or early > until:
            continue
        due = end
        if interval.unit != "day":
            due = _rolled(end, early, last, frame)
        one = _whole_days(f"{name}/{j}", early, due, last, frame.zone)
        yield replace(one, period=name)


def _clock_slots(day: date, times: int, zone: ZoneInfo) -> Iterator[Due]:
    """Several a day: slots by the clock, as instants; the hard limit is the end of the day."""
    for j in range(1, times + 1):
        begin = clock_time(day, (j - 1) * 1440 // times, zone)
        end = clock_time(day, j * 1440 // times, zone)
        late = midnight(day + ONE_DAY, zone)
        name = day.isoformat()
        yield Due(f"{name}/{j}", day, day, day, begin, end, late, True, name)


# --- states and figures ------------------------------------------------------------------------


def state_of(due: Due, *, done: bool, now: int, zone: ZoneInfo) -> DueState:
    """How it stands at `now` (UTC ms), rules 3 and 4."""
    if done:
        return DueState.DONE
    if due.late_at is not None and now >= due.late_at:
        return DueState.MISSED
    if due.due_at is not None and now >= due.due_at:
        return DueState.LATE
    if due.early_at is None:
        return DueState.FUTURE
    if now >= due.early_at:
        return DueState.DUE
    return DueState.COMING if _within_a_week(due, now, zone) else DueState.FUTURE


def _within_a_week(due: Due, now: int, zone: ZoneInfo) -> bool:
    if due.early_at is not None and due.by_clock:
        return due.early_at - now <= COMING_DAYS * DAY_MS
    return due.early is not None and (due.early - local_date(now, zone)).days <= COMING_DAYS


def largest_gap(done: Sequence[date], since: date, today: date) -> int:
    """Most days between neighbouring completions, from `since` and to today counted too (rule 35)."""
    days = [since, *sorted(done), today]
    return max((b - a).days for a, b in itertools.pairwise(days))


def compliance(kept: int, missed: int) -> float | None:
    """Kept / (kept + missed); None with nothing to divide (rule 34)."""
    return kept / (kept + missed) if kept + missed else None
