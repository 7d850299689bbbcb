import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from config.clock import ScaledClock, SteppedClock
from config.plant import Device, Line, Point, PointSpec
from config.profile import CameraModel, CameraStep, Rung
from edge.camera_reader import (
    STREAM,
    CameraReader,
    Climb,
    Recorded,
    Snapshot,
    StreamStep,
    Told,
)
from edge.pictures import FAULTS, Frame, frame_of_cells
from edge.readings import QUALITIES, QUALITY_NAMES
from edge.rtsp_probe import RtspProbe
from simulators.camera_server import CameraServer, Login
from simulators.physics.camera import CameraState

DEVICE = Device("cam", "p", "l", "c", path="/stream1", user="steward")
MODEL = CameraModel()
DARK: Frame = frame_of_cells(np.zeros((90, 160, 3), np.float32))


def point(step: CameraStep) -> Point:
    return Point(f"c/{step}", "c", "cam", PointSpec({"en": step}, "flag", "", Rung(step), period_s=60.0))  # fmt: skip


POINTS = [point(step) for step in STREAM]


class Ladder:
    """A probe that finds what it is told."""

    def __init__(self, *rungs: bool) -> None:
        self.rungs = rungs
        self.asked: list[StreamStep] = []
        self.shot = Snapshot(DARK)
        self.tape = Recorded(answered=True, age_s=30.0)
        self.time = Told(1.5)

    async def climb(self, device: Device, highest: StreamStep) -> Climb:
        self.asked.append(highest)
        return Climb(dict(zip(STREAM, self.rungs, strict=False)), "as told")

    async def look(self, device: Device) -> Snapshot:
        return self.shot

    async def recorded(self, device: Device) -> Recorded:
        return self.tape

    async def clock(self, device: Device) -> Told:
        return self.time


def reader_of(ladder: Ladder, clock: SteppedClock | None = None) -> CameraReader:
    return CameraReader(ladder, clock or SteppedClock(), lambda _: MODEL)


async def told(reader: CameraReader, *steps: CameraStep) -> dict[str, tuple[float | None, str]]:
    result = await reader.read(DEVICE, [point(step) for step in steps])
    return {
        r.point.removeprefix("c/"): (r.value, QUALITY_NAMES[r.quality]) for r in result.readings
    }


CLIMBS = [
    ((True, True, True), [1.0, 1.0, 1.0]),
    ((True, True, False), [1.0, 1.0, 0.0]),
    ((True, False), [1.0, 0.0, None]),
    ((False,), [0.0, None, None]),
]


@pytest.mark.parametrize(("rungs", "values"), CLIMBS)
async def test_a_failed_rung_is_a_good_zero_and_above_it_nothing_is_known(
    rungs: tuple[bool, ...], values: list[float | None]
) -> None:
    reader = reader_of(Ladder(*rungs))
    result = await reader.read(DEVICE, POINTS)
    assert [r.value for r in result.readings] == values
    for reading in result.readings:
        wanted = "link_down" if reading.value is None else "good"
        assert reading.quality == QUALITIES[wanted]
    assert not result.lost
    await reader.close()


async def test_only_as_high_as_asked_and_not_at_all_without_rungs() -> None:
    ladder = Ladder(True, True)
    reader = reader_of(ladder)
    await reader.read(DEVICE, POINTS[:2])
    assert (await reader.read(DEVICE, [])).readings == []
    assert ladder.asked == ["describe"]


async def test_one_line_when_a_camera_is_lost_and_one_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ladder, clock = Ladder(False), SteppedClock()
    reader = reader_of(ladder, clock)
    for rungs in ((False,), (False,), (True, True, True), (True, True, True)):
        ladder.rungs = rungs
        await reader.read(DEVICE, POINTS)
        await clock.advance(10)
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "camera cam lost at rung tcp", "camera cam back at rung tcp after 20.0 s",
    ]  # fmt: skip


# --- pictures, recordings, clock


async def test_live_wants_moving_media_and_a_picture_that_is_neither_black_nor_old() -> None:
    ladder, clock = Ladder(True, True, True), SteppedClock()
    reader = reader_of(ladder, clock)
    assert (await told(reader, "live"))["live"] == (None, "not_read_yet"), "no picture yet"
    for _ in range(MODEL.pictures.frames):
        seen = await told(reader, "picture", "black")
    assert seen == {"picture": (1.0, "good"), "black": (1.0, "good")}
    assert (await told(reader, "live"))["live"] == (0.0, "good")
    await clock.advance(151.0)
    assert (await told(reader, "live"))["live"] == (None, "not_read_yet"), (
        "an old picture says nothing"
    )
    ladder.rungs = (True, True, False)
    assert (await told(reader, "live"))["live"] == (0.0, "good")


