"""RTU over a serial port and through a gateway: real frame timing, and nothing that numbers the answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from config.plant import Serial
from config.profile import Table
from edge.bus_time import gap_s
from edge.modbus_transport import Garbled, LinkDown, NoAnswer, PymodbusTransport, Refused
from tests.unit.edge.rows import line
from tests.unit.edge.serial_twin import SerialBus, honest_words, sealed, spans
from tests.waiting import until

QUICK = Serial(baud=115_200, parity="none", stop_bits=2, turnaround_s=0.002)
SLOW = Serial(baud=9600, parity="none", stop_bits=2, turnaround_s=0.005)


@asynccontextmanager
async def connected(
    bus: SerialBus, timeout_s: float = 0.2
) -> AsyncIterator[tuple[PymodbusTransport, SerialBus]]:
    async with bus.running():
        transport = PymodbusTransport(
            line(kind="rtu", path=bus.path, serial=bus.serial, timeout_s=timeout_s)
        )
        try:
            yield transport, bus
        finally:
            await transport.close()


def words(unit: int, address: int, count: int) -> list[int]:
    return [unit * 1000 + a for a in range(address, address + count)]


@pytest.mark.parametrize("serial", [QUICK, SLOW])
@pytest.mark.parametrize("parts", [1, 3, 40])
async def test_words_come_over_a_serial_port_in_one_piece_or_many(
    serial: Serial, parts: int
) -> None:
    async with connected(SerialBus(serial, parts=parts)) as (transport, bus):
        assert await transport.request(3, "holding", 7, 20) == words(3, 7, 20)
        assert await transport.request(4, "input", 0, 1) == words(4, 0, 1)
        assert [r[:2] for r in bus.requests] == [b"\x03\x03", b"\x04\x04"]


async def test_a_slow_line_gives_an_answer_the_time_that_its_frames_take() -> None:
    """125 registers at 9 600 baud take 0.3 s; the line's timeout is for the device, not for the wire."""
    async with connected(SerialBus(SLOW), timeout_s=0.2) as (transport, _):
        assert await transport.request(1, "holding", 0, 125) == words(1, 0, 125)


async def test_frames_are_parted_by_the_quiet_that_the_standard_asks_for() -> None:
    async with connected(SerialBus(SLOW)) as (transport, bus):
        for unit in (1, 2, 3):
            await transport.request(unit, "holding", 0, 2)
    for end, start in zip(bus.ends, bus.starts[1:], strict=False):
        assert start - end >= gap_s(SLOW)


async def test_a_late_answer_is_never_taken_for_that_of_the_next_request() -> None:
    bus = SerialBus(QUICK, late_s={1: 0.5})
    async with connected(bus, timeout_s=0.4) as (transport, _):
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 0, 2)
        assert await transport.request(1, "holding", 40, 2) == words(1, 40, 2)


async def test_an_answer_that_is_later_still_is_never_taken_for_that_of_another_request() -> None:
    """A converter that stood still sends all that was asked, one behind the other."""
    bus = SerialBus(QUICK, late_s={1: 0.95, 2: 0.2, 3: 0.2})
    async with connected(bus, timeout_s=0.4) as (transport, _):
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 0, 2)
        assert await transport.request(1, "holding", 40, 2) == words(1, 40, 2)
        assert await transport.request(1, "holding", 80, 2) == words(1, 80, 2)
        assert spans(bus.requests) == [(1, 0, 2), (1, 40, 1), (1, 40, 2), (1, 80, 2)]


