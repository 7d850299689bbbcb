"""The journal in SQLite files: one row per group of entries, one file per hour or 256 MB."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from collector.adapters.journal_counts import CountRow, KeptCounts, rows_of
from collector.adapters.packed_entries import Damaged, pack, unpack
from collector.adapters.sqlite_file import MALFORMED, connect, is_damage, put_away
from collector.counting import HOUR_MS, Counts, Tally, merged
from collector.ports import JUMP, CountKey, Entry, MarkKey, Unavailable

T = TypeVar("T")
log = logging.getLogger("steward.journal")

MB: Final = 1 << 20

_SCHEMA: Final = (
    """CREATE TABLE "group" (last INTEGER PRIMARY KEY, first INTEGER NOT NULL,
       births INTEGER NOT NULL, entries BLOB NOT NULL)""",
    "CREATE TABLE carry (hour INTEGER NOT NULL, state BLOB NOT NULL)",
)


class _Carry(msgspec.Struct):
    """What a file needs of those before it."""

    marks: list[tuple[str, str, str, str, int]]
    births: list[Entry]
    counts: list[CountRow] = []
    """Of files before it, what could not be kept where it belongs."""


_encoder = msgspec.msgpack.Encoder()
_carries = msgspec.msgpack.Decoder(_Carry)


@dataclass(slots=True)
class _File:
    """One file of the journal. `last` is its newest position, `first - 1` while it is empty."""

    path: Path
    first: int
    last: int
    hour: int
    size: int
    db: sqlite3.Connection | None = None

    def open(self) -> sqlite3.Connection:
        if self.db is None:
            self.db = connect(self.path)
            self.db.text_factory = bytes  # one bit makes a blob a text: its checksum judges it
        return self.db

    def close(self) -> None:
        if self.db is not None:
            self.db.close()
            self.db = None

    def groups(self, position: int) -> Iterator[tuple[int, list[Entry] | Damaged]]:
        cursor = self.open().execute(
            'SELECT last, first, entries FROM "group" WHERE last > ? ORDER BY last', (position,)
        )
        for last, first, blob in cursor:
            yield last, _checked(last, first, blob)

    def births(self, position: int) -> list[Entry]:
        """Of groups that cannot be read none."""
        rows = self.open().execute(
            'SELECT last, first, entries FROM "group" WHERE births > 0 AND last <= ? ORDER BY last',
            (position,),
        )
        groups = (_checked(*row) for row in rows)
        return [
            e for group in groups if isinstance(group, list) for e in group if e.kind == "birth"
        ]

    def begin(self, carry: bytes) -> None:
        db = self.open()
        db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            db.execute(statement)
        db.execute("INSERT INTO carry VALUES (?, ?)", (self.hour, carry))
        db.execute("COMMIT")

    def add(self, last: int, births: int, blob: bytes) -> None:
        row = (last, self.last + 1, births, blob)
        self.open().execute('INSERT INTO "group" VALUES (?, ?, ?, ?)', row)

    def carry(self) -> _Carry:
        """What it took over when it was begun. Raises `Damaged`."""
        row = self.open().execute("SELECT state FROM carry").fetchone()
        try:
            return _carries.decode(row[0])
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
            raise Damaged(f"what it took over: {error}") from error

    def carried(self) -> Tally:
        """Marks and births as they stood when this file was begun. Raises `Damaged`."""
        carry, tally = self.carry(), Tally()
        tally.add(carry.births)
        tally.marks.update({(s, a, e, lane): n for s, a, e, lane, n in carry.marks})
        return tally

    def begun_in(self) -> int:
        """The hour in which it was begun. Raises `Damaged`."""
        row = self.open().execute("SELECT hour FROM carry").fetchone()
        if row is None or not isinstance(row[0], int):
            raise Damaged("the hour in which it was begun is not there")
        return row[0]

    def births_as_of(self, position: int) -> Tally:
        """Births at a position within this file. Raises `Damaged`."""
        tally = self.carried()
        tally.add(self.births(position))
        return tally


@dataclass(slots=True)
class Commits:
    """How many groups were written durably, how long that took, and the longest since `longest_s` was asked; seconds."""

    count: int = 0
    total_s: float = 0.0
    _longest_s: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """One write; what fails was long all the same."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            self.count += 1
            self.total_s += took
            self._longest_s = max(self._longest_s, took)

    def longest_s(self) -> float:
        """The longest write since this was asked last."""
        longest, self._longest_s = self._longest_s, 0.0
        return longest


@dataclass(frozen=True, slots=True)
class Standing:
    """One moment of a journal: its last position, and what it holds in numbers up to there.

    `counts` are None where they cannot be read: `trouble` says why.
    """

    last: int
    counts: Mapping[CountKey, Counts] | None
    marks: Mapping[MarkKey, int]
    trouble: str = ""


