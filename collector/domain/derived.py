"""What a day's readings of one point add up to: time in a state, starts, growth of a counter, the least flow of a night."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.domain.meters import MeterReading, running_meter, usable
from config.profile import Derivation, DerivedKind
from edge.readings import BAD, QUALITIES, Codes, Floats, Ints

HOUR_MS: Final = 3_600_000
KNOWN_GOOD: Final = 0.95
"""From so much known time on a day is good; below `KNOWN_MIN` it has no value, between them it is uncertain."""
KNOWN_MIN: Final = 0.5
GOOD: Final = QUALITIES["good"]
UNSURE: Final = QUALITIES["stale_source"]
REPLACED: Final = QUALITIES["rate_implausible"]
NOTHING: Final = QUALITIES["no_answer"]
DAY_MS: Final = 24 * HOUR_MS
USUAL_DAYS_MIN: Final = 7
"""Of fewer days that it grew on nobody knows what is usual."""
LEAP_DAYS: Final = 20.0
"""A counter that grows by more than so many usual days in one step is another meter; each day of silence allows as much."""
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Course:
    """Readings of one point by time (UTC ms), from some time before `start` on and before `end`.

    Each says how it is until the next one, at most `silence_ms` long: then nobody knows.
    `window` is the part of the night (UTC ms) that a least flow is looked for in. Of a counter: `earlier`
    is its last reading before all of these, for where none of them is from before `start`; it cannot grow faster than
    `rate_max` (unit per second), and grows by `usual_day` on a usual day. None: nobody knows.
    """

    time: Ints
    value: Floats
    quality: Codes
    start: int
    end: int
    silence_ms: int
    window: tuple[int, int]
    rolls_over_at: float | None = None
    rate_max: float | None = None
    usual_day: float | None = None
    earlier: MeterReading | None = None

    def known(self) -> Flags:
        """Which readings have a value."""
        return (self.quality < BAD) & np.isfinite(self.value)

    def is_known_at(self, instant: int) -> bool:
        """Whether a reading of before (UTC ms) still says how it is then."""
        time = self.time[self.known()]
        return bool(((time < instant) & (time >= instant - self.silence_ms)).any())

    def lasts(self, start: int, end: int) -> Ints:
        """How long each reading holds within start ≤ t < end, ms; 0 for those without a value."""
        after = np.append(self.time[1:], end)
        until = np.minimum(np.minimum(after, self.time + self.silence_ms), end)
        lasts = np.maximum(until - np.maximum(self.time, start), 0)
        return np.where(self.known(), lasts, 0)


@dataclass(frozen=True, slots=True)
class Derived:
    """One day's value (NaN: none) with its quality."""

    value: float
    quality: int


NO_DAY: Final = Derived(float("nan"), NOTHING)


def derived(what: Derivation, course: Course) -> Derived:
    """The day's value: a function of its readings alone, so that it is the same whenever it is computed."""
    return _KINDS[what.kind](what, course)


def _time_in(what: Derivation, course: Course) -> Derived:
    """Hours in one of the states, of the time that is known."""
    lasts = course.lasts(course.start, course.end)
    within = int(lasts[_is_in(what, course)].sum())
    return _judged(within / HOUR_MS, int(lasts.sum()) / (course.end - course.start))


def _share_in(what: Derivation, course: Course) -> Derived:
    """Percent of the known time in one of the states."""
    lasts = course.lasts(course.start, course.end)
    known = int(lasts.sum())
    if not known:
        return NO_DAY
    share = 100 * int(lasts[_is_in(what, course)].sum()) / known
    return _judged(share, known / (course.end - course.start))


def _starts(what: Derivation, course: Course) -> Derived:
    """How often one of the states was entered from another one; over a gap at most once."""
    known = course.known()
    within, time = _is_in(what, course)[known], course.time[known]
    entered = within[1:] & ~within[:-1] & (time[1:] >= course.start)
    share = int(course.lasts(course.start, course.end).sum()) / (course.end - course.start)
    return _judged(float(entered.sum()), share)


def _growth(_what: Derivation, course: Course) -> Derived:
    """How much a counter grew from its last reading of before to its last of the day, over rollovers.

    What a replacement took away or added is left out, and makes the day `rate_implausible`. A day is uncertain
    that begins or ends in silence: nobody knows what of the growth belongs to the next one.
    """
    readings = usable(course.time, course.value, course.quality)
    within = [reading for reading in readings if reading.at >= course.start]
    before = [reading for reading in readings if reading.at < course.start][-1:]
    if not before and course.earlier is not None:
        before = [course.earlier]
    if not within:
        return NO_DAY
    path = running_meter(
        before + within,
        rolls_over_at=course.rolls_over_at,
        hours=False,
        most=partial(_most, course),
    )
    grown = path.steps[-1].value - path.steps[0].value
    sure = course.is_known_at(course.start) and course.is_known_at(course.end)
    return Derived(grown, REPLACED if path.flagged else GOOD if sure else UNSURE)


def _most(course: Course, elapsed_ms: int) -> float | None:
    """How much the counter can have grown; a device may show an hour's growth at once, and a day's work may be one step."""
    if course.rate_max is not None:
        return course.rate_max * max(elapsed_ms, HOUR_MS) / 1000
    if course.usual_day is not None:
        return LEAP_DAYS * course.usual_day * max(1.0, elapsed_ms / DAY_MS)
    return None


def usual_day(time: Ints, last: Floats) -> float | None:
    """By how much a counter grows on the median of the days it grows on, from its last values of whole days (begins, UTC ms).

    None where it grew on too few.
    """
    there = np.isfinite(last)
    next_day = np.diff(time[there]) == DAY_MS
    grown = np.diff(last[there])[next_day]
    grown = grown[grown > 0]
    return float(np.median(grown)) if len(grown) >= USUAL_DAYS_MIN else None


def _night_minimum(what: Derivation, course: Course) -> Derived:
    """The least mean of a slot in the window, weighted by time; of slots that are known for the most part."""
    first, last = course.window
    width = round(what.over_s * 1000)
    means = []
    for start in range(first, last - width + 1, width):
        lasts = course.lasts(start, start + width)
        known = int(lasts.sum())
        if known >= KNOWN_GOOD * width:
            means.append(float((np.where(lasts > 0, course.value, 0.0) * lasts).sum()) / known)
    slots = max(1, (last - first) // width)
    return _judged(min(means), len(means) / slots) if means else NO_DAY


def _is_in(what: Derivation, course: Course) -> Flags:
    return np.isin(course.value, sorted(what.states)) & course.known()


def _judged(value: float, known: float) -> Derived:
    """A value by how much of the time it stands on is known (0..1)."""
    if known < KNOWN_MIN:
        return NO_DAY
    return Derived(value, GOOD if known >= KNOWN_GOOD else UNSURE)


_KINDS: Mapping[DerivedKind, Callable[[Derivation, Course], Derived]] = {
    "time_in": _time_in, "share_in": _share_in, "starts": _starts, "growth": _growth,
    "night_minimum": _night_minimum,
}  # fmt: skip
