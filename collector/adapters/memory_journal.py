"""The journal's twin: a list, held to the same contract; `fail_appends` makes its disk full, `fail_reads` spoils it for a while."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from collector.counting import Counts, Tally
from collector.ports import CountKey, Entry, MarkKey, Unavailable


class MemoryJournal:
    """Keeps groups in a list. `groups` outlives the object that used it: pass it on to restart."""

    def __init__(self) -> None:
        self._groups: list[tuple[int, list[Entry]]] = []
        self._ends: list[int] = []
        self._last = 0
        self._trimmed = Tally()
        self._tally = Tally()
        self.fail_appends = 0
        self.fail_reads = 0
        """How many of the next appends, of the next reads, raise `Unavailable`; -1 is for ever."""

    def append(self, entries: Sequence[Entry]) -> int:
        if self.fail_appends:
            self.fail_appends -= 1 if self.fail_appends > 0 else 0
            raise Unavailable("the journal's disk is full")
        if not entries:
            return self._last
        self._last += len(entries)
        self._groups.append((self._last, list(entries)))
        self._ends.append(self._last)
        self._tally.add(entries)
        return self._last

    def _read(self) -> None:
        if self.fail_reads:
            self.fail_reads -= 1 if self.fail_reads > 0 else 0
            raise Unavailable("the journal cannot be read: disk I/O error")

    def read_from(self, position: int, limit: int) -> list[tuple[int, Entry]]:
        self._read()
        found: list[tuple[int, Entry]] = []
        for last, entries in self._groups[bisect_right(self._ends, position) :]:
            first = last - len(entries) + 1
            found += [(first + i, e) for i, e in enumerate(entries) if first + i > position]
            if len(found) >= limit:
                break
        return found[:limit]

    def groups_from(self, position: int, limit: int) -> list[tuple[int, list[Entry]]]:
        self._read()
        found: list[tuple[int, list[Entry]]] = []
        for last, entries in self._groups[bisect_right(self._ends, position) :]:
            if limit <= 0:
                break
            found.append((last, list(entries)))
            limit -= len(entries)
        return found

    def last(self) -> int:
        return self._last

    def rise(self, position: int) -> None:
        self._last = max(self._last, position)

    def births(self, position: int | None = None) -> list[Entry]:
        self._read()
        if position is None:
            return self._tally.all_births()
        tally = Tally()
        for entry in self._trimmed.all_births():
            tally.add([entry])
        for last, entries in self._groups:
            if last <= position:
                tally.add([e for e in entries if e.kind == "birth"])
        return tally.all_births()

    def marks(self) -> Mapping[MarkKey, int]:
        return dict(self._tally.marks)

    def counts(self) -> Mapping[CountKey, Counts]:
        return self._tally.counts

    def trim(self, position: int) -> None:
        kept = bisect_right(self._ends, position)
        for _, entries in self._groups[:kept]:
            self._trimmed.add(e for e in entries if e.kind == "birth")
        del self._groups[:kept], self._ends[:kept]

    def forget_after(self, position: int) -> None:
        """Become an older copy of itself: what came behind `position` is gone, marks and all."""
        kept = bisect_right(self._ends, position)
        del self._groups[kept:], self._ends[kept:]
        self._last = self._ends[-1] if self._ends else 0
        self._tally = Tally()
        for _, entries in self._groups:
            self._tally.add(entries)

    def close(self) -> None:
        """Nothing to release."""
