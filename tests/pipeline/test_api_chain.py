"""From a tripped pump to an order closed by readings, in virtual time, with people who speak HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import build_app
from api.services import Services, inline
from commands.virtual import VirtualSite
from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.load import load_plant
from tests.unit.api.web import CHEAP, PASSWORD

PLANT = Path(__file__).parents[2] / "config" / "plants" / "riverside"
START = 1_763_700_000_000
BASE = "/api/v1/sites/riverside"
PUMP = "a-booster/pump-1"


class WithoutTechnician(VirtualSite):
    """A site whose orders nobody works on but the test."""

    async def _technician(self) -> None:
        while True:
            await self._sleep(3600)


@asynccontextmanager
async def served(loop: VirtualLoop) -> AsyncIterator[tuple[VirtualSite, httpx.AsyncClient]]:
    """The running site and an administrator at its API, all in virtual time."""
    clock = VirtualClock(loop, START)
    site = WithoutTechnician(load_plant(PLANT), clock, 7)
    services = Services(
        plants={site.plant.site: site.plant}, live=site.live, decisions=site.decisions,
        asks=site.asks, desk=site.desk, store=site.store, clock=clock, wall=clock, offload=inline,
        hasher=CHEAP,
    )  # fmt: skip
    site.ordering = services.ordering
    link = str(services.first_start_link()).split("=")[1]
    transport = httpx.ASGITransport(build_app(services))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        site.running(),
    ):
        account = {"name": "wang", "password": PASSWORD}
        await client.post("/api/v1/setup", json={"link": link, **account})
        await client.post("/api/v1/session", json=account)
        client.headers["x-csrf"] = (await client.get("/api/v1/me")).json()["csrf"]
        yield site, client


async def seen(
    site: VirtualSite, client: httpx.AsyncClient, path: str, within_s: int, wanted: Any
) -> Any:
    """What an address says as soon as it is as wanted, looked at every virtual second."""
    body = None
    for _ in range(within_s):
        body = (await client.get(BASE + path)).json()
        if wanted(body):
            return body
        await site._sleep(1)
    raise AssertionError(f"not so within {within_s} s: {body}")


async def told(site: VirtualSite, client: httpx.AsyncClient) -> Any:
    """The pump trips and an operator says that they know; the alarm."""
    site.estate.fault(PUMP, "trip")
    alarms = await seen(site, client, "/alarms?state=unacknowledged", 30, lambda a: a["items"])
    (alarm,) = [a for a in alarms["items"] if a["asset"] == PUMP]
    said = await client.post(f"{BASE}/alarms/{alarm['id']}/acknowledge", json={"note": "seen"})
    assert said.json()["outcome"] == "accepted"
    again = await client.post(f"{BASE}/alarms/{alarm['id']}/acknowledge")
    assert (again.status_code, again.json()["reason"]) == (409, "nothing_to_acknowledge")
    detail = (await client.get(f"{BASE}/alarms/{alarm['id']}")).json()
    assert (detail["acknowledged_by"], detail["note"]) == ("wang", "seen")
    assert [r["id"] for r in detail["why_not_cleared"]] == ["still_abnormal"]
    return alarm


async def repaired(site: VirtualSite, client: httpx.AsyncClient, order: Any) -> None:
    """A technician goes through every move and repairs the pump before the last."""
    url = f"{BASE}/orders/{order['number']}/moves"
    for move in ("triage", "dispatch", "accept", "depart", "arrive", "start"):
        moved = await client.post(url, json={"move": move, "assignee": "wang"})
        assert moved.status_code == 200, moved.text
    site.estate.repair(PUMP)
    assert (await client.post(url, json={"move": "complete"})).json()["state"] == "completed"


async def whole_chain(loop: VirtualLoop) -> None:
    async with served(loop) as (site, client):
        await seen(site, client, "/overview", 60, lambda o: o["totals"]["normal"] > 5)
        alarm = await told(site, client)

        def mine(page: Any) -> list[Any]:
            return [order for order in page["items"] if order["alarm"] == alarm["id"]]

        (order,) = mine(await seen(site, client, "/orders", 5, mine))
        assert order["proof"]["reason"] == "abnormal"
        await repaired(site, client, order)
        path = f"/orders/{order['number']}"
        closed = await seen(site, client, path, 420, lambda o: o["state"] == "closed")
        verify = closed["events"][-2]
        assert (verify["kind"], verify["by"], closed["closed_by"]) == ("verify", *["readings"] * 2)
        assert verify["data"]["healthy_s"] >= 300
        assert [c["state"] for c in closed["clocks"]] == ["met", "met"]
        still_open = (await client.get(f"{BASE}/orders")).json()["items"]
        assert [o for o in still_open if o["kind"] == "fault"] == []
        query = {"point": alarm["point"], "start": str(START)}
        history = (await client.get(f"{BASE}/history", params=query)).json()
        assert history["resolution"] == "raw"
        assert len(set(history["value"])) > 1


@pytest.mark.usefixtures("unmeasured")
def test_a_tripped_pump_becomes_an_order_that_its_readings_close() -> None:
    loop = VirtualLoop()
    run_virtual(whole_chain(loop), loop=loop)
