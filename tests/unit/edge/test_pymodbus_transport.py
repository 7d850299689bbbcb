import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from itertools import pairwise
from typing import TypeVarTuple, Unpack

import pytest

from config.clock import ScaledClock
from config.profile import ModbusLimits, Table
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import (
    BURST,
    REQUESTS,
    Garbled,
    LinkDown,
    NoAnswer,
    PymodbusTransport,
    Refused,
    parse_answer,
)
from edge.readings import QUALITY_NAMES
from tests.unit.edge.modbus_twins import (
    RecordingServer,
    asked_for,
    framed,
    honest,
    honest_pdu,
    script,
)
from tests.unit.edge.rows import device, line, register_point
from tests.waiting import until

Answer = Callable[[bytes], bytes | None]
FUZZED_FRAMES = 2000
Ts = TypeVarTuple("Ts")


@asynccontextmanager
async def connected(
    answer: Answer, timeout_s: float = 0.2
) -> AsyncIterator[tuple[PymodbusTransport, RecordingServer]]:
    async with RecordingServer(answer).running() as server:
        transport = PymodbusTransport(line(host="127.0.0.1", port=server.port, timeout_s=timeout_s))
        try:
            yield transport, server
        finally:
            await transport.close()


@pytest.mark.parametrize(
    ("table", "function", "expected"),
    [
        ("coil", 1, [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]),
        ("discrete", 2, [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]),
        ("holding", 3, list(range(7, 17))),
        ("input", 4, list(range(7, 17))),
    ],
)
async def test_each_table_is_read_by_its_own_function(
    table: Table, function: int, expected: list[int]
) -> None:
    async with connected(honest) as (transport, server):
        assert await transport.request(9, table, 7, 10) == expected
        assert server.frames[0][6] == 9
        assert asked_for(server.frames[0]) == (function, 7, 10)


def test_only_functions_that_read_can_be_built() -> None:
    assert {pdu.function_code for pdu in REQUESTS.values()} == {1, 2, 3, 4}


async def test_an_exception_is_a_refusal_with_its_code() -> None:
    async with connected(lambda r: framed(r, bytes((r[7] | 0x80, 6)))) as (transport, _):
        with pytest.raises(Refused) as refusal:
            await transport.request(1, "holding", 0, 1)
        assert refusal.value.code == 6


def with_number(change: int) -> Answer:
    """The answer to a request `change` numbers away."""
    return lambda r: (
        (int.from_bytes(r[:2], "big") + change & 0xFFFF).to_bytes(2, "big") + honest(r)[2:]
    )


WRONG: dict[str, Answer] = {
    "number of another request": with_number(1),
    "number zero": lambda r: b"\0\0" + honest(r)[2:],
    "another unit": lambda r: honest(r)[:6] + b"\x09" + honest(r)[7:],
    "another protocol": lambda r: honest(r)[:2] + b"\0\1" + honest(r)[4:],
    "another function": lambda r: framed(r, b"\x04" + honest_pdu(r)[1:]),
    "an exception to another function": lambda r: framed(r, b"\x84\x02"),
    "a write": lambda r: framed(r, b"\x06\0\0\0\0"),
    "an unknown function": lambda r: framed(r, b"\x7f\0\0\0\0"),
    "too few words": lambda r: framed(r, b"\x03\x02\0\1"),
    "too many words": lambda r: framed(r, b"\x03\x06\0\1\0\2\0\3"),
    "a byte count that lies": lambda r: framed(r, b"\x03\x06\0\1\0\2"),
    "an odd byte count": lambda r: framed(r, b"\x03\x05\0\1\0\2\0"),
    "bytes after the words": lambda r: framed(r, honest_pdu(r) + b"\0"),
    "no data": lambda r: framed(r, b"\x03"),
    "nothing after the unit": lambda r: framed(r, b""),
    "an exception without a code": lambda r: framed(r, b"\x83"),
    "a truncated frame": lambda r: honest(r)[:-1],
    "silence": lambda r: None,
    "noise": lambda r: bytes(range(200)),
    "a flood": lambda r: b"\xff" * 5000,
    "its own request": lambda r: r,
}


@pytest.mark.parametrize("kind", WRONG)
async def test_a_wrong_answer_is_never_a_value_and_the_next_right_one_is(kind: str) -> None:
    async with connected(script(WRONG[kind]), timeout_s=0.4) as (transport, _):
        with pytest.raises((NoAnswer, Garbled, LinkDown)):
            await transport.request(1, "holding", 40, 2)
        assert await transport.request(1, "holding", 50, 2) == [50, 51]


