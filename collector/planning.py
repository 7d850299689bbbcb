"""Keeps the table of what is due: a tick computes, compares, judges evidence and writes what changed."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from collector.domain.days import local_date, midnight, weekday_working
from collector.domain.evidence import Look, Verdict, confirmed
from collector.domain.intervals import DAY_MS, ONE_DAY, DueState, Frame
from collector.domain.looks import LATE_MS, Looked, Window, look_from, stood, window
from collector.domain.meters import NO_PATH, MeterPath
from collector.domain.plans import Completion, Owed, owed, still_open
from collector.looking import Looking, StoreAwayError
from collector.metering import Metering
from collector.occurrences import Judged, finished, row_data, row_events, row_id, settled, turns
from collector.ports import (
    Ask,
    Asks,
    Decisions,
    LedgerEvent,
    LedgerRow,
    Outcome,
    ReadingStore,
    TakenOver,
    Unavailable,
)
from collector.projecting import Offload
from config.clock import Clock
from config.plant import Plant
from config.standards import Meter, Plan, Ran

log = logging.getLogger(__name__)
READINGS = "readings"
"""Who did it, where nobody said so."""


@dataclass(slots=True)
class _Kept:
    """What the planner remembers of one plan between ticks."""

    plan: Plan
    plant: Plant
    frame: Frame
    completions: list[Completion] = field(default_factory=list)
    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    looked: dict[str, Looked] = field(default_factory=dict)
    """By due's key."""
    path: MeterPath = NO_PATH
    live: list[Owed] = field(default_factory=list)
    """What is owed, less the rows that only a new completion can change."""
    live_of: tuple[object, ...] = ()
    """What `live` was made from."""
    idle: tuple[int, int] = (0, 0)
    """From when to when (UTC ms) a tick finds nothing new, unless a completion is."""

    @property
    def by_readings(self) -> bool:
        return self.plan.duty.closes == "by_readings"


