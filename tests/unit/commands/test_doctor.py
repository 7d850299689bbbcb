"""`steward doctor` on the files of readings, where no server runs."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from collector.adapters.store_duckdb import DuckDbStore
from collector.ports import SeriesKey, StoreBatch
from commands.doctor import store_row
from config.settings import Settings
from tests.unit.collector.test_store_duckdb import OWNER, ROOT

T0 = 1_773_532_800_000
HOUR = 3_600_000


def filled(data: Path) -> DuckDbStore:
    store = DuckDbStore(data / "store")
    none = np.zeros(10, np.int64)
    key = SeriesKey("riverside", "booster/pressure", "bar", "number")
    time = T0 + np.arange(10) * HOUR
    store.write([StoreBatch([key], none, time, none.astype(float), none.astype(np.uint8))], 1)
    store.close_hours(T0 + 10 * HOUR)
    return store


def test_a_sound_store_is_well_and_none_is_not_asked_for(tmp_path: Path) -> None:
    assert store_row(Settings(data=tmp_path)) == []
    filled(tmp_path).close()
    ((name, ok, _),) = store_row(Settings(data=tmp_path))
    assert (name, ok) == ("store", True)
    assert store_row(Settings(data=tmp_path, store="influxdb")) == []


def test_damaged_hours_are_named_with_what_to_do(tmp_path: Path) -> None:
    filled(tmp_path).close()
    damaged = next((tmp_path / "store" / "by-minute").iterdir())
    damaged.write_bytes(b"no parquet at all")
    ((_, ok, said),) = store_row(Settings(data=tmp_path))
    assert not ok
    assert f"by-minute/{damaged.name}; put back copies" in said


def test_hours_that_are_gone_are_named_with_how_much_they_held(tmp_path: Path) -> None:
    filled(tmp_path).close()
    gone = next((tmp_path / "store" / "hours").glob(f"{T0}-*"))
    gone.unlink()
    ((_, ok, said),) = store_row(Settings(data=tmp_path))
    assert not ok
    assert f"hours/{gone.name} (2026-03-15 00:00 UTC to 2026-03-15 01:00 UTC, 1 rows)" in said


def test_a_store_that_a_server_owns_is_no_fault_and_its_owner_is_named(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "store")],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"open\n"
        ((_, ok, said),) = store_row(Settings(data=tmp_path))
        assert (ok, f"belongs to process {owner.pid}, a server that runs" in said) == (True, True)
        owner.communicate()


def test_a_damaged_database_says_what_to_do(tmp_path: Path) -> None:
    filled(tmp_path).close()
    (tmp_path / "store" / "readings.duckdb").write_bytes(b"these are no readings" * 1000)
    ((_, ok, said),) = store_row(Settings(data=tmp_path))
    assert not ok
    assert "put back a copy of the folder or move it away" in said
