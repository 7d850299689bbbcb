"""The kinds of malformed messages once more, through Mosquitto and our own subscriber, and a client that is no client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from collector.adapters import mqtt_frames as frames
from collector.adapters.memory_journal import MemoryJournal
from collector.adapters.mqtt import Broker, MqttSource
from collector.ingest import Ingest
from collector.live import LiveTable
from collector.projecting import Projecting, inline
from commands.part_servers import MosquittoServer
from config.clock import SteppedClock
from edge.readings import topic
from tests.pipeline.malformed import AT, BATCHES, Case
from tests.pipeline.malformed_others import OTHERS
from tests.unit.collector.feeding import SITE, Store, batch, birth, plant
from tests.waiting import until

pytestmark = pytest.mark.system

MOSQUITTO_BYTES_MAX = 1 << 20
"""As the shipped configuration says."""
ONE, OTHER = "agent-3", "agent-4"
"""Not the agents of the other tests: a broker keeps what is retained for the next one."""
OWN = {f"steward/v1/{SITE}/a1/{what}": what for what in ("birth", "event", "data", "backfill", "state", "reply")}  # fmt: skip
ALLOWED = [case for case in (*BATCHES, *OTHERS) if all(t in OWN for t, _ in case.sent)]
"""What an agent's rights at the broker let through: its own topics."""
NO_CLIENT = {
    "noise": b"\xff" * 300,
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "a publish before its greeting": frames.publish("a", b"x", number=1),
    "a greeting cut in half": frames.connect("x", keepalive_s=1)[:9],
    "a greeting of another version": b"\x10\x0c\x00\x04MQIs\x63\x02\x00\x3c\x00\x00",
    "a length of five bytes": b"\x10\xff\xff\xff\xff\x01",
}


@dataclass
class Client:
    """An agent as a few packets."""

    user: str
    password: str
    sent: int = 0
    acknowledged: int = 0

    async def connect(self, server: MosquittoServer) -> None:
        self.server = server
        self.sent = self.acknowledged = 0
        self.news = asyncio.Event()
        self._reader, self._writer = await asyncio.open_connection(server.host, server.port)
        name = self.user.rpartition("/")[2]
        self._writer.write(
            frames.connect(name, keepalive_s=60, user=self.user, password=self.password)
        )
        self.hearing = asyncio.create_task(self._hear())
        self.hearing.add_done_callback(lambda _: self.news.set())

    async def _hear(self) -> None:
        rest = b""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(65536):
                _, others, used = frames.cut(rest + data)
                rest = (rest + data)[used:]
                self.acknowledged += sum(f.kind == frames.PUBACK for f in others)
                self.news.set()

    async def publish(self, where: str, payload: bytes) -> bool:
        """True if the broker took it; False if it sent us away for it, and we came back."""
        self.sent += 1
        self._writer.write(frames.publish(where, payload, number=self.sent))
        async with asyncio.timeout(10):
            while self.acknowledged < self.sent and not self.hearing.done():
                self.news.clear()
                await self.news.wait()
        if self.acknowledged == self.sent:
            return True
        self._writer.close()
        await self.connect(self.server)
        return False

    async def leave(self) -> None:
        if not self.hearing.done():
            self._writer.write(frames.DISCONNECT)
        self._writer.close()
        await self.hearing


@asynccontextmanager
async def collecting(server: MosquittoServer) -> AsyncIterator[tuple[Ingest, Store]]:
    clock, journal, store = SteppedClock(AT), MemoryJournal(), Store()
    its = plant({ONE: ("pump/flow", "pump/pressure"), OTHER: ("fan/speed",)})
    live = LiveTable([its])
    projecting = Projecting(journal, store, live, inline, clock)
    broker = Broker(server.host, server.port, "collector", server.users["collector"])
    source = MqttSource(broker, clock)
    ingest = Ingest(source, journal, live, [], [its], clock, projecting)
    ingest.restore()
    running = asyncio.create_task(ingest.run())
    await until(lambda: source.connected, 10)
    try:
        yield ingest, store
        assert not running.done()
    finally:
        await source.close()
        await running


@asynccontextmanager
async def agents(server: MosquittoServer) -> AsyncIterator[list[Client]]:
    made = [Client(user := f"{SITE}/{name}", server.users[user]) for name in (ONE, OTHER)]
    for client in made:
        await client.connect(server)
    try:
        yield made
    finally:
        for client in made:
            await client.leave()


async def no_client(server: MosquittoServer, said: bytes) -> None:
    """Somebody who says this to the broker and leaves."""
    _, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(said)
    await writer.drain()
    writer.close()


async def test_malformed_messages_through_mosquitto_lose_nothing_else(
    mosquitto: MosquittoServer,
) -> None:
    assert len(ALLOWED) > 400
    async with collecting(mosquitto) as (ingest, store), agents(mosquitto) as (one, other):
        await one.publish(topic(SITE, ONE, "birth"), birth("pump/flow", "pump/pressure", "pump/old", retired=[2]).payload)  # fmt: skip
        await other.publish(topic(SITE, OTHER, "birth"), birth("fan/speed").payload)
        for number, case in enumerate(ALLOWED, 1):
            await spoil(one, case)
            good = batch(number, (0, float(number)), at=AT + number)
            await other.publish(topic(SITE, OTHER, "data"), good.payload)
        for said in NO_CLIENT.values():
            await no_client(mosquitto, said)
        last = batch(len(ALLOWED) + 1, (0, -1.0), at=AT)
        await other.publish(topic(SITE, OTHER, "data"), last.payload)
        marks = ingest.receiving._agents.by_name[SITE, OTHER].epochs
        await until(lambda: "E1" in marks and marks["E1"].marks.get("data") == len(ALLOWED) + 1, 20)
        assert ingest.projecting is not None
        await ingest.projecting.drain()
        speeds = [(t, v, q) for point, t, v, q in store.rows if point == "fan/speed"]
        assert speeds == [*((AT + n, float(n), 0) for n in range(1, len(ALLOWED) + 1)), (AT, -1.0, 0)]  # fmt: skip
        assert ingest.receiving.counts["aside"] > 150


async def spoil(client: Client, case: Case) -> None:
    """Send a case; what is longer than the broker allows costs its sender the connection."""
    for where, payload in case.sent:
        taken = await client.publish(topic(SITE, ONE, OWN[where]), payload)
        assert taken == (len(payload) + 100 < MOSQUITTO_BYTES_MAX)
