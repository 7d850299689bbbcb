"""Once an hour: closed hours of the store get their roll-ups, and what is older than its retention goes."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar, runtime_checkable

from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_spans import moment
from collector.buckets import Kept
from collector.ports import Kind, ReadingStore, Unavailable
from config.settings import Settings

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
TIDY_AGAIN_S: Final = 3600
TRY_AGAIN_S: Final = 300
CLOSE_AFTER_MS: Final = 2 * HOUR_MS
TROUBLES_SAID: Final = 3
READINGS_DAYS_MIN: Final = 8
"""Duties are proven by readings, and these come late: a week is looked back on."""
T = TypeVar("T")
log = logging.getLogger("steward.server")


def kept_days(settings: Settings) -> Mapping[Kind, int]:
    """How many days each kind is kept, 0: for ever. Roll-ups are kept no shorter than readings."""
    least = READINGS_DAYS_MIN if _is_too_short(settings) else 0
    told: dict[Kind, int] = {
        "raw": settings.keep_raw_days,
        "minute": settings.keep_minute_days,
        "hour": settings.keep_hour_days,
    }
    return {kind: max(days, least) if days else 0 for kind, days in told.items()}


def _is_too_short(settings: Settings) -> bool:
    return 0 < settings.keep_raw_days < READINGS_DAYS_MIN


def cut_of(now: int, days: int, newest: int) -> int:
    """From when on a kind is kept; whole hours, all UTC ms.

    No more than a day beyond what the newest reading alone would take: a clock that runs ahead of all
    agents, or a long silence, empties no store.
    """
    return (min(now, newest + DAY_MS) - days * DAY_MS) // HOUR_MS * HOUR_MS


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
        troubles: list[str] = []
        newest = self._tried("retention", self.store.newest, troubles)
        for kind, days in self.days.items():
            retain = partial(self._retain, now, kind, days, newest)
            self._tried(f"retention ({kind})", retain, troubles)
        self._tried("closing of hours", partial(self._close, now), troubles)
        if isinstance(self.store, DuckDbStore):
            said = "\n".join(troubles)
            troubles += [trouble for trouble in self.store.troubles if trouble not in said]
        self.troubles = tuple(troubles)

    def _tried(self, name: str, step: Callable[[], T], troubles: list[str]) -> T | None:
        try:
            return step()
        except Unavailable as error:
            troubles.append(f"{name}: {error}")
            if troubles[-1] not in self.troubles:
                log.error("housekeeping of the store failed and is tried again: %s", troubles[-1])
        return None

    @property
    def pause_s(self) -> int:
        """How long until the next time: sooner after a failure, also that a start waits no hour to be well."""
        return TRY_AGAIN_S if self.troubles else TIDY_AGAIN_S

    def said(self) -> str:
        """The first troubles, and how many more there are."""
        more = len(self.troubles) - TROUBLES_SAID
        return "; ".join(self.troubles[:TROUBLES_SAID]) + (f"; {more} more" if more > 0 else "")

    def _retain(self, now: int, kind: Kind, days: int, newest: int | None) -> None:
        self._right_cut(now, kind, newest)
        if days and newest is not None:
            cut = cut_of(now, days, newest)
            self.store.delete_before(min(cut, self._cut_at_most(kind, cut)), kind)

    def _cut_at_most(self, kind: Kind, cut: int) -> int:
        """A day's worth of hours in a run: where agents share a clock that is wrong, one can still put it right."""
        most = self.store.cut_at_most(kind) if isinstance(self.store, DuckDbStore) else None
        return cut if most is None else most

    def _right_cut(self, now: int, kind: Kind, newest: int | None) -> None:
        """A cut that lies ahead would take all that comes, and only a wrong clock tells of one."""
        if isinstance(self.store, ClosesHours) and (cut := getattr(self.store.kept, kind)) > now:
            log.error(
                "retention (%s) has cut up to %s, but by this machine's clock it is %s, and %s: the clock is wrong "
                "now, or one was when the cut was made. The cut is taken back: what files still hold is shown "
                "again, what is gone comes back by a copy only",
                kind, moment(cut), moment(now),
                f"the newest reading is of {moment(newest)}" if newest else "no reading is newer than the cut",
            )  # fmt: skip
            days = self.days[kind]
            self.store.lower_cut(now - days * DAY_MS if days else 0, kind)

    def _close(self, now: int) -> None:
        if isinstance(self.store, ClosesHours):
            self.store.close_hours(now - CLOSE_AFTER_MS)


def warn_of_retention(settings: Settings) -> None:
    """Say where few days of readings are not kept as told."""
    if _is_too_short(settings):
        log.warning(
            "STEWARD_KEEP_RAW_DAYS is %d: readings are kept for %d days, since duties are proven by them, and roll-ups no shorter",
            settings.keep_raw_days, READINGS_DAYS_MIN,
        )  # fmt: skip
