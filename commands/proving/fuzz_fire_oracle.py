"""What a correct centre may take of GB/T 26875.3 devices: written apart from the edge, after the notes in tests/data."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from config.gb26875 import ANALOGUES
from config.plant import Point
from config.profile import FirePlace, FireValue

SHORTEST: Final = 30
DATA_MAX: Final = 1024
SEND: Final = 2
FIXED: Final = {
    1: 10, 2: 46, 3: 16, 4: 10, 5: 4, 7: 38, 8: 8, 21: 7, 24: 8, 25: 2, 28: 6,
    61: 2, 62: 6, 63: 6, 64: 9, 65: 2, 66: 2, 67: 6, 68: 2, 81: 1, 84: 7, 85: 1, 86: 1, 88: 1, 89: 1, 90: 6, 91: 1,
}  # fmt: skip
"""Type to the bytes of each of its objects."""
TEXT_AFTER: Final = {6: 3, 26: 1}
"""Type to the bytes before a text, of which the last says how long it is."""


@dataclass(frozen=True, slots=True)
class Told:
    """One sound frame that sends."""

    serial: int
    source: int
    data: bytes


def sound(stream: bytes, *, skips_bad: bool, waits: bool) -> Iterator[bytes]:
    """The whole frames of a stream, from left to right.

    With `skips_bad` a frame whose checksum alone is wrong is passed over whole, else only its start;
    with `waits` a frame that is still coming holds up what is behind its start. Once a wait has ended, a frame
    counts wherever it begins: one around it may have come whole since, but had not yet when it was taken.
    """
    at = stream.find(b"@@")
    while at >= 0:
        length = int.from_bytes(stream[at + 24 : at + 26], "little")
        end = at + SHORTEST + length
        short = len(stream) < at + SHORTEST or (length <= DATA_MAX and len(stream) < end)
        if short and waits:
            return
        framed = not short and length <= DATA_MAX and stream[end - 2 : end] == b"##"
        right = framed and sum(stream[at + 2 : end - 3]) & 0xFF == stream[end - 3]
        if right:
            yield stream[at:end]
        whole = waits and (right or (framed and skips_bad))
        at = stream.find(b"@@", end if whole else at + 1)


def told(frame: bytes) -> Told | None:
    """What a sound frame says; None of one that no device may send, or whose objects do not fill it."""
    source = int.from_bytes(frame[12:18], "little")
    data = frame[27:-3]
    if frame[26] != SEND or not _filled(data):
        return None
    return Told(int.from_bytes(frame[2:4], "little"), source, data)


def _filled(data: bytes) -> bool:
    if not data or (data[0] not in FIXED and data[0] not in TEXT_AFTER):
        return True
    if len(data) < 2:
        return False
    if data[0] in FIXED:
        return len(data) == 2 + data[1] * FIXED[data[0]]
    at, head = 2, TEXT_AFTER[data[0]]
    for _ in range(data[1]):
        if len(data) < at + head:
            return False
        at += head + data[at + head - 1]
    return at == len(data)


# --- what it means ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Object:
    """One object that speaks of a place; `number` is its state, or what was measured."""

    place: FirePlace
    kind: int
    number: int


def objects(data: bytes) -> list[Object]:
    """Those objects of application data that tell a state or a value."""
    if not data or data[0] not in (1, 2, 3, 21):
        return []
    size = FIXED[data[0]]
    rows = [data[2 + n * size : 2 + (n + 1) * size] for n in range(data[1])]
    return [_object(data[0], row) for row in rows]


def _object(type_: int, row: bytes) -> Object:
    def number(at: int, size: int = 2, *, signed: bool = False) -> int:
        return int.from_bytes(row[at : at + size], "little", signed=signed)

    if type_ == 21:
        return Object(FirePlace("device"), 0, row[0])
    if type_ == 1:
        return Object(FirePlace("system", row[0], row[1]), 0, number(2))
    if type_ == 2:
        return Object(FirePlace("component", row[0], row[1], number(3), number(5)), row[2], number(7))  # fmt: skip
    place = FirePlace("analogue", row[0], row[1], number(3), number(5), row[7])
    return Object(place, row[2], number(8, signed=True))


def meaning(point: Point, source: FireValue, one: Object) -> tuple[float | None, bool]:
    """The value that the object says of a point of its place, and whether it may be called good."""
    meant = source.component_type in (None, one.kind) or one.place.of not in ("component", "analogue")  # fmt: skip
    if source.bit is not None:
        return float(one.number >> source.bit & 1), meant
    row = ANALOGUES.get(one.place.analogue_type)
    measured = one.number / (row.per_unit if row else 1)
    if row and not row.low <= measured <= row.high:
        return None, False
    value = measured * source.scale + source.offset
    inside = point.range is None or point.range[0] <= value <= point.range[1]
    return (value if inside else None), meant
