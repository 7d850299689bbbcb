"""Alarms: lists, reasons, and what people want of them."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.alarm_views import OrderOf, alarm_detail, alarm_view, unknown_rules
from api.ordering import CAUSE, ORDER
from api.problems import Problem
from api.routes.access import ID, TEXT, Given, Operator, Site, json
from api.routes.asking import wish
from api.routes.session import STRICT
from api.services import Services
from api.shapes import AlarmDetail, AlarmPage, Asked
from api.site_views import WAITING
from api.times import text_of
from collector.ports import LedgerRow

router = APIRouter(prefix="/sites/{site}")
T = TypeVar("T")
ROWS_MAX = 5000
AlarmId = Annotated[str, Path(max_length=400, pattern=ID)]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str, Query(max_length=400)]
AlarmState = Literal["active", "unacknowledged", "unknown", "all"]


class Note(BaseModel):
    """What a person says with it; `request_id` makes a repeat harmless."""

    model_config = STRICT
    note: Annotated[str, Field(max_length=1000, pattern=TEXT)] = ""
    request_id: Annotated[str, Field(max_length=100, pattern=TEXT)] = ""


def page(
    items: Sequence[T], ids: Sequence[str], cursor: str, limit: int
) -> tuple[list[T], str | None]:
    """The items behind the one whose id is the cursor, and the next cursor.

    Raises:
        Problem: `invalid` when there is no item of that id.
    """
    if cursor and cursor not in ids:
        raise Problem("invalid", "the cursor is not one of this list")
    start = ids.index(cursor) + 1 if cursor else 0
    more = start + limit < len(items)
    return list(items[start : start + limit]), ids[start + limit - 1] if more else None


@router.get("/alarms", response_model=AlarmPage)
async def alarms(
    plant: Site,
    services: Given,
    state: AlarmState = "active",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Alarms, newest first: those that stand or wait for somebody, or all; or rules that are unknown."""
    seen = services.look(plant.site)
    now = text_of(seen.now)
    if state == "unknown":
        unknown = unknown_rules(plant, seen)
        items, after = page(unknown, [u["id"] for u in unknown], cursor, limit)
        return json({"now": now, "items": items, "next": after})
    rows = await services.offload(
        lambda: services.decisions.rows(
            "alarm", plant.site, open_only=state != "all", limit=ROWS_MAX
        )
    )
    rows = [r for r in rows if state != "unacknowledged" or r.data.get("letter") in WAITING]
    shown, after = page(rows, [r.id for r in rows], cursor, limit)
    orders = await services.offload(lambda: orders_of(services, plant.site, shown))
    views = [alarm_view(plant, row, seen, orders) for row in shown]
    return json({"now": now, "items": views, "next": after})


def orders_of(services: Services, site: str, rows: Sequence[LedgerRow]) -> OrderOf:
    """Number and state of the order that each of these alarms has."""
    found: dict[str, tuple[str, str]] = {}
    for row in rows:
        cause = services.desk.row(CAUSE, site, f"alarm:{row.id}")
        order = services.desk.row(ORDER, site, cause.data["order"]) if cause else None
        if order is not None:
            found[row.id] = (order.id, str(order.data["state"]))
    return found


@router.post("/alarms/{alarm:path}/acknowledge", response_model=Asked, status_code=202)
async def acknowledge(
    plant: Site, caller: Operator, services: Given, alarm: AlarmId, body: Note | None = None
) -> Response:
    """Say that somebody knows; waits up to 2 s for the outcome."""
    return await _wish(plant.site, caller.name, services, "acknowledge", alarm, body or Note())


@router.post("/alarms/{alarm:path}/reset", response_model=Asked, status_code=202)
async def reset(
    plant: Site, caller: Operator, services: Given, alarm: AlarmId, body: Note | None = None
) -> Response:
    """Reset a latched alarm; waits up to 2 s for the outcome."""
    return await _wish(plant.site, caller.name, services, "reset", alarm, body or Note())


async def _wish(
    site: str, by: str, services: Services, kind: str, alarm: str, body: Note
) -> Response:
    await _row(services, site, alarm)
    data = {"note": body.note} if body.note else {}
    return json(await wish(services, (site, kind, alarm), by, body.request_id, data), 202)


@router.get("/alarms/{alarm:path}", response_model=AlarmDetail)
async def alarm(plant: Site, services: Given, alarm: AlarmId) -> Response:
    """One alarm: why it is there, why it is not gone, and what happened to it."""
    seen = services.look(plant.site)
    row = await _row(services, plant.site, alarm)
    orders = await services.offload(lambda: orders_of(services, plant.site, [row]))
    events = await services.offload(lambda: services.decisions.history("alarm", plant.site, alarm))
    return json(alarm_detail(plant, row, seen, orders, events))


async def _row(services: Services, site: str, alarm: str) -> LedgerRow:
    row = await services.offload(lambda: services.decisions.row("alarm", site, alarm))
    if row is None:
        raise Problem("not-found", "there is no such alarm")
    return row
