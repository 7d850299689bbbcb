"""Where an answer's frame begins and ends on a serial bus, where nothing but what was asked for is awaited. Pure."""

from collections.abc import Collection
from typing import Final, NamedTuple

from pymodbus.framer import FramerRTU

HEAD_BYTES: Final = 3
"""Unit, function, and how many bytes of data follow."""
CHECK_BYTES: Final = 2
FUNCTIONS: Final = range(1, 5)
REFUSAL: Final = 0x80
REFUSAL_BYTES: Final = 3
"""Unit, function and exception."""


class Frame(NamedTuple):
    """One whole frame: where it ends in what was received, who sent it, and what (function first).

    If there is none yet there is no `pdu`, and `end` is where the first may have begun.
    """

    end: int
    unit: int = 0
    pdu: bytes = b""


def first_frame(received: bytes, awaited: Collection[bytes], begins: int = 0) -> Frame:
    """The first whole frame, whatever stands before it: a bus without bias has a byte of noise there.

    `awaited` are the heads of all answers that may come. What begins as one of them hides what stands inside
    it until it is whole; of anything else only a right check shows that it is a frame. None begins before `begins`: of a
    unit that never stops sending all that came would be looked at again with each byte.
    """
    may_begin = len(received)
    for at in range(begins, len(received)):
        begun = received[at : at + HEAD_BYTES]
        size = _size(begun)
        end = at + size + CHECK_BYTES
        if size and end <= len(received):
            frame = received[at : end - CHECK_BYTES]
            if FramerRTU.check_CRC(frame, int.from_bytes(received[end - CHECK_BYTES : end], "big")):
                return Frame(end, frame[0], frame[1:])
        elif any(head.startswith(begun) for head in awaited):
            return Frame(min(may_begin, at))
        elif size or len(begun) < HEAD_BYTES:
            may_begin = min(may_begin, at)
    return Frame(may_begin)


def _size(begun: bytes) -> int:
    """Bytes of a frame that begins so, without its check; 0 if none does, or it is not known yet."""
    if len(begun) < HEAD_BYTES or begun[1] & ~REFUSAL not in FUNCTIONS:
        return 0
    return REFUSAL_BYTES if begun[1] & REFUSAL else HEAD_BYTES + begun[2]
