"""Files of the DuckDB store that are found beside newer ones: what a kill left, or copies that were put back."""

import logging
from collections.abc import Callable, Sequence

import duckdb

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_database import ENDED
from collector.adapters.duckdb_files import FOLDERS, join_rolled
from collector.adapters.duckdb_reading import blaming
from collector.adapters.duckdb_rewriting import close_span
from collector.adapters.duckdb_state import State
from collector.adapters.duckdb_troubles import Trouble, Troubles
from collector.adapters.store_pieces import Beside, Piece, StoreFile
from collector.buckets import HOUR_MS
from collector.ports import Kind

log = logging.getLogger("steward.store")


class Settling:
    """`go_on` raises between two files where the store is being closed."""

    def __init__(self, state: State, troubles: Troubles, go_on: Callable[[], None]) -> None:
        self._state = state
        self._troubles = troubles
        self._go_on = go_on

    def look_again(self, connection: duckdb.DuckDBPyConnection) -> list[Trouble]:
        """Take up what was put back, forget what was moved away; which copies could not be joined to newer files."""
        troubles = []
        for kind in FOLDERS:
            self._state.shelves[kind].look_again()
            for file in self._state.shelves[kind].unsettled():
                self._go_on()
                if trouble := self._settled(connection, kind, file):
                    troubles.append(self._troubles.told(trouble))
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
            return self._troubles.found(what, error, files)
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
                close_span(connection, self._state, span, [Piece(file, (span,))])
            log.info(
                "%s was put back: %d hours were joined to newer files", file.path, len(lacking)
            )
        else:
            join_rolled(connection, shelf, beside.hidden, self._state.swapping)


def _has_rows(connection: duckdb.DuckDBPyConnection, pieces: Sequence[Piece]) -> bool:
    ((count,),) = connection.execute(sql.how_many(pieces, "count(*)")).fetchall()
    return bool(count)
