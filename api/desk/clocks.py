"""Deadlines of a work order, computed afresh from its events: nothing is stored and moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

MINUTE = 60_000
HOUR = 60 * MINUTE

ClockState = Literal["running", "warning", "met", "breached", "paused", "cancelled"]
Span = tuple[int, int | None]
"""Half-open, UTC ms; None: not ended yet."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One instant (UTC ms) that a clock looks at: an event's kind and the one fact it needs.

    `info` is the priority (`raised`, `priority`), the reason (`pause`) or the other order's start
    in UTC ms (`merged_in`).
    """

    kind: str
    at: int
    info: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits in wall minutes per clock kind and priority. A warning is due at `warn_percent`.

    `pause_reasons` are those that stop a clock (rules-time 23); None: every reason does. `repeat_window_h` is
    counted from completion (rules-time 26).
    """

    version: str
    limits: Mapping[str, Mapping[str, int]]
    warn_percent: int = 75
    repeat_window_h: int = 24
    pause_reasons: frozenset[str] | None = None


PAUSE_REASONS = (
    "waiting_for_part",
    "access_refused",
    "waiting_for_third_party",
    "waiting_for_permit",
    "unsafe_weather",
)
"""What the one who works cannot change; a pause for anything else is a pause all the same."""

DEFAULT_POLICY = Policy(
    version="wall-2",
    limits={
        "respond": {"critical": 15, "high": 30, "medium": 120, "low": 480},
        "resolve": {"critical": 240, "high": 480, "medium": 1440, "low": 4320},
    },
    pause_reasons=frozenset(PAUSE_REASONS),
)


@dataclass(frozen=True, slots=True)
class ClockView:
    """One clock as it stands. Times UTC ms, `limit` in `unit`, elapsed and remaining in seconds.

    `target` is None while it is paused and once it is cancelled. `segments` are the spans that
    were counted.
    """

    kind: str
    limit: int
    target: int | None
    elapsed_s: float
    remaining_s: float
    state: ClockState
    segments: tuple[tuple[int, int], ...]
    started_at: int
    stopped_at: int | None
    unit: str = "wall_minutes"


@dataclass(slots=True)
class _Run:
    """What one clock lived through; `ended` is set by a cancellation, `stop` by its stop."""

    kind: str
    start: int
    lost: list[Span] = field(default_factory=list)
    stop: int | None = None
    ended: int | None = None


def clocks(marks: Sequence[Mark], now: int, policy: Policy = DEFAULT_POLICY) -> list[ClockView]:
    """Every clock of an order: `respond`, `resolve`, and a new `resolve` per late reopening.

    `marks` are in the order of their events, the first is `raised`.
    """
    start = start_of(marks)
    runs = [_responding(marks, start, policy), *_resolving(marks, start, policy)]
    priorities = [(m.at, m.info) for m in marks if m.kind in ("raised", "priority")]
    return [_view(run, priorities, now, policy) for run in runs]


def start_of(marks: Sequence[Mark]) -> int:
    """The earliest receipt of the order and of those merged into it (rules-time 30)."""
    merged = [int(m.info) for m in marks if m.kind == "merged_in"]
    return min([marks[0].at, *merged])


def _responding(marks: Sequence[Mark], start: int, policy: Policy) -> _Run:
    run = _Run("respond", start)
    for mark in marks:
        if run.stop is None and run.ended is None:
            _feed(run, mark, ("accept", "complete"), policy)
    return run


def _resolving(marks: Sequence[Mark], start: int, policy: Policy) -> list[_Run]:
    runs = [_Run("resolve", start)]
    for mark in marks:
        run = runs[-1]
        if mark.kind == "reopen" and run.stop is not None:
            runs += _reopened(run, mark.at, policy)
        elif run.stop is None and run.ended is None:
            _feed(run, mark, ("complete",), policy)
    return runs


