"""What a reader that is not ours may tell: readings of what was asked for, in our types and bounds. Pure."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Real
from typing import Final

from config.plant import Point
from edge.decoding import UNDECODABLE, Decoded, can_be, check
from edge.payloads import LATEST_MS
from edge.ports import PointReading, ReadResult
from edge.readings import BAD, QUALITIES, QUALITY_NAMES

READINGS_MAX: Final = 20_000
"""Of one read, history included."""
FACT_MAX: Final = 500
"""Characters."""
EARLIEST_MS: Final = 100_000_000_000
"""In 1973: what is smaller is seconds, or the time of a device that has none."""


class Unsound(Exception):
    """What was told cannot be: the message says what."""


@dataclass(frozen=True, slots=True)
class Told:
    """What counts of a read; `others` are the points that it told and nobody asked for."""

    result: ReadResult
    others: tuple[object, ...]


def sound(told: object, points: Sequence[Point], now: int) -> Told:
    """What counts of what a read of these points gave; `now` (UTC ms) is that of points not told.

    A point that is not told is `no_answer`, on a lost line `link_down`. Values are judged by the
    profile's ranges. Whatever else a stranger's object raises may come out too.

    Raises:
        Unsound: a type, a quality, a time or a number of readings that no reader may tell.
    """
    if not isinstance(told, ReadResult):
        raise Unsound(f"a read gave {type(told).__name__}, no ReadResult")
    asked = {point.id: point for point in points}
    rows = list(islice(told.readings, READINGS_MAX + 1))
    if len(rows) > READINGS_MAX:
        raise Unsound(f"a read gave more than {READINGS_MAX} readings")
    readings = [_reading(asked[row.point], row) for row in rows if row.point in asked]
    facts = {asked[k].id: _fact(k, text) for k, text in told.facts.items() if k in asked}
    others = [row.point for row in rows if row.point not in asked]
    others += [key for key in told.facts if key not in asked]
    missing = QUALITIES["link_down" if told.line_lost else "no_answer"]
    known = {reading.point for reading in readings} | facts.keys()
    readings += [PointReading(id, None, missing, now) for id in asked if id not in known]
    result = ReadResult(readings, bool(told.lost), told.detail, facts, bool(told.line_lost))
    return Told(result, tuple(others))


def _reading(point: Point, row: PointReading) -> PointReading:
    quality, time = _whole(point, "quality", row.quality), _whole(point, "time", row.time)
    if quality not in QUALITY_NAMES:
        raise Unsound(f"{point.id} is told with quality {quality}, which is none")
    if not EARLIEST_MS <= time < LATEST_MS:
        raise Unsound(f"{point.id} is told of time {time}, which is not now in UTC milliseconds")
    if quality >= BAD:
        return PointReading(point.id, None, quality, time)
    value, judged = _value(point, row.value)
    return PointReading(point.id, value, judged or quality, time)


def _whole(point: Point, what: str, given: object) -> int:
    if isinstance(given, bool) or not hasattr(given, "__index__"):
        raise Unsound(f"{point.id} is told with a {what} that is {type(given).__name__}, no int")
    return operator.index(given)


def _value(point: Point, given: object) -> Decoded:
    """NaN, infinity and what a point of that kind cannot have are `undecodable`, as of any device."""
    if not isinstance(given, Real):
        raise Unsound(f"{point.id} is told with a value that is {type(given).__name__}, no float")
    value = float(given)
    return check(point, value) if can_be(point, value) else (None, UNDECODABLE)


def _fact(key: str, text: object) -> str:
    if not isinstance(text, str):
        raise Unsound(f"the fact {key} is {type(text).__name__}, no text")
    if len(text) > FACT_MAX:
        raise Unsound(f"the fact {key} is longer than {FACT_MAX} characters")
    try:
        return str.encode(text).decode()
    except UnicodeEncodeError as error:
        raise Unsound(f"the fact {key} holds what is no Unicode text") from error
