"""Closed hours of the DuckDB store: readings and their roll-ups as files, which are merged as time goes by."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_database import ENDED, copied
from collector.adapters.duckdb_reading import blaming, fetched, files_within, is_damaged, raw_of
from collector.adapters.store_files import Broken, Shelf
from collector.adapters.store_pieces import Piece, StoreFile
from collector.adapters.store_spans import Span
from collector.buckets import HOUR_MS, ROLL_UPS, Kept, Rolled, by_point
from collector.ports import Kind, Raw
from edge.readings import Ints

FOLDERS: Final[Mapping[Kind, str]] = {"raw": "hours", "minute": "by-minute", "hour": "by-hour"}
MERGED_HOURS: Final = (24, 720, 8640)
"""Hours become days, days 30 days, and these 360 days, counted from 1970."""
DAY_MS: Final = 24 * HOUR_MS
SMALLER_MAX: Final = 6
"""So many files over a merged one, of late readings, are left before it is merged anew."""
MERGED_BYTES_MAX: Final = 128 * 2**20
"""What is larger stays in its parts: sorting it would take long, and opening files is little beside reading."""
ROLLED_AT_ONCE: Final = 2_000_000


class Shelves:
    """The files of all kinds below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._of: dict[Kind, Shelf] = {kind: Shelf(folder / name) for kind, name in FOLDERS.items()}

    def __getitem__(self, kind: Kind) -> Shelf:
        return self._of[kind]

    def __iter__(self) -> Iterator[Shelf]:
        return iter(self._of.values())


def write_parts(
    connection: duckdb.DuckDBPyConnection,
    shelves: Shelves,
    span: Span,
    values: Mapping[str, int],
    points: Ints,
    beside: Sequence[Piece] = (),
) -> dict[Kind, int]:
    """Write parts for some hours, from their files, open rows and what is `beside` these; returns their rows.

    Readings go first into place: a kill behind them must not leave roll-ups that stand for more than they are.
    `values` says which open rows: `start`, `end` and up to which `arrival`.
    `points` maps a series to the series by whose number its point's roll-ups are kept. Roll-ups stay as
    they are where they were made of more readings than are left.
    """
    part = shelves["raw"].part(span[0])
    old = shelves["raw"].pieces([span])
    rows: dict[Kind, int] = {"raw": copied(connection, sql.readings_to_file(old, beside, part), values)}  # fmt: skip
    left = _how_many(connection, old, beside)
    stays = [kind for kind in ROLL_UPS if _holds_more(connection, shelves[kind], left, span)]
    pieces = [by_point(*columns) for columns in _readings(connection, part, points)]
    for n, kind in enumerate(ROLL_UPS):
        if kind not in stays:
            connection.register("rolled", _stacked([piece[n] for piece in pieces]))
            rows[kind] = copied(connection, sql.rolled_to_file(shelves[kind].part(span[0])))
            connection.unregister("rolled")
    return rows


def _holds_more(connection: duckdb.DuckDBPyConnection, shelf: Shelf, left: int, span: Span) -> bool:
    """Whether roll-ups stand for more readings than are left: these were taken away.

    Open ones that had arrived when the roll-ups were made count as left: before readings went first
    into place, a kill left roll-ups ahead of their readings.
    """
    rolled = shelf.all_pieces([span])
    stand_for = _stand_for(connection, shelf, rolled)
    if stand_for <= left:
        return False
    text = sql.open_up_to(max(piece.file.generation for piece in rolled))
    ((ahead,),) = connection.execute(text, {"start": span[0], "end": span[1]}).fetchall()
    return stand_for > left + int(ahead)


def _how_many(
    connection: duckdb.DuckDBPyConnection, old: Sequence[Piece], beside: Sequence[Piece]
) -> int:
    """Readings in files, each once."""
    if not old and not beside:
        return 0
    what = "count(distinct (series, time))" if beside else "count(*)"
    return int(connection.execute(sql.how_many([*old, *beside], what)).fetchall()[0][0])


def _stand_for(connection: duckdb.DuckDBPyConnection, shelf: Shelf, rolled: Sequence[Piece]) -> int:
    """How many readings roll-ups were made of; 0 where they are damaged: these are made anew."""
    if not rolled:
        return 0
    try:
        for piece in rolled:
            shelf.check(piece.file)
        with blaming(shelf, lambda: [piece.file for piece in rolled]):
            ((total,),) = connection.execute(sql.how_many(rolled, "sum(count)")).fetchall()
    except Broken:
        return 0
    except duckdb.InternalException:
        raise
    except duckdb.Error:
        if any(is_damaged(piece.file.path) for piece in rolled):
            return 0
        raise
    return int(total or 0)


def _readings(
    connection: duckdb.DuckDBPyConnection, part: Path, points: Ints
) -> Iterator[tuple[Ints, Ints, Raw]]:
    """Point, series and readings of a file, all of a point together, a bounded number at once."""
    sizes = connection.execute(sql.sizes_of(part)).fetchall()
    sizes.sort(key=lambda row: int(points[row[0]]))
    held: list[int] = []
    total = 0
    for n, (series, count) in enumerate(sizes):
        held.append(series)
        total += count
        of_next = points[sizes[n + 1][0]] if n + 1 < len(sizes) else -1
        if of_next != points[series] and (total >= ROLLED_AT_ONCE or of_next == -1):
            columns = fetched(connection.execute(sql.readings_of(part, held)))
            yield points[columns["series"]], columns["series"], raw_of(columns)
            held, total = [], 0


def _stacked(parts: Sequence[tuple[Ints, Rolled]]) -> dict[str, Any]:
    names = sql.ROLLED.split(", ")
    columns = {n: np.concatenate([getattr(rolled, n) for _, rolled in parts]) for n in names}
    return {"series": np.concatenate([point for point, _ in parts]), **columns}


