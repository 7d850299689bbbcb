"""The ledger's twin: decisions and asks in lists, as forgetful of types as JSON is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from collector.ports import Ask, LedgerEvent, LedgerRow, Outcome, TakenOver, Unavailable


def _kept(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a database would give back: a copy, tuples as lists; refuses what JSON has no word for."""
    kept: dict[str, Any] = json.loads(json.dumps(dict(data), allow_nan=False))
    return kept


class MemoryDecisions:
    """`Decisions` in lists. While `away` is set every call raises `Unavailable`."""

    def __init__(self) -> None:
        self.away = False
        self.appends = 0
        self._events: list[LedgerEvent] = []
        self._keys: set[tuple[str, str, str]] = set()
        self._rows: dict[tuple[str, str, str], LedgerRow] = {}
        self._cursors: dict[str, int] = {}

    def append(
        self,
        events: Sequence[LedgerEvent],
        rows: Sequence[LedgerRow],
        cursors: Mapping[str, int] | None = None,
        *,
        only_if: Mapping[str, int] | None = None,
    ) -> None:
        self._reach()
        for name, position in (only_if or {}).items():
            if self._cursors.get(name, 0) != position:
                raise TakenOver(f"another collector has it now ({name} is not {position})")
        kept_rows = [replace(row, data=_kept(row.data)) for row in rows]
        copies = [replace(event, data=_kept(event.data)) for event in events]
        for event in copies:
            self._keep(event)
        self._rows.update({(row.stream, row.site, row.id): row for row in kept_rows})
        self._cursors.update(cursors or {})
        self.appends += 1

    def _keep(self, event: LedgerEvent) -> None:
        key = (event.stream, event.site, event.key)
        if key not in self._keys:
            self._keys.add(key)
            self._events.append(replace(event, seq=len(self._events) + 1))

    def since(self, seq: int, limit: int = 1000) -> list[LedgerEvent]:
        self._reach()
        found = self._events[max(0, seq) :][:limit]
        return [replace(event, data=_kept(event.data)) for event in found]

    def rows(
        self, stream: str, site: str | None = None, *, open_only: bool = False, limit: int = 100_000
    ) -> list[LedgerRow]:
        self._reach()
        found = [
            replace(row, data=_kept(row.data))
            for row in reversed(self._rows.values())
            if row.stream == stream and site in (None, row.site) and (row.open or not open_only)
        ]
        return found[:limit]

    def row(self, stream: str, site: str, id: str) -> LedgerRow | None:
        self._reach()
        row = self._rows.get((stream, site, id))
        return None if row is None else replace(row, data=_kept(row.data))

    def history(self, stream: str, site: str, subject: str) -> list[LedgerEvent]:
        everything = self.since(0, len(self._events))
        wanted = (stream, site, subject)
        return [
            event for event in everything if (event.stream, event.site, event.subject) == wanted
        ]

    def cursor(self, name: str) -> int:
        self._reach()
        return self._cursors.get(name, 0)

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("the ledger is away")


class MemoryAsks:
    """`Asks` in lists. While `away` is set every call raises `Unavailable`."""

    def __init__(self) -> None:
        self.away = False
        self._asks: list[Ask] = []
        self._outcomes: dict[str, Outcome] = {}

    def ask(self, ask: Ask) -> int:
        self._reach()
        for earlier in self._asks:
            if earlier.id == ask.id:
                return earlier.seq
        kept = replace(ask, seq=len(self._asks) + 1, data=_kept(ask.data))
        self._asks.append(kept)
        return kept.seq

    def since(self, seq: int, kinds: Sequence[str], limit: int = 1000) -> list[Ask]:
        self._reach()
        return [ask for ask in self._asks if ask.seq > seq and ask.kind in kinds][:limit]

    def settle(self, outcome: Outcome) -> None:
        self._reach()
        self._outcomes.setdefault(outcome.ask, outcome)

    def outcome(self, ask_id: str) -> Outcome | None:
        self._reach()
        return self._outcomes.get(ask_id)

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("the ledger is away")
