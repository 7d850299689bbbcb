"""The application of a hand-made site, and people who ask it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import httpx
from fastapi import FastAPI
from starlette.datastructures import State

from api.app import build_app
from api.auth import ArgonHasher
from api.services import STATIC, Services
from collector.adapters.memory_store import MemoryStore
from config.clock import ScaledClock
from tests.unit.api.desks import DeskSite
from tests.unit.api.plants import SITE, plant

PASSWORD = "correct horse battery"  # noqa: S105  # of a test
ROLES = ("viewer", "operator", "technician", "planner", "supervisor", "manager", "admin")
CHEAP = ArgonHasher(time_cost=1, memory_kib=32)
BASE = f"/api/v1/sites/{SITE}"


@cache
def _routes() -> FastAPI:
    """Making the routes' schemas takes half a second: once in a process."""
    return build_app(cast(Services, SimpleNamespace(static=STATIC)))


def _app_on(services: Services) -> FastAPI:
    """An application of its own, with the routes that all share."""
    app = copy(_routes())
    app.state = State({"services": services})
    return app


@dataclass
class Web:
    """A site behind HTTP. The wall runs a hundred times as fast, so that nothing waits long."""

    site: DeskSite = field(default_factory=DeskSite)
    store: MemoryStore = field(default_factory=MemoryStore)
    services: Services = field(init=False)
    app: FastAPI = field(init=False)
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.services = Services(
            plants={SITE: self.site.plant, "hillside": plant("hillside")},
            live=self.site.live, decisions=self.site.decisions, asks=self.site.asks,
            desk=self.site.desk, store=self.store, clock=self.site.clock,
            wall=ScaledClock(factor=100.0), hasher=CHEAP, **self.more,
        )  # fmt: skip
        self.app = build_app(self.services) if self.more else _app_on(self.services)

    def client(self, token: str = "") -> httpx.AsyncClient:
        """Somebody with a token, or nobody."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)

    def as_role(
        self, *roles: str, sites: tuple[str, ...] = ("*",), name: str = ""
    ) -> httpx.AsyncClient:
        """A program with these roles."""
        people = self.services.people
        return self.client(people.make_token(name or "-".join(roles), roles, sites, "test"))

    @asynccontextmanager
    async def signed_in(self, name: str = "wang", *roles: str) -> AsyncIterator[httpx.AsyncClient]:
        """A person with a session and its CSRF word."""
        self.services.people.add(name, roles or ("admin",), ["*"], by="test", password=PASSWORD)
        async with self.client() as client:
            reply = await client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
            assert reply.status_code == 204
            client.headers["x-csrf"] = (await client.get("/api/v1/me")).json()["csrf"]
            yield client
