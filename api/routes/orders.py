"""Work orders: lists, detail with moves and clocks, and every change of theirs."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.order_views import order_detail, order_view
from api.ordering import Actor, Draft, Kept
from api.people import Caller
from api.ports import Conflict
from api.problems import Problem
from api.routes.access import ID, TEXT, Anyone, Given, Mover, Site, Writer, json
from api.routes.alarms import Limit, page
from api.routes.session import STRICT
from api.services import Services
from api.shapes import Order, OrderDetail, OrderPage
from api.times import text_of
from config.plant import Plant

router = APIRouter(prefix="/sites/{site}")
Number = Annotated[str, Path(pattern=r"^\d{6}-\d{4,9}$")]
Said = Annotated[str, Field(max_length=1000, pattern=TEXT)]
Id = Annotated[str, Field(max_length=100, pattern=TEXT)]
Priority = Literal["critical", "high", "medium", "low"]
IfMatch = Annotated[str, Header(max_length=40)]


Words = Annotated[str, Field(min_length=1, max_length=300, pattern=TEXT)]


class Title(BaseModel):
    """A title per language."""

    model_config = STRICT
    en: Words
    zh: Words | None = None


class NewOrder(BaseModel):
    """A person's order; the title is one text or one per language."""

    model_config = STRICT
    kind: Literal["fault", "inspection", "maintenance", "request", "complaint", "improvement"]
    title: Words | Title
    asset: Annotated[str, Field(max_length=200, pattern=ID)]
    priority: Priority = "medium"
    note: Said = ""


class MoveBody(BaseModel):
    """A move and what must be said with it."""

    model_config = STRICT
    move: Annotated[str, Field(max_length=40, pattern=TEXT)]
    reason: Said | None = None
    assignee: Annotated[str, Field(max_length=64, pattern=TEXT)] | None = None
    into: Annotated[str, Field(pattern=r"^\d{6}-\d{4,9}$")] | None = None
    priority: Priority | None = None


class Comment(BaseModel):
    """Something written on an order."""

    model_config = STRICT
    text: Annotated[str, Field(min_length=1, max_length=4000, pattern=TEXT)]


def _tag(kept: Kept) -> dict[str, str]:
    return {"etag": f'"{kept.version}"'}


def _view(services: Services, kept: Kept) -> Order:
    return order_view(kept, services.look(kept.order.site), services.proving)


@router.get("/orders", response_model=OrderPage)
async def orders(
    plant: Site,
    services: Given,
    state: Literal["open", "closed", "all"] = "open",
    limit: Limit = 200,
    cursor: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Orders, newest first."""
    kept = await services.offload(
        lambda: services.ordering.list(plant.site, open_only=state == "open")
    )
    kept = [k for k in kept if state == "all" or k.order.open == (state == "open")]
    shown, after = page(kept, [k.order.number for k in kept], cursor, limit)
    seen = services.look(plant.site)
    items = [order_view(k, seen, services.proving) for k in shown]
    return json({"now": text_of(seen.now), "items": items, "next": after})


@router.get("/orders/{number}", response_model=OrderDetail)
async def order(plant: Site, caller: Anyone, services: Given, number: Number) -> Response:
    """One order with clocks, proof, moves and events; its ETag is the version."""
    kept = await services.offload(lambda: services.ordering.find(plant.site, number))
    events = await services.offload(lambda: services.ordering.history(plant.site, number))
    seen = services.look(plant.site)
    return json(order_detail(kept, seen, services.proving, events, caller), headers=_tag(kept))


@router.post("/orders", response_model=Order, status_code=201)
async def create(
    plant: Site,
    caller: Writer,
    services: Given,
    body: NewOrder,
    idempotency_key: Annotated[str, Header(max_length=100, pattern=TEXT)] = "",
) -> Response:
    """Make an order; the same `Idempotency-Key` of the same person gives the same order again."""
    draft = _draft(plant, caller, body, idempotency_key)
    kept = await services.offload(lambda: services.ordering.create(draft, caller.name))
    place = f"/api/v1/sites/{plant.site}/orders/{kept.order.number}"
    return json(_view(services, kept), 201, {**_tag(kept), "location": place})


def _draft(plant: Plant, caller: Caller, body: NewOrder, key: str) -> Draft:
    if body.asset not in plant.assets:
        raise Problem("invalid", "there is no such asset")
    title = {"en": body.title} if isinstance(body.title, str) else body.title.model_dump()
    cause = f"request:{caller.name}:{key}" if key else ""
    data = {"note": body.note}
    named = {tag: text for tag, text in title.items() if text}
    return Draft(plant.site, body.kind, named, body.asset, body.priority, cause, data)


@router.post("/orders/{number}/moves", response_model=Order)
async def move(
    plant: Site,
    caller: Mover,
    services: Given,
    number: Number,
    body: MoveBody,
    if_match: IfMatch = "",
) -> Response:
    """Make a move; an illegal one is refused with the legal ones, a stale one with 412."""
    said = {k: v for k, v in body.model_dump(exclude={"move"}).items() if v}
    actor = Actor(caller.name, caller.roles)
    await _check_assignee(services, plant.site, caller, body.assignee or "")
    kept = await services.offload(lambda: services.ordering.find(plant.site, number))
    _check_match(kept, if_match)
    try:
        moved = await services.offload(lambda: services.ordering.move(kept, body.move, said, actor))
    except Conflict as error:
        raise Problem("stale" if if_match else "conflict") from error
    return json(_view(services, moved), headers=_tag(moved))


async def _check_assignee(services: Services, site: str, caller: Caller, name: str) -> None:
    """Refuse to give work to nobody: only to people of the site, or to oneself."""
    if name in ("", caller.name):
        return
    if not await services.offload(lambda: services.people.works_at(name, site)):
        detail = f"there is nobody {name} at this site"
        raise Problem("invalid", detail, reason="assignee_unknown")


def _check_match(kept: Kept, if_match: str) -> None:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")]
    if if_match and "*" not in tags and str(kept.version) not in tags:
        raise Problem("stale", f"the order is at version {kept.version}", version=kept.version)


@router.post("/orders/{number}/comments", response_model=Order, status_code=201)
async def comment(
    plant: Site, caller: Mover, services: Given, number: Number, body: Comment
) -> Response:
    """Write something on an order."""
    kept = await services.offload(lambda: services.ordering.find(plant.site, number))
    said = await services.offload(lambda: services.ordering.comment(kept, body.text, caller.name))
    return json(_view(services, said), 201, _tag(said))
