"""Plans, what is due, and saying that it was done."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.due_views import due_list, occurrence_detail, plan_row, wanted
from api.ordering import CAUSE
from api.problems import Problem
from api.routes.access import ID, TEXT, Anyone, Doer, Given, Site, json
from api.routes.asking import wish
from api.routes.session import STRICT
from api.services import Services
from api.shapes import Asked, DueList, OccurrenceDetail, PlanList
from api.times import parse
from collector.ports import LedgerRow

router = APIRouter(prefix="/sites/{site}")
ROWS_MAX = 20_000
OccurrenceId = Annotated[str, Path(max_length=400, pattern=ID)]
Day = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


class Done(BaseModel):
    """When it was done (RFC 3339; now unless told) and what there is to say."""

    model_config = STRICT
    done_at: Annotated[str, Field(max_length=40)] = ""
    note: Annotated[str, Field(max_length=1000, pattern=TEXT)] = ""
    request_id: Annotated[str, Field(max_length=100, pattern=TEXT)] = ""


@router.get("/plans", response_model=PlanList)
async def plans(plant: Site, _caller: Anyone) -> Response:
    """Every duty applied to an asset of the site."""
    return json({"items": [plan_row(p) for p in plant.plans.values()]})


@router.get("/due", response_model=DueList)
async def due(
    plant: Site,
    services: Given,
    state: Literal["open", "late", "missed", "done", "all"] = "open",
    first: Annotated[Day, Query(alias="from")] = "",
    last: Annotated[Day, Query(alias="to")] = "",
) -> Response:
    """Occurrences by due date; `from` and `to` are inclusive dates of the site."""
    rows = await services.offload(
        lambda: services.decisions.rows(
            "occurrence", plant.site, open_only=state == "open", limit=ROWS_MAX
        )
    )
    rows = [r for r in rows if wanted(r, state, first, last)]
    orders = await services.offload(lambda: _orders(services, plant.site, rows))
    return json(due_list(plant, rows, orders, services.clock.now()))


def _orders(services: Services, site: str, rows: list[LedgerRow]) -> dict[str, str]:
    found = {}
    for row in rows:
        cause = services.desk.row(CAUSE, site, f"occurrence:{row.id}")
        if cause is not None:
            found[row.id] = str(cause.data["order"])
    return found


@router.post("/due/{occurrence:path}/done", response_model=Asked, status_code=202)
async def done(
    plant: Site, caller: Doer, services: Given, occurrence: OccurrenceId, body: Done | None = None
) -> Response:
    """Say that it was done; waits up to 2 s for the outcome."""
    said = body or Done()
    data: dict[str, Any] = {"note": said.note} if said.note else {}
    if said.done_at:
        try:
            data["done_at"] = parse(said.done_at)
        except ValueError as error:
            raise Problem("invalid", str(error)) from error
    await _row(services, plant.site, occurrence)
    what = (plant.site, "done", occurrence)
    return json(await wish(services, what, caller.name, said.request_id, data), 202)


@router.get("/due/{occurrence:path}", response_model=OccurrenceDetail)
async def occurrence(plant: Site, services: Given, occurrence: OccurrenceId) -> Response:
    """One occurrence with its events."""
    row = await _row(services, plant.site, occurrence)
    orders = await services.offload(lambda: _orders(services, plant.site, [row]))
    events = await services.offload(
        lambda: services.decisions.history("occurrence", plant.site, occurrence)
    )
    return json(occurrence_detail(plant, row, orders, events))


async def _row(services: Services, site: str, occurrence: str) -> LedgerRow:
    row = await services.offload(lambda: services.decisions.row("occurrence", site, occurrence))
    if row is None:
        raise Problem("not-found", "there is no such occurrence")
    return row
