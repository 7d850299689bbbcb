import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collector.adapters.journal_sqlite import SqliteJournal
from collector.ports import Entry
from commands.proving.history import AgentHistory, History
from commands.proving.kills import (
    ALL_TIME,
    QUIET_S_MAX,
    WHOLE,
    agent_history,
    keep_journal,
    outcome,
    shares_of,
)
from edge.outbox import Outbox

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


def test_a_file_that_was_begun_twice_is_read_as_it_is_now(tmp_path: Path) -> None:
    """A server was killed while it made the file: the next one throws it away and begins it again."""
    (tmp_path / "journal").mkdir()
    sqlite3.connect(tmp_path / "journal" / "journal-0000000000000000001.sqlite").close()
    keep_journal(tmp_path)
    journal = SqliteJournal(tmp_path / "journal")
    journal.append([entry(1, T0)])
    journal.close()
    keep_journal(tmp_path)
    whole = SqliteJournal(tmp_path / WHOLE)
    assert [e.seq for _, e in whole.read_from(0, ALL_TIME)] == [1]
    whole.close()


def test_what_an_ended_proof_left_between_two_steps_hinders_no_other(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    path = tmp_path / "journal" / "journal-0000000000000000001.sqlite"
    path.write_bytes(b"first")
    keep_journal(tmp_path)
    path.unlink()
    path.write_bytes(b"second")
    (tmp_path / WHOLE / path.with_suffix(".new").name).write_bytes(b"left")
    keep_journal(tmp_path)
    assert {file.name: file.read_bytes() for file in (tmp_path / WHOLE).iterdir()} == {path.name: b"second"}  # fmt: skip


def test_numbers_that_will_never_come_are_counted(tmp_path: Path) -> None:
    """They fill their place in the lane, and a reading that came twice could make up for theirs."""
    (tmp_path / "edge").mkdir()
    where = tmp_path / "edge" / "riverside.plant-room.outbox"
    Outbox(where, now=T0, rng=np.random.default_rng(1)).close()
    missing = Entry(T0, "missing", "riverside", "plant-room", "data", "e1", 2, 4)
    batches = [entry(1, T0), missing, entry(5, T0)]
    found = agent_history(tmp_path, "riverside", "plant-room", batches)
    assert found.missing == 3
    assert list(found.numbers["e1", "data"]) == [(1, 1), (2, 4), (5, 5)]


def history(made: int = 1, **changes: object) -> History:
    """One reading made, journalled and stored, one alarm and its order."""
    key = ("riverside", "pump/flow", T0)
    agent = AgentHistory(made, journalled=made)
    whole = History(
        {"plant-room": agent}, {key: [1.0]}, {key: [1.0]},
        occurrences=[("trip", T0, None)], order_causes=["alarm:trip"],
    )  # fmt: skip
    return replace(whole, **changes)  # type: ignore[arg-type]  # a table of members


@pytest.mark.parametrize(
    ("left", "kills", "said"),
    [
        (history(), 40, []),
        (history(), 39, ["only 39 kills of 40"]),
        (history(0, journalled={}, stored={}), 40, ["nothing was made", "nothing was stored"]),
        (history(occurrences=[]), 40, ["no alarm was raised"]),
        (history(order_causes=[]), 40, ["no work order was raised"]),
    ],
)
def test_a_run_in_which_nothing_could_be_lost_is_no_proof(
    left: History, kills: int, said: list[str]
) -> None:
    assert outcome(left, {"edge": kills}, 1.0, asked=40)["problems"] == said


def test_a_run_that_does_not_come_to_rest_is_no_proof() -> None:
    found = outcome(history(), {"edge": 40}, QUIET_S_MAX + 1, asked=40)
    assert found["problems"] == ["not quiet within 60 s"]


def test_every_part_is_killed_as_often_however_many_agents_there_are() -> None:
    victims = ["broker", "a.one", "a.two", "a.three", "server", "influxd"]
    assert shares_of(victims) == pytest.approx([1 / 4, 1 / 12, 1 / 12, 1 / 12, 1 / 4, 1 / 4])
    assert shares_of(["broker", "server"]) == [0.5, 0.5]
