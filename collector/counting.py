"""What a journal holds in numbers: marks, newest births, and counts per agent, lane and hour."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from collector.ports import CountKey, Entry, MarkKey

HOUR_MS: Final = 3_600_000
EPOCHS_KEPT: Final = 16
"""Epochs of one agent whose births and marks are kept; an agent begins a new one very seldom."""


@dataclass(slots=True)
class Counts:
    """One agent's lane in one hour. `missing` are batch numbers, `aside` and `readings` readings."""

    batches: int = 0
    readings: int = 0
    missing: int = 0
    aside: int = 0
    aside_batches: int = 0

    def add(self, other: "Counts") -> None:
        """Add another's numbers to these."""
        self.batches += other.batches
        self.readings += other.readings
        self.missing += other.missing
        self.aside += other.aside
        self.aside_batches += other.aside_batches


class Tally:
    """The fold of journal entries, in order: the same entries give the same tally."""

    def __init__(self) -> None:
        self.marks: dict[MarkKey, int] = {}
        self.births: dict[tuple[str, str], dict[str, Entry]] = {}
        self.counts: dict[CountKey, Counts] = {}

    def add(self, entries: Iterable[Entry]) -> None:
        """Take up entries; the newest birth of an epoch is moved to the end of its agent's."""
        for entry in entries:
            if entry.kind == "birth":
                self._born(entry)
                continue
            self._mark(entry)
            self._count(entry)

    def _born(self, entry: Entry) -> None:
        births = self.births.setdefault((entry.site, entry.agent), {})
        births.pop(entry.epoch, None)
        births[entry.epoch] = entry
        while len(births) > EPOCHS_KEPT:
            gone = next(iter(births))
            del births[gone]
            for key in [k for k in self.marks if k[:3] == (entry.site, entry.agent, gone)]:
                del self.marks[key]

    def _mark(self, entry: Entry) -> None:
        number = max(entry.seq, entry.until)
        if not number or not entry.lane:
            return
        key = (entry.site, entry.agent, entry.epoch, entry.lane)
        if number > self.marks.get(key, 0):
            self.marks[key] = number

    def _count(self, entry: Entry) -> None:
        key = count_key(entry)
        counts = self.counts.get(key)
        if counts is None:
            counts = self.counts[key] = Counts()
        if entry.kind == "batch":
            counts.batches += 1
            counts.readings += entry.readings
        elif entry.kind == "missing":
            counts.missing += entry.until - entry.seq + 1
        else:
            counts.aside += entry.readings
            counts.aside_batches += 1 if entry.seq else 0

    def all_births(self) -> list[Entry]:
        """The newest birth of every known epoch, older epochs first."""
        return [entry for births in self.births.values() for entry in births.values()]


def count_key(entry: Entry) -> CountKey:
    """Where an entry is counted."""
    return entry.site, entry.agent, entry.lane, entry.received - entry.received % HOUR_MS


def given_by(batches: Iterable[tuple[Entry, int]], aside: Iterable[Entry]) -> Counter[CountKey]:
    """Readings of batches, each with how many it has, but for those set aside, as the journal counts them."""
    found: Counter[CountKey] = Counter()
    for entry, size in batches:
        found[count_key(entry)] += size
    for entry in aside:
        found[count_key(entry)] -= entry.readings
    return found


def merged(parts: Iterable[Mapping[CountKey, Counts]]) -> dict[CountKey, Counts]:
    """The sum of several counts."""
    total: dict[CountKey, Counts] = {}
    for part in parts:
        for key, counts in part.items():
            total.setdefault(key, Counts()).add(counts)
    return total
