"""Readings and roll-ups of a point as the DuckDB store's open table and files hold them, as numpy columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_database import INVALID, MEMORY_LIMIT, no_room
from collector.adapters.store_files import Broken, Shelf
from collector.adapters.store_pieces import Piece, StoreFile
from collector.adapters.store_spans import Span
from collector.buckets import GRAIN_MS, ROLL_UPS, Rolled, in_order, kept, of_readings, widened
from collector.ports import Buckets, Kind, Raw

Columns = Mapping[str, Any]
DAMAGE: Final = (
    duckdb.ProgrammingError,
    duckdb.DataError,
    duckdb.SerializationException,
    duckdb.InternalException,
    duckdb.NotSupportedError,
    UnicodeDecodeError,
    KeyError,
)
"""What is raised for a file that is not what it should be, beside a bare `duckdb.Error`: names of columns may be no
text, or other names."""
COLUMNS: Final = (set(sql.READINGS.split(", ")), {"series", *sql.ROLLED.split(", ")})
"""What a file has, of readings or of roll-ups."""
KEY_MAX: Final = 2**63 - 1


def open_columns(
    connection: duckdb.DuckDBPyConnection, numbers: Sequence[int], start: int, end: int
) -> Columns:
    """Open readings with start ≤ time < end, in order of arrival."""
    span = {"start": start, "end": end}
    return fetched(connection.execute(sql.open_of(numbers), span))


def closed_columns(
    connection: duckdb.DuckDBPyConnection,
    shelf: Shelf,
    numbers: Sequence[int],
    spans: Sequence[Span],
) -> Columns:
    """Readings in files within spans, each once."""
    pieces = shelf.pieces(spans)
    if not pieces:
        return {name: np.empty(0, np.int64) for name in sql.READINGS.split(", ")}
    return fetched(connection.execute(sql.held(pieces, sql.READINGS, sql.of_series(numbers))))


def rolled_columns(
    connection: duckdb.DuckDBPyConnection, pieces: Sequence[Piece], number: int
) -> Rolled | None:
    """Roll-ups of one point in files."""
    if not pieces:
        return None
    text = sql.held(pieces, sql.ROLLED, sql.of_series([number]))
    columns = fetched(connection.execute(text))
    floats = {name: columns[name] for name in ("min", "max", "sum", "first", "last")}
    whole = {name: columns[name].astype(np.int64) for name in ("time", "count", "valued")}
    return Rolled(**whole, **floats, worst=columns["worst"])


def summed(
    connection: duckdb.DuckDBPyConnection, pieces: Sequence[Piece], number: int, width_ms: int
) -> Buckets:
    """Buckets of one series in files, summed where they are read; a mean may differ in its last bits."""
    columns = fetched(connection.execute(sql.summed(pieces, number, width_ms)))
    least, most = columns["min"] + 0.0, columns["max"] + 0.0  # zeros as in `joined_at`
    return Buckets(
        columns["bucket"], least, most, columns["mean"], columns["first"], columns["last"],
        columns["count"], columns["worst"], width_ms,
    )  # fmt: skip


def fetched(result: duckdb.DuckDBPyConnection) -> Columns:
    """As arrays without a mask; null is NaN, which numbers alone can be."""
    return {
        name: np.ma.filled(column, np.nan) if isinstance(column, np.ma.MaskedArray) else column
        for name, column in result.fetchnumpy().items()
    }


def distinct_in(parts: Iterable[Columns]) -> int:
    """How many in all parts, which share none; while one is sorted the next is read."""
    with ThreadPoolExecutor(1) as sorting:
        count, last = 0, sorting.submit(int)
        for part in parts:
            count += last.result()
            last = sorting.submit(distinct, part)
        return count + last.result()


def distinct(columns: Columns) -> int:
    """How many different pairs of `series` and `time` there are: by sorting, which takes half of what DuckDB's table of hashes does."""
    series, time = columns["series"], columns["time"]
    if not len(time):
        return 0
    first, width = int(time.min()), int(time.max()) - int(time.min()) + 1
    if width * (int(series.max()) + 1) <= KEY_MAX:
        key = series * np.int64(width) + (time - first)
        key.sort()
        return 1 + int(np.count_nonzero(key[1:] != key[:-1]))
    order = np.lexsort((time, series))
    another = (np.diff(series[order]) != 0) | (np.diff(time[order]) != 0)
    return 1 + int(np.count_nonzero(another))


