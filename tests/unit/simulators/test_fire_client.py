"""A simulated transmission device against a centre of few words: what it sends, and what it sends again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from config.clock import ScaledClock
from config.plant import Point, PointSpec
from config.profile import FirePlace, FireValue, Kind
from edge.gb26875 import Frame, Splitter, confirm, decode, deny
from edge.gb26875_data import (
    ComponentAnalogue,
    ComponentState,
    DeviceState,
    Item,
    SystemState,
    WallTime,
)
from simulators.fire_client import FireDevice
from simulators.fire_frames import Answer, applications, frame, read_answer, told, wall_time
from tests.waiting import until

ZONE = ZoneInfo("Asia/Shanghai")
MS = 1_763_700_000_000
NOW = wall_time(MS, ZONE)
AT = WallTime.of(MS, ZONE)


def point(name: str, source: FireValue, kind: Kind = "flag") -> Point:
    return Point(f"a/{name}", "a", "d", PointSpec({"en": name, "zh": "一层"}, kind, "", source))


SMOKE, SYSTEM = FirePlace("component", 1, 2, 10, 3), FirePlace("system", 1, 2)
POINTS = [
    point("fire", FireValue(SMOKE, 1, 40)),
    point("fault", FireValue(SMOKE, 2, 40)),
    point("manual", FireValue(SYSTEM, 11)),
    point("mains", FireValue(FirePlace("device"), 3)),
    point("bar", FireValue(FirePlace("analogue", 11, 1, 0, 7, 5), None, 92, 0.01), "measurement"),
]
QUIET = {"a/fire": 0.0, "a/fault": 0.0, "a/manual": 0.0, "a/mains": 0.0, "a/bar": 3.5}


def items(values: dict[str, float]) -> list[Item]:
    """What the edge's codec reads in what the device would send."""
    found: list[Item] = []
    for data in applications(list(told(POINTS, values, NOW).values())):
        app = decode(frame(1, (889, 1), NOW, data)).app
        assert app is not None
        found += app.objects
    return found


def test_what_points_show_is_what_the_edge_reads() -> None:
    assert items(QUIET | {"a/fire": 1.0, "a/manual": 1.0, "a/mains": 1.0, "a/bar": -0.5}) == [
        ComponentState(1, 2, 40, 10, 3, 0b011, "一层", AT),
        SystemState(1, 2, 0b1000_0000_0001, AT),
        DeviceState(0b1001, AT),
        ComponentAnalogue(11, 1, 92, 0, 7, 5, -500, AT),
    ]


def test_many_objects_of_a_type_go_into_as_few_frames_as_may_be() -> None:
    made = applications([(2, bytes(46))] * 50 + [(21, bytes(7))] * 2)
    assert [(data[0], data[1]) for data in made] == [(2, 22), (2, 22), (2, 6), (21, 1), (21, 1)]
    assert max(len(data) for data in made) <= 1024


def test_only_sound_answers_are_read() -> None:
    header = decode(frame(7, (889, 5), NOW)).header
    assert read_answer(confirm(header, AT)) == Answer(7, 5, 889, 3)
    assert read_answer(confirm(header, AT)[:-1] + b"!") is None
    assert read_answer(b"") is None


@dataclass
class Desk:
    """A centre that does as it is told: confirms, denies or says nothing."""

    says: str = "confirm"
    frames: list[Frame] = field(default_factory=list)
    links: int = 0
    ended: int = 0
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.links += 1
        self.writers.append(writer)
        splitter = Splitter()
        try:
            while chunk := await reader.read(4096):
                for one in splitter.feed(chunk):
                    assert isinstance(one, Frame)
                    self.frames.append(one)
                    if self.says != "nothing":
                        answer = confirm if self.says == "confirm" else deny
                        writer.write(answer(one.header, AT))
        except OSError:
            pass
        finally:
            self.ended += 1
            writer.transport.abort()

    def serials(self) -> list[int]:
        """Of the frames, those sent again at once not counted twice."""
        found = [one.header.serial for one in self.frames]
        return found if self.says == "nothing" else list(dict.fromkeys(found))


@asynccontextmanager
async def speaking(desk: Desk, faults: set[str]) -> AsyncIterator[FireDevice]:
    server = await asyncio.start_server(desk.serve, "127.0.0.1", 0)
    desk.port = server.sockets[0].getsockname()[1]
    device = FireDevice(
        ("127.0.0.1", desk.port), 889, ScaledClock(factor=20), ZONE, heartbeat_s=8.0, faults=lambda: faults,
    )  # fmt: skip
    device.show(told(POINTS, QUIET, NOW))
    device.start()
    try:
        yield device
    finally:
        await device.close()
        for writer in desk.writers:
            writer.transport.abort()
        server.close()
        await server.wait_closed()
        await until(lambda: desk.ended == desk.links)


async def test_it_tells_all_then_heartbeats_each_with_the_next_number() -> None:
    desk = Desk()
    async with speaking(desk, set()):
        await until(lambda: len(desk.serials()) >= 7, timeout=15)
    assert desk.serials()[:7] == list(range(7))
    assert [one.app.name if one.app else "" for one in desk.frames[:6]] == [
        "component_state", "system_state", "device_state", "component_analogue", "", "",
    ]  # fmt: skip
    assert {(one.header.source, one.header.command) for one in desk.frames} == {(889, 2)}


async def test_a_change_is_told_at_once_and_only_what_changed() -> None:
    desk = Desk()
    async with speaking(desk, set()) as device:
        await until(lambda: len(desk.frames) >= 4)
        device.show(told(POINTS, QUIET | {"a/fire": 1.0}, wall_time(MS + 5000, ZONE)))
        device.show(told(POINTS, QUIET, wall_time(MS + 9000, ZONE)))
        states = [0b01, 0b11, 0b01]
        await until(lambda: [_state(one) for one in desk.frames if _state(one) is not None] == states)  # fmt: skip


def _state(one: Frame) -> int | None:
    first = one.app.objects[0] if one.app and one.app.objects else None
    return first.state if isinstance(first, ComponentState) else None


async def test_without_an_answer_it_sends_three_times_and_connects_anew() -> None:
    desk = Desk("nothing")
    async with speaking(desk, set()) as device:
        await until(lambda: desk.links >= 2, timeout=15)
        assert desk.serials()[:3] == [0, 0, 0]
        assert device.stats.failed >= 1
        desk.says = "confirm"
        await until(lambda: {4, 5} <= set(desk.serials()), timeout=15)


async def test_denied_it_sends_again_and_stays_connected() -> None:
    desk = Desk("deny")
    async with speaking(desk, set()) as device:
        await until(lambda: len(desk.frames) >= 6)
        assert desk.serials() == [0]
        desk.says = "confirm"
        await until(lambda: 4 in desk.serials(), timeout=15)
        assert device.stats.connections == 1


async def test_silent_it_keeps_its_connection_and_cut_off_it_comes_back() -> None:
    desk, faults = Desk(), set[str]()
    async with speaking(desk, faults) as device:
        await until(lambda: len(desk.frames) >= 4)
        faults.add("silent")
        held = len(desk.frames)
        device.show(told(POINTS, QUIET | {"a/fire": 1.0}, NOW))
        await until(lambda: device._events or len(desk.frames) > held)
        faults.clear()
        await until(lambda: any(_state(one) == 0b11 for one in desk.frames))
        assert device.stats.connections == 1
        faults.add("link_lost")
        device.show(told(POINTS, QUIET | {"a/fire": 1.0}, NOW))
        await until(lambda: device._link is None)
        faults.clear()
        await until(lambda: device.stats.connections == 2)
