"""Which registers to ask for and what their words mean: pure, without knowing how they travel."""

import math
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import getitem, itemgetter
from typing import Final

from config.plant import Point
from config.profile import WORDS, ModbusLimits, Register, Table
from edge.readings import QUALITIES
from edge.spans import Overhangs, Pairs, Span, Spans

GOOD: Final = QUALITIES["good"]
UNDECODABLE: Final = QUALITIES["undecodable"]
SENSOR_FAULT: Final = QUALITIES["sensor_fault"]
OUT_OF_PHYSICAL_RANGE: Final = QUALITIES["out_of_physical_range"]
OUT_OF_EXPECTED_RANGE: Final = QUALITIES["out_of_expected_range"]
LARGEST_INTEGER: Final = 2**53
"""A 64-bit float holds every integer up to here; beyond it a value would silently change."""
SAFE_BITS: Final = 53
LARGEST_EXPONENT: Final = 30
TABLES: Final[tuple[Table, ...]] = ("holding", "input", "coil", "discrete")
_BIT_TABLES: Final = frozenset({"coil", "discrete"})
_PROTOCOL_WORDS: Final = 125
_PROTOCOL_BITS: Final = 2000

_PATTERNS: Final[Mapping[str, tuple[bool, bool]]] = {
    "AB": (False, False), "BA": (False, True),
    "ABCD": (False, False), "CDAB": (True, False), "BADC": (False, True), "DCBA": (True, True),
}  # fmt: skip
"""Order to (low word first, low byte first): what it means for a value of any other length."""

Decoded = tuple[float | None, int]
Limits = tuple[float, float]
Cut = tuple[Table, int, int]
"""Two addresses of a table that no request may hold together, unless one value needs both."""


# --- what words mean -------------------------------------------------------------------------------


def register_of(point: Point) -> Register:
    """The point's register.

    Raises:
        TypeError: the point is not read by Modbus.
    """
    if not isinstance(point.source, Register):
        raise TypeError(f"{point.id} has no register")
    return point.source


def width(register: Register) -> int:
    """How many registers (or bits, in a table of bits) the value takes."""
    if register.table in _BIT_TABLES:
        return 1
    return WORDS.get(register.type, register.words)


def decode(point: Point, words: Sequence[int], exponent: int = 0) -> Decoded:
    """Value in the point's unit and quality code of one point's own words, in order of arrival.

    `exponent` is the raw value of the register that `scale_from` names (value = raw × 10^exponent
    × scale + offset). Wrong lengths, non-decimal BCD, NaN, infinity and integers beyond 2^53 are
    `undecodable`; a `no_data` number is `sensor_fault`. Never raises for what the words hold.
    """
    register = register_of(point)
    largest = 1 if register.table in _BIT_TABLES else 0xFFFF
    if len(words) != width(register) or not all(0 <= word <= largest for word in words):
        return None, UNDECODABLE
    if abs(exponent) > LARGEST_EXPONENT:
        return None, UNDECODABLE
    return _decoder(register, point.range, point.expected)(words, 0, 10.0**exponent)


Decoder = Callable[[Sequence[int], int, float], Decoded]
"""From words, each 0..65535 (bits 0 or 1), of which its own begin at this place, and 10^exponent to value and quality."""
NumberOf = Callable[[Sequence[int], int], int]
"""From words, and where its own begin, to the raw unsigned number."""


def decoder(point: Point) -> Decoder:
    """`decode` of this point for words that came in a whole answer: all that does not depend on them is done.

    One for all points that are read alike, at whatever address and on however many devices.
    """
    return _decoder(replace(register_of(point), address=0), point.range, point.expected)


@lru_cache(maxsize=4096)
def _decoder(register: Register, physical: Limits | None, expected: Limits | None) -> Decoder:
    number_of, meaning = _number_of(register), _MEANINGS[register.type]
    bits = 16 * WORDS.get(register.type, 0) if register.bit is None else register.bit_width
    is_value = meaning is _natural and bits < SAFE_BITS
    no_data, offset = frozenset(register.no_data), register.offset
    divisor, factor = _scaling(register.scale)
    low, high = _good_range(physical, expected)

    def decoded(words: Sequence[int], at: int, power: float) -> Decoded:
        unsigned = number_of(words, at)
        if unsigned in no_data:
            return None, SENSOR_FAULT
        raw = unsigned if is_value else meaning(unsigned, bits)
        if raw is None:
            return None, UNDECODABLE
        if power != 1.0:
            raw = _times(raw, power)
        value = raw / divisor * factor + offset
        return (value, GOOD) if low <= value <= high else _checked(value, physical, expected)

    return decoded