def as_raw(closed: Columns, come: Columns) -> Raw:
    """Readings by time, those of `come` instead of closed ones of the same series and time."""
    if len(come["time"]) == 0:
        both = closed
    else:
        both = {name: np.concatenate([closed[name], come[name]]) for name in closed}
    if not bool((both["time"][1:] > both["time"][:-1]).all()):
        stays = kept(both["series"], both["time"])
        both = {name: column[stays] for name, column in both.items()}
    return raw_of(both)


def raw_of(columns: Columns) -> Raw:
    """Columns as fetched, without their series."""
    value, quality = columns["value"], columns["quality"]
    return Raw(columns["time"], value.astype(np.float64), quality.astype(np.uint8))


def joined(raw: Raw, rolled: Mapping[Kind, Rolled | None], width_ms: int) -> Rolled:
    """Readings and roll-ups that share no time, in buckets."""
    found = of_readings(raw)
    for kind in ROLL_UPS:
        if width_ms % GRAIN_MS[kind] == 0:
            more, found = rolled.get(kind), widened(found, GRAIN_MS[kind])
            found = in_order([found, more]) if more else found
    return widened(found, width_ms)


@contextmanager
def blaming(shelf: Shelf, find: Callable[[], Iterable[StoreFile]]) -> Iterator[None]:
    """Of the files that `find` gives, those that are not what they should be are set aside, and one is named.

    DuckDB does not always name what it cannot read, and some damage leaves a database of no use: once is enough.
    """
    try:
        yield
    except (duckdb.Error, UnicodeDecodeError, KeyError) as error:
        damaged = _damaged(error, list(find()))
        for file in damaged:
            shelf.set_aside(file)
        if damaged:
            kind = type(error) if isinstance(error, INVALID) else duckdb.DataError
            raise kind(f"{damaged[0].path} is damaged: {error}") from error
        raise


def _damaged(error: Exception, files: Sequence[StoreFile]) -> list[StoreFile]:
    """Which of the files that are there an error may come from: the one that it names, where it names one."""
    if not _is_damage(error) and (not isinstance(error, duckdb.IOException) or no_room(error)):
        return []
    named = [file for file in files if file.path.name in str(error)]
    return [file for file in named or files if file.path.exists() and is_damaged(file.path)]


def files_within(shelf: Shelf, spans: Sequence[Span]) -> Callable[[], list[StoreFile]]:
    """Finds, when it is called, the files that hold the given spans."""
    return lambda: [piece.file for piece in shelf.all_pieces(spans)]


def newest_in(connection: duckdb.DuckDBPyConnection, shelf: Shelf, piece: Piece) -> int | None:
    """Time of the newest reading of a file; None where there is none, or the file is damaged."""
    try:
        shelf.check(piece.file)
        with blaming(shelf, lambda: [piece.file]):
            return connection.execute(sql.newest_of(piece)).fetchall()[0][0]  # type: ignore[no-any-return]  # a bigint
    except Broken:
        return None
    except duckdb.InternalException:
        raise
    except duckdb.Error:
        if is_damaged(piece.file.path):
            return None
        raise


def is_damaged(path: Path) -> bool:
    """Whether a file is not there, or is read and is not what it should be. Raises what the disk says.

    Some damage leaves a database of no use, so a file is read by one of its own.
    """
    if not path.exists():
        return True
    try:
        with duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as alone:
            alone.execute(sql.all_of(path)).fetchall()
            names = {column[0] for column in alone.execute(sql.nothing_of(path)).description}
    except (duckdb.Error, UnicodeDecodeError) as error:
        if _is_damage(error) or (isinstance(error, duckdb.IOException) and _is_given(path, error)):
            return True
        raise
    return names not in COLUMNS


def _is_damage(error: Exception) -> bool:
    return isinstance(error, DAMAGE) or type(error) is duckdb.Error


def _is_given(path: Path, error: Exception) -> bool:
    """Whether the disk gives every byte of a file of which DuckDB says that it cannot be read."""
    if no_room(error):
        return False
    try:
        with path.open("rb") as stream:
            while stream.read(2**20):
                pass
    except OSError:
        return False
    return True


def rows_of(connection: duckdb.DuckDBPyConnection, path: Path) -> int | None:
    """How many rows a file says that it has; None where it cannot be opened as what it is."""
    text = "select num_rows from parquet_file_metadata(?)"
    try:
        return int(connection.execute(text, [str(path)]).fetchall()[0][0])
    except duckdb.Error:
        return None
