"""Work orders as people and readings change them: decide purely, keep events and row at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.desk.clocks import start_of
from api.desk.numbering import month_of
from api.desk.work_orders import (
    UNDONE,
    Event,
    Refusal,
    State,
    WorkOrder,
    apply,
    from_data,
    raised,
    refuse,
    to_data,
)
from api.ports import Conflict, Desk, DeskEvent, DeskRow
from api.problems import Problem
from config.clock import Clock
from config.plant import Plant
from config.rules import PRIORITIES

ORDER, CAUSE, FAULT = "order", "cause", "fault"
"""Streams: orders, what caused them (for ever), the last order of an (asset, fault class)."""
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it, with which roles."""

    name: str
    roles: Sequence[str]


@dataclass(frozen=True, slots=True)
class Kept:
    """An order as it stands, with the version of its row (0: not kept yet)."""

    order: WorkOrder
    version: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What a new order is to say; the number is given when it is kept."""

    site: str
    kind: str
    title: Mapping[str, str]
    asset: str
    priority: str
    cause: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Change:
    """What one transaction is to keep: each order with its new events, other rows, cursors."""

    site: str
    events: list[DeskEvent] = field(default_factory=list)
    rows: list[DeskRow] = field(default_factory=list)
    cursors: dict[str, int] = field(default_factory=dict)

    def add(self, kept: Kept, events: Sequence[Event]) -> Kept:
        """Let these events happen to the order."""
        order = kept.order
        for event in events:
            order = apply(order, event)
        self._keep(order, kept.version + 1, events)
        return Kept(order, kept.version + 1)

    def begin(self, event: Event) -> Kept:
        """Let a new order begin."""
        order = raised(event)
        self._keep(order, 1, [event])
        return Kept(order, 1)

    def _keep(self, order: WorkOrder, version: int, events: Sequence[Event]) -> None:
        self.events += [
            DeskEvent(
                ORDER, self.site, order.number, e.kind, e.at, e.by,
                f"{order.number}:{version}:{i}", e.data,
            )
            for i, e in enumerate(events)
        ]  # fmt: skip
        self.rows.append(
            DeskRow(
                ORDER, self.site, order.number, order.open, to_data(order), version,
                unique=(fault_key(order.asset, order.fault_class),) if order.fault_class else (),
                unique_for_ever=order.cause if order.alarm or order.occurrence else "",
            )
        )  # fmt: skip


def fault_key(asset: str, fault_class: str) -> str:
    """The key that one open order only may hold."""
    return f"{asset}|{fault_class}"


class Ordering:
    """The verbs on orders. Calls block: run them beside the loop. `serial` grows with each change."""

    def __init__(self, plants: Mapping[str, Plant], desk: Desk, clock: Clock) -> None:
        self._plants = plants
        self._desk = desk
        self._clock = clock
        self.serial = clock.now()

    def find(self, site: str, number: str) -> Kept:
        """The order of that number.

        Raises:
            Problem: `not-found`.
        """
        row = self._desk.row(ORDER, site, number)
        if row is None:
            raise Problem("not-found", f"there is no work order {number}")
        return Kept(from_data(row.data), row.version)

    def list(self, site: str, *, open_only: bool = False, limit: int = 100_000) -> list[Kept]:
        """Orders of a site, newest first."""
        rows = self._desk.rows(ORDER, site, open_only=open_only, limit=limit)
        return [Kept(from_data(row.data), row.version) for row in rows]

    def caused(self, site: str, cause: str) -> Kept | None:
        """The order that this cause has, the one it was merged into if it was."""
        row = self._desk.row(CAUSE, site, cause)
        return self.surviving(self.find(site, row.data["order"])) if row else None

    def last_of(self, site: str, asset: str, fault_class: str) -> Kept | None:
        """The last order of that asset and fault class, the one it was merged into if it was."""
        row = self._desk.row(FAULT, site, fault_key(asset, fault_class))
        return self.surviving(self.find(site, row.data["order"])) if row else None

    def holder(self, site: str, asset: str, fault_class: str) -> Kept | None:
        """The open order that holds that asset and fault class; no other may be opened beside it."""
        last = self._desk.row(FAULT, site, fault_key(asset, fault_class))
        pointed = [self.find(site, last.data["order"])] if last else []
        known = (k for k in pointed if _holds(k.order, asset, fault_class))
        others = (k for k in self.list(site, open_only=True) if _holds(k.order, asset, fault_class))
        return next(known, None) or next(others, None)

    def of_fault(self, site: str, cause: str, asset: str, fault_class: str) -> Kept | None:
        """The order that an alarm of that fault concerns: its own one, or the one that is open.

        One that has ended gives way to the open order that holds its fault, so that no two are open;
        a cancelled one stays what it is for its own alarm.
        """
        caused = self.caused(site, cause)
        if caused and (caused.order.open or caused.order.state is State.CANCELLED):
            return caused
        held = self.holder(site, asset, fault_class)
        last = held or caused or self.last_of(site, asset, fault_class)
        if last is None or last.order.open:
            return last
        return self.holder(site, last.order.asset, last.order.fault_class) or last

    def surviving(self, kept: Kept) -> Kept:
        """The order at the end of the chain of merges."""
        while kept.order.merged_into:
            kept = self.find(kept.order.site, kept.order.merged_into)
        return kept

    def history(self, site: str, number: str) -> Sequence[DeskEvent]:
        """Everything that happened to an order."""
        return self._desk.history(ORDER, site, number)

    # --- changes -------------------------------------------------------------------------------

    def keep(self, change: Change) -> None:
        """Keep a change, whole or not at all.

        Raises:
            Conflict: something in it changed meanwhile; nothing is kept.
        """
        kept = self._desk.append(change.events, change.rows, change.cursors)
        if change.events and not kept:
            raise Conflict("it was changed by somebody else at the same time")
        if change.events:
            self.serial += 1

    def begin(self, change: Change, draft: Draft, *, at: int, by: str) -> Kept:
        """Put a new order into a change, with the next number and what it is the last of."""
        zone = self._plants[draft.site].time_zone
        number = self._desk.number(draft.site, month_of(self._clock.now(), zone))
        said = {
            "number": number, "site": draft.site, "kind": draft.kind, "title": dict(draft.title),
            "asset": draft.asset, "priority": draft.priority, "cause": draft.cause, **draft.data,
        }  # fmt: skip
        kept = change.begin(Event("raised", at, by, said))
        if draft.cause:
            change.rows.append(cause_row(draft.site, draft.cause, number))
        if kept.order.fault_class:
            change.rows += self._fault_row(kept.order)
        return kept

    def add(self, change: Change, kept: Kept, events: Sequence[Event]) -> Kept:
        """Let these events happen to an order; one that is opened again is the last of its fault."""
        then = change.add(kept, events)
        if then.order.fault_class and any(e.kind == "reopen" for e in events):
            change.rows += self._fault_row(then.order)
        return then

    def _fault_row(self, order: WorkOrder) -> Sequence[DeskRow]:
        """What makes the order the last of its fault; nothing if it is."""
        key = fault_key(order.asset, order.fault_class)
        old = self._desk.row(FAULT, order.site, key)
        if old and old.data["order"] == order.number:
            return []
        version = old.version + 1 if old else 1
        return [DeskRow(FAULT, order.site, key, True, {"order": order.number}, version)]

    def create(self, draft: Draft, by: str) -> Kept:
        """A person's order; the same cause (idempotency key) gives the same order again."""
        for _ in range(ATTEMPTS):
            known = self.caused(draft.site, draft.cause)
            if known is not None:
                return known
            change = Change(draft.site)
            kept = self.begin(change, draft, at=self._clock.now(), by=by)
            try:
                self.keep(change)
            except Conflict:
                continue
            return kept
        raise Problem("conflict", "too many orders are being made at once")

    def move(self, kept: Kept, name: str, said: Mapping[str, str], actor: Actor) -> Kept:
        """Make one move.

        Raises:
            Problem: `illegal-move` with the legal ones, `role-missing`, `refused` with a reason.
            Conflict: the order changed meanwhile.
        """
        refusal = refuse(kept.order, name, by=actor.name, roles=actor.roles, said=said)
        if refusal is not None:
            raise _problem(kept.order, name, refusal)
        if name == "reopen":
            self._check_alone(kept.order)
        now = max(self._clock.now(), kept.order.updated_at)
        change = Change(kept.order.site)
        event = Event(name, now, actor.name, {k: v for k, v in said.items() if v})
        moved = self.add(change, kept, [*_priority(kept.order, said, now, actor.name), event])
        if name == "merge":
            self._merge(change, kept.order, said["into"], Event(name, now, actor.name, {}))
        self.keep(change)
        return moved

    def _check_alone(self, order: WorkOrder) -> None:
        """Refuse to open an order beside the open one of the same fault."""
        held = self.holder(order.site, order.asset, order.fault_class)
        if order.fault_class and held and held.order.number != order.number:
            other = held.order.number
            raise Problem(
                "refused", f"{other} is open for this fault", reason="fault_is_open", order=other
            )

    def _merge(self, change: Change, order: WorkOrder, into: str, event: Event) -> None:
        other = self.find(order.site, into)
        if other.order.number == order.number or other.order.state not in UNDONE:
            raise Problem("refused", f"{into} cannot take it up", reason="not_mergeable")
        if order.wants_proof and other.order.kind != "fault":
            raise Problem("refused", f"{into} is no fault", reason="fault_into_other_kind")
        data = {"from": order.number, "started_at": str(start_of(order.marks))}
        joined = [{"alarm": a} for a in order.alarms] + [{"rule": r} for r in order.rules]
        said = [Event("joined", event.at, event.by, {**j, "from": order.number}) for j in joined]
        if PRIORITIES.index(order.priority) < PRIORITIES.index(other.order.priority):
            said.append(Event("priority", event.at, event.by, {"priority": order.priority}))
        change.add(other, [Event("merged_in", event.at, event.by, data), *said])

    def comment(self, kept: Kept, text: str, by: str) -> Kept:
        """Write something on the order."""
        change = Change(kept.order.site)
        now = max(self._clock.now(), kept.order.updated_at)
        commented = change.add(kept, [Event("comment", now, by, {"text": text})])
        self.keep(change)
        return commented


