"""The desk follows the ledger: alarms become fault orders, occurrences inspections, readings close them."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from api.aside import Aside, Waiting
from api.desk.clocks import DEFAULT_POLICY, HOUR, Policy
from api.desk.work_orders import (
    ENDED,
    INSPECTIONS,
    PROVED,
    READINGS,
    UNDONE,
    Event,
    State,
    WorkOrder,
)
from api.looking import Look, Proving, look
from api.ordering import ATTEMPTS, Change, Draft, Kept, Ordering, cause_row
from api.ports import Conflict, Desk
from collector.ports import Ask, Asks, Decisions, LedgerEvent, LiveView, Unavailable
from config.clock import Clock
from config.plant import Plant
from config.rules import PRIORITIES, Rule

T = TypeVar("T")
Offload = Callable[[Callable[[], T]], Awaitable[T]]
CURSOR = "following"
PAGE = 500
PERIOD_S = 1.0
COLON = {"zh": "："}
"""Between an asset and what is wrong with it, where a language writes it otherwise than `: `."""

log = logging.getLogger(__name__)


class Following:
    """Reads the ledger by cursor and decides what it means for orders.

    Every step keeps order and cursor in one transaction, so that it may be killed and repeated at any
    point. `ordering` and `proving` are shared with the routes where both run in one process.
    """

    def __init__(  # noqa: PLR0913  # wiring: the five ports it stands between, and what it shares
        self,
        plants: Mapping[str, Plant],
        decisions: Decisions,
        live: LiveView,
        desk: Desk,
        clock: Clock,
        *,
        asks: Asks | None = None,
        ordering: Ordering | None = None,
        proving: Proving | None = None,
        policy: Policy = DEFAULT_POLICY,
    ) -> None:
        self._plants = plants
        self._decisions = decisions
        self._live = live
        self._desk = desk
        self._clock = clock
        self._asks = asks
        self._orders = ordering or Ordering(plants, desk, clock)
        self._proving = proving or Proving(plants)
        self._aside = Aside(desk, decisions)
        self._lost: dict[str, int] = {}
        self._window_ms = policy.repeat_window_h * HOUR

    def tick(self, now: int) -> None:
        """Follow what is new, then close what the readings prove. May be repeated.

        Raises:
            Unavailable: the ledger cannot be reached; nothing of the step is kept.
        """
        self._step(self._look(now))

    async def run(
        self, offload: Callable[[Callable[[], None]], Awaitable[None]] | None = None
    ) -> None:
        """Tick for ever, once a second of the clock; waits while the ledger cannot be reached.

        `offload` runs the blocking part beside the loop; without it, it runs in place.
        """
        away = False
        while True:
            seen = self._look(self._clock.now())
            try:
                if offload is None:
                    self._step(seen)
                else:
                    await offload(lambda seen=seen: self._step(seen))  # type: ignore[misc]  # mypy cannot infer a lambda's default
                if away:
                    log.info("ledger is back, following goes on")
                away = False
            except Unavailable as error:
                if not away:
                    log.warning("ledger is away, following waits: %s", error)
                away = True
            await self._clock.sleep_until(self._clock.monotonic() + PERIOD_S)

    def _look(self, now: int) -> dict[str, Look]:
        return {site: look(self._live, site, now) for site in self._plants}

    def _step(self, seen: Mapping[str, Look]) -> None:
        for kept in self._aside.waiting():
            self._patiently(f"event {kept.seq}", lambda kept=kept: self._once_more(kept))  # type: ignore[misc]  # mypy cannot infer a lambda's default
        self._patiently("the cursor", self._follow)
        for site, view in seen.items():
            self._watch(site, view)

    def _patiently(self, name: str, call: Callable[[], None]) -> None:
        """Do it; somebody who was quicker only puts it off, and is reported once if that repeats."""
        try:
            call()
            self._lost.pop(name, None)
        except Conflict as error:
            lost = self._lost[name] = self._lost.get(name, 0) + 1
            level = logging.ERROR if lost == ATTEMPTS else logging.INFO
            log.log(level, "somebody was quicker with %s, next time (%d): %s", name, lost, error)

    # --- what is new ---------------------------------------------------------------------------

    def _follow(self) -> None:
        position = self._desk.cursor(CURSOR)
        while events := self._decisions.since(position, PAGE):
            for event in events:
                self._take_or_leave(event)
            position = events[-1].seq
            self._desk.append([], [], {CURSOR: position})

    def _take_or_leave(self, event: LedgerEvent) -> None:
        """Take an event; one that conflicts each time anew waits aside, and others go on."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._take(event, Change(event.site, cursors={CURSOR: event.seq}))
                return
            except Conflict as error:
                log.info("somebody was quicker with event %d: %s", event.seq, error)
                if attempt == ATTEMPTS:
                    self._aside.put(event, str(error), {CURSOR: event.seq})

    def _once_more(self, kept: Waiting) -> None:
        change = Change(kept.event.site, rows=[kept.done])
        self._take(kept.event, change)
        if not change.events:
            self._desk.append([], change.rows)
        log.info("event %d is taken after all", kept.seq)

    def _take(self, event: LedgerEvent, change: Change) -> None:
        if event.site not in self._plants:
            return
        if event.stream == "alarm" and event.kind == "annunciated":
            self._alarm(event, change)
        elif event.stream == "occurrence":
            self._occurrence(event, change)
        if change.events:
            self._orders.keep(change)

    def _alarm(self, event: LedgerEvent, change: Change) -> None:
        rule = self._rule_of(event)
        if rule is None or rule.work_order.raise_when != "at_once":
            return
        priority = str(event.data.get("priority") or rule.priority)
        cause = f"alarm:{event.subject}"
        fault_class = rule.work_order.fault_class
        caused = self._orders.caused(event.site, cause)
        last = self._orders.of_fault(event.site, cause, rule.asset, fault_class)
        if last is None or not (caused or self._goes_on(last.order, event.at)):
            draft = self._fault(event, rule, priority)
            self._orders.begin(change, draft, at=event.at, by=READINGS)
            return
        if caused is None:
            change.rows.append(cause_row(event.site, cause, last.order.number))
        news = _joining(last, event, rule, priority)
        if news:
            self._orders.add(change, last, news)

    def _rule_of(self, event: LedgerEvent) -> Rule | None:
        row = self._decisions.row("alarm", event.site, event.subject)
        name = event.data.get("rule") or (row.data.get("rule") if row else None)
        return self._plants[event.site].rules.get(str(name))

    def _goes_on(self, order: WorkOrder, at: int) -> bool:
        """Whether a new alarm of the same fault belongs to this order (rules-time 26, 27)."""
        if order.state in (State.CANCELLED, State.MERGED):
            return False
        return order.open or at - order.completed_at <= self._window_ms

    def _fault(self, event: LedgerEvent, rule: Rule, priority: str) -> Draft:
        plant = self._plants[event.site]
        return Draft(
            event.site, "fault", _title(plant, rule.asset, rule.name), rule.asset, priority,
            f"alarm:{event.subject}",
            {"alarm": event.subject, "rule": rule.id, "fault_class": rule.work_order.fault_class},
        )  # fmt: skip

    # --- inspections ---------------------------------------------------------------------------

    def _occurrence(self, event: LedgerEvent, change: Change) -> None:
        cause = f"occurrence:{event.subject}"
        kept = self._orders.caused(event.site, cause)
        row = self._decisions.row("occurrence", event.site, event.subject)
        if row is None:
            return
        if kept is None:
            plan = self._plants[event.site].plans.get(str(row.data.get("plan")))
            if event.kind == "wants_order" and plan is not None and row.open:
                draft = Draft(
                    event.site, "inspection",
                    _title(self._plants[event.site], plan.asset, plan.duty.name), plan.asset,
                    "high" if plan.duty.statutory else "medium", cause,
                    {"occurrence": event.subject},
                )  # fmt: skip
                self._orders.begin(change, draft, at=event.at, by=READINGS)
            return
        news = _evidence(kept.order, event, row.data)
        if news:
            change.add(kept, news)

    # --- what the readings prove ---------------------------------------------------------------

    def _watch(self, site: str, seen: Look) -> None:
        completed = [
            k for k in self._orders.list(site, open_only=True) if k.order.state is State.COMPLETED
        ]
        faults = [k for k in completed if k.order.wants_proof]
        self._proving.observe([k.order for k in faults], site, seen)
        for kept in faults:
            name = f"order {kept.order.number} of {site}"
            self._patiently(name, lambda kept=kept: self._close_if_proved(kept, seen))  # type: ignore[misc]  # mypy cannot infer a lambda's default
        for kept in completed:
            if kept.order.kind in INSPECTIONS and kept.order.occurrence:
                self._ask_done(kept.order, seen.now)

    def _close_if_proved(self, kept: Kept, seen: Look) -> None:
        proof = self._proving.proof(kept.order, seen)
        if not proof.complete:
            return
        at = max(seen.now, kept.order.updated_at)
        data = {"healthy_s": proof.healthy_s, "needed_s": proof.needed_s, "since": proof.since}
        change = Change(kept.order.site)
        change.add(kept, _closing(at, data))
        self._orders.keep(change)

    def _ask_done(self, order: WorkOrder, now: int) -> None:
        """A completed inspection says to the planner that its occurrence is done, once."""
        row = self._decisions.row("occurrence", order.site, order.occurrence)
        if self._asks is None or row is None or row.data.get("done_at"):
            return
        ask_id = f"order:{order.site}:{order.number}:{order.completed_at}"
        if self._asks.outcome(ask_id) is None:
            by = order.assignee or READINGS
            data = {"done_at": order.completed_at, "order": order.number}
            self._asks.ask(Ask(ask_id, order.site, "done", order.occurrence, by, now, data))


