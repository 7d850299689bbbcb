"""The embedded broker when somebody comes in under a name that is connected already."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.adapters import mqtt_frames as frames
from commands.broker import run_broker, write_passwords
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
