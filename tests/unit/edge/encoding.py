"""The tests' own encoder: a number to register words, written apart from the decoder."""

import struct

SIZES = {
    "u16": 2, "i16": 2, "bcd16": 2, "u32": 4, "i32": 4, "f32": 4, "bcd32": 4,
    "u64": 8, "i64": 8, "f64": 8,
}  # fmt: skip
FORMATS = {
    "u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "f32": ">f",
    "u64": ">Q", "i64": ">q", "f64": ">d",
}  # fmt: skip


def big_endian(type: str, number: float) -> bytes:
    if type.startswith("bcd"):
        return bytes.fromhex(f"{int(number):0{2 * SIZES[type]}d}")
    return struct.pack(FORMATS[type], number if type[0] == "f" else int(number))


def on_the_wire(data: bytes, order: str) -> list[int]:
    """Words in order of arrival for bytes given most significant first."""
    pairs = [data[i : i + 2] for i in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        pairs.reverse()
    if order in ("BADC", "DCBA"):
        pairs = [pair[::-1] for pair in pairs]
    return [pair[0] * 256 + pair[1] for pair in pairs]


def words(type: str, number: float, order: str) -> list[int]:
    return on_the_wire(big_endian(type, number), order)
