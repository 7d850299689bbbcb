"""Rows 12 and 13: bytes per reading on disk beside InfluxDB, and a year of one point in 1 000 buckets beside bare DuckDB."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from api.history import width_for
from benchmarks.rows import Row, main
from benchmarks.running import ROOT, Failed, say
from collector.adapters.duckdb_database import MEMORY_LIMIT
from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_influx import InfluxStore
from collector.ports import SeriesKey, StoreBatch
from commands.part_servers import start_influxd
from commands.parts import NotHere, ensure
from commands.virtual import VirtualSite
from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.load import load_plant

START_MS: Final = 1_773_532_800_000
DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
ESTATE_HOURS: Final = 4.0
YEAR_READINGS: Final = 3_153_600
STEP_MS: Final = 10_000
RUNS: Final = 9
BUCKETS_RAW_MS: Final = 31_536_000
"""A year in exactly 1 000, which is no number of minutes: readings alone can give it."""
BUCKETS_ROLLED_MS: Final = width_for(YEAR_READINGS * STEP_MS)
"""What a chart of a year asks for: 6 h, 1 460 buckets."""
SETTLED_S: Final = 15.0
COMPACTED_S_MAX: Final = 240.0
AT_ONCE: Final = {
    "INFLUXD_STORAGE_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "2s",
    "INFLUXD_STORAGE_COMPACT_FULL_WRITE_COLD_DURATION": "4s",
}
"""InfluxDB compacts fully once a shard was quiet for 4 h; here it may at once."""
PLAIN: Final = """
select time // {width} * {width} as bucket, min(value), max(value), avg(value),
  arg_min(value, time), arg_max(value, time), count(*), max(quality)
from plain where time >= {start} and time < {end} group by bucket order by bucket"""
POINT: Final = SeriesKey("riverside", "booster/pressure", "bar", "number")


def of_the_estate(hours: float) -> StoreBatch:
    """What the demo's plant makes in so many hours of virtual time, by time."""
    loop = VirtualLoop()
    site = VirtualSite(
        load_plant(ROOT / "config/plants/riverside"), VirtualClock(loop, START_MS), 3
    )
    run_virtual(_lived(site, hours), loop=loop)
    keys = site.live.series.keys
    found = [site.store.raw(key.site, key.point, 0, 2**60) for key in keys]
    key = np.repeat(np.arange(len(keys)), [len(raw.time) for raw in found])
    time_, value, quality = (
        np.concatenate([getattr(raw, name) for raw in found])
        for name in ("time", "value", "quality")
    )
    order = np.argsort(time_, kind="stable")
    return StoreBatch(keys, key[order], time_[order], value[order], quality[order])


async def _lived(site: VirtualSite, hours: float) -> None:
    async with site.running():
        begun = time.monotonic()
        for part in range(1, round(hours * 6) + 1):
            await site.clock.sleep_until(part * 600.0)
            say(
                f"    {part / 6:.1f} of {hours} h of the estate in {time.monotonic() - begun:.0f} s"
            )


def sizes_of_ours(batch: StoreBatch, folder: Path) -> tuple[int, int]:
    """Bytes of the files of readings, and of their roll-ups, when all hours are closed and merged."""
    store = DuckDbStore(folder)
    store.write([batch], 1)
    hours = int(batch.time.max() - batch.time.min()) // HOUR_MS + 2
    for hour in range(1, hours + 1):  # as a server does while time goes by
        store.close_hours(START_MS + hour * HOUR_MS)
    store.close_hours(START_MS + 400 * DAY_MS)
    counted = store.count()
    store.close()
    if counted != len(batch):
        raise Failed(f"our store counts {counted} of {len(batch)} readings")
    return _bytes(folder / "hours"), _bytes(folder / "by-minute") + _bytes(folder / "by-hour")


def _bytes(folder: Path, pattern: str = "**/*.parquet") -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))


def size_of_theirs(batch: StoreBatch, program: Path, folder: Path) -> int:
    """Bytes of InfluxDB's TSM files on the same readings, when it has compacted them fully."""
    with ExitStack() as stack:
        with _environment(AT_ONCE):
            server = start_influxd(program, folder)
        stack.callback(server.stop)
        store = InfluxStore(server.url, server.token, server.org, server.bucket)
        stack.callback(store.close)
        store.write([batch], 1)
        counted = store.count()
        if counted != len(batch):
            raise Failed(f"InfluxDB counts {counted} of {len(batch)} readings")
        return _settled(folder / "engine")


