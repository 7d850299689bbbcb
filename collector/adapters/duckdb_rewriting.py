"""Some hours of the DuckDB store written anew: from open rows, from their files, and from what lies beside these."""

import logging
from collections.abc import Sequence

import duckdb

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_database import transaction
from collector.adapters.duckdb_files import write_parts
from collector.adapters.duckdb_state import State
from collector.adapters.store_pieces import Piece
from collector.adapters.store_spans import Span, moment
from collector.buckets import HOUR_MS, ROLL_UPS

log = logging.getLogger("steward.store")


def close_span(
    connection: duckdb.DuckDBPyConnection, state: State, span: Span, beside: Sequence[Piece] = ()
) -> None:
    """Write files of some hours anew from open rows, their old files and what is beside; open rows go last."""
    start, end = span
    with state.writing:
        points = state.series.points()
        state.series.file()
        arrival = state.arrival
    values = {"start": max(start, state.kept.raw), "end": end, "arrival": arrival}
    try:
        kinds = write_parts(connection, state.shelves, span, values, points, beside)
        with state.writing, state.swapping:
            for kind, rows in kinds.items():
                state.shelves[kind].put(start, (end - start) // HOUR_MS, arrival, rows)
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
            in_words(span), count,
        )  # fmt: skip


def in_words(span: Span) -> str:
    """From when to when."""
    return f"{moment(span[0])} to {moment(span[1])}"