def to_close(shelves: Sequence[Shelf], hours: Sequence[int], before: int) -> list[Span]:
    """The given hours, and whole days where all of a day is over and no shelf holds anything of it yet."""
    days: dict[int, list[int]] = {}
    for hour in hours:
        days.setdefault(hour // DAY_MS * DAY_MS, []).append(hour)
    spans: list[Span] = []
    for day, among in days.items():
        every = range(day, day + DAY_MS, HOUR_MS)
        fresh = not any(shelf.holder(hour) for hour in every for shelf in shelves)
        if fresh and len(among) > 1 and day + DAY_MS <= before:
            spans.append((day, day + DAY_MS))
        else:
            spans += [(hour, hour + HOUR_MS) for hour in among]
    return spans


class RowHours:
    """The hours of which a file has a row. A merged file's name says more than that, so its rows are asked, once."""

    def __init__(self) -> None:
        self._known: dict[StoreFile, frozenset[int]] = {}

    def of(
        self, connection: duckdb.DuckDBPyConnection, shelf: Shelf, file: StoreFile
    ) -> frozenset[int] | None:
        """Their starts; None for a merged file that is damaged."""
        if file.hours == 1:
            return frozenset((file.start,))
        if file not in self._known:
            try:
                shelf.check(file)
                with blaming(shelf, lambda: [file]):
                    rows = connection.execute(sql.hours_in(file.path)).fetchall()
            except Broken:
                return None
            except duckdb.InternalException:
                raise
            except duckdb.Error:
                if is_damaged(file.path):
                    return None
                raise
            self._known[file] = frozenset(hour for (hour,) in rows)
        return self._known[file]

    def forget_but(self, files: Collection[StoreFile]) -> None:
        """Those of files that are gone."""
        self._known = {file: hours for file, hours in self._known.items() if file in files}


def not_rolled(
    connection: duckdb.DuckDBPyConnection, shelves: Shelves, rows: RowHours, kept: Kept, time: int
) -> tuple[list[int], list[StoreFile]]:
    """Hours before `time` of which there are readings, and a roll-up that is kept is not; which files cannot say."""
    found: list[int] = []
    damaged: list[StoreFile] = []

    def is_held(kind: Kind, hour: int) -> bool:
        holder = shelves[kind].holder(hour)
        return holder is not None and hour in (rows.of(connection, shelves[kind], holder) or ())

    for file in shelves["raw"]:
        hours = [
            hour
            for hour in shelves["raw"].hours_of(file)
            if hour < time
            and any(hour >= getattr(kept, kind) and not is_held(kind, hour) for kind in ROLL_UPS)
        ]
        read = rows.of(connection, shelves["raw"], file) if hours else frozenset()
        if read is None:
            damaged.append(file)
        else:
            found += read.intersection(hours)
    return sorted(found), damaged


def due_merges(shelf: Shelf, hours: int, before: int) -> list[int]:
    """Starts of the blocks of so many hours that should become one file: over, their parts many and small."""
    length = hours * HOUR_MS
    blocks: dict[int, list[StoreFile]] = {}
    for file in shelf:
        if file.end <= before // length * length and file.hours <= hours:
            blocks.setdefault(file.start // length * length, []).append(file)
    return [start for start, files in blocks.items() if _is_due(files, hours)]


def _is_due(files: Sequence[StoreFile], hours: int) -> bool:
    merged = any(file.hours == hours for file in files)
    many = len(files) - merged > (SMALLER_MAX if merged else 1)
    return many and _size(files) <= MERGED_BYTES_MAX


def _size(files: Sequence[StoreFile]) -> int:
    """Of those that are there: one that was just moved away is said when it is read."""
    size = 0
    for file in files:
        with suppress(FileNotFoundError):
            size += file.path.stat().st_size
    return size


def merge(
    connection: duckdb.DuckDBPyConnection,
    shelf: Shelf,
    before: int,
    swapping: AbstractContextManager[object],
    *,
    but: Collection[int] = (),
) -> Iterator[tuple[Span, Exception | None]]:
    """Merge what is due, one block after the other, and say what came of each; where one fails its parts stay.

    Blocks with one of the hours `but` are left: a merged file holds all hours of its block.
    """
    for hours in MERGED_HOURS:
        for start in due_merges(shelf, hours, before):
            span = (start, start + hours * HOUR_MS)
            if any(span[0] <= hour < span[1] for hour in but):
                continue
            yield span, _merged(connection, shelf, span, swapping)


def _merged(
    connection: duckdb.DuckDBPyConnection,
    shelf: Shelf,
    span: Span,
    swapping: AbstractContextManager[object],
) -> Exception | None:
    part = shelf.part(span[0])
    try:
        with blaming(shelf, files_within(shelf, [span])):
            rows = copied(connection, sql.merged_to_file(shelf.pieces([span]), part))
        with swapping:
            shelf.put(span[0], (span[1] - span[0]) // HOUR_MS, 0, rows)
    except ENDED:
        part.unlink(missing_ok=True)
        raise
    except (duckdb.Error, OSError) as error:
        part.unlink(missing_ok=True)
        return error
    return None


def join_rolled(
    connection: duckdb.DuckDBPyConnection,
    shelf: Shelf,
    hidden: Piece,
    swapping: AbstractContextManager[object],
) -> None:
    """Write roll-ups of the hours of a file anew with what newer ones hide of it."""
    file = hidden.file
    part = shelf.part(file.start)
    try:
        pieces = shelf.pieces([(file.start, file.end)])
        rows = copied(connection, sql.rolled_with(pieces, hidden, part))
        with swapping:
            shelf.put(file.start, file.hours, 0, rows)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