class Planning:
    """One planner over all plants. `tick` may run twice, late, or after an outage: same rows."""

    def __init__(
        self,
        plants: Sequence[Plant],
        decisions: Decisions,
        asks: Asks,
        store: ReadingStore,
        offload: Offload,
    ) -> None:
        self._plants = plants
        self._decisions = decisions
        self._asks = asks
        self._looking = Looking(store, offload)
        self._metering = Metering(decisions, self._looking)
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._asked = 0

    # --- start -----------------------------------------------------------------------------

    def restore(self, now: int) -> None:
        """Take up the ledger's rows and completions; the first start fixes each site's first day."""
        self._asked = self._decisions.cursor("planning-asks")
        for plant in self._plants:
            self._metering.restore(plant.site)
            zone = ZoneInfo(plant.time_zone)
            first = self._first_day(plant, zone, now)
            for plan in plant.plans.values():
                self._kept[plant.site, plan.id] = self._take_up(plant, plan, zone, first)
            for row in self._decisions.rows("occurrence", plant.site):
                kept = self._kept.get((plant.site, str(row.data["plan"])))
                if kept is not None:
                    kept.rows[row.id] = row.data

    def _first_day(self, plant: Plant, zone: ZoneInfo, now: int) -> date:
        name = f"planning-start:{plant.site}"
        at = self._decisions.cursor(name)
        if not at:
            at = now
            self._decisions.append([], [], {name: now})
        return local_date(at, zone)

    def _take_up(self, plant: Plant, plan: Plan, zone: ZoneInfo, first: date) -> _Kept:
        duty = plan.duty
        start = date.fromisoformat(plan.start) if plan.start else first
        counts_from = date.fromisoformat(plan.in_service) if plan.in_service else None
        frame = Frame(
            zone, start, weekday_working, duty.statutory, duty.tolerance_days, counts_from
        )
        kept = _Kept(plan, plant, frame)
        for event in self._decisions.history("occurrence", plant.site, plan.id):
            if event.kind == "completed":
                span = event.data.get("span")
                shown = (int(span[0]), int(span[1])) if span else None
                kept.completions.append(Completion(event.at, event.by, event.key, shown))
        return kept

    # --- tick ------------------------------------------------------------------------------

    async def run(self, clock: Clock, every_s: float = 10.0) -> None:
        """Tick for ever; APScheduler only says when (real seconds)."""
        scheduler = AsyncIOScheduler()
        beat = asyncio.Event()

        async def ring() -> None:
            beat.set()

        scheduler.add_job(ring, "interval", seconds=every_s, coalesce=True, max_instances=1)
        scheduler.start()
        try:
            away = False
            while True:
                away = await self._try_tick(clock.now(), away=away)
                await beat.wait()
                beat.clear()
        finally:
            scheduler.shutdown(wait=False)

    async def _try_tick(self, now: int, *, away: bool) -> bool:
        """One tick; whether store or ledger were away, which is said once."""
        try:
            await self.tick(now)
        except TakenOver:
            raise
        except Unavailable as error:
            if not away:
                log.warning("planning waits: %s", error)
            return True
        return False

    async def tick(self, now: int) -> None:
        """Compute what is due up to now + a week, take asks, judge evidence, write what changed.

        Raises:
            Unavailable: the ledger is away; or the store is, said after all that can do without it was done.
        """
        if not self._kept:
            self.restore(now)
        self.take_asks(now)
        busy = [k for k in self._kept.values() if not k.idle[0] <= now < k.idle[1]]
        away = [error for k in busy if (error := await self._tick_plan(k, now))]
        if away:
            raise away[0]

    def take_asks(self, now: int) -> None:
        """Apply what people said was done; each ask has one outcome."""
        for ask in self._asks.since(self._asked, ["done"]):
            reason = self._complete(ask, now)
            self._asks.settle(Outcome(ask.id, not reason, reason, now))
            self._asked = ask.seq
            self._decisions.append([], [], {"planning-asks": ask.seq})

    def _complete(self, ask: Ask, now: int) -> str:
        """Refusal's reason, or an empty text when the completion is kept."""
        kept = next(
            (k for k in self._kept.values() if k.plan.site == ask.site and ask.subject in k.rows),
            None,
        )
        if kept is None:
            return "unknown_occurrence"
        done = Completion(int(ask.data.get("done_at") or ask.at), ask.by, f"ask:{ask.id}")
        if any(known.id == _completion_key(kept.plan, done) for known in kept.completions):
            return ""
        if kept.rows[ask.subject]["state"] == DueState.DONE:
            return "already_done"
        if done.at > now:
            return "in_the_future"
        note = str(ask.data.get("note", ""))
        self._keep_completion(kept, done, {"note": note} if note else {})
        return ""

    def _keep_completion(self, kept: _Kept, done: Completion, data: Mapping[str, Any]) -> None:
        event = LedgerEvent(
            "occurrence", kept.plan.site, kept.plan.id, "completed", done.at,
            key=_completion_key(kept.plan, done), by=done.by, data=data,
        )  # fmt: skip
        self._decisions.append([event], [])
        if all(known.id != event.key for known in kept.completions):
            kept.completions.append(Completion(done.at, done.by, event.key, done.span))
            kept.idle = (0, 0)

    # --- one plan --------------------------------------------------------------------------

    async def _tick_plan(self, kept: _Kept, now: int) -> StoreAwayError | None:
        """Whether the store was missed. What readings close waits for it; of others only the verdict does."""
        judged: dict[str, Judged] = {}
        missed = None
        try:
            await self._read_meter(kept, now)
            await self._look_at_all(kept, now, judged)
        except StoreAwayError as error:
            missed = error
            if kept.by_readings or isinstance(kept.plan.duty.every, Meter):
                return missed
        self._write(kept, judged, now)
        kept.idle = (now, _idle_until(kept, now))
        return missed

    async def _read_meter(self, kept: _Kept, now: int) -> None:
        served = sorted(c.at for c in kept.completions)
        kept.path = await self._metering.read(kept.plan, kept.plant, kept.frame, served, now)

    def _live(self, kept: _Kept, now: int) -> list[Owed]:
        """What is owed, folded anew when the day, a completion or the meter is new."""
        made_of = (local_date(now, kept.frame.zone), len(kept.completions), kept.path.steps)
        if kept.live_of != made_of:
            every = kept.plan.duty.every
            kept.live = owed(every, kept.frame, now, kept.completions, kept.path)
            kept.live_of = made_of
        return kept.live

    # --- evidence --------------------------------------------------------------------------

    async def _look_at_all(self, kept: _Kept, now: int, judged: dict[str, Judged]) -> None:
        """A verdict for each row that needs one; a completion that readings show may open the next."""
        looking = kept.plan.duty.evidence is not None
        while looking:
            looking = False
            rows = self._live(kept, now)
            open_ = still_open(kept.plan.duty.every, rows, now)
            for row in rows:
                owing = row.due.key in open_
                if await self._look_at(kept, row, now, judged, owing=owing):
                    looking = True
                    break

    async def _look_at(
        self, kept: _Kept, row: Owed, now: int, judged: dict[str, Judged], *, owing: bool
    ) -> bool:
        """Whether the readings showed a completion that was not known."""
        key = row.due.key
        if row.done is not None and row.done.span is not None:
            judged[key] = Judged(confirmed(row.done.span), final=True)
            return False
        seen = window(row, now, kept.frame.zone, by_readings=kept.by_readings)
        start = self._look_from(kept, row, seen, now, owing=owing) if key not in judged else None
        if seen is None or start is None:
            return False
        late = owing and kept.by_readings and not seen.claimed
        looks = _looks(seen, start, now, _taken(kept, row, judged), late=late)
        verdict = await self._verdict(kept, looks)
        if verdict is not None and verdict.span and kept.by_readings and row.done is None:
            self._keep_sighting(kept, verdict.span)
            return True
        kept.looked[key] = _looked(seen, start, kept.looked.get(key), now)
        if verdict is not None:
            judged[key] = Judged(verdict, seen.final or verdict.span is not None)
        return False

    @staticmethod
    def _look_from(
        kept: _Kept, row: Owed, seen: Window | None, now: int, *, owing: bool
    ) -> int | None:
        before = kept.rows.get(row_id(kept.plan, row.due), {})
        closable = kept.by_readings and row.done is None and owing
        if seen is None or (settled(before, claimed=row.done is not None) and not closable):
            return None
        brief = isinstance(kept.plan.duty.evidence, Ran)
        return look_from(row, seen, kept.looked.get(row.due.key), now, brief=brief)

    async def _verdict(self, kept: _Kept, looks: Sequence[Look]) -> Verdict | None:
        """What the first look says, unless a later one confirms."""
        said: Verdict | None = None
        for look in looks:
            verdict = await self._looking.verdict(kept.plan, kept.plant, look)
            if verdict is not None and verdict.span:
                return verdict
            said = said or verdict
        return said

    def _keep_sighting(self, kept: _Kept, span: tuple[int, int]) -> None:
        done = Completion(span[1], READINGS, f"{READINGS}:{span[0]}", span)
        self._keep_completion(kept, done, {"span": list(span)})

    # --- rows ------------------------------------------------------------------------------

    def _write(self, kept: _Kept, judged: Mapping[str, Judged], now: int) -> None:
        events: list[LedgerEvent] = []
        changed: list[LedgerRow] = []
        rows = self._live(kept, now)
        open_ = still_open(kept.plan.duty.every, rows, now)
        live: list[Owed] = []
        for row in rows:
            key, id = row.due.key, row_id(kept.plan, row.due)
            old = kept.rows.get(id, {})
            data = row_data(kept.plan, kept.frame, row, judged.get(key), old, (now, key in open_))
            if not finished(data):
                live.append(row)
            if data == old or (data["state"] == DueState.FUTURE and not old):
                continue
            events += row_events(kept.plan.site, id, old, data, now)
            changed.append(LedgerRow("occurrence", kept.plan.site, id, data["open"], data))
        if changed:
            self._decisions.append(events, changed)
        kept.rows |= {row.id: row.data for row in changed}
        kept.live = live


