"""Keeps the table of what is due: a tick computes, compares, judges evidence and writes what changed."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from collector.domain.days import local_date, weekday_working
from collector.domain.evidence import Look, Verdict, confirmed
from collector.domain.intervals import DueState, Frame
from collector.domain.looks import (
    Window,
    look_from,
    window,
)
from collector.domain.plans import Completion, Owed, owed, still_open
from collector.idling import Idle
from collector.kept_plans import (
    READINGS,
    KeptPlan,
    is_looked_for,
    looked_at,
    looks_at,
    next_looks,
    stands_until,
    taken_for,
)
from collector.looking import Looking, StoreAwayError
from collector.metering import Metering
from collector.occurrences import Judged, finished, row_data, row_events, row_id
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
from config.standards import Meter, Plan

log = logging.getLogger(__name__)


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
        self._kept: list[KeptPlan] = []
        self._of_row: dict[tuple[str, str], KeptPlan] = {}
        """By site and row's id."""
        self._idle = Idle(0)
        self._asked = 0

    # --- start -----------------------------------------------------------------------------

    def restore(self, now: int) -> None:
        """Take up the ledger's rows and completions; the first start fixes each site's first day."""
        self._asked = self._decisions.cursor("planning-asks")
        every: list[KeptPlan] = []
        for plant in self._plants:
            self._metering.restore(plant.site)
            zone = ZoneInfo(plant.time_zone)
            first = self._first_day(plant, zone, now)
            taken = {
                plan.id: self._take_up(number, plant, plan, zone, first)
                for number, plan in enumerate(plant.plans.values(), len(every))
            }
            every += taken.values()
            for row in self._decisions.rows("occurrence", plant.site):
                kept = taken.get(str(row.data["plan"]))
                if kept is not None:
                    self._keep_rows(kept, [row])
        self._kept, self._idle = every, Idle(len(every))

    def _first_day(self, plant: Plant, zone: ZoneInfo, now: int) -> date:
        name = f"planning-start:{plant.site}"
        at = self._decisions.cursor(name)
        if not at:
            at = now
            self._decisions.append([], [], {name: now})
        return local_date(at, zone)

    def _take_up(
        self, number: int, plant: Plant, plan: Plan, zone: ZoneInfo, first: date
    ) -> KeptPlan:
        duty = plan.duty
        start = date.fromisoformat(plan.start) if plan.start else first
        counts_from = date.fromisoformat(plan.in_service) if plan.in_service else None
        frame = Frame(
            zone, start, weekday_working, duty.statutory, duty.tolerance_days, counts_from
        )
        kept = KeptPlan(number, plan, plant, frame)
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
        busy = [self._kept[number] for number in self._idle.over(now)]
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
        kept = self._of_row.get((ask.site, ask.subject))
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

    def _keep_completion(self, kept: KeptPlan, done: Completion, data: Mapping[str, Any]) -> None:
        event = LedgerEvent(
            "occurrence", kept.plan.site, kept.plan.id, "completed", done.at,
            key=_completion_key(kept.plan, done), by=done.by, data=data,
        )  # fmt: skip
        self._decisions.append([event], [])
        if all(known.id != event.key for known in kept.completions):
            kept.completions.append(Completion(done.at, done.by, event.key, done.span))
            self._idle.wake(kept.number)

    # --- one plan --------------------------------------------------------------------------

    async def _tick_plan(self, kept: KeptPlan, now: int) -> StoreAwayError | None:
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
        self._live(kept, now)
        if judged or not kept.stands[0] <= now < kept.stands[1]:
            self._write(kept, judged, now)
            kept.stands = (now, stands_until(kept, now))
        if missed is None:
            self._idle.rest(kept.number, now, self._idle_until(kept, now))
        return missed

    async def _read_meter(self, kept: KeptPlan, now: int) -> None:
        served = sorted(c.at for c in kept.completions)
        kept.path = await self._metering.read(kept.plan, kept.plant, kept.frame, served, now)

    def _live(self, kept: KeptPlan, now: int) -> list[Owed]:
        """What is owed, folded anew when the day, a completion or the meter is new."""
        made_of = (local_date(now, kept.frame.zone), len(kept.completions), kept.path.steps)
        if kept.live_of != made_of:
            every = kept.plan.duty.every
            kept.live = owed(every, kept.frame, now, kept.completions, kept.path)
            kept.live_of, kept.stands = made_of, (0, 0)
        return kept.live

    def _idle_until(self, kept: KeptPlan, now: int) -> int:
        """Before this instant (UTC ms) neither time nor the readings that are looked at then make anything new."""
        read = self._metering.next_read(kept.plan)
        wanted = [kept.stands[1], *([] if read is None else [read])]
        if kept.plan.duty.evidence is not None:
            open_ = still_open(kept.plan.duty.every, kept.live, now)
            wanted += [at for row in kept.live for at in next_looks(kept, row, now, owing=row.due.key in open_)]  # fmt: skip
        return min(wanted)

    # --- evidence --------------------------------------------------------------------------

    async def _look_at_all(self, kept: KeptPlan, now: int, judged: dict[str, Judged]) -> None:
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
        self, kept: KeptPlan, row: Owed, now: int, judged: dict[str, Judged], *, owing: bool
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
        looks = looks_at(seen, start, now, taken_for(kept, row, judged), late=late)
        verdict = await self._verdict(kept, looks)
        if verdict is not None and verdict.span and kept.by_readings and row.done is None:
            self._keep_sighting(kept, verdict.span)
            return True
        kept.looked[key] = looked_at(seen, start, kept.looked.get(key), now)
        if verdict is not None:
            judged[key] = Judged(verdict, seen.final or verdict.span is not None)
        return False

    @staticmethod
    def _look_from(
        kept: KeptPlan, row: Owed, seen: Window | None, now: int, *, owing: bool
    ) -> int | None:
        if seen is None or not is_looked_for(kept, row, owing=owing):
            return None
        return look_from(row, seen, kept.looked.get(row.due.key), now, brief=kept.brief)

    async def _verdict(self, kept: KeptPlan, looks: Sequence[Look]) -> Verdict | None:
        """What the first look says, unless a later one confirms."""
        said: Verdict | None = None
        for look in looks:
            verdict = await self._looking.verdict(kept.plan, kept.plant, look)
            if verdict is not None and verdict.span:
                return verdict
            said = said or verdict
        return said

    def _keep_sighting(self, kept: KeptPlan, span: tuple[int, int]) -> None:
        done = Completion(span[1], READINGS, f"{READINGS}:{span[0]}", span)
        self._keep_completion(kept, done, {"span": list(span)})

    # --- rows ------------------------------------------------------------------------------

    def _write(self, kept: KeptPlan, judged: Mapping[str, Judged], now: int) -> None:
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
        self._keep_rows(kept, changed)
        kept.live = live

    def _keep_rows(self, kept: KeptPlan, rows: Sequence[LedgerRow]) -> None:
        kept.rows |= {row.id: row.data for row in rows}
        self._of_row |= {(row.site, row.id): kept for row in rows}


def _completion_key(plan: Plan, done: Completion) -> str:
    return f"{plan.site}:{plan.id}:{done.id}"
