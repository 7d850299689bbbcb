"""Folders of the DuckDB store with gaps: of earlier versions, merged over holes, with files moved away or put back."""

import errno
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import duckdb
import numpy as np
import pytest

from collector.adapters import duckdb_sql
from collector.adapters.duckdb_files import DAY_MS, Shelves, due_merges, merge
from collector.adapters.duckdb_reading import closed_columns
from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_files import Shelf
from collector.adapters.store_pieces import Piece, StoreFile
from collector.ports import Unavailable
from tests.unit.collector.test_store_accidents import closed, counts, names, raises
from tests.unit.collector.test_store_duckdb import END, HOUR, KEY, SAME_DAY, T0, batch, every_minute

MINUTE = 60_000


def without_roll_ups(folder: Path, hours: list[int], kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        for hour in hours:
            next((folder / kind).glob(f"{T0 + hour * HOUR}-*")).unlink()


def merged_over_holes(folder: Path) -> None:
    """As earlier versions merged: what is there, whatever is not."""
    for shelf in Shelves(folder):
        for _, error in merge(duckdb.connect(), shelf, END, threading.Lock()):
            assert error is None


def damage_inside(file: Path) -> None:
    """So that its end is sound, and DuckDB does not name it when it reads what is within."""
    whole = bytearray(file.read_bytes())
    whole[4:80] = b"\xff" * 76
    file.write_bytes(whole)


# --- gaps in roll-ups ------------------------------------------------------------------------------

LACKING = [("by-minute",), ("by-hour",), ("by-minute", "by-hour")]


@pytest.mark.parametrize("kinds", LACKING)
@pytest.mark.parametrize("merged_before", [False, True])
def test_hours_without_roll_ups_are_in_every_bucket_and_outlive_their_readings(
    tmp_path: Path, kinds: tuple[str, ...], merged_before: bool
) -> None:
    closed(tmp_path, 5).close()
    without_roll_ups(tmp_path, [0, 1, 3], kinds)
    if merged_before:
        merged_over_holes(tmp_path)
    store = DuckDbStore(tmp_path)
    store.close_hours(END)
    assert (counts(store, MINUTE), counts(store)) == ([1] * 300, [60] * 5)
    assert len(names(tmp_path, "by-minute")) == len(names(tmp_path, "by-hour")) == 1
    store.delete_before(END)
    assert (store.count(), counts(store, MINUTE), counts(store)) == (0, [1] * 300, [60] * 5)
    store.close()


def test_readings_below_holes_of_merged_roll_ups_do_not_go_before_these_are_filled(
    tmp_path: Path,
) -> None:
    closed(tmp_path, 5).close()
    without_roll_ups(tmp_path, [0, 1, 3], ("by-minute", "by-hour"))
    merged_over_holes(tmp_path)
    store = DuckDbStore(tmp_path)
    store.delete_before(T0 + 4 * HOUR)
    assert (store.count(), counts(store)) == (60, [60] * 5)
    store.close()


def test_a_folder_of_an_earlier_version_is_read_rolled_up_and_merged(tmp_path: Path) -> None:
    store = closed(tmp_path, 30)
    store.write([batch([T0 + 40 * HOUR])], 2)
    store.close()
    shutil.rmtree(tmp_path / "by-minute")
    shutil.rmtree(tmp_path / "by-hour")
    (tmp_path / "series.json").unlink()
    for hour in (5, 6, 17):
        next((tmp_path / "hours").glob(f"{T0 + hour * HOUR}-*")).unlink()
    with duckdb.connect(str(tmp_path / "readings.duckdb")) as database:
        database.execute("create table newest (series integer, time bigint, value double)")
        database.execute("drop table kept")
    there = [0 if n in (5, 6, 17) else 60 for n in range(30)] + [0] * 10 + [1]
    store = DuckDbStore(tmp_path)
    assert counts(store) == [n for n in there if n]
    store.close_hours(END)
    assert [len(names(tmp_path, kind)) for kind in ("hours", "by-minute", "by-hour")] == [1, 1, 1]
    store.delete_before(T0 + 40 * HOUR)
    assert (counts(store), store.newest()) == ([n for n in there if n], T0 + 40 * HOUR)
    store.close()


def test_roll_ups_over_a_damaged_file_are_not_merged_and_there_when_a_copy_is_put_back(
    tmp_path: Path,
) -> None:
    closed(tmp_path, 5).close()
    without_roll_ups(tmp_path, [2], ("by-minute", "by-hour"))
    file = next((tmp_path / "hours").glob(f"{T0 + 2 * HOUR}-*"))
    sound = file.read_bytes()
    damage_inside(file)
    store = DuckDbStore(tmp_path)
    store.close_hours(END)
    (trouble,) = store.troubles
    assert file.name in trouble
    assert len(names(tmp_path, "by-hour")) == 4
    with pytest.raises(Unavailable):
        counts(store)
    file.write_bytes(sound)
    store.close_hours(END)
    assert (store.troubles, counts(store), names(tmp_path, "by-hour")[1:]) == ((), [60] * 5, [])
    store.close()


def test_roll_ups_ahead_of_their_readings_are_made_anew_with_what_comes(tmp_path: Path) -> None:
    """As a kill left them when roll-ups went into place before their readings."""
    store = DuckDbStore(tmp_path)
    store.write([every_minute(2)], 1)
    store.close()
    database = (tmp_path / "readings.duckdb").read_bytes()
    store = DuckDbStore(tmp_path)
    store.close_hours(SAME_DAY)
    store.close()
    shutil.rmtree(tmp_path / "hours")
    (tmp_path / "readings.duckdb").write_bytes(database)
    store = DuckDbStore(tmp_path)
    store.write([batch([T0 + 1])], 2)
    store.close_hours(SAME_DAY)
    assert (counts(store), store.late.not_rolled) == ([61, 60], 0)
    store.close()


# --- what stops a cut, and what does not -----------------------------------------------------------

IN_THE_WAY: dict[str, Exception] = {
    "quota": OSError(errno.EDQUOT, "Disk quota exceeded"),
    "disk": OSError(errno.EIO, "Input/output error"),
    "read-only": OSError(errno.EROFS, "Read-only file system"),
    "memory": duckdb.OutOfMemoryException("could not allocate block of size 256.0 KiB"),
    "handles": duckdb.IOException('Cannot open file "1-1.parquet": Too many open files'),
}


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_what_keeps_roll_ups_from_being_made_keeps_their_readings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = closed(tmp_path, 3)
    store.write([batch([T0 + 1])], 2)
    without_roll_ups(tmp_path, [1], ("by-minute", "by-hour"))
    with monkeypatch.context() as broken:
        broken.setattr(Shelf, "put", lambda *_: raises(IN_THE_WAY[name]))
        with pytest.raises(Unavailable, match="could not be"):
            store.delete_before(T0 + 2 * HOUR)
    assert (store.kept_from() < T0, store.count()) == (True, 181)
    store.delete_before(T0 + 2 * HOUR)
    assert (store.count(), counts(store)) == (60, [61, 60, 60])
    store.close()


def test_a_damaged_file_is_named_and_goes_alone_without_roll_ups(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    closed(tmp_path, 4).close()
    shutil.rmtree(tmp_path / "by-minute")
    shutil.rmtree(tmp_path / "by-hour")
    file = next((tmp_path / "hours").glob(f"{T0 + HOUR}-*"))
    damage_inside(file)
    store = DuckDbStore(tmp_path)
    store.delete_before(T0 + 30 * HOUR)
    assert counts(store) == [60, 60, 60]
    assert f"{file} goes without roll-ups" in caplog.text
    store.close()


# --- files moved away and put back -----------------------------------------------------------------


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b"none"), damage_inside])
def test_a_file_that_was_moved_away_is_missed_at_once_and_taken_when_put_back(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    store = closed(tmp_path, 3)
    file = next((tmp_path / "hours").glob(f"{T0 + HOUR}-*"))
    sound = file.read_bytes()
    damage(file)
    with pytest.raises(Unavailable):
        store.raw(KEY.site, KEY.point, T0, END)
    file.unlink()
    assert len(store.raw(KEY.site, KEY.point, T0, END).time) == 120
    assert counts(store, 7_000)
    file.write_bytes(sound)
    store.close_hours(SAME_DAY)
    assert len(store.raw(KEY.site, KEY.point, T0, END).time) == 180
    store.close()


def test_a_file_that_is_moved_away_stops_no_merge(tmp_path: Path) -> None:
    store = closed(tmp_path, 4)
    next((tmp_path / "hours").glob(f"{T0 + HOUR}-*")).unlink()
    store.close_hours(END)
    assert (store.troubles, len(names(tmp_path)), counts(store)) == ((), 1, [60] * 4)
    store.close()


class Vanishing(type(Path())):  # type: ignore[misc]  # the class of paths of this system
    """Of a file that is moved away just after somebody looked whether it is there."""

    def exists(self) -> bool:
        return True


def test_a_file_that_goes_while_a_merge_is_weighed_stops_nobody(tmp_path: Path) -> None:
    day = T0 // DAY_MS * DAY_MS
    hours = [StoreFile(day + n * HOUR, 1, 1, Vanishing(tmp_path / str(n))) for n in range(3)]
    assert due_merges(cast(Shelf, hours), 24, day + 2 * DAY_MS) == [day]


@pytest.mark.parametrize("beside_a_restart", [False, True])
def test_a_copy_that_is_put_back_after_its_day_was_merged_is_taken(
    tmp_path: Path, beside_a_restart: bool
) -> None:
    store = closed(tmp_path, 3)
    file = next((tmp_path / "hours").glob(f"{T0 + HOUR}-*"))
    copy = file.read_bytes()
    file.unlink()
    store.close_hours(END)
    assert (len(names(tmp_path)), store.count()) == (1, 120)
    if beside_a_restart:
        store.close()
    file.write_bytes(copy)
    store = DuckDbStore(tmp_path) if beside_a_restart else store
    store.close_hours(T0 + HOUR)
    assert (file.exists(), store.count()) == (False, 180)
    store.close()
    store = DuckDbStore(tmp_path)
    assert (store.count(), counts(store, 7_000)) == (180, [1] * 180)
    store.close()


def test_a_disk_that_is_away_for_a_while_is_no_store_without_files(tmp_path: Path) -> None:
    store = closed(tmp_path, 3)
    (tmp_path / "hours").rename(tmp_path / "away")
    with pytest.raises(Unavailable):
        store.raw(KEY.site, KEY.point, T0, END)
    for refused in (lambda: store.close_hours(END), lambda: store.delete_before(END)):
        with pytest.raises(Unavailable, match="check its disk"):
            refused()
    (tmp_path / "away").rename(tmp_path / "hours")
    assert len(store.raw(KEY.site, KEY.point, T0, END).time) == 180
    store.close()


# --- the newest reading ----------------------------------------------------------------------------


def test_the_newest_reading_is_found_below_a_damaged_file(tmp_path: Path) -> None:
    store = closed(tmp_path, 3)
    next((tmp_path / "hours").glob(f"{T0 + 2 * HOUR}-*")).write_bytes(b"none")
    assert store.newest() == T0 + 2 * HOUR - MINUTE
    store.close()


def test_the_newest_reading_is_found_over_a_merged_file_that_ends_later(tmp_path: Path) -> None:
    store = closed(tmp_path, 3)
    store.close_hours(T0 + 24 * HOUR)
    store.write([batch([T0 + 20 * HOUR])], 2)
    store.close_hours(T0 + 24 * HOUR)
    assert store.newest() == T0 + 20 * HOUR
    store.close()


def test_readings_behind_a_cut_wait_for_housekeeping_which_may_take_it_back(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path, open_rows_max=100)
    store.delete_before(T0 + 100 * HOUR)
    for n in range(3):
        store.write([every_minute(3, float(n))], n)
    assert (store.count(), store.late.dropped) == (0, 0)
    store.lower_cut(T0, "raw")
    assert store.count() == 180
    store.close()


# --- at once ---------------------------------------------------------------------------------------


class Meanwhile:
    """Writes and closes an hour in another thread, once; `ended` when that was not held up."""

    def __init__(self, store: DuckDbStore) -> None:
        self._store = store
        self.ended = False

    def __call__(self) -> None:
        if not self.ended:
            working = threading.Thread(target=self._work)
            working.start()
            working.join(10)

    def _work(self) -> None:
        self._store.write([batch([T0 + 2])], 3)
        self._store.close_hours(SAME_DAY)
        self.ended = True


def test_a_long_read_holds_up_neither_writes_nor_closing_and_sees_each_reading_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = closed(tmp_path, 3)
    store.write([batch([T0 + 1])], 2)
    meanwhile = Meanwhile(store)

    def slow(*arguments: object) -> object:
        meanwhile()
        return closed_columns(*arguments)  # type: ignore[arg-type]  # whatever it was called with

    monkeypatch.setattr("collector.adapters.store_duckdb.closed_columns", slow)
    found = store.raw(KEY.site, KEY.point, T0, T0 + HOUR)
    assert (meanwhile.ended, len(found.time), len(np.unique(found.time))) == (True, 62, 62)
    store.close()


def test_counting_holds_up_neither_writes_nor_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = closed(tmp_path, 3)
    store.write([batch([T0 + 1])], 2)
    meanwhile, real = Meanwhile(store), duckdb_sql.count_of

    def slow(*arguments: list[Piece]) -> tuple[str, str]:
        meanwhile()
        return real(*arguments)

    monkeypatch.setattr(duckdb_sql, "count_of", slow)
    assert (store.count(), meanwhile.ended) == (182, True)
    store.close()


def test_a_file_that_is_replaced_while_it_is_read_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = closed(tmp_path, 3)
    times = list[int]()

    def late(*arguments: object) -> object:
        times.append(1)
        if len(times) == 1:
            next((tmp_path / "hours").glob(f"{T0}-*")).rename(tmp_path / "away")
        return closed_columns(*arguments)  # type: ignore[arg-type]  # whatever it was called with

    monkeypatch.setattr("collector.adapters.store_duckdb.closed_columns", late)
    assert len(store.raw(KEY.site, KEY.point, T0, END).time) == 120
    assert len(times) == 2
    store.close()


def test_a_database_that_is_opened_anew_amid_a_merge_leaves_it_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = closed(tmp_path, 3)
    real = Shelf.put

    def put(shelf: Shelf, *where: int) -> object:
        with (
            pytest.raises(Unavailable, match="as if"),
            store._database.connected(),  # no query is known that DuckDB does not survive
        ):
            raise duckdb.FatalException("as if it were lost")
        assert store.cursor() == 1
        return real(shelf, *where)

    with monkeypatch.context() as dying:
        dying.setattr(Shelf, "put", put)
        with pytest.raises(Unavailable):
            store.close_hours(END)
    assert (len(names(tmp_path)), counts(store)) == (1, [60] * 3)
    assert len(store.raw(KEY.site, KEY.point, T0, END).time) == store.count() == 180
    store.close()
