"""Reads Modbus devices: asks by plan, halves what is refused, and never sends anything but a read."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from config.clock import Clock
from config.plant import Device, Line, Point
from config.profile import ModbusLimits, Table
from edge.ports import PointReading, ReadResult
from edge.readings import QUALITIES
from edge.registers import (
    UNDECODABLE,
    Cut,
    Decoded,
    LinkCost,
    ReadRequest,
    decode,
    decode_text,
    exponent_of,
    plan_reads,
    register_of,
)

log = logging.getLogger(__name__)

BAD_RANGE: Final = frozenset({2, 3})
"""Exceptions that speak of the range asked for: illegal address, illegal value."""
NOBODY_BEHIND: Final = frozenset({10, 11})
"""Exceptions by which a gateway says that the device behind it did not answer."""
RETEST_S: Final = 60.0
"""A point that was refused alone is asked for again after this long."""
TESTS_PER_READ: Final = 3
"""Of a device that refused everything, so many of its places are tried per read, in turn."""
PLANS_MAX: Final = 1000


class Refused(Exception):
    """The device answered with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class NoAnswer(Exception):
    """Nothing that answers this request came in time."""


class Garbled(Exception):
    """An answer to this request came and cannot be what was asked for."""


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


@dataclass(slots=True)
class _Outcome:
    """What one read has given so far: by point its raw words or its reason, and when it came."""

    words: dict[str, tuple[Sequence[int], int]] = field(default_factory=dict)
    bad: dict[str, tuple[int, int]] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    refused: list[Point] = field(default_factory=list)
    rest: int = QUALITIES["disabled"]
    """The reason of points that no request covered."""
    lost: bool = False
    detail: str = ""


