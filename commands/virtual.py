"""A whole site in one process and in virtual time: real decisions over in-memory twins, one seed."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from api.adapters.desk_memory import MemoryDesk
from api.following import Following
from api.ordering import Actor, Kept, Ordering
from collector.adapters.memory_bus import Faults, MemoryBus
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
from collector.selfwatch import SelfWatch
from commands.virtual_machine import EdgeClock, full_disk, spoil
from commands.virtual_package import STATION_OF
from commands.virtual_readers import WIRED, VirtualReaders
from config.clock import VirtualClock
from config.plant import Line, Plant
from edge.agent import Agent
from edge.outbox import Outbox
from edge.ports import LinkLost
from edge.reloading import CannotReload
from simulators.estate import Estate
from simulators.serving import Access, serving
from simulators.wires import EVERYWHERE, Address, Reach, WiredLoop

PLANNING_S = 10.0
TECHNICIAN_S = 5.0
BUS_PORT: Final = 60_000
REACHED: Final[dict[str, Reach]] = {
    "vanished": "vanished",
    "refused": "refused",
    "port_taken": "taken",
}
"""Kind of fault of a line to how its address stands."""
LOSSES: Final = 0.05
"""Part of what a broker loses that loses messages which it has acknowledged."""
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


@dataclass(slots=True)
class VirtualSite:
    """Everything of one run; `running` starts it, the caller lets virtual time pass.

    On a `WiredLoop` Modbus and fire devices are spoken to by wire, through the transports of a real
    edge; a serial bus is then one behind a gateway. On any other loop twins ask the estate, and there
    is none of fire lines. With a `folder` each outbox is a file in it, otherwise in memory.
    """

    plant: Plant
    clock: VirtualClock
    seed: int
    wires: WiredLoop | None = None
    folder: Path | None = None
    estate: Estate = field(init=False)
    bus: MemoryBus = field(init=False)
    journal: MemoryJournal = field(init=False, default_factory=MemoryJournal)
    decisions: MemoryDecisions = field(init=False, default_factory=MemoryDecisions)
    asks: MemoryAsks = field(init=False, default_factory=MemoryAsks)
    desk: MemoryDesk = field(init=False, default_factory=MemoryDesk)
    store: MemoryStore = field(init=False, default_factory=MemoryStore)
    live: LiveTable = field(init=False)
    ordering: Ordering = field(init=False)
    outboxes: dict[str, Outbox] = field(init=False, default_factory=dict)
    ingest: Ingest = field(init=False)
    alarming: Alarming = field(init=False)
    planning: Planning = field(init=False)
    projecting: Projecting = field(init=False)
    watch: SelfWatch = field(init=False)
    _agents: dict[str, asyncio.Task[None]] = field(init=False, default_factory=dict)
    _server: list[asyncio.Task[None]] = field(init=False, default_factory=list)
    _cut: set[str] = field(init=False, default_factory=set)
    _running: dict[str, Agent] = field(init=False, default_factory=dict)
    _files: dict[str, Plant] = field(init=False, default_factory=dict)
    """The plant by the files of an agent's machine, where they were changed."""
    _clocks: dict[str, EdgeClock] = field(init=False, default_factory=dict)
    _full: ExitStack = field(init=False, default_factory=ExitStack)

    def __post_init__(self) -> None:
        if self.wires is not None:
            self.plant = over_wires(self.plant)
            self.wires.reach, self.wires.resolve = self._reach, self._resolve
        self.estate = Estate(self.plant, self.seed)
        rng = np.random.default_rng(self.seed)
        self.bus = MemoryBus(self.clock, rng, LinkLost)
        self.ordering = Ordering({self.plant.site: self.plant}, self.desk, self.clock)
        self._compose_server()

    def _compose_server(self) -> None:
        """Collector and planner over what is durable: journal, store, decisions and desk."""
        self.live = LiveTable([self.plant], life=self.seed)
        self.projecting = Projecting(self.journal, self.store, self.live, inline, self.clock)
        self.alarming = Alarming([self.plant], self.live, self.decisions, self.asks)
        source = self.bus.source()
        self.ingest = Ingest(
            source, self.journal, self.live, [self.alarming], [self.plant], self.clock,
            projecting=self.projecting,
        )  # fmt: skip
        self.planning = Planning([self.plant], self.decisions, self.asks, self.store, inline)
        self.watch = SelfWatch(
            [self.plant], self.live, self.journal, self.store, self.clock, inline
        )
        self.watch.put = source.deliver
        self.watch.says = lambda: {"store_lag": 0.0, "store_waiting": self.projecting.lag, "queue": 0.0, "commit_time": 0.0, "journal_fill": 0.0, "journal_dropped": 0.0, "disk_free": 100.0, "set_aside": self.ingest.stats.set_aside}  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator["VirtualSite"]:
        """Collector, desk, agents and technician, until the block is left; their errors come out."""
        self.estate.advance(self.clock.now())
        async with AsyncExitStack() as stack:
            self._start_server()
            stack.push_async_callback(self.stop_server)
            if self.wires is not None:
                await stack.enter_async_context(
                    serving(self.estate, self.clock, Access(host=EVERYWHERE), WIRED)
                )
            for agent in self.plant.agents:
                self.start_agent(agent)
            stack.push_async_callback(self._stop_agents)
            stack.enter_context(
                self._full
            )  # however the block is left, this process can write again
            yield self
            for task in [*self._server, *self._agents.values()]:
                if task.done():
                    task.result()

    def _start_server(self) -> None:
        self.alarming.restore()
        self.ingest.restore()
        following = Following(
            {self.plant.site: self.plant}, self.decisions, self.live, self.desk, self.clock,
            asks=self.asks, ordering=self.ordering,
        )  # fmt: skip
        loops: list[Coroutine[Any, Any, None]] = [
            self.ingest.run(), self.alarming.run(self.clock), self.projecting.run(),
            self._planning(), following.run(), self._technician(), self.watch.run(),
        ]  # fmt: skip
        self._server = [asyncio.ensure_future(loop) for loop in loops]

    async def stop_server(self) -> None:
        """Collector and desk are killed; what was durable stays."""
        tasks, self._server = self._server, []
        for task in tasks:
            if task.done():
                task.result()
        await _end(tasks)
        await self.ingest.source.close()

    def start_server(self) -> None:
        """Collector and desk begin again over what is durable."""
        self._compose_server()
        self._start_server()

    def broker(self, does: str) -> None:
        """The site's broker `stops`, `starts`, `loses` some of what it acknowledges, or `carries` all."""
        if does == "stops":
            self.bus.stop()
        elif does == "starts":
            self.bus.start()
        else:
            self.bus.faults = Faults(lost=LOSSES if does == "loses" else 0.0)

    def _reach(self, address: Address) -> Reach:
        for line in self.plant.lines.values():
            if (self._home(line), line.port) == address:
                kinds = self.estate.faults_of_line(line.id)
                return next((reach for kind, reach in REACHED.items() if kind in kinds), "open")
        return "refused"

    def _resolve(self, host: str) -> str:
        """The address that a name has; of a device that has just moved, the one before."""
        for line in self.plant.lines.values():
            if line.host == host:
                return self._home(line, before="readdressed" in self.estate.faults_of_line(line.id))
        return host

    def _home(self, line: Line, *, before: bool = False) -> str:
        """Where a line's device is; a host that is no address is a name."""
        if not any(letter.isalpha() for letter in line.host):
            return line.host
        return f"10.0.0.{1 + self.estate.moves[line.id] - before}"

    async def _planning(self) -> None:
        while True:
            await self.planning.tick(self.clock.now())
            await self._sleep(PLANNING_S)

    async def _sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.monotonic() + seconds)

    # --- agents

    def start_agent(self, agent: str, *, reads: bool = True) -> None:
        """An edge process begins, or one that only sends what the outbox holds; its file is the one that the last one left."""
        rng = np.random.default_rng([self.seed, len(self.outboxes), len(self._agents)])
        clock = self._clocks.setdefault(agent, EdgeClock(self.clock))
        path = self.folder / f"{agent}.outbox" if self.folder else ":memory:"
        outbox = self.outboxes.get(agent) or Outbox(path, now=clock.now(), rng=rng)
        self.outboxes[agent] = outbox
        plant = self._files.get(agent, self.plant)
        make = VirtualReaders(self.estate, self.clock, clock, self.wires is not None)
        STATION_OF.set(make.station_of)
        lines = (line for line in plant.lines.values() if reads and line.agent == agent)
        running = self._running[agent] = Agent(
            plant=plant, id=agent, readers={line.id: make(plant, line) for line in lines}, outbox=outbox,
            connect=self._connect(agent), clock=clock, rng=rng, make_reader=make,
        )  # fmt: skip
        self._agents[agent] = asyncio.ensure_future(running.run())

    def _connect(self, agent: str) -> Any:
        opened = self.bus.connect(self.plant.site, agent)

        def connect(will: bytes) -> Any:
            if agent in self._cut:
                raise LinkLost("the link to the broker is cut")
            return opened(will)

        return connect

    async def reload(self, agent: str, device: str) -> None:
        """Somebody writes down that a device was repaired, and has the agent read its files anew.

        Raises:
            CannotReload: it did not take them up.
        """
        changed = self._files[agent] = repaired(self._files.get(agent, self.plant), device)
        running = self._running[agent]
        running.files = lambda: changed
        outcome, said = await running.reload()
        if outcome != "done":
            raise CannotReload(f"agent {agent}: {outcome}: {said}")

    async def restart_agent(self, agent: str, *, reads: bool = True) -> None:
        """Kill an agent's process and start it again over the same outbox file."""
        await _end([self._agents.pop(agent)])
        self.start_agent(agent, reads=reads)

    async def damage(self, agent: str) -> None:
        """Kill an agent's process, spoil its outbox file, and start it again."""
        await _end([self._agents.pop(agent)])
        self.outboxes.pop(agent).close()
        if self.folder is not None:
            spoil(self.folder / f"{agent}.outbox")
        self.start_agent(agent)

    def disk(self, does: str) -> None:
        """The disk `fills` or `empties`: of all agents, and whatever else this process writes to files."""
        self._full.close()
        if does == "fills":
            self._full.enter_context(full_disk())

    def set_clock(self, agent: str, seconds: float) -> None:
        """Set the clock of an agent's machine forward, or back where `seconds` is below 0."""
        self._clocks[agent].ahead_s += seconds

    def cut(self, agent: str) -> None:
        """The link between an agent and the broker is gone until `mend`."""
        self._cut.add(agent)
        self.bus.cut(self.plant.site, agent)

    def deafen(self, agent: str) -> None:
        """On the agent's connection to the broker nothing comes back any more; another one is well."""
        self.bus.deafen(self.plant.site, agent)

    def stall(self, agent: str, seconds: float) -> None:
        """For so long nothing gets through by the agent's connection; longer than its keep-alive and it is half open."""
        self.bus.stall(self.plant.site, agent, seconds)

    def take(self, agent: str) -> None:
        """Somebody else comes in under the agent's name and says nothing; the agent may come again."""
        self.bus.enter(self.bus.connect(self.plant.site, agent)(b""))

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


def over_wires(plant: Plant) -> Plant:
    """The plant with each serial port as a gateway to the same bus: a virtual loop has no ports."""
    ports = {line.id: BUS_PORT + place for place, line in enumerate(plant.lines.values())}
    lines = {
        line.id: replace(line, kind="rtu_over_tcp", host="127.0.0.1", port=ports[line.id])
        if line.kind == "rtu"
        else line
        for line in plant.lines.values()
    }
    return replace(plant, lines=lines)


def repaired(plant: Plant, device: str) -> Plant:
    """The plant after somebody has written down that a device was repaired."""
    row = plant.devices[device]
    return replace(plant, devices={**plant.devices, device: replace(row, learnt=row.learnt + 1)})


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
