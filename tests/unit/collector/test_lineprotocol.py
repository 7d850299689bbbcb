"""Columns become lines: names escaped once, one line per asset and time, the last arrival only."""

import math

import numpy as np
import pytest

from collector.adapters.lineprotocol import encode_lines, field_of
from collector.ports import SeriesKey, StoreBatch

Row = tuple[str, int, float, int]


def lines(*rows: Row, site: str = "riverside", unit: str = "bar") -> list[str]:
    points = list(dict.fromkeys(row[0] for row in rows))
    batch = StoreBatch(
        [SeriesKey(site, point, unit, "number") for point in points],
        np.array([points.index(row[0]) for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.uint8),
    )
    return encode_lines(batch)


CASES: dict[str, tuple[list[Row], list[str]]] = {
    "a value with its quality": (
        [("booster/pressure", 17, 4.21, 0)],
        ["readings,asset=booster,site=riverside pressure=4.21,pressure/quality=0i 17\n"],
    ),
    "no value: quality alone": (
        [("booster/pressure", 17, math.nan, 65)],
        ["readings,asset=booster,site=riverside pressure/quality=65i 17\n"],
    ),
    "what is not finite has no number in InfluxDB": (
        [("booster/pressure", 17, math.inf, 0)],
        ["readings,asset=booster,site=riverside pressure/quality=0i 17\n"],
    ),
    "one asset and time: one line": (
        [("b/x", 5, 1.0, 0), ("c/y", 5, 2.0, 0), ("b/z", 5, 3.0, 1)],
        [
            "readings,asset=b,site=riverside x=1.0,x/quality=0i,z=3.0,z/quality=1i 5\n",
            "readings,asset=c,site=riverside y=2.0,y/quality=0i 5\n",
        ],
    ),
    "the last arrival stays": (
        [("b/x", 5, 1.0, 0), ("b/x", 4, 0.5, 0), ("b/x", 5, math.nan, 65)],
        [
            "readings,asset=b,site=riverside x=0.5,x/quality=0i 4\n",
            "readings,asset=b,site=riverside x/quality=65i 5\n",
        ],
    ),
    "a point without an asset has no such tag": (
        [("alone", 5, -0.0, 0)],
        ["readings,site=riverside alone=-0.0,alone/quality=0i 5\n"],
    ),
    "separators are escaped": (
        [("a b,c=d/e f", 5, 1e22, 0)],
        ["readings,asset=a\\ b\\,c\\=d,site=riverside e\\ f=1e+22,e\\ f/quality=0i 5\n"],
    ),
    "what has no place in a line is written as %XX": (
        [("a\\/b\nc%", 5, 1.0, 0)],
        ["readings,asset=a%5C,site=riverside b%0Ac%25=1.0,b%0Ac%25/quality=0i 5\n"],
    ),
    "nothing": ([], []),
}


@pytest.mark.parametrize("name", CASES)
def test_columns_become_lines(name: str) -> None:
    rows, expected = CASES[name]
    assert lines(*rows) == expected


def test_a_changed_unit_goes_on_in_the_same_field() -> None:
    keys = [SeriesKey("s", "a/p", unit, "number") for unit in ("bar", "kPa")]
    none = np.zeros(2, np.int64)
    batch = StoreBatch(keys, np.array([0, 1]), none, np.array([1.0, 100.0]), none.astype(np.uint8))
    assert encode_lines(batch) == ["readings,asset=a,site=s p=100.0,p/quality=0i 0\n"]


def test_the_asset_is_everything_before_the_last_slash() -> None:
    field = field_of("s", "booster/pump-1/current")
    assert (field.asset, field.name) == ("booster/pump-1", "current")