class SqliteJournal:
    """Keeps entries in `folder`. Calls block for the disk: run them beside the loop.

    A new file is begun each hour (by receive time) and at `file_bytes`. `trim` deletes whole files.
    The oldest of those above `cap_bytes` together go even if somebody has not read them: `dropped` counts
    their entries, `commits` how long writes take, `fill` (0..1) says beforehand how near the cap is.
    A file that SQLite calls malformed is set aside and begun anew. A group in a sound file that is not what was
    written is left out; a note beside the file names it, and counts as set aside.
    """

    def __init__(
        self,
        folder: Path,
        *,
        file_bytes: int = 256 * MB,
        cap_bytes: int = 8192 * MB,
    ) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._cap_bytes = cap_bytes
        self._lock = threading.RLock()
        self._tally = Tally()
        self._counted_file = 0
        self._floor = 0
        self._trimmed = 0
        self.dropped = 0
        self.commits = Commits()
        self._set_aside_here = 0
        self._left_out: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        self._counts = KeptCounts(folder / "counts.sqlite")
        self._files = self._find()
        self._restore()

    # --- the port ------------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> int:
        with self._lock:
            if not entries:
                return self.last()
            try:
                with self.commits.timed():
                    return self._append(entries)
            except (sqlite3.Error, OSError) as error:
                raise Unavailable(f"the journal cannot be written: {error}") from error

    def read_from(self, position: int, limit: int) -> list[tuple[int, Entry]]:
        found: list[tuple[int, Entry]] = []
        while len(found) < limit:
            groups = self.groups_from(position, limit - len(found))
            if not groups:
                break
            for last, entries in groups:
                numbered = enumerate(entries, last - len(entries) + 1)
                found += [(at, entry) for at, entry in numbered if at > position]
            position = groups[-1][0]
        return found[:limit]

    def groups_from(self, position: int, limit: int) -> list[tuple[int, list[Entry]]]:
        found: list[tuple[int, list[Entry]]] = []
        with self._lock:
            for file in [f for f in self._files if f.last > position]:
                self._guarded(file, partial(self._collect, file, position, limit, found))
                if sum(len(entries) for _, entries in found) >= limit:
                    break
        return found

    def last(self) -> int:
        return max(self._files[-1].last if self._files else 0, self._floor)

    def rise(self, position: int) -> None:
        with self._lock:
            self._floor = max(self._floor, position)

    def births(self, position: int | None = None) -> list[Entry]:
        with self._lock:
            if position is None or not self._files:
                return self._tally.all_births()
            behind = [f for f in self._files if f.first <= position + 1]
            file = behind[-1] if behind else self._files[0]
            tally = self._guarded(file, partial(file.births_as_of, position)) or Tally()
            return tally.all_births()

    def marks(self) -> Mapping[MarkKey, int]:
        with self._lock:
            return dict(self._tally.marks)

    def trim(self, position: int) -> None:
        with self._lock:
            self._trimmed = max(self._trimmed, position)
            for file in [f for f in self._files[:-1] if f.last <= position]:
                self._delete(file)

    def close(self) -> None:
        with self._lock:
            for file in self._files:
                file.close()

    # --- what metrics and the delivery report read ---------------------------------------------

    def counts(self) -> Mapping[CountKey, Counts]:
        """Everything ever journalled, per agent, lane and hour. Raises `Unavailable`: not all of it can be read."""
        _, counts, _ = self._moment()
        return counts

    def standing(self) -> "Standing":
        """Its end, with the counts and marks of all up to there: one moment, whatever is appended meanwhile."""
        try:
            return Standing(*self._moment())
        except Unavailable as error:
            with self._lock:
                return Standing(self.last(), None, self.marks(), str(error))

    def _moment(self) -> tuple[int, Mapping[CountKey, Counts], Mapping[MarkKey, int]]:
        """Years of counts are read without the lock, for which readings wait; once more if a file was begun meanwhile."""
        while True:
            file = self._counted_file
            kept = self._counts.of_other_files(file)
            with self._lock:
                if file == self._counted_file:
                    own, last, marks = merged([self._tally.counts]), self.last(), self.marks()
                    break
        return last, merged([kept, own]), marks

    @property
    def set_aside(self) -> int:
        """Files, and groups of others, that were malformed and set aside since the start."""
        return self._set_aside_here + self._counts.set_aside

    @property
    def fill(self) -> float:
        """The part of the cap that is used, 0..1."""
        return sum(f.size for f in self._files) / self._cap_bytes

    # --- files ---------------------------------------------------------------------------------

    def _find(self) -> list[_File]:
        files = []
        for path in sorted(self._folder.glob("journal-*.sqlite")):
            first = int(path.stem.removeprefix("journal-"))
            files.append(_File(path, first, first - 1, 0, path.stat().st_size))
        return files

    def _restore(self) -> None:
        """Learn from the files where they end; the newest one is read whole."""
        for file in list(self._files):
            self._guarded(file, partial(self._measure, file))
        while self._files:
            file = self._files[-1]
            tally = self._guarded(file, partial(self._reread, file))
            if tally is not None:
                self._tally = tally
                self._counted_file = file.first
                return

    def _measure(self, file: _File) -> None:
        db = file.open()
        begun = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'carry'").fetchone()
        if not begun:  # killed while it was made: nothing was ever appended
            self._delete(file)
            return
        (last,) = db.execute('SELECT max(last) FROM "group"').fetchone()
        file.hour = file.begun_in()
        file.last = file.first - 1 if last is None else last
        if file is not self._files[-1]:
            file.close()

    def _reread(self, file: _File) -> Tally:
        self._counts.wait(file.carry().counts)
        tally = file.carried()
        for _, entries in self._sound(file, 0):
            tally.add(entries)
        return tally

    def _sound(self, file: _File, position: int) -> Iterator[tuple[int, list[Entry]]]:
        """Its groups behind a position; one that cannot be read is named and left out."""
        for last, group in file.groups(position):
            if isinstance(group, Damaged):
                self._leave_out(file, last, group)
            else:
                yield last, group

    def _begin(self, received: int) -> _File:
        self._counts.wait(rows_of(self._counted_file, self._tally.counts))
        self._counts.write()
        first = self.last() + 1
        path = self._folder / f"journal-{first:019d}.sqlite"
        file = _File(path, first, first - 1, received // HOUR_MS, 0)
        marks = [(*key, number) for key, number in self._tally.marks.items()]
        carry = _Carry(marks, self._tally.all_births(), self._counts.waiting)
        try:
            self._written(file, partial(file.begin, _encoder.encode(carry)))
        except sqlite3.Error:
            file.close()
            raise
        self._tally.counts.clear()
        self._counted_file = first
        if self._files:
            self._files[-1].close()
        self._files.append(file)
        self._drop_oldest()
        return file

    def _current(self, received: int) -> _File:
        if self._files:
            file = self._files[-1]
            if (
                received // HOUR_MS <= file.hour
                and file.size < self._file_bytes
                and self._floor <= file.last
            ):
                return file
        return self._begin(received)

    def _append(self, entries: Sequence[Entry]) -> int:
        file = self._current(entries[-1].received)
        last = file.last + len(entries)
        blob = pack(entries)
        births = sum(1 for e in entries if e.kind == "birth")
        self._written(file, partial(file.add, last, births, blob))
        file.last = last
        file.size += len(blob)
        self._tally.add(entries)
        return last

    def _collect(
        self, file: _File, position: int, limit: int, found: list[tuple[int, list[Entry]]]
    ) -> None:
        held = sum(len(entries) for _, entries in found)
        for last, entries in self._sound(file, position):
            if held >= limit:
                break
            found.append((last, entries))
            held += len(entries)
        if file is not self._files[-1]:
            file.close()

    # --- trimming, accidents --------------------------------------------------------------------

    def _drop_oldest(self) -> None:
        while len(self._files) > 1 and self.fill > 1:
            file = self._files[0]
            lost = file.last - max(file.first - 1, self._trimmed)
            if lost > 0:
                self.dropped += lost
                log.error("journal is full: %d entries go before all have read them", lost)
            self._delete(file)

    def _delete(self, file: _File) -> None:
        file.close()
        file.path.unlink(missing_ok=True)
        self._files.remove(file)

    def _guarded(self, file: _File, work: Callable[[], T]) -> T | None:
        """Read something of a file; if it turns out to be malformed, set it aside and give None."""
        try:
            return work()
        except (sqlite3.Error, Damaged) as error:
            if isinstance(error, sqlite3.Error) and not is_damage(error):
                raise Unavailable(
                    f"the journal file {file.path} cannot be read: {error}"
                ) from error
            self._set_aside(file, error)
            return None

    def _written(self, file: _File, work: Callable[[], object]) -> None:
        """Write something into a file; if it turns out to be malformed, set it aside before saying so."""
        try:
            work()
        except sqlite3.Error as error:
            if is_damage(error):
                self._set_aside(file, error)
            elif isinstance(error, sqlite3.IntegrityError):
                self._floor = max(
                    self._floor, file.last + JUMP
                )  # the next try begins a file of its own
            raise

    def _set_aside(self, file: _File, error: Exception) -> None:
        file.close()
        aside = put_away(file.path)
        self._set_aside_here += 1
        self._files = [other for other in self._files if other is not file]
        self._floor = max(self._floor, file.last + JUMP)
        log.error("journal file %s is malformed (%s): set aside, a new one begins", aside, error)

    def _leave_out(self, file: _File, last: int, error: Damaged) -> None:
        note = file.path.with_name(f"{file.path.stem}-groups{MALFORMED}")
        line = f"the group that ends at position {last} of {file.path.name} is lost: {error}\n"
        if line in self._left_out:
            return
        self._left_out.add(line)
        with suppress(OSError):
            if note.exists() and line in note.read_text(encoding="utf-8"):
                return
            with note.open("a", encoding="utf-8") as text:
                text.write(line)
        self._set_aside_here += 1
        log.error("%s: its readings, and those of agents whose points it named, do not reach the store or the alarms: check the disk of %s", line.rstrip(), self._folder)  # fmt: skip


def _checked(last: int, first: object, blob: object) -> list[Entry] | Damaged:
    """The entries of a row of "group", if they are what was written there."""
    try:
        entries = unpack(blob)
    except Damaged as error:
        return error
    if first != last - len(entries) + 1:
        return Damaged("it is not as long as its place")
    return entries
