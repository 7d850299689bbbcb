"""One question by HTTP: who we are, how much and how long is taken, and nobody else is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from config.clock import SteppedClock
from config.plant import Device, Line, Recorder
from config.profile import CameraModel
from edge import rtsp
from edge.camera_probe import NetworkProbe
from edge.camera_web import BODY_BYTES_MAX, Address, NotHttp, Question, ask
from simulators.camera_server import CameraServer, Login
from simulators.physics.camera import CameraState
from tests.unit.edge.test_snapshots import jpeg

QUESTION = Question("/snapshot.jpg")
MODEL = CameraModel(
    snapshot="/snapshot.jpg", onvif="/onvif/device_service", recordings="/recordings/{unit}",
    newest=("[*]", "end"),
)  # fmt: skip
DEVICE = Device("cam", "p", "l", "c", unit="7", user="steward")


@asynccontextmanager
async def stranger(answer: bytes, *, hangs: bool = False) -> AsyncIterator[tuple[Address, list[bytes]]]:  # fmt: skip
    """Answers every question with the same bytes; what it was asked is kept."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            if hangs:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Address("127.0.0.1", port, rtsp.Login("steward", "right")), asked


WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellomore",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
    "to the end": b"HTTP/1.0 200 OK\r\n\r\nhello",
}


@pytest.mark.parametrize("name", WHOLE)
async def test_a_body_is_read_in_each_of_its_forms(name: str) -> None:
    async with stranger(WHOLE[name]) as (address, _):
        assert (await ask(address, QUESTION, 5)).body == b"hello"


