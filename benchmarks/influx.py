"""Rows 4 and 5: columns to line protocol beside the client's `Point` and a bulk template, and the store beside a bare POST."""

import gzip
import http.client
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
from influxdb_client import Point, WritePrecision

from benchmarks.rows import Row, main
from benchmarks.running import Failed, say
from collector.adapters.influx_server import GZIP_LEVEL
from collector.adapters.lineprotocol import LineEncoder
from collector.adapters.store_influx import InfluxStore
from collector.ports import SeriesKey, StoreBatch
from collector.projecting import READINGS_AT_ONCE
from commands.load import SHAPES, SITE, batches_of, point_name
from commands.part_servers import InfluxServer, start_influxd
from commands.parts import NotHere, ensure
from edge.readings import Floats, decode_batch

READINGS: Final = 1_200_000
SMALL: Final = 240_000
RUNS: Final = 5
START_MS: Final = 1_763_700_000_000
SHAPE: Final = SHAPES["natural"]
Tables = list[tuple[int, Floats]]
"""Per agent its rounds, one line each: values of all points, then the time (UTC ms)."""
NAMES: Final = [f"value_{index}" for index in range(SHAPE.points)]


def projected(readings: int) -> list[StoreBatch]:
    """What projecting hands to the store: batches of 100 agents in turn, joined by `READINGS_AT_ONCE`."""
    keys = [
        SeriesKey(SITE, point_name(agent, index), "°C", "measurement")
        for agent in range(SHAPE.agents)
        for index in range(SHAPE.points)
    ]
    each = readings // SHAPE.agents
    payloads = [list(batches_of(agent, SHAPE, each, START_MS)) for agent in range(SHAPE.agents)]
    columns = []
    for turn in range(len(payloads[0])):
        for agent in range(SHAPE.agents):
            batch = decode_batch(payloads[agent][turn])
            columns.append((
                np.array(batch.i, np.int64) + agent * SHAPE.points,
                np.array(batch.d, np.int64) + batch.t,
                np.array(batch.v, np.float64),
                np.array(batch.q, np.uint8),
            ))  # fmt: skip
    key, at, value, quality = (np.concatenate(column) for column in zip(*columns, strict=True))
    pieces = (slice(n, n + READINGS_AT_ONCE) for n in range(0, len(key), READINGS_AT_ONCE))
    return [StoreBatch(keys, key[p], at[p], value[p], quality[p]) for p in pieces]


def bodies_of(batches: list[StoreBatch], encoder: LineEncoder) -> list[bytes]:
    """All of them as our encoder writes them; one that knows the names, as all others here do."""
    return [body for batch in batches for body in encoder.bodies(batch)]


# --- row 4 -----------------------------------------------------------------------------------------


