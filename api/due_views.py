"""Plans and what they owe, as HTTP shows them."""

from collections.abc import Mapping, Sequence

from api.alarm_views import event_row
from api.shapes import DueList, Occurrence, OccurrenceDetail, PlanRow
from api.times import local_date, shown
from api.wording import every_text
from collector.ports import LedgerEvent, LedgerRow
from config.plant import Plant
from config.standards import Plan


def plan_row(plan: Plan) -> PlanRow:
    """One plan."""
    return {
        "id": plan.id,
        "duty": plan.duty.id,
        "standard": plan.duty.standard,
        "name": dict(plan.duty.name),
        "asset": plan.asset,
        "every_text": every_text(plan.duty.every),
        "statutory": plan.duty.statutory,
        "source": list(plan.duty.source),
        "evidence": plan.duty.evidence is not None,
    }


def occurrence_view(plant: Plant, row: LedgerRow, orders: Mapping[str, str]) -> Occurrence:
    """One occurrence; `orders` is occurrence id to number."""
    data = row.data
    plan = plant.plans.get(str(data.get("plan")))
    span = data.get("verdict_span")
    return {
        "id": row.id,
        "plan": str(data.get("plan", "")),
        "duty": plan.duty.id if plan else "",
        "asset": plan.asset if plan else str(data.get("asset", "")),
        "name": dict(plan.duty.name) if plan else {"en": str(data.get("plan", ""))},
        "key": str(data.get("key", "")),
        "early": data.get("early") or None,
        "due": data.get("due") or None,
        "late": data.get("late") or None,
        "state": str(data.get("state", "")),
        "verdict": data.get("verdict") or None,
        "verdict_span": (int(span[0]), int(span[1])) if span else None,
        "verdict_text": data.get("verdict_text") or None,
        "done_at": shown(data.get("done_at")),
        "done_by": data.get("done_by") or None,
        "order": orders.get(row.id),
        "source": list(plan.duty.source) if plan else [],
        "every_text": every_text(plan.duty.every) if plan else {},
    }


def due_list(
    plant: Plant, rows: Sequence[LedgerRow], orders: Mapping[str, str], now: int
) -> DueList:
    """Occurrences by due date."""
    items = [occurrence_view(plant, row, orders) for row in rows]
    items.sort(key=lambda o: (o["due"] or "9999", o["id"]))
    return {"today": local_date(now, plant.time_zone), "items": items}


def wanted(row: LedgerRow, state: str, first: str, last: str) -> bool:
    """Whether an occurrence belongs into the list asked for; dates are inclusive, empty: any."""
    due = str(row.data.get("due") or "")
    if (first and due < first) or (last and due > last):
        return False
    if state == "open":
        return row.open
    return state == "all" or row.data.get("state") == state


def occurrence_detail(
    plant: Plant, row: LedgerRow, orders: Mapping[str, str], events: Sequence[LedgerEvent]
) -> OccurrenceDetail:
    """One occurrence with its events."""
    return {
        **occurrence_view(plant, row, orders),
        "events": [event_row(e) for e in events],
    }
