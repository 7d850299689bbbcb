"""The server keeps to the specification's frames and counts every function code it sees."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.clock import ScaledClock
from simulators.faults import Answer, Fault
from simulators.modbus_server import ModbusServer
from tests.waiting import until

FRAMES = Path(__file__).parents[2] / "data" / "golden" / "modbus_frames.json"


class Scripted:
    """An endpoint whose answers are given."""

    def __init__(self, answer: Answer = None, *, up: bool = True, delay: float = 0.0) -> None:
        self.given, self.up, self.delay = answer, up, delay
        self.asked: list[tuple[int, int, int, int]] = []
        self.faults: list[Fault] = []

    def faults_of(self, unit: int) -> list[Fault]:
        return self.faults

    def delay_s(self, unit: int) -> float:
        return self.delay

    def answer(
        self, unit: int, function: int, address: int, count: int, connected_ms: int | None = None
    ) -> Answer:
        self.asked.append((unit, function, address, count))
        return self.given


class Line:
    """A raw connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, pdu: bytes, unit: int = 1, transaction: int = 1) -> bytes:
        await self.send(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu)
        head = await asyncio.wait_for(self.reader.readexactly(7), 5)
        back, protocol, length, same = struct.unpack(">HHHB", head)
        assert (back, protocol, same) == (transaction, 0, unit)
        return await self.reader.readexactly(length - 1)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def is_ended(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(), 5) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def serving(endpoint: Scripted) -> AsyncIterator[tuple[ModbusServer, Line]]:
    server = ModbusServer(endpoint, ScaledClock(factor=20))
    port = await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield server, Line(reader, writer)
    finally:
        writer.transport.abort()
        await server.close()
        await server.close()


def read(function: int, address: int, count: int) -> bytes:
    return struct.pack(">BHH", function, address, count)


async def test_words_travel_big_endian_and_bits_first_in_the_lowest_place() -> None:
    endpoint = Scripted([0x1234, 5])
    async with serving(endpoint) as (_, line):
        assert await line.ask(read(3, 10, 2), unit=7) == bytes.fromhex("030412340005")
        assert endpoint.asked == [(7, 3, 10, 2)]
        endpoint.given = [1, 0, 1, 1, 0, 0, 1, 1, 1]
        assert await line.ask(read(1, 0, 9)) == bytes.fromhex("0102cd01")


async def test_the_examples_of_the_specification_are_answered_to_the_byte() -> None:
    frames = {f["id"]: f for f in json.loads(FRAMES.read_text(encoding="utf-8"))["frames"]}
    endpoint = Scripted()
    async with serving(endpoint) as (_, line):
        for function in (1, 2, 3, 4):
            asked, told = frames[f"fc{function}-request"], frames[f"fc{function}-response"]
            kept = told["decoded"].get("bits") or told["decoded"]["words"]
            endpoint.given = list(kept.values())
            await line.send(bytes.fromhex(asked["tcp"]))
            wanted = bytes.fromhex(told["tcp"])
            assert await asyncio.wait_for(line.reader.readexactly(len(wanted)), 5) == wanted


@pytest.mark.parametrize(
    ("pdu", "reply"),
    [
        (bytes.fromhex("0600010003"), "8601"),
        (bytes.fromhex("10000100010200ff"), "9001"),
        (bytes.fromhex("2b0e0100"), "ab01"),
        (read(3, 0, 0), "8303"),
        (read(4, 0, 126), "8403"),
        (read(1, 0, 2001), "8103"),
        (bytes.fromhex("0300"), "8303"),
    ],
)
async def test_what_is_not_served_is_an_exception_and_is_counted(pdu: bytes, reply: str) -> None:
    endpoint = Scripted([0])
    async with serving(endpoint) as (server, line):
        assert (await line.ask(pdu)).hex() == reply
        assert server.functions == {pdu[0]: 1}
        assert endpoint.asked == []


async def test_exceptions_of_the_device_reach_the_master() -> None:
    async with serving(Scripted(2)) as (_, line):
        assert await line.ask(read(2, 0, 1)) == bytes([0x82, 2])


async def test_a_silent_device_does_not_hold_up_the_next_request() -> None:
    endpoint = Scripted(None)
    async with serving(endpoint) as (_, line):
        await line.send(struct.pack(">HHHB", 1, 0, 6, 1) + read(3, 0, 1))
        await until(lambda: bool(endpoint.asked), 5)
        endpoint.given = [9]
        assert await line.ask(read(3, 0, 1), transaction=2) == bytes.fromhex("03020009")


async def test_a_slow_device_answers_late_by_the_clock() -> None:
    clock = ScaledClock(factor=20)
    async with serving(Scripted([1], delay=2.0)) as (_, line):
        began = clock.monotonic()
        await line.ask(read(3, 0, 1))
        assert clock.monotonic() - began >= 2.0


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\n\r\n", bytes(7), bytes.fromhex("00010000ffff01")]
)
async def test_a_stream_that_is_no_modbus_is_ended(noise: bytes) -> None:
    async with serving(Scripted([1])) as (_, line):
        await line.send(noise)
        assert await line.is_ended()


async def test_a_line_that_goes_down_ends_its_connections_and_takes_no_new_ones() -> None:
    endpoint = Scripted([1])
    async with serving(endpoint) as (server, line):
        await line.ask(read(3, 0, 1))
        endpoint.up = False
        assert await line.is_ended()
        del server


async def test_time_moves_before_the_endpoint_is_asked() -> None:
    moved: list[int] = []
    server = ModbusServer(Scripted([1]), ScaledClock(), before=lambda: moved.append(1))
    port = await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await Line(reader, writer).ask(read(3, 0, 1))
    writer.transport.abort()
    await server.close()
    assert moved


async def test_a_gateway_passes_on_the_frames_of_its_bus() -> None:
    """01 03 0000 000A C5CD is the specification's own example of a request with its checksum."""
    endpoint = Scripted([258])
    server = ModbusServer(endpoint, ScaledClock(), rtu=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start())
    try:
        writer.write(bytes.fromhex("01030000000ac5cd"))
        assert await asyncio.wait_for(reader.readexactly(7), 5) == bytes.fromhex("01030201023815")
        assert endpoint.asked == [(1, 3, 0, 10)]
        writer.write(bytes.fromhex("01030000000ac5ce"))
        assert await asyncio.wait_for(reader.read(), 5) == b""
    finally:
        writer.transport.abort()
        await server.close()


async def test_a_reset_ends_the_connection_instead_of_an_answer() -> None:
    endpoint = Scripted([1])
    endpoint.faults = [Fault("reset", 0)]
    async with serving(endpoint) as (_, line):
        await line.send(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, 1))
        assert await line.is_ended()