def _reopened(run: _Run, at: int, policy: Policy) -> list[_Run]:
    """Inside the window the clock goes on without the time between; after it a new one begins."""
    completed = run.stop if run.stop is not None else at
    if at - completed > policy.repeat_window_h * HOUR:
        return [_Run("resolve", at)]
    run.lost.append((completed, at))
    run.stop = None
    return []


def _feed(run: _Run, mark: Mark, stops: tuple[str, ...], policy: Policy) -> None:
    if mark.kind in stops:
        run.stop = mark.at
    elif mark.kind in ("cancel", "merge"):
        run.ended = mark.at
    elif mark.kind == "pause" and _accepted(mark.info, policy):
        run.lost.append((mark.at, None))
        return
    elif mark.kind != "resume":
        return
    _end_pause(run, mark.at)


def _accepted(reason: str, policy: Policy) -> bool:
    """Whether the reason stops a clock; one that is written as words counts like its name."""
    name = "_".join(reason.casefold().split())
    return policy.pause_reasons is None or name in policy.pause_reasons


def _end_pause(run: _Run, at: int) -> None:
    if run.lost and run.lost[-1][1] is None:
        run.lost[-1] = (run.lost[-1][0], at)


def _view(run: _Run, priorities: Sequence[tuple[int, str]], now: int, policy: Policy) -> ClockView:
    end = next((t for t in (run.stop, run.ended) if t is not None), now)
    limit = _limit(run, priorities, end, policy)
    target = _target(run, limit * MINUTE, end)
    segments = _segments(run, end)
    elapsed = sum(b - a for a, b in segments)
    late = _breached_before_a_change(run, priorities, end, policy)
    state = _state(run, target=target, now=now, late=late)
    if state == "running" and elapsed * 100 >= limit * MINUTE * policy.warn_percent:
        state = "warning"
    return ClockView(
        run.kind,
        limit,
        None if run.ended is not None else target,
        elapsed / 1000,
        limit * 60 - elapsed / 1000,
        state,
        segments,
        run.start,
        run.stop,
    )


def _limit(run: _Run, priorities: Sequence[tuple[int, str]], end: int, policy: Policy) -> int:
    """Minutes by the last priority before `end`: a stopped clock keeps its limit (rule 28)."""
    names = [priorities[0][1], *(name for at, name in priorities[1:] if at <= end)]
    return policy.limits[run.kind][names[-1]]


def _target(run: _Run, limit_ms: int, at: int) -> int | None:
    """The earliest instant at which the limit is used up, as known at `at`; None while paused.

    A span that was lost after the target does not move it (rules-time 25).
    """
    target = run.start + limit_ms
    for begin, end in run.lost:
        if begin > at or begin > target:
            break
        if end is None or end > at:
            return None
        target += end - begin
    return target


def _breached_before_a_change(
    run: _Run, priorities: Sequence[tuple[int, str]], end: int, policy: Policy
) -> bool:
    """Whether a limit of an earlier priority had been passed when it changed (rules-time 43)."""
    for (_, name), (changed, _) in pairwise(priorities):
        target = _target(run, policy.limits[run.kind][name] * MINUTE, changed)
        if changed <= end and target is not None and changed > target:
            return True
    return False


def _segments(run: _Run, end: int) -> tuple[tuple[int, int], ...]:
    """What was counted between start and `end`: touching spans joined, empty ones left out."""
    spans: list[tuple[int, int]] = []
    begin = run.start
    for lost, back in run.lost:
        if lost > begin:
            spans.append((begin, lost))
        begin = end if back is None else back
    if end > begin:
        spans.append((begin, end))
    return tuple(spans)


def _state(run: _Run, *, target: int | None, now: int, late: bool) -> ClockState:
    if run.ended is not None:
        return "cancelled"
    instant = now if run.stop is None else run.stop
    if late or (target is not None and instant > target):
        return "breached"
    if run.stop is not None:
        return "met"
    return "paused" if target is None else "running"
