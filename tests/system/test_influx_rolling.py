"""Roll-ups in a real InfluxDB when something comes between: a kill, a reading, late data of one asset of many."""

import math
from dataclasses import replace

import numpy as np
import pytest

from collector.adapters import influx_rolling
from collector.adapters.store_influx import InfluxStore
from collector.ports import StoreBatch, Unavailable
from commands.part_servers import InfluxServer
from tests.system.at_influx import (
    HOUR,
    KEY,
    T0,
    batch,
    bucket_of,
    mixed,
    new_bucket,
    opened,
    token_for,
)

pytestmark = pytest.mark.system


def none_instead() -> StoreBatch:
    """No value at the time of the first reading."""
    return replace(batch([math.nan]), quality=np.array([70], np.uint8))


def hour_of(store: InfluxStore, point: str = KEY.point) -> tuple[list[int], list[float]]:
    """Count and maximum of the first hour; without a value nothing is the maximum."""
    found = store.buckets(KEY.site, point, T0, T0 + HOUR, HOUR)
    return found.count.tolist(), [value for value in found.max.tolist() if not math.isnan(value)]


def test_a_kill_before_the_hour_is_closed_leaves_no_roll_up_of_a_value_that_goes(
    influxd: InfluxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = new_bucket()
    store = opened(influxd, name)
    store.write([batch([9.0])], 1)

    def killed(hour: int) -> None:
        raise Unavailable("killed")

    monkeypatch.setattr(store._hours, "close", killed)
    with pytest.raises(Unavailable):
        store.close_hours(T0 + HOUR)
    store.close()
    store = opened(influxd, name)
    store.write([none_instead()], 2)
    assert (store.close_hours(T0 + HOUR), hour_of(store)) == (1, ([1], []))
    store.close()


def test_a_reading_before_the_hour_is_closed_leaves_no_roll_up_of_what_it_replaced(
    influxd: InfluxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(influxd, new_bucket())
    store.write([batch([9.0])], 1)
    roll = store._rolling.roll
    with monkeypatch.context() as patch:

        def and_written(*what: object, again: bool) -> None:
            roll(*what, again=again)  # type: ignore[arg-type]  # whatever it was given
            store.write([none_instead()], 2)

        patch.setattr(store._rolling, "roll", and_written)
        store.close_hours(T0 + HOUR)
    store.close_hours(T0 + HOUR)
    assert hour_of(store) == ([1], [])
    store.close()


ALL = {"pump", 'qu"ote', "泵 a,b=1", ""}


@pytest.mark.parametrize(
    ("late", "rolled"),
    [
        (("pump/x",), {"pump"}),
        (("泵 a,b=1/x", "pump/x"), {"泵 a,b=1", "pump"}),
        (('qu"ote/x',), ALL),  # its deletion cannot be said
        (("alone",), ALL),
    ],
    ids=["one", "two", "a name with a quotation mark", "no asset"],
)
def test_late_readings_roll_up_the_assets_that_they_are_of(
    influxd: InfluxServer, monkeypatch: pytest.MonkeyPatch, late: tuple[str, ...], rolled: set[str]
) -> None:
    store = opened(influxd, new_bucket())
    points = ["pump/x", 'qu"ote/x', "泵 a,b=1/x", "alone"]
    store.write([mixed([(point, T0, 9.0) for point in points])], 1)
    store.close_hours(T0 + HOUR)
    lines_of, asked = store._rolling._lines_of, []

    def seen(site: str, asset: str, span: tuple[int, int]) -> list[str]:
        asked.append(asset)
        return lines_of(site, asset, span)

    monkeypatch.setattr(store._rolling, "_lines_of", seen)
    missing = replace(mixed([(point, T0, math.nan) for point in late]), quality=np.full(len(late), 70, np.uint8))  # fmt: skip
    store.write([missing], 2)
    assert (store.close_hours(T0 + HOUR), set(asked)) == (1, rolled)
    for point in points:
        assert hour_of(store, point) == ([1], [] if point in late else [9.0])
    store.close()


def test_what_another_life_opened_is_rolled_up_for_all_assets(influxd: InfluxServer) -> None:
    name = new_bucket()
    store = opened(influxd, name)
    store.write([mixed([("a/x", T0, 1.0), ("b/x", T0, 2.0)])], 1)
    store.close()
    store = opened(influxd, name)
    store.write([mixed([("b/x", T0 + 1, 3.0)])], 2)
    assert store.close_hours(T0 + HOUR) == 1
    assert [hour_of(store, point) for point in ("a/x", "b/x")] == [([1], [1.0]), ([2], [3.0])]
    store.close()


def said(store: InfluxStore, point: str, width_ms: int) -> list[list[float]]:
    """The columns of its buckets over four hours, the last of which is open; the mean apart."""
    found = store.buckets(KEY.site, point, T0 + 1000, T0 + 4 * HOUR, width_ms)
    names = ("time", "min", "max", "first", "last", "count", "worst")
    return [np.nan_to_num(getattr(found, name), nan=-1.0).tolist() for name in (*names, "mean")]


@pytest.mark.parametrize("point", ["pump/x", "泵 a,b='1'/x \"y\"", "alone"])
@pytest.mark.parametrize("width_ms", [HOUR, 3 * HOUR, 7_000])
def test_buckets_are_the_same_whichever_way_influxdb_is_asked(
    influxd: InfluxServer, monkeypatch: pytest.MonkeyPatch, point: str, width_ms: int
) -> None:
    """By windows in Flux, as where InfluxQL is refused; and by roll-ups and readings one by one."""
    name = new_bucket()
    opened(influxd, name).write([], 1)
    id = bucket_of(influxd, name)["id"]
    narrow = token_for(influxd, ("read", "buckets", id), ("write", "buckets", id))
    store = opened(influxd, name, token=narrow)
    times = np.arange(T0, T0 + 4 * HOUR, 60_000).tolist()
    values = [math.nan if n % 7 == 5 or 60 <= n < 120 else n / 10 for n in range(len(times))]
    written = mixed([(point, at, value) for at, value in zip(times, values, strict=True)])
    bad = np.where(np.isnan(written.value), 70, written.quality).astype(np.uint8)
    store.write([replace(written, quality=bad)], 2)
    store.close_hours(T0 + 3 * HOUR)
    ask_ql, answers = store._bucket.ask_ql, list[bytes | None]()

    def heard(question: str) -> bytes | None:
        answers.append(ask_ql(question))
        return answers[-1]

    with monkeypatch.context() as patch:
        patch.setattr(store._bucket, "ask_ql", heard)
        one_by_one = said(store, point, width_ms)
    monkeypatch.setattr(store._bucket, "ask_ql", lambda question: None)
    monkeypatch.setattr(influx_rolling, "READ_MS_MAX", 0)
    windows = said(store, point, width_ms)
    store.close()
    assert None not in answers
    assert bool(answers) == (width_ms != 7_000), "only of hours there are roll-ups to ask for"
    assert one_by_one[:-1] == windows[:-1]
    assert one_by_one[-1] == pytest.approx(windows[-1], rel=1e-12)
    assert sum(one_by_one[5]) == 239
