"""Courses of the points that profiles ask to watch: read hourly as they grow, kept, and what they say made rows."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from collector.course_rows import course_data, course_of, said_data
from collector.domain.courses import ANY, Course, Rows, anew, said, went_on
from collector.domain.looks import LATE_MS
from collector.domain.slopes import DAY_MS
from collector.domain.trends import SPACING_MS
from collector.ports import (
    Ask,
    Asks,
    Buckets,
    Decisions,
    LedgerRow,
    Outcome,
    ReadingStore,
    Unavailable,
)
from collector.projecting import Offload
from config.clock import Clock
from config.plant import Plant, Point
from config.rules import Level
from edge.readings import BAD, QUALITIES, Floats, Ints

log = logging.getLogger("steward.trending")

EVERY_S: Final = 3600.0
RETRY_S: Final = 60.0
BACK_MS: Final = 90 * DAY_MS
"""What is older is not read: readings at a first start, or behind an outage."""
NOT_ITS_OWN: Final = (QUALITIES["in_test"], QUALITIES["frozen"])
CURSOR: Final = "trending-asks"


@dataclass(slots=True)
class _Watched:
    """One point: its limits, and its course up to where no reading can come late any more."""

    plant: Plant
    point: Point
    levels: tuple[Level, ...]
    kept: Course | None = None
    shown: Mapping[str, Any] | None = None

    @property
    def step(self) -> float:
        return float(10.0**-self.point.decimals)

    @property
    def horizon_s(self) -> float:
        return self.point.spec.trend.horizon_s if self.point.spec.trend else 0.0


class Trending:
    """All watched points of all plants. `tick` may run twice, late, or after an outage: same rows."""

    def __init__(
        self,
        plants: Sequence[Plant],
        decisions: Decisions,
        asks: Asks,
        store: ReadingStore,
        offload: Offload,
    ) -> None:
        self._decisions = decisions
        self._asks = asks
        self._store = store
        self._offload = offload
        self._asked: int | None = None
        self._watched = {
            (plant.site, point.id): _Watched(plant, point, _levels(plant, point))
            for plant in plants
            for point in plant.points.values()
            if point.spec.trend is not None
        }

    async def run(self, clock: Clock) -> None:
        """Tick for ever, once an hour of the clock; sooner where store or ledger were away."""
        away = False
        while True:
            try:
                await self.tick(clock.now())
                away = False
            except Unavailable as error:
                if not away:
                    log.warning("trends wait: %s", error)
                away = True
            pause_s = RETRY_S if away else EVERY_S
            await clock.sleep_until(clock.monotonic() + pause_s)

    async def tick(self, now: int) -> None:
        """Take up what was serviced, then read each point on and keep what may be said of it at `now` (UTC ms).

        Raises:
            Unavailable: store or ledger is away; what was done before stays.
        """
        if self._asked is None:
            self._restore()
        self._take_asks(now)
        for watched in self._watched.values():
            await self._follow(watched, now)

    def _restore(self) -> None:
        for (site, point), watched in self._watched.items():
            row = self._decisions.row("course", site, point)
            watched.kept = course_of(row.data, watched.step) if row else None
        self._asked = self._decisions.cursor(CURSOR)

    # --- serviced --------------------------------------------------------------------------

    def _take_asks(self, now: int) -> None:
        """Apply what people said was serviced; each ask has one outcome."""
        for ask in self._asks.since(self._asked or 0, ["serviced"]):
            reason = self._serviced(ask, now)
            self._asks.settle(Outcome(ask.id, not reason, reason, now))
            self._decisions.append([], [], {CURSOR: ask.seq})
            self._asked = ask.seq

    def _serviced(self, ask: Ask, now: int) -> str:
        """Begin the asset's points anew, and those of its parts; a refusal's reason, or an empty text."""
        at = int(ask.data.get("at") or ask.at)
        mine = [
            watched
            for (site, _), watched in self._watched.items()
            if site == ask.site and f"{watched.point.asset}/".startswith(f"{ask.subject}/")
        ]
        if not mine or at > now:
            return "in_the_future" if mine else "not_watched"
        for watched in mine:
            if watched.kept is None or (watched.kept.reset_at or 0) < at:
                self._keep(watched, anew(at))
        return ""

    # --- one point -------------------------------------------------------------------------

    async def _follow(self, watched: _Watched, now: int) -> None:
        solid, data = await self._offload(partial(self._read_on, watched, now))
        if watched.kept is None or solid.until > watched.kept.until:
            self._keep(watched, solid)
        if data != watched.shown:
            self._show(watched, data, now)

    def _read_on(self, watched: _Watched, now: int) -> tuple[Course, dict[str, Any]]:
        """The course as far as nothing can come late any more, and what is said of it with all that is there."""
        kept = watched.kept or Course(0)
        start = max(kept.until, now - BACK_MS)
        settled = max(start, (now - LATE_MS) // DAY_MS * DAY_MS)
        rows = self._rows(watched, start, now)
        before = {state: _part(one, one[0] < settled) for state, one in rows.items()}
        after = {state: _part(one, one[0] >= settled) for state, one in rows.items()}
        solid = went_on(kept, settled, _some(before), step=watched.step)
        course = went_on(solid, now, _some(after), step=watched.step)
        horizon = now + round(watched.horizon_s * 1000)
        return solid, said_data(said(course, watched.levels, now), horizon)

    def _keep(self, watched: _Watched, course: Course) -> None:
        """What is settled goes to the ledger, once a day."""
        row = LedgerRow("course", watched.plant.site, watched.point.id, False, course_data(course))
        self._decisions.append([], [row])
        watched.kept = course

    def _show(self, watched: _Watched, data: Mapping[str, Any], now: int) -> None:
        row = LedgerRow(
            "trend", watched.plant.site, watched.point.id, data["suggested"],
            {"asset": watched.point.asset, "at": now, **data},
        )  # fmt: skip
        self._decisions.append([], [row])
        watched.shown = data

    def _rows(self, watched: _Watched, start: int, end: int) -> Mapping[str, Rows]:
        """The point's means of ten minutes by the state in which its equipment was all the while."""
        site, point = watched.plant.site, watched.point
        first = -(-start // SPACING_MS) * SPACING_MS
        found = self._store.buckets(site, point.id, first, end, SPACING_MS)
        rows, by = _plain(found), watched.plant.state_of(point)
        if by is None:
            return {ANY: rows}
        states = self._store.buckets(site, by.id, first, end, SPACING_MS)
        of = state_at(states, rows[0], round(by.longest_silence_s * 1000))
        names = {number: str(int(number)) for number in np.unique(of[np.isfinite(of)])}
        return {name: _part(rows, of == number) for number, name in names.items()}


def state_at(states: Buckets, time: Ints, silence_ms: int) -> Floats:
    """The state that held all through each bucket that begins at `time` (UTC ms); NaN: it changed, or nobody knows.

    A bucket without a word of it has the state that was told last, as long as it may be silent.
    """
    place = np.searchsorted(states.time, time, "right") - 1
    known = place >= 0
    at = np.where(known, place, 0)
    if not len(states.time):
        return np.full(len(time), np.nan)
    own = states.time[at] == time
    still = (states.min == states.max) & (states.first == states.last)
    told = np.where(own, np.where(still[at], states.last[at], np.nan), states.last[at])
    fresh = time - states.time[at] <= silence_ms + states.width_ms
    return np.where(known & (own | fresh), told, np.nan)


def _plain(found: Buckets) -> Rows:
    """The buckets with the worst quality in each, without those in which the value was not the equipment's own.

    A reading that was lost takes nothing from the mean of the others.
    """
    own = ~np.isin(found.worst, NOT_ITS_OWN)
    quality = np.where(found.worst < BAD, found.worst, 0).astype(np.uint8)
    return found.time[own], found.mean[own], quality[own]


def _part(rows: Rows, which: Any) -> Rows:
    time, value, quality = rows
    return time[which], value[which], quality[which]


def _some(rows: Mapping[str, Rows]) -> Mapping[str, Rows]:
    return {state: one for state, one in rows.items() if len(one[0])}


def _levels(plant: Plant, point: Point) -> tuple[Level, ...]:
    """The limits of every alarm rule on the point."""
    return tuple(
        level for rule in plant.rules.values() if rule.point == point.id for level in rule.levels
    )
