"""Climbs the stream of one camera over real sockets: OPTIONS, DESCRIBE, SETUP, PLAY, and packets that move."""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from config.plant import Device, Line
from edge import rtsp
from edge.camera_reader import STREAM, Climb, StreamStep

EARLY_MAX: Final = 256
"""Packets kept that came before the answer to PLAY."""
MEDIA_S_MIN: Final = 3.0
"""Pictures may come slowly: at least this long is waited for two of them."""

_FAULTS: Final = (OSError, EOFError, ValueError, asyncio.LimitOverrunError, rtsp.NotRtsp)
"""What a camera can do to us; a TimeoutError is an OSError, an IncompleteReadError an EOFError."""


class RtspProbe:
    """The stream of a camera over real sockets: OPTIONS and DESCRIBE, then SETUP and PLAY inside TCP.

    `timeout_s` of the line holds for connecting and for each answer, in real seconds; for moving
    pictures three times that, at least `MEDIA_S_MIN`. TEARDOWN is sent whenever SETUP was, whatever
    came after. The user is the device's or else the line's.
    """

    def __init__(self, line: Line, password_of: Callable[[], str]) -> None:
        self._line = line
        self._password_of = password_of
        self.media_s = max(MEDIA_S_MIN, 3 * line.timeout_s)

    async def climb(self, device: Device, highest: StreamStep) -> Climb:
        rungs: dict[StreamStep, bool] = {}
        try:
            async with self._session(device) as session:
                rungs["tcp"] = True
                if highest != "tcp":
                    await session.describe()
                    rungs["describe"] = True
                if highest == "media":
                    await session.watch(self.media_s)
                    rungs["media"] = True
        except _FAULTS as error:
            rungs[STREAM[len(rungs)]] = False
            return Climb(rungs, str(error) or type(error).__name__)
        return Climb(rungs)

    @asynccontextmanager
    async def _session(self, device: Device) -> "AsyncIterator[_Session]":
        async with asyncio.timeout(self._line.timeout_s):
            reader, writer = await asyncio.open_connection(
                self._line.host, self._line.port, limit=rtsp.HEADER_BYTES_MAX
            )
        url = f"rtsp://{self._line.host}:{self._line.port}/{device.path.lstrip('/')}"
        user = device.user or self._line.user
        login = rtsp.Login(user, self._password_of()) if user else None
        session = _Session(reader, writer, url, login, self._line.timeout_s)
        try:
            yield session
        finally:
            await session.end()


class _Session:
    """One connection to one camera, from OPTIONS to TEARDOWN."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        url: str,
        login: rtsp.Login | None,
        timeout_s: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._url = url
        self._base = url
        self._login = login
        self._timeout_s = timeout_s
        self._number = 0
        self._uses = 0
        self._challenges: tuple[str, ...] = ()
        self._media = ""
        self._id = ""
        self._set_up = False
        self._early: deque[tuple[int, bytes]] = deque(maxlen=EARLY_MAX)

    async def describe(self) -> None:
        """OPTIONS, then DESCRIBE: holds if the camera describes a video."""
        await self._ask("OPTIONS", self._url)
        answer = await self._agreed("DESCRIBE", self._url, {"Accept": "application/sdp"})
        self._base = answer.header("content-base") or answer.header("content-location") or self._url
        media = rtsp.media_control(answer.body, self._base)
        if media is None:
            raise rtsp.NotRtsp("DESCRIBE names no video")
        self._media = media

    async def watch(self, within_s: float) -> None:
        """SETUP and PLAY: holds once RTP packets have moved on in number and in time."""
        self._set_up = True
        wish = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
        answer = await self._agreed("SETUP", self._media, wish)
        self._id = answer.header("session").split(";")[0].strip()
        channel = rtsp.interleaved_channel(answer.header("transport"))
        await self._agreed("PLAY", self._base, {"Range": "npt=0.000-"})
        try:
            async with asyncio.timeout(within_s):
                await self._moved(channel)
        except TimeoutError as error:
            raise TimeoutError(f"no moving picture within {within_s} s") from error

    async def end(self) -> None:
        """TEARDOWN if anything was set up, then close; takes at most one timeout."""
        try:
            if self._set_up:
                with suppress(*_FAULTS):
                    await self._ask("TEARDOWN", self._base)
        finally:
            self._writer.close()
            with suppress(OSError):
                async with asyncio.timeout(self._timeout_s):
                    await self._writer.wait_closed()

    async def _moved(self, channel: int) -> None:
        first: rtsp.Packet | None = None
        while True:
            number, data = self._early.popleft() if self._early else await self._frame()
            packet = rtsp.parse_rtp(data) if number == channel else None
            if packet is None:
                continue
            if first is None or first.source != packet.source:
                first = packet
            elif rtsp.advances(first, packet):
                return

    async def _agreed(self, method: str, url: str, headers: Mapping[str, str]) -> rtsp.Response:
        answer = await self._ask(method, url, headers)
        if answer.status != 200:
            raise rtsp.NotRtsp(f"{method} was answered {answer.status}")
        return answer

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None
    ) -> rtsp.Response:
        """One answer; a challenge is answered, and once more if another came back."""
        answer = await self._exchange(method, url, headers or {})
        for _ in range(2):
            challenges = answer.headers.get("www-authenticate", ())
            if answer.status != 401 or self._login is None or challenges == self._challenges:
                break
            self._challenges, self._uses = challenges, 0
            answer = await self._exchange(method, url, headers or {})
        return answer

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str]) -> rtsp.Response:
        self._number += 1
        rows = {"CSeq": str(self._number), "User-Agent": "steward", **headers}
        if self._id:
            rows["Session"] = self._id
        if proof := self._proof(method, url):
            rows["Authorization"] = proof
        self._writer.write(rtsp.build_request(method, url, rows))
        async with asyncio.timeout(self._timeout_s):
            await self._writer.drain()
            return await self._answer()

    def _proof(self, method: str, url: str) -> str | None:
        if self._login is None or not self._challenges:
            return None
        self._uses += 1
        return rtsp.authorization(
            self._login,
            self._challenges,
            method=method,
            url=url,
            nonce_count=self._uses,
            cnonce=secrets.token_hex(8),
        )

    async def _answer(self) -> rtsp.Response:
        """The response to the last request; packets on the way are kept, other responses passed over."""
        while True:
            begin = await self._reader.readexactly(1)
            if begin == b"$":
                self._early.append(await self._packet())
                continue
            head = begin + await self._reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"RTSP/"):
                raise rtsp.NotRtsp(f"no RTSP response: {head[:40]!r}")
            answer = rtsp.parse_head(head)
            body = await self._reader.readexactly(rtsp.body_length(answer))
            if answer.header("cseq") in ("", str(self._number)):
                return rtsp.Response(answer.status, answer.headers, body)

    async def _frame(self) -> tuple[int, bytes]:
        """The next interleaved packet; a response or request of the camera in between is passed over."""
        while await self._reader.readexactly(1) != b"$":
            head = await self._reader.readuntil(b"\r\n\r\n")
            await self._reader.readexactly(
                rtsp.body_length(rtsp.parse_head(b"RTSP/1.0 200 OK\r\n" + head))
            )
        return await self._packet()

    async def _packet(self) -> tuple[int, bytes]:
        head = await self._reader.readexactly(3)
        return head[0], await self._reader.readexactly(int.from_bytes(head[1:], "big"))
