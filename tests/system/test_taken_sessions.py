"""The embedded broker when somebody comes in under a name that is connected already."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.adapters import mqtt_frames as frames
from commands.broker import Subscriptions, run_broker, write_passwords
from commands.part_servers import free_port
from edge.mqtt_publisher import PahoConnection, paho_connect
from edge.ports import LinkLost
from edge.readings import topic
from tests.waiting import until

pytestmark = pytest.mark.system
SITE, AGENT = "riverside", "edge-a"
USERS = {"collector": "c", f"{SITE}/{AGENT}": "a", f"{SITE}/edge-b": "b"}
RIGHTS = {
    "collector": {"publish": ["steward/v1/+/+/committed"], "receive": ["steward/v1/+/+/data"]},
    f"{SITE}/{AGENT}": {
        "publish": [f"steward/v1/{SITE}/{AGENT}/{what}" for what in ("data", "state")],
        "receive": [f"steward/v1/{SITE}/{AGENT}/{what}" for what in ("committed", "request")],
    },
}


@dataclass
class Stranger:
    """A connection of which only the bytes matter."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def commit(self, payload: bytes) -> None:
        self.writer.write(frames.publish(topic(SITE, AGENT, "committed"), payload, number=1))

    async def answer(self) -> int:
        """The code of the CONNACK, 0 if it came in."""
        return (await self.reader.readexactly(4))[3]


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    write_passwords(tmp_path / "passwords", USERS)
    port = free_port()
    broker = asyncio.create_task(run_broker("127.0.0.1", port, tmp_path / "passwords", RIGHTS))
    yield port
    broker.cancel()
    await asyncio.gather(broker, return_exceptions=True)


async def stranger(port: int, user: str, password: str, client: str) -> Stranger:
    made: list[Stranger] = []

    async def connect() -> None:
        while not made:
            try:
                made.append(Stranger(*await asyncio.open_connection("127.0.0.1", port)))
            except OSError:  # the broker only begins to listen
                await asyncio.sleep(0)

    await asyncio.wait_for(connect(), 10)
    made[0].writer.write(frames.connect(client, keepalive_s=60, user=user, password=password))
    return made[0]


def agent_at(port: int) -> PahoConnection:
    opened = paho_connect("127.0.0.1", port, f"{SITE}/{AGENT}", "a", SITE, AGENT)(b"{}")
    assert isinstance(opened, PahoConnection)
    return opened


async def test_whose_session_is_taken_knows_it_and_is_heard_again_when_it_comes_back(
    port: int,
) -> None:
    collector = await stranger(port, "collector", "c", "collector-bulk")
    assert await collector.answer() == 0
    async with agent_at(port) as first:
        other = await stranger(port, f"{SITE}/{AGENT}", "a", f"{SITE}-{AGENT}")
        assert await other.answer() == 0
        with pytest.raises(LinkLost):
            await asyncio.wait_for(first.received(), 10)
    async with agent_at(port) as again:
        assert await asyncio.wait_for(other.reader.read(), 10) == b""
        collector.commit(b"mark")
        assert await asyncio.wait_for(again.received(), 10) == ("committed", b"mark")
    collector.writer.close()
    other.writer.close()


@pytest.mark.parametrize(
    ("user", "password"), [(f"{SITE}/{AGENT}", "guessed"), (f"{SITE}/edge-b", "b"), ("", "")]
)
async def test_nobody_takes_the_session_of_another(port: int, user: str, password: str) -> None:
    collector = await stranger(port, "collector", "c", "collector-bulk")
    assert await collector.answer() == 0
    async with agent_at(port) as connection:
        thief = await stranger(port, user, password, f"{SITE}-{AGENT}")
        assert await thief.answer() != 0
        collector.commit(b"mark")
        await until(lambda: connection._inbox, 10)
        assert await connection.received() == ("committed", b"mark")
        thief.writer.close()
    collector.writer.close()


def come_in() -> bytes:
    return frames.connect(
        f"{SITE}-{AGENT}", keepalive_s=60, user=f"{SITE}/{AGENT}", password=USERS[f"{SITE}/{AGENT}"]
    )


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
        other = await stranger(port, f"{SITE}/{AGENT}", "a", f"{SITE}-{AGENT}")
        assert await other.answer() == 0
        assert await speaks
        other.writer.close()


async def test_of_two_that_come_at_once_under_one_name_one_is_ended(port: int) -> None:
    first = await stranger(port, "", "", "nobody")  # from here on it listens
    both = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    for _, writer in both:
        writer.write(come_in())
    ends = [asyncio.create_task(reader.read(-1)) for reader, _ in both]
    done, pending = await asyncio.wait(ends, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == len(pending) == 1
    both[ends.index(next(iter(pending)))][1].write(frames.DISCONNECT)
    for one in (first.writer, *(writer for _, writer in both)):
        one.close()
    await asyncio.gather(*ends)


async def test_who_comes_in_is_told_nothing_of_others(port: int) -> None:
    """What is retained goes to who subscribed to it and to nobody else."""
    collector = await stranger(port, "collector", "c", "collector-bulk")
    assert await collector.answer() == 0
    collector.writer.write(frames.subscribe(1, ["steward/v1/+/+/data"]))
    assert (await collector.reader.readexactly(5))[4] == 1
    async with agent_at(port) as agent:
        await agent.publish("data", b"of edge-a alone", retain=True)
        assert b"of edge-a alone" in await asyncio.wait_for(collector.reader.read(4096), 10)
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
