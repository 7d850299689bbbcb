"""Where an export's readings come from: the running server, or the files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

import numpy as np

from api.history import width_for
from api.times import text_of
from collector.ports import Raw, ReadingStore, Unavailable
from commands.asking import Refused, ask
from config.settings import Settings

DAY_MS: Final = 86_400_000
AT_ONCE_MS: Final = 10 * DAY_MS
HELD_MAX: Final = 2000
"""Readings that the server gives at once."""


class Source(Protocol):
    """Where readings come from."""

    name: str

    def kept_from(self) -> int:
        """From when on readings are kept now, UTC ms (0: all)."""
        ...

    def pieces(self, point: str, start: int, end: int) -> Iterator[Raw]:
        """Readings with start ≤ time < end (UTC ms), in order."""
        ...


@dataclass(slots=True)
class FromStore:
    """The store, opened by this process."""

    store: ReadingStore
    site: str
    name: str

    def kept_from(self) -> int:
        return max(0, self.store.kept_from())

    def pieces(self, point: str, start: int, end: int) -> Iterator[Raw]:
        """A few days at once, where there are some."""
        start = max(start, self.store.kept_from())
        if end - start > AT_ONCE_MS:
            start, end = self._held(point, start, end)
        for first in range(start, end, AT_ONCE_MS):
            yield self.store.raw(self.site, point, first, min(first + AT_ONCE_MS, end))

    def _held(self, point: str, start: int, end: int) -> tuple[int, int]:
        """The part of a span within which all its readings lie: who says 1970 need not wait for 55 years."""
        found = self.store.buckets(self.site, point, start, end, width_for(end - start))
        if not len(found.time):
            return start, start
        return max(start, int(found.time[0])), min(end, int(found.time[-1]) + found.width_ms)


@dataclass(slots=True)
class FromServer:
    """The running server, which owns the files. It gives few readings at once: a span with more is halved.

    Retention may run meanwhile, and what is left as roll-ups only counts as too many: so it is asked each
    time from when on readings are kept.
    """

    settings: Settings
    site: str
    name: str = "the running server"

    def kept_from(self) -> int:
        kept: int = ask(self.settings, f"sites/{self.site}/history/kept")["kept_from"]
        return kept

    def pieces(self, point: str, start: int, end: int) -> Iterator[Raw]:
        """As many at once as the server gives."""
        start = max(start, self.kept_from())
        width = end - start
        while start < end:
            last = min(start + width, end)
            found = self._asked(point, start, last)
            if found is not None:
                yield found
                start = last
                width = 2 * width if len(found.time) <= HELD_MAX // 2 else width
                continue
            kept = self.kept_from()
            if kept <= start and last - start == 1:
                raise Unavailable(
                    f"the server says that {point} has too many readings at {text_of(start)} to give "
                    "them; if its log does not say why, export from the files with the server stopped"
                )
            start, width = max(start, kept), (width if kept > start else (last - start) // 2)

    def _asked(self, point: str, start: int, end: int) -> Raw | None:
        """The readings; None where they are too many, or some are left as roll-ups only."""
        asked = f"history?point={quote(point, safe='')}&start={start}&end={end}&resolution=raw"
        try:
            return _raw(ask(self.settings, f"sites/{self.site}/{asked}"))
        except Refused as error:
            if error.kind != "too-many-readings":
                raise
            return None


def _raw(found: dict[str, Any]) -> Raw:
    value = np.array(found["value"], np.float64)  # None is NaN
    return Raw(np.array(found["time"], np.int64), value, np.array(found["quality"], np.uint8))
