"""`steward server PLANT…`: collector and API in one process, over journal, store and ledger in the data folder."""

import argparse
import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from api.adapters.desk_sql import SqlDesk
from api.app import build_app
from api.following import Following
from api.services import Health, Services
from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.ledger_sql import SqlAsks, SqlDecisions, open_ledger
from collector.adapters.mqtt import Broker, MqttSource
from collector.adapters.store_duckdb import DuckDbStore
from collector.alarming import Alarming
from collector.deriving import Deriving
from collector.holding import hold
from collector.ingest import Ingest, IngestStats, spare_garbage_collection
from collector.live import LiveTable, SavedFiles
from collector.owning import OwnedAsks, claim, look_at_lease
from collector.planning import Planning
from collector.ports import Asks, Decisions, Leases, ReadingStore, Unavailable
from collector.projecting import Projecting
from collector.requesting import Requesting
from collector.selfwatch import SelfWatch
from collector.trending import Trending
from commands.access import (
    SERVER,
    authorities,
    owner_token_file,
    password,
    private_folder,
    told_in,
    write_secret,
)
from commands.deadman import Deadman
from commands.delivering import delivery_report, delivery_since
from commands.doctor import journal_trouble
from commands.figures import Gauges
from commands.housekeeping import Housekeeping, bucket_retention_s, kept_days, warn_of_retention
from commands.journals import AnyJournal, open_journal, open_leases, shared_name
from commands.migrate import migrate
from commands.one_server import held
from commands.serving import (
    RUN_HEADER,
    allow_files,
    parent,
    plant_of,
    run_id,
    run_until_asked,
    share_one_heap,
    start_logging,
    take_short_turns,
)
from commands.side_loops import SideLoops
from commands.standing_by import answering
from commands.web_server import web_server
from config.clock import Clock
from config.plant import Plant
from config.settings import Settings, SettingsError, read_settings

T = TypeVar("T")
EXAMPLE = "server config/plants/riverside"
STALE_STATE_MS = 30_000
PROVEN_MS = 240_000
"""A heartbeat every minute, looked for every minute, and one of each late."""
VITAL = ("broker", "journal", "ledger", "store", "end_to_end")
"""What must work for the dead man's ping; one agent or device that is silent is an alarm, no end of the watch."""
QUARANTINE_BYTES_SHOWN = 200
LOOP_WAITS_S_MAX = 0.2
"""What runs in the loop waits for another writer of the ledger no longer, and tries again."""
FIRST_START_LINK = "first-start-link"
BACKLOG = 2048
FILES = 4096
"""Descriptors: for everybody who may listen to a site or two, and what the stores hold open."""
READERS = 4
"""Threads that read the store: however long charts take, the journal does not wait for one of theirs."""
log = logging.getLogger("steward.server")


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("plant", nargs="+", help="folders of the plants")


def run(arguments: argparse.Namespace) -> int:
    """Until asked to end."""
    settings = read_settings()
    start_logging(settings.log_level)
    plants = [plant_of(folder, settings) for folder in arguments.plant]
    spare_garbage_collection()
    share_one_heap()
    take_short_turns()
    allow_files(FILES)
    return run_until_asked(serve(plants, settings))


async def off_the_loop(work: Callable[[], T]) -> T:
    """Blocking work in a thread."""
    return await asyncio.to_thread(work)


