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
    """One whole frame: where it ends in what was received, who sent it, and what (function first); `end` is 0 if there is none yet."""

    end: int
    unit: int = 0
    pdu: bytes = b""


NONE_YET: Final = Frame(0)


def first_frame(received: bytes, awaited: Collection[bytes]) -> Frame:
    """The first whole frame, whatever stands before it: a bus without bias has a byte of noise there.

    `awaited` are the heads of all answers that may come. What begins as one of them, or refuses it, hides what
    stands inside it until it is whole; of anything else only a right check shows that it is a frame.
    """
    refusals = {bytes((head[0], head[1] | REFUSAL)) for head in awaited}
    for at in range(len(received)):
        begun = received[at : at + HEAD_BYTES]
        size = _size(begun)
        end = at + size + CHECK_BYTES
        if size and end <= len(received):
            frame = received[at : end - CHECK_BYTES]
            if FramerRTU.check_CRC(frame, int.from_bytes(received[end - CHECK_BYTES : end], "big")):
                return Frame(end, frame[0], frame[1:])
        elif begun[:2] in refusals or any(head.startswith(begun) for head in awaited):
            break
    return NONE_YET


def _size(begun: bytes) -> int:
    """Bytes of a frame that begins so, without its check; 0 if none does, or it is not known yet."""
    if len(begun) < HEAD_BYTES or begun[1] & ~REFUSAL not in FUNCTIONS:
        return 0
    return REFUSAL_BYTES if begun[1] & REFUSAL else HEAD_BYTES + begun[2]
