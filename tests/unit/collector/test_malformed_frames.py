"""A broker that sends what is no MQTT, or MQTT that no broker sends: the subscriber leaves it or looks past it, and goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest

from collector.adapters import mqtt as module
from collector.adapters import mqtt_frames as frames
from collector.adapters.mqtt import Broker, MqttSource
from config.clock import ScaledClock
from edge.readings import topic
from tests.waiting import until

Place = Literal["connack", "suback", "after"]
"""Instead of which answer the bytes are sent; `after`: behind both."""
CONNACK, SUBACK = b"\x20\x02\x00\x00", b"\x90\x07\x00\x01\x01\x01\x01\x01\x01"
DATA = topic("riverside", "a1", "data")
GOOD = frames.publish(DATA, b"good", number=7)
LEFT, ENDURED = "left", "endured"

FRAMES: dict[str, tuple[Place, bytes, str]] = {
    "a length of five bytes": ("after", b"\x30\xff\xff\xff\xff\x01", LEFT),
    "a packet of 256 MB": ("after", b"\x30\xff\xff\xff\x7f", LEFT),
    "a packet of more than 8 MB": ("after", b"\x30\x81\x80\x80\x04", LEFT),
    "a topic beyond its packet": ("after", b"\x30\x03\x00\x09a", LEFT),
    "a topic of 65 535 letters in a packet of 5": ("after", b"\x30\x05\xff\xff\xff\xff\xff", LEFT),
    "QoS 3": ("after", b"\x36\x05\x00\x01a\x00\x01", LEFT),
    "no packet number": ("after", b"\x32\x03\x00\x01a", LEFT),
    "half a packet number": ("after", b"\x32\x04\x00\x01a\x00", LEFT),
    "a topic that is not UTF-8": ("after", b"\x30\x03\x00\x01\xff", LEFT),
    "a topic with a surrogate": ("after", b"\x30\x05\x00\x03\xed\xa0\x80", LEFT),
    "an empty publish": ("after", b"\x30\x00", LEFT),
    "half a topic's length": ("after", b"\x30\x01\x00", LEFT),
    "another protocol": ("connack", b"HTTP/1.1 400 Bad Request\r\n" * 9, LEFT),
    "a greeting of SSH": ("connack", b"SSH-2.0-OpenSSH_9.6\r\n" * 4, LEFT),
    "all ones": ("after", b"\xff" * 4096, LEFT),
    "a right packet and then noise": ("after", b"\xd0\x00" + b"\xff" * 64, LEFT),
    "a refusal": ("connack", b"\x20\x02\x00\x05", LEFT),
    "a refusal without a reason": ("connack", b"\x20\x02\x00\xff", LEFT),
    "no right to one of the topics": ("suback", b"\x90\x07\x00\x01\x01\x01\x80\x01\x01", LEFT),
    "a QoS that is none granted": ("suback", b"\x90\x03\x00\x01\x03", LEFT),
    "a topic that is empty": ("after", b"\x30\x03\x00\x00x", ENDURED),
    "a topic with a nul": ("after", b"\x30\x04\x00\x01\x00x", ENDURED),
    "a topic with wildcards": ("after", frames.publish("steward/v1/+/#", b"x", number=3), ENDURED),
    "packet number 0": ("after", b"\x32\x06\x00\x01a\x00\x00x", ENDURED),
    "the same packet number twice": ("after", frames.publish("a", b"x", number=3) * 2, ENDURED),
    "QoS 2": ("after", b"\x34\x06\x00\x01a\x00\x01x", ENDURED),
    "repeated at QoS 0": ("after", b"\x38\x04\x00\x01ax", ENDURED),
    "an answer to connecting, twice": ("after", CONNACK, ENDURED),
    "an answer to connecting without a body": ("connack", b"\x20\x00", ENDURED),
    "an answer to connecting that is long": ("connack", b"\x20\x05\x00\x00\x00\x00\x00", ENDURED),
    "a session that it kept": ("connack", b"\x20\x02\x01\x00", ENDURED),
    "an answer to subscribing without a body": ("suback", b"\x90\x00", ENDURED),
    "an answer to another subscription": ("suback", b"\x90\x03\x99\x99\x01", ENDURED),
    "an answer to subscribing, twice": ("after", SUBACK, ENDURED),
    "an answer to a publish of nobody": ("after", b"\x40\x02\x12\x34", ENDURED),
    "an answer to a publish without a number": ("after", b"\x40\x00", ENDURED),
    "an answer to a ping that was not asked": ("after", b"\xd0\x00" * 100, ENDURED),
    "an answer to a ping with a body": ("after", b"\xd0\x04ping", ENDURED),
    "the packet of kind 0": ("after", b"\x00\x00", ENDURED),
    "the packet of kind 15": ("after", b"\xf0\x02ab", ENDURED),
    "a client's greeting": ("after", frames.connect("x", keepalive_s=1), ENDURED),
    "a client's subscription": ("after", frames.subscribe(1, ["#"]), ENDURED),
    "a client's ping": ("after", frames.PINGREQ, ENDURED),
    "a client's farewell": ("after", frames.DISCONNECT, ENDURED),
    "a length in more bytes than it needs": ("after", b"\xd0\x80\x80\x00", ENDURED),
    "1 MB for nobody": ("after", frames.publish("a/b", b"x" * (1 << 20)), ENDURED),
}  # fmt: skip


@dataclass
class OddBroker:
    """Says the odd bytes once, on the first connection for everything but events; else it is a broker."""

    place: Place
    odd: bytes
    bulk: int = 0
    serving: set[asyncio.Task[None] | None] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(asyncio.current_task())
        try:
            greeting = await reader.read(4096)
            is_bulk = b"-bulk" in greeting
            self.bulk += is_bulk
            said = self._odd(is_bulk=is_bulk)
            writer.write(said.get("connack", CONNACK))
            await reader.read(4096)
            writer.write(said.get("suback", SUBACK) + said.get("after", b"") + GOOD * is_bulk)
            while await reader.read(4096):
                pass
        except OSError:
            pass
        finally:
            writer.close()

    def _odd(self, *, is_bulk: bool) -> dict[str, bytes]:
        return {self.place: self.odd} if is_bulk and self.bulk == 1 else {}


@asynccontextmanager
async def broker(place: Place, odd: bytes) -> AsyncIterator[tuple[OddBroker, MqttSource]]:
    made = OddBroker(place, odd)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    source = MqttSource(Broker("127.0.0.1", port), ScaledClock(), np.random.default_rng(1))
    try:
        yield made, source
    finally:
        await source.close()
        server.close()
        await asyncio.wait([task for task in made.serving if task is not None])
        await server.wait_closed()


@pytest.mark.parametrize("name", FRAMES)
async def test_what_no_broker_sends_stops_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RECONNECT_S_MIN", 0.01)
    place, odd, outcome = FRAMES[name]
    if outcome == LEFT:  # by some for want of an answer; else a stall of the machine is no loss
        monkeypatch.setattr(module, "ANSWER_S_MAX", 2.0)
    async with broker(place, odd) as (made, source):
        got: list[bytes] = []

        async def take() -> None:
            async for messages in source.batches():
                got.extend(m.payload for m in messages if m.topic == DATA)

        taking = asyncio.create_task(take())
        await until(lambda: got and source.connected)
        assert set(got) == {b"good"}
        assert made.bulk == (2 if outcome == LEFT else 1)
        await source.close()
        await taking
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == (outcome == LEFT)
