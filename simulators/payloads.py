"""JSON payloads from values: what an MQTT device would send, laid out by its profile."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from config.plant import Point
from config.profile import JsonPath
from simulators.layout import Value

Path = tuple[str | int, ...]


def payloads(
    unit: str, points: Sequence[Point], values: Mapping[str, Value], now_ms: int
) -> list[tuple[str, bytes]]:
    """One (topic, JSON) per topic of the points; a value that is None or not finite is null.

    Doubles are written so that they read back to the last bit; the time is UTC ms.
    """
    trees: dict[str, Any] = {}
    for point in points:
        source = point.source
        if isinstance(source, JsonPath):
            topic = source.topic.replace("{unit}", unit)
            tree = trees.get(topic)
            tree = _put(tree, source.path, _told(point, source, values.get(point.id)))
            trees[topic] = _put(tree, source.time_path, now_ms) if source.time_path else tree
    return [(topic, json.dumps(tree).encode()) for topic, tree in trees.items()]


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
    return int(raw) if point.kind == "state" else raw


def _word(words: Mapping[str, float], value: float) -> object:
    """The word that stands for a value; `true` and `false` are JSON's own."""
    for word, number in words.items():
        if number == value:
            return {"true": True, "false": False}.get(word, word)
    return None


def _put(tree: Any, path: Path, value: object) -> Any:
    """The tree with `value` at `path`, keys and list places made on the way."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(head, int):
        items = list(tree or [])
        items += [None] * (head + 1 - len(items))
        items[head] = _put(items[head], rest, value)
        return items
    branch = dict(tree or {})
    branch[head] = _put(branch.get(head), rest, value)
    return branch
