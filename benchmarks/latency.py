"""Row 10: a reading over its limit until the alarm is in the ledger, under load, beside the broker alone."""

import asyncio
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from benchmarks.load_plant import LIMIT, PROBE, probe_point
from benchmarks.rows import Row, main
from benchmarks.running import WORDS, Failed, broker, end, go, line_of, load_at, started
from collector.adapters import mqtt_frames as mqtt
from commands.load import SITE
from commands.parts import NotHere, ensure
from edge.readings import Birth, Committed, Lane, PointRow, Readings, encode, encode_batch, topic

SHAPE: Final = "natural"
RATE: Final = 500_000
"""Readings a second meanwhile: half of row 1a's floor."""
PROBES: Final = 200
EVERY_S: Final = 0.04
ECHO: Final = "bench/echo"
EPOCH: Final = "PROBE"
ANSWER_S_MAX: Final = 60.0
NOTE: Final = (
    "from publishing to the `committed` that follows the alarm's transaction, two ways through the "
    "broker; the live table has it by then, and the feed to browsers adds its tick of 250 ms at most"
)


class Probe:
    """An agent that raises one alarm per point and listens for what becomes of it."""

    def __init__(self) -> None:
        self._committed = -1
        self._echoed = 0
        self._rest = b""
        self._number = 0
        self._news = asyncio.Event()

    async def connect(self, host: str, port: int) -> None:
        self._reader, self._writer = await asyncio.open_connection(host, port)
        greeting = mqtt.connect(PROBE, keepalive_s=0, user="load", password=WORDS["load"])
        self._writer.write(greeting)
        self._writer.write(mqtt.subscribe(1, [topic(SITE, PROBE, "committed"), ECHO]))
        self._hearing = asyncio.create_task(self._hear())
        rows = [
            PointRow(i, probe_point(i), "°C", "measurement", 2, "event", 1, 60)
            for i in range(PROBES)
        ]
        birth = encode(Birth("1.0", 1, EPOCH, "bench", "", rows))
        self._publish(topic(SITE, PROBE, "birth"), birth, retain=True)
        await self._until(lambda: self._committed >= 0)

    async def event(self, seq: int, index: list[int], value: float) -> float:
        """Seconds until a batch of these points is committed."""
        now, count = time.time_ns() // 1_000_000, len(index)
        columns = Readings(
            np.array(index), np.full(count, now), np.full(count, value), np.zeros(count, np.uint8)
        )
        payload = encode_batch(columns, epoch=EPOCH, seq=seq, oldest=1, now=now)
        begun = time.perf_counter()
        self._publish(topic(SITE, PROBE, "event"), payload)
        await self._until(lambda: self._committed >= seq)
        return time.perf_counter() - begun

    async def echo(self) -> float:
        """Seconds for a message to the broker and back."""
        wanted = self._echoed + 1
        begun = time.perf_counter()
        self._publish(ECHO, b"x" * 100)
        await self._until(lambda: self._echoed >= wanted)
        return time.perf_counter() - begun

    async def close(self) -> None:
        self._writer.write(mqtt.DISCONNECT)
        self._writer.close()
        self._hearing.cancel()
        await asyncio.gather(self._hearing, return_exceptions=True)

    def _publish(self, where: str, payload: bytes, *, retain: bool = False) -> None:
        self._number = self._number % mqtt.ID_MAX + 1
        self._writer.write(mqtt.publish(where, payload, number=self._number, retain=retain))

    async def _until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(ANSWER_S_MAX):
            while not done():
                self._news.clear()
                await self._news.wait()

    async def _hear(self) -> None:
        while piece := await self._reader.read(65536):
            published, _, used = mqtt.cut(self._rest + piece)
            self._rest = (self._rest + piece)[used:]
            self._writer.write(mqtt.acknowledge(published))
            for message in published:
                if message.topic == ECHO:
                    self._echoed += 1
                else:
                    mark = msgspec.json.decode(message.payload, type=Committed)
                    self._committed = max(self._committed, mark.event)
            self._news.set()


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What arrives beside the alarms: so many readings, so many a second (0: as fast as they are committed)."""

    readings: int
    rate: float
    every_s: float = EVERY_S
    """From one alarm to the next."""
    lane: Lane = "data"


async def _probed(
    host: str, port: int, load: subprocess.Popen[str], every_s: float
) -> tuple[list[float], list[float]]:
    """Milliseconds of every alarm while the load lasts, and of every echo, in turn."""
    probe = Probe()
    await probe.connect(host, port)
    await probe.event(1, list(range(PROBES)), LIMIT - 10)
    go(load)
    await asyncio.sleep(min(1.0, 10 * every_s))
    alarms, echoes = [], []
    for n in range(PROBES):
        lasts = load.poll() is None
        echo = 1000 * await probe.echo()
        alarm = 1000 * await probe.event(2 + n, [n], LIMIT + 10)
        if lasts:
            echoes.append(echo)
            alarms.append(alarm)
            await asyncio.sleep(every_s)
    await probe.close()
    return alarms, echoes


def measured(program: Path, meanwhile: Meanwhile) -> tuple[list[float], list[float]]:
    """Alarms and echoes in ms under the load; every alarm is in the ledger at the end."""
    readings = meanwhile.readings
    with broker(program) as (server, folder):
        (folder / "collector").mkdir()
        collector = started(
            "benchmarks.collector", "--folder", str(folder / "collector"), "--shape", SHAPE,
            "--readings", str(readings + 2 * PROBES), "--port", str(server.port),
            "--user", "collector", "--password", WORDS["collector"], "--probes", str(PROBES),
        )  # fmt: skip
        load = load_at(
            server, SHAPE, readings, "--rate", str(meanwhile.rate), "--lane", meanwhile.lane
        )
        try:
            line_of(load)
            alarms, echoes = asyncio.run(_probed(server.host, server.port, load, meanwhile.every_s))
            report = line_of(collector)
        finally:
            end(load, collector)
    if report["alarms"] != PROBES:
        raise Failed(f"{report['alarms']} of {PROBES} alarms are in the ledger")
    return alarms, echoes


def run(small: bool) -> list[Row]:
    """Row 10. Small: the same probes under a load of half the length."""
    program = ensure(["mosquitto"])["mosquitto"]
    if isinstance(program, NotHere):
        return [Row("10 alarm latency", None, "ms", note=f"not run: {program.reason}")]
    seconds = 8 if small else 16
    alarms, echoes = measured(program, Meanwhile(RATE * seconds, RATE))

    def row(name: str, percent: float, target: float) -> Row:
        ours, theirs = np.percentile(alarms, percent), np.percentile(echoes, percent)
        return Row(name, float(ours), "ms", float(theirs), target, "lower", note=NOTE if percent == 50 else "")  # fmt: skip

    return [
        row("10 alarm in the ledger, p50, beside a broker round trip", 50, 10),
        row("10 alarm in the ledger, p99, beside a broker round trip", 99, 40),
        Row("10 alarm in the ledger, p99", float(np.percentile(alarms, 99)), "ms", target=100, better="lower"),
    ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main(run))
