"""Turns rules as written into one row per asset and point."""

import fnmatch
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
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
LIMIT_KEYS = frozenset({*dict(SIDES), "deadband"})
USED: Mapping[str, frozenset[str]] = {
    "limit": LIMIT_KEYS, "state": frozenset({"abnormal"}), "silent": frozenset(),
}  # fmt: skip
"""Kind of rule to the keys that say what is abnormal."""
WILD = frozenset("*?[")


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
        yield from ((asset, point) for point in _under(asset.id, path, points))


def _under(asset: str, path: str, points: Mapping[str, Point]) -> Iterator[Point]:
    """Without a pattern per asset: those would be compiled, and kept, for every device of a large plant."""
    whole = f"{asset}/{path}"
    if not WILD.intersection(path):
        if whole in points:
            yield points[whole]
        return
    for id, point in points.items():
        if id.startswith(f"{asset}/") and fnmatch.fnmatchcase(id[len(asset) + 1 :], path):
            yield point


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
        levels=tuple(_by_key(text).values()), deadband=text.deadband,
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


def _by_key(text: RuleText) -> dict[str, Level]:
    levels: dict[str, Level] = {}
    for key, side in SIDES:
        given: float | LevelText | None = getattr(text, key)
        if isinstance(given, LevelText):
            levels[key] = Level(side, given.limit, given.priority)
        elif given is not None:
            levels[key] = Level(side, given, text.priority)
    return levels


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
    for key in sorted(text.model_fields_set & (LIMIT_KEYS | {"abnormal"}) - USED[text.kind]):
        used = ", ".join(sorted(USED[text.kind])) or "none of its kind"
        mistakes.add(shown, f"{path}.{key}", f"is not used by a {text.kind} rule; allowed: {used}")
    if text.kind == "limit":
        _check_limits(text, shown, path, mistakes)
    for _, point in found:
        for key, message in (*UNFIT[text.kind](text, point), *_unfit_silence(text, point)):
            mistakes.add(shown, f"{path}.{key}" if key else path, message)


def _check_limits(text: RuleText, shown: str, path: str, mistakes: Mistakes) -> None:
    limits = {key: level.limit for key, level in _by_key(text).items()}
    if not limits:
        mistakes.add(shown, path, "a limit rule needs high_high, high, low or low_low")
    for outer, inner, sign, word in (("high_high", "high", 1, "above"), ("low_low", "low", -1, "below")):  # fmt: skip
        if outer in limits and inner in limits and sign * limits[outer] <= sign * limits[inner]:
            mistakes.add(shown, f"{path}.{outer}", f"{limits[outer]:g} is not {word} {inner} = {limits[inner]:g}")  # fmt: skip
    lows = [limits[key] for key in ("low", "low_low") if key in limits]
    highs = [limits[key] for key in ("high", "high_high") if key in limits]
    if lows and highs and max(lows) + text.deadband >= min(highs) - text.deadband:
        mistakes.add(shown, path, "low and high limits with their deadband overlap")


def _unfit_limit(text: RuleText, point: Point) -> Iterator[tuple[str, str]]:
    """Limits on what is no number, and those that good values never pass or never come back from."""
    if point.kind in ("state", "flag"):
        yield "on", f"{point.id} is a {point.kind}: a limit needs a number"
        return
    if point.range is None:
        return
    lowest, highest = point.range
    for key, level in _by_key(text).items():
        back = level.limit + (text.deadband if level.side == "low" else -text.deadband)
        beyond = level.limit < highest if level.side == "high" else level.limit > lowest
        if not (beyond and lowest < back < highest):
            yield (
                key,
                (
                    f"{level.limit:g} with deadband {text.deadband:g} is never passed, or never left again: "
                    f"allowed: inside {point.id}'s range, {lowest:g} to {highest:g}"
                ),
            )


def _unfit_state(text: RuleText, point: Point) -> Iterator[tuple[str, str]]:
    """A state rule on a number, without the abnormal states, or with some that the point never has."""
    if point.kind not in ("state", "flag"):
        yield "on", f"{point.id} is a {point.kind}: a state rule needs a state or a flag"
        return
    numbers = set(point.states) or {0, 1}
    ids = {state.id for state in point.states.values()}
    allowed = ", ".join(f"{n} ({s.id})" for n, s in point.states.items()) or "0, 1"
    if point.kind == "state" and not text.abnormal:
        yield "abnormal", f"is missing: which states of {point.id} are; allowed: {allowed}"
    for given in text.abnormal:
        if given not in (numbers if isinstance(given, int) else ids):
            yield "abnormal", f"{given!r} is unknown; allowed: {allowed}"


def _unfit_silence(text: RuleText, point: Point) -> Iterator[tuple[str, str]]:
    if text.silent_after is not None and text.silent_after < point.longest_silence_s:
        yield (
            "silent_after",
            (
                f"{text.silent_after:g} s is less than {point.id} may rest unchanged; "
                f"allowed: its longest silence, {point.longest_silence_s:g} s, or more"
            ),
        )


def _unfit_nothing(_text: RuleText, _point: Point) -> Iterator[tuple[str, str]]:
    return iter(())


UNFIT: Mapping[str, Callable[[RuleText, Point], Iterator[tuple[str, str]]]] = {
    "limit": _unfit_limit, "state": _unfit_state, "silent": _unfit_nothing,
}  # fmt: skip
"""Kind of rule to what is wrong with it on a point: key and message."""
