"""The ledgers that the contract suites run against: the twin, SQLite and PostgreSQL."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from collector.adapters.ledger_sql import SqlAsks, SqlDecisions, open_ledger
from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.ports import Asks, Decisions
from commands.migrate import migrate
from commands.part_servers import PostgresServer

KINDS = ("twin", "sqlite", pytest.param("postgresql", marks=pytest.mark.system))


@dataclass(frozen=True, slots=True)
class Ledger:
    """Both halves of one fresh ledger, and where it is kept (empty for the twin)."""

    decisions: Decisions
    asks: Asks
    url: str = ""


@contextmanager
def opened(url: str) -> Iterator[Ledger]:
    """The ledger at `url` as another process would open it."""
    engine = open_ledger(url)
    yield Ledger(SqlDecisions(engine), SqlAsks(engine), url)
    engine.dispose()


@contextmanager
def fresh(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A new, empty ledger of one kind."""
    if kind == "twin":
        yield Ledger(MemoryDecisions(), MemoryAsks())
        return
    url = f"sqlite:///{folder / 'ledger.db'}"
    if kind == "postgresql":
        url = _postgres(request)
    migrate(url)
    with opened(url) as ledger:
        yield ledger


def _postgres(request: pytest.FixtureRequest) -> str:
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"ledger_{secrets.token_hex(6)}"
    engine = sa.create_engine(server.url(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.url(name)
