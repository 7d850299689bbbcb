"""Another plant while the agent runs: what changed is read anew, the rest notices nothing."""

import asyncio
import contextlib
import threading
import tracemalloc
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import pytest

from config.clock import SteppedClock
from config.plant import Device, Line, LineKind, Plant, Point, Serial
from config.profile import ModbusLimits, Register
from edge import agent
from edge.agent import Agent
from edge.bus_time import late_s
from edge.modbus_reader import ModbusReader
from edge.outbox import Outbox
from edge.outbox_file import OutboxRefused
from edge.poller import Poller
from edge.ports import LinkLost, PointReader, PointReading, PublisherContext
from edge.reloading import CannotReload, Changes, by_line, changes
from tests.unit.edge.modbus_twins import TwinLine
from tests.unit.edge.rows import device, line, plant, register_point
from tests.waiting import until

LINES = [line("l"), line("m")]
DEVICES = [device("d"), device("e", unit="2"), device("f", line="m", unit="3")]


def points(*rows: tuple[str, int, float]) -> list[Point]:
    """Of (device, address, period); the point is named by both."""
    return [
        register_point(f"{d}{a}", a, device=d, period_s=period, longest_silence_s=period * 3)
        for d, a, period in rows
    ]


POINTS = points(("d", 1, 1.0), ("e", 2, 1.0), ("f", 3, 10.0))


def site(
    lines: list[Line] = LINES, devices: list[Device] = DEVICES, rows: list[Point] = POINTS
) -> Plant:
    return plant(lines, devices, rows)


@dataclass
class Running:
    """An agent over twin lines; `next` is what its files say next, None a file that is broken."""

    clock: SteppedClock
    twins: dict[str, list[TwinLine]] = field(default_factory=dict)
    next: Plant | None = None
    agent: Agent = field(init=False)

    def files(self) -> Plant:
        if self.next is None:
            raise CannotReload("plant.toml: lines.l: needs exactly one of …")
        return self.next

    def reader(self, plant: Plant, line: Line) -> PointReader:
        twin = TwinLine()
        self.twins.setdefault(line.id, []).append(twin)
        return ModbusReader(twin, lambda _: ModbusLimits(), self.clock)

    def asked(self, name: str, unit: int) -> list[int]:
        """Addresses that were asked of a unit of a line, over all its connections."""
        return [a for twin in self.twins[name] for u, _, a, _ in twin.asked if u == unit]

    async def reload(self, plant: Plant | None) -> tuple[str, dict[str, str]]:
        self.next = plant
        return await self.agent.reload()


def nowhere(will: bytes) -> PublisherContext:
    raise LinkLost("no broker")


@asynccontextmanager
async def running(plant: Plant) -> AsyncIterator[Running]:
    clock, rng = SteppedClock(), np.random.default_rng(1)
    one = Running(clock)
    one.agent = Agent(
        plant, "e", {key: one.reader(plant, row) for key, row in plant.lines.items()},
        Outbox(":memory:", now=clock.now(), rng=rng), nowhere, clock, rng,
        files=one.files, make_reader=one.reader,
    )  # fmt: skip
    task = asyncio.ensure_future(one.agent.run())
    await clock.advance(5.0)
    try:
        yield one
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        one.agent.outbox.close()


class Counted(dict[str, Any]):
    """Rows of a plant that note in which thread somebody goes through all of them."""

    passes: list[int]

    def __init__(self, rows: Any, passes: list[int]) -> None:
        super().__init__(rows)
        self.passes = passes

    def values(self) -> Any:
        self.passes.append(threading.get_ident())
        return super().values()

    def items(self) -> Any:
        self.passes.append(threading.get_ident())
        return super().items()


async def test_a_reload_goes_through_all_points_beside_the_loop_and_as_often_for_many_devices() -> None:  # fmt: skip
    counts = []
    for many in (2, 40):
        passes: list[int] = []
        rows = [device(f"d{n}", line=f"l{n}", unit="1") for n in range(many)]
        lines = [line(f"l{n}") for n in range(many)]
        first = site(lines, rows, points(*((row.id, 1, 10.0) for row in rows)))
        then = site(lines, rows, points(*((row.id, 2, 10.0) for row in rows)))
        async with running(replace(first, points=Counted(first.points, passes))) as one:
            passes.clear()
            counted = Counted(then.points, passes), Counted(then.devices, passes)
            await one.reload(replace(then, points=counted[0], devices=counted[1]))
            await one.clock.advance(15.0)
            assert {one.asked(f"l{n}", 1)[-1] for n in range(many)} == {2}
        assert threading.get_ident() not in passes
        counts.append(len(passes))
    assert counts[0] == counts[1]


