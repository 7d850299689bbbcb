"""Rows 1a, 1b, 2 and 3: readings from broker to store, journal and alarms on, beside Telegraf to InfluxDB."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.rows import Row, main
from benchmarks.running import (
    RUN_S_MAX,
    WORDS,
    Failed,
    Report,
    broker,
    end,
    go,
    line_of,
    load_at,
    say,
    started,
)
from benchmarks.telegraf import Peer, peer_with, theirs
from commands.load import READINGS, SHAPES, batches_of
from commands.part_servers import start_influxd
from commands.parts import NotHere, ensure
from edge.readings import decode_batch

SMALL: Final = 600_000
RUNS: Final = 3
FLOORS: Final = {"natural": 1_000_000.0, "plc60": 400_000.0, "meter3": 50_000.0}
TIMES_TELEGRAF: Final = {"natural": 3.0, "plc60": 2.0, "meter3": 0.5}
MEMORY: Final = {"natural": 0.5, "plc60": 0.5}
"""Of Telegraf's and InfluxDB's; the design asks nothing of it for row 2."""
NAMES: Final = {
    "natural": "1a natural batches",
    "plc60": "1b 60-point messages",
    "meter3": "2 3-point batches of 1 000 topics",
}
MEASURED: Final = {"natural": READINGS, "plc60": READINGS, "meter3": 900_000}
"""Readings: of the smallest messages fewer, since a broker takes as long for a small one."""
OURS, OURS_INFLUX, TELEGRAF, DRAIN = "ours", "ours into InfluxDB", "Telegraf", "mosquitto_sub"


def ours(program: Path, shape: str, readings: int, influxd: Path | None = None) -> Report:
    """One run of the real thing; seconds from the first message to the last reading queryable."""
    with broker(program) as (server, folder):
        (folder / "collector").mkdir()
        store = start_influxd(influxd, folder / "influx") if influxd else None
        into = ["--store", "influx", "--url", store.url, "--token", store.token] if store else []
        collector = started(
            "benchmarks.collector", "--folder", str(folder / "collector"), "--shape", shape,
            "--readings", str(readings), "--port", str(server.port),
            "--user", "collector", "--password", WORDS["collector"], *into,
        )  # fmt: skip
        load = load_at(server, shape, readings)
        try:
            line_of(load)
            go(load)
            report = line_of(collector)
        finally:
            end(load, collector)
            if store:
                store.stop()
    if report["stored"] != readings:
        raise Failed(f"{report['stored']} of {readings} readings are stored")
    return report


def draining(program: Path, subscriber: Path, shape: str, readings: int) -> Report:
    """Seconds that `mosquitto_sub` needs to take all from the same broker, doing nothing with it."""
    messages = readings // SHAPES[shape].batch
    with broker(program) as (server, _):
        sub = subprocess.Popen(
            [str(subscriber), "-h", server.host, "-p", str(server.port), "-u", "collector",
             "-P", WORDS["collector"], "-t", "steward/v1/+/+/data", "-q", "1", "-C", str(messages)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        load = load_at(server, shape, readings, "--pour")
        try:
            line_of(load)
            begun = time.monotonic()
            go(load)
            sub.wait(RUN_S_MAX)
            return {"seconds": time.monotonic() - begun}
        finally:
            end(load, sub)


def bare_cpu_s(readings: int) -> float:
    """CPU seconds per million readings of decoding natural batches and appending them to arrays."""
    shape = SHAPES["natural"]
    payloads = list(batches_of(0, shape, readings, 1_763_700_000_000))
    columns: list[list[Any]] = [[], [], [], []]
    begun = time.process_time()
    for payload in payloads:
        batch = decode_batch(payload)
        columns[0].append(np.array(batch.i, np.int64))
        columns[1].append(np.array(batch.d, np.int64) + batch.t)
        columns[2].append(np.array(batch.v, np.float64))
        columns[3].append(np.array(batch.q, np.uint8))
    for column in columns:
        np.concatenate(column)
    return (time.process_time() - begun) / readings * 1e6


def alternated(
    name: str, sides: Mapping[str, Callable[[], Report]], runs: int
) -> Mapping[str, Report]:
    """Medians of every side's figures; the sides run in turn."""
    reports: dict[str, list[Report]] = {side: [] for side in sides}
    for number in range(1, runs + 1):
        for side, run_once in sides.items():
            say(f"  {name}: {side}, run {number} of {runs}")
            reports[side].append(run_once())
            say(f"    {reports[side][-1]['seconds']:.1f} s")
    return {
        side: {key: float(statistics.median(report[key] for report in found)) for key in found[0]}
        for side, found in reports.items()
    }


