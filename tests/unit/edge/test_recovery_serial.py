"""The recovery contract (docs/recovery.md) on a serial bus: unplugged, babbling, and one dead device among others."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from config.plant import Line, Serial
from tests.unit.edge.polled_line import (
    ALL,
    CAP_S,
    FAST,
    TIMEOUT_S,
    PolledLine,
    batches,
    descriptors,
    polled,
    said,
    tasks_noted,
)
from tests.unit.edge.rows import line
from tests.unit.edge.serial_twin import SerialBus, honest_words, sealed
from tests.waiting import until

QUICK = Serial(baud=115_200, parity="none", stop_bits=2, turnaround_s=0.002)
TRIES = 2
PLUGGED = 3


def at(path: str | Path) -> Line:
    return line(
        kind="rtu", path=str(path), serial=QUICK, timeout_s=TIMEOUT_S, backoff_s_max=CAP_S
    )  # fmt: skip


async def assert_back(it: PolledLine) -> None:
    """The fault has just ended: the first try of whatever is lost succeeds."""
    assert it.retries_within_s() <= CAP_S
    mended = it.clock.monotonic()
    await it.until_each(FAST, "good")
    assert all(attempt.good for attempt in it.watched.attempts if attempt.begun > mended)
    assert not it.poller.stats.lost


async def test_an_adapter_that_is_plugged_in_again_under_its_path_is_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port, before = tmp_path / "bus", descriptors()
    async with polled(at(port)) as it:
        await it.until_each(ALL, "link_down")
        for _ in range(PLUGGED):
            await it.until_tried(TRIES)
            async with SerialBus(QUICK).running() as bus:
                port.symlink_to(bus.path)
                await assert_back(it)
                bus.unplug()
                port.unlink()
                await it.until_each(FAST, "link_down")
    lines = said(caplog)["line l"]
    assert len(lines) == 2 * PLUGGED + 1
    assert str(port) in lines[0]
    await until(lambda: descriptors() <= before)


def cut(request: bytes) -> bytes:
    return honest_words(request)[:-3]


def wrong_crc(request: bytes) -> bytes:
    return honest_words(request)[:-1] + b"\0"


def other_unit(request: bytes) -> bytes:
    return honest_words(bytes((3 - request[0],)) + request[1:])


def noise(request: bytes) -> bytes:
    return b"\xff\0\x03" * 40


def silence(request: bytes) -> bytes:
    return b""


def too_short(request: bytes) -> bytes:
    return sealed(request[:2] + b"\0")


def refusal(request: bytes) -> bytes:
    return sealed(bytes((request[0], request[1] | 0x80, 4)))


ROWS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "silence": (silence, "no_answer"),
    "cut": (cut, "no_answer"),
    "wrong crc": (wrong_crc, "no_answer"),
    "other unit": (other_unit, "no_answer"),
    "noise": (noise, "no_answer"),
    "too short": (too_short, "undecodable"),
    "refusal": (refusal, "device_refused"),
}


@pytest.mark.parametrize("names", batches([*ROWS]), ids=", ".join)
async def test_a_fault_on_a_bus_is_told_with_its_reason_and_gone_within_one_back_off(
    names: Sequence[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def played(name: str) -> None:
        answer, reason = ROWS[name]
        async with SerialBus(QUICK).running() as bus, polled(at(bus.path), name=name) as it:
            await it.until_each(ALL, "good")
            bus.answer = answer
            told = await it.until_each(FAST, reason)
            await it.until_tried(TRIES)
            await it.until_each(FAST, reason)
            assert {r for said in it.reasons(told).values() for r in said} == {reason}
            bus.answer = honest_words
            await assert_back(it)

    with tasks_noted(caplog):
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(played(name), name=f"the row {name}")
    for name in names:
        lines = said(caplog, by=name)
        lost_and_back = {"device one": 2, "device two": 2}
        assert {who: len(words) for who, words in lines.items()} == lost_and_back


async def test_one_dead_device_costs_its_bus_one_timeout_per_back_off() -> None:
    def half_dead(request: bytes) -> bytes:
        return honest_words(request) if request[0] == 1 else b""

    async with SerialBus(QUICK).running() as bus, polled(at(bus.path)) as it:
        await it.until_each(ALL, "good")
        bus.answer = half_dead
        told = await it.until_each(["two/near", "two/far"], "no_answer")
        await it.until_tried(TRIES + 1)
        assert set(it.reasons(told)["one/near"]) == {"good"}
        tries = [(i, a) for i, a in enumerate(it.watched.attempts) if not a.good]
        for (i, first), (k, second) in pairwise(tries):
            late_s = second.begun - first.ended
            assert late_s >= TIMEOUT_S - 0.01, "its late answer is waited for off the line"
            assert {a.device for a in it.watched.attempts[i + 1 : k]} == {"one"}
        bus.answer = honest_words
        await assert_back(it)
