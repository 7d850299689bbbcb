"""What the embedded broker acknowledged is handed on, however its sender goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from collector.adapters import mqtt_frames as frames
from edge.readings import topic
from tests.system.at_broker import (
    AGENT,
    NAME,
    SITE,
    USER,
    Stranger,
    collector_at,
    running,
    stranger,
)
from tests.waiting import until

pytestmark = pytest.mark.system
COUNT = 90


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    async with running(tmp_path) as it:
        yield it.port
        await until(lambda: not it.broker._sessions, 10)


async def says_good_bye(sender: Stranger, port: int) -> None:
    sender.writer.write(frames.DISCONNECT)


async def hangs_up(sender: Stranger, port: int) -> None:
    sender.writer.transport.abort()


async def comes_again(sender: Stranger, port: int) -> None:
    newer = await stranger(port, USER, "a", NAME)
    assert await newer.answer() == 0
    newer.writer.close()


@pytest.mark.parametrize("goes", [says_good_bye, hangs_up, comes_again])
async def test_what_was_acknowledged_is_handed_on_though_its_sender_goes(
    port: int, goes: Callable[[Stranger, int], Awaitable[None]]
) -> None:
    data = topic(SITE, AGENT, "data")
    collector = await collector_at(port)
    sender = await stranger(port, USER, "a", NAME)
    assert await sender.answer() == 0
    sent = [f"reading {number}".encode() for number in range(COUNT)]
    said = [frames.publish(data, payload, number=n) for n, payload in enumerate(sent, start=1)]
    sender.writer.write(b"".join(said))
    await asyncio.wait_for(sender.reader.readexactly(4 * COUNT), 10)  # all acknowledged
    await goes(sender, port)
    heard, rest = list[bytes](), b""
    async with asyncio.timeout(10):
        while len(heard) < COUNT and (piece := await collector.reader.read(65536)):
            published, _, used = frames.cut(rest + piece)
            rest = (rest + piece)[used:]
            heard += [message.payload for message in published]
            collector.writer.write(frames.acknowledge(published))
    assert heard == sent
    for one in (collector, sender):
        one.writer.close()
