"""Closed hours of the DuckDB store: readings and their roll-ups as files, which are merged as time goes by."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from collector.adapters import duckdb_sql as sql
from collector.adapters.duckdb_reading import fetched, raw_of
from collector.adapters.store_files import Shelf, Span, StoreFile, joined_hours
from collector.buckets import HOUR_MS, ROLL_UPS, Kept, Rolled, by_point
from collector.ports import Kind, Raw
from edge.readings import Ints

log = logging.getLogger("steward.store")

FOLDERS: Final[Mapping[Kind, str]] = {"raw": "hours", "minute": "by-minute", "hour": "by-hour"}
MERGED_HOURS: Final = (24, 720, 8640)
"""Hours become days, days 30 days, and these 360 days, counted from 1970."""
DAY_MS: Final = 24 * HOUR_MS
SMALLER_MAX: Final = 6
"""So many files over a merged one, of late readings, are left before it is merged anew."""
MERGED_BYTES_MAX: Final = 128 * 2**20
"""What is larger stays in its parts: sorting it would take long, and opening files is little beside reading."""
UNREADABLE: Final = (duckdb.IOException, duckdb.InvalidInputException)
"""What DuckDB raises for a file that is no Parquet file, or not there."""
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
    connection: duckdb.DuckDBPyConnection, shelves: Shelves, span: Span, arrival: int, points: Ints
) -> list[Kind]:
    """Write parts for some hours, from their files and the open rows up to `arrival`; returns of which kinds.

    Readings go first into place: a kill behind them must not leave roll-ups that stand for more than they are.
    `points` maps a series to the series by whose number its point's roll-ups are kept. Roll-ups stay as
    they are where they were made of more readings than are left.
    """
    part = shelves["raw"].part(span[0])
    old = shelves["raw"].pieces([span])
    stays = [kind for kind in ROLL_UPS if _holds_more(connection, shelves, kind, span)]
    values = {"start": span[0], "end": span[1], "arrival": arrival}
    connection.execute(sql.readings_to_file(old, part), values)
    pieces = [by_point(*columns) for columns in _readings(connection, part, points)]
    for n, kind in enumerate(ROLL_UPS):
        if kind not in stays:
            connection.register("rolled", _stacked([piece[n] for piece in pieces]))
            connection.execute(sql.rolled_to_file(shelves[kind].part(span[0])))
            connection.unregister("rolled")
    return ["raw", *(kind for kind in ROLL_UPS if kind not in stays)]


def _holds_more(
    connection: duckdb.DuckDBPyConnection, shelves: Shelves, kind: Kind, span: Span
) -> bool:
    """Whether roll-ups stand for more readings than files hold: these were taken away."""
    rolled, raw = shelves[kind].pieces([span]), shelves["raw"].pieces([span])
    if not rolled:
        return False
    try:
        (stand_for,) = connection.execute(sql.how_many(rolled, "sum(count)")).fetchall()[0]
    except UNREADABLE:
        return False  # made anew from the readings
    count = connection.execute(sql.how_many(raw, "count(*)")).fetchall()[0][0] if raw else 0
    return int(stand_for or 0) > int(count)


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


def not_rolled(
    connection: duckdb.DuckDBPyConnection, shelves: Shelves, kept: Kept, time: int
) -> list[int]:
    """Hours of readings which go when nothing before `time` is kept, and of which a roll-up is not there."""
    raw = shelves["raw"]
    hours = [
        hour
        for file in raw.before(time)
        for hour in raw.hours_of(file)
        if any(hour >= getattr(kept, kind) and not shelves[kind].holder(hour) for kind in ROLL_UPS)
    ]
    found: list[int] = []
    for piece in raw.pieces(joined_hours(sorted(hours))):
        try:
            found += (hour for (hour,) in connection.execute(sql.hours_in(piece)).fetchall())
        except UNREADABLE as error:
            log.error("%s goes without roll-ups: %s", piece.file.path, error)
    return sorted(found)


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
    return sum(file.path.stat().st_size for file in files)


def merge(
    connection: duckdb.DuckDBPyConnection,
    shelf: Shelf,
    before: int,
    swapping: threading.Lock,
    stopped: Callable[[], bool],
) -> None:
    """Merge what is due until `stopped`; a failure is said, and the parts stay."""
    due = ((hours, start) for hours in MERGED_HOURS for start in due_merges(shelf, hours, before))
    for hours, start in due:
        if stopped():
            return
        pieces = shelf.pieces([(start, start + hours * HOUR_MS)])
        part = shelf.part(start)
        try:
            connection.execute(sql.merged_to_file(pieces, part))
            with swapping:
                shelf.put(start, hours, 0)
        except (duckdb.FatalException, duckdb.InterruptException):
            part.unlink(missing_ok=True)
            raise
        except (duckdb.Error, OSError) as error:
            part.unlink(missing_ok=True)
            log.error("files of the store could not be merged, they stay as they are: %s", error)
