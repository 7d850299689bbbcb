"""The embedded broker on a port of its own, and who comes to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from collector.adapters import mqtt_frames as frames
from commands.broker import OneConnectionEach, broker_at, write_passwords
from commands.part_servers import free_port
from edge.mqtt_publisher import PahoConnection, paho_connect
from edge.readings import topic

SITE, AGENT = "riverside", "edge-a"
NAME, USER = f"{SITE}-{AGENT}", f"{SITE}/{AGENT}"
USERS = {"collector": "c", USER: "a", f"{SITE}/edge-b": "b"}
RIGHTS = {
    "collector": {
        "publish": ["steward/v1/+/+/committed"],
        "receive": ["steward/v1/+/+/data", "steward/v1/+/+/state"],
    },
    USER: {
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
        return (await asyncio.wait_for(self.reader.readexactly(4), 10))[3]

    async def hears(self, payload: bytes) -> None:
        """Read until this came."""
        heard = b""
        async with asyncio.timeout(10):
            while payload not in heard:
                piece = await self.reader.read(4096)
                assert piece, "the broker hung up"
                heard += piece


@dataclass
class Running:
    """A broker that listens."""

    port: int
    broker: OneConnectionEach


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    write_passwords(folder / "passwords", USERS)
    port = free_port()
    broker = broker_at("127.0.0.1", port, folder / "passwords", RIGHTS)
    await broker.start()
    try:
        yield Running(port, broker)
    finally:
        await broker.shutdown()


async def stranger(
    port: int, user: str, password: str, client: str, *, clean: bool = True
) -> Stranger:
    made = Stranger(*await asyncio.open_connection("127.0.0.1", port))
    made.writer.write(
        frames.connect(client, keepalive_s=60, user=user, password=password, clean=clean)
    )
    return made


async def collector_at(port: int) -> Stranger:
    """The collector, which hears the data of all agents."""
    collector = await stranger(port, "collector", "c", "collector-bulk")
    assert await collector.answer() == 0
    collector.writer.write(frames.subscribe(1, ["steward/v1/+/+/data"]))
    assert (await collector.reader.readexactly(5))[4] == 1
    return collector


def agent_at(port: int) -> PahoConnection:
    opened = paho_connect("127.0.0.1", port, USER, "a", SITE, AGENT)(b"{}")
    assert isinstance(opened, PahoConnection)
    return opened