def test_each_line_gets_the_devices_and_points_that_are_read_by_it() -> None:
    found = {line: ([*own.devices], [*own.points]) for line, own in by_line(site())}
    assert found == {"l": (["d", "e"], ["a/d1", "a/e2"]), "m": (["f"], ["a/f3"])}


def test_the_plants_of_lines_are_there_one_after_the_other() -> None:
    """What takes them one by one needs less than half of what takes all at once."""
    rows = [device(f"d{n}", line=f"l{n}") for n in range(50)]
    read = [register_point(f"p{k}-{row.id}", k, device=row.id, id=f"{row.id}/p{k}") for row in rows for k in range(100)]  # fmt: skip
    whole = site([line(f"l{n}") for n in range(50)], rows, read)
    one_by_one = _peak(lambda: deque(by_line(whole), maxlen=0))
    assert one_by_one < _peak(lambda: dict(by_line(whole))) / 2


def _peak(work: Callable[[], object]) -> int:
    """Bytes at most at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_is_the_same_touches_nothing() -> None:
    assert changes(site(), site(), "e") == Changes((), (), frozenset())
    assert str(changes(site(), site(), "e")) == "nothing changed"


def test_a_device_is_touched_by_its_row_its_points_and_its_limits() -> None:
    moved = [*points(("d", 9, 1.0)), *POINTS[1:]]
    assert changes(site(), site(rows=moved), "e").touched == {"d"}
    other = [DEVICES[0], replace(DEVICES[1], unit="7"), DEVICES[2]]
    assert changes(site(), site(devices=other), "e").touched == {"e"}
    limited = site()
    limited.profiles["m"] = replace(limited.profiles["m"], limits=ModbusLimits(max_words=9))  # type: ignore[index]  # a dict here
    assert changes(site(), limited, "e").touched == {"d", "e", "f"}


def test_lines_begin_end_and_are_reached_anew() -> None:
    gone = changes(site(), site(devices=DEVICES[:2], rows=POINTS[:2]), "e")
    assert gone == Changes(("m",), (), frozenset())
    elsewhere = site(lines=[line("l", port=1502), LINES[1]])
    assert changes(site(), elsewhere, "e") == Changes(("l",), ("l",), frozenset())
    foreign = site(lines=[replace(LINES[0], agent="other"), LINES[1]])
    assert changes(site(), foreign, "e") == Changes(("l",), (), frozenset())
    assert str(changes(site(), elsewhere, "e")) == "lines ended: l; lines begun: l"


async def test_only_the_changed_device_is_read_otherwise() -> None:
    async with running(site()) as one:
        before = one.asked("l", 2)
        outcome, detail = await one.reload(site(rows=[*points(("d", 9, 1.0)), *POINTS[1:]]))
        assert (outcome, detail) == ("done", {"changed": "devices changed: d"})
        await one.clock.advance(3.0)
        assert set(one.asked("l", 1)) == {1, 9}
        assert one.asked("l", 1)[-2:] == [9, 9]
        assert one.asked("l", 2)[len(before) :] == [2, 2, 2], "the other keeps its pace"
        assert [twin.closed for twins in one.twins.values() for twin in twins] == [0, 0]
        table = one.agent.outbox.table.index
        assert "a/d9" in table
        assert "a/d1" not in table


async def test_what_has_become_urgent_goes_out_as_such() -> None:
    async with running(site()) as one:
        urgent = register_point("d1", 1, device="d", period_s=1.0, longest_silence_s=3.0, lane="event")  # fmt: skip
        assert (await one.reload(site(rows=[urgent, *POINTS[1:]])))[0] == "done"
        assert one.agent.outbox.number("event", one.clock.now(), one.clock.monotonic()) == 0
        await one.clock.advance(4.0)
        assert one.agent.outbox.number("event", one.clock.now(), one.clock.monotonic()) > 0


async def test_a_new_device_is_read_at_once_however_long_the_others_sleep() -> None:
    slow = site(rows=points(("d", 1, 600.0)), devices=DEVICES[:1])
    async with running(slow) as one:
        more = site(rows=points(("d", 1, 600.0), ("e", 2, 600.0)), devices=DEVICES[:2])
        await one.reload(more)
        await one.clock.advance(1.5)
        assert one.asked("l", 2) == [2]


async def test_a_line_that_is_reached_in_another_way_gets_a_connection_of_its_own() -> None:
    async with running(site()) as one:
        await one.reload(site(lines=[line("l", port=1502), LINES[1]]))
        await one.clock.advance(2.0)
        old, new = one.twins["l"]
        assert (old.closed, new.closed) == (1, 0)
        assert {unit for unit, *_ in new.asked} == {1, 2}
        assert one.twins["m"][0].closed == 0


async def test_a_line_without_devices_ends_and_may_come_back() -> None:
    async with running(site()) as one:
        await one.reload(site(devices=DEVICES[:2], rows=POINTS[:2]))
        assert one.twins["m"][0].closed == 1
        assert "line m" not in one.agent.lines()
        await one.reload(site())
        await one.clock.advance(2.0)
        assert one.twins["m"][1].asked


async def test_a_line_that_had_no_device_is_there_once_when_it_has() -> None:
    async with running(site(devices=DEVICES[:2], rows=POINTS[:2])) as one:
        assert (await one.reload(site()))[0] == "done"
        await one.clock.advance(2.0)
        assert [poller.line_id for poller in one.agent.pollers] == ["l", "m"]
        assert [len(twin.asked) for twin in one.twins["m"]] == [0, 1]


async def test_files_that_are_broken_change_nothing_and_say_why() -> None:
    async with running(site()) as one:
        outcome, detail = await one.reload(None)
        assert (outcome, detail["reason"]) == (
            "refused",
            "plant.toml: lines.l: needs exactly one of …",
        )
        before = len(one.asked("l", 1))
        await one.clock.advance(2.0)
        assert len(one.asked("l", 1)) == before + 2


async def test_a_reading_by_a_definition_that_no_longer_holds_is_dropped() -> None:
    """A point moves to another register just while the old one is being read."""
    clock, twin = SteppedClock(), TwinLine(words={1: 111, 9: 999})
    reader = ModbusReader(twin, lambda _: ModbusLimits(), clock)
    poller = Poller(site(), "l", reader, clock, np.random.default_rng(1))
    readings: list[PointReading] = []
    task = asyncio.ensure_future(poller.run(readings.extend))
    await clock.advance(3.0)
    elsewhere = register_point("d1", 9, device="d", period_s=1.0, longest_silence_s=3.0)

    def moved() -> None:
        twin.before = lambda: None
        poller.change(site(rows=[elsewhere, *POINTS[1:]]), {"d", "e"})
        readings.clear()

    twin.before = moved
    await clock.advance(3.0)
    assert {r.value for r in readings if r.point == "a/d1"} == {999.0}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_read_of_a_line_that_was_ended_is_dropped_and_it_ends() -> None:
    """Though whoever reads does not hear that its task was cancelled."""
    clock, twin = SteppedClock(), TwinLine()
    reader = ModbusReader(twin, lambda _: ModbusLimits(), clock)
    poller = Poller(site(), "l", reader, clock, np.random.default_rng(1))
    readings: list[PointReading] = []
    twin.before = poller.end
    task = asyncio.ensure_future(poller.run(readings.extend))
    await clock.advance(3.0)
    assert task.done()
    assert (readings, len(twin.asked), twin.closed) == ([], 1, 1)


async def test_changes_close_behind_each_other_are_all_taken_up() -> None:
    """The second comes when the poller is about to wake from the first."""
    clock, twin = SteppedClock(), TwinLine()
    reader = ModbusReader(twin, lambda _: ModbusLimits(), clock)
    slow = site(rows=points(("d", 1, 600.0)), devices=DEVICES[:1])
    poller = Poller(slow, "l", reader, clock, np.random.default_rng(1))
    task = asyncio.ensure_future(poller.run(lambda _: None))
    await clock.advance(5.0)
    loop = asyncio.get_running_loop()
    for address in (7, 8, 9):
        moved = site(rows=points(("d", address, 600.0)), devices=DEVICES[:1])
        loop.call_soon(poller.change, moved, {"d"})
        await asyncio.sleep(0)
    await clock.advance(2.0)
    assert [address for _, _, address, _ in twin.asked] == [1, 9]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_line_that_is_ended_while_it_is_changed_ends() -> None:
    """A change wakes the sleeping poller as a timeout would; that must not swallow its end."""
    clock, twin = SteppedClock(), TwinLine()
    reader = ModbusReader(twin, lambda _: ModbusLimits(), clock)
    slow = site(rows=points(("d", 1, 600.0)), devices=DEVICES[:1])
    poller = Poller(slow, "l", reader, clock, np.random.default_rng(1))
    task = asyncio.ensure_future(poller.run(lambda _: None))
    await clock.advance(5.0)
    poller.change(slow, {"d"})
    poller.change(slow, {"d"})
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
    assert twin.closed == 1


async def test_an_agent_without_files_says_so() -> None:
    async with running(site()) as one:
        one.agent.files = None
        assert (await one.agent.reload())[0] == "refused"


@pytest.mark.parametrize("lost", [False, True])
async def test_what_is_said_of_a_line(lost: bool) -> None:
    async with running(site()) as one:
        if lost:
            one.twins["l"][0].dead = {1}
            await one.clock.advance(3.0)
        said = one.agent.lines()["line l"]
        assert said.startswith("2 devices, ")
        assert ("device d lost for " in said) is lost
        assert ("no_answer" in said) is lost
        one.agent.pollers[0]._reader.words = lambda: "more of the reader"  # type: ignore[method-assign]
        assert one.agent.lines()["line l"].endswith("; more of the reader")


def test_a_fire_line_begins_anew_with_any_of_its_devices() -> None:
    """Its devices connect to it: there is no connection of ours to keep."""
    lines = [line("l", kind="fire", host="127.0.0.1", port=1), LINES[1]]
    moved = [*points(("d", 9, 1.0)), *POINTS[1:]]
    found = changes(site(lines=lines), site(lines=lines, rows=moved), "e")
    assert found == Changes(("l",), ("l",), frozenset())


@pytest.mark.parametrize("kind", ["rtsp", "fire", "reader"])
def test_some_lines_begin_anew_with_any_of_their_devices(kind: LineKind) -> None:
    lines = [line("l", kind=kind), LINES[1]]
    renamed = [replace(DEVICES[0], user="guard"), *DEVICES[1:]]
    found = changes(site(lines=lines), site(lines=lines, devices=renamed), "e")
    assert (found.ended, found.begun) == (("l",), ("l",))


@pytest.mark.parametrize("kind", ["fire", "tcp", "mqtt", "rtsp", "reader"])
def test_with_another_zone_only_a_line_begins_anew_that_tells_its_devices_the_time(
    kind: LineKind,
) -> None:
    first = site(lines=[line("l", kind=kind), LINES[1]])
    found = changes(first, replace(first, time_zone="Asia/Shanghai"), "e")
    anew = ("l",) if kind == "fire" else ()
    assert first.time_zone != "Asia/Shanghai"
    assert found == Changes(anew, anew, frozenset())


async def test_an_error_that_nobody_foresaw_is_a_refusal() -> None:
    async with running(site()) as one:

        def files() -> Plant:
            raise ValueError("the password is x")

        one.agent.files = files
        outcome, detail = await one.agent.reload()
        assert outcome == "refused"
        assert detail["reason"] == "ValueError: see the log of agent e"


async def test_a_line_that_cannot_begin_leaves_the_table_of_points_as_it_was() -> None:
    async with running(site(devices=DEVICES[:2], rows=POINTS[:2])) as one:

        def broken(plant: Plant, line: Line) -> PointReader:
            raise RuntimeError("nobody foresaw it")

        one.agent.make_reader = broken
        before, old = list(one.agent.outbox.table.rows()), one.agent.plant
        assert (await one.reload(site()))[0] == "refused"
        assert (list(one.agent.outbox.table.rows()), one.agent.plant) == (before, old)
        assert [poller.line_id for poller in one.agent.pollers] == ["l", "m"]


async def test_who_is_between_two_plants_says_so_and_not_that_it_goes_on_as_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(site()) as one:

        def broken(plant: Plant) -> None:
            raise RuntimeError("nobody foresaw it")

        one.agent.taken_up = broken
        outcome, detail = await one.reload(site(rows=points(("d", 9, 1.0))))
        assert (outcome, "between two plants: start it anew" in detail["reason"]) == (
            "failed",
            True,
        )
        assert "goes on as it was" not in caplog.text
        assert "a/d9" in [row.point for row in one.agent.outbox.table.rows()]


async def test_nothing_is_taken_up_while_the_disk_refuses() -> None:
    async with running(site()) as one:
        one.agent._pending.append(PointReading("a/d1", 1.0, 0, one.clock.now()))
        kept = one.agent.outbox.keep

        def full(*args: object, **words: object) -> None:
            raise OutboxRefused("the disk is full")

        one.agent.outbox.keep = full  # type: ignore[method-assign]
        old = one.agent.plant
        outcome, detail = await one.reload(site(rows=points(("d", 9, 1.0))))
        assert (outcome, one.agent.plant) == ("refused", old)
        assert "the disk takes no readings" in detail["reason"]
        one.agent.outbox.keep = kept  # type: ignore[method-assign]


async def test_whoever_asked_may_go_and_what_was_asked_is_done() -> None:
    """The session that brought the request ends while a line is being ended."""
    async with running(site()) as one:
        one.next = site(lines=[line("l", port=1502), LINES[1]])
        asked = asyncio.ensure_future(one.agent.reload())
        await asyncio.sleep(0)
        assert one.agent._reloads
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await until(lambda: not one.agent._reloads)
        await one.clock.advance(2.0)
        assert one.agent.plant is one.next
        assert one.twins["l"][1].asked, "the new line is read"


async def test_a_reload_ends_with_its_agent() -> None:
    """Files on a share may take long: nobody is there any more when they have come."""
    may, begun, taken_up = threading.Event(), threading.Event(), list[Plant]()
    async with running(site()) as one:

        def files() -> Plant:
            begun.set()
            may.wait(10)
            return site(rows=points(("d", 9, 1.0)))

        one.agent.files, one.agent.taken_up = files, taken_up.append
        asked = asyncio.ensure_future(one.agent.reload())
        await until(begun.is_set)
    assert not one.agent._reloads
    may.set()
    assert isinstance((await asyncio.gather(asked, return_exceptions=True))[0], asyncio.CancelledError)  # fmt: skip
    assert taken_up == []


async def test_while_a_line_ends_slowly_no_other_is_read_by_what_holds_no_longer() -> None:
    """Line m takes its time to close; d has moved from register 1 to 9, its point kept its name."""
    async with running(site()) as one:
        may_close = asyncio.Event()
        (m,) = one.twins["m"]

        async def close() -> None:
            await may_close.wait()

        m.close = close  # type: ignore[method-assign]  # a line that does not end at once
        elsewhere = register_point("d1", 9, device="d", period_s=1.0, longest_silence_s=3.0)
        one.next = site(devices=DEVICES[:2], rows=[elsewhere, POINTS[1]])
        asked = asyncio.ensure_future(one.agent.reload())
        await until(lambda: one.agent.plant is one.next)
        before = len(one.asked("l", 1))
        await one.clock.advance(3.0)
        assert not asked.done()
        assert set(one.asked("l", 1)[before:]) == {9}
        may_close.set()
        assert (await asked)[0] == "done"


async def test_a_line_that_does_not_end_is_named_and_the_others_begin_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agent, "ENDING_S", 0.01)
    async with running(site()) as one:
        may_close = asyncio.Event()

        async def close() -> None:
            await may_close.wait()

        one.twins["l"][0].close = close  # type: ignore[method-assign]  # a library that waits for ever
        elsewhere = site(lines=[line("l", port=1502), line("m", port=1503)])
        one.next = elsewhere
        said = await asyncio.wait_for(one.agent.reload(), 5)
        assert said == (
            "done", {"changed": "lines ended: l, m; lines begun: l, m", "not_ended": "l"},
        )  # fmt: skip
        await one.clock.advance(2.0)
        assert all(one.twins[name][1].asked for name in ("l", "m"))
        assert await one.reload(elsewhere) == ("done", {"changed": "nothing changed"})
        may_close.set()


async def test_a_line_that_does_not_hear_that_it_is_ended_reads_nothing_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A library that begins anew whatever happens to it."""
    monkeypatch.setattr(agent, "ENDING_S", 0.01)
    async with running(site()) as one:
        (old,) = one.twins["l"]
        gate, request = asyncio.Event(), old.request
        waiting: list[int] = []

        async def deaf(*asked: Any) -> Any:
            waiting.append(1)
            while not gate.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await gate.wait()
            return await request(*asked)

        old.request = deaf  # type: ignore[assignment]  # that library
        await one.clock.advance(1.0)
        before = list(old.asked)
        assert waiting
        said = await one.reload(site(lines=[line("l", port=1502), LINES[1]]))
        assert said[1]["not_ended"] == "l"
        gate.set()
        await until(lambda: old.closed)
        await one.clock.advance(3.0)
        assert len(old.asked) == 1 + len(before)


