"""What InfluxDB refuses, told apart from what it takes: which readings of a body, and which lines to post again."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from collector.adapters.lineprotocol import HIDDEN, QUALITY, escaped

SPACE: Final = re.compile(rb"(?<!\\) ")
COMMA: Final = re.compile(rb"(?<!\\),")
EQUALS: Final = re.compile(rb"(?<!\\)=")
ESCAPED: Final = re.compile(rb"\\([ ,=])")
BESIDE: Final = (QUALITY.encode(), HIDDEN.encode())
HOUR_MS: Final = 3_600_000
"""No shard of InfluxDB is shorter, and its fields have their types by shard."""
CONFLICT: Final = re.compile(r'input field "(.+)" on measurement')
BEHIND: Final = "outside retention policy"
DROPPED: Final = re.compile(r"dropped[= ](\d+)")

Lines = Sequence[bytes]


class Refused(NamedTuple):
    """One reading that InfluxDB will never take: where it belongs as a line says it, its time (UTC ms), its fields."""

    place: str
    time: str
    fields: str = ""


class Sorted(NamedTuple):
    """Readings that are refused, and bodies to post again: each has fewer lines, or fewer fields, than before."""

    refused: list[Refused]
    again: list[Lines]


def sorted_out(lines: Lines, message: str) -> Sorted:
    """What becomes of lines of which InfluxDB refused some, by what it said.

    It names one conflict of several, and of a body for several shards only what one of them said. So all lines
    beside the ones it spoke of are posted again, which changes nothing where they were taken.
    """
    conflict = CONFLICT.search(message)
    if conflict and (found := _by_field(lines, escaped(conflict[1]).encode())):
        return found
    dropped = DROPPED.search(message)
    if BEHIND in message and dropped:
        return _oldest(lines, int(dropped[1]))
    if len(lines) > 1:
        return Sorted([], [lines[: len(lines) // 2], lines[len(lines) // 2 :]])
    return Sorted([reading for line in lines for reading in readings_of(line)], [])


def readings_of(line: bytes) -> list[Refused]:
    """The readings of a line; where it cannot be read, the line itself as one."""
    parts = SPACE.split(line)
    if len(parts) != 3:
        return [Refused(_said(line), "")]
    points: dict[bytes, list[bytes]] = defaultdict(list)
    for field in COMMA.split(parts[1]):
        points[_point_of(field)].append(field)
    return [_refused(parts[0], point, parts[2], fields) for point, fields in points.items()]


def _refused(head: bytes, point: bytes, time: bytes, fields: Lines) -> Refused:
    return Refused(f"{_said(head)} {_said(point)}", _said(time), _said(b",".join(fields)))


def site_of(reading: Refused) -> str:
    """The site that its line names; empty where it names none."""
    head = SPACE.split(reading.place.encode())[0]
    tags = dict(EQUALS.split(tag, maxsplit=1) for tag in COMMA.split(head)[1:])
    return ESCAPED.sub(rb"\1", tags.get(b"site", b"")).decode(errors="replace")


def _by_field(lines: Lines, name: bytes) -> Sorted | None:
    """Lines of one shard that all hold the field lose its reading; before that they are taken from the others."""
    holding: dict[int, list[bytes]] = defaultdict(list)
    others: list[bytes] = []
    for line in lines:
        if name in _names_in(line):
            holding[int(SPACE.split(line)[2]) // HOUR_MS].append(line)
        else:
            others.append(line)
    if not holding:
        return None
    if others or len(holding) > 1:
        return Sorted([], [part for part in (others, *holding.values()) if part])
    return _without(lines, _bare(name))


def _without(lines: Lines, point: bytes) -> Sorted:
    refused, kept = [], []
    for line in lines:
        head, fields, time = SPACE.split(line)
        all_fields = COMMA.split(fields)
        others = [field for field in all_fields if _point_of(field) != point]
        own = [field for field in all_fields if _point_of(field) == point]
        refused.append(_refused(head, point, time, own))
        if others:
            kept.append(b" ".join([head, b",".join(others), time]))
    return Sorted(refused, [kept] if kept else [])


def _oldest(lines: Lines, count: int) -> Sorted:
    by_time = sorted(lines, key=lambda line: int(SPACE.split(line)[2]))
    refused = [reading for line in by_time[:count] for reading in readings_of(line)]
    return Sorted(refused, [by_time[count:]] if by_time[count:] else [])


def _names_in(line: bytes) -> list[bytes]:
    parts = SPACE.split(line)
    return [EQUALS.split(field)[0] for field in COMMA.split(parts[1])] if len(parts) == 3 else []


def _point_of(field: bytes) -> bytes:
    return _bare(EQUALS.split(field)[0])


def _bare(name: bytes) -> bytes:
    for suffix in BESIDE:
        name = name.removesuffix(suffix)
    return name


def _said(text: bytes) -> str:
    return text.decode(errors="replace").strip()
