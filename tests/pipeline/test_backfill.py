"""Six-hour-old readings are history, not news: a sample of `steward prove backfill`."""

import logging
from collections.abc import Iterator

import pytest

from commands.proving.backfill import FAULTS, Found, Seen, judge_news, prove_backfill

RULES = [rule for *_, rule in FAULTS]
PAST = [Seen("retrospective", f"{rule}@x", 5) for rule in RULES]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("unmeasured")
def test_a_quarter_of_an_hour_of_history_pages_nobody_and_comes_whole() -> None:
    found = prove_backfill(0.25, seed=3)
    assert found.problems == []
    assert found.figures["retrospective"] == len(FAULTS)
    assert found.figures["made"] == found.figures["journalled"] > 10_000


@pytest.mark.parametrize(
    ("seen", "problems"),
    [
        (PAST, []),
        ([*PAST, Seen("raised", "agent-silent@edge-a", 9), Seen("returned", "fuel-low@x", 9)], []),
        ([*PAST, Seen("raised", "fuel-low@generator", 9)], ["history paged: fuel-low@generator"]),
        (PAST[1:], [f"0 retrospective occurrences of {RULES[0]}, not 1"]),
        ([*PAST, PAST[0]], [f"2 retrospective occurrences of {RULES[0]}, not 1"]),
    ],
    ids=["as it must be", "the link's own alarm", "paged", "not seen", "seen twice"],
)
def test_what_history_may_and_may_not_say(seen: list[Seen], problems: list[str]) -> None:
    found = Found()
    judge_news(seen, RULES, found)
    assert found.problems == problems
