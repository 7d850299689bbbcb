"""What trends say, over HTTP: of which asset, in whose words, and a service that is asked for once."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.services import Services
from collector.domain.slopes import DAY_MS
from collector.ports import LedgerRow
from config.plant import Plant, Point
from config.profile import TrendSpec
from tests.unit.api.plants import PRESSURE, PUMP, SITE, START
from tests.unit.api.web import BASE, Web

SAID: dict[str, Any] = {
    "state": "", "learnt": 500, "days": 20, "baseline": {"mean": 2.0, "sigma": 0.1},
    "change": {"at": START + DAY_MS, "since": START, "up": True},
    "slope": {"per_day": 0.1, "low": 0.05, "high": 0.2, "at": START, "level": 3.0, "spread": 0.1, "p": 0.001},
    "refusal": None, "reached": {"limit": 7.0, "earliest": START + DAY_MS, "latest": None},
}  # fmt: skip
NOTHING: dict[str, Any] = {
    **dict.fromkeys(SAID), "state": "1", "learnt": 7, "days": 4, "refusal": "too_short",
}  # fmt: skip


def watching(plain: Plant) -> Plant:
    """The pressure is watched, and the pump's own pressure by the pump's flag."""
    spec = plain.points[PRESSURE].spec
    own = replace(spec, trend=TrendSpec("", 86_400.0))
    of_pump = replace(spec, trend=TrendSpec("pump.running", 86_400.0))
    inner = "a-booster/pump-1/pressure"
    points = {
        **plain.points,
        PRESSURE: Point(PRESSURE, "a-booster", "booster", own),
        inner: Point(inner, "a-booster/pump-1", "booster", of_pump),
    }
    return replace(plain, points=points)


@pytest.fixture
def web() -> Web:
    web = Web()
    services: Services = web.services
    services.plants = {**services.plants, SITE: watching(web.site.plant)}
    return web


def say(web: Web, point: str, *states: dict[str, Any]) -> None:
    data = {
        "asset": point.rpartition("/")[0],
        "at": START,
        "suggested": False,
        "states": list(states),
    }
    web.site.decisions.append([], [LedgerRow("trend", SITE, point, False, data)])


async def listed(client: httpx.AsyncClient, asset: str = "") -> list[dict[str, Any]]:
    reply = await client.get(f"{BASE}/trends", params={"asset": asset} if asset else {})
    assert reply.status_code == 200
    items: list[dict[str, Any]] = reply.json()["items"]
    return items


async def test_every_watched_point_is_there_from_the_start(web: Web) -> None:
    async with web.as_role("viewer") as client:
        items = await listed(client)
        assert {one["point"]: (one["at"], one["states"]) for one in items} == {
            PRESSURE: (None, []), "a-booster/pump-1/pressure": (None, []),
        }  # fmt: skip
        assert [one["asset"] for one in await listed(client, "a-booster/pump-1")] == ["a-booster/pump-1"]  # fmt: skip
        assert await listed(client, "a-boost") == []


async def test_what_is_said_has_instants_and_the_states_own_words(web: Web) -> None:
    say(web, PRESSURE, SAID)
    say(web, "a-booster/pump-1/pressure", NOTHING, {**NOTHING, "state": "0"})
    async with web.as_role("viewer") as client:
        whole, part = await listed(client)
    (state,) = whole["states"]
    assert state["state"] is None
    assert state["reached"] == {
        "limit": 7.0,
        "earliest": "2025-11-22T04:40:00.000Z",
        "latest": None,
    }
    assert state["change"]["since"] == "2025-11-21T04:40:00.000Z"
    assert (state["slope"]["per_day"], state["mean"], state["refusal"]) == (0.1, 2.0, None)
    assert part["by"] == PUMP
    assert [one["state"]["en"] for one in part["states"]] == ["On", "Pressure 0"]
    assert [one["refusal"] for one in part["states"]] == ["too_short", "too_short"]


async def test_a_service_is_asked_for_with_its_instant(web: Web) -> None:
    async with web.as_role("technician", name="li") as client:
        reply = await client.post(
            f"{BASE}/trends/a-booster/pump-1/serviced", json={"at": "2025-11-20T08:00:00+08:00"}
        )
        assert reply.status_code == 202
        assert (await client.post(f"{BASE}/trends/no-pump/serviced")).status_code == 404
        wrong = await client.post(f"{BASE}/trends/a-booster/serviced", json={"at": "soon"})
        assert wrong.status_code == 422
    (ask,) = web.site.asks.since(0, ["serviced"])
    assert (ask.subject, ask.by, ask.data) == ("a-booster/pump-1", "li", {"at": 1_763_596_800_000})
