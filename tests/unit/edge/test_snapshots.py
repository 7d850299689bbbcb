"""A JPEG becomes a small grey frame, and whatever else comes a reason within bounds."""

import io
import struct

import pytest
from PIL import Image

from edge.pictures import HEIGHT, WIDTH
from edge.snapshots import PIXELS_MAX, SCANS_MAX, SIDE_MAX, NoPicture, frame_of


def jpeg(width: int = 320, height: int = 240, form: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 150)).save(file, form)
    return file.getvalue()


def said_to_be(width: int, height: int) -> bytes:
    """A small JPEG whose frame header claims another size."""
    data = jpeg()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def test_a_picture_becomes_a_frame_of_its_grey_and_its_colour() -> None:
    frame = frame_of(jpeg())
    assert frame.grey.shape == (HEIGHT, WIDTH)
    assert frame.grey.mean() == pytest.approx(120, abs=3)
    assert frame.colour == pytest.approx(60, abs=6)


NONE = {
    "nothing": (b"", "no readable JPEG"),
    "a web page": (b"<html>log in</html>", "no readable JPEG"),
    "another form": (jpeg(form="PNG"), "no readable JPEG"),
    "cut in its head": (jpeg()[:100], "no readable JPEG"),
    "cut in its picture": (jpeg()[:-400], "no readable JPEG"),
    "too small": (jpeg(8, 8), "8 x 8: too small"),
    "too wide": (said_to_be(SIDE_MAX + 1, 240), "absurdly large"),
    "too many pixels": (said_to_be(8000, PIXELS_MAX // 8000 + 1), "absurdly large"),
    "a bomb": (said_to_be(65_000, 65_000), "no readable JPEG|absurdly large"),
    "endless scans": (jpeg() + b"\xff\xda" * SCANS_MAX, f"more than {SCANS_MAX} scans"),
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_picture_is_a_short_reason(name: str) -> None:
    data, said = NONE[name]
    with pytest.raises(NoPicture, match=said) as raised:
        frame_of(data)
    assert len(str(raised.value)) <= 200
