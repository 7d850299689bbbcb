"""Whether the system works: health, figures for Prometheus, agents and what is asked of them, quarantine, delivery."""

import logging
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.problems import Problem
from api.routes.access import ID, Anyone, Given, MaybeCaller, Mover, Planner, Site, Whole, json
from api.services import Figure, Services
from api.shapes import AgentReply
from collector.ports import Unavailable
from config.plant import Plant

router = APIRouter()
site_router = APIRouter(prefix="/sites/{site}")
open_router = APIRouter()
AgentId = Annotated[str, Path(max_length=100, pattern=ID)]
Position = Annotated[int, Query(ge=0, lt=2**63)]
log = logging.getLogger(__name__)


class _Figures(Collector):
    """The figures as Prometheus wants them."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures = list(figures)

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for figure in self._figures:
            kind = CounterMetricFamily if figure.counter else GaugeMetricFamily
            name = figure.name
            family = families.setdefault(
                name, kind(name, figure.help, labels=sorted(figure.labels))
            )
            family.add_metric([figure.labels[k] for k in sorted(figure.labels)], figure.value)  # type: ignore[attr-defined]  # both families have it
        yield from families.values()


@open_router.get("/health/live", response_model=dict[str, bool])
async def health_live() -> Response:
    """Whether this process answers."""
    return json({"ok": True})


@open_router.get("/health/ready", response_model=dict[str, Any])
async def health_ready(caller: MaybeCaller, services: Given) -> Response:
    """Whether everything needed works; which part for those who are signed in, why for scope `*`."""
    health = await services.offload(services.dependencies)
    ok = all(h.ok for h in health.values() if h.needed)
    body: dict[str, Any] = {"ok": ok}
    if caller is not None:
        whole = "*" in caller.sites
        body["dependencies"] = {
            n: {"ok": h.ok, "detail": h.detail if whole else ""} for n, h in health.items()
        }
    return json(body, 200 if ok else 503)


@router.get("/metrics", response_class=Response)
async def metrics(_caller: Whole, services: Given) -> Response:
    """Figures of all sites in Prometheus' text format; the caller's scope is `*`."""
    registry = CollectorRegistry()
    registry.register(_Figures(await services.offload(services.figures)))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


@site_router.get("/agents", response_model=list[dict[str, Any]])
async def agents(plant: Site, services: Given) -> Response:
    """The site's agents and their links."""
    return json(list(await services.offload(lambda: services.agents(plant.site))))


@site_router.post("/agents/{agent}/reload", response_model=AgentReply)
async def reload(plant: Site, caller: Planner, services: Given, agent: AgentId) -> Response:
    """Have an agent read its files anew; waits up to 20 s for what came of it."""
    return await _asked(plant, caller.name, services, agent, "reload")


@site_router.post("/agents/{agent}/diagnose", response_model=AgentReply)
async def diagnose(plant: Site, caller: Mover, services: Given, agent: AgentId) -> Response:
    """Ask an agent how it stands with its outbox and its lines; waits up to 20 s."""
    return await _asked(plant, caller.name, services, agent, "diagnose")


async def _asked(
    plant: Plant, by: str, services: Services, agent: str, what: Literal["reload", "diagnose"]
) -> Response:
    if agent not in plant.agents:
        raise Problem("not-found", f"there is no such agent; there are {', '.join(plant.agents)}")
    log.warning("%s asks agent %s of %s to %s", by, agent, plant.site, what)
    try:
        reply = await services.ask_agent(plant.site, agent, what)
    except Unavailable as error:
        raise Problem("agent-away", str(error)) from error
    log.warning("agent %s of %s, asked to %s: %s", agent, plant.site, what, reply.outcome)
    return json({"agent": agent, "outcome": reply.outcome, "detail": reply.detail})


@site_router.post("/derive", response_model=dict[str, int])
async def derive(plant: Site, caller: Planner, services: Given, since: date) -> Response:
    """Make derived points of every closed day from `since` on anew from the readings; `changed` are those that differ."""
    log.warning("%s has derived points of %s made anew from %s on", caller.name, plant.site, since)
    try:
        return json({"changed": await services.derive_again(plant.site, since)})
    except Unavailable as error:
        raise Problem("unavailable", str(error)) from error


@site_router.get("/quarantine", response_model=dict[str, Any])
async def quarantine(plant: Site, services: Given) -> Response:
    """What was set aside, and why."""
    return json(await services.offload(lambda: services.quarantine(plant.site)))


@router.get("/delivery", response_model=dict[str, Any])
async def delivery(_caller: Whole, services: Given) -> Response:
    """What was made, sent, journalled and stored at all sites; the caller's scope is `*`."""
    return json(await services.reading(services.delivery))


@router.get("/delivery/since", response_model=dict[str, Any])
async def delivery_since(_caller: Whole, services: Given, position: Position) -> Response:
    """Batches journalled behind a position, one by one, so that outboxes asked meanwhile can be compared exactly."""
    return json(await services.offload(lambda: services.delivery_since(position)))


@router.get("/openapi.json", include_in_schema=False)
async def openapi(_caller: Anyone, request: Request) -> Response:
    """This API's contract."""
    return json(request.app.openapi())