@dataclass(frozen=True, slots=True)
class Readers:
    """Blocking work in a few threads of its own."""

    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READERS))

    async def __call__(self, work: Callable[[], T]) -> T:
        """What it returns or raises."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    def close(self) -> None:
        """Begin nothing more; what runs ends by itself, or when the store is closed."""
        self.pool.shutdown(wait=False, cancel_futures=True)


def ledger_url(settings: Settings) -> str:
    """Where the ledger is: as set, else SQLite in the data folder."""
    return settings.ledger or f"sqlite:///{settings.data / 'ledger.db'}"


def open_store(settings: Settings, journal: str = "") -> ReadingStore:
    """The store that the settings name; `journal` is the name of the one whose cursor it keeps."""
    if settings.store == "duckdb":
        return DuckDbStore(settings.data / "store")
    token = _influx_token(settings)
    from collector.adapters.store_influx import (
        InfluxStore,
    )  # a fifth of a second that only its users wait

    return InfluxStore(
        settings.influx_url, token, settings.influx_org, settings.influx_bucket,
        ca_file=authorities("STEWARD_INFLUX_CA_FILE", settings.influx_ca_file),
        journal=journal, retention_s=bucket_retention_s(kept_days(settings)),
    )  # fmt: skip


def _influx_token(settings: Settings) -> str:
    if not settings.influx_token_file:
        raise SettingsError("STEWARD_INFLUX_TOKEN_FILE is missing: the file that holds InfluxDB's token")  # fmt: skip
    return told_in("STEWARD_INFLUX_TOKEN_FILE", settings.influx_token_file)


def look_at_files(settings: Settings) -> None:
    """Read what `build` will read of a server that shares its plants. Raises `SettingsError`, while nobody relies on it yet."""
    password(SERVER, settings)
    _influx_token(settings)
    authorities("STEWARD_BROKER_CA_FILE", settings.broker_ca_file)
    authorities("STEWARD_INFLUX_CA_FILE", settings.influx_ca_file)


@dataclass(slots=True)
class Server:
    """Everything that one server process runs."""

    plants: Sequence[Plant]
    settings: Settings
    clock: Clock
    journal: AnyJournal
    store: ReadingStore
    ledger: SqlDecisions
    decisions: Decisions
    asks: SqlAsks
    desk: SqlDesk
    live: LiveTable
    alarming: Alarming
    projecting: Projecting
    ingest: Ingest
    planning: Planning
    trending: Trending
    source: MqttSource
    services: Services
    housekeeping: Housekeeping
    readers: Readers
    watch: SelfWatch
    deriving: Deriving
    deadman: Deadman = field(init=False)
    side: SideLoops = field(init=False)

    def __post_init__(self) -> None:
        self.side = SideLoops(self.clock)
        self.deadman = Deadman(
            self.settings.deadman_url, lambda: _not_well(self), self.clock, off_the_loop
        )

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What runs for as long as the process. One that ends ends the server, but for those on the side."""
        by_site = {plant.site: plant for plant in self.plants}
        following = Following(
            by_site, self.decisions, self.live, self.desk, self.clock,
            asks=self.asks, ordering=self.services.ordering, proving=self.services.proving,
        )  # fmt: skip
        return [
            self.ingest.run(), self.alarming.run(self.clock), self.projecting.run(),
            self.planning.run(self.clock), following.run(off_the_loop), self._keep_house(),
            self._ping(),
            self.side.run("trends", lambda: self.trending.run(self.clock)),
            self.side.run("self-watch", self.watch.run), self.side.run("deriving", self.deriving.run),
        ]  # fmt: skip

    async def _ping(self) -> None:
        """As long as the process, whether or not anybody outside listens: a loop that ends ends the server."""
        await self.deadman.run()
        await asyncio.Event().wait()

    async def _keep_house(self) -> None:
        """Once an hour: closed hours become sorted files, and what is older than its retention goes."""
        while True:
            await off_the_loop(partial(self.housekeeping.tidy, self.clock.now()))
            await self.clock.sleep_until(self.clock.monotonic() + self.housekeeping.pause_s)


def build(plants: Sequence[Plant], settings: Settings, leases: Leases | None = None) -> Server:
    """Open everything and bring it to where it stood; raises what says who must do what.

    With `leases` for as long as they hold the plants: what is decided then is the one's that claimed it last.
    """
    with ExitStack() as opened:
        server = _build(plants, settings, leases, opened)
        opened.pop_all()
    _tell(server)
    return server


