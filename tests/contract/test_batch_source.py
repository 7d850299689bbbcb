"""What every source of batches promises, over the twin and over real brokers."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import pytest

from collector.adapters import mqtt as module
from collector.adapters import mqtt_frames as frames
from collector.adapters.memory_bus import MemoryBus
from collector.adapters.mqtt import Broker, MqttSource
from collector.ports import BatchSource, Message
from commands.part_servers import MosquittoServer, NatsServer, free_port
from config.clock import ScaledClock
from edge.ports import LinkLost
from edge.readings import topic
from tests.waiting import until

SITE, AGENT = "riverside", "agent-1"


class Side(Protocol):
    """One broker with our source on one side and an agent on the other."""

    source: BatchSource
    heard: list[tuple[str, bytes]]

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None: ...

    async def cut(self) -> None: ...


class TwinSide:
    def __init__(self) -> None:
        clock = ScaledClock()
        self.bus = MemoryBus(clock, np.random.default_rng(1), LinkLost)
        self.heard: list[tuple[str, bytes]] = []
        self.source: BatchSource = self.bus.source()

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None:
        self.bus.publish(topic(SITE, AGENT, what), payload, retain=retain)

    async def cut(self) -> None:
        self.bus.cut_collector()

    async def hear(self) -> None:
        async with self.bus.connect(SITE, AGENT)(b"lost") as connection:
            while True:
                self.heard.append(await connection.received())


class Proxy:
    """Carries bytes to a broker until it is told to break every connection."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection(*self._target)
        self._writers += [writer, to]
        await asyncio.gather(self._pump(reader, to), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()


class BrokerSide:
    """A real broker: the source goes through a proxy, the agent is a few packets of our own."""

    def __init__(
        self, host: str, port: int, ours: tuple[str, str], theirs: tuple[str, str]
    ) -> None:
        self._at = (host, port)
        self._ours, self._theirs = ours, theirs
        self.proxy = Proxy(host, port)
        self.heard: list[tuple[str, bytes]] = []
        self.source: BatchSource
        self._sent = 0
        self._acknowledged = 0
        self._subscribed = False

    async def start(self) -> None:
        port = await self.proxy.start()
        self.source = MqttSource(Broker("127.0.0.1", port, *self._ours), ScaledClock())
        self._reader, self._writer = await asyncio.open_connection(*self._at)
        user, password = self._theirs
        name = (
            f"{AGENT}-{port}"  # NATS puts off who comes while an earlier one of its name is ending
        )
        self._writer.write(frames.connect(name, keepalive_s=60, user=user, password=password))
        wanted = [topic(SITE, AGENT, what) for what in ("committed", "request")]
        self._writer.write(frames.subscribe(1, wanted))
        self._hearing = asyncio.create_task(self._hear())
        await until(lambda: self._subscribed, 10)

    async def _hear(self) -> None:
        rest = b""
        while data := await self._reader.read(65536):
            published, others, used = frames.cut(rest + data)
            rest = (rest + data)[used:]
            self._acknowledged += sum(f.kind == frames.PUBACK for f in others)
            self._subscribed |= any(f.kind == frames.SUBACK for f in others)
            self._writer.write(frames.acknowledge(published))
            self.heard += [(p.topic.split("/")[4], p.payload) for p in published]

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None:
        self._sent += 1
        where = topic(SITE, AGENT, what)
        self._writer.write(frames.publish(where, payload, number=self._sent, retain=retain))
        await until(lambda: self._acknowledged == self._sent, 10)

    async def cut(self) -> None:
        self.proxy.cut()

    async def stop(self) -> None:
        for what in ("birth", "committed"):  # nothing is left for the next test
            await self.publish(what, b"", retain=True)
        self._writer.write(frames.DISCONNECT)
        await self._writer.drain()
        self._writer.close()
        await asyncio.gather(self._hearing, return_exceptions=True)
        await self.source.close()
        await self.proxy.stop()


@asynccontextmanager
async def twin() -> AsyncIterator[Side]:
    side = TwinSide()
    hearing = asyncio.create_task(side.hear())
    yield side
    await side.source.close()
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)


@asynccontextmanager
async def over(side: BrokerSide) -> AsyncIterator[Side]:
    await side.start()
    yield side
    await side.stop()


def over_mqtt(server: MosquittoServer | NatsServer) -> BrokerSide:
    user = f"{SITE}/{AGENT}"
    ours = ("collector", server.users["collector"])
    return BrokerSide(server.host, server.port, ours, (user, server.users[user]))


