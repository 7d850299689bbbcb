"""Readings of one point in order, repeats absorbed, and joined into buckets: shared by stores and twin.

A mean's sum is taken in one order wherever it comes from: readings to minutes, minutes to hours, hours to
the bucket (as far as they divide its width). So buckets made from roll-ups equal those made from readings,
the mean to its last bit too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np

from collector.ports import Buckets, Kind, Raw
from edge.readings import Codes, Floats, Ints

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
ROLL_UPS: Final[tuple[Kind, ...]] = ("minute", "hour")
GRAIN_MS: Final[Mapping[Kind, int]] = {"raw": 1, "minute": MINUTE_MS, "hour": HOUR_MS}


@dataclass(frozen=True, slots=True)
class Rolled:
    """Roll-ups by time, as `Buckets` before the mean is taken: `sum` of the `valued` readings with a value.

    Where none has one, `valued` is 0 and the numbers are NaN.
    """

    time: Ints
    min: Floats
    max: Floats
    sum: Floats
    first: Floats
    last: Floats
    count: Ints
    valued: Ints
    worst: Codes


@dataclass(frozen=True, slots=True)
class Kept:
    """From when on (UTC ms) readings, and roll-ups of minutes and hours, are kept."""

    raw: int = -(2**62)
    minute: int = -(2**62)
    hour: int = -(2**62)

    def but(self, kind: Kind, time: int) -> "Kept":
        """One kind from `time` on only, or from where it was."""
        return self.at(kind, max(time, getattr(self, kind)))

    def at(self, kind: Kind, time: int) -> "Kept":
        """One kind from `time` on; of roll-ups the first that begins then."""
        return replace(self, **{kind: -(-time // GRAIN_MS[kind]) * GRAIN_MS[kind]})


@dataclass(slots=True)
class Late:
    """Readings that came too late, since the start, beside what they should have changed.

    `dropped` came behind the cut of their retention. `not_rolled` came to hours whose other readings are
    gone: they are kept, the roll-ups of these hours stay as they were.
    """

    dropped: int = 0
    not_rolled: int = 0


def nothing() -> Raw:
    """No reading at all."""
    return Raw(np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint8))


def kept(series: Ints, time: Ints) -> Ints:
    """Indices of the readings which stay, by time and then series: the last of each (series, time).

    `series` and `time` are equally long and in order of arrival.
    """
    order = np.lexsort((series, time))
    if len(order) == 0:
        return order
    s, t = series[order], time[order]
    last = np.append((s[1:] != s[:-1]) | (t[1:] != t[:-1]), True)
    stays: Ints = order[last]
    return stays


def fitted(start: int, end: int, width_ms: int, kept: Kept) -> tuple[int, int, int]:
    """Span and width by which buckets can be made of what is kept: as asked, or of whole minutes or hours.

    Raises:
        ValueError: `width_ms` is below 1.
    """
    if width_ms < 1:
        raise ValueError(f"a bucket of {width_ms} ms is not above 0")
    if start >= min(kept.raw, end):
        return start, end, width_ms
    grain = MINUTE_MS if start >= kept.minute else HOUR_MS
    start = max(start // grain * grain, kept.hour if grain == HOUR_MS else start - grain)
    end = end if end >= kept.raw else -(-end // grain) * grain
    return start, end, -(-width_ms // grain) * grain


def in_buckets(raw: Raw, width_ms: int) -> Buckets:
    """Buckets of `width_ms` aligned to 1970 UTC; only those that hold a reading.

    Raises:
        ValueError: `width_ms` is below 1.
    """
    if width_ms < 1:
        raise ValueError(f"a bucket of {width_ms} ms is not above 0")
    return as_buckets(rolled_up(raw, width_ms), width_ms)


def rolled_up(raw: Raw, width_ms: int) -> Rolled:
    """Readings joined into those of `width_ms`, by minutes and hours as far as they divide it."""
    rolled = of_readings(raw)
    for grain in (MINUTE_MS, HOUR_MS):
        if width_ms % grain == 0:
            rolled = widened(rolled, grain)
    return widened(rolled, width_ms)


def of_readings(raw: Raw) -> Rolled:
    """Each reading alone."""
    value, one = raw.value, np.ones(len(raw.time), np.int64)
    valued = (~np.isnan(value)).astype(np.int64)
    return Rolled(raw.time, value, value, value, value, value, one, valued, raw.quality)


def widened(rolled: Rolled, width_ms: int) -> Rolled:
    """Joined into those of `width_ms`."""
    bucket = rolled.time // width_ms
    starts = np.flatnonzero(_begins(bucket))
    return joined_at(rolled, starts, bucket[starts] * width_ms)


def _begins(group: Ints) -> Any:
    return np.append(np.ones(min(len(group), 1), bool), group[1:] != group[:-1])


def joined_at(rolled: Rolled, starts: Ints, time: Ints) -> Rolled:
    """Joined into groups that begin at the indices `starts` and are given the times `time`."""
    if len(starts) in (0, len(rolled.time)):
        return replace(rolled, time=time, min=rolled.min + 0.0, max=rolled.max + 0.0)
    out = {name: np.full(len(starts), np.nan) for name in ("min", "max", "sum", "first", "last")}
    valued = np.add.reduceat(rolled.valued, starts)
    has = np.flatnonzero(rolled.valued)
    if len(has):
        group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rolled.time))))
        begins = np.flatnonzero(_begins(group[has]))
        at = group[has][begins]
        # + 0.0: of zeros of both signs the positive one, whatever the order of comparing
        out["min"][at] = np.minimum.reduceat(rolled.min[has], begins) + 0.0
        out["max"][at] = np.maximum.reduceat(rolled.max[has], begins) + 0.0
        out["sum"][at] = np.add.reduceat(rolled.sum[has], begins)
        out["first"][at] = rolled.first[has[begins]]
        out["last"][at] = rolled.last[has[np.append(begins[1:], len(has)) - 1]]
    worst: Codes = np.maximum.reduceat(rolled.worst, starts)
    count = np.add.reduceat(rolled.count, starts)
    return Rolled(time=time, count=count, valued=valued, worst=worst, **out)


def in_order(parts: Sequence[Rolled]) -> Rolled:
    """Several that share no time as one, by time."""
    columns = {
        item.name: np.concatenate([getattr(part, item.name) for part in parts])
        for item in fields(Rolled)
    }
    order = np.argsort(columns["time"], kind="stable")
    return Rolled(**{name: column[order] for name, column in columns.items()})


def as_buckets(rolled: Rolled, width_ms: int) -> Buckets:
    """With the mean instead of its parts."""
    mean = np.full(len(rolled.time), np.nan)
    np.divide(rolled.sum, rolled.valued, out=mean, where=rolled.valued > 0)
    return Buckets(
        rolled.time, rolled.min, rolled.max, mean, rolled.first, rolled.last,
        rolled.count, rolled.worst, width_ms,
    )  # fmt: skip


def by_point(
    point: Ints, series: Ints, raw: Raw
) -> tuple[tuple[Ints, Rolled], tuple[Ints, Rolled]]:
    """Minutes and hours of many points, each with the point of every row; by point, then time.

    `point` and `series` name the point and the series of each reading.
    """
    order = np.lexsort((series, raw.time, point))
    point = point[order]
    rolled = of_readings(Raw(raw.time[order], raw.value[order], raw.quality[order]))
    minutes = _of_points(point, rolled, MINUTE_MS)
    return minutes, _of_points(*minutes, HOUR_MS)


def _of_points(point: Ints, rolled: Rolled, width_ms: int) -> tuple[Ints, Rolled]:
    bucket = rolled.time // width_ms
    starts = np.flatnonzero(_begins(point) | _begins(bucket))
    return point[starts], joined_at(rolled, starts, bucket[starts] * width_ms)
