"""One flipped bit in a file of the DuckDB store that has no sum, as of an older version: where DuckDB sees it the file
is named, and all else goes on."""

from pathlib import Path
from typing import Final

import duckdb
import pytest

from collector.adapters.duckdb_reading import is_damaged
from collector.adapters.duckdb_sql import all_of
from collector.adapters.store_sums import Sums
from collector.ports import Unavailable
from tests.unit.collector.test_store_accidents import closed, counts
from tests.unit.collector.test_store_duckdb import HOUR, KEY, SAME_DAY, T0, batch

BEYOND_THE_END, INTERNAL, BARE, UNNAMED = 23, 231, 7, 107
"""Where, counted from its end, a bit of a closed hour makes DuckDB say so: the last two without the file."""


FOOTER: Final = {
    "a name of a column in capitals": (430, 5), "a name that is no text": (430, 7),
    "another name": (430, 0), "a type that is not": (428, 1), "of another type": (456, 1),
    "no columns": (484, 3), "half a number": (10, 3),
}  # fmt: skip
"""Places from the end and bits there, by what they are in the footer of a closed hour."""


@pytest.fixture(autouse=True)
def without_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an older version wrote them."""
    monkeypatch.setattr(Sums, "put", lambda *_: None)


def flipped(folder: Path, place: int, kind: str = "hours", bit: int = 0) -> Path:
    """The first hour's file, one bit of which is not what was written."""
    file = next((folder / kind).glob(f"{T0}-*"))
    whole = bytearray(file.read_bytes())
    whole[-place] ^= 1 << bit
    file.write_bytes(whole)
    return file


def test_what_a_file_says_to_lie_beyond_its_end_is_damage_and_no_sick_disk(tmp_path: Path) -> None:
    store = closed(tmp_path, 3)
    file = flipped(tmp_path, BEYOND_THE_END)
    with duckdb.connect() as alone, pytest.raises(duckdb.IOException, match="enough bytes"):
        alone.execute(all_of(file))
    assert is_damaged(file)
    with pytest.raises(Unavailable, match=f"{file.name}.*put back a copy of this file"):
        store.raw(KEY.site, KEY.point, T0, T0 + HOUR)
    store.close()


@pytest.mark.parametrize(("place", "kind"), [(BARE, duckdb.Error), (UNNAMED, duckdb.InvalidInputException)])  # fmt: skip
def test_a_damaged_file_is_named_where_duckdb_names_none(
    tmp_path: Path, place: int, kind: type[duckdb.Error]
) -> None:
    store = closed(tmp_path, 3)
    sound = next((tmp_path / "hours").glob(f"{T0}-*")).read_bytes()
    file = flipped(tmp_path, place)
    with duckdb.connect() as alone, pytest.raises(kind) as said:
        alone.execute(all_of(file))
    assert type(said.value) is kind
    assert file.name not in str(said.value)
    for _ in range(2):
        with pytest.raises(Unavailable, match=f"{file.name}.*put back a copy of this file"):
            store.raw(KEY.site, KEY.point, T0, T0 + HOUR)
    assert len(store.raw(KEY.site, KEY.point, T0 + HOUR, T0 + 3 * HOUR).time) == 120
    file.write_bytes(sound)
    assert len(store.raw(KEY.site, KEY.point, T0, T0 + HOUR).time) == 60
    store.close()


@pytest.mark.parametrize("name", FOOTER)
def test_no_bit_of_a_footer_is_called_a_sick_disk(tmp_path: Path, name: str) -> None:
    store = closed(tmp_path, 3)
    place, bit = FOOTER[name]
    file = flipped(tmp_path, place, bit=bit)
    assert is_damaged(file)
    for _ in range(2):
        with pytest.raises(Unavailable, match=f"{file.name}.*put back a copy of this file"):
            store.raw(KEY.site, KEY.point, T0, T0 + HOUR)
    with pytest.raises(Unavailable, match=file.name):
        store.latest(KEY.site, [KEY.point])
    assert len(store.raw(KEY.site, KEY.point, T0 + HOUR, T0 + 3 * HOUR).time) == 120
    store.close()


def test_a_file_that_ends_its_reader_is_named_and_ends_no_other(tmp_path: Path) -> None:
    store = closed(tmp_path, 3)
    file = next((tmp_path / "hours").glob(f"{T0}-*"))
    sound = file.read_bytes()
    flipped(tmp_path, INTERNAL)
    with duckdb.connect() as alone, pytest.raises(duckdb.InternalException):
        alone.execute(all_of(file))
    for _ in range(2):
        with pytest.raises(Unavailable, match=f"{file.name}.*put back a copy of this file"):
            store.raw(KEY.site, KEY.point, T0, T0 + HOUR)
        assert store.cursor() == 1
    assert len(store.raw(KEY.site, KEY.point, T0 + HOUR, T0 + 3 * HOUR).time) == 120
    file.write_bytes(sound)
    assert len(store.raw(KEY.site, KEY.point, T0, T0 + HOUR).time) == 60
    store.close()


def test_housekeeping_goes_on_beside_a_file_that_ended_it(tmp_path: Path) -> None:
    store = closed(tmp_path, 3)
    file = flipped(tmp_path, INTERNAL)
    store.write([batch([T0 + 1, T0 + HOUR + 1])], 2)
    with pytest.raises(Unavailable, match=file.name):
        store.close_hours(SAME_DAY)
    assert store.close_hours(SAME_DAY) == 1
    (trouble,) = store.troubles
    assert file.name in trouble
    store.delete_before(T0 + HOUR)
    assert (file.exists(), store.count()) == (False, 121)
    assert counts(store)[1:] == [61, 60]
    store.close()
