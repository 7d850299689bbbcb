"""Readings prove a repair by minutes without a break, after it; anything unknown proves nothing."""

import pytest

from api.desk.proof import Watched, prove, usable

GOOD = Watched("NORMAL", 0, usable=True)
M = 60_000


@pytest.mark.parametrize(
    ("watched", "completed", "now", "reason", "healthy_s"),
    [
        ([GOOD], 10 * M, 15 * M, "healthy", 300),
        ([GOOD], 10 * M, 12 * M, "healthy", 120),
        ([Watched("NORMAL", 12 * M, usable=True)], 10 * M, 15 * M, "healthy", 180),
        ([GOOD, Watched("NORMAL", 14 * M, usable=True)], 10 * M, 15 * M, "healthy", 60),
        ([GOOD], 0, 15 * M, "waiting", 0),
        ([GOOD, Watched("ABNORMAL", 0, usable=True)], 10 * M, 99 * M, "abnormal", 0),
        ([GOOD, Watched("UNKNOWN", 0, usable=True)], 10 * M, 99 * M, "unknown", 0),
        ([Watched("NORMAL", 0, usable=False)], 10 * M, 99 * M, "unknown", 0),
        ([Watched("UNKNOWN", 0, usable=False), Watched("ABNORMAL", 0, usable=False)],
         10 * M, 99 * M, "abnormal", 0),
        ([], 10 * M, 99 * M, "unknown", 0),
        ([GOOD], 20 * M, 15 * M, "healthy", 0),
    ],
)  # fmt: skip
def test_what_rules_prove(
    watched: list[Watched], completed: int, now: int, reason: str, healthy_s: float
) -> None:
    seen = prove(watched, completed_at=completed, needed_s=300, now=now)
    assert (seen.reason, seen.healthy_s) == (reason, healthy_s)
    assert seen.complete == (reason == "healthy" and healthy_s >= 300)


@pytest.mark.parametrize(
    ("quality", "age_s", "expected"),
    [
        (0, 0, True), (0, 60, True), (0, 61, False), (3, 10, True), (5, 10, True),
        (2, 10, False), (7, 10, False), (64, 10, False), (65, 0, False), (71, 0, False),
    ],
)  # fmt: skip
def test_which_readings_say_how_it_is_now(quality: int, age_s: int, expected: bool) -> None:
    now = 10**9
    assert usable(quality, now - age_s * 1000, now=now, silence_s=60) is expected


def test_a_reading_that_never_came_says_nothing() -> None:
    assert not usable(0, 0, now=1000, silence_s=60)
