"""Whether a value can be true: not by its range but by how it moves, or does not."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from config.plant import Point
from edge.ports import PointReading
from edge.readings import QUALITIES

GOOD: Final = QUALITIES["good"]
FROZEN: Final = QUALITIES["frozen"]
RATE_IMPLAUSIBLE: Final = QUALITIES["rate_implausible"]
SET_BACK_MS: Final = 60_000
"""What is older than the last by more than this is no history: the clock was set."""


@dataclass(slots=True)
class _Seen:
    """What was last read of a point: the last value, the last that was believed, and since when it is the same."""

    value: float
    time: int
    believed: float
    believed_at: int
    same_since: int | None
    """None where something else than a good value lay between."""


class Plausibility:
    """Remembers how points move.

    `rate_implausible`: the value left both the last reading and the last one believed faster than
    `rate_max` (per second) allows. So a spike is doubted once and what follows it is not; a step is
    doubted once, and believed when the next reading confirms it. `frozen`: a value that never moved
    by the least for `frozen_after_s`, and was seen all that time. Only what is good otherwise is
    doubted; the value stays. Two readings less than half a period apart are taken as half a period.
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

    def judged(self, readings: Iterable[PointReading]) -> list[PointReading]:
        """The same readings in the same order, those that cannot be true with their reason."""
        return [
            self._judged(self._points[reading.point], reading)
            if reading.point in self._points
            else reading
            for reading in readings
        ]

    def _judged(self, point: Point, reading: PointReading) -> PointReading:
        value, seen = reading.value, self._seen.get(reading.point)
        if value is None or reading.quality != GOOD:
            if seen is not None:
                seen.same_since = None
            return reading
        if seen is None or reading.time < seen.time - SET_BACK_MS:
            self._seen[reading.point] = _Seen(
                value, reading.time, value, reading.time, reading.time
            )
            return reading
        if reading.time <= seen.time:
            return reading  # history says nothing of now
        if value != seen.value or seen.same_since is None:
            seen.same_since = reading.time
        reason = _reason(point, seen, value, reading.time)
        seen.value, seen.time = value, reading.time
        if reason != RATE_IMPLAUSIBLE:
            seen.believed, seen.believed_at = value, reading.time
        return replace(reading, quality=reason) if reason != GOOD else reading


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
