"""Malformed input towards the edge: marks and requests, what MQTT devices say, what Modbus devices answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from config.clock import SteppedClock
from config.profile import JsonPath
from edge.device_messages import DeviceMessage
from edge.modbus_transport import Garbled, parse_answer
from edge.mqtt_reader import MqttDeviceReader
from edge.outbox import Outbox
from edge.ports import PointReading
from edge.readings import CONTRACT, QUALITY_NAMES, Birth, Committed, Reply, decode, encode
from edge.session import Session, SessionStats
from tests.unit.edge.rows import START_MS, device, point, register_point
from tests.waiting import until

# --- marks and requests ------------------------------------------------------------------------

MARK: dict[str, Any] = {"epoch": "E", "event": 0, "data": 1, "backfill": 0, "connection": 1}
ASK: dict[str, Any] = {"id": "r-1", "expires": START_MS + 30_000, "what": "rebirth"}
MALFORMED, IGNORED, ANSWERED = "malformed", "ignored", "answered"


def text(message: object) -> bytes:
    return json.dumps(message).encode()


def _no_json(right: bytes) -> dict[str, bytes]:
    return {
        "no bytes": b"", "words": b"hello", "binary": b"\x00\xff" * 50, "bad utf-8": right.replace(b'"', b'"\xff', 1),
        "cut after its first byte": right[:1], "cut in the middle": right[: len(right) // 2], "cut before its end": right[:-1],
        "a list": b"[" + right + b"]", "null": b"null", "nested deeply": b"[" * 100_000, "trailing words": right + b"x",
        "1 MB": b"x" * (1 << 20),
    }  # fmt: skip


_WRONG_MARKS: dict[str, object] = {
    "null": None, "true": True, "a text": "1", "a list": [1], "a fraction": 0.5, "-1": -1,
    "beyond 2^53": 2**53 + 1, "10^30": 10**30,
}  # fmt: skip

HEARD: dict[str, tuple[str, bytes, str]] = {
    **{f"marks: {n}": ("committed", p, MALFORMED) for n, p in _no_json(text(MARK)).items()},
    **{
        f"marks: {member} is {name}": ("committed", text(MARK | {member: odd}), MALFORMED)
        for member in MARK
        for name, odd in _WRONG_MARKS.items()
        if (member, name) != ("epoch", "a text")
    },
    "marks: NaN": ("committed", text(MARK | {"data": float("nan")}), MALFORMED),
    "marks: no epoch": ("committed", text({"data": 1}), MALFORMED),
    "marks of another epoch": ("committed", text(MARK | {"epoch": "F", "data": 2}), IGNORED),
    "marks of no epoch": ("committed", text(MARK | {"epoch": ""}), IGNORED),
    "marks that stand still": ("committed", text(MARK | {"data": 0}), IGNORED),
    "marks beyond every number given": ("committed", text(MARK | {"data": 2**53}), IGNORED),
    "marks beyond on another lane": ("committed", text(MARK | {"event": 3}), IGNORED),
    "marks beyond of another connection": ("committed", text(MARK | {"data": 9, "connection": 7}), IGNORED),
    "marks with a member nobody knows": ("committed", text(MARK | {"data": 0, "x": [1]}), IGNORED),
    **{f"a request: {n}": ("request", p, MALFORMED) for n, p in _no_json(text(ASK)).items()},
    **{
        f"a request: {member} is {name}": ("request", text(ASK | {member: odd}), MALFORMED)
        for member in ASK
        for name, odd in {"null": None, "true": True, "a list": [1], "a fraction": 0.5}.items()
    },
    **{
        f"a request without {member}": ("request", text({k: v for k, v in ASK.items() if k != member}), MALFORMED)
        for member in ASK
    },
    "a request to write": ("request", text(ASK | {"what": "write"}), MALFORMED),
    "a request for nothing": ("request", text(ASK | {"what": ""}), MALFORMED),
    "a request in capitals": ("request", text(ASK | {"what": "REBIRTH"}), MALFORMED),
    "a request of 1970": ("request", text(ASK | {"expires": 0}), ANSWERED),
    "a request of 10^30": ("request", text(ASK | {"expires": 10**30}), ANSWERED),
    "a request without a name": ("request", text(ASK | {"id": ""}), ANSWERED),
    "a topic that is not ours": ("shout", text(ASK), IGNORED),
}  # fmt: skip


@dataclass
class Wire:
    """A publisher that keeps what is said and gives what a test puts in."""

    said: list[tuple[str, bytes]] = field(default_factory=list)
    inbox: asyncio.Queue[tuple[str, bytes]] = field(default_factory=asyncio.Queue)

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None:
        self.said.append((what, payload))

    def queued(self) -> bool:
        return False

    async def received(self) -> tuple[str, bytes]:
        return await self.inbox.get()

    async def close(self) -> None:
        """Nothing to give back."""

    def count(self, what: str) -> int:
        return sum(name == what for name, _ in self.said)


@dataclass
class Edge:
    """One connection whose birth was answered, with two batches on their way."""

    box: Outbox
    wire: Wire
    session: Session

    def hear(self, what: str, payload: bytes) -> None:
        self.wire.inbox.put_nowait((what, payload))

    def mark(self, data: int) -> None:
        self.hear("committed", encode(Committed(self.box.epoch, data=data, connection=1)))


async def _no_reload() -> tuple[str, dict[str, str]]:
    return "refused", {}


@asynccontextmanager
async def sending() -> AsyncIterator[Edge]:
    box = Outbox(":memory:", now=START_MS, rng=np.random.default_rng(1))
    box.define([register_point("p", 0)], START_MS)
    for n in range(2):
        box.keep([PointReading("a/p", float(n), 0, START_MS + n)], START_MS, monotonic=0.0)
    clock, wire = SteppedClock(START_MS), Wire()
    session = Session(
        "e", box, clock, 1, asyncio.Event(),
        lambda connection: Birth(CONTRACT, connection, box.epoch, "1", "", []),
        lambda: None, lambda refusal: None, SessionStats(), _no_reload, dict,
    )  # fmt: skip
    edge = Edge(box, wire, session)
    running = asyncio.ensure_future(session.run(wire))
    edge.mark(0)
    await until(lambda: wire.count("data") == 2)
    try:
        yield edge
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        box.close()


@pytest.mark.parametrize("name", HEARD)
async def test_a_malformed_mark_or_request_costs_nothing(name: str) -> None:
    what, payload, outcome = HEARD[name]
    async with sending() as edge:
        epoch = edge.box.epoch
        edge.hear(what, payload.replace(b'"epoch": "E"', b'"epoch": "%s"' % epoch.encode()))
        edge.hear("request", encode_ask("the next one"))
        await until(lambda: edge.wire.count("reply") == 1 + (outcome == ANSWERED))
        assert edge.session.stats.malformed == (outcome == MALFORMED)
        assert (edge.box.batches, edge.box.epoch) == (2, epoch)
        replies = [payload for name, payload in edge.wire.said if name == "reply"]
        assert decode(replies[-1], Reply).id == "the next one"
        edge.mark(1)
        await until(lambda: edge.box.batches == 1)
        edge.mark(2)
        await until(lambda: edge.box.batches == 0)


def encode_ask(id: str) -> bytes:
    return text(ASK | {"id": id, "what": "diagnose"})


# --- what MQTT devices say ---------------------------------------------------------------------

UNDECODABLE, FAULT, SUSPECT = "undecodable", "sensor_fault", "clock_suspect"
NOTHING = "nothing"

SAID: dict[str, tuple[bytes, str]] = {
    **{
        name: (payload, UNDECODABLE)
        for name, payload in _no_json(b'{"values":{"v":1},"ts":1763700000}').items()
        if name not in ("trailing words", "no bytes")
    },
    "half a string": (b'{"values":{"v', UNDECODABLE),
    "a byte order mark": (b'\xef\xbb\xbf{"values":{"v":1}}', SUSPECT),
    "two byte order marks": (b'\xef\xbb\xbf\xef\xbb\xbf{"values":{"v":1}}', UNDECODABLE),
    "NULs behind": (b'{"values":{"v":1}}\0\0', SUSPECT),
    "a NUL before": (b'\0{"values":{"v":1}}', UNDECODABLE),
    "nothing": (b"", NOTHING),
    "NULs alone": (b"\0\0", NOTHING),
    "utf-16": ('{"values":{"v":1}}'.encode("utf-16"), UNDECODABLE),
    "NaN": (b'{"values":{"v":NaN}}', UNDECODABLE),
    "Infinity": (b'{"values":{"v":Infinity}}', UNDECODABLE),
    "1e400": (b'{"values":{"v":1e400}}', UNDECODABLE),
    "400 digits": (b'{"values":{"v":' + b"9" * 400 + b"}}", UNDECODABLE),
    "an integer beyond 2^53": (b'{"values":{"v":9007199254740993}}', UNDECODABLE),
    "an integer beyond 2^64": (b'{"values":{"v":18446744073709551617}}', UNDECODABLE),
    "an integer beyond 2^53 below 0": (b'{"values":{"v":-9007199254740993}}', UNDECODABLE),
    "a text": (b'{"values":{"v":"warm"}}', UNDECODABLE),
    "a number in a text": (b'{"values":{"v":"21.5"}}', UNDECODABLE),
    "a list for a number": (b'{"values":{"v":[1]}}', UNDECODABLE),
    "an object for a number": (b'{"values":{"v":{}}}', UNDECODABLE),
    "null for a number": (b'{"values":{"v":null}}', FAULT),
    "a lone surrogate": (b'{"values":{"v":"\\ud800"}}', UNDECODABLE),
    "a list where an object should be": (b'{"values":[1]}', UNDECODABLE),
    "a text where an object should be": (b'{"values":"v"}', UNDECODABLE),
    "null where an object should be": (b'{"values":null}', UNDECODABLE),
    "a number for the whole": (b"21.5", UNDECODABLE),
    "true for the whole": (b"true", UNDECODABLE),
    "another member": (b'{"values":{"w":1}}', NOTHING),
    "the member in capitals": (b'{"values":{"V":1}}', NOTHING),
    "an empty object": (b"{}", NOTHING),
    "trailing words": (b'{"values":{"v":1}}x', UNDECODABLE),
    "more than 256 KiB": (b'{"values":{"v":1},"x":"' + b"x" * 300_000 + b'"}', UNDECODABLE),
    "a value beyond its range": (b'{"values":{"v":1e300}}', "out_of_physical_range"),
    "a time in words": (b'{"values":{"v":1},"ts":"today"}', SUSPECT),
    "a time that is null": (b'{"values":{"v":1},"ts":null}', SUSPECT),
    "a time that is true": (b'{"values":{"v":1},"ts":true}', SUSPECT),
    "a time that is a list": (b'{"values":{"v":1},"ts":[1]}', SUSPECT),
    "no time": (b'{"values":{"v":1}}', SUSPECT),
    "a time of 0": (b'{"values":{"v":1},"ts":0}', SUSPECT),
    "a time below 0": (b'{"values":{"v":1},"ts":-5}', SUSPECT),
    "a time of 10^30": (b'{"values":{"v":1},"ts":1e30}', SUSPECT),
    "a time of year 99999": (b'{"values":{"v":1},"ts":"99999-01-01T00:00:00Z"}', SUSPECT),
    "a time of year 0": (b'{"values":{"v":1},"ts":"0000-01-01T00:00:00Z"}', SUSPECT),
    "a time before year 1 in UTC": (b'{"values":{"v":1},"ts":"0001-01-01T00:00:00+14:00"}', SUSPECT),
    "a time of February 30": (b'{"values":{"v":1},"ts":"2025-02-30T00:00:00Z"}', SUSPECT),
}  # fmt: skip


@dataclass
class Feed:
    """A device's broker that hands on what it is given."""

    waiting: list[DeviceMessage] = field(default_factory=list)

    async def open(self, filters: frozenset[str]) -> frozenset[str]:
        """Always connected."""
        return frozenset()

    def take(self) -> DeviceMessage | None:
        return self.waiting.pop(0) if self.waiting else None

    async def close(self) -> None:
        """Nothing to give back."""


