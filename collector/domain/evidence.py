"""What the readings say of a duty: confirmed, contradicted, absent, or not observable."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from config.standards import ChangedOver, Evidence, Ran
from edge.readings import BAD, Codes, Floats, Ints


class VerdictKind(StrEnum):
    """What readings say of one occurrence."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    ABSENT = "absent"
    NOT_OBSERVABLE = "not_observable"


@dataclass(frozen=True, slots=True)
class Trace:
    """Readings of one point, by time: UTC ms, value, quality; its longest silence in ms.

    The last reading before the window belongs to it, so that the window's first value is known.
    """

    time: Ints
    value: Floats
    quality: Codes
    longest_silence: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """start ≤ t < end (UTC ms) at one state: True at the value, False at another, None unknown."""

    start: int
    end: int
    at_value: bool | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`span` shows it (UTC ms); `seen_s` is how long the best stretch lasted, `unknown_share` of the window."""

    kind: VerdictKind
    span: tuple[int, int] | None = None
    seen_s: float = 0.0
    unknown_share: float = 0.0


def stretches(trace: Trace, value: float, start: int, end: int) -> list[Stretch]:
    """The window cut into what is known of it; a value holds until the next reading or its longest silence."""
    rows = [s for s in _pieces(trace, value, start, end) if s.start < s.end]
    joined: list[Stretch] = []
    for row in rows:
        if joined and joined[-1].at_value is row.at_value:
            joined[-1] = Stretch(joined[-1].start, row.end, row.at_value)
        else:
            joined.append(row)
    return joined


def _pieces(trace: Trace, value: float, start: int, end: int) -> Iterator[Stretch]:
    reached = start
    usable = (trace.quality < BAD) & np.isfinite(trace.value)
    nexts = np.append(trace.time, end)[1:]
    for at, following, number, known in zip(
        trace.time.tolist(), nexts.tolist(), trace.value.tolist(), usable.tolist(), strict=True
    ):
        begin, stop = max(at, start), min(following, at + trace.longest_silence, end)
        if begin >= end:
            break
        if begin > reached:
            yield Stretch(reached, begin, None)
        yield Stretch(begin, max(begin, stop), number == value if known else None)
        reached = max(reached, begin, stop)
    yield Stretch(reached, end, None)


def judge(
    evidence: Evidence,
    traces: Sequence[Trace | None],
    window: tuple[int, int],
    *,
    claimed: bool,
    over: bool,
    bad_share_max: float,
) -> Verdict | None:
    """The verdict for a window (UTC ms) seen so far; None while it may still come.

    `traces` stand in the order of the evidence's points, None where there is no such point. `claimed`:
    a person says that it was done; `over`: the hard limit has passed.
    """
    if any(trace is None for trace in traces):
        return Verdict(VerdictKind.NOT_OBSERVABLE, unknown_share=1.0) if claimed or over else None
    known = [trace for trace in traces if trace is not None]
    start, end = window
    seen = [stretches(trace, float(evidence.value), start, end) for trace in known]
    best = _ran(evidence, seen[0]) if isinstance(evidence, Ran) else _changed(evidence, seen)
    if best is not None:
        return Verdict(VerdictKind.CONFIRMED, best, (best[1] - best[0]) / 1000)
    if not (claimed or over):
        return None
    share = max(_unknown_share(rows, start, end) for rows in seen)
    longest = max((s.end - s.start for rows in seen for s in rows if s.at_value), default=0) / 1000
    if share > bad_share_max:
        return Verdict(VerdictKind.NOT_OBSERVABLE, None, longest, share)
    kind = VerdictKind.CONTRADICTED if claimed else VerdictKind.ABSENT
    return Verdict(kind, None, longest, share)


def _ran(evidence: Ran, rows: Sequence[Stretch]) -> tuple[int, int] | None:
    """The first stretch at the value that is long enough; lost data break it."""
    need = evidence.for_at_least_s * 1000
    for row in rows:
        if row.at_value and row.end - row.start >= need:
            return row.start, row.end
    return None


def _changed(evidence: ChangedOver, seen: Sequence[Sequence[Stretch]]) -> tuple[int, int] | None:
    """Each point was at the value within the window, and at least one is seen to begin there."""
    firsts = [next((r for r in rows if r.at_value), None) for rows in seen]
    begun = [_begins(rows) for rows in seen]
    if any(first is None for first in firsts) or all(b is None for b in begun):
        return None
    starts = [first.start for first in firsts if first is not None]
    changes = [b for b in begun if b is not None]
    return min([*starts, *changes]), max([*starts, *changes])


def _begins(rows: Sequence[Stretch]) -> int | None:
    """The first instant at which the point is seen to go from another value to this one."""
    for before, row in itertools.pairwise(rows):
        if row.at_value and before.at_value is False:
            return row.start
    return None


def _unknown_share(rows: Sequence[Stretch], start: int, end: int) -> float:
    unknown = sum(row.end - row.start for row in rows if row.at_value is None)
    return unknown / (end - start) if end > start else 1.0
