"""What the planner of reads is held against: an exact search of another kind, and the best published greedy."""

import heapq
import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from config.plant import Point, PointSpec
from config.profile import ModbusLimits, Register, Table, WordType
from edge.registers import LinkCost

MAPS: Final = Path(__file__).parent.parent / "tests" / "data" / "register_maps"
BITS: Final = ("coil", "discrete")
WIDE: Final = ("u32", "i32", "f32", "u64", "string")
Span = tuple[int, int]
"""First and last address, inclusive."""


@dataclass(frozen=True, slots=True)
class Map:
    """What is to be read of one device.

    `tables` are each with what must be read whole in it (sorted, none inside another) and its longest request.
    """

    name: str
    points: tuple[Point, ...]
    limits: ModbusLimits
    tables: tuple[tuple[Table, tuple[Span, ...], int], ...]


def map_of(name: str, points: Sequence[Point], limits: ModbusLimits) -> Map:
    """The map of these points."""
    tables = dict.fromkeys(_register(p).table for p in points)
    return Map(name, tuple(points), limits, tuple(
        (table, _spans(points, table, limits), limits.max_bits if table in BITS else limits.max_words)
        for table in tables
    ))  # fmt: skip


def real_maps() -> list[Map]:
    """The maps of real devices; what can only be written, or read after a writing, is left out."""
    return [_real(json.loads(path.read_text("utf-8"))) for path in sorted(MAPS.glob("*.json"))]


def _real(text: Mapping[str, Any]) -> Map:
    rows = [
        row for row in text["points"] if not row.get("write_only") and not row.get("needs_write")
    ]
    forbidden = tuple(
        (row["table"], row["start"], row["start"] + row["length"] - 1)
        for row in text.get("forbidden", ())
    )
    return map_of(text["id"], [_point(row) for row in rows], ModbusLimits(forbidden=forbidden))


def _point(row: Mapping[str, Any]) -> Point:
    words = row.get("words", 1)
    kind: WordType = row["type"] if row["type"] in WIDE else "u16"
    source = Register(
        row["table"], row["address"], kind, words=words, scale_from=row.get("scale_from")
    )
    return point_at(row["id"], source)


def random_map(rng: np.random.Generator) -> Map:
    """Up to 60 values in bunches, of all widths, with a device's own limits, registers that are forbidden
    and ranges that must come in one request; in half of the maps up to 30 coils beside.
    """
    points: list[Point] = []
    at = 0
    for n in range(int(rng.integers(1, 60))):
        at += int(rng.choice([0, 1, 2, 5, 11, 40, 130], p=[0.35, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05]))
        kind = str(rng.choice(["u16", "u32", "f64"], p=[0.6, 0.3, 0.1]))
        source = Register("holding", at, kind)  # type: ignore[arg-type]  # one of the three
        points.append(point_at(str(n), source))
        at += {"u16": 1, "u32": 2, "f64": 4}[kind]
    longest = int(rng.choice([8, 16, 32, 60, 64, 100, 120, 125]))
    ends = rng.integers(0, at + 1, size=int(rng.integers(0, 3)))
    taken = {a for p in points for a in range(_register(p).address, _last(p) + 1)}
    forbidden = tuple(("holding", int(a), int(a)) for a in ends if int(a) not in taken)
    together = _random_together(rng, points, longest, {a for _, a, _ in forbidden})
    bits = int(rng.choice([16, 64, 2000]))
    coils = _random_coils(rng) if rng.random() < 0.5 else []
    limits = ModbusLimits(longest, bits, forbidden=forbidden, together=together)  # type: ignore[arg-type]  # tables as named
    return map_of("random", [*points, *coils], limits)


def _random_together(
    rng: np.random.Generator, points: Sequence[Point], longest: int, forbidden: Set[int]
) -> tuple[tuple[Table, int, int], ...]:
    """Up to two ranges from one value to another, such as a request may hold."""
    found: list[tuple[Table, int, int]] = []
    for _ in range(int(rng.integers(0, 3))):
        start = int(rng.integers(0, len(points)))
        end = min(len(points) - 1, start + int(rng.integers(1, 6)))
        first, last = _register(points[start]).address, _last(points[end])
        free = all(last < a or b < first for _, a, b in found)
        if free and last - first < longest and not forbidden & set(range(first, last + 1)):
            found.append(("holding", first, last))
    return tuple(found)


