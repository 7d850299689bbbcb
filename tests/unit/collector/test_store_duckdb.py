"""What only the DuckDB store promises: one owner, closed hours, and nothing half done after a kill."""

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_spans import hour_of
from collector.buckets import in_buckets
from collector.ports import Buckets, SeriesKey, StoreBatch, Unavailable

ROOT = Path(__file__).parents[3]
HOUR = 3_600_000
T0 = 1_773_532_800_000
KEY = SeriesKey("riverside", "booster/pressure", "bar", "number")
END = T0 + 1000 * HOUR
SAME_DAY = T0 + 23 * HOUR
"""Hours closed until then are not merged yet."""


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
    store.close_hours(SAME_DAY)
    first = set(files(tmp_path))
    store.write([every_minute(1, 9.0), batch([T0 + HOUR - 1], 9.0)], 2)
    assert store.close_hours(SAME_DAY) == 1
    assert len(first & set(files(tmp_path))) == 2
    assert (len(files(tmp_path)), store.count()) == (3, 181)
    assert store.raw(KEY.site, KEY.point, T0, T0 + HOUR).value.tolist() == [9.0] * 61
    store.close()


def test_an_hour_with_nothing_new_is_not_written_again(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(2)], 1)
    assert (store.close_hours(SAME_DAY), store.close_hours(SAME_DAY)) == (2, 0)
    store.close()


def test_of_two_generations_that_a_kill_left_the_newer_holds(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(1, 1.0)], 1)
    store.close_hours(SAME_DAY)
    (older,) = (tmp_path / "hours").iterdir()
    kept = older.read_bytes()
    store.write([every_minute(1, 2.0)], 2)
    store.close_hours(SAME_DAY)
    store.close()
    older.write_bytes(kept)
    (tmp_path / "hours" / f"{hour_of(T0)}.part").write_bytes(b"half")
    store = DuckDbStore(tmp_path)
    assert (values(store), store.count()) == ({2.0}, 60)
    store.close_hours(SAME_DAY)
    assert (values(store), len(files(tmp_path)), store.count()) == ({2.0}, 1, 60)
    store.close()


def test_late_readings_below_the_newest_leave_latest_alone(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([batch([T0 + 2 * HOUR], 5.0)], 1)
    store.close_hours(SAME_DAY)
    store.write([batch([T0], 1.0)], 2)
    store.close_hours(SAME_DAY)
    assert store.latest(KEY.site, [KEY.point]) == {KEY.point: (T0 + 2 * HOUR, 5.0, 0)}
    store.close()


def test_retention_removes_whole_files_and_hides_the_rest_of_the_hour_in_between(
    tmp_path: Path,
) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(4)], 1)
    store.close_hours(SAME_DAY)
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
    store.close_hours(SAME_DAY)
    store.close()
    (file,) = (tmp_path / "hours").iterdir()
    rows = duckdb.read_parquet(str(file)).project("series, time").fetchall()
    assert rows == sorted(rows)
    assert len(rows) == len(times)


@pytest.mark.usefixtures("unmeasured")
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


# --- roll-ups and merged files ---------------------------------------------------------------------


def in_every_way(store: DuckDbStore, key: SeriesKey = KEY) -> list[list[bytes]]:
    """All that a point's history can be asked for, to the bit."""
    spans = [(T0, END), (T0 + 1_234_567, T0 + 30 * HOUR + 89), (T0 - HOUR, T0 + 2 * HOUR)]
    asked = [
        store.buckets(key.site, key.point, *span, width)
        for span in spans
        for width in (7_000, 60_000, 5 * 60_000, 90 * 60_000, HOUR, 6 * HOUR, 24 * HOUR)
    ]
    raw = store.raw(key.site, key.point, T0, END)
    columns = [[raw.time, raw.value, raw.quality]]
    columns += [[getattr(found, item.name) for item in fields(found)] for found in asked]
    return [[np.asarray(column).tobytes() for column in row] for row in columns]


