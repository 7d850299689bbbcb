"""The plant behind `commands.load`: its agents and points, with one limit rule on each point."""

from typing import Final

from commands.load import SITE, Shape, agent_name, point_name
from config.plant import Asset, Device, Line, Plant, Point, System
from config.profile import JsonPath
from config.rules import Level, Rule

LIMIT: Final = 60.0
"""Far from the walks' 20, so that a few rules of many become abnormal."""


def plant_of(shape: Shape) -> Plant:
    """Every agent has one line, one device and one asset."""
    names = {"en": "Load"}
    lines, devices, assets, points, rules = {}, {}, {}, {}, {}
    for n in range(shape.agents):
        agent, asset = agent_name(n), f"rack-{n}"
        lines[agent] = Line(agent, agent, "mqtt")
        devices[asset] = Device(asset, "load", agent, asset)
        assets[asset] = Asset(asset, names, "load", device=asset)
        for i in range(shape.points):
            point = point_name(n, i)
            points[point] = Point(
                point, asset, asset, names, "measurement", "°C", JsonPath("", ()), period_s=1.0
            )
            rule = f"high-{i}@{asset}"
            rules[rule] = Rule(
                rule, SITE, asset, point, names, "limit", "equipment", "high",
                levels=(Level("high", LIMIT, "high"),), deadband=0.5, on_delay_s=5.0,
            )  # fmt: skip
    return Plant(
        site=SITE, name=names, time_zone="UTC", calendar="", seasons={},
        systems={"load": System("load", names)}, locations={}, agents=tuple(lines), lines=lines,
        devices=devices, profiles={}, assets=assets, points=points, rules=rules, plans={},
        poll_classes={"normal": 1.0},
    )  # fmt: skip
