"""Columns become lines: names escaped once, one line per asset and time, the last arrival only, nothing left over."""

import math
from collections.abc import Mapping

import numpy as np
import pytest

from collector.adapters import lineprotocol
from collector.adapters.lineprotocol import Field, LineEncoder, Reached, field_of
from collector.ports import SeriesKey, StoreBatch

Row = tuple[str, int, float, int]


def batch(*rows: Row, site: str = "riverside") -> StoreBatch:
    points = list(dict.fromkeys(row[0] for row in rows))
    return StoreBatch(
        [SeriesKey(site, point, "bar", "number") for point in points],
        np.array([points.index(row[0]) for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.uint8),
    )


def lines(*writes: list[Row], reached: Mapping[Field, Reached] | None = None) -> list[list[str]]:
    """The lines of each write of one encoder."""
    encoder = LineEncoder(reached or {})
    return [
        b"".join(encoder.bodies(batch(*rows))).decode().splitlines(keepends=True) for rows in writes
    ]


CASES: dict[str, tuple[list[Row], list[str]]] = {
    "a good value alone": (
        [("booster/pressure", 17, 4.21, 0)],
        ["readings,asset=booster,site=riverside pressure=4.21 17\n"],
    ),
    "an uncertain value with its quality": (
        [("booster/pressure", 17, 4.21, 1)],
        ["readings,asset=booster,site=riverside pressure=4.21,pressure/quality=1i 17\n"],
    ),
    "no value: quality alone": (
        [("booster/pressure", 17, math.nan, 65)],
        ["readings,asset=booster,site=riverside pressure/quality=65i 17\n"],
    ),
    "what is not finite has no number in InfluxDB": (
        [("booster/pressure", 17, math.inf, 0)],
        ["readings,asset=booster,site=riverside pressure/quality=0i,pressure/hidden=1i 17\n"],
    ),
    "one asset and time: one line": (
        [("b/x", 5, 1.0, 0), ("c/y", 5, 2.0, 0), ("b/z", 5, 3.0, 1)],
        [
            "readings,asset=b,site=riverside x=1.0,z=3.0,z/quality=1i 5\n",
            "readings,asset=c,site=riverside y=2.0 5\n",
        ],
    ),
    "the last arrival stays": (
        [("b/x", 5, 1.0, 0), ("b/x", 4, 0.5, 0), ("b/x", 5, math.nan, 65)],
        [
            "readings,asset=b,site=riverside x=0.5 4\n",
            "readings,asset=b,site=riverside x/quality=65i 5\n",
        ],
    ),
    "a point without an asset has no such tag": (
        [("alone", 5, -0.0, 0)],
        ["readings,site=riverside alone=-0.0 5\n"],
    ),
    "separators are escaped": (
        [("a b,c=d/e f", 5, 1e22, 0)],
        ["readings,asset=a\\ b\\,c\\=d,site=riverside e\\ f=1e22 5\n"],
    ),
    "commas of names and of a line stand beside each other": (
        [
            ("a,b/x,y", 5, 1.5, 1),
            ("a,b/z", 5, math.nan, 65),
            ("a,b/x,y", 6, 2.0, 0),
            ("a,b/\1", 6, 3.0, 0),
        ],
        [
            "readings,asset=a\\,b,site=riverside x\\,y=1.5,x\\,y/quality=1i,z/quality=65i 5\n",
            "readings,asset=a\\,b,site=riverside x\\,y=2.0,%01=3.0 6\n",
        ],
    ),
    "what has no place in a line is written as %XX": (
        [("a\\/b\nc%", 5, 1.0, 0)],
        ["readings,asset=a%5C,site=riverside b%0Ac%25=1.0 5\n"],
    ),
    "nothing": ([], []),
}


@pytest.mark.parametrize("name", CASES)
def test_columns_become_lines(name: str) -> None:
    rows, expected = CASES[name]
    assert lines(rows) == [expected]


X = "readings,asset=b,site=riverside x"
WRITES: dict[str, tuple[list[Row], list[str]]] = {
    "none after a value hides it": (
        [("b/x", 5, 1.0, 0), ("b/x", 5, math.nan, 65)],
        [f"{X}=1.0 5\n", f"{X}/quality=65i,x/hidden=1i 5\n"],
    ),
    "a value after none says that it is good and not hidden": (
        [("b/x", 5, math.nan, 65), ("b/x", 5, 1.0, 0)],
        [f"{X}/quality=65i 5\n", f"{X}=1.0,x/quality=0i,x/hidden=0i 5\n"],
    ),
    "a late value says so too": (
        [("b/x", 5, 2.0, 1), ("b/x", 4, 1.0, 0)],
        [f"{X}=2.0,x/quality=1i 5\n", f"{X}=1.0,x/quality=0i,x/hidden=0i 4\n"],
    ),
    "a later one need not": (
        [("b/x", 5, math.nan, 65), ("b/x", 6, 1.0, 0)],
        [f"{X}/quality=65i 5\n", f"{X}=1.0 6\n"],
    ),
    "another point is another matter": (
        [("b/x", 5, math.nan, 65), ("b/y", 4, 1.0, 0)],
        [f"{X}/quality=65i 5\n", "readings,asset=b,site=riverside y=1.0 4\n"],
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_may_stand_there_is_overwritten(name: str) -> None:
    rows, expected = WRITES[name]
    assert lines(*([row] for row in rows)) == [[line] for line in expected]


def test_what_an_earlier_life_wrote_is_overwritten_too() -> None:
    reached = {Field("riverside", "b", "x"): Reached(any=9, said=5)}
    rows: list[Row] = [("b/x", 5, 1.0, 0), ("b/x", 6, 2.0, 0), ("b/x", 9, math.nan, 65)]
    assert lines(*([row] for row in rows), reached=reached) == [
        [f"{X}=1.0,x/quality=0i,x/hidden=0i 5\n"],
        [f"{X}=2.0 6\n"],
        [f"{X}/quality=65i,x/hidden=1i 9\n"],
    ]


def test_bodies_hold_whole_lines_and_together_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Row] = [(f"b/p{n % 7}", n // 7, n / 2, 0) for n in range(700)]
    whole = b"".join(LineEncoder({}).bodies(batch(*rows)))
    monkeypatch.setattr(lineprotocol, "READINGS_AT_ONCE", 10)
    monkeypatch.setattr(lineprotocol, "READINGS_IN_CACHE", 3)
    bodies = list(LineEncoder({}).bodies(batch(*rows)))
    assert [body.count(b"=") // 9 for body in bodies[:2]] == [1, 2]  # a line has 7 fields, 2 tags
    assert b"".join(bodies) == whole
    assert all(body.endswith(b"\n") for body in bodies)


def test_times_that_lie_ages_apart_are_in_order_too() -> None:
    rows: list[Row] = [("b/x", 2**61, 1.0, 0), ("b/x", -(2**61), 2.0, 0)]
    assert lines(rows) == [[f"{X}=2.0 {-(2**61)}\n", f"{X}=1.0 {2**61}\n"]]


def test_a_changed_unit_goes_on_in_the_same_field() -> None:
    keys = [SeriesKey("s", "a/p", unit, "number") for unit in ("bar", "kPa")]
    none = np.zeros(2, np.int64)
    both = StoreBatch(keys, np.array([0, 1]), none, np.array([1.0, 100.0]), none.astype(np.uint8))
    assert list(LineEncoder({}).bodies(both)) == [b"readings,asset=a,site=s p=100.0 0\n"]


def test_the_asset_is_everything_before_the_last_slash() -> None:
    field = field_of("s", "booster/pump-1/current")
    assert (field.asset, field.name) == ("booster/pump-1", "current")
