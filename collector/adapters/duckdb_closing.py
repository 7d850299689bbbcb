"""Closing hours of the DuckDB store: open rows become files, files are merged, and retention takes them."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import duckdb

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_database import ENDED, Database, transaction, unreadable
from collector.adapters.duckdb_files import (
    FOLDERS,
    RowHours,
    merge,
    not_rolled,
    to_close,
)
from collector.adapters.duckdb_reading import blaming, files_within, rows_of
from collector.adapters.duckdb_rewriting import close_span, in_words
from collector.adapters.duckdb_settling import Settling
from collector.adapters.duckdb_state import State
from collector.adapters.duckdb_troubles import Trouble, Troubles
from collector.adapters.store_files import Shelf
from collector.adapters.store_pieces import StoreFile
from collector.adapters.store_spans import Span, hour_of, moment
from collector.buckets import HOUR_MS, ROLL_UPS
from collector.ports import Kind, Unavailable

log = logging.getLogger("steward.store")
ONE_CORE: Final = "set threads = 1"
"""For merges; who reads meanwhile works on the own query in the own thread."""

LOOKED_AT_ONCE: Final = 512 * 2**20
"""Bytes of files that are compared with their sums in one go: a quarter of a second."""


class Closing:
    """One at a time. What cannot be closed, rolled up or merged is said, and stands in nobody's way."""

    def __init__(self, database: Database, state: State) -> None:
        self._database = database
        self._state = state
        self._rows = RowHours()
        self._at_work = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._stopped = False
        self._troubles = Troubles(database)
        self._settling = Settling(state, self._troubles, self._go_on)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What could not be done when it was last tried."""
        return self._troubles.said

    def close_hours(self, before: int) -> int:
        """Put every hour that ended by `before` into files; returns how many."""
        with self._at_work, self._database.connected() as self._connection:
            count, troubles = self._close(self._connection, hour_of(before))
            self._troubles.keep(troubles)
            return count

    def tidy(self, before: int) -> int:
        """Close hours; then roll up what is not yet, and merge what is over. Returns how many were closed."""
        with self._at_work, self._database.connected() as self._connection:
            troubles = self._settling.look_again(self._connection)
            self._drop_behind(self._connection)
            count, more = self._close(self._connection, hour_of(before))
            troubles += more
            lacking, more = self._roll_up(self._connection, hour_of(before))
            troubles += more
            troubles += self._merge(self._connection, hour_of(before), lacking, troubles)
            troubles += self._look_at_files(self._connection, troubles)
            self._troubles.keep(troubles)
            self._rows.forget_but({file for shelf in self._state.shelves for file in shelf})
            return count

    def delete_before(self, time: int, kind: Kind) -> None:
        """Forget what is older at once; a file goes when all that it holds is.

        Readings are rolled up before they go; those in damaged files go without. Raises `Unavailable`
        where anything else is in the way: nothing goes then.
        """
        with self._at_work, self._database.connected() as self._connection:
            kept = self._state.kept.but(kind, time)
            if kind == "raw":
                self._settling.look_again(self._connection)
                self._roll_up_going(self._connection, time)
            self._cut(self._connection, kind, getattr(kept, kind))

    def nth_hour(self, kind: Kind, n: int) -> int | None:
        """Start of the hour before which n hours that are kept hold something in files; None where so many do not."""
        shelf, since = self._state.shelves[kind], getattr(self._state.kept, kind)
        hours: list[int] = []
        with self._at_work, self._database.connected() as self._connection:
            for file in shelf:
                if len(hours) > n and file.start > hours[n]:
                    break
                rows = self._rows.of(self._connection, shelf, file)
                held = [hour for hour in shelf.hours_of(file) if rows is None or hour in rows]
                hours = sorted([*hours, *(hour for hour in held if hour + HOUR_MS > since)])
        return hours[n] if n < len(hours) else None

    def lower_cut(self, time: int, kind: Kind) -> None:
        """Take back a cut that is later than `time`: what is still there from then on is shown again."""
        with self._at_work, self._database.connected() as self._connection:
            if time < getattr(self._state.kept, kind):
                self._cut(self._connection, kind, time)

    def stop(self) -> None:
        """End what is at work, now; it may be done again."""
        self._stopped = True
        while not self._at_work.acquire(timeout=0.05):
            if (connection := self._connection) is not None:
                with suppress(duckdb.Error):  # it has just ended
                    connection.interrupt()
        self._at_work.release()

    def _merge(
        self,
        connection: duckdb.DuckDBPyConnection,
        before: int,
        lacking: set[int],
        known: Sequence[Trouble],
    ) -> list[Trouble]:
        """Merge what is over; of roll-ups no block of which some are `lacking`. A file is complained of once."""
        damaged = {file for trouble in known for file in trouble.damaged}
        troubles = []
        connection.execute(ONE_CORE)
        try:
            for kind, span, error in self._merged(connection, before, lacking):
                files = _files(self._state.shelves[kind], span)
                what = f"files ({kind}) of {in_words(span)} could not be merged"
                trouble = self._troubles.found(what, error, files)
                if not trouble.damaged or not damaged.issuperset(trouble.damaged):
                    troubles.append(self._troubles.told(trouble))
                    damaged.update(trouble.damaged)
        finally:
            connection.execute("reset threads")
        return troubles

    def _merged(
        self, connection: duckdb.DuckDBPyConnection, before: int, lacking: set[int]
    ) -> Iterator[tuple[Kind, Span, Exception]]:
        """Merge, and give what failed."""
        for kind in FOLDERS:
            shelf, but = self._state.shelves[kind], lacking if kind in ROLL_UPS else set[int]()
            for span, error in merge(connection, shelf, before, self._state.swapping, but=but):
                self._go_on()
                if error:
                    yield kind, span, error

    def _look_at_files(
        self, connection: duckdb.DuckDBPyConnection, known: Sequence[Trouble]
    ) -> list[Trouble]:
        """Whether files have the bytes that were put there, a part of them each time; those without a sum get theirs."""
        damaged = {file for trouble in known for file in trouble.damaged}
        troubles, left = [], LOOKED_AT_ONCE
        for shelf in self._state.shelves:
            for file in shelf:
                with suppress(OSError):  # gone, or not given: said where it is read
                    if not shelf.sums.is_looked_at(file.path):
                        if left <= 0:
                            continue
                        self._go_on()
                        left -= file.path.stat().st_size
                        if (rows := rows_of(connection, file.path)) is not None:
                            shelf.adopt(file, rows)
                    if shelf.sums.is_spoilt(file.path) and file not in damaged:
                        troubles.append(self._troubles.told(Trouble(unreadable(file), (file,))))
            if shelf is not self._state.shelves["raw"]:
                shelf.forget_remade()
        return troubles

    def _close(
        self, connection: duckdb.DuckDBPyConnection, before: int
    ) -> tuple[int, list[Trouble]]:
        """How many hours were closed, and why others could not be."""
        state = self._state
        with state.writing:
            span = {"since": state.kept.raw, "before": before}
            hours = [hour for (hour,) in connection.execute(sql.OPEN_HOURS, span).fetchall()]
        what = "could not be closed, new ones stay in the open table"
        done, troubles = self._close_all(connection, list(state.shelves), hours, before, what)
        return len(done), troubles

    def _roll_up(
        self, connection: duckdb.DuckDBPyConnection, time: int
    ) -> tuple[set[int], list[Trouble]]:
        """Make roll-ups of all readings before `time` that are closed; hours that still have none, and why."""
        state = self._state
        hours, damaged = not_rolled(connection, state.shelves, self._rows, state.kept, time)
        troubles = [
            self._troubles.told(Trouble(f"no roll-ups can be made: {unreadable(file)}", (file,)))
            for file in damaged
        ]
        shelves = [state.shelves[kind] for kind in ROLL_UPS]
        done, more = self._close_all(connection, shelves, hours, time, "could not be rolled up")
        of_damaged = {hour for file in damaged for hour in file.each_hour()}
        return (set(hours) - done) | of_damaged, troubles + more

    def _roll_up_going(self, connection: duckdb.DuckDBPyConnection, time: int) -> None:
        """So that roll-ups of all that goes are there, but for what is in damaged files."""
        _, troubles = self._close(connection, time)
        troubles += self._roll_up(connection, time)[1]
        for trouble in troubles:
            if not trouble.damaged:
                raise Unavailable(trouble.said) from trouble.error
        for file in dict.fromkeys(file for trouble in troubles for file in trouble.damaged):
            if file.end <= time:
                log.error("retention: %s goes without roll-ups, it cannot be read", file.path)

    def _close_all(
        self,
        connection: duckdb.DuckDBPyConnection,
        shelves: Sequence[Shelf],
        hours: Sequence[int],
        before: int,
        what: str,
    ) -> tuple[set[int], list[Trouble]]:
        """Hours that were closed, whole days at once where the shelves hold nothing of them; why others were not."""
        spans, troubles, done = to_close(shelves, hours, before), list[Trouble](), set[int]()
        while spans:
            self._go_on()
            span = spans.pop(0)
            within = {hour for hour in hours if span[0] <= hour < span[1]}
            trouble = self._tried(connection, span, what)
            if trouble is None:
                done |= within
            elif trouble.damaged and len(within) > 1:
                spans = [(hour, hour + HOUR_MS) for hour in sorted(within)] + spans
            else:
                troubles.append(self._troubles.told(trouble))
        return done, troubles

    def _tried(
        self, connection: duckdb.DuckDBPyConnection, span: Span, what: str
    ) -> Trouble | None:
        try:
            with blaming(
                self._state.shelves["raw"], files_within(self._state.shelves["raw"], [span])
            ):
                close_span(connection, self._state, span)
        except ENDED:
            raise
        except (duckdb.Error, OSError) as error:
            files = _files(self._state.shelves["raw"], span)
            return self._troubles.found(f"readings of {in_words(span)} {what}", error, files)
        return None

    def _go_on(self) -> None:
        if self._stopped:
            raise Unavailable("the store is being closed")

    def _drop_behind(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Drop open readings that are older than what is kept, and files that a kill left behind a cut."""
        state = self._state
        with state.writing, state.swapping:
            ((count,),) = connection.execute(sql.DROP_BEHIND, [state.kept.raw]).fetchall()
            state.count_open(connection)
            for kind in FOLDERS:
                state.shelves[kind].drop_before(getattr(state.kept, kind))
        if count:
            state.late.dropped += count
            log.warning("%d readings came later than their retention and are dropped", count)

    def _cut(self, connection: duckdb.DuckDBPyConnection, kind: Kind, since: int) -> None:
        state = self._state
        with state.writing, state.swapping:
            with transaction(connection):
                connection.execute("delete from kept where kind = ?", [kind])
                connection.execute("insert into kept values (?, ?)", [kind, since])
            state.kept = state.kept.at(kind, since)
            if going := state.shelves[kind].before(since):
                last = moment(max(file.end for file in going))
                log.info("retention: %d files (%s) up to %s go", len(going), kind, last)
            state.shelves[kind].drop_before(since)


def _files(shelf: Shelf, span: Span) -> list[StoreFile]:
    return [piece.file for piece in shelf.all_pieces([span])]
