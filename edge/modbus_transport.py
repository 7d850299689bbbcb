"""Carries reads to Modbus devices, over TCP, TLS, a serial port or a gateway to one; never anything but a read."""

import asyncio
import logging
import math
import ssl
import struct
import termios
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import lru_cache
from typing import Any, Final, Protocol

from pymodbus.framer import FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest
from pymodbus.transport.serialtransport import SerialTransport

from config.plant import Line, Parity, Serial, Tls
from config.profile import Table
from edge.bus_time import LATE_MAX, gap_s, link_cost
from edge.modbus_frames import first_frame

REQUESTS: Final[Mapping[Table, type[ModbusPDU]]] = {
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
}
"""The only requests that Steward can build: functions 1 to 4, all of them read."""
SILENCES_BEFORE_RECONNECT: Final = 2
PLACE_FREE_S: Final = 2.0
"""So long a gateway may take to be ready for another connection after one was closed; it is tried again as often as follows."""
PLACE_TRIED_S: Final = 0.1
PARITIES: Final[Mapping[Parity, str]] = {"even": "E", "odd": "O", "none": "N"}
NUMBERS: Final = 0xFFFF
FRAMES_MAX: Final = 4
"""As many long answers may come at once: late ones, after a link stood still."""
NOBODY_BEHIND: Final = frozenset({10, 11})
"""Exceptions by which a gateway says that the device behind it did not answer."""
BURST: Final = 10
"""As many requests one after the other may each stop their timer; of more, one timer is left standing."""
NONE: Final[Collection[bytes]] = frozenset()
TIMER_STEP_S: Final = 0.001
"""The loop's timers are this coarse, and a serial line at 115 200 baud carries 10 characters in it."""


