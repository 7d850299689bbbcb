"""What the words of registers mean: value and quality, pure, without knowing how they travelled."""

import math
import struct
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import lru_cache
from operator import getitem, itemgetter
from typing import Final

from config.plant import Point
from config.profile import WORDS, Register
from edge.readings import QUALITIES
from edge.registers import BIT_TABLES, register_of, width

GOOD: Final = QUALITIES["good"]
UNDECODABLE: Final = QUALITIES["undecodable"]
SENSOR_FAULT: Final = QUALITIES["sensor_fault"]
OUT_OF_PHYSICAL_RANGE: Final = QUALITIES["out_of_physical_range"]
OUT_OF_EXPECTED_RANGE: Final = QUALITIES["out_of_expected_range"]
LARGEST_INTEGER: Final = 2**53
"""A 64-bit float holds every integer up to here; beyond it a value would silently change."""
SAFE_BITS: Final = 53
FLAG: Final = frozenset({0, 1})
LARGEST_EXPONENT: Final = 30
NO_NUMBER: Final = -1
"""Of a bit or a field in place of the raw unsigned number, where the whole word says that there is no data."""

_PATTERNS: Final[Mapping[str, tuple[bool, bool]]] = {
    "AB": (False, False), "BA": (False, True),
    "ABCD": (False, False), "CDAB": (True, False), "BADC": (False, True), "DCBA": (True, True),
}  # fmt: skip
"""Order to (low word first, low byte first): what it means for a value of any other length."""

Decoded = tuple[float | None, int]
Limits = tuple[float, float]


def decode(point: Point, words: Sequence[int], exponent: int = 0) -> Decoded:
    """Value in the point's unit and quality code of one point's own words, in order of arrival.

    `exponent` is the raw value of the register that `scale_from` names (value = raw × 10^exponent
    × scale + offset). Wrong lengths, non-decimal BCD, NaN, infinity and integers beyond 2^53 are
    `undecodable`, and so is a state without a name; a `no_data` number, or a `no_word` of the whole, is `sensor_fault`. Never raises for what the words hold.
    """
    register = register_of(point)
    largest = 1 if register.table in BIT_TABLES else 0xFFFF
    if len(words) != width(register) or not all(0 <= word <= largest for word in words):
        return None, UNDECODABLE
    meaning = _decoder(register, point.range, point.expected, _named(point))
    return scaled(meaning, words, 0, (exponent, GOOD))


Decoder = Callable[[Sequence[int], int, float], Decoded]
"""From words, each 0..65535 (bits 0 or 1), of which its own begin at this place, and 10^exponent to value and quality."""
NumberOf = Callable[[Sequence[int], int], int]
"""From words, and where its own begin, to the raw unsigned number."""


def decoder(point: Point) -> Decoder:
    """`decode` of this point for words that came in a whole answer: all that does not depend on them is done.

    One for all points that are read alike, at whatever address and on however many devices.
    """
    register = replace(register_of(point), address=0)
    return _decoder(register, point.range, point.expected, _named(point))


def scaled(meaning: Decoder, words: Sequence[int], at: int, power: Decoded) -> Decoded:
    """A value by its decimal exponent, of which it takes the quality where there is none, and is no surer."""
    exponent, doubt = power
    if exponent is None:
        return None, doubt
    whole = int(exponent)
    if abs(whole) > LARGEST_EXPONENT:
        return None, UNDECODABLE
    value, quality = meaning(words, at, 10.0**whole)
    return value, quality or doubt


@lru_cache(maxsize=4096)
def with_exponent(meaning: Decoder, distance: int, exponent: Decoder) -> Decoder:
    """What the words of a value mean whose exponent stands in the same answer, so far behind them."""

    def decoded(words: Sequence[int], at: int, _power: float) -> Decoded:
        return scaled(meaning, words, at, exponent(words, at + distance, 1.0))

    return decoded


@lru_cache(maxsize=4096)
def _decoder(
    register: Register, physical: Limits | None, expected: Limits | None, named: Set[float] | None
) -> Decoder:
    number_of, meaning = _number_of(register), _MEANINGS[register.type]
    bits = 16 * WORDS.get(register.type, 0) if register.bit is None else register.bit_width
    is_integer = meaning in (_natural, _signed) and bits < SAFE_BITS
    sign = 1 << (bits - 1) if meaning is _signed else 0
    no_data, offset = frozenset(register.no_data) | {NO_NUMBER}, register.offset
    divisor, factor = _scaling(register.scale)
    low, high = _good_range(physical, expected)

    def decoded(words: Sequence[int], at: int, power: float) -> Decoded:
        unsigned = number_of(words, at)
        if unsigned in no_data:
            return None, SENSOR_FAULT
        raw = (unsigned ^ sign) - sign if is_integer else meaning(unsigned, bits)
        if raw is None:
            return None, UNDECODABLE
        if power != 1.0:
            raw = _times(raw, power)
        value = raw / divisor * factor + offset
        return (value, GOOD) if low <= value <= high else _checked(value, physical, expected)

    one_bit = register.type == "bit" or (register.bit is not None and bits == 1)
    plain = one_bit and named == FLAG and (register.scale, register.offset) == (1, 0)
    return decoded if named is None or plain else _among(decoded, named)


def _among(meaning: Decoder, named: Set[float]) -> Decoder:
    """What the profile has no name for means nothing."""

    def decoded(words: Sequence[int], at: int, power: float) -> Decoded:
        value, quality = meaning(words, at, power)
        return (None, UNDECODABLE) if value is not None and value not in named else (value, quality)

    return decoded


def _good_range(*ranges: Limits | None) -> Limits:
    """What lies in all of these ranges and is a finite number."""
    given = [ends for ends in ranges if ends]
    return (
        max([-sys.float_info.max, *(low for low, _ in given)]),
        min([sys.float_info.max, *(high for _, high in given)]),
    )


def can_be(point: Point, value: float) -> bool:
    """Whether a point of this kind can have the value: a flag is 0 or 1, a state one of those that are named."""
    named = _named(point)
    return value in named if named is not None else point.kind != "state" or value.is_integer()


def _named(point: Point) -> Set[float] | None:
    """The only values that a point can have; None of a number."""
    if point.kind == "flag":
        return FLAG
    return frozenset(point.states) if point.kind == "state" and point.states else None


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
    """The raw unsigned number after the order and the choice of bits, before anything else; NO_NUMBER for none."""
    if register.table in BIT_TABLES:
        return getitem
    size = width(register)
    whole = _whole_number(size, _places(register.order, 2 * size))
    bit, bits = register.bit, register.bit_width
    if bit is None and register.type != "bit":
        return whole
    shift, mask = (0, 1) if bit is None else (bit, (1 << bits) - 1)
    if not register.no_word:
        return lambda words, at: whole(words, at) >> shift & mask
    no_word = frozenset(register.no_word)

    def part(words: Sequence[int], at: int) -> int:
        word = whole(words, at)
        return NO_NUMBER if word in no_word else word >> shift & mask

    return part


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
