"""A camera on the network: RTSP with digest login, and RTP packets that really move, by TCP or UDP."""

import asyncio
import contextlib
import hashlib
import re
import secrets
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from config.clock import Clock
from simulators.camera_web import REALM, CameraWeb
from simulators.listening import Listening
from simulators.physics.camera import CameraState

FRAME_S = 0.2
TICKS_PER_S = 90_000
"""Clock rate of video in RTP."""
PAYLOAD = bytes([0, 0, 0, 0, 1, 50, 8, 8]) + bytes(range(256)) * 2
"""A JPEG header of RFC 2435 (64 x 64, quality 50) and filler where the picture's scan would be."""
PUBLIC = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, TEARDOWN"
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    454: "Session Not Found", 461: "Unsupported Transport", 503: "Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Login:
    """Who may see the stream; without a name anybody may."""

    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class RtspRequest:
    """One request as it came; header names in lower case."""

    method: str
    uri: str
    headers: Mapping[str, str]
    by_http: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encode(self, sequence: str) -> bytes:
        lines = [f"RTSP/1.0 {self.status} {REASONS[self.status]}", f"CSeq: {sequence}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def parse(head: bytes) -> RtspRequest | None:
    """A request from its head (up to the empty line), None if it is neither RTSP nor HTTP."""
    first, *rest = head.decode("utf-8", "replace").strip().split("\r\n")
    words = first.split()
    if len(words) != 3 or not words[2].startswith(("RTSP/", "HTTP/")):
        return None
    pairs = (line.partition(":") for line in rest)
    headers = {n.strip().lower(): v.strip() for n, _, v in pairs}
    return RtspRequest(words[0], words[1], headers, by_http=words[2].startswith("HTTP/"))


def is_allowed(request: RtspRequest, login: Login, nonce: str) -> bool:
    """Whether the request carries the digest of this login (RFC 2617, MD5, with or without qop)."""
    if not login.user:
        return True
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "digest":
        return False
    said = {m[1]: m[2] if m[2] is not None else m[3] for m in _PAIR.finditer(rest)}
    if said.get("username") != login.user or said.get("nonce") != nonce:
        return False
    one = _md5(f"{login.user}:{REALM}:{login.password}")
    two = _md5(f"{request.method}:{said.get('uri', '')}")
    middle = nonce
    if "qop" in said:
        middle = f"{nonce}:{said.get('nc', '')}:{said.get('cnonce', '')}:{said['qop']}"
    wanted = _md5(f"{one}:{middle}:{two}")
    return secrets.compare_digest(said.get("response", ""), wanted)


_PAIR = re.compile(r'(\w+)=(?:"([^"]*)"|([^,\s]+))')


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


Send = Callable[[bytes], None]


class _Session:
    """One client: its nonce, where its packets go, and the task that sends them."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.nonce = secrets.token_hex(16)
        self.id = secrets.token_hex(4)
        self.send: Send | None = None
        self.stream: asyncio.Task[None] | None = None
        self.udp: asyncio.DatagramTransport | None = None

    async def end(self) -> None:
        if self.stream:
            self.stream.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.stream
        if self.udp:
            self.udp.close()
        self.writer.transport.abort()


class CameraServer:
    """One camera on one port. `state` says how it stands now; `path` is its stream ("" takes any).

    With `picture` (a JPEG) it answers HTTP too, on the same port.
    """

    def __init__(
        self,
        state: Callable[[], CameraState],
        clock: Clock,
        login: Login,
        path: str = "",
        picture: Callable[[], bytes] | None = None,
    ) -> None:
        self._web = CameraWeb(state, clock, picture) if picture else None
        self._state, self._clock = state, clock
        self._login, self._path = login, path
        self._listening = Listening(self._serve, lambda: state().reachable, clock)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the port (chosen by the system for 0). Raises OSError if it is taken."""
        return await self._listening.start(host, port)

    async def close(self) -> None:
        """Stop listening and end every session; may be called twice."""
        await self._listening.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(writer)
        try:
            while self._state().reachable and await self._exchange(reader, session):
                pass
        finally:
            await session.end()

    async def _exchange(self, reader: asyncio.StreamReader, session: _Session) -> bool:
        """One request, or one interleaved packet of the client; False ends the connection."""
        start = await reader.readexactly(1)
        if start == b"$":
            _, length = struct.unpack(">BH", await reader.readexactly(3))
            await reader.readexactly(length)
            return True
        request = parse(start + await reader.readuntil(b"\r\n\r\n"))
        if request is None:
            return False
        await reader.readexactly(int(request.headers.get("content-length", "0") or 0))
        if request.by_http:
            self._tell(request, session)
            await session.writer.drain()
            return False
        reply = await self._reply(request, session)
        session.writer.write(reply.encode(request.headers.get("cseq", "0")))
        await session.writer.drain()
        return request.method != "TEARDOWN"

    def _tell(self, request: RtspRequest, session: _Session) -> None:
        """Answer by HTTP; a camera without it hangs up."""
        if self._web is not None:
            allowed = is_allowed(request, self._login, self._web.nonce)
            session.writer.write(self._web.answer(request.method, request.uri, allowed=allowed))

    async def _reply(self, request: RtspRequest, session: _Session) -> Reply:
        if request.method == "OPTIONS":
            return Reply(200, {"Public": PUBLIC})
        refused = self._refusal(request, session)
        if refused:
            return refused
        if request.method == "DESCRIBE":
            return _description(request.uri)
        if request.method == "SETUP":
            return await self._set_up(request, session)
        if request.headers.get("session", "").partition(";")[0] != session.id or not session.send:
            return Reply(454)
        if request.method == "PLAY" and session.stream is None:
            session.stream = asyncio.create_task(self._play(session.send))
        return Reply(200, {"Session": session.id})

    def _refusal(self, request: RtspRequest, session: _Session) -> Reply | None:
        if request.method not in PUBLIC.split(", "):
            return Reply(405, {"Allow": PUBLIC})
        if not is_allowed(request, self._login, session.nonce):
            digest = f'Digest realm="{REALM}", nonce="{session.nonce}", algorithm=MD5'
            return Reply(401, {"WWW-Authenticate": digest})
        if not self._is_here(request.uri):
            return Reply(404)
        return None if self._state().describes else Reply(503)

    def _is_here(self, uri: str) -> bool:
        path = urlsplit(uri).path
        return not self._path or path == self._path or path.startswith(f"{self._path}/")

    async def _set_up(self, request: RtspRequest, session: _Session) -> Reply:
        wanted = request.headers.get("transport", "")
        interleaved = re.search(r"interleaved=(\d+)", wanted)
        ports = re.search(r"client_port=(\d+)", wanted)
        if "TCP" in wanted:
            channel = int(interleaved[1]) if interleaved else 0
            session.send = _through(session.writer, channel)
            answer = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        elif ports:
            host = session.writer.get_extra_info("peername")[0]
            loop = asyncio.get_running_loop()
            session.udp, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(host, int(ports[1]))
            )
            session.send = session.udp.sendto
            own = session.udp.get_extra_info("sockname")[1]
            answer = f"RTP/AVP;unicast;client_port={ports[1]}-{int(ports[1]) + 1};server_port={own}-{own + 1}"
        else:
            return Reply(461)
        return Reply(200, {"Transport": answer, "Session": f"{session.id};timeout=60"})

    async def _play(self, send: Send) -> None:
        """Send a frame every 0.2 s while there is media; sequence and time stamp move with it."""
        source, sequence = secrets.randbits(32), secrets.randbits(16)
        began = self._clock.monotonic()
        frame = 0
        while True:
            frame += 1
            await self._clock.sleep_until(began + frame * FRAME_S)
            if self._state().media:
                sequence = (sequence + 1) % 65536
                stamp = round(frame * FRAME_S * TICKS_PER_S) % 2**32
                send(struct.pack(">BBHII", 0x80, 0x80 | 26, sequence, stamp, source) + PAYLOAD)


def _through(writer: asyncio.StreamWriter, channel: int) -> Send:
    """Packets framed into the RTSP connection."""
    return lambda packet: writer.write(struct.pack(">BBH", 0x24, channel, len(packet)) + packet)


def _description(uri: str) -> Reply:
    sdp = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=Camera\r\nt=0 0\r\n"
        "m=video 0 RTP/AVP 26\r\nc=IN IP4 0.0.0.0\r\na=control:trackID=0\r\n"
    )
    base = uri if uri.endswith("/") else f"{uri}/"
    return Reply(200, {"Content-Base": base, "Content-Type": "application/sdp"}, sdp.encode())
