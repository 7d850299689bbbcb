"""Readings in DuckDB: an open table for what just came, sorted Parquet files and roll-ups of closed hours.

No index: repeats are dropped on read, and for good when their hour is closed. A kill between any two
steps costs nothing: open rows count as later than files, and of an hour's files the newest holds.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_files import Shelves, merge, to_close, write_parts
from collector.adapters.duckdb_reading import (
    as_raw,
    closed_columns,
    joined,
    open_columns,
    readable,
    rolled_columns,
    summed,
)
from collector.adapters.store_files import (
    Span,
    hour_of,
    joined_hours,
    overlap,
    within_grain,
    without,
)
from collector.buckets import (
    GRAIN_MS,
    HOUR_MS,
    MINUTE_MS,
    ROLL_UPS,
    Kept,
    Rolled,
    as_buckets,
    fitted,
    in_buckets,
    nothing,
)
from collector.ports import Buckets, Kind, Raw, SeriesKey, StoreBatch, Unavailable
from edge.readings import Ints

log = logging.getLogger("steward.store")

OPEN_ROWS_MAX: Final = 20_000_000
"""Above this a write closes the hours before the newest one by itself."""
MEMORY_LIMIT: Final = "1GB"


class DuckDbStore:
    """`ReadingStore` in `folder`; one process owns it. Safe to call from several threads.

    Raises:
        Unavailable: the file belongs to another process or is damaged; the message says who must act.
    """

    def __init__(self, folder: Path, *, open_rows_max: int = OPEN_ROWS_MAX) -> None:
        self._folder = folder
        self._file = folder / "readings.duckdb"
        self._open_rows_max = open_rows_max
        self._opening = threading.Lock()
        self._writing = threading.Lock()
        self._closing = threading.Lock()
        self._swapping = threading.Lock()
        self._closed = False
        self._database: duckdb.DuckDBPyConnection | None = None
        with self._told_apart():
            self._opened()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            if self._closed:
                raise Unavailable(f"the store {self._file} is closed")
            if self._database is None:
                self._database = self._open()
            return self._database

    def _open(self) -> duckdb.DuckDBPyConnection:
        self._folder.mkdir(parents=True, exist_ok=True)
        database = duckdb.connect(str(self._file), config={"memory_limit": MEMORY_LIMIT})
        database.execute(sql.SCHEMA)
        rows = database.execute("select number, site, point, unit, kind from series").fetchall()
        self._numbers = {SeriesKey(*row[1:]): int(row[0]) for row in rows}
        self._of_point: dict[tuple[str, str], list[int]] = {}
        for key, number in self._numbers.items():
            self._of_point.setdefault((key.site, key.point), []).append(number)
        self._unsaved: dict[SeriesKey, int] = {}
        self._last_keys: list[SeriesKey] = []
        self._last_lookup: Ints = np.empty(0, np.int64)
        counts = database.execute("select arrival, (select count(*) from open) from cursor")
        self._arrival, self._open_rows = counts.fetchall()[0]
        self._close_above = self._open_rows_max
        self._kept = Kept(**dict(database.execute("select kind, since from kept").fetchall()))
        self._shelves = Shelves(self._folder)
        return database

    @contextmanager
    def _told_apart(self) -> Iterator[None]:
        """What DuckDB and the disk say becomes `Unavailable`, with who must do what."""
        try:
            yield
        except duckdb.FatalException as error:
            self._give_up()  # this connection is of no use any more: the next call opens anew
            raise Unavailable(self._why(error)) from error
        except (duckdb.Error, OSError) as error:
            raise Unavailable(self._why(error)) from error

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._told_apart(), self._opened().cursor() as connection:
            yield connection

    def _why(self, error: Exception) -> str:
        text = str(error).strip().splitlines()[0]
        if "lock" in text.lower():
            return (
                f"the store {self._file} is open in another process: stop that one, only one "
                f"Steward server may own it ({text})"
            )
        if "No space left" in text or isinstance(error, duckdb.OutOfMemoryException):
            return f"no room for the store {self._folder}: free disk or memory ({text})"
        return (
            f"the store {self._folder} cannot be used: whoever runs this server must check its disk "
            f"and rights, then put back a copy of the folder or move it away ({text})"
        )

    # --- writing ------------------------------------------------------------------------------------

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        """Keep batches and cursor in one transaction."""
        with self._writing, self._connected() as connection:
            arrival = self._arrival
            with _transaction(connection):
                for batch in batches:
                    self._insert(connection, batch, arrival)
                    arrival += len(batch)
                _insert_series(connection, self._unsaved)
                connection.execute("update cursor set position = ?, arrival = ?", [cursor, arrival])
            self._unsaved.clear()
            self._open_rows += arrival - self._arrival
            self._arrival = arrival
        if self._open_rows > self._close_above:
            self._close_before_newest()

    def _insert(
        self, connection: duckdb.DuckDBPyConnection, batch: StoreBatch, arrival: int
    ) -> None:
        if len(batch) == 0:
            return
        columns = {
            "series": self._lookup(batch.keys)[batch.key],
            "time": batch.time,
            "value": batch.value,  # DuckDB reads numpy's NaN as null
            "quality": batch.quality,
            "arrival": np.arange(arrival + 1, arrival + 1 + len(batch)),
        }
        connection.register("batch", columns)
        connection.execute("insert into open select * from batch")
        connection.unregister("batch")

    def _lookup(self, keys: Sequence[SeriesKey]) -> Ints:
        """Series number of each key; the same keys as last time cost a comparison by identity.

        A number is known to readers before its first reading is, and is never given twice.
        """
        listed = list(keys)
        if listed != self._last_keys:
            for key in listed:
                if key not in self._numbers:
                    self._numbers[key] = self._unsaved[key] = len(self._numbers) + 1
                    self._of_point.setdefault((key.site, key.point), []).append(self._numbers[key])
            self._last_lookup = np.array([self._numbers[key] for key in listed], np.int64)
            self._last_keys = listed
        return self._last_lookup

    # --- closing hours -------------------------------------------------------------------------------

    def close_hours(self, before: int) -> int:
        """Put every hour that ended by `before` (UTC ms) into files; returns how many were written.

        Call it now and then from one place; late readings of a closed hour rewrite that hour only. What
        is over for good is merged into larger files.
        """
        with self._closing, self._connected() as connection:
            closed = self._close(connection, hour_of(before))
            for shelf in self._shelves:
                merge(connection, shelf, hour_of(before), self._swapping)
            return closed

    def _close(self, connection: duckdb.DuckDBPyConnection, before: int) -> int:
        with self._writing:
            connection.execute("delete from open where time < ?", [self._kept.raw])
        hours = connection.execute(sql.OPEN_HOURS, [before]).fetchall()
        spans = to_close(self._shelves["raw"], [hour for (hour,) in hours], before)
        for span in spans:
            self._close_span(connection, span)
        return len(hours)

    def _close_before_newest(self) -> None:
        """What was written is kept, so a failure here is said and not raised."""
        try:
            with self._connected() as connection:
                newest = connection.execute("select max(time) from open").fetchall()[0][0]
            self.close_hours(newest)
        except Unavailable as error:
            log.error("hours could not be closed, their readings stay in the open table: %s", error)
        self._close_above = self._open_rows + self._open_rows_max

    def _close_span(self, connection: duckdb.DuckDBPyConnection, span: Span) -> None:
        """Write files of some hours anew from open rows and their old files; open rows go last."""
        arrival, (start, end) = self._arrival, span
        write_parts(connection, self._shelves, span, arrival, self._points())
        hours = (end - start) // HOUR_MS
        with self._writing, self._swapping:
            for kind in ROLL_UPS:
                self._shelves[kind].put(start, hours, arrival)
            new = self._shelves["raw"].put(start, hours, arrival)
            with _transaction(connection):
                values = {"start": start, "end": end, "arrival": arrival}
                connection.execute(sql.DROP_OPEN, values)
                connection.execute(sql.newest_of_file(new.path))
            self._count_open(connection)

    def _points(self) -> Ints:
        """Of each series number the first of its point, by which roll-ups are kept."""
        points = np.zeros(len(self._numbers) + 1, np.int64)
        for numbers in list(self._of_point.values()):
            points[numbers] = numbers[0]
        return points

    def delete_before(self, time: int, kind: Kind = "raw") -> None:
        """Forget what is older at once; a file goes when all that it holds is."""
        with self._closing, self._connected() as connection:
            if kind == "raw":
                self._close(connection, time)  # so that roll-ups of all that goes are there
            kept = self._kept.but(kind, time)
            with self._writing, self._swapping:
                with _transaction(connection):
                    connection.execute("delete from kept where kind = ?", [kind])
                    connection.execute(
                        "insert into kept values (?, ?)", [kind, getattr(kept, kind)]
                    )
                    connection.execute("delete from newest where time < ?", [kept.raw])
                self._kept = kept
                self._shelves[kind].drop_before(getattr(kept, kind))
                self._count_open(connection)

    def _count_open(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._open_rows = int(connection.execute("select count(*) from open").fetchall()[0][0])

    # --- reading ------------------------------------------------------------------------------------

    def cursor(self) -> int:
        with self._connected() as connection:
            return int(connection.execute("select position from cursor").fetchall()[0][0])

    def latest(self, site: str, points: Sequence[str]) -> Mapping[str, tuple[int, float, int]]:
        names = {n: point for point in points for n in self._of_point.get((site, point), ())}
        if not names:
            return {}
        with self._connected() as connection, self._swapping:
            rows = connection.execute(sql.NEWEST_OPEN, {"numbers": list(names)}).fetchall()
        rows.sort(key=lambda row: (row[1], row[0], row[4]))
        return {
            names[series]: (time, np.nan if value is None else value, quality)
            for series, time, value, quality, _ in rows
            if time >= self._kept.raw
        }

    def raw(self, site: str, point: str, start: int, end: int) -> Raw:
        numbers = self._of_point.get((site, point))
        start = max(start, self._kept.raw)
        if not numbers or start >= end:
            return nothing()
        with self._connected() as connection, self._swapping:
            come = open_columns(connection, numbers, start, end)
            files = self._shelves["raw"]
            return as_raw(closed_columns(connection, files, numbers, [(start, end)]), come)

    def buckets(self, site: str, point: str, start: int, end: int, width_ms: int) -> Buckets:
        """From roll-ups where whole ones lie in a bucket and no reading of their hour is open."""
        start, end, width_ms = fitted(start, end, width_ms, self._kept)
        numbers = self._of_point.get((site, point))
        if not numbers or start >= end:
            return in_buckets(nothing(), width_ms)
        with self._connected() as connection, self._swapping:
            come = open_columns(connection, numbers, max(start, self._kept.raw), end)
            pieces = self._shelves["raw"].pieces([(start, end)])
            alone = len(numbers) == 1 and len(come["time"]) == 0 and start >= 0
            if pieces and alone and width_ms > MINUTE_MS and width_ms % MINUTE_MS:
                return summed(connection, pieces, numbers[0], width_ms)
            touched = joined_hours(np.unique(hour_of(come["time"])).tolist())
            rolled, rest = self._rolled(connection, numbers[0], [(start, end)], touched, width_ms)
            closed = closed_columns(connection, self._shelves["raw"], numbers, rest)
        return as_buckets(joined(as_raw(closed, come), rolled, width_ms), width_ms)

    def _rolled(
        self,
        connection: duckdb.DuckDBPyConnection,
        number: int,
        rest: list[Span],
        touched: list[Span],
        width_ms: int,
    ) -> tuple[dict[Kind, Rolled | None], list[Span]]:
        """Roll-ups of a span, the widest first, and what of it they leave to readings."""
        rolled: dict[Kind, Rolled | None] = {}
        for kind in reversed(ROLL_UPS):
            if width_ms % GRAIN_MS[kind] == 0:
                wanted = without(within_grain(rest, GRAIN_MS[kind]), touched)
                pieces = self._shelves[kind].pieces(wanted)
                rolled[kind] = rolled_columns(connection, pieces, number)
                rest = without(rest, sorted(span for piece in pieces for span in piece.of()))
        return rolled, rest

    def count(self) -> int:
        with self._connected() as connection, self._swapping:
            since = self._kept.raw
            hours = connection.execute(sql.OPEN_HOURS, [2**62]).fetchall()
            every, touched = [(since, 2**62)], joined_hours(hour for (hour,) in hours)
            raw = self._shelves["raw"]
            again, alone = raw.pieces(overlap(every, touched)), raw.pieces(without(every, touched))
            counted = connection.execute(sql.count_of(again, alone), {"since": since})
            return int(counted.fetchall()[0][0])

    def damaged(self) -> list[Path]:
        """Files of closed hours that cannot be opened: what they hold is not to be had until put back."""
        with self._connected() as connection, self._swapping:
            files = [file.path for shelf in self._shelves for file in shelf]
            return [path for path in files if not readable(connection, path)]

    def close(self) -> None:
        """Give the file back; what was written stays."""
        self._closed = True
        with self._writing:
            self._give_up()

    def _give_up(self) -> None:
        with self._opening:
            if self._database is not None:
                with suppress(duckdb.Error):
                    self._database.close()
            self._database = None


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        with suppress(duckdb.Error):
            connection.rollback()
        raise


def _insert_series(connection: duckdb.DuckDBPyConnection, unsaved: Mapping[SeriesKey, int]) -> None:
    if unsaved:
        rows = ((n, key.site, key.point, key.unit, key.kind) for key, n in unsaved.items())
        connection.execute(sql.ADD_SERIES, [list(column) for column in zip(*rows, strict=True)])
