"""What only the DuckDB store promises: one owner, closed hours, and nothing half done after a kill."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from collector.adapters.hour_files import hour_of
from collector.adapters.store_duckdb import DuckDbStore
from collector.ports import SeriesKey, StoreBatch, Unavailable

ROOT = Path(__file__).parents[3]
HOUR = 3_600_000
T0 = 1_773_532_800_000
KEY = SeriesKey("riverside", "booster/pressure", "bar", "number")
END = T0 + 1000 * HOUR


def batch(times: list[int], value: float = 1.0) -> StoreBatch:
    none = np.zeros(len(times), np.int64)
    values = np.full(len(times), value)
    return StoreBatch([KEY], none, np.array(times, np.int64), values, none.astype(np.uint8))


def every_minute(hours: int, value: float = 1.0) -> StoreBatch:
    return batch(list(range(T0, T0 + hours * HOUR, 60_000)), value)


def values(store: DuckDbStore) -> set[float]:
    return set(store.raw(KEY.site, KEY.point, T0, END).value.tolist())


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "hours").iterdir())


# --- one owner, a sound file -----------------------------------------------------------------------

OWNER = """
import sys
from pathlib import Path
from collector.adapters.store_duckdb import DuckDbStore
store = DuckDbStore(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_store_that_another_process_owns_says_who_must_stop(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"open\n"
        with pytest.raises(Unavailable, match=r"another process: stop that one.*PID") as refusal:
            DuckDbStore(tmp_path)
        assert str(owner.pid) in str(refusal.value)
        owner.communicate()
    DuckDbStore(tmp_path).close()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "not a database": lambda whole: b"these are no readings" * 1000,
    "cut off": lambda whole: whole[: len(whole) // 2],
    "header overwritten": lambda whole: b"\0" * 4096 + whole[4096:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path, damage: str) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(48)], 1)
    store.close()
    file = tmp_path / "readings.duckdb"
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.raises(Unavailable, match=r"put back a copy of the folder or move it away"):
        DuckDbStore(tmp_path)


def test_a_damaged_hour_is_named_and_the_open_hours_go_on(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(3)], 1)
    store.close_hours(T0 + HOUR)
    (closed,) = (tmp_path / "hours").iterdir()
    closed.write_bytes(b"no parquet at all")
    with pytest.raises(Unavailable, match=closed.name):
        store.raw(KEY.site, KEY.point, T0, END)
    store.write([batch([T0 + 5 * HOUR])], 2)
    assert len(store.raw(KEY.site, KEY.point, T0 + 2 * HOUR, END).time) == 61
    store.close()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="check its disk and rights"):
        DuckDbStore(tmp_path / "file" / "store")


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.close()
    with pytest.raises(Unavailable, match="is closed"):
        store.cursor()


def test_a_write_that_fails_keeps_nothing_and_the_next_one_is_taken(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    wrong = StoreBatch([KEY], *(np.zeros(2, np.int64),) * 2, np.zeros(2), np.zeros(3, np.uint8))
    with pytest.raises(Unavailable):
        store.write([batch([T0]), wrong], 7)
    assert (store.count(), store.cursor()) == (0, 0)
    store.write([batch([T0])], 8)
    assert (store.count(), store.cursor()) == (1, 8)
    store.close()


# --- kills -----------------------------------------------------------------------------------------

KILLED_INSIDE_A_WRITE = """
import os, signal, sys
from pathlib import Path
from collector.adapters.store_duckdb import DuckDbStore
from tests.unit.collector.test_store_duckdb import batch, T0, KEY

class KilledAtTheSecond(list):
    def __iter__(self):
        yield batch([T0 + 1])
        os.kill(os.getpid(), signal.SIGKILL)

store = DuckDbStore(Path(sys.argv[1]))
store.write([batch([T0])], 1)
store.write(KilledAtTheSecond(), 2)
"""


def test_a_kill_between_readings_and_cursor_leaves_neither(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_INSIDE_A_WRITE, str(tmp_path)], cwd=ROOT, check=False
    )
    assert ended.returncode == -9
    store = DuckDbStore(tmp_path)
    assert (store.count(), store.cursor()) == (1, 1)
    store.close()


WRITES_FOR_EVER = """
import sys
from pathlib import Path
from collector.adapters.store_duckdb import DuckDbStore
from tests.unit.collector.test_store_duckdb import batch, T0

store = DuckDbStore(Path(sys.argv[1]), open_rows_max=500)
position = store.cursor()
while True:
    store.write([batch([T0 + (position * 100 + n) * 60_000 for n in range(100)])], position + 1)
    position += 1
    print(position, flush=True)
"""


