"""What InfluxDB refuses for ever, against a real server: named, counted for good, and nothing beside it lost."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.lineprotocol import LineEncoder
from collector.adapters.store_influx import InfluxStore
from collector.ports import Entry, SeriesKey, StoreBatch, Unavailable
from commands.delivering import delivery_report
from commands.part_servers import InfluxServer
from tests.system.at_influx import HOUR, KEY, T0, batch, mixed, new_bucket, opened, stranger

pytestmark = pytest.mark.system


def test_readings_refused_for_ever_are_counted_and_do_not_block_those_beside_and_behind(
    influxd: InfluxServer, caplog: pytest.LogCaptureFixture
) -> None:
    name = new_bucket()
    store = opened(influxd, name)
    store.write([], 0)
    stranger(influxd, name, f"readings,asset=nobody pressure=7i {T0}\n")
    beside = SeriesKey("riverside", "booster/flow", "m3/h", "number")
    behind = SeriesKey("riverside", "pit/flow", "m3/h", "number")
    keys, place = [KEY, beside, behind], np.array([0, 1, 2, 0])
    time, value = T0 + np.array([0, 0, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0])
    with caplog.at_level(logging.ERROR):
        store.write([StoreBatch(keys, place, time, value, np.zeros(4, np.uint8))], 9)
    assert (store.cursor(), store.refused) == (9, 2)
    for key, stays in ((beside, [2.0]), (behind, [3.0]), (KEY, [])):
        assert store.raw(key.site, key.point, T0, T0 + 9).value.tolist() == stays
    assert "field type conflict" in caplog.text
    assert {(one.site, one.time) for one in store.quarantine} == {("riverside", str(T0)), ("riverside", str(T0 + 1))}  # fmt: skip
    assert ["pressure=1" in one.said or "pressure=4" in one.said for one in store.quarantine] == [True, True]  # fmt: skip
    assert all("field type conflict" in one.reason for one in store.quarantine)
    store.close()


def test_readings_behind_the_retention_do_not_block_the_others(influxd: InfluxServer) -> None:
    store = opened(influxd, new_bucket(), retention_s=3600)
    store.write([batch([1.0], start=1_000_000_000_000)], 3)
    assert (store.cursor(), store.refused) == (3, 1)
    store.close()


def test_a_line_that_influxdb_cannot_read_is_left_out_alone(
    influxd: InfluxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = LineEncoder.bodies

    def with_a_wrong_line(encoder: LineEncoder, batch: StoreBatch) -> Iterator[bytes]:
        return (body + b"no line protocol\n" for body in bodies(encoder, batch))

    monkeypatch.setattr(LineEncoder, "bodies", with_a_wrong_line)
    store = opened(influxd, new_bucket())
    store.write([batch([1.0, 2.0, 3.0])], 1)
    assert (store.count(), store.refused, store.cursor()) == (3, 1, 1)
    store.close()


def values(store: InfluxStore, point: str, start: int = T0, end: int = T0 + HOUR) -> list[float]:
    found: list[float] = store.raw(KEY.site, point, start, end).value.tolist()
    return found


def test_of_several_conflicts_in_a_body_each_reading_is_named_and_the_good_ones_stay(
    influxd: InfluxServer, caplog: pytest.LogCaptureFixture
) -> None:
    name = new_bucket()
    store = opened(influxd, name)
    store.write([], 0)
    stranger(influxd, name, f"readings,asset=nobody pressure=7i,level=7i {T0}\n")
    rows = [
        ("a/pressure", T0, 1.0),
        ("b/level", T0, 2.0),
        ("b/other", T0, 3.0),
        ("c/fine", T0, 4.0),
    ]
    with caplog.at_level(logging.ERROR):
        store.write([mixed(rows)], 4)
    found = [values(store, point) for point, _, _ in rows]
    assert (found, store.refused) == ([[], [], [3.0], [4.0]], 2)
    named = [
        " ".join(record.getMessage().split(" of ")[1].split(",")[:3]) for record in caplog.records
    ]
    assert len(named) == 2
    assert {"asset=a" in said and "pressure" in said for said in named} == {True, False}
    store.close()


def test_what_stands_in_another_shard_is_not_counted_with_what_is_refused(
    influxd: InfluxServer,
) -> None:
    name = new_bucket()
    store = opened(influxd, name)
    store.write([], 0)
    stranger(influxd, name, f"readings,asset=nobody pressure=7i {T0}\n")
    later = T0 + 30 * 24 * HOUR
    store.write(
        [mixed([(KEY.point, T0, 1.0), (KEY.point, later, 2.0), (KEY.point, later + 1, 3.0)])], 3
    )
    assert (values(store, KEY.point, later, later + 2), store.refused) == ([2.0, 3.0], 1)
    store.close()


def test_retention_and_a_conflict_in_one_body_are_both_counted(influxd: InfluxServer) -> None:
    name, now = new_bucket(), time.time_ns() // 1_000_000
    store = opened(influxd, name, retention_s=30 * 86_400)
    store.write([], 0)
    stranger(influxd, name, f"readings,asset=nobody level=7i {now}\n")
    rows = [
        ("a/pressure", T0 - 10 * 366 * 24 * HOUR, 1.0),
        ("b/level", now, 2.0),
        ("c/fine", now, 3.0),
    ]
    store.write([mixed(rows)], 3)
    assert (values(store, "c/fine", now, now + 1), store.refused) == ([3.0], 2)
    store.close()


def test_a_repeat_of_a_write_counts_what_is_refused_once(
    influxd: InfluxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(influxd, new_bucket(), retention_s=3600)
    store.write([], 0)
    note = store._bucket.note

    def away(lines: str) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(store._bucket, "note", away)
    with pytest.raises(Unavailable):
        store.write([batch([1.0], start=1_000_000_000_000)], 3)
    monkeypatch.setattr(store._bucket, "note", note)
    store.write([batch([1.0], start=1_000_000_000_000)], 3)
    assert (store.refused, store.taken()) == (1, 0)
    store.close()


def test_what_was_refused_is_told_by_the_report_of_another_life_and_is_not_called_replaced(
    influxd: InfluxServer, tmp_path: Path
) -> None:
    name, now = new_bucket(), time.time_ns() // 1_000_000
    journal = SqliteJournal(tmp_path / "journal")
    journal.append([Entry(now, "batch", KEY.site, "a1", "data", "e1", 1, readings=4)])
    store = opened(influxd, name, journal="one", retention_s=3600)
    store.write([batch([1.0, 2.0, 3.0], start=now - 3000), batch([4.0])], 1)
    store.close()
    store = opened(influxd, name, journal="one")
    found = delivery_report(journal, store, store.cursor)["readings"]
    assert found | {"stored": 3, "replaced": 0, "refused": 1, "unstored": 0} == found
    store.close()
    journal.close()


def test_two_journals_in_one_bucket_keep_cursors_of_their_own(influxd: InfluxServer) -> None:
    name = new_bucket()
    stores = [opened(influxd, name, journal=journal) for journal in ("a", "b")]
    for store, position in zip(stores, (100, 7), strict=True):
        store.write([], position)
    assert [store.cursor() for store in stores] == [100, 7]
    for store in stores:
        store.close()


def test_a_cursor_of_an_older_version_counts_until_the_first_that_names_its_journal(
    influxd: InfluxServer,
) -> None:
    name = new_bucket()
    opened(influxd, name).cursor()
    stranger(influxd, name, "steward_cursor position=100i\n")
    first = opened(influxd, name, journal="a")
    assert (first.cursor(), first.taken()) == (100, None)
    first.write([], 101)
    second = opened(influxd, name, journal="b")
    assert (first.cursor(), second.cursor()) == (101, 0)
    first.close()
    second.close()


@pytest.mark.parametrize("days", [-60, 30])
def test_readings_behind_a_stranger_s_integers_are_read_and_the_stranger_is_named(
    influxd: InfluxServer, days: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the same point, in a shard before all of ours, and between two of ours."""
    name, day = new_bucket(), 24 * HOUR
    store = opened(influxd, name)
    store.write([], 0)
    stranger(
        influxd, name, f"readings,asset=booster,site=riverside pressure=7i {T0 + days * day}\n"
    )
    rows = [(KEY.point, T0, 1.5), (KEY.point, T0 + 60 * day, 2.5)]
    store.write([mixed(rows)], 1)
    at = {T0 + days * day: 7.0, T0: 1.5, T0 + 60 * day: 2.5}
    with caplog.at_level(logging.ERROR):
        found = store.raw(KEY.site, KEY.point, T0 - 100 * day, T0 + 100 * day)
        assert dict(zip(found.time.tolist(), found.value.tolist(), strict=True)) == at
        for close in (False, True):
            if close:
                store.close_hours(T0 + 100 * day)
            buckets = store.buckets(KEY.site, KEY.point, T0 - 100 * day, T0 + 100 * day, 1000)
            assert dict(zip(buckets.time.tolist(), buckets.last.tolist(), strict=True)) == at
    assert "field 'pressure'" in caplog.text
    store.close()
