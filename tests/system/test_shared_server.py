"""Two servers of the same plants over real NATS, InfluxDB and PostgreSQL: one serves, the other stands by and takes over."""

import asyncio
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from collector.adapters.journal_nats import NatsJournal
from collector.adapters.leases_nats import NatsLeases
from collector.adapters.memory_leases import Board, MemoryLeases
from collector.ports import Unavailable
from commands.access import private_folder
from commands.journals import nats_at, shared_name
from commands.part_servers import InfluxServer, NatsServer, PostgresServer, free_port
from commands.server import build, serve
from config.settings import Settings, SettingsError, environment_with
from tests.system.test_shared_site import PLANT, has_each_once, speaking
from tests.waiting import until

pytestmark = pytest.mark.system

HERE = Path(__file__).parents[2]
TAKE_OVER_S_MAX = 30.0
"""On a machine that does much else; `docs/decisions/120-nats.md` says how long it takes."""


class Answers:
    """Somebody at an address, and what is answered there."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def answer(self, path: str = "/api/v1/sites") -> tuple[int, str]:
        with suppress(httpx.TransportError):
            async with httpx.AsyncClient(base_url=self.settings.address, timeout=5) as client:
                reply = await client.get(path)
                return reply.status_code, reply.text
        return 0, ""

    async def until(self, is_so: Callable[[int, str], bool]) -> str:
        """Ask until it answers so; what it says then."""
        async with asyncio.timeout(TAKE_OVER_S_MAX):
            while True:
                status, said = await self.answer()
                if is_so(status, said):
                    return said
                await asyncio.sleep(0.1)


class One(Answers):
    """A server in this process."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.serving = asyncio.create_task(serve([PLANT], settings))

    async def ends(self) -> None:
        self.serving.cancel()
        await asyncio.gather(self.serving, return_exceptions=True)


