"""A broker as small as MQTT 3.1.1 allows: takes connections and publications, and can be unkind."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class SmallBroker:
    """What arrived: user names, (topic, payload) of each publication in order, and what is subscribed to now.

    `drop_next` publications are answered with an end of the connection instead of an acknowledgement.
    Topic filters in `refused` are not subscribed to. `keep_alive_s` is what the last connection asked for.
    """

    port: int = 0
    users: list[tuple[str, str]] = field(default_factory=list)
    said: list[tuple[str, bytes]] = field(default_factory=list)
    filters: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    drop_next: int = 0
    keep_alive_s: int = 0
    _tasks: set[asyncio.Task[object]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            while await self._packet(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _packet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = (await reader.readexactly(1))[0]
        body = await reader.readexactly(await self._length(reader))
        kind = first >> 4
        if kind == 1:
            self.users.append(_login(body))
            (self.keep_alive_s,) = struct.unpack(">H", body[8:10])
            writer.write(b"\x20\x02\x00\x00")
        elif kind == 3:
            return self._publication(first, body, writer)
        elif kind == 8:
            wanted = _filters(body, 1)
            self.filters.update(set(wanted) - self.refused)
            codes = bytes(0x80 if one in self.refused else 1 for one in wanted)
            writer.write(bytes((0x90, 2 + len(codes))) + body[:2] + codes)
        elif kind == 10:
            self.filters.difference_update(_filters(body, 0))
            writer.write(b"\xb0\x02" + body[:2])
        elif kind == 12:
            writer.write(b"\xd0\x00")
        return kind != 14

    def _publication(self, first: int, body: bytes, writer: asyncio.StreamWriter) -> bool:
        size = struct.unpack(">H", body[:2])[0]
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        if self.drop_next:
            self.drop_next -= 1
            return False
        if first & 0x06:
            writer.write(b"\x40\x02" + rest[:2])
            rest = rest[2:]
        self.said.append((topic, rest))
        return True

    async def _length(self, reader: asyncio.StreamReader) -> int:
        total, shift = 0, 0
        while True:
            byte = (await reader.readexactly(1))[0]
            total |= (byte & 0x7F) << shift
            if byte < 0x80:
                return total
            shift += 7


def _filters(body: bytes, beside: int) -> list[str]:
    """Of a SUBSCRIBE or UNSUBSCRIBE; `beside` bytes stand behind each."""
    rest, found = body[2:], list[str]()
    while rest:
        size = struct.unpack(">H", rest[:2])[0]
        found.append(rest[2 : 2 + size].decode())
        rest = rest[2 + size + beside :]
    return found


def _login(body: bytes) -> tuple[str, str]:
    """User and password of a CONNECT without a will."""
    flags, rest, texts = body[7], body[10:], []
    while rest:
        size = struct.unpack(">H", rest[:2])[0]
        texts.append(rest[2 : 2 + size].decode())
        rest = rest[2 + size :]
    return (texts[1], texts[2]) if flags & 0x80 else ("", "")


@asynccontextmanager
async def small_broker() -> AsyncIterator[SmallBroker]:
    broker = SmallBroker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        for task in broker._tasks:
            task.cancel()
        await asyncio.gather(*broker._tasks, return_exceptions=True)
        await server.wait_closed()
