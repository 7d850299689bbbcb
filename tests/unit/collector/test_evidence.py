import numpy as np
import pytest

from collector.domain.evidence import (
    Look,
    Stretch,
    Trace,
    Verdict,
    VerdictKind,
    judge,
    stretches,
)
from config.standards import ChangedOver, Ran

S, MIN = 1_000, 60_000


def trace(*rows: tuple[float, float | None], silence_s: float = 60) -> Trace:
    """Rows of (second, value; None: bad)."""
    return Trace(
        np.array([round(second * S) for second, _ in rows], np.int64),
        np.array([np.nan if value is None else value for _, value in rows], np.float64),
        np.array([65 if value is None else 0 for _, value in rows], np.uint8),
        round(silence_s * S),
    )


def running(first: int, last: int, until: int = 1800) -> Trace:
    """A reading every 30 s: 1 from `first` to `last` (seconds), else 0."""
    return trace(*[(t, 1.0 if first <= t < last else 0.0) for t in range(0, until, 30)])


def cut(rows: list[Stretch]) -> list[tuple[float, float, bool | None]]:
    return [(row.start / S, row.end / S, row.at_value) for row in rows]


def test_a_value_holds_until_the_next_reading_or_its_silence() -> None:
    rows = stretches(trace((10, 1), (40, 0), (50, 1)), 1, 0, 200 * S)
    assert cut(rows) == [
        (0, 10, None),
        (10, 40, True),
        (40, 50, False),
        (50, 110, True),
        (110, 200, None),
    ]


def test_the_reading_before_the_window_says_how_it_begins() -> None:
    assert cut(stretches(trace((-20, 1), (30, 0)), 1, 0, 60 * S)) == [
        (0, 30, True),
        (30, 60, False),
    ]


def test_a_bad_reading_is_unknown_and_without_readings_all_is() -> None:
    assert cut(stretches(trace((0, 1), (20, None), (30, 1)), 1, 0, 60 * S)) == [
        (0, 20, True), (20, 30, None), (30, 60, True),
    ]  # fmt: skip
    assert cut(stretches(trace(), 1, 0, 60 * S)) == [(0, 60, None)]
    assert cut(stretches(trace((99, 1)), 1, 0, 60 * S)) == [(0, 60, None)]


RAN = Ran("run", 600)
WINDOW = (0, 1800 * S)


def verdict(
    evidence: Ran | ChangedOver, *traces: Trace | None, claimed: bool = False, over: bool = False
) -> Verdict | None:
    return judge(evidence, traces, Look(*WINDOW, claimed, over), bad_share_max=0.2)


def test_a_run_that_is_long_enough_confirms_with_its_span() -> None:
    found = verdict(RAN, running(300, 1020))
    assert found == Verdict(VerdictKind.CONFIRMED, (300 * S, 900 * S), 600.0)


def test_two_short_runs_are_no_long_one() -> None:
    both = trace(*[(t, 1.0 if 0 <= t < 400 or 500 <= t < 900 else 0.0) for t in range(0, 1800, 30)])
    assert verdict(RAN, both) is None
    found = verdict(RAN, both, over=True)
    assert found is not None
    assert (found.kind, found.seen_s) == (VerdictKind.ABSENT, 420.0)


def test_lost_data_breaks_a_run() -> None:
    broken = trace(
        *[(t, None if t == 600 else 1.0 if 300 <= t < 1020 else 0.0) for t in range(0, 1800, 30)]
    )
    assert verdict(RAN, broken) is None


CASES = [
    ("nothing yet", running(0, 0), False, False, None),
    ("claimed and not seen", running(0, 0), True, False, VerdictKind.CONTRADICTED),
    ("over and not seen", running(0, 0), False, True, VerdictKind.ABSENT),
    ("claimed and over and not seen", running(0, 0), True, True, VerdictKind.CONTRADICTED),
    ("claimed while a fifth and more was not seen", trace((0, 0.0), silence_s=1400), True, False, VerdictKind.NOT_OBSERVABLE),
    ("over while a fifth and more was not seen", trace((0, 0.0), silence_s=1400), False, True, VerdictKind.NOT_OBSERVABLE),
    ("claimed while just a fifth was not seen", trace((0, 0.0), silence_s=1440), True, False, VerdictKind.CONTRADICTED),
    ("no such point and open", None, False, False, None),
    ("no such point and claimed", None, True, False, VerdictKind.NOT_OBSERVABLE),
    ("no such point and over", None, False, True, VerdictKind.NOT_OBSERVABLE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "seen", "claimed", "over", "kind"), CASES, ids=[c[0] for c in CASES]
)
def test_what_the_readings_say(
    name: str, seen: Trace | None, claimed: bool, over: bool, kind: VerdictKind | None
) -> None:
    found = verdict(RAN, seen, claimed=claimed, over=over)
    assert (found.kind if found else None) is kind


