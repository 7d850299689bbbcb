"""Points that are made once a day of others: each closed local day anew from its readings, as long as late ones may come."""

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

LOOK_S: Final = 600.0
SETTLED_MS: Final = 900_000
"""A day is looked at first so long after its end: its last readings are stored by then."""
AGAIN_MS: Final = 6 * 3_600_000
LATE_DAYS: Final = 8
"""Days back that are looked at again: an outbox holds seven."""
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
    waiting: list[Said] = field(default_factory=list)
    """Made, and not said yet, oldest first."""


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
        """For ever: look, and say what is new."""
        while True:
            await self.look(self._clock.now())
            await self._clock.sleep_until(self._clock.monotonic() + LOOK_S)

    async def look(self, now: int) -> None:
        """Make the days that may have changed, and say what waits. `now` in UTC ms.

        A store that is behind yesterday's end has half of it at most: all days wait until it is not.
        """
        complete = await self._offload(self.complete_until)
        for site in self._sites.values():
            today = local_date(now - SETTLED_MS, site.zone)
            if now >= site.look_at and midnight(today, site.zone) <= complete:
                await self._make(site, today - LATE_DAYS * ONE_DAY, today)
                tomorrow = midnight(today + ONE_DAY, site.zone) + SETTLED_MS
                site.look_at = min(tomorrow, now + AGAIN_MS)
            self._say(site, await self._offload(self._journal.marks), now)

    async def again(self, name: str, since: date) -> int:
        """Make every closed day from `since` on anew; how many readings differ from what is stored and will be said.

        Days whose readings are gone by retention are left as they are. Raises `Unavailable`.
        """
        site = self._sites.get(name)
        if site is None:
            return 0
        kept = local_date(max(self._store.kept_from(), 0), site.zone) + 2 * ONE_DAY
        settled = min(self._clock.now() - SETTLED_MS, await self._offload(self.complete_until))
        today = local_date(settled, site.zone)
        first = max(since, kept, today - DAYS_MAX * ONE_DAY)
        before = len(site.waiting)
        await self._make(site, first, today, must=True)
        return len(site.waiting) - before

    async def _make(self, site: _Site, first: date, end: date, *, must: bool = False) -> None:
        """Days from `first` up to `end`, without it; a store that is away is asked again at the next look."""
        day = first
        while day < end:
            try:
                found = await self._offload(partial(self._day, site, day))
            except Unavailable:
                if must:
                    raise
                return
            site.waiting += [one for one in found if one not in site.waiting]
            day += ONE_DAY

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
        news = [one for one in site.waiting if one[1] >= yesterday][:SAID_MAX]
        late = [one for one in site.waiting if one[1] < yesterday][:SAID_MAX]
        said: list[Said] = []
        if site.speaker.say(late, "backfill", marks, now, self.put):
            said += late
        if site.speaker.say(news, "data", marks, now, self.put):
            said += news
        gone = set(map(id, said))
        site.waiting = [one for one in site.waiting if id(one) not in gone]


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
