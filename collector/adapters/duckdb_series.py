"""Series numbers of the DuckDB store, by which the rows of its files are told apart: given once, never again.

They are also kept beside the files, so that a database that was lost or put back cannot give a file's
rows to another point.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from collector.adapters import duckdb_sql as sql
from collector.adapters.store_files import sync
from collector.ports import SeriesKey, Unavailable
from edge.readings import Ints

log = logging.getLogger("steward.store")
BESIDE: Final = "series.json"
"""A list of [site, point, unit, kind]; the first has number 1."""


class Series:
    """Numbers of all series of the store in `folder`; `has_files` where it holds closed hours already.

    Raises:
        Unavailable: the database is not the one that the files were written by.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, folder: Path, *, has_files: bool
    ) -> None:
        self._beside = folder / BESIDE
        self._numbers: dict[SeriesKey, int] = {}
        self._of_point: dict[tuple[str, str], tuple[int, ...]] = {}
        self._unsaved: list[SeriesKey] = []
        self._last_keys: list[SeriesKey] = []
        self._last_lookup: Ints = np.empty(0, np.int64)
        known = [SeriesKey(*row) for row in connection.execute(sql.ALL_SERIES).fetchall()]
        filed = _read(self._beside)
        missing = _missing(known, filed, folder, has_files=has_files)
        for key in known:
            self._add(key)
        if missing:
            log.warning(
                "the database in %s did not know %d series of its files, which %s names: taken from there",
                folder, len(missing), BESIDE,
            )  # fmt: skip
            self.lookup(missing)
            self.save(connection)
            self.saved()
        agrees = filed is not None and filed == list(self._numbers)[: len(filed)]
        self._filed = len(filed) if filed is not None and agrees else 0

    def of_point(self, site: str, point: str) -> tuple[int, ...]:
        """Numbers of a point's series, the first one first."""
        return self._of_point.get((site, point), ())

    def lookup(self, keys: Sequence[SeriesKey]) -> Ints:
        """Series number of each key; the same keys as last time cost a comparison by identity.

        A number is known to readers before its first reading is.
        """
        listed = list(keys)
        if listed != self._last_keys:
            for key in listed:
                if key not in self._numbers:
                    self._add(key)
                    self._unsaved.append(key)
            self._last_lookup = np.array([self._numbers[key] for key in listed], np.int64)
            self._last_keys = listed
        return self._last_lookup

    def _add(self, key: SeriesKey) -> None:
        number = self._numbers[key] = len(self._numbers) + 1
        of_point = self._of_point.get((key.site, key.point), ())
        self._of_point[key.site, key.point] = (*of_point, number)

    def save(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Write what the database does not know yet; `saved` when that is committed."""
        if self._unsaved:
            rows = [(self._numbers[k], k.site, k.point, k.unit, k.kind) for k in self._unsaved]
            connection.execute(sql.ADD_SERIES, [list(column) for column in zip(*rows, strict=True)])

    def saved(self) -> None:
        """What was written is committed."""
        self._unsaved.clear()

    def points(self) -> Ints:
        """Of each number the first of its point, by which roll-ups are kept."""
        points = np.zeros(len(self._numbers) + 1, np.int64)
        for numbers in self._of_point.values():
            points[list(numbers)] = numbers[0]
        return points

    def file(self) -> None:
        """Keep the numbers beside the files, durably, where they are more than last time."""
        if len(self._numbers) == self._filed:
            return
        rows = [[key.site, key.point, key.unit, key.kind] for key in self._numbers]
        part = self._beside.with_suffix(".part")
        with part.open("w", encoding="utf-8") as stream:
            json.dump(rows, stream, ensure_ascii=False)
        sync(part)
        part.replace(self._beside)
        sync(self._beside.parent)
        self._filed = len(rows)


def _read(path: Path) -> list[SeriesKey] | None:
    try:
        return [SeriesKey(*row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        log.warning("%s is damaged and written anew: %s", path, error)
        return None


def _missing(
    known: Sequence[SeriesKey],
    filed: Sequence[SeriesKey] | None,
    folder: Path,
    *,
    has_files: bool,
) -> list[SeriesKey]:
    """What the database does not know of the files' series."""
    why = ""
    if filed is None and has_files and not known:
        why = f"it knows no series, and {BESIDE} is not there to tell whose readings the files hold"
    for number, (one, other) in enumerate(zip(known, filed or (), strict=False), start=1):
        if one != other and has_files:
            why = f"series {number} is {one.site}/{one.point} ({one.unit}) there and {other.site}/{other.point} ({other.unit}) in {BESIDE}"  # fmt: skip
            break
    if why:
        raise Unavailable(
            f"the database readings.duckdb in {folder} is not the one that its files were written by "
            f"({why}): put back the whole folder from one copy, or move all of it away"
        )
    return list(filed or ())[len(known) :] if has_files else []
