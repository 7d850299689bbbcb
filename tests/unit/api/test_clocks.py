"""Clocks count wall minutes as the page of rules says; numbers in the names are its rules."""

from typing import Any

import pytest

from api.desk.clocks import MINUTE, PAUSE_REASONS, ClockView, Mark, Policy, clocks

H = 60
POLICY = Policy(
    "test",
    {
        "respond": {"critical": 15, "high": 30, "medium": 120, "low": 480},
        "resolve": {"critical": 60, "high": 240, "medium": 1440, "low": 4320},
    },
    pause_reasons=frozenset({"parts", "access"}),
)
"""resolve: critical 1 h, high 4 h."""


def marks(*rows: tuple[object, ...]) -> list[Mark]:
    """(kind, minute, info) rows as marks; the first is `raised`."""
    return [
        Mark(str(row[0]), int(str(row[1])) * MINUTE, str(row[2]) if len(row) > 2 else "")
        for row in rows
    ]


def resolve(rows: list[Mark], now: int) -> ClockView:
    return [c for c in clocks(rows, now * MINUTE, POLICY) if c.kind == "resolve"][-1]


def respond(rows: list[Mark], now: int) -> ClockView:
    return clocks(rows, now * MINUTE, POLICY)[0]


RAISED = ("raised", 0, "high")