@pytest.mark.parametrize("name", SAID)
async def test_what_a_device_says_wrong_is_a_reason_and_the_next_message_a_value(name: str) -> None:
    payload, expected = SAID[name]
    source = JsonPath("d/{unit}", ("values", "v"), time_path=("ts",))
    only = [point(source, range=(0, 100), longest_silence_s=60.0)]
    feed, its = Feed(), device(unit="u")
    reader = MqttDeviceReader(feed, SteppedClock(START_MS))
    await reader.read(its, only)
    right = b'{"values":{"v":2},"ts":%d}' % (START_MS + 5)
    feed.waiting = [DeviceMessage("d/u", p, False, START_MS, 0.0) for p in (payload, right)]
    *wrong, last = (await reader.read(its, only)).readings
    assert (last.value, QUALITY_NAMES[last.quality], last.time) == (2.0, "good", START_MS + 5)
    assert [QUALITY_NAMES[r.quality] for r in wrong] == [expected] * (expected != NOTHING)
    assert all(r.time == START_MS for r in wrong)
    assert [r.value for r in wrong] == [1.0 if expected == SUSPECT else None] * len(wrong)


# --- what Modbus devices answer ----------------------------------------------------------------

PDUS: dict[str, tuple[int, int, bytes]] = {
    "nothing": (3, 1, b""),
    "a function alone": (3, 1, b"\x03"),
    "a length alone": (3, 1, b"\x03\x02"),
    "half a word": (3, 1, b"\x03\x02\x00"),
    "a byte too many": (3, 1, b"\x03\x02\x00\x01\x00"),
    "a word less": (3, 2, b"\x03\x02\x00\x01"),
    "a word more": (3, 1, b"\x03\x04\x00\x01\x00\x02"),
    "a length of 0": (3, 1, b"\x03\x00"),
    "a length of 255": (3, 1, b"\x03\xff\x00\x01"),
    "a length of one": (3, 1, b"\x03\x01\x00\x01"),
    "the input registers' function": (3, 1, b"\x04\x02\x00\x01"),
    "a write of one": (3, 1, b"\x06\x00\x00\x00\x01"),
    "a write of many": (3, 1, b"\x10\x00\x00\x00\x01"),
    "function 0": (3, 1, b"\x00\x02\x00\x01"),
    "an exception without a code": (3, 1, b"\x83"),
    "an exception of two codes": (3, 1, b"\x83\x02\x02"),
    "an exception to another function": (3, 1, b"\x84\x02"),
    "an exception to function 0": (3, 1, b"\x80\x02"),
    "bits for words": (3, 1, b"\x01\x01\x01"),
    "words for bits": (1, 1, b"\x03\x02\x00\x01"),
    "too few bytes of bits": (1, 9, b"\x01\x01\xff"),
    "too many bytes of bits": (2, 8, b"\x02\x02\xff\xff"),
    "a length of bits that lies": (2, 9, b"\x02\x02\xff"),
    "all ones": (3, 1, b"\xff" * 4),
    "text": (3, 1, b"HTTP/1.1 400"),
}


@pytest.mark.parametrize("name", PDUS)
def test_an_answer_of_the_wrong_form_is_garbled(name: str) -> None:
    function, count, frame = PDUS[name]
    with pytest.raises(Garbled):
        parse_answer(function, count, frame)
