"""Readings of many points in one Parquet or CSV file, for other programs."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import duckdb
import numpy as np

from collector.adapters.duckdb_database import MEMORY_LIMIT
from collector.ports import Raw
from edge.readings import Ints

SCHEMA: Final = """
create table label (number integer, point varchar, name varchar, unit varchar);
create table reading (number integer, time bigint, utc_offset_min smallint, value double, quality utinyint);
create table quality (code utinyint, said varchar);
"""
QUALITY: Final = "coalesce(said, quality::varchar) as quality"
FROM: Final = "from reading join label using (number) left join quality on code = quality order by number, time"
SELECT: Final = {
    ".parquet": f"""
      select point, name, unit, make_timestamp_ms(time) as time_utc,
        make_timestamp_ms(time + 60000 * utc_offset_min) as time_local, utc_offset_min, value, {QUALITY} {FROM}""",
    ".csv": f"""
      select point, name, unit, strftime(make_timestamp_ms(time), '%Y-%m-%dT%H:%M:%S.%gZ') as time_utc,
        strftime(make_timestamp_ms(time + 60000 * utc_offset_min), '%Y-%m-%dT%H:%M:%S.%g')
          || if(utc_offset_min < 0, '-', '+')
          || lpad((abs(utc_offset_min) // 60)::varchar, 2, '0') || ':'
          || lpad((abs(utc_offset_min) % 60)::varchar, 2, '0') as time_local, value, {QUALITY} {FROM}""",
}
"""Suffix of a file to what is written to it."""
FORMAT: Final = {".parquet": "format parquet, compression zstd", ".csv": "format csv, header"}


class ExportFile:
    """Columns: point, name, unit, time_utc, time_local, value (empty: none), quality, by point and time.

    Times are RFC 3339 texts in CSV; in Parquet timestamps without a zone, beside `utc_offset_min`. Rows
    wait in a file beside `path` and are written to it by `finish`: whole or not at all.
    """

    def __init__(self, path: Path, qualities: Mapping[int, str]) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._waiting = path.with_name(f".{path.name}.rows")
        self._clear()
        self._database = duckdb.connect(str(self._waiting), config={"memory_limit": MEMORY_LIMIT})
        self._database.execute(SCHEMA)
        self._database.executemany("insert into quality values (?, ?)", list(qualities.items()))
        self._points = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()
        self._clear()

    def begin(self, point: str, name: str, unit: str) -> None:
        """The point whose readings come next; its texts are written as they are."""
        self._points += 1
        row = [self._points, point, name, unit]
        self._database.execute("insert into label values (?, ?, ?, ?)", row)

    def add(self, raw: Raw, utc_offset_min: Ints) -> None:
        """Readings of the point, and by how much local time was ahead of UTC."""
        columns = {
            "number": np.full(len(raw.time), self._points),
            "time": raw.time,
            "utc_offset_min": utc_offset_min,
            "value": raw.value,  # DuckDB reads numpy's NaN as null
            "quality": raw.quality,
        }
        self._database.register("piece", columns)
        self._database.execute("insert into reading select * from piece")
        self._database.unregister("piece")

    def finish(self) -> None:
        """Write the file; one that was there before is replaced."""
        suffix = self._path.suffix
        target = str(self._part).replace("'", "''")
        self._database.execute(f"copy ({SELECT[suffix]}) to '{target}' ({FORMAT[suffix]})")
        self._part.replace(self._path)

    def _clear(self) -> None:
        for path in (
            self._part,
            self._waiting,
            self._waiting.with_name(self._waiting.name + ".wal"),
        ):
            path.unlink(missing_ok=True)
