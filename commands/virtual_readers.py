"""What an edge of a virtual site reads each of its lines by: the reader of a real edge, over a twin or by wire."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from commands import virtual_package
from commands.virtual_machine import EdgeClock
from commands.virtual_twins import EstateFeed, EstateProbe, EstateTransport
from config.clock import VirtualClock
from config.plant import MODBUS_LINES, Device, Line, LineKind, Plant
from edge.camera_reader import CameraReader
from edge.fire_centre import Centre, Watched
from edge.fire_reader import FireReader
from edge.foreign import ForeignReader
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import ModbusTransport, PymodbusTransport
from edge.mqtt_reader import MqttDeviceReader
from edge.ports import PointReader
from simulators.estate import Estate
from simulators.station import Station

WIRED: Final[tuple[LineKind, ...]] = ("tcp", "rtu_over_tcp", "fire")
TWINNED: Final[tuple[str, ...]] = (*MODBUS_LINES, "mqtt", "rtsp", virtual_package.NAME)
"""Kinds of line that have a twin which needs no wire, and the reader of a package that is one."""


@dataclass(slots=True)
class VirtualReaders:
    """Makes the reader that a line's kind asks for, for one process of an edge; see `commands.edge.Readers`."""

    estate: Estate
    clock: VirtualClock
    edge: EdgeClock
    wired: bool
    centres: dict[str, Centre] = field(default_factory=dict)

    def __call__(self, plant: Plant, line: Line) -> PointReader:
        profiles = plant.profiles
        devices = [device for device in plant.devices.values() if device.line == line.id]
        if line.kind in MODBUS_LINES:
            return ModbusReader(self._transport(line), lambda id: profiles[id].limits, self.edge, line)  # fmt: skip
        if line.kind == "mqtt":
            feed = EstateFeed(self.estate, line, self.clock, self.edge)
            return MqttDeviceReader(feed, self.edge)
        if line.kind == "fire":
            return self._fire(plant, line, devices)
        if line.kind == "reader":
            begin = virtual_package.making(self.station_of, devices)
            return ForeignReader(line, devices, self.edge, lambda secret: "", begin)
        probe = EstateProbe(self.estate, self.clock, self.edge)
        return CameraReader(probe, self.edge, lambda id: profiles[id].camera)

    def station_of(self, device: str) -> Station:
        """A device as it stands now."""
        self.estate.advance(self.clock.now())
        return self.estate.stations[device]

    def _transport(self, line: Line) -> ModbusTransport:
        if self.wired and line.kind in WIRED:
            return PymodbusTransport(line)
        return EstateTransport(self.estate, line, self.clock)

    def _fire(self, plant: Plant, line: Line, devices: Sequence[Device]) -> FireReader:
        points = {device.id: tuple(p for p in plant.points.values() if p.device == device.id) for device in devices}  # fmt: skip
        watched = [Watched(device, points[device.id], plant.profiles[device.profile].silence_s) for device in devices]  # fmt: skip
        return FireReader(line, watched, self.edge, ZoneInfo(plant.time_zone), self.centres)
