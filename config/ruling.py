"""Turns rules as written into one row per asset and point."""

import fnmatch
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Literal

from config.files import LevelText, RuleText
from config.mistakes import Mistakes
from config.plant import Asset, Point
from config.rules import Level, Rule, WorkOrderPolicy

SIDES: tuple[tuple[str, Literal["high", "low"]], ...] = (
    ("high_high", "high"),
    ("high", "high"),
    ("low", "low"),
    ("low_low", "low"),
)


def targets(
    on: str, assets: Mapping[str, Asset], points: Mapping[str, Point]
) -> Iterator[tuple[Asset, Point]]:
    """Assets and points that `on` means: `system:<id>/<path>`, `class:<id>/<path>` or a path.

    A path is relative to each matching asset and may hold `*`; without a prefix it is absolute.
    """
    kind, colon, rest = on.partition(":")
    if not colon:
        matching = (points[p] for p in points if fnmatch.fnmatchcase(p, on))
        yield from ((assets[p.asset], p) for p in matching)
        return
    wanted, _, path = rest.partition("/")
    for asset in assets.values():
        if wanted != (asset.system if kind == "system" else asset.asset_class):
            continue
        for point in points.values():
            if fnmatch.fnmatchcase(point.id, f"{asset.id}/{path}"):
                yield asset, point


def expand_rule(
    site: str, key: str, text: RuleText, found: Iterable[tuple[Asset, Point]]
) -> Iterator[Rule]:
    """One row per (asset, point); the rule belongs to the asset that the point is of."""
    points = {point.id: point for _, point in found}.values()
    several = len({p.asset for p in points}) < len(points)
    for point in points:
        own = point.id.rsplit("/", 1)[1]
        id = f"{key}@{point.asset}/{own}" if several else f"{key}@{point.asset}"
        yield _row(site, id, text, point)


def _row(site: str, id: str, text: RuleText, point: Point) -> Rule:
    fallback = {tag: f"{name}" for tag, name in point.name.items()}
    rule = Rule(
        id=id, site=site, asset=point.asset, point=point.id,
        name=text.name.table() if text.name else fallback,
        kind=text.kind, alarm_class=text.class_, priority=text.priority,
        levels=tuple(_levels(text)), deadband=text.deadband,
        abnormal_states=_states(text, point), silent_after_s=text.silent_after,
        on_delay_s=text.on_delay, off_delay_s=text.off_delay, latch=text.latch,
        work_order=WorkOrderPolicy(
            text.work_order.raise_, text.work_order.fault_class, text.work_order.healthy / 60
        ),
        regroup_s=text.regroup, respond_within_s=text.respond_within,
        cause=text.cause.table() if text.cause else None,
        consequence=text.consequence.table() if text.consequence else None,
        action=text.action.table() if text.action else None,
    )  # fmt: skip
    return replace(rule, version=hashlib.sha256(repr(rule).encode()).hexdigest()[:12])


def _levels(text: RuleText) -> Iterator[Level]:
    for key, side in SIDES:
        given: float | LevelText | None = getattr(text, key)
        if isinstance(given, LevelText):
            yield Level(side, given.limit, given.priority)
        elif given is not None:
            yield Level(side, given, text.priority)


def _states(text: RuleText, point: Point) -> tuple[int, ...]:
    if text.kind != "state":
        return ()
    if not text.abnormal:
        return (1,)
    numbers = {state.id: number for number, state in point.states.items()}
    return tuple(
        given if isinstance(given, int) else numbers[given]
        for given in text.abnormal
        if isinstance(given, int) or given in numbers
    )


def check_rule(
    text: RuleText, shown: str, path: str, found: list[tuple[Asset, Point]], mistakes: Mistakes
) -> None:
    """Mistakes of meaning in one rule."""
    if not found:
        mistakes.add(shown, f"{path}.on", f"{text.on!r} names no point of this plant")
    if text.kind == "limit":
        _check_limits(text, shown, path, mistakes)
    for _, point in found:
        if text.kind == "limit" and point.kind in ("state", "flag"):
            mistakes.add(
                shown, f"{path}.on", f"{point.id} is a {point.kind}: a limit needs a number"
            )
        ids = [state.id for state in point.states.values()]
        for given in text.abnormal:
            if isinstance(given, str) and given not in ids:
                mistakes.unknown(shown, f"{path}.abnormal", given, ids)


def _check_limits(text: RuleText, shown: str, path: str, mistakes: Mistakes) -> None:
    levels = list(_levels(text))
    if not levels:
        mistakes.add(shown, path, "a limit rule needs high_high, high, low or low_low")
    lows = [level.limit for level in levels if level.side == "low"]
    highs = [level.limit for level in levels if level.side == "high"]
    if lows and highs and max(lows) + text.deadband >= min(highs) - text.deadband:
        mistakes.add(shown, path, "low and high limits with their deadband overlap")
