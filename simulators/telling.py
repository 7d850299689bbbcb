"""A Modbus device that holds exactly what it is told, and what a reader must then say: a profile's own proof.

Values, words and judgements are worked out here apart from the edge's codec.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from config.plant import Point
from config.profile import ModbusLimits, Register, Table
from simulators.faults import Answer, Fault
from simulators.layout import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    TARGET_SILENT,
    Value,
    encode,
    exponents,
    footprint,
    whole,
)
from simulators.station import TABLES

EXACT = 2**53
POWERS = (0, -2, 1, -1)
"""Decimal exponents that are told to a register of exponents, one a round, where it can hold them."""
TEXTS = ("STEWARD-01", "x", "", "0123456789abcdefghijklmnopqrstuvwxyz")
PLAIN = (0, 1, 2, 0x1234, 0x12345678, 0x123456789ABCDE)
"""Raw numbers of every type that holds them: no two bytes alike, so that a wrong order shows."""
FLOATS = (0.0, 1.5, -2.25, 1234.5, -0.001, 1e6)
FLOAT_MAX: Mapping[str, float] = {"f32": 3e38, "f64": 1e300}


@dataclass(frozen=True, slots=True)
class Told:
    """What a point holds in a round, and the reading that must come of it.

    `wanted` is the value (None for none, a text of a string), `quality` the name of its quality.
    """

    point: str
    value: Value
    wanted: float | str | None
    quality: str = "good"


@dataclass(frozen=True, slots=True)
class Round:
    """Points that share no bit, each with one value, and the words of all."""

    points: tuple[Point, ...]
    told: tuple[Told, ...]
    words: Mapping[tuple[Table, int], int]


@dataclass(slots=True)
class Holding:
    """A Modbus endpoint of one unit: answers with `words`, 0 elsewhere, within the limits of its profile."""

    unit: int
    limits: ModbusLimits
    words: Mapping[tuple[Table, int], int] = field(default_factory=dict)
    up: bool = True

    def faults_of(self, unit: int) -> Sequence[Fault]:
        """Nothing is wrong with it."""
        return ()

    def delay_s(self, unit: int) -> float:
        """At once."""
        return 0.0

    def answer(
        self, unit: int, function: int, address: int, count: int, connected_ms: int | None = None
    ) -> Answer:
        """Words or bits, or an exception code; function codes 1 to 4 are served."""
        table = TABLES.get(function)
        if table is None:
            return ILLEGAL_FUNCTION
        if unit != self.unit:
            return TARGET_SILENT
        most = self.limits.max_bits if table in ("coil", "discrete") else self.limits.max_words
        if count > most:
            return ILLEGAL_VALUE
        last = address + count - 1
        forbidden = any(t == table and first <= last and address <= end for t, first, end in self.limits.forbidden)  # fmt: skip
        if forbidden or last > 0xFFFF:
            return ILLEGAL_ADDRESS
        return [self.words.get((table, place), 0) for place in range(address, last + 1)]


def rounds(points: Sequence[Point]) -> Iterator[Round]:
    """Every value of every point, so many at once as do not share bits (a word as a whole and by its bits).

    Last, of bits and fields, the word that has no data. A point comes with the one that holds its
    exponent. Points without a register are left out.
    """
    own = [point for point in points if isinstance(point.source, Register)]
    powers = exponents(own)
    for layer in _layers(own, powers):
        several = [_values(point, powers) for point in layer]
        for number in range(max(map(len, several))):
            picked = {p.id: v[number % len(v)] for p, v in zip(layer, several, strict=True)}
            yield _round(layer, picked, powers)
        parts = [point for point in layer if register(point).no_word and point.id not in powers]
        if parts:
            yield _round(parts, dict.fromkeys((point.id for point in parts), None), powers)


Bit = tuple[Table, int, int]


def _layers(points: Sequence[Point], powers: Mapping[str, str]) -> list[list[Point]]:
    by_id = {point.id: point for point in points}
    layers: list[tuple[dict[Bit, str], dict[str, Point]]] = []
    for point in points:
        needed = [point, *([by_id[powers[point.id]]] if point.id in powers else [])]
        bits = {bit: one.id for one in needed for bit in _bits(register(one))}
        fitting = (at for at in layers if all(at[0].get(b, id) == id for b, id in bits.items()))
        layer = next(fitting, None)
        if layer is None:
            layer = ({}, {})
            layers.append(layer)
        layer[0].update(bits)
        layer[1].update({one.id: one for one in needed})
    return [list(members.values()) for _, members in layers]


def _bits(source: Register) -> Iterator[Bit]:
    for place, mask in enumerate(footprint(source), source.address):
        yield from ((source.table, place, bit) for bit in range(16) if mask >> bit & 1)


def register(point: Point) -> Register:
    """The point's register.

    Raises:
        TypeError: the point is not read by Modbus.
    """
    if not isinstance(point.source, Register):
        raise TypeError(f"{point.id} has no register")
    return point.source


def _round(
    layer: Sequence[Point], picked: Mapping[str, float | str | None], powers: Mapping[str, str]
) -> Round:
    """`picked` are raw numbers (texts of strings), None for "no data"."""
    told: list[Told] = []
    words: dict[tuple[Table, int], int] = {}
    for point in layer:
        source, raw = register(point), picked[point.id]
        power = picked.get(powers[point.id]) if point.id in powers else 0
        exponent = int(power) if isinstance(power, int | float) else 0
        value = raw * 10.0**exponent * source.scale + source.offset if isinstance(raw, int | float) else raw  # fmt: skip
        held = _held(source, raw, value, exponent)
        told.append(Told(point.id, value, *_judged(point, held, value, lost=power is None)))
        for place, word in enumerate(encode(source, value, exponent), source.address):
            key = (source.table, place)
            words[key] = words.get(key, 0) | word
    empty = {point.id for point in layer if _is_empty(register(point), words)}
    told = [replace(one, wanted=None, quality="sensor_fault") if one.point in empty else one for one in told]  # fmt: skip
    return Round(tuple(layer), tuple(told), words)


def _is_empty(source: Register, words: Mapping[tuple[Table, int], int]) -> bool:
    """Whether a bit or a field is part of a word that stands for "no data", as its neighbours have filled it."""
    taken = range(source.address, source.address + len(footprint(source)))
    now = tuple(words.get((source.table, place), 0) for place in taken)
    return now in [whole(source, number) for number in source.no_word]


def _held(source: Register, raw: Value, value: Value, exponent: int) -> Value:
    """The raw number that a register really holds for a value: scale and offset may have cost it digits."""
    if (
        not isinstance(raw, int | float)
        or not isinstance(value, int | float)
        or _width(source) == 1
    ):
        return raw
    back = (value - source.offset) / (source.scale * 10.0**exponent)
    return back if source.type in FLOAT_MAX else round(back)


def _judged(
    point: Point, raw: Value, value: Value, *, lost: bool
) -> tuple[float | str | None, str]:
    """The value that a reader must give, and its quality by name; `lost`: its exponent has no data."""
    source = register(point)
    if isinstance(raw, str) or isinstance(value, str):
        return str(value).encode()[: 2 * source.words].decode(), "good"
    if raw is None or value is None:
        return None, "sensor_fault" if source.no_data or source.no_word else "undecodable"
    if _unsigned(source, raw) in source.no_data or lost:
        return None, "sensor_fault"
    if source.type not in FLOAT_MAX and abs(raw) > EXACT:
        return None, "undecodable"
    if point.range and not point.range[0] <= value <= point.range[1]:
        return None, "out_of_physical_range"
    if value not in {"flag": {0, 1}, "state": {*point.states}}.get(point.kind, {value}):
        return None, "undecodable"
    if point.expected and not point.expected[0] <= value <= point.expected[1]:
        return value, "out_of_expected_range"
    return value, "good"


# --- which values ------------------------------------------------------------------------------


def _values(point: Point, powers: Mapping[str, str]) -> list[float | str | None]:
    """Raw numbers that this register must bring across; None last, where it has a "no data"."""
    source = register(point)
    if source.type == "string":
        return list(TEXTS)
    if _width(source) == 1:
        return [0, 1]
    floats = source.type in FLOAT_MAX
    if point.id in powers.values():
        found: list[float] = [power for power in POWERS if _holds(source, power)]
    else:
        found = [*FLOATS, FLOAT_MAX[source.type], -FLOAT_MAX[source.type]] if floats else _whole(source)  # fmt: skip
        found += _within(point, powers)
        found += [raw for raw in (_meant(source, n) for n in source.no_data) if raw is not None]
    alone = bool(source.no_data) and not source.no_word
    unknown: list[float | str | None] = [None] if alone or floats else []
    return [*dict.fromkeys(found), *unknown]


def _width(source: Register) -> int:
    if source.table in ("coil", "discrete") or source.type == "bit":
        return 1
    return sum(mask.bit_count() for mask in footprint(source))


def _whole(source: Register) -> list[float]:
    """The ends of the type, those of what a float holds exactly, and plain numbers between."""
    if source.type.startswith("bcd"):
        most = 10 ** (_width(source) // 4) - 1
        return [n for n in (0, 1, 12, 1234, 12345678, most) if n <= most]
    bits = _width(source)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if source.type[0] == "i" else (0, (1 << bits) - 1)  # fmt: skip
    ends = [low, high, -1, -2, high // 2]
    if high > EXACT:  # numbers that a float of 64 bits cannot tell apart would prove nothing
        ends = [EXACT - 1, EXACT, *([-EXACT] if low else []), 1 << 60]
    return [n for n in (*PLAIN, *ends) if low <= n <= high]


def _within(point: Point, powers: Mapping[str, str]) -> list[float]:
    """Raw numbers inside of the ranges of the point, and its own states."""
    source = register(point)
    found: list[float] = []
    for low, high in (span for span in (point.range, point.expected) if span):
        wanted = (low + (high - low) / 3, (low + high) / 2)
        raws = [(value - source.offset) / source.scale for value in wanted] if point.id not in powers else []  # fmt: skip
        found += raws if source.type in FLOAT_MAX else [math.floor(raw) for raw in raws]
    found += list(point.states)
    return [raw for raw in found if _holds(source, raw)]


def _holds(source: Register, raw: float) -> bool:
    if source.type in FLOAT_MAX:
        return abs(raw) <= FLOAT_MAX[source.type]
    ends = _whole(source)
    return min(ends) <= raw <= max(ends)


def _meant(source: Register, unsigned: int) -> float | None:
    """The number that a raw unsigned one means by its type; None for none."""
    bits = _width(source)
    if source.type in FLOAT_MAX:
        form = ">f" if source.type == "f32" else ">d"
        number = float(struct.unpack(form, unsigned.to_bytes(bits // 8, "big"))[0])
        return number if math.isfinite(number) else None
    if source.type.startswith("bcd"):
        digits = f"{unsigned:x}"
        return float(digits) if digits.isdecimal() else None
    number = unsigned - (1 << bits) if source.type[0] == "i" and unsigned >> bits - 1 else unsigned
    return number if abs(number) <= EXACT else None


def _unsigned(source: Register, raw: float) -> int | None:
    """The raw unsigned number by which a register holds `raw`."""
    if source.type in FLOAT_MAX:
        return int.from_bytes(struct.pack(">f" if source.type == "f32" else ">d", raw), "big")
    if source.type.startswith("bcd"):
        return int(str(int(raw)), 16)
    return int(raw) % (1 << _width(source))
