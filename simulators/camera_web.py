"""What a camera tells by HTTP beside its stream: a snapshot, its clock (ONVIF), what it has recorded."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from config.clock import Clock
from simulators.physics.camera import CameraState

REALM: Final = "camera"
SNAPSHOT: Final = "/snapshot.jpg"
ONVIF: Final = "/onvif/device_service"
RECORDINGS: Final = "/recordings/"
SEGMENT_MS: Final = 60_000
SEGMENTS: Final = 5
REASONS: Final = {200: "OK", 401: "Unauthorized", 404: "Not Found", 503: "Service Unavailable"}
TIME: Final = (
    '<?xml version="1.0"?><env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:tt="http://www.onvif.org/ver10/schema">'
    "<env:Body><tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
    "<tt:UTCDateTime><tt:Time><tt:Hour>{0:%H}</tt:Hour><tt:Minute>{0:%M}</tt:Minute><tt:Second>{0:%S}</tt:Second></tt:Time>"
    "<tt:Date><tt:Year>{0:%Y}</tt:Year><tt:Month>{0:%m}</tt:Month><tt:Day>{0:%d}</tt:Day></tt:Date></tt:UTCDateTime>"
    "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse></env:Body></env:Envelope>"
)


@dataclass(slots=True)
class CameraWeb:
    """The HTTP side of one camera; `picture` draws its snapshot, as JPEG."""

    state: Callable[[], CameraState]
    clock: Clock
    picture: Callable[[], bytes]
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def answer(self, method: str, path: str, *, allowed: bool) -> bytes:
        """The whole answer to one question; the time is told to anybody."""
        if (method, path) == ("POST", ONVIF):
            return self._reply(200, TIME.format(self._time()).encode(), "application/soap+xml")
        if not allowed:
            digest = f'Digest realm="{REALM}", nonce="{self.nonce}", qop="auth"'
            return self._reply(401, more={"WWW-Authenticate": digest})
        state = self.state()
        if method == "GET" and path == SNAPSHOT:
            return (
                self._reply(200, self.picture(), "image/jpeg")
                if state.picture
                else self._reply(503)
            )
        if method == "GET" and path.startswith(RECORDINGS):
            return (
                self._reply(200, self._segments(state), "application/json")
                if state.recorder
                else self._reply(503)
            )
        return self._reply(404)

    def _segments(self, state: CameraState) -> bytes:
        """The newest is still being written."""
        end = (
            self.clock.now() if state.recorded_ms is None else state.recorded_ms
        ) + self._ahead_ms()
        starts = [end - n * SEGMENT_MS for n in range(SEGMENTS, 0, -1)]
        rows = [{"start": _iso(start), "end": _iso(start + SEGMENT_MS)} for start in starts]
        return json.dumps(rows).encode()

    def _ahead_ms(self) -> int:
        return round(1000 * self.state().clock_offset_s)

    def _time(self) -> datetime:
        return datetime.fromtimestamp((self.clock.now() + self._ahead_ms()) // 1000, UTC)

    def _reply(
        self, status: int, body: bytes = b"", kind: str = "", more: Mapping[str, str] | None = None
    ) -> bytes:
        rows = {
            "Date": format_datetime(self._time(), usegmt=True),
            "Connection": "close",
            "Content-Length": str(len(body)),
            **(more or {}),
        }
        if kind:
            rows["Content-Type"] = kind
        lines = [
            f"HTTP/1.1 {status} {REASONS[status]}",
            *(f"{name}: {text}" for name, text in rows.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
