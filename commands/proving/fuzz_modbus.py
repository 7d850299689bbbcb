"""Fuzzes Modbus answers: the real reader over the real transport, on a line in memory, in virtual time."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from commands.proving.fuzz_cases import (
    START_MS,
    Each,
    Tally,
    Wrong,
    damaged,
    near,
    noise,
    pieces,
)
from commands.proving.fuzz_modbus_oracle import Asked, asked_of, crc
from commands.proving.fuzz_modbus_witness import Heard, Witness, register_of
from commands.proving.fuzz_registers import DEVICES, Power, devices
from config.clock import VirtualClock, VirtualLoop
from config.plant import Device, Line, LineKind, Point, Serial
from config.profile import ModbusLimits
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import ModbusTransport, PymodbusTransport
from edge.ports import PointReading, ReadResult

TIMEOUT_S: Final = 1.0
LATE_S: Final = (1.15, 3.5)
"""After the time-out: before a unit that was silent is asked again, and long after that."""
LOOK_S: Final = 1e-5
AT_ONCE_S: Final = 1e-6
"""Between pieces: timers of the same instant have no order."""
REST_S: Final = 1.0
POINTS_AT_ONCE: Final = 6
GROUPS: Final = 12
CALM: Final = 0.3
SCALED_EVERY: Final = 3
"""Of so many groups, one has values with an exponent for sure."""
Piece = tuple[float, bytes]


def life(
    kind: LineKind, transport: Callable[[Line], ModbusTransport] = PymodbusTransport
) -> Callable[[random.Random, int, Tally, Each], None]:
    """A life of a reader on a line of that kind."""

    def live(rng: random.Random, frames: int, tally: Tally, each: Each) -> None:
        loop = _MemoryLoop()
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            fuzzed = _Fuzzed(_line(kind), transport, rng, loop, tally)
            runner.run(fuzzed.live(frames, each))

    return live


# --- a line in memory ------------------------------------------------------------------------------


class _MemoryLoop(VirtualLoop):
    """A virtual loop whose connections all lead to one line in memory."""

    def __init__(self) -> None:
        self._looks = 0
        super().__init__()
        self.line: _WireEnd | None = None
        self.crash = ""
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Every look at the clock takes a moment: who waits by looking must not wait for ever."""
        self._looks += 1
        return super().time() + self._looks * LOOK_S

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        """What `host:port` would be, whoever asks."""
        if self.line is None:
            raise ConnectionRefusedError("no line")
        protocol = protocol_factory()
        wire = _Wire(self, protocol, self.line)
        protocol.connection_made(wire)
        return wire, protocol

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.crash = self.crash or f"{context['message']}: {context.get('exception')!r}"


class _Wire(asyncio.Transport):
    """One connection of the transport under test; what it writes is a request to the line."""

    def __init__(self, loop: _MemoryLoop, protocol: Any, line: "_WireEnd") -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._line = line
        self._open = True

    def write(self, data: Any) -> None:
        if self._open:
            self._line.asked(bytes(data), self)

    def deliver(self, chunk: bytes) -> bool:
        """Bytes of the other end; False where nobody hears them any more."""
        if self._open:
            self._protocol.data_received(chunk)
            return True
        return False

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return not self._open

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


# --- what comes instead of an answer ---------------------------------------------------------------


@dataclass(slots=True)
class _Writer:
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


