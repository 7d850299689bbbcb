"""The DuckDB store counts each reading once, however its open rows are divided for it."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from collector.adapters import store_duckdb
from collector.adapters.duckdb_reading import distinct
from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_spans import in_parts
from collector.buckets import MINUTE_MS
from tests.unit.collector.test_store_accidents import closed
from tests.unit.collector.test_store_duckdb import HOUR, KEY, T0, batch

MINUTES = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50)), max_size=8, unique_by=lambda h: h[0])  # fmt: skip


@given(MINUTES, st.integers(0, 100 * MINUTE_MS), st.integers(1, 30))
@example([(1, 60)], MINUTE_MS + 5, 7)
def test_parts_cover_all_time_once_and_hold_about_so_many_rows(
    found: Sequence[tuple[int, int]], since: int, rows: int
) -> None:
    minutes = sorted(
        (minute * MINUTE_MS, count) for minute, count in found if (minute + 1) * MINUTE_MS > since
    )
    parts = in_parts(minutes, since, rows)
    assert (parts[0][0], parts[-1][1]) == (since, 2**62)
    assert all(start < end == after for (start, end), (after, _) in pairwise(parts))
    for start, end in parts:  # if the rows of a minute were spread evenly over it
        held = sum(
            count * max(0, min(end, minute + MINUTE_MS) - max(start, minute)) / MINUTE_MS
            for minute, count in minutes
        )
        assert held <= 2 * rows + 1


@pytest.mark.parametrize("at_once", [1, 2, 7, 1_000_000])
def test_repeats_are_counted_once_open_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(store_duckdb, "COUNTED_AT_ONCE", at_once)
    store = closed(tmp_path, 3)
    assert store.count() == 180
    minutes = [T0 + n * 60_000 for n in range(30)]
    store.write([batch(minutes)], 2)  # again what a file holds
    store.write([batch([T0 + 1, T0 + HOUR + 1, T0 + HOUR + 1])], 3)
    store.write([batch([T0 + 9 * HOUR + n for n in range(20)])], 4)
    store.write([batch([T0 + 9 * HOUR + n for n in range(10, 30)])], 5)
    assert store.count() == 180 + 2 + 30
    store.delete_before(T0 + HOUR)
    assert store.count() == 120 + 1 + 30
    store.close_hours(T0 + 20 * HOUR)
    assert store.count() == len(store.raw(KEY.site, KEY.point, 0, 2**62).time) == 151
    store.close()


PAIRS = st.lists(st.tuples(st.integers(1, 3) | st.integers(1, 2**31 - 1), st.integers(0, 3) | st.integers(-(2**62), 2**62)))  # fmt: skip


@given(PAIRS)
@example([(2**31 - 1, -(2**62)), (1, 2**62), (1, 2**62)])
@example([(1, 5), (2, 4), (1, 5)])
def test_different_pairs_are_counted_however_far_apart(pairs: Sequence[tuple[int, int]]) -> None:
    series = np.array([series for series, _ in pairs], np.int32)
    time = np.array([time for _, time in pairs], np.int64)
    assert distinct({"series": series, "time": time}) == len(set(pairs))


def test_the_log_of_what_was_written_stays_short(tmp_path: Path) -> None:
    """DuckDB holds it in memory too, until it is made part of the file."""
    store, longest = DuckDbStore(tmp_path), 0
    for n in range(60):
        start = T0 + n * 10_000
        store.write([batch(list(range(start, start + 2_500)))], n + 1)
        log = tmp_path / "readings.duckdb.wal"
        longest = max(longest, log.stat().st_size if log.exists() else 0)
    assert 1_000_000 < longest < 3_000_000  # of 6 MB in all
    assert store.count() == 150_000
    store.close()
