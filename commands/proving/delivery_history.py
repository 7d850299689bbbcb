"""What a run of the delivery model left behind: made, journalled by whom, stored, forgotten, and what is wrong with it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from collector.adapters.memory_journal import MemoryJournal
from collector.adapters.memory_store import MemoryStore
from collector.columns import CORRECTED_MS
from collector.counting import Tally
from collector.ports import Entry, StoreBatch
from edge.readings import Batch, Birth, PointRow, decode, decode_batch

SITE: Final = "proof"

Key = tuple[str, int]
"""Point and source time: what a reading is known by."""
Number = tuple[str, str, int]
"""Epoch, lane, sequence: what a batch is known by."""


class WitnessedStore(MemoryStore):
    """A store that remembers how often each reading was written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: Counter[Key] = Counter()

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        super().write(batches, cursor)
        for batch in batches:
            points = [batch.keys[key].point for key in batch.key.tolist()]
            self.writes.update(zip(points, batch.time.tolist(), strict=True))


class WitnessedJournal(MemoryJournal):
    """A journal that remembers what it let go of."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go: list[tuple[int, Entry]] = []

    def trim(self, position: int) -> None:
        before = self.read_from(0, self.last())
        super().trim(position)
        kept = {at for at, _ in self.read_from(0, self.last())}
        self.let_go += [(at, entry) for at, entry in before if at not in kept]

    def forget_after(self, position: int) -> None:
        self.let_go = [(at, entry) for at, entry in self.let_go if at <= position]
        super().forget_after(position)
        self.rise(self.trimmed)
        self._tally = Tally()
        self._tally.add(entry for _, entry in self.everything())

    @property
    def trimmed(self) -> int:
        """The position up to which it let go."""
        return self.let_go[-1][0] if self.let_go else 0

    def everything(self) -> list[tuple[int, Entry]]:
        """All entries ever appended, with their positions."""
        return [*self.let_go, *self.read_from(0, self.last())]


@dataclass(slots=True)
class Made:
    """What outboxes took (and is not `gone` with a rolled-back disk), and what journals forgot."""

    made: dict[Key, float] = field(default_factory=dict)
    quality: dict[Key, int] = field(default_factory=dict)
    said: Counter[Key] = field(default_factory=Counter)
    """How often agents said what they say of themselves: twice in a millisecond where two connections begin in it, or two machines speak."""
    urgent: set[Key] = field(default_factory=set)
    gone: dict[Key, float] = field(default_factory=dict)
    put_back: Counter[Key] = field(default_factory=Counter)
    """How often a reading had no number yet on an old copy of a disk that was put back, or was given another one
    when that was known for an old copy: so often it may come again.

    What a mark covers is dropped there, and never comes again.
    """
    forgotten: set[Key] = field(default_factory=set)
    forgotten_numbers: set[Number] = field(default_factory=set)
    stored_and_forgotten: Counter[Key] = field(default_factory=Counter)
    """How often a reading, by its time in the store, was written there from what the journal forgot then."""
    stored_again: Counter[Key] = field(default_factory=Counter)
    """How often it was written there once more because the store knew more of the journal than there was."""


@dataclass(slots=True)
class Journalled:
    """What one journal holds: how often each reading, each number, and what it counted as missing."""

    readings: Counter[Key] = field(default_factory=Counter)
    values: dict[Key, float | None] = field(default_factory=dict)
    quality: dict[Key, int] = field(default_factory=dict)
    due: Counter[Key] = field(default_factory=Counter)
    """How often each is to be in the store, by its time there: a clock error that was believed is taken out of it."""
    due_values: dict[Key, float | None] = field(default_factory=dict)
    numbers: set[Number] = field(default_factory=set)
    missing: set[Number] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def read_journal(journal: WitnessedJournal, until: int | None = None) -> Journalled:
    """Read all that was in it, or up to a position; every number of a lane must be there once, or be counted missing once."""
    found = Journalled()
    tables: dict[str, list[PointRow]] = {}
    marks: Counter[tuple[str, str]] = Counter()
    for position, entry in journal.everything():
        if until is not None and position > until:
            break
        if entry.kind == "birth":
            tables[entry.epoch] = decode(entry.payload, Birth).points
            continue
        if entry.kind == "batch":
            batch = decode_batch(entry.payload)
            keys = keys_of(batch, tables[entry.epoch])
            found.readings.update(keys)
            found.values |= dict(zip(keys, batch.v, strict=True))
            found.quality |= dict(zip(keys, batch.q, strict=True))
            error = entry.clock_error if abs(entry.clock_error) > CORRECTED_MS else 0
            due = [(point, time - error) for point, time in keys]
            found.due.update(due)
            found.due_values |= dict(zip(due, batch.v, strict=True))
        lane = (entry.epoch, entry.lane)
        if entry.seq != marks[lane] + 1:
            found.problems.append(f"{lane}: {entry.seq} behind {marks[lane]}")
        marks[lane] = max(entry.seq, entry.until)
        numbers = {(*lane, number) for number in range(entry.seq, marks[lane] + 1)}
        (found.missing if entry.kind == "missing" else found.numbers).update(numbers)
    return found


def keys_of(batch: Batch, table: Sequence[PointRow]) -> list[Key]:
    """What its readings are known by."""
    return [(table[i].point, batch.t + d) for i, d in zip(batch.i, batch.d, strict=True)]


def older_copy(made: Made, journal: WitnessedJournal, position: int, *, cursor: int) -> None:
    """Let `journal` become an older copy of itself: note what it forgot, what of that had been stored, and what is stored once more.

    What it let go of had been stored, wherever the store's `cursor` stands now: a store that was ahead begins again.
    """
    before, had = read_journal(journal), read_journal(journal, until=max(cursor, journal.trimmed))
    journal.forget_after(position)
    after = read_journal(journal)
    made.forgotten |= set(before.readings) - set(after.readings)
    made.forgotten_numbers |= before.numbers - after.numbers
    made.stored_and_forgotten += had.due - after.due
    if cursor > journal.last():
        made.stored_again += after.due - read_journal(journal, until=journal.trimmed).due


@dataclass(frozen=True, slots=True)
class Compared:
    """Readings: distinct ones journalled by anybody, lost, journalled again by the same collector.

    `forgotten` were journalled, and stand in no journal since one became an older copy of itself.
    """

    journalled: int
    lost: int
    forgotten: frozenset[Key]
    missing: int
    absorbed: int
    problems: tuple[str, ...]


def compare(made: Made, journals: Sequence[WitnessedJournal], *, thinned: int) -> Compared:
    """Compare what was made with what all collectors together have.

    What waited on an old copy of a disk may come again under another number (the store's key takes it
    in), or be thinned although it came before.
    """
    read = [read_journal(journal) for journal in journals]
    known = {key for one in read for key in one.readings}
    lost = set(made.made) - known - made.forgotten
    again = made.said - Counter(set(made.said))
    more = [one.readings - again - Counter(set(one.readings)) for one in read]
    missing = {number for one in read for number in one.missing}
    problems = [problem for one in read for problem in one.problems]
    problems += some(lost & made.urgent, "urgent readings lost")
    problems += some(known - set(made.made) - set(made.gone), "never made")
    problems += some(_wrong(made, read), "journalled with another value")
    problems += some(_misjudged(made, read), "journalled with another quality")
    problems += some(_unexplained(made, read), "numbers missing that nobody had")
    put_back = sum(count for key, count in made.put_back.items() if key not in lost)
    if not len(lost) <= thinned <= len(lost) + put_back:
        problems.append(f"{len(lost)} lost, but {thinned} counted as thinned")
    for one in more:
        problems += some(one - made.put_back, "journalled again that waited on no old copy")
    absorbed = sum(one.total() for one in more)
    forgotten = frozenset(made.made) & made.forgotten - known
    return Compared(len(known), len(lost), forgotten, len(missing), absorbed, tuple(problems))


def of_store(
    journal: WitnessedJournal, store: WitnessedStore, forgotten: Counter[Key]
) -> list[str]:
    """What is wrong with the store behind a journal, which was written `forgotten` beside what is journalled."""
    read = read_journal(journal)
    due = read.due + forgotten
    wrong = [key for key, value in read.due_values.items() if stored(store, key) != [value]]
    return [
        *some(wrong, "not stored with the value that was journalled"),
        *some(due - store.writes, "journalled and not stored as often"),
        *some(store.writes - due, "written to the store more often than journalled"),
    ]


def stored(store: WitnessedStore, key: Key) -> list[float]:
    """The values that it holds of one reading."""
    values: list[float] = store.raw(SITE, key[0], key[1], key[1] + 1).value.tolist()
    return values


def some(found: Iterable[tuple[Any, ...]], what: str) -> Iterator[str]:
    """How many are wrong in one way, and the first of them; nothing where none are."""
    rows = sorted(found)
    if rows:
        yield f"{len(rows)} {what}, first {rows[0]}"


def _wrong(made: Made, read: Sequence[Journalled]) -> set[Key]:
    said = made.gone | made.made
    return {k for one in read for k, value in one.values.items() if k in said and value != said[k]}


def _misjudged(made: Made, read: Sequence[Journalled]) -> set[Key]:
    said = made.quality
    return {
        k for one in read for k, quality in one.quality.items() if said.get(k, quality) != quality
    }


def _unexplained(made: Made, read: Sequence[Journalled]) -> set[Number]:
    """Numbers that a collector counted as missing, and that no other has and none forgot."""
    had = made.forgotten_numbers.union(*(one.numbers for one in read))
    return {number for one in read for number in one.missing} - had