class ModbusReader:
    """A `PointReader` over one Modbus line.

    `limits_of` gives the limits of a profile by its id. A block refused with exception 2 or 3 is
    halved within the same read until the bad points are known. Where it had to be cut is remembered
    per profile; a refused point rests for `RETEST_S`. While a device refuses everything, a few small
    requests per read, each for another of its places, find out when it no longer does. After the first request that nobody answers
    the rest of that read is not tried.
    """

    def __init__(
        self,
        transport: ModbusTransport,
        limits_of: Callable[[str], ModbusLimits],
        clock: Clock,
        link: LinkCost | None = None,
    ) -> None:
        self._transport = transport
        self._limits_of = limits_of
        self._clock = clock
        self._link = link or LinkCost()
        self._not_before = 0.0
        self._plans: dict[tuple[str, ...], tuple[ReadRequest, ...]] = {}
        self._cuts: dict[str, set[Cut]] = {}
        self._resting: dict[tuple[str, str], float] = {}
        self._refusing: dict[tuple[str, ...], int] = {}

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        outcome = _Outcome()
        resting = {point.id for point in points if self._rests(device, point)}
        asked = [point for point in points if point.id not in resting]
        refused = (QUALITIES["device_refused"], self._clock.now())
        outcome.bad |= dict.fromkeys(resting, refused)
        try:
            await self._ask_all(device, asked, outcome)
        except NoAnswer as error:
            outcome.rest, outcome.lost = QUALITIES["no_answer"], True
            outcome.detail = str(error) or "no answer"
        except LinkDown as error:
            outcome.rest, outcome.lost = QUALITIES["link_down"], True
            outcome.detail = str(error) or "link down"
        return self._result(points, outcome)

    async def close(self) -> None:
        await self._transport.close()

    def _rests(self, device: Device, point: Point) -> bool:
        return self._resting.get((device.id, point.id), 0.0) > self._clock.monotonic()

    async def _ask_all(self, device: Device, asked: Sequence[Point], outcome: _Outcome) -> None:
        key = (device.id, *(point.id for point in asked))
        plan = self._plan(device, key, asked)
        if key in self._refusing and not await self._test(device, key, plan, outcome):
            return
        for request in plan:
            await self._ask(device, request, outcome)
        self._learn(device, key, outcome)

    def _plan(
        self, device: Device, key: tuple[str, ...], asked: Sequence[Point]
    ) -> tuple[ReadRequest, ...]:
        if key not in self._plans:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            limits = self._limits_of(device.profile)
            cuts = tuple(self._cuts.get(device.profile, ()))
            self._plans[key] = plan_reads(asked, limits, self._link, cuts)
        return self._plans[key]

    async def _test(
        self, device: Device, key: tuple[str, ...], plan: Sequence[ReadRequest], outcome: _Outcome
    ) -> bool:
        """Whether a device that refused everything answers any of the places that are tried now.

        Which it may never have: each read goes on where the last one ended.
        """
        places = [(request.table, unit) for request in plan for unit in request.units]
        tried = _Outcome()  # what is refused here says nothing of ranges
        for _ in range(min(TESTS_PER_READ, len(places))):
            table, unit = places[self._refusing[key] % len(places)]
            self._refusing[key] += 1
            small = ReadRequest(table, unit.first, unit.last - unit.first + 1, (unit,))
            if await self._ask(device, small, tried):
                return True
            outcome.detail = tried.detail
        now = self._clock.now()
        for request in plan:
            self._refuse(request.points, now, outcome)
        return False

    async def _ask(self, device: Device, request: ReadRequest, outcome: _Outcome) -> bool:
        """Send one request, halved as far as needed; True if every point of it has words."""
        try:
            answer = await self._send(device, request)
        except Refused as refusal:
            return await self._after_refusal(device, request, refusal, outcome)
        except Garbled as error:
            outcome.detail = str(error)
            answer = []
        now = self._clock.now()
        complete = len(answer) == request.count
        for point in request.points:
            words = request.words_of(point, answer) if complete else ()
            outcome.words[point.id] = (words, now)
        return complete

    async def _send(self, device: Device, request: ReadRequest) -> list[int]:
        pause_s = self._limits_of(device.profile).pause_s
        if pause_s:
            await self._clock.sleep_until(self._not_before)
        try:
            return await self._transport.request(
                int(device.unit or 1), request.table, request.address, request.count
            )
        finally:
            self._not_before = self._clock.monotonic() + pause_s

    async def _after_refusal(
        self, device: Device, request: ReadRequest, refusal: Refused, outcome: _Outcome
    ) -> bool:
        if refusal.code in NOBODY_BEHIND:
            raise NoAnswer(f"{device.id}: the gateway says exception {refusal.code}") from refusal
        outcome.detail = f"{device.id} refuses {_named(request)}: exception {refusal.code}"
        halves = request.halves() if refusal.code in BAD_RANGE else None
        if halves is None:
            self._refuse(request.points, self._clock.now(), outcome)
            if refusal.code in BAD_RANGE:
                outcome.refused += request.points
                outcome.cuts += _around(request)
            return False
        left, right = halves
        healthy = [await self._ask(device, half, outcome) for half in (left, right)]
        if all(healthy):  # a hole between them, or the length, was what the device refused
            outcome.cuts.append((request.table, left.address + left.count - 1, right.address))
        return all(healthy)

    def _refuse(self, points: Sequence[Point], now: int, outcome: _Outcome) -> None:
        outcome.bad |= {point.id: (QUALITIES["device_refused"], now) for point in points}

    def _learn(self, device: Device, key: tuple[str, ...], outcome: _Outcome) -> None:
        """Remember what was refused, unless it was everything: then it is the device, not a range."""
        if not outcome.words:
            if outcome.refused:
                self._refuses_all(key)
            return
        self._refusing.pop(key, None)
        until = self._clock.monotonic() + RETEST_S
        self._resting |= {(device.id, point.id): until for point in outcome.refused}
        known = self._cuts.setdefault(device.profile, set())
        if new := set(outcome.cuts) - known:
            known |= new
            self._plans.clear()
            log.warning(
                "profile %s: device %s, now read apart: %s",
                device.profile,
                outcome.detail,
                sorted(new),
            )

    def _refuses_all(self, key: tuple[str, ...]) -> None:
        if len(self._refusing) >= PLANS_MAX:
            self._refusing.clear()
        self._refusing.setdefault(key, 0)

    def _result(self, points: Sequence[Point], outcome: _Outcome) -> ReadResult:
        result = ReadResult([], lost=outcome.lost, detail=outcome.detail)
        now = self._clock.now()
        for point in points:
            words, time = outcome.words.get(point.id, (None, now))
            if register_of(point).type == "string":
                text = decode_text(point, words) if words is not None else None
                result.facts |= {point.id: text} if text is not None else {}
                continue
            if words is None:
                quality, time = outcome.bad.get(point.id, (outcome.rest, now))
                result.readings.append(PointReading(point.id, None, quality, time))
                continue
            value, quality = _decoded(point, points, outcome)
            result.readings.append(PointReading(point.id, value, quality, time))
        return result


