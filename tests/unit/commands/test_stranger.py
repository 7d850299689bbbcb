import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from collector.adapters import mqtt_frames as frames
from commands.proving.stranger import Refused, coming_in

MARKS = "steward/v1/s/a/committed"
SAID = frames.Published("steward/v1/s/a/data", b"batch", 7, False)
LET_IN = b"\x20\x02\x00\x00"


@asynccontextmanager
async def broker(let_in: bytes, kept: bytes, answers: Sequence[bytes]) -> AsyncIterator[int]:
    """A broker that says `kept` to whoever listens, and these marks behind a batch, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(let_in)
        while piece := await reader.read(4096):
            if piece[0] >> 4 == frames.SUBSCRIBE:
                writer.write(b"\x90\x03\x00\x01\x01" + frames.publish(MARKS, kept, number=1))
            elif b"batch" in piece:
                for number, mark in enumerate(answers, start=2):
                    writer.write(frames.publish(MARKS, mark, number=number))
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("answers", "had"),
    [
        ([b"5"], True),
        ([b"6", b"7", b"7"], True),
        ([b"6", b"7"], False),
        ([], False),
    ],
)
async def test_the_same_mark_again_says_that_the_batch_was_had(
    answers: list[bytes], had: bool
) -> None:
    async with (
        broker(LET_IN, b"5", answers) as port,
        coming_in(port, "s-a", "s/a", "word") as stranger,
    ):
        await stranger.listen(MARKS)
        assert stranger.marks == [b"5"]
        assert await stranger.repeat([SAID]) is had


async def test_who_is_refused_hears_it() -> None:
    async with broker(b"\x20\x02\x00\x04", b"", []) as port:
        with pytest.raises(Refused):
            async with coming_in(port, "s-a", "s/a", "guessed"):
                pass