async def test_a_line_that_had_nothing_to_read_is_read_when_it_has() -> None:
    async with running(site(rows=POINTS[:2])) as one:
        assert one.twins["m"][0].asked == []
        assert await one.reload(site()) == ("done", {"changed": "devices changed: f"})
        await one.clock.advance(2.0)
        assert one.asked("m", 3) == [3]


async def test_what_the_plant_says_is_told_only_when_it_is_taken_up() -> None:
    async with running(site()) as one:
        told: list[Plant] = []
        one.agent.taken_up = told.append
        await one.reload(None)
        assert told == []
        await one.reload(site(rows=points(("d", 9, 1.0))))
        assert told == [one.next]


@pytest.mark.parametrize(
    "news", [{"path": "/dev/ttyUSB1"}, {"timeout_s": 0.1}, {"id": "other"}], ids=str
)
async def test_a_line_on_a_bus_that_begins_anew_rests_first(news: Mapping[str, Any]) -> None:
    """Nothing numbers what the line before it asked, however it was called: its answer may still come."""
    bus = line("l", kind="rtu", path="/dev/ttyUSB0", serial=Serial(), timeout_s=1.0)
    async with running(site([bus], DEVICES[:2], POINTS[:2])) as one:
        assert one.asked("l", 1)
        other = replace(bus, **news)
        devices = [replace(row, line=other.id) for row in DEVICES[:2]]
        await one.reload(site([other], devices, POINTS[:2]))
        twin = one.twins[other.id][-1]
        rest_s = late_s(bus)
        assert rest_s > 4 * (1.0 + 125 * 2 * 11 / 9600)
        await one.clock.advance(rest_s - 0.1)
        assert twin.asked == []
        await one.clock.advance(1.6)
        assert {unit for unit, *_ in twin.asked} == {1, 2}