def _decoded(point: Point, points: Sequence[Point], outcome: _Outcome) -> Decoded:
    words = outcome.words[point.id][0]
    if register_of(point).scale_from is None:
        return decode(point, words)
    exponent = exponent_of(point, points)
    if exponent is None or exponent.id not in outcome.words:
        return None, UNDECODABLE
    power, quality = decode(exponent, outcome.words[exponent.id][0])
    return decode(point, words, int(power)) if power is not None else (None, quality)


def _around(request: ReadRequest) -> list[Cut]:
    """Keep a refused range apart from its neighbours."""
    last = request.address + request.count - 1
    return [
        (request.table, request.address - 1, request.address),
        (request.table, last, last + 1),
    ]


def _named(request: ReadRequest) -> str:
    return f"{request.table} {request.address}..{request.address + request.count - 1}"


# --- pymodbus --------------------------------------------------------------------------------------

REQUESTS: Final[Mapping[Table, type[ModbusPDU]]] = {
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
}
"""The only requests that Steward can build: functions 1 to 4, all of them read."""
SILENCES_BEFORE_RECONNECT: Final = 2


class _Answer(ModbusPDU):
    """An answer as it came, function code first; `parse_answer` judges it."""

    frame: bytes = b""


class _RawAnswers(DecodePDU):
    """Hands every answer on unread, so that no lenient decoding stands between wire and check."""

    def decode(self, frame: bytes) -> ModbusPDU:
        answer = _Answer()
        answer.frame = frame
        return answer


def parse_answer(function: int, count: int, frame: bytes) -> list[int]:
    """Words or bits of one answer (function code and data), exactly as long as was asked for.

    Raises:
        Refused: it is an exception to this function.
        Garbled: it is anything else.
    """
    if len(frame) == 2 and frame[0] == function | 0x80:
        raise Refused(frame[1])
    size = (count + 7) // 8 if function <= 2 else 2 * count
    if frame[:2] != bytes((function, size)) or len(frame) != size + 2:
        raise Garbled(f"an answer to function {function} for {count} began with {frame[:8].hex()}")
    data = frame[2:]
    if function <= 2:
        return [data[i // 8] >> i % 8 & 1 for i in range(count)]
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, size, 2)]


class PymodbusTransport:
    """Modbus TCP through pymodbus; the client object lives for one connection.

    pymodbus neither reconnects nor repeats here. An answer is only taken from the unit asked, with
    the number of this request and of exactly the right form. `timeout_s` of the line holds for
    connecting and for each answer, in real seconds. After two silences in a row, or an answer that
    makes no sense, the connection is opened anew.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._client: AsyncModbusTcpClient | None = None
        self._gone: asyncio.Future[None] | None = None
        self._silences = 0
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # the poller says it, once

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        client, gone = await self._connected()
        pdu = REQUESTS[table](address=address, count=count, dev_id=unit)
        try:
            answer = await self._execute(client, gone, pdu)
            words = parse_answer(pdu.function_code, count, answer)
        except NoAnswer:
            self._silences += 1
            if self._silences >= SILENCES_BEFORE_RECONNECT:
                await self.close()
            raise
        except (Garbled, LinkDown):
            await self.close()
            raise
        self._silences = 0
        return words

    async def close(self) -> None:
        client, self._client = self._client, None
        self._silences = 0
        if client is not None:
            client.close()
            await asyncio.sleep(0)  # lets the loop close the socket

    async def _connected(self) -> tuple[AsyncModbusTcpClient, "asyncio.Future[None]"]:
        if self._client is not None and self._gone is not None and self._client.connected:
            return self._client, self._gone
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        client = AsyncModbusTcpClient(
            self._line.host,
            port=self._line.port,
            name=self._line.id,
            timeout=self._line.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=lambda up: None if up or gone.done() else gone.set_result(None),
        )
        client.ctx.framer.decoder = _RawAnswers(is_server=False)
        if not await client.connect():
            client.close()
            raise LinkDown(f"cannot connect to {self._line.host}:{self._line.port}")
        self._client, self._gone = client, gone
        return client, gone

    async def _execute(
        self, client: AsyncModbusTcpClient, gone: "asyncio.Future[None]", pdu: ModbusPDU
    ) -> bytes:
        task = asyncio.ensure_future(client.execute(False, pdu))
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise LinkDown("the connection was closed")
            answer = task.result()
        except ModbusException as error:
            if client.connected:
                raise NoAnswer(str(error)) from error
            raise LinkDown(str(error)) from error
        finally:
            task.cancel()
        if answer.transaction_id != pdu.transaction_id or answer.dev_id != pdu.dev_id:
            raise Garbled("an answer to another request")
        return answer.frame if isinstance(answer, _Answer) else b""
