"""Every route by every role, by nobody and from a foreign site: nothing is open that is not named here."""

import re
from collections.abc import Iterator
from inspect import iscoroutinefunction

import pytest
from fastapi import FastAPI, params
from fastapi.routing import APIRoute
from starlette.routing import Route

from api.routes import access, alarms, health, orders, people, plans, session, sites, trends
from api.services import Health
from tests.unit.api.web import ROLES, Web

SUPERVISORS = {"supervisor", "manager", "admin"}
EVERYBODY = set(ROLES)
OPEN = {
    ("POST", "/api/v1/session"), ("DELETE", "/api/v1/session"),
    ("GET", "/api/v1/setup"), ("POST", "/api/v1/setup"),
    ("GET", "/api/v1/health/live"), ("GET", "/api/v1/health/ready"),
}  # fmt: skip
WRITES = {
    "/sites/{site}/alarms/{alarm:path}/acknowledge": {"operator"},
    "/sites/{site}/alarms/{alarm:path}/reset": {"operator"},
    "/sites/{site}/due/{occurrence:path}/done": {"technician", "planner"},
    "/sites/{site}/trends/{asset:path}/serviced": {"technician", "planner"},
    "/sites/{site}/agents/{agent}/reload": {"planner"},
    "/sites/{site}/derive": {"planner"},
    "/sites/{site}/agents/{agent}/diagnose": {"operator", "technician", "planner"},
    "/sites/{site}/orders": {"operator", "planner"},
    "/sites/{site}/orders/{number}/moves": {"operator", "technician", "planner"},
    "/sites/{site}/orders/{number}/comments": {"operator", "technician", "planner"},
}
"""State-changing routes to the roles that may, beside supervisors."""
ADMINS = ("/people", "/people/{name}", "/people/{name}/link", "/tokens", "/tokens/{id}")
FILLED = {
    "site": "riverside", "alarm:path": "a", "occurrence:path": "o", "asset": "a-booster", "number": "202511-0001", "id": "ab",
    "name": "nobody", "agent": "agent-1",
}  # fmt: skip


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """(method, path) of every route of the API, however deeply it was included."""
    schema = app.openapi()["paths"]
    for path, verbs in schema.items():
        for verb in verbs:
            yield verb.upper(), path


WEB = Web()
ROUTES = sorted({*routes(WEB.app), ("GET", "/api/v1/openapi.json")})
CLOSED = [r for r in ROUTES if r not in OPEN and not r[1].endswith("/stream")]
"""All but the open ones; the stream never ends: test_feed reads it."""


def filled(path: str, site: str = "riverside") -> str:
    names = {**FILLED, "site": site, "alarm": "a", "occurrence": "o"}
    return re.sub(r"{([^}]+)}", lambda m: names[m[1]], path)


def may(method: str, path: str) -> set[str]:
    """Roles that may ask it, by the table above."""
    short = path.removeprefix("/api/v1")
    if short in ADMINS:
        return {"admin"}
    if method == "GET":
        return EVERYBODY
    table = {re.sub(r":path", "", p): roles for p, roles in WRITES.items()}
    return table[short] | SUPERVISORS


def test_the_schema_names_every_route() -> None:
    """What the matrix below goes by is what the application really serves."""
    found = set()
    stack = list(WEB.app.routes)
    while stack:
        route = stack.pop()
        inner = getattr(route, "original_router", None) or getattr(route, "routes", None)
        if isinstance(route, APIRoute):
            found |= {(m, route.path) for m in route.methods or ()}
        elif inner is not None:
            stack += getattr(inner, "routes", inner)
        else:
            assert isinstance(route, Route)
    known = {p.removeprefix("/api/v1") for _, p in ROUTES} | {"/{path:path}"}
    served = {re.sub(r":path}", "}", p.removeprefix("/api/v1")) for _, p in found}
    assert {re.sub(r":path}", "}", p) for p in known} >= served


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_nobody_gets_in_where_it_is_not_open(method: str, path: str) -> None:
    async with WEB.client() as nobody:
        reply = await nobody.request(method, filled(path))
    if (method, path) in OPEN:
        assert reply.status_code in (200, 204, 422)
    else:
        assert reply.status_code == 401
        assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_each_role_gets_what_it_may_and_nothing_else(
    method: str, path: str, role: str
) -> None:
    async with WEB.as_role(role) as client:
        reply = await client.request(method, filled(path))
    if role in may(method, path):
        assert reply.status_code not in (401, 403, 500)
    else:
        assert reply.status_code == 403
        assert reply.json()["type"] == "/problems/role-missing"


