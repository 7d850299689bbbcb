import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from config.clock import ScaledClock, SteppedClock
from config.plant import Device, Line, Point
from config.profile import Rung
from edge.camera_reader import LADDER, CameraReader, Climb, RtspProbe, Step
from edge.readings import QUALITIES
from simulators.camera_server import CameraServer, Login
from simulators.physics.camera import CameraState

DEVICE = Device("cam", "p", "l", "c", path="/stream1", user="steward")
POINTS = [Point(f"c/{step}", "c", "cam", {"en": step}, "flag", "", Rung(step)) for step in LADDER]


class Ladder:
    """A probe that finds what it is told."""

    def __init__(self, *rungs: bool) -> None:
        self.rungs = rungs
        self.asked: list[Step] = []

    async def climb(self, device: Device, highest: Step) -> Climb:
        self.asked.append(highest)
        return Climb(dict(zip(LADDER, self.rungs, strict=False)), "as told")


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
    reader = CameraReader(Ladder(*rungs), SteppedClock())
    result = await reader.read(DEVICE, POINTS)
    assert [r.value for r in result.readings] == values
    for reading in result.readings:
        wanted = "link_down" if reading.value is None else "good"
        assert reading.quality == QUALITIES[wanted]
    assert not result.lost
    await reader.close()


async def test_only_as_high_as_asked_and_not_at_all_without_rungs() -> None:
    ladder = Ladder(True, True)
    reader = CameraReader(ladder, SteppedClock())
    await reader.read(DEVICE, POINTS[:2])
    assert (await reader.read(DEVICE, [])).readings == []
    assert ladder.asked == ["describe"]


async def test_one_line_when_a_camera_is_lost_and_one_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ladder, clock = Ladder(False), SteppedClock()
    reader = CameraReader(ladder, clock)
    for rungs in ((False,), (False,), (True, True, True), (True, True, True)):
        ladder.rungs = rungs
        await reader.read(DEVICE, POINTS)
        await clock.advance(10)
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "camera cam lost at rung tcp", "camera cam back after 20.0 s",
    ]  # fmt: skip


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
    state: CameraState, word: str, rungs: dict[Step, bool]
) -> None:
    async with camera(state, Login("steward", "right")) as line:
        probe = RtspProbe(line, word)
        probe.media_s = 1.0
        assert (await probe.climb(DEVICE, "media")).rungs == rungs


async def test_a_camera_that_does_not_listen_fails_the_first_rung() -> None:
    async with camera(CameraState(), Login("", "")) as line:
        pass
    climbed = await RtspProbe(line, "").climb(DEVICE, "media")
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
        climbed = await RtspProbe(line, "secret").climb(DEVICE, "media")
    assert climbed.rungs == {"tcp": True, "describe": False}
    assert climbed.detail
