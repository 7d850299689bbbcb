"""Maps of registers to be read: those of real devices, and random ones with all that may stand in one."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from config.plant import Point, PointSpec
from config.profile import ModbusLimits, Register, Table, WordType

MAPS: Final = Path(__file__).parent.parent / "tests" / "data" / "register_maps"
TABLES: Final[tuple[Table, ...]] = ("holding", "input", "coil", "discrete")
BITS: Final = ("coil", "discrete")
WIDTHS: Final[Mapping[str, int]] = {"u32": 2, "i32": 2, "f32": 2, "u64": 4, "i64": 4, "f64": 4}
"""Of types wider than a word, but texts."""
Span = tuple[int, int]
"""First and last address, inclusive."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read of one table.

    `spans` says of each point that can be read what must come with its own registers, whatever it is
    scaled by. No request is longer than `longest` or touches `forbidden`; what it holds any of
    `together`, it holds whole.
    """

    table: Table
    spans: Mapping[str, Span]
    longest: int
    forbidden: tuple[Span, ...]
    together: tuple[Span, ...]

    def allows(self, span: Span) -> bool:
        """Whether one request may ask for just this."""
        first, last = span
        fits = last - first < self.longest and last <= 0xFFFF
        return fits and all(last < a or b < first for a, b in self.forbidden)

    def joined(self, spans: Iterable[Span]) -> Span:
        """The least that holds all of these, and what must come with them."""
        firsts, lasts = zip(*spans, strict=True)
        return grown((min(firsts), max(lasts)), self.together)


@dataclass(frozen=True, slots=True)
class Map:
    """What is to be read of one device; `exponents` says of values by which other point they are scaled, if both can be read."""

    name: str
    points: tuple[Point, ...]
    limits: ModbusLimits
    tables: tuple[Wanted, ...]
    exponents: Mapping[str, str]


def map_of(name: str, points: Sequence[Point], limits: ModbusLimits) -> Map:
    """The map of these points; a table of which nothing can be read is not in it."""
    tables = tuple(one for one in (_wanted(points, table, limits) for table in TABLES) if one.spans)
    readable = {id for one in tables for id in one.spans}
    named = {point.id: f"d/{register(point).scale_from}" for point in points}
    exponents = {id: other for id, other in named.items() if {id, other} <= readable}
    return Map(name, tuple(points), limits, tables, exponents)


def unscaled(one: Map) -> Map:
    """The same, nothing scaled by anything."""
    points = [point_at(point.id.removeprefix("d/"), replace(register(point), scale_from=None)) for point in one.points]  # fmt: skip
    return map_of(one.name, points, one.limits)


def _wanted(points: Sequence[Point], table: Table, limits: ModbusLimits) -> Wanted:
    together = tuple((first, last) for named, first, last in limits.together if named == table)
    forbidden = tuple((first, last) for named, first, last in limits.forbidden if named == table)
    longest = limits.max_bits if table in BITS else limits.max_words
    rules = Wanted(table, {}, longest, forbidden, together)
    spans = {
        point.id: grown((register(point).address, last_of(point)), together)
        for point in points
        if register(point).table == table
    }
    readable = {id: span for id, span in spans.items() if rules.allows(span)}
    return replace(rules, spans=readable)


def grown(window: Span, together: Sequence[Span]) -> Span:
    """The least that holds the window, and each range whole of which it holds any register."""
    met = [span for span in together if span[0] <= window[1] and window[0] <= span[1]]
    wider = min([window[0], *(first for first, _ in met)]), max([window[1], *(last for _, last in met)])  # fmt: skip
    return window if wider == window else grown(wider, together)


def register(point: Point) -> Register:
    """Where it stands."""
    if not isinstance(point.source, Register):
        raise TypeError(point.id)
    return point.source


def last_of(point: Point) -> int:
    """The last address of its value."""
    source = register(point)
    words = source.words if source.type == "string" else WIDTHS.get(source.type, 1)
    return source.address + (0 if source.table in BITS else words - 1)


def point_at(name: str, source: Register) -> Point:
    """A point that stands in this register."""
    return Point(f"d/{name}", "d", "d", PointSpec({"en": name}, "measurement", "", source))


# --- real ones


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
    kind: WordType = row["type"] if row["type"] in (*WIDTHS, "string") else "u16"
    source = Register(
        row["table"],
        row["address"],
        kind,
        words=row.get("words", 1),
        scale_from=row.get("scale_from"),
    )
    return point_at(row["id"], source)


# --- random ones


def random_map(rng: np.random.Generator, most: int = 40) -> Map:
    """Up to `most` values in each of one to four tables: in bunches, of all widths, some over others or bits of
    one word, some with an exponent near or far or in another table; with the longest request of
    each kind of table, registers that are forbidden and ranges that must come in one request, such as meet and such as cannot be read.
    """
    chosen = [TABLES[n] for n in rng.permutation(4)[: rng.integers(1, 5)]]
    sources = [source for table in chosen for source in _random_values(rng, table, most)]
    words = int(rng.choice([4, 8, 16, 32, 60, 64, 100, 120, 125]))
    bits = int(rng.choice([16, 64, 300, 2000]))
    end_of = {table: max(p.address for p in sources if p.table == table) for table in chosen}
    forbidden = _random_ranges(rng, end_of, 3)
    together = _random_ranges(rng, end_of, 12)
    limits = ModbusLimits(words, bits, forbidden=forbidden, together=together)
    return map_of("random", _scaled(rng, sources, 0.1, 0.3), limits)


def small_map(rng: np.random.Generator) -> Map:
    """Two to eight words and texts in one table or two, one to three of them exponents of most of the others."""
    chosen = TABLES[: rng.integers(1, 3)]
    gap = float(rng.choice([1, 3, 10, 40]))
    sources: list[Register] = []
    for table in chosen:
        at = 0
        for _ in range(int(rng.integers(2, 5)) if len(chosen) > 1 else int(rng.integers(2, 8))):
            at += int(rng.exponential(gap)) + int(rng.random() < 0.9)
            kind = str(rng.choice(["u16", "u16", "u32", "string"]))
            sources.append(Register(table, at, kind, words=int(rng.integers(1, 6))))  # type: ignore[arg-type]  # one of the three
    end_of = {table: max(p.address for p in sources if p.table == table) for table in chosen}
    words = int(rng.choice([4, 8, 16, 60, 125]))
    forbidden, together = _random_ranges(rng, end_of, 1), _random_ranges(rng, end_of, 6)
    limits = ModbusLimits(words, forbidden=forbidden, together=together)
    return map_of("small", _scaled(rng, sources, 0.4, 0.8), limits)


def _scaled(
    rng: np.random.Generator, sources: Sequence[Register], of_words: float, of_values: float
) -> list[Point]:
    """As points; so many of the single words are exponents, so many of the other values have one: mostly the nearest."""
    words = [n for n, s in enumerate(sources) if s.type == "u16" and s.table not in BITS]
    exponents = [n for n in words if rng.random() < of_words] or words[:1]
    numbers = [n for n, s in enumerate(sources) if s.type != "string" and s.table not in BITS]
    values = [n for n in numbers if exponents and n not in exponents and rng.random() < of_values]
    own = {
        n: min((abs(other - n), other) for other in exponents)[1]
        if rng.random() < 0.7
        else int(rng.choice(exponents))
        for n in values
    }
    return [
        point_at(str(n), replace(source, scale_from=str(own[n])) if n in own else source)
        for n, source in enumerate(sources)
    ]


def _random_values(rng: np.random.Generator, table: Table, most: int) -> list[Register]:
    found: list[Register] = []
    at = 0
    for _ in range(int(rng.integers(1, most + 1))):
        at += int(rng.choice([0, 1, 2, 5, 11, 40, 130], p=[0.4, 0.2, 0.15, 0.1, 0.08, 0.04, 0.03]))
        if table in BITS:
            found.append(Register(table, at, "bit"))
            at += 1
            continue
        kind = str(rng.choice(["u16", "bit", "u32", "f64", "string"], p=[0.5, 0.1, 0.25, 0.1, 0.05]))  # fmt: skip
        words = int(rng.integers(1, 12)) if kind == "string" else 1
        bit = int(rng.integers(0, 16)) if kind == "bit" else None
        found.append(Register(table, at, kind, words=words, bit=bit))  # type: ignore[arg-type]  # one of the five
        if rng.random() < 0.8:  # or the next one begins over it
            at += words if kind == "string" else WIDTHS.get(kind, 1)
        elif rng.random() < 0.5:
            at += 1
    return found


def _random_ranges(
    rng: np.random.Generator, end_of: Mapping[Table, int], longest: int
) -> tuple[tuple[Table, int, int], ...]:
    """Up to two of each table, in half of them none."""
    return tuple(
        (table, first, first + int(rng.integers(0, longest)))
        for table, end in end_of.items()
        if rng.random() < 0.5
        for first in map(int, rng.integers(0, end + 2, size=int(rng.integers(1, 3))))
    )
