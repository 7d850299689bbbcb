"""What is done to the store once an hour, when the clock is right and when it is not."""

from pathlib import Path

import numpy as np
import pytest

from collector.adapters.memory_store import MemoryStore
from collector.adapters.store_duckdb import DuckDbStore
from collector.ports import Kind, ReadingStore, SeriesKey, StoreBatch, Unavailable
from commands.doctor import store_row
from commands.housekeeping import Housekeeping, bucket_retention_s, cut_of, kept_days
from config.settings import Settings

HOUR = 3_600_000
DAY = 24 * HOUR
T0 = 1_773_532_800_000
KEY = SeriesKey("riverside", "booster/pressure", "bar", "number")


def days_of(store: ReadingStore, days: int) -> None:
    time = T0 + np.arange(days * 4) * DAY // 4
    none = np.zeros(len(time), np.int64)
    store.write([StoreBatch([KEY], none, time, none.astype(float), none.astype(np.uint8))], 1)


def test_what_is_older_than_its_retention_goes_and_is_left_as_roll_ups(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    days_of(store, 30)
    house = Housekeeping(store, kept_days(Settings(keep_raw_days=8, keep_minute_days=20)))
    house.tidy(T0 + 30 * DAY + 1)
    assert house.troubles == ()
    assert (store.count(), store.kept_from()) == (8 * 4, T0 + 22 * DAY)
    found = store.buckets(KEY.site, KEY.point, T0, T0 + 30 * DAY, DAY)
    assert found.count.tolist() == [4] * 30
    store.close()


@pytest.mark.parametrize("years", [1, 30])
def test_a_clock_that_is_ahead_takes_nothing(years: int) -> None:
    store = MemoryStore()
    days_of(store, 30)
    house = Housekeeping(store, {"raw": 8})
    house.tidy(T0 + years * 366 * DAY)
    assert store.count() == 120
    assert "put the clock of this machine right" in house.said()
    house.tidy(T0 + 30 * DAY)
    assert (store.count(), house.troubles) == (32, ())


def test_a_store_that_holds_nothing_is_cut_nowhere() -> None:
    store = MemoryStore()
    Housekeeping(store, {"raw": 8}).tidy(T0 + 30 * 366 * DAY)
    days_of(store, 2)
    assert store.count() == 8


def test_a_cut_goes_no_further_than_a_day_beyond_what_came_last() -> None:
    assert cut_of(T0 + DAY, 8, T0) == T0 - 7 * DAY
    with pytest.raises(Unavailable, match="newest reading is of 2026-03-15 00:00 UTC"):
        cut_of(T0 + DAY + HOUR, 8, T0)


def test_a_cut_that_lies_ahead_is_taken_back_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = T0 + 2 * DAY
    store = DuckDbStore(tmp_path / "store")
    store.delete_before(T0 + 100 * 366 * DAY)
    days_of(store, 2)
    store.close()
    rows = store_row(Settings(data=tmp_path))
    assert [row[:2] for row in rows] == [("store", True), ("retention", False)]
    assert "retention has cut up to" in rows[1][2]
    store = DuckDbStore(tmp_path / "store")
    Housekeeping(store, {"raw": 8}).tidy(now)
    assert (store.count(), store.kept_from()) == (8, now - 8 * DAY)
    assert "a clock was wrong" in caplog.text
    store.close()


def test_a_step_that_fails_leaves_the_others_alone() -> None:
    class Full(MemoryStore):
        def delete_before(self, time: int, kind: Kind = "raw") -> None:
            if kind == "raw":
                raise Unavailable("no room")
            MemoryStore.delete_before(self, time, kind)

    store = Full()
    days_of(store, 30)
    house = Housekeeping(store, {"raw": 8, "minute": 20})
    house.tidy(T0 + 30 * DAY)
    assert house.troubles == ("retention (raw): no room",)
    house.troubles = ("a", "b", "c", "d", "e")
    assert house.said() == "a; b; c; 2 more"


def test_a_bucket_of_all_kinds_keeps_a_day_more_than_the_longest_of_them() -> None:
    assert bucket_retention_s({"raw": 90, "minute": 730, "hour": 1000}) == 1001 * 86_400
    assert bucket_retention_s({"raw": 90, "minute": 730, "hour": 0}) == 0
