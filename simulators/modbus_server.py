"""A Modbus server over TCP, or a gateway to a bus: serves functions 1 to 4 and counts every code it saw."""

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from config.clock import Clock
from simulators.faults import Answer, Fault
from simulators.layout import ILLEGAL_FUNCTION, ILLEGAL_VALUE
from simulators.listening import Listening
from simulators.modbus_frames import Adu, RtuFraming, TcpFraming
from simulators.spoiling import HangUp, Spoiling

MOST = {1: 2000, 2: 2000, 3: 125, 4: 125}
"""Function code served to the most addresses it may ask for."""


Before = Callable[[], None]
"""Called before the endpoint is asked anything: moves its physics to now."""


class Endpoint(Protocol):
    """What stands behind one line: an estate's `LineWords`, or a recording."""

    @property
    def up(self) -> bool:
        """Whether it takes connections."""
        ...

    def delay_s(self, unit: int) -> float:
        """How late this unit answers now."""
        ...

    def faults_of(self, unit: int) -> Sequence[Fault]:
        """What is wrong with this unit now; its answers travel as those have it."""
        ...

    def answer(
        self, unit: int, function: int, address: int, count: int, connected_ms: int | None = None
    ) -> Answer:
        """Words or bits, an exception code, or None for silence."""
        ...


class ModbusServer:
    """One endpoint on one TCP port. `functions` counts the codes of all requests, served or not.

    With `rtu` it is a gateway that passes on the frames of a serial bus.
    """

    def __init__(
        self, endpoint: Endpoint, clock: Clock, *, before: Before | None = None, rtu: bool = False
    ) -> None:
        self._framing = RtuFraming() if rtu else TcpFraming()
        self._spoiling = Spoiling(self._framing)
        self.functions: Counter[int] = Counter()
        self._endpoint = endpoint
        self._clock = clock
        self._before = before
        self._listening = Listening(self._serve, self._is_up, clock)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the port (chosen by the system for 0). Raises OSError if it is taken."""
        return await self._listening.start(host, port)

    async def close(self) -> None:
        """Stop listening and end every connection; may be called twice."""
        await self._listening.close()

    def _is_up(self) -> bool:
        if self._before:
            self._before()
        return self._endpoint.up

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected_ms = self._clock.now()
        with contextlib.suppress(HangUp):
            while self._is_up() and await self._exchange(reader, writer, connected_ms):
                pass

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connected_ms: int
    ) -> bool:
        """One request and its answer; False when the stream is no Modbus."""
        request = await self._framing.request(reader)
        if request is None:
            return False
        pdu = self._reply(request.unit, request.pdu, connected_ms)
        if pdu is None:
            return True
        await self._wait(self._endpoint.delay_s(request.unit))
        faults = self._endpoint.faults_of(request.unit)
        for wait_s, piece in self._spoiling.pieces(Adu(request.number, request.unit, pdu), faults):
            await self._wait(wait_s)
            writer.write(piece)
        await writer.drain()
        return True

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep_until(self._clock.monotonic() + seconds)

    def _reply(self, unit: int, request: bytes, connected_ms: int) -> bytes | None:
        """The PDU that answers a PDU, None for silence."""
        function = request[0]
        self.functions[function] += 1
        if self._before:
            self._before()
        if function not in MOST:
            return _refusal(function, ILLEGAL_FUNCTION)
        if len(request) != 5:
            return _refusal(function, ILLEGAL_VALUE)
        address, count = struct.unpack(">HH", request[1:])
        if not 1 <= count <= MOST[function]:
            return _refusal(function, ILLEGAL_VALUE)
        answer = self._endpoint.answer(unit, function, address, count, connected_ms)
        if answer is None:
            return None
        return _refusal(function, answer) if isinstance(answer, int) else _data(function, answer)


def _refusal(function: int, code: int) -> bytes:
    return bytes([function | 0x80, code])


def _data(function: int, values: list[int]) -> bytes:
    """Words big-endian; bits packed, the first in the lowest place of the first byte."""
    if function in (3, 4):
        body = struct.pack(f">{len(values)}H", *values)
    else:
        packed = sum(1 << place for place, bit in enumerate(values) if bit)
        body = packed.to_bytes((len(values) + 7) // 8, "little")
    return bytes([function, len(body)]) + body
