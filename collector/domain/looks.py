"""When an occurrence's readings are looked at, and over which span: until late data can change nothing."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from collector.domain.days import local_date, midnight
from collector.domain.intervals import DAY_MS, ONE_DAY
from collector.domain.plans import Owed

LATE_MS = 7 * DAY_MS
"""Readings that an agent kept through an outage may come so late; what is older is lost (its outbox's cap)."""
EVERY_MS = 60_000
"""An occurrence's readings are looked at no oftener than this."""
SHARE = 1000
"""A whole window is read again after this part of its age, so that a long one costs no more than a short one."""
BRIEF_MS = 600_000
"""Between whole looks only so much before the last look is read again."""
ON_THE_WAY_MS = 30_000
"""Readings of the moment of a claim may still be on their way to the store for so long."""


@dataclass(frozen=True, slots=True)
class Window:
    """start ≤ t < end (UTC ms) in which an occurrence's work counts, as far as it has passed.

    `ended`: no more of it is to come; `final`: nor any late reading of it.
    """

    start: int
    end: int
    claimed: bool
    ended: bool
    final: bool


@dataclass(frozen=True, slots=True)
class Looked:
    """When the readings were looked at last, when at the whole window, and how it stood then."""

    at: int
    whole_at: int
    stood: tuple[bool, bool, bool]


def window(row: Owed, now: int, zone: ZoneInfo, *, by_readings: bool) -> Window | None:
    """Where to look for a row's evidence at `now` (UTC ms); None while there is nowhere.

    A claim is judged by all that counts for it up to the end of its day; what nobody claimed by the
    window alone, unless readings close it.
    """
    claimed = row.done is not None
    start = _start(row, by_readings=by_readings)
    if start is None or now <= start:
        return None
    end = _end(row, zone)
    if end is None:
        return Window(start, now, claimed, False, False)
    return Window(start, min(now, end), claimed, now >= end, now >= end + LATE_MS)


def _start(row: Owed, *, by_readings: bool) -> int | None:
    return row.since if row.done is not None or by_readings else row.due.early_at


def _end(row: Owed, zone: ZoneInfo) -> int | None:
    late = row.due.late_at
    if row.done is None:
        return late
    day = midnight(local_date(row.done.at, zone) + ONE_DAY, zone)
    return day if late is None or row.too_late else min(day, late)


def look_from(row: Owed, seen: Window, last: Looked | None, now: int, *, brief: bool) -> int | None:
    """From when on (UTC ms) to look at the readings now; None: not yet.

    The whole window at first, when its standing changed, and again as it ages; the last minutes in
    between (where `brief` will do: a run needs no more), as long as only a new confirmation can come.
    """
    if row.done is not None and now < row.done.at + ON_THE_WAY_MS:
        return None
    if last is None or last.stood != stood(seen):
        return seen.start
    if now - last.whole_at >= max(EVERY_MS, (now - seen.start) // SHARE):
        return seen.start
    if not brief or seen.claimed or seen.ended or now - last.at < EVERY_MS:
        return None
    return max(seen.start, last.at - BRIEF_MS)


def next_look(
    row: Owed, last: Looked | None, now: int, zone: ZoneInfo, *, by_readings: bool, brief: bool
) -> int | None:  # fmt: skip
    """No look is wanted before this (UTC ms) once it was asked for one at `now`; None: never, as it stands.

    It may be earlier than the next look, by a thousandth of the time to it.
    """
    start = _start(row, by_readings=by_readings)
    if start is None or now <= start:
        return None if start is None else start + 1
    if row.done is not None and now < row.done.at + ON_THE_WAY_MS:
        return row.done.at + ON_THE_WAY_MS
    if last is None:
        return now
    end = _end(row, zone)
    ends = [] if end is None else [at for at in (end, end + LATE_MS) if at > now]
    again = last.whole_at + max(EVERY_MS, (now - start) // SHARE)
    running = brief and row.done is None and (end is None or now < end)
    return min([again, *ends, *([last.at + EVERY_MS] if running else [])])


def stood(seen: Window) -> tuple[bool, bool, bool]:
    """What makes a look at the whole window worth while when it changes."""
    return seen.claimed, seen.ended, seen.final
