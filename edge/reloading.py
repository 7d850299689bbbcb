"""What another plant means for an agent that runs: which lines and devices it touches. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from config.plant import Device, Line, Plant, Point
from config.profile import CameraModel, ModbusLimits
from edge.ports import PointReader

Files = Callable[[], Plant]
"""Reads the plant's files anew, in a thread; raises CannotReload."""
MakeReader = Callable[[Plant, Line], PointReader]
"""Raises CannotReload where a reader cannot be made."""


class CannotReload(Exception):
    """The files are not sound, or the agent cannot run what they say; the message says why."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Lines that end, lines that begin (new ones, and those reached in another way), devices touched on others."""

    ended: tuple[str, ...]
    begun: tuple[str, ...]
    touched: frozenset[str]

    def __str__(self) -> str:
        parts = (("lines ended", self.ended), ("lines begun", self.begun), ("devices changed", sorted(self.touched)))  # fmt: skip
        return "; ".join(f"{what}: {', '.join(rows)}" for what, rows in parts if rows) or "nothing changed"  # fmt: skip


def changes(old: Plant, new: Plant, agent: str) -> Changes:
    """What the agent must touch when `new` takes the place of `old`; everything else keeps its connection and pace.

    A fire line, whose devices connect to it, a camera's, whose passwords are read with it, and one with
    a reader that is not ours begin anew with any of their devices; a fire line, which tells its devices the
    local time, with another zone too.
    """
    before, after = _lines(old, agent), _lines(new, agent)
    changed = _changed(old, new)
    kept = {line for line in before if before[line] == after.get(line)}
    whole = {line for line in kept if before[line].kind in ("fire", "rtsp", "reader")}
    kept -= whole & {line for lines in changed.values() for line in lines}
    if old.time_zone != new.time_zone:
        kept -= {line for line in kept if before[line].kind == "fire"}
    return Changes(
        ended=tuple(line for line in before if line not in kept),
        begun=tuple(line for line in after if line not in kept),
        touched=frozenset(device for device, lines in changed.items() if lines & kept),
    )


def by_line(plant: Plant) -> Iterator[tuple[str, Plant]]:
    """Each line, and the plant with the devices and points that are read by it, and no others.

    One after the other: all at once take 30 bytes a point, which an agent's start then leaves unused.
    """
    devices: dict[str, dict[str, Device]] = {line: {} for line in plant.lines}
    points: dict[str, list[Point]] = {line: [] for line in plant.lines}
    for id, device in plant.devices.items():
        devices[device.line][id] = device
    for point in plant.points.values():
        if row := plant.devices.get(point.device):
            points[row.line].append(point)
    for line in plant.lines:
        own = {point.id: point for point in points.pop(line)}
        yield line, replace(plant, devices=devices[line], points=own)


def _changed(old: Plant, new: Plant) -> dict[str, set[str]]:
    """Devices that are not as they were, with the lines that they are and were on."""
    before, after = _definitions(old), _definitions(new)
    return {
        device: {plant.devices[device].line for plant in (old, new) if device in plant.devices}
        for device in before | after
        if before.get(device) != after.get(device)
    }


def _lines(plant: Plant, agent: str) -> dict[str, Line]:
    """The agent's lines that have a device; another has nothing to read."""
    used = {device.line for device in plant.devices.values()}
    return {key: line for key, line in plant.lines.items() if line.agent == agent and key in used}


Definition = tuple[Device, ModbusLimits, CameraModel, float, list[Point]]


def _definitions(plant: Plant) -> dict[str, Definition]:
    """By device all that reading it depends on."""
    points: dict[str, list[Point]] = {device: [] for device in plant.devices}
    for point in plant.points.values():
        if point.device in points:
            points[point.device].append(point)
    found: dict[str, Definition] = {}
    for id, row in plant.devices.items():
        profile = plant.profiles[row.profile]
        found[id] = row, profile.limits, profile.camera, profile.silence_s, points[id]
    return found
