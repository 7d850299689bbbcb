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
ROWS = [f"reading {number}".encode() for number in range(COUNT)]
DATA, STATE = topic(SITE, AGENT, "data"), topic(SITE, AGENT, "state")


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    async with running(tmp_path) as it:
        yield it.port
        await until(lambda: it.broker._servers["default"].conn_count == 0, 10)


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
    collector = await collector_at(port)
    sender = await stranger(port, USER, "a", NAME)
    assert await sender.answer() == 0
    try:
        await acknowledged(sender)
        await goes(sender, port)
        assert [payload for _, payload in await heard(collector, COUNT)] == ROWS
    finally:
        for one in (collector, sender):
            one.writer.close()


async def test_what_a_lost_connection_left_comes_before_what_the_next_one_says(port: int) -> None:
    """Its will too, whose last word is retained."""
    collector = await collector_at(port)
    collector.writer.write(frames.subscribe(2, [STATE]))
    assert (await collector.reader.readexactly(5))[4] == 1
    older = Stranger(*await asyncio.open_connection("127.0.0.1", port))
    older.writer.write(greeting_with_will(b"lost"))
    assert await older.answer() == 0
    await acknowledged(older)
    newer = await stranger(port, USER, "a", NAME)
    assert await newer.answer() == 0
    try:
        newer.writer.write(frames.publish(STATE, b"online", number=1, retain=True))
        newer.writer.write(frames.publish(DATA, b"new", number=2))
        said = await heard(collector, COUNT + 3)
        assert [payload for where, payload in said if where == DATA] == [*ROWS, b"new"]
        assert [payload for where, payload in said if where == STATE] == [b"lost", b"online"]
        collector.writer.write(frames.subscribe(3, [STATE]))
        assert await heard(collector, 1) == [(STATE, b"online")]
    finally:
        for one in (collector, older, newer):
            one.writer.close()


async def acknowledged(sender: Stranger) -> None:
    """All rows in one piece, and the broker has answered for each of them."""
    said = [frames.publish(DATA, payload, number=n) for n, payload in enumerate(ROWS, start=1)]
    sender.writer.write(b"".join(said))
    await asyncio.wait_for(sender.reader.readexactly(4 * COUNT), 10)


async def heard(collector: Stranger, count: int) -> list[tuple[str, bytes]]:
    """The next messages that reach it: topic and payload."""
    found, rest = list[tuple[str, bytes]](), b""
    async with asyncio.timeout(10):
        while len(found) < count and (piece := await collector.reader.read(65536)):
            published, _, used = frames.cut(rest + piece)
            rest = (rest + piece)[used:]
            found += [(message.topic, message.payload) for message in published]
            collector.writer.write(frames.acknowledge(published))
    return found


def greeting_with_will(will: bytes) -> bytes:
    """CONNECT of the agent, its will retained at QoS 1."""
    texts = [NAME.encode(), STATE.encode(), will, USER.encode(), b"a"]
    flags = 0x80 | 0x40 | 0x20 | 0x08 | 0x04 | 0x02
    head = b"\x00\x04MQTT" + bytes((4, flags)) + (60).to_bytes(2, "big")
    body = head + b"".join(len(text).to_bytes(2, "big") + text for text in texts)
    return bytes((0x10, len(body))) + body
