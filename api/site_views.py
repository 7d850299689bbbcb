"""A site as HTTP shows it: the plant as loaded, the overview, the live columns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from api.looking import Look, is_unknown
from api.shapes import (
    AssetRow,
    Live,
    Overview,
    PointRow,
    RuleRow,
    SiteDetail,
    SiteRow,
    SystemCounts,
    Totals,
)
from api.times import text_of
from collector.domain.alarms import Condition
from collector.ports import LedgerRow, LiveSnapshot
from config.plant import Asset, Plant, Point
from config.rules import PRIORITIES, Rule

SUPPRESSED = frozenset("EFG")
"""ISA letters of alarms that nobody is told about: shelved, by design, out of service."""
ACTIVE, WAITING = frozenset("BC"), frozenset("BD")
"""ISA letters of alarms that stand, and of those that wait for somebody to acknowledge."""
HEALTH = ("abnormal", "unknown", "normal")


def site_row(plant: Plant) -> SiteRow:
    """The site in the list of sites."""
    return {"id": plant.site, "name": dict(plant.name), "time_zone": plant.time_zone}


def site_detail(plant: Plant) -> SiteDetail:
    """The whole plant."""
    return {
        **site_row(plant),
        "systems": [{"id": s.id, "name": dict(s.name)} for s in plant.systems.values()],
        "locations": {path: dict(name) for path, name in plant.locations.items()},
        "assets": [_asset(a) for a in plant.assets.values()],
        "points": [_point(p) for p in plant.points.values()],
        "rules": [rule_row(r) for r in plant.rules.values()],
        "agents": list(plant.agents),
    }


def tagged(plant: Plant, tags: Sequence[str]) -> list[PointRow]:
    """The points that have each of these Brick classes and Haystack markers."""
    return [_point(point) for point in plant.points.values() if point.spec.tags.has(tags)]


def _asset(asset: Asset) -> AssetRow:
    return {
        "id": asset.id,
        "name": dict(asset.name),
        "system": asset.system,
        "location": asset.location,
        "class": asset.asset_class,
        "parent": asset.parent,
        "device": asset.device,
    }


def _point(point: Point) -> PointRow:
    return {
        "id": point.id,
        "asset": point.asset,
        "name": dict(point.name),
        "kind": point.kind,
        "unit": point.unit,
        "decimals": point.decimals,
        "range": point.range,
        "expected": point.expected,
        "states": {str(n): {**s.names, "id": s.id} for n, s in point.states.items()},
        "longest_silence_s": point.longest_silence_s,
        "period_s": point.period_s,
        "lane": point.lane,
        "derived": point.spec.derived,
        "brick": point.spec.tags.brick,
        "haystack": list(point.spec.tags.haystack),
    }


def rule_row(rule: Rule) -> RuleRow:
    """A rule with its rationale."""
    return {
        "id": rule.id,
        "name": dict(rule.name),
        "asset": rule.asset,
        "point": rule.point,
        "kind": rule.kind,
        "class": rule.alarm_class,
        "priority": rule.priority,
        "levels": [{"side": v.side, "limit": v.limit, "priority": v.priority} for v in rule.levels],
        "deadband": rule.deadband,
        "on_delay_s": rule.on_delay_s,
        "off_delay_s": rule.off_delay_s,
        "latch": rule.latch,
        "cause": dict(rule.cause) if rule.cause else None,
        "consequence": dict(rule.consequence) if rule.consequence else None,
        "action": dict(rule.action) if rule.action else None,
    }


def overview(plant: Plant, seen: Look, alarms: Sequence[LedgerRow]) -> Overview:
    """How the site is now; `alarms` are its open ones."""
    health = asset_health(plant, seen)
    hidden = {r.asset for r in seen.conditions.values() if r.letter in SUPPRESSED}
    active = [a.data for a in alarms if a.data.get("letter") in ACTIVE]
    waiting = [a.data for a in alarms if a.data.get("letter") in WAITING]
    return {
        "now": text_of(seen.now),
        "systems": [
            _system(plant, system, health, hidden, [a.data for a in alarms])
            for system in plant.systems
        ],
        "totals": _totals(list(plant.assets), health, hidden),
        "unacknowledged": _by_priority(waiting),
        "active": _by_priority(active),
    }


def asset_health(plant: Plant, seen: Look) -> dict[str, str]:
    """Each asset: abnormal if any of its rules is, else unknown if a rule or a point is, else normal."""
    health = dict.fromkeys(plant.assets, "normal")
    told = (point for point in plant.points.values() if not point.spec.derived)
    for point in told:  # what is derived of readings says nothing of whether they come
        silence = point.longest_silence_s + point.period_s
        if is_unknown(seen.reading(point.id), silence, seen.now):
            health[point.asset] = "unknown"
    for rule in plant.rules.values():
        condition = seen.condition(rule.id)
        if condition is Condition.ABNORMAL:
            health[rule.asset] = "abnormal"
        elif condition is Condition.UNKNOWN and health.get(rule.asset) != "abnormal":
            health[rule.asset] = "unknown"
    return health


def _system(
    plant: Plant,
    system: str,
    health: Mapping[str, str],
    hidden: Iterable[str],
    alarms: Sequence[Mapping[str, Any]],
) -> SystemCounts:
    assets = [a.id for a in plant.assets.values() if a.system == system]
    mine = [a for a in alarms if a.get("asset") in assets]
    active = [a for a in mine if a.get("letter") in ACTIVE]
    found = {a.get("priority") for a in active}
    worst = next((p for p in PRIORITIES if p in found), None)
    return {
        **_totals(assets, health, hidden),
        "id": system,
        "name": dict(plant.systems[system].name),
        "worst": worst,
        "worst_unacknowledged": any(
            a.get("priority") == worst and a.get("letter") in WAITING for a in active
        ),
    }


def _totals(assets: Sequence[str], health: Mapping[str, str], hidden: Iterable[str]) -> Totals:
    count = {state: sum(health[a] == state for a in assets) for state in HEALTH}
    return {
        "assets": len(assets),
        "normal": count["normal"],
        "abnormal": count["abnormal"],
        "unknown": count["unknown"],
        "suppressed": len(set(hidden) & set(assets)),
    }


def _by_priority(alarms: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {p: sum(a.get("priority") == p for a in alarms) for p in PRIORITIES}


def live_columns(snapshot: LiveSnapshot, now: int, asset: str = "") -> Live:
    """A snapshot as columns, of one asset and its parts if it is named."""
    return {**live_head(snapshot.mark, now), **columns_of(snapshot, asset)}  # type: ignore[typeddict-item]  # the names are the columns of Live


def live_head(mark: int, now: int) -> dict[str, str]:
    """What `Live` says before its columns."""
    return {"mark": str(mark), "now": text_of(now)}


def columns_of(snapshot: LiveSnapshot, asset: str = "") -> dict[str, Sequence[Any]]:
    """The columns of `Live`, of one asset and its parts if it is named."""
    columns = (
        ("value", snapshot.value),
        ("quality", snapshot.quality),
        ("source_time", snapshot.source_time),
        ("receive_time", snapshot.receive_time),
        ("change", snapshot.change),
    )
    if not asset:
        return {"points": snapshot.points, **{name: column.tolist() for name, column in columns}}
    keep = [i for i, p in enumerate(snapshot.points) if p.startswith(asset + "/")]
    points = [snapshot.points[i] for i in keep]
    return {"points": points, **{name: column[keep].tolist() for name, column in columns}}