def test_killed_at_any_moment_every_reading_up_to_the_cursor_is_there_once(tmp_path: Path) -> None:
    for confirmed in (3, 17):
        with subprocess.Popen(
            [sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline()) for _ in range(confirmed)]
            writer.kill()
        store = DuckDbStore(tmp_path)
        assert store.cursor() >= told[-1]
        assert store.count() == store.cursor() * 100
        assert len(store.raw(KEY.site, KEY.point, 0, 2**60).time) == store.count()
        store.close()


def test_an_hour_that_cannot_be_closed_does_not_stop_the_writing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = DuckDbStore(tmp_path, open_rows_max=100)
    store.write([every_minute(3)], 1)
    next((tmp_path / "hours").glob(f"{T0}-*")).write_bytes(b"no parquet at all")
    store.write([every_minute(2, 2.0)], 2)
    assert store.cursor() == 2
    assert "stay in the open table" in caplog.text
    store.close()


# --- closed hours ----------------------------------------------------------------------------------


def test_closing_hours_changes_no_answer(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(5)], 1)
    store.write([batch([T0 + 30 * 60_000], 2.0)], 2)
    before = store.raw(KEY.site, KEY.point, T0, END)
    assert store.close_hours(T0 + 4 * HOUR + 1) == 4
    after = store.raw(KEY.site, KEY.point, T0, END)
    assert [column.tolist() for column in (after.time, after.value, after.quality)] == [
        column.tolist() for column in (before.time, before.value, before.quality)
    ]
    assert (len(files(tmp_path)), store.count()) == (4, 300)
    store.close()


def test_late_readings_rewrite_their_hour_only(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(3)], 1)
    store.close_hours(END)
    first = set(files(tmp_path))
    store.write([every_minute(1, 9.0), batch([T0 + HOUR - 1], 9.0)], 2)
    assert store.close_hours(END) == 1
    assert len(first & set(files(tmp_path))) == 2
    assert (len(files(tmp_path)), store.count()) == (3, 181)
    assert store.raw(KEY.site, KEY.point, T0, T0 + HOUR).value.tolist() == [9.0] * 61
    store.close()


def test_an_hour_with_nothing_new_is_not_written_again(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(2)], 1)
    assert (store.close_hours(END), store.close_hours(END)) == (2, 0)
    store.close()


def test_of_two_generations_that_a_kill_left_the_newer_holds(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(1, 1.0)], 1)
    store.close_hours(END)
    (older,) = (tmp_path / "hours").iterdir()
    kept = older.read_bytes()
    store.write([every_minute(1, 2.0)], 2)
    store.close_hours(END)
    store.close()
    older.write_bytes(kept)
    (tmp_path / "hours" / f"{hour_of(T0)}.part").write_bytes(b"half")
    store = DuckDbStore(tmp_path)
    assert (values(store), len(files(tmp_path)), store.count()) == ({2.0}, 1, 60)
    store.close()


def test_late_readings_below_the_newest_leave_latest_alone(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([batch([T0 + 2 * HOUR], 5.0)], 1)
    store.close_hours(END)
    store.write([batch([T0], 1.0)], 2)
    store.close_hours(END)
    assert store.latest(KEY.site, [KEY.point]) == {KEY.point: (T0 + 2 * HOUR, 5.0, 0)}
    store.close()


def test_retention_removes_whole_files_and_rewrites_the_hour_in_between(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(4)], 1)
    store.close_hours(END)
    store.delete_before(T0 + 2 * HOUR + 30 * 60_000)
    assert [name.split("-")[0] for name in files(tmp_path)] == [
        str(T0 + 2 * HOUR),
        str(T0 + 3 * HOUR),
    ]
    assert store.count() == 90
    store.close()


def test_a_closed_file_is_sorted_and_plain_for_anyone_who_reads_parquet(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    other = SeriesKey("riverside", "booster/flow", "m3/h", "number")
    times = np.arange(T0 + HOUR - 1, T0, -1000)
    key = np.arange(len(times)) % 2
    store.write([StoreBatch([KEY, other], key, times, key.astype(float), key.astype(np.uint8))], 1)
    store.close_hours(END)
    store.close()
    (file,) = (tmp_path / "hours").iterdir()
    rows = duckdb.read_parquet(str(file)).project("series, time").fetchall()
    assert rows == sorted(rows)
    assert len(rows) == len(times)


def test_reads_and_closing_beside_a_writer_lose_nothing(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path, open_rows_max=2000)
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            at_least = store.cursor() * 60
            found = len(store.raw(KEY.site, KEY.point, T0, END).time)
            if found < at_least:
                wrong.append(f"{found} of {at_least}")

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(80):
        store.write([batch(list(range(T0 + n * HOUR, T0 + (n + 1) * HOUR, 60_000)))], n + 1)
    done.set()
    reader.join()
    assert (wrong, store.count()) == ([], 80 * 60)
    assert files(tmp_path)
    store.close()
