"""Readings of one point in order, repeats absorbed, and joined into buckets: shared by stores and twin."""

import numpy as np

from collector.ports import Buckets, Raw
from edge.readings import Codes, Floats, Ints


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


def in_buckets(raw: Raw, width_ms: int) -> Buckets:
    """Buckets of `width_ms` aligned to 1970 UTC; only those that hold a reading.

    Raises:
        ValueError: `width_ms` is below 1.
    """
    if width_ms < 1:
        raise ValueError(f"a bucket of {width_ms} ms is not above 0")
    if len(raw.time) == 0:
        none, floats = raw.time, raw.value
        return Buckets(none, floats, floats, floats, floats, floats, none, raw.quality)
    bucket = raw.time // width_ms
    starts = np.flatnonzero(np.append(True, bucket[1:] != bucket[:-1]))
    count = np.diff(np.append(starts, len(bucket)))
    worst: Codes = np.maximum.reduceat(raw.quality, starts)
    return Buckets(
        time=bucket[starts] * width_ms,
        count=count.astype(np.int64),
        worst=worst,
        **_of_values(raw.value, starts, count),
    )


def _of_values(value: Floats, starts: Ints, count: Ints) -> dict[str, Floats]:
    """min, max, mean, first and last of the values in each bucket, NaN where it has none."""
    names = ("min", "max", "mean", "first", "last")
    out = {name: np.full(len(starts), np.nan) for name in names}
    has = ~np.isnan(value)
    values = value[has]
    of_bucket = np.repeat(np.arange(len(starts)), count)[has]
    if len(values) == 0:
        return out
    begins = np.flatnonzero(np.append(True, of_bucket[1:] != of_bucket[:-1]))
    ends = np.append(begins[1:], len(values)) - 1
    at = of_bucket[begins]
    out["min"][at] = np.minimum.reduceat(values, begins)
    out["max"][at] = np.maximum.reduceat(values, begins)
    out["mean"][at] = np.add.reduceat(values, begins) / (ends - begins + 1)
    out["first"][at] = values[begins]
    out["last"][at] = values[ends]
    return out
