"""HTTP: uvicorn, which hands each request the transport of its connection too."""

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.at_once import TRANSPORT


class Handing(H11Protocol):
    """Who answers in chunks may write whole ones to the transport while nothing is sent through the server.

    h11 keeps no count of chunks, so it does not miss them.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Of a new connection."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}


def web_server(app: ASGIApp, *, log_level: str = "warning", **more: Any) -> uvicorn.Server:
    """The server of an application; `more` as `uvicorn.Config` takes it."""
    config = uvicorn.Config(
        app, http=Handing, loop="asyncio", log_level=log_level, access_log=False, timeout_graceful_shutdown=1, **more
    )  # fmt: skip
    return uvicorn.Server(config)
