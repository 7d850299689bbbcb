"""What a correct Modbus master may take from a line: written apart from the edge, after the standards.

MODBUS Application Protocol V1.1b3 (functions 1 to 4), MODBUS over serial line V1.02 (CRC), MODBUS
Messaging on TCP/IP V1.0b (header).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from config.plant import Point
from config.profile import Register

HEADER: Final = 6
EXPONENT_MAX: Final = 30
LENGTHS: Final = range(2, 255)
"""What the length of a header may say: unit, function and at most 252 bytes."""
LOW_WORD_FIRST: Final = ("CDAB", "DCBA", "GHEFCDAB", "HGFEDCBA")
LOW_BYTE_FIRST: Final = ("BA", "BADC", "DCBA", "BADCFEHG", "HGFEDCBA")
FORMATS: Final = {
    "u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "u64": ">Q", "i64": ">q", "f32": ">f", "f64": ">d",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it went over the wire; `number` is None where the line numbers nothing."""

    unit: int
    function: int
    address: int
    count: int
    number: int | None

    @property
    def size(self) -> int:
        """Bytes of data in its answer."""
        return -(-self.count // 8) if self.function <= 2 else 2 * self.count


def _crc_row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC: Final = tuple(_crc_row(byte) for byte in range(256))


def crc(raw: bytes) -> bytes:
    """The two bytes behind a frame on a serial line."""
    register = 0xFFFF
    for byte in raw:
        register = register >> 8 ^ _CRC[(register ^ byte) & 0xFF]
    return register.to_bytes(2, "little")


def asked_of(written: bytes, *, numbered: bool) -> Asked | None:
    """The request that was written; None if it is none or not a read."""
    if numbered:
        number, protocol, length, unit, function, address, count = struct.unpack(">HHHBBHH", written)  # fmt: skip
        sound = protocol == 0 and length == 6
    else:
        unit, function, address, count = struct.unpack(">BBHH", written[:6])
        number, sound = None, written[6:] == crc(written[:6])
    return Asked(unit, function, address, count, number) if sound and 1 <= function <= 4 else None


# --- which frames answer ---------------------------------------------------------------------------


def fitting(asked: Asked, stream: bytes) -> list[bytes]:
    """The data of every frame in the stream that is exactly an answer to the request."""
    found = _by_header(asked, stream) if asked.number is not None else _by_crc(asked, stream)
    return list(found)


def _by_crc(asked: Asked, stream: bytes) -> Iterator[bytes]:
    """Frames on a serial line begin anywhere; their CRC says that they are frames."""
    begin, size = bytes((asked.unit, asked.function, asked.size)), asked.size
    at = stream.find(begin)
    while at >= 0:
        end = at + 3 + size
        if stream[end : end + 2] == crc(stream[at:end]):
            yield stream[at + 3 : end]
        at = stream.find(begin, at + 1)


def _by_header(asked: Asked, stream: bytes) -> Iterator[bytes]:
    """Frame behind frame; behind a header that cannot be one, wherever a whole fitting frame begins."""
    wanted = struct.pack(">HHHBBB", asked.number, 0, asked.size + 3, asked.unit, asked.function, asked.size)  # fmt: skip
    at = 0
    while len(stream) >= at + HEADER:
        protocol, length = struct.unpack_from(">HH", stream, at + 2)
        if protocol or length not in LENGTHS:
            yield from _anywhere(wanted, asked.size, stream[at + 1 :])
            return
        frame = stream[at : at + HEADER + length]
        if frame[: len(wanted)] == wanted and len(frame) == HEADER + length:
            yield frame[len(wanted) :]
        at += HEADER + length


def _anywhere(wanted: bytes, size: int, stream: bytes) -> Iterator[bytes]:
    at = stream.find(wanted)
    while at >= 0:
        data = stream[at + len(wanted) : at + len(wanted) + size]
        if len(data) == size:
            yield data
        at = stream.find(wanted, at + 1)


# --- what their data means -------------------------------------------------------------------------


def words_of(asked: Asked, data: bytes, register: Register) -> list[int] | None:
    """A value's own words or bit in the data of an answer; None if it is not all there."""
    first = register.address - asked.address
    if asked.function <= 2:
        inside = 0 <= first < asked.count
        return [data[first // 8] >> first % 8 & 1] if inside else None
    if first < 0 or first + register.words > asked.count:
        return None
    return list(struct.unpack_from(f">{register.words}H", data, 2 * first))


def meaning(point: Point, words: Sequence[int], exponent: int = 0) -> float | None:
    """The value that the words hold; None where they hold none."""
    register = point.source
    if not isinstance(register, Register):
        return None
    raw = words[0] if register.table in ("coil", "discrete") else _raw(register, words)
    if raw is None or raw != raw or raw in (float("inf"), float("-inf")):
        return None
    if isinstance(raw, int) and abs(raw) > 2**53:
        return None
    if abs(exponent) > EXPONENT_MAX:
        return None
    exact = Fraction(raw) * Fraction(10) ** exponent * Fraction(str(register.scale))
    try:
        value = float(exact + Fraction(str(register.offset)))
    except OverflowError:
        return None
    low, high = point.range or (float("-inf"), float("inf"))
    return value if low <= value <= high else None


def text(register: Register, words: Sequence[int]) -> str | None:
    """What stands in the registers of a string."""
    try:
        return _significant(register, words).split(b"\0")[0].decode("utf-8").strip()
    except UnicodeDecodeError:
        return None


def _significant(register: Register, words: Sequence[int]) -> bytes:
    ordered = words[::-1] if register.order in LOW_WORD_FIRST else words
    kind = "<" if register.order in LOW_BYTE_FIRST else ">"
    return struct.pack(f"{kind}{len(words)}H", *ordered)


def _raw(register: Register, words: Sequence[int]) -> int | float | None:
    data = _significant(register, words)
    unsigned = int.from_bytes(data, "big")
    if unsigned in register.no_word:
        return None
    if register.bit is not None:
        unsigned = unsigned >> register.bit & 2**register.bit_width - 1
    if unsigned in register.no_data:
        return None
    if register.bit is not None:
        negative = register.type[0] == "i" and unsigned >= 2 ** (register.bit_width - 1)
        return unsigned - 2**register.bit_width if negative else unsigned
    if register.type.startswith("bcd"):
        digits = data.hex()
        return int(digits) if digits.isdecimal() else None
    number: int | float = struct.unpack(FORMATS[register.type], data)[0]
    return number