def _build(
    plants: Sequence[Plant], settings: Settings, leases: Leases | None, opened: ExitStack
) -> Server:
    """What is open is given to `opened`, for the case that not everything can be."""
    clock = settings.clock()
    url = ledger_url(settings)
    migrate(url)
    in_the_loop, in_threads = open_ledger(url, wait_s=LOOP_WAITS_S_MAX), open_ledger(url)
    ledger = SqlDecisions(in_the_loop)
    desk, wishes = SqlDesk(in_threads), SqlAsks(in_threads)
    opened.callback(wishes.close)
    opened.callback(ledger.close)
    if leases is not None:  # who opens the journal takes it away from who has it
        look_at_lease(partial(leases.holds, shared_name(plants)))
    journal, journal_name = open_journal(plants, settings)
    opened.callback(journal.close)
    decisions, asks = _owned(ledger, SqlAsks(in_the_loop), journal, leases, shared_name(plants))
    store = open_store(settings, journal_name)
    opened.callback(store.close)
    warn_of_retention(settings)
    live = LiveTable(plants)
    alarming = Alarming(plants, live, decisions, asks)
    projecting = Projecting(journal, store, live, off_the_loop, clock)
    ca_file = authorities("STEWARD_BROKER_CA_FILE", settings.broker_ca_file)
    secret = password(SERVER, settings)
    client = f"collector-{settings.collector}" if settings.collector else "collector"
    broker = Broker(settings.broker_host, settings.broker_port, SERVER, secret, client, ca_file=ca_file)  # fmt: skip
    source = MqttSource(broker, clock)
    ingest = Ingest(
        source, journal, live, [alarming], plants, clock, projecting=projecting,
        offload=off_the_loop,
        saved=SavedFiles(settings.data / "live.bin") if isinstance(journal, SqliteJournal) else journal,
    )  # fmt: skip
    readers = Readers()
    planning = Planning(plants, decisions, asks, store, readers)
    trending = Trending(plants, decisions, asks, store, readers)
    services = Services(
        plants={plant.site: plant for plant in plants}, live=live, decisions=decisions, asks=wishes,
        desk=desk, store=store, clock=clock, offload=off_the_loop, reading=readers,
    )  # fmt: skip
    return Server(
        plants, settings, clock, journal, store, ledger, decisions, wishes, desk, live, alarming,
        projecting, ingest, planning, trending, source, services, Housekeeping(store, kept_days(settings)), readers,
        SelfWatch(plants, live, journal, store, clock, readers),
        Deriving(plants, journal, store, clock, readers),
    )  # fmt: skip


def _owned(
    decisions: Decisions, asks: Asks, journal: AnyJournal, leases: Leases | None, name: str
) -> tuple[Decisions, Asks]:
    """Decisions and asks, of whoever claims them last where servers share their plants."""
    if leases is None or isinstance(journal, SqliteJournal):
        return decisions, asks
    ours = claim(decisions, name, journal.prove, partial(leases.holds, name))
    return ours, OwnedAsks(asks, ours)


def _tell(server: Server) -> None:
    """Give the API what only the collector knows."""
    services = server.services
    services.health = lambda: _health(server)
    gauges = Gauges(
        server.source, server.ingest, server.journal, server.projecting, server.store,
        server.watch, server.deadman, server.clock, server.side, server.settings.data,
    )  # fmt: skip
    services.figures = gauges.figures
    server.watch.says, server.watch.put = gauges.said, server.source.put
    server.deriving.put, services.derive_again = server.source.put, server.deriving.again
    services.agents = lambda site: _agents(server, site)
    services.quarantine = lambda site: _quarantine(server, site)
    services.delivery = lambda: delivery_report(
        server.journal, server.store, lambda: server.projecting.position
    )
    services.delivery_since = lambda position: delivery_since(server.journal, position)
    services.complete_until = server.deriving.complete_until = lambda: _complete_until(server)
    services.ask_agent = _requesting(server).ask


def _requesting(server: Server) -> Requesting:
    """Asks the agents through the connection by which their batches come."""
    source, ingest = server.source, server.ingest
    requesting = Requesting(
        source.commit, ingest.receiving.agents, server.clock,
        connected=lambda: source.connected, journal_ok=lambda: ingest.stats.journal_ok,
        pace=server.settings.clock_factor,
    )  # fmt: skip
    ingest.replied = requesting.replied
    return requesting


