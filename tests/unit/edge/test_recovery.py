"""The recovery contract (docs/recovery.md), row by row: the real poller and transport against a network that fails."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest

from config.plant import Line
from edge.modbus_transport import LinkDown, PymodbusTransport
from edge.poller import BACKOFF_S_MIN
from tests.unit.edge import fault_proxy
from tests.unit.edge.fault_proxy import HONEST, Alter, Fault, FaultProxy, Piece
from tests.unit.edge.modbus_twins import RecordingServer, framed
from tests.unit.edge.polled_line import (
    ALL,
    CAP_S,
    FAST,
    TIMEOUT_S,
    WAIT_S,
    PolledLine,
    batches,
    descriptors,
    honest,
    nothing_left,
    points,
    polled,
    proxied,
    said,
    tasks_noted,
)
from tests.unit.edge.rows import line, register_point
from tests.waiting import until

RECONNECTS = 1000
TRIES = 2


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the reason that every point ends with, others before it, and who is lost."""

    fault: Fault
    reason: str
    lost: Sequence[str]
    why: str
    """What the log says of each that is lost, a pattern."""
    before: Sequence[str] = ()


def other_device(request: bytes) -> bytes:
    """The answer of the other unit, under its own name."""
    swapped = request[:6] + bytes((3 - request[6],)) + request[7:]
    return honest(swapped)


def stale_number(request: bytes) -> bytes:
    """Right but for the number, which is that of an older request, and the words, which are too."""
    older = (int.from_bytes(request[:2], "big") - 1 & 0xFFFF).to_bytes(2, "big")
    return older + honest(request[:8] + b"\0\0" + request[10:])[2:]


HUGE = b"\0\1\0\0\xff\xff\1\3" + bytes(20_000)
ANSWERS = ("device_refused", "undecodable")
"""Reasons of a device that answers: it is not lost, and read on at its own pace."""
LINE = ("line l",)
BOTH = ("device one", "device two")
SILENT = Fault(fault_proxy.silent)
HALF_OPEN = Fault(fault_proxy.silent, kills=True)
VANISHED = Fault(fault_proxy.silent, "mute", kills=True)


NO_ANSWER = "no answer"
CUT = "no whole answer: [0-9]+ bytes came, first [0-9a-f]{2,16}"
CLOSED = "the connection was closed"
UNREACHABLE = r"cannot connect to 127\.0\.0\.1:\d+: "
UNFIT = "an answer to function 3 for 1 began with "


def altered(alter: Alter, why: str = NO_ANSWER, reason: str = "no_answer") -> Row:
    return Row(Fault(alter), reason, BOTH, why)


def refusing(code: int) -> Row:
    why = rf"(one|two) refuses holding \d+\.\.\d+: exception {code}.*"
    return altered(fault_proxy.exception(code), why, "device_refused")


def by_gateway(code: int) -> Row:
    return altered(fault_proxy.exception(code), f"(one|two): the gateway says exception {code}")


REFUSED = Row(Fault(door="shut"), "link_down", LINE, f"{UNREACHABLE}.+")
ROWS = {
    "refused": replace(REFUSED, why=f"{REFUSED.why}|{CLOSED}"),  # by a request that was on its way
    "reset": Row(Fault(alter=None), "link_down", LINE, CLOSED),
    "closed at once": Row(Fault(alter=None, door="slammed"), "link_down", LINE, CLOSED),
    "silent": Row(SILENT, "no_answer", BOTH, NO_ANSWER),
    "half-open": Row(HALF_OPEN, "no_answer", BOTH, NO_ANSWER),
    "vanished": Row(
        VANISHED, "link_down", LINE, rf"{UNREACHABLE}nothing came within [\d.]+ s", ("no_answer",)
    ),
    "slow": altered(fault_proxy.late(1.5 * TIMEOUT_S)),
    "drip": altered(fault_proxy.byte_by_byte(0.6 * TIMEOUT_S), CUT),
    "another unit": altered(fault_proxy.instead(other_device)),
    "stale number": altered(fault_proxy.instead(stale_number)),
    "one behind": altered(fault_proxy.one_behind()),
    "noise": altered(fault_proxy.noise(40), f"{NO_ANSWER}|{CUT}"),
    "flood": altered(fault_proxy.noise(50_000), f"{NO_ANSWER}|{CUT}"),
    "huge frame": altered(fault_proxy.instead(lambda _: HUGE), f"{NO_ANSWER}|{CUT}"),
    "half an answer": altered(fault_proxy.instead(lambda r: honest(r)[:-1]), CUT),
    "wrong function": altered(
        fault_proxy.instead(lambda r: framed(r, b"\4\2\0\1")), f"{UNFIT}04020001", "undecodable"
    ),
    "too long": altered(
        fault_proxy.instead(lambda r: framed(r, b"\3\4\0\1\0\2")),
        f"{UNFIT}030400010002",
        "undecodable",
    ),
    "exception 2": refusing(2),
    "exception 4": refusing(4),
    "exception 6": refusing(6),
    "exception 10": by_gateway(10),
    "exception 11": by_gateway(11),
}
FROM_THE_START = {
    "refused": REFUSED,
    **{name: ROWS[name] for name in ("silent", "wrong function", "exception 2", "exception 4")},
}