async def test_an_answer_that_comes_late_is_not_taken_for_the_next_request() -> None:
    late: list[bytes] = []

    def slow_once(request: bytes) -> bytes | None:
        if not late:
            late.append(honest(request))
            return None
        return late[0] + honest(request)

    async with connected(script(honest, *[slow_once] * 2), timeout_s=0.4) as (transport, server):
        await transport.request(1, "holding", 30, 2)
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 40, 2)
        assert await transport.request(1, "holding", 50, 2) == [50, 51]
        assert server.connections == 1


async def test_two_silences_in_a_row_open_the_connection_anew() -> None:
    silent: Answer = lambda _: None  # noqa: E731  a row of the script
    async with connected(script(honest, silent, silent), timeout_s=0.25) as (transport, server):
        await transport.request(1, "holding", 0, 1)
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await transport.request(1, "holding", 0, 1)
        assert await transport.request(1, "holding", 5, 1) == [5]
        assert server.connections == 2


async def test_a_connection_by_which_nothing_ever_came_is_not_tried_twice() -> None:
    async with connected(script(lambda _: None), timeout_s=0.05) as (transport, server):
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 0, 1)
        assert await transport.request(1, "holding", 5, 1) == [5]
        assert server.connections == 2


async def test_after_part_of_an_answer_the_stream_is_not_believed_again() -> None:
    half: Answer = lambda r: honest(r)[:9]  # noqa: E731  a row of the script
    async with connected(script(honest, half), timeout_s=0.05) as (transport, server):
        await transport.request(1, "holding", 0, 1)
        with pytest.raises(NoAnswer, match="no whole answer: 9 bytes came, first 00020000"):
            await transport.request(1, "holding", 0, 1)
        assert await transport.request(1, "holding", 5, 1) == [5]
        assert server.connections == 2


async def test_no_number_is_used_again_on_the_next_connection() -> None:
    async with connected(honest) as (transport, server):
        for address in range(3):
            await transport.request(1, "holding", address, 1)
            await transport.close()
        assert [frame[:2] for frame in server.frames] == [b"\0\1", b"\0\2", b"\0\3"]
        assert server.connections == 3


async def test_a_connection_cut_in_a_request_is_told_at_once_and_opened_anew() -> None:
    async with connected(script(lambda _: b""), timeout_s=5) as (transport, _):
        begun = asyncio.get_running_loop().time()
        with pytest.raises(LinkDown):
            await transport.request(1, "holding", 0, 1)
        assert asyncio.get_running_loop().time() - begun < 2
        assert await transport.request(1, "holding", 5, 1) == [5]


async def test_nobody_at_the_address_is_a_link_that_is_down() -> None:
    async with RecordingServer(honest).running() as server:
        port = server.port
    transport = PymodbusTransport(line(host="127.0.0.1", port=port, timeout_s=0.2))
    with pytest.raises(LinkDown):
        await transport.request(1, "holding", 0, 1)
    await transport.close()
    await transport.close()


async def test_a_late_long_answer_that_comes_with_the_right_one_hides_it_not() -> None:
    kept: list[bytes] = []

    def both_at_once(request: bytes) -> bytes | None:
        kept.append(honest(request))
        return None if len(kept) == 2 else b"".join(kept[1:]) or kept[0]

    async with connected(both_at_once) as (transport, server):
        assert await transport.request(1, "holding", 0, 125) == list(range(125))
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 0, 125)
        assert await transport.request(1, "holding", 9, 125) == list(range(9, 134))
        assert server.connections == 1


async def test_each_request_has_its_own_time_however_close_behind_another_it_comes() -> None:
    loop, asked = asyncio.get_running_loop(), list[float]()

    def silent_after_many(request: bytes) -> bytes | None:
        asked.append(loop.time())
        return honest(request) if len(asked) <= BURST + 1 else None

    async with connected(silent_after_many, timeout_s=0.3) as (transport, _):
        for _ in range(BURST + 1):  # the last one leaves a timer that stands
            await transport.request(1, "holding", 0, 1)
        await until(lambda: loop.time() - asked[-1] > 0.2)
        begun = loop.time()
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 0, 1)
        assert loop.time() - begun >= 0.299


async def test_numbers_begin_anew_after_the_last_and_never_with_zero() -> None:
    async with connected(honest) as (transport, server):
        transport._number = 0xFFFE
        for address in range(3):
            assert await transport.request(1, "holding", address, 1) == [address]
        assert [frame[:2] for frame in server.frames] == [b"\xff\xff", b"\0\1", b"\0\2"]


