"""Devices for the fuzzer of Modbus: points of every type, order and table, drawn by lot."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

from config.plant import Device, Point, PointSpec
from config.profile import WORDS, Register, Table, WordType

DEVICES: Final = 3
POINTS: Final = 28
ADDRESSES: Final = 300
SCALES: Final = (1.0, 1.0, 0.1, 0.01, 0.5, 10.0, -1.0)
NO_DATA: Final = (0xFFFF, 0x8000, 0)
ORDERS: Final = {
    1: ("AB", "BA", "ABCD", "DCBA"),
    2: ("ABCD", "CDAB", "BADC", "DCBA"),
    4: ("ABCD", "CDAB", "BADC", "DCBA", "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"),
}
SCALED: Final = ("u16", "i16", "u32", "i32", "f32")
"""Types of which mostly any words are a value."""
POWERS: Final[Sequence[int]] = (*range(-8, 9), 300, -32768)
"""The last two scale nothing."""
MOVES_MAX: Final = 8
Row = tuple[Device, list[Point]]
"""A device with points of it."""
NUMBERS: Final = tuple(t for t in get_args(WordType) if t not in ("bit", "string"))


@dataclass(slots=True)
class Power:
    """The exponent that a device holds, at a holding register: now and then it moves on, in a ring.

    Never so far in one read that it is what it was before: that, no reader can see.
    """

    rng: random.Random
    address: int
    at: int = 0
    moves: int = 0
    """In this read."""

    def put(self, data: bytes, address: int) -> bytes:
        """The data of holding registers from that address on, the exponent as it is now in its place."""
        if self.moves < MOVES_MAX and self.rng.random() < 0.1:
            self.at, self.moves = (self.at + 1) % len(POWERS), self.moves + 1
        place = 2 * (self.address - address)
        if not 0 <= place <= len(data) - 2:
            return data
        return data[:place] + POWERS[self.at].to_bytes(2, "big", signed=True) + data[place + 2 :]


def devices(rng: random.Random) -> list[Row]:
    """Each device with all its points."""
    return [_device(rng, n + 1) for n in range(DEVICES)]


def _device(rng: random.Random, unit: int) -> Row:
    asset = f"a{unit}"
    device = Device(f"d{unit}", f"p{unit}", "fuzzed", asset, str(unit))
    exponent = Register("holding", rng.randrange(ADDRESSES), "i16")
    registers = {"power": exponent} | {f"p{n}": _any(rng) for n in range(POINTS)}
    return device, [_point(rng, device, name, one) for name, one in registers.items()]


def _point(rng: random.Random, device: Device, name: str, register: Register) -> Point:
    span = (-40.0, 40.0) if name == "power" else rng.choice((None, None, (0.0, 1e6), (-100.0, 5000.0)))  # fmt: skip
    spec = PointSpec({"en": name}, "measurement", "", register, range=span)
    return Point(f"{device.asset}/{name}", device.asset, device.id, spec)


def _any(rng: random.Random) -> Register:
    table: Table = rng.choice(("holding", "holding", "input", "coil", "discrete"))
    address = rng.randrange(ADDRESSES)
    if table in ("coil", "discrete"):
        return Register(table, address, "bit")
    if rng.random() < 0.05:
        return Register(table, address, "string", words=rng.randint(1, 8))
    type_ = rng.choice(NUMBERS)
    words = WORDS[type_]
    register = Register(
        table, address, type_, rng.choice(ORDERS[words]), rng.choice(SCALES), rng.choice((0.0, 0.0, -5.0)),
        words=words, no_data=(rng.choice(NO_DATA),) if rng.random() < 0.3 else (),
    )  # fmt: skip
    if type_[0] in "ui" and rng.random() < 0.2:
        width = rng.randint(1, min(12, 16 * words))
        bit = rng.randint(0, 16 * words - width)
        return replace(register, bit=bit, bit_width=width, no_word=register.no_data)
    scaled = type_ in SCALED and rng.random() < 0.3
    return replace(register, scale_from="power") if scaled else register
