"""A server that shares its plants: it works while it has their lease, and says so while another one has it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from socket import socket
from typing import Final

import uvicorn
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api.errors import problem_response
from api.problems import Problem

RETRY_S: Final = 5
ALIVE: Final = "/api/v1/health/live"
"""Who stands by is alive, or whoever watches over processes would end it."""


@asynccontextmanager
async def answering(listening: socket, name: str, found: Callable[[], str]) -> AsyncIterator[None]:
    """Answer everybody that this server stands by, and what it `found` last, on a socket that is listened on."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        answer = JSONResponse({"ok": True}) if scope["path"] == ALIVE else _refused(name, found())
        await answer(scope, receive, send)

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    web = uvicorn.Server(config)
    serving = asyncio.create_task(web._serve([listening.dup()]))  # noqa: SLF001  # `serve` would take the signals
    try:
        yield
    finally:
        web.should_exit = True
        await _ended(serving)


def _refused(name: str, found: str) -> Response:
    said = f"this server ({name}) stands by: {found or 'it asks for the lease of these plants'}; it serves them when it has their lease"
    return problem_response(Problem("unavailable", said, retry_after_s=RETRY_S))


async def _ended(task: "asyncio.Task[None]") -> None:
    """Wait for its end; who is cancelled meanwhile waits too, and is cancelled then."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as asked:
            cancelled = asked
    if cancelled is not None:
        raise cancelled