def _settled(engine: Path) -> int:
    """Wait until no log is left and the files stay as they are, one of each shard."""
    begun = changed = time.monotonic()
    before: dict[Path, int] = {}
    while time.monotonic() - begun < COMPACTED_S_MAX:
        files = {path: path.stat().st_size for path in engine.glob("data/**/*.tsm*")}
        waiting = sum(path.stat().st_size for path in engine.glob("wal/**/*.wal"))
        if files != before or waiting or not files:
            before, changed = files, time.monotonic()
        shards = {path.parent for path in files}
        if time.monotonic() - changed > SETTLED_S and len(files) == len(shards):
            return sum(files.values())
        time.sleep(0.2)
    raise Failed(f"InfluxDB has not compacted within {COMPACTED_S_MAX:.0f} s: {before}")


@contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    """For a server that is started within."""
    os.environ.update(more)
    try:
        yield
    finally:
        for name in more:
            del os.environ[name]


def packed(hours: float) -> list[Row]:
    """Row 12."""
    batch = of_the_estate(hours)
    each = 1 / len(batch)
    found = ensure(["influxd"])["influxd"]
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as name:
        readings, rolled = sizes_of_ours(batch, Path(name) / "ours")
        if isinstance(found, NotHere):
            theirs, note = None, f"not run: {found.reason}"
        else:
            theirs = size_of_theirs(batch, found, Path(name) / "theirs")
            note = f"{len(batch)} readings of {hours} h"
    reference = None if theirs is None else theirs * each
    target = None if theirs is None else 0.5
    return [
        Row("12 on disk: readings", readings * each, "bytes each", reference, target, "lower", note),
        Row("12 on disk: readings and roll-ups", (readings + rolled) * each, "bytes each", reference,
            better="lower", note="InfluxDB has no roll-ups here"),
    ]  # fmt: skip


def a_year(readings: int) -> StoreBatch:
    """One point every 10 s: a pressure with its daily course and noise, in hundredths of a bar."""
    rng = np.random.default_rng(7)
    when = START_MS + np.arange(readings) * STEP_MS
    daily = np.sin(when / DAY_MS * 2 * np.pi)
    value = np.round(5 + daily + 0.2 * rng.normal(size=readings), 2)
    none = np.zeros(readings, np.int64)
    return StoreBatch([POINT], none, when, value, none.astype(np.uint8))


def charted(readings: int, runs: int) -> list[Row]:
    """Row 13."""
    batch, end = a_year(readings), START_MS + readings * STEP_MS
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as name:
        store = DuckDbStore(Path(name) / "store")
        store.write([batch], 1)
        for _ in range(2):
            store.close_hours(end + 60 * DAY_MS)
        plain = duckdb.connect(f"{name}/plain.duckdb", config={"memory_limit": MEMORY_LIMIT})
        columns = {"time": batch.time, "value": batch.value, "quality": batch.quality}
        plain.register("batch", columns)
        plain.execute("create table plain as select * from batch order by time")

        def bare(width: int) -> Any:
            text = PLAIN.format(width=width, start=START_MS, end=end)
            return plain.execute(text).fetchnumpy()

        def ours(width: int) -> Any:
            return store.buckets(POINT.site, POINT.point, START_MS, end, width)

        widths = {"readings": BUCKETS_RAW_MS, "roll-ups": BUCKETS_ROLLED_MS}
        for width in widths.values():
            if not np.array_equal(bare(width)["bucket"], ours(width).time):
                raise Failed(f"our buckets of {width} ms are not those of plain DuckDB")
        works = {
            f"{side} {name}": partial(work, width)
            for name, width in widths.items()
            for side, work in (("bare", bare), ("our", ours))
        }
        took = _alternated(works, runs)
        store.close()
        plain.close()
    targets = {"readings": 1.5, "roll-ups": 0.1}
    return [
        Row(f"13 a year of a point: from {name}", took[f"our {name}"], "ms", took[f"bare {name}"],
            target, "lower", f"{readings} readings, buckets of {widths[name]} ms")
        for name, target in targets.items()
    ]  # fmt: skip


def _alternated(sides: Mapping[str, Callable[[], Any]], runs: int) -> dict[str, float]:
    """Milliseconds of each, median of alternating runs."""
    took: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(runs):
        for side, work in sides.items():
            begun = time.perf_counter()
            work()
            took[side].append((time.perf_counter() - begun) * 1000)
    return {side: statistics.median(each) for side, each in took.items()}


def run(small: bool) -> list[Row]:
    """Rows 12 and 13. Small: half an hour of the estate, a tenth of a year."""
    if small:  # footers weigh more than readings there
        rows = [*packed(0.5), *charted(YEAR_READINGS // 10, 3)]
        return [replace(row, target=None) for row in rows]
    return [*packed(ESTATE_HOURS), *charted(YEAR_READINGS, RUNS)]


if __name__ == "__main__":
    raise SystemExit(main(run))