def _good_range(*ranges: Limits | None) -> Limits:
    """What lies in all of these ranges and is a finite number."""
    given = [ends for ends in ranges if ends]
    return (
        max([-sys.float_info.max, *(low for low, _ in given)]),
        min([sys.float_info.max, *(high for _, high in given)]),
    )


def check(point: Point, value: float) -> Decoded:
    """The value with its quality, by the point's physical and expected range (limits are inside)."""
    return _checked(value, point.range, point.expected)


def _checked(value: float, physical: Limits | None, expected: Limits | None) -> Decoded:
    if not math.isfinite(value):
        return None, UNDECODABLE
    if physical and not physical[0] <= value <= physical[1]:
        return None, OUT_OF_PHYSICAL_RANGE
    if expected and not expected[0] <= value <= expected[1]:
        return value, OUT_OF_EXPECTED_RANGE
    return value, GOOD


def decode_text(point: Point, words: Sequence[int]) -> str | None:
    """A `string` point's text up to its first zero, None if it is not UTF-8 or has a wrong length."""
    data = _significant_bytes(register_of(point), words)
    if data is None:
        return None
    try:
        return data.split(b"\0", 1)[0].decode().strip()
    except UnicodeDecodeError:
        return None


@lru_cache(maxsize=256)
def _places(order: str, size: int) -> tuple[int, ...] | None:
    """For each byte, most significant first, its place on the wire; None if all are in place."""
    if len(order) == size:
        places = tuple(order.index(letter) for letter in "ABCDEFGH"[:size])
    else:
        words_swapped, bytes_swapped = _PATTERNS[order]
        words = range(size // 2)
        places = tuple(
            2 * word + (byte ^ bytes_swapped)
            for word in (reversed(words) if words_swapped else words)
            for byte in (0, 1)
        )
    return None if places == tuple(range(size)) else places


def _significant_bytes(register: Register, words: Sequence[int]) -> bytes | None:
    """The bytes, most significant first; None if these cannot be the words of this register."""
    size = width(register)
    if len(words) != size:
        return None
    try:
        wire = struct.pack(f">{size}H", *words)
    except struct.error:
        return None
    places = _places(register.order, len(wire))
    return wire if places is None else bytes([wire[place] for place in places])


def _number_of(register: Register) -> NumberOf:
    """The raw unsigned number after the order and the choice of bits, before anything else."""
    if register.table in _BIT_TABLES:
        return getitem
    size = width(register)
    whole = _whole_number(size, _places(register.order, 2 * size))
    bit, bits = register.bit, register.bit_width
    if bit is None and register.type != "bit":
        return whole
    shift, mask = (0, 1) if bit is None else (bit, (1 << bits) - 1)
    return lambda words, at: whole(words, at) >> shift & mask


def _whole_number(size: int, places: tuple[int, ...] | None) -> NumberOf:
    """How `size` words make one number, its bytes at these places of the wire."""
    if size == 1:
        return (
            getitem if places is None else lambda words, at: words[at] % 256 << 8 | words[at] >> 8
        )
    if size == 2 and places in (None, (2, 3, 0, 1)):
        high, low = (0, 1) if places is None else (1, 0)
        return lambda words, at: words[at + high] << 16 | words[at + low]
    pack, in_place = struct.Struct(f">{size}H").pack, itemgetter(*places or range(2 * size))
    return lambda words, at: int.from_bytes(bytes(in_place(pack(*words[at : at + size]))), "big")


def _natural(unsigned: int, _bits: int) -> float | None:
    return float(unsigned) if unsigned <= LARGEST_INTEGER else None


def _signed(unsigned: int, bits: int) -> float | None:
    number = unsigned - (1 << bits) if unsigned >> (bits - 1) else unsigned
    return float(number) if abs(number) <= LARGEST_INTEGER else None


def _decimal(unsigned: int, _bits: int) -> float | None:
    digits = f"{unsigned:x}"
    return float(digits) if digits.isdecimal() else None


def _single(unsigned: int, _bits: int) -> float | None:
    return float(struct.unpack(">f", unsigned.to_bytes(4, "big"))[0])


def _double(unsigned: int, _bits: int) -> float | None:
    return float(struct.unpack(">d", unsigned.to_bytes(8, "big"))[0])


def _nothing(_unsigned: int, _bits: int) -> float | None:
    return None


_MEANINGS: Final[Mapping[str, Callable[[int, int], float | None]]] = {
    "u16": _natural, "u32": _natural, "u64": _natural, "bit": _natural,
    "i16": _signed, "i32": _signed, "i64": _signed,
    "f32": _single, "f64": _double,
    "bcd16": _decimal, "bcd32": _decimal,
    "string": _nothing,
}  # fmt: skip


def _times(raw: float, scale: float) -> float:
    """Raw × scale, by division where the scale is one part of a whole: 3 × 0.1 is then 0.3."""
    divisor, factor = _scaling(scale)
    return raw / divisor * factor


def _scaling(scale: float) -> tuple[float, float]:
    """What to divide by and what to multiply by; one of them is 1."""
    inverse = 1.0 / scale if scale else 0.0
    if abs(inverse) > 1.0 and inverse.is_integer():
        return inverse, 1.0
    return 1.0, scale


# --- which registers to ask for --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkCost:
    """Seconds that one more request, and one more byte of its answer, take on a line.

    Without a line: TCP at 100 Mbit/s with a round trip of 10 ms.
    """

    request_s: float = 0.01
    byte_s: float = 0.000_000_1

    def of(self, table: Table, count: int) -> float:
        """Seconds of one request for `count` registers (two bytes each) or bits (eight to a byte)."""
        size = -(-count // 8) if table in _BIT_TABLES else 2 * count
        return self.request_s + self.byte_s * size


@dataclass(frozen=True, slots=True)
class Unit:
    """Registers that are read together or not at all, and the points that stand in them."""

    first: int
    last: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One request to one table: `count` registers or bits from `address` on."""

    table: Table
    address: int
    count: int
    units: tuple[Unit, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points that this request answers."""
        return tuple(point for unit in self.units for point in unit.points)

    def place_of(self, point: Point) -> int:
        """Where in the whole answer one point's own words begin."""
        return register_of(point).address - self.address

    def halves(self) -> "tuple[ReadRequest, ReadRequest] | None":
        """Two smaller requests for the same points, None if only one unit is left."""
        middle = len(self.units) // 2
        if not middle:
            return None
        return _request(self.table, self.units[:middle]), _request(self.table, self.units[middle:])


def plan_reads(
    points: Sequence[Point],
    limits: ModbusLimits,
    link: LinkCost,
    cuts: Sequence[Cut] = (),
) -> tuple[ReadRequest, ...]:
    """The cheapest requests that read these points, by exact dynamic programming per table.

    No request touches a forbidden register, is longer than the device allows or splits a value or a
    range that must be read together (such a range is read whole). A value and the exponent that
    `scale_from` names share a request where the limits let them and no other point is lost by it. Points that cannot be read under
    these limits are in no request.
    """
    by_table: dict[Table, list[Point]] = {table: [] for table in TABLES}
    for point in points:
        by_table[register_of(point).table].append(point)
    return tuple(
        request
        for table, own in by_table.items()
        for request in _plan_table(table, own, limits, link, cuts)
    )


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What holds for requests to one table."""

    longest: int
    forbidden: Spans
    cuts: Pairs

    def readable(self, span: Span) -> bool:
        first, last = span
        in_bounds = last - first < self.longest and last <= 0xFFFF
        return in_bounds and not self.forbidden.touches(span)

    def joinable(self, span: Span) -> bool:
        return self.readable(span) and not self.cuts.any_in(span)


def _spans_of(table: Table, ranges: Sequence[tuple[Table, int, int]]) -> tuple[Span, ...]:
    return tuple((first, last) for name, first, last in ranges if name == table)


def _plan_table(
    table: Table,
    points: Sequence[Point],
    limits: ModbusLimits,
    link: LinkCost,
    cuts: Sequence[Cut],
) -> list[ReadRequest]:
    bits = table in _BIT_TABLES
    longest = (
        min(limits.max_bits, _PROTOCOL_BITS) if bits else min(limits.max_words, _PROTOCOL_WORDS)
    )
    forbidden = Spans.of(_spans_of(table, limits.forbidden))
    bounds = _Bounds(longest, forbidden, Pairs(_spans_of(table, cuts)))
    units = _units(points, _spans_of(table, limits.together), bounds)
    steps = _Steps(link.request_s, 8, link.byte_s) if bits else _Steps(link.request_s, 1, 2 * link.byte_s)  # fmt: skip
    return [_request(table, block) for block in _cheapest(units, bounds, steps)]


def _units(points: Sequence[Point], together: Sequence[Span], bounds: _Bounds) -> list[Unit]:
    """What must not be split, in order of addresses; a unit inside another is part of it."""
    own = [(_own_span(point), point) for point in points]
    ranges = _with_exponents(own, Spans.of(together), bounds)
    spans = [(ranges.grown(span), point) for span, point in own]
    readable = [(span, point) for span, point in spans if bounds.readable(span)]
    units: list[Unit] = []
    for (first, last), point in sorted(readable, key=lambda row: (row[0][0], -row[0][1])):
        if units and last <= units[-1].last:
            units[-1] = Unit(units[-1].first, units[-1].last, (*units[-1].points, point))
        else:
            units.append(Unit(first, last, (point,)))
    return units


def _own_span(point: Point) -> Span:
    register = register_of(point)
    return register.address, register.address + width(register) - 1


def _with_exponents(own: Sequence[tuple[Span, Point]], ranges: Spans, bounds: _Bounds) -> Spans:
    """The ranges, and each pair of value and exponent that leaves every point readable.

    What a pair makes longer are the values that stick out of its range: of these the longest on
    either side tells for all.
    """
    by_id = {point.id: point for _, point in own}
    span_of = {point.id: span for span, point in own}
    readable = Overhangs(span for span, _ in own if bounds.readable(ranges.grown(span)))
    for one, point in own:
        exponent = _exponent_in(by_id, point)
        if exponent is None:
            continue
        other = span_of[exponent.id]
        first, last = ranges.grown((min(one[0], other[0]), max(one[1], other[1])))
        longest = (readable.before(first), last), (first, readable.after(last))
        if all(bounds.readable(ranges.grown(span)) for span in longest):
            ranges.add((first, last))
    return ranges


def exponent_of(point: Point, points: Iterable[Point]) -> Point | None:
    """The point that holds this point's decimal exponent, if it is among `points`."""
    if register_of(point).scale_from is None:
        return None
    return _exponent_in({other.id: other for other in points}, point)


def with_exponents(group: Sequence[Point], points: Iterable[Point]) -> tuple[Point, ...]:
    """The group and those of `points` that hold its exponents, even if they are read less often."""
    by_id = {point.id: point for point in points}
    registers = [point for point in group if isinstance(point.source, Register)]
    needed = (_exponent_in(by_id, point) for point in registers)
    extra = {point.id: point for point in needed if point is not None and point not in group}
    return (*group, *extra.values())


def _exponent_in(by_id: Mapping[str, Point], point: Point) -> Point | None:
    name = register_of(point).scale_from
    return (by_id.get(name) or by_id.get(f"{point.asset}/{name}")) if name else None


@dataclass(frozen=True, slots=True)
class _Steps:
    """What a request costs: so much, and so much for each begun step of `size` registers or bits."""

    request_s: float
    size: int
    step_s: float


def _cheapest(units: Sequence[Unit], bounds: _Bounds, steps: _Steps) -> list[Sequence[Unit]]:
    """Cut the row of units into blocks of least total cost; one unit alone is always allowed.

    The dynamic programme best(end) = min over start of best(start) + cost(first(start)..last(end)),
    in one pass: where begun steps are counted, the cost of a block falls into a part of its start
    and a part of its end, but for one step that depends on the two places within a step. So among
    the starts of one place the best so far is known, whatever the end (a queue of minima over the
    window of allowed starts for each place).
    """
    best = [0.0]
    starts: list[int] = []
    queues: list[deque[tuple[float, int]]] = [deque() for _ in range(steps.size)]
    low = 0
    for at, unit in enumerate(units):
        whole, place = divmod(unit.first, steps.size)
        value = best[at] - whole * steps.step_s
        queue = queues[place]
        while queue and queue[-1][0] > value:
            queue.pop()
        queue.append((value, at))
        while low < at and not bounds.joinable((units[low].first, unit.last)):
            low += 1
        cost, start = _ending_at(unit.last + 1, low, queues, steps)
        best.append(cost)
        starts.append(start)
    blocks: list[Sequence[Unit]] = []
    end = len(units)
    while end:
        blocks.append(units[starts[end - 1] : end])
        end = starts[end - 1]
    return blocks[::-1]


def _ending_at(
    end: int, low: int, queues: Sequence[deque[tuple[float, int]]], steps: _Steps
) -> tuple[float, int]:
    """Least total cost, and the start, of a block that ends before the address `end`."""
    whole, rest = divmod(end, steps.size)
    options: list[tuple[float, int]] = []
    for place, queue in enumerate(queues):
        while queue and queue[0][1] < low:
            queue.popleft()
        if queue:
            value, start = queue[0]
            options.append((value + steps.step_s * (whole + (rest > place)), start))
    cost, start = min(options)
    return cost + steps.request_s, start


def _request(table: Table, units: Sequence[Unit]) -> ReadRequest:
    first, last = units[0].first, max(unit.last for unit in units)
    return ReadRequest(table, first, last - first + 1, tuple(units))
