"""One short life of a small site in real processes: accidents by a seed, then quiet, then all that was left is compared."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from commands.installation import Installation, Stop
from commands.part_servers import free_ports
from commands.proving.accidents import (
    ACCIDENTS,
    EDGE,
    LEFT_HALF_OPEN,
    LOOK_S,
    RETURN_S_MAX,
    Scene,
    left_half_open,
    within,
)
from commands.proving.counting_plant import AGENT, LINE, CountingDevices, witness
from commands.proving.history import problems
from commands.proving.kills import is_quiet, keep_journal, keep_last_of_journal, read_history
from commands.proving.link_proxy import LinkProxy
from commands.settling import NotSettled, settle
from config.clock import ScaledClock
from config.plant import Plant
from simulators.modbus_server import ModbusServer

WHO: Final = "steward prove processes"
ACCIDENTS_S: Final = 6.0
PAUSE_S: Final = 0.5
"""From one accident to the next, on average."""
WHILE_IT_STARTS: Final = 0.25
"""In this part of the lives accidents begin while everything still starts."""
LEFT_AT_THE_END: Final = 0.05
"""This part of the lives ends with a link of which only the agent itself can find out that it is dead."""
BEGUN_S_MAX: Final = 30.0
QUIET_S_MAX: Final = 60.0


@dataclass(frozen=True, slots=True)
class Template:
    """A folder with a plant, and data of an installation that was started once."""

    plant_folder: Path
    plant: Plant
    data: Path


@dataclass(frozen=True, slots=True)
class Planned:
    """One accident of a life: when it begins (seconds after the first), its kind, and its own chance."""

    at_s: float
    kind: str
    rng: np.random.Generator


@dataclass(frozen=True, slots=True)
class Plan:
    """What a life is to bring, by its seed alone; what comes of it, its processes and their machine decide."""

    while_it_starts: bool
    accidents: tuple[Planned, ...]
    left_half_open: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one life came to, readings by the outbox's own count; accidents tried and seen, by kind.

    `answered` are the devices' answers, `unkept` those that the agent had not kept when it was killed.
    """

    seed: int
    quiet_s: float = 0.0
    made: int = 0
    journalled: int = 0
    stored: int = 0
    answered: int = 0
    unkept: int = 0
    alarms: int = 0
    work_orders: int = 0
    tried: Mapping[str, int] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing lost, doubled, said twice or stuck."""
        return not self.problems


def make_template(folder: Path, plant_folder: Path, plant: Plant) -> Template | None:
    """An installation that was started once, so that lives need not make secrets and ledger; None if it did not start."""
    http, broker = free_ports(2)
    site = Installation({str(plant_folder): plant}, folder / "data", http, who=WHO, broker_port=broker)  # fmt: skip
    site.prepare()
    try:
        site.run("broker", "broker", str(plant_folder))
        site.run("server", "server", str(plant_folder))
        if not site.wait_for_server(Stop(install=False)):
            return None
    finally:
        site.children.stop()
    shutil.rmtree(site.data / "logs")
    return Template(plant_folder, plant, site.data)


def plan(seed: int) -> Plan:
    """The accidents of `ACCIDENTS_S` seconds, and how the life begins and ends."""
    rng = np.random.default_rng(seed)
    begins, ends = rng.random(2)
    accidents, at_s = [], 0.0
    while at_s < ACCIDENTS_S:
        accidents.append(Planned(at_s, str(rng.choice(list(ACCIDENTS))), rng.spawn(1)[0]))
        at_s += rng.exponential(PAUSE_S)
    return Plan(bool(begins <= WHILE_IT_STARTS), tuple(accidents), bool(ends < LEFT_AT_THE_END))


async def live(template: Template, folder: Path, seed: int) -> Verdict:
    """One life in an empty folder, which keeps what it leaves behind."""
    return await _Life(template, folder / "data", seed).run()


class _Life:
    """The processes of one life, its devices, and what happens to them."""

    def __init__(self, template: Template, data: Path, seed: int) -> None:
        self._template = template
        self._seed = seed
        self._devices = CountingDevices(ScaledClock().now)
        http, broker = free_ports(2)
        plants = {str(template.plant_folder): template.plant}
        self._site = Installation(plants, data, http, who=WHO, broker_port=broker)
        self._scene = Scene(self._site, LinkProxy(broker))
        self._busy = {accident.subject: asyncio.Lock() for accident in ACCIDENTS.values()}
        self._tried: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._problems: list[str] = []
        self._over = False

    async def run(self) -> Verdict:
        """From start to comparison."""
        planned = plan(self._seed)
        async with AsyncExitStack() as stack:
            await self._start(stack)
            if not planned.while_it_starts:
                await within(BEGUN_S_MAX, lambda: self._scene.proxy.speaking)
            await self._accidents(planned.accidents)
            if planned.left_half_open:
                await self._happen(LEFT_HALF_OPEN, left_half_open(self._scene))
            quiet_s = await self._quiet()
            await asyncio.to_thread(self._end)
        return await asyncio.to_thread(self._verdict, quiet_s)

    async def _start(self, stack: AsyncExitStack) -> None:
        site, proxy = self._site, self._scene.proxy
        await asyncio.to_thread(shutil.copytree, self._template.data, site.data)
        devices = ModbusServer(self._devices, ScaledClock())
        stack.push_async_callback(devices.close)
        endpoint = f"127.0.0.1:{await devices.start()}"
        (site.data / "lines.json").write_text(json.dumps({LINE: endpoint}), encoding="utf-8")
        await proxy.open()
        stack.push_async_callback(proxy.close)
        stack.callback(self._stop)
        folder = str(self._template.plant_folder)
        site.run("broker", "broker", folder)
        site.run("server", "server", folder)
        site.run(EDGE, "edge", folder, AGENT, broker_port=proxy.port)

    def _stop(self) -> None:
        self._over = True
        self._site.children.stop()

    # --- accidents

    async def _accidents(self, accidents: Iterable[Planned]) -> None:
        """One after the other begins; they may overlap, but not those of one subject."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as group:
            for accident in accidents:
                await asyncio.sleep(begun + accident.at_s - loop.time())
                group.create_task(self._one(accident.kind, accident.rng))
                self._look()

    async def _one(self, name: str, rng: np.random.Generator) -> None:
        """Half of them wait until there is something to break."""
        accident = ACCIDENTS[name]
        if self._busy[accident.subject].locked():
            return
        async with self._busy[accident.subject]:
            if rng.random() < 0.5:
                await within(RETURN_S_MAX, lambda: self._scene.proxy.speaking)
            await self._happen(name, accident.happen(self._scene, rng))

    async def _happen(self, name: str, accident: Awaitable[bool]) -> None:
        self._tried[name] += 1
        self._note(f"{name} begins")
        seen = await accident
        self._seen[name] += seen
        self._note(f"{name} is over, {'seen' if seen else 'not seen'}")

    def _note(self, what: str) -> None:
        """Beside the logs of the processes, with time as they have it."""
        with (self._site.data / "logs" / "accidents.log").open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC):%F %H:%M:%S.%f} {what}\n")

    def _look(self) -> None:
        """Start again what ended by itself, which is counted; what is being killed is left alone."""
        for name, child in self._site.by_name.items():
            if not self._busy[name].locked() and (said := child.look()):
                self._problems.append(said)
        keep_journal(self._site.data)

    # --- the end

    async def _quiet(self) -> float:
        """Seconds until the outbox was empty and the store had caught up, seen at one moment."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while loop.time() - begun <= QUIET_S_MAX:
            self._look()
            if self._scene.proxy.speaking and await asyncio.to_thread(is_quiet, self._site):
                return loop.time() - begun
            await asyncio.sleep(LOOK_S)
        self._problems.append(f"not quiet within {QUIET_S_MAX:.0f} s")
        return loop.time() - begun

    def _end(self) -> None:
        """What was read last is sent and stored too; then everything ends."""
        try:
            settle(self._site, self._look_on)
        except NotSettled as error:
            self._problems.append(str(error))
        self._site.children.stop()
        keep_last_of_journal(self._site.data)

    def _look_on(self) -> None:
        if self._over:
            raise NotSettled("stopped")
        self._look()

    def _verdict(self, quiet_s: float) -> Verdict:
        history = read_history(self._site)
        witnessed = witness(self._devices.given, history.stored, self._scene.agent_kills)
        made = sum(agent.made for agent in history.agents.values())
        found = [*self._problems, *problems(history), *witnessed.problems]
        return Verdict(
            seed=self._seed,
            quiet_s=quiet_s,
            made=made,
            journalled=sum(agent.journalled for agent in history.agents.values()),
            stored=len(history.stored),
            answered=witnessed.given,
            unkept=witnessed.unkept,
            alarms=len(history.occurrences),
            work_orders=len(history.order_causes),
            tried=dict(self._tried),
            seen=dict(self._seen),
            problems=tuple(found if made else [*found, "nothing was made"]),
        )
