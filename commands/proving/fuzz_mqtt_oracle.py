"""What a correct receiver may take from a device's JSON: written apart from the edge, with the standard library's reader."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from config.plant import Point
from config.profile import JsonPath, Path

BYTES_MAX: Final = 256 * 1024
YEAR_10000_MS: Final = 253_402_300_800_000
NOTHING: Final = object()


@dataclass(frozen=True, slots=True)
class Says:
    """One value that a payload says of a point; `times` are the instants (UTC ms) that it may have, none
    where the payload says none. `good` is False where it says a time that is none.
    """

    value: float
    times: frozenset[int]
    good: bool = True


def says(point: Point, source: JsonPath, unit: str, payload: bytes) -> list[Says]:
    """Every value of the point in the payload."""
    whole = read(payload)
    if whole is NOTHING:
        return []
    if source.error_path and _at(whole, source.error_path, unit) not in (None, NOTHING):
        return []
    found = []
    for place in _places(whole, source.path, unit):
        raw = _at(whole, _of(source.path, place), unit)
        told = [_word(_at(whole, _of(at, place), unit)) == word for at, word in source.expects]
        value = _number(point, source, raw)
        if value is not None and all(told):
            found.append(_timed(source, whole, place, unit, value))
    return found


def read(payload: bytes) -> Any:
    """The JSON value, or else the text; `NOTHING` of what is neither."""
    if len(payload) > BYTES_MAX:
        return NOTHING
    try:
        text = payload.decode("utf-8-sig").rstrip("\0")  # without a mark before it
    except UnicodeDecodeError:
        return NOTHING
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        word = text.strip()
        return word if word and word[0] not in "{[" else NOTHING


def _refuse(name: str) -> float:
    raise ValueError(name)


def _places(whole: Any, path: Path, unit: str) -> Iterator[int | None]:
    if "[*]" not in path:
        yield None
        return
    rows = _at(whole, path[: path.index("[*]")], unit)
    yield from range(len(rows)) if isinstance(rows, list) else ()


def _of(path: Path, place: int | None) -> Path:
    return tuple(place if step == "[*]" and place is not None else step for step in path)


def _at(here: Any, path: Path, unit: str) -> Any:
    for step in path:
        here = _below(here, step.replace("{unit}", unit) if isinstance(step, str) else step)
    return here


def _below(here: Any, step: str | int) -> Any:
    if isinstance(here, dict):
        return here.get(step, NOTHING)
    if not isinstance(here, list):
        return NOTHING
    if isinstance(step, int):
        return here[step] if step < len(here) else NOTHING
    key, is_choice, word = step.strip("[]").partition("=")
    chosen = [row for row in here if isinstance(row, dict) and _word(row.get(key)) == word]
    return chosen[0] if is_choice and chosen else NOTHING


def _word(raw: Any) -> str:
    if raw is True or raw is False:
        return str(raw).lower()
    whole = isinstance(raw, float) and math.isfinite(raw) and raw == int(raw)
    return str(int(raw)) if whole else str(raw)


def _number(point: Point, source: JsonPath, raw: Any) -> float | None:
    two = point.kind in ("flag", "state")
    if source.text and isinstance(raw, str):
        raw = _number_in(raw)
    if source.values is not None:
        number = source.values.get(_word(raw)) if isinstance(raw, bool | int | float | str) else None  # fmt: skip
    elif isinstance(raw, bool):
        number = float(raw) if two else None
    elif isinstance(raw, int):
        number = float(raw) if abs(raw) <= 2**53 else None
    else:
        number = raw if isinstance(raw, float) and math.isfinite(raw) else None
    if number is None:
        return None
    value = number * source.scale + source.offset
    low, high = (0.0, 1.0) if point.kind == "flag" else point.range or (-math.inf, math.inf)
    whole = not two or (math.isfinite(value) and value == int(value))
    return value if math.isfinite(value) and low <= value <= high and whole else None


def _number_in(text: str) -> Any:
    try:
        inner = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return None if isinstance(inner, bool) else inner


def _timed(source: JsonPath, whole: Any, place: int | None, unit: str, value: float) -> Says:
    if not source.time_path:
        return Says(value, frozenset())
    try:
        times = _instants(_at(whole, _of(source.time_path, place), unit), source.zone)
    except (ValueError, OverflowError, TypeError):
        return Says(value, frozenset(), good=False)
    return Says(value, times)


def _instants(raw: Any, zone: str) -> frozenset[int]:
    """The instants that a time may mean; a local one without zone means none."""
    if isinstance(raw, str):
        moment = datetime.fromisoformat(raw.strip())
        if moment.tzinfo is None and not zone:
            return frozenset()
        if moment.tzinfo is None:
            moments = [moment.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
        else:
            moments = [moment]
        return _sane(*(one.timestamp() * 1000 for one in moments))
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise TypeError(raw)
    return _sane(raw * 1000 if raw < 1e11 else raw if raw < 1e14 else raw / 1000)


def _sane(*ms: float) -> frozenset[int]:
    if not all(0 < one < YEAR_10000_MS for one in ms):
        raise ValueError(ms)
    return frozenset(round(one) for one in ms)
