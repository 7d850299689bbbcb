"""Keeps the table of what is due: a tick computes, compares, judges evidence and writes what changed."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from collector.domain.days import local_date, midnight, weekday_working
from collector.domain.evidence import Trace, Verdict, VerdictKind, judge
from collector.domain.intervals import (
    Due,
    DueState,
    Frame,
    MeterPath,
    MeterReading,
    running_meter,
    state_of,
)
from collector.domain.plans import Completion, Owed, owed
from collector.ports import (
    Ask,
    Asks,
    Decisions,
    LedgerEvent,
    LedgerRow,
    Outcome,
    ReadingStore,
    Unavailable,
)
from config.clock import Clock
from config.plant import Plant
from config.standards import Evidence, Meter, Plan, Ran

T = TypeVar("T")
log = logging.getLogger(__name__)
HOUR_MS = 3_600_000
JUDGE_EVERY_MS = 60_000
"""An open occurrence's readings are looked at no oftener than this."""
ON_THE_WAY_MS = 30_000
"""Readings of the moment of a claim may still be on their way to the store for so long."""
ORDER_AHEAD_MS = 7 * 24 * HOUR_MS
"""An occurrence wants an order a week before its due day ends, or at once when its window is shorter."""


class Offload(Protocol):
    """Runs blocking work beside the loop (or inline where there is no thread)."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


@dataclass(slots=True)
class _Kept:
    """What the planner remembers of one plan between ticks."""

    plan: Plan
    plant: Plant
    frame: Frame
    completions: list[Completion] = field(default_factory=list)
    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    judged: dict[str, int] = field(default_factory=dict)
    """Due's key to when its readings were last looked at, UTC ms."""


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
        self._store = store
        self._offload = offload
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._asked = 0

    # --- start -----------------------------------------------------------------------------

    def restore(self, now: int) -> None:
        """Take up the ledger's rows and completions; the first start fixes each site's first day."""
        self._asked = self._decisions.cursor("planning-asks")
        for plant in self._plants:
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
                kept.completions.append(Completion(event.at, event.by, event.key))
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
        except Unavailable as error:
            if not away:
                log.warning("planning waits: %s", error)
            return True
        return False

    async def tick(self, now: int) -> None:
        """Compute what is due up to now + a week, take asks, judge evidence, write what changed."""
        if not self._kept:
            self.restore(now)
        self.take_asks(now)
        for kept in self._kept.values():
            await self._tick_plan(kept, now)

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
        if kept.rows[ask.subject]["state"] == DueState.DONE:
            return "already_done"
        at = int(ask.data.get("done_at") or ask.at)
        if at > now:
            return "in_the_future"
        self._keep_completion(kept, Completion(at, ask.by, f"ask:{ask.id}"), str(ask.data.get("note", "")))  # fmt: skip
        return ""

    def _keep_completion(self, kept: _Kept, completion: Completion, note: str = "") -> None:
        event = LedgerEvent(
            "occurrence", kept.plan.site, kept.plan.id, "completed", completion.at,
            key=f"{kept.plan.site}:{kept.plan.id}:{completion.id}", by=completion.by,
            data={"note": note} if note else {},
        )  # fmt: skip
        if self._decisions.append([event], []):
            kept.completions.append(Completion(completion.at, completion.by, event.key))

    async def _tick_plan(self, kept: _Kept, now: int) -> None:
        path = await self._meter(kept, now)
        rows = self._owed(kept, now, path)
        verdicts: dict[str, Verdict | None] = {}
        for row in rows:
            verdict = await self._verdict(kept, row, now)
            verdicts[row.due.key] = verdict
            if self._closes(kept, row, verdict) and verdict is not None and verdict.span:
                self._keep_completion(kept, Completion(verdict.span[1], "readings", row.due.key))
        rows = self._owed(kept, now, path)
        self._write(kept, rows, verdicts, now)

    def _owed(self, kept: _Kept, now: int, path: MeterPath | None) -> list[Owed]:
        return owed(kept.plan.duty.every, kept.frame, now, kept.completions, path)

    @staticmethod
    def _closes(kept: _Kept, row: Owed, verdict: Verdict | None) -> bool:
        return (
            kept.plan.duty.closes == "by_readings"
            and row.done is None
            and verdict is not None
            and verdict.kind is VerdictKind.CONFIRMED
        )

    # --- readings --------------------------------------------------------------------------

    async def _meter(self, kept: _Kept, now: int) -> MeterPath | None:
        every = kept.plan.duty.every
        if not isinstance(every, Meter):
            return None
        point = kept.plant.points.get(f"{kept.plan.asset}/{every.point}")
        if point is None:
            return MeterPath(())
        start = midnight(kept.frame.start, kept.frame.zone)
        buckets = await self._offload(
            lambda: self._store.buckets(kept.plan.site, point.id, start, now, HOUR_MS)
        )
        readings = [
            MeterReading(min(at + HOUR_MS, now), last)
            for at, last in zip(buckets.time.tolist(), buckets.last.tolist(), strict=True)
            if last == last
        ]
        return running_meter(readings, rolls_over_at=point.rolls_over_at, hours=point.unit == "h")

    async def _verdict(self, kept: _Kept, row: Owed, now: int) -> Verdict | None:
        evidence, due = kept.plan.duty.evidence, row.due
        if evidence is None or due.early_at is None or now < due.early_at:
            return None
        before = kept.rows.get(_id(kept.plan, due), {})
        if before.get("verdict") == VerdictKind.CONFIRMED or _settled(before, row):
            return None
        if not _may_judge(kept, row, now):
            return None
        kept.judged[due.key] = now
        end = min(now, due.late_at or now)
        traces = [await self._trace(kept, path, due.early_at, end) for path in _paths(evidence)]
        return judge(
            evidence, traces, (due.early_at, end), claimed=row.done is not None,
            over=due.late_at is not None and now >= due.late_at,
            bad_share_max=kept.plan.duty.bad_share_max,
        )  # fmt: skip

    async def _trace(self, kept: _Kept, path: str, start: int, end: int) -> Trace | None:
        point = kept.plant.points.get(f"{kept.plan.asset}/{path}")
        if point is None:
            return None
        silence = round(point.longest_silence_s * 1000)
        raw = await self._offload(
            lambda: self._store.raw(kept.plan.site, point.id, start - silence, end)
        )
        return Trace(raw.time, raw.value, raw.quality, silence)

    # --- rows ------------------------------------------------------------------------------

    def _write(
        self, kept: _Kept, rows: Sequence[Owed], verdicts: Mapping[str, Verdict | None], now: int
    ) -> None:
        events: list[LedgerEvent] = []
        changed: list[LedgerRow] = []
        for row in rows:
            id = _id(kept.plan, row.due)
            before = kept.rows.get(id)
            data = _data(kept, row, verdicts.get(row.due.key), before, now)
            if data["state"] == DueState.FUTURE and before is None:
                continue
            if before == data:
                continue
            events += _events(kept.plan.site, id, before, data, now)
            changed.append(LedgerRow("occurrence", kept.plan.site, id, data["open"], data))
            kept.rows[id] = data
        if events or changed:
            self._decisions.append(events, changed)