class Refused(Exception):
    """The device answered with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class NoAnswer(Exception):
    """Nothing that answers this request came in time; or it was not even asked, and will not be for `retry_s`."""

    def __init__(self, why: str = "", retry_s: float = 0.0) -> None:
        super().__init__(why)
        self.retry_s = retry_s


class Garbled(Exception):
    """An answer to this request came and cannot be what was asked for; `own` if it has at least its function."""

    def __init__(self, why: str = "", *, own: bool = False) -> None:
        super().__init__(why)
        self.own = own


class LinkDown(Exception):
    """There is no connection to the line."""


class ModbusTransport(Protocol):
    """Carries one read at a time over one line."""

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        """`count` words (0..65535) or bits (0/1) from the zero-based `address` on.

        Raises:
            Refused: the device answered with an exception.
            NoAnswer: no answer to this request in time; another may be tried.
            Garbled: the answer does not fit the request; another may be tried.
            LinkDown: the connection cannot be had or broke.
        """
        ...

    async def close(self) -> None:
        """Give the connection back; may be called twice."""
        ...


def parse_answer(function: int, count: int, frame: bytes) -> list[int]:
    """Words or bits of one answer (function code and data), exactly as long as was asked for.

    Raises:
        Refused: it is an exception to this function.
        Garbled: it is anything else.
    """
    if len(frame) == 2 and frame[0] == function | 0x80:
        raise Refused(frame[1])
    size = _size(function, count)
    if len(frame) != size + 2 or frame[0] != function or frame[1] != size:
        why = f"an answer to function {function} for {count} began with {frame[:8].hex()}"
        raise Garbled(why, own=frame[:1] == bytes((function,)))
    if function <= 2:
        return [frame[2 + i // 8] >> i % 8 & 1 for i in range(count)]
    return list(_words(count)(frame, 2))


def _size(function: int, count: int) -> int:
    """Bytes of so many bits or words."""
    return (count + 7) // 8 if function <= 2 else 2 * count


@lru_cache
def _words(count: int) -> Callable[[bytes, int], tuple[int, ...]]:
    return struct.Struct(f">{count}H").unpack_from


@lru_cache(maxsize=4096)
def _request(table: Table, address: int, count: int) -> tuple[int, bytes]:
    """Function, and with it the bytes that ask for so many words or bits."""
    pdu = REQUESTS[table](address=address, count=count)
    return pdu.function_code, bytes((pdu.function_code,)) + pdu.encode()


@lru_cache(maxsize=4096)
def _form(table: Table, count: int) -> bytes:
    """What an answer begins with: function, and how many bytes follow."""
    function = REQUESTS[table].function_code
    return bytes((function, _size(function, count)))


def _told_apart(table: Table, count: int, late: Collection[bytes]) -> int:
    """At most how many of these can be asked for so that no `late` answer looks alike; 0 if there is none."""
    return next((n for n in range(count, 0, -1) if _form(table, n) not in late), 0)


class _Connection(asyncio.Protocol):
    """One connection of a line, with at most one request on its way.

    Of what comes only whole frames count, of the unit asked and, where the network numbers them, of
    this number; what comes between requests is dropped, and what begins as one of `late`.
    """

    def __init__(self, framer: FramerBase) -> None:
        self.lost = False
        self.numbers = isinstance(framer, FramerSocket)
        self.answered = False
        """Whether any device ever answered by it."""
        self.received = b""
        """What came since the last request and is no whole frame."""
        self.quiet_since = 0.0
        """When the last byte came or the last request began, in the loop's seconds."""
        self._loop = asyncio.get_running_loop()
        self._framer = framer
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[bytes] | None = None
        self._unit = self._number = 0
        self._begins = 0
        """Of what was received, before where no frame of a serial bus begins."""
        self._late: Collection[bytes] = ()
        self._awaited: Collection[bytes] = ()
        self._deadline = 0.0
        self._behind = 0
        """How many requests followed each other, each before the deadline of the one before it."""
        self._timer: asyncio.TimerHandle | None = None

    def ask(
        self, unit: int, number: int, pdu: bytes, timeout_s: float,
        late: Collection[bytes] = (), awaited: Collection[bytes] = (),
    ) -> asyncio.Future[bytes]:  # fmt: skip
        """The answer to this request, function code first; of a serial bus by the heads of all that may come.

        Whoever has awaited it says so by `asked`.

        Raises:
            NoAnswer: nothing that answers it came within `timeout_s`.
            Garbled: the unit answered without a number.
            LinkDown: the connection is gone, or went meanwhile.
        """
        if self.lost or self._transport is None:
            raise LinkDown("the connection was closed")
        self._unit, self._number, self.received, self._begins = unit, number, b"", 0
        self._late, self._awaited = late, awaited
        waiting: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting = waiting
        self.quiet_since = self._loop.time()
        self._behind = self._behind + 1 if self.quiet_since <= self._deadline else 0
        self._deadline = self.quiet_since + timeout_s
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._look_at_the_time)
        self._transport.write(self._framer.encode(pdu, unit, number))
        return waiting

    def asked(self) -> None:
        """Nobody waits for an answer any more."""
        self._waiting = None
        if self._behind < BURST:
            self._stop_timer()

    def abort(self) -> None:
        """Close without waiting for the other end: over TLS a peer that vanished would keep the socket open."""
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop, before anything else."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop; `exc` says nothing that a person could act on."""
        self.lost = True
        self._stop_timer()
        self._end(LinkDown("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        """Called by the loop with whatever came."""
        self.quiet_since = self._loop.time()
        if self._waiting is None:
            return
        self.received += data
        if len(self.received) > FRAMES_MAX * self._framer.MAX_SIZE:
            self.received, self._begins = b"", 0
        while self.received:
            if self.numbers:
                used, unit, number, pdu = self._framer.decode(self.received)
            else:
                used, unit, pdu = first_frame(self.received, self._awaited, self._begins)
                used, self._begins, number = (used, 0, 0) if pdu else (0, used, 0)
            self.received = self.received[used:]
            if not used or not pdu:
                return
            if unit == self._unit and number in (0, self._number):
                self._take(number, pdu)

    def _take(self, number: int, pdu: bytes) -> None:
        if self._late and pdu[:2] in self._late:
            return
        if number != self._number:
            self._end(Garbled("an answer to another request"))
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(pdu)

    def _look_at_the_time(self) -> None:
        """One timer goes from deadline to deadline: setting one per request would cost as much as a frame.

        In a cycle of a few requests each stops its own: left alone it would wake a process that rests, for nothing.
        """
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look_at_the_time)
        else:
            self._end(NoAnswer(_heard_instead(self.received)))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, error: Exception) -> None:
        """The request on its way, if any, ends so."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)


class PymodbusTransport:
    """A Modbus line, its frames made and read by pymodbus; a connection object lives for one connection.

    Nothing is repeated here, and nothing connects by itself. An answer is only taken from the unit asked, of
    exactly the right form and, where the network numbers them, with the number of this request.
    `timeout_s` of the line holds for connecting and, beyond the time that the frames themselves
    take, for each answer, in real seconds. After two silences in a row, one on a connection by which
    nothing ever came, or an answer that makes no sense, the connection is opened anew. The numbers go
    on from one connection to the next: a gateway may answer on a new one what was asked on the old.

    Over a serial bus nothing numbers the answers: a unit that was silent is not asked again for
    another `timeout_s`, in which its late answer would come and is dropped. However late it comes, what is
    heard first after a request without answer is believed to be no more than a sign of life: what else was
    queued is waited out for as long, then the request is sent once more. For that sign a smaller part is asked
    for, if an answer as long as the whole may still come within `LATE_MAX` timeouts of its request: a unit
    answers in turn, so none of them comes behind it. Where there is no smaller part (of one word, of eight bits), or
    the unit refuses it, `NoAnswer` is raised until none can come any more, without holding the bus.
    The connection to a gateway is opened anew after every silence; one that takes no other yet is tried again
    for `PLACE_FREE_S`. `key_file` holds the private key of a TLS client certificate.
    """

    def __init__(self, line: Line, key_file: str = "") -> None:
        self._line = line
        self._key_file = key_file
        self._cost = link_cost(line)
        self._gap_s = gap_s(line.serial) if line.serial else 0.0
        self._connection: _Connection | None = None
        self._silences = 0
        self._number = 0
        self._quiet_since = 0.0
        self._asked_again_at: dict[int, float] = {}
        self._left_at = -math.inf
        """When the connection to a gateway was given up after a silence, in the loop's seconds."""
        self._owed: dict[int, list[tuple[float, bytes]]] = {}
        """Of units of a serial bus whose last answer was not heard: until when which forms of answers may come late."""
        self._whole_only: set[int] = set()
        """Units of these that refused a part."""
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # the poller says it, once

    def request(
        self, unit: int, table: Table, address: int, count: int
    ) -> Coroutine[Any, Any, list[int]]:
        ask = self._ask if self._line.serial else self._ask_once
        return ask(unit, table, address, count)

    async def _ask(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        loop = asyncio.get_running_loop()
        while True:
            try:
                if unit in self._owed:
                    await self._hear_a_sign(unit, table, address, count)
                return await self._ask_once(unit, table, address, count)
            except LinkDown:
                if loop.time() >= self._left_at + PLACE_FREE_S:
                    raise
            await asyncio.sleep(PLACE_TRIED_S)

    async def _hear_a_sign(self, unit: int, table: Table, address: int, count: int) -> None:
        """Have the unit say something, and have the next request to it wait until all that was queued has come.

        Raises:
            NoAnswer: it says nothing, or what it says cannot be told from a late answer.
        """
        owed, late = self._owed[unit], self._late(unit)
        part = _told_apart(table, count, late)
        if late and unit in self._whole_only and part < count:
            part = 0
        if not part:
            last = max(until for until, _ in owed)
            raise NoAnswer(
                "its late answers cannot be told from others yet",
                last - asyncio.get_running_loop().time(),
            )
        try:
            await self._ask_once(unit, table, address, part)
        except Refused as error:
            if error.code in NOBODY_BEHIND:
                raise
            if late:  # it may have been asked before
                self._owed[unit] = owed
                self._whole_only.add(unit)
                raise NoAnswer(f"{error}, perhaps a late one") from error
        wait_s = self._line.timeout_s + self._cost.of(table, count)
        self._asked_again_at[unit] = asyncio.get_running_loop().time() + wait_s

    async def _ask_once(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        connection = self._connection
        if connection is None or connection.lost:
            connection = await self._connected()
        timeout_s, late, awaited = self._line.timeout_s, NONE, NONE
        if self._line.serial:
            timeout_s += self._cost.of(table, count)
            await self._wait_for_quiet(unit, connection)
            late = self._owe(unit, _form(table, count), timeout_s)
            awaited = {bytes((one,)) + form for one in self._owed for form in self._late(one)}
        if connection.numbers:
            self._number = self._number % NUMBERS + 1
        function, pdu = _request(table, address, count)
        try:
            try:
                answer = await connection.ask(unit, self._number, pdu, timeout_s, late, awaited)
            finally:
                connection.asked()
            words = parse_answer(function, count, answer)
        except (Refused, NoAnswer, Garbled, LinkDown) as error:
            await self._failed(unit, connection, error)
            raise
        finally:
            self._quiet_since = connection.quiet_since
        self._heard(connection)
        if self._owed:
            self._owes_nothing(unit)
        return words

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        self._silences = 0
        if connection is not None:
            connection.abort()
            await asyncio.sleep(0)  # lets the loop close the socket

    async def _wait_for_quiet(self, unit: int, connection: _Connection) -> None:
        """The pause that parts two frames on a serial bus; after a silence, until no late answer can come.

        What comes meanwhile, of another unit for one, begins the pause anew, for no longer than a timeout.
        """
        loop = asyncio.get_running_loop()
        quiet_since = max(self._quiet_since, connection.quiet_since)
        at = max(quiet_since + self._gap_s, self._asked_again_at.get(unit, 0.0))
        most = max(at, loop.time()) + self._line.timeout_s
        while loop.time() < at:
            await _exactly(at)
            at = min(most, connection.quiet_since + self._gap_s)

    def _late(self, unit: int) -> set[bytes]:
        """The forms of its answers that may come late."""
        now = asyncio.get_running_loop().time()
        owed = self._owed.get(unit, [])
        owed[:] = [(until, form) for until, form in owed if until > now]
        return {form for _, form in owed}

    def _owe(self, unit: int, form: bytes, timeout_s: float) -> set[bytes]:
        """One more answer is owed; the forms of those that may come instead and do not look alike."""
        late = self._late(unit)
        until = asyncio.get_running_loop().time() + LATE_MAX * timeout_s
        self._owed.setdefault(unit, []).append((until, form))
        return late - {form}

    def _owes_nothing(self, unit: int) -> None:
        self._owed.pop(unit, None)
        self._whole_only.discard(unit)

    def _heard(self, connection: _Connection) -> None:
        connection.answered, self._silences = True, 0

    async def _failed(self, unit: int, connection: _Connection, error: Exception) -> None:
        if isinstance(error, Refused):
            self._heard(connection)
            if error.code not in NOBODY_BEHIND:
                self._owes_nothing(unit)
        elif isinstance(error, NoAnswer):
            await self._silent(unit, connection)
        else:
            owed = self._owed.get(unit, [])
            if isinstance(error, Garbled) and error.own and len(owed) == 1:  # this is it
                self._owes_nothing(unit)
            elif isinstance(error, LinkDown) and self._line.kind == "rtu":  # gone with its port
                owed.clear()
            await self.close()

    async def _silent(self, unit: int, connection: _Connection) -> None:
        self._silences += 1
        self._asked_again_at[unit] = asyncio.get_running_loop().time() + self._line.timeout_s
        # what a gateway has queued would come for one request after the other
        queues = self._line.kind == "rtu_over_tcp"
        dead = queues or self._silences >= SILENCES_BEFORE_RECONNECT
        if self._line.kind != "rtu":  # part of a frame is left, or nothing ever came by it
            dead = dead or bool(connection.received) or not connection.answered
        if dead:
            await self.close()
        if queues:
            self._left_at = asyncio.get_running_loop().time()

    async def _connected(self) -> _Connection:
        line = self._line
        connection = _Connection(_framer(numbered=line.kind in ("tcp", "tls")))
        try:
            if line.kind == "rtu" and line.serial:
                _open_port(connection, line.path, line.serial)
            else:
                async with asyncio.timeout(line.timeout_s):
                    await self._open_socket(connection)
        except (OSError, ValueError, termios.error) as error:
            connection.abort()
            why = str(error) or f"nothing came within {line.timeout_s:g} s"
            raise LinkDown(f"cannot connect to {where(line)}: {why}") from error
        self._connection = connection  # `close` has it from now on
        if asyncio.get_running_loop().time() < self._left_at + PLACE_FREE_S:
            await asyncio.sleep(PLACE_TRIED_S)
            if connection.lost:  # who has no place closes at once: nothing was asked by it
                raise LinkDown("the connection was closed")
        return connection

    async def _open_socket(self, connection: _Connection) -> None:
        tls = _tls_words(self._line.tls, self._key_file) if self._line.tls else {}
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, self._line.host, self._line.port, **tls)


async def _exactly(at: float) -> None:
    """Until this time of the loop: the last part, for which its timers are too coarse, the others run on in turn."""
    loop = asyncio.get_running_loop()
    step_s = getattr(loop, "timer_step_s", TIMER_STEP_S)  # virtual time has exact timers
    await asyncio.sleep(max(0.0, at - loop.time() - step_s))
    while step_s and loop.time() < at:  # noqa: ASYNC110  for less than a timer's step
        await asyncio.sleep(0)


def _open_port(connection: _Connection, path: str, serial: Serial) -> None:
    parity, loop = PARITIES[serial.parity], asyncio.get_running_loop()
    port = SerialTransport(loop, connection, path, serial.baud, 8, parity, serial.stop_bits, None)
    port.setup()
    connection.connection_made(port)  # the port will say so too, a moment later


@lru_cache
def _framer(*, numbered: bool) -> FramerBase:
    """What makes frames of requests, and finds those of answers: it remembers nothing, and is one for all."""
    return (FramerSocket if numbered else FramerRTU)(DecodePDU(is_server=False))


def where(line: Line) -> str:
    """How a line is reached, in words."""
    return line.path if line.kind == "rtu" else f"{line.host}:{line.port}"


def _heard_instead(rest: bytes) -> str:
    """What a request without answer says in the log."""
    if not rest:
        return "no answer"
    return f"no whole answer: {len(rest)} bytes came, first {rest[:8].hex()}"


def _tls_words(tls: Tls, key_file: str) -> dict[str, Any]:
    """What makes a TCP connection one over TLS: the device must prove that it is `server_name`."""
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.certificate:
        context.load_cert_chain(tls.certificate, key_file)
    return {"ssl": context, "server_hostname": tls.server_name}
