"""What the DuckDB store knows beside its database: series, arrivals, cuts of retention, and which files hold what."""

import threading
from pathlib import Path

import duckdb

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_files import Shelves
from collector.adapters.duckdb_given import Given
from collector.adapters.duckdb_series import Series
from collector.buckets import Kept, Late


class State:
    """Whoever writes holds `writing`; files are exchanged, and cuts moved, under `swapping` as well.

    The files are looked at once: a database that is opened anew beside a merge must not see half of it.
    """

    series: Series
    given: Given
    kept: Kept
    arrival: int
    open_rows: int

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.writing = threading.Lock()
        self.swapping = threading.RLock()
        self.late = Late()
        self._shelves: Shelves | None = None

    @property
    def shelves(self) -> Shelves:
        """The files, once loaded."""
        if self._shelves is None:
            self._shelves = Shelves(self._folder)
        return self._shelves

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        """As database and folder say. Raises `Unavailable` where they do not belong together."""
        connection.execute(sql.SCHEMA)
        has_files = any(True for shelf in self.shelves for _ in shelf)
        self.series = Series(connection, self._folder, has_files=has_files)
        (self.arrival,) = connection.execute("select arrival from cursor").fetchall()[0]
        self.given = Given(connection)
        self.kept = Kept(**dict(connection.execute("select kind, since from kept").fetchall()))
        self.count_open(connection)

    @property
    def changes(self) -> tuple[int, ...]:
        """Another one when files were put, taken or forgotten meanwhile."""
        return tuple(shelf.changes for shelf in self.shelves)

    def forget_gone(self) -> None:
        """Forget files that were moved away."""
        for shelf in self.shelves:
            shelf.forget_gone()

    def count_open(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Count the rows of the open table anew."""
        self.open_rows = int(connection.execute("select count(*) from open").fetchall()[0][0])