def _joining(last: Kept, event: LedgerEvent, rule: Rule, priority: str) -> list[Event]:
    """What an alarm does to the order of its fault: joins, raises its priority, reopens it."""
    order, said = last.order, {"alarm": event.subject, "rule": rule.id}
    news = []
    if event.subject not in order.alarms:
        news.append(Event("joined", event.at, READINGS, said))
    if PRIORITIES.index(priority) < PRIORITIES.index(order.priority):
        news.append(Event("priority", event.at, READINGS, {"priority": priority}))
    if order.state in PROVED and event.at > order.completed_at:
        reason = {"reason": "alarm_returned", **said}
        news.append(Event("reopen", event.at, READINGS, reason))
    return news


def _closing(at: int, data: Mapping[str, Any]) -> list[Event]:
    return [Event("verify", at, READINGS, data), Event("close", at, READINGS, {})]


def _evidence(order: WorkOrder, event: LedgerEvent, row: Mapping[str, Any]) -> list[Event]:
    """What an occurrence's completion and verdict do to its order, or to the one that took it up.

    A verdict alone completes nothing: where readings may, the planner has completed the occurrence.
    Nor does it close another's order, or one whose alarms must be proved gone.
    """
    if order.state in ENDED or not row.get("done_at"):
        return []
    at = max(event.at, order.updated_at)
    said = {"verdict": row.get("verdict"), "span": row.get("verdict_span")}
    own, confirmed = order.occurrence == event.subject, row.get("verdict") == "confirmed"
    news = []
    if own and order.state in UNDONE:
        news.append(Event("complete", at, str(row.get("done_by") or READINGS), {}))
    if own and confirmed and not order.wants_proof:
        return [*news, *_closing(at, said)[order.state is State.VERIFIED :]]
    if confirmed or event.kind == "verdict_contradicted":
        news.append(Event("evidence", at, READINGS, {**said, "occurrence": event.subject}))
    return news


def _title(plant: Plant, asset: str, name: Mapping[str, str]) -> dict[str, str]:
    """The asset's name and what is wrong or due with it, in every language that both have."""
    known = plant.assets.get(asset)
    languages = [tag for tag in name if known is None or tag in known.name]
    return {tag: f"{known.name[tag]}{COLON.get(tag, ': ')}{name[tag]}" if known else name[tag] for tag in languages}  # fmt: skip