# what happened, now, state, target, elapsed, segments: all in minutes
CASES: dict[str, tuple[Any, ...]] = {
    "10: every second counts": ([RAISED], 100, "running", 240, 100, [(0, 100)]),
    "20: at the target an open clock is not late": (
        [RAISED], 240, "warning", 240, 240, [(0, 240)],
    ),
    "20: past the target it is": ([RAISED], 241, "breached", 240, 241, [(0, 241)]),
    "20: stopped at the target it is kept": (
        [RAISED, ("complete", 240)], 999, "met", 240, 240, [(0, 240)],
    ),
    "20: stopped after it, late for ever": (
        [RAISED, ("complete", 241)], 999, "breached", 240, 241, [(0, 241)],
    ),
    "37: a warning at three quarters": ([RAISED], 180, "warning", 240, 180, [(0, 180)]),
    "37: and not before": ([RAISED], 179, "running", 240, 179, [(0, 179)]),
    "23: a pause moves the target by what was lost": (
        [RAISED, ("pause", 60, "parts"), ("resume", 90)],
        100, "running", 270, 70, [(0, 60), (90, 100)],
    ),
    "23: a reason that the policy does not accept stops nothing": (
        [RAISED, ("pause", 60, "tea"), ("resume", 90)], 100, "running", 240, 100, [(0, 100)],
    ),
    "24: while paused there is no target and nothing counts": (
        [RAISED, ("pause", 60, "parts")], 600, "paused", None, 60, [(0, 60)],
    ),
    "24: from the very instant of the pause": (
        [RAISED, ("pause", 60, "parts")], 60, "paused", None, 60, [(0, 60)],
    ),
    "24: late before the pause it stays so, with its target": (
        [RAISED, ("pause", 300, "parts")], 600, "breached", 240, 300, [(0, 300)],
    ),
    "25: a pause after the target moves nothing": (
        [RAISED, ("pause", 300, "parts"), ("resume", 400)],
        410, "breached", 240, 310, [(0, 300), (400, 410)],
    ),
    "25: one that begins at the target still does": (
        [RAISED, ("pause", 240, "parts"), ("resume", 300)],
        300, "warning", 300, 240, [(0, 240)],
    ),
    "43: completing ends the pause": (
        [RAISED, ("pause", 60, "parts"), ("complete", 100)], 500, "met", 280, 60, [(0, 60)],
    ),
    "23: two pauses add up": (
        [RAISED, ("pause", 10, "parts"), ("resume", 20), ("pause", 30, "access"), ("resume", 50)],
        60, "running", 270, 30, [(0, 10), (20, 30), (50, 60)],
    ),
    "19: a pause from the start leaves no empty segment": (
        [RAISED, ("pause", 0, "parts"), ("resume", 10)], 10, "running", 250, 0, [],
    ),
    "22: cancelled it counts to the cancellation": (
        [RAISED, ("cancel", 50)], 500, "cancelled", None, 50, [(0, 50)],
    ),
    "22: cancelled in a pause": (
        [RAISED, ("pause", 20, "parts"), ("cancel", 50)], 99, "cancelled", None, 20, [(0, 20)],
    ),
    "30: merged away its clocks are cancelled": (
        [RAISED, ("merge", 50)], 500, "cancelled", None, 50, [(0, 50)],
    ),
    "30: the survivor takes the earliest start": (
        [("raised", 100, "high"), ("merged_in", 150, 30 * MINUTE)],
        200, "running", 270, 170, [(30, 200)],
    ),
    "30: a later start of the other changes nothing": (
        [RAISED, ("merged_in", 150, 100 * MINUTE)], 160, "running", 240, 160, [(0, 160)],
    ),
    "30: a stopped clock is judged anew": (
        [("raised", 200, "high"), ("complete", 300), ("merged_in", 310, 0)],
        320, "breached", 240, 300, [(0, 300)],
    ),
    "28: raised priority, as if from the start": (
        [RAISED, ("priority", 30, "critical")], 40, "running", 60, 40, [(0, 40)],
    ),
    "28: its target may lie in the past": (
        [RAISED, ("priority", 90, "critical")], 91, "breached", 60, 91, [(0, 91)],
    ),
    "28: pauses are kept": (
        [RAISED, ("pause", 10, "parts"), ("resume", 20), ("priority", 30, "critical")],
        40, "running", 70, 30, [(0, 10), (20, 40)],
    ),
    "28: a stopped clock keeps its limit": (
        [RAISED, ("complete", 100), ("priority", 110, "critical")],
        120, "met", 240, 100, [(0, 100)],
    ),
    "43: lowered after a breach, the breach stays": (
        [RAISED, ("priority", 250, "low")], 260, "breached", 4320, 260, [(0, 260)],
    ),
    "43: and stopping before the new target does not undo it": (
        [RAISED, ("priority", 250, "low"), ("complete", 300)],
        301, "breached", 4320, 300, [(0, 300)],
    ),
    "28: lowered before a breach it is a longer limit": (
        [RAISED, ("priority", 100, "low")], 260, "running", 4320, 260, [(0, 260)],
    ),
    "43: lowered in a pause before the target there is no breach": (
        [RAISED, ("pause", 100, "parts"), ("priority", 900, "low"), ("resume", 1000)],
        1000, "running", 4320 + 900, 100, [(0, 100)],
    ),
    "26: reopened in the window the same clock goes on": (
        [RAISED, ("complete", 100), ("reopen", 500)],
        510, "running", 640, 110, [(0, 100), (500, 510)],
    ),
    "26: the window's last instant is inside": (
        [RAISED, ("complete", 100), ("reopen", 100 + 24 * H)],
        101 + 24 * H, "running", 240 + 24 * H, 101, [(0, 100), (100 + 24 * H, 101 + 24 * H)],
    ),
    "26: after it a new clock with the full limit": (
        [RAISED, ("complete", 100), ("reopen", 101 + 24 * H)],
        111 + 24 * H, "running", 341 + 24 * H, 10, [(101 + 24 * H, 111 + 24 * H)],
    ),
    "26: an earlier breach stays": (
        [RAISED, ("complete", 300), ("reopen", 400)],
        410, "breached", 240, 310, [(0, 300), (400, 410)],
    ),
    "26: reopened and completed again": (
        [RAISED, ("complete", 100), ("reopen", 200), ("complete", 220)],
        999, "met", 340, 120, [(0, 100), (200, 220)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_resolve_clock(name: str) -> None:
    rows, now, state, target, elapsed, segments = CASES[name]
    seen = resolve(marks(*rows), now)
    assert seen.state == state
    assert seen.target == (None if target is None else target * MINUTE)
    assert seen.elapsed_s == elapsed * 60
    assert seen.segments == tuple((a * MINUTE, b * MINUTE) for a, b in segments)
    assert seen.remaining_s == seen.limit * 60 - seen.elapsed_s


def test_the_old_verdict_stands_beside_the_new_clock() -> None:
    rows = marks(RAISED, ("accept", 5), ("complete", 100), ("reopen", 101 + 24 * H))
    seen = clocks(rows, 9000 * MINUTE, POLICY)
    assert [(c.kind, c.state) for c in seen] == [
        ("respond", "met"),
        ("resolve", "met"),
        ("resolve", "breached"),
    ]
    assert seen[1].stopped_at == 100 * MINUTE


@pytest.mark.parametrize(
    ("rows", "now", "state", "stopped"),
    [
        ([RAISED], 10, "running", None),
        ([RAISED], 31, "breached", None),
        ([RAISED, ("accept", 10)], 99, "met", 10),
        ([RAISED, ("accept", 31)], 99, "breached", 31),
        ([RAISED, ("accept", 10), ("complete", 50), ("reopen", 60)], 999, "met", 10),
        ([RAISED, ("complete", 20)], 999, "met", 20),
        ([RAISED, ("accept", 10), ("cancel", 20)], 999, "met", 10),
        ([RAISED, ("cancel", 20)], 999, "cancelled", None),
        ([RAISED, ("accept", 10), ("priority", 20, "critical")], 30, "met", 10),
    ],
)
def test_the_respond_clock_stops_when_somebody_accepts_and_never_starts_again(
    rows: list[tuple[object, ...]], now: int, state: str, stopped: int | None
) -> None:
    seen = respond(marks(*rows), now)
    assert seen.state == state
    assert seen.stopped_at == (None if stopped is None else stopped * MINUTE)


def test_27_an_alarm_that_clears_by_itself_stops_no_clock() -> None:
    assert resolve(marks(RAISED, ("returned", 10)), 100) == resolve(marks(RAISED), 100)


def test_14_immediate_is_due_at_its_start() -> None:
    at_once = Policy("t", {"respond": {"high": 0}, "resolve": {"high": 0}}, warn_percent=101)
    first, later = (clocks(marks(RAISED), now, at_once)[0] for now in (0, 1))
    assert (first.state, first.target) == ("warning", 0)
    assert later.state == "breached"


def test_every_reason_pauses_where_the_policy_names_none() -> None:
    every = Policy("t", POLICY.limits)
    rows = marks(RAISED, ("pause", 60, "anything"))
    assert clocks(rows, 100 * MINUTE, every)[1].state == "paused"


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        *((reason, "paused") for reason in PAUSE_REASONS),
        ("Waiting  for part", "paused"),
        ("lunch", "running"),
        ("", "running"),
    ],
)
def test_23_as_shipped_only_what_nobody_here_can_change_stops_a_clock(
    reason: str, state: str
) -> None:
    rows = marks(RAISED, ("accept", 5), ("pause", 60, reason))
    assert clocks(rows, 100 * MINUTE)[1].state == state


def test_the_same_events_give_the_same_clocks_at_any_later_time_once_they_are_stopped() -> None:
    rows = marks(RAISED, ("accept", 5), ("pause", 60, "parts"), ("resume", 90), ("complete", 100))
    assert clocks(rows, 100 * MINUTE, POLICY) == clocks(rows, 10**6 * MINUTE, POLICY)
