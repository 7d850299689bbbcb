"""The broker's twin in one process: QoS 1 with duplicates, cuts and loss after acknowledgement, all seeded."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.ports import Message
from config.clock import Clock
from edge.readings import parse_topic, topic

UP: Final = ("birth", "event", "data", "backfill", "state", "reply")
DOWN: Final = ("committed", "request")


@dataclass(slots=True)
class Faults:
    """Chances per message, 0..1, and how long each message takes (seconds of the loop).

    A lost message was acknowledged: nobody is told. A repeated one comes twice.
    """

    repeated: float = 0.0
    lost: float = 0.0
    latency_s: float = 0.0


class MemoryBus:
    """Carries messages between agents and one collector as a broker with clean sessions does.

    Args:
        clock: stamps what the collector receives.
        rng: decides which messages are hurt.
        lost: the error that an edge knows as a lost link.
        faults: may be changed at any time.
    """

    def __init__(
        self,
        clock: Clock,
        rng: np.random.Generator,
        lost: Callable[[str], Exception],
        faults: Faults | None = None,
    ) -> None:
        self.clock = clock
        self.faults = faults or Faults()
        self.lost = lost
        self.up = True
        self.retained: dict[str, bytes] = {}
        self.published = 0
        self.source_now: MemorySource | None = None
        self._rng = rng
        self._edges: dict[tuple[str, str], MemoryConnection] = {}

    # --- for the edges

    def connect(self, site: str, agent: str) -> Callable[[bytes], "MemoryConnection"]:
        """What an agent calls with its will to be connected."""
        return lambda will: MemoryConnection(self, (site, agent), will)

    def enter(self, connection: "MemoryConnection") -> None:
        """Take a connection in; one of the same agent that is still there is cut. Raises `lost`."""
        if not self.up:
            raise self.lost("the broker does not answer")
        if connection.name in self._edges:
            self.cut(*connection.name)
        self._edges[connection.name] = connection
        for what in DOWN:
            kept = self.retained.get(topic(*connection.name, what))
            if kept is not None:
                connection.deliver(what, kept)

    def leave(self, connection: "MemoryConnection") -> None:
        """The connection ended in good order: no will."""
        if self._edges.get(connection.name) is connection:
            del self._edges[connection.name]

    def publish(self, name: str, payload: bytes, *, retain: bool) -> None:
        """Take a message in and acknowledge it, whatever becomes of it then."""
        self.published += 1
        draw = self._rng.random()
        if draw < self.faults.lost:
            return
        if retain:
            self.retained[name] = payload
        times = 2 if draw < self.faults.lost + self.faults.repeated else 1
        for _ in range(times):
            self._after_latency(lambda: self._deliver(name, payload))

    def _after_latency(self, deliver: Callable[[], None]) -> None:
        if self.faults.latency_s:
            asyncio.get_running_loop().call_later(self.faults.latency_s, deliver)
        else:
            deliver()

    def _deliver(self, name: str, payload: bytes) -> None:
        parts = parse_topic(name)
        if parts is not None and parts.what in DOWN:
            edge = self._edges.get((parts.site, parts.agent))
            if edge is not None:
                edge.deliver(parts.what, payload)
        elif self.source_now is not None:
            self.source_now.deliver(Message(name, payload, self.clock.now()))

    # --- accidents

    def cut(self, site: str, agent: str) -> None:
        """Break one agent's connection; its will is published."""
        connection = self._edges.pop((site, agent), None)
        if connection is not None:
            connection.break_()
            self.publish(topic(site, agent, "state"), connection.will, retain=True)

    def cut_collector(self) -> None:
        """Break the collector's connection; it connects again at once."""
        if self.source_now is not None:
            self.source_now.reconnect(lose=True)

    def stop(self, *, forget: bool = True) -> None:
        """Kill the broker: every connection breaks; with `forget` it loses what it retained."""
        self.up = False
        for connection in self._edges.values():
            connection.break_()
        self._edges.clear()
        if forget:
            self.retained.clear()

    def start(self) -> None:
        """Start the broker again; the collector finds it at once."""
        self.up = True
        self.cut_collector()

    # --- for the collector

    def source(self) -> "MemorySource":
        """The collector's side; one at a time: an earlier one is closed."""
        if self.source_now is not None:
            self.source_now.end()
        self.source_now = MemorySource(self)
        if self.up:
            self.source_now.reconnect(lose=False)
        return self.source_now


class MemoryConnection:
    """One agent's connection: a context that is its own publisher."""

    def __init__(self, bus: MemoryBus, name: tuple[str, str], will: bytes) -> None:
        self.name = name
        self.will = will
        self._bus = bus
        self._open = False
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> "MemoryConnection":
        self._bus.enter(self)
        self._open = True
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None:
        if not self._open:
            raise self._bus.lost("the connection is cut")
        self._bus.publish(topic(*self.name, what), payload, retain=retain)
        await asyncio.sleep(self._bus.faults.latency_s)

    async def received(self) -> tuple[str, bytes]:
        while not self._inbox:
            if not self._open:
                raise self._bus.lost("the connection is cut")
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def close(self) -> None:
        self._open = False
        self._bus.leave(self)
        self._arrived.set()

    def deliver(self, what: str, payload: bytes) -> None:
        """The broker has something for this agent."""
        self._inbox.append((what, payload))
        self._arrived.set()

    def break_(self) -> None:
        """The connection is gone without a word; what had not been read yet is gone too."""
        self._open = False
        self._inbox.clear()
        self._arrived.set()


class MemorySource:
    """The collector's connection: a `BatchSource`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._urgent: list[Message] = []
        self._others: list[Message] = []
        self._arrived = asyncio.Event()
        self._ended = False

    async def batches(self) -> AsyncIterator[list[Message]]:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while found := self._next():
                yield found
            if self._ended:
                return

    def _next(self) -> list[Message]:
        if self._urgent:
            found, self._urgent = self._urgent, []
        else:
            found, self._others = self._others, []
        return found

    async def commit(self, topic: str, payload: bytes, *, retain: bool) -> None:
        if not self._ended and self._bus.up:
            self._bus.publish(topic, payload, retain=retain)

    async def close(self) -> None:
        self.end()

    def end(self) -> None:
        """The collector is gone: nothing is kept for it."""
        self._ended = True
        self._urgent, self._others = [], []
        if self._bus.source_now is self:
            self._bus.source_now = None
        self._arrived.set()

    def deliver(self, message: Message) -> None:
        """The broker has something for the collector."""
        urgent = message.topic.endswith("/event")
        (self._urgent if urgent else self._others).append(message)
        self._arrived.set()

    def reconnect(self, *, lose: bool) -> None:
        """A new connection: a mark of it, then what the broker retained."""
        if lose:
            self._urgent, self._others = [], []
        now = self._bus.clock.now()
        self.deliver(Message("", b"", now))
        for name, payload in list(self._bus.retained.items()):
            parts = parse_topic(name)
            if parts is not None and parts.what in UP:
                self.deliver(Message(name, payload, now))