async def told_at_last(transport: PymodbusTransport, address: int, count: int) -> list[int]:
    """What unit 1 says once it is asked often enough."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(NoAnswer, Garbled):
                return await transport.request(1, "holding", address, count)
            await asyncio.sleep(0.05)


async def test_two_late_answers_running_are_taken_for_no_others() -> None:
    """The second comes when the first has long been waited out, with the next request of its form on its way."""
    bus = SerialBus(QUICK, late_s={1: 0.95, 2: 0.62, 3: 0.2, 4: 0.2})
    async with connected(bus, timeout_s=0.4) as (transport, _):
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 0, 2)
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 40, 2)
        for address in (40, 80, 120):
            assert await transport.request(1, "holding", address, 3) == words(1, address, 3)


@pytest.mark.parametrize(("table", "count"), [("holding", 1), ("coil", 8)])
async def test_what_has_no_smaller_part_gets_no_answer_until_none_can_be_late_and_holds_no_bus(
    table: Table, count: int
) -> None:
    def bits_or_words(request: bytes) -> bytes:
        bits = sealed(bytes((request[0], 1, 1, request[3])))
        return bits if request[1] == 1 else honest_words(request)

    bus = SerialBus(QUICK, answer=bits_or_words, late_s={1: 0.95})
    async with connected(bus, timeout_s=0.4) as (transport, _):
        with pytest.raises(NoAnswer):
            await transport.request(1, table, 0, count)
        begun = asyncio.get_running_loop().time()
        with pytest.raises(NoAnswer, match="its late answers cannot be told"):
            await transport.request(1, table, 40, count)
        assert await transport.request(2, "holding", 7, 3) == words(2, 7, 3)
        await until(lambda: len(bus.ends) == 2)
        await asyncio.sleep(max(0.0, begun + 3.5 * 0.4 - asyncio.get_running_loop().time()))
        for address in (40, 80):
            right = [address >> n & 1 for n in range(8)]
            if table == "holding":
                right = words(1, address, 1)
            assert await transport.request(1, table, address, count) == right


async def test_what_a_unit_says_first_may_be_a_late_refusal_or_one_of_a_part() -> None:
    def whole_only(request: bytes) -> bytes:
        return honest_words(request) if request[5] == 4 else sealed(bytes((1, 0x83, 2)))

    bus = SerialBus(QUICK, answer=whole_only, late_s={1: 0.95, 2: 0.2, 3: 0.2})
    async with connected(bus, timeout_s=0.4) as (transport, _):
        with pytest.raises(NoAnswer, match="no answer"):
            await transport.request(1, "holding", 0, 4)
        with pytest.raises(NoAnswer, match="exception 2, perhaps a late one"):
            await transport.request(1, "holding", 40, 4)
        assert await told_at_last(transport, 40, 4) == words(1, 40, 4)
        assert await transport.request(1, "holding", 80, 4) == words(1, 80, 4)
    assert spans(bus.requests) == [(1, 0, 4), (1, 40, 3), (1, 40, 4), (1, 40, 4), (1, 80, 4)]


async def test_the_time_of_the_frames_counts_where_an_answer_may_be_late() -> None:
    """125 words take 0.3 s at 9 600 baud, three times the timeout: the next request of that length is a late one's too."""
    bus = SerialBus(SLOW, late_s={1: 0.75, 2: 0.75})
    async with connected(bus, timeout_s=0.1) as (transport, _):
        for address, error in ((0, NoAnswer), (200, NoAnswer)):
            with pytest.raises(error):
                await transport.request(1, "holding", address, 125)
        for address in (400, 600):
            assert await transport.request(1, "holding", address, 125) == words(1, address, 125)


async def test_a_silent_unit_is_asked_for_another_length_than_may_still_come_and_never_for_more() -> (
    None
):
    bus = SerialBus(QUICK, answer=lambda request: b"")
    async with connected(bus, timeout_s=0.05) as (transport, _):
        for _ in range(7):
            with pytest.raises(NoAnswer):
                await transport.request(1, "holding", 0, 9)
    asked = [count for _, _, count in spans(bus.requests)]
    assert asked[0] == 9
    assert max(asked) == 9
    assert all(one != other for one, other in pairwise(asked))


async def test_a_late_refusal_is_not_taken_for_that_of_another_request() -> None:
    def first_refuses(request: bytes) -> bytes:
        refused = request[3] == 7
        return sealed(bytes((1, 0x83, 2))) if refused else honest_words(request)

    bus = SerialBus(QUICK, answer=first_refuses, late_s={1: 0.95, 2: 0.2, 3: 0.2})
    async with connected(bus, timeout_s=0.4) as (transport, _):
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 7, 2)
        assert await told_at_last(transport, 40, 2) == words(1, 40, 2)


async def test_another_unit_is_asked_meanwhile_and_the_late_answer_is_dropped() -> None:
    """The late answer comes while the other unit is thinking."""
    bus = SerialBus(QUICK, late_s={1: 0.6, 2: 0.35})
    async with connected(bus, timeout_s=0.4) as (transport, _):
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 0, 2)
        begun = asyncio.get_running_loop().time()
        assert await transport.request(2, "holding", 40, 2) == words(2, 40, 2)
        assert bus.starts[1] - begun < 0.2, "another unit waits for nobody"
        late, own = bus.ends
        assert bus.starts[1] < late < own


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda r: b"", NoAnswer),
        (lambda r: honest_words(r)[:-1], NoAnswer),
        (lambda r: honest_words(r)[:-1] + b"\0", NoAnswer),
        (lambda r: honest_words(bytes((9,)) + r[1:]), NoAnswer),
        (lambda r: sealed(bytes((r[0], 0x83, 2))), Refused),
        (lambda r: sealed(bytes((r[0], 3, 2, 0, 1))), Garbled),
        (lambda r: sealed(bytes((r[0], 4, 4, 0, 1, 0, 2))), Garbled),
        (lambda r: b"\xff" * 7, NoAnswer),
    ],
    ids=["silence", "cut", "wrong crc", "another unit", "an exception", "too short", "another function", "noise"],
)  # fmt: skip
async def test_what_is_no_whole_answer_of_this_unit_gives_no_words(
    answer: Callable[[bytes], bytes], error: type[Exception]
) -> None:
    async with connected(SerialBus(QUICK, answer=answer), timeout_s=0.2) as (transport, _):
        with pytest.raises(error):
            await transport.request(1, "holding", 5, 2)


