"""The peer of rows 1a and 1b: Telegraf takes the same readings from the same broker into InfluxDB 2.7."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import urllib3
from influxdb_client import InfluxDBClient

from benchmarks.running import (
    PROC,
    RUN_S_MAX,
    WORDS,
    Failed,
    Progress,
    Report,
    broker,
    cpu_s,
    end,
    go,
    line_of,
    load_at,
)
from collector.adapters import mqtt_frames as mqtt
from commands.load import SHAPES, SITE, Shape
from commands.part_servers import InfluxServer, MosquittoServer, start_influxd
from commands.parts import NotHere, ensure
from edge.readings import topic

SAMPLE_S: Final = 0.03
PAUSE_S_MAX: Final = 0.5
READY_S_MAX: Final = 30.0
WRITTEN: Final = re.compile(r"^storage_writer_ok_points_sum\{.*\} (\S+)$", re.MULTILINE)
COUNT: Final = (
    'from(bucket: "steward") |> range(start: 0, stop: 2200-01-01T00:00:00Z)'
    ' |> filter(fn: (r) => r._measurement == "readings") |> count() |> group() |> sum()'
)
CONFIG: Final = """\
[agent]
  interval = "10s"
  flush_interval = "200ms"
  metric_batch_size = {lines}
  metric_buffer_limit = 1000000
  omit_hostname = true
  quiet = true

[[inputs.mqtt_consumer]]
  servers = ["tcp://{host}:{port}"]
  topics = ["steward/v1/+/+/data"]
  topic_tag = ""
  qos = 1
  max_undelivered_messages = {messages}
  username = "collector"
  password = "{word}"
  data_format = "influx"
  influx_parser_type = "upstream"

[[outputs.influxdb_v2]]
  urls = ["{url}"]
  token = "{token}"
  organization = "{org}"
  bucket = "{bucket}"
  content_encoding = "gzip"
  timeout = "30s"
"""
LINES_AT_ONCE: Final = 5_000
MESSAGES_AHEAD: Final = 20_000


@dataclass(frozen=True, slots=True)
class Peer:
    """The programs of the peer's side."""

    mosquitto: Path
    telegraf: Path
    influxd: Path


def peer_with(mosquitto: Path) -> Peer | NotHere:
    """Telegraf and InfluxDB, built once where they can be; else why they are not here."""
    if not (PROC / "self" / "statm").exists():
        return NotHere("telegraf", "its memory and CPU are read from Linux's /proc")
    found = ensure(["telegraf", "influxd"])
    telegraf, influxd = found["telegraf"], found["influxd"]
    if isinstance(telegraf, Path) and isinstance(influxd, Path):
        return Peer(mosquitto, telegraf, influxd)
    reasons = [
        f"{part.part}: {part.reason}" for part in found.values() if isinstance(part, NotHere)
    ]
    return NotHere("telegraf", "; ".join(reasons))


def theirs(peer: Peer, shape: str, readings: int) -> Report:
    """One run; seconds from the first message until Flux counts every reading."""
    with broker(peer.mosquitto) as (server, folder), ExitStack() as stack:
        load = load_at(server, shape, readings, "--payload", "lines", "--pour")
        stack.callback(end, load)
        store = start_influxd(peer.influxd, folder / "influx")
        stack.callback(store.stop)
        _retain_one_line(server)
        telegraf = stack.enter_context(_telegraf(peer.telegraf, folder, server, store))
        watched = _Watched(store, telegraf, folder / "telegraf.log")
        watched.until(1)
        line_of(load)
        return watched.run(load, readings, 1 + lines_of(SHAPES[shape], readings))


def lines_of(shape: Shape, readings: int) -> int:
    """How many lines the load cuts the readings into: one per message and time in it."""
    each = readings // shape.agents
    starts = range(0, each, shape.batch)
    ends = (min(start + shape.batch, each) - 1 for start in starts)
    of_one = sum(
        last // shape.points - first // shape.points + 1
        for first, last in zip(starts, ends, strict=True)
    )
    return shape.agents * of_one


