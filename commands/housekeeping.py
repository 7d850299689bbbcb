"""Once an hour: closed hours of the store get their roll-ups, and what is older than its retention goes."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, runtime_checkable

from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_files import moment
from collector.buckets import Kept
from collector.ports import Kind, ReadingStore, Unavailable
from config.settings import Settings

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
TIDY_AGAIN_S: Final = 3600
TRY_AGAIN_S: Final = 300
CLOSE_AFTER_MS: Final = 2 * HOUR_MS
TROUBLES_SAID: Final = 3
log = logging.getLogger("steward.server")


def kept_days(settings: Settings) -> Mapping[Kind, int]:
    """How many days each kind is kept, 0: for ever."""
    return {
        "raw": settings.keep_raw_days,
        "minute": settings.keep_minute_days,
        "hour": settings.keep_hour_days,
    }


def cut_of(now: int, days: int, newest: int) -> int:
    """From when on a kind is kept; whole hours, all UTC ms.

    Raises:
        Unavailable: the readings of more than a day would go at once with nothing new stored: rather the
            clock is wrong, or nothing comes any more.
    """
    cut = (now - days * DAY_MS) // HOUR_MS * HOUR_MS
    if cut > newest - days * DAY_MS + DAY_MS:
        raise Unavailable(
            f"nothing goes, since the newest reading is of {moment(newest)} and it is {moment(now)}: put the "
            "clock of this machine right; if it is right, retention goes on when readings come again"
        )
    return cut


@runtime_checkable
class ClosesHours(Protocol):
    """A store whose hours are closed once they are over, and which shows a cut again that was taken back."""

    @property
    def kept(self) -> Kept: ...

    def close_hours(self, before: int) -> int: ...

    def lower_cut(self, time: int, kind: Kind) -> None: ...


def bucket_retention_s(days: Mapping[Kind, int]) -> int:
    """What a bucket that holds all kinds must keep, seconds; 0: for ever.

    A day more than the longest of them: each kind goes by its own cut, which a wrong clock does not lead astray.
    """
    return 0 if 0 in days.values() else (max(days.values()) + 1) * DAY_MS // 1000


@dataclass(slots=True)
class Housekeeping:
    """What is done to a store; `troubles` says what of it failed the last time."""

    store: ReadingStore
    days: Mapping[Kind, int]
    troubles: tuple[str, ...] = ()

    def tidy(self, now: int) -> None:
        """Each step by itself: one that fails leaves the others alone. `now` in UTC ms."""
        steps: list[tuple[str, Callable[[], None]]] = [
            (f"retention ({kind})", partial(self._retain, now, kind, days))
            for kind, days in self.days.items()
        ]
        steps.append(("closing of hours", partial(self._close, now)))
        troubles = []
        for name, step in steps:
            try:
                step()
            except Unavailable as error:
                troubles.append(f"{name}: {error}")
                if not any(told.startswith(name) for told in self.troubles):
                    log.error("the store could not be tidied, it is tried again: %s", troubles[-1])
        if isinstance(self.store, DuckDbStore):
            troubles += self.store.troubles
        self.troubles = tuple(troubles)

    @property
    def pause_s(self) -> int:
        """How long until the next time: sooner after a failure, also that a start waits no hour to be well."""
        return TRY_AGAIN_S if self.troubles else TIDY_AGAIN_S

    def said(self) -> str:
        """The first troubles, and how many more there are."""
        more = len(self.troubles) - TROUBLES_SAID
        return "; ".join(self.troubles[:TROUBLES_SAID]) + (f"; {more} more" if more > 0 else "")

    def _retain(self, now: int, kind: Kind, days: int) -> None:
        self._right_cut(now, kind)
        newest = self.store.newest() if days else None
        if newest is not None:
            self.store.delete_before(cut_of(now, days, newest), kind)

    def _right_cut(self, now: int, kind: Kind) -> None:
        """A cut that lies ahead was made by a wrong clock; else it would take all that comes."""
        if isinstance(self.store, ClosesHours) and getattr(self.store.kept, kind) > now:
            log.error(
                "retention (%s) had cut up to %s, which is still to come: a clock was wrong. The cut is taken "
                "back; what went by it is gone, unless a copy is put back",
                kind, moment(getattr(self.store.kept, kind)),
            )  # fmt: skip
            days = self.days[kind]
            self.store.lower_cut(now - days * DAY_MS if days else 0, kind)

    def _close(self, now: int) -> None:
        if isinstance(self.store, ClosesHours):
            self.store.close_hours(now - CLOSE_AFTER_MS)