Answer = Callable[[_Writer], bytes]
ANSWERS: Final[dict[str, Answer]] = {
    "exception": _Writer.exception,
    "bits flipped or bytes lost": lambda w: damaged(w.rng, w.right()),
    "damaged, checksum mended": _Writer.inside,
    "another unit": _Writer.other_unit,
    "another function": _Writer.other_function,
    "another number": _Writer.other_number,
    "another count": _Writer.other_count,
    "another length": _Writer.other_length,
    "another protocol": _Writer.other_protocol,
    "more behind": lambda w: w.right() + noise(w.rng),
    "more before": lambda w: noise(w.rng) + w.right(),
    "twice": lambda w: w.right() * 2,
    "behind another's": lambda w: w.foreign() + w.right(),
    "before another's": lambda w: w.right() + w.foreign(),
    "another's": _Writer.foreign,
    "hidden in another's": _Writer.hidden,
    "cut": lambda w: w.right()[: w.rng.randrange(len(w.right()))],
    "noise": lambda w: noise(w.rng),
    "endless noise": lambda w: w.rng.randbytes(w.rng.randint(300, 2000)),
    "nothing": lambda _: b"",
}
LATE: Final = "late"
HONEST: Final = "honest"
KINDS: Final = (*ANSWERS, *[LATE] * 2, *[HONEST] * 8)


class _WireEnd:
    """The devices' end of the line: answers each request once, somehow, and keeps what was heard."""

    def __init__(
        self, rng: random.Random, loop: _MemoryLoop, tally: Tally, *, numbered: bool
    ) -> None:
        self.heard: list[Heard] = []
        self.powers: dict[int, Power] = {}
        """Of each unit, the exponent of its values."""
        self.calm = False
        """Whether every answer is the right one: a value and its exponent take several requests, which seldom all come through."""
        self._rng = rng
        self._loop = loop
        self._tally = tally
        self._numbered = numbered
        self._before = b""
        self._left = b""

    def asked(self, written: bytes, wire: _Wire) -> None:
        """A request was written."""
        asked = asked_of(written, numbered=self._numbered)
        if asked is None:
            raise Wrong("a request that is no read", written)
        heard = Heard(asked, self._data(asked))
        self.heard.append(heard)
        writer = _Writer(self._rng, asked, heard.data, self._before)
        kind = HONEST if self.calm else self._rng.choice(KINDS)
        self._tally.frames[kind] += 1
        heard.honest = kind == HONEST
        self._before = writer.right()
        raw = ANSWERS[kind](writer) if kind in ANSWERS else writer.right()
        after_s = self._rng.uniform(*LATE_S) if kind == LATE else self._rng.uniform(0.0, 0.3)
        for piece in pieces(self._rng, raw):
            self._loop.call_later(after_s, self._deliver, wire, heard, piece)
            after_s += self._rng.choice((AT_ONCE_S, 0.001, 0.05 if self._numbered else AT_ONCE_S))

    def _data(self, asked: Asked) -> bytes:
        """New data each time: what is old shows."""
        if asked.function > 2:
            data = self._rng.randbytes(asked.size)
            power = self.powers.get(asked.unit)
            return power.put(data, asked.address) if power and asked.function == 3 else data
        bits = self._rng.getrandbits(asked.count)
        return bits.to_bytes(asked.size, "little")

    def _deliver(self, wire: _Wire, heard: Heard, piece: bytes) -> None:
        """Bytes count for the request that waits for its answer now; on a serial line late ones for none."""
        if not wire.deliver(piece) or not self.heard:
            return
        now = self.heard[-1]
        if now is heard or self._numbered:
            now.stream += piece
        if now is not heard:
            now.honest = False  # two at once: what is right may be dropped with what is not


# --- judging ---------------------------------------------------------------------------------------


