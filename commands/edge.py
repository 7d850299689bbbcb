"""`steward edge PLANT AGENT`: one edge agent, reading its lines and sending until the collector has it."""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from collector.ports import Unavailable
from commands.access import authorities, edge_user, key_path, password, secrets_folder
from commands.serving import plant_of, run_until_asked, start_logging
from config.clock import Clock
from config.mistakes import ConfigErrors
from config.plant import MODBUS_LINES, Device, Line, Plant, Secret
from config.profile import CameraModel, ModbusLimits
from config.settings import Settings, SettingsError, read_secret, read_settings
from edge.agent import Agent
from edge.bus_time import FULL, TIGHT, LineTooBusy, refuse_overload, shares, uses_of
from edge.camera_probe import NetworkProbe
from edge.camera_reader import CameraReader
from edge.fire_centre import Centre, Watched
from edge.fire_reader import FireReader
from edge.foreign import ForeignReader
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import PymodbusTransport
from edge.mqtt_feed import PahoFeed
from edge.mqtt_publisher import paho_connect
from edge.mqtt_reader import MqttDeviceReader
from edge.outbox import Outbox, OutboxLimits
from edge.outbox_file import OutboxRefused
from edge.ports import PointReader
from edge.reloading import CannotReload

log = logging.getLogger(__name__)

EXAMPLE = "edge config/plants/riverside edge-a"
DRAIN_LOOK_S = 0.1


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("plant", help="folder of the plant")
    parser.add_argument("agent", help="which of its agents this is")
    parser.add_argument("--drain", action="store_true", help="read nothing: send what the outbox still holds, and end")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Until asked to end."""
    settings = read_settings()
    start_logging(settings.log_level)
    plant = plant_of(arguments.plant, settings)
    if arguments.agent not in plant.agents:
        print(f"steward edge: {plant.site} has no agent {arguments.agent!r}; there are {', '.join(plant.agents)}", file=sys.stderr)  # fmt: skip
        return 2
    try:
        check_budget(plant, arguments.agent)
    except LineTooBusy as error:
        print(
            f"steward edge: what is read takes longer than there is time\n{error}", file=sys.stderr
        )
        return 2
    if arguments.drain:
        return run_until_asked(drain(build_agent(plant, arguments.agent, settings, lines=())))
    agent = build_agent(plant, arguments.agent, settings)
    agent.files = partial(read_anew, arguments.plant, agent, settings)
    return run_until_asked(reloading(agent))


async def reloading(agent: Agent) -> None:
    """Run the agent; SIGHUP has it read its files anew, but from a terminal: there it means that this is closed."""
    asked: set[asyncio.Task[Any]] = set()

    def ask() -> None:
        if len(asked) > 1:  # one is going on, the next reads what the files say then
            return
        task = asyncio.ensure_future(agent.reload())
        asked.add(task)
        task.add_done_callback(asked.discard)

    if sys.stdin is None or not sys.stdin.isatty():  # None: begun without one (<&-)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, ask)
    await agent.run()


def check_budget(plant: Plant, agent_id: str) -> None:
    """Raises LineTooBusy, with what can be done, where one of the agent's lines cannot keep its pace.

    A line that has little time left is a warning.
    """
    lines = own_lines(plant, agent_id)
    uses = uses_of(plant, lines)
    try:
        refuse_overload(uses)
        for line, share in shares(uses).items():
            if share > TIGHT:
                log.warning("line %s is nearly full: what is read needs %.0f %% of its time, and a device that is silent takes more", line, 100 * share)  # fmt: skip
    except LineTooBusy as error:
        full = {line: share for line, share in shares(uses).items() if share > FULL}
        busy = [line for line in lines if line.id in full]
        # last, because whoever starts an agent repeats its last line
        needs = ", ".join(f"line {line} needs {share:.0%} of its time" for line, share in full.items())  # fmt: skip
        rows = [row for row in str(error).splitlines() if row.startswith("  ")]
        raise LineTooBusy("\n".join([*rows, f"{needs}: {_what_helps(busy)}"])) from error


def _what_helps(busy: Iterable[Line]) -> str:
    """What can be done for lines that cannot keep their pace."""
    kinds = {line.kind for line in busy}
    help = ["read less often", "let a gateway or a second line take some devices"]
    help += ["raise the baud rate"] if kinds & {"rtu", "rtu_over_tcp"} else []
    help += ["say the network's round_trip where it is shorter"] if kinds - {"rtu"} else []
    return " or ".join([", ".join(help[:-1]), help[-1]])


def read_anew(folder: str, agent: Agent, settings: Settings) -> Plant:
    """The plant as its files are now; raises CannotReload if the agent cannot run it."""
    try:
        plant = plant_of(folder, settings)
        check_budget(plant, agent.id)
    except (ConfigErrors, LineTooBusy) as error:
        raise CannotReload(str(error)) from error
    if agent.id not in plant.agents or plant.site != agent.plant.site:
        raise CannotReload(f"{plant.site} has no agent {agent.id!r} of {agent.plant.site}")
    return plant


async def drain(agent: Agent) -> None:
    """Run an agent that reads nothing until its outbox is empty; it says nothing of itself, for that would fill it."""
    agent.reports = False
    running = asyncio.create_task(agent.run())
    try:
        while agent.outbox.batches and not running.done():
            await asyncio.wait([running], timeout=DRAIN_LOOK_S)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def build_agent(
    plant: Plant, agent_id: str, settings: Settings, lines: Iterable[Line] | None = None
) -> Agent:
    """One agent with real outbox and broker connection, and a real reader for each of its lines or of `lines`.

    Raises `Unavailable` when its outbox cannot be used.
    """
    clock = settings.clock()
    rng = np.random.default_rng()
    if lines is None:
        lines = own_lines(plant, agent_id)
    user = edge_user(plant.site, agent_id)
    secret = password(user, settings)
    readers = Readers(settings, clock)
    readers.know(plant)
    own = {line.id: readers.make(plant, line) for line in lines}
    path = settings.data / "edge" / f"{plant.site}.{agent_id}.outbox"
    limits = OutboxLimits(mb_max=settings.outbox_mb, days_max=settings.outbox_days)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Agent(
            plant=plant,
            id=agent_id,
            readers=own,
            outbox=Outbox(path, now=clock.now(), rng=rng, limits=limits),
            connect=paho_connect(
                settings.broker_host,
                settings.broker_port,
                user,
                secret,
                plant.site,
                agent_id,
                ca_file=authorities("STEWARD_BROKER_CA_FILE", settings.broker_ca_file),
            ),
            clock=clock,
            rng=rng,
            pace=settings.clock_factor,
            make_reader=readers,
            taken_up=readers.know,
        )
    except (OutboxRefused, OSError) as error:
        raise Unavailable(f"{error}: see that {path.parent} can be written") from error


def own_lines(plant: Plant, agent_id: str) -> list[Line]:
    """The lines that an agent reads."""
    return [line for line in plant.lines.values() if line.agent == agent_id]


@dataclass(slots=True)
class Readers:
    """Makes the reader that a line's kind asks for; what a profile says is that of the plant seen last."""

    settings: Settings
    clock: Clock
    limits: dict[str, ModbusLimits] = field(default_factory=dict)
    cameras: dict[str, CameraModel] = field(default_factory=dict)
    centres: dict[str, Centre] = field(default_factory=dict)
    """Of fire lines, by line: what is known of their devices outlives a line that begins anew."""

    def __call__(self, plant: Plant, line: Line) -> PointReader:
        """For a reload: raises CannotReload if a secret of the line is missing."""
        try:
            return self.make(plant, line)
        except SettingsError as error:
            raise CannotReload(str(error)) from error

    def know(self, plant: Plant) -> None:
        """Take what this plant's profiles say."""
        self.limits |= {profile.id: profile.limits for profile in plant.profiles.values()}
        self.cameras |= {profile.id: profile.camera for profile in plant.profiles.values()}

    def make(self, plant: Plant, line: Line) -> PointReader:
        """Raises SettingsError if a secret of the line is missing."""
        if line.kind in MODBUS_LINES:
            key = line.tls.secret if line.tls else None
            key_file = str(key_path(key, self.settings)) if key else ""
            transport = PymodbusTransport(line, key_file)
            return ModbusReader(transport, self.limits.__getitem__, self.clock, line)
        if line.kind == "mqtt":
            return MqttDeviceReader(_feed(plant, line, self.settings, self.clock), self.clock)
        devices = [d for d in plant.devices.values() if d.line == line.id]
        if line.kind == "fire":
            watched = [_watched(plant, device) for device in devices]
            zone = zoneinfo.ZoneInfo(plant.time_zone)
            return FireReader(line, watched, self.clock, zone, self.centres)
        if line.kind == "reader":
            return ForeignReader(line, devices, self.clock, lambda s: _secret(s, self.settings))
        secret = next((d.secret for d in devices if d.secret), line.secret)
        kept = next((d.recorder.secret for d in devices if d.recorder), None)
        own, recorders = (_anew(partial(_secret, one, self.settings)) for one in (secret, kept))
        model_of = self.cameras.__getitem__
        probe = NetworkProbe(line, (own, recorders), model_of, self.clock)
        return CameraReader(probe, self.clock, model_of)