def _paths(evidence: Evidence) -> tuple[str, ...]:
    return (evidence.point,) if isinstance(evidence, Ran) else evidence.points


def _may_judge(kept: _Kept, row: Owed, now: int) -> bool:
    """Not again within a minute, and not while a claim's own readings may be on their way."""
    if row.done is not None and now < row.done.at + ON_THE_WAY_MS:
        return False
    last = kept.judged.get(row.due.key)
    return last is None or now - last >= JUDGE_EVERY_MS


def _settled(before: Mapping[str, Any], row: Owed) -> bool:
    """A verdict that neither a claim nor the end of the window can change any more."""
    return bool(before.get("verdict")) and before.get("claimed") == (row.done is not None)


def _id(plan: Plan, due: Due) -> str:
    """Readable and safe in a URL: standard.duty~asset~what it is for."""
    return f"{plan.duty.standard}.{plan.duty.id}~{plan.asset}~{due.key}".replace("/", ".").replace(":", "-")  # fmt: skip


def _data(
    kept: _Kept, row: Owed, verdict: Verdict | None, before: Mapping[str, Any] | None, now: int
) -> dict[str, Any]:
    due, duty = row.due, kept.plan.duty
    state = state_of(due, done=row.done is not None, now=now, zone=kept.frame.zone)
    old = before or {}
    data: dict[str, Any] = {
        "plan": kept.plan.id, "duty": duty.id, "standard": duty.standard, "asset": kept.plan.asset,
        "name": dict(duty.name), "key": due.key, "source": list(duty.source),
        "early": _iso(due.early), "due": _iso(due.due), "late": _iso(due.late),
        "early_at": due.early_at, "due_at": due.due_at, "late_at": due.late_at,
        "state": str(state), "open": state not in (DueState.DONE, DueState.MISSED),
        "statutory": duty.statutory, "evidence": duty.evidence is not None,
        "done_at": row.done.at if row.done else None, "done_by": row.done.by if row.done else None,
        "too_late": row.too_late, "claimed": row.done is not None, "mark": due.mark,
        "wants_order": bool(old.get("wants_order")) or _wants_order(due, state, now),
    }  # fmt: skip
    fresh = _verdict_data(verdict) if verdict else {}
    kept_verdict = {k: old.get(k) for k in ("verdict", "verdict_span", "verdict_seen_s", "verdict_unknown_share")}  # fmt: skip
    return data | (fresh or kept_verdict)


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _verdict_data(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": str(verdict.kind),
        "verdict_span": list(verdict.span) if verdict.span else None,
        "verdict_seen_s": verdict.seen_s,
        "verdict_unknown_share": round(verdict.unknown_share, 4),
    }


def _wants_order(due: Due, state: DueState, now: int) -> bool:
    if state is DueState.LATE:
        return True
    if state is not DueState.DUE or due.by_clock:
        return False
    return due.due_at is not None and now >= due.due_at - ORDER_AHEAD_MS


def _events(
    site: str, id: str, before: Mapping[str, Any] | None, data: Mapping[str, Any], now: int
) -> list[LedgerEvent]:
    """One event per change of state, of verdict, and the wish for an order; each has its natural key."""
    old = before or {}
    changes = [
        (str(data["state"]), old.get("state") != data["state"]),
        (f"verdict_{data['verdict']}", bool(data["verdict"]) and old.get("verdict") != data["verdict"]),
        ("wants_order", data["wants_order"] and not old.get("wants_order")),
    ]  # fmt: skip
    digest = hashlib.sha256(repr(data["done_at"]).encode()).hexdigest()[:6]
    return [
        LedgerEvent(
            "occurrence",
            site,
            id,
            kind,
            _instant(kind, data, now),
            key=f"{site}:{id}:{kind}:{digest}",
            data=dict(data),
        )
        for kind, happened in changes
        if happened
    ]


def _instant(kind: str, data: Mapping[str, Any], now: int) -> int:
    """The instant of the rule where there is one, else now."""
    at = {"due": "early_at", "late": "due_at", "missed": "late_at", "done": "done_at"}.get(kind)
    value = data.get(at) if at else None
    return int(value) if value is not None else now
