"""What lies between an agent and its broker, and can be made to fail: a TCP relay that keeps what the agent published."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

from collector.adapters import mqtt_frames as frames
from commands.part_servers import free_port
from edge.readings import LANES

HOST: Final = "127.0.0.1"
PIECE_BYTES: Final = 65_536
BATCHES_KEPT: Final = 200
Side = Literal["agent", "broker"]


@dataclass(slots=True, eq=False)
class Link:
    """One connection of the agent with its other half to the broker.

    `ended_by` is who ended it first, "" while nobody did. A half-open link passes nothing on, ever,
    and tells neither side that the other has gone. Sizes in bytes.
    """

    agent: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    half_open: bool = False
    ended_by: Literal["", "agent", "broker", "us"] = ""
    gone: bool = False
    """Whether both halves are over."""
    batches: int = 0
    swallowed: int = 0
    _unread: bytes = b""

    def cut(self) -> None:
        """End both halves in good order."""
        self._end()
        self.agent.close()
        self.broker.close()

    def reset(self) -> None:
        """End both halves by RST."""
        self._end()
        _reset(self.agent)
        _reset(self.broker)

    def lose_agent(self) -> None:
        """Reset the agent's half, of which the broker hears nothing."""
        self._end()
        self.half_open = True
        _reset(self.agent)

    def _end(self) -> None:
        self.ended_by = self.ended_by or "us"

    def read(self, piece: bytes) -> list[frames.Published]:
        """The batches that are whole with this piece of what the agent says."""
        self._unread += piece
        published, _, used = frames.cut(self._unread)
        self._unread = self._unread[used:]
        batches = [one for one in published if one.topic.rpartition("/")[2] in LANES]
        self.batches += len(batches)
        return batches


def _reset(writer: asyncio.StreamWriter) -> None:
    taken: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass(slots=True)
class LinkProxy:
    """Relays to the broker at port `upstream` of this machine, with `delay_s` before each piece.

    `said` are the newest batches that the agent published, as they went by; `taken` counts its
    connections, `held_back` the bytes that came late.
    """

    upstream: int
    port: int = field(default_factory=free_port)
    delay_s: float = 0.0
    taken: int = 0
    held_back: int = 0
    links: list[Link] = field(default_factory=list)
    said: deque[frames.Published] = field(default_factory=lambda: deque(maxlen=BATCHES_KEPT))
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def link(self) -> Link | None:
        """The newest link that is whole, if any."""
        return next((one for one in reversed(self.links) if not one.ended_by and not one.half_open), None)  # fmt: skip

    @property
    def speaking(self) -> bool:
        """Whether batches have gone by on the link that there is."""
        return self.link is not None and self.link.batches > 0

    async def open(self) -> None:
        """Take connections, at the same port as ever."""
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    def refuse(self) -> None:
        """Reset what is open and refuse what comes, until `open`."""
        if self._server is not None:
            self._server.close()  # its connections are not waited for
            self._server = None
        for link in self.links:
            link.reset()

    async def close(self) -> None:
        """End listening and every connection."""
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a stream's callback always runs in a task
        self._tasks.add(task)
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            return  # cancelled by `close`, which waits for it
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far = await asyncio.open_connection(HOST, self.upstream)
        link = Link(writer, far)
        self.links.append(link)
        self.taken += 1
        halves = {
            asyncio.create_task(self._pump(link, "agent", reader)),
            asyncio.create_task(self._pump(link, "broker", far_reader)),
        }
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
            if link.half_open:
                await asyncio.wait(halves)
        finally:
            for half in halves:
                half.cancel()
            await asyncio.gather(*halves, return_exceptions=True)
            far.close()
            link.gone = True
            self.links.remove(link)

    async def _pump(self, link: Link, side: Side, reader: asyncio.StreamReader) -> None:
        """Pass on what one side says until it ends."""
        to = link.broker if side == "agent" else link.agent
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if side == "agent":
                    self.said += link.read(piece)
                if self.delay_s:
                    self.held_back += len(piece)
                    await asyncio.sleep(self.delay_s)
                if link.half_open:
                    link.swallowed += len(piece)
                else:
                    to.write(piece)
                    await to.drain()
        link.ended_by = link.ended_by or side
