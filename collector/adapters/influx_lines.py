"""Lines that were written, taken apart again: for what InfluxDB refuses, which is seldom."""

import re
from collections.abc import Sequence
from typing import Final

from collector.adapters.lineprotocol import HIDDEN, QUALITY, escaped

SPACE: Final = re.compile(rb"(?<!\\) ")
COMMA: Final = re.compile(rb"(?<!\\),")
EQUALS: Final = re.compile(rb"(?<!\\)=")
BESIDE: Final = (QUALITY.encode(), HIDDEN.encode())


def readings_in(line: bytes) -> int:
    """How many readings a line holds; 1 where it cannot be read."""
    parts = SPACE.split(line)
    if len(parts) != 3:
        return 1
    return len({_point_of(field) for field in COMMA.split(parts[1])})


def without_field(lines: Sequence[bytes], name: str) -> tuple[bytes, int]:
    """The lines that hold a field, without that reading; and how many readings were left out."""
    point = _bare(escaped(name).encode())
    kept, count = [], 0
    for line in lines:
        parts = SPACE.split(line)
        fields = COMMA.split(parts[1]) if len(parts) == 3 else []
        others = [field for field in fields if _point_of(field) != point]
        if len(others) == len(fields):
            continue
        count += 1
        if others:
            kept.append(b" ".join([parts[0], b",".join(others), parts[2]]))
    return b"".join(kept), count


def _point_of(field: bytes) -> bytes:
    return _bare(EQUALS.split(field)[0])


def _bare(name: bytes) -> bytes:
    for suffix in BESIDE:
        name = name.removesuffix(suffix)
    return name
