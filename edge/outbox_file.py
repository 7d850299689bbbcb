"""The SQLite file under an outbox: its tables, its durable transactions, and what is done when it is damaged."""

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS points (place INTEGER PRIMARY KEY, row BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS lanes (
  lane TEXT PRIMARY KEY, given INTEGER NOT NULL, committed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS batches (
  id INTEGER PRIMARY KEY AUTOINCREMENT, urgent INTEGER NOT NULL, made INTEGER NOT NULL,
  readings INTEGER NOT NULL, columns BLOB NOT NULL, lane TEXT, seq INTEGER,
  ran INTEGER NOT NULL DEFAULT 0, shift INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX IF NOT EXISTS numbered ON batches (lane, seq) WHERE seq IS NOT NULL;
CREATE TABLE IF NOT EXISTS runs (began INTEGER PRIMARY KEY, shift INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS counts (
  hour INTEGER NOT NULL, lane TEXT NOT NULL, made INTEGER NOT NULL DEFAULT 0,
  sent INTEGER NOT NULL DEFAULT 0, thinned INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (hour, lane));
"""
CACHE_KB: Final = 256
"""Of pages in memory: it is written at one end and read at the other, no faster with SQLite's usual 2 MB."""
PAGE_BYTES: Final = 4096
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
NO_ROOM_SAID: Final = (
    "is its disk full, or may this process not write so much (a quota, `ulimit -f`)?"
)
_LATER: Final = ("ran", "shift")
"""Columns of `batches` that the first release had not."""
_INDEXES: Final = """
DROP INDEX IF EXISTS waiting;
CREATE INDEX IF NOT EXISTS unsent ON batches (urgent, ran, id) WHERE seq IS NULL;
"""


class OutboxRefused(Exception):
    """Nothing of it was done; it may be tried again. The disk is full, another process has the outbox,
    or the file was damaged and a new one has been begun: the message says which.
    """


class OutboxFile:
    """The SQLite file: WAL, every transaction durable when `durably` returns; damage is put away.

    One process has it until `close`, or until it dies: two would give the same number twice.

    What is in the WAL has its room in the file already: so where neither may grow any more, the WAL can
    still be moved there and be begun anew, and what was sent can be deleted.

    `begin` writes what a new file begins with, an epoch: without it there is no file to write to.
    """

    def __init__(
        self, path: Path | str, image: bytes, now: int, begin: Callable[[sqlite3.Connection], None]
    ) -> None:
        self._path = path
        self._begin = begin
        self._aside: Path | None = None
        """Where a damaged file is put, until a new one is begun."""
        self.set_aside: list[Path] = []
        with contextlib.ExitStack() as held:
            if path != ":memory:":
                _hold(Path(path), held)
            try:
                self._open(image)
            except sqlite3.DatabaseError as error:
                self.put_away(error, now)
            self._held = held.pop_all()

    def close(self) -> None:
        """Release it; may be called twice."""
        self.db.close()
        self._room.close()
        self._held.close()

    def _open(self, image: bytes) -> None:
        self._room = contextlib.ExitStack()
        self._file: int | None = None
        self.db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            if image:
                self.db.deserialize(image)
            self._open_room()
            self.db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            self.db.execute("PRAGMA journal_mode = WAL")
            self._level = ""
            self._synchronous("FULL")
            self.db.execute(f"PRAGMA cache_size = -{CACHE_KB}")
            if self.db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("quick_check found damage")
            self.db.executescript(_SCHEMA)
            self._complete()
            if self.db.execute("SELECT 1 FROM meta WHERE name = 'epoch'").fetchone() is None:
                self.durably(self._begin)
        except BaseException:
            self.db.close()
            self._room.close()
            raise

    def _open_room(self) -> None:
        """Open the file once more; only to be closed after the database: closing it lets go of SQLite's locks."""
        if self._path == ":memory:":
            return
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        self._room.callback(os.close, self._file)

    def _complete(self) -> None:
        """Give a file of an earlier release the columns it lacks."""
        held = {name for _, name, *_ in self.db.execute("PRAGMA table_info(batches)")}
        for column in _LATER:
            if column not in held:
                self.db.execute(
                    f"ALTER TABLE batches ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0"
                )
        self.db.executescript(_INDEXES)

    def put_away(self, error: sqlite3.DatabaseError, now: int) -> None:
        """Rename a damaged file and begin a new one.

        Raises `OutboxRefused` if it is not damage, or the disk takes no new file: then the next call tries again.
        """
        path = Path(self._path)
        if self._aside is None:
            if isinstance(error, sqlite3.OperationalError) or not path.is_file():
                raise OutboxRefused(f"the outbox {path} cannot be used: {_why(error)}") from error
            self.db.close()
            self._room.close()
            self._aside = _unused(path, now)
        try:
            self._rename(path, self._aside, error)
            self._open(b"")
        except (sqlite3.Error, OSError) as refusal:
            aside = self._aside
            if not isinstance(refusal, sqlite3.OperationalError | OSError):
                self._aside = None  # damaged already, and put away next time
            raise OutboxRefused(f"the outbox {path} is damaged ({error}); it cannot be set aside as {aside} and begun anew: {refusal}") from refusal  # fmt: skip
        self._aside = None

    def _rename(self, path: Path, aside: Path, error: sqlite3.DatabaseError) -> None:
        """The file itself last: until then all of it is tried again."""
        if aside in self.set_aside:
            return
        for suffix in ("-wal", "-shm", ""):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        self.set_aside.append(aside)
        log.error("outbox %s is damaged (%s): set aside as %s, a new one begun", path, error, aside)

    def durably(self, work: Callable[[sqlite3.Connection], T], *, soon: bool = False) -> T:
        """Do `work` in one transaction, which is on disk on return, or undone if this raises; once more if it made room.

        `soon`: on disk no later than the next that is not. A killed process has done it all the same;
        a power cut may undo it, and nothing that was done before it.
        """
        self._synchronous("NORMAL" if soon else "FULL")
        try:
            return self._durably(work)
        except sqlite3.OperationalError:
            if not self._moved():
                raise
        return self._durably(work)

    def _synchronous(self, level: str) -> None:
        """Whether a transaction of the WAL waits for the disk."""
        if level != self._level:
            self.db.execute(f"PRAGMA synchronous = {level}")
            self._level = level

    def _moved(self) -> bool:
        """Whether all of the WAL is in the file now, so that it is begun anew."""
        with contextlib.suppress(sqlite3.OperationalError):
            busy, pages, moved = self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return not busy and 0 < pages == moved
        return False

    def _reserve(self) -> None:
        """Have room in the file for all pages of the database; raises what SQLite does where there is none."""
        if self._file is None or not hasattr(os, "posix_fallocate"):
            return
        wanted = PAGE_BYTES * int(self.db.execute("PRAGMA page_count").fetchone()[0])
        held = os.fstat(self._file).st_size
        if held >= wanted:
            return
        try:
            os.posix_fallocate(self._file, held, wanted - held)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise sqlite3.OperationalError(f"no room for {wanted} bytes: {error}") from error

    def _durably(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self.db.execute("BEGIN IMMEDIATE")
            result = work(self.db)
            self._reserve()
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise
        return result


def _why(error: sqlite3.DatabaseError) -> str:
    name = getattr(error, "sqlite_errorname", "SQLITE_FULL")
    full = name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR")
    return f"{error}: {NO_ROOM_SAID}" if full else str(error)


def _unused(path: Path, now: int) -> Path:
    """A name beside `path` that no file has."""
    while (aside := path.with_name(f"{path.name}.damaged-{now}")).exists():
        now += 1
    return aside


def _hold(path: Path, held: contextlib.ExitStack) -> None:
    """Have the file for this process alone, until `held` is closed."""
    try:
        lock = held.enter_context(path.with_name(f"{path.name}.lock").open("ab"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        why = "another process has it" if isinstance(error, BlockingIOError) else error
        raise OutboxRefused(f"the outbox {path} cannot be used: {why}") from error