def cause_row(site: str, cause: str, number: str) -> DeskRow:
    """The row that ties a cause to its order for ever: it exists once."""
    return DeskRow(CAUSE, site, cause, True, {"order": number}, 1)


def _holds(order: WorkOrder, asset: str, fault_class: str) -> bool:
    return order.open and (order.asset, order.fault_class) == (asset, fault_class)


def _priority(order: WorkOrder, said: Mapping[str, str], now: int, by: str) -> list[Event]:
    wanted = said.get("priority", "")
    if not wanted or wanted == order.priority:
        return []
    return [Event("priority", now, by, {"priority": wanted})]


def _problem(order: WorkOrder, name: str, refusal: Refusal) -> Problem:
    legal = list(refusal.legal)
    if refusal.reason == "role_missing":
        return Problem("role-missing", f"{name} is not yours to make", reason="role_missing")
    if refusal.reason == "priority_not_yours":
        detail = "planners change a priority, and operators when they triage"
        return Problem("role-missing", detail, reason=refusal.reason)
    if refusal.reason in ("illegal_move", "unknown_move"):
        detail = (
            f"{name} is not possible from {order.state}; possible: {', '.join(legal) or 'none'}"
        )
        return Problem("illegal-move", detail, legal=legal, reason=refusal.reason)
    return Problem("refused", f"{name}: {refusal.reason}", reason=refusal.reason, legal=legal)
