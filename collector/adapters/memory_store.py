"""The store's twin: dictionaries, the same promises."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from collector.buckets import Kept, fitted, in_buckets
from collector.ports import Buckets, CountKey, Kind, Raw, SeriesKey, StoreBatch, Unavailable

Reading = tuple[float, int]


@dataclass(slots=True)
class _Series:
    """The readings of one series by time, whose order is made anew only where times were added."""

    table: dict[int, Reading] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)

    def times(self) -> list[int]:
        if len(self.order) != len(self.table):
            self.order = sorted(self.table)
        return self.order

    def between(self, start: int, end: int) -> list[int]:
        times = self.times()
        return times[bisect_left(times, start) : bisect_left(times, end)]

    def delete_before(self, time: int) -> None:
        for old in self.times()[: bisect_left(self.times(), time)]:
            del self.table[old]
        self.order = sorted(self.table)


@dataclass(slots=True)
class MemoryStore:
    """`ReadingStore` in memory. Set `unavailable` to a reason and every verb raises `Unavailable`."""

    unavailable: str = ""
    _series: dict[SeriesKey, _Series] = field(default_factory=dict)
    _of_point: dict[tuple[str, str], list[_Series]] = field(default_factory=dict)
    _cursor: int = 0
    _taken: int = 0
    _given: Counter[CountKey] = field(default_factory=Counter)
    _kept: Kept = field(default_factory=Kept)
    """What is kept as roll-ups only is readings here, which buckets alone are made of."""

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        """Keep batches and cursor together."""
        self._check()
        for batch in batches:
            tables = [self._of(key).table for key in batch.keys]
            columns = (batch.key, batch.time, batch.value, batch.quality)
            for key, time, value, quality in zip(*(c.tolist() for c in columns), strict=True):
                if time >= self._kept.raw:
                    tables[key][time] = (value, quality)
            self._taken += len(batch)
            self._given.update(batch.given)
        self._cursor = cursor

    def _of(self, key: SeriesKey) -> _Series:
        if key not in self._series:
            self._series[key] = _Series()
            self._of_point.setdefault((key.site, key.point), []).append(self._series[key])
        return self._series[key]

    def cursor(self) -> int:
        self._check()
        return self._cursor

    def taken(self) -> int:
        self._check()
        return self._taken

    def given(self) -> Mapping[CountKey, int]:
        self._check()
        return self._given

    def latest(self, site: str, points: Sequence[str]) -> Mapping[str, tuple[int, float, int]]:
        self._check()
        found: dict[str, tuple[int, float, int]] = {}
        for point in points:
            for series in self._of_point.get((site, point), []):
                times = series.times()
                if (
                    times
                    and times[-1] >= self._kept.raw
                    and (point not in found or times[-1] >= found[point][0])
                ):
                    found[point] = (times[-1], *series.table[times[-1]])
        return found

    def raw(self, site: str, point: str, start: int, end: int) -> Raw:
        self._check()
        return self._between(site, point, max(start, self._kept.raw), end)

    def _between(self, site: str, point: str, start: int, end: int) -> Raw:
        rows = sorted(
            (time, number, *series.table[time])
            for number, series in enumerate(self._of_point.get((site, point), []))
            for time in series.between(start, end)
        )
        return Raw(
            np.array([row[0] for row in rows], np.int64),
            np.array([row[2] for row in rows], np.float64),
            np.array([row[3] for row in rows], np.uint8),
        )

    def buckets(self, site: str, point: str, start: int, end: int, width_ms: int) -> Buckets:
        self._check()
        start, end, width_ms = fitted(start, end, width_ms, self._kept)
        return in_buckets(self._between(site, point, start, end), width_ms)

    def delete_before(self, time: int, kind: Kind = "raw") -> None:
        self._check()
        self._kept = self._kept.but(kind, time)
        for series in self._series.values():
            series.delete_before(min(self._kept.raw, self._kept.minute, self._kept.hour))

    def kept_from(self) -> int:
        return self._kept.raw

    def newest(self) -> int | None:
        self._check()
        last = [series.times()[-1] for series in self._series.values() if series.table]
        return max((time for time in last if time >= self._kept.raw), default=None)

    def count(self) -> int:
        self._check()
        return sum(len(s.between(self._kept.raw, 2**62)) for s in self._series.values())

    def lost(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to give back; what was kept stays, as on a disk."""

    def _check(self) -> None:
        if self.unavailable:
            raise Unavailable(self.unavailable)
