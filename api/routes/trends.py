"""What trends say of an asset's points, and saying that the asset was serviced."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.problems import Problem
from api.routes.access import ID, TEXT, Anyone, Doer, Given, Site, json
from api.routes.asking import wish
from api.routes.session import STRICT
from api.shapes import Asked, TrendList
from api.times import parse
from api.trend_views import trend_list

router = APIRouter(prefix="/sites/{site}")
AssetPath = Annotated[str, Path(max_length=200, pattern=ID)]


class Serviced(BaseModel):
    """When it was serviced (RFC 3339; now unless told)."""

    model_config = STRICT
    at: Annotated[str, Field(max_length=40)] = ""
    request_id: Annotated[str, Field(max_length=100, pattern=TEXT)] = ""


@router.get("/trends", response_model=TrendList)
async def trends(
    plant: Site,
    services: Given,
    _caller: Anyone,
    asset: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Watched points of the site, or of one asset and its parts: baseline, change, slope, time to limit."""
    rows = await services.offload(lambda: services.decisions.rows("trend", plant.site))
    by_point = {row.id: row for row in rows}
    return json(trend_list(plant, by_point, asset, services.clock.now()))


@router.post("/trends/{asset:path}/serviced", response_model=Asked, status_code=202)
async def serviced(
    plant: Site, caller: Doer, services: Given, asset: AssetPath, body: Serviced | None = None
) -> Response:
    """Say that the asset is another one now: baselines and slopes of its points begin anew. Waits up to 2 s."""
    said = body or Serviced()
    if asset not in plant.assets:
        raise Problem("not-found", "there is no such asset")
    data: dict[str, Any] = {}
    if said.at:
        try:
            data["at"] = parse(said.at)
        except ValueError as error:
            raise Problem("invalid", str(error)) from error
    what = (plant.site, "serviced", asset)
    return json(await wish(services, what, caller.name, said.request_id, data), 202)
