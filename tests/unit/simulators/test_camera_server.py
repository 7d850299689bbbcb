"""The camera server is a real RTSP endpoint: login, set-up by TCP and UDP, media that moves."""

import asyncio
import hashlib
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from config.clock import ScaledClock
from simulators.camera_server import CameraServer, Login
from simulators.physics.camera import CameraState
from tests.waiting import until

LOGIN = Login("viewer", "s3cret: with, commas")


@dataclass
class Standing:
    """A camera whose state a test sets."""

    now: CameraState = field(default_factory=CameraState)

    def __call__(self) -> CameraState:
        return self.now


class Client:
    """Asks one request after another, with or without its login."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        self.reader, self.writer = reader, writer
        self.url = f"rtsp://127.0.0.1:{port}/stream1"
        self.nonce = ""
        self.session = ""
        self.count = 0

    async def ask(
        self,
        method: str,
        url: str = "",
        login: Login | None = LOGIN,
        *,
        qop: bool = False,
        **more: str,
    ) -> tuple[int, dict[str, str], bytes]:
        self.count += 1
        url = url or self.url
        head = [f"{method} {url} RTSP/1.0", f"CSeq: {self.count}"]
        if login and self.nonce:
            head.append(f"Authorization: {digest(method, url, login, self.nonce, qop=qop)}")
        if self.session:
            head.append(f"Session: {self.session}")
        head += [f"{name.title()}: {value}" for name, value in more.items()]
        self.writer.write("\r\n".join([*head, "", ""]).encode())
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        text = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode()
        first, *lines = text.strip().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        assert headers["cseq"] == str(self.count)
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        nonce = re.search(r'nonce="(\w+)"', headers.get("www-authenticate", ""))
        self.nonce = nonce[1] if nonce else self.nonce
        self.session = headers.get("session", self.session).partition(";")[0]
        return int(first.split()[1]), headers, body

    async def log_in(self) -> None:
        assert (await self.ask("DESCRIBE"))[0] == 401
        assert (await self.ask("DESCRIBE"))[0] == 200

    async def packet(self) -> tuple[int, int]:
        """Sequence and time stamp of the next interleaved packet."""
        head = await asyncio.wait_for(self.reader.readexactly(4), 5)
        mark, channel, length = struct.unpack(">BBH", head)
        assert (mark, channel) == (0x24, 4)
        return moved(await self.reader.readexactly(length))


def digest(method: str, url: str, login: Login, nonce: str, *, qop: bool = False) -> str:
    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    middle = f"{nonce}:00000001:abc:auth" if qop else nonce
    one, two = md5(f"{login.user}:camera:{login.password}"), md5(f"{method}:{url}")
    more = ', qop=auth, nc=00000001, cnonce="abc"' if qop else ""
    return (
        f'Digest username="{login.user}", realm="camera", nonce="{nonce}", uri="{url}", '
        f'response="{md5(f"{one}:{middle}:{two}")}"{more}'
    )


def moved(packet: bytes) -> tuple[int, int]:
    first, kind, sequence, stamp, _ = struct.unpack(">BBHII", packet[:12])
    assert (first, kind & 0x7F) == (0x80, 26)
    return sequence, stamp


@asynccontextmanager
async def camera(
    standing: Standing | None = None, login: Login = LOGIN
) -> AsyncIterator[tuple[Client, Standing]]:
    standing = standing or Standing()
    server = CameraServer(standing, ScaledClock(factor=10), login, "/stream1")
    port = await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer, port), standing
    finally:
        writer.transport.abort()
        await server.close()
        await server.close()


async def test_options_are_told_to_anybody_and_the_stream_only_with_the_right_digest() -> None:
    async with camera() as (client, _):
        status, headers, _ = await client.ask("OPTIONS")
        assert status == 200
        assert {"DESCRIBE", "SETUP", "PLAY", "TEARDOWN"} <= set(headers["public"].split(", "))
        assert (await client.ask("DESCRIBE"))[0] == 401
        assert (await client.ask("DESCRIBE", login=Login("viewer", "wrong")))[0] == 401
        assert (await client.ask("DESCRIBE", login=Login("other", LOGIN.password)))[0] == 401
        assert (await client.ask("DESCRIBE", login=None, authorization="Basic dmlld2Vy"))[0] == 401
        status, headers, body = await client.ask("DESCRIBE")
        assert (status, headers["content-type"]) == (200, "application/sdp")
        assert b"m=video 0 RTP/AVP 26" in body
        assert (await client.ask("DESCRIBE", qop=True))[0] == 200


async def test_without_a_login_anybody_may_look() -> None:
    async with camera(login=Login()) as (client, _):
        assert (await client.ask("DESCRIBE"))[0] == 200


async def test_packets_move_inside_the_connection() -> None:
    async with camera() as (client, _):
        await client.log_in()
        url = f"{client.url}/trackID=0"
        asked = "RTP/AVP/TCP;unicast;interleaved=4-5"
        status, headers, _ = await client.ask("SETUP", url, transport=asked)
        assert (status, headers["transport"]) == (200, asked)
        assert (await client.ask("PLAY"))[0] == 200
        first, second = await client.packet(), await client.packet()
        assert second[0] == (first[0] + 1) % 65536
        assert second[1] - first[1] == 18_000


async def test_packets_move_by_udp_and_stop_with_the_session() -> None:
    packets: list[bytes] = []

    class Sink(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            packets.append(data)

    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(Sink, local_addr=("127.0.0.1", 0))
    own = udp.get_extra_info("sockname")[1]
    async with camera() as (client, _):
        await client.log_in()
        asked = f"RTP/AVP;unicast;client_port={own}-{own + 1}"
        status, headers, _ = await client.ask("SETUP", transport=asked)
        assert status == 200
        assert "server_port=" in headers["transport"]
        await client.ask("PLAY")
        await until(lambda: len(packets) >= 3)
        stamps = [moved(packet)[1] for packet in packets]
        assert stamps == sorted(set(stamps))
        assert (await client.ask("TEARDOWN"))[0] == 200
        assert await client.reader.read() == b""
    udp.close()


async def test_a_reachable_camera_without_media_describes_and_plays_nothing() -> None:
    async with camera(Standing(CameraState(True, True, False))) as (client, standing):
        await client.log_in()
        await client.ask("SETUP", transport="RTP/AVP/TCP;unicast;interleaved=4-5")
        assert (await client.ask("PLAY"))[0] == 200
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.reader.readexactly(1)
        standing.now = CameraState()
        assert await client.packet()


async def test_a_camera_that_does_not_describe_says_that_it_is_unavailable() -> None:
    async with camera(Standing(CameraState(True, False, False))) as (client, _):
        assert (await client.ask("DESCRIBE"))[0] == 401
        assert (await client.ask("DESCRIBE"))[0] == 503


async def test_a_camera_that_goes_away_ends_its_connections() -> None:
    async with camera() as (client, standing):
        await client.ask("OPTIONS")
        standing.now = CameraState(False, False, False)
        try:
            assert await asyncio.wait_for(client.reader.read(), 5) == b""
        except ConnectionError:
            return


@pytest.mark.parametrize(
    ("method", "url", "transport", "status"),
    [
        ("RECORD", "", "", 405),
        ("DESCRIBE", "rtsp://127.0.0.1/other", "", 404),
        ("SETUP", "", "RAW/RAW/UDP;unicast", 461),
        ("PLAY", "", "", 454),
    ],
)
async def test_what_cannot_be_done_is_said_by_its_status(
    method: str, url: str, transport: str, status: int
) -> None:
    async with camera() as (client, _):
        await client.log_in()
        assert (await client.ask(method, url, transport=transport))[0] == status


async def test_packets_of_the_client_are_skipped_and_other_noise_ends_the_connection() -> None:
    async with camera() as (client, _):
        client.writer.write(b"$\x01\x00\x04abcd")
        assert (await client.ask("OPTIONS"))[0] == 200
        client.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await asyncio.wait_for(client.reader.read(), 5) == b""
