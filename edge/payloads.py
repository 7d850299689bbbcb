"""What a device's JSON payload says about one point: pure, whatever the payload holds."""

import math
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from config.plant import Point
from config.profile import JsonPath, Kind, Path
from edge.decoding import LARGEST_INTEGER, UNDECODABLE, Decoded, can_be, check
from edge.ports import PointReading
from edge.readings import QUALITIES

PAYLOAD_BYTES_MAX: Final = 256 * 1024
ENTRIES_MAX: Final = 10_000
"""Entries of a list that are read for one point, at 10 to 30 us each: what fits into a payload if each has value and time."""
LATEST_MS: Final = 253_402_300_800_000
"""The year 10000: a time from here on is no time."""
_MS_FROM: Final = 1e11
_US_FROM: Final = 1e14
"""Unix times this large are milliseconds, or microseconds: the year 5138 in the smaller unit."""


class Absent(Exception):
    """There is nothing at that path in this message."""


class Unreadable(Exception):
    """A payload, or the way to a value in it, is not what the profile says."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a reading was made, UTC ms, and whether the device itself said so."""

    ms: int
    by_device: bool
    quality: int = 0


@lru_cache(maxsize=16)  # one payload serves all points of its device
def parse(payload: bytes) -> Any:
    """The JSON value; a payload that is not JSON is its own text (`ON`, `21.5 C`).

    A byte order mark before it and NULs behind it are not part of it.

    Raises:
        Absent: empty, which clears what is retained on a topic.
        Unreadable: too long, not UTF-8, too deep, or begun as an object or list and not ended.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise Unreadable(f"{len(payload)} bytes")
    payload = payload.removeprefix(BOM_UTF8).rstrip(b"\0")
    if not payload:
        raise Absent
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        try:
            text = payload.decode().strip()
        except UnicodeDecodeError:
            raise Unreadable("not UTF-8") from error
        if not text or text[0] in "{[":
            raise Unreadable(str(error)) from error
        return text


def places(path: Path, unit: str, message: Any) -> Iterator[tuple[Path, int | None]]:
    """The path with the unit filled in, once for each entry where it says `[*]` (with its place).

    Raises:
        Absent: there is no list at `[*]`.
        Unreadable: something else stands there.
    """
    filled = with_unit(path, unit)
    if "[*]" not in filled:
        yield filled, None
        return
    at = filled.index("[*]")
    entries = find(message, filled[:at])
    if not isinstance(entries, list):
        raise Unreadable("no list where the profile says [*]")
    for place in range(len(entries)):
        yield (*filled[:at], place, *filled[at + 1 :]), place


def with_unit(path: Path, unit: str) -> Path:
    """The path with `{unit}` filled in."""
    return tuple(s.replace("{unit}", unit) if isinstance(s, str) else s for s in path)


def find(message: Any, path: Path) -> Any:
    """What stands at a path without `[*]`.

    Raises:
        Absent: a key or place is not there.
        Unreadable: the way leads through something that is no object or list.
    """
    for step in path:
        message = _step(message, step)
    return message


def _step(message: Any, step: str | int) -> Any:
    if isinstance(step, int):
        if not isinstance(message, list):
            raise Unreadable(f"no list at place {step}")
        if not -len(message) <= step < len(message):
            raise Absent
        return message[step]
    if step.startswith("[") and step.endswith("]") and "=" in step:
        return _entry(message, *step[1:-1].split("=", 1))
    if not isinstance(message, dict):
        raise Unreadable(f"no object at {step!r}")
    if step not in message:
        raise Absent
    return message[step]


def _entry(message: Any, key: str, text: str) -> Any:
    if not isinstance(message, list):
        raise Unreadable(f"no list with {key}={text}")
    for entry in message:
        if isinstance(entry, dict) and _as_text(entry.get(key)) == text:
            return entry
    raise Absent


def _as_text(value: Any) -> str:
    """As a key of the value map: JSON's own `true` and `false`, whole numbers without a point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def value_of(point: Point, source: JsonPath, raw: Any) -> Decoded:
    """Value and quality of what stood at the path.

    null is `sensor_fault`: the device says that it has none. Wrong types, words that the value map
    does not know, integers beyond 2^53 and numbers that are no state or flag are `undecodable`.
    """
    if raw is None:
        return None, QUALITIES["sensor_fault"]
    number = _number(source, point.kind, raw)
    if number is None:
        return None, UNDECODABLE
    if source.scale != 1.0 or source.offset != 0.0:
        number = number * source.scale + source.offset
    if not can_be(point, number):
        return None, UNDECODABLE
    return check(point, number)


def _number(source: JsonPath, kind: Kind, raw: Any) -> float | None:
    if source.values is not None:
        known = (
            source.values.get(_as_text(raw)) if isinstance(raw, bool | int | float | str) else None
        )
        return None if known is None else float(known)
    if source.text and isinstance(raw, str):
        raw = _written(raw)
    if isinstance(raw, bool) and kind not in ("flag", "state"):
        return None  # true is no measurement of 1
    if isinstance(raw, bool | int):
        return float(raw) if abs(raw) <= LARGEST_INTEGER else None
    return raw if isinstance(raw, float) and math.isfinite(raw) else None