def _watched(plant: Plant, device: Device) -> Watched:
    """A fire transmission device with all that it may tell."""
    points = tuple(point for point in plant.points.values() if point.device == device.id)
    return Watched(device, points, plant.profiles[device.profile].silence_s)


def _feed(plant: Plant, line: Line, settings: Settings, clock: Clock) -> PahoFeed:
    """The devices' broker: with a login of its own, or our own broker as the agent that we are."""
    if line.user:
        return PahoFeed(line, _anew(partial(_secret, line.secret, settings)), clock)
    user = edge_user(plant.site, line.agent)
    return PahoFeed(replace(line, user=user), _anew(partial(password, user, settings)), clock)


def _anew(read: Callable[[], str]) -> Callable[[], str]:
    """Says what `read` gives now, or gave last where it raises SettingsError; raises that if it does at once."""
    last, refused = read(), ""

    def said() -> str:
        nonlocal last, refused
        try:
            last, refused = read(), ""
        except SettingsError as error:
            if str(error) != refused:
                refused = str(error)
                log.warning("%s; the password read before is used", error)
        return last

    return said


def _secret(secret: Secret | None, settings: Settings) -> str:
    if secret is None:
        return ""
    try:
        return read_secret(secret, settings.secrets)
    except SettingsError:
        return read_secret(secret, secrets_folder(settings))
