"""Row 13 as people see it: a chart of a year of one point, asked over HTTP, its buckets compared with those of the readings."""

import http.client
import json
import math
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import uvicorn

from api.adapters.desk_memory import MemoryDesk
from api.app import build_app
from api.services import Services
from benchmarks.rows import Row, main
from benchmarks.running import ROOT, Failed, say
from benchmarks.store import START_MS, YEAR_READINGS, a_year
from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_influx import InfluxStore
from collector.live import LiveTable
from collector.ports import ReadingStore, SeriesKey, StoreBatch
from commands.part_servers import HOST, start_influxd
from commands.parts import NotHere, ensure
from commands.server import Readers
from config.clock import ScaledClock
from config.load import load_plant
from config.plant import Plant
from edge.readings import QUALITIES

SITE: Final = "riverside"
POINT: Final = "a-booster/discharge_pressure"
TARGET_MS: Final = 100.0
RUNS: Final = 50
AT_ONCE: Final = 200_000
DAY_MS: Final = 86_400_000
STARTED_S_MAX: Final = 30.0
NUMBERS: Final = ("min", "max", "mean", "first", "last")
MEAN_OFF_MAX: Final = 1e-12


class Store(ReadingStore, Protocol):
    """One that makes roll-ups of hours that are over."""

    def close_hours(self, before: int) -> int: ...


def with_gaps(batch: StoreBatch) -> StoreBatch:
    """Every 97th reading without a value, and one week of which there is nothing."""
    missing = np.arange(len(batch)) % 97 == 5
    value = np.where(missing, np.nan, batch.value)
    quality = np.where(missing, QUALITIES["no_answer"], 0).astype(np.uint8)
    stays = (batch.time < START_MS + 20 * DAY_MS) | (batch.time >= START_MS + 27 * DAY_MS)
    keys = [SeriesKey(SITE, POINT, "bar", "measurement")]
    return StoreBatch(keys, batch.key[stays], batch.time[stays], value[stays], quality[stays])


def part_of(batch: StoreBatch, which: slice) -> StoreBatch:
    """Some of its readings."""
    key, when = batch.key[which], batch.time[which]
    return StoreBatch(batch.keys, key, when, batch.value[which], batch.quality[which])


def fill(store: Store, batch: StoreBatch) -> None:
    """Write it as time goes by, and close all hours but the last ones: these are read as readings."""
    for at in range(0, len(batch), AT_ONCE):
        piece = part_of(batch, slice(at, at + AT_ONCE))
        store.write([piece], at + len(piece))
        store.close_hours(int(piece.time[-1]))
        say(f"    {at + len(piece)} of {len(batch)} readings are stored")


def by_hand(batch: StoreBatch, width_ms: int) -> dict[str, list[Any]]:
    """Buckets of the readings, one after the other, in the columns of the API; a mean by the exact sum."""
    found: dict[str, list[Any]] = {name: [] for name in ("time", *NUMBERS, "count", "worst")}
    bucket = batch.time // width_ms
    begins = np.flatnonzero(np.append(True, bucket[1:] != bucket[:-1])).tolist()
    for start, end in zip(begins, [*begins[1:], len(bucket)], strict=True):
        values = [value for value in batch.value[start:end].tolist() if not math.isnan(value)]
        numbers: list[float | None] = [None] * len(NUMBERS)
        if values:
            mean = math.fsum(values) / len(values)
            numbers = [min(values), max(values), mean, values[0], values[-1]]
        row = (int(bucket[start]) * width_ms, *numbers, end - start, int(batch.quality[start:end].max()))  # fmt: skip
        for name, number in zip(found, row, strict=True):
            found[name].append(number)
    return found


