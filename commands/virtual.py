"""A whole site in one process and in virtual time: real decisions over in-memory twins, one seed."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from api.adapters.desk_memory import MemoryDesk
from api.following import Following
from api.ordering import Actor, Kept, Ordering
from collector.adapters.memory_bus import MemoryBus
from collector.adapters.memory_journal import MemoryJournal
from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.adapters.memory_store import MemoryStore
from collector.alarming import Alarming
from collector.domain.alarms import Condition
from collector.ingest import Ingest
from collector.live import LiveTable
from collector.planning import Planning
from collector.ports import Ask
from collector.projecting import Projecting, inline
from config.clock import VirtualClock
from config.plant import MODBUS_LINES, Device, Line, Plant
from config.profile import Table
from edge.agent import Agent
from edge.camera_reader import LADDER, CameraReader, Climb, Step
from edge.device_messages import DeviceMessage
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import SILENCES_BEFORE_RECONNECT, LinkDown, NoAnswer, Refused
from edge.mqtt_reader import FeedDown, MqttDeviceReader
from edge.outbox import Outbox
from edge.ports import LinkLost, PointReader
from simulators.estate import Estate

FUNCTION_OF: Mapping[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
PLANNING_S = 10.0
TECHNICIAN_S = 5.0
NEXT_MOVE = {
    "reported": "triage",
    "triaged": "dispatch",
    "handed_over": "accept",
    "dispatched": "accept",
    "accepted": "depart",
    "departed": "arrive",
    "arrived": "start",
    "paused": "resume",
    "in_progress": "complete",
}
"""How a technician brings an order to completion, one move after the other."""


class EstateTransport:
    """A `ModbusTransport` that asks the simulated line directly; silences open it anew, as the real one."""

    def __init__(self, estate: Estate, line: Line, clock: VirtualClock) -> None:
        self._estate = estate
        self._words = estate.words(line.id)
        self._timeout_s = line.timeout_s
        self._clock = clock
        self._connected_ms: int | None = None
        self._silences = 0

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        """One request with the delay, silence or refusal that the simulator's faults say."""
        self._estate.advance(self._clock.now())
        if not self._words.up:
            self._connected_ms = None
            raise LinkDown("the line does not answer")
        if self._connected_ms is None:
            self._connected_ms = self._clock.now()
        delay_s = self._words.delay_s(unit)
        await asyncio.sleep(min(delay_s, self._timeout_s))
        answer = self._words.answer(unit, FUNCTION_OF[table], address, count, self._connected_ms)
        if answer is None or delay_s > self._timeout_s:
            await asyncio.sleep(max(0.0, self._timeout_s - delay_s))
            self._silences += 1
            if self._silences >= SILENCES_BEFORE_RECONNECT:
                await self.close()
            raise NoAnswer("no answer in time")
        self._silences = 0
        if isinstance(answer, int):
            raise Refused(answer)
        return list(answer)

    async def close(self) -> None:
        """Nothing is kept open."""
        self._connected_ms = None
        self._silences = 0


