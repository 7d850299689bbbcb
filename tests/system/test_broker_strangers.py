"""What somebody who is not let in leaves behind in the embedded broker: nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collector.adapters import mqtt_frames as frames
from edge.readings import topic
from tests.system.at_broker import (
    AGENT,
    NAME,
    SITE,
    USER,
    Running,
    collector_at,
    running,
    stranger,
)
from tests.waiting import until

pytestmark = pytest.mark.system
COMMITTED = topic(SITE, AGENT, "committed")
REFUSED = 100


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as it:
        yield it


def left(at: Running) -> tuple[int, int, int, int]:
    """Sessions, subscriptions, connections and tasks that the broker has now."""
    broker = at.broker
    return (
        len(broker._sessions),
        sum(len(rows) for _, rows in broker._subscriptions.items()),
        broker._servers["default"].conn_count,
        len(asyncio.all_tasks()),
    )


@pytest.mark.parametrize(
    ("client", "user", "password", "clean"),
    [
        (NAME, USER, "guessed", True),
        (NAME, USER, "guessed", False),
        ("another", "x", "x", True),
        ("", "x", "x", True),
        ("", "x", "x", False),
        ("", "", "", True),
    ],
)
async def test_who_is_refused_leaves_nothing_behind(
    at: Running, client: str, user: str, password: str, clean: bool
) -> None:
    before = left(at)
    for number in range(REFUSED):
        name = f"{client}-{number}" if client == "another" else client
        one = await stranger(at.port, user, password, name, clean=clean)
        assert await one.answer() != 0
        assert await asyncio.wait_for(one.reader.read(), 10) == b""
        one.writer.close()
    await until(lambda: left(at) == before, 10)


async def test_who_is_refused_and_says_no_more_leaves_nothing_behind(at: Running) -> None:
    """Nor who stays, or hangs up without hearing the answer."""
    before = left(at)
    made = [await stranger(at.port, USER, "guessed", NAME) for _ in range(REFUSED)]
    for one in made[: REFUSED // 2]:
        one.writer.transport.abort()
    await until(lambda: left(at) == before, 10)
    for one in made:
        one.writer.close()


async def test_who_leaves_leaves_nothing_behind(at: Running) -> None:
    """With a word or without, or sent away for a topic that is the broker's own."""
    before = left(at)
    for last in (frames.DISCONNECT, b"", frames.publish("$SYS/x", b"x", number=1)):
        for _ in range(10):
            one = await stranger(at.port, USER, "a", NAME)
            assert await one.answer() == 0
            one.writer.write(frames.subscribe(1, [COMMITTED]) + last)
            if last:
                await asyncio.wait_for(one.reader.read(), 10)
            one.writer.close()
        await until(lambda: left(at) == before, 10)


async def test_a_late_subscription_of_who_lost_the_session_is_not_taken_for_the_new_one(
    at: Running,
) -> None:
    """It was being looked at while the session was taken; of two under one name amqtt keeps the first."""
    collector = await collector_at(at.port)
    older = await stranger(at.port, USER, "a", NAME)
    assert await older.answer() == 0
    its_session = at.broker._sessions[NAME][0]
    newer = await stranger(at.port, USER, "a", NAME)
    assert await newer.answer() == 0
    await at.broker.add_subscription((COMMITTED, 1), its_session)
    newer.writer.write(frames.subscribe(1, [COMMITTED]))
    assert (await newer.reader.readexactly(5))[4] == 1
    collector.commit(b"mark")
    await newer.hears(b"mark")
    for one in (collector, older, newer):
        one.writer.close()
