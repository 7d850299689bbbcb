"""Sites as loaded, their overview, live columns and history."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from api import history as histories
from api.at_once import Said
from api.problems import Problem
from api.routes.access import ID, Anyone, Given, Site, carried_by, json
from api.services import Services
from api.shapes import (
    BucketHistory,
    HistoryKept,
    Live,
    Overview,
    PointRow,
    RawHistory,
    SiteDetail,
    SiteRow,
)
from api.site_views import live_columns, overview, site_detail, site_row, tagged
from api.times import parse
from collector.ports import Unavailable

router = APIRouter()
site_router = APIRouter(prefix="/sites/{site}")
HOUR_MS = 3_600_000
FRAMES_PER_CHECK = 60
Tags = Annotated[list[Annotated[str, Query(max_length=100)]] | None, Query(max_length=20)]
Instant = Annotated[str, Query(max_length=40)]


@router.get("/sites", response_model=list[SiteRow])
async def sites(caller: Anyone, services: Given) -> Response:
    """Sites in the caller's scope."""
    return json([site_row(p) for p in services.plants.values() if caller.may_see(p.site)])


@site_router.get("", response_model=SiteDetail)
async def site_as_loaded(
    plant: Site, if_none_match: Annotated[str, Header(max_length=200)] = ""
) -> Response:
    """The plant as loaded; it has an ETag."""
    tag = f'"{plant.hash or plant.site}"'
    if tag in if_none_match or if_none_match == "*":
        return Response(
            status_code=304, headers={"etag": tag, "cache-control": "private, no-cache"}
        )
    return json(site_detail(plant), headers={"etag": tag, "cache-control": "private, no-cache"})


@site_router.get("/points", response_model=list[PointRow])
async def points(plant: Site, tag: Tags = None) -> Response:
    """Points that have each of these tags: a Brick class such as Water_Level_Sensor, Haystack markers such as water."""
    return json(tagged(plant, tag or ()))


@site_router.get("/overview", response_model=Overview)
async def site_overview(plant: Site, services: Given) -> Response:
    """How the site is now, by system."""
    seen = services.look(plant.site)
    rows = await services.offload(
        lambda: services.decisions.rows("alarm", plant.site, open_only=True)
    )
    return json(overview(plant, seen, rows))


@site_router.get("/live", response_model=Live)
async def live(
    plant: Site, services: Given, asset: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Every point now, one array per column; or those of one asset and its parts."""
    if not asset:
        return Response(services.feeds[plant.site].whole(), media_type="application/json")
    return json(live_columns(services.live.snapshot(plant.site), services.clock.now(), asset))


@site_router.get("/live/stream", response_class=StreamingResponse)
async def live_stream(
    plant: Site,
    services: Given,
    request: Request,
    last_event_id: Annotated[str, Header(max_length=40)] = "",
) -> Response:
    """Server-sent events: snapshot or changes since `Last-Event-ID`, then changes, serials, beats."""
    frames = _while_valid(plant.site, last_event_id, services, request)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(frames, media_type="text/event-stream", headers=headers)


async def _while_valid(
    site: str, last_event_id: str, services: Services, request: Request
) -> AsyncIterator[bytes]:
    """Frames until session or token ends: looked at again every `FRAMES_PER_CHECK` frames."""
    said = Said(request.scope, FRAMES_PER_CHECK)
    frames = services.feeds[site].listen(last_event_id, said.at_once)
    try:
        async for frame in frames:
            yield frame
            if said.through() and await _ended(site, services, request):
                return
    finally:
        await frames.aclose()  # type: ignore[attr-defined]  # an async generator has it


async def _ended(site: str, services: Services, request: Request) -> bool:
    caller = await services.callers.ask(carried_by(request))
    return caller is None or not caller.may_see(site)


@site_router.get("/history", response_model=RawHistory | BucketHistory)
async def history(
    plant: Site,
    services: Given,
    point: Annotated[str, Query(max_length=300, pattern=ID)],
    start: Instant = "",
    end: Instant = "",
    resolution: Annotated[str, Query(max_length=20)] = "auto",
) -> Response:
    """One point's readings, raw or in buckets; the last hour unless told."""
    if point not in plant.points:
        raise Problem("not-found", "there is no such point")
    try:
        last = parse(end) if end else services.clock.now()
        first = parse(start) if start else last - HOUR_MS
    except ValueError as error:
        raise Problem("invalid", str(error)) from error
    found, width = await services.reading(
        lambda: histories.read(services.store, plant.site, point, (first, last), resolution)
    )
    until = await _complete_until(services)
    unit = plant.points[point].unit
    return json(histories.shown(found, point, unit, complete_until=until, resolution=width))


async def _complete_until(services: Services) -> int | None:
    """None while the journal cannot be read: what the store has is told all the same."""
    try:
        return await services.offload(services.complete_until)
    except Unavailable:
        return None


@site_router.get("/history/kept", response_model=HistoryKept)
async def history_kept(_plant: Site, services: Given) -> Response:
    """From when on readings are kept: what retention took is not there any more."""
    return json({"kept_from": max(0, await services.reading(services.store.kept_from))})