class EstateFeed:
    """A `DeviceFeed` of what the estate's MQTT devices publish on one line."""

    def __init__(self, estate: Estate, line: Line, clock: VirtualClock) -> None:
        self._estate = estate
        self._line = line.id
        self._clock = clock
        self.up = True

    async def open(self, filters: frozenset[str]) -> None:
        """Always connected while the broker is up."""
        if not self.up:
            raise FeedDown("the broker is away")

    def take(self) -> list[DeviceMessage]:
        """What was published since the last call."""
        now, at = self._clock.now(), self._clock.monotonic()
        self._estate.advance(now)
        said = self._estate.publications(now, self._line)
        return [
            DeviceMessage(topic, payload, retained=False, received_ms=now, received_s=at)
            for topic, payload in said
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


class EstateProbe:
    """A `CameraProbe` that looks at the estate's cameras."""

    def __init__(self, estate: Estate, clock: VirtualClock) -> None:
        self._estate = estate
        self._clock = clock

    async def climb(self, device: Device, highest: Step) -> Climb:
        """The rungs up to the first that fails."""
        self._estate.advance(self._clock.now())
        state = self._estate.camera(device.asset)
        held: dict[Step, bool] = {
            "tcp": state.reachable,
            "describe": state.describes,
            "media": state.media,
        }
        rungs: dict[Step, bool] = {}
        for step in LADDER[: LADDER.index(highest) + 1]:
            rungs[step] = held[step]
            if not held[step]:
                break
        return Climb(rungs)


@dataclass(slots=True)
class VirtualSite:
    """Everything of one run; `running` starts it, the caller lets virtual time pass."""

    plant: Plant
    clock: VirtualClock
    seed: int
    estate: Estate = field(init=False)
    bus: MemoryBus = field(init=False)
    decisions: MemoryDecisions = field(init=False)
    asks: MemoryAsks = field(init=False)
    desk: MemoryDesk = field(init=False)
    store: MemoryStore = field(init=False)
    live: LiveTable = field(init=False)
    ordering: Ordering = field(init=False)
    outboxes: dict[str, Outbox] = field(init=False, default_factory=dict)
    ingest: Ingest = field(init=False)
    alarming: Alarming = field(init=False)
    planning: Planning = field(init=False)
    projecting: Projecting = field(init=False)
    _agents: dict[str, asyncio.Task[None]] = field(init=False, default_factory=dict)
    _cut: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.estate = Estate(self.plant, self.seed)
        rng = np.random.default_rng(self.seed)
        self.bus = MemoryBus(self.clock, rng, LinkLost)
        self.decisions, self.asks = MemoryDecisions(), MemoryAsks()
        self.desk, self.store = MemoryDesk(), MemoryStore()
        self.live = LiveTable([self.plant], life=self.seed)
        self.ordering = Ordering({self.plant.site: self.plant}, self.desk, self.clock)
        journal = MemoryJournal()
        self.projecting = Projecting(journal, self.store, self.live, inline, self.clock)
        self.alarming = Alarming([self.plant], self.live, self.decisions, self.asks)
        self.ingest = Ingest(
            self.bus.source(), journal, self.live, [self.alarming], [self.plant], self.clock,
            projecting=self.projecting,
        )  # fmt: skip
        self.planning = Planning([self.plant], self.decisions, self.asks, self.store, inline)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["VirtualSite"]:
        """Collector, desk, agents and technician, until the block is left; their errors come out."""
        self.estate.advance(self.clock.now())
        self.alarming.restore()
        self.ingest.restore()
        following = Following(
            {self.plant.site: self.plant}, self.decisions, self.live, self.desk, self.clock,
            asks=self.asks, ordering=self.ordering,
        )  # fmt: skip
        loops = [
            self.ingest.run(), self.alarming.run(self.clock), self.projecting.run(),
            self._planning(), following.run(), self._technician(),
        ]  # fmt: skip
        async with AsyncExitStack() as stack:
            tasks = [asyncio.ensure_future(loop) for loop in loops]
            stack.push_async_callback(_end, tasks)
            for agent in self.plant.agents:
                self.start_agent(agent)
            stack.push_async_callback(self._stop_agents)
            yield self
            for task in [*tasks, *self._agents.values()]:
                if task.done():
                    task.result()

    async def _planning(self) -> None:
        while True:
            await self.planning.tick(self.clock.now())
            await self._sleep(PLANNING_S)

    async def _sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.monotonic() + seconds)

    # --- agents

    def start_agent(self, agent: str) -> None:
        """An edge process begins; its outbox file is the one that the last one left."""
        rng = np.random.default_rng([self.seed, len(self.outboxes), len(self._agents)])
        outbox = self.outboxes.get(agent) or Outbox(":memory:", now=self.clock.now(), rng=rng)
        self.outboxes[agent] = outbox
        running = Agent(
            plant=self.plant, id=agent, readers=dict(self._readers(agent)), outbox=outbox,
            connect=self._connect(agent), clock=self.clock, rng=rng,
        )  # fmt: skip
        self._agents[agent] = asyncio.ensure_future(running.run())

    def _connect(self, agent: str) -> Any:
        opened = self.bus.connect(self.plant.site, agent)

        def connect(will: bytes) -> Any:
            if agent in self._cut:
                raise LinkLost("the link to the broker is cut")
            return opened(will)

        return connect

    def _readers(self, agent: str) -> Iterable[tuple[str, PointReader]]:
        limits = {profile.id: profile.limits for profile in self.plant.profiles.values()}
        for line in self.plant.lines.values():
            if line.agent != agent:
                continue
            if line.kind == "tcp":
                transport = EstateTransport(self.estate, line, self.clock)
                yield line.id, ModbusReader(transport, limits.__getitem__, self.clock)
            elif line.kind == "mqtt":
                yield line.id, MqttDeviceReader(EstateFeed(self.estate, line, self.clock), self.clock)  # fmt: skip
            elif line.kind == "fire":
                raise NotImplementedError(f"line {line.id}: fire devices speak over real sockets only; run with --real")  # fmt: skip
            elif line.kind in MODBUS_LINES:
                raise NotImplementedError(f"line {line.id}: {line.kind} lines are not simulated; only tcp is")  # fmt: skip
            else:
                yield line.id, CameraReader(EstateProbe(self.estate, self.clock), self.clock)

    async def restart_agent(self, agent: str) -> None:
        """Kill an agent's process and start it again over the same outbox file."""
        await _end([self._agents.pop(agent)])
        self.start_agent(agent)

    def cut(self, agent: str) -> None:
        """The link between an agent and the broker is gone until `mend`."""
        self._cut.add(agent)
        self.bus.cut(self.plant.site, agent)

    def mend(self, agent: str) -> None:
        """The link is back."""
        self._cut.discard(agent)

    async def _stop_agents(self) -> None:
        await _end(list(self._agents.values()))
        for outbox in self.outboxes.values():
            outbox.close()

    # --- people

    def claim_done(self, duty: str, asset: str, by: str) -> None:
        """Somebody says that the open occurrence of a duty was done."""
        for row in self.decisions.rows("occurrence", self.plant.site, open_only=True):
            if row.data["duty"] == duty and row.data["asset"] == asset:
                now = self.clock.now()
                self.asks.ask(Ask(f"claim-{row.id}-{now}", self.plant.site, "done", row.id, by, now))  # fmt: skip
                return
        raise LookupError(f"{duty} of {asset} is not open")

    async def _technician(self) -> None:
        """Completes each fault order once the readings look well again, as a technician would."""
        actor = Actor("technician", ("technician", "operator"))
        while True:
            await self._sleep(TECHNICIAN_S)
            for kept in self.ordering.list(self.plant.site, open_only=True):
                if kept.order.kind == "fault" and self._looks_well(kept):
                    self._complete(kept, actor)

    def _looks_well(self, kept: Kept) -> bool:
        rules = self.live.conditions(self.plant.site)
        return all(r in rules and rules[r].condition is Condition.NORMAL for r in kept.order.rules)

    def _complete(self, kept: Kept, actor: Actor) -> None:
        while move := NEXT_MOVE.get(str(kept.order.state)):
            said = {"assignee": actor.name} if move == "dispatch" else {}
            kept = self.ordering.move(kept, move, said, actor)


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
