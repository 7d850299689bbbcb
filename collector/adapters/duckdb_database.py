"""The DuckDB file of the store: one owner, opened anew after what it does not survive, and its errors in words."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb

from collector.adapters.store_pieces import StoreFile, file_of
from collector.adapters.store_spans import moment
from collector.ports import Unavailable

MEMORY_LIMIT: Final = "1GB"
CHECKPOINT_AT: Final = "2MB"
"""Of the write-ahead log, which DuckDB also holds in memory: at its own 16 MB a quiet site grew for hours by as much."""
LOCKED: Final = "Could not set lock"
OWNER: Final = re.compile(r"PID (\d+)")
PARQUET: Final = re.compile(r"[^\s'\"]+\.parquet")

INVALID: Final = (duckdb.FatalException, duckdb.InternalException)
"""After these the database refuses whatever is asked, of all its connections."""
ENDED: Final = (*INVALID, duckdb.InterruptException, duckdb.ConnectionException)
"""Nothing more can be done by this connection."""
BEYOND: Final = re.compile(
    r"Could not read enough bytes .*attempted to read (\d+) bytes from location (\d+)"
)


class Database:
    """`readings.duckdb` in `folder`; `load` is called with each connection that opens it.

    Raises:
        Unavailable: the file belongs to another process or is damaged; the message says who must act.
    """

    def __init__(self, folder: Path, load: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
        self._folder = folder
        self._file = folder / "readings.duckdb"
        self._load = load
        self._opening = threading.Lock()
        self._database: duckdb.DuckDBPyConnection | None = None
        self.closed = False

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one's own. What DuckDB and the disk say becomes `Unavailable`."""
        try:
            with self._opened().cursor() as connection:
                yield connection
        except INVALID as error:
            self._give_up()  # this connection is of no use any more: the next call opens anew
            raise Unavailable(self.why(error)) from error
        except (duckdb.Error, OSError) as error:
            raise Unavailable(self.why(error)) from error

    def close(self) -> None:
        """Give the file back, for good."""
        self.closed = True
        self._give_up()

    def why(self, error: Exception) -> str:
        """What an error means, and who must do what."""
        text = str(error).strip().splitlines()[0]
        if LOCKED in text:
            return (
                f"the store {self._file} is open in another process: stop that one, only one "
                f"Steward server may own it ({text})"
            )
        if isinstance(error, duckdb.OutOfMemoryException) and not no_room(error):
            return (
                f"the store {self._folder} needs more memory for this than the {MEMORY_LIMIT} that it "
                f"may take; where a chart does, ask for a shorter span or for wider buckets ({text})"
            )
        if no_room(error):
            return f"no room for the store {self._folder}: free space on its disk ({text})"
        for name in PARQUET.findall(text):
            if file := file_of(Path(name)):
                on_disk = isinstance(error, duckdb.IOException) and file.path.exists()
                on_disk = on_disk and not is_beyond_end(error, file.path)
                return f"{withheld(file) if on_disk else unreadable(file)} ({text})"
        return (
            f"the store {self._folder} cannot be used: whoever runs this server must check its disk "
            f"and rights, then put back a copy of the folder or move it away ({text})"
        )

    def _opened(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            if self.closed:
                raise Unavailable(f"the store {self._file} is closed")
            if self._database is None:
                self._database = self._open()
            return self._database

    def _open(self) -> duckdb.DuckDBPyConnection:
        self._folder.mkdir(parents=True, exist_ok=True)
        database = duckdb.connect(
            str(self._file),
            config={"memory_limit": MEMORY_LIMIT, "wal_autocheckpoint": CHECKPOINT_AT},
        )
        try:
            self._load(database)
        except BaseException:
            database.close()
            raise
        return database

    def _give_up(self) -> None:
        with self._opening:
            if self._database is not None:
                with suppress(duckdb.Error):
                    self._database.close()
            self._database = None


def owner_of(error: Unavailable) -> str:
    """The process that owns a store which could not be opened because of that, as DuckDB says it; else empty."""
    said = OWNER.search(str(error.__cause__)) if LOCKED in str(error.__cause__) else None
    return said[1] if said else ""


def no_room(error: Exception) -> bool:
    """Whether the disk is full."""
    return "No space left" in str(error)


def is_beyond_end(error: Exception, path: Path) -> bool:
    """Whether more of a file was asked for than it has: it says what it does not hold, and the disk is well."""
    asked = BEYOND.search(str(error))
    return asked is not None and int(asked[1]) + int(asked[2]) > path.stat().st_size


def unreadable(file: StoreFile) -> str:
    """Which file is damaged or gone, what it holds, and what to do."""
    return f"{_cannot_read(file)}: put back a copy of this file or move it away"


def withheld(file: StoreFile) -> str:
    """Which file the disk does not give, what it holds, and what to do."""
    return (
        f"{_cannot_read(file)}: whoever runs this server must check its disk, rights and open files"
    )


def _cannot_read(file: StoreFile) -> str:
    span = f"{moment(file.start)} to {moment(file.end)}"
    return f"the store cannot read {file.path}, which holds {span}"


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All that is said within, or nothing of it."""
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        with suppress(duckdb.Error):
            connection.rollback()
        raise


def copied(
    connection: duckdb.DuckDBPyConnection, text: str, values: Mapping[str, int] | None = None
) -> int:
    """Copy into a file; how many rows."""
    ((rows,),) = connection.execute(text, values).fetchall()
    return int(rows)
