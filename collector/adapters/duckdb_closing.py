"""Closing hours of the DuckDB store: open rows become files, files are merged, and retention takes them."""

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import duckdb

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_database import ENDED, Database, transaction, unreadable
from collector.adapters.duckdb_files import (
    FOLDERS,
    RowHours,
    join_rolled,
    merge,
    not_rolled,
    to_close,
    write_parts,
)
from collector.adapters.duckdb_reading import blaming, files_within, is_damaged
from collector.adapters.duckdb_state import State
from collector.adapters.store_files import Beside, Piece, Shelf, Span, StoreFile, hour_of, moment
from collector.buckets import HOUR_MS, ROLL_UPS
from collector.ports import Kind, Unavailable

log = logging.getLogger("steward.store")
TROUBLES_TOLD: Final = 100
ONE_CORE: Final = "set threads = 1"
"""For merges; who reads meanwhile works on the own query in the own thread."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What could not be done and why. `damaged`: files that stood in the way, and nothing else did."""

    said: str
    damaged: tuple[StoreFile, ...] = ()
    error: Exception | None = None


class Closing:
    """One at a time. `troubles` says what could not be closed, rolled up or merged when it was last tried."""

    def __init__(self, database: Database, state: State) -> None:
        self._database = database
        self._state = state
        self._rows = RowHours()
        self._at_work = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._stopped = False
        self.troubles: tuple[str, ...] = ()

    def close_hours(self, before: int) -> int:
        """Put every hour that ended by `before` into files; returns how many."""
        with self._at_work, self._database.connected() as self._connection:
            count, troubles = self._close(self._connection, hour_of(before))
            self._keep(troubles)
            return count

    def tidy(self, before: int) -> int:
        """Close hours; then roll up what is not yet, and merge what is over. Returns how many were closed."""
        with self._at_work, self._database.connected() as self._connection:
            troubles = self._look_again(self._connection)
            self._drop_behind(self._connection)
            count, more = self._close(self._connection, hour_of(before))
            troubles += more
            lacking, more = self._roll_up(self._connection, hour_of(before))
            troubles += more
            troubles += self._merge(self._connection, hour_of(before), lacking, troubles)
            self._keep(troubles)
            self._rows.forget_but({file for shelf in self._state.shelves for file in shelf})
            return count

    def _look_again(self, connection: duckdb.DuckDBPyConnection) -> list[Trouble]:
        """Take up what was put back, forget what was moved away; which copies could not be joined to newer files."""
        troubles = []
        for kind in FOLDERS:
            self._state.shelves[kind].look_again()
            for file in self._state.shelves[kind].unsettled():
                self._go_on()
                if trouble := self._settled(connection, kind, file):
                    troubles.append(self._told(trouble))
        return troubles

    def _settled(
        self, connection: duckdb.DuckDBPyConnection, kind: Kind, file: StoreFile
    ) -> Trouble | None:
        """What a file found beside newer ones has and they lack is joined to them; then it goes, and never before."""
        shelf = self._state.shelves[kind]
        beside = shelf.beside(file)
        files = [file, *(piece.file for piece in beside.newer)]
        try:
            with blaming(shelf, lambda: files):
                for each in files:
                    shelf.check(each)
                self._settle(connection, kind, beside)
        except ENDED:
            raise
        except (duckdb.Error, OSError) as error:
            what = f"{file.path} was put back beside newer files, which lack some of it, and could not be joined to them; it stays"
            return self._trouble(connection, what, error, files)
        return None

    def _settle(self, connection: duckdb.DuckDBPyConnection, kind: Kind, beside: Beside) -> None:
        shelf, file = self._state.shelves[kind], beside.hidden.file
        if lacking := self._lacking(connection, kind, beside):
            self._join(connection, kind, beside, lacking)
            beside = shelf.beside(file)
            lacking = self._lacking(connection, kind, beside)
        if not lacking and shelf.settle(beside):
            log.info("%s goes: newer files have all that it holds", file.path)

    def _lacking(
        self, connection: duckdb.DuckDBPyConnection, kind: Kind, beside: Beside
    ) -> list[int]:
        """Hours of which newer files lack some of what they hide."""
        if not beside.newer:
            return []
        since = getattr(self._state.kept, kind)
        text = sql.hours_lacking(beside.hidden, beside.newer, kind, since)
        return [hour for (hour,) in connection.execute(text).fetchall()]

    def _join(
        self,
        connection: duckdb.DuckDBPyConnection,
        kind: Kind,
        beside: Beside,
        lacking: Sequence[int],
    ) -> None:
        """Write newer files anew with what they lack; one that is alone in its hours takes them."""
        shelf, file = self._state.shelves[kind], beside.hidden.file
        if beside.is_all and not _has_rows(connection, beside.newer):
            with self._state.swapping:
                shelf.make_newest(file)
        elif kind == "raw":
            for hour in lacking:
                self._go_on()
                span = (hour, hour + HOUR_MS)
                self._close_span(connection, span, [Piece(file, (span,))])
            log.info(
                "%s was put back: %d hours were joined to newer files", file.path, len(lacking)
            )
        else:
            join_rolled(connection, shelf, beside.hidden, self._state.swapping)

    def _keep(self, troubles: Sequence[Trouble]) -> None:
        self.troubles = tuple(dict.fromkeys(trouble.said for trouble in troubles))[:TROUBLES_TOLD]

    def delete_before(self, time: int, kind: Kind) -> None:
        """Forget what is older at once; a file goes when all that it holds is.

        Readings are rolled up before they go; those in damaged files go without. Raises `Unavailable`
        where anything else is in the way: nothing goes then.
        """
        with self._at_work, self._database.connected() as self._connection:
            kept = self._state.kept.but(kind, time)
            if kind == "raw":
                self._look_again(self._connection)
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
                what = f"files ({kind}) of {_said(span)} could not be merged"
                trouble = self._trouble(connection, what, error, files)
                if not trouble.damaged or not damaged.issuperset(trouble.damaged):
                    troubles.append(self._told(trouble))
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
            self._told(Trouble(f"no roll-ups can be made: {unreadable(file)}", (file,)))
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
                troubles.append(self._told(trouble))
        return done, troubles

    def _tried(
        self, connection: duckdb.DuckDBPyConnection, span: Span, what: str
    ) -> Trouble | None:
        try:
            with blaming(
                self._state.shelves["raw"], files_within(self._state.shelves["raw"], [span])
            ):
                self._close_span(connection, span)
        except ENDED:
            raise
        except (duckdb.Error, OSError) as error:
            files = _files(self._state.shelves["raw"], span)
            return self._trouble(connection, f"readings of {_said(span)} {what}", error, files)
        return None

    def _trouble(
        self,
        connection: duckdb.DuckDBPyConnection,
        what: str,
        error: Exception,
        files: Iterable[StoreFile],
    ) -> Trouble:
        """DuckDB does not always name the file that it cannot read, so each is tried alone."""
        try:
            damaged = tuple(file for file in files if is_damaged(file.path))
        except (duckdb.IOException, duckdb.OutOfMemoryException, OSError):
            damaged = ()
        why = unreadable(damaged[0]) if damaged else self._database.why(error)
        return Trouble(f"{what}: {why}", damaged, error)

    def _told(self, trouble: Trouble) -> Trouble:
        """Said in the log once, as long as it lasts."""
        if trouble.said not in self.troubles:
            log.error("%s", trouble.said)
            self.troubles = (*self.troubles, trouble.said)
        return trouble

    def _go_on(self) -> None:
        if self._stopped:
            raise Unavailable("the store is being closed")

    def _close_span(
        self, connection: duckdb.DuckDBPyConnection, span: Span, beside: Sequence[Piece] = ()
    ) -> None:
        """Write files of some hours anew from open rows, their old files and what is beside; open rows go last."""
        state, (start, end) = self._state, span
        with state.writing:
            points = state.series.points()
            state.series.file()
            arrival = state.arrival
        values = {"start": max(start, state.kept.raw), "end": end, "arrival": arrival}
        try:
            kinds = write_parts(connection, state.shelves, span, values, points, beside)
            with state.writing, state.swapping:
                for kind in kinds:
                    state.shelves[kind].put(start, (end - start) // HOUR_MS, arrival)
                with transaction(connection):
                    ((count,),) = connection.execute(sql.DROP_OPEN, values).fetchall()
                state.count_open(connection)
        except BaseException:
            for shelf in state.shelves:
                shelf.part(start).unlink(missing_ok=True)
            raise
        if count and len(kinds) <= len(ROLL_UPS):
            state.late.not_rolled += count
            log.warning(
                "of readings of %s, %d came when others were gone: the roll-ups stay as they are",
                _said(span), count,
            )  # fmt: skip

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


def _has_rows(connection: duckdb.DuckDBPyConnection, pieces: Sequence[Piece]) -> bool:
    ((count,),) = connection.execute(sql.how_many(pieces, "count(*)")).fetchall()
    return bool(count)


def _said(span: Span) -> str:
    return f"{moment(span[0])} to {moment(span[1])}"


def _files(shelf: Shelf, span: Span) -> list[StoreFile]:
    return [piece.file for piece in shelf.all_pieces([span])]
