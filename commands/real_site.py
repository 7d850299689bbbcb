"""Runs one scenario for real: broker, server and edges as processes, the estate on sockets, time only scaled."""

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.adapters.desk_sql import SqlDesk
from api.ordering import Ordering
from collector.adapters.ledger_sql import SqlDecisions, open_ledger
from commands.access import device_user, make_secret, password, secrets_folder
from commands.asking import Refused, ask
from commands.demo import PLANT, make_technician
from commands.devices import Technician
from commands.installation import Installation, Stop
from commands.part_servers import free_port, free_ports
from commands.scenarios import Verdict, history_of
from config.clock import ScaledClock
from config.load import load_plant
from config.plant import Plant
from config.settings import read_secret
from simulators.camera_server import Login
from simulators.estate import Estate
from simulators.faults import BROKER_FAULTS, WIRE_FAULTS
from simulators.scenario import Action, ReadingExpected, Scenario
from simulators.serving import Access, serving
from simulators.verdict import History, judge

SPEED = 10.0
LOOK_S = 0.1
READY_S_MAX = 90.0
"""Real seconds within which every device must have been read once."""


class Cut:
    """A TCP proxy between one agent and the broker that can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._broker_port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.open = True

    async def start(self, port: int) -> None:
        """Listen on a port of this machine."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.open:
                far_reader, far = await asyncio.open_connection("127.0.0.1", self._broker_port)
                self._writers.add(far)
                await asyncio.gather(_pump(reader, far), _pump(far_reader, writer))
        except OSError:
            pass
        finally:
            writer.close()

    def cut(self) -> None:
        """Break what is open and let nothing through."""
        self.open = False
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def close(self) -> None:
        """End listening and every connection."""
        self.cut()
        if self._server is not None:
            self._server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()


@dataclass(slots=True)
class RealSite:
    """The processes of one run and the estate beside them."""

    site: Installation
    plant: Plant
    estate: Estate
    clock: ScaledClock
    cuts: dict[str, Cut] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything up until the block is left."""
        async with AsyncExitStack() as stack:
            stack.callback(self.site.children.stop)
            self.site.prepare()
            make_secret(secrets_folder(self.site.settings) / "cameras")
            folders = list(self.site.plants)
            self.site.run("broker", "broker", *folders)
            self.site.run("server", "server", *folders)
            if not await asyncio.to_thread(self.site.wait_for_server, Stop(install=False)):
                raise RuntimeError("the server did not come up")
            make_technician(self.site)
            await stack.enter_async_context(serving(self.estate, self.clock, self._access()))
            for agent in self.plant.agents:
                await self._start_agent(agent, stack)
            technician = asyncio.create_task(self._technician())
            stack.push_async_callback(_end, technician)
            yield

    async def every_device_read(self) -> None:
        """Until each device has given a usable value. Raises RuntimeError naming those that did not."""
        deadline = time.monotonic() + READY_S_MAX
        while silent := await asyncio.to_thread(self._silent):
            if time.monotonic() > deadline:
                raise RuntimeError(f"no value came from {', '.join(sorted(silent))}")
            await asyncio.sleep(LOOK_S)

    def _silent(self) -> set[str]:
        live = ask(self.site.settings, f"sites/{self.plant.site}/live")
        usable = {p for p, value in zip(live["points"], live["value"], strict=True) if value is not None}  # fmt: skip
        return {id for id, device in self.plant.devices.items() if not usable & {p.id for p in self.plant.points.values() if p.device == id}}  # fmt: skip

    def _access(self) -> Access:
        settings = self.site.settings
        users = {line.id: device_user(self.plant.site, line.id) for line in self.plant.lines.values() if line.kind == "mqtt"}  # fmt: skip
        return Access(
            password_of=lambda secret: read_secret(secret, settings.secrets),
            brokers={line: Login(user, password(user, settings)) for line, user in users.items()},
        )

    async def _start_agent(self, agent: str, stack: AsyncExitStack) -> None:
        cut = self.cuts[agent] = Cut(self.site.broker_port)
        port = free_port()
        await cut.start(port)
        stack.push_async_callback(cut.close)
        child = self.site.run(f"{self.plant.site}.{agent}", "edge", *self.site.plants, agent, broker_port=port)  # fmt: skip
        self.site.by_name[agent] = child

    async def _technician(self) -> None:
        """Completes each fault order once its readings look well; repairs are the scenario's."""
        await Technician(
            self.plant, self.estate, self.clock, self.site.settings, repairs=False
        ).run()

    async def act(self, action: Action) -> None:
        """One line of the timetable."""
        self.estate.advance(self.clock.now())
        if action.verb == "fault":
            self.estate.fault(action.subject, action.kind, **dict(action.options))
        elif action.verb == "repair":
            self.estate.repair(action.subject, action.kind or None)
        elif action.verb == "done":
            await asyncio.to_thread(self._claim, action)
        elif action.verb == "restart":
            self.site.by_name[action.subject].restart()
        elif action.verb in ("broker", "server"):
            self._process(action.verb, action.subject)
        elif action.verb == "cut":
            self.cuts[action.subject].cut()
        else:
            self.cuts[action.subject].open = True

    def _process(self, name: str, does: str) -> None:
        child = self.site.by_name[name]
        if does == "starts":
            child.start()
        else:
            child.signal(signal.SIGKILL)

    def _claim(self, action: Action) -> None:
        settings, site = self.site.settings, self.plant.site
        for row in ask(settings, f"sites/{site}/due?state=open")["items"]:
            if row["duty"] == action.kind and row["asset"] == action.subject:
                ask(settings, f"sites/{site}/due/{row['id']}/done", {})
                return
        raise LookupError(f"{action.kind} of {action.subject} is not open")


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def only_virtual(scenario: Scenario, plant: Plant) -> str:
    """Why this cannot be played with processes and sockets; "" where it can."""
    if plant.site != PLANT.name:
        return f"only {PLANT.name} can be started whole"
    if any(action.verb in ("disk", "damage", "clock", "reload") for action in scenario.actions):
        return "what befalls an edge's machine and files is played there alone"
    if any(action.verb in ("deafen", "stall", "take") for action in scenario.actions):
        return "a real link to the broker can only be cut and mended"
    if any(action.subject in ("loses", "carries") for action in scenario.actions):
        return "a real broker loses nothing on demand"
    if any(action.kind in (*WIRE_FAULTS, *BROKER_FAULTS) for action in scenario.actions):
        return "some of its faults need a network that fails on demand"
    if any(isinstance(one, ReadingExpected) for one in scenario.expected):
        return "stored readings are looked at in virtual time"
    return ""