BOTH = ChangedOver(("p1", "p2"))


def test_a_changeover_needs_both_and_one_of_them_seen_to_begin() -> None:
    found = verdict(BOTH, running(0, 600), running(600, 1800))
    assert found is not None
    assert (found.kind, found.span) == (VerdictKind.CONFIRMED, (0, 600 * S))


def test_two_that_ran_all_the_time_prove_no_changeover() -> None:
    assert verdict(BOTH, running(0, 1800), running(0, 1800)) is None
    assert verdict(BOTH, running(0, 1800), running(0, 0)) is None
    found = verdict(BOTH, running(0, 1800), running(0, 0), claimed=True)
    assert found is not None
    assert found.kind is VerdictKind.CONTRADICTED


def test_a_run_that_began_unseen_is_no_beginning() -> None:
    unseen = trace(*[(t, 1.0) for t in range(300, 1800, 30)])
    assert verdict(BOTH, running(0, 1800), unseen) is None


def test_an_empty_window_shows_nothing() -> None:
    found = judge(RAN, [running(0, 1800)], Look(500, 500, claimed=True), bad_share_max=0.2)
    assert found is not None
    assert found.kind is VerdictKind.NOT_OBSERVABLE


def test_again_from_where_it_was_seen_the_pumps_change_over_once_more() -> None:
    one, two = running(0, 600), running(600, 1200)
    back = trace(*[(t, 1.0 if t < 600 or t >= 1200 else 0.0) for t in range(0, 1800, 30)])
    look = Look(*WINDOW, taken=[600 * S])
    assert judge(BOTH, [one, two], look, bad_share_max=0.2) is None
    found = judge(BOTH, [back, two], look, bad_share_max=0.2)
    assert found is not None
    assert found.span == (600 * S, 1200 * S)


def test_a_run_seen_for_another_or_before_the_window_is_none_for_this_one() -> None:
    look = Look(0, 1800 * S, over=True, taken=[900 * S])
    found = judge(RAN, [running(300, 1020)], look, bad_share_max=0.2)
    assert found is not None
    assert found.kind is VerdictKind.ABSENT
    assert judge(RAN, [running(0, 1800)], Look(1200 * S, 1800 * S), bad_share_max=0.2) is None


def test_a_run_with_a_hole_in_it_is_one() -> None:
    broken = trace(*[(t, 1.0) for t in range(30, 1800, 30) if not 700 < t < 1000], (1790, 0.0))
    look = Look(*WINDOW, taken=[630 * S])
    assert judge(RAN, [broken], look, bad_share_max=0.5) is None


HOLES = [("may come", 0, VerdictKind.NOT_OBSERVABLE), ("came too late", 1800, VerdictKind.CONTRADICTED)]  # fmt: skip


@pytest.mark.parametrize(("name", "since", "kind"), HOLES, ids=[h[0] for h in HOLES])
def test_nobody_is_accused_while_a_hole_may_still_be_filled(
    name: str, since: int, kind: VerdictKind
) -> None:
    look = Look(*WINDOW, claimed=True, awaited_from=since * S)
    found = judge(RAN, [running(0, 300, until=1000)], look, bad_share_max=0.6)
    assert found is not None
    assert found.kind is kind


def test_a_long_window_is_judged_at_once() -> None:
    time = np.arange(0, 400_000 * 20 * S, 20 * S, dtype=np.int64)
    zeros = np.zeros(len(time))
    long = Trace(time, zeros, zeros.astype(np.uint8), 60 * S)
    assert len(stretches(long, 1, 0, int(time[-1]))) == 1