def tables_of(readings: int) -> Tables:
    """The same readings, sorted and laid out already."""
    tables = []
    for agent in range(SHAPE.agents):
        values, times = [], []
        for payload in batches_of(agent, SHAPE, readings // SHAPE.agents, START_MS):
            batch = decode_batch(payload)
            values += batch.v
            times += [batch.t + late for late in batch.d]
        rows = np.array([*values], np.float64).reshape(-1, SHAPE.points)
        starts = np.array(times[:: SHAPE.points], np.float64)
        tables.append((agent, np.column_stack([rows, starts])))
    return tables


def by_template(tables: Tables) -> list[str]:
    """One bulk `%` template per agent."""
    found = []
    for agent, table in tables:
        fields = ",".join(f"{name}=%r" for name in NAMES)
        line = f"readings,asset=rack-{agent},site={SITE} {fields} %d\n"
        found.append(line * len(table) % tuple(table.ravel().tolist()))
    return found


def by_points(tables: Tables) -> list[str]:
    """The client's own object for each line."""
    lines = []
    for agent, table in tables:
        for *values, at in table.tolist():
            point: Any = Point("readings")  # type: ignore[no-untyped-call]  # the client says no types
            point.tag("asset", f"rack-{agent}").tag("site", SITE).time(int(at), WritePrecision.MS)
            for name, value in zip(NAMES, values, strict=True):
                point.field(name, value)
            lines.append(point.to_line_protocol())
    return lines


def alone(lines: str) -> set[tuple[str, str, str]]:
    """Each reading by itself: where two pieces meet, a line may stand in both."""
    parts = (line.split(" ") for line in lines.splitlines())
    return {(head, at, field) for head, fields, at in parts for field in fields.split(",")}


def encoded(readings: int, runs: int) -> list[Row]:
    """Row 4."""
    batches, tables, encoder = projected(readings), tables_of(readings), LineEncoder({})
    if alone(b"".join(bodies_of(batches, encoder)).decode()) != alone("".join(by_template(tables))):
        raise Failed("our lines say something else than those of the template")
    took = alternated(
        "4",
        {
            "ours": partial(bodies_of, batches, encoder),
            "template": partial(by_template, tables),
            "Point": partial(by_points, tables),
        },
        runs,
    )
    rate = readings / took["ours"]
    return [
        Row(f"4 line protocol: beside {name}", rate, "points/s", readings / took[name], target)
        for name, target in (("Point", 10.0), ("template", 0.7))
    ]


# --- row 5 -----------------------------------------------------------------------------------------


def posted(server: InfluxServer, bodies: list[bytes]) -> None:
    """Bodies that are zipped already, one behind the other on one connection."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    path = f"/api/v2/write?org={server.org}&bucket={server.bucket}&precision=ms"
    headers = {"Authorization": f"Token {server.token}", "Content-Encoding": "gzip"}
    for body in bodies:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 204:
            raise Failed(f"InfluxDB answers {answer.status} {content!r}")
    connection.close()


def sunk(readings: int, runs: int) -> list[Row]:
    """Row 5: each run into a server of its own."""
    program = ensure(["influxd"])["influxd"]
    if isinstance(program, NotHere):
        return [Row("5 InfluxDB sink", None, "points/s", note=f"not run: {program.reason}")]
    batches = projected(readings)
    bodies = [gzip.compress(body, GZIP_LEVEL) for body in bodies_of(batches, LineEncoder({}))]

    def through_our_store(server: InfluxServer) -> None:
        store = InfluxStore(server.url, server.token, server.org, server.bucket)
        for number, batch in enumerate(batches, start=1):
            store.write([batch], number)
        store.close()

    sides: Mapping[str, Callable[[InfluxServer], None]] = {
        "ours": through_our_store,
        "bare": partial(posted, bodies=bodies),
    }
    took: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(1, runs + 1):
        for side, work in sides.items():
            with fresh(program) as server:
                took[side].append(timed(partial(work, server)))
                check_count(server, readings)
            say(f"  5: {side}, run {number} of {runs}: {took[side][-1]:.2f} s")
    ours, bare = (readings / statistics.median(took[side]) for side in sides)
    return [Row("5 InfluxDB sink: beside POST of zipped bodies", ours, "points/s", bare, 0.9)]


@contextmanager
def fresh(program: Path) -> Iterator[InfluxServer]:
    """An InfluxDB that nobody has written to."""
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
        server = start_influxd(program, Path(folder))
        try:
            yield server
        finally:
            server.stop()


def check_count(server: InfluxServer, readings: int) -> None:
    """That all came. Raises `Failed`."""
    store = InfluxStore(server.url, server.token, server.org, server.bucket)
    counted = store.count()
    store.close()
    if counted != readings:
        raise Failed(f"InfluxDB counts {counted} of {readings} readings")


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def alternated(name: str, sides: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Seconds of each, median of runs in turn."""
    took: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(1, runs + 1):
        for side, work in sides.items():
            took[side].append(timed(work))
            say(f"  {name}: {side}, run {number} of {runs}: {took[side][-1]:.2f} s")
    return {side: statistics.median(each) for side, each in took.items()}


def run(small: bool) -> list[Row]:
    """Rows 4 and 5. Small: a fifth of the readings, one run each, no target claimed."""
    readings, runs = (SMALL, 1) if small else (READINGS, RUNS)
    rows = [*encoded(readings, runs), *sunk(readings, runs)]
    return [replace(row, target=None) for row in rows] if small else rows


if __name__ == "__main__":
    raise SystemExit(main(run))
