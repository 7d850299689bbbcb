"""Joins what a plan owes with what was done: which completion closes which occurrence (rules 15, 32, 33)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from collector.domain.days import local_date
from collector.domain.intervals import (
    Due,
    Frame,
    MeterPath,
    fixed_dues,
    gap_dues,
    meter_dues,
    period_dues,
)
from config.standards import Fixed, Interval, MaxGap, Meter, PerPeriod


@dataclass(frozen=True, slots=True)
class Completion:
    """Work that was done: when (UTC ms), by whom (a person, or `readings`)."""

    at: int
    by: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Owed:
    """One due and what closed it; `too_late` where that came after the hard limit."""

    due: Due
    done: Completion | None = None
    too_late: bool = False


def owed(
    interval: Interval,
    frame: Frame,
    now: int,
    completions: Sequence[Completion],
    path: MeterPath | None = None,
) -> list[Owed]:
    """All dues whose window opens within a week of `now`, with what closed each."""
    done = sorted(completions, key=lambda c: (c.at, c.id))
    until = local_date(now, frame.zone) + timedelta(days=7)
    if isinstance(interval, MaxGap):
        return _chain(interval, frame, done)
    if isinstance(interval, Meter):
        stops = [c.at for c in done]
        marks = meter_dues(interval, path or MeterPath(()), stops, frame.zone)
        return _floating_credit(list(marks), done, frame) if interval.floating else credit(list(marks), done)  # fmt: skip
    if isinstance(interval, Fixed):
        return credit(list(fixed_dues(interval, frame, until)), done)
    counted = counting(interval, frame, done)
    return credit_slots(list(period_dues(interval, frame, until)), counted, interval, frame)


def _chain(interval: MaxGap, frame: Frame, done: Sequence[Completion]) -> list[Owed]:
    by_day = {local_date(c.at, frame.zone): c for c in reversed(done)}
    base = frame.counts_from or frame.start
    days = sorted(d for d in by_day if d > base)
    rows: list[Owed] = []
    for due, closed in gap_dues(interval, frame, days):
        completion = by_day[days[len(rows)]] if closed else None
        rows.append(Owed(due, completion, _is_late(due, completion)))
    return rows


def _floating_credit(dues: Sequence[Due], done: Sequence[Completion], frame: Frame) -> list[Owed]:
    days = {local_date(c.at, frame.zone): c for c in reversed(done)}
    closing = list(dict.fromkeys(days[d] for d in sorted(days)))
    closing = closing[len(closing) - (len(dues) - 1) :]
    rows: list[Completion | None] = [*closing, None]
    return [Owed(due, c, _is_late(due, c)) for due, c in zip(dues, rows, strict=True)]


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
            closed[inside[0].key] = Owed(inside[0], completion)
        elif missed:
            closed[missed[-1].key] = Owed(missed[-1], completion, too_late=True)
    return [closed.get(due.key, Owed(due)) for due in dues]


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
    names = _period_names(dues)
    for completion in counted:
        day = local_date(completion.at, frame.zone)
        for name, (first, last) in names.items():
            if first <= day <= last:
                by_period.setdefault(name, []).append(completion)
    rows: list[Owed] = []
    for due in dues:
        waiting = by_period.get(due.period, [])
        rows.append(Owed(due, waiting.pop(0) if waiting else None))
    return rows


def _period_names(dues: Sequence[Due]) -> Mapping[str, tuple[date, date]]:
    spans: dict[str, tuple[date, date]] = {}
    for due in dues:
        if due.early is not None and due.late is not None:
            first = spans.get(due.period, (due.early, due.late))[0]
            spans[due.period] = (first, due.late)
    return spans