def _retain_one_line(server: MosquittoServer) -> None:
    """It reaches InfluxDB when Telegraf has subscribed."""
    where = topic(SITE, "ready", "data")
    with socket.create_connection((server.host, server.port), READY_S_MAX) as link:
        link.sendall(
            mqtt.connect("ready", keepalive_s=0, user="load", password=WORDS["load"])
            + mqtt.publish(where, b"ready value=1", number=1, retain=True)
        )
        heard = b""
        while all(frame.kind != mqtt.PUBACK for frame in mqtt.cut(heard)[1]):
            heard += link.recv(4096)
        link.sendall(mqtt.DISCONNECT)


@contextmanager
def _telegraf(
    program: Path, folder: Path, server: MosquittoServer, store: InfluxServer
) -> Iterator[subprocess.Popen[bytes]]:
    config = folder / "telegraf.conf"
    text = CONFIG.format(
        host=server.host, port=server.port, word=WORDS["collector"], lines=LINES_AT_ONCE,
        messages=MESSAGES_AHEAD, url=store.url, token=store.token, org=store.org, bucket=store.bucket,
    )  # fmt: skip
    config.write_text(text, encoding="utf-8")
    with (folder / "telegraf.log").open("wb") as log:
        process = subprocess.Popen([str(program), "--config", str(config)], stdout=log, stderr=log)
    try:
        yield process
    finally:
        end(process)


class _Watched:
    """InfluxDB and Telegraf while they work: lines written, CPU seconds and memory of both."""

    def __init__(self, store: InfluxServer, telegraf: subprocess.Popen[bytes], log: Path) -> None:
        self._store, self._telegraf, self._log = store, telegraf, log
        self._pids = (store.running.process.pid, telegraf.pid)
        self._peak_mb = 0.0

    def run(self, load: subprocess.Popen[str], readings: int, lines: int) -> Report:
        """Let the load begin and wait until everything is there."""
        progress, cpu = Progress(readings), cpu_s(self._pids)
        begun = time.monotonic()
        go(load)
        self.until(lines, progress, readings / lines)
        stored = self._count()
        seconds = time.monotonic() - begun
        self._sample()
        if stored != readings:
            raise Failed(f"InfluxDB counts {stored} of {readings} readings; {self._said()}")
        return {
            "seconds": seconds,
            "cpu_s": cpu_s(self._pids) - cpu,
            "stored": stored,
            "rss_mb": self._peak_mb,
        }

    def until(self, lines: int, progress: Progress | None = None, each: float = 0.0) -> None:
        """Wait for lines; asks seldom at first, since asking costs the store some milliseconds."""
        begun = time.monotonic()
        while (written := self._written()) < lines:
            elapsed = time.monotonic() - begun
            if elapsed > RUN_S_MAX or self._telegraf.poll() is not None:
                raise Failed(f"{written} of {lines} lines in InfluxDB; {self._said()}")
            if progress is not None:
                progress.at(written * each)
            rest = (lines - written) * elapsed / max(written, 1)
            self._pause(min(PAUSE_S_MAX, rest / 2))

    def _pause(self, seconds: float) -> None:
        over = time.monotonic() + seconds
        self._sample()
        time.sleep(SAMPLE_S)
        while time.monotonic() < over:
            self._sample()
            time.sleep(SAMPLE_S)

    def _sample(self) -> None:
        self._peak_mb = max(self._peak_mb, _rss_mb(self._pids))

    def _written(self) -> int:
        """Lines that InfluxDB says it has written."""
        said = urllib3.request("GET", f"{self._store.url}/metrics").data.decode()
        found = WRITTEN.search(said)
        return int(float(found[1])) if found else 0

    def _count(self) -> int:
        """Readings that a query finds."""
        store = self._store
        with InfluxDBClient(store.url, store.token, org=store.org, timeout=60_000) as client:
            tables = client.query_api().query(COUNT)
        return int(tables[0].records[0].get_value()) if tables else 0

    def _said(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-5:]
        return "Telegraf said: " + " | ".join(lines)


def _rss_mb(pids: Sequence[int]) -> float:
    pages = sum(int((PROC / str(pid) / "statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
