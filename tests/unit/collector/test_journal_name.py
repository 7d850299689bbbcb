"""A journal keeps its name, and no other has it."""

from pathlib import Path

from collector.adapters.journal_name import journal_name
from collector.adapters.journal_sqlite import SqliteJournal


def test_a_journal_keeps_its_name_and_no_other_has_it(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        SqliteJournal(tmp_path / folder).close()
    names = [journal_name(tmp_path / folder) for folder in ("a", "b", "a", "b")]
    SqliteJournal(tmp_path / "a").close()
    assert names[:2] == names[2:]
    assert len(set(names)) == 2
    assert journal_name(tmp_path / "a") == names[0]