OK = b"HTTP/1.1 200 OK\r\n"
TOO_MUCH = BODY_BYTES_MAX + 1
NO_ANSWER: dict[str, tuple[bytes, type[Exception]]] = {
    "nothing": (b"", EOFError),
    "half a head": (OK, EOFError),
    "a body cut off": (OK + b"Content-Length: 9\r\n\r\nhello", EOFError),
    "chunks cut off": (OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello", EOFError),
    "another protocol": (b"SSH-2.0-dropbear\r\n\r\n", NotHttp),
    "a head without end": (OK + b"X: y\r\n" * 20_000, NotHttp),
    "too long by its length": (OK + b"Content-Length: %d\r\n\r\n" % TOO_MUCH, NotHttp),
    "a length of many digits": (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", NotHttp),
    "a length behind many zeros": (OK + b"Content-Length: " + b"0" * 12 + b"5\r\n\r\nhello", NotHttp),
    "a negative length": (OK + b"Content-Length: -5\r\n\r\n", NotHttp),
    "too long a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % TOO_MUCH, NotHttp),
    "a chunk of no number": (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", NotHttp),
    "a chunk's long head": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 300 + b"\r\n", NotHttp),
    "too long to the end": (OK + b"\r\n" + bytes(TOO_MUCH), NotHttp),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_ANSWER)
async def test_what_is_cut_off_too_long_or_no_http_is_no_answer(name: str) -> None:
    answer, wanted = NO_ANSWER[name]
    async with stranger(answer) as (address, _):
        with pytest.raises(wanted):
            await ask(address, QUESTION, 5)


async def test_who_begins_and_never_ends_is_given_up() -> None:
    async with stranger(OK + b"Content-Length: 9\r\n\r\nhello", hangs=True) as (address, _):
        with pytest.raises(TimeoutError):
            await ask(address, QUESTION, 0.1)


async def test_nobody_is_followed_elsewhere() -> None:
    async with stranger(OK) as (elsewhere, asked_there):
        to = f"Location: http://127.0.0.1:{elsewhere.port}/\r\n".encode()
        moved = b"HTTP/1.1 302 Found\r\n" + to + b"Content-Length: 0\r\n\r\n"
        async with stranger(moved) as (address, asked):
            assert (await ask(address, QUESTION, 5)).status == 302
    assert (len(asked), asked_there) == (1, [])


async def test_a_password_is_not_sent_unasked_and_a_challenge_is_answered_once() -> None:
    refused = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\nContent-Length: 0\r\n\r\n'
    async with stranger(refused) as (address, asked):
        assert (await ask(address, QUESTION, 5)).status == 401
    assert ["Authorization: Digest" in one.decode() for one in asked] == [False, True]
    assert not any(b"right" in one for one in asked)


@asynccontextmanager
async def camera(state: CameraState, clock: SteppedClock, word: str = "right") -> AsyncIterator[NetworkProbe]:  # fmt: skip
    server = CameraServer(lambda: state, clock, Login("steward", "right"), picture=jpeg)
    port = await server.start()
    line = Line("l", "e", "rtsp", "127.0.0.1", port)
    try:
        yield NetworkProbe(line, (lambda: word, str), lambda _: MODEL, clock)
    finally:
        await server.close()


async def test_a_camera_gives_its_picture_its_recordings_and_its_time() -> None:
    async with camera(CameraState(), clock := SteppedClock()) as probe:
        assert (await probe.look(DEVICE)).frame is not None
        kept = await probe.recorded(DEVICE)
        told = await probe.clock(DEVICE)
    assert kept.answered
    assert kept.age_s == pytest.approx(0, abs=1)
    assert told.offset_s == pytest.approx(0, abs=0.5)
    assert clock.now() > 0


async def test_with_the_wrong_password_only_the_time_is_told() -> None:
    async with camera(CameraState(), SteppedClock(), "wrong") as probe:
        shot, kept, told = (
            await probe.look(DEVICE), await probe.recorded(DEVICE), await probe.clock(DEVICE)
        )  # fmt: skip
    assert (shot.frame, shot.detail) == (None, "/snapshot.jpg was answered 401")
    assert (kept.answered, kept.detail) == (False, "/recordings/7 was answered 401")
    assert told.offset_s is not None


async def test_a_wrong_clock_is_told_and_makes_no_recording_old() -> None:
    state = CameraState(clock_offset_s=300.0)
    async with camera(state, SteppedClock()) as probe:
        assert (await probe.clock(DEVICE)).offset_s == pytest.approx(300, abs=0.5)
        assert (await probe.recorded(DEVICE)).age_s == pytest.approx(0, abs=1)


async def test_the_time_is_the_dates_where_onvif_is_not_spoken() -> None:
    clock = SteppedClock()
    date = b"HTTP/1.1 404 No\r\nDate: Sun, 01 Mar 2026 12:00:07 GMT\r\nContent-Length: 0\r\n\r\n"
    at_s = 1_772_366_407.5
    async with stranger(date) as (address, asked):
        line = Line("l", "e", "rtsp", address.host, address.port)
        probe = NetworkProbe(line, (lambda: "right", str), lambda _: MODEL, clock)
        told = await probe.clock(DEVICE)
    assert told.offset_s == pytest.approx(at_s - clock.now() / 1000, abs=0.01)
    assert [one.split()[0] for one in asked] == [b"POST", b"GET"]


async def test_a_recorder_is_asked_as_itself_and_without_the_cameras_password() -> None:
    async with stranger(OK + b"Content-Length: 2\r\n\r\n[]") as (address, asked):
        line = Line("l", "e", "rtsp", "127.0.0.1", 9)
        own = Device("cam", "p", "l", "c", unit="7", user="steward", recorder=Recorder(address.host, address.port))  # fmt: skip
        kept = await NetworkProbe(line, (lambda: "right", str), lambda _: MODEL, SteppedClock()).recorded(own)  # fmt: skip
    assert (kept.answered, kept.age_s) == (True, None)
    assert asked[0].startswith(b"GET /recordings/7 HTTP/1.1\r\n")
    assert b"Authorization" not in asked[0]


async def test_a_segment_from_the_future_is_no_fresh_recording() -> None:
    body = b'[{"end": "2126-03-01T12:00:07Z"}]'
    async with stranger(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body) as (address, _):
        line = Line("l", "e", "rtsp", address.host, address.port)
        kept = await NetworkProbe(line, (str, str), lambda _: MODEL, SteppedClock()).recorded(
            DEVICE
        )
    assert not kept.answered
    assert "from now" in kept.detail
