"""Rows 1a, 1b and 3: readings from broker to store, journal and alarms on, beside what can be had."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.rows import Row, main
from commands.load import READINGS, SHAPES, batches_of
from commands.part_servers import MosquittoServer, start_mosquitto
from commands.parts import NotHere, ensure
from edge.readings import decode_batch

ROOT: Final = Path(__file__).parents[1]
SMALL: Final = 600_000
RUNS: Final = 3
RUN_S_MAX: Final = 300
RIGHTS: Final = "user collector\ntopic readwrite #\nuser load\ntopic readwrite #\n"
WORDS: Final = {"collector": "collector-word", "load": "load-word"}
FLOORS: Final = {"natural": 1_000_000.0, "plc60": 400_000.0}
NAMES: Final = {"natural": "1a natural batches", "plc60": "1b 60-point messages"}


class Failed(Exception):
    """A measurement did not come to its end."""


@contextmanager
def broker(program: Path) -> Iterator[tuple[MosquittoServer, Path]]:
    """A fresh Mosquitto with the shipped configuration, and a folder."""
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as name:
        server = start_mosquitto(program, Path(name), users=WORDS, acl=RIGHTS)
        try:
            yield server, Path(name)
        finally:
            server.stop()


def started(module: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process of ours that talks in lines of JSON."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def line_of(process: subprocess.Popen[str]) -> Mapping[str, Any]:
    """The next line that it says."""
    assert process.stdout is not None  # noqa: S101  # it was started with a pipe
    line = process.stdout.readline()
    if not line:
        raise Failed(f"{process.args!r} ended with {process.wait()}")
    content: Mapping[str, Any] = json.loads(line)
    return content


def load_at(
    server: MosquittoServer, shape: str, readings: int, *more: str
) -> subprocess.Popen[str]:
    """The load generator, waiting for a line before it sends."""
    return started(
        "commands.load", "--shape", shape, "--readings", str(readings), "--port", str(server.port),
        "--user", "load", "--password", WORDS["load"], "--wait", *more,
    )  # fmt: skip


def go(load: subprocess.Popen[str]) -> None:
    """Let the load begin."""
    assert load.stdin is not None  # noqa: S101  # it was started with a pipe
    load.stdin.write("\n")
    load.stdin.flush()


def end(*processes: subprocess.Popen[Any]) -> None:
    """End what still runs of ours."""
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ours(program: Path, shape: str, readings: int) -> Mapping[str, Any]:
    """One run of the real thing; seconds from the first message to the last reading queryable."""
    with broker(program) as (server, folder):
        (folder / "collector").mkdir()
        collector = started(
            "benchmarks.collector", "--folder", str(folder / "collector"), "--shape", shape,
            "--readings", str(readings), "--port", str(server.port),
            "--user", "collector", "--password", WORDS["collector"],
        )  # fmt: skip
        load = load_at(server, shape, readings)
        try:
            line_of(load)
            go(load)
            report = line_of(collector)
        finally:
            end(load, collector)
    if report["stored"] != readings:
        raise Failed(f"{report['stored']} of {readings} readings are stored")
    return report


def draining(program: Path, subscriber: Path, shape: str, readings: int) -> float:
    """Messages a second that `mosquitto_sub` takes from the same broker, doing nothing with them."""
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
            return messages / (time.monotonic() - begun)
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


def measured(program: Path, shape: str, readings: int, runs: int) -> list[Row]:
    """Our rate, memory and CPU, medians of the runs; `mosquitto_sub` beside it in turn."""
    subscriber = ensure(["mosquitto_sub"])["mosquitto_sub"]
    reports, drained = [], []
    for _ in range(runs):
        reports.append(ours(program, shape, readings))
        if isinstance(subscriber, Path):
            drained.append(draining(program, subscriber, shape, readings))

    def median(name: str) -> float:
        return float(statistics.median(report[name] for report in reports))

    rate: float = readings / median("seconds")
    note = "" if isinstance(subscriber, Path) else f"mosquitto_sub not run: {subscriber.reason}"
    messages = rate / SHAPES[shape].batch
    name = NAMES[shape]
    return [
        Row(f"{name}: stored, alarms and journal on", rate, "points/s", target=FLOORS[shape]),
        Row(f"{name}: beside mosquitto_sub", messages, "messages/s",
            reference=statistics.median(drained) if drained else None, note=note),
        Row(f"{name}: memory", median("rss_mb"), "MB", better="lower"),
        Row(f"{name}: CPU of the collector", median("cpu_s") / readings * 1e6, "s per 1 M points",
            reference=bare_cpu_s(SMALL), target=3.0 if shape == "natural" else None, better="lower",
            note="row 3; reference: decode and numpy append alone" if shape == "natural" else ""),
    ]  # fmt: skip


def telegraf() -> Row:
    """The peer of rows 1a and 1b, named as not run where it is not."""
    found = ensure(["telegraf", "influxd"], obtain=False)
    missing = [
        f"{name}: {part.reason}" for name, part in found.items() if isinstance(part, NotHere)
    ]
    return Row("1 Telegraf to InfluxDB", None, "points/s", note="; ".join(missing))


def run(small: bool) -> list[Row]:
    """Rows 1a, 1b and 3. Small: a tenth of the readings, one run each, no target claimed."""
    program = ensure(["mosquitto"])["mosquitto"]
    if isinstance(program, NotHere):
        return [Row("1 ingest", None, "points/s", note=f"not run: {program.reason}")]
    readings, runs = (SMALL, 1) if small else (READINGS, RUNS)
    rows = [row for shape in NAMES for row in measured(program, shape, readings, runs)]
    if small:  # too short to say more than that it works: starting takes most of it
        rows = [replace(row, target=None) for row in rows]
    return [*rows, telegraf()]


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    raise SystemExit(main(run))
