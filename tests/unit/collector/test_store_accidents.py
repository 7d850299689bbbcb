"""Accidents of the DuckDB store: files damaged, lost or of another database, retention beside them, ends amid work."""

import errno
import itertools
import logging
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from collector.adapters.duckdb_database import Database
from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_files import Shelf
from collector.adapters.store_pieces import StoreFile
from collector.ports import SeriesKey, StoreBatch, Unavailable
from tests.unit.collector.test_store_duckdb import END, HOUR, KEY, SAME_DAY, T0, batch, every_minute

OTHER = SeriesKey("riverside", "booster/flow", "m3/h", "number")


def of(key: SeriesKey, times: list[int], value: float = 1.0) -> StoreBatch:
    return replace(batch(times, value), keys=[key])


def counts(store: DuckDbStore, width: int = HOUR) -> list[int]:
    return [int(n) for n in store.buckets(KEY.site, KEY.point, T0, END, width).count]


def names(folder: Path, kind: str = "hours") -> list[str]:
    return sorted(path.name for path in (folder / kind).iterdir())


def closed(folder: Path, hours: int) -> DuckDbStore:
    store = DuckDbStore(folder)
    store.write([every_minute(hours)], 1)
    store.close_hours(SAME_DAY)
    return store


# --- damaged and lost files ------------------------------------------------------------------------


def test_one_damaged_hour_stops_neither_closing_nor_merging_nor_retention(tmp_path: Path) -> None:
    store = closed(tmp_path, 3)
    next((tmp_path / "hours").glob(f"{T0}-*")).write_bytes(b"no parquet at all")
    late = [T0 + 1, T0 + HOUR + 1]
    store.write([batch(late)], 2)
    assert store.close_hours(END) == 1
    (trouble,) = store.troubles
    assert "2026-03-15 00:00 UTC to 2026-03-15 01:00 UTC could not be closed" in trouble
    assert not list(tmp_path.glob("*/*.part"))
    found = store.buckets(KEY.site, KEY.point, T0 + HOUR, END, HOUR)
    assert found.count.tolist() == [61, 60]
    store.delete_before(T0 + HOUR)
    assert len(names(tmp_path)) == 2
    store.write([], 3)
    assert (store.close_hours(END), store.troubles) == (0, ())
    store.close()


