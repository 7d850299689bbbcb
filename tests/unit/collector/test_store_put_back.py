"""Copies of files of the DuckDB store that are put back beside newer ones: nothing of either is lost."""

import errno
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.adapters import duckdb_sql
from collector.adapters.store_duckdb import LOOKS_MAX, DuckDbStore
from collector.adapters.store_files import Shelf
from collector.ports import Unavailable
from tests.unit.collector.test_store_accidents import closed, counts, names, raises
from tests.unit.collector.test_store_duckdb import HOUR, KEY, SAME_DAY, T0, batch

NEXT_DAY = T0 + 24 * HOUR


def put_back(folder: Path, kind: str, late: list[int], before: int, hours: int = 3) -> DuckDbStore:
    """A store of which the last file was moved away, which was then told of late readings, and has the copy again."""
    store = closed(folder, hours)
    store.close_hours(before)
    file = sorted((folder / kind).iterdir())[-1]
    file.rename(folder / "copy")
    store.close_hours(before)
    store.write([batch(late)], 2)
    store.close_hours(before)
    shutil.copy(folder / "copy", file)
    return store


def times(store: DuckDbStore) -> list[int]:
    return [int(time) for time in store.raw(KEY.site, KEY.point, T0, NEXT_DAY).time]


def every(late: list[int]) -> list[int]:
    return sorted([*range(T0, T0 + 3 * HOUR, 60_000), *late])


LATE = {
    "an hour": ([T0 + 2 * HOUR + 1], SAME_DAY),
    "a day, in one of its hours": ([T0 + HOUR + 1], NEXT_DAY),
    "a day, in hours that were merged": ([T0 + HOUR + 1, T0 + 2 * HOUR + 1], NEXT_DAY),
    "a day, in hours of which it has none": ([T0 + 7 * HOUR, T0 + 9 * HOUR], NEXT_DAY),
}


@pytest.mark.parametrize("name", LATE)
def test_a_copy_beside_late_readings_of_its_hours_is_joined_to_them(
    tmp_path: Path, name: str
) -> None:
    late, before = LATE[name]
    store = put_back(tmp_path, "hours", late, before)
    for _ in range(2):
        store.close_hours(before)
        assert (times(store), store.troubles) == (every(late), ())
    assert sum(counts(store)) == 180 + len(late)
    store.close()


def test_a_copy_goes_when_newer_files_have_all_of_it_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = closed(tmp_path, 2)
    copy = tmp_path / "hours" / f"{T0}-0.parquet"
    shutil.copy(next((tmp_path / "hours").glob(f"{T0}-*")), copy)
    store.close_hours(SAME_DAY)
    assert (copy.exists(), store.count()) == (False, 120)
    assert f"{copy} goes: newer files have all that it holds" in caplog.text
    store.close()


def test_a_copy_that_cannot_be_joined_stays_and_is_named_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, before = LATE["an hour"]
    store = put_back(tmp_path, "hours", late, before)
    there = names(tmp_path)
    with monkeypatch.context() as full:
        error = OSError(errno.ENOSPC, "No space left on device")
        full.setattr(duckdb_sql, "readings_to_file", lambda *_: raises(error))
        store.close_hours(before)
    (trouble,) = store.troubles
    assert "could not be joined to them; it stays: no room" in trouble
    assert names(tmp_path) == there
    store.close_hours(before)
    assert (times(store), store.troubles) == (every(late), ())
    store.close()


def test_a_damaged_copy_beside_newer_files_stays_and_is_named(tmp_path: Path) -> None:
    store = closed(tmp_path, 2)
    copy = tmp_path / "hours" / f"{T0}-0.parquet"
    copy.write_bytes(b"no parquet at all")
    store.close_hours(SAME_DAY)
    (trouble,) = store.troubles
    assert (copy.name in trouble, copy.exists()) == (True, True)
    assert store.count() == 120
    store.close()


@pytest.mark.parametrize("before", [SAME_DAY, NEXT_DAY])
def test_roll_ups_whose_readings_are_gone_are_joined_to_those_of_late_ones(
    tmp_path: Path, before: int
) -> None:
    store = closed(tmp_path, 3)
    store.close_hours(before)
    shutil.rmtree(tmp_path / "hours")
    (tmp_path / "hours").mkdir()
    copies = {path: path.read_bytes() for path in tmp_path.glob("by-*/*")}
    for path in copies:
        path.unlink()
    store.close_hours(before)
    store.write([batch([T0 + HOUR + 1, T0 + 2 * HOUR + 1])], 2)
    store.close_hours(before)
    assert counts(store) == [1, 1]
    for path, copy in copies.items():
        path.write_bytes(copy)
    store.close_hours(before)
    assert (store.troubles, counts(store), counts(store, 60_000)) == ((), [60] * 3, [1] * 180)
    store.close()


def test_an_older_copy_whose_newer_file_is_moved_away_meanwhile_is_taken(tmp_path: Path) -> None:
    newer, older = (tmp_path / f"{T0}-{generation}.parquet" for generation in (2, 1))
    newer.touch()
    older.touch()
    shelf = Shelf(tmp_path)
    (file,) = shelf.unsettled()
    beside = shelf.beside(file)
    newer.unlink()
    assert not shelf.settle(beside)
    shelf.forget_gone()
    assert not shelf.settle(shelf.beside(file))
    shelf.look_again()
    assert [file.path for file in shelf] == [older]
    shelf.drop_before(NEXT_DAY)
    assert (list(shelf), list(tmp_path.iterdir())) == ([], [])


# --- files and cuts that change while they are read -------------------------------------------------


def meanwhile(monkeypatch: pytest.MonkeyPatch, times: int, do: Callable[[int], object]) -> None:
    """Whenever this thread has chosen its files, and so many times, something is done by another one."""
    real, left, here = duckdb_sql.held, list(range(times)), threading.current_thread()

    def held(*arguments: Any) -> str:
        if left and threading.current_thread() is here:
            working = threading.Thread(target=do, args=(left.pop(),))
            working.start()
            working.join(10)
        return real(*arguments)

    monkeypatch.setattr(duckdb_sql, "held", held)


def test_files_that_are_replaced_at_each_look_are_read_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = closed(tmp_path, 3)

    def late(n: int) -> None:
        store.write([batch([T0 + 1 + n])], 2)
        store.close_hours(SAME_DAY)

    meanwhile(monkeypatch, LOOKS_MAX - 1, late)
    assert len(store.raw(KEY.site, KEY.point, T0, NEXT_DAY).time) == 180 + LOOKS_MAX - 1
    store.close()


def test_a_cut_that_is_made_while_readings_are_read_hides_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = closed(tmp_path, 3)
    store.close_hours(NEXT_DAY)
    meanwhile(monkeypatch, 1, lambda _: store.delete_before(T0 + 2 * HOUR))
    assert times(store) == list(range(T0 + 2 * HOUR, T0 + 3 * HOUR, 60_000))
    store.close()


def test_a_folder_that_may_not_be_looked_into_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = closed(tmp_path, 2)
    next((tmp_path / "hours").iterdir()).unlink()
    denied = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(Shelf, "forget_gone", lambda _: raises(denied))
    with pytest.raises(Unavailable, match="check its disk and rights"):
        times(store)
    store.close()
