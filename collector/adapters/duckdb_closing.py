"""Closing hours of the DuckDB store: open rows become files, files are merged, and retention takes them."""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import duckdb

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_database import Database, no_room, transaction
from collector.adapters.duckdb_files import merge, not_rolled, to_close, write_parts
from collector.adapters.duckdb_state import State
from collector.adapters.store_files import Span, hour_of, moment
from collector.buckets import HOUR_MS, ROLL_UPS
from collector.ports import Kind, Unavailable

log = logging.getLogger("steward.store")
TROUBLES_TOLD: Final = 100
ONE_CORE: Final = "set threads = 1"
"""For merges; who reads meanwhile works on the own query in the own thread."""


class Closing:
    """One at a time. `troubles` says what could not be closed when it was last tried."""

    def __init__(self, database: Database, state: State) -> None:
        self._database = database
        self._state = state
        self._at_work = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._stopped = False
        self.troubles: tuple[str, ...] = ()

    def close_hours(self, before: int, *, merging: bool) -> int:
        """Put every hour that ended by `before` into files; returns how many. Then merge what is over."""
        with self._at_work, self._database.connected() as self._connection:
            count, troubles = self._close(self._connection, hour_of(before))
            self.troubles = tuple(str(error) for error in troubles[:TROUBLES_TOLD])
            if merging:
                self._merge(self._connection, hour_of(before))
            return count

    def delete_before(self, time: int, kind: Kind) -> None:
        """Forget what is older at once; a file goes when all that it holds is.

        Readings are rolled up before they go. What cannot be read goes without.
        """
        with self._at_work, self._database.connected() as self._connection:
            kept = self._state.kept.but(kind, time)
            if kind == "raw":
                self._roll_up(self._connection, time)
            self._cut(self._connection, kind, getattr(kept, kind))

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

    def _merge(self, connection: duckdb.DuckDBPyConnection, before: int) -> None:
        connection.execute(ONE_CORE)
        try:
            for shelf in self._state.shelves:
                merge(connection, shelf, before, self._state.swapping, lambda: self._stopped)
        finally:
            connection.execute("reset threads")

    def _close(
        self, connection: duckdb.DuckDBPyConnection, before: int
    ) -> tuple[int, list[Unavailable]]:
        """How many hours were closed, and why others could not be."""
        state = self._state
        with state.writing:
            self._drop_behind(connection)
            hours = [hour for (hour,) in connection.execute(sql.OPEN_HOURS, [before]).fetchall()]
            arrival = state.arrival
        spans = to_close(list(state.shelves), hours, before)
        done, troubles = self._close_spans(connection, spans, arrival)
        return sum(start <= hour < end for hour in hours for start, end in done), troubles

    def _drop_behind(self, connection: duckdb.DuckDBPyConnection) -> None:
        state = self._state
        ((count,),) = connection.execute(sql.DROP_BEHIND, [state.kept.raw]).fetchall()
        if count:
            state.late.dropped += count
            log.warning("%d readings came later than their retention and are dropped", count)
        with state.swapping:
            for kind in (*ROLL_UPS, "raw"):
                state.shelves[kind].drop_before(getattr(state.kept, kind))

    def _close_spans(
        self, connection: duckdb.DuckDBPyConnection, spans: Sequence[Span], arrival: int
    ) -> tuple[list[Span], list[Unavailable]]:
        done, troubles = [], []
        for span in spans:
            if self._stopped:
                raise Unavailable("the store is being closed")
            try:
                self._close_span(connection, span, arrival)
                done.append(span)
            except (duckdb.FatalException, duckdb.InterruptException):
                raise
            except (duckdb.Error, OSError) as error:
                trouble = Unavailable(f"{_said(span)} could not be closed: {self._database.why(error)}")  # fmt: skip
                trouble.__cause__ = error
                troubles.append(trouble)
                if str(trouble) not in self.troubles:
                    log.error("%s; its new readings stay in the open table", trouble)
        return done, troubles

    def _close_span(self, connection: duckdb.DuckDBPyConnection, span: Span, arrival: int) -> None:
        """Write files of some hours anew from open rows and their old files; open rows go last."""
        state, (start, end) = self._state, span
        with state.writing:
            points = state.series.points()
            state.series.file()
        try:
            kinds = write_parts(connection, state.shelves, span, arrival, points)
            with state.writing, state.swapping:
                for kind in kinds:
                    state.shelves[kind].put(start, (end - start) // HOUR_MS, arrival)
                values = {"start": start, "end": end, "arrival": arrival}
                with transaction(connection):
                    ((count,),) = connection.execute(sql.DROP_OPEN, values).fetchall()
                state.count_open(connection)
        except BaseException:
            for shelf in state.shelves:
                shelf.part(start).unlink(missing_ok=True)
            raise
        if len(kinds) <= len(ROLL_UPS):
            state.late.not_rolled += count
            log.warning(
                "%s: its readings are gone and its roll-ups stay as they are, beside %d late readings",
                _said(span), count,
            )  # fmt: skip

    def _roll_up(self, connection: duckdb.DuckDBPyConnection, time: int) -> None:
        """So that roll-ups of all that goes are there. Raises `Unavailable` where no room is for them."""
        state = self._state
        _, troubles = self._close(connection, time)
        shelves = [state.shelves[kind] for kind in ROLL_UPS]
        hours = not_rolled(connection, state.shelves, state.kept, time)
        spans = to_close(shelves, hours, time)
        troubles += self._close_spans(connection, spans, state.arrival)[1]
        for trouble in troubles:
            if isinstance(trouble.__cause__, Exception) and no_room(trouble.__cause__):
                raise trouble

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


def _said(span: Span) -> str:
    return f"what came from {moment(span[0])} to {moment(span[1])}"
