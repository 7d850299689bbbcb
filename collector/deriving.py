"""Points that are made once a day of others: each closed local day anew from its readings, as long as late ones may come."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from collector.domain.days import clock_time, local_date, midnight
from collector.domain.derived import NO_DAY, Course, Derived, derived, usual_day
from collector.domain.meters import MeterReading
from collector.ports import Journal, MarkKey, Message, ReadingStore, Unavailable
from collector.projecting import Offload
from collector.speaking import Said, Speaker
from config.clock import Clock
from config.plant import Plant, Point
from config.profile import Derivation

log = logging.getLogger("steward.deriving")

LOOK_S: Final = 600.0
SAY_S: Final = 2.0
"""From one batch to the next where more waits: less is forgotten by a restart."""
SETTLED_MS: Final = 900_000
"""A day is looked at first so long after its end: its last readings are stored by then."""
AGAIN_MS: Final = 6 * 3_600_000
LATE_DAYS: Final = 8
"""Days back that are looked at again: an outbox holds seven."""
CAUGHT_UP_DAYS: Final = 400
"""Days back that are made without being asked for, after a store or a server that was away."""
BEFORE_MS: Final = 86_400_000
"""How far back a reading of before the day is looked for: a counter goes on from it."""
USUAL_MS: Final = 60 * BEFORE_MS
"""So much of a counter's days shows what is usual."""
HOLE_MS: Final = 400 * BEFORE_MS
"""A counter's last reading before a hole is looked for so far back, among roll-ups."""
DAYS_MAX: Final = 4_000
ONE_DAY: Final = timedelta(days=1)
SAID_MAX: Final = 5_000
"""Readings of one batch."""


@dataclass(slots=True)
class _Site:
    """The derived points of one site; `look_at` is when they are looked at next, UTC ms."""

    plant: Plant
    zone: ZoneInfo
    points: tuple[Point, ...]
    speaker: Speaker
    look_at: int = 0
    made_until: date | None = None
    """Every day before this one was made, once all of it was stored; None: the store must be asked."""
    waiting: dict[tuple[int, int], Said] = field(default_factory=dict)
    """Made, and not said yet, oldest first; by place among the points and time."""


