"""What of each agent, lane and hour the DuckDB store was given: kept with its cursor, in the same transaction."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import duckdb
import msgspec

from collector.adapters import duckdb_sql as sql
from collector.counting import HOUR_MS
from collector.ports import CountKey, StoreBatch

HOURS_OPEN: Final = 2
"""An upsert of a hundred rows takes longer than all else of a small write: what still grows is one text."""
_Rows = list[tuple[str, str, str, int, int]]


class Given:
    """Counts since the table was made. `write` is called in the transaction of `batches`, `written` behind it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._open = _open(connection)
        self._next = self._open

    def write(self, batches: Iterable[StoreBatch], connection: duckdb.DuckDBPyConnection) -> None:
        """Hours that are over go into their table."""
        whole = Counter(self._open)
        for batch in batches:
            whole.update(batch.given)
        still = max((hour for *_, hour in whole), default=0) - HOURS_OPEN * HOUR_MS
        over = [(*key, count) for key, count in whole.items() if key[3] <= still]
        if over:
            connection.execute(sql.ADD_GIVEN, [list(column) for column in zip(*over, strict=True)])
        self._next = Counter({key: count for key, count in whole.items() if key[3] > still})
        if self._next != self._open:
            rows = msgspec.json.encode([(*key, count) for key, count in self._next.items()])
            connection.execute("update given_open set rows = ?", [rows.decode()])

    def written(self) -> None:
        """The transaction is committed."""
        self._open = self._next


def given_in(connection: duckdb.DuckDBPyConnection) -> Counter[CountKey]:
    """All of it. Call it in a transaction."""
    found = _open(connection)
    for *key, count in connection.execute(sql.GIVEN).fetchall():
        found[msgspec.convert(key, CountKey, strict=False)] += int(count)
    return found


def _open(connection: duckdb.DuckDBPyConnection) -> Counter[CountKey]:
    ((text,),) = connection.execute("select rows from given_open").fetchall()
    return Counter({row[:4]: row[4] for row in msgspec.json.decode(text, type=_Rows)})
