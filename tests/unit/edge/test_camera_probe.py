"""A camera asked over real sockets: pictures, recordings and clock; strangers and endless answers."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from config.clock import ScaledClock
from config.plant import Device, Line, Recorder
from config.profile import CameraModel, CameraStep
from edge import camera_web
from edge.camera_probe import NetworkProbe
from edge.camera_reader import CameraReader
from simulators.camera_server import CameraServer, Login
from simulators.camera_web import ONVIF, RECORDINGS, SNAPSHOT
from simulators.physics.camera import UNREACHABLE, CameraState
from tests.unit.edge.test_camera_reader import point as camera_point

MODEL = CameraModel(
    snapshot=SNAPSHOT, onvif=ONVIF, recordings=f"{RECORDINGS}{{unit}}", newest=("[*]", "end")
)
DEVICE = Device("cam", "p", "l", "c", unit="cam-1", path="/stream1", user="steward")


def jpeg(width: int = 320, height: int = 180, **options: object) -> bytes:
    cells = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    held = io.BytesIO()
    Image.fromarray(cells).save(held, "JPEG", **options)
    return held.getvalue()


def probe(port: int, password: str = "right", model: CameraModel = MODEL) -> NetworkProbe:  # noqa: S107  # of a test
    line = Line("l", "e", "rtsp", "127.0.0.1", port, timeout_s=0.5)
    asked = NetworkProbe(line, (lambda: password, str), lambda _: model, ScaledClock())
    asked._within_s = 2.0
    return asked


@asynccontextmanager
async def camera(
    state: CameraState, picture: bytes = jpeg()
) -> AsyncIterator[int]:  # never changed
    clock = ScaledClock()
    server = CameraServer(
        lambda: state, clock, Login("steward", "right"), "/stream1", picture=lambda: picture
    )
    port = await server.start()
    try:
        yield port
    finally:
        await server.close()


async def test_a_camera_gives_its_picture_its_clock_and_its_recordings_to_who_may_ask() -> None:
    async with camera(CameraState()) as port:
        shot = await probe(port).look(DEVICE)
        assert shot.frame is not None, shot.detail
        told = await probe(port).clock(DEVICE)
        assert told.offset_s == pytest.approx(0.0, abs=2.0)
        kept = await probe(port).recorded(DEVICE)
        assert kept.answered, kept.detail
        assert kept.age_s == pytest.approx(0.0, abs=2.0)


async def test_a_wrong_password_is_a_reason_and_no_picture() -> None:
    async with camera(CameraState()) as port:
        shot = await probe(port, "wrong").look(DEVICE)
        assert (shot.frame, shot.detail) == (None, f"{SNAPSHOT} was answered 401")
        assert not (await probe(port, "wrong").recorded(DEVICE)).answered


async def test_a_clock_that_is_off_is_measured_and_is_no_missing_recording() -> None:
    async with camera(CameraState(clock_offset_s=-3600.0)) as port:
        told = await probe(port).clock(DEVICE)
        assert told.offset_s == pytest.approx(-3600.0, abs=2.0)
        kept = await probe(port).recorded(DEVICE)
        assert kept.age_s == pytest.approx(0.0, abs=2.0), "by the recorder's own clock"
        without = CameraModel(snapshot=SNAPSHOT)
        by_date = await probe(port, model=without).clock(DEVICE)
        assert by_date.offset_s == pytest.approx(-3600.0, abs=2.0)


async def test_a_camera_that_is_gone_says_nothing_of_anything() -> None:
    async with camera(CameraState()) as port:
        pass
    asked = probe(port)
    assert (await asked.look(DEVICE)).frame is None
    assert not (await asked.recorded(DEVICE)).answered
    told = await asked.clock(DEVICE)
    assert told.offset_s is None
    assert told.detail.startswith("ONVIF: ")


NO_HOSTS = ["cam..lan", f"{'a' * 64}.lan"]


@pytest.mark.parametrize("host", NO_HOSTS)
async def test_a_camera_at_a_name_that_no_host_can_have_says_nothing_of_anything(host: str) -> None:
    line = Line("l", "e", "rtsp", host, 554)
    asked = NetworkProbe(line, (str, str), lambda _: MODEL, ScaledClock())
    climb = await asked.climb(DEVICE, "media")
    shot, kept, told = await asked.look(DEVICE), await asked.recorded(DEVICE), await asked.clock(DEVICE)  # fmt: skip
    assert climb.rungs == {"tcp": False}
    assert (shot.frame, kept.answered, told.offset_s) == (None, False, None)
    assert all(host in detail for detail in (shot.detail, kept.detail, told.detail))


@pytest.mark.parametrize("host", NO_HOSTS)
async def test_a_recorder_at_a_name_that_no_host_can_have_takes_no_camera_with_it(
    host: str,
) -> None:
    rungs: tuple[CameraStep, ...] = ("tcp", "recorder", "recording")
    points = [camera_point(step) for step in rungs]
    async with camera(CameraState()) as port:
        reader = CameraReader(probe(port), ScaledClock(), lambda _: MODEL)
        result = await reader.read(replace(DEVICE, recorder=Recorder(host, 80)), points)
    assert [r.value for r in result.readings] == [1.0, 0.0, None]


async def test_a_recorder_without_an_answer_is_not_a_camera_without_recordings() -> None:
    async with camera(CameraState(recorder=False)) as port:
        kept = await probe(port).recorded(DEVICE)
        assert (kept.answered, kept.age_s) == (False, None)
        assert (await probe(port).look(DEVICE)).frame is not None
    assert not UNREACHABLE.recorder


class NotedPath(tuple[str, ...]):
    """A path that notes in which threads somebody goes along it."""

    threads: ClassVar[set[int]] = set()

    def __iter__(self) -> Iterator[str]:
        self.threads.add(threading.get_ident())
        return super().__iter__()


async def test_a_recorders_list_is_gone_through_beside_the_loop() -> None:
    model = replace(MODEL, newest=NotedPath(("[*]", "end")))
    async with camera(CameraState()) as port:
        assert (await probe(port, model=model).recorded(DEVICE)).age_s is not None
    assert NotedPath.threads
    assert threading.get_ident() not in NotedPath.threads


# --- strangers -------------------------------------------------------------------------------------


@asynccontextmanager
async def stranger(*pieces: bytes, stays: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    heard: list[bytes] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        heard.append(await reader.read(4096))
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if stays:
                await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard
        await asyncio.wait(serving)


OK = b"HTTP/1.1 200 OK\r\n"
STRANGE: dict[str, Sequence[bytes]] = {
    "nothing": [b""],
    "another protocol": [b"SSH-2.0-x\r\n\r\n"],
    "a head without end": [OK + b"X: y\r\n" * 20_000],
    "a length that is none": [OK + b"Content-Length: -5\r\n\r\n"],
    "a length beyond the bound": [OK + b"Content-Length: 99999999999\r\n\r\n"],
    "less than it said": [OK + b"Content-Length: 100\r\n\r\nshort"],
    "a picture that is none": [OK + b"Content-Length: 4\r\n\r\nnope"],
    "a chunk beyond the bound": [OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n"],
    "chunks without end": [OK + b"Transfer-Encoding: chunked\r\n\r\n", *[b"100000\r\n" + bytes(1 << 20) + b"\r\n"] * 12],
    "a body without end": [OK + b"\r\n", *[bytes(1 << 20)] * 12],
    "a redirect": [b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"],
    "a challenge that nobody can answer": [b"HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n"],
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
async def test_whatever_a_stranger_answers_is_no_picture_with_a_reason(name: str) -> None:
    async with stranger(*STRANGE[name]) as (port, heard):
        shot = await probe(port).look(DEVICE)
        assert shot.frame is None
        assert shot.detail
        assert not (await probe(port).recorded(DEVICE)).answered
        assert all(asked.startswith(b"GET /") for asked in heard)
        assert b"right" not in b"".join(heard), "the password itself is never sent"


async def test_chunks_and_a_body_to_the_end_are_pictures_too() -> None:
    data = jpeg()
    chunk = f"{len(data):X};x=y\r\n".encode() + data + b"\r\n0\r\n\r\n"
    async with stranger(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk) as (port, _):
        assert (await probe(port).look(DEVICE)).frame is not None
    async with stranger(OK + b"\r\n" + data) as (port, _):
        assert (await probe(port).look(DEVICE)).frame is not None


async def test_an_answer_that_drips_ends_in_time() -> None:
    async with stranger(OK, stays=True) as (port, _):
        asked = probe(port)
        asked._within_s = 0.1
        shot = await asked.look(DEVICE)
    assert (shot.frame, shot.detail) == (None, "TimeoutError")


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    asked = camera_web._request(camera_web.Address("::1", 80), camera_web.Question("/x"), {})
    assert b"Host: [::1]:80\r\n" in asked
