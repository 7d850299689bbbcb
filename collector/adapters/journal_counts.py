"""The journal's counts where the deletion of its files does not reach them: bookkeeping, for which no reading waits."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from collector.adapters.sqlite_file import connect, is_damage, put_away
from collector.counting import Counts
from collector.ports import CountKey, Unavailable

T = TypeVar("T")
log = logging.getLogger("steward.journal")

CountRow = tuple[int, str, str, str, int, int, int, int, int, int]
"""A file's first position, a `CountKey`, and the numbers of `Counts`."""

_COLUMNS: Final = "file, site, agent, lane, hour, batches, readings, missing, aside, aside_batches"
_CREATE: Final = """
CREATE TABLE IF NOT EXISTS count (
    file INTEGER, site TEXT, agent TEXT, lane TEXT, hour INTEGER, batches INTEGER, readings INTEGER,
    missing INTEGER, aside INTEGER, aside_batches INTEGER,
    PRIMARY KEY (file, site, agent, lane, hour)) WITHOUT ROWID
"""
_KEEP: Final = f"INSERT OR REPLACE INTO count ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)"  # noqa: S608  # names of this module
_READ: Final = f"SELECT {_COLUMNS} FROM count"  # noqa: S608
_Key = tuple[int, str, str, str, int]


class KeptCounts:
    """Counts by file of the journal, in a SQLite file of their own. Calls block; one thread writes while others read.

    What cannot be written waits: it is tried again with the next, and the journal carries it from file to file
    (`waiting`), so that a restart knows it too. A row may be kept any number of times: the last one stays.
    A file that SQLite calls malformed is `set_aside` (counted since the start) and begun anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mending = threading.Lock()
        self._waiting: dict[_Key, CountRow] = {}
        self.set_aside = 0
        self.write()

    @property
    def waiting(self) -> list[CountRow]:
        """What the file does not have."""
        return list(self._waiting.values())

    def wait(self, rows: Iterable[CountRow]) -> None:
        """Keep these with the next `write`."""
        self._waiting.update({row[:5]: row for row in rows})

    def write(self) -> None:
        """Into the file with all that waits. What hinders that is logged; never raises."""
        try:
            self._done(self._keep)
        except Unavailable as error:
            log.error("the journal's counts cannot be written (%s): readings go on, and %d rows of counts wait and are tried again each hour; free its disk or let the server write it, and if it is no file of ours move it away", error, len(self._waiting))  # fmt: skip

    def of_other_files(self, file: int) -> dict[CountKey, Counts]:
        """The sum of all but one file's. Raises `Unavailable`: what is known is not all."""
        waiting = dict(self._waiting)  # first: what is written after the read waits no more
        rows: dict[_Key, CountRow] = {row[:5]: row for row in self._done(_all)}
        found: dict[CountKey, Counts] = {}
        for row in (rows | waiting).values():
            if row[0] != file:
                found.setdefault(row[1:5], Counts()).add(Counts(*row[5:]))
        return found

    def _keep(self, db: sqlite3.Connection) -> None:
        if not self._waiting:
            return
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(_KEEP, self.waiting)
        self._waiting.clear()

    def _done(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the file; a malformed one is put away, and it is done with a new one."""
        try:
            try:
                return self._with_file(work)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
            with self._mending:
                return self._mended(work)
        except (sqlite3.Error, msgspec.ValidationError, OSError) as error:
            raise Unavailable(f"{self._path}: {error}") from error

    def _mended(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._with_file(work)  # another thread may have put it away meanwhile
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            aside = put_away(self._path)
            self.set_aside += 1
            log.error("the journal's counts are malformed (%s): set aside as %s; those of files before the newest are lost", error, aside)  # fmt: skip
        return self._with_file(work)

    def _with_file(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Opened each time, which is once an hour and for each report: so a file may be moved away or mended meanwhile."""
        with closing(connect(self._path, wait_s=0.5)) as db:
            db.execute(_CREATE)
            return work(db)


def rows_of(file: int, counts: Mapping[CountKey, Counts]) -> list[CountRow]:
    """One file's counts, for `wait`."""
    return [
        (file, *key, c.batches, c.readings, c.missing, c.aside, c.aside_batches)
        for key, c in counts.items()
    ]


def _all(db: sqlite3.Connection) -> list[CountRow]:
    return msgspec.convert(db.execute(_READ).fetchall(), list[CountRow])
