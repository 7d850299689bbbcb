"""Report by exception: which readings are news, decided from what was last sent of each point."""

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from config.plant import Point
from edge.point_table import PointTable
from edge.ports import PointReading
from edge.readings import BAD

_NOTHING: Final = 0xFF
"""In place of a quality: nothing was sent."""


Sent = tuple[int, float | None, int]
"""Time (UTC ms), value and quality of what was sent."""


class News(NamedTuple):
    """Readings that must be sent, in order, and for how many seconds: only what says again what was sent may wait, until
    `ON_THE_WAY_S` before its point has been silent too long.
    """

    readings: list[PointReading]
    wait_s: float


def is_news(point: Point, last: Sent | None, reading: PointReading) -> bool:
    """Whether this reading must be sent, given the last one that was.

    News is: the first reading, another quality, a value further than the deadband from the last sent
    one, and any reading after which the next (half a period late, and `config.plant.ON_THE_WAY_S` until somebody
    looks at it) would exceed the longest silence, so a silence of one period or less sends everything. The deadband is the greater
    of the absolute one and the percentage of the last sent value. The same reading again (same
    time, value and quality) is never news; one older than the last sent always is: it is history.
    """
    if last is None:
        return True
    spec, (time, value, quality) = point.spec, last
    if reading.quality != quality:
        return True
    if reading.time <= time:
        return reading.time < time or reading.value != value
    if reading.quality < BAD and reading.value is not None and value is not None:
        band = max(spec.deadband, abs(value) * spec.deadband_percent / 100)
        if abs(reading.value - value) > band:
            return True
    return reading.time - time > spec.quiet_ms


class Deadbands:
    """What was last sent of each point, in columns by its index. `restart` on every new connection: then all is news again."""

    def __init__(self, table: PointTable) -> None:
        self._table = PointTable()
        self._time, self._value, self._quality = array("q"), array("d"), bytearray()
        self.change(table)

    def restart(self) -> None:
        """Forget what was sent: the next reading of every point is news."""
        self._quality = bytearray([_NOTHING]) * len(self._quality)

    def change(self, table: PointTable) -> None:
        """Take the table that it has grown to; what was sent of a point that is now another is forgotten."""
        old, self._table = self._table.points, table
        for index, (before, point) in enumerate(zip(old, table.points, strict=False)):
            if before != point:
                self._quality[index] = _NOTHING
        new = len(table.points) - len(old)
        # made anew, for `extend` keeps room for a sixteenth more
        self._time = self._time + array("q", [0]) * new
        self._value = self._value + array("d", [0.0]) * new
        self._quality += bytearray([_NOTHING]) * new

    def news(self, readings: Sequence[PointReading]) -> News:
        """Those of the readings that must be sent; they count as sent from now on.

        A reading of a point that the plant does not know is left out.
        """
        points, places = self._table.points, self._places(readings)
        times, values, qualities = self._time, self._value, self._quality
        found: list[PointReading] = []
        wait_ms = math.inf
        for index, reading in zip(places, readings, strict=True):
            point = points[index] if index >= 0 else None
            if point is None:
                continue
            same = reading.value == values[index] and reading.quality == qualities[index]
            if same and 0 <= reading.time - times[index] <= point.spec.quiet_ms:
                continue  # most, at rest: `is_news` would say the same at four times the cost
            last = self._sent(index)
            if is_news(point, last, reading):
                found.append(reading)
                wait_ms = (
                    min(wait_ms, times[index] + point.spec.patient_ms - reading.time)
                    if same
                    else 0.0
                )
                if last is None or reading.time >= last[0]:
                    self._keep(index, reading)
        return News(found, max(0.0, wait_ms / 1000))

    def quiet_s(self, readings: Sequence[PointReading]) -> float:
        """For how many seconds these good readings, just looked at, are no news if they come again, by the time they tell.

        0 where not only what was sent says whether they can be true, and where one is older than what was sent, the clock
        having been set back: such are news each time.
        """
        points, times, quiet_ms = self._table.points, self._time, math.inf
        for index, reading in zip(self._places(readings), readings, strict=True):
            point = points[index] if index >= 0 else None
            if point is None:
                continue
            spec, age_ms = point.spec, reading.time - times[index]
            if age_ms < 0 or spec.rate_max is not None or spec.frozen_after_s is not None:
                return 0.0
            quiet_ms = min(quiet_ms, spec.quiet_ms - age_ms)
        return max(0.0, quiet_ms / 1000)

    def _places(self, readings: Iterable[PointReading]) -> Sequence[int]:
        return self._table.places([reading.point for reading in readings])

    def _sent(self, index: int) -> Sent | None:
        quality = self._quality[index]
        if quality == _NOTHING:
            return None
        value = self._value[index]
        known = value if value == value else None  # NaN stands for no value
        return self._time[index], known, quality

    def _keep(self, index: int, reading: PointReading) -> None:
        self._time[index], self._quality[index] = reading.time, reading.quality
        self._value[index] = math.nan if reading.value is None else reading.value
