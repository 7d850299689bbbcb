"""Report by exception: which readings are news, decided from what was last sent of each point."""

from collections.abc import Iterable, Mapping

from config.plant import Point
from edge.ports import PointReading
from edge.readings import BAD

ON_THE_WAY_MS = 2000
"""From a read to the collector's look at it: flush, broker, journal."""


def is_news(point: Point, last: PointReading | None, reading: PointReading) -> bool:
    """Whether this reading must be sent, given the last one that was.

    News is: the first reading, another quality, a value further than the deadband from the last sent
    one, and any reading after which the next (half a period late, and `ON_THE_WAY_MS` until somebody
    looks at it) would exceed the longest silence, so a silence of one period or less sends everything. The deadband is the greater
    of the absolute one and the percentage of the last sent value. The same reading again (same
    time, value and quality) is never news; one older than the last sent always is: it is history.
    """
    if last is None or reading.quality != last.quality:
        return True
    if reading.time <= last.time:
        return reading.time < last.time or reading.value != last.value
    next_known = reading.time + 1.5 * point.period_s * 1000 + ON_THE_WAY_MS
    if next_known - last.time > point.longest_silence_s * 1000:
        return True
    if reading.quality >= BAD or reading.value is None or last.value is None:
        return False
    band = max(point.deadband, abs(last.value) * point.deadband_percent / 100)
    return abs(reading.value - last.value) > band


class Deadbands:
    """What was last sent of each point. `restart` on every new connection: then all is news again."""

    def __init__(self, points: Mapping[str, Point]) -> None:
        self._points = points
        self._sent: dict[str, PointReading] = {}

    def restart(self) -> None:
        """Forget what was sent: the next reading of every point is news."""
        self._sent.clear()

    def change(self, points: Mapping[str, Point]) -> None:
        """Take other points; what was sent of one that is now another is forgotten."""
        old, self._points = self._points, points
        self._sent = {
            name: reading
            for name, reading in self._sent.items()
            if points.get(name) == old.get(name)
        }

    def news(self, readings: Iterable[PointReading]) -> list[PointReading]:
        """Those of the readings that must be sent, in order; they count as sent from now on.

        A reading of a point that the plant does not know is left out.
        """
        found: list[PointReading] = []
        for reading in readings:
            point = self._points.get(reading.point)
            last = self._sent.get(reading.point)
            if point is None or not is_news(point, last, reading):
                continue
            found.append(reading)
            if last is None or reading.time >= last.time:
                self._sent[reading.point] = reading
        return found
