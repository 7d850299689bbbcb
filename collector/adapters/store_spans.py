"""Spans of time as stores cut them into hours: joined, overlapped, taken from each other. Pure."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from collector.buckets import HOUR_MS, MINUTE_MS

Span = tuple[int, int]
"""Start ≤ time < end, UTC ms."""


def hour_of(time: int) -> int:
    """Start of the hour that holds a time; both UTC ms."""
    return time // HOUR_MS * HOUR_MS


def moment(time: int) -> str:
    """A time (UTC ms, of any year) in words."""
    return str(np.datetime64(time, "ms").astype("datetime64[m]")).replace("T", " ") + " UTC"


def joined_hours(hours: Iterable[int]) -> list[Span]:
    """Hours by their starts, in order, as spans as long as can be."""
    spans: list[Span] = []
    for hour in hours:
        if spans and spans[-1][1] == hour:
            spans[-1] = (spans[-1][0], hour + HOUR_MS)
        else:
            spans.append((hour, hour + HOUR_MS))
    return spans


def in_parts(minutes: Sequence[tuple[int, int]], since: int, rows: int) -> list[Span]:
    """All time from `since` on in spans of about so many rows; `minutes` are (start, rows), in order."""
    bounds, held = [since], 0
    for minute, count in minutes:
        parts = -(-count // rows)
        if held + count > rows:
            step = MINUTE_MS // parts
            bounds += [minute + step * n for n in range(parts) if minute + step * n > bounds[-1]]
            held = count // parts
        else:
            held += count
    return list(pairwise([*bounds, 2**62]))


def overlap(these: Sequence[Span], those: Sequence[Span]) -> list[Span]:
    """What lies in both; each in order and apart."""
    found: list[Span] = []
    i = j = 0
    while i < len(these) and j < len(those):
        start, end = max(these[i][0], those[j][0]), min(these[i][1], those[j][1])
        if start < end:
            found.append((start, end))
        if these[i][1] < those[j][1]:
            i += 1
        else:
            j += 1
    return found


def without(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """What of `spans` does not lie in `taken`; each in order and apart."""
    gaps: list[Span] = []
    begin = -(2**63)
    for start, end in taken:
        if begin < start:
            gaps.append((begin, start))
        begin = end
    return overlap(spans, [*gaps, (begin, 2**63)])


def within_grain(spans: Sequence[Span], grain_ms: int) -> list[Span]:
    """Each drawn in to multiples of the grain; what is empty then is left out."""
    drawn = ((-(-start // grain_ms) * grain_ms, end // grain_ms * grain_ms) for start, end in spans)
    return [(start, end) for start, end in drawn if start < end]
