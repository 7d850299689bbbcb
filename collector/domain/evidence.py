"""What the readings say of a duty: confirmed, contradicted, absent, or not observable."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from config.standards import Evidence, Ran
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


@dataclass(frozen=True, slots=True)
class Sighting:
    """The evidence seen once: it was fulfilled at `done`, whenever it is looked at; `end` as seen so far (UTC ms)."""

    start: int
    done: int
    end: int


@dataclass(frozen=True, slots=True)
class Look:
    """What is asked of the readings: start ≤ t < end (UTC ms) in which the work counts.

    `claimed`: a person says that it was done; `over`: the hard limit has passed. Readings from
    `awaited_from` on may still come. `taken`: instants at which it was seen for other occurrences.
    """

    start: int
    end: int
    claimed: bool = False
    over: bool = False
    awaited_from: int | None = None
    taken: Collection[int] = ()


def reach(evidence: Evidence) -> int:
    """So long before a window must be known as well, to tell a run that was long enough before it (ms)."""
    return _need(evidence) + 1 if isinstance(evidence, Ran) else 0


def _need(evidence: Evidence) -> int:
    return round(evidence.for_at_least_s * 1000) if isinstance(evidence, Ran) else 0


def stretches(trace: Trace, value: float, start: int, end: int) -> list[Stretch]:
    """The window cut into what is known of it; a value holds until the next reading or its longest silence."""
    usable = (trace.quality < BAD) & np.isfinite(trace.value)
    known = np.where(usable, (trace.value == value).astype(np.int64), -1)
    stops = np.minimum(trace.time + trace.longest_silence, np.append(trace.time, end)[1:])
    edges = np.append(start, np.column_stack([trace.time, stops]).ravel()).clip(start, end)
    states = np.append(-1, np.column_stack([known, np.full_like(known, -1)]).ravel())
    lasting = np.append(edges[1:], end) > edges
    edges, states = edges[lasting], states[lasting]
    begins = np.append(True, states[1:] != states[:-1]) if len(states) else lasting[:0]
    starts, kinds = edges[begins].tolist(), states[begins].tolist()
    ends = [*starts[1:], end]
    return [
        Stretch(a, b, None if kind < 0 else kind == 1)
        for a, b, kind in zip(starts, ends, kinds, strict=False)
    ]


def judge(
    evidence: Evidence, traces: Sequence[Trace | None], look: Look, *, bad_share_max: float
) -> Verdict | None:
    """The verdict for a window seen so far; None while it may still come.

    `traces` stand in the order of the evidence's points, None where there is no such point; they
    begin `reach` and their silence before the window.
    """
    settling = look.claimed or look.over
    if any(trace is None for trace in traces):
        return Verdict(VerdictKind.NOT_OBSERVABLE, unknown_share=1.0) if settling else None
    known = [trace for trace in traces if trace is not None]
    if not settling and not all((trace.value == evidence.value).any() for trace in known):
        return None
    begin = look.start - reach(evidence)
    seen = [stretches(trace, float(evidence.value), begin, look.end) for trace in known]
    found = next((s for s in _sightings(evidence, seen, look) if not _taken(s, look)), None)
    if found is not None:
        return confirmed((found.start, found.done))
    return _unseen(evidence, known, seen, look, bad_share_max) if settling else None


def confirmed(span: tuple[int, int]) -> Verdict:
    """The readings show it, in this span (UTC ms)."""
    return Verdict(VerdictKind.CONFIRMED, span, (span[1] - span[0]) / 1000)


def _taken(sighting: Sighting, look: Look) -> bool:
    return any(sighting.start < at <= sighting.end for at in look.taken)


def _unseen(
    evidence: Evidence, traces: Sequence[Trace], seen: Sequence[Sequence[Stretch]], look: Look,
    bad_share_max: float,
) -> Verdict:  # fmt: skip
    """Why it is not confirmed. While a hole in which it may have happened can still be filled, nobody is accused."""
    inside = [_clipped(rows, look.start, look.end) for rows in seen]
    share = max(_unknown_share(rows, look.start, look.end) for rows in inside)
    longest = max((s.end - s.start for rows in inside for s in rows if s.at_value), default=0)
    hole = max(_awaited(trace, look) for trace in traces)
    kind = VerdictKind.CONTRADICTED if look.claimed else VerdictKind.ABSENT
    if share > bad_share_max or (hole and hole + longest >= _need(evidence)):
        kind = VerdictKind.NOT_OBSERVABLE
    return Verdict(kind, None, longest / 1000, share)


def _awaited(trace: Trace, look: Look) -> int:
    """The longest part of the window (ms) that nothing was heard of, not even that it is bad, and that may still come."""
    if look.awaited_from is None:
        return 0
    first = max(look.start, look.awaited_from)
    begins = np.append(first, trace.time + trace.longest_silence).clip(first, None)
    ends = np.append(trace.time, look.end).clip(None, look.end)
    return max(0, int((ends - begins).max()))


def _sightings(
    evidence: Evidence, seen: Sequence[Sequence[Stretch]], look: Look
) -> Iterator[Sighting]:
    """Each time the evidence was fulfilled within the window, in order."""
    if isinstance(evidence, Ran):
        found = _runs(seen[0], _need(evidence))
    else:
        found = _changes(seen, look.start)
    return (s for s in found if look.start <= s.done < look.end)


def _runs(rows: Sequence[Stretch], need: int) -> Iterator[Sighting]:
    """Runs that were seen for long enough on end; lost data break what is seen, but do not make two runs of one."""
    for running, group in itertools.groupby(
        (row for row in rows if row.at_value is not None), key=lambda row: row.at_value
    ):
        parts = list(group)
        long = next((row for row in parts if row.end - row.start >= need), None)
        if running and long is not None:
            yield Sighting(long.start, long.start + need, parts[-1].end)


def _changes(seen: Sequence[Sequence[Stretch]], start: int) -> Iterator[Sighting]:
    """Each point was at the value since `start`, and at least one is seen to begin there; then again from there."""
    while True:
        firsts = [_at_value(rows, start) for rows in seen]
        begun = [at for rows in seen for at in _beginnings(rows) if at > start]
        starts = [at for at in firsts if at is not None]
        if len(starts) < len(firsts) or not begun:
            return
        done = max(*starts, min(begun))
        yield Sighting(min(starts), done, done)
        start = done


def _at_value(rows: Sequence[Stretch], start: int) -> int | None:
    """The first instant from `start` on at which the point was at the value."""
    return next((max(r.start, start) for r in rows if r.at_value and r.end > start), None)


def _beginnings(rows: Sequence[Stretch]) -> list[int]:
    """Instants at which the point is seen to go from another value to this one."""
    return [
        row.start
        for before, row in itertools.pairwise(rows)
        if row.at_value and before.at_value is False
    ]


def _clipped(rows: Sequence[Stretch], start: int, end: int) -> list[Stretch]:
    return [Stretch(max(r.start, start), r.end, r.at_value) for r in rows if start < r.end <= end]


def _unknown_share(rows: Sequence[Stretch], start: int, end: int) -> float:
    unknown = sum(row.end - row.start for row in rows if row.at_value is None)
    return unknown / (end - start) if end > start else 1.0
