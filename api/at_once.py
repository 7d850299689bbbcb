"""What many hear at once is written to each of their connections in one pass: no task wakes, nothing is framed anew."""

import asyncio
from typing import Final

from starlette.types import Scope

TRANSPORT: Final = "steward.transport"
"""The server puts the transport of a request's connection under this name into its `state`."""


def chunk(content: bytes) -> bytes:
    """A piece of an HTTP/1.1 body whose length was not told beforehand."""
    return b"%x\r\n%b\r\n" % (len(content), content)


class Said:
    """Counts the frames that one reader was told, each at once or through the server."""

    __slots__ = ("_frames_per_check", "_transport", "count")

    def __init__(self, scope: Scope, frames_per_check: int) -> None:
        in_chunks = scope["http_version"] == "1.1"
        self._transport: asyncio.Transport | None = (
            scope.get("state", {}).get(TRANSPORT) if in_chunks else None
        )
        self._frames_per_check = frames_per_check
        self.count = 0

    def at_once(self, in_a_chunk: bytes) -> bool:
        """Write one frame, unless it must go through the server: behind what a slow reader has not taken, or as one to check at."""
        to, count = self._transport, self.count + 1
        if to is None or to.is_closing() or to.get_write_buffer_size():
            return False
        if count % self._frames_per_check == 0:
            return False
        self.count = count
        to.write(in_a_chunk)
        return True

    def through(self) -> bool:
        """One frame went through the server; whether it is time to check that the reader may still listen."""
        self.count += 1
        return self.count % self._frames_per_check == 0
