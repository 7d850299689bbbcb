"""The broker's twin in one process: QoS 1 with duplicates, cuts, sessions taken over or half open, and loss after acknowledgement, all seeded."""

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
GIVEN_UP_S: Final = 40.0
"""A keep-alive, and one more for the answer to its ping: then an agent knows that its connection is dead."""


@dataclass(slots=True)
class Faults:
    """Chances per message, 0..1, and how long each message takes (seconds of the loop).

    A lost message was acknowledged: nobody is told. A repeated one comes twice. With `bytes_per_s`
    what an agent sends goes over its line one after the other, and waits there for its turn.
    """

    repeated: float = 0.0
    lost: float = 0.0
    latency_s: float = 0.0
    bytes_per_s: float = 0.0


class MemoryBus:
    """Carries messages between agents and collectors as a broker with clean sessions does.

    A name has one session: who comes in under it takes it from whoever had it.

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
        self.messages_lost = self.messages_repeated = self.messages_late = 0
        self.sessions_taken = 0
        """How often one came in while another had its session."""
        self.lives = 0
        """How often it was killed: what was under way then never arrives."""
        self.source_now: MemorySource | None = None
        """Who has the collector's session, or had it last."""
        self.both_hear = False
        """Whether this broker goes on sending to a collector whose session was taken."""
        self._sources: list[MemorySource] = []
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
        self.sessions_taken += self.cut(*connection.name)
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
            self.messages_lost += 1
            return
        if retain:
            self.retained[name] = payload
        times = 2 if draw < self.faults.lost + self.faults.repeated else 1
        self.messages_repeated += times - 1
        for _ in range(times):
            self._after_latency(lambda: self._deliver(name, payload))

    def publish_late(self, seconds: float, name: str, payload: bytes, *, retain: bool) -> None:
        """Take a message in after so long, unless the broker is killed meanwhile."""
        life = self.lives
        self.messages_late += 1

        def arrive() -> None:
            if life == self.lives:
                self.publish(name, payload, retain=retain)

        asyncio.get_running_loop().call_later(seconds, arrive)

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
        else:
            for source in list(self._sources):
                source.deliver(Message(name, payload, self.clock.now()))

    # --- accidents

    def cut(self, site: str, agent: str) -> bool:
        """Break one agent's connection; its will is published, unless nobody can know yet.

        Returns whether there was one that the agent took for whole.
        """
        connection = self._edges.get((site, agent))
        if connection is None:
            return False
        broken = connection.break_()
        if not connection.half_open:
            del self._edges[site, agent]
            if connection.will:
                self.publish(topic(site, agent, "state"), connection.will, retain=True)
        return broken

    def end_of(self, connection: "MemoryConnection") -> None:
        """A half-open connection has ended: its will is published, whoever has the session now."""
        if self._edges.get(connection.name) is connection:
            self.cut(*connection.name)
        elif connection.will:
            self.publish(topic(*connection.name, "state"), connection.will, retain=True)

    def stall(self, site: str, agent: str, seconds: float) -> bool:
        """Half-open: for so long nothing gets through between the broker and this agent.

        It arrives then, and if the agent has given the connection up meanwhile its will too.
        Returns whether there was a connection that was not half open yet.
        """
        connection = self._edges.get((site, agent))
        return connection is not None and connection.stall(seconds)

    def deafen(self, site: str, agent: str) -> None:
        """From now on this agent's connection takes what it says and brings it nothing."""
        connection = self._edges.get((site, agent))
        if connection is not None:
            connection.deaf = True

    def cut_collector(self, *, away_s: float = 0.0) -> bool:
        """Break the collector's connection; it connects again at once, or after so many seconds.

        Returns whether there was one.
        """
        source = self.source_now
        if source is None:
            return False
        connected = source in self._sources
        if away_s:
            source.disconnect()
            asyncio.get_running_loop().call_later(away_s, source.back)
        else:
            source.reconnect(lose=True)
        return connected

    def stall_collector(self, seconds: float) -> None:
        """What the collector publishes from now on arrives only then, even if it is gone by then."""
        if self.source_now is not None:
            self.source_now.late_s = seconds

    def stop(self, *, forget: bool = True) -> bool:
        """Kill the broker: every connection breaks; with `forget` it loses what it retained.

        Returns whether it was up.
        """
        was_up, self.up = self.up, False
        self.lives += 1
        for connection in self._edges.values():
            connection.break_()
        self._edges.clear()
        if forget:
            self.retained.clear()
        return was_up

    def start(self) -> None:
        """Start the broker again; the collectors find it at once."""
        self.up = True
        self.cut_collector()

    # --- for the collector

    def source(self, *, beside: bool = False) -> "MemorySource":
        """The collector's side; an earlier one is closed, or lives on without its session (`beside`)."""
        if self.source_now is not None and not beside:
            self.source_now.end()
        source = MemorySource(self)
        self.give_session(source)
        return source

    def give_session(self, source: "MemorySource") -> None:
        """This one takes the collector's session."""
        others = [one for one in self._sources if one is not source]
        for other in [] if self.both_hear else others:
            self.sessions_taken += 1
            other.disconnect()
        self.source_now = source
        if self.up:
            source.reconnect(lose=False)

    def join(self, source: "MemorySource", *, joins: bool) -> None:
        """Whether messages are carried to this source."""
        if joins and source not in self._sources:
            self._sources.append(source)
        elif not joins and source in self._sources:
            self._sources.remove(source)


