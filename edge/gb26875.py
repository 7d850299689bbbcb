"""Frames of GB/T 26875.3-2011: a device's bytes taken apart, and the only two answers that we can make.

Layout and rules: "Frame" and "Exchanges" of tests/data/gb26875/README.md. We are the centre and
observe only: what can be built here is a confirmation or a denial of a frame that came.
"""

import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from edge.gb26875_data import Application, BadData, WallTime, decode_application, read_time

START: Final = b"@@"
END: Final = b"##"
HEAD_BYTES: Final = 27
FRAME_BYTES_MIN: Final = 30
DATA_BYTES_MAX: Final = 1024
FRAME_BYTES_MAX: Final = FRAME_BYTES_MIN + DATA_BYTES_MAX
_HEAD: Final = struct.Struct("<HBB6s6s6sHB")

SEND: Final = 2
CONFIRM: Final = 3
ANSWER: Final = 5
DENY: Final = 6
Reply = Literal[3, 6]
"""Commands that may leave this house: `CONFIRM` and `DENY`."""


class Verdict(StrEnum):
    """What is wrong with a frame. `incomplete` is not wrong yet: wait for more."""

    INCOMPLETE = "incomplete"
    BAD_START = "bad_start"
    BAD_END = "bad_end"
    BAD_CHECKSUM = "bad_checksum"
    TOO_LONG = "too_long"
    BAD_DATA = "bad_data"


@dataclass(frozen=True, slots=True)
class Header:
    """Head of a frame. Addresses are six bytes as one little-endian number, 0..2^48 - 1."""

    serial: int
    version: tuple[int, int]
    time: WallTime | None
    source: int
    target: int
    command: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame whose checksum is right. `app` is None without application data."""

    header: Header
    data: bytes = b""
    app: Application | None = None


class BadFrame(ValueError):
    """A frame that cannot be believed; `header` is what a denial repeats, None where there is none."""

    def __init__(self, verdict: Verdict, detail: str = "", header: Header | None = None) -> None:
        super().__init__(detail or verdict)
        self.verdict = verdict
        self.header = header


def decode(frame: bytes) -> Frame:
    """One frame, of exactly these bytes.

    Raises:
        BadFrame: it is none; its verdict says why.
    """
    if frame[:2] != START[: len(frame)]:
        raise BadFrame(Verdict.BAD_START, "does not begin with 40 40")
    if len(frame) < FRAME_BYTES_MIN:
        raise BadFrame(Verdict.INCOMPLETE, "shorter than 30 bytes")
    header, length = _head(frame)
    if length > DATA_BYTES_MAX:
        raise BadFrame(Verdict.TOO_LONG, f"{length} bytes of application data", header)
    if len(frame) < FRAME_BYTES_MIN + length:
        raise BadFrame(Verdict.INCOMPLETE, "shorter than it says", header)
    if len(frame) > FRAME_BYTES_MIN + length or frame[-2:] != END:
        raise BadFrame(Verdict.BAD_END, "does not end with 23 23 where its length says", header)
    if (made := checksum(frame[2:-3])) != frame[-3]:
        detail = f"(computed {made:02x}, frame has {frame[-3]:02x})"
        raise BadFrame(Verdict.BAD_CHECKSUM, detail, header)
    data = frame[HEAD_BYTES:-3]
    try:
        return Frame(header, data, decode_application(data))
    except BadData as error:
        raise BadFrame(Verdict.BAD_DATA, str(error), header) from error


def checksum(middle: bytes) -> int:
    """Sum of the bytes from the serial number to the end of the application data, lowest 8 bits."""
    return sum(middle) & 0xFF


def confirm(header: Header, time: WallTime) -> bytes:
    """The frame that says: yours was taken. `time` is our own clock's."""
    return _reply(header, time, CONFIRM)


def deny(header: Header, time: WallTime) -> bytes:
    """The frame that says: yours was not taken, send it again."""
    return _reply(header, time, DENY)


