"""What a stream does after it was described: packets that stand still, refusals, sessions that are ended."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from config.plant import Device, Line
from edge.rtsp import BODY_BYTES_MAX, NotRtsp, body_length, parse_head
from edge.rtsp_probe import RtspProbe

DEVICE = Device("cam", "p", "l", "c", path="/stream1")
SDP = b"v=0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"


def packet(number: int, stamp: int, *, channel: int = 0, source: int = 7) -> bytes:
    rtp = struct.pack(">BBHII", 0x80, 26, number, stamp, source) + b"x"
    return struct.pack(">BBH", 0x24, channel, len(rtp)) + rtp


@asynccontextmanager
async def camera(packets: Sequence[bytes], refused: str = "", sdp: bytes = SDP) -> AsyncIterator[tuple[RtspProbe, list[str]]]:  # fmt: skip
    """Describes itself by `sdp` and sends these packets once it plays; what it was asked is kept."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.append(method := head.split()[0].decode())
                body = sdp if method == "DESCRIBE" else b""
                status = "454 No" if method == refused else "200 OK"
                more = "Session: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n"
                row = f"RTSP/1.0 {status}\r\nCSeq: {len(asked)}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
                writer.write(row.encode() + body + (b"".join(packets) if method == "PLAY" else b""))
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        probe = RtspProbe(Line("l", "e", "rtsp", "127.0.0.1", port, timeout_s=1.0), str)
        probe.media_s = 0.1
        yield probe, asked


WHOLE = ["OPTIONS", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
STANDING = {
    "none": [],
    "one": [packet(1, 3000)],
    "the same again": [packet(1, 3000)] * 5,
    "on another channel": [packet(n, 3000 * n, channel=1) for n in range(5)],
    "each of another source": [packet(n, 3000 * n, source=n) for n in range(5)],
    "no RTP": [b"$\x00\x00\x04abcd"] * 5,
}


@pytest.mark.parametrize("name", STANDING)
async def test_packets_that_do_not_move_on_are_no_media_and_the_session_is_ended(name: str) -> None:
    async with camera(STANDING[name]) as (probe, asked):
        climbed = await probe.climb(DEVICE, "media")
        assert climbed.rungs == {"tcp": True, "describe": True, "media": False}
        assert climbed.detail == "no moving picture within 0.1 s"
        assert asked == WHOLE


async def test_packets_that_move_on_are_media_over_the_end_of_their_numbers_too() -> None:
    async with camera([packet(65535, 3000), packet(0, 6000)]) as (probe, asked):
        assert (await probe.climb(DEVICE, "media")).rungs["media"]
        assert asked == WHOLE


@pytest.mark.parametrize("refused", ["SETUP", "PLAY"])
async def test_a_session_is_ended_whatever_was_refused(refused: str) -> None:
    async with camera([], refused) as (probe, asked):
        climbed = await probe.climb(DEVICE, "media")
        assert climbed.rungs == {"tcp": True, "describe": True, "media": False}
        assert climbed.detail == f"{refused} was answered 454"
        assert asked == [*WHOLE[: WHOLE.index(refused) + 1], "TEARDOWN"]


async def test_nothing_is_set_up_where_only_the_description_is_asked_for() -> None:
    async with camera([]) as (probe, asked):
        assert (await probe.climb(DEVICE, "describe")).rungs == {"tcp": True, "describe": True}
        assert asked == ["OPTIONS", "DESCRIBE"]


SOUND = b"m=audio 0 RTP/AVP 0\r\na=control:track2\r\n"


async def test_sound_alone_is_no_stream_of_a_camera() -> None:
    moving = [packet(1, 3000), packet(2, 6000)]
    async with camera(moving, sdp=b"v=0\r\n" + SOUND) as (probe, asked):
        climbed = await probe.climb(DEVICE, "media")
        assert climbed.rungs == {"tcp": True, "describe": False}
        assert climbed.detail == "DESCRIBE names no video"
        assert asked == ["OPTIONS", "DESCRIBE"]
    async with camera(moving, sdp=b"v=0\r\n" + SOUND + SDP.removeprefix(b"v=0\r\n")) as (probe, _):
        assert (await probe.climb(DEVICE, "media")).rungs["media"]


def declared(length: str) -> int:
    return body_length(parse_head(f"RTSP/1.0 200 OK\r\nContent-Length: {length}\r\n".encode()))


def test_a_body_is_as_long_as_declared_and_no_longer_than_is_taken() -> None:
    assert [declared(length) for length in ("", "0", "0012", str(BODY_BYTES_MAX))] == [
        0, 0, 12, BODY_BYTES_MAX,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "length", [str(BODY_BYTES_MAX + 1), "00000000009999999999", "0" * 5000, "-5", "5x", "٥", "1e3"]
)
def test_a_length_of_no_number_or_of_too_much_is_refused(length: str) -> None:
    with pytest.raises(NotRtsp, match="content-length"):
        declared(length)
