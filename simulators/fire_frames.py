"""Frames as a fire transmission device sends them (GB/T 26875.3-2011), and the answers that it gets.

Written independently of the edge's codec, so that a wrong place of a byte cannot cancel itself out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from config.gb26875 import ANALOGUES
from config.plant import Point
from config.profile import FirePlace, FireValue
from simulators.layout import Value

SEND, CONFIRM, DENY = 2, 3, 6
SYSTEM_STATE, COMPONENT_STATE, COMPONENT_ANALOGUE, DEVICE_STATE = 1, 2, 3, 21
VERSION = bytes((1, 1))
ANSWER_BYTES = 30
OBJECTS_MAX = {SYSTEM_STATE: 102, COMPONENT_STATE: 22, COMPONENT_ANALOGUE: 63, DEVICE_STATE: 1}
"""Type to the most objects of one frame."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a centre said to one of our frames."""

    serial: int
    source: int
    target: int
    command: int


def frame(
    serial: int, addresses: tuple[int, int], now: bytes, data: bytes = b"", command: int = SEND
) -> bytes:
    """One frame from and to these addresses; `now` are the six bytes of a time."""
    source, target = (address.to_bytes(6, "little") for address in addresses)
    middle = serial.to_bytes(2, "little") + VERSION + now + source + target
    middle += len(data).to_bytes(2, "little") + bytes((command,)) + data
    return b"@@" + middle + bytes((sum(middle) % 256,)) + b"##"


def wall_time(now_ms: int, zone: tzinfo) -> bytes:
    """The six bytes of an instant (UTC ms) on a clock of this zone."""
    at = datetime.fromtimestamp(now_ms / 1000, zone)
    return bytes((at.second, at.minute, at.hour, at.day, at.month, at.year % 100))


def read_answer(raw: bytes) -> Answer | None:
    """A confirmation or denial of exactly 30 bytes; None where it is not sound."""
    sound = len(raw) == ANSWER_BYTES and raw[:2] == b"@@" and raw[-2:] == b"##"
    if not sound or raw[24:26] != b"\0\0" or sum(raw[2:27]) % 256 != raw[27]:
        return None
    source, target = (int.from_bytes(raw[at : at + 6], "little") for at in (12, 18))
    return Answer(int.from_bytes(raw[2:4], "little"), source, target, raw[26])


def told(
    points: Sequence[Point], values: Mapping[str, Value], now: bytes
) -> Mapping[FirePlace, tuple[int, bytes]]:
    """Each place to the type of its object and the object, which ends with the time `now`."""
    places: dict[FirePlace, list[Point]] = {}
    for point in points:
        if isinstance(point.source, FireValue):
            places.setdefault(point.source.place, []).append(point)
    made = {place: _object(place, own, values) for place, own in places.items()}
    return {place: (type_, raw + now) for place, (type_, raw) in made.items()}


def applications(objects: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """Application data of these objects: one type each, as many objects as a frame may hold."""
    by_type: dict[int, list[bytes]] = {}
    for type_, raw in objects:
        by_type.setdefault(type_, []).append(raw)
    found = []
    for type_, rows in by_type.items():
        for at in range(0, len(rows), OBJECTS_MAX[type_]):
            some = rows[at : at + OBJECTS_MAX[type_]]
            found.append(bytes((type_, len(some))) + b"".join(some))
    return found


def _object(
    place: FirePlace, points: Sequence[Point], values: Mapping[str, Value]
) -> tuple[int, bytes]:
    system = bytes((place.system_type, place.system_address))
    component = bytes((_component_type(points),)) + _u16(place.zone) + _u16(place.position)
    if place.of == "device":
        return DEVICE_STATE, bytes((_state(points, values) & 0xFF,))
    if place.of == "system":
        return SYSTEM_STATE, system + _u16(_state(points, values))
    if place.of == "component":
        text = points[0].name.get("zh", "").encode("gb18030")[:30].ljust(31, b"\0")
        return COMPONENT_STATE, system + component + _u16(_state(points, values)) + text
    raw = _raw(points[0], values.get(points[0].id))
    measured = bytes((place.analogue_type,)) + raw.to_bytes(2, "little", signed=True)
    return COMPONENT_ANALOGUE, system + component + measured


def _component_type(points: Sequence[Point]) -> int:
    types = (p.source.component_type for p in points if isinstance(p.source, FireValue))
    return next((number for number in types if number is not None), 0)


def _state(points: Sequence[Point], values: Mapping[str, Value]) -> int:
    """The bits that these points show; "normal operation" unless one of them shows it."""
    state = 1
    for point in points:
        if isinstance(point.source, FireValue) and point.source.bit is not None:
            state &= ~(1 << point.source.bit)
            state |= bool(values.get(point.id)) << point.source.bit
    return state


def _raw(point: Point, value: Value) -> int:
    """A measured value in the steps of its analogue type, cut to what 16 bits hold."""
    source = point.source
    if not isinstance(source, FireValue) or not isinstance(value, float | int):
        return 0
    row = ANALOGUES.get(source.place.analogue_type)
    steps = (value - source.offset) / source.scale * (row.per_unit if row else 1)
    return max(-32768, min(32767, round(steps)))


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "little")