def _reply(header: Header, time: WallTime, command: Reply) -> bytes:
    """Same serial and version, addresses exchanged, no application data."""
    main, user = header.version
    addresses = (n.to_bytes(6, "little") for n in (header.target, header.source))
    middle = _HEAD.pack(header.serial, main, user, time.encode(), *addresses, 0, command)
    return START + middle + bytes((checksum(middle),)) + END


def _head(frame: bytes) -> tuple[Header, int]:
    """The header and the length of the application data, of at least `HEAD_BYTES`."""
    serial, main, user, time, source, target, length, command = _HEAD.unpack(frame[2:HEAD_BYTES])
    header = Header(
        serial, (main, user), read_time(time), int.from_bytes(source, "little"),
        int.from_bytes(target, "little"), command,
    )  # fmt: skip
    return header, length


@dataclass(slots=True)
class Splitter:
    """Finds the frames in a stream; holds at most one unfinished frame beside what it is fed.

    What is no frame is passed over: from a wrong length or end on, the next start is looked for right
    behind the wrong one, and only the first wrong one is told until a frame is right again (noise
    full of starts is not answered start by start). A frame with a wrong checksum is passed over
    whole, its end being where its length says.
    """

    noise_bytes: int = 0
    """Passed over since the beginning."""
    _buffer: bytearray = field(default_factory=bytearray)
    _astray: bool = False

    @property
    def begun(self) -> bool:
        """Whether part of what may be a frame is held."""
        return bool(self._buffer)

    def feed(self, chunk: bytes) -> list[Frame | BadFrame]:
        """Frames that these bytes complete, in order, good and bad. Never raises."""
        self._buffer += chunk
        found: list[Frame | BadFrame] = []
        while (one := self._next()) is not None:
            found.append(one)
        return found

    def late(self) -> list[Frame | BadFrame]:
        """The rest of what was begun does not come: go on at the next whole frame that is held.

        Without one, only the start is passed over: what follows may be a frame still on its way.
        """
        self._pass_over(self._next_sound() or min(1, len(self._buffer)))
        return self.feed(b"")

    def _next_sound(self) -> int:
        """Where, behind the first start, a whole frame begins whose checksum is right; 0 if nowhere."""
        at = self._buffer.find(START, 1)
        while at > 0:
            length = int.from_bytes(self._buffer[at + 24 : at + 26], "little")
            try:
                decode(
                    bytes(self._buffer[at : at + min(FRAME_BYTES_MIN + length, FRAME_BYTES_MAX)])
                )
            except BadFrame as bad:
                if bad.verdict is Verdict.BAD_DATA:
                    return at
            else:
                return at
            at = self._buffer.find(START, at + 1)
        return 0

    def _next(self) -> Frame | BadFrame | None:
        while self._size_known():
            try:
                return self._take()
            except BadFrame as bad:
                if bad.verdict is Verdict.INCOMPLETE:
                    return None
                wrong_size = bad.verdict in (Verdict.TOO_LONG, Verdict.BAD_END)
                told_before, self._astray = self._astray, self._astray or wrong_size
                self._pass_over(1 if wrong_size else self._size())
                if not (wrong_size and told_before):
                    return bad
        return None

    def _take(self) -> Frame:
        frame = decode(bytes(self._buffer[: min(self._size(), FRAME_BYTES_MAX)]))
        del self._buffer[: self._size()]
        self._astray = False
        return frame

    def _size(self) -> int:
        return FRAME_BYTES_MIN + int.from_bytes(self._buffer[24:26], "little")

    def _size_known(self) -> bool:
        """Bring the next start to the front; whether a whole head is there."""
        at = self._buffer.find(START)
        if at < 0:
            at = len(self._buffer) - self._buffer.endswith(START[:1])
        self._pass_over(at)
        return len(self._buffer) >= FRAME_BYTES_MIN

    def _pass_over(self, count: int) -> None:
        self.noise_bytes += count
        del self._buffer[:count]
