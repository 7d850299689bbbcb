"""What each file of closed hours was is kept beside them: bits that turned are seen, and files that are gone are missed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_sums import Sums
from collector.ports import Raw, Unavailable
from tests.unit.collector.test_store_accidents import closed, counts
from tests.unit.collector.test_store_duckdb import (
    END,
    HOUR,
    KEY,
    SAME_DAY,
    T0,
    batch,
    every_minute,
)

FLIPS = 60


def raw(store: DuckDbStore) -> Raw:
    return store.raw(KEY.site, KEY.point, T0, END)


def first(folder: Path, kind: str = "hours") -> Path:
    return next((folder / kind).glob(f"{T0}-*"))


READS: dict[str, Callable[[DuckDbStore], object]] = {
    "hours": raw,
    "by-minute": lambda store: counts(store, 60_000),
    "by-hour": counts,
}


def flip(path: Path, place: int, bit: int) -> None:
    whole = bytearray(path.read_bytes())
    whole[place] ^= 1 << bit
    path.write_bytes(whole)


# --- bits that turned ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", READS)
@pytest.mark.parametrize("anew", [False, True], ids=["while it is open", "before it is opened"])
def test_no_bit_that_turned_gives_another_value(tmp_path: Path, kind: str, *, anew: bool) -> None:
    store = DuckDbStore(tmp_path)
    rng = np.random.default_rng(7)
    times = list(range(T0, T0 + HOUR, 60_000))
    for n, value in enumerate(rng.normal(size=len(times)).round(2).tolist()):
        store.write([batch([times[n]], value)], n + 1)
    store.close_hours(SAME_DAY)
    path = first(tmp_path, kind)
    sound = path.read_bytes()
    for _ in range(FLIPS):
        if anew:
            store.close()
        flip(path, int(rng.integers(len(sound))), int(rng.integers(8)))
        if anew:
            store = DuckDbStore(tmp_path)
        with pytest.raises(Unavailable, match=f"{path.name}, which holds.*put back a copy"):
            READS[kind](store)
        path.write_bytes(sound)
    assert len(raw(store).time) == 60
    assert counts(store, 60_000) == [1] * 60
    store.close()


def test_a_turned_bit_is_found_by_housekeeping_stays_where_it_is_and_stands_in_nobodys_way(
    tmp_path: Path,
) -> None:
    store = closed(tmp_path, 3)
    path = first(tmp_path)
    flip(path, 60, 3)
    store.write([batch([T0 + 1, T0 + HOUR + 1])], 2)
    assert store.close_hours(SAME_DAY) == 1
    (trouble,) = store.troubles
    assert f"cannot read {path}" in trouble
    assert store.close_hours(END) == 0
    assert path.exists()
    found = store.look()
    assert (found.damaged, found.unknown, found.lost) == ([path], [], [])
    assert len(store.raw(KEY.site, KEY.point, T0 + HOUR, END).time) == 121
    store.delete_before(T0 + HOUR)
    assert (path.exists(), store.count()) == (False, 121)
    store.close()


def test_files_of_an_older_version_are_read_and_noted_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(Sums, "put", lambda *_: None)
        closed(tmp_path, 2).close()
    store = DuckDbStore(tmp_path)
    assert len(raw(store).time) == 120
    assert len(store.look().unknown) == 6
    store.close_hours(SAME_DAY)
    assert store.look().unknown == []
    flip(first(tmp_path), 60, 3)
    with pytest.raises(Unavailable, match="put back a copy"):
        raw(store)
    store.close()


def test_a_list_that_cannot_be_read_is_said_and_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    closed(tmp_path, 2).close()
    (tmp_path / "hours.json").write_text("[1, 2")
    store = DuckDbStore(tmp_path)
    assert "hours.json cannot be read" in caplog.text
    assert len(raw(store).time) == 120
    assert len(store.look().unknown) == 2
    store.close_hours(SAME_DAY)
    assert store.look().unknown == []
    store.close()


# --- files that are gone ---------------------------------------------------------------------------


@pytest.mark.parametrize("anew", [False, True], ids=["while it is open", "before it is opened"])
def test_a_file_that_is_gone_is_missed_until_it_is_put_back(tmp_path: Path, *, anew: bool) -> None:
    store = closed(tmp_path, 3)
    path = first(tmp_path)
    sound = path.read_bytes()
    if anew:
        store.close()
    path.unlink()
    if anew:
        store = DuckDbStore(tmp_path)
    assert (store.count(), store.lost()) == (120, 60)
    store.write([batch([T0 + 1])], 2)  # another file of that hour takes nothing from what is missed
    store.close_hours(SAME_DAY)
    store.close()
    store = DuckDbStore(tmp_path)
    assert (store.count(), store.lost()) == (121, 60)
    (lost,) = store.look().lost
    assert (lost[0].path, lost[1]) == (path, 60)
    path.write_bytes(sound)
    store.close_hours(SAME_DAY)
    assert (store.count(), store.lost(), store.look().lost) == (181, 0, [])
    store.close()


def test_what_is_missed_goes_with_retention(tmp_path: Path) -> None:
    store = closed(tmp_path, 3)
    first(tmp_path).unlink()
    assert (store.count(), store.lost()) == (120, 60)
    store.delete_before(T0 + HOUR)
    assert store.lost() == 0
    store.close()
    store = DuckDbStore(tmp_path)
    assert store.lost() == 0
    store.close()


def test_roll_ups_that_are_gone_are_made_again_and_missed_no_more(tmp_path: Path) -> None:
    store = closed(tmp_path, 3)
    for kind in ("by-minute", "by-hour"):
        first(tmp_path, kind).unlink()
    store.close()
    store = DuckDbStore(tmp_path)
    assert (len(store.look().lost), store.lost()) == (2, 0)
    store.close_hours(SAME_DAY)
    assert store.look().lost == []
    assert counts(store) == [60, 60, 60]
    store.close()


def test_what_is_replaced_by_late_readings_and_merges_is_not_missed(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    for day in range(3):
        store.write([every_minute(24 * (day + 1))], day + 1)
        store.close_hours(T0 + (24 * day + 5) * HOUR)
        store.close_hours(T0 + (24 * day + 25) * HOUR)
    store.write([batch([T0 + 1])], 9)
    store.close_hours(END)
    found = store.look()
    assert (found.damaged, found.unknown, found.lost) == ([], [], [])
    store.close()
    store = DuckDbStore(tmp_path)
    found = store.look()
    assert (found.damaged, found.unknown, found.lost) == ([], [], [])
    store.close()
