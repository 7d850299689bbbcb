"""The recovery contract (docs/recovery.md) with serial frames over TCP: where a gateway's line differs from both."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from config.plant import Line, Serial
from edge.modbus_transport import NoAnswer, PymodbusTransport
from tests.unit.edge.polled_line import (
    ALL,
    CAP_S,
    FAST,
    TIMEOUT_S,
    nothing_left,
    polled,
    said,
    tasks_noted,
)
from tests.unit.edge.rows import line
from tests.unit.edge.serial_twin import honest_words
from tests.unit.edge.test_recovery_serial import (
    assert_back,
    noise,
    other_unit,
    silence,
    too_short,
    wrong_crc,
)
from tests.waiting import until

REQUEST_BYTES = 8
TURNAROUND_S = 0.01
QUICK = Serial(baud=115_200, parity="none", stop_bits=2, turnaround_s=0.002)


@dataclass
class Gateway:
    """Takes serial frames over TCP; `answer` gives the frame for a request's frame, b"" is silence.

    All connections share the bus, on which one request goes after the other. What it says goes to
    the connection that asked, or with `to_newest` to whichever there is, as transparent ones do it.
    `stall_s` is how long the bus stands still before the next answer. With `held_s` it takes one connection at a
    time, and another only so long after the end of that.
    """

    answer: Callable[[bytes], bytes] = honest_words
    to_newest: bool = False
    stall_s: float = 0.0
    held_s: float | None = None
    port: int = 0
    turned_away: int = 0
    _tasks: set["asyncio.Task[None] | None"] = field(default_factory=set)
    _bus: asyncio.Lock = field(default_factory=asyncio.Lock)
    _place: asyncio.Lock = field(default_factory=asyncio.Lock)
    _newest: asyncio.StreamWriter | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            tasks = [task for task in self._tasks if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        if self.held_s is None:
            await self._serve_one(reader, writer)
        elif self._place.locked():
            self.turned_away += 1
            writer.close()
        else:
            async with self._place:
                await self._serve_one(reader, writer)
                await asyncio.sleep(self.held_s)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._newest = writer
        try:
            while True:
                request = await reader.readexactly(REQUEST_BYTES)
                self._tasks.add(asyncio.create_task(self._ask(request, writer)))
        except (OSError, EOFError, asyncio.CancelledError):
            return  # cancelled by `running`, which waits for it
        finally:
            writer.close()

    async def _ask(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        async with self._bus:
            stall_s, self.stall_s = self.stall_s, 0.0
            await asyncio.sleep(stall_s + TURNAROUND_S)
            to = self._newest if self.to_newest and self._newest else writer
            if not to.is_closing():
                to.write(self.answer(request))


NO_ANSWER = "lost: no answer"
CUT = "lost: no whole answer: [0-9]+ bytes came, first [0-9a-f]+"
ROWS: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "silence by a gateway": (silence, "no_answer", NO_ANSWER),
    "wrong crc by a gateway": (wrong_crc, "no_answer", f"{NO_ANSWER}|{CUT}"),
    "other unit by a gateway": (other_unit, "no_answer", NO_ANSWER),
    "noise by a gateway": (noise, "no_answer", f"{NO_ANSWER}|{CUT}"),
    "too short by a gateway": (
        too_short,
        "undecodable",
        "answers without values: an answer to function 3 for 2 began with 0300",
    ),
}


def at(port: int) -> Line:
    return line(
        kind="rtu_over_tcp", host="127.0.0.1", port=port, serial=QUICK,
        timeout_s=TIMEOUT_S, backoff_s_max=CAP_S,
    )  # fmt: skip


async def test_a_fault_behind_a_gateway_is_told_with_its_reason_and_gone_within_one_back_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def played(name: str) -> None:
        answer, reason, _ = ROWS[name]
        async with Gateway().running() as gateway, polled(at(gateway.port), name=name) as it:
            await it.until_each(ALL, "good")
            gateway.answer = answer
            told = await it.until_each(FAST, reason)
            await it.until_each(FAST, reason)
            assert {r for said in it.reasons(told).values() for r in said} == {reason}
            gateway.answer = honest_words
            await assert_back(it)

    with tasks_noted(caplog):
        async with nothing_left(), asyncio.TaskGroup() as group:
            for name in ROWS:
                group.create_task(played(name), name=f"the row {name}")
    for name, (_, _, why) in ROWS.items():
        lines = said(caplog, by=name)
        assert set(lines) == {"device one", "device two"}
        assert [re.fullmatch(why, lost) is not None for lost, _ in lines.values()] == [True] * 2, (
            name,
            lines,
        )


ONE_BEHIND = [(2.45, False), (2.65, False), (2.9, False), (2.45, True), (2.65, True), (3.6, True)]
"""For how many timeouts the bus stands still, and whether the gateway knows who asked."""


async def test_what_a_gateway_has_queued_is_never_taken_for_the_answer_to_another_request() -> None:
    async def played(timeouts: float, to_newest: bool) -> None:
        async with (
            Gateway(to_newest=to_newest).running() as gateway,
            polled(at(gateway.port)) as it,
        ):
            await it.until_each(ALL, "good")
            gateway.stall_s = timeouts * TIMEOUT_S
            await it.until_each(FAST, "no_answer")
            for _ in range(4):  # `polled` looks at every value
                await it.until_each(FAST, "good")

    async with nothing_left(), asyncio.TaskGroup() as group:
        for row in ONE_BEHIND:
            group.create_task(played(*row), name=f"the row {row}")


async def test_a_gateway_that_frees_its_only_place_late_loses_no_other_device_to_a_dead_one() -> (
    None
):
    def only_one(request: bytes) -> bytes:
        return honest_words(request) if request[0] == 1 else b""

    async with nothing_left(), Gateway(only_one, held_s=TIMEOUT_S / 2).running() as gateway:
        transport = PymodbusTransport(at(gateway.port))
        for unit in (1, 2, 1, 1, 2, 1):
            asked = transport.request(unit, "holding", 10, 1)
            if unit == 2:
                with pytest.raises(NoAnswer):
                    await asked
            else:
                assert len(await asked) == 1
        await transport.close()
    assert gateway.turned_away > 0


async def test_a_line_that_ends_while_it_waits_for_its_place_leaves_no_connection() -> None:
    opened: list[asyncio.StreamWriter] = []
    ended: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        while await reader.read(REQUEST_BYTES):
            pass
        ended.append(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = PymodbusTransport(
        line(kind="rtu_over_tcp", host="127.0.0.1", port=port, serial=QUICK, timeout_s=0.1)
    )
    with pytest.raises(NoAnswer):
        await transport.request(1, "holding", 0, 2)
    task = asyncio.create_task(transport.request(2, "holding", 0, 2))
    await until(lambda: len(opened) == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await transport.close()
    await until(lambda: len(ended) == 2)
    server.close()
    await server.wait_closed()
