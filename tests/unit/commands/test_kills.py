from pathlib import Path

from collector.adapters.journal_sqlite import SqliteJournal
from collector.ports import Entry
from commands.proving.kills import ALL_TIME, WHOLE, keep_journal

T0 = 1_763_700_000_000
HOUR_MS = 3_600_000


def entry(seq: int, received: int) -> Entry:
    return Entry(received, "batch", "riverside", "plant-room", "data", "e1", seq, seq, b"x")


def test_the_proof_reads_what_the_journal_let_go(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal")
    for hour in range(3):
        journal.append([entry(hour + 1, T0 + hour * HOUR_MS)])
        keep_journal(tmp_path)
        journal.trim(journal.last())
    journal.append([entry(4, T0 + 3 * HOUR_MS)])
    journal.trim(journal.last())
    journal.close()
    keep_journal(tmp_path)
    left = SqliteJournal(tmp_path / "journal")
    assert [e.seq for _, e in left.read_from(0, ALL_TIME)] == [4]
    left.close()
    whole = SqliteJournal(tmp_path / WHOLE)
    assert [e.seq for _, e in whole.read_from(0, ALL_TIME)] == [1, 2, 3, 4]
    whole.close()
