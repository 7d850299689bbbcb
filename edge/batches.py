"""A batch as it lies in the outbox and goes over the wire, and the table of points that it speaks of."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from config.plant import Point
from edge.ports import PointReading
from edge.readings import BAD, QUALITIES, Lane, PointRow

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


def columns_of(readings: Sequence[PointReading], index: Mapping[str, int]) -> bytes:
    """The columns of at least one reading as JSON: encoded once, when the batch is made."""
    base = min(reading.time for reading in readings)
    sound = [_sound(reading) for reading in readings]
    columns = _Columns(
        t=base,
        i=[index[reading.point] for reading in readings],
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


def grown(table: Sequence[PointRow], points: Sequence[Point]) -> list[PointRow]:
    """The table with these points live: an index means one point, unit, kind and scale for ever."""
    wanted = {point.id: point for point in points}
    rows: list[PointRow] = []
    placed: set[str] = set()
    for row in table:
        point = wanted.get(row.point)
        fits = (
            point is not None
            and row.point not in placed
            and _meaning(_row(0, point)) == _meaning(row)
        )
        if point is not None and fits:
            placed.add(row.point)
            rows.append(_row(row.index, point))
        else:
            rows.append(msgspec.structs.replace(row, retired=True))
    for point in points:
        if point.id not in placed:
            rows.append(_row(len(rows), point))
    return rows


def _meaning(row: PointRow) -> tuple[str, str, int]:
    return row.unit, row.kind, row.decimals


def _row(index: int, point: Point) -> PointRow:
    return PointRow(
        index=index, point=point.id, unit=point.unit, kind=point.kind, decimals=point.decimals,
        lane=point.lane, period_s=point.period_s, longest_silence_s=point.longest_silence_s,
    )  # fmt: skip
