"""Questions to InfluxDB in Flux, and its answers as columns."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from collector.adapters.lineprotocol import HIDDEN, QUALITY, Field
from collector.buckets import Rolled
from collector.ports import Raw
from edge.readings import BAD, Floats, Ints

TIME_MS_MAX: Final = 9_223_372_036_000
"""InfluxDB's times are 64-bit nanoseconds."""
OF_READINGS: Final = ("min", "max", "sum", "first", "last", "count")
OF_ROLL_UPS: Final = {
    "min": "min", "max": "max", "sum": "sum", "first": "first", "last": "last",
    "count": "sum", "valued": "sum", "worst": "max",
}  # fmt: skip
"""By which function several roll-ups of a kind become one."""
FLOATS: Final = ("min", "max", "sum", "first", "last")


@dataclass(slots=True)
class Table:
    """Times and values of one result, as text."""

    times: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)


Tables = Mapping[tuple[str, str], Table]
"""By name of the result and field."""


def bound(time: int) -> int:
    """A time (UTC ms) that InfluxDB can hold."""
    return max(-TIME_MS_MAX, min(TIME_MS_MAX, time))


def text(content: str) -> str:
    """A string literal of Flux."""
    return '"' + content.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'


def source(bucket: str, measurement: str, start: int = -TIME_MS_MAX, end: int = TIME_MS_MAX) -> str:
    """A measurement within a span; both UTC ms."""
    spans = (("start", start), ("stop", end))
    span = ", ".join(f"{name}: time(v: {bound(at) * 1_000_000})" for name, at in spans)
    return f"from(bucket: {text(bucket)}) |> range({span}) |> {where(f'r._measurement == {text(measurement)}')}"


def where(condition: str) -> str:
    """A filter by a condition on `r`."""
    return f"filter(fn: (r) => {condition})"


def tag(name: str, content: str) -> str:
    """Condition: a tag is this, or not there if it is empty."""
    return f"r.{name} == {text(content)}" if content else f"not exists r.{name}"


def at_place(site: str, asset: str) -> str:
    """Condition: of this asset."""
    return f"{tag('site', site)} and {tag('asset', asset)}"


def named(names: Iterable[str]) -> str:
    """Condition: one of these fields."""
    return "(" + " or ".join(f"r._field == {text(name)}" for name in names) + ")"


def ending(*suffixes: str, but: bool = False) -> str:
    """Condition: a field whose name ends so, or does not: with a `not`, InfluxDB would look at each reading."""
    either = "|".join(suffix.replace("/", "\\/") for suffix in suffixes)
    return f"r._field {'!~' if but else '=~'} /({either})$/"


VALUES: Final = ending(QUALITY, HIDDEN, but=True)
HOURS_OF: Final = (
    'aggregateWindow(every: 1h, fn: count, createEmpty: false, timeSrc: "_start")'
    ' |> keep(columns: ["_time"]) |> group() |> distinct(column: "_time")'
)
"""The hours in which there is anything."""
MISSING: Final = f"r._value >= {BAD}"


def is_point(place: Field) -> str:
    """Condition: what there is of one point."""
    names = (place.name, place.name + QUALITY, place.name + HIDDEN)
    return f"{at_place(place.site, place.asset)} and {named(names)}"


def _windows(width_ms: int, function: str, result: str) -> str:
    return (
        f'aggregateWindow(every: {width_ms}ms, fn: {function}, createEmpty: false, timeSrc: "_start")'
        f' |> keep(columns: ["_time", "_value", "_field"]) |> yield(name: "{result}")'
    )


def windows_of_readings(readings: str, width_ms: int) -> str:
    """Readings of an asset or of one point in windows; with what was replaced by nothing in them."""
    quality = f"{readings} |> {where(ending(QUALITY))}"
    hidden = f"{readings} |> {where(ending(HIDDEN))} |> {where('r._value == 1')}"
    values = f"{readings} |> {where(VALUES)}"
    return "\n".join(
        [
            *(f"{values} |> {_windows(width_ms, name, name)}" for name in OF_READINGS),
            f"{quality} |> {_windows(width_ms, 'max', 'worst')}",
            f"{quality} |> {where(MISSING)} |> {_windows(width_ms, 'count', 'missing')}",
            f'{hidden} |> keep(columns: ["_time", "_value", "_field"]) |> yield(name: "hidden")',
        ]
    )


def windows_of_roll_ups(roll_ups: str, width_ms: int) -> str:
    """Roll-ups in windows of a multiple of their own width."""
    return "\n".join(
        f"{roll_ups} |> {where(ending('/' + name))} |> {_windows(width_ms, function, name)}"
        for name, function in OF_ROLL_UPS.items()
    )


# --- answers ---------------------------------------------------------------------------------------


FAILED: Final = ("error", "reference")
"""Header of the table that ends an answer which failed after it had begun: its status was 200 by then."""


class BrokenOff(Exception):
    """InfluxDB ended an answer with an error; the message is its own."""


def rows_of(answer: str) -> list[dict[str, str]]:
    """Rows of Flux's annotated CSV. A result's name stands in its annotation `#default` only.

    Raises:
        BrokenOff: the answer ends with an error.
    """
    rows: list[dict[str, str]] = []
    header: list[str] = []
    defaults: list[str] = []
    for cells in csv.reader(answer.splitlines()):
        if not cells or cells[0].startswith("#"):
            header = []
            defaults = cells if cells and cells[0] == "#default" else defaults
        elif not header:
            header = cells
        elif _is_failure(header):
            raise BrokenOff(cells[header.index("error")])
        else:
            filled = (cell or default for cell, default in zip(cells, defaults, strict=True))
            rows.append(dict(zip(header, filled, strict=True)))
    return rows


