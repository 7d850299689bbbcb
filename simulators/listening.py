"""Where a simulated device takes connections: one that goes down takes them with it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from config.clock import Clock

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WATCH_S: Final = 0.5
"""How soon its connections end once it is down."""


class Listening:
    """The connections to one device, each served until `serve` returns or the client is gone.

    `is_up` says whether the device takes connections now.
    """

    def __init__(self, serve: Serve, is_up: Callable[[], bool], clock: Clock) -> None:
        self._serve = serve
        self._is_up = is_up
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[object], asyncio.StreamWriter] = {}
        self._watch: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (chosen by the system for 0). Raises OSError if it is taken."""
        self._server = await asyncio.start_server(self._served, host, port)
        self._watch = asyncio.create_task(self._hang_up_when_down())
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every connection; may be called twice."""
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        if self._server:
            self._server.close()
            self._hang_up()
            await asyncio.gather(*self._open, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    def _hang_up(self) -> None:
        for writer in self._open.values():
            writer.transport.abort()

    async def _hang_up_when_down(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.monotonic() + WATCH_S)
            if self._open and not self._is_up():
                self._hang_up()

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a stream's callback always runs in a task
        self._open[task] = writer
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            del self._open[task]
            writer.transport.abort()
