"""Whether a value can be true: not by its range but by how it moves, or does not."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from config.plant import Point
from edge.ports import PointReading
from edge.readings import QUALITIES

GOOD: Final = QUALITIES["good"]
FROZEN: Final = QUALITIES["frozen"]
RATE_IMPLAUSIBLE: Final = QUALITIES["rate_implausible"]
SET_BACK_MS: Final = 60_000
"""What is older than the last by no more than this is history, whatever follows it."""
SET_BACK_READINGS: Final = 3
"""So many that are older, each newer than the one before, may be of a clock that was set."""
HISTORY_PACE: Final = 1.5
"""Times that go on so much faster than the readings come are history that is sent afterwards."""
SET_FORWARD_MS: Final = 60_000
"""Times that are further ahead of their arrival than any before, by more than this, are of a clock that was set forward."""


@dataclass(slots=True)
class _Older:
    """Readings in a row that are older than the newest: how many, the time of the last, and the first's time and arrival."""

    count: int
    last: int
    first: int
    first_came_s: float


@dataclass(slots=True)
class _Seen:
    """What was last read of a point: the last value, the last that was believed, and since when it is the same."""

    value: float
    time: int
    believed: float
    believed_at: int
    same_since: int | None
    """None where something else than a good value lay between."""
    ahead_ms: int
    """The most that a reading's time was ahead of the monotonic clock when it came."""
    leapt_s: float
    """When the first came, or the last that was ahead by more than all before it: what comes with it is as late as it is old."""
    older: _Older | None = None


class Plausibility:
    """Remembers how points move.

    `rate_implausible`: the value left both the last reading and the last one believed faster than
    `rate_max` (per second) allows. So a spike is doubted once and what follows it is not; a step is
    doubted once, and believed when the next reading confirms it. `frozen`: a value that never moved
    by the least for `frozen_after_s`, and was seen all that time. Only what is good otherwise is
    doubted; the value stays. Two readings less than half a period apart are taken as half a period.
    What a clock is set forward by is no time for which the value was seen.

    A reading older than the newest is history and says nothing of now. Where only such come, and their
    times go on at the pace of their arrival, the clock was set back: then all begins anew.
    """

    def __init__(self, points: Iterable[Point]) -> None:
        self._seen: dict[str, _Seen] = {}
        self._points: dict[str, Point] = {}
        self.change(points)

    def change(self, points: Iterable[Point]) -> None:
        """Take other points; what was seen of one that is now another is forgotten."""
        old = self._points
        self._points = {
            point.id: point
            for point in points
            if point.rate_max is not None or point.frozen_after_s is not None
        }
        self._seen = {k: seen for k, seen in self._seen.items() if old[k] == self._points.get(k)}

    def judged(self, readings: Iterable[PointReading], monotonic: float) -> list[PointReading]:
        """The same readings in the same order, those that cannot be true with their reason.

        `monotonic`: when they came, in seconds of a clock that nobody sets.
        """
        if not self._points:
            return list(readings)
        return [
            self._judged(self._points[reading.point], reading, monotonic)
            if reading.point in self._points
            else reading
            for reading in readings
        ]

    def _judged(self, point: Point, reading: PointReading, monotonic: float) -> PointReading:
        value, seen = reading.value, self._seen.get(reading.point)
        ahead_ms = reading.time - round(monotonic * 1000)
        if value is None or reading.quality != GOOD:
            if seen is not None and reading.time > seen.time:
                seen.same_since = None
            return reading
        if seen is None or _clock_was_set(seen, reading.time, monotonic):
            self._seen[reading.point] = _Seen(
                value, reading.time, value, reading.time, reading.time, ahead_ms, monotonic
            )
            return reading
        if reading.time <= seen.time:
            return reading
        seen.older = None
        _look_whether_it_moved(seen, value, reading.time, ahead_ms, monotonic)
        reason = _reason(point, seen, value, reading.time)
        seen.value, seen.time = value, reading.time
        seen.ahead_ms = max(seen.ahead_ms, ahead_ms)
        if reason != RATE_IMPLAUSIBLE:
            seen.believed, seen.believed_at = value, reading.time
        return structs.replace(reading, quality=reason) if reason != GOOD else reading


def _look_whether_it_moved(
    seen: _Seen, value: float, time: int, ahead_ms: int, monotonic: float
) -> None:
    """Since when the value is the same, of which what the clock was set forward by does not count."""
    leaps = ahead_ms - seen.ahead_ms > SET_FORWARD_MS
    if value != seen.value or seen.same_since is None:
        seen.same_since = time
    elif leaps and monotonic > seen.leapt_s:
        seen.same_since += ahead_ms - seen.ahead_ms
    if leaps:
        seen.leapt_s = monotonic


def _clock_was_set(seen: _Seen, time: int, monotonic: float) -> bool:
    """Whether this reading, taken up among the older ones if it is, is of a clock that was set back."""
    if time >= seen.time - SET_BACK_MS:
        return False
    older = seen.older
    if older is None or time <= older.last:
        seen.older = _Older(1, time, time, monotonic)
        return False
    older.count, older.last = older.count + 1, time
    lasted_s = monotonic - older.first_came_s
    return older.count >= SET_BACK_READINGS and time - older.first <= HISTORY_PACE * lasted_s * 1000


def _reason(point: Point, seen: _Seen, value: float, time: int) -> int:
    if point.rate_max is not None:
        too_fast = (
            _rate(point, value - before, time - at) > point.rate_max
            for before, at in ((seen.value, seen.time), (seen.believed, seen.believed_at))
        )
        if all(too_fast):
            return RATE_IMPLAUSIBLE
    since = time if seen.same_since is None else seen.same_since
    if point.frozen_after_s is not None and time - since >= point.frozen_after_s * 1000:
        return FROZEN
    return GOOD


def _rate(point: Point, change: float, lasted_ms: int) -> float:
    """Units per second; a counter that rolled over has gone on upwards."""
    if change < 0 and point.rolls_over_at is not None:
        change += point.rolls_over_at
    return abs(change) / max(lasted_ms / 1000, point.period_s / 2)
