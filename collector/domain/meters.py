"""Meters: readings to a running meter, and the marks it passes (rules-due-dates 21)."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np

from collector.domain.days import local_date, midnight
from collector.domain.intervals import Due
from config.standards import Meter
from edge.readings import BAD, Codes, Floats, Ints

HOUR_MS = 3_600_000
ONE_DAY = timedelta(days=1)
HOUR_STEP = 0.1
"""A meter of hours shows tenths, unless it is said to show less: it may seem to outrun the clock by one step."""


@dataclass(frozen=True, slots=True)
class MeterReading:
    """A usable reading of a counter: UTC ms, its value."""

    at: int
    value: float


@dataclass(frozen=True, slots=True)
class MeterPath:
    """The running meter: instants at which it grew, with its growing value.

    `last` is the last reading as the counter showed it: the next difference is taken from there.
    `flagged` are drops and leaps left out.
    """

    steps: tuple[MeterReading, ...]
    flagged: tuple[int, ...] = ()
    last: MeterReading | None = None


NO_PATH = MeterPath(())


def usable(time: Ints, value: Floats, quality: Codes) -> list[MeterReading]:
    """Good readings at which a change begins or ends, and the last one: the rest adds nothing."""
    good = (quality < BAD) & np.isfinite(value)
    t, v = time[good], value[good]
    moved = v[1:] != v[:-1]
    wanted = np.append(moved, True) | np.append(True, moved) if len(v) else good[:0]
    return [
        MeterReading(at, number)
        for at, number in zip(t[wanted].tolist(), v[wanted].tolist(), strict=True)
    ]


def running_meter(
    readings: Iterable[MeterReading],
    *,
    rolls_over_at: float | None,
    hours: bool,
    step: float = HOUR_STEP,
    before: MeterPath = NO_PATH,
    most: Callable[[int], float | None] = lambda elapsed_ms: None,
) -> MeterPath:
    """Start at the first reading (or go on from `before`) and grow by differences (rule 21).

    A rollover adds the range. `hours`: the meter counts hours of elapsed time, so it cannot grow
    faster than the clock by more than the smallest `step` it shows. Of others `most` says how much
    they can have grown in so many ms, None where nobody knows: a leap beyond it is another meter's.
    """
    steps, flagged, last = list(before.steps), list(before.flagged), before.last
    for reading in readings:
        if last is None:
            steps.append(reading)
            last = reading
            continue
        elapsed = reading.at - last.at
        limit = elapsed / HOUR_MS + max(step, HOUR_STEP) if hours else most(elapsed)
        half = None if hours or rolls_over_at is None else rolls_over_at / 2
        growth = _growth(reading.value - last.value, limit, rolls_over_at, half)
        last = reading
        if growth is None:
            flagged.append(reading.at)
        elif growth > 0:
            steps.append(MeterReading(reading.at, steps[-1].value + growth))
    return MeterPath(tuple(steps), tuple(flagged), last)


def _growth(
    difference: float, limit: float | None, rolls_over_at: float | None, half: float | None
) -> float | None:
    """How much the meter grew, at most `limit`, over a rollover at most `half` too; None for a drop or a leap that cannot be."""
    grown, bounds = difference, [limit]
    if difference < 0:
        if rolls_over_at is None:
            return None
        grown, bounds = difference + rolls_over_at, [limit, half]
    possible = grown >= 0 and all(grown <= bound for bound in bounds if bound is not None)
    return grown if possible else None


def thinned(
    path: MeterPath, instants: Collection[int], serviced: Iterable[int], zone: ZoneInfo
) -> MeterPath:
    """The same meter in few steps: the last of each local day and those that any due rests on.

    `instants` are those at which windows opened or were missed; the value at each service stays too.
    """
    steps = path.steps
    wanted = {0, *(_index_at(path, at) for at in serviced)}
    for i, step in enumerate(steps):
        ends = i + 1 == len(steps) or step.at < _day_end(step.at, zone) <= steps[i + 1].at
        if ends or step.at in instants:
            wanted.add(i)
    kept = tuple(steps[i] for i in sorted(wanted)) if steps else ()
    return MeterPath(kept, path.flagged[-100:], path.last)


def _day_end(at: int, zone: ZoneInfo) -> int:
    return midnight(local_date(at, zone) + ONE_DAY, zone)


def _index_at(path: MeterPath, at: int) -> int:
    return max(0, bisect_right(path.steps, at, key=lambda s: s.at) - 1)


def meter_dues(
    interval: Meter, path: MeterPath, serviced: Sequence[int], zone: ZoneInfo
) -> Iterator[Due]:
    """Passed marks and the next one; `serviced` are instants of services, in order.

    A floating meter yields one mark for each service on a later date than the one before (the first
    reading's date to begin with), and the open one.
    """
    if not path.steps:
        return
    first = path.steps[0].value
    if interval.floating:
        yield from _floating_marks(interval, path, serviced, zone)
        return
    mark = (first // interval.every + 1) * interval.every
    while True:
        due = _mark(interval, path, mark, zone)
        yield due
        if due.due_at is None:
            return
        mark += interval.every


def _floating_marks(
    interval: Meter, path: MeterPath, serviced: Sequence[int], zone: ZoneInfo
) -> Iterator[Due]:
    base = path.steps[0].value
    last = local_date(path.steps[0].at, zone)
    for at in serviced:
        if local_date(at, zone) > last:
            yield _mark(interval, path, base + interval.every, zone)
            base, last = path.steps[_index_at(path, at)].value, local_date(at, zone)
    yield _mark(interval, path, base + interval.every, zone)


def _mark(interval: Meter, path: MeterPath, mark: float, zone: ZoneInfo) -> Due:
    opened = _first(path, bisect_left(path.steps, mark - interval.tolerance, key=_value))
    reached = _first(path, bisect_left(path.steps, mark, key=_value))
    missed = _first(path, bisect_right(path.steps, mark + interval.tolerance, key=_value))
    due = local_date(reached, zone) if reached is not None else None
    due_at = midnight(due + ONE_DAY, zone) if due is not None else None
    early = local_date(opened, zone) if opened is not None else None
    return Due(
        key=f"mark:{mark:g}", early=early, due=due, late=None,
        early_at=opened, due_at=due_at, late_at=missed, mark=mark,
    )  # fmt: skip


def _value(step: MeterReading) -> float:
    return step.value


def _first(path: MeterPath, index: int) -> int | None:
    return path.steps[index].at if index < len(path.steps) else None
