"""Somebody who comes to the broker under an agent's name, takes its session, and may say again what the agent said."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from collector.adapters import mqtt_frames as frames
from commands.proving.link_proxy import HOST, PIECE_BYTES

ANSWER_S_MAX: Final = 3.0
KEEPALIVE_S: Final = 60


class Refused(ConnectionRefusedError):
    """The broker said no."""


@dataclass(slots=True)
class Stranger:
    """One connection that was let in; `marks` are the payloads of what it heard at `listen`, in order."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    marks: list[bytes] = field(default_factory=list)
    _unread: bytes = b""

    async def listen(self, topic: str) -> None:
        """Hear a topic. Raises OSError or TimeoutError when the broker does not even say what it last kept."""
        self.writer.write(frames.subscribe(1, [topic]))
        await self._hear_another()

    async def repeat(self, said: Iterable[frames.Published]) -> bool:
        """Publish what the agent published; True once the collector said that it has it already.

        It says so by the same mark again. That it also sends to a birth and when it connects itself: then
        the agent has its session back, or the broker was gone, and nobody hears it here.
        """
        known = len(self.marks)
        for number, one in enumerate(said, start=1):
            self.writer.write(frames.publish(one.topic, one.payload, number=number))
        with contextlib.suppress(OSError, TimeoutError):
            while True:
                await self._hear_another()
                if self.marks[-1] in self.marks[known - 1 : -1]:
                    return True
        return False

    async def _hear_another(self) -> None:
        """Until one more mark has come."""
        known = len(self.marks)
        async with asyncio.timeout(ANSWER_S_MAX):
            while len(self.marks) == known:
                piece = await self.reader.read(PIECE_BYTES)
                if not piece:
                    raise ConnectionResetError("the session was taken back")
                published, _, used = frames.cut(self._unread + piece)
                self._unread = (self._unread + piece)[used:]
                self.marks += [one.payload for one in published]
                self.writer.write(frames.acknowledge(published))


@asynccontextmanager
async def coming_in(
    port: int, client: str, user: str, password: str, *, clean: bool = True
) -> AsyncIterator[Stranger]:
    """Under this name at the broker of this machine, asking for the session it kept unless `clean`.

    Raises OSError, `Refused` among them, or TimeoutError when not let in.
    """
    async with asyncio.timeout(ANSWER_S_MAX):
        reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(frames.connect(client, keepalive_s=KEEPALIVE_S, user=user, password=password, clean=clean))  # fmt: skip
        async with asyncio.timeout(ANSWER_S_MAX):
            try:
                answer = await reader.readexactly(4)
            except asyncio.IncompleteReadError as error:
                raise ConnectionResetError("the broker hung up") from error
        if answer[3]:
            raise Refused(f"refused with {answer[3]}")
        yield Stranger(reader, writer)
        with contextlib.suppress(OSError):
            writer.write(frames.DISCONNECT)
            await writer.drain()
    finally:
        writer.close()
