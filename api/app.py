"""The web application: routes, errors, security headers and the console's files, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import Response
from starlette.datastructures import Headers

from api.errors import BodyLimit, SecurityHeaders, install
from api.problems import Problem
from api.routes import alarms, health, orders, people, plans, session, sites, trends
from api.routes.access import signed_in
from api.services import Services
from api.shapes import ProblemDocument
from api.static_files import File, read_files

PREFIX = "/api/v1"
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ProblemDocument, "description": "Refused, and why"}
}
OPEN = (session.open_router, health.open_router)
CLOSED = (
    session.router,
    sites.router,
    sites.site_router,
    alarms.router,
    plans.router,
    trends.router,
    orders.router,
    people.router,
    health.router,
    health.site_router,
)


def build_app(services: Services) -> FastAPI:
    """The application on these services. Everything under `/api` wants a caller but the open few."""
    app = FastAPI(
        title="Steward",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    app.state.services = services
    install(app)
    api = APIRouter(prefix=PREFIX, responses=REFUSALS)
    for router in OPEN:
        api.include_router(router)
    for router in CLOSED:
        api.include_router(router, dependencies=[Depends(signed_in)])
    app.include_router(api)
    _serve_console(app, services)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    for feed in app.state.services.feeds.values():
        await feed.close()


def _serve_console(app: FastAPI, services: Services) -> None:
    files = read_files(services.static)

    async def console(request: Request, path: str) -> Response:
        """The console's file of that address, its page for any other that is not the API's."""
        if path == "api" or path.startswith("api/"):
            raise Problem("not-found")
        file = files.get(f"/{path}", files["/"])
        return _answer(file, request.headers)

    app.add_api_route("/{path:path}", console, methods=["GET", "HEAD"], include_in_schema=False)


def _answer(file: File, headers: Headers) -> Response:
    keep = "public, max-age=31536000, immutable" if file.for_ever else "no-cache"
    said = {"etag": file.tag, "cache-control": keep, "vary": "accept-encoding"}
    if headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=said)
    if file.zipped and "gzip" in headers.get("accept-encoding", ""):
        return Response(
            file.zipped, headers={**said, "content-encoding": "gzip"}, media_type=file.kind
        )
    return Response(file.content, headers=said, media_type=file.kind)
