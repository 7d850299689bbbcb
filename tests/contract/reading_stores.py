"""Every store behind the port, and how a test opens it a second time."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collector.adapters.memory_store import MemoryStore
from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_influx import InfluxStore
from collector.ports import ReadingStore
from commands.part_servers import InfluxServer

KINDS = (
    "memory",
    "duckdb",
    "duckdb_with_closed_hours",
    pytest.param("influxdb", marks=pytest.mark.system),
)
ROLLING = KINDS
_buckets = itertools.count(1)


@dataclass(slots=True)
class Place:
    """Where one store keeps its readings; `open` opens it again after closing what was open."""

    make: Callable[[], ReadingStore]
    opened: list[ReadingStore] = field(default_factory=list)

    def open(self) -> ReadingStore:
        self.close()
        self.opened.append(self.make())
        return self.opened[-1]

    def close(self) -> None:
        for store in self.opened:
            store.close()


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    opened = Place(_maker(request, tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def store(place: Place) -> ReadingStore:
    return place.open()


@pytest.fixture(params=ROLLING)
def rolling(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A store that keeps roll-ups longer than readings."""
    opened = Place(_maker(request, tmp_path))
    yield opened
    opened.close()


def _maker(request: pytest.FixtureRequest, folder: Path) -> Callable[[], ReadingStore]:
    kind = str(request.param)
    if kind == "memory":
        twin = MemoryStore()
        return lambda: twin
    if kind == "duckdb":
        return lambda: DuckDbStore(folder)
    if kind == "duckdb_with_closed_hours":
        return lambda: DuckDbStore(folder, open_rows_max=0)
    server: InfluxServer = request.getfixturevalue("influxd")
    bucket = f"contract-{next(_buckets)}"
    return lambda: InfluxStore(server.url, server.token, server.org, bucket)