async def test_a_camera_that_is_black_from_its_start_is_never_taken_as_usual() -> None:
    reader = reader_of(Ladder(True))
    for _ in range(30):
        seen = await told(reader, *FAULTS)
    assert seen["black"] == (1.0, "good")
    assert {seen[fault][1] for fault in ("blurred", "moved")} <= {"sensor_fault", "not_read_yet"}


async def test_without_a_picture_nothing_is_known_of_its_faults() -> None:
    ladder = Ladder(True)
    ladder.shot = Snapshot(None, "answered 404")
    seen = await told(reader_of(ladder), "picture", *FAULTS)
    assert seen.pop("picture") == (0.0, "good")
    assert set(seen.values()) == {(None, "link_down")}


RECORDS = [
    (Recorded(answered=True, age_s=30.0), (1.0, "good"), (1.0, "good"), (30.0, "good")),
    (Recorded(answered=True, age_s=1e6), (1.0, "good"), (0.0, "good"), (1e6, "good")),
    (Recorded(answered=True), (1.0, "good"), (0.0, "good"), (None, "sensor_fault")),
    (Recorded(answered=False), (0.0, "good"), (None, "link_down"), (None, "link_down")),
]


@pytest.mark.parametrize(("tape", "recorder", "recording", "age"), RECORDS, ids=["young", "old", "none", "no answer"])  # fmt: skip
async def test_live_works_and_recording_works_are_two_facts(
    tape: Recorded, recorder: object, recording: object, age: object
) -> None:
    ladder = Ladder(True, True, True)
    ladder.tape = tape
    seen = await told(reader_of(ladder), "media", "recorder", "recording", "segment_age")
    assert seen == {
        "media": (1.0, "good"), "recorder": recorder, "recording": recording, "segment_age": age,
    }  # fmt: skip


async def test_a_clock_is_told_or_not_known() -> None:
    ladder = Ladder()
    reader = reader_of(ladder)
    assert await told(reader, "clock_offset") == {"clock_offset": (1.5, "good")}
    ladder.time = Told(None, "no answer")
    assert await told(reader, "clock_offset") == {"clock_offset": (None, "link_down")}


# --- over sockets


@asynccontextmanager
async def camera(state: CameraState, login: Login) -> AsyncIterator[Line]:
    server = CameraServer(lambda: state, ScaledClock(), login, "/stream1")
    port = await server.start()
    try:
        yield Line("l", "e", "rtsp", "127.0.0.1", port, timeout_s=0.5)
    finally:
        await server.close()


REAL = [
    (CameraState(), "right", {"tcp": True, "describe": True, "media": True}),
    (CameraState(media=False), "right", {"tcp": True, "describe": True, "media": False}),
    (CameraState(describes=False, media=False), "right", {"tcp": True, "describe": False}),
    (CameraState(), "wrong", {"tcp": True, "describe": False}),
]


@pytest.mark.parametrize(
    ("state", "word", "rungs"), REAL, ids=["well", "no media", "no stream", "login"]
)
async def test_a_real_rtsp_server_is_climbed(
    state: CameraState, word: str, rungs: dict[StreamStep, bool]
) -> None:
    async with camera(state, Login("steward", "right")) as line:
        probe = RtspProbe(line, lambda: word)
        probe.media_s = 1.0
        assert (await probe.climb(DEVICE, "media")).rungs == rungs


async def test_a_camera_that_does_not_listen_fails_the_first_rung() -> None:
    async with camera(CameraState(), Login("", "")) as line:
        pass
    climbed = await RtspProbe(line, str).climb(DEVICE, "media")
    assert climbed.rungs == {"tcp": False}
    assert climbed.detail


async def stranger(answer: bytes) -> tuple[asyncio.Server, Line]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return server, Line("l", "e", "rtsp", "127.0.0.1", port, timeout_s=0.3)


ANSWERS = [
    b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"RTSP/1.0 200 OK\r\n", b"\x00" * 500, b"RTSP/1.0 abc OK\r\n\r\n",
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: -5\r\n\r\n", b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 20_000,
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999999\r\n\r\n", b"$\x00\xff\xff",
    b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest\r\n\r\n",
    b"RTSP/1.0 454 Session Not Found\r\nCSeq: 1\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
async def test_whatever_a_stranger_answers_is_a_rung_that_failed(answer: bytes) -> None:
    server, line = await stranger(answer)
    async with server:
        climbed = await RtspProbe(line, lambda: "secret").climb(DEVICE, "media")
    assert climbed.rungs == {"tcp": True, "describe": False}
    assert climbed.detail