def tables_in(answer: str) -> Tables:
    """Columns of each result and field straight from Flux's annotated CSV: a roll-up asks for them by the million.

    Raises:
        BrokenOff: the answer ends with an error.
    """
    tables: dict[tuple[str, str], Table] = {}
    header: list[str] = []
    default = ""
    of = at = said = 0
    for cells in csv.reader(answer.splitlines()):
        if not cells or cells[0].startswith("#"):
            header = []
            default = cells[1] if cells and cells[0] == "#default" else default
        elif not header:
            header = cells
            if not _is_failure(cells):
                of, at, said = (cells.index(name) for name in ("_field", "_time", "_value"))
        elif _is_failure(header):
            raise BrokenOff(cells[header.index("error")])
        else:
            key = (cells[1] or default, cells[of])
            table = tables.get(key)
            if table is None:
                table = tables[key] = Table()
            table.times.append(cells[at])
            table.values.append(cells[said])
    return tables


def _is_failure(header: Sequence[str]) -> bool:
    return header[-len(FAILED) :] == list(FAILED)


def tables_of(rows: Iterable[Mapping[str, str]]) -> Tables:
    """Rows as columns of each result and field."""
    tables: dict[tuple[str, str], Table] = {}
    for row in rows:
        table = tables.setdefault((row["result"], row["_field"]), Table())
        table.times.append(row["_time"])
        table.values.append(row["_value"])
    return tables


def time_of(said: str) -> int:
    """UTC ms."""
    return int(np.datetime64(said.rstrip("Z"), "ms").astype(np.int64))


def column(table: Table | None) -> tuple[Ints, Floats]:
    """Times (UTC ms) and values of a result, by time."""
    table = table or Table()
    at = np.array([said.rstrip("Z") for said in table.times], "datetime64[ms]").astype(np.int64)
    order = np.argsort(at, kind="stable")
    return at[order], np.array([float(value) for value in table.values], np.float64)[order]


def aligned(time: Ints, at: Ints, value: Floats, empty: float = np.nan) -> Floats:
    """Values at the given times, `empty` where there is none; both ascending, `at` within `time`."""
    out = np.full(len(time), empty)
    out[np.searchsorted(time, at)] = value
    return out


def raw_of(tables: Tables, place: Field, result: str = "_result") -> Raw:
    """Readings of one point."""
    at, value = column(tables.get((result, place.name)))
    said, code = column(tables.get((result, place.name + QUALITY)))
    hidden, hides = column(tables.get((result, place.name + HIDDEN)))
    time = np.union1d(at, said)
    quality = aligned(time, said, code, 0.0).astype(np.uint8)
    gone = (quality >= BAD) | (aligned(time, hidden, hides, 0.0) == 1)
    return Raw(time, np.where(gone, np.nan, aligned(time, at, value)), quality)


def rolled_of_readings(tables: Tables, name: str, width_ms: int) -> Rolled:
    """One point's answer to `windows_of_readings`."""
    values = {each: column(tables.get((each, name))) for each in OF_READINGS}
    said, worst = column(tables.get(("worst", name + QUALITY)))
    lacking, missing = column(tables.get(("missing", name + QUALITY)))
    time = np.union1d(values["count"][0], said)
    valued = aligned(time, *values["count"], 0.0)
    numbers = {each: aligned(time, *values[each]) for each in FLOATS}
    return Rolled(
        **_unsigned(numbers),
        time=time // width_ms * width_ms,  # the first window begins where the span does
        count=(valued + aligned(time, lacking, missing, 0.0)).astype(np.int64),
        valued=valued.astype(np.int64),
        worst=aligned(time, said, worst, 0.0).astype(np.uint8),
    )


def rolled_of_roll_ups(tables: Tables, name: str, width_ms: int) -> Rolled:
    """One point's answer to `windows_of_roll_ups`."""
    found = {each: column(tables.get((each, f"{name}/{each}"))) for each in OF_ROLL_UPS}
    time = found["count"][0]
    numbers = {each: aligned(time, *found[each]) for each in FLOATS}
    whole = {each: aligned(time, *found[each], 0.0) for each in ("count", "valued", "worst")}
    return Rolled(
        **_unsigned(numbers),
        time=time // width_ms * width_ms,
        count=whole["count"].astype(np.int64),
        valued=whole["valued"].astype(np.int64),
        worst=whole["worst"].astype(np.uint8),
    )


def _unsigned(numbers: Mapping[str, Floats]) -> dict[str, Floats]:
    """Of zeros of both signs the positive one is smallest and largest, as from any store."""
    return {each: v + 0.0 if each in ("min", "max") else v for each, v in numbers.items()}


def names_in(tables: Tables, results: Sequence[str] = ("count", "worst", "hidden")) -> list[str]:
    """The points of an asset that an answer to `windows_of_readings` speaks of, by their fields."""
    fields = {name for result, name in tables if result in results}
    return sorted({name.removesuffix(QUALITY).removesuffix(HIDDEN) for name in fields})
