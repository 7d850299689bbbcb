"""Report by exception: which readings are news, decided from what was last sent of each point."""

from array import array
from collections.abc import Iterable
from math import isnan, nan
from typing import Final

from config.plant import Point
from edge.point_table import PointTable
from edge.ports import PointReading
from edge.readings import BAD

ON_THE_WAY_MS = 2000
"""From a read to the collector's look at it: flush, broker, journal."""
_NOTHING: Final = 0xFF
"""In place of a quality: nothing was sent."""


def is_news(point: Point, last: PointReading | None, reading: PointReading) -> bool:
    """Whether this reading must be sent, given the last one that was.

    News is: the first reading, another quality, a value further than the deadband from the last sent
    one, and any reading after which the next (half a period late, and `ON_THE_WAY_MS` until somebody
    looks at it) would exceed the longest silence, so a silence of one period or less sends everything. The deadband is the greater
    of the absolute one and the percentage of the last sent value. The same reading again (same
    time, value and quality) is never news; one older than the last sent always is: it is history.
    """
    spec = point.spec
    if last is None or reading.quality != last.quality:
        return True
    if reading.time <= last.time:
        return reading.time < last.time or reading.value != last.value
    next_known = reading.time + 1.5 * spec.period_s * 1000 + ON_THE_WAY_MS
    if next_known - last.time > spec.longest_silence_s * 1000:
        return True
    if reading.quality >= BAD or reading.value is None or last.value is None:
        return False
    band = max(spec.deadband, abs(last.value) * spec.deadband_percent / 100)
    return abs(reading.value - last.value) > band


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
        self._time.extend(array("q", [0]) * new)
        self._value.extend(array("d", [0.0]) * new)
        self._quality.extend(bytearray([_NOTHING]) * new)

    def news(self, readings: Iterable[PointReading]) -> list[PointReading]:
        """Those of the readings that must be sent, in order; they count as sent from now on.

        A reading of a point that the plant does not know is left out.
        """
        found: list[PointReading] = []
        for reading in readings:
            index = self._table.index.get(reading.point)
            point = None if index is None else self._table.points[index]
            if index is None or point is None:
                continue
            last = self._sent(index, reading.point)
            if not is_news(point, last, reading):
                continue
            found.append(reading)
            if last is None or reading.time >= last.time:
                self._keep(index, reading)
        return found

    def _sent(self, index: int, point: str) -> PointReading | None:
        quality, value = self._quality[index], self._value[index]
        if quality == _NOTHING:
            return None
        return PointReading(point, None if isnan(value) else value, quality, self._time[index])

    def _keep(self, index: int, reading: PointReading) -> None:
        self._time[index], self._quality[index] = reading.time, reading.quality
        self._value[index] = nan if reading.value is None else reading.value
