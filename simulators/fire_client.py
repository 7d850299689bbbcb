"""A fire transmission device: it connects to its centre, tells every change, and wants it confirmed."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from datetime import tzinfo

from config.clock import Clock
from config.profile import FirePlace
from simulators.fire_frames import CONFIRM, applications, frame, wall_time

ANSWER_S = 10.0
TRIES = 3
"""An exchange without answer for so long, or denied, is tried so often; then it has failed."""
RETRY_S = 5.0
"""From a failed exchange, or a refused connection, to the next."""
CENTRE = 88888
HEAD_BYTES, TAIL_BYTES, LENGTH_AT, COMMAND_AT = 27, 3, 24, 26
TIME_BYTES = 6
FIRE_BIT = 1
EVENTS_MAX = 1000

Objects = Mapping[FirePlace, tuple[int, bytes]]
"""What a device shows: place to type and object, see `simulators.fire_frames.told`."""


class Unconfirmed(Exception):
    """The centre took no frame however often it was sent."""


@dataclass(slots=True)
class _Link:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    serial: int = 0
    answers: dict[int, asyncio.Future[int]] = field(default_factory=dict)


@dataclass(slots=True)
class FireStats:
    """Counts since the start. `commands` are all that the centre ever sent, by command byte."""

    commands: Counter[int] = field(default_factory=Counter)
    connections: int = 0
    frames: int = 0
    resent: int = 0
    failed: int = 0


class FireDevice:
    """One device of source address `unit`; it comes back by itself for ever.

    On each connection it tells its whole state first, fires before all else. `show` says what it
    shows from now on; changes are told at once, in order. `faults` are asked before each frame: `silent`
    (sends nothing), `garbled` (wrong checksums), `link_lost` (no connection). All times by the clock.
    """

    def __init__(
        self, where: tuple[str, int], unit: int, clock: Clock, zone: tzinfo,
        *, heartbeat_s: float = 30.0, faults: Callable[[], Set[str]] = frozenset,
    ) -> None:  # fmt: skip
        self.stats = FireStats()
        self._where = where
        self._unit = unit
        self._clock = clock
        self._zone = zone
        self._heartbeat_s = heartbeat_s
        self._faults = faults
        self._shown: Objects = {}
        self._events: deque[tuple[int, bytes]] = deque(maxlen=EVENTS_MAX)
        self._changed = asyncio.Event()
        self._link: _Link | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End the connection; may be called twice."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def show(self, objects: Objects) -> None:
        """Tell what differs from what was shown, the times of the objects aside."""
        for place, (type_, raw) in objects.items():
            before = self._shown.get(place)
            if before is not None and before[1][:-TIME_BYTES] != raw[:-TIME_BYTES]:
                self._events.append((type_, raw))
                self._changed.set()
        if not self._shown:
            self._changed.set()
        self._shown = {**self._shown, **objects}
        if self._link is not None and "link_lost" in self._faults():
            self._link.writer.transport.abort()

    async def say(self, raw: bytes) -> None:
        """Send these very bytes: noise on the line, or a frame of somebody else."""
        if self._link is not None:
            self._link.writer.write(raw)
            await self._link.writer.drain()

    # --- one connection after the other

    async def _run(self) -> None:
        while True:
            if self._shown and "link_lost" not in self._faults():
                with contextlib.suppress(OSError, EOFError, Unconfirmed):
                    await self._connected()
            self._link = None
            await self._sleep(RETRY_S)

    async def _connected(self) -> None:
        reader, writer = await asyncio.open_connection(*self._where)
        self.stats.connections += 1
        link = self._link = _Link(reader, writer)
        hearing = asyncio.create_task(self._hear(link))
        try:
            self._events.clear()
            await self._tell_all(link)
            while not hearing.done():
                await self._tell_changes(link)
        finally:
            writer.transport.abort()
            hearing.cancel()
            await asyncio.wait([hearing])

    async def _tell_changes(self, link: _Link) -> None:
        """Whatever has changed; a heartbeat if nothing does for long enough."""
        self._changed.clear()
        if self._events:
            type_, raw = self._events[0]
            await self._exchange(link, bytes((type_, 1)) + raw)
            self._events.popleft()
            return
        await self._first(self._changed.wait(), self._sleep(self._heartbeat_s))
        if not self._changed.is_set():
            await self._exchange(link, b"")

    async def _tell_all(self, link: _Link) -> None:
        """The whole state; what burns comes first."""
        shown = list(self._shown.values())
        for burning in (True, False):
            for data in applications([one for one in shown if _burns(*one) is burning]):
                await self._exchange(link, data)

    async def _exchange(self, link: _Link, data: bytes) -> None:
        """Send and have it confirmed; raises `Unconfirmed` when that fails."""
        serial, link.serial = link.serial, (link.serial + 1) % 65536
        while True:
            for attempt in range(TRIES):
                self.stats.resent += attempt > 0
                answer = await self._send(link, serial, data)
                if answer == CONFIRM:
                    return
            self.stats.failed += 1
            if answer is None:
                raise Unconfirmed
            await self._sleep(RETRY_S)

    async def _send(self, link: _Link, serial: int, data: bytes) -> int | None:
        """The command that answers one frame; None if none came."""
        while "silent" in self._faults():
            await self._sleep(RETRY_S / 10)
        answer = link.answers[serial] = asyncio.get_running_loop().create_future()
        now = wall_time(self._clock.now(), self._zone)
        raw = bytearray(frame(serial, (self._unit, CENTRE), now, data))
        raw[-3] ^= "garbled" in self._faults()
        link.writer.write(raw)
        await link.writer.drain()
        self.stats.frames += 1
        await self._first(answer, self._sleep(ANSWER_S))
        return answer.result() if answer.done() and not answer.cancelled() else None

    async def _hear(self, link: _Link) -> None:
        """Every frame of the centre, until the connection ends."""
        try:
            while True:
                head = await link.reader.readexactly(HEAD_BYTES)
                length = int.from_bytes(head[LENGTH_AT : LENGTH_AT + 2], "little")
                await link.reader.readexactly(length + TAIL_BYTES)
                self.stats.commands[head[COMMAND_AT]] += 1
                answer = link.answers.pop(int.from_bytes(head[2:4], "little"), None)
                if answer is not None and not answer.done():
                    answer.set_result(head[COMMAND_AT])
        except (OSError, EOFError):
            for waiting in link.answers.values():
                waiting.cancel()
            self._changed.set()  # whoever waits for a change sees that nobody hears it

    # --- waiting

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.monotonic() + seconds)

    async def _first(self, *awaited: object) -> None:
        """Until the first of these is over; the others are cancelled."""
        tasks = [asyncio.ensure_future(one) for one in awaited]  # type: ignore[call-overload]  # awaitables of several kinds
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def _burns(type_: int, raw: bytes) -> bool:
    """Whether an object says fire: bit 1 of the state of a system, a component or the device."""
    at = {1: 2, 2: 7, 21: 0}.get(type_)
    return at is not None and bool(raw[at] >> FIRE_BIT & 1)
