"""A look at every file of the DuckDB store: are these the bytes that were written, and are all there?"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import duckdb

from collector.adapters.duckdb_reading import rows_of
from collector.adapters.store_files import Shelf
from collector.adapters.store_pieces import StoreFile


class Looked(NamedTuple):
    """What is damaged, what has no sum to be compared with, and what is lost, with how many rows it had."""

    damaged: list[Path]
    unknown: list[Path]
    lost: list[tuple[StoreFile, int]]


def look(connection: duckdb.DuckDBPyConnection, shelves: Iterable[Shelf]) -> Looked:
    """All of it is read: 2 GB a second, if the disk gives them.

    Raises:
        OSError: the disk does not give a file.
    """
    found = Looked([], [], [])
    for shelf in shelves:
        found.lost.extend(shelf.lost())
        for path in (file.path for file in shelf if file.path.exists()):
            if rows_of(connection, path) is None or shelf.sums.is_spoilt(path):
                found.damaged.append(path)
            elif path.name not in shelf.sums.of:
                found.unknown.append(path)
    return found