class _Fuzzed:
    """One reader, its devices and points, read group by group."""

    def __init__(
        self, line: Line, transport: Callable[[Line], ModbusTransport],
        rng: random.Random, loop: _MemoryLoop, tally: Tally,
    ) -> None:  # fmt: skip
        self._rng = rng
        self._loop = loop
        self._tally = tally
        self._clock = VirtualClock(loop, START_MS)
        self._end = loop.line = _WireEnd(rng, loop, tally, numbered=line.kind == "tcp")
        self._reader = ModbusReader(transport(line), lambda _: ModbusLimits(), self._clock, line)
        self._groups = self._make_groups()

    def _make_groups(self) -> list[tuple[Device, list[Point]]]:
        rows = devices(self._rng)
        self._end.powers = {int(device.unit): Power(self._rng, register_of(points[0]).address) for device, points in rows}  # fmt: skip
        found = []
        for n in range(GROUPS):
            device, points = rows[self._rng.randrange(DEVICES)]
            some = self._rng.sample(points, self._rng.randint(1, POINTS_AT_ONCE))
            if n % SCALED_EVERY == 0:
                scaled = [point for point in points if point.exponent and point not in some]
                some += self._rng.sample(scaled, min(2, len(scaled)))
            found.append((device, _with_exponents(some, points)))
        return found

    async def live(self, frames: int, each: Each) -> None:
        begun = self._tally.count
        while self._tally.count - begun < frames:
            device, points = self._rng.choice(self._groups)
            self._end.heard.clear()
            self._end.calm = any(p.exponent for p in points) and self._rng.random() < CALM
            for power in self._end.powers.values():
                power.moves = 0
            result = await self._reader.read(device, points)
            self._judge(device, points, result)
            await self._clock.sleep_until(self._clock.monotonic() + self._rng.choice((0.0, 0.05, 1.2, 3.0)))  # fmt: skip
            each()
        await self._reader.close()

    def _judge(self, device: Device, points: Sequence[Point], result: ReadResult) -> None:
        last = bytes(self._end.heard[-1].stream) if self._end.heard else b""
        if self._loop.crash:
            raise Wrong(f"crashed: {self._loop.crash}", last)
        wanted = {point.id: point for point in points}
        read = {reading.point: reading for reading in result.readings}
        if len(read) < len(result.readings) or read.keys() != {p.id for p in points if register_of(p).type != "string"}:  # fmt: skip
            raise Wrong("not one reading of each point", last)
        for heard in self._end.heard:
            if heard.asked.unit != int(device.unit):
                raise Wrong(f"unit {heard.asked.unit} was asked instead of {device.unit}", last)
        witness = Witness(self._end.heard, points)
        for name in read:
            self._judge_reading(wanted[name], witness, read, last)
        for name, told in result.facts.items():
            if told not in witness.texts(wanted[name]):
                raise Wrong(f"{name} is said to be {told!r}", last)

    def _judge_reading(
        self, point: Point, witness: Witness, read: Mapping[str, PointReading], last: bytes
    ) -> None:
        reading = read[point.id]
        self._tally.values += reading.value is not None
        self._tally.scaled += reading.value is not None and point.exponent is not None
        self._tally.without_value += reading.value is None
        if (reading.value is None) is not (reading.quality >= 64):
            raise Wrong(f"{point.id}: value {reading.value} with quality {reading.quality}", last)
        if self._end.heard and all(heard.honest for heard in self._end.heard):
            self._judge_honest(point, witness, read, last)
        elif reading.value is not None and not any(near(reading.value, v) for v in witness.values(point)):  # fmt: skip
            raise Wrong(f"{point.id} = {reading.value}, which no fitting answer says", last)

    def _judge_honest(
        self, point: Point, witness: Witness, read: Mapping[str, PointReading], last: bytes
    ) -> None:
        """Nothing but right answers came: what they cover is read, whatever came before.

        Where several hold a point's words, by any of them; without a value if its exponent has none, or
        changed in this read: between which answers, the reader need not find out.
        """
        says, reading = witness.meanings(point), read[point.id]
        if not says:
            return  # no request covered it
        unsure = reading.value is None and witness.unsure(point, read)
        if not unsure and not any(_same(reading.value, said) for said in says):
            raise Wrong(f"{point.id} = {reading.value} ({reading.quality}) of honest answers that say {says}", last)  # fmt: skip


def _line(kind: LineKind) -> Line:
    serial = Serial(baud=115_200) if kind == "rtu_over_tcp" else None
    return Line("fuzzed", "edge", kind, "fuzzed", 502, TIMEOUT_S, REST_S, serial=serial)


def _same(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else near(one, other)


def _with_exponents(some: Sequence[Point], points: Sequence[Point]) -> list[Point]:
    names = {point.exponent for point in some}
    return [*some, *(point for point in points if point.id in names and point not in some)]