def measured(
    program: Path, shape: str, readings: int, runs: int, peer: Peer | NotHere
) -> list[Row]:
    """Everything of one shape; what is not here is named in its row."""
    subscriber = ensure(["mosquitto_sub"])["mosquitto_sub"]
    asked = (shape, readings)
    sides: dict[str, Callable[[], Report]] = {OURS: partial(ours, program, *asked)}
    if isinstance(peer, Peer):
        sides[TELEGRAF] = partial(theirs, peer, *asked)
        if shape == "natural":
            sides[OURS_INFLUX] = partial(ours, program, *asked, peer.influxd)
    if isinstance(subscriber, Path):
        sides[DRAIN] = partial(draining, program, subscriber, *asked)
    found = alternated(NAMES[shape], sides, runs)
    missing = {DRAIN: subscriber, TELEGRAF: peer}
    notes = {
        side: f"{side} not run: {part.reason}"
        for side, part in missing.items()
        if isinstance(part, NotHere)
    }
    return rows_of(shape, readings, found, notes)


def rows_of(
    shape: str, readings: int, found: Mapping[str, Report], notes: Mapping[str, str]
) -> list[Row]:
    """The rows of one shape: each target, the floor's and the peer's, in a row of its own."""
    name, natural = NAMES[shape], shape == "natural"
    rate, batch = readings / found[OURS]["seconds"], SHAPES[shape].batch
    theirs_rate, drained = (
        readings / found[side]["seconds"] if side in found else None for side in (TELEGRAF, DRAIN)
    )
    peer: Report = found.get(TELEGRAF, {})
    note = notes.get(TELEGRAF, "")

    def cpu(side: str) -> float | None:
        return found[side]["cpu_s"] / readings * 1e6 if side in found else None

    rows = [
        Row(f"{name}: stored, alarms and journal on", rate, "points/s", target=FLOORS[shape]),
        beside(Row(f"{name}: beside Telegraf to InfluxDB", rate, "points/s", theirs_rate,
                   TIMES_TELEGRAF[shape], note=note)),
        beside(Row(f"{name}: memory, beside Telegraf and InfluxDB", found[OURS]["rss_mb"], "MB",
                   peer.get("rss_mb"), MEMORY.get(shape), "lower", note)),
        beside(Row(f"{name}: CPU, beside Telegraf and InfluxDB", cpu(OURS), "s per 1 M points",
                   cpu(TELEGRAF), better="lower", note=note)),
        beside(Row(f"{name}: beside mosquitto_sub", rate / batch, "messages/s",
                   drained and drained / batch, note=notes.get(DRAIN, ""))),
    ]  # fmt: skip
    if natural:
        into = readings / found[OURS_INFLUX]["seconds"] if OURS_INFLUX in found else None
        rows += [
            beside(Row(f"{name}: InfluxDB as our store too, beside Telegraf", into, "points/s",
                       theirs_rate, 1.0, note=note)),
            Row("3 CPU of the collector, beside decode and numpy append alone", cpu(OURS),
                "s per 1 M points", bare_cpu_s(SMALL), 3.0, "lower"),
        ]  # fmt: skip
    return rows


def beside(row: Row) -> Row:
    """A row whose target is of the ratio: without a reference there is nothing to meet."""
    return row if row.reference is not None else replace(row, target=None)


def others_work() -> str:
    """What else the machine does before anything of ours runs, when that is much."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load < cores / 2:
        return ""
    return f"other work ran meanwhile: load average {load:.1f} on {cores} cores at the beginning"


def run(small: bool) -> list[Row]:
    """Rows 1a, 1b, 2 and 3. Small: a tenth of the readings, one run each, no target claimed."""
    program = ensure(["mosquitto"])["mosquitto"]
    if isinstance(program, NotHere):
        return [Row("1 ingest", None, "points/s", note=f"not run: {program.reason}")]
    peer = peer_with(program)
    busy = others_work()
    part, runs = (10, 1) if small else (1, RUNS)
    rows = [
        row
        for shape, readings in MEASURED.items()
        for row in measured(program, shape, readings // part, runs, peer)
    ]
    if small:  # too short to say more than that it works: starting takes most of it
        rows = [replace(row, target=None) for row in rows]
    return [replace(rows[0], note=busy), *rows[1:]]


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    raise SystemExit(main(run))
