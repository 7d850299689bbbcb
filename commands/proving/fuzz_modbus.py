"""Fuzzes Modbus answers: the real reader over the real transport, on a line of the fuzzer's own, in virtual time."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from commands.proving.fuzz_cases import HONEST, START_MS, Each, Tally, Wrong, near, pieces
from commands.proving.fuzz_modbus_answers import ANSWERS, Writer
from commands.proving.fuzz_modbus_lines import FuzzedLoop, PortLoop
from commands.proving.fuzz_modbus_oracle import Asked, asked_of
from commands.proving.fuzz_modbus_witness import Heard, Witness, register_of
from commands.proving.fuzz_registers import Power, Row, devices
from config.clock import VirtualClock
from config.plant import Device, Line, LineKind, Point, Serial
from config.profile import ModbusLimits
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import ModbusTransport, PymodbusTransport
from edge.ports import PointReading, ReadResult

TIMEOUT_S: Final = 1.0
LATE_S: Final = (1.05, 3.95)
"""After the time-out, and within the four of them in which a late answer is known to be one."""
AT_ONCE_S: Final = 1e-6
"""Between pieces: timers of the same instant have no order."""
REST_S: Final = 1.0
POINTS_AT_ONCE: Final = 6
GROUPS: Final = 12
CALM: Final = 0.3
SCALED_EVERY: Final = 3
"""Of so many groups, one has values with an exponent for sure."""
LATE: Final = "late"
LATE_BUSY: Final = "late exception"
SAID: Final = {**ANSWERS, HONEST: Writer.right, LATE: Writer.right, LATE_BUSY: Writer.busy}
KINDS: Final = (*ANSWERS, *[LATE] * 2, *[HONEST] * 8)
SLOW_KINDS: Final = (*[LATE] * 4, *[LATE_BUSY] * 2, "nothing", *[HONEST] * 2)
SLOW: Final = 0.05
"""So many reads begin a stretch in which their unit is slow,"""
SLOW_READS: Final = (10, 40)
"""of so many reads,"""
SAME: Final = 0.9
"""most of which ask for one of its points that look alike."""
RESTS_S: Final = (0.0, 0.05, 1.2, 2.0, 3.0)


def life(
    kind: LineKind, transport: Callable[[Line], ModbusTransport] = PymodbusTransport
) -> Callable[[random.Random, int, Tally, Each], None]:
    """A life of a reader on a line of that kind."""

    def live(rng: random.Random, frames: int, tally: Tally, each: Each) -> None:
        loop = PortLoop() if kind == "rtu" else FuzzedLoop()
        path = loop.path if isinstance(loop, PortLoop) else ""
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            fuzzed = _Fuzzed(_line(kind, path), transport, rng, loop, tally)
            runner.run(fuzzed.live(frames, each))

    return live


# --- the line --------------------------------------------------------------------------------------


class _WireEnd:
    """The devices' end of the line: answers each request once, somehow, and keeps what was heard."""

    def __init__(self, rng: random.Random, loop: FuzzedLoop, tally: Tally, kind: LineKind) -> None:
        self.heard: list[Heard] = []
        self.powers: dict[int, Power] = {}
        """Of each unit, the exponent of its values."""
        self.calm = False
        """Whether every answer is the right one: a value and its exponent take several requests, which seldom all come through."""
        self.slow: int | None = None
        """A unit that answers late, often several times in turn."""
        self._rng = rng
        self._loop = loop
        self._tally = tally
        self._numbered = kind == "tcp"
        self._before = b""
        self._free_at: dict[int, float] = {}
        """Of each unit of a bus, when what it was asked so far is answered: answers overtake no other."""

    def asked(self, written: bytes) -> None:
        """A request was written."""
        asked = asked_of(written, numbered=self._numbered)
        if asked is None:
            raise Wrong("a request that is no read", written)
        heard = Heard(asked, self._data(asked))
        self.heard.append(heard)
        writer = Writer(self._rng, asked, heard.data, self._before)
        kind = self._kind(asked.unit)
        self._tally.frames[kind] += 1
        heard.honest = kind == HONEST
        self._before = writer.right()
        self._answer(heard, SAID[kind](writer), late=kind in (LATE, LATE_BUSY))

    def _kind(self, unit: int) -> str:
        if unit == self.slow:
            return self._rng.choice(SLOW_KINDS)
        return HONEST if self.calm else self._rng.choice(KINDS)

    def _answer(self, heard: Heard, raw: bytes, *, late: bool) -> None:
        """Not at all, if it is not its turn before nobody could know any more that it is late."""
        now, unit = self._loop.time(), heard.asked.unit
        after_s = self._rng.uniform(*LATE_S) if late else self._rng.uniform(0.0, 0.3)
        at_s = max(now + after_s, self._free_at.get(unit, 0.0))
        if at_s > now + LATE_S[1]:
            return
        for piece in pieces(self._rng, raw):
            self._loop.call_at(at_s, self._deliver, heard, piece)
            at_s += self._rng.choice((AT_ONCE_S, 0.001, 0.05 if self._numbered else AT_ONCE_S))
        if not self._numbered:
            self._free_at[unit] = at_s

    def _data(self, asked: Asked) -> bytes:
        """New data each time: what is old shows."""
        if asked.function > 2:
            data = self._rng.randbytes(asked.size)
            power = self.powers.get(asked.unit)
            return power.put(data, asked.address) if power and asked.function == 3 else data
        bits = self._rng.getrandbits(asked.count)
        return bits.to_bytes(asked.size, "little")

    def _deliver(self, heard: Heard, piece: bytes) -> None:
        """Bytes count for the request that waits for its answer now; on a bus late ones of its unit for none.

        What comes late of another unit counts: a frame in it that bears this one's name is made up, and nobody could tell.
        """
        if not self._loop.deliver(piece) or not self.heard:
            return
        now = self.heard[-1]
        same = now.asked == heard.asked and any(one is heard for one in self.heard)
        of_another = now.asked.unit != heard.asked.unit
        if now is heard or self._numbered or same or of_another:
            now.stream += piece
        if now is not heard:
            now.honest = False  # two at once: what is right may be dropped with what is not


