"""What is done to the store once an hour, when the clock is right and when it is not."""

from pathlib import Path

import numpy as np
import pytest

from collector.adapters.memory_store import MemoryStore
from collector.adapters.store_duckdb import DuckDbStore
from collector.ports import Kind, ReadingStore, SeriesKey, StoreBatch, Unavailable
from commands.doctor import store_row
from commands.housekeeping import (
    Housekeeping,
    bucket_retention_s,
    cut_of,
    kept_days,
    warn_of_retention,
)
from config.settings import Settings

HOUR = 3_600_000
DAY = 24 * HOUR
T0 = 1_773_532_800_000
KEY = SeriesKey("riverside", "booster/pressure", "bar", "number")


def days_of(store: ReadingStore, days: int) -> None:
    store.write([of_time((T0 + np.arange(days * 4) * DAY // 4).tolist())], 1)


def of_time(times: list[int]) -> StoreBatch:
    time = np.array(times)
    none = np.zeros(len(time), np.int64)
    return StoreBatch([KEY], none, time, none.astype(float), none.astype(np.uint8))


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
def test_a_clock_that_is_ahead_takes_no_more_than_a_day(years: int) -> None:
    store = MemoryStore()
    days_of(store, 30)
    house = Housekeeping(store, {"raw": 8})
    for n in range(3):
        house.tidy(T0 + years * 366 * DAY + n * HOUR)
        assert (store.count(), house.troubles) == (29, ())


def test_a_silence_takes_no_more_than_a_day_and_is_no_trouble() -> None:
    store = MemoryStore()
    days_of(store, 10)
    house = Housekeeping(store, {"raw": 8})
    for hours in range(0, 24 * 40, 7):
        house.tidy(T0 + 10 * DAY + hours * HOUR)
        assert house.troubles == ()
    assert store.count() == 29


def test_a_clock_that_agents_share_takes_24_hours_of_what_is_held_at_a_time(
    tmp_path: Path,
) -> None:
    store = DuckDbStore(tmp_path)
    days_of(store, 30)
    store.close_hours(T0 + 30 * DAY)
    ahead, house = T0 + 3660 * DAY, Housekeeping(store, {"raw": 8, "minute": 8})
    store.write([of_time([ahead])], 2)
    held = [store.count()]
    for n in range(2):
        house.tidy(ahead + n * HOUR)
        held.append(store.count())
    house.tidy(T0 + 30 * DAY)
    assert house.troubles == ()
    assert held == [121, 97, 73]
    assert (store.count(), store.kept_from()) == (49, T0 + 18 * DAY)
    found = store.buckets(KEY.site, KEY.point, T0, T0 + 30 * DAY, DAY)
    assert found.count.sum() == 120
    store.close()


def test_what_a_shorter_retention_takes_goes_24_hours_at_a_time(tmp_path: Path) -> None:
    """The hours of four readings a day, and of a file that was merged from before the first one on."""
    store = DuckDbStore(tmp_path)
    days_of(store, 30)
    store.close_hours(T0 + 30 * DAY)
    house = Housekeeping(store, {"raw": 10})
    cuts = []
    for _ in range(5):
        house.tidy(T0 + 30 * DAY)
        cuts.append((store.kept_from() - T0) // DAY)
    assert (cuts, house.troubles) == ([6, 12, 18, 20, 20], ())
    store.close()


def test_a_store_that_holds_nothing_is_cut_nowhere() -> None:
    store = MemoryStore()
    Housekeeping(store, {"raw": 8}).tidy(T0 + 30 * 366 * DAY)
    days_of(store, 2)
    assert store.count() == 8


def test_a_cut_goes_no_further_than_a_day_beyond_what_came_last() -> None:
    assert cut_of(T0 + DAY, 8, T0) == T0 - 7 * DAY
    assert cut_of(T0 + DAY + HOUR, 8, T0) == T0 - 7 * DAY
    assert cut_of(T0 + DAY - 1, 8, T0) == T0 - 7 * DAY - HOUR


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
    assert "no reading is newer than the cut" in caplog.text
    store.close()


def test_a_clock_that_is_behind_is_not_said_to_have_been_ahead(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = DuckDbStore(tmp_path)
    days_of(store, 20)
    house = Housekeeping(store, {"raw": 8})
    house.tidy(T0 + 20 * DAY)
    behind = T0 - 6 * 366 * DAY
    house.tidy(behind)
    store.write([of_time([behind])], 2)
    house.tidy(behind + HOUR)
    assert "by this machine's clock it is 2020-03-10 00:00 UTC" in caplog.text
    assert "the newest reading is of 2026-04-03 18:00 UTC: the clock is wrong now" in caplog.text
    assert (store.count(), house.troubles) == (8 * 4 + 1, ())
    house.tidy(T0 + 20 * DAY)
    assert (store.count(), store.late.dropped) == (8 * 4, 0)
    store.close()


def test_a_step_that_fails_leaves_the_others_alone() -> None:
    class Full(MemoryStore):
        asked = 0

        def newest(self) -> int | None:
            self.asked += 1
            return MemoryStore.newest(self)

        def delete_before(self, time: int, kind: Kind = "raw") -> None:
            if kind == "raw":
                raise Unavailable("no room")
            MemoryStore.delete_before(self, time, kind)

    store = Full()
    days_of(store, 30)
    house = Housekeeping(store, {"raw": 8, "minute": 20})
    house.tidy(T0 + 30 * DAY)
    assert (house.troubles, store.asked) == (("retention (raw): no room",), 1)
    house.troubles = ("a", "b", "c", "d", "e")
    assert house.said() == "a; b; c; 2 more"


def test_a_store_whose_newest_reading_is_not_to_be_had_is_closed_all_the_same() -> None:
    store = MemoryStore()
    days_of(store, 30)
    house = Housekeeping(store, {"raw": 8})
    store.unavailable = "away"
    house.tidy(T0 + 30 * DAY)
    assert house.said() == "retention: away"
    store.unavailable = ""
    house.tidy(T0 + 30 * DAY)
    assert (store.count(), house.said()) == (32, "")


def test_few_days_of_readings_are_kept_as_long_as_duties_need(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert kept_days(Settings(keep_raw_days=3))["raw"] == 8
    assert kept_days(Settings(keep_raw_days=0))["raw"] == 0
    lifted = kept_days(Settings(keep_raw_days=5, keep_minute_days=6))
    assert lifted == {"raw": 8, "minute": 8, "hour": 0}
    assert kept_days(Settings(keep_raw_days=3, store="influxdb"))["raw"] == 8
    warn_of_retention(Settings(keep_raw_days=3))
    assert "STEWARD_KEEP_RAW_DAYS is 3: readings are kept for 8 days" in caplog.text


def test_a_bucket_of_all_kinds_keeps_a_day_more_than_the_longest_of_them() -> None:
    assert bucket_retention_s({"raw": 90, "minute": 730, "hour": 1000}) == 1001 * 86_400
    assert bucket_retention_s({"raw": 90, "minute": 730, "hour": 0}) == 0
