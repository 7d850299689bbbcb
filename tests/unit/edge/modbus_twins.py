"""Modbus devices for the tests: one in memory behind the transport port, one that records frames."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from config.clock import SteppedClock
from config.plant import Point
from config.profile import ModbusLimits, Table
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import LinkDown, ModbusTransport, NoAnswer, Refused
from edge.ports import PointReading, ReadResult
from edge.readings import QUALITY_NAMES
from tests.unit.edge.rows import register_point


@dataclass
class TwinLine:
    """A transport to devices in memory: each word is its own address; what goes wrong is set per unit."""

    bad_addresses: dict[int, set[int]] = field(default_factory=dict)
    exceptions: dict[int, int] = field(default_factory=dict)
    longest: int = 125
    dead: set[int] = field(default_factory=set)
    down: bool = False
    fails_at: int | None = None
    words: dict[int, int] = field(default_factory=dict)
    asked: list[tuple[int, Table, int, int]] = field(default_factory=list)
    closed: int = 0
    before: Callable[[], None] = lambda: None
    refuses: Callable[[int, int], int] = lambda _address, _count: 0
    """The exception to a request for so many from an address on, 0 for none."""

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        self.before()
        self.asked.append((unit, table, address, count))
        if self.down:
            raise LinkDown("unplugged")
        if unit in self.dead or len(self.asked) == self.fails_at:
            raise NoAnswer("silent")
        if unit in self.exceptions:
            raise Refused(self.exceptions[unit])
        if code := self.refuses(address, count):
            raise Refused(code)
        addresses = range(address, address + count)
        if count > self.longest or self.bad_addresses.get(unit, set()) & set(addresses):
            raise Refused(2 if count <= self.longest else 3)
        if table in ("coil", "discrete"):
            return [self.words.get(a, a % 2) for a in addresses]
        return [self.words.get(a, a) for a in addresses]

    async def close(self) -> None:
        self.closed += 1


def reader_of(
    twin: ModbusTransport, limits: ModbusLimits | None = None
) -> tuple[ModbusReader, SteppedClock]:
    clock = SteppedClock()
    return ModbusReader(twin, lambda _profile: limits or ModbusLimits(), clock), clock


def failing(*errors: Exception | None) -> Callable[[], None]:
    """For `before`: what happens instead of one answer after another, None being the answer; then nothing."""
    rest = iter(errors)

    def fails() -> None:
        if error := next(rest, None):
            raise error

    return fails


def at(*addresses: int) -> list[Point]:
    return [register_point(str(a), a) for a in addresses]


def reasons(result: ReadResult) -> dict[str, str]:
    return {r.point.removeprefix("a/"): QUALITY_NAMES[r.quality] for r in result.readings}


def values(readings: Sequence[PointReading]) -> dict[str, float | None]:
    return {r.point.removeprefix("a/"): r.value for r in readings}


@dataclass
class RecordingServer:
    """Modbus TCP on a real socket: keeps every request; `answer` gives the bytes for one, None is silence."""

    answer: Callable[[bytes], bytes | None]
    port: int = 0
    frames: list[bytes] = field(default_factory=list)
    came_by: list[int] = field(default_factory=list)
    """Of each frame, the number of its connection."""
    connections: int = 0
    tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["RecordingServer"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        connection = self.connections
        try:
            while True:
                frame = await reader.readexactly(6)
                frame += await reader.readexactly(int.from_bytes(frame[4:6], "big"))
                self.frames.append(frame)
                self.came_by.append(connection)
                answer = self.answer(frame)
                if answer == b"":
                    return
                writer.write(answer or b"")
        except (OSError, EOFError, asyncio.CancelledError):
            return  # cancelled by `running`, which waits for it: asyncio would log a task that ends so
        finally:
            writer.close()

    def functions(self) -> set[int]:
        return {frame[7] for frame in self.frames}


def framed(request: bytes, pdu: bytes) -> bytes:
    """The right frame for an answer to this request."""
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu


def asked_for(request: bytes) -> tuple[int, int, int]:
    """Function, address and count of a request."""
    return request[7], int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")


def honest_pdu(request: bytes) -> bytes:
    """Each word holds its own address, each bit the parity of its address."""
    function, address, count = asked_for(request)
    addresses = range(address, address + count)
    if function <= 2:
        bits = sum((a % 2) << i for i, a in enumerate(addresses))
        size = (count + 7) // 8
        return bytes((function, size)) + bits.to_bytes(size, "little")
    data = b"".join(a.to_bytes(2, "big") for a in addresses)
    return bytes((function, len(data))) + data


def honest(request: bytes) -> bytes:
    return framed(request, honest_pdu(request))


def script(*answers: Callable[[bytes], bytes | None]) -> Callable[[bytes], bytes | None]:
    """One answer after another, then honest ones."""
    rest: Iterator[Callable[[bytes], bytes | None]] = iter(answers)
    return lambda request: next(rest, honest)(request)