def some_days(seed: int) -> list[StoreBatch]:
    """Two points, one of them with two series, with gaps, missing values and repeats, in disorder."""
    rng = np.random.default_rng(seed)
    keys = [KEY, SeriesKey("riverside", "booster/flow", "m3/h", "number"), replace(KEY, unit="kPa")]
    count = 4000
    time = T0 + rng.integers(0, 60 * HOUR // 500, count) * 500
    value = np.where(
        rng.random(count) < 0.2, np.nan, rng.normal(size=count) * 10.0 ** rng.integers(-9, 9, count)
    )
    quality = np.where(np.isnan(value), 65, rng.integers(0, 3, count)).astype(np.uint8)
    index = rng.integers(0, 3, count)
    parts = np.array_split(np.arange(count), 4)
    return [StoreBatch(keys, index[p], time[p], value[p], quality[p]) for p in parts]


def kinds_of_files(folder: Path) -> dict[str, int]:
    return {
        name: len(list((folder / name).iterdir())) for name in ("hours", "by-minute", "by-hour")
    }


@pytest.mark.usefixtures("unmeasured")
def test_roll_ups_give_the_buckets_of_the_readings_to_the_bit(tmp_path: Path) -> None:
    plain = DuckDbStore(tmp_path / "plain")
    store = DuckDbStore(tmp_path / "closed")
    for position, batch_ in enumerate(some_days(11)):
        plain.write([batch_], position)
        store.write([batch_], position)
        store.close_hours(T0 + (position + 1) * 9 * HOUR)  # the last hours stay open
    assert in_every_way(store) == in_every_way(plain)
    store.close_hours(END)
    assert in_every_way(store) == in_every_way(plain)
    plain.close()
    store.close()


@pytest.mark.parametrize("width", [90_500, HOUR + 1, 31_536_000])
def test_buckets_of_any_width_over_closed_hours_are_those_of_the_readings(
    tmp_path: Path, width: int
) -> None:
    store = DuckDbStore(tmp_path)
    for position, batch_ in enumerate(some_days(13)):
        store.write([batch_], position)
    store.close_hours(END)
    for point in (KEY.point, "booster/flow"):
        start = T0 + 1_234_567
        found = store.buckets(KEY.site, point, start, END, width)
        expected = in_buckets(store.raw(KEY.site, point, start, END), width)
        for item in fields(Buckets):
            if item.name != "mean":
                assert np.array_equal(
                    getattr(found, item.name), getattr(expected, item.name), equal_nan=True
                )
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-9, atol=1e-9)
    store.close()


def test_buckets_over_long_spans_read_no_reading(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(30)], 1)
    store.close_hours(END)
    expected = store.buckets(KEY.site, KEY.point, T0, END, 30 * 60_000)
    store.close()
    for file in (tmp_path / "hours").iterdir():
        file.write_bytes(b"no parquet at all")
    store = DuckDbStore(tmp_path)
    found = store.buckets(KEY.site, KEY.point, T0, END, 30 * 60_000)
    assert found.count.tolist() == expected.count.tolist() == [30] * 60
    for file in (tmp_path / "by-minute").iterdir():
        file.write_bytes(b"no parquet at all")
    assert store.buckets(KEY.site, KEY.point, T0, END, HOUR).count.tolist() == [60] * 30
    store.close()


def test_late_readings_are_in_the_buckets_at_once_and_rewrite_their_hours_roll_ups_only(
    tmp_path: Path,
) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(5)], 1)
    store.close_hours(SAME_DAY)
    first = {path for kind in ("by-minute", "by-hour") for path in (tmp_path / kind).iterdir()}
    store.write([batch([T0 + 2 * HOUR + 1], 9.0)], 2)
    for _ in range(2):
        found = store.buckets(KEY.site, KEY.point, T0, END, HOUR)
        assert (found.max.tolist(), found.count.tolist()) == ([1, 1, 9, 1, 1], [60, 60, 61, 60, 60])
        store.close_hours(SAME_DAY)
    second = {path for kind in ("by-minute", "by-hour") for path in (tmp_path / kind).iterdir()}
    assert len(first & second) == 8
    assert len(second) == 10
    store.close()


