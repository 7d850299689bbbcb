"""Readings in DuckDB: an open table for what just came, sorted Parquet files and roll-ups of closed hours.

No index: repeats are dropped on read, and for good when their hour is closed. A kill between any two
steps costs nothing: open rows count as later than files, and of an hour's files the newest holds.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

import duckdb
import numpy as np

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_closing import Closing
from collector.adapters.duckdb_database import Database, transaction
from collector.adapters.duckdb_given import given_in
from collector.adapters.duckdb_looking import Looked, look
from collector.adapters.duckdb_reading import (
    as_raw,
    blaming,
    closed_columns,
    distinct_in,
    fetched,
    files_within,
    joined,
    newest_in,
    open_columns,
    rolled_columns,
    summed,
)
from collector.adapters.duckdb_state import State
from collector.adapters.store_spans import (
    Span,
    hour_of,
    in_parts,
    joined_hours,
    overlap,
    within_grain,
    without,
)
from collector.buckets import (
    GRAIN_MS,
    MINUTE_MS,
    ROLL_UPS,
    Kept,
    Late,
    Rolled,
    as_buckets,
    fitted,
    in_buckets,
    nothing,
)
from collector.ports import Buckets, CountKey, Kind, Raw, StoreBatch, Unavailable

T = TypeVar("T")
log = logging.getLogger("steward.store")

HOURS_CUT_MAX: Final = 24
LOOKS_MAX: Final = 10
COUNTED_AT_ONCE: Final = 300_000
"""Open rows that are told apart together: a table of 6 M at once took 300 MB and three times as long."""
OPEN_ROWS_MAX: Final = 20_000_000
"""Above this a write closes the hours before the newest one by itself."""


class DuckDbStore:
    """`ReadingStore` in `folder`; one process owns it. Safe to call from several threads.

    Raises:
        Unavailable: the file belongs to another process or is damaged; the message says who must act.
    """

    def __init__(self, folder: Path, *, open_rows_max: int = OPEN_ROWS_MAX) -> None:
        self._open_rows_max = self._close_above = open_rows_max
        self._state = State(folder)
        self._database = Database(folder, self._state.load)
        self._closing = Closing(self._database, self._state)
        with self._database.connected():
            pass

    # --- writing ------------------------------------------------------------------------------------

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        """Keep batches and cursor in one transaction."""
        state = self._state
        with state.writing, self._database.connected() as connection:
            arrival = state.arrival
            with transaction(connection):
                for batch in batches:
                    self._insert(connection, batch, arrival)
                    arrival += len(batch)
                state.series.save(connection)
                connection.execute("update cursor set position = ?, arrival = ?", [cursor, arrival])
                state.given.write(batches, connection)
            state.series.saved()
            state.given.written()
            state.open_rows += arrival - state.arrival
            state.arrival = arrival
        if state.open_rows > self._close_above:
            self._close_before_newest()

    def _insert(
        self, connection: duckdb.DuckDBPyConnection, batch: StoreBatch, arrival: int
    ) -> None:
        if len(batch) == 0:
            return
        columns = {
            "series": self._state.series.lookup(batch.keys)[batch.key],
            "time": batch.time,
            "value": batch.value,  # DuckDB reads numpy's NaN as null
            "quality": batch.quality,
            "arrival": np.arange(arrival + 1, arrival + 1 + len(batch)),
        }
        connection.register("batch", columns)
        connection.execute("insert into open select * from batch")
        connection.unregister("batch")

    # --- closing hours -------------------------------------------------------------------------------

    def close_hours(self, before: int) -> int:
        """Put every hour that ended by `before` (UTC ms) into files; returns how many were written.

        Call it now and then from one place; late readings of a closed hour rewrite that hour only. What
        has no roll-ups yet is rolled up, and what is over for good is merged into larger files.
        """
        return self._closing.tidy(before)

    def _close_before_newest(self) -> None:
        """What was written is kept, so a failure here is said and not raised."""
        try:
            with self._database.connected() as connection:
                newest = connection.execute("select max(time) from open").fetchall()[0][0]
            if newest is not None:
                self._closing.close_hours(newest)
        except Unavailable as error:
            log.error("hours could not be closed, their readings stay in the open table: %s", error)
        self._close_above = self._state.open_rows + self._open_rows_max

    def delete_before(self, time: int, kind: Kind = "raw") -> None:
        """Forget what is older at once; a file goes when all that it holds is."""
        self._closing.delete_before(time, kind)

    def lower_cut(self, time: int, kind: Kind) -> None:
        """Take back a cut that is later than `time`: what is still there from then on is shown again."""
        self._closing.lower_cut(time, kind)

    def cut_at_most(self, kind: Kind) -> int | None:
        """Where a cut leaves all but the first `HOURS_CUT_MAX` hours that hold something, UTC ms; None with no more."""
        return self._closing.nth_hour(kind, HOURS_CUT_MAX)

    @property
    def kept(self) -> Kept:
        """From when on each kind is kept."""
        return self._state.kept

    @property
    def troubles(self) -> tuple[str, ...]:
        """What could not be closed, rolled up or merged when it was last tried, and why."""
        return self._closing.troubles

    @property
    def late(self) -> Late:
        """Readings that came too late, since the start."""
        return self._state.late

    # --- reading ------------------------------------------------------------------------------------

    def cursor(self) -> int:
        with self._database.connected() as connection:
            return int(connection.execute("select position from cursor").fetchall()[0][0])

    def taken(self) -> int:
        with self._database.connected() as connection:
            return int(connection.execute("select arrival from cursor").fetchall()[0][0])

    def given(self) -> Mapping[CountKey, int]:
        with self._database.connected() as connection, transaction(connection):
            return given_in(connection)

    def latest(self, site: str, points: Sequence[str]) -> Mapping[str, tuple[int, float, int]]:
        names = {n: point for point in points for n in self._state.series.of_point(site, point)}
        if not names:
            return {}
        with self._database.connected() as connection, self._state.swapping:
            since = self._state.kept.raw
            shelf = self._state.shelves["raw"]
            pieces = shelf.pieces([(since, 2**62)])
            with blaming(shelf, lambda: [piece.file for piece in pieces]):
                rows = connection.execute(sql.latest_of(pieces, list(names), since)).fetchall()
        return {
            names[series]: (time, np.nan if value is None else value, quality)
            for series, time, value, quality in rows
        }

    def newest(self) -> int | None:
        """Looks in files from the last hour on; what is in one that is damaged is not seen."""
        with self._database.connected() as connection, self._state.swapping:
            ((found,),) = connection.execute(sql.NEWEST_OPEN).fetchall()
            files = self._state.shelves["raw"]
            pieces = files.all_pieces([(self._state.kept.raw, 2**62)])
            for piece in sorted(pieces, key=lambda piece: piece.end, reverse=True):
                if found is None or found < piece.end - 1:
                    times = (found, newest_in(connection, files, piece))
                    found = max((time for time in times if time is not None), default=None)
            return None if found is None or found < self._state.kept.raw else int(found)

    def kept_from(self) -> int:
        return self._state.kept.raw

    def raw(self, site: str, point: str, start: int, end: int) -> Raw:
        numbers = self._state.series.of_point(site, point)
        if not numbers:
            return nothing()
        return self._seen(
            lambda connection: self._raw(connection, numbers, start, end), (start, end)
        )

    def _raw(
        self, connection: duckdb.DuckDBPyConnection, numbers: Sequence[int], start: int, end: int
    ) -> Raw:
        start = max(start, self._state.kept.raw)
        if start >= end:
            return nothing()
        come = open_columns(connection, numbers, start, end)
        files = self._state.shelves["raw"]
        return as_raw(closed_columns(connection, files, numbers, [(start, end)]), come)

    def buckets(self, site: str, point: str, start: int, end: int, width_ms: int) -> Buckets:
        """From roll-ups where whole ones lie in a bucket and no reading of their hour is open."""
        numbers = self._state.series.of_point(site, point)

        def look(connection: duckdb.DuckDBPyConnection) -> Buckets:
            begin, stop, width = fitted(start, end, width_ms, self._state.kept)
            if not numbers or begin >= stop:
                return in_buckets(nothing(), width)
            return self._buckets(connection, numbers, (begin, stop), width)

        return self._seen(look, (start, end))

    def _buckets(
        self,
        connection: duckdb.DuckDBPyConnection,
        numbers: Sequence[int],
        span: Span,
        width_ms: int,
    ) -> Buckets:
        start, end = span
        come = open_columns(connection, numbers, max(start, self._state.kept.raw), end)
        alone = len(numbers) == 1 and len(come["time"]) == 0 and start >= 0
        odd = alone and width_ms > MINUTE_MS and width_ms % MINUTE_MS
        if odd and (pieces := self._state.shelves["raw"].pieces([span])):
            return summed(connection, pieces, numbers[0], width_ms)
        touched = joined_hours(np.unique(hour_of(come["time"])).tolist())
        rolled, rest = self._rolled(connection, numbers[0], [span], touched, width_ms)
        closed = closed_columns(connection, self._state.shelves["raw"], numbers, rest)
        return as_buckets(joined(as_raw(closed, come), rolled, width_ms), width_ms)

    def _seen(self, look: Callable[[duckdb.DuckDBPyConnection], T], span: Span) -> T:
        """What `look` sees of open readings and then of files; again where files or cuts were changed meanwhile.

        In this order no lock is needed: what is put into a file in between is seen twice and counts once.
        Who finds them changed each time looks once while nobody can.
        """
        for _ in range(LOOKS_MAX - 1):
            kept, changes = self._state.kept, self._state.changes
            try:
                with self._database.connected() as connection:
                    found = self._blaming(look, connection, span)
            except Unavailable as error:
                if not isinstance(error.__cause__, duckdb.IOException):
                    raise
                self._forget_gone()  # replaced by another, or moved away by hand
                if self._state.changes == changes:
                    raise
            else:
                if self._state.kept == kept:
                    return found
        with self._database.connected() as connection, self._state.swapping:
            self._state.forget_gone()
            return look(connection)

    def _blaming(
        self,
        look: Callable[[duckdb.DuckDBPyConnection], T],
        connection: duckdb.DuckDBPyConnection,
        span: Span,
    ) -> T:
        with ExitStack() as stack:
            for shelf in self._state.shelves:
                stack.enter_context(blaming(shelf, files_within(shelf, [span])))
            return look(connection)

    def _forget_gone(self) -> None:
        with self._database.connected():
            self._state.forget_gone()

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
                pieces = self._state.shelves[kind].pieces(wanted)
                rolled[kind] = rolled_columns(connection, pieces, number)
                rest = without(rest, sorted(span for piece in pieces for span in piece.of()))
        return rolled, rest

    def count(self) -> int:
        return self._seen(self._count, (0, 2**62))

    def _count(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Open rows and files of one moment: what the transaction sees was fixed by its first query."""
        raw = self._state.shelves["raw"]
        with transaction(connection):
            with self._state.swapping:
                since = self._state.kept.raw
                minutes = connection.execute(sql.OPEN_BY_MINUTE, {"since": since}).fetchall()
                every, hours = [(since, 2**62)], sorted({hour_of(minute) for minute, _ in minutes})
                touched = joined_hours(hours)
                again = raw.pieces(overlap(every, touched))
                alone = raw.pieces(without(every, touched))
            of_open, of_files = sql.count_of(again, alone)
            counts = connection.execute(of_files).fetchall()
            spans = in_parts(minutes, since, COUNTED_AT_ONCE)
            parts = (connection.execute(of_open, {"start": a, "end": b}) for a, b in spans)
            if again:
                return sum(int(count) for ((count,),) in (counts, *(p.fetchall() for p in parts)))
            return int(counts[0][0]) + distinct_in(fetched(part) for part in parts)

    def look(self) -> Looked:
        """Every file of closed hours, all of its bytes."""
        with self._database.connected() as connection:
            return look(connection, self._state.shelves)

    def lost(self) -> int:
        """At most so many readings were in files that are gone."""
        with self._database.connected():
            return sum(rows for _, rows in self._state.shelves["raw"].lost())

    def close(self) -> None:
        """Give the file back; what was written stays, and what is being closed or merged stays open."""
        self._database.closed = True
        self._closing.stop()
        with self._state.writing:
            self._database.close()