@pytest.mark.parametrize(("method", "path"), [r for r in ROUTES if "{site}" in r[1]])
async def test_a_foreign_site_is_not_there_even_for_its_admin(method: str, path: str) -> None:
    async with WEB.as_role("admin", sites=("hillside",)) as client:
        reply = await client.request(method, filled(path))
        elsewhere = await client.request(method, filled(path, "nowhere"))
    assert (reply.status_code, elsewhere.status_code) == (404, 404)
    assert reply.json() == elsewhere.json()


# --- scopes beside the sites' own routes ---------------------------------------------------------

WHOLE = ("/delivery", "/delivery/since?position=0", "/metrics")
GRANT = {"name": "sun", "roles": ["admin"]}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", WHOLE)
async def test_what_is_of_all_sites_is_for_the_scope_of_all(path: str, role: str) -> None:
    async with WEB.as_role(role, sites=("riverside", "hillside")) as client:
        reply = await client.get(f"/api/v1{path}")
    assert (reply.status_code, reply.json()["reason"]) == (403, "scope_missing")


async def test_health_names_no_other_sites_agents() -> None:
    web = Web()
    web.services.health = lambda: {"agents": Health(False, "not heard: hillside/agent-1")}
    async with web.as_role("viewer", sites=("riverside",)) as client:
        told = await client.get("/api/v1/health/ready")
    assert told.json()["dependencies"]["agents"] == {"ok": False, "detail": ""}


async def test_what_is_told_and_not_needed_makes_nobody_unready() -> None:
    web = Web()
    web.services.health = lambda: {"deadman": Health(False, "no answer", needed=False)}
    async with web.as_role("admin", sites=("*",)) as client:
        told = await client.get("/api/v1/health/ready")
    assert (told.status_code, told.json()["ok"]) == (200, True)
    assert told.json()["dependencies"]["deadman"] == {"ok": False, "detail": "no answer"}


@pytest.mark.parametrize("path", ["/people", "/tokens"])
@pytest.mark.parametrize(
    ("has", "gives", "status"),
    [
        (("riverside",), ["riverside"], 201),
        (("riverside",), ["hillside"], 403),
        (("riverside",), ["riverside", "hillside"], 403),
        (("riverside",), ["*"], 403),
        (("riverside",), None, 403),
        (("riverside",), [], 403),
        (("riverside", "hillside"), ["hillside"], 201),
        (("*",), ["*"], 201),
        (("*",), [], 201),
    ],
)
async def test_an_admin_gives_what_lies_in_his_own_scope(
    path: str, has: tuple[str, ...], gives: list[str] | None, status: int
) -> None:
    web = Web()
    body = GRANT if gives is None else {**GRANT, "sites": gives}
    async with web.as_role("admin", sites=has) as client:
        assert (await client.post(f"/api/v1{path}", json=body)).status_code == status
    assert len(web.services.people.everybody()) == (status == 201 and path == "/people")


@pytest.mark.parametrize("theirs", [("hillside",), ("*",), ("riverside", "hillside"), ()], ids=str)
async def test_people_and_tokens_of_other_scopes_are_not_there(theirs: tuple[str, ...]) -> None:
    web = Web()
    people = web.services.people
    people.add("li", ["viewer"], theirs, by="test")
    id = people.make_token("t", ["viewer"], theirs, "test").split("_")[1]
    async with web.as_role("admin", sites=("riverside",)) as client:
        replies = [
            await client.post("/api/v1/people/li/link"),
            await client.delete("/api/v1/people/li"),
            await client.delete(f"/api/v1/tokens/{id}"),
        ]
        assert (await client.get("/api/v1/people")).json() == []
        assert id not in (await client.get("/api/v1/tokens")).text
    assert [r.status_code for r in replies] == [404, 404, 404]
    assert people.sites_of("li") == people.token_sites(id) == list(theirs)


async def test_an_admin_of_a_site_keeps_its_people_and_tokens() -> None:
    web = Web()
    async with web.as_role("admin", sites=("riverside",)) as client:
        body = {**GRANT, "sites": ["riverside"]}
        await client.post("/api/v1/people", json=body)
        token = (await client.post("/api/v1/tokens", json=body)).json()
        assert [p["name"] for p in (await client.get("/api/v1/people")).json()] == ["sun"]
        assert token["id"] in (await client.get("/api/v1/tokens")).text
        await client.post("/api/v1/people", json={**body, "name": "li"})
        assert (await client.post("/api/v1/people/sun/link")).status_code == 201
        assert (await client.delete("/api/v1/people/sun")).status_code == 204
        assert (await client.delete(f"/api/v1/tokens/{token['id']}")).status_code == 204


def test_nothing_that_routes_are_given_takes_a_thread_of_its_own() -> None:
    given = {
        said.dependency
        for module in (access, alarms, health, orders, people, plans, session, sites, trends)
        for value in vars(module).values()
        for said in getattr(value, "__metadata__", ())
        if isinstance(said, params.Depends)
    }
    assert access.services_of in given
    assert all(iscoroutinefunction(made) for made in given)