def differences(answer: dict[str, Any], batch: StoreBatch) -> list[str]:
    """The columns of a chart that are not those of the readings; a mean may differ in its last bits."""
    wanted = by_hand(batch, answer["resolution"])
    mean, exact = (np.array(said["mean"], np.float64) for said in (answer, wanted))  # None is NaN
    found = [name for name in wanted if name != "mean" and answer[name] != wanted[name]]
    near = partial(np.allclose, rtol=MEAN_OFF_MAX, atol=0, equal_nan=True)
    return found if mean.shape == exact.shape and near(mean, exact) else [*found, "mean"]


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who asks the server, on one connection that stays open."""

    connection: http.client.HTTPConnection
    token: str

    def ask(self, path: str) -> dict[str, Any]:
        """The answer's JSON."""
        self.connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise Failed(f"{path} answers {answer.status}: {body[:200]!r}")
        found: dict[str, Any] = json.loads(body)
        return found


@contextmanager
def served(store: ReadingStore, plant: Plant) -> Iterator[Asker]:
    """The API of the server over this store, on a port of its own, its store read beside the loop as there."""
    readers = Readers()
    services = Services(
        plants={plant.site: plant}, live=LiveTable([plant]), decisions=MemoryDecisions(),
        asks=MemoryAsks(), desk=MemoryDesk(), store=store, clock=ScaledClock(), reading=readers,
    )  # fmt: skip
    token = services.people.make_token("bench", ["viewer"], ["*"], "bench")
    listening = socket.create_server((HOST, 0))
    port = listening.getsockname()[1]
    config = uvicorn.Config(build_app(services), log_level="warning", access_log=False)
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, args=([listening],))
    thread.start()
    connection = http.client.HTTPConnection(HOST, port, timeout=STARTED_S_MAX)
    try:
        yield Asker(connection, token)
    finally:
        connection.close()
        web.should_exit = True
        thread.join()
        readers.close()


def charted(store: Store, batch: StoreBatch, plant: Plant, runs: int, name: str) -> Row:
    """Ask for the chart again and again, and compare the answer once."""
    fill(store, batch)
    end = int(batch.time[-1]) + 1
    path = f"/api/v1/sites/{plant.site}/history?point={POINT}&start={START_MS}&end={end}"
    took = []
    with served(store, plant) as asker:
        asker.ask(f"/api/v1/sites/{plant.site}/history/kept")  # the connection is there
        for _ in range(runs):
            begun = time.perf_counter()
            answer = asker.ask(path)
            took.append((time.perf_counter() - begun) * 1000)
    if wrong := differences(answer, batch):
        raise Failed(f"{name}: the chart's {', '.join(wrong)} are not those of the readings")
    told = f"{len(batch)} readings, {len(answer['time'])} buckets of {answer['resolution']} ms equal those of the readings"
    worst = f"first {took[0]:.0f} ms, worst of {runs} {max(took):.0f} ms"
    return Row(f"13 a year of a point through HTTP, {name}", statistics.median(took), "ms", target=TARGET_MS, better="lower", note=f"{told}; {worst}")  # fmt: skip


def with_influx(folder: Path, batch: StoreBatch, plant: Plant, runs: int) -> Row:
    """The same from InfluxDB; where there is none, a row that says why."""
    name = "InfluxDB"
    found = ensure(["influxd"])["influxd"]
    if isinstance(found, NotHere):
        return Row(f"13 a year of a point through HTTP, {name}", None, "ms", note=f"not run: {found.reason}")  # fmt: skip
    with ExitStack() as stack:
        server = start_influxd(found, folder)
        stack.callback(server.stop)
        store = InfluxStore(server.url, server.token, server.org, server.bucket)
        stack.callback(store.close)
        return charted(store, batch, plant, runs, name)


def run(small: bool) -> list[Row]:
    """A year; small: a tenth of it, whose buckets are of minutes."""
    plant = load_plant(ROOT / "config/plants" / SITE)
    batch = with_gaps(a_year(YEAR_READINGS // 10 if small else YEAR_READINGS))
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as name:
        store = DuckDbStore(Path(name) / "ours")
        try:
            rows = [charted(store, batch, plant, RUNS, "DuckDB")]
        finally:
            store.close()
        rows.append(with_influx(Path(name) / "influx", batch, plant, RUNS))
    return [replace(row, target=None) for row in rows] if small else rows


if __name__ == "__main__":
    raise SystemExit(main(run))
