"""JSON payloads from values: what an MQTT device would send, laid out by its profile."""

import json
import math
import zoneinfo
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from config.plant import Point
from config.profile import JsonPath, Path
from simulators.layout import Value


def payloads(
    unit: str, points: Sequence[Point], values: Mapping[str, Value], now_ms: int
) -> list[tuple[str, bytes]]:
    """One (topic, JSON) per topic of the points; a value that is None or not finite is null.

    Doubles are written so that they read back to the last bit; the time is UTC ms, or what a clock of
    the profile's zone shows. A level of a topic that may be anything is `any`.
    """
    trees: dict[str, Any] = {}
    for point in points:
        source = point.source
        if isinstance(source, JsonPath):
            topic = _topic(source.topic, unit)
            told = _told(point, source, values.get(point.id))
            tree = _put(trees.get(topic), _of(unit, source.path), told)
            at = _of(unit, source.time_path)
            tree = _put(tree, at, _time(source, now_ms)) if at else tree
            for path, word in source.expects:
                tree = _put(tree, _of(unit, path), word)
            trees[topic] = tree
    return [(topic, json.dumps(tree).encode()) for topic, tree in trees.items()]


def will(unit: str, points: Sequence[Point], *, online: bool) -> list[tuple[str, bytes]]:
    """What a device says when it comes, or its broker when it is gone; nothing if its profile knows no will."""
    for point in points:
        said = point.source.availability if isinstance(point.source, JsonPath) else None
        if said is not None:
            word = said.online if online else said.offline
            tree = _put(None, _of(unit, said.path), word)
            payload = tree if isinstance(tree, str) else json.dumps(tree)
            return [(_topic(said.topic, unit), payload.encode())]
    return []


def _topic(topic: str, unit: str) -> str:
    levels = ("any" if level == "+" else level for level in topic.split("/"))
    return "/".join(levels).replace("{unit}", unit)


def _time(source: JsonPath, now_ms: int) -> int | str:
    if not source.zone:
        return now_ms
    at = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zoneinfo.ZoneInfo(source.zone))
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _of(unit: str, path: Path) -> Path:
    return tuple(s.replace("{unit}", unit) if isinstance(s, str) else s for s in path)


def _told(point: Point, source: JsonPath, value: Value) -> object:
    """The value as the device writes it: mapped word, truth of a flag, whole number or double."""
    if value is None or isinstance(value, str):
        return value
    if source.values is not None:
        return _word(source.values, value)
    if not math.isfinite(value):
        return None
    if point.kind == "flag":
        return bool(value)
    raw = value
    if source.offset != 0.0 or source.scale != 1.0:
        raw = (value - source.offset) / source.scale
    number = int(raw) if point.kind == "state" else raw
    return str(number) if source.text else number


def _word(words: Mapping[str, float], value: float) -> object:
    """The word that stands for a value; `true` and `false` are JSON's own."""
    for word, number in words.items():
        if number == value:
            return {"true": True, "false": False}.get(word, word)
    return None


def _put(tree: Any, path: Path, value: object) -> Any:
    """The tree with `value` at `path`; keys, list places and named list entries are made on the way."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(head, str) and not head.startswith("["):
        branch = dict(tree or {})
        branch[head] = _put(branch.get(head), rest, value)
        return branch
    items = list(tree or [])
    place = head if isinstance(head, int) else _entry(items, head.strip("[]"))
    items += [None] * (place + 1 - len(items))
    items[place] = _put(items[place], rest, value)
    return items


def _entry(items: list[Any], step: str) -> int:
    """The place of the entry that `key=text` names, made if it is not there; `*` is the first."""
    key, named, text = step.partition("=")
    if not named:
        return 0
    for place, item in enumerate(items):
        if isinstance(item, dict) and str(item.get(key)) == text:
            return place
    items.append({key: text})
    return len(items) - 1
