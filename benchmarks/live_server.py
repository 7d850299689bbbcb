"""The server of the measurements of the live view, as a process of its own: the API over a live table that changes; or a bare write loop."""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from api.adapters.desk_sql import SqlDesk
from api.app import build_app
from api.feed import TICK_S, TICKS_PER_BEAT, frame
from api.services import Services
from api.site_views import live_columns
from api.times import text_of
from benchmarks.load_plant import plant_of
from collector.adapters.ledger_sql import SqlAsks, SqlDecisions, open_ledger
from collector.adapters.memory_store import MemoryStore
from collector.groups import Group
from collector.ingest import spare_garbage_collection
from collector.live import LiveTable
from commands.load import SITE, Shape
from commands.migrate import migrate
from commands.part_servers import HOST
from commands.server import BACKLOG, listen, off_the_loop
from commands.serving import share_one_heap, take_short_turns
from commands.web_server import web_server
from config.clock import Clock, ScaledClock
from config.plant import Plant
from config.settings import Settings

AGENTS: Final = 100
STATIC: Final = "snapshot.json"
VALUES: Final = 100_003
"""Drawn beforehand, so that little but the server is measured; after so many they come again."""
GROUPS_PER_TICK: Final = 5
"""Every 50 ms, as journal groups come when many agents speak."""


class Table:
    """A live table of as many points, of which so many read anew with each group."""

    def __init__(self, points: int, changing: int) -> None:
        self.plant: Plant = plant_of(Shape(AGENTS, points // AGENTS, points // AGENTS))
        self.live = LiveTable([self.plant])
        self.clock = ScaledClock()
        self.changing, self._at, self._draw = changing, 0, 0
        rng = np.random.default_rng(1)
        self._values = np.round(20 + rng.normal(size=VALUES + points), 2)
        self.read(points)

    def read(self, count: int) -> None:
        """The next `count` points read anew."""
        row = (self._at + np.arange(count)) % len(self.live)
        self._at = int(row[-1]) + 1
        self._draw = (self._draw + count) % VALUES
        now, value = self.clock.now(), self._values[self._draw : self._draw + count]
        good, none = np.zeros(count, np.uint8), np.zeros(count, np.int64)
        live = np.ones(count, np.bool_)
        self.live.apply(Group(1, now, row, np.full(count, now), value, good, live, none))

    async def run(self) -> None:
        """For ever; the points that change in a second are the same however the loop is late."""
        clock = self.clock
        begun, done = clock.monotonic(), 0
        while self.changing:
            done += 1
            self.read(self.changing)
            await clock.sleep_until(begun + done * TICK_S / GROUPS_PER_TICK)


async def served(table: Table, folder: Path) -> None:
    """The API as the server has it: people and sessions in SQLite, asked in threads."""
    url = f"sqlite:///{folder / 'ledger.sqlite'}"
    migrate(url)
    engine = open_ledger(url)
    static = folder / "static"
    static.mkdir()
    snapshot = live_columns(table.live.snapshot(SITE), table.clock.now())
    (static / STATIC).write_bytes(msgspec.json.encode(snapshot))
    services = Services(
        plants={SITE: table.plant}, live=table.live, decisions=SqlDecisions(engine),
        asks=SqlAsks(engine), desk=SqlDesk(engine), store=MemoryStore(), clock=table.clock,
        offload=off_the_loop, static=static,
    )  # fmt: skip
    token = services.people.make_token("bench", ["viewer"], ["*"], "bench")
    listening = listen(Settings(http_port=0))
    web = web_server(build_app(services))
    print(json.dumps({"port": listening.getsockname()[1], "token": token}), flush=True)
    await asyncio.gather(web.serve([listening]), table.run())


async def bare(table: Table) -> None:
    """Each tick one write per client, of frames made beforehand: those that the API would have for this table.

    The table changes beside it as it does beside the API: what that costs is not the feed's.
    """
    before = table.live.snapshot(SITE).mark
    for _ in range(GROUPS_PER_TICK):
        table.read(table.changing)
    changes = table.live.changes_since(SITE, before)
    now = table.clock.now()
    news = frame(changes.mark, "changes", live_columns(changes, now))
    beat = frame(changes.mark, "beat", {"now": text_of(now)})
    writers: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writers.add(writer)
        with contextlib.suppress(ConnectionError):  # they are gone all at once
            await reader.read()
        writers.discard(writer)

    server = await asyncio.start_server(connected, HOST, 0, backlog=BACKLOG)
    print(json.dumps({"port": server.sockets[0].getsockname()[1], "token": ""}), flush=True)
    await asyncio.gather(_written(table.clock, writers, news, beat), table.run())


async def _written(
    clock: Clock, writers: set[asyncio.StreamWriter], news: bytes, beat: bytes
) -> None:
    begun, tick = clock.monotonic(), 0
    while True:
        tick += 1
        await clock.sleep_until(begun + tick * TICK_S)
        content = news + beat if tick % TICKS_PER_BEAT == 0 else news
        for writer in writers:
            writer.write(content)


def main(argv: list[str] | None = None) -> int:
    """Say where it listens and with which token; until it is killed."""
    parser = argparse.ArgumentParser(prog="benchmarks.live_server")
    parser.add_argument("--points", type=int, required=True)
    parser.add_argument("--changing", type=int, default=0, help="points read anew every 50 ms")
    parser.add_argument("--bare", action="store_true", help="a bare write loop instead of the API")
    options = parser.parse_args(argv)
    table = Table(options.points, options.changing)
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
        share_one_heap()
        take_short_turns()
        spare_garbage_collection()
        asyncio.run(bare(table) if options.bare else served(table, Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