def test_what_is_over_is_merged_and_answers_as_before(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    for position, batch_ in enumerate(some_days(12)):
        store.write([batch_], position)
    before, count = in_every_way(store), store.count()
    store.close_hours(T0 + 24 * HOUR)
    assert kinds_of_files(tmp_path) == {"hours": 1, "by-minute": 1, "by-hour": 1}
    store.close_hours(T0 + 60 * HOUR)
    assert kinds_of_files(tmp_path) == {"hours": 14, "by-minute": 14, "by-hour": 14}
    store.close_hours(END)
    assert kinds_of_files(tmp_path) == {"hours": 1, "by-minute": 1, "by-hour": 1}
    assert (in_every_way(store), store.count()) == (before, count)
    store.close()


def test_late_readings_of_a_merged_day_lie_over_it_until_they_are_many(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(24)], 1)
    store.close_hours(T0 + 25 * HOUR)
    (day,) = (tmp_path / "hours").iterdir()
    for late in range(1, 8):
        store.write([batch([T0 + late * HOUR + 1], 9.0)], 2)
        store.close_hours(T0 + 25 * HOUR)
        assert len(files(tmp_path)) == (1 if late == 7 else 1 + late)
        assert (day.exists(), store.count()) == (late < 7, 24 * 60 + late)
        found = store.buckets(KEY.site, KEY.point, T0, END, 24 * HOUR)
        assert found.count.tolist() == [24 * 60 + late]
    assert values(store) == {1.0, 9.0}
    store.close()


def test_retention_leaves_a_merged_day_readable_whose_late_hour_is_gone(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(24)], 1)
    store.close_hours(T0 + 25 * HOUR)
    store.write([batch([T0 + 1], 9.0)], 2)
    store.close_hours(T0 + 25 * HOUR)
    store.delete_before(T0 + HOUR)
    assert store.count() == len(store.raw(KEY.site, KEY.point, T0, END).time) == 23 * 60
    store.close()


KILLED_AT_A_RENAME = """
import os, signal, sys
from pathlib import Path
from collector.adapters.store_duckdb import DuckDbStore
from tests.unit.collector.test_store_duckdb import END, T0, batch, HOUR

allowed = int(sys.argv[2])
rename = Path.replace
def renamed(self, target):
    global allowed
    if allowed == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    allowed -= 1
    return rename(self, target)
Path.replace = renamed
store = DuckDbStore(Path(sys.argv[1]))
store.close_hours(END)
"""


@pytest.mark.parametrize("renames", range(19))
def test_a_kill_between_any_two_files_of_closing_and_merging_costs_nothing(
    tmp_path: Path, renames: int
) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(3)], 1)
    store.close_hours(SAME_DAY)
    store.write([batch([T0 + HOUR + 1, T0 + HOUR + 2], 9.0), every_minute(1, 2.0)], 2)
    before, count = in_every_way(store), store.count()
    store.close()
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_AT_A_RENAME, str(tmp_path), str(renames)],
        cwd=ROOT, check=False,
    )  # fmt: skip
    assert ended.returncode == (-9 if renames < 18 else 0)
    store = DuckDbStore(tmp_path)
    assert (in_every_way(store), store.count()) == (before, count)
    store.close_hours(END)
    assert (in_every_way(store), store.count()) == (before, count)
    assert kinds_of_files(tmp_path) == {"hours": 1, "by-minute": 1, "by-hour": 1}
    found = store.look()
    assert (found.damaged, found.unknown, found.lost) == ([], [], [])
    store.close()


def test_a_merge_that_fails_is_said_and_the_hours_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = DuckDbStore(tmp_path)
    store.write([every_minute(3)], 1)
    store.close_hours(SAME_DAY)
    next((tmp_path / "hours").glob(f"{T0}-*")).write_bytes(b"no parquet at all")
    store.close_hours(END)
    assert "could not be merged" in caplog.text
    assert kinds_of_files(tmp_path) == {"hours": 3, "by-minute": 1, "by-hour": 1}
    assert len(store.raw(KEY.site, KEY.point, T0 + HOUR, END).time) == 120
    store.close()