class MemoryConnection:
    """One agent's connection: a context that is its own publisher."""

    def __init__(self, bus: MemoryBus, name: tuple[str, str], will: bytes) -> None:
        self.name = name
        self.will = will
        self._bus = bus
        self._open = False
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._arrived = asyncio.Event()
        self.half_open = False
        self.deaf = False
        self._life = 0
        self._line_free = 0.0
        self._up: list[tuple[str, bytes, bool]] = []
        self._down: list[tuple[str, bytes]] = []
        """What is under way while the connection is half open."""

    async def __aenter__(self) -> "MemoryConnection":
        self._bus.enter(self)
        self._open = True
        self._life = self._bus.lives
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None:
        if not self._open:
            raise self._bus.lost("the connection is cut")
        name = topic(*self.name, what)
        if self.half_open:
            self._up.append((name, payload, retain))
        elif self._bus.faults.bytes_per_s:
            self._over_line(name, payload, retain=retain)
            await asyncio.sleep(0)
            return
        else:
            self._bus.publish(name, payload, retain=retain)
        await asyncio.sleep(self._bus.faults.latency_s)

    def _over_line(self, name: str, payload: bytes, *, retain: bool) -> None:
        """Behind all that was sent before; what is still on its way when the connection breaks is gone."""

        def arrive() -> None:
            if self._open:
                self._bus.publish(name, payload, retain=retain)

        loop = asyncio.get_running_loop()
        lasts_s = (len(name) + len(payload)) / self._bus.faults.bytes_per_s
        self._line_free = max(loop.time(), self._line_free) + lasts_s
        loop.call_at(self._line_free, arrive)

    def queued(self) -> bool:
        return self._line_free > asyncio.get_running_loop().time()

    async def received(self) -> tuple[str, bytes]:
        while not self._inbox:
            if not self._open:
                raise self._bus.lost("the connection is cut")
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def close(self) -> None:
        self._open = False
        if not self.half_open:
            self._bus.leave(self)
        self._arrived.set()

    def deliver(self, what: str, payload: bytes) -> None:
        """The broker has something for this agent."""
        if self.half_open:
            self._down.append((what, payload))
        elif not self.deaf:
            self._inbox.append((what, payload))
            self._arrived.set()

    def stall(self, seconds: float) -> bool:
        """Be half open for so long; the agent gives up after two keep-alives. False if it is already."""
        if self.half_open:
            return False
        self.half_open = True
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, self._arrive)
        if seconds > GIVEN_UP_S:
            loop.call_later(GIVEN_UP_S, self.break_)
        return True

    def _arrive(self) -> None:
        self.half_open = False
        if self._life != self._bus.lives:
            return
        for name, payload, retain in self._up:
            self._bus.publish(name, payload, retain=retain)
        if not self._open:
            self._bus.end_of(self)
            return
        for what, payload in self._down:
            self.deliver(what, payload)

    def break_(self) -> bool:
        """The connection is gone without a word; what had not been read yet is gone too. False if it was already."""
        was_open, self._open = self._open, False
        self._inbox.clear()
        self._arrived.set()
        return was_open


class MemorySource:
    """The collector's connection: a `BatchSource`."""

    def __init__(self, bus: MemoryBus) -> None:
        self.late_s = 0.0
        """How late what it publishes arrives, seconds."""
        self._bus = bus
        self._urgent: list[Message] = []
        self._others: list[Message] = []
        self._arrived = asyncio.Event()
        self._connected = False
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

    def waiting(self) -> list[Message]:
        return list(self._urgent or self._others)

    async def commit(self, topic: str, payload: bytes, *, retain: bool) -> None:
        if self._ended or not self._connected or not self._bus.up:
            return
        if self.late_s:
            self._bus.publish_late(self.late_s, topic, payload, retain=retain)
        else:
            self._bus.publish(topic, payload, retain=retain)

    async def close(self) -> None:
        self.end()

    def end(self) -> None:
        """The collector is gone: nothing is kept for it."""
        self._ended = True
        self.disconnect()
        if self._bus.source_now is self:
            self._bus.source_now = None
        self._arrived.set()

    def deliver(self, message: Message) -> None:
        """The broker has something for the collector."""
        urgent = message.topic.endswith("/event")
        (self._urgent if urgent else self._others).append(message)
        self._arrived.set()

    def disconnect(self) -> None:
        """The connection is gone, with what had not been taken yet."""
        self._urgent, self._others = [], []
        self._connected = False
        self._bus.join(self, joins=False)

    def back(self) -> None:
        """Connect again, unless it has ended or somebody else took the session meanwhile."""
        if not self._ended and self._bus.source_now is self and self._bus.up:
            self.reconnect(lose=True)

    def reconnect(self, *, lose: bool) -> None:
        """A new connection: a mark of it, then what the broker retained."""
        if lose:
            self._urgent, self._others = [], []
        self._connected = True
        self._bus.join(self, joins=True)
        now = self._bus.clock.now()
        self.deliver(Message("", b"", now))
        for name, payload in list(self._bus.retained.items()):
            parts = parse_topic(name)
            if parts is not None and parts.what in UP:
                self.deliver(Message(name, payload, now))