@asynccontextmanager
async def over_amqtt(folder: Path) -> AsyncIterator[Side]:
    port = free_port()
    config = folder / "amqtt.yaml"
    config.write_text(AMQTT.format(port=port), encoding="utf-8")
    program = Path(sys.executable).with_name("amqtt")
    broker = start(program, config, folder / "amqtt.log")
    try:
        await until(lambda: listens(port), 20)
        async with over(BrokerSide("127.0.0.1", port, ("", ""), ("", ""))) as side:
            yield side
    finally:
        broker.kill()
        broker.wait()


AMQTT = """
listeners:
  default: {{type: tcp, bind: "127.0.0.1:{port}"}}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin: {{allow_anonymous: true}}
"""


def start(program: Path, config: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen([program, "-c", config], stdout=out, stderr=out)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(
    params=[
        "twin",
        pytest.param("amqtt", marks=pytest.mark.system),
        pytest.param("mosquitto", marks=pytest.mark.system),
        pytest.param("nats", marks=pytest.mark.system),
    ]
)
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    kinds: dict[str, Callable[[], Any]] = {
        "twin": twin,
        "amqtt": lambda: over_amqtt(tmp_path),
        "mosquitto": lambda: over(over_mqtt(request.getfixturevalue("mosquitto"))),
        "nats": lambda: over(over_mqtt(request.getfixturevalue("nats"))),
    }
    async with kinds[request.param]() as made:
        yield made


class Taking:
    """Reads lists in the background."""

    def __init__(self, source: BatchSource) -> None:
        self.lists: list[list[Message]] = []
        self.task = asyncio.create_task(self._take(source))

    async def _take(self, source: BatchSource) -> None:
        async for messages in source.batches():
            self.lists.append(messages)

    @property
    def messages(self) -> list[Message]:
        return [m for messages in self.lists for m in messages]

    def marks(self) -> int:
        return sum(m.topic == "" for m in self.messages)

    def payloads(self, what: str) -> list[bytes]:
        return [m.payload for m in self.messages if m.topic == topic(SITE, AGENT, what)]


async def connected(side: Side) -> Taking:
    """Reading, once every connection stands."""
    taking = Taking(side.source)
    await until(lambda: taking.marks() and getattr(side.source, "connected", True), 10)
    return taking


async def test_a_connection_begins_with_a_mark_and_what_was_retained(side: Side) -> None:
    await side.publish("birth", b"born", retain=True)
    taking = await connected(side)
    await until(lambda: taking.payloads("birth") == [b"born"])
    assert taking.messages[0].topic == ""


async def test_messages_arrive_whole_and_in_order(side: Side) -> None:
    taking = await connected(side)
    sent = [b"", b"\x00\xff" * 50_000, *(f"{n}".encode() for n in range(200))]
    for payload in sent:
        await side.publish("data", payload)
    await until(lambda: len(taking.payloads("data")) == len(sent), 10)
    assert taking.payloads("data") == sent
    assert all(taking.lists)
    assert all(m.received > 1_600_000_000_000 for m in taking.messages)


async def test_an_event_comes_in_a_list_of_its_own_ahead_of_what_waits(side: Side) -> None:
    lists = side.source.batches()
    seen = [await anext(lists)]
    while not getattr(side.source, "connected", True):
        seen.append(await anext(lists))
    for n in range(20):
        await side.publish("data", f"{n}".encode())
    await side.publish("event", b"fire")
    await until(lambda: all_there(side, 21))
    taken = list[list[str]]()
    next_list = list(side.source.waiting())
    async for messages in lists:
        if not taken:
            assert (
                messages[: len(next_list)] == next_list
            )  # what waits is what comes, and nothing of it is lost
        taken.append([m.topic.split("/")[-1] for m in messages if m.topic])
        if sum(map(len, taken)) == 21:
            break
    found = [what for what in taken if what]
    assert ["event"] in found
    assert found.index(["event"]) <= found.index(next(w for w in found if "data" in w)) or (
        "event" not in {w for what in found for w in what if "data" in what}
    )


def all_there(side: Side, count: int) -> bool:
    """Whether the broker's messages have all reached the source, as far as it shows."""
    queues = getattr(side.source, "_queues", None)
    return queues is None or sum(len(q.waiting) for q in queues.values()) >= count


async def test_what_is_committed_reaches_the_agent(side: Side) -> None:
    await connected(side)
    mark = os.urandom(8)  # a broker that is shared may have retained that of another test
    await side.source.commit(topic(SITE, AGENT, "committed"), mark, retain=True)
    await side.source.commit(topic(SITE, AGENT, "request"), b"rebirth", retain=False)
    sent = [("committed", mark), ("request", b"rebirth")]
    # no broker promises an order of two topics
    await until(lambda: sorted(heard for heard in side.heard if heard in sent) == sent)


async def test_a_lost_connection_comes_back_by_itself_with_a_mark(side: Side) -> None:
    taking = await connected(side)
    before = taking.marks()
    await side.cut()
    await until(lambda: taking.marks() > before, 10)
    await until(lambda: getattr(side.source, "connected", True), 10)
    await side.publish("data", b"after")
    await until(lambda: taking.payloads("data") == [b"after"], 10)


async def test_closing_ends_the_lists_and_may_be_repeated(side: Side) -> None:
    taking = await connected(side)
    await side.source.close()
    await asyncio.wait_for(taking.task, 5)
    await side.source.close()
    await side.source.commit(topic(SITE, AGENT, "committed"), b"dropped", retain=False)


# --- our own subscriber ------------------------------------------------------------------------


@asynccontextmanager
async def speaking(answers: Callable[[bytes], bytes | None]) -> AsyncIterator[tuple[MqttSource, list[bytes]]]:  # fmt: skip
    """A source connected to somebody who answers each piece as told; None ends the connection."""
    got: list[bytes] = []

    serving: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(cast(asyncio.Task[Any], asyncio.current_task()))
        with suppress(ConnectionError):  # a source may hang up with bytes unread
            while data := await reader.read(65536):
                got.append(data)
                answer = answers(data)
                if answer is None:
                    break
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    source = MqttSource(Broker("127.0.0.1", port), ScaledClock())
    yield source, got
    await source.close()
    server.close()
    await server.wait_closed()
    if serving:
        await asyncio.wait(serving)


CONNACK, SUBACK = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"


def friendly(data: bytes) -> bytes:
    return {1: CONNACK, 8: SUBACK}.get(data[0] >> 4, b"")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        pytest.param(lambda _: b"\x20\x02\x00\x05", "no right", id="refused"),
        pytest.param(lambda _: b"\x20\x02\x00\x63", "99", id="refused without a reason"),
        pytest.param(lambda d: CONNACK if d[0] >> 4 == 1 else b"\x90\x03\x00\x01\x80", "rights", id="no subscription"),
        pytest.param(lambda _: b"HTTP/1.1 400 Bad Request\r\n" * 9, "does not speak MQTT", id="another protocol"),
        pytest.param(lambda _: None, "closed by the broker", id="hangs up"),
    ],
)  # fmt: skip
async def test_a_broker_that_does_not_want_us_is_named_once_and_tried_again(
    answers: Callable[[bytes], bytes | None], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with speaking(answers) as (source, got):
        taking = Taking(source)
        await until(lambda: sum(d[0] >> 4 == 1 for d in got) >= 4, 10)
        assert not source.connected
        assert taking.lists == []
        await source.close()
        await taking.task
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert all(said in text for text in warnings)


async def test_a_broker_that_is_not_there_is_tried_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = MqttSource(Broker("127.0.0.1", free_port()), ScaledClock())
    taking = Taking(source)
    await until(lambda: len(caplog.records) == 2, 10)
    await source.close()
    await taking.task


async def test_a_broker_that_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ANSWER_S_MAX", 0.05)
    async with speaking(lambda _: b"") as (source, got):
        taking = Taking(source)
        await until(lambda: len(got) >= 4, 10)
        await source.close()
        await taking.task
    assert "no answer within" in caplog.text


async def test_a_connection_that_died_silently_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_EVERY_S", 0.05)
    async with speaking(friendly) as (source, got):
        taking = Taking(source)
        await until(lambda: taking.marks() >= 4, 10)
        assert any(data.startswith(frames.PINGREQ) for data in got)
        await source.close()
        await taking.task


def flooding(data: bytes) -> bytes:
    """As `friendly`, and 4 MB in 4 000 publications at once to who subscribes to data."""
    flood = frames.publish(topic(SITE, AGENT, "data"), b"x" * 1000, number=1) * 4000
    return SUBACK + flood if data[0] >> 4 == 8 and b"data" in data else friendly(data)


async def test_what_waits_is_bounded_and_the_socket_not_read_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAITING_BYTES_MAX", 50_000)
    monkeypatch.setattr(module, "LIST_BYTES_MAX", 10_000)

    async with speaking(flooding) as (source, _):
        lists = source.batches()
        count = sum(1 for m in await anext(lists) if m.topic)
        await until(lambda: source._queues["bulk"].bytes >= 50_000)
        most = 0
        shown = source.waiting()
        async for messages in lists:
            assert messages[: len(shown)] == shown
            assert (
                sum(1 for m in messages if m.topic) <= 9
            )  # of 1 200 bytes with what a message costs
            shown = source.waiting()
            count += sum(1 for m in messages if m.topic)
            most = max(most, source._queues["bulk"].bytes)
            if count == 4000:
                break
        assert most < 50_000 + 2 * 256 * 1024


async def test_who_is_not_listened_to_is_not_taken_for_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As long as the journal refuses, nothing is taken: the broker keeps it, on one connection."""
    monkeypatch.setattr(module, "WAITING_BYTES_MAX", 50_000)
    monkeypatch.setattr(module, "PING_EVERY_S", 0.05)

    async with speaking(flooding) as (source, got):
        await anext(source.batches())
        await until(lambda: source._queues["bulk"].bytes >= 50_000)
        link = source._links["bulk"]
        pings = sum(data.count(frames.PINGREQ) for data in got)
        await until(lambda: sum(data.count(frames.PINGREQ) for data in got) > pings + 16, 10)
        assert source._links["bulk"] is link


async def test_who_is_listened_to_again_was_not_silent_meanwhile() -> None:
    async with speaking(friendly) as (source, _):
        await anext(source.batches())
        await until(lambda: source.connected)
        link, now = source._links["bulk"], asyncio.get_running_loop().time()
        link.pause()
        link.heard = now - 100
        link.resume()
        assert link.heard >= now


async def test_a_new_connection_is_not_read_while_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAITING_BYTES_MAX", 50_000)
    async with speaking(friendly) as (source, _):
        await anext(source.batches())
        await until(lambda: source.connected)
        old = source._links["bulk"]
        old.end("cut")
        for _ in range(50):
            source.put(Message(topic(SITE, AGENT, "data"), b"x" * 1000, 0))
        await until(lambda: source._links.get("bulk") not in (None, old), 10)
        assert source._links["bulk"].paused
        assert not source._links["event"].paused


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 1000])
def test_packets_are_cut_out_wherever_the_pieces_end(pieces: int) -> None:
    sent = [frames.publish("a/b", b"x" * n, number=n % 2 * 7, retain=n > 300) for n in (0, 1, 120, 130, 20_000)]  # fmt: skip
    data = b"".join([CONNACK, *sent, SUBACK])
    step = max(1, len(data) // pieces)
    rest, found, others = b"", [], []
    for at in range(0, len(data), step):
        rest += data[at : at + step]
        published, other, used = frames.cut(rest)
        rest = rest[used:]
        found += published
        others += other
    assert rest == b""
    assert [(p.topic, len(p.payload), p.id, p.retained) for p in found] == [
        ("a/b", 0, 0, False), ("a/b", 1, 7, False), ("a/b", 120, 0, False),
        ("a/b", 130, 0, False), ("a/b", 20_000, 0, True),
    ]  # fmt: skip
    assert [f.kind for f in others] == [frames.CONNACK, frames.SUBACK]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x30\xff\xff\xff\xff\x01", id="a length of five bytes"),
        pytest.param(b"\x30\xff\xff\xff\x7f", id="256 MB"),
        pytest.param(b"\x30\x03\x00\x09a", id="a topic beyond the packet"),
        pytest.param(b"\x36\x05\x00\x01a\x00\x01", id="QoS 3"),
        pytest.param(b"\x32\x03\x00\x01a", id="no packet number"),
        pytest.param(b"\x30\x03\x00\x01\xff", id="a topic that is not UTF-8"),
        pytest.param(b"\x30\x00", id="an empty publish"),
        pytest.param(b"\x30\x01\x00", id="half a length"),
    ],
)
def test_bytes_that_are_not_mqtt_are_refused(data: bytes) -> None:
    with pytest.raises(frames.Unframed):
        frames.cut(data + b"\x00" * 3 if len(data) < 3 else data)