async def test_what_comes_unasked_is_not_kept_for_the_next_request() -> None:
    """A device that talks between requests, of a request that is to come."""

    def talks(request: bytes) -> bytes:
        next_number = (int.from_bytes(request[:2], "big") + 1).to_bytes(2, "big")
        return honest(request) + framed(next_number + request[2:], b"\3\2\0\x63")

    async with connected(script(talks)) as (transport, _):
        assert await transport.request(1, "holding", 5, 1) == [5]
        assert await transport.request(1, "holding", 7, 1) == [7]


async def test_a_request_that_is_given_up_leaves_nothing_behind() -> None:
    async with connected(lambda _: None, timeout_s=5) as (transport, server):
        task = asyncio.ensure_future(transport.request(1, "holding", 0, 1))
        await until(lambda: bool(server.frames))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("frame", [b"", b"\x03", b"\x83", b"\x83\x02\x00", b"\x03\x02\x00"])
def test_a_fragment_is_garbled(frame: bytes) -> None:
    with pytest.raises(Garbled):
        parse_answer(3, 1, frame)


def mutated(answer: bytes, rng: random.Random) -> bytes:
    """One to four random changes to a right answer: bytes, length, repetition."""
    data = bytearray(answer)
    for _ in range(rng.randint(1, 4)):
        kind = rng.randrange(4)
        at = rng.randrange(len(data) + 1)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.randint(1, 9))
        else:
            data += data[:at]
        data = data or bytearray(b"\0")
    return bytes(data)


def believable(request: bytes, answer: bytes) -> bool:
    """Whether an answer that was changed still holds a frame which anyone must take for the right one."""
    _, _, count = asked_for(request)
    head = framed(request, honest_pdu(request))[:9]
    return (
        head in answer or framed(request, bytes((request[7] | 0x80, 0)))[:8] in answer or not count
    )


@pytest.mark.usefixtures("unmeasured")
async def test_fuzzed_answers_never_crash_never_pass_for_values_and_only_reads_are_sent() -> None:
    rng = random.Random(20251124)  # noqa: S311  a repeatable fuzz, no secret
    suspicious: list[bool] = []

    def fuzz(request: bytes) -> bytes:
        answer = mutated(honest(request), rng)
        suspicious.append(believable(request, answer))
        return answer

    points = [
        register_point("u", 3, "u16"),
        register_point("f", 4, "u32"),
        register_point("c", 40, "bit", table="coil"),
        register_point("i", 7, "u16", table="input"),
        register_point("d", 9, "bit", table="discrete"),
    ]
    right = {"a/u": 3.0, "a/f": 4 * 65536.0 + 5, "a/c": 0.0, "a/i": 7.0, "a/d": 1.0}
    async with connected(fuzz, timeout_s=0.005) as (transport, server):
        reader = ModbusReader(transport, lambda _: ModbusLimits(), ScaledClock())
        good = 0
        while len(server.frames) < FUZZED_FRAMES:
            reader._resting.clear()
            seen = len(suspicious)
            result = await reader.read(device(), points)
            if any(suspicious[seen:]):
                continue  # the change left a whole right header standing: its words may be anything
            for reading in result.readings:
                assert (
                    QUALITY_NAMES[reading.quality] != "good"
                    or reading.value == right[reading.point]
                )
                good += reading.quality == 0
        assert server.functions() <= {1, 2, 3, 4}
        assert {len(frame) for frame in server.frames} == {12}
    sent = zip(server.came_by, server.frames, strict=True)
    assert all(a != b for a, b in pairwise(sent)), "nothing is asked again by itself"


class WatchedLoop(asyncio.SelectorEventLoop):
    """Knows its timers."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[asyncio.TimerHandle] = []

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers.append(super().call_at(when, callback, *args, context=context))
        return self.timers[-1]

    def standing(self) -> int:
        """How many will still wake the process."""
        return sum(not timer.cancelled() and timer.when() > self.time() for timer in self.timers)


def test_a_cycle_of_few_requests_leaves_nothing_that_wakes_the_process_and_many_in_a_row_share_a_timer() -> None:  # fmt: skip
    async def standing() -> list[int]:
        loop, found = asyncio.get_running_loop(), list[int]()
        assert isinstance(loop, WatchedLoop)
        async with connected(honest, timeout_s=5.0) as (transport, _):
            for _ in range(BURST + 5):
                await transport.request(1, "holding", 0, 1)
                found.append(loop.standing())
            return [*found, len(loop.timers)]

    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        *found, timers = runner.run(standing())
    assert found == [0] * BURST + [1] * 5
    assert timers == 1 + BURST + 1  # of connecting, of each of few, of all that follow
