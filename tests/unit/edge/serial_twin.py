"""A serial bus for the tests: a pseudo-terminal whose far end takes as long as the wire would."""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from config.plant import Serial
from edge.bus_time import character_s, gap_s

Pdu = Callable[[bytes], bytes]


def crc16(data: bytes) -> bytes:
    """Of Modbus over serial line: polynomial A001 reflected, begun with FFFF, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def honest_words(request: bytes) -> bytes:
    """The answer's frame: each word holds its own address and, above it, the unit."""
    unit, function, address, count = request[0], request[1], *_span(request)
    words = b"".join((unit * 1000 + a).to_bytes(2, "big") for a in range(address, address + count))
    return sealed(bytes((unit, function, len(words))) + words)


def sealed(frame: bytes) -> bytes:
    return frame + crc16(frame)


def _span(request: bytes) -> tuple[int, int]:
    return int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")


@dataclass
class SerialBus:
    """Devices behind one pseudo-terminal: `answer` gives the frame for a request's frame, b"" is silence.

    `path` is the port to open. A request takes its time on the wire, then the turnaround, then each
    part of the answer. `starts` are when requests began, `ends` when answers did end, in the loop's
    seconds; `late_s` is added to the turnaround of the requests it names by number.
    """

    serial: Serial
    answer: Callable[[bytes], bytes] = honest_words
    late_s: dict[int, float] = field(default_factory=dict)
    parts: int = 1
    path: str = ""
    requests: list[bytes] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SerialBus"]:
        self._far, near = os.openpty()
        tty.setraw(near)
        self.path = os.ttyname(near)
        self._buffer = b""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._far, self._heard)
        self._near = near
        try:
            yield self
        finally:
            self.unplug()

    def unplug(self) -> None:
        """The adapter is pulled out."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, ValueError):
            loop.remove_reader(self._far)
        for end in (self._far, self._near):
            with contextlib.suppress(OSError):
                os.close(end)
        self._far = self._near = -1  # the numbers may soon be those of others

    def _heard(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._buffer += os.read(self._far, 1024)
        except OSError:
            loop.remove_reader(self._far)
            return
        while len(self._buffer) >= 8:
            request, self._buffer = self._buffer[:8], self._buffer[8:]
            assert crc16(request[:6]) == request[6:], request.hex()
            self.starts.append(loop.time())
            self.requests.append(request)
            self._answer(request, self.answer(request))

    def _answer(self, request: bytes, frame: bytes) -> None:
        loop, character = asyncio.get_running_loop(), character_s(self.serial)
        late_s = self.late_s.get(len(self.requests), 0.0)
        at = loop.time() + len(request) * character + late_s
        at += max(gap_s(self.serial), self.serial.turnaround_s)
        size = max(1, -(-len(frame) // self.parts))
        for first in range(0, len(frame), size):
            part = frame[first : first + size]
            at += len(part) * character
            loop.call_at(at, self._write, part)
        if frame:
            loop.call_at(at, self.ends.append, at)

    def _write(self, part: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._far, part)


def spans(requests: Sequence[bytes]) -> list[tuple[int, int, int]]:
    """Unit, address and count of each request."""
    return [(request[0], *_span(request)) for request in requests]
