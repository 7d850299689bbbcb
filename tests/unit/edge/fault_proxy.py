"""A Modbus TCP relay for the tests that can be made to do what networks, gateways and devices do when they fail."""

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.unit.edge.modbus_twins import framed

Piece = tuple[float, bytes]
"""So many seconds after the honest answer, these bytes."""
Alter = Callable[[bytes, bytes], Iterable[Piece]]
"""What is sent for a request and its honest answer."""
Door = Literal["open", "shut", "slammed", "mute"]
"""Of new connections: taken; refused; taken and closed at once; not even refused."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail.

    `alter` makes of each answer what is sent, None cuts the connection in the middle of the request;
    `kills` says that connections of its time stay dead when it is over, without a word.
    """

    alter: Alter | None = lambda _, answer: [(0.0, answer)]
    door: Door = "open"
    kills: bool = False


HONEST = Fault()


def silent(request: bytes, answer: bytes) -> Iterable[Piece]:
    return ()


def late(seconds: float) -> Alter:
    return lambda _, answer: [(seconds, answer)]


def byte_by_byte(pause_s: float) -> Alter:
    """A byte, a pause, a byte, a pause."""
    return lambda _, answer: [(i * pause_s, answer[i : i + 1]) for i in range(len(answer))]


def instead(what: Callable[[bytes], bytes]) -> Alter:
    return lambda request, _: [(0.0, what(request))]


def exception(code: int) -> Alter:
    return instead(lambda request: framed(request, bytes((request[7] | 0x80, code))))


def one_behind() -> Alter:
    """To each request the answer to the one before, whoever asked that and by which connection."""
    before: deque[bytes] = deque()

    def alter(_: bytes, answer: bytes) -> Iterable[Piece]:
        before.append(answer)
        return [(0.0, before.popleft())] if len(before) > 1 else []

    return alter


def noise(size: int) -> Alter:
    rng = random.Random(7)  # noqa: S311  repeatable noise, no secret
    return instead(lambda _: rng.randbytes(size))


@dataclass
class FaultProxy:
    """Relays to an honest server at `upstream` on this machine; `fault` is in force until the next."""

    upstream: int
    port: int = 0
    fault: Fault = HONEST
    host: str = "127.0.0.1"
    connections: int = 0
    _server: asyncio.Server | None = None
    _mute: list[socket.socket] = field(default_factory=list)
    _tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)
    _killed: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultProxy"]:
        await self._listen()
        try:
            yield self
        finally:
            self._shut()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def inflict(self, fault: Fault) -> None:
        """From now on `fault`; `HONEST` ends it."""
        if self.fault.kills or fault.kills:
            self._killed |= set(self._tasks.values())
        before, self.fault = self.fault.door, fault
        if {before, fault.door} & {"shut", "mute"} and before != fault.door:
            self._shut()
            await {"shut": self._refuse, "mute": self._swallow}.get(fault.door, self._listen)()

    # --- the door

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _shut(self) -> None:
        for taken in self._mute:
            taken.close()
        self._mute.clear()
        if self._server:
            self._server.close()  # its connections are not waited for
        self._server = None

    async def _refuse(self) -> None:
        for writer in self._tasks.values():
            _reset(writer)

    async def _swallow(self) -> None:
        """A listener whose queue is full: what knocks is not answered at all."""
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((self.host, self.port))
        door.listen(0)
        self._mute.append(door)
        for _ in range(4):
            guest = socket.socket()
            guest.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                guest.connect((self.host, self.port))
            self._mute.append(guest)

    # --- connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = writer
        self.connections += 1
        try:
            if self.fault.door != "slammed":
                await self._relay(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            return  # cancelled by `running`, which waits for it
        finally:
            writer.close()
            self._killed.discard(writer)
            del self._tasks[task]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, client = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            while True:
                request = await _frame(reader)
                client.write(request)
                answer = await _frame(server)
                if self.fault.alter is None:
                    _reset(writer)
                    return
                if writer not in self._killed:
                    _send(writer, self.fault.alter(request, answer))
        finally:
            client.close()


def _send(writer: asyncio.StreamWriter, pieces: Iterable[Piece]) -> None:
    loop = asyncio.get_running_loop()
    for after_s, piece in pieces:
        if after_s:
            loop.call_later(after_s, _write, writer, piece)
        else:
            writer.write(piece)


def _write(writer: asyncio.StreamWriter, piece: bytes) -> None:
    if not writer.is_closing():
        writer.write(piece)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End it by RST, as a device that restarts does."""
    taken: socket.socket = writer.get_extra_info("socket")
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(6)
    return head + await reader.readexactly(int.from_bytes(head[4:6], "big"))