def _random_coils(rng: np.random.Generator) -> list[Point]:
    gaps = rng.choice([1, 2, 9, 70, 300], size=int(rng.integers(1, 30)), p=[0.5, 0.2, 0.15, 0.1, 0.05])  # fmt: skip
    return [point_at(f"c{n}", Register("coil", int(at), "bit")) for n, at in enumerate(gaps.cumsum())]  # fmt: skip


def point_at(name: str, source: Register) -> Point:
    """A point that stands in this register."""
    return Point(f"d/{name}", "d", "d", PointSpec({"en": name}, "measurement", "", source))


def _register(point: Point) -> Register:
    if not isinstance(point.source, Register):
        raise TypeError(point.id)
    return point.source


def _last(point: Point) -> int:
    register = _register(point)
    widths = {"u32": 2, "i32": 2, "f32": 2, "u64": 4, "f64": 4, "string": register.words}
    return register.address + (0 if register.table in BITS else widths.get(register.type, 1) - 1)


def _spans(points: Sequence[Point], table: Table, limits: ModbusLimits) -> tuple[Span, ...]:
    """Values and, with each, its exponent; what lies inside another is read with it."""
    own = {p.id: _whole((_register(p).address, _last(p)), table, limits) for p in points if _register(p).table == table}  # fmt: skip
    longest = limits.max_bits if table in BITS else limits.max_words
    joined = dict(own)
    for point in points:
        other = f"d/{_register(point).scale_from}"
        if point.id in own and other in own:
            pair = (min(own[point.id][0], own[other][0]), max(own[point.id][1], own[other][1]))
            if pair[1] - pair[0] < longest and not _touches(pair, table, limits):
                joined[point.id] = pair
    kept: list[Span] = []
    for first, last in sorted(set(joined.values()), key=lambda s: (s[0], -s[1])):
        if not kept or last > kept[-1][1]:
            kept.append((first, last))
    return tuple(kept)


def _whole(span: Span, table: Table, limits: ModbusLimits) -> Span:
    """The span with what must come in the same request; the ranges of a map do not meet."""
    for named, first, last in limits.together:
        if named == table and first <= span[1] and span[0] <= last:
            span = min(span[0], first), max(span[1], last)
    return span


def _touches(span: Span, table: Table, limits: ModbusLimits) -> bool:
    return any(t == table and a <= span[1] and span[0] <= b for t, a, b in limits.forbidden)


def optimum(one: Map, cost: LinkCost) -> tuple[float, int]:
    """Least seconds that can read the map, and in how many requests: the shortest way through its addresses.

    A window over addresses begins where something that is not read yet begins and ends where anything
    ends; it reads what lies whole in it. Windows, not values, are the steps of the search
    (Dijkstra), so that nothing of the planner's own reasoning is used.
    """
    seconds, requests = 0.0, 0
    for table, spans, longest in one.tables:
        way = _shortest(table, spans, longest, one.limits, cost)
        seconds, requests = seconds + way[0], requests + way[1]
    return seconds, requests


def _shortest(
    table: Table, spans: Sequence[Span], longest: int, limits: ModbusLimits, cost: LinkCost
) -> tuple[float, int]:
    firsts, lasts = [first for first, _ in spans], [last for _, last in spans]
    waiting: list[tuple[float, int, int]] = [(0.0, 0, 0)]
    done: set[int] = set()
    while waiting:
        seconds, requests, at = heapq.heappop(waiting)
        if at == len(spans):
            return seconds, requests
        if at in done:
            continue
        done.add(at)
        for end in lasts[at:]:
            count = end - firsts[at] + 1
            if count > longest or _touches((firsts[at], end), table, limits):
                break
            read = bisect_left(lasts, end + 1)
            heapq.heappush(waiting, (seconds + cost.of(table, count), requests + 1, read))
    raise AssertionError("something cannot be read at all")


def max_insert(one: Map, hole: int) -> list[tuple[Table, int]]:
    """Tables and lengths of the requests of the greedy that Telegraf calls `max_insert`, restated.

    From the first address on, the next value joins the request while the registers between them are
    at most `hole` and the whole is not too long (Telegraf plugins/inputs/modbus, `max_insert` with
    `optimization_max_register_fill`). Forbidden registers, which it does not know, part it too.
    """
    requests: list[tuple[Table, int]] = []
    for table, spans, longest in one.tables:
        first, end = spans[0]
        for start, last in spans[1:]:
            whole = (first, max(end, last))
            joins = start - end - 1 <= hole and whole[1] - first < longest
            if joins and not _touches(whole, table, one.limits):
                end = whole[1]
            else:
                requests.append((table, end - first + 1))
                first, end = start, last
        requests.append((table, end - first + 1))
    return requests
