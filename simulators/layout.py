"""Words from values: what a device would hold in its registers, laid out by its profile.

Written independently of the edge's codec, so that a wrong word order cannot cancel itself out.
"""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from config.plant import Point
from config.profile import ModbusLimits, Register, Table

Value = float | str | None
"""What a point shows now: a number in its unit, a text (a name of its enumeration, a serial number), or nothing."""

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
TARGET_SILENT = 11
"""Exception codes of the Modbus specification; the last is a gateway's for a unit that is not there."""

_BITS: Mapping[str, int] = {
    "bit": 16, "u16": 16, "i16": 16, "bcd16": 16,
    "u32": 32, "i32": 32, "bcd32": 32, "f32": 32,
    "u64": 64, "i64": 64, "f64": 64,
}  # fmt: skip
_REVERSED_WORDS = ("CDAB", "DCBA")
_SWAPPED_BYTES = ("BADC", "DCBA")


def span(register: Register) -> int:
    """Addresses that a register takes in its table."""
    if register.table in ("coil", "discrete"):
        return 1
    return register.words if register.type == "string" else _BITS[register.type] // 16


def encode(register: Register, value: Value, exponent: int = 0) -> tuple[int, ...]:
    """The words (0..65535), or for coils and discrete inputs the one bit, that stand for `value`.

    `value` is in the point's unit; None, or a number that the register cannot hold, becomes the
    profile's "no data": of a bit or a field that of its whole word. `exponent` is that of a `scale_from` register: value = raw x 10^exponent.
    """
    if register.table in ("coil", "discrete"):
        return (1 if isinstance(value, float | int) and value else 0,)
    if register.type == "string":
        return _text(register, value)
    bits = _BITS[register.type]
    raw = _raw(register, value, exponent)
    if raw is None and register.no_word:
        return whole(register, register.no_word[0])
    if raw is None:
        raw = missing(register)
    return _arrange((raw << (register.bit or 0)).to_bytes(bits // 8, "big"), register.order)


def whole(register: Register, number: int) -> tuple[int, ...]:
    """The words of a raw unsigned number that takes them whole, of a bit or a field too."""
    return _arrange(number.to_bytes(_BITS[register.type] // 8, "big"), register.order)


def footprint(register: Register) -> tuple[int, ...]:
    """Of each word that a register takes, the bits that are its own (of a table of bits, 1)."""
    if register.table in ("coil", "discrete"):
        return (1,)
    if register.type == "string":
        return (0xFFFF,) * register.words
    bits = _BITS[register.type]
    own = (1 << (bits if register.bit is None else register.bit_width)) - 1
    return _arrange((own << (register.bit or 0)).to_bytes(bits // 8, "big"), register.order)


def missing(register: Register) -> int:
    """The raw unsigned number for "no data": the profile's first, NaN of a float, else all ones."""
    if register.no_data:
        return register.no_data[0]
    if register.bit is not None:
        return 0 if register.bit_width == 1 else (1 << register.bit_width) - 1
    if register.type == "f32":
        return 0x7FC00000
    if register.type == "f64":
        return 0x7FF8000000000000
    return (1 << _BITS[register.type]) - 1


def _raw(register: Register, value: Value, exponent: int) -> int | None:
    """The raw unsigned number of the register's or field's width, None where it cannot be held."""
    if value is None or isinstance(value, str) or not math.isfinite(value):
        return None
    if register.bit is not None and register.bit_width == 1:
        return 1 if value else 0
    number = (value - register.offset) / (register.scale * 10.0**exponent)
    if register.type in ("f32", "f64"):
        return _float(register.type, number)
    bits = _BITS[register.type] if register.bit is None else register.bit_width
    return _integer(register.type, bits, round(number))


def _float(kind: str, number: float) -> int | None:
    try:
        return int.from_bytes(struct.pack(">f" if kind == "f32" else ">d", number), "big")
    except OverflowError:
        return None


def _integer(kind: str, bits: int, number: int) -> int | None:
    if kind.startswith("bcd"):
        digits = str(number)
        return int(digits, 16) if number >= 0 and len(digits) <= bits // 4 else None
    if kind.startswith("i"):
        half = 1 << (bits - 1)
        return number % (1 << bits) if -half <= number < half else None
    return number if 0 <= number < 1 << bits else None


def _text(register: Register, value: Value) -> tuple[int, ...]:
    text = value if isinstance(value, str) else ""
    data = text.encode("latin-1", "replace")[: 2 * register.words].ljust(2 * register.words, b"\0")
    order = "BADC" if register.order in (*_SWAPPED_BYTES, "BA") else "ABCD"
    return _arrange(data, order)


def _arrange(data: bytes, order: str) -> tuple[int, ...]:
    """Big-endian bytes as words in the order in which they travel (orders as in `Register`)."""
    if len(order) == len(data):
        data, order = bytes(data["ABCDEFGH".index(letter)] for letter in order), "ABCD"
    words = struct.unpack(f">{len(data) // 2}H", data)
    if order in _REVERSED_WORDS:
        words = words[::-1]
    if order in _SWAPPED_BYTES:
        words = tuple(word >> 8 | (word & 0xFF) << 8 for word in words)
    return words


@dataclass(frozen=True, slots=True)
class _Cell:
    point: str
    register: Register
    last: int
    """Its last address."""
    exponent_of: str | None
    """Point that holds the decimal exponent."""


class Layout:
    """The register map of one device: answers reads of any range from the values of its points."""

    def __init__(self, points: Iterable[Point], limits: ModbusLimits) -> None:
        own = tuple(points)
        powers = exponents(own)
        self.limits = limits
        self._cells: dict[Table, list[_Cell]] = {}
        for point in own:
            if isinstance(point.source, Register):
                at = point.source
                last = at.address + span(at) - 1
                cell = _Cell(point.id, at, last, powers.get(point.id))
                self._cells.setdefault(at.table, []).append(cell)
        for cells in self._cells.values():
            cells.sort(key=lambda cell: cell.register.address)
        self._reaches: dict[Table, tuple[int, int]] = {
            table: (cells[0].register.address, max(cell.last for cell in cells))
            for table, cells in self._cells.items()
        }

    def reach(self, table: Table) -> tuple[int, int] | None:
        """First and last address of a table, None if the device has none."""
        return self._reaches.get(table)

    def read(
        self, table: Table, address: int, count: int, values: Mapping[str, Value]
    ) -> list[int] | int:
        """Words (or bits) from `address` on, or an exception code.

        What no point takes is 0 inside the map; outside of it, and where the profile forbids to read,
        the answer is 2; more than the device allows in a request is 3.
        """
        if count > self._most(table):
            return ILLEGAL_VALUE
        reach = self.reach(table)
        last = address + count - 1
        if reach is None or address < reach[0] or last > reach[1]:
            return ILLEGAL_ADDRESS
        if self.is_forbidden(table, address, count):
            return ILLEGAL_ADDRESS
        return self._fill(table, address, count, values)

    def is_forbidden(self, table: Table, address: int, count: int) -> bool:
        """Whether the range touches one that must not be read."""
        return any(
            kind == table and first < address + count and address <= last
            for kind, first, last in self.limits.forbidden
        )

    def _most(self, table: Table) -> int:
        return self.limits.max_bits if table in ("coil", "discrete") else self.limits.max_words

    def _fill(
        self, table: Table, address: int, count: int, values: Mapping[str, Value]
    ) -> list[int]:
        words = [0] * count
        for cell in self._cells[table]:
            start = cell.register.address - address
            if start >= count or cell.last < address:
                continue
            exponent = _whole(values.get(cell.exponent_of)) if cell.exponent_of else 0
            made = encode(cell.register, values.get(cell.point), exponent)
            for place, word in enumerate(made, start):
                if 0 <= place < count:
                    words[place] |= word
        return words


def _whole(value: Value) -> int:
    return round(value) if isinstance(value, float | int) else 0


def exponents(points: Sequence[Point]) -> dict[str, str]:
    """Of each point whose scale stands in a register, the point of that register."""
    ids = {point.id for point in points}
    asked = [(point.id, point.exponent) for point in points]
    return {id: exponent for id, exponent in asked if exponent is not None and exponent in ids}
