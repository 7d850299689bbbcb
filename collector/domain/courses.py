"""A point's course: its trend in each state of its equipment, the medians of its days, and what may be said of both."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from collector.domain.slopes import (
    DAY_MS,
    ROWS_MAX,
    Refusal,
    Slope,
    TimeToLimit,
    slope,
    time_to_limit,
)
from collector.domain.trends import LEARN_ROWS, Baseline, Change, Trend, same_since, took_in_states
from config.rules import Level
from edge.readings import BAD, Codes, Floats, Ints

ANY: Final = ""
"""The state of a point whose equipment has none."""
Rows = tuple[Ints, Floats, Codes]
"""UTC ms in order, value, quality."""


@dataclass(frozen=True, slots=True)
class Days:
    """Noons (UTC ms) and medians of the days that are over, at most `ROWS_MAX`; the values of the one that is not (`day`)."""

    time: tuple[int, ...] = ()
    value: tuple[float, ...] = ()
    day: int = 0
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """All that is kept of one point, up to `until` (UTC ms); by state of its equipment."""

    until: int
    reset_at: int | None = None
    trends: Mapping[str, Trend] = field(default_factory=dict)
    days: Mapping[str, Days] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reached:
    """The nearest limit that the slope leads to, and when."""

    limit: float
    time: TimeToLimit


@dataclass(frozen=True, slots=True)
class Said:
    """What may be said of a point in one state, and why not more.

    `learnt` of `LEARN_ROWS` readings; `days` (whole ones) since the last maintenance or change, which
    `refusal` speaks of where there is no slope.
    """

    state: str
    learnt: int
    days: int
    baseline: Baseline | None
    change: Change | None
    slope: Slope | None
    refusal: Refusal | None
    reached: Reached | None = None


def anew(at: int) -> Course:
    """The course of a point whose equipment was serviced at `at` (UTC ms): all is learnt from then on."""
    return Course(at, reset_at=at)


def went_on(course: Course, until: int, rows: Mapping[str, Rows], *, step: float) -> Course:
    """The course after its readings of each state since `course.until`, up to `until` (UTC ms).

    `step`: the smallest difference the point can show. States beyond the trends' bound are left out.
    """
    grown = took_in_states(course.trends, rows, step=step, reset_at=course.reset_at)
    days = {state: course.days.get(state, Days()) for state in grown}
    for state in rows.keys() & grown.keys():
        days[state] = _after(days[state], *rows[state])
    return Course(until, course.reset_at, grown, days)


def _after(days: Days, time: Ints, value: Floats, quality: Codes) -> Days:
    usable = (quality < BAD) & np.isfinite(value)
    of_day, number = time[usable] // DAY_MS, value[usable]
    for day in np.unique(of_day).tolist():
        if day > days.day:
            days = _closed(days, day)
        days = replace(days, values=(*days.values, *number[of_day == day].tolist()))
    return days


def _closed(days: Days, day: int) -> Days:
    """The day so far is over, and `day` begins."""
    if not days.values:
        return replace(days, day=day)
    noon = days.day * DAY_MS + DAY_MS // 2
    time = (*days.time, noon)[-ROWS_MAX:]
    value = (*days.value, float(np.median(days.values)))[-ROWS_MAX:]
    return Days(time, value, day)


def said(course: Course, levels: Iterable[Level], now: int) -> tuple[Said, ...]:
    """What may be said at `now` (UTC ms) of each state, by its name; `levels` are the limits of the point's alarms."""
    limits = tuple(levels)
    return tuple(_said(course, state, limits, now) for state in sorted(course.trends))


def _said(course: Course, state: str, limits: Iterable[Level], now: int) -> Said:
    trend = course.trends[state]
    days = (
        _closed(course.days[state], now // DAY_MS)
        if _is_over(course, state, now)
        else course.days[state]
    )
    since = same_since(trend)
    time, value = np.array(days.time, np.int64), np.array(days.value)
    found = slope(time, value, now=now, since=since)
    line = found if isinstance(found, Slope) else None
    why = found if isinstance(found, Refusal) else None
    if why is Refusal.TOO_SHORT and course.reset_at is not None:
        why = Refusal.AFTER_RESET
    learnt = LEARN_ROWS if trend.baseline else len(trend.first)
    whole = int((time >= since).sum()) if since is not None else len(time)
    reached = nearest(line, limits) if line else None
    return Said(state, learnt, whole, trend.baseline, trend.change, line, why, reached)


def _is_over(course: Course, state: str, now: int) -> bool:
    return course.days[state].day < now // DAY_MS


def nearest(line: Slope, limits: Iterable[Level]) -> Reached | None:
    """The first limit on the line's way that its level has not passed; None where none is."""
    rising = line.per_day > 0
    ahead = [
        level.limit
        for level in limits
        if (level.side == "high") == rising and (level.limit > line.level) == rising
    ]
    if not ahead:
        return None
    limit = min(ahead, key=lambda one: abs(one - line.level))
    time = time_to_limit(line, limit, rising=rising)
    return Reached(limit, time) if time else None
