"""Joins what a plan owes with what was done: which completion closes which occurrence (rules 15, 32, 33)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from collector.domain.days import local_date, midnight
from collector.domain.intervals import (
    ONE_DAY,
    Due,
    Frame,
    fixed_dues,
    gap_dues,
    period_dues,
    period_of,
)
from collector.domain.meters import NO_PATH, MeterPath, meter_dues
from config.standards import Fixed, Interval, MaxGap, Meter, PerPeriod


@dataclass(frozen=True, slots=True)
class Completion:
    """Work that was done: when (UTC ms), by whom (a person, or `readings`, then with the span that shows it)."""

    at: int
    by: str
    id: str = ""
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """One due and what closed it; `too_late` where that came after the hard limit.

    `since` (UTC ms) is from when on work counts for it, which may be before its window opens: any
    later date for a floating duty, the whole period for its slots. None: not known yet.
    """

    due: Due
    done: Completion | None = None
    too_late: bool = False
    since: int | None = None


def owed(
    interval: Interval,
    frame: Frame,
    now: int,
    completions: Sequence[Completion],
    path: MeterPath | None = None,
) -> list[Owed]:
    """All dues whose window opens within a week of `now`, with what closed each.

    Of `now` only the local date matters.
    """
    done = sorted(completions, key=lambda c: (c.at, c.id))
    until = local_date(now, frame.zone) + timedelta(days=7)
    if isinstance(interval, MaxGap):
        return _chain(interval, frame, done)
    if isinstance(interval, Meter):
        return _metered(interval, frame, done, path or NO_PATH)
    if isinstance(interval, Fixed):
        return credit(list(fixed_dues(interval, frame, until)), done)
    counted = counting(interval, frame, done)
    return credit_slots(list(period_dues(interval, frame, until)), counted, interval, frame)


def still_open(interval: Interval, rows: Sequence[Owed], now: int) -> frozenset[str]:
    """Keys of what is not done and can still be: before its hard limit, or missed and still owed.

    Missed and still owed is what a completion at `now` would close, too late (rules 11, 12, 32): the
    open one of a floating duty; of others the latest missed one while no window is open. A slot of a
    period is over with its period (rule 14).
    """
    undone = [row.due for row in rows if row.done is None]
    running = [due for due in undone if due.late_at is None or now < due.late_at]
    missed = [due for due in undone if due.late_at is not None and now >= due.late_at]
    keys = {due.key for due in running}
    taken = any(_opened(due, now) for due in running)
    if missed and not taken and not isinstance(interval, PerPeriod):
        keys.add(missed[-1].key)
    return frozenset(keys)


def _chain(interval: MaxGap, frame: Frame, done: Sequence[Completion]) -> list[Owed]:
    base = frame.counts_from or frame.start
    closing = _by_days_after(base, done, frame)
    days = [local_date(c.at, frame.zone) for c in closing]
    dues = [due for due, _ in gap_dues(interval, frame, days)]
    first = midnight(frame.start, frame.zone)
    rows = _one_open(dues, closing, base, frame)
    return [replace(row, since=max(first, row.since or first)) for row in rows]


def _metered(
    interval: Meter, frame: Frame, done: Sequence[Completion], path: MeterPath
) -> list[Owed]:
    stops = [c.at for c in done]
    dues = list(meter_dues(interval, path, stops, frame.zone))
    if not interval.floating or not dues:
        return credit(dues, done)
    base = local_date(path.steps[0].at, frame.zone)
    return _one_open(dues, _by_days_after(base, done, frame), base, frame)


def _by_days_after(base: date, done: Sequence[Completion], frame: Frame) -> list[Completion]:
    """The first completion of each local date after `base` (rule 11)."""
    days = {local_date(c.at, frame.zone): c for c in reversed(done)}
    return [days[day] for day in sorted(days) if day > base]


def _one_open(
    dues: Sequence[Due], closing: Sequence[Completion], base: date, frame: Frame
) -> list[Owed]:
    """Each due with the completion that closed it; the last one is open."""
    lasts = [base, *(local_date(c.at, frame.zone) for c in closing)]
    return [
        Owed(due, c, _is_late(due, c), midnight(last + ONE_DAY, frame.zone))
        for due, c, last in zip(dues, [*closing, None], lasts, strict=True)
    ]


def _is_late(due: Due, completion: Completion | None) -> bool:
    return completion is not None and due.late_at is not None and completion.at >= due.late_at


def credit(dues: Sequence[Due], done: Iterable[Completion]) -> list[Owed]:
    """Each completion to the open due with the earliest due whose window holds it; else the latest missed one."""
    closed: dict[str, Owed] = {}
    for completion in done:
        open_ = [due for due in dues if due.key not in closed and _opened(due, completion.at)]
        inside = [due for due in open_ if due.late_at is None or completion.at < due.late_at]
        missed = [due for due in open_ if due not in inside]
        if inside:
            closed[inside[0].key] = Owed(inside[0], completion, since=inside[0].early_at)
        elif missed:
            closed[missed[-1].key] = Owed(missed[-1], completion, True, missed[-1].early_at)
    return [closed.get(due.key, Owed(due, since=due.early_at)) for due in dues]


def _opened(due: Due, at: int) -> bool:
    return due.early_at is not None and at >= due.early_at


def counting(interval: PerPeriod, frame: Frame, done: Sequence[Completion]) -> list[Completion]:
    """Completions that count: none nearer to the last counted one than the spacing (rule 15)."""
    counted: list[Completion] = []
    several = interval.unit == "day" and interval.times > 1
    for completion in done:
        if counted and not several and not _spaced(interval, frame, counted[-1], completion):
            continue
        counted.append(completion)
    return counted


def _spaced(interval: PerPeriod, frame: Frame, last: Completion, this: Completion) -> bool:
    days = (local_date(this.at, frame.zone) - local_date(last.at, frame.zone)).days
    return days >= (interval.min_spacing_days or 1)


def credit_slots(
    dues: Sequence[Due], counted: Sequence[Completion], interval: PerPeriod, frame: Frame
) -> list[Owed]:
    """The j-th completion that counts in a period closes its j-th slot (rule 14)."""
    by_period: dict[str, list[Completion]] = {}
    names = _first_days(dues)
    for completion in counted:
        day = local_date(completion.at, frame.zone)
        name = period_of(day, interval.unit)[2]
        if name in names and names[name] <= day:
            by_period.setdefault(name, []).append(completion)
    rows: list[Owed] = []
    for due in dues:
        waiting = by_period.get(due.period, [])
        since = midnight(names[due.period], frame.zone)
        rows.append(Owed(due, waiting.pop(0) if waiting else None, since=since))
    return rows


def _first_days(dues: Sequence[Due]) -> Mapping[str, date]:
    """First day of each period, as cut by the plan's start."""
    return {due.period: due.early for due in reversed(dues) if due.early is not None}
