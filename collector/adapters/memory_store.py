"""The store's twin: dictionaries, the same promises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from collector.buckets import in_buckets
from collector.ports import Buckets, Raw, SeriesKey, StoreBatch, Unavailable

Reading = tuple[float, int]


@dataclass(slots=True)
class MemoryStore:
    """`ReadingStore` in memory. Set `unavailable` to a reason and every verb raises `Unavailable`."""

    unavailable: str = ""
    _series: dict[SeriesKey, dict[int, Reading]] = field(default_factory=dict)
    _of_point: dict[tuple[str, str], list[dict[int, Reading]]] = field(default_factory=dict)
    _cursor: int = 0

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        """Keep batches and cursor together."""
        self._check()
        for batch in batches:
            tables = [self._table(key) for key in batch.keys]
            columns = (batch.key, batch.time, batch.value, batch.quality)
            for key, time, value, quality in zip(*(c.tolist() for c in columns), strict=True):
                tables[key][time] = (value, quality)
        self._cursor = cursor

    def _table(self, key: SeriesKey) -> dict[int, Reading]:
        if key not in self._series:
            self._series[key] = {}
            self._of_point.setdefault((key.site, key.point), []).append(self._series[key])
        return self._series[key]

    def cursor(self) -> int:
        self._check()
        return self._cursor

    def latest(self, site: str, points: Sequence[str]) -> Mapping[str, tuple[int, float, int]]:
        self._check()
        found: dict[str, tuple[int, float, int]] = {}
        for point in points:
            for table in self._of_point.get((site, point), []):
                newest = max(table, default=None)
                if newest is not None and (point not in found or newest >= found[point][0]):
                    found[point] = (newest, *table[newest])
        return found

    def raw(self, site: str, point: str, start: int, end: int) -> Raw:
        self._check()
        rows = sorted(
            (time, number, *reading)
            for number, table in enumerate(self._of_point.get((site, point), []))
            for time, reading in table.items()
            if start <= time < end
        )
        return Raw(
            np.array([row[0] for row in rows], np.int64),
            np.array([row[2] for row in rows], np.float64),
            np.array([row[3] for row in rows], np.uint8),
        )

    def buckets(self, site: str, point: str, start: int, end: int, width_ms: int) -> Buckets:
        return in_buckets(self.raw(site, point, start, end), width_ms)

    def delete_before(self, time: int) -> None:
        self._check()
        for table in self._series.values():
            for old in [at for at in table if at < time]:
                del table[old]

    def count(self) -> int:
        self._check()
        return sum(len(table) for table in self._series.values())

    def close(self) -> None:
        """Nothing to give back; what was kept stays, as on a disk."""

    def _check(self) -> None:
        if self.unavailable:
            raise Unavailable(self.unavailable)
