"""Who may decide: the collector that opened the journal last, and an earlier one no more (decision 135)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from collector.ports import (
    Ask,
    Asks,
    Decisions,
    LedgerEvent,
    LedgerRow,
    Outcome,
    TakenOver,
    Unavailable,
)

TRIES_MAX: Final = 5


def claim(
    decisions: Decisions, name: str, prove: Callable[[], None], holds: Callable[[], bool]
) -> "OwnedDecisions":
    """Take the decisions of journal `name` over: whoever had them before is refused from here on.

    To be called when the journal is open and before anything is restored from the decisions: what the
    one before us kept until now is seen then. `prove` raises `TakenOver` unless the journal is ours, `holds`
    says whether our lease has not run out: whose has claims nothing, or it would lock the one out that has it.

    Raises:
        TakenOver: another collector opened the journal after us.
        Unavailable: ledger or journal cannot be reached, or our lease ran out.
    """
    owner = f"owner.{name}"
    for _ in range(TRIES_MAX):
        before = decisions.cursor(owner)
        prove()  # between the two: an earlier owner that comes in here is found out by the write
        look_at_lease(holds)
        try:
            decisions.append([], [], {owner: before + 1}, only_if={owner: before})
        except TakenOver:
            continue
        return OwnedDecisions(decisions, {owner: before + 1}, holds)
    raise Unavailable("the ledger is being claimed by several collectors: try again")


def look_at_lease(holds: Callable[[], bool]) -> None:
    """Return if our lease has not run out; else raises `Unavailable`."""
    if not holds():
        raise Unavailable("our lease of the site ran out: what is decided waits for who has it")


class OwnedDecisions:
    """`Decisions` of one owner: once another has claimed them, `append` raises `TakenOver` and keeps nothing.

    As long as nobody has, one whose lease ran out keeps nothing either, as far as its own clock can say, and
    is told nothing that it would act upon.
    """

    def __init__(
        self, decisions: Decisions, ours: Mapping[str, int], holds: Callable[[], bool]
    ) -> None:
        self._decisions = decisions
        self._ours = ours
        self._holds = holds

    def append(
        self,
        events: Sequence[LedgerEvent],
        rows: Sequence[LedgerRow],
        cursors: Mapping[str, int] | None = None,
        *,
        only_if: Mapping[str, int] | None = None,
    ) -> None:
        self._look()
        self._decisions.append(events, rows, cursors, only_if={**(only_if or {}), **self._ours})

    def since(self, seq: int, limit: int = 1000) -> list[LedgerEvent]:
        self._look()  # who follows the ledger acts on what it says, and on readings that may be old
        return self._decisions.since(seq, limit)

    def rows(
        self, stream: str, site: str | None = None, *, open_only: bool = False, limit: int = 100_000
    ) -> list[LedgerRow]:
        return self._decisions.rows(stream, site, open_only=open_only, limit=limit)

    def row(self, stream: str, site: str, id: str) -> LedgerRow | None:
        return self._decisions.row(stream, site, id)

    def history(self, stream: str, site: str, subject: str) -> list[LedgerEvent]:
        return self._decisions.history(stream, site, subject)

    def cursor(self, name: str) -> int:
        return self._decisions.cursor(name)

    def _look(self) -> None:
        look_at_lease(self._holds)


class OwnedAsks:
    """`Asks` answered by one owner. An answer is not of the transaction that asks who that is: a refusal may slip through."""

    def __init__(self, asks: Asks, decisions: OwnedDecisions) -> None:
        self._asks = asks
        self._decisions = decisions

    def ask(self, ask: Ask) -> int:
        return self._asks.ask(ask)

    def since(self, seq: int, kinds: Sequence[str], limit: int = 1000) -> list[Ask]:
        return self._asks.since(seq, kinds, limit)

    def settle(self, outcome: Outcome) -> None:
        self._decisions.append([], [])
        self._asks.settle(outcome)

    def outcome(self, ask_id: str) -> Outcome | None:
        return self._asks.outcome(ask_id)
