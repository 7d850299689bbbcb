"""A broker for one agent that takes what it is told, at the pace that a test wants, and says what a test wants."""

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from collector.adapters import mqtt_frames as frames

READ_BYTES = 4096
"""So little waits on the way to it: what it does not read, the other side soon cannot send."""
CONNACK = b"\x20\x02\x00\x00"
PINGREQ_KIND = 12
PINGRESP = b"\xd0\x00"


def granted(subscribe: bytes) -> bytes:
    """SUBACK of both filters of an agent."""
    return b"\x90\x04" + subscribe[:2] + b"\x01\x01"


@dataclass
class BrokerTwin:
    """`behind` is said in one piece with each SUBACK. While `reads` is not set it takes nothing."""

    behind: bytes = b""
    mute: bool = False
    """Takes all and answers nothing."""
    bytes_a_second: float = math.inf
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    came: int = 0
    """Connections."""
    ended: int = 0
    greeted: int = 0
    pings: int = 0
    said: list[bytes] = field(default_factory=list)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())  # type: ignore[arg-type]  # within one
        self.came += 1
        rest = b""
        try:
            while data := await self._data(reader):
                published, others, used = frames.cut(rest + data)
                rest = (rest + data)[used:]
                self.said += [one.payload for one in published]
                answers = frames.acknowledge(published) + b"".join(map(self._answer, others))
                writer.write(b"" if self.mute else answers)
                await asyncio.sleep(len(data) / self.bytes_a_second)
        except ConnectionError:
            pass
        finally:
            self.ended += 1
            writer.transport.abort()

    async def _data(self, reader: asyncio.StreamReader) -> bytes:
        await self.reads.wait()
        return await reader.read(READ_BYTES)

    def _answer(self, frame: frames.Frame) -> bytes:
        if frame.kind == frames.CONNECT:
            self.greeted += 1
            return CONNACK
        if frame.kind == frames.SUBSCRIBE:
            return granted(frame.body) + self.behind
        if frame.kind == PINGREQ_KIND:
            self.pings += 1
            return PINGRESP
        return b""


@asynccontextmanager
async def broker_twin(tls: ssl.SSLContext | None = None) -> AsyncIterator[BrokerTwin]:
    twin = BrokerTwin()
    twin.reads.set()
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES)
        twin.port = listening.getsockname()[1]
        server = await asyncio.start_server(twin._serve, sock=listening, limit=READ_BYTES, ssl=tls)
        try:
            yield twin
        finally:
            server.close()
            for task in twin._serving:
                task.cancel()
            await asyncio.gather(*twin._serving, return_exceptions=True)
            await server.wait_closed()
