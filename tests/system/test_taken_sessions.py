"""The embedded broker when somebody comes in under a name that is connected already."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from amqtt.broker import Broker
from amqtt.errors import BrokerError

from collector.adapters import mqtt_frames as frames
from commands.broker import Patient, Subscriptions
from edge.ports import LinkLost
from edge.readings import topic
from tests.system.at_broker import (
    AGENT,
    NAME,
    SITE,
    USER,
    USERS,
    agent_at,
    collector_at,
    running,
    stranger,
)
from tests.waiting import until

pytestmark = pytest.mark.system


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    async with running(tmp_path) as it:
        yield it.port


@pytest.mark.parametrize("clean", [True, False])
async def test_whose_session_is_taken_knows_it_and_is_heard_again_when_it_comes_back(
    port: int, clean: bool
) -> None:
    collector = await collector_at(port)
    async with agent_at(port) as first:
        other = await stranger(port, USER, "a", NAME, clean=clean)
        assert await other.answer() == 0
        with pytest.raises(LinkLost, match="the connection is cut"):
            await asyncio.wait_for(first.received(), 10)
    async with agent_at(port) as again:
        assert await asyncio.wait_for(other.reader.read(), 10) == b""
        collector.commit(b"mark")
        assert await asyncio.wait_for(again.received(), 10) == ("committed", b"mark")
    collector.writer.close()
    other.writer.close()


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize(
    ("user", "password"), [(USER, "guessed"), (f"{SITE}/edge-b", "b"), ("x", "x"), ("", "")]
)
async def test_nobody_takes_the_session_of_another(
    port: int, user: str, password: str, clean: bool
) -> None:
    """The agent speaks and hears on, whatever somebody else says of its name."""
    collector = await collector_at(port)
    async with agent_at(port) as connection:
        await connection.publish("data", b"before")
        thief = await stranger(port, user, password, NAME, clean=clean)
        assert await thief.answer() != 0
        assert await asyncio.wait_for(thief.reader.read(), 10) == b""
        collector.commit(b"mark")
        await until(lambda: connection._inbox, 10)
        assert await connection.received() == ("committed", b"mark")
        await connection.publish("data", b"after")
        await collector.hears(b"after")
        thief.writer.close()
    collector.writer.close()


def come_in() -> bytes:
    return frames.connect(NAME, keepalive_s=60, user=USER, password=USERS[USER])


def speak(port: int, came_in: threading.Event) -> bool:
    """As the agent in a thread of its own: publish, hear the acknowledgement, publish; False when never hung up on."""
    said = frames.publish(topic(SITE, AGENT, "data"), b"x" * 1000, number=7)
    deadline = time.monotonic() + 5
    with socket.create_connection(("127.0.0.1", port), timeout=5) as agent:
        agent.sendall(come_in())
        with contextlib.suppress(ConnectionError):
            while agent.recv(4096):
                came_in.set()
                agent.sendall(said)
                if time.monotonic() > deadline:
                    return False
        return True


async def test_a_session_is_taken_also_from_who_speaks_at_that_moment(port: int) -> None:
    """What arrives while the broker ends the reading of a connection had it read on for ever."""
    for _ in range(20):
        came_in = threading.Event()
        speaks = asyncio.create_task(asyncio.to_thread(speak, port, came_in))
        await until(came_in.is_set, 10)
        other = await stranger(port, USER, "a", NAME)
        assert await other.answer() == 0
        assert await speaks
        other.writer.close()


async def test_who_left_and_is_still_being_handed_on_does_not_outlast_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Patient, "_waits", lambda _: True)
    before = asyncio.all_tasks()
    async with running(tmp_path) as it:
        gone = await stranger(it.port, USER, "a", NAME)
        assert await gone.answer() == 0
        gone.writer.close()
        await until(lambda: it.broker._sessions[NAME][1].reader._reader.at_eof(), 10)
    assert asyncio.all_tasks() - before == set()


async def test_the_broker_ends_beside_a_connection_that_does_not_and_ends_all_where_its_own_end_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: Broker) -> None:
        raise BrokerError("it did not stop")

    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await go_on.wait()
        await go_on.wait()

    monkeypatch.setattr("commands.broker.END_S_MAX", 0.05)
    go_on = asyncio.Event()
    async with running(tmp_path) as it:
        both = [asyncio.create_task(stubborn()), asyncio.create_task(go_on.wait())]
        await asyncio.sleep(0)
        it.broker._serving.update(both)
        with monkeypatch.context() as while_it_fails:
            while_it_fails.setattr(Broker, "shutdown", fails)
            with pytest.raises(BrokerError):
                await it.broker.shutdown()
        assert [task.cancelled() for task in both] == [False, True]
        go_on.set()
        await asyncio.wait(both)


async def test_of_two_that_come_at_once_under_one_name_one_is_ended(port: int) -> None:
    both = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    for _, writer in both:
        writer.write(come_in())
    ends = [asyncio.create_task(reader.read(-1)) for reader, _ in both]
    done, pending = await asyncio.wait(ends, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == len(pending) == 1
    both[ends.index(next(iter(pending)))][1].write(frames.DISCONNECT)
    for _, writer in both:
        writer.close()
    await asyncio.gather(*ends)


async def test_who_comes_in_is_told_nothing_of_others(port: int) -> None:
    """What is retained goes to who subscribed to it and to nobody else."""
    collector = await collector_at(port)
    async with agent_at(port) as agent:
        await agent.publish("data", b"of edge-a alone", retain=True)
        await collector.hears(b"of edge-a alone")
        other = await stranger(port, f"{SITE}/edge-b", "b", f"{SITE}-edge-b")
        assert await other.answer() == 0
        other.writer.write(frames.PINGREQ)
        assert (await asyncio.wait_for(other.reader.readexactly(2), 10))[0] >> 4 == frames.PINGRESP_KIND  # fmt: skip
        other.writer.close()
    collector.writer.close()


def test_subscriptions_may_change_while_somebody_goes_through_them() -> None:
    known = Subscriptions(a=[1, 2], b=[3])
    for name in known:
        known[name + "-new"] = []
    seen = []
    for name, rows in known.items():
        known.pop("b", None)
        for row in rows:
            known["a"].clear()
            seen.append((name, row))
    assert seen == [("a", 1), ("a", 2), ("b", 3)]
    assert sorted(known) == ["a", "a-new", "b-new"]