def _written(text: str) -> int | float | None:
    """The JSON number that a text is; None if it is anything else."""
    try:
        number = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return number if isinstance(number, int | float) and not isinstance(number, bool) else None


def stamp_of(
    source: JsonPath, unit: str, message: Any, place: int | None, received_ms: int
) -> Stamp:
    """When the device says that it read the value.

    Unix seconds, milliseconds or microseconds, or ISO 8601; a time without offset is in the profile's
    zone. Without `time_path`, and for a time whose zone nobody knows, the time of arrival counts; where
    something else stands at the path it counts too, and the reading is `clock_suspect`.
    """
    if not source.time_path:
        return Stamp(received_ms, by_device=False)
    try:
        ms = instant(find(message, _at(source.time_path, unit, place)), source.zone, received_ms)
    except (Absent, Unreadable, ValueError, OverflowError):
        return Stamp(received_ms, by_device=False, quality=QUALITIES["clock_suspect"])
    return Stamp(received_ms if ms is None else ms, by_device=ms is not None)


def _at(path: Path, unit: str, place: int | None) -> Path:
    """The path with the unit filled in, at the entry that is meant by `[*]`."""
    return with_unit(tuple(place if s == "[*]" and place is not None else s for s in path), unit)


def instant(raw: Any, zone: str = "", near_ms: int = 0) -> int | None:
    """UTC ms of Unix seconds, milliseconds or microseconds, or of ISO 8601.

    None for a local time whose zone nobody knows; of one that comes twice, that nearer to `near_ms`.

    Raises:
        ValueError: it is no time.
        OverflowError: it is beyond all times.
    """
    if isinstance(raw, str):
        moment = datetime.fromisoformat(raw.strip())
        if moment.tzinfo is None and not zone:
            return None
        ms = _utc_ms(moment, zone, near_ms)
    elif isinstance(raw, int | float) and not isinstance(raw, bool):
        ms = round(raw * 1000 if raw < _MS_FROM else raw if raw < _US_FROM else raw / 1000)
    else:
        raise ValueError(f"{raw!r} is no time")
    if not 0 < ms < LATEST_MS:
        raise ValueError(f"{ms} is no time")
    return ms


def _utc_ms(moment: datetime, zone: str, near_ms: int) -> int:
    """An hour that a zone has twice is the one nearer to `near_ms`."""
    if moment.tzinfo is not None:
        return round(moment.timestamp() * 1000)
    local = moment.replace(tzinfo=ZoneInfo(zone))
    both = (round(local.replace(fold=fold).timestamp() * 1000) for fold in (0, 1))
    return min(both, key=lambda ms: abs(ms - near_ms))


def word_at(payload: bytes, path: Path, unit: str) -> str | None:
    """What stands at a path of a payload, as a word of the value map; None if nothing does."""
    try:
        return _as_text(find(parse(payload), with_unit(path, unit)))
    except (Absent, Unreadable):
        return None


def readings_of(
    point: Point, unit: str, payload: bytes, received_ms: int
) -> Iterator[tuple[PointReading, Stamp]]:
    """Every reading of the point in one payload, in its order; none if it is not spoken of.

    A payload that cannot be read gives one `undecodable` reading at its arrival.
    """
    source = point.source
    if not isinstance(source, JsonPath):
        raise TypeError(f"{point.id} is not in a payload")
    arrival = Stamp(received_ms, by_device=False)
    try:
        message = parse(payload)
        if source.error_path and _said(message, with_unit(source.error_path, unit)):
            refused = PointReading(point.id, None, QUALITIES["device_refused"], received_ms)
            yield refused, arrival
            return
        yield from _each(point, source, unit, message, received_ms)
    except Absent:
        return
    except Unreadable:
        yield PointReading(point.id, None, UNDECODABLE, received_ms), arrival


def _said(message: Any, path: Path) -> bool:
    try:
        return find(message, path) is not None
    except (Absent, Unreadable):
        return False


def _says(message: Any, path: Path, word: str) -> bool:
    try:
        return _as_text(find(message, path)) == word
    except (Absent, Unreadable):
        return False


def _each(
    point: Point, source: JsonPath, unit: str, message: Any, received_ms: int
) -> Iterator[tuple[PointReading, Stamp]]:
    found = list(places(source.path, unit, message))
    if len(found) > ENTRIES_MAX:
        raise Unreadable(f"{len(found)} entries")
    for path, place in found:
        try:
            raw = find(message, path)
        except Absent:
            continue
        value, quality = value_of(point, source, raw)
        if not all(_says(message, _at(at, unit, place), word) for at, word in source.expects):
            value, quality = None, UNDECODABLE
        stamp = stamp_of(source, unit, message, place, received_ms)
        yield PointReading(point.id, value, quality or stamp.quality, stamp.ms), stamp
