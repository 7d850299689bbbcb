"""Carries reads to Modbus devices, over TCP, TLS, a serial port or a gateway to one; never anything but a read."""

import asyncio
import logging
import ssl
import termios
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Protocol

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from config.plant import Line, Parity, Tls
from config.profile import Table
from edge.bus_time import gap_s, link_cost

REQUESTS: Final[Mapping[Table, type[ModbusPDU]]] = {
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
}
"""The only requests that Steward can build: functions 1 to 4, all of them read."""
SILENCES_BEFORE_RECONNECT: Final = 2
PARITIES: Final[Mapping[Parity, str]] = {"even": "E", "odd": "O", "none": "N"}

Client = AsyncModbusTcpClient | AsyncModbusSerialClient


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
    """A Modbus line through pymodbus; the client object lives for one connection.

    pymodbus neither reconnects nor repeats here. An answer is only taken from the unit asked, of
    exactly the right form and, where the network numbers them, with the number of this request.
    `timeout_s` of the line holds for connecting and, beyond the time that the frames themselves
    take, for each answer, in real seconds. After two silences in a row, one on a connection by which
    nothing ever came, or an answer that makes no sense, the connection is opened anew. The numbers go
    on from one connection to the next: a gateway may answer on a new one what was asked on the old.

    Over a serial bus nothing numbers the answers: a unit that was silent is not asked again for
    another `timeout_s`, in which its late answer would come and is dropped. `key_file` holds the private
    key of a TLS client certificate.
    """

    def __init__(self, line: Line, key_file: str = "") -> None:
        self._line = line
        self._key_file = key_file
        self._cost = link_cost(line)
        self._gap_s = gap_s(line.serial) if line.serial else 0.0
        self._client: Client | None = None
        self._gone: asyncio.Future[None] | None = None
        self._answered = False
        self._silences = 0
        self._number = 0
        self._quiet_since = 0.0
        self._asked_again_at: dict[int, float] = {}
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # the poller says it, once

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        client, gone = await self._connected()
        if self._line.serial:
            await self._wait_for_quiet(unit)
        frames_s = self._cost.of(table, count) if self._line.serial else 0.0
        client.ctx.comm_params.timeout_connect = self._line.timeout_s + frames_s
        pdu = REQUESTS[table](address=address, count=count, dev_id=unit)
        try:
            answer = await self._execute(client, gone, pdu)
            words = parse_answer(pdu.function_code, count, answer)
        except Refused:
            self._heard()
            raise
        except NoAnswer:
            await self._silent(unit, client)
            raise
        except (Garbled, LinkDown):
            await self.close()
            raise
        finally:
            self._number = client.ctx.next_tid
            self._quiet_since = asyncio.get_running_loop().time()
        self._heard()
        return words

    async def close(self) -> None:
        client, self._client = self._client, None
        self._silences = 0
        if client is not None:
            _abort(client)
            await asyncio.sleep(0)  # lets the loop close the socket

    async def _wait_for_quiet(self, unit: int) -> None:
        """The pause that parts two frames on a serial bus; after a silence, until no late answer can come."""
        at = max(self._quiet_since + self._gap_s, self._asked_again_at.pop(unit, 0.0))
        await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))

    def _heard(self) -> None:
        self._answered, self._silences = True, 0

    async def _silent(self, unit: int, client: Client) -> None:
        self._silences += 1
        self._asked_again_at[unit] = asyncio.get_running_loop().time() + self._line.timeout_s
        dead = self._silences >= SILENCES_BEFORE_RECONNECT
        if self._line.kind != "rtu":  # part of a frame is left, or nothing ever came by it
            dead = dead or bool(client.ctx.recv_buffer) or not self._answered
        if dead:
            await self.close()

    async def _connected(self) -> tuple[Client, "asyncio.Future[None]"]:
        if self._client is not None and self._gone is not None and self._client.connected:
            return self._client, self._gone
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        client = _client(
            self._line, lambda up: None if up or gone.done() else gone.set_result(None)
        )
        client.ctx.framer.decoder = _RawAnswers(is_server=False)
        why = f": nothing came within {self._line.timeout_s:g} s"
        create = client.ctx.call_create

        async def created() -> Any:
            nonlocal why
            try:
                words = _tls_words(self._line.tls, self._key_file) if self._line.tls else {}
                return await partial(create, **words)()
            except (OSError, ValueError, termios.error) as error:
                why = f": {error}"
                raise OSError(why) from error

        client.ctx.call_create = created
        if not await client.connect():
            _abort(client)
            raise LinkDown(f"cannot connect to {where(self._line)}{why}")
        client.ctx.next_tid = self._number
        self._client, self._gone, self._answered = client, gone, False
        return client, gone

    async def _execute(self, client: Client, gone: "asyncio.Future[None]", pdu: ModbusPDU) -> bytes:
        if not client.connected:  # lost while it waited for the bus to be quiet
            raise LinkDown("the connection was closed")
        task = asyncio.ensure_future(client.execute(False, pdu))
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise LinkDown("the connection was closed")
            answer = task.result()
        except ModbusException as error:
            if client.connected:
                raise NoAnswer(_heard_instead(client.ctx.recv_buffer)) from error
            raise LinkDown(str(error)) from error
        finally:
            task.cancel()
        if answer.transaction_id != pdu.transaction_id or answer.dev_id != pdu.dev_id:
            raise Garbled("an answer to another request")
        return answer.frame if isinstance(answer, _Answer) else b""


def where(line: Line) -> str:
    """How a line is reached, in words."""
    return line.path if line.kind == "rtu" else f"{line.host}:{line.port}"


def _heard_instead(rest: bytes) -> str:
    """What a request without answer says in the log."""
    if not rest:
        return "no answer"
    return f"no whole answer: {len(rest)} bytes came, first {rest[:8].hex()}"


def _abort(client: Client) -> None:
    """Close without waiting for the other end: over TLS a peer that vanished would keep the socket open."""
    transport = client.ctx.transport
    client.close()
    if isinstance(transport, asyncio.Transport):
        transport.abort()


def _client(line: Line, on_connect: Any) -> Client:
    """A client that is not connected yet."""
    once: dict[str, Any] = {
        "name": line.id, "timeout": line.timeout_s, "retries": 0, "reconnect_delay": 0,
        "trace_connect": on_connect,
    }  # fmt: skip
    if line.kind == "rtu" and line.serial:
        return AsyncModbusSerialClient(
            line.path, framer=FramerType.RTU, baudrate=line.serial.baud,
            parity=PARITIES[line.serial.parity], stopbits=line.serial.stop_bits, **once,
        )  # fmt: skip
    framer = FramerType.RTU if line.kind == "rtu_over_tcp" else FramerType.SOCKET
    return AsyncModbusTcpClient(line.host, port=line.port, framer=framer, **once)


def _tls_words(tls: Tls, key_file: str) -> dict[str, Any]:
    """What makes a TCP connection one over TLS: the device must prove that it is `server_name`."""
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.certificate:
        context.load_cert_chain(tls.certificate, key_file)
    return {"ssl": context, "server_hostname": tls.server_name}
