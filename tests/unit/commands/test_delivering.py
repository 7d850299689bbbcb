"""The server's half of the delivery report."""

from pathlib import Path

import numpy as np

from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.memory_store import MemoryStore
from collector.ports import Entry, SeriesKey, StoreBatch
from commands.delivering import delivery_report
from config.plant import STEWARD

HOUR = 3_600_000
T0 = 1_773_532_800_000
KEY = SeriesKey("riverside", "booster/pressure", "bar", "number")


def test_what_was_made_here_is_counted_by_itself(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal")
    for agent, readings in (("a1", 3), (STEWARD, 2)):
        journal.append([Entry(T0, "batch", "riverside", agent, "data", "e1", 1, readings=readings)])
    found = delivery_report(journal, MemoryStore(), 1)["readings"]
    assert (found["journalled"], found["derived"]) == (5, 2)
    journal.close()


def test_what_was_replaced_is_known_as_long_as_nothing_went(tmp_path: Path) -> None:
    """Two readings an hour and a repeat; of the last hour one was taken in the hour before."""
    journal, store = SqliteJournal(tmp_path / "journal"), MemoryStore()
    for n in range(4):
        at = T0 + n * HOUR
        journal.append([Entry(at, "batch", "riverside", "a1", "data", "e1", n + 1, readings=3)])
        times, none = np.array([at - 1, at + 1, at + 1]), np.zeros(3, np.int64)
        store.write([StoreBatch([KEY], none, times, np.ones(3), none.astype(np.uint8))], n + 1)
    readings = delivery_report(journal, store, 0)["readings"]
    assert readings | {"stored": 8, "past_retention": 0, "replaced": 4} == readings
    assert delivery_report(journal, store, 1)["readings"]["replaced"] is None
    store.delete_before(T0 + 3 * HOUR)
    readings = delivery_report(journal, store, 0)["readings"]
    assert (
        readings | {"journalled": 12, "past_retention": 9, "stored": 1, "replaced": None}
        == readings
    )
    journal.close()
