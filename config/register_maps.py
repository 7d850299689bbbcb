"""A maker's list of registers, as a file gave it: what may stand in a row, checked, not yet a profile."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from config.mistakes import Mistakes
from config.register_words import says_scale

TABLES: Final = ("holding", "input", "coil", "discrete")
TYPES: Final = (
    "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bcd16", "bcd32", "string", "bit",
)  # fmt: skip
KINDS: Final = ("measurement", "counter", "state", "flag")
WHOLE_MAX: Final = 2**64
POINTS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """One register of the list. `where` is its place in the file; `fields` as in `FIELDS`."""

    where: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """A whole list. `device` and `about` are free facts, `unused` names what the file says beside, `assumed` what it does not say."""

    id: str
    device: Mapping[str, str]
    rows: Sequence[Row]
    about: Mapping[str, Any] = field(default_factory=dict)
    unused: Sequence[str] = ()
    assumed: Sequence[str] = ()


Check = Callable[[Any], str]
"""What is wrong with a value, "" for nothing."""


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else f"{_short(value)} is not a text"


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else f"{_short(value)} is not true or false"


def _number(value: Any) -> str:
    sound = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return "" if sound else f"{_short(value)} is not a finite number"


def _whole(first: int, last: int) -> Check:
    def check(value: Any) -> str:
        sound = type(value) is int and first <= value <= last
        if isinstance(value, str):
            return f"{_short(value)} is a text; allowed: a whole number in {first}..{last}, decimal, addresses from 0"  # fmt: skip
        return "" if sound else f"{_short(value)} is not in {first}..{last}"

    return check


def _exponent(value: Any) -> str:
    """The id of a row that holds a power of ten, or that power itself."""
    return "" if isinstance(value, str) or type(value) is int else f"{_short(value)} is not the id of a row or a whole number"  # fmt: skip


def _one_of(*allowed: str) -> Check:
    return lambda value: "" if value in allowed else f"{_short(value)} is not one of {', '.join(allowed)}"  # fmt: skip


def _order(value: Any) -> str:
    sound = value is None or (isinstance(value, str) and re.fullmatch("[A-H]{2,8}", value))
    return "" if sound else f"{_short(value)} is not an order such as ABCD or CDAB"


def _sentinels(value: Any) -> str:
    if not isinstance(value, list) or any(type(one) is not int for one in value):
        return f"{_short(value)} is not a list of whole numbers"
    return "" if all(-WHOLE_MAX < one < WHOLE_MAX for one in value) else "has a number beyond 64 bits"  # fmt: skip


def _range(value: Any) -> str:
    if not isinstance(value, list) or len(value) != 2 or any(map(_number, value)):
        return f"{_short(value)} is not two numbers"
    return "" if value[0] < value[1] else f"{_short(value)} does not go from low to high"


def _numbered(value: Any) -> str:
    """A table of texts by whole number."""
    if not isinstance(value, dict) or not value:
        return f"{_short(value)} is not a table of numbers to texts"
    wrong = [key for key in value if not re.fullmatch(r"-?[0-9]{1,15}", key)]
    if wrong:
        return f"{_short(wrong[0])} is not a whole number"
    return next((said for text in value.values() if (said := _text(text))), "")


def _bits(value: Any) -> str:
    """How many bits the value takes (one), or the names of single bits."""
    return "" if value == 1 and type(value) is int else _numbered(value)


FIELDS: Final[Mapping[str, Check]] = {
    "id": _text, "name": _text, "zh": _text, "kind": _one_of(*KINDS), "table": _one_of(*TABLES),
    "address": _whole(0, 65535), "words": _whole(1, 125), "type": _one_of(*TYPES), "order": _order,
    "scale": _number, "offset": _number, "scale_from": _exponent, "unit": _text,
    "sentinels": _sentinels, "range": _range, "bit": _whole(0, 63), "bit_width": _whole(1, 64),
    "byte": _one_of("high", "low"), "enum": _numbered, "bits": _bits, "count": _whole(1, 2000),
    "writable": _flag, "write_only": _flag, "needs_write": _text, "write_address": _whole(0, 65535),
    "config": _flag, "optional": _flag, "note": _text, "packed": _text, "type_note": _text,
    "unit_from": _text, "role": _text, "as_written": _text, "chars_per_word": _whole(1, 2),
}  # fmt: skip
"""Key of a row to what is wrong with a value of it; other keys are kept and said to be unused."""
NEEDED: Final = ("id", "table", "address", "type")


def check_row(row: Row, shown: str, mistakes: Mistakes) -> None:
    """Mistakes of a row's own values."""
    for key in NEEDED:
        if row.fields.get(key) in (None, ""):
            mistakes.add(shown, f"{row.where}.{key}", "is missing")
    for key, value in row.fields.items():
        if value in (None, ""):
            continue
        if key not in FIELDS and says_scale(key):
            mistakes.add(shown, f"{row.where}.{key}", "is not taken: values are scaled by scale, offset and scale_from")  # fmt: skip
        elif key in FIELDS and (said := FIELDS[key](value)):
            mistakes.add(shown, f"{row.where}.{key}", said)
    if row.fields.get("scale") == 0:
        mistakes.add(shown, f"{row.where}.scale", "is 0: every value would be the offset")


ABOUT: Final = ("limits", "forbidden", "refused", "read_together", "must_be_same_request", "source")
"""What is said of the whole device and looked at."""
PLAIN: Final = ("schema", "id", "device", "endianness", "addressing", "point_count", "points", "vectors", "partial")  # fmt: skip
"""Remarks on the file itself, which a profile needs not say."""


def read_map(text: str, shown: str, mistakes: Mistakes) -> RegisterMap | None:
    """The neutral JSON of one device; None and a mistake for each thing wrong in it."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        mistakes.add(shown, "", f"is not JSON: {error}")
        return None
    points = raw.get("points") if isinstance(raw, dict) else None
    if not isinstance(points, list) or not points:
        mistakes.add(shown, "points", "is missing: a list of registers")
        return None
    device = raw.get("device", {})
    if not isinstance(device, dict) or any(map(_text, device.values())) or _text(raw.get("id", "")):
        mistakes.add(shown, "device", "is not a table of texts with name, maker and class; id a text")  # fmt: skip
        return None
    rows = _rows(points, shown, mistakes)
    about = {key: raw[key] for key in ABOUT if key in raw}
    unused = [key for key in raw if key not in (*ABOUT, *PLAIN)]
    return RegisterMap(raw.get("id", ""), device, rows, about, unused)


def _rows(points: Sequence[object], shown: str, mistakes: Mistakes) -> list[Row]:
    if len(points) > POINTS_MAX:
        mistakes.add(shown, "points", f"are {len(points)}; allowed: up to {POINTS_MAX}")
        return []
    rows: list[Row] = []
    for number, one in enumerate(points):
        if not isinstance(one, dict):
            mistakes.add(shown, f"points[{number}]", f"{_short(one)} is not a table")
            continue
        rows.append(Row(f"points[{number}]", one))
        check_row(rows[-1], shown, mistakes)
    return rows


def whole(value: object) -> int | None:
    """A whole number as such, None for anything else."""
    return value if type(value) is int else None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