def test_roll_ups_of_readings_that_are_gone_stay_when_late_ones_come(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    closed(tmp_path, 3).close()
    next((tmp_path / "hours").glob(f"{T0}-*")).unlink()
    store = DuckDbStore(tmp_path)
    for n in (1, 2):
        store.write([batch([T0 + n, T0 + HOUR + n])], 1 + n)
        store.close_hours(SAME_DAY)
        assert counts(store) == [60, 60 + n, 60]
        assert len(store.raw(KEY.site, KEY.point, T0, T0 + HOUR).time) == n
    assert store.late.not_rolled == 2
    assert "the roll-ups stay as they are" in caplog.text
    store.close()


def test_a_day_of_which_only_roll_ups_are_left_is_not_closed_as_a_new_one(tmp_path: Path) -> None:
    closed(tmp_path, 23).close()
    shutil.rmtree(tmp_path / "hours")
    store = DuckDbStore(tmp_path)
    store.write([batch([T0 + 1, T0 + 23 * HOUR])], 2)
    store.close_hours(END)
    assert counts(store) == [60] * 23 + [1]
    store.close()


@pytest.mark.parametrize("lost", ["by-minute", "by-hour"])
def test_readings_without_roll_ups_are_rolled_up_before_they_go(tmp_path: Path, lost: str) -> None:
    store = closed(tmp_path, 30)
    store.close_hours(END)
    store.close()
    shutil.rmtree(tmp_path / lost)
    store = DuckDbStore(tmp_path)
    store.delete_before(END)
    assert names(tmp_path) == []
    assert counts(store, 60_000) == [1] * 30 * 60
    store.delete_before(END, "minute")
    assert counts(store) == [60] * 30
    store.close()


def test_where_no_room_is_for_roll_ups_their_readings_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = closed(tmp_path, 3)
    store.write([batch([T0 + 1])], 2)
    with monkeypatch.context() as full:
        error = OSError(errno.ENOSPC, "No space left on device")
        full.setattr(Shelf, "put", lambda *_: raises(error))
        with pytest.raises(Unavailable, match="free space on its disk"):
            store.delete_before(T0 + 2 * HOUR)
        assert (store.kept_from() < T0, store.count()) == (True, 181)
        assert not list(tmp_path.glob("*/*.part"))
    store.delete_before(T0 + 2 * HOUR)
    assert (store.count(), counts(store)) == (60, [61, 60, 60])
    store.close()


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_what_comes_after_files_were_put_half_is_in_the_roll_ups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    store = closed(tmp_path, 2)
    store.write([batch([T0 + 1])], 2)
    real, calls = Shelf.put, itertools.count(1)

    def put(shelf: Shelf, start: int, hours: int, generation: int, rows: int) -> StoreFile:
        if next(calls) == failing:
            raise OSError(errno.EIO, "as if the disk were gone")
        return real(shelf, start, hours, generation, rows)

    with monkeypatch.context() as broken:
        broken.setattr(Shelf, "put", put)
        assert store.close_hours(SAME_DAY) == 0
    store.write([batch([T0 + 2])], 3)
    assert counts(store) == [62, 60]
    assert store.close_hours(SAME_DAY) == 1
    assert (counts(store), store.late.not_rolled) == ([62, 60], 0)
    store.close()


def raises(error: Exception) -> None:
    raise error


# --- a database that its files do not belong to ----------------------------------------------------


def test_a_database_that_was_moved_away_learns_its_series_from_beside_the_files(
    tmp_path: Path,
) -> None:
    closed(tmp_path, 2).close()
    (tmp_path / "readings.duckdb").unlink()
    for _ in range(2):
        store = DuckDbStore(tmp_path)
        store.write([of(OTHER, [T0 + 5 * HOUR], 7.0)], 1)
        assert len(store.raw(KEY.site, KEY.point, T0, END).time) == 120
        assert store.raw(OTHER.site, OTHER.point, T0, END).value.tolist() == [7.0]
        store.close()


def test_an_older_copy_of_the_database_learns_what_it_misses(tmp_path: Path) -> None:
    closed(tmp_path, 2).close()
    file = tmp_path / "readings.duckdb"
    older = file.read_bytes()
    store = DuckDbStore(tmp_path)
    store.write([of(OTHER, [T0 + 2 * HOUR], 7.0)], 2)
    store.close_hours(SAME_DAY)
    store.close()
    file.write_bytes(older)
    store = DuckDbStore(tmp_path)
    store.write([of(replace(KEY, point="pit/level"), [T0 + 2 * HOUR], 9.0)], 2)
    assert store.raw(OTHER.site, OTHER.point, T0, END).value.tolist() == [7.0]
    assert store.raw(KEY.site, "pit/level", T0, END).value.tolist() == [9.0]
    store.close()


@pytest.mark.parametrize("damaged", [None, b"[[1, 2"])
def test_files_of_an_unknown_database_are_refused(tmp_path: Path, damaged: bytes | None) -> None:
    closed(tmp_path, 2).close()
    (tmp_path / "readings.duckdb").unlink()
    (tmp_path / "series.json").unlink()
    if damaged:
        (tmp_path / "series.json").write_bytes(damaged)
    with pytest.raises(Unavailable, match=r"knows no series.*move all of it away"):
        DuckDbStore(tmp_path)


def test_files_of_another_database_are_refused(tmp_path: Path) -> None:
    closed(tmp_path / "one", 2).close()
    other = DuckDbStore(tmp_path / "other")
    other.write([of(OTHER, [T0])], 1)
    other.close()
    shutil.copy(tmp_path / "other" / "readings.duckdb", tmp_path / "one" / "readings.duckdb")
    with pytest.raises(Unavailable, match=r"series 1 is riverside/booster/flow \(m3/h\) there"):
        DuckDbStore(tmp_path / "one")


# --- words -----------------------------------------------------------------------------------------


def test_a_damaged_block_of_the_database_is_no_other_process(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    times = T0 + np.arange(200_000) * 10
    none = np.zeros(len(times), np.int64)
    value = np.random.default_rng(1).normal(size=len(times))
    store.write([StoreBatch([KEY], none, times, value, none.astype(np.uint8))], 1)
    store.close()
    file = tmp_path / "readings.duckdb"
    whole = bytearray(file.read_bytes())
    for start in range(12_288 + 4096, len(whole), 262_144):
        whole[start : start + 64] = b"\xff" * 64
    file.write_bytes(whole)
    with pytest.raises(Unavailable, match="block") as refusal:
        DuckDbStore(tmp_path).raw(KEY.site, KEY.point, T0, END)
    assert "put back a copy of the folder or move it away" in str(refusal.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (duckdb.OutOfMemoryException("could not allocate block of size 256.0 KiB"), "more memory"),
        (duckdb.IOException("Could not write file: No space left on device"), "no room for the"),
        (OSError(28, "No space left on device"), "no room for the"),
        (duckdb.IOException("Could not set lock on file"), "open in another process"),
        (duckdb.IOException("Corrupt database: blocked"), "check its disk and rights"),
        (duckdb.IOException('No files found that match "/no/0-1.parquet"'), "or move it away"),
        (duckdb.InvalidInputException("File '/no/0-1.parquet' too small"), "or move it away"),
    ],
)
def test_what_goes_wrong_is_told_apart(tmp_path: Path, error: Exception, said: str) -> None:
    assert said in Database(tmp_path, lambda _: None).why(error)


def test_a_file_that_the_disk_does_not_give_is_not_called_damaged(tmp_path: Path) -> None:
    file = tmp_path / "0-1.parquet"
    file.write_bytes(b"")
    error = duckdb.IOException(f'Cannot open file "{file}": Too many open files')
    said = Database(tmp_path, lambda _: None).why(error)
    assert "check its disk, rights and open files" in said
    assert "move it away" not in said


def test_a_damaged_hour_is_named_with_its_hours(tmp_path: Path) -> None:
    store = closed(tmp_path, 2)
    (tmp_path / "hours" / names(tmp_path)[0]).write_bytes(b"no parquet at all")
    with pytest.raises(
        Unavailable, match="holds 2026-03-15 00:00 UTC to 2026-03-15 01:00 UTC: put"
    ):
        store.raw(KEY.site, KEY.point, T0, END)
    store.close()


# --- writing and closing at once -------------------------------------------------------------------


def test_an_empty_open_table_and_a_write_of_the_cursor_only(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path, open_rows_max=-1)
    store.write([], 5)
    assert store.cursor() == 5
    store.close()


def test_closing_the_store_ends_a_merge_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = closed(tmp_path, 3)
    endless = (
        "select count(*) from range(1000000000000) a, range(1000) b where a.range = b.range + 1"
    )
    merging = threading.Event()

    def merged(*_: object) -> str:
        merging.set()
        return endless

    monkeypatch.setattr("collector.adapters.duckdb_sql.merged_to_file", merged)
    ended: list[str] = []

    def tidy() -> None:
        with pytest.raises(Unavailable):
            store.close_hours(END)
        ended.append("ended")

    working = threading.Thread(target=tidy)
    working.start()
    assert merging.wait(10)
    store.close()
    working.join(10)
    assert ended == ["ended"]
    again = DuckDbStore(tmp_path)
    assert again.count() == 180
    again.close()


# --- retention -------------------------------------------------------------------------------------


def test_retention_says_what_goes_and_late_readings_behind_it_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = closed(tmp_path, 4)
    store.delete_before(T0 + 2 * HOUR)
    assert "2 files (raw) up to 2026-03-15 02:00 UTC go" in caplog.text
    store.write([batch([T0, T0 + 1])], 2)
    store.close_hours(SAME_DAY)
    assert (store.late.dropped, store.count()) == (2, 120)
    assert "2 readings came later than their retention" in caplog.text
    store.close()


def test_a_cut_that_a_wrong_clock_made_can_be_taken_back(tmp_path: Path) -> None:
    store = closed(tmp_path, 2)
    store.delete_before(END)
    store.write([batch([T0 + 5 * HOUR])], 2)
    assert store.count() == 0
    store.lower_cut(T0, "raw")
    store.close()
    store = DuckDbStore(tmp_path)
    assert (store.kept_from(), store.count()) == (T0, 1)
    store.close()
