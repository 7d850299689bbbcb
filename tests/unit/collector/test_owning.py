"""Who lost a site decides nothing more, whatever it believes and however long it was stopped."""

import pytest

from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.owning import OwnedAsks, claim
from collector.ports import Ask, LedgerEvent, Outcome, TakenOver, Unavailable

NAME = "riverside"


def ours() -> None:
    """The journal is ours."""


def theirs() -> None:
    raise TakenOver("another collector has taken this journal over")


def held() -> bool:
    return True


def event(key: str) -> LedgerEvent:
    return LedgerEvent("alarm", NAME, "a", "raised", 7, key)


def test_whoever_claims_last_decides_and_an_earlier_one_is_refused_for_good() -> None:
    ledger = MemoryDecisions()
    first = claim(ledger, NAME, ours, held)
    first.append([event("1")], [])
    second = claim(ledger, NAME, ours, held)
    for _ in range(2):
        with pytest.raises(TakenOver):
            first.append([event("2")], [], {"alarming": 9})
    second.append([event("3")], [])
    assert [e.key for e in ledger.since(0)] == ["1", "3"]
    assert second.cursor("alarming") == 0


def test_who_does_not_have_the_journal_cannot_claim() -> None:
    ledger = MemoryDecisions()
    holder = claim(ledger, NAME, ours, held)
    with pytest.raises(TakenOver):
        claim(ledger, NAME, theirs, held)
    holder.append([event("1")], [])


def test_one_who_was_stopped_amid_a_claim_and_goes_on_too_late_has_nothing() -> None:
    """It had the journal when it asked; then the heir opened that and claimed, and only then it writes."""
    ledger = MemoryDecisions()
    heirs = []
    answers = [lambda: heirs.append(claim(ledger, NAME, ours, held)), theirs]
    with pytest.raises(TakenOver):
        claim(ledger, NAME, lambda: answers.pop(0)(), held)
    heirs[0].append([event("1")], [])


def test_an_earlier_one_that_claims_while_the_heir_does_keeps_nobody_out() -> None:
    ledger = MemoryDecisions()
    strays = []
    answers = [lambda: strays.append(claim(ledger, NAME, ours, held)), ours]
    heir = claim(ledger, NAME, lambda: answers.pop(0)(), held)
    heir.append([event("1")], [])
    with pytest.raises(TakenOver):
        strays[0].append([event("2")], [])


def test_a_claim_that_never_comes_through_says_so() -> None:
    ledger = MemoryDecisions()

    def others() -> None:
        ledger.append([], [], {f"owner.{NAME}": ledger.appends + 1})

    with pytest.raises(Unavailable, match="claimed by several"):
        claim(ledger, NAME, others, held)


def test_whose_lease_ran_out_keeps_nothing_before_anybody_claims() -> None:
    ledger, leases = MemoryDecisions(), [True, True, False, False]
    stopped = claim(ledger, NAME, ours, lambda: leases.pop(0))
    stopped.append([event("1")], [])
    with pytest.raises(Unavailable, match="lease"):
        stopped.append([event("2")], [])
    with pytest.raises(Unavailable, match="lease"):
        stopped.since(0)
    assert [e.key for e in ledger.since(0)] == ["1"]


def test_whose_lease_ran_out_claims_nothing_and_locks_nobody_out() -> None:
    ledger = MemoryDecisions()
    holder = claim(ledger, NAME, ours, held)
    with pytest.raises(Unavailable, match="lease"):
        claim(ledger, NAME, ours, lambda: False)
    holder.append([event("1")], [])


def test_journals_are_claimed_apart() -> None:
    ledger = MemoryDecisions()
    one, other = claim(ledger, NAME, ours, held), claim(ledger, "hillside", ours, held)
    one.append([event("1")], [])
    other.append([event("2")], [])


def test_who_lost_it_answers_nobody() -> None:
    ledger, asks = MemoryDecisions(), MemoryAsks()
    first = OwnedAsks(asks, claim(ledger, NAME, ours, held))
    second = OwnedAsks(asks, claim(ledger, NAME, ours, held))
    first.ask(Ask("q", NAME, "done", "o", "ann", 7))
    with pytest.raises(TakenOver):
        first.settle(Outcome("q", False, "unknown_occurrence", 8))  # the outcome's own order
    second.settle(Outcome("q", True, "", 9))
    assert second.outcome("q") == Outcome("q", True, "", 9)
    assert [ask.id for ask in second.since(0, ["done"])] == ["q"]