def _health(server: Server) -> Mapping[str, Health]:
    stats, projecting = server.ingest.stats, server.projecting
    silent = [name for name in _expected(server) if not _is_heard(server, name)]
    return {
        "broker": Health(server.source.connected, "" if server.source.connected else "no connection to the broker"),
        "journal": journal_health(stats, server.settings.data / "journal"),
        "ledger": Health(stats.judges_ok, ""),
        "store": Health(projecting.stats.ok, projecting.stats.detail or f"{projecting.lag} entries behind"),
        "housekeeping": Health(not server.housekeeping.troubles, server.housekeeping.said()),
        "agents": Health(not silent, "not heard: " + ", ".join(f"{site}/{agent}" for site, agent in silent) if silent else ""),
        "scoring": Health(not server.ingest.scoring.aside, _listed(server.ingest.scoring.aside), needed=False),
        "side_loops": Health(not server.side.troubles(), _listed(server.side.troubles()), needed=False),
        "end_to_end": Health(server.watch.is_proven(PROVEN_MS), _through(server), needed=False),
        **_ping_health(server.deadman),
    }  # fmt: skip


def _listed(troubles: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {said}" for name, said in troubles.items())


def journal_health(stats: IngestStats, folder: Path) -> Health:
    """A damaged file is somebody's work, and no reason to send people or readings away."""
    trouble = journal_trouble(folder)
    return Health(stats.journal_ok and not trouble, stats.detail or trouble, needed=not stats.journal_ok)  # fmt: skip


def _through(server: Server) -> str:
    age = server.watch.age_ms()
    if age is None:
        return "no synthetic reading has come through yet"
    return f"the newest synthetic reading that came through edge, broker, journal, live table and store was made {age / 1000:.0f} s ago"


def _ping_health(deadman: Deadman) -> dict[str, Health]:
    if not deadman.url:
        return {}
    said = f"the ping {deadman.trouble}" if deadman.trouble else f"{deadman.sent} pings sent"
    return {"deadman": Health(not deadman.trouble, said, needed=False)}


def _not_well(server: Server) -> str:
    """What vital does not work, empty when all does."""
    stats = server.ingest.stats
    health = {**_health(server), "journal": Health(stats.journal_ok, stats.detail)}
    return "; ".join(f"{name}: {health[name].detail or 'does not work'}" for name in VITAL if not health[name].ok)  # fmt: skip


def _expected(server: Server) -> list[tuple[str, str]]:
    return [(plant.site, agent) for plant in server.plants for agent in plant.agents]


def _is_heard(server: Server, name: tuple[str, str]) -> bool:
    seen = server.ingest.receiving.agents().get(name)
    return bool(seen and seen.heard and server.clock.now() - seen.heard < STALE_STATE_MS)


def _agents(server: Server, site: str) -> list[dict[str, Any]]:
    plant = next(plant for plant in server.plants if plant.site == site)
    known = server.ingest.receiving.agents()
    marks = server.journal.marks()
    rows = []
    for agent in plant.agents:
        seen = known.get((site, agent))
        epoch = seen.epoch if seen else ""
        rows.append(
            {
                "agent": agent,
                "state": seen.state if seen and seen.state else "unknown",
                "connection": seen.connection if seen else 0,
                "last_state_at": seen.heard if seen else 0,
                "clock_error_ms": seen.clock_error if seen else 0,
                "backlog": seen.backlog if seen else 0,
                "lanes": {
                    lane: marks.get((site, agent, epoch, lane), 0)
                    for lane in ("event", "data", "backfill")
                },
            }
        )
    return rows


def _quarantine(server: Server, site: str) -> Mapping[str, Any]:
    """What was set aside: counts of all, the newest since the start with their reasons, newest first."""
    counts = [c for key, c in server.journal.counts().items() if key[0] == site]
    readings, batches = sum(c.aside for c in counts), sum(c.aside_batches for c in counts)
    items = [
        {
            "received_at": entry.received, "agent": entry.agent, "lane": entry.lane, "sequence": entry.seq,
            "readings": entry.readings, "reason": entry.reason, "bytes": len(entry.payload),
            "begins": entry.payload[:QUARANTINE_BYTES_SHOWN].decode("utf-8", "replace"),
        }
        for entry in reversed(tuple(server.ingest.quarantine)) if entry.site == site
    ]  # fmt: skip
    refused = [one._asdict() for one in reversed(getattr(server.store, "quarantine", ())) if one.site == site]  # fmt: skip
    return {
        "items": items, "count": readings + batches, "readings": readings, "batches": batches,
        "refused_by_store": refused,
    }  # fmt: skip


def _complete_until(server: Server) -> int:
    """Until when history holds everything that was received, UTC ms."""
    if not server.projecting.is_behind:
        return server.clock.now()
    entries = server.journal.read_from(server.projecting.position, 1)
    return entries[0][1].received if entries else server.clock.now()


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Restore, then run every loop until the block is left; yields them: none should ever end."""
    tasks: list[asyncio.Task[None]] = []
    try:
        server.alarming.restore()
        server.ingest.restore()
        tasks += [asyncio.create_task(loop) for loop in server.loops()]
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.source.close()
        if tasks:  # a table that was restored by half is none to keep
            await server.ingest.save()
        server.journal.close()
        server.readers.close()
        server.store.close()
        server.ledger.close()
        server.asks.close()


def kept_first_start_link(settings: Settings) -> str:
    """The path of the link that was given last, "" without one: people have its address on their screen."""
    try:
        address = (settings.data / FIRST_START_LINK).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    return f"/setup{address.strip().rpartition('/setup')[2]}"


def keep_first_start_link(link: str | None, settings: Settings) -> None:
    """Write it where its owner alone reads it, or take an old one away once somebody exists.

    It is also printed, unless a parent watches over this process: then what is printed is a log.
    """
    path = settings.data / FIRST_START_LINK
    if link is None:
        path.unlink(missing_ok=True)
        return
    address = f"{settings.address}{link}"
    write_secret(path, address)
    if not parent():
        print(f"first start: make the first administrator at {address}", file=sys.stderr, flush=True)  # fmt: skip


def listen(settings: Settings) -> socket.socket:
    """The socket on which people and commands are answered. Raises `Unavailable`."""
    where = (settings.http_host, settings.http_port)
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    try:
        listening = socket.create_server(where, family=family, backlog=BACKLOG)
    except OSError as error:
        raise Unavailable(f"nobody can be answered at {where[0]}:{where[1]} ({error}): end what listens there, or set STEWARD_HTTP_PORT") from error  # fmt: skip
    # asyncio does this only for sockets that name their protocol: else an answer's body waits 40 ms for its head's receipt
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


async def serve(plants: Sequence[Plant], settings: Settings) -> None:
    """Run collector and API until cancelled. Raises `Unavailable` when the data folder or the port is taken."""
    private_folder(settings.data)
    with held(settings.data), listen(settings) as listening:
        if settings.journal == "nats":
            await _share(plants, settings, listening)
        else:
            await _serve(plants, settings, listening)


async def _share(plants: Sequence[Plant], settings: Settings, listening: socket.socket) -> None:
    """Serve while the plants' lease is ours, and tell people in between that another one does."""
    look_at_files(settings)
    name = shared_name(plants)
    leases = open_leases(settings)

    async def work() -> None:
        with listening.dup() as ours:
            await _serve(plants, settings, ours, leases)

    try:
        waiting = partial(answering, listening, settings.collector, partial(leases.found, name))
        await hold(leases, name, work, waiting)
    finally:
        await leases.close()


async def _serve(
    plants: Sequence[Plant],
    settings: Settings,
    listening: socket.socket,
    leases: Leases | None = None,
) -> None:
    server = build(plants, settings, leases)
    web = web_server(
        build_app(server.services), host=settings.http_host, port=settings.http_port,
        headers=[(RUN_HEADER, run_id())] if run_id() else [],
    )  # fmt: skip
    async with running(server) as loops:
        kept = kept_first_start_link(settings)
        keep_first_start_link(server.services.first_start_link(kept), settings)
        owner_token_file(settings, server.services)
        serving = asyncio.create_task(web._serve([listening]))  # noqa: SLF001  # `serve` would take the signals
        try:
            done, _ = await asyncio.wait({serving, *loops}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            web.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
