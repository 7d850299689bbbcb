"""Work orders as HTTP shows them: clocks computed now, proof from the readings, moves for the caller."""

from collections.abc import Sequence

from api.desk.clocks import PAUSE_REASONS, ClockView, clocks
from api.desk.work_orders import MOVES, WorkOrder, legal_moves, refuse, roles_of
from api.looking import Look, Proving
from api.ordering import Kept
from api.people import Caller
from api.ports import DeskEvent
from api.shapes import ClockRow, MoveRow, Order, OrderDetail, OrderEvent, ProofRow
from api.times import shown, text_of


def order_view(kept: Kept, seen: Look, proving: Proving) -> Order:
    """One order."""
    order = kept.order
    return {
        "number": order.number,
        "kind": order.kind,
        "title": dict(order.title),
        "asset": order.asset,
        "state": str(order.state),
        "priority": order.priority,
        "cause": order.cause,
        "alarm": order.alarm or None,
        "occurrence": order.occurrence or None,
        "fault_class": order.fault_class,
        "assignee": order.assignee or None,
        "raised_at": text_of(order.raised_at),
        "updated_at": text_of(order.updated_at),
        "version": kept.version,
        "clocks": [_clock(c) for c in clocks(order.marks, seen.now)],
        "proof": _proof(order, seen, proving),
        "paused_reason": order.paused_reason or None,
        "closed_by": order.closed_by or None,
        "merged_into": order.merged_into or None,
        "note": order.note or None,
    }


def _clock(clock: ClockView) -> ClockRow:
    return {
        "kind": clock.kind,
        "unit": clock.unit,
        "limit": clock.limit,
        "target": shown(clock.target),
        "elapsed_s": clock.elapsed_s,
        "remaining_s": clock.remaining_s,
        "state": clock.state,
        "segments": list(clock.segments),
        "started_at": text_of(clock.started_at),
        "stopped_at": shown(clock.stopped_at),
    }


def _proof(order: WorkOrder, seen: Look, proving: Proving) -> ProofRow | None:
    """Open orders that want one; a closed one's proof stands in its events."""
    if not order.wants_proof or not order.open:
        return None
    proof = proving.proof(order, seen)
    return {
        "needed_s": proof.needed_s,
        "healthy_s": proof.healthy_s,
        "since": proof.since,
        "reason": proof.reason,
    }


def order_detail(
    kept: Kept, seen: Look, proving: Proving, events: Sequence[DeskEvent], caller: Caller
) -> OrderDetail:
    """One order with the moves that its state allows and its events."""
    return {
        **order_view(kept, seen, proving),
        "moves": [_move(kept.order, name, caller) for name in legal_moves(kept.order)],
        "events": [_event(e) for e in events],
    }


def _move(order: WorkOrder, name: str, caller: Caller) -> MoveRow:
    row = MOVES[name]
    said = dict.fromkeys(row.needs, "said")
    refusal = refuse(order, name, by=caller.name, roles=caller.roles, said=said)
    told: MoveRow = {
        "move": name,
        "to": str(row.target),
        "roles": list(roles_of(order, row)),
        "needs": list(row.needs),
        "allowed": refusal is None,
        "why_not": refusal.reason if refusal else None,
    }
    return {**told, "reasons": list(PAUSE_REASONS)} if name == "pause" else told


def _event(event: DeskEvent) -> OrderEvent:
    return {
        "at": text_of(event.at),
        "by": event.by,
        "kind": event.kind,
        "data": dict(event.data),
    }
