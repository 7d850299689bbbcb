"""Whatever is written over whatever, by whichever life of the encoder: what InfluxDB then holds reads as the last arrivals."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.influx_flux import Table, raw_of, tables_of
from collector.adapters.lineprotocol import HIDDEN, QUALITY, Field, LineEncoder, Reached
from collector.ports import SeriesKey, StoreBatch
from edge.readings import BAD

POINTS = ("b/x", "b/y", "c/x")
KEYS = [SeriesKey("s", point, "", "number") for point in POINTS]
Reading = tuple[int, int, float | None, int]
"""Number of the point, time, value, quality."""
GOOD, UNCERTAIN, MISSING, WORSE = 0, 1, 65, 70
READINGS = st.one_of(
    st.tuples(st.integers(0, 2), st.integers(0, 4), st.sampled_from([1.0, 2.5]), st.sampled_from([GOOD, UNCERTAIN])),
    st.tuples(st.integers(0, 2), st.integers(0, 4), st.none(), st.sampled_from([GOOD, UNCERTAIN, MISSING, WORSE])),
)  # fmt: skip
WRITES = st.lists(st.tuples(st.booleans(), st.lists(READINGS, max_size=6)), max_size=8)
"""Whether a new life begins before it, and what is written."""


class Database:
    """What InfluxDB does with lines: each field at each time is the last that was written."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str, str], dict[int, str]] = {}

    def take(self, body: bytes) -> None:
        for line in body.decode().splitlines():
            head, fields, time = line.split(" ")
            tags = dict(tag.split("=") for tag in head.split(",")[1:])
            for field in fields.split(","):
                name, value = field.split("=")
                cell = self.cells.setdefault((tags["site"], tags["asset"], name), {})
                cell[int(time)] = value.rstrip("i")

    def reached(self) -> dict[Field, Reached]:
        """What the last of each field tells a new life."""
        found: dict[Field, Reached] = {}
        for (site, asset, name), cell in self.cells.items():
            bare = name.removesuffix(QUALITY).removesuffix(HIDDEN)
            before = found.get(Field(site, asset, bare), Reached())
            said = before.said if bare == name else max(before.said, *cell)
            found[Field(site, asset, bare)] = Reached(max(before.any, *cell), said)
        return found

    def tables(self, asset: str) -> dict[tuple[str, str], Table]:
        return dict(tables_of(
            {"result": "_result", "_field": name, "_value": value, "_time": f"1970-01-01T00:00:00.00{time}Z"}
            for (_, of, name), cell in self.cells.items() if of == asset
            for time, value in cell.items()
        ))  # fmt: skip


def as_batch(readings: list[Reading]) -> StoreBatch:
    point, time, value, quality = zip(*readings, strict=True) if readings else ((), (), (), ())
    numbers = [math.nan if one is None else one for one in value]
    return StoreBatch(KEYS, np.array(point, np.int64), np.array(time, np.int64), np.array(numbers, float), np.array(quality, np.uint8))  # fmt: skip


@given(WRITES)
def test_the_last_arrival_is_read(writes: list[tuple[bool, list[Reading]]]) -> None:
    database, encoder = Database(), LineEncoder({})
    last: dict[tuple[int, int], tuple[float | None, int]] = {}
    for born, readings in writes:
        encoder = LineEncoder(database.reached()) if born else encoder
        for body in encoder.bodies(as_batch(readings)):
            database.take(body)
        last |= {(point, time): (value, quality) for point, time, value, quality in readings}
    for number, point in enumerate(POINTS):
        asset, name = point.split("/")
        tables = database.tables(asset)
        raw = raw_of(tables, Field("s", asset, name))
        values = [None if math.isnan(value) else value for value in raw.value.tolist()]
        found = dict(
            zip(raw.time.tolist(), zip(values, raw.quality.tolist(), strict=True), strict=True)
        )
        assert found == {time: one for (of, time), one in last.items() if of == number}
        hidden = database.cells.get(("s", asset, name + HIDDEN), {}).values()
        if "1" not in hidden:  # then a sum of counts is exact
            held = database.cells.get(("s", asset, name), {})
            assert len(raw.time) == len(held) + int((raw.quality >= BAD).sum())