class Deriving:
    """`run` it beside ingest; `put` takes messages as if a broker had brought them.

    A day's value is a reading at the last millisecond of that local day. It is said where the store has
    another one or none, on the lane `backfill` but for yesterday's: history, and no news.
    """

    def __init__(
        self, plants: Sequence[Plant], journal: Journal, store: ReadingStore, clock: Clock,
        offload: Offload,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._store = store
        self._clock = clock
        self._offload = offload
        self._sites = {plant.site: _site(plant) for plant in plants if _points(plant)}
        self.put: Callable[[Message], None] = lambda message: None
        self.complete_until: Callable[[], int] = clock.now
        """Until when the store holds all that was received, UTC ms; it may block."""

    async def run(self) -> None:
        """For ever: look, and say what is new; of much of it one batch after the other."""
        while True:
            await self.look(self._clock.now())
            more = any(site.waiting for site in self._sites.values())
            rest_s = SAY_S if more else LOOK_S
            await self._clock.sleep_until(self._clock.monotonic() + rest_s)

    async def look(self, now: int) -> None:
        """Make the days that may have changed, and say what waits. `now` in UTC ms.

        A store that is behind yesterday's end has half of it at most: all days wait until it is not.
        """
        complete = await self._offload(self.complete_until)
        for site in self._sites.values():
            today = local_date(now - SETTLED_MS, site.zone)
            if midnight(today, site.zone) > complete:
                whole = local_date(complete, site.zone)
                site.made_until = min(site.made_until or whole, whole)
            elif now >= site.look_at:
                await self._make_up_to(site, today, now)
            self._say(site, await self._offload(self._journal.marks), now)

    async def _make_up_to(self, site: _Site, today: date, now: int) -> None:
        """A store that is away is asked again at the next look."""
        try:
            await self._make(site, await self._offload(partial(self._first, site, today)), today)
        except Unavailable:
            return
        site.made_until = today
        tomorrow = midnight(today + ONE_DAY, site.zone) + SETTLED_MS
        site.look_at = min(tomorrow, now + AGAIN_MS)

    def _first(self, site: _Site, today: date) -> date:
        """The first of the days that may have changed, or were never made because store or server was away."""
        until = site.made_until
        if until is None:
            last = self._store.latest(site.plant.site, [point.id for point in site.points])
            times = [time for time, _, _ in last.values()]
            until = local_date(max(times), site.zone) + ONE_DAY if times else today
        oldest = max(today - CAUGHT_UP_DAYS * ONE_DAY, self._kept(site))
        if until < oldest:
            log.warning("derived points of %s: days before %s were not made while store or server was away; where their readings are kept: ./steward derive %s --since %s", site.plant.site, oldest, site.plant.site, until)  # fmt: skip
        return max(min(until, today - LATE_DAYS * ONE_DAY), oldest)

    def _kept(self, site: _Site) -> date:
        """The first day of which all readings are kept, and those of the day before it."""
        return local_date(max(self._store.kept_from(), 0), site.zone) + 2 * ONE_DAY

    async def again(self, name: str, since: date) -> int:
        """Make every closed day from `since` on anew; how many readings differ from what is stored and will be said.

        Days whose readings are gone by retention are left as they are. Raises `Unavailable`.
        """
        site = self._sites.get(name)
        if site is None:
            return 0
        settled = min(self._clock.now() - SETTLED_MS, await self._offload(self.complete_until))
        today = local_date(settled, site.zone)
        first = max(since, self._kept(site), today - DAYS_MAX * ONE_DAY)
        return await self._make(site, first, today)

    async def _make(self, site: _Site, first: date, end: date) -> int:
        """Days from `first` up to `end`, without it; how many values differ from those stored. Raises `Unavailable`."""
        day, changed = first, 0
        while day < end:
            found = await self._offload(partial(self._day, site, day))
            site.waiting |= {one[:2]: one for one in found}
            changed += len(found)
            day += ONE_DAY
        return changed

    def _day(self, site: _Site, day: date) -> list[Said]:
        """What of one day differs from what the store has."""
        at = midnight(day + ONE_DAY, site.zone) - 1
        changed = []
        for place, point in enumerate(site.points):
            made = self._made(site, point, day)
            if made is not None and not self._is_stored(site.plant.site, point.id, at, made):
                changed.append((place, at, made.value, made.quality))
        return changed

    def _made(self, site: _Site, point: Point, day: date) -> Derived | None:
        """The day's value; None where the source was not heard at all, so that nothing is said of days before it was there."""
        what = point.spec.derive
        source = site.plant.points[what.of] if what else None
        if what is None or source is None:
            return None
        start, end = midnight(day, site.zone), midnight(day + ONE_DAY, site.zone)
        raw = self._store.raw(site.plant.site, source.id, start - BEFORE_MS, end)
        if not len(raw.time):
            return None
        course = Course(
            raw.time, raw.value, raw.quality, start, end, _silence_ms(source),
            _window(what, day, site.zone), source.rolls_over_at, source.rate_max,
        )  # fmt: skip
        return derived(what, self._with_history(site, source, course) if what.kind == "growth" else course)  # fmt: skip

    def _with_history(self, site: _Site, source: Point, course: Course) -> Course:
        """A counter's course with what its roll-ups tell: what is usual, and what it showed before a hole."""
        begins = bool((course.known() & (course.time < course.start)).any())
        if begins and source.rate_max is not None:
            return course
        back = USUAL_MS if begins else HOLE_MS
        days = self._store.buckets(site.plant.site, source.id, course.start - back, course.start, BEFORE_MS)  # fmt: skip
        there = np.isfinite(days.last)
        earlier = [MeterReading(*one) for one in zip(days.time[there].tolist(), days.last[there].tolist(), strict=True)][-1:]  # fmt: skip
        return replace(
            course,
            usual_day=usual_day(days.time, days.last),
            earlier=earlier[0] if earlier else None,
        )

    def _is_stored(self, site: str, point: str, at: int, made: Derived) -> bool:
        raw = self._store.raw(site, point, at, at + 1)
        if not len(raw.time):
            return made == NO_DAY
        return bool(raw.quality[-1] == made.quality and np.array_equal(raw.value[-1:], [made.value], equal_nan=True))  # fmt: skip

    def _say(self, site: _Site, marks: Mapping[MarkKey, int], now: int) -> None:
        """One batch of each lane; what does not fit waits for the next look."""
        yesterday = midnight(local_date(now, site.zone), site.zone) - 1
        news = [one for one in site.waiting.values() if one[1] >= yesterday][:SAID_MAX]
        late = [one for one in site.waiting.values() if one[1] < yesterday][:SAID_MAX]
        said: list[Said] = []
        if site.speaker.say(late, "backfill", marks, now, self.put):
            said += late
        if site.speaker.say(news, "data", marks, now, self.put):
            said += news
        for one in said:
            del site.waiting[one[:2]]


def _points(plant: Plant) -> tuple[Point, ...]:
    return tuple(point for point in plant.points.values() if point.spec.derive is not None)


def _site(plant: Plant) -> _Site:
    points = _points(plant)
    return _Site(plant, ZoneInfo(plant.time_zone), points, Speaker(plant, points))


def _silence_ms(point: Point) -> int:
    """How long a reading says how it is: a repeat may come one period late."""
    return round(1000 * (point.longest_silence_s + point.period_s))


def _window(what: Derivation, day: date, zone: ZoneInfo) -> tuple[int, int]:
    first, last = (clock_time(day, minute, zone) for minute in what.between)
    return first, last
