"""Events of the ledger that the desk could not take: kept for another try, so that others go on."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from api.ports import Desk, DeskRow
from collector.ports import Decisions, LedgerEvent

ASIDE = "aside"
"""Stream: one row per event that waits, open until it is taken."""
TRIES_MAX = 100
"""Events that are tried again at a time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One event that waits, and the row that ends its waiting."""

    seq: int
    event: LedgerEvent
    done: DeskRow


class Aside:
    """What waits, oldest first. Calls block."""

    def __init__(self, desk: Desk, decisions: Decisions) -> None:
        self._desk = desk
        self._decisions = decisions

    def put(self, event: LedgerEvent, why: str, cursors: Mapping[str, int]) -> None:
        """Let an event wait; it is said once, as an error."""
        log.error(
            "event %d of the ledger is set aside: %s %s, %s: %s",
            event.seq, event.stream, event.subject, event.kind, why,
        )  # fmt: skip
        data = {"stream": event.stream, "subject": event.subject, "seq": event.seq, "why": why}
        self._desk.append([], [DeskRow(ASIDE, event.site, str(event.seq), True, data)], cursors)

    def waiting(self) -> list[Waiting]:
        """The events that wait longest."""
        rows = self._desk.rows(ASIDE, open_only=True)
        found = [self._found(row) for row in reversed(rows[-TRIES_MAX:])]
        return [kept for kept in found if kept is not None]

    def _found(self, row: DeskRow) -> Waiting | None:
        stream, subject, seq = (row.data[k] for k in ("stream", "subject", "seq"))
        events = self._decisions.history(stream, row.site, subject)
        done = DeskRow(ASIDE, row.site, row.id, False, row.data, row.version + 1)
        return next((Waiting(seq, e, done) for e in events if e.seq == seq), None)


def count_waiting(desk: Desk) -> int:
    """How many events wait."""
    return len(desk.rows(ASIDE, open_only=True))
