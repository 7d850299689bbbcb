import logging
from collections import Counter
from collections.abc import Iterator

import pytest

from commands.prove_delivery import run_model

SEEDS = range(7_000, 7_060)
"""A sample, by twenties: of ten runs none may have had a copy of the disk to go back to. `steward prove delivery --seeds 1000` runs more."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("start", SEEDS[::20])
def test_nothing_is_stuck_doubled_or_lost_beyond_what_was_thinned_and_counted(start: int) -> None:
    verdicts = [run_model(seed) for seed in range(start, start + 20)]
    assert [verdict for verdict in verdicts if not verdict.ok] == []
    assert sum(verdict.made for verdict in verdicts) > 1_000
    assert sum(verdict.events for verdict in verdicts) > 100
    assert sum(verdict.pending for verdict in verdicts) > 0
    happened: Counter[str] = Counter()
    for verdict in verdicts:
        happened.update(verdict.accidents)
    assert sum(happened.values()) > 50
    assert all(happened.values()), f"never happened: {happened}"


def test_the_same_seed_gives_the_same_run() -> None:
    assert run_model(11) == run_model(11)
