"""A batch as it lies in the outbox and goes over the wire."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from edge.point_table import PointTable
from edge.ports import PointReading
from edge.readings import BAD, QUALITIES, Lane

TOLD_MS: Final = 60_000
"""A time this near to the making of its batch was told by our clock; any other by the device."""
READINGS_MAX: Final = 500
"""In one batch: about 10 KB, a tenth of a second on a line of 1 Mbit/s."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A numbered batch, its columns encoded; since it was `made` the clock was set by `shift` (ms)."""

    lane: Lane
    seq: int
    columns: bytes
    made: int = 0
    shift: int = 0


class _Columns(msgspec.Struct):
    t: int
    i: list[int]
    d: list[int]
    v: list[float | None]
    q: list[int]


class _Head(msgspec.Struct):
    e: str
    s: int
    o: int
    n: int


def cut(readings: Sequence[PointReading]) -> Iterator[Sequence[PointReading]]:
    """The readings in order, in parts of which each is one batch."""
    for at in range(0, len(readings), READINGS_MAX):
        yield readings[at : at + READINGS_MAX]


def columns_of(readings: Sequence[PointReading], table: PointTable) -> bytes:
    """The columns of at least one reading as JSON: encoded once, when the batch is made.

    Raises:
        KeyError: one is of a point that the table does not read now.
    """
    places = table.places(reading.point for reading in readings)
    if -1 in places:
        raise KeyError(readings[places.index(-1)].point)
    base = min(reading.time for reading in readings)
    sound = [_sound(reading) for reading in readings]
    columns = _Columns(
        t=base,
        i=places,
        d=[reading.time - base for reading in readings],
        v=[value for value, _ in sound],
        q=[quality for _, quality in sound],
    )
    return msgspec.json.encode(columns)


def payload_of(outgoing: Outgoing, *, epoch: str, oldest: int, now: int) -> bytes:
    """The batch as it goes over the wire; `oldest` and `now` are of this sending."""
    head = msgspec.json.encode(_Head(epoch, outgoing.seq, oldest, now))
    columns = _shifted(outgoing) if outgoing.shift else outgoing.columns
    return head[:-1] + b"," + columns[1:]


def _shifted(outgoing: Outgoing) -> bytes:
    """The columns in the clock of this sending; times that a device told stay as they are."""
    columns = msgspec.json.decode(outgoing.columns, type=_Columns)
    told = [columns.t + offset for offset in columns.d]
    times = [t + outgoing.shift if abs(t - outgoing.made) <= TOLD_MS else t for t in told]
    columns.t = min(times)
    columns.d = [time - columns.t for time in times]
    return msgspec.json.encode(columns)


def _sound(reading: PointReading) -> tuple[float | None, int]:
    """Value and quality as they may be sent: a bad reading has no value, a good one a finite one."""
    if reading.quality >= BAD:
        return None, reading.quality
    if reading.value is None or not math.isfinite(reading.value):
        return None, QUALITIES["undecodable"]
    return reading.value, reading.quality
