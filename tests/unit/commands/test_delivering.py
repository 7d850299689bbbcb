"""The server's half of the delivery report."""

from pathlib import Path

import numpy as np

from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.memory_store import MemoryStore
from collector.ports import Entry, SeriesKey, StoreBatch
from commands.delivering import delivery_report

HOUR = 3_600_000
T0 = 1_773_532_800_000
KEY = SeriesKey("riverside", "booster/pressure", "bar", "number")


def test_what_is_past_its_retention_was_not_replaced(tmp_path: Path) -> None:
    journal, store = SqliteJournal(tmp_path / "journal"), MemoryStore()
    for n in range(4):
        at = T0 + n * HOUR
        journal.append([Entry(at, "batch", "riverside", "a1", "data", "e1", n + 1, readings=3)])
        times, none = np.array([at, at + 1, at + 1]), np.zeros(3, np.int64)
        store.write([StoreBatch([KEY], none, times, np.ones(3), none.astype(np.uint8))], n + 1)
    store.delete_before(T0 + 3 * HOUR)
    readings = delivery_report(journal, store, 0)["readings"]
    assert (
        readings | {"journalled": 12, "past_retention": 9, "stored": 2, "replaced": 1} == readings
    )
    assert delivery_report(journal, store, 1)["readings"]["replaced"] is None
    journal.close()
