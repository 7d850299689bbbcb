"""The desk in lists: the twin of the ledger's tables."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

from api.desk.numbering import number_of, parse_number
from api.ports import Conflict, DeskEvent, DeskRow

_RowKey = tuple[str, str, str]


@dataclass(slots=True)
class _Rows:
    """Rows and what they hold; changed as a copy, so that a conflict keeps nothing."""

    rows: dict[_RowKey, DeskRow] = field(default_factory=dict)
    for_ever: dict[_RowKey, str] = field(default_factory=dict)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def copy(self) -> "_Rows":
        return _Rows(dict(self.rows), dict(self.for_ever), dict(self.numbers))

    def put(self, row: DeskRow) -> None:
        key = (row.stream, row.site, row.id)
        old = self.rows.get(key)
        if row.version != (old.version if old else 0) + 1:
            raise Conflict(f"{row.stream} {row.id} is not at version {row.version - 1}")
        self._hold(row)
        if row.version == 1:
            self._take_number(row)
        self.rows[key] = row

    def _hold(self, row: DeskRow) -> None:
        for other in self.rows.values():
            same = (other.stream, other.site) == (row.stream, row.site) and other.id != row.id
            if row.open and same and other.open and set(other.unique) & set(row.unique):
                raise Conflict(f"{other.id} holds {sorted(set(other.unique) & set(row.unique))}")
        if row.unique_for_ever:
            key = (row.stream, row.site, row.unique_for_ever)
            if self.for_ever.setdefault(key, row.id) != row.id:
                raise Conflict(f"{row.unique_for_ever} belongs to {self.for_ever[key]} for ever")

    def _take_number(self, row: DeskRow) -> None:
        parsed = parse_number(row.id) if row.stream == "order" else None
        if parsed is None:
            return
        month, n = parsed
        if n != self.numbers.get((row.site, month), 0) + 1:
            raise Conflict(f"{row.id} is not the next number")
        self.numbers[(row.site, month)] = n


class MemoryDesk:
    """Keeps everything of one process; safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._events: list[DeskEvent] = []
        self._keys: set[_RowKey] = set()
        self._kept = _Rows()
        self._cursors: dict[str, int] = {}

    def append(
        self,
        events: Sequence[DeskEvent],
        rows: Sequence[DeskRow],
        cursors: Mapping[str, int] | None = None,
    ) -> list[DeskEvent]:
        with self._lock:
            new = [e for e in events if (e.stream, e.site, e.key) not in self._keys]
            trial = self._kept.copy()
            if new or not events:
                for row in rows:
                    trial.put(row)
            kept = [replace(e, seq=len(self._events) + i + 1) for i, e in enumerate(new)]
            self._kept = trial
            self._events += kept
            self._keys |= {(e.stream, e.site, e.key) for e in kept}
            self._cursors.update(cursors or {})
            return kept

    def number(self, site: str, month: str) -> str:
        with self._lock:
            return number_of(month, self._kept.numbers.get((site, month), 0) + 1)

    def row(self, stream: str, site: str, id: str) -> DeskRow | None:
        with self._lock:
            return self._kept.rows.get((stream, site, id))

    def those(self, stream: str, site: str, ids: Collection[str]) -> dict[str, DeskRow]:
        with self._lock:
            found = {id: self._kept.rows.get((stream, site, id)) for id in ids}
        return {id: row for id, row in found.items() if row is not None}

    def rows(
        self, stream: str, site: str | None = None, *, open_only: bool = False, limit: int = 100_000
    ) -> list[DeskRow]:
        with self._lock:
            found = [
                r
                for r in reversed(self._kept.rows.values())
                if r.stream == stream and site in (None, r.site) and (r.open or not open_only)
            ]
        return found[:limit]

    def history(self, stream: str, site: str, subject: str) -> list[DeskEvent]:
        with self._lock:
            return [
                e for e in self._events if (e.stream, e.site, e.subject) == (stream, site, subject)
            ]

    def cursor(self, name: str) -> int:
        with self._lock:
            return self._cursors.get(name, 0)
