"""One simulated device: its equipment, its faults, and how its line answers for it."""

import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from config.plant import Device, Plant, Point
from config.profile import Register, Table
from simulators import faults
from simulators.faults import Answer, Fault, Read, Values
from simulators.layout import ILLEGAL_FUNCTION, TARGET_SILENT, Layout, Value
from simulators.physics.bench_pump import BenchPump
from simulators.physics.booster import BoosterSet
from simulators.physics.camera import Camera
from simulators.physics.elevator import Elevator
from simulators.physics.equipment import Build, Equipment, Imposed, Outputs, Shown
from simulators.physics.fire_panel import FirePanel
from simulators.physics.generator import Generator
from simulators.physics.generic import Generic
from simulators.physics.sump_pit import SumpPit

TABLES: Mapping[int, Table] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
"""Function code to what it reads."""
EQUIPMENT: Mapping[str, Callable[[Build], Equipment]] = {
    "booster-set": BoosterSet,
    "generator": Generator,
    "elevator": Elevator,
    "fire-panel": FirePanel,
    "sump-pit": SumpPit,
    "camera": Camera,
    "recorded-pump": BenchPump,
}
"""Asset class to its physics; any other is `Generic`."""


class Station:
    """One device with its equipment: what it shows, how it answers, what is wrong with it."""

    def __init__(self, plant: Plant, device: Device, seed: int) -> None:
        self.device = device
        self.points = tuple(p for p in plant.points.values() if p.device == device.id)
        self.layout = Layout(self.points, plant.limits_of(device.id))
        asset = plant.assets.get(device.asset)
        make = EQUIPMENT.get(asset.asset_class if asset else "", Generic)
        self._paths = {point.id: _relative(point.id, device.asset) for point in self.points}
        self.equipment = make(self._build(plant, seed))
        self.imposed: list[tuple[str, Imposed]] = []
        self.faults: list[tuple[str, Fault]] = []
        self.outputs: Outputs = {}
        self.values: Values = {}
        self.forbidden_reads = 0

    def _build(self, plant: Plant, seed: int) -> Build:
        rng = np.random.default_rng([seed, zlib.crc32(self.device.id.encode())])
        parts = [a.id for a in plant.assets.values() if a.parent == self.device.asset]
        relative = tuple(part.removeprefix(f"{self.device.asset}/") for part in parts)
        return Build({self._paths[p.id]: p for p in self.points}, relative, rng)

    def update(self, now_ms: int) -> None:
        """Move the physics to `now_ms` and lay the faults over what it shows."""
        self.outputs = self.equipment.update(now_ms, [one for _, one in self.imposed])
        own = {p.id: as_value(p, self.outputs.get(self._paths[p.id], 0.0)) for p in self.points}
        self.values = faults.shown(self.active(), own)

    def active(self) -> list[Fault]:
        return [fault for _, fault in self.faults]

    def answer(self, read: Read) -> Answer:
        """Answer one read under the device's faults."""
        if self.layout.is_forbidden(read.table, read.address, read.count):
            self.forbidden_reads += 1
        return faults.answering(self.active(), self._words)(read)

    def _words(self, read: Read) -> Answer:
        return self.layout.read(read.table, read.address, read.count, self.values)


class LineWords:
    """The devices of one Modbus line, as its endpoint answers."""

    def __init__(self, stations: Sequence[Station], now: Callable[[], int]) -> None:
        self._units = {int(s.device.unit or 1): s for s in stations}
        self._now = now
        self.functions: dict[int, int] = {}
        """Every function code ever seen, with how often."""

    def answer(
        self, unit: int, function: int, address: int, count: int, connected_ms: int | None = None
    ) -> Answer:
        """Words or bits, an exception code, or None for silence. Function codes 1 to 4 are served."""
        self.functions[function] = self.functions.get(function, 0) + 1
        table = TABLES.get(function)
        if table is None:
            return ILLEGAL_FUNCTION
        station = self._units.get(unit)
        if station is None:
            return TARGET_SILENT
        if faults.is_cut_off(station.active()):
            return None
        return station.answer(Read(table, address, count, self._now(), connected_ms))

    def delay_s(self, unit: int) -> float:
        """How late this unit answers now, seconds."""
        station = self._units.get(unit)
        return faults.delay_s(station.active()) if station else 0.0

    def faults_of(self, unit: int) -> list[Fault]:
        """What is wrong with this unit now."""
        station = self._units.get(unit)
        return station.active() if station else []

    @property
    def up(self) -> bool:
        """Whether the endpoint takes connections: not when all behind it are cut off."""
        return not all(faults.is_cut_off(s.active()) for s in self._units.values())


def _relative(point: str, asset: str) -> str:
    return point.removeprefix(f"{asset}/")


def as_value(point: Point, shown: Shown) -> Value:
    """A state's name as its number in this profile; text registers keep text."""
    if not isinstance(shown, str):
        return shown
    if isinstance(point.source, Register) and point.source.type == "string":
        return shown
    for number, state in point.states.items():
        if state.id == shown:
            return float(number)
    near = [n for n, s in point.states.items() if shown in s.id or s.id in shown]
    return float(near[0] if near else min(point.states, default=0))