class Process(Answers):
    """A server in a process of its own, with what it said in a file."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        told = {f.name: getattr(settings, f.name) for f in fields(settings)}
        variables = {f"STEWARD_{n.upper()}": str(v) for n, v in told.items() if v not in ("", 0)}
        settings.data.mkdir()
        self.said = settings.data / "said"
        with self.said.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "steward.py"), "server", str(HERE / "config/plants/riverside")],
                env=environment_with(**variables), stdout=out, stderr=out, cwd=HERE,
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ends(self) -> None:
        self._process.kill()
        await asyncio.to_thread(self._process.wait)


Starts = Callable[[str], One]


def make_database(postgres: PostgresServer, name: str) -> None:
    engine = sa.create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()


@pytest.fixture
def settings_of(
    nats: NatsServer, influxd: InfluxServer, postgres: PostgresServer, tmp_path: Path
) -> Callable[[str], Settings]:
    """What a server of that name is told; all share what is to be shared."""
    ledger, words = f"ledger_{secrets.token_hex(6)}", {"token": influxd.token, "word": nats.users["collector"]}  # fmt: skip
    for name, word in words.items():
        (tmp_path / name).write_text(word)
    make_database(postgres, ledger)

    def told(name: str) -> Settings:
        return Settings(
            data=tmp_path / name, broker_host=nats.host, broker_port=nats.port,
            broker_password_file=str(tmp_path / "word"), http_port=free_port(),
            store="influxdb", influx_url=influxd.url, influx_org=influxd.org,
            influx_bucket=ledger, influx_token_file=str(tmp_path / "token"),
            ledger=postgres.url(ledger), journal="nats", collector=name, nats_url=nats.url,
        )  # fmt: skip

    return told


@pytest.fixture
async def starts(settings_of: Callable[[str], Settings]) -> AsyncIterator[Starts]:
    """Starts one more server by its name, in this process."""
    made: list[One] = []

    def one(name: str) -> One:
        made.append(One(settings_of(name)))
        return made[-1]

    yield one
    for each in made:
        await each.ends()


@pytest.fixture
async def begins(
    settings_of: Callable[[str], Settings],
) -> AsyncIterator[Callable[[str], Process]]:
    """Starts one more server by its name, in a process of its own."""
    made: list[Process] = []

    def one(name: str) -> Process:
        made.append(Process(settings_of(name)))
        return made[-1]

    yield one
    for each in made:
        await each.ends()


def serves(status: int, said: str) -> bool:
    """It asks who it is that wants to know."""
    return status == 401


def stands_by(status: int, said: str) -> bool:
    return status == 503 and "stands by" in said


async def test_one_serves_and_the_other_stands_by_until_that_is_gone(
    starts: Starts, nats: NatsServer
) -> None:
    left = starts("left")
    await left.until(serves)
    right = starts("right")
    await right.until(lambda status, said: "this server (right) stands by: left has it" in said)
    assert await right.answer("/api/v1/health/live") == (200, '{"ok":true}')
    async with speaking(nats) as made:
        await until(lambda: len(made) > 50, 10)
        await left.ends()
        await right.until(serves)
        again = starts("again")
        await again.until(stands_by)
    for each in (again, right):
        await each.ends()
    journal = await asyncio.to_thread(NatsJournal, nats_at(right.settings), shared_name([PLANT]))
    await has_each_once(journal, made)


async def test_one_that_loses_its_journal_and_nothing_else_serves_again(
    starts: Starts, nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """As by a stray which was stopped just before it opened it, and holds no lease when it goes on."""
    left = starts("left")
    await left.until(serves)
    async with speaking(nats) as made:
        await until(lambda: len(made) > 50, 10)
        stray = await asyncio.to_thread(NatsJournal, nats_at(left.settings), shared_name([PLANT]))
        await until(lambda: "stands by again" in caplog.text, TAKE_OVER_S_MAX)
        await asyncio.to_thread(stray.close)
        await left.until(stands_by)
        await left.until(serves)
        assert not left.serving.done()


async def test_one_that_cannot_serve_leaves_its_plants_to_others_and_serves_when_it_can(
    settings_of: Callable[[str], Settings],
    postgres: PostgresServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    late = f"late_{secrets.token_hex(6)}"
    left = One(replace(settings_of("left"), ledger=postgres.url(late)))
    try:
        await until(
            lambda: "is left to others: the ledger cannot be reached" in caplog.text,
            TAKE_OVER_S_MAX,
        )
        await left.until(stands_by)
        assert not left.serving.done()
        await asyncio.to_thread(make_database, postgres, late)
        await left.until(serves)
    finally:
        await left.ends()


@pytest.mark.parametrize(
    ("lacks", "variable"),
    [
        ({"influx_token_file": "away"}, "INFLUX_TOKEN_FILE"),
        ({"broker_password_file": "away"}, "BROKER_PASSWORD_FILE"),
        ({"broker_ca_file": "away"}, "BROKER_CA_FILE"),
        ({"influx_ca_file": "away"}, "INFLUX_CA_FILE"),
    ],
)
async def test_what_is_wrong_with_its_files_is_said_before_it_stands_by(
    settings_of: Callable[[str], Settings], lacks: dict[str, str], variable: str
) -> None:
    holder = NatsLeases(nats_at(settings_of("left")), "left")
    name = shared_name([PLANT])
    await holder.taken(name)
    with pytest.raises(SettingsError, match=variable):
        await asyncio.wait_for(serve([PLANT], replace(settings_of("right"), **lacks)), 5)  # type: ignore[arg-type]  # texts all
    await holder.give_back(name)
    await holder.close()


async def test_whose_lease_ran_out_takes_no_journal_away(
    settings_of: Callable[[str], Settings],
) -> None:
    settings = settings_of("late")
    private_folder(settings.data)
    holder = await asyncio.to_thread(NatsJournal, nats_at(settings), shared_name([PLANT]))
    with pytest.raises(Unavailable, match="lease"):
        build([PLANT], settings, MemoryLeases(Board(), "late", 6.0))
    await asyncio.to_thread(holder.prove)
    await asyncio.to_thread(holder.close)


async def test_one_that_is_stopped_and_goes_on_stands_by_and_one_that_is_killed_is_followed(
    begins: Callable[[str], Process],
) -> None:
    left = begins("left")
    await left.until(serves)
    right = begins("right")
    await right.until(stands_by)
    left.signal(signal.SIGSTOP)
    await right.until(serves)
    left.signal(signal.SIGCONT)
    await left.until(stands_by)
    assert serves(*await right.answer())
    await right.ends()
    await left.until(serves)
