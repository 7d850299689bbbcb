"""The estate on real sockets: Modbus endpoints, cameras, MQTT and fire devices that run by a clock."""

import asyncio
import zoneinfo
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Set
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, get_args

from config.clock import Clock
from config.mistakes import Mistakes
from config.plant import Device, Line, LineKind, Plant, Secret
from simulators.camera_server import CameraServer, Login
from simulators.estate import Estate
from simulators.fire_client import FireDevice
from simulators.fire_intruders import Intruders
from simulators.modbus_server import ModbusServer
from simulators.mqtt_device import MqttDevices
from simulators.pictures import jpeg

TICK_S = 0.5
ON_SOCKETS: Final[tuple[LineKind, ...]] = ("tcp", "rtu_over_tcp", "mqtt", "rtsp", "fire")
"""Kinds of line whose devices are simulated on real sockets."""

PasswordOf = Callable[[Secret], str]
"""The password that stands behind a secret's name."""


@dataclass(slots=True)
class Servers:
    """What runs. `ports` holds each listening line with its real port; `ticking` ends only by a fault."""

    ports: dict[str, int] = field(default_factory=dict)
    modbus: dict[str, ModbusServer] = field(default_factory=dict)
    cameras: dict[str, CameraServer] = field(default_factory=dict)
    devices: dict[str, MqttDevices] = field(default_factory=dict)
    fire: dict[str, FireDevice] = field(default_factory=dict)
    """Fire transmission devices by id: they connect to their line's port, where the edge listens."""
    intruders: dict[str, Intruders] = field(default_factory=dict)
    """Who else connects there, by the id of the device that has such a fault."""
    ticking: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Where and as whom: `ports` of lines (an MQTT line's is its broker's), else the plant's own.

    `brokers` are logins of MQTT lines, else the line's user and secret.
    """

    ports: Mapping[str, int] = field(default_factory=dict)
    host: str = "127.0.0.1"
    password_of: PasswordOf = lambda secret: ""
    brokers: Mapping[str, Login] = field(default_factory=dict)


def check_simulated(
    plant: Plant, allowed: Collection[str] = ON_SOCKETS, how: str = "on sockets"
) -> None:
    """See that there is a simulator of every line, of a package's reader by its name.

    Raises:
        ConfigErrors: every line that is of another kind than those allowed.
    """
    mistakes = Mistakes()
    for line in plant.lines.values():
        kind = line.reader or line.kind
        if kind not in allowed:
            mistakes.add("plant.toml", f"lines.{line.id}", f"is {kind}, which is not simulated {how}; allowed: {', '.join(allowed)}")  # fmt: skip
    mistakes.raise_if_any()


@asynccontextmanager
async def serving(
    estate: Estate, clock: Clock, access: Access, kinds: Collection[LineKind] = get_args(LineKind)
) -> AsyncIterator[Servers]:
    """Start every line of the plant (of these kinds), and the estate's own time; all is ended on leaving.

    Raises `ConfigErrors` for lines that are not simulated, and OSError when a port is taken.
    """
    if not set(kinds) <= set(ON_SOCKETS):
        check_simulated(estate.plant)
    servers = Servers()
    async with AsyncExitStack() as stack:
        estate.advance(clock.now())
        for line in (line for line in estate.plant.lines.values() if line.kind in kinds):
            await _start(estate, clock, access, line, servers, stack)
        servers.ticking = asyncio.create_task(_tick(estate, clock, servers))
        try:
            yield servers
        finally:
            servers.ticking.cancel()
            await asyncio.wait([servers.ticking])


async def run_estate(
    estate: Estate,
    clock: Clock,
    access: Access,
    ready: Callable[[Servers], None] = lambda servers: None,
) -> None:
    """Serve until cancelled; `ready` is called once every endpoint listens."""
    async with serving(estate, clock, access) as servers:
        ready(servers)
        if servers.ticking:
            await servers.ticking


async def _start(
    estate: Estate,
    clock: Clock,
    access: Access,
    line: Line,
    servers: Servers,
    stack: AsyncExitStack,
) -> None:
    devices = [d for d in estate.plant.devices.values() if d.line == line.id]
    port = access.ports.get(line.id, line.port)
    if line.kind in ("tcp", "rtu_over_tcp"):
        modbus = _modbus(estate, clock, line)
        stack.push_async_callback(modbus.close)
        servers.ports[line.id] = await modbus.start(access.host, port)
        servers.modbus[line.id] = modbus
    elif line.kind == "rtsp" and devices:
        camera = _camera(estate, clock, access, line, devices[0])
        stack.push_async_callback(camera.close)
        servers.ports[line.id] = await camera.start(access.host, port)
        servers.cameras[line.id] = camera
    elif line.kind == "mqtt" and devices:
        speaking = _speaking(access, line, port)
        stack.push_async_callback(speaking.close)
        speaking.start()
        servers.devices[line.id] = speaking
    elif line.kind == "fire":
        for device in devices:
            panel = _fire(estate, clock, (line.host, port), device)
            stack.push_async_callback(panel.close)
            panel.start()
            servers.fire[device.id] = panel
            intruders = Intruders(partial(_fire, estate, clock, (line.host, port), device))
            stack.push_async_callback(intruders.close)
            servers.intruders[device.id] = intruders


def _modbus(estate: Estate, clock: Clock, line: Line) -> ModbusServer:
    return ModbusServer(
        estate.words(line.id), clock,
        before=lambda: estate.advance(clock.now()), rtu=line.kind == "rtu_over_tcp",
    )  # fmt: skip


def _camera(
    estate: Estate, clock: Clock, access: Access, line: Line, device: Device
) -> CameraServer:
    secret = device.secret or line.secret
    login = Login(device.user or line.user, access.password_of(secret) if secret else "")
    return CameraServer(
        lambda: estate.camera(device.asset), clock, login, device.path,
        picture=lambda: jpeg(estate.picture(device.asset)),
    )  # fmt: skip


def _speaking(access: Access, line: Line, port: int) -> MqttDevices:
    own = Login(line.user, access.password_of(line.secret) if line.secret else "")
    login = access.brokers.get(line.id, own)
    return MqttDevices(
        line.host, port, client_id=f"devices-{line.id}", user=login.user, password=login.password
    )


def _fire(
    estate: Estate, clock: Clock, where: tuple[str, int], device: Device,
    unit: int | None = None, faults: Set[str] | None = None,
) -> FireDevice:  # fmt: skip
    """The device; or one beside it that shows what it shows now, of another `unit` and with `faults` of its own."""
    zone = zoneinfo.ZoneInfo(estate.plant.time_zone)
    panel = FireDevice(
        where, int(device.unit) if unit is None else unit, clock, zone,
        heartbeat_s=estate.plant.profiles[device.profile].silence_s / 3,
        faults=lambda: estate.faults_of_device(device.id) if faults is None else faults,
    )  # fmt: skip
    panel.show(estate.fire_objects(device.id, zone))
    return panel


async def _tick(estate: Estate, clock: Clock, servers: Servers) -> None:
    """Move the estate on and let its MQTT devices speak."""
    zone = zoneinfo.ZoneInfo(estate.plant.time_zone)
    while True:
        now = clock.now()
        estate.advance(now)
        for line, devices in servers.devices.items():
            devices.publish(estate.publications(now, line))
        for device, panel in servers.fire.items():
            panel.show(estate.fire_objects(device, zone))
            await servers.intruders[device].update(estate.faults_of_device(device))
        await clock.sleep_until(clock.monotonic() + TICK_S)
