"""History of one point: raw readings where the span holds few, else buckets; never more than fit a chart."""

from typing import Any

from api.problems import Problem
from api.shapes import BucketHistory, RawHistory
from collector.ports import Buckets, Raw, ReadingStore

POINTS_MAX = 2000
WIDTHS_S = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
)  # fmt: skip
"""Bucket widths a person can read off an axis, in seconds."""
DAY_MS = 86_400_000

History = RawHistory | BucketHistory


def width_for(span_ms: int) -> int:
    """The narrowest width (ms) by which the span has at most `POINTS_MAX` buckets."""
    least = -(-span_ms // (POINTS_MAX - 1))  # one less: a span need not begin at a bucket
    for width in WIDTHS_S:
        if width * 1000 >= least:
            return width * 1000
    return -(-least // DAY_MS) * DAY_MS


def check_span(start: int, end: int) -> None:
    """Refuse a span that is empty or turned round.

    Raises:
        Problem: `invalid`.
    """
    if start >= end:
        raise Problem("invalid", "start must lie before end")


def read(
    store: ReadingStore, site: str, point: str, span: tuple[int, int], resolution: str
) -> tuple[Raw | Buckets, int]:
    """Readings with start ≤ time < end (UTC ms), by `auto`, `raw` or a width in ms; and the width given.

    What is left as roll-ups only comes in buckets as wide as those.

    Raises:
        Problem: `invalid`, or `too-many-readings` with the narrowest width that fits.
        Unavailable: the store cannot be reached.
    """
    start, end = span
    check_span(start, end)
    fits = width_for(end - start)
    if resolution not in ("auto", "raw"):
        buckets = store.buckets(site, point, start, end, _width(resolution, end - start, fits))
        return buckets, buckets.width_ms
    buckets = store.buckets(site, point, start, end, fits)
    held = int(buckets.count.sum())
    raw = store.raw(site, point, start, end) if held <= POINTS_MAX else None
    if raw is not None and (resolution == "raw" or len(raw.time) >= held):
        return raw, 0  # else some are left as roll-ups only
    if resolution == "raw":
        raise Problem(
            "too-many-readings", f"{held} readings; at most {POINTS_MAX}", resolution=fits
        )
    return buckets, buckets.width_ms


def _width(resolution: str, span: int, fits: int) -> int:
    if not (resolution.isascii() and resolution.isdigit() and int(resolution[:12]) > 0):
        raise Problem("invalid", "resolution is auto, raw or a number of milliseconds above 0")
    width = int(resolution[:12])
    if span / width > POINTS_MAX:
        raise Problem(
            "too-many-readings", f"at most {POINTS_MAX} buckets: {fits} ms or more", resolution=fits
        )
    return width


def shown(
    found: Raw | Buckets, point: str, unit: str, *, complete_until: int | None, resolution: int
) -> History:
    """Columns as HTTP says them; NaN becomes null when they are written, and so is what nobody knows."""
    if isinstance(found, Raw):
        return {
            "point": point,
            "unit": unit,
            "resolution": "raw",
            "complete_until": complete_until,
            "time": _list(found.time),
            "value": _list(found.value),
            "quality": _list(found.quality),
        }
    return {
        "point": point,
        "unit": unit,
        "resolution": resolution,
        "complete_until": complete_until,
        "time": _list(found.time),
        "min": _list(found.min),
        "max": _list(found.max),
        "mean": _list(found.mean),
        "first": _list(found.first),
        "last": _list(found.last),
        "count": _list(found.count),
        "worst": _list(found.worst),
    }


def _list(column: Any) -> list[Any]:
    return list(column.tolist())