def _idle_until(kept: _Kept, now: int) -> int:
    """The next instant at which time alone makes something new; what the store knows is looked at always."""
    duty, zone = kept.plan.duty, kept.frame.zone
    if duty.evidence is not None or isinstance(duty.every, Meter):
        return now
    day_ends = midnight(local_date(now, zone) + ONE_DAY, zone)
    return min([day_ends, *(at for row in kept.live for at in turns(row.due) if at > now)])


def _completion_key(plan: Plan, done: Completion) -> str:
    return f"{plan.site}:{plan.id}:{done.id}"


def _looks(seen: Window, start: int, now: int, taken: Sequence[int], *, late: bool) -> list[Look]:
    """The window; and what followed it, where readings may still close what was missed (`late`)."""
    over = seen.ended and not seen.claimed
    looks = [Look(start, seen.end, seen.claimed, over, now - LATE_MS, taken)]
    if over and late:
        looks.append(Look(max(seen.end, now - LATE_MS - DAY_MS), now, taken=taken))
    return looks


def _taken(kept: _Kept, row: Owed, judged: Mapping[str, Judged]) -> list[int]:
    """Instants at which the evidence was seen for other occurrences: once seen, it counts once."""
    own = row_id(kept.plan, row.due)
    spans = [data.get("verdict_span") for id, data in kept.rows.items() if id != own]
    spans += [j.verdict.span for key, j in judged.items() if key != row.due.key]
    closed = [c.at for c in kept.completions if c.by == READINGS]
    return closed + [int(span[1]) for span in spans if span]


def _looked(seen: Window, start: int, last: Looked | None, now: int) -> Looked:
    whole_at = now if start == seen.start or last is None else last.whole_at
    return Looked(now, whole_at, stood(seen))
