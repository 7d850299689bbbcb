"""A file of the journal that was damaged is told: in health, by the doctor and in the figures, until somebody has moved it away."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.services import Health
from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.memory_journal import MemoryJournal
from collector.adapters.memory_store import MemoryStore
from collector.ingest import IngestStats
from collector.live import LiveTable
from collector.ports import Entry
from collector.projecting import Projecting, inline
from commands.doctor import journal_row, journal_trouble
from commands.figures import Gauges
from commands.server import journal_health
from config.clock import SteppedClock
from config.settings import Settings

T0 = 1_773_532_800_000


@pytest.fixture
def damaged(tmp_path: Path) -> SqliteJournal:
    """A journal in `tmp_path` that found its counts damaged."""
    folder = tmp_path / "journal"
    SqliteJournal(folder).close()
    (folder / "counts.sqlite").write_bytes(b"nonsense " * 999)
    journal = SqliteJournal(folder)
    journal.close()
    return journal


@pytest.mark.usefixtures("damaged")
def test_health_and_doctor_name_it_until_it_is_moved_away(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    found = journal_health(IngestStats(), folder)
    assert (found.ok, found.needed) == (False, False)  # the server works, and is ready
    assert f"in {folder}: counts.malformed; " in found.detail
    assert "move these files away" in found.detail
    assert journal_row(Settings(data=tmp_path)) == [("journal", False, found.detail)]
    (folder / "counts.malformed").unlink()
    assert journal_health(IngestStats(), folder) == Health(True, "", needed=False)
    assert journal_row(Settings(data=tmp_path)) == []


def test_a_journal_that_takes_nothing_is_needed(tmp_path: Path) -> None:
    stats = IngestStats(journal_ok=False, detail="the disk is full")
    assert journal_health(stats, tmp_path) == Health(False, "the disk is full")
    assert journal_trouble(tmp_path / "none") == ""


def test_the_figures_count_it(damaged: SqliteJournal) -> None:
    measured = SimpleNamespace(ingest=SimpleNamespace(stats=IngestStats()), journal=damaged)
    figures = {f.name: f.value for f in Gauges._journal(cast(Gauges, measured))}
    assert figures["steward_journal_set_aside_total"] == 1


def test_while_the_journal_cannot_be_read_the_figures_say_so_and_what_is_known() -> None:
    journal, store, clock = MemoryJournal(), MemoryStore(), SteppedClock(T0 + 5_000)
    journal.append([Entry(T0, "batch", "riverside", "a1", "data", "e1", 1, readings=1)])
    projecting = Projecting(journal, store, LiveTable([]), inline, clock)
    other: Any = None  # is not looked at
    gauges = Gauges(
        other, other, cast(Any, journal), projecting, store, other, other, clock, other, Path()
    )

    def figures() -> dict[str, float]:
        return {f.name: f.value for f in gauges._store()}

    age, readable = "steward_projecting_lag_seconds", "steward_journal_readable"
    assert figures() | {age: 5, readable: 1} == figures()
    journal.fail_reads = -1
    assert age not in figures()
    assert figures() | {"steward_projecting_lag_entries": 1, readable: 0} == figures()


def test_what_is_free_of_the_disk_is_said_and_nothing_of_one_that_is_not_there(
    tmp_path: Path,
) -> None:
    parts: Any = SimpleNamespace(
        receiving=SimpleNamespace(counts={}), stats=IngestStats(), waiting_bytes=0, is_behind=False, lag=0,
    )  # fmt: skip

    def said(folder: Path) -> Mapping[str, float]:
        journal = SqliteJournal(tmp_path / "journal")
        try:
            return Gauges(
                parts, parts, journal, parts, parts, parts, parts, parts, parts, folder
            ).said()
        finally:
            journal.close()

    disk = os.statvfs(tmp_path)
    by_df = 100 * disk.f_bavail / (disk.f_blocks - disk.f_bfree + disk.f_bavail)
    assert said(tmp_path)["disk_free"] == pytest.approx(by_df, abs=1)
    assert "disk_free" not in said(tmp_path / "none")