Play = Callable[[Row, FaultProxy, PolledLine], Awaitable[None]]


async def play_all(rows: Mapping[str, Row], play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """Each row on a line and a device of its own, at once; what is said is of its own line alone."""

    async def played(name: str) -> None:
        async with proxied() as proxy, polled(at(proxy), name=name) as it:
            await play(rows[name], proxy, it)

    with tasks_noted(caplog):
        async with nothing_left(), asyncio.TaskGroup() as group:
            for name in rows:
                group.create_task(played(name), name=f"the row {name}")
    for name, row in rows.items():
        assert_said_once(said(caplog, by=name), row)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("names", batches([*ROWS]), ids=", ".join)
async def test_a_fault_is_told_with_its_reason_and_gone_within_one_back_off(
    names: Sequence[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def play(row: Row, proxy: FaultProxy, it: PolledLine) -> None:
        await it.until_each(ALL, "good")
        await it.between_reads()
        await proxy.inflict(row.fault)
        told = await it.until_each(FAST, row.reason)
        await it.until_tried(TRIES)
        await it.until_each(FAST, row.reason)
        assert reasons(it, told) == {row.reason}
        await assert_back(it, proxy, FAST if row.reason in ANSWERS else ALL)

    await play_all({name: ROWS[name] for name in names}, play, caplog)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("names", batches([*FROM_THE_START]), ids=", ".join)
async def test_a_fault_from_the_start_on_keeps_not_even_hourly_points_longer_than_one_back_off(
    names: Sequence[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def play(row: Row, proxy: FaultProxy, it: PolledLine) -> None:
        await proxy.inflict(row.fault)
        told = await it.until_each(ALL, row.reason)
        await it.until_each(FAST, row.reason)
        assert reasons(it, told) == {row.reason}
        await assert_back(it, proxy, ALL)

    await play_all({name: FROM_THE_START[name] for name in names}, play, caplog)


async def assert_back(it: PolledLine, proxy: FaultProxy, names: Sequence[str]) -> None:
    """The fault ends: whatever is lost is tried within one back-off, and the first try succeeds."""
    assert it.retries_within_s() <= CAP_S
    await proxy.inflict(HONEST)
    mended = it.clock.monotonic()
    await it.until_each(names, "good")
    after = [attempt for attempt in it.watched.attempts if attempt.begun > mended]
    assert [attempt for attempt in after if not attempt.good] == []
    assert not it.poller.stats.lost


def assert_said_once(lines: dict[str, list[str]], row: Row) -> None:
    """One line when lost, one when back, and of nobody else (but of who was lost on the way)."""
    assert set(row.lost) <= set(lines)
    assert set(lines) == set(row.lost) or row.before
    words = ("answers without values: ", "gives values again after ")
    begins = words if row.reason in ANSWERS else ("lost: ", "back after ")
    for name, (lost, back) in lines.items():
        why = row.why if name in row.lost else NO_ANSWER
        assert re.fullmatch(f"{begins[0]}({why})", lost), lost
        assert re.fullmatch(rf"{begins[1]}\d+\.\d s", back), back


def reasons(it: PolledLine, since: int) -> set[str]:
    return {reason for told in it.reasons(since).values() for reason in told}


def at(proxy: FaultProxy) -> Line:
    return line(host="127.0.0.1", port=proxy.port, timeout_s=TIMEOUT_S, backoff_s_max=CAP_S)


async def test_answers_in_fragments_are_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    async with nothing_left(), proxied() as proxy, polled(at(proxy)) as it:
        await proxy.inflict(Fault(fault_proxy.byte_by_byte(0.001)))
        told = await it.until_each(ALL, "good")
        await it.until_each(FAST, "good")
        assert reasons(it, told) == {"good"}
        assert proxy.connections == 1
    assert not said(caplog)


async def test_a_device_that_restarts_is_lost_refuses_and_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with nothing_left(), proxied() as proxy, polled(at(proxy)) as it:
        await it.until_each(ALL, "good")
        await proxy.inflict(Fault(door="shut"))
        await it.until_each(FAST, "link_down")
        await proxy.inflict(Fault(fault_proxy.exception(6)))
        await it.until_each(FAST, "device_refused")
        await assert_back(it, proxy, ALL)
    lines = said(caplog)
    assert [len(lines[name]) for name in (*LINE, *BOTH)] == [2, 2, 2]


async def test_registers_that_are_refused_while_a_device_starts_rest_no_longer_than_one_back_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def starting(request: bytes, answer: bytes) -> Iterable[Piece]:
        far = request[8:10] == (500).to_bytes(2, "big")
        return fault_proxy.exception(2)(request, answer) if far else [(0.0, answer)]

    async with nothing_left(), proxied() as proxy, polled(at(proxy)) as it:
        await proxy.inflict(Fault(starting))
        await it.until_each([name for name in FAST if name.endswith("far")], "device_refused")
        await proxy.inflict(HONEST)
        mended = it.clock.monotonic()
        resting = it.watched.inner._resting.values()  # type: ignore[attr-defined]
        assert max(resting) <= mended + CAP_S
        await it.until_each(FAST, "good")
    assert not said(caplog)


async def test_one_silent_device_costs_the_others_one_timeout_per_back_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def half_dead(request: bytes, answer: bytes) -> Iterable[Piece]:
        return [(0.0, answer)] if request[6] == 1 else []

    async with nothing_left(), proxied() as proxy, polled(at(proxy)) as it:
        await it.until_each(ALL, "good")
        await proxy.inflict(Fault(half_dead))
        told = await it.until_each(["two/near", "two/far"], "no_answer")
        await it.until_tried(TRIES)
        assert set(it.reasons(told)["one/near"]) == {"good"}
        assert_pace_kept(it, "two")
        await assert_back(it, proxy, [name for name in ALL if name.startswith("two")])
    assert set(said(caplog)) == {"device two"}


def assert_pace_kept(it: PolledLine, dead: str) -> None:
    """Between two tries of the dead device, a back-off lies, in which the other is read."""
    tries = [(i, a) for i, a in enumerate(it.watched.attempts) if a.device == dead and not a.good]
    for (i, first), (k, second) in pairwise(tries):
        assert second.begun - first.ended >= BACKOFF_S_MIN / 2
        between = it.watched.attempts[i + 1 : k]
        assert len(between) >= 2
        assert all(a.good and a.device != dead for a in between)


async def test_a_line_is_not_back_because_a_read_of_facts_has_no_reading_to_say_it_is_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [*points(), register_point("serial", 20, "string", words=2, device="one", period_s=60)]
    async with nothing_left(), proxied() as proxy, polled(at(proxy), rows) as it:
        await it.until_each(ALL, "good")
        await proxy.inflict(Fault(door="shut"))
        await it.until_each(FAST, "link_down")
        await it.until_tried(2 * len(it.poller._tasks))
        await assert_back(it, proxy, ALL)
    assert [len(lines) for lines in said(caplog).values()] == [2]


async def test_a_name_is_asked_anew_for_every_connection(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    address = "127.0.0.1"
    asked: list[str] = []

    async def resolve(host: str, port: int, **words: Any) -> list[Any]:
        if host != "pump-room":
            return await original(host, port, **words)
        asked.append(address)
        return await original(address, port, **words)

    original = loop.getaddrinfo
    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    async with nothing_left(), proxied() as proxy, RecordingServer(honest).running() as server:
        named = replace(at(proxy), host="pump-room")
        moved = FaultProxy(server.port, proxy.port, host="127.0.0.2")
        async with moved.running(), polled(named) as it:
            await it.until_each(ALL, "good")
            assert (len(asked), moved.connections) == (1, 0)
            await proxy.inflict(Fault(door="shut"))
            await it.until_each(FAST, "link_down")
            await it.until_tried(TRIES)
            assert len(asked) >= TRIES, "every connection asks"
            address = "127.0.0.2"
            await it.until_each(ALL, "good")
            assert moved.connections == 1
    assert [len(said(caplog)[name]) for name in LINE] == [2]


async def test_a_name_that_is_not_known_is_a_link_that_is_down() -> None:
    transport = PymodbusTransport(line(host="no\0name", port=502, timeout_s=TIMEOUT_S))
    with pytest.raises(LinkDown):
        await transport.request(1, "holding", 0, 1)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("fault", [HONEST, Fault(alter=None), Fault(door="slammed", alter=None)])
async def test_a_thousand_reconnects_leave_nothing_behind(fault: Fault) -> None:
    async with nothing_left(), proxied() as proxy:
        await proxy.inflict(fault)
        transport, tasks = (
            PymodbusTransport(replace(at(proxy), timeout_s=WAIT_S)),
            asyncio.all_tasks(),
        )
        flat = 0
        for number in range(RECONNECTS):
            if fault is HONEST:
                assert await transport.request(1, "holding", 10, 1) == [1010]
            else:
                with pytest.raises(LinkDown):
                    await transport.request(1, "holding", 10, 1)
            await transport.close()
            if number == RECONNECTS // 10:
                flat = await descriptors_without(tasks)
        assert await descriptors_without(tasks) <= flat
        assert proxy.connections == RECONNECTS


async def descriptors_without(tasks: set[asyncio.Task[Any]]) -> int:
    """How many are open once no task is left but these: connections that were just closed are gone."""
    await until(lambda: asyncio.all_tasks() <= tasks, timeout=WAIT_S)
    return descriptors()
