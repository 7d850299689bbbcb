"""The InfluxDB store against a real server that refuses, is away, or takes a part only."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from collector.adapters.lineprotocol import READINGS_AT_ONCE
from collector.adapters.store_influx import InfluxStore
from collector.ports import SeriesKey, StoreBatch, Unavailable
from commands.part_servers import InfluxServer, free_port
from tests.system.at_influx import (
    HOUR,
    KEY,
    T0,
    ask,
    batch,
    bucket_of,
    new_bucket,
    opened,
    rows_of,
    token_for,
)

pytestmark = pytest.mark.system


def test_the_bucket_is_made_with_its_retention(influxd: InfluxServer) -> None:
    name = new_bucket()
    store = opened(influxd, name, retention_s=90 * 86_400)
    store.write([], 1)
    store.close()
    assert bucket_of(influxd, name)["retentionRules"][0]["everySeconds"] == 90 * 86_400


def test_a_token_for_one_bucket_is_enough_where_the_bucket_is_there(influxd: InfluxServer) -> None:
    name = new_bucket()
    opened(influxd, name).write([], 1)
    id = bucket_of(influxd, name)["id"]
    narrow = token_for(influxd, ("read", "buckets", id), ("write", "buckets", id))
    store = opened(influxd, name, token=narrow)
    store.write([batch([1.0, 2.0])], 5)
    assert (store.count(), store.cursor()) == (2, 5)
    store.close()


def test_a_token_that_may_not_make_the_bucket_says_what_to_do(influxd: InfluxServer) -> None:
    narrow = token_for(influxd, ("read", "buckets", None))
    store = opened(influxd, new_bucket(), token=narrow)
    with pytest.raises(Unavailable, match="create it, or give a token that may"):
        store.write([batch([1.0])], 1)
    store.close()


def test_a_wrong_token_says_what_to_do(influxd: InfluxServer) -> None:
    store = opened(influxd, influxd.bucket, token="nobody's")  # noqa: S106  # a wrong one is meant
    with pytest.raises(Unavailable, match="refuses the token"):
        store.cursor()
    store.close()


def test_a_bucket_that_somebody_removed_is_made_again(influxd: InfluxServer) -> None:
    name = new_bucket()
    store = opened(influxd, name)
    store.write([batch([1.0])], 1)
    ask(influxd, "DELETE", f"/api/v2/buckets/{bucket_of(influxd, name)['id']}")
    with pytest.raises(Unavailable, match=name):
        store.write([batch([1.0])], 2)
    store.write([batch([1.0])], 2)
    assert (store.count(), store.cursor()) == (1, 2)
    store.close()


def test_a_server_that_is_away_is_unavailable_and_hinders_no_start() -> None:
    store = InfluxStore(f"http://127.0.0.1:{free_port()}", "t", "o", "b")
    for call in (store.cursor, store.count, lambda: store.write([], 1)):
        with pytest.raises(Unavailable, match="does not answer"):
            call()
    store.close()


def test_more_readings_than_one_body_holds_are_all_there(influxd: InfluxServer) -> None:
    store = opened(influxd, new_bucket())
    values = np.random.default_rng(1).normal(size=2 * READINGS_AT_ONCE + 7)
    store.write([batch(values.tolist())], 1)
    read = store.raw(KEY.site, KEY.point, T0, T0 + 10**9)
    assert np.array_equal(read.value, values)
    store.close()


def test_latest_of_many_points_asks_for_the_site_at_once(influxd: InfluxServer) -> None:
    store = opened(influxd, new_bucket())
    points = [f"asset-{n // 10}/point-{n}" for n in range(120)]
    keys = [SeriesKey("riverside", point, "", "number") for point in points]
    index = np.arange(120)
    store.write(
        [
            StoreBatch(
                keys,
                index,
                T0 + index,
                np.array([n / 2 for n in range(120)]),
                np.zeros(120, np.uint8),
            )
        ],
        1,
    )
    found = store.latest("riverside", [*points, "asset-0/unknown"])
    assert found == {point: (T0 + n, n * 0.5, 0) for n, point in enumerate(points)}
    store.close()


def hours(store: InfluxStore) -> list[tuple[int, float, float]]:
    found = store.buckets(KEY.site, KEY.point, T0, T0 + 3 * HOUR, HOUR)
    columns = (found.count.tolist(), found.min.tolist(), found.last.tolist())
    return list(zip(*columns, strict=True))


def test_hours_that_are_over_are_rolled_up_once_and_read_from_there(influxd: InfluxServer) -> None:
    name = new_bucket()
    store = opened(influxd, name)
    store.write([batch([3.0, 1.0, 2.0]), batch([5.0], start=T0 + HOUR)], 1)
    assert (store.close_hours(T0 + HOUR), store.close_hours(T0 + HOUR)) == (1, 0)
    assert rows_of(influxd, name, "hours") == 8
    rest = '_measurement="readings"'
    span = {"start": "2026-03-15T00:00:00Z", "stop": "2026-03-15T00:59:59Z", "predicate": rest}
    ask(influxd, "POST", f"/api/v2/delete?org={influxd.org}&bucket={name}", span)
    assert hours(store) == [(3, 1.0, 2.0), (1, 5.0, 5.0)]
    store.close()


FAILING = """import "array"
one = array.from(rows: [{_time: 2020-01-01T00:00:00Z, _field: "a", _value: 0}])
one |> yield(name: "a")
one |> map(fn: (r) => ({r with _value: 1 / r._value})) |> yield(name: "b")"""


def test_an_answer_that_fails_is_unavailable_before_and_after_it_began(
    influxd: InfluxServer,
) -> None:
    """Which of both depends on what InfluxDB has sent by then: status 400, or 200 and a table of the error."""
    store = opened(influxd, new_bucket())
    for _ in range(8):
        with pytest.raises(Unavailable, match="cannot divide by zero"):
            store._bucket.tables(FAILING)
    store.close()


def test_readings_of_a_version_without_roll_ups_are_read_and_rolled_up(
    influxd: InfluxServer,
) -> None:
    name = new_bucket()
    opened(influxd, name).cursor()
    line = f"readings,asset=booster,site=riverside pressure=7.5,pressure/quality=0i {T0 + 1}\n"
    ask(influxd, "POST", f"/api/v2/write?org={influxd.org}&bucket={name}&precision=ms", line)
    store = opened(influxd, name)
    assert hours(store) == [(1, 7.5, 7.5)]
    assert (store.close_hours(T0 + HOUR), hours(store)) == (1, [(1, 7.5, 7.5)])
    assert store.latest(KEY.site, [KEY.point]) == {KEY.point: (T0 + 1, 7.5, 0)}
    store.close()


def test_a_late_reading_opens_its_hour_again_also_in_another_life(influxd: InfluxServer) -> None:
    name = new_bucket()
    store = opened(influxd, name)
    store.write([batch([3.0, 1.0])], 1)
    assert store.close_hours(T0 + 2 * HOUR) == 1
    store.write([batch([0.5], start=T0 + 5000)], 2)
    store.close()
    store = opened(influxd, name)
    assert hours(store) == [(3, 0.5, 0.5)]
    assert (store.close_hours(T0 + 2 * HOUR), hours(store)) == (1, [(3, 0.5, 0.5)])
    store.close()


def test_a_value_that_is_replaced_by_none_leaves_no_roll_up_of_it(influxd: InfluxServer) -> None:
    store = opened(influxd, new_bucket())
    store.write([batch([3.0])], 1)
    store.close_hours(T0 + HOUR)
    store.write([replace(batch([np.nan]), quality=np.array([65], np.uint8))], 2)
    store.close_hours(T0 + HOUR)
    found = store.buckets(KEY.site, KEY.point, T0, T0 + HOUR, HOUR)
    assert (found.count.tolist(), found.worst.tolist()) == ([1], [65])
    assert np.isnan(found.max).all()
    assert store.count() == 1
    store.close()


def test_a_cut_that_a_wrong_clock_made_is_taken_back(influxd: InfluxServer) -> None:
    name = new_bucket()
    store = opened(influxd, name)
    store.delete_before(T0 + 10 * HOUR)
    store.write([batch([1.0])], 1)
    assert (store.count(), store.late.dropped) == (0, 1)
    store.lower_cut(T0, "raw")
    store.write([batch([1.0])], 1)
    store.close()
    store = opened(influxd, name)
    assert (store.count(), store.kept_from()) == (1, T0)
    store.close()


def test_a_bucket_that_keeps_less_than_was_asked_is_named(
    influxd: InfluxServer, caplog: pytest.LogCaptureFixture
) -> None:
    name = new_bucket()
    opened(influxd, name, retention_s=7200).write([], 1)
    with caplog.at_level(logging.WARNING):
        opened(influxd, name, retention_s=86_400).write([], 2)
    assert f"bucket {name} drops all that is older than 7200 s" in caplog.text
