"""The plant behind `commands.load`: its agents and points, with one limit rule on each point."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from commands.load import SITE, Shape, agent_name, point_name
from config.plant import Asset, Device, Line, Plant, Point, PointSpec, System
from config.profile import JsonPath
from config.rules import Level, Rule

NAMES: Final = {"en": "Load"}
LIMIT: Final = 60.0
"""Far from the walks' 20, so that a few rules of many become abnormal."""


PROBE: Final = "probe"


def plant_of(shape: Shape, probes: int = 0) -> Plant:
    """Every agent has one line, one device and one asset; the probe's rules act at once."""
    made = _Made()
    for n in range(shape.agents):
        names = [point_name(n, i) for i in range(shape.points)]
        made.add(agent_name(n), f"rack-{n}", names, on_delay_s=5.0)
    if probes:
        made.add(PROBE, PROBE, [probe_point(i) for i in range(probes)], on_delay_s=0.0)
    return Plant(
        site=SITE, name=NAMES, time_zone="UTC", calendar="", seasons={},
        systems={"load": System("load", NAMES)}, locations={}, agents=tuple(made.lines),
        lines=made.lines, devices=made.devices, profiles={}, assets=made.assets,
        points=made.points, rules=made.rules, plans={}, poll_classes={"normal": 1.0},
    )  # fmt: skip


def probe_point(index: int) -> str:
    """The id of one of the probe's points."""
    return f"{PROBE}/value_{index}"


@dataclass(slots=True)
class _Made:
    lines: dict[str, Line] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    assets: dict[str, Asset] = field(default_factory=dict)
    points: dict[str, Point] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)

    def add(self, agent: str, asset: str, names: Sequence[str], *, on_delay_s: float) -> None:
        self.lines[agent] = Line(agent, agent, "mqtt")
        self.devices[asset] = Device(asset, "load", agent, asset)
        self.assets[asset] = Asset(asset, NAMES, "load", device=asset)
        spec = PointSpec(NAMES, "measurement", "°C", JsonPath("", ()), period_s=1.0)
        for i, name in enumerate(names):
            self.points[name] = Point(name, asset, asset, spec)
            rule = f"high-{i}@{asset}"
            self.rules[rule] = Rule(
                rule, SITE, asset, name, NAMES, "limit", "equipment", "high",
                levels=(Level("high", LIMIT, "high"),), deadband=0.5, on_delay_s=on_delay_s,
            )  # fmt: skip
