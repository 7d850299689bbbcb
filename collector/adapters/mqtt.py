"""Batches over MQTT by our own small subscriber: whole pieces of the socket at once (docs/decisions/020-own-subscriber.md)."""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final, cast

import numpy as np

from collector.adapters import mqtt_frames as mqtt
from collector.ports import Message
from config.clock import Clock

log = logging.getLogger("steward.broker")

BULK: Final = ("data", "backfill", "birth", "state", "reply")
LIST_BYTES_MAX: Final = 1 << 19
"""What one list holds at most, so that an event waits for no more than this: at a megabyte alarms took twice as long
beside a backlog, and not more readings came in a second (benchmarks/README.md)."""
WAITING_BYTES_MAX: Final = 8 << 20
"""What may wait in memory; above it the socket is not read and the broker keeps the rest."""
COMMITS_BYTES_MAX: Final = 1 << 20
MESSAGE_OVERHEAD: Final = 200
ANSWER_S_MAX: Final = 10.0
PING_EVERY_S: Final = 10.0
RECONNECT_S_MIN: Final = 0.2
RECONNECT_S_MAX: Final = 15.0
REFUSALS: Final = {
    1: "protocol version", 2: "client name", 3: "not available", 4: "name or password", 5: "no right",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, as whom we speak to it, and which site's agents we hear (`+`: all).

    With `ca_file` over TLS, name and certificate checked.
    """

    host: str
    port: int
    user: str = ""
    password: str = ""
    client: str = "collector"
    site: str = "+"
    ca_file: str = ""


@dataclass(slots=True)
class _Queue:
    """Messages that wait, with their size."""

    waiting: deque[Message] = field(default_factory=deque)
    bytes: int = 0

    def push(self, message: Message) -> None:
        self.waiting.append(message)
        self.bytes += len(message.payload) + MESSAGE_OVERHEAD

    def next_list(self) -> list[Message]:
        """What `take` would give."""
        size = 0
        for count, message in enumerate(self.waiting):
            if size >= LIST_BYTES_MAX:
                return list(islice(self.waiting, count))
            size += len(message.payload) + MESSAGE_OVERHEAD
        return list(self.waiting)

    def take(self) -> list[Message]:
        taken = self.next_list()
        for message in taken:
            self.waiting.popleft()
            self.bytes -= len(message.payload) + MESSAGE_OVERHEAD
        return taken


class _Link(asyncio.Protocol):
    """One connection's life: CONNECT, SUBSCRIBE, then messages. `ended` says why it is over."""

    def __init__(
        self,
        greeting: bytes,
        filters: Sequence[str],
        clock: Clock,
        push: Callable[[Message], bool],
        opened: "Callable[[_Link], None]",
    ) -> None:
        self._greeting = greeting
        self._filters = filters
        self._clock = clock
        self._push = push
        self._opened = opened
        self._rest = b""
        self._transport: asyncio.Transport
        self._outgoing: list[bytes] = []
        self.paused = False
        self._number = 0
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[str] = loop.create_future()
        self.heard = loop.time()

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._greeting)

    def data_received(self, data: bytes) -> None:
        self.heard = asyncio.get_running_loop().time()
        data = self._rest + data if self._rest else data
        try:
            published, others, used = mqtt.cut(data)
        except mqtt.Unframed as error:
            self.end(f"the broker does not speak MQTT: {error}")
            return
        self._rest = data[used:]
        for frame in others:
            self._answered(frame)
        if not published:
            return
        self._open()  # amqtt sends what it retained before it answers SUBSCRIBE
        now, room = self._clock.now(), True
        for message in published:
            room = self._push(Message(message.topic, message.payload, now))
        self._transport.write(mqtt.acknowledge(published))
        if not room:
            self.pause()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(str(exc) if exc else "closed by the broker")

    # --- ours

    def end(self, reason: str) -> None:
        """This connection is over; the first reason stays."""
        if not self.ended.done():
            self.ended.set_result(reason)
        if not self.ready.done():
            self.ready.cancel()
        self._transport.abort()

    def leave(self) -> None:
        """Say goodbye and close."""
        if not self.ended.done():
            self.ended.set_result("")
            self._transport.write(mqtt.DISCONNECT)
            self._transport.close()

    def pause(self) -> None:
        """There is no room: read nothing more."""
        if not self.paused and not self.ended.done():
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """There is room again."""
        if self.paused and not self.ended.done():
            self.paused = False
            self.heard = asyncio.get_running_loop().time()
            self._transport.resume_reading()

    def ping(self) -> None:
        """Ask whether the broker is there; any answer moves `heard`."""
        self._transport.write(mqtt.PINGREQ)

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Send with what else is published in this turn of the loop; dropped when too much waits."""
        if self._transport.get_write_buffer_size() > COMMITS_BYTES_MAX:
            return
        self._number = self._number % mqtt.ID_MAX + 1
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._send)
        self._outgoing.append(mqtt.publish(topic, payload, number=self._number, retain=retain))

    def _send(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if not self.ended.done():
            self._transport.write(b"".join(outgoing))

    def _answered(self, frame: mqtt.Frame) -> None:
        if frame.kind == mqtt.CONNACK:
            code = frame.body[1] if len(frame.body) > 1 else 0
            if code:
                self.end(f"the broker refuses us: {REFUSALS.get(code, code)}")
            else:
                self._transport.write(mqtt.subscribe(1, self._filters))
        elif frame.kind == mqtt.SUBACK:
            if any(code > 2 for code in frame.body[2:]):
                self.end(f"the broker refuses to send {', '.join(self._filters)}: check its rights")
            else:
                self._open()

    def _open(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
            self._opened(self)


class MqttSource:
    """A `BatchSource` on asyncio: two connections, one of them for `event` alone; no thread."""

    def __init__(
        self, broker: Broker, clock: Clock, rng: np.random.Generator | None = None
    ) -> None:
        self._broker = broker
        self._tls = ssl.create_default_context(cafile=broker.ca_file) if broker.ca_file else None
        self._clock = clock
        self._rng = rng or np.random.default_rng()
        self._news = asyncio.Event()
        self._closed = False
        self._queues = {"event": _Queue(), "bulk": _Queue()}
        self._links: dict[str, _Link] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        """Whether both connections stand now."""
        return len(self._links) == len(self._queues)

    @property
    def waiting_bytes(self) -> int:
        """What was received and not taken yet."""
        return sum(queue.bytes for queue in self._queues.values())

    def put(self, message: Message) -> None:
        """Have a message of our own come in the next lists, as if a broker had brought it."""
        self._push("bulk", message)

    async def batches(self) -> AsyncIterator[list[Message]]:
        for name, whats in (("event", ("event",)), ("bulk", BULK)):
            filters = [f"steward/v1/{self._broker.site}/+/{what}" for what in whats]
            self._tasks.append(asyncio.create_task(self._stay(name, filters)))
        while not self._closed:
            self._news.clear()
            taken = self._take("event") or self._take("bulk")
            if taken:
                yield taken
            else:
                await self._news.wait()

    def waiting(self) -> list[Message]:
        return self._queues["event"].next_list() or self._queues["bulk"].next_list()

    async def commit(self, topic: str, payload: bytes, *, retain: bool) -> None:
        link = self._links.get("bulk")
        if link is not None:
            link.publish(topic, payload, retain=retain)

    async def close(self) -> None:
        self._closed = True
        self._news.set()
        for link in self._links.values():
            link.leave()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _take(self, name: str) -> list[Message]:
        queue = self._queues[name]
        taken = queue.take()
        if taken and queue.bytes < WAITING_BYTES_MAX // 2 and name in self._links:
            self._links[name].resume()
        return taken

    def _push(self, name: str, message: Message) -> bool:
        """Keep the message; False when no more should come for now."""
        queue = self._queues[name]
        queue.push(message)
        self._news.set()
        return queue.bytes < WAITING_BYTES_MAX

    async def _stay(self, name: str, filters: Sequence[str]) -> None:
        """Be connected for ever; one log line when it is lost, one when it is back."""
        backoff_s, said = RECONNECT_S_MIN, ""
        while not self._closed:
            link = await self._connect(name, filters)
            if isinstance(link, _Link):
                backoff_s, said = RECONNECT_S_MIN, ""
                log.info("connected to the broker (%s)", name)
                reason = await self._live(name, link)
            else:
                reason = link
            if reason and reason != said and not self._closed:
                log.warning("no connection to the broker (%s): %s; trying on", name, reason)
                said = reason
            await asyncio.sleep(backoff_s * self._rng.uniform(0.5, 1.0))
            backoff_s = min(2 * backoff_s, RECONNECT_S_MAX)

    async def _connect(self, name: str, filters: Sequence[str]) -> "_Link | str":
        broker = self._broker
        greeting = mqtt.connect(
            f"{broker.client}-{name}",
            keepalive_s=round(3 * PING_EVERY_S),
            user=broker.user,
            password=broker.password,
        )
        push, opened = partial(self._push, name), partial(self._opened, name)
        loop = asyncio.get_running_loop()
        link = None
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                _, link = await loop.create_connection(
                    lambda: _Link(greeting, filters, self._clock, push, opened),
                    broker.host,
                    broker.port,
                    ssl=self._tls,
                )
                first: list[asyncio.Future[Any]] = [link.ready, link.ended]
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, TimeoutError) as error:
            return str(error) or f"no answer within {ANSWER_S_MAX:.0f} s"
        finally:
            if link is not None and not link.ready.done():
                link.end("no answer")
        return link.ended.result() if link.ended.done() else link

    async def _live(self, name: str, link: _Link) -> str:
        """The connection's life; returns why it ended."""
        loop = asyncio.get_running_loop()
        try:
            while not link.ended.done():
                await asyncio.wait([link.ended], timeout=PING_EVERY_S)
                deaf = link.paused or link.ended.done()
                if loop.time() - link.heard > 2.5 * PING_EVERY_S and not deaf:
                    link.end("nothing heard from it")
                link.ping()
            return link.ended.result()
        finally:
            self._links.pop(name, None)
            link.leave()

    def _opened(self, name: str, link: _Link) -> None:
        self._links[name] = link
        if not self._push(name, Message("", b"", self._clock.now())):
            link.pause()
