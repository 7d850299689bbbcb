"""What the desk needs from outside: a place for its rows and events."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class DeskEvent:
    """One thing that happened to an order, a person, a session or a token. `seq` is given by the desk.

    `key` is the natural key: the same key is written once. Times UTC ms.
    """

    stream: str
    site: str
    subject: str
    kind: str
    at: int
    by: str
    key: str
    data: Mapping[str, Any] = field(default_factory=dict)
    schema: int = 1
    seq: int = 0


@dataclass(frozen=True, slots=True)
class DeskRow:
    """The current row of one order, person, session, token …: a fold of its events.

    `unique` values may be held by one open row of the stream only (cause; asset + fault class).
    `version` grows by one with each change (ETag).
    """

    stream: str
    site: str
    id: str
    open: bool
    data: Mapping[str, Any]
    version: int = 1
    unique: Sequence[str] = ()
    """Keys that no other open row of the stream may hold."""
    unique_for_ever: str = ""
    """A key that no other row of the stream may ever hold."""


class Conflict(Exception):
    """Another row holds the key, or the row changed meanwhile (`version`)."""


class Desk(Protocol):
    """Orders, people and audit: events and their current rows, one transaction."""

    def append(
        self,
        events: Sequence[DeskEvent],
        rows: Sequence[DeskRow],
        cursors: Mapping[str, int] | None = None,
    ) -> list[DeskEvent]:
        """Keep all at once. A row with version v replaces version v-1 only.

        Events whose key is known are left out; where all of them are, the step was done before and
        its rows are left too, while `cursors` are kept. Returns the events that were new.
        An order's first row must carry the next number of its month.
        Raises `Conflict` (nothing kept) and `collector.ports.Unavailable`.
        """
        ...

    def number(self, site: str, month: str) -> str:
        """The next work-order number `YYYYMM-NNNN` of that site and month, gap-free.

        A number asked for and not used by an `append` is given again.
        """
        ...

    def row(self, stream: str, site: str, id: str) -> DeskRow | None:
        """One row."""
        ...

    def those(self, stream: str, site: str, ids: Collection[str]) -> dict[str, DeskRow]:
        """The rows that there are of these ids, by id."""
        ...

    def rows(
        self, stream: str, site: str | None = None, *, open_only: bool = False, limit: int = 100_000
    ) -> list[DeskRow]:
        """Current rows, newest first."""
        ...

    def history(self, stream: str, site: str, subject: str) -> list[DeskEvent]:
        """All events of one subject, in order."""
        ...

    def cursor(self, name: str) -> int:
        """A named cursor, 0 if never written."""
        ...
