"""What every keeper of asks must do: the twin, SQLite and PostgreSQL alike."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.adapters.memory_ledger import MemoryAsks
from collector.ports import Ask, Asks, Outcome, Unavailable
from tests.contract.ledgers import KINDS, fresh


@pytest.fixture(params=KINDS)
def asks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asks]:
    with fresh(request.param, tmp_path, request) as made:
        yield made.asks


def ask(id: str, kind: str = "acknowledge") -> Ask:
    return Ask(id, "here", kind, "alarm~1", "王芳", 12, {"note": "看过了"})


def test_an_ask_comes_back_as_it_was_asked_with_its_number(asks: Asks) -> None:
    number = asks.ask(ask("r1"))
    assert asks.since(0, ["acknowledge"]) == [replace(ask("r1"), seq=number)]


def test_the_same_request_id_is_one_ask(asks: Asks) -> None:
    first = asks.ask(ask("r1"))
    assert asks.ask(replace(ask("r1"), by="somebody else")) == first
    assert [a.by for a in asks.since(0, ["acknowledge"])] == ["王芳"]


def test_asks_are_read_in_order_by_kind_behind_a_number(asks: Asks) -> None:
    for id, kind in (("r1", "acknowledge"), ("r2", "done"), ("r3", "reset"), ("r4", "reset")):
        asks.ask(ask(id, kind))
    found = asks.since(0, ["acknowledge", "reset"])
    assert [a.id for a in found] == ["r1", "r3", "r4"]
    assert [a.id for a in asks.since(found[0].seq, ["acknowledge", "reset"], limit=1)] == ["r3"]
    assert asks.since(0, []) == []


def test_an_ask_waits_until_its_outcome_is_kept(asks: Asks) -> None:
    asks.ask(ask("r1"))
    assert asks.outcome("r1") is None
    asks.settle(Outcome("r1", accepted=False, reason="not_latched", at=13))
    assert asks.outcome("r1") == Outcome("r1", accepted=False, reason="not_latched", at=13)


def test_the_first_outcome_stays(asks: Asks) -> None:
    asks.settle(Outcome("r1", accepted=True, reason="", at=13))
    asks.settle(Outcome("r1", accepted=False, reason="too_late", at=14))
    assert asks.outcome("r1") == Outcome("r1", accepted=True, reason="", at=13)


def test_the_twin_can_be_away_too() -> None:
    twin = MemoryAsks()
    twin.away = True
    with pytest.raises(Unavailable):
        twin.ask(ask("r1"))
