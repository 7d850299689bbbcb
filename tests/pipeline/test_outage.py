import logging
from collections.abc import Iterator

import pytest

from commands.prove_outage import Outage, prove_outage


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("unmeasured")
def test_an_outage_loses_only_what_it_says_and_history_delays_nothing_urgent() -> None:
    """A sample; `steward prove outage` runs three days of 200 points."""
    episodes = {e.name: e for e in prove_outage(Outage(hours=1.0, points=10), lambda _: None)}
    assert [(e.name, e.problems) for e in episodes.values()] == [
        ("long", []), ("cap", []), ("damaged", []),
    ]  # fmt: skip
    assert episodes["long"].figures["journalled"] == episodes["long"].figures["made"] > 4_000
    assert episodes["cap"].figures["told"] == episodes["cap"].figures["lost"] > 100
    assert episodes["damaged"].figures["set_aside"] >= 1


def test_an_hour_of_four_points_is_an_outage_too() -> None:
    """Under coverage, which the other is too long for."""
    episodes = prove_outage(Outage(hours=0.5, points=4), lambda _: None)
    assert [(e.name, e.problems) for e in episodes] == [("long", []), ("cap", []), ("damaged", [])]
