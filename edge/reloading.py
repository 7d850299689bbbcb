"""What another plant means for an agent that runs: which lines and devices it touches. Pure."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from config.plant import Line, Plant, Point
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
    a reader that is not ours begin anew with any of their devices.
    """
    before, after = _lines(old, agent), _lines(new, agent)
    kept = {line for line in before if before[line] == after.get(line)}
    whole = {line for line in kept if before[line].kind in ("fire", "rtsp", "reader")}
    kept -= {line for line in whole if _touched(old, new, {line})}
    return Changes(
        ended=tuple(line for line in before if line not in kept),
        begun=tuple(line for line in after if line not in kept),
        touched=_touched(old, new, kept),
    )


def _touched(old: Plant, new: Plant, lines: Collection[str]) -> frozenset[str]:
    """Devices of these lines that are not as they were."""
    devices = {d.id for plant in (old, new) for d in plant.devices.values() if d.line in lines}
    return frozenset(d for d in devices if _definition(old, d) != _definition(new, d))


def _lines(plant: Plant, agent: str) -> dict[str, Line]:
    """The agent's lines that have a device; another has nothing to read."""
    used = {device.line for device in plant.devices.values()}
    return {key: line for key, line in plant.lines.items() if line.agent == agent and key in used}


def _definition(
    plant: Plant, device: str
) -> tuple[object, ModbusLimits, CameraModel, float, list[Point]] | None:
    """All that reading a device depends on; None if the plant has none of that name."""
    row = plant.devices.get(device)
    if row is None:
        return None
    points = [point for point in plant.points.values() if point.device == device]
    profile = plant.profiles[row.profile]
    return row, plant.limits_of(device), profile.camera, profile.silence_s, points