# --- judging ---------------------------------------------------------------------------------------


class _Fuzzed:
    """One reader, its devices and points, read group by group."""

    def __init__(
        self, line: Line, transport: Callable[[Line], ModbusTransport],
        rng: random.Random, loop: FuzzedLoop, tally: Tally,
    ) -> None:  # fmt: skip
        self._rng = rng
        self._loop = loop
        self._tally = tally
        self._clock = VirtualClock(loop, START_MS)
        self._end = loop.devices = _WireEnd(rng, loop, tally, line.kind)
        self._reader = ModbusReader(transport(line), lambda _: ModbusLimits(), self._clock, line)
        rows = devices(rng)
        self._end.powers = {int(device.unit): Power(rng, register_of(points[0]).address) for device, points in rows}  # fmt: skip
        self._groups = _groups(rng, rows)
        self._alike = [(device, _alike(rng, points)) for device, points in rows]
        self._slow = self._alike[0]
        self._slow_reads = 0

    async def live(self, frames: int, each: Each) -> None:
        begun = self._tally.count
        while self._tally.count - begun < frames:
            device, points = self._next()
            self._end.heard.clear()
            self._end.calm = any(p.exponent for p in points) and self._rng.random() < CALM
            for power in self._end.powers.values():
                power.moves = 0
            result = await self._reader.read(device, points)
            self._judge(device, points, result)
            await self._clock.sleep_until(self._clock.monotonic() + self._rng.choice(RESTS_S))
            each()
        await self._reader.close()

    def _next(self) -> Row:
        """What is read now, by lot; in a stretch of a slow unit mostly one of its points that look alike."""
        self._slow_reads -= 1
        if self._slow_reads <= 0:
            self._end.slow = None
            if self._rng.random() < SLOW:
                self._slow = self._rng.choice(self._alike)
                self._slow_reads = self._rng.randint(*SLOW_READS)
                self._end.slow = int(self._slow[0].unit)
        if self._slow_reads > 0 and self._rng.random() < SAME:
            device, points = self._slow
            return device, [self._rng.choice(points)]
        return self._rng.choice(self._groups)

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
        elif reading.value is not None:
            says = witness.values(point)
            if not any(near(reading.value, said) for said in says):
                raise Wrong(f"{point.id} = {reading.value}, which no fitting answer says", last)
            self._tally.judged(says)

    def _judge_honest(
        self, point: Point, witness: Witness, read: Mapping[str, PointReading], last: bytes
    ) -> None:
        """Nothing but right answers came: what they cover is read, whatever came before.

        Where several hold a point's words, by any of them; without a value if its exponent has none, or
        changed in this read: between which answers, the reader need not find out.
        """
        says, reading = witness.meanings(point), read[point.id]
        if not says and reading.value is None:
            return  # no request covered it
        unsure = reading.value is None and witness.unsure(point, read)
        if not unsure and not any(_same(reading.value, said) for said in says):
            raise Wrong(f"{point.id} = {reading.value} ({reading.quality}) of honest answers that say {says}", last)  # fmt: skip
        if reading.value is not None:
            self._tally.judged(says)


def _line(kind: LineKind, path: str) -> Line:
    serial = None if kind == "tcp" else Serial(baud=115_200, parity="none", stop_bits=2)
    return Line("fuzzed", "edge", kind, "fuzzed", 502, TIMEOUT_S, REST_S, path=path, serial=serial)


def _same(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else near(one, other)


def _form(point: Point) -> tuple[int, str]:
    """What the answers to points that look alike have in common, their length first."""
    register = register_of(point)
    return register.words, register.table


def _groups(rng: random.Random, rows: Sequence[Row]) -> list[Row]:
    """What is read at once."""
    found = []
    for n in range(GROUPS):
        device, points = rng.choice(rows)
        some = rng.sample(points, rng.randint(1, POINTS_AT_ONCE))
        if n % SCALED_EVERY == 0:
            scaled = [point for point in points if point.exponent and point not in some]
            some += rng.sample(scaled, min(2, len(scaled)))
        found.append((device, _with_exponents(some, points)))
    return found


def _alike(rng: random.Random, points: Sequence[Point]) -> list[Point]:
    """Numbers whose answers look alike; of three forms the longest: of one register no smaller part can be asked for."""
    plain = [point for point in points if not point.exponent and register_of(point).type != "string"]  # fmt: skip
    form = max(map(_form, rng.sample(plain, 3)))
    return [point for point in plain if _form(point) == form]


def _with_exponents(some: Sequence[Point], points: Sequence[Point]) -> list[Point]:
    names = {point.exponent for point in some}
    return [*some, *(point for point in points if point.id in names and point not in some)]
