"""Listens for fire transmission devices (GB/T 26875.3): they connect, they tell, we confirm and read."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from config.clock import Clock
from config.plant import Device, Line, Point
from edge.fire_centre import LINK_DOWN, Centre, Heard, Watched
from edge.ports import PointReading, ReadResult

log = logging.getLogger(__name__)

CHUNK_BYTES: Final = 4096
SPARE_LINKS: Final = 16
"""Connections beside one for each device: old ones that are half open, and strangers."""
STRANGER_S: Final = 60.0
"""Real seconds in which a connection must show that it is a device of this line, at least."""


@dataclass(slots=True, eq=False)
class _Socket:
    """One connection. Seconds of the loop."""

    id: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    opened_s: float
    task: asyncio.Task[None]


class FireReader:
    """A `PointReader` that its devices connect to, on the line's own host and port.

    `read` hands on what came since the last call (see `Centre`). A device without connection is
    `link_down`, one that is silent `no_answer`, both told once a period and never `lost`: the others
    on the line are read on. `lost` is only a port that cannot be listened on. `timeout_s` of the
    line, in real seconds, is how long the bytes of one frame may take.

    It writes nothing but the answers of `edge.gb26875`, confirmations and denials: no request and
    no control command to a fire device can be built.

    `centres` holds the centre of each line that listened last: where a line begins anew, its reader
    goes on from there.
    """

    def __init__(
        self,
        line: Line,
        watched: Sequence[Watched],
        clock: Clock,
        zone: tzinfo,
        centres: dict[str, Centre] | None = None,
    ) -> None:
        self.centre = Centre(watched, clock, zone)
        self._centres = {} if centres is None else centres
        self.refused_links = 0
        """Since the start, because there were too many."""
        self._line = line
        self._clock = clock
        self._links_max = len(watched) + SPARE_LINKS
        self._stranger_s = max([STRANGER_S, *(row.silence_s for row in watched)])
        self._server: asyncio.Server | None = None
        self._sockets: dict[int, _Socket] = {}
        self._opened = 0

    @property
    def port(self) -> int:
        """Where it listens; 0 while it does not."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        try:
            await self.open()
        except (OSError, ValueError) as error:  # a UnicodeError of a host's name
            now = self._clock.now()
            down = [PointReading(point.id, None, LINK_DOWN, now) for point in points]
            return ReadResult(down, lost=True, detail=f"cannot listen on {self._line.host}:{self._line.port}: {error}")  # fmt: skip
        return ReadResult(self.centre.readings(device.id))

    async def open(self) -> None:
        """Listen; at once if it already does.

        Raises:
            OSError: the port is taken, or the address is not ours.
            ValueError: no host can have that name.
        """
        if self._server is None:
            self._server = await asyncio.start_server(
                self._come, self._line.host, self._line.port, limit=CHUNK_BYTES
            )
            before = self._centres.get(self._line.id, self.centre)
            if before is not self.centre:
                self.centre.go_on_from(before)
            self._centres[self._line.id] = self.centre

    def forget(self, device: str) -> None:
        """Never asked for: a fire line whose devices change begins anew (`edge.reloading`)."""

    def words(self) -> str:
        """What its centre has counted since the line began, and connections refused."""
        refused = [f"{self.refused_links} connections refused"] if self.refused_links else []
        return ", ".join([self.centre.stats.words(), *refused])

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self.centre.closing()
        open_now = list(self._sockets.values())
        for one in open_now:
            self._end(one)  # and its task sees the end: streams log a cancelled one as a fault
        await asyncio.gather(*(one.task for one in open_now))
        await server.wait_closed()

    # --- connections

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._server is None or not self._room():
            self._refuse()
            writer.transport.abort()
            return
        self._opened += 1
        now = asyncio.get_running_loop().time()
        one = _Socket(self._opened, reader, writer, now, task)
        self._sockets[one.id] = one
        self.centre.opened(one.id)
        try:
            await self._serve(one)
        except OSError:
            pass  # the link is gone: the readings say so
        except Exception:
            log.exception("line %s: a connection failed", self._line.id)
        finally:
            self._end(one)

    def _refuse(self) -> None:
        self.refused_links += 1
        if self.refused_links == 1:
            log.warning("line %s: too many connections, another is refused: said once, counted on", self._line.id)  # fmt: skip

    def _room(self) -> bool:
        """Whether another connection may come; the oldest stranger makes way."""
        if len(self._sockets) < self._links_max:
            return True
        strangers = (link for link in self._sockets if self.centre.is_stranger(link))
        oldest = next(strangers, None)
        if oldest is None:
            return False
        self._end(self._sockets[oldest])
        return True

    async def _serve(self, one: _Socket) -> None:
        _keep_alive(one.writer)
        while one.id in self._sockets and self._may_stay(one):
            chunk: bytes | None = None
            try:
                async with asyncio.timeout(self._patience_s(one)) as patience:
                    chunk = await one.reader.read(CHUNK_BYTES)
            except (
                TimeoutError
            ):  # the socket's own ETIMEDOUT is one too, and would come again at once
                if not patience.expired():
                    return
            if chunk == b"" or one.id not in self._sockets:
                return
            heard = self.centre.late(one.id) if chunk is None else self.centre.arrived(one.id, chunk)  # fmt: skip
            await self._answer(one, heard)

    def _may_stay(self, one: _Socket) -> bool:
        age_s = asyncio.get_running_loop().time() - one.opened_s
        return age_s < self._stranger_s or not self.centre.is_stranger(one.id)

    def _patience_s(self, one: _Socket) -> float | None:
        """How long to wait for bytes: for the rest of a frame, for a stranger's first, for ever."""
        waits: list[float] = []
        if self.centre.begun(one.id):
            waits.append(self._line.timeout_s)
        if self.centre.is_stranger(one.id):
            age_s = asyncio.get_running_loop().time() - one.opened_s
            waits.append(max(0.0, self._stranger_s - age_s))
        return min(waits, default=None)

    async def _answer(self, one: _Socket, heard: Heard) -> None:
        if heard.answers:
            one.writer.write(heard.answers)
            await one.writer.drain()  # who reads no answers is not read on
        for link in heard.over:
            if link in self._sockets:
                self._end(self._sockets[link])

    def _end(self, one: _Socket) -> None:
        self._sockets.pop(one.id, None)
        self.centre.closed(one.id)
        one.writer.transport.abort()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Let the system notice a device that is gone without a word."""
    own: socket.socket | None = writer.get_extra_info("socket")
    if own is not None:
        with contextlib.suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