def run_real(scenario: Scenario, plant: Plant, seed: int | None = None) -> Verdict:
    """Play it to its end, ten times faster than the clock, at the time that it names."""
    if reason := only_virtual(scenario, plant):
        raise Refused(f"{scenario.name} runs in virtual time only: {reason}")
    used = scenario.seed if seed is None else seed
    start_ms = scenario.start_ms(plant.time_zone)
    with tempfile.TemporaryDirectory(prefix="steward-real-") as folder:
        history = asyncio.run(_play(scenario, start_ms, Path(folder), used))
    return Verdict(scenario.name, used, judge(scenario, history))


async def _play(scenario: Scenario, start_ms: int, data: Path, seed: int) -> History:
    real = _real_site(data, seed, start_ms)
    clock, plant = real.clock, real.plant
    async with real.running():
        await real.every_device_read()
        begin, began_ms = clock.monotonic(), clock.now()
        for action in scenario.actions:
            await clock.sleep_until(begin + action.t)
            await real.act(action)
        await clock.sleep_until(begin + scenario.lasts_s)
    engine = open_ledger(f"sqlite:///{data / 'ledger.db'}")
    decisions, desk = SqlDecisions(engine), SqlDesk(engine)
    ordering = Ordering({plant.site: plant}, desk, clock)
    try:
        return history_of(plant, decisions, desk, ordering, began_ms)
    finally:
        decisions.close()


def _real_site(data: Path, seed: int, first_ms: int) -> RealSite:
    plain = load_plant(PLANT)
    lines = [line.id for line in plain.lines.values() if line.kind != "mqtt"]
    own, broker_port, *free = free_ports(2 + len(lines))
    ports = {line: f"127.0.0.1:{port}" for line, port in zip(lines, free, strict=True)}
    site = Installation(
        {str(PLANT): plain}, data, own, SPEED, "steward simulate", ports,
        broker_port=broker_port, start_ms=first_ms,
    )  # fmt: skip
    broker = {line.id: f"127.0.0.1:{site.broker_port}" for line in plain.lines.values() if line.kind == "mqtt"}  # fmt: skip
    plant = load_plant(PLANT, endpoints={**ports, **broker})
    clock = ScaledClock(origin_ms=site.origin_ms, factor=SPEED, start_ms=first_ms)
    return RealSite(site, plant, Estate(plant, seed), clock)