async def test_a_reload_that_touches_a_device_of_a_bus_that_rests_does_not_end_its_rest() -> None:
    bus = line("l", kind="rtu", path="/dev/ttyUSB0", serial=Serial(), timeout_s=1.0)
    other = replace(bus, id="other")
    devices = [replace(row, line="other") for row in DEVICES[:2]]
    spec = replace(POINTS[0].spec, source=Register("holding", 500, "u16"))
    moved = msgspec.structs.replace(POINTS[0], spec=spec)
    async with running(site([bus], DEVICES[:2], POINTS[:2])) as one:
        await one.reload(site([other], devices, POINTS[:2]))
        await one.clock.advance(1.0)
        await one.reload(site([other], devices, [moved, POINTS[1]]))
        twin = one.twins["other"][-1]
        await one.clock.advance(late_s(bus) - 1.1)
        assert twin.asked == []
        await one.clock.advance(1.6)
        assert {unit for unit, *_ in twin.asked} == {1, 2}


async def test_a_bus_that_rests_and_has_nothing_to_read_until_the_next_reload_rests_on() -> None:
    bus = line("l", kind="rtu", path="/dev/ttyUSB0", serial=Serial(), timeout_s=1.0)
    other, on_other = replace(bus, id="other"), replace(DEVICES[0], line="other")
    async with running(site([bus], DEVICES[:1], POINTS[:1])) as one:
        await one.reload(site([other], [on_other], []))
        await one.clock.advance(1.0)
        await one.reload(site([other], [on_other], POINTS[:1]))
        await one.clock.advance(late_s(bus) - 1.1)
        assert not any(twin.asked for twin in one.twins["other"])
        await one.clock.advance(1.6)
        assert one.twins["other"][-1].asked


async def test_a_bus_that_the_next_reload_begins_rests_as_the_slowest_that_ended() -> None:
    bus = line("l", kind="rtu", path="/dev/ttyUSB0", serial=Serial(), timeout_s=1.0)
    quick = replace(bus, id="quick", path="/dev/ttyUSB1", timeout_s=0.1)
    on_quick = replace(DEVICES[1], line="quick")
    async with running(site([bus, quick], [DEVICES[0], on_quick], POINTS[:2])) as one:
        await one.reload(site([], [], []))
        await one.clock.advance(1.0)
        await one.reload(site([quick], [on_quick], POINTS[1:2]))
        twin = one.twins["quick"][-1]
        await one.clock.advance(late_s(bus) - 1.1)
        assert twin.asked == []
        await one.clock.advance(1.6)
        assert twin.asked
