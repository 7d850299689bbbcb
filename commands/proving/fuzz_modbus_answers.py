"""What comes instead of the answer to a Modbus read: right ones, and such as only look like it."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from commands.proving.fuzz_cases import damaged, noise
from commands.proving.fuzz_modbus_oracle import Asked, crc


@dataclass(slots=True)
class Writer:
    """Makes answers of one request: right ones, and such as only look like it."""

    rng: random.Random
    asked: Asked
    data: bytes
    before: bytes
    """The whole answer to the request before."""

    @property
    def pdu(self) -> bytes:
        return bytes((self.asked.function, self.asked.size)) + self.data

    def framed(self, pdu: bytes, *, unit: int | None = None, number: int | None = None) -> bytes:
        """A frame whose lengths and checksum are right whatever is in it."""
        own = bytes((self.asked.unit if unit is None else unit,)) + pdu
        if self.asked.number is None:
            return own + crc(own)
        told = self.asked.number if number is None else number
        return told.to_bytes(2, "big") + b"\0\0" + (len(own) & 0xFFFF).to_bytes(2, "big") + own

    def right(self) -> bytes:
        return self.framed(self.pdu)

    def foreign(self) -> bytes:
        """A sound frame that answers another request."""
        rng, asked = self.rng, self.asked
        size = rng.choice((asked.size, 2 * rng.randint(1, 20), rng.randint(0, 250)))
        pdu = bytes((rng.randint(1, 4), size)) + rng.randbytes(size)
        unit = rng.choice([u for u in (0, 1, 2, 3, 247, 255) if u != asked.unit])
        return rng.choice((self.framed(pdu, unit=unit), self.other_number(), self.before or pdu))

    def other_number(self) -> bytes:
        """Of a line that numbers nothing: another unit's."""
        if self.asked.number is None:
            return self.framed(self.pdu, unit=self.asked.unit % 247 + 1)
        told = self.rng.choice((0, self.asked.number - 1, self.asked.number + 1, self.rng.randrange(65536)))  # fmt: skip
        own = bytes((self.asked.unit,)) + self.pdu
        length = len(own).to_bytes(2, "big")
        return (told & 0xFFFF).to_bytes(2, "big") + b"\0\0" + length + own

    def exception(self) -> bytes:
        code = self.rng.choice((1, 2, 3, 4, 6, 10, 11, self.rng.randrange(256)))
        return self.framed(bytes((self.asked.function | 0x80, code)))

    def busy(self) -> bytes:
        """An exception that says nothing of what was asked for."""
        return self.framed(bytes((self.asked.function | 0x80, self.rng.choice((4, 6)))))

    def inside(self) -> bytes:
        """Damaged where no checksum shows it."""
        return self.framed(damaged(self.rng, self.pdu))

    def other_unit(self) -> bytes:
        return self.framed(self.pdu, unit=self.rng.randrange(256))

    def other_function(self) -> bytes:
        function = self.rng.choice((1, 2, 3, 4, 5, 6, 16, 0x80, self.rng.randrange(256)))
        return self.framed(bytes((function,)) + self.pdu[1:])

    def other_count(self) -> bytes:
        """An answer to a request for more or fewer; or one that only says so."""
        count = max(0, self.asked.size + self.rng.choice((-4, -2, -1, 1, 2, 4, 100)))
        data = self.rng.choice((self.data, self.data[:count].ljust(count, b"\0")))
        return self.framed(bytes((self.asked.function, count & 0xFF)) + data)

    def other_length(self) -> bytes:
        """The header's length (what there is of a header on a serial line: the count) is not so."""
        raw = bytearray(self.right())
        at = 2 if self.asked.number is None else self.rng.choice((4, 5))
        raw[at] = (raw[at] + self.rng.choice((-3, -1, 1, 2, 64, 200))) & 0xFF
        return bytes(raw) + self.rng.choice((b"", self.rng.randbytes(self.rng.randint(1, 80))))

    def other_protocol(self) -> bytes:
        raw = bytearray(self.right())
        raw[self.rng.choice((2, 3))] ^= self.rng.randint(1, 255)
        return bytes(raw)

    def hidden(self) -> bytes:
        """The right answer as data of a sound frame for somebody else."""
        inner = self.right()[:250]
        pdu = bytes((self.asked.function, len(inner))) + inner
        if self.asked.number is None:
            return self.framed(pdu, unit=self.asked.unit % 247 + 1)
        return self.framed(pdu, number=(self.asked.number + 1) & 0xFFFF)


Answer = Callable[[Writer], bytes]
ANSWERS: Final[dict[str, Answer]] = {
    "exception": Writer.exception,
    "bits flipped or bytes lost": lambda w: damaged(w.rng, w.right()),
    "damaged, checksum mended": Writer.inside,
    "another unit": Writer.other_unit,
    "another function": Writer.other_function,
    "another number": Writer.other_number,
    "another count": Writer.other_count,
    "another length": Writer.other_length,
    "another protocol": Writer.other_protocol,
    "more behind": lambda w: w.right() + noise(w.rng),
    "more before": lambda w: noise(w.rng) + w.right(),
    "twice": lambda w: w.right() * 2,
    "behind another's": lambda w: w.foreign() + w.right(),
    "before another's": lambda w: w.right() + w.foreign(),
    "another's": Writer.foreign,
    "hidden in another's": Writer.hidden,
    "cut": lambda w: w.right()[: w.rng.randrange(len(w.right()))],
    "noise": lambda w: noise(w.rng),
    "endless noise": lambda w: w.rng.randbytes(w.rng.randint(300, 2000)),
    "nothing": lambda _: b"",
}
