"""A JPEG as a camera sends it, made the small grey frame that is judged: bounded, whatever it holds."""

import io
import struct
from typing import Final

import numpy as np
from PIL import Image

from edge.pictures import HEIGHT, WIDTH, Frame, frame_of_cells

PIXELS_MAX: Final = 40_000_000
SIDE_MAX: Final = 16_384
SCANS_MAX: Final = 64
"""A progressive picture has about ten; each one more is worked through over the whole picture."""
_SCAN: Final = b"\xff\xda"
_UNREADABLE: Final = (
    OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError, KeyError, TypeError, ZeroDivisionError,
    OverflowError, MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow is known to raise for files that are none."""


class NoPicture(Exception):
    """These bytes are no picture that can be judged; the message says why."""


def frame_of(data: bytes) -> Frame:
    """The frame in a JPEG. Takes some ten milliseconds: not for the event loop.

    Raises:
        NoPicture: no JPEG, cut off, too small to judge or absurdly large.
    """
    if data.count(_SCAN) > SCANS_MAX:
        raise NoPicture(f"more than {SCANS_MAX} scans")
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            _check_size(*image.size)
            image.draft("RGB", (2 * WIDTH, 2 * HEIGHT))
            return _frame(image.convert("RGB"))
    except _UNREADABLE as error:
        raise NoPicture(f"no readable JPEG: {error}"[:200]) from error


def _check_size(width: int, height: int) -> None:
    if width < WIDTH or height < HEIGHT:
        raise NoPicture(f"{width} x {height}: too small; at least {WIDTH} x {HEIGHT}")
    if max(width, height) > SIDE_MAX or width * height > PIXELS_MAX:
        raise NoPicture(f"{width} x {height}: absurdly large")


def _frame(image: Image.Image) -> Frame:
    """Fractions of a grey level are kept: they tell a frozen picture from one that hardly changes."""
    return frame_of_cells(np.stack([_small(band) for band in image.split()], axis=2))


def _small(band: Image.Image) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    small = band.convert("F").resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return np.asarray(small, np.float32)
