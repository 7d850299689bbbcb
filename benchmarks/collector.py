"""The collector of the measurements, as a process of its own: ingest, journal, alarms and one store."""

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.load_plant import plant_of
from benchmarks.running import Progress
from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.ledger_sql import SqlAsks, SqlDecisions, open_ledger
from collector.adapters.mqtt import Broker, MqttSource
from collector.adapters.store_duckdb import DuckDbStore
from collector.alarming import Alarming
from collector.ingest import Ingest, Judge, spare_garbage_collection
from collector.live import LiveTable, SavedFiles
from collector.ports import StoreBatch
from collector.projecting import Projecting, ProjectingStats, Sink
from commands.load import SHAPES
from commands.migrate import migrate
from commands.serving import share_one_heap, take_short_turns
from config.clock import ScaledClock
from config.plant import Plant


class CountingStore:
    """Counts what it is given: ingest without a store."""

    def __init__(self) -> None:
        self._cursor = self._count = 0

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        self._count += sum(len(batch) for batch in batches)
        self._cursor = cursor

    def cursor(self) -> int:
        return self._cursor

    def count(self) -> int:
        return self._count

    def close(self) -> None: ...


class CountedStore(Sink, Protocol):
    """What a measurement needs of a store."""

    def count(self) -> int: ...

    def close(self) -> None: ...


def store_of(options: argparse.Namespace) -> CountedStore:
    """DuckDB, InfluxDB, or something that only counts."""
    if options.store == "none":
        return CountingStore()
    if options.store == "influx":
        from collector.adapters.store_influx import InfluxStore  # its client would count as memory

        return InfluxStore(options.url, options.token, "steward", "steward")
    return DuckDbStore(Path(options.folder) / "store")


def alarming_of(plant: Plant, live: LiveTable, folder: Path) -> tuple[Alarming, SqlDecisions]:
    """Alarming over a real ledger on SQLite."""
    url = f"sqlite:///{folder / 'ledger.sqlite'}"
    migrate(url)
    engine = open_ledger(url)
    decisions = SqlDecisions(engine)
    alarming = Alarming([plant], live, decisions, SqlAsks(engine))
    alarming.restore()
    return alarming, decisions


async def until(done: Callable[[], bool], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Look every few milliseconds; a task that ends meanwhile has failed."""
    while not done():
        await asyncio.wait(tasks, timeout=0.003, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()


def stored_in(stats: ProjectingStats, wanted: int) -> Callable[[], bool]:
    """Whether the store was given all; says how far it is meanwhile."""
    progress = Progress(wanted)

    def done() -> bool:
        progress.at(stats.stored)
        return stats.stored >= wanted

    return done


async def serve(options: argparse.Namespace) -> Mapping[str, Any]:
    """Take in `options.readings` readings; returns when they are stored, with what it cost."""
    folder = Path(options.folder)
    plant, clock = plant_of(SHAPES[options.shape], options.probes), ScaledClock()
    live, journal = LiveTable([plant]), SqliteJournal(folder / "journal")
    store = store_of(options)
    projecting = Projecting(journal, store, live, asyncio.to_thread, clock)
    source = MqttSource(Broker(options.host, options.port, options.user, options.password), clock)
    alarming, decisions = alarming_of(plant, live, folder)
    judges: list[Judge] = [alarming] if options.alarms == "rules" else []
    ingest = Ingest(
        source, journal, live, judges, [plant], clock, projecting, asyncio.to_thread,
        SavedFiles(folder / "live"),
    )  # fmt: skip
    ingest.restore()
    loops = [ingest.run(), projecting.run(), *([alarming.run(clock)] if judges else [])]
    tasks = [asyncio.create_task(work) for work in loops]
    await until(lambda: ingest.stats.readings > 0, tasks)
    started, cpu = time.monotonic(), time.process_time()
    await until(stored_in(projecting.stats, options.readings), tasks)
    stored = await asyncio.to_thread(store.count)
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    await source.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    journal.close()
    store.close()
    return {
        "seconds": seconds,
        "cpu_s": cpu,
        "stored": stored,
        "groups": ingest.stats.groups,
        "alarms": len(decisions.rows("alarm")),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main(argv: list[str] | None = None) -> int:
    """Say `up` on stdout, then the report."""
    parser = argparse.ArgumentParser(prog="benchmarks.collector")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--readings", type=int, required=True)
    parser.add_argument(
        "--probes", type=int, default=0, help="points of an agent that raises alarms"
    )
    parser.add_argument("--store", choices=("none", "duckdb", "influx"), default="duckdb")
    parser.add_argument("--url", default="", help="of InfluxDB")
    parser.add_argument("--token", default="")
    parser.add_argument("--alarms", choices=("none", "rules"), default="rules")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    options = parser.parse_args(argv)
    spare_garbage_collection()
    share_one_heap()
    take_short_turns()
    print(json.dumps(asyncio.run(serve(options))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