async def test_after_garbage_the_line_goes_on() -> None:
    answers = iter([b"\x01\x03\xff", b"", b"\x00" * 300])
    bus = SerialBus(QUICK, answer=lambda r: next(answers, honest_words(r)))
    async with connected(bus, timeout_s=0.2) as (transport, _):
        assert await told_at_last(transport, 5, 2) == words(1, 5, 2)
        assert next(answers, b"") == b""
        assert await transport.request(1, "holding", 9, 2) == words(1, 9, 2)


async def test_a_port_that_is_not_there_is_said_by_its_path() -> None:
    transport = PymodbusTransport(line(kind="rtu", path="/dev/ttyNONE", serial=QUICK))
    with pytest.raises(LinkDown, match=r"cannot connect to /dev/ttyNONE: .*[Nn]o such file"):
        await transport.request(1, "holding", 0, 1)


async def test_a_port_that_does_not_take_the_settings_is_a_link_that_is_down() -> None:
    """A pseudo-terminal knows no parity."""
    async with connected(SerialBus(Serial(parity="even"))) as (transport, _):
        with pytest.raises(LinkDown, match="cannot connect to /dev/"):
            await transport.request(1, "holding", 0, 1)


async def test_an_adapter_that_is_pulled_out_is_a_link_that_is_down() -> None:
    async with connected(SerialBus(QUICK), timeout_s=0.4) as (transport, bus):
        assert await transport.request(1, "holding", 0, 1) == words(1, 0, 1)
        bus.unplug()
        with pytest.raises(LinkDown):
            await transport.request(1, "holding", 0, 1)


@asynccontextmanager
async def gateway(
    answer: Callable[[bytes], bytes],
) -> AsyncIterator[tuple[PymodbusTransport, list[bytes]]]:
    """A line through a gateway that passes frames on, and what was asked by it."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(8):
            asked.append(request)
            writer.write(answer(request))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = PymodbusTransport(
        line(kind="rtu_over_tcp", host="127.0.0.1", port=port, serial=QUICK)
    )
    try:
        yield transport, asked
    finally:
        await transport.close()
        server.close()
        await server.wait_closed()


async def test_a_gateway_passes_frames_on_as_they_are() -> None:
    async with gateway(honest_words) as (transport, asked):
        assert await transport.request(5, "holding", 9, 3) == words(5, 9, 3)
        assert spans(asked) == [(5, 9, 3)]


async def test_a_request_that_may_be_answered_twice_is_believed_at_neither() -> None:
    """The gateway passes a request on and ends the connection: what it asks for comes on the next one too."""
    writers: list[asyncio.StreamWriter] = []

    def later(frame: bytes) -> None:
        asyncio.get_running_loop().call_later(0.2, lambda: writers[-1].write(frame))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while request := await reader.read(8):
            asked.append(request)
            if len(asked) == 1:
                continue
            later(honest_words(request))
            if len(asked) == 2:
                break
        writer.close()

    asked: list[bytes] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    transport = PymodbusTransport(
        line(kind="rtu_over_tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1], serial=QUICK, timeout_s=0.5)
    )  # fmt: skip
    with pytest.raises(NoAnswer):
        await transport.request(1, "holding", 0, 2)
    for address in (40, 80, 120):
        assert await transport.request(2, "holding", address, 2) == words(2, address, 2)
    await transport.close()
    server.close()
    await server.wait_closed()


async def test_what_a_gateway_says_of_a_unit_is_not_its_answer() -> None:
    """Exception 11, and then the unit answers after all."""

    def late(request: bytes) -> bytes:
        return honest_words(request) if len(bus.requests) > 1 else sealed(bytes((1, 0x83, 11)))

    bus = SerialBus(QUICK, answer=late, late_s={2: 0.25, 3: 0.25, 4: 0.25})
    async with connected(bus, timeout_s=0.5) as (transport, _):
        with pytest.raises(Refused):
            await transport.request(1, "holding", 0, 2)
        asyncio.get_running_loop().call_later(0.15, bus._write, honest_words(bus.requests[0]))
        for address in (40, 80):
            assert await transport.request(1, "holding", address, 2) == words(1, address, 2)


async def test_a_block_that_is_always_garbled_costs_its_bus_no_more_than_a_timeout() -> None:
    def short(request: bytes) -> bytes:
        broken = sealed(bytes((1, 3, 4, 0, 0, 0, 0)))
        return broken if request[3] == 0 else honest_words(request)

    async with connected(SerialBus(QUICK, answer=short), timeout_s=0.2) as (transport, _):
        for _ in range(2):
            with pytest.raises(Garbled):
                await transport.request(1, "holding", 0, 1)
            begun = asyncio.get_running_loop().time()
            assert await transport.request(1, "holding", 40, 1) == words(1, 40, 1)
            assert asyncio.get_running_loop().time() - begun < 2 * 0.2


async def test_the_answer_behind_a_late_one_of_another_unit_is_heard() -> None:
    """A network hands on in one piece what the bus said one after the other."""
    late = honest_words(b"\1\3\0\0\0\x7d")
    async with gateway(lambda request: late + honest_words(request)) as (transport, _):
        assert await transport.request(2, "holding", 7, 125) == words(2, 7, 125)
