"""A long chart comes from roll-ups, and its buckets are those of the readings: asked over HTTP, compared by hand."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import chart
from benchmarks.running import Failed
from benchmarks.store import YEAR_READINGS, a_year
from collector.adapters.memory_store import MemoryStore
from collector.adapters.store_duckdb import DuckDbStore
from collector.ports import Buckets, StoreBatch
from config.load import load_plant
from config.plant import Plant

RIVERSIDE = Path(__file__).parents[3] / "config" / "plants" / "riverside"
EVERY = 60
"""Of the readings one in ten minutes: as many hours, fewer readings. The whole year: `steward bench chart`."""


@pytest.fixture(scope="module")
def plant() -> Plant:
    return load_plant(RIVERSIDE)


@pytest.fixture(scope="module")
def quarter() -> StoreBatch:
    batch = chart.with_gaps(a_year(YEAR_READINGS // 4))
    return chart.part_of(batch, slice(None, None, EVERY))


@pytest.mark.usefixtures("unmeasured")
def test_the_buckets_of_a_quarter_equal_those_of_its_readings(
    tmp_path: Path, plant: Plant, quarter: StoreBatch
) -> None:
    store = DuckDbStore(tmp_path)
    row = chart.charted(store, quarter, plant, 2, "DuckDB")
    assert (
        "1011 buckets of 7200000 ms equal" in row.note
    )  # twelve a day of 91 and a quarter, less a week
    closed = sum(1 for _ in store._state.shelves["hour"])
    assert 0 < closed < 40  # merged: roll-ups are there, and the chart was made of them
    store.close()


class Open(MemoryStore):
    """All its hours stay open; a bucket's least value is a little off where `off` says so."""

    off = 0.0

    def close_hours(self, before: int) -> int:
        return 0

    def buckets(self, site: str, point: str, start: int, end: int, width_ms: int) -> Buckets:
        found = super().buckets(site, point, start, end, width_ms)
        found.min[3] += self.off
        return found


def test_a_chart_that_is_not_that_of_the_readings_is_no_figure(
    plant: Plant, quarter: StoreBatch
) -> None:
    few = chart.part_of(quarter, slice(9000))
    assert "equal those" in chart.charted(Open(), few, plant, 1, "twin").note
    wrong = Open()
    wrong.off = 1e-9
    with pytest.raises(Failed, match="twin: the chart's min are not"):
        chart.charted(wrong, few, plant, 1, "twin")


def test_a_bucket_without_values_has_none_and_a_mean_may_differ_in_its_last_bits() -> None:
    nan, none = np.nan, np.zeros(4, np.int64)
    values = np.array([nan, nan, 1.0, 4.0])
    batch = StoreBatch([], none, np.array([0, 1, 10, 11]), values, np.array([66, 66, 0, 1], np.uint8))  # fmt: skip
    wanted = {
        "time": [0, 10], "min": [None, 1.0], "max": [None, 4.0], "mean": [None, 2.5],
        "first": [None, 1.0], "last": [None, 4.0], "count": [2, 2], "worst": [66, 1],
    }  # fmt: skip
    assert chart.by_hand(batch, 10) == wanted
    assert chart.differences({"resolution": 10, **wanted}, batch) == []
    near = wanted | {"mean": [None, np.nextafter(2.5, 3)]}
    assert chart.differences({"resolution": 10, **near}, batch) == []
    far = wanted | {"mean": [None, 2.500001], "last": [1.0, 4.0]}
    assert chart.differences({"resolution": 10, **far}, batch) == ["last", "mean"]
