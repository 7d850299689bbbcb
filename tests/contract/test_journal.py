"""What every journal promises; the SQLite one also keeps it over restarts, full disks and torn files."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from collector.adapters.journal_counts import KeptCounts
from collector.adapters.journal_nats import NatsJournal
from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.memory_journal import MemoryJournal
from collector.adapters.nats_link import NatsAt
from collector.adapters.packed_entries import HEAD, Damaged, pack, unpack
from collector.adapters.sqlite_file import connect, malformed_in
from collector.counting import Counts
from collector.ports import JUMP, CountKey, Entry, TakenOver, Unavailable
from commands.part_servers import NatsServer

HOUR = 3_600_000
PAGE = 16384
T0 = 490_000 * HOUR


def batch(seq: int, *, lane: str = "data", received: int = T0, **more: Any) -> Entry:
    fields: dict[str, Any] = {"epoch": "e1", "payload": b"{}", "readings": 3, "clock_error": -7}
    return Entry(received, "batch", "riverside", "a1", lane, **{**fields, "seq": seq, **more})  # type: ignore[arg-type]  # lane names are literals in the cases


def birth(epoch: str = "e1", *, payload: bytes = b"born", received: int = T0) -> Entry:
    return Entry(received, "birth", "riverside", "a1", epoch=epoch, payload=payload)


Opened = Callable[[], Any]


def nats_journal(server: NatsServer, name: str, **more: int) -> NatsJournal:
    at = NatsAt(server.url, "collector", server.users["collector"])
    return NatsJournal(at, name, **{"cap_bytes": 1 << 24, **more})


@pytest.fixture(params=["sqlite", "memory", pytest.param("nats", marks=pytest.mark.system)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Opens the same journal again, as after a restart (the twin lives on)."""
    memory = MemoryJournal()
    held: list[SqliteJournal | NatsJournal] = []
    open_one: dict[str, Callable[[], SqliteJournal | NatsJournal]] = {
        "sqlite": lambda: SqliteJournal(tmp_path / "journal"),
        "nats": lambda: nats_journal(request.getfixturevalue("nats"), tmp_path.name),
    }

    def again() -> Any:
        if request.param == "memory":
            return memory
        for journal in held:
            journal.close()
        held.append(open_one[request.param]())
        return held[-1]

    yield again
    for journal in held:
        journal.close()


def test_positions_start_at_one_and_grow_by_entry(opened: Opened) -> None:
    journal = opened()
    assert journal.last() == 0
    assert journal.append([batch(1), batch(2)]) == 2
    assert journal.append([batch(3)]) == 3
    assert opened().last() == 3


def test_an_empty_group_changes_nothing(opened: Opened) -> None:
    journal = opened()
    assert journal.append([]) == 0
    assert journal.read_from(0, 10) == []


def test_entries_come_back_as_they_were_given(opened: Opened) -> None:
    group = [
        birth(payload=b'{"contract":"1.0"}'),
        batch(1, payload=b"\xff\x00{", lane="event"),
        Entry(T0, "missing", "riverside", "a1", "data", "e1", seq=2, until=4),
        Entry(T0, "aside", "riverside", "a1", "data", "e1", seq=5, payload=b"?", reason="not_json"),
    ]
    opened().append(group)
    assert [e for _, e in opened().read_from(0, 10)] == group


@pytest.mark.parametrize(
    ("position", "limit", "expected"),
    [
        (0, 10, [1, 2, 3, 4, 5]),
        (0, 2, [1, 2]),
        (2, 2, [3, 4]),
        (4, 9, [5]),
        (5, 9, []),
        (1, 1, [2]),
    ],
)
def test_reading_goes_on_behind_a_position_inside_groups_too(
    opened: Opened, position: int, limit: int, expected: list[int]
) -> None:
    journal = opened()
    journal.append([batch(n) for n in (1, 2, 3)])
    journal.append([batch(n) for n in (4, 5)])
    assert [(p, e.seq) for p, e in journal.read_from(position, limit)] == [(n, n) for n in expected]


def test_groups_come_back_whole_and_at_least_one(opened: Opened) -> None:
    journal = opened()
    for group in ([1, 2, 3], [4, 5], [6]):
        journal.append([batch(n) for n in group])
    shape = [(last, [e.seq for e in es]) for last, es in opened().groups_from(0, 4)]
    assert shape == [(3, [1, 2, 3]), (5, [4, 5])]
    assert [last for last, _ in opened().groups_from(3, 1)] == [5]
    assert opened().groups_from(6, 5) == []


def test_marks_are_the_highest_numbers_per_epoch_and_lane(opened: Opened) -> None:
    journal = opened()
    journal.append([batch(1), batch(2), batch(1, lane="event"), batch(1, epoch="e2")])
    journal.append([Entry(T0, "missing", "riverside", "a1", "data", "e1", seq=3, until=9)])
    journal.append([Entry(T0, "aside", "riverside", "a1", "data", "e1", reason="late", readings=1)])
    assert opened().marks() == {
        ("riverside", "a1", "e1", "data"): 9,
        ("riverside", "a1", "e1", "event"): 1,
        ("riverside", "a1", "e2", "data"): 1,
    }


def test_marks_counts_and_births_outlive_trimming(opened: Opened) -> None:
    journal = opened()
    journal.append([birth(payload=b"old"), birth(payload=b"new"), batch(1), batch(2)])
    journal.append([batch(3, received=T0 + HOUR)])
    journal.append([batch(4, received=T0 + 2 * HOUR)])
    journal.trim(5)
    journal = opened()
    assert [p for p, _ in journal.read_from(0, 10)] == [6]
    assert journal.marks()["riverside", "a1", "e1", "data"] == 4
    assert [e.payload for e in journal.births()] == [b"new"]
    assert [e.payload for e in journal.births(5)] == [b"new"]
    counts = journal.counts()
    assert counts["riverside", "a1", "data", T0].readings == 6
    assert counts["riverside", "a1", "data", T0 + HOUR].batches == 1


def test_births_are_known_as_of_a_position(opened: Opened) -> None:
    journal = opened()
    journal.append([birth("e1", payload=b"1")])
    journal.append([birth("e2", payload=b"2"), batch(1)])
    journal.append([birth("e1", payload=b"3")])
    seen = {p: [e.payload for e in opened().births(p)] for p in (0, 1, 3, 4)}
    assert seen == {0: [], 1: [b"1"], 3: [b"1", b"2"], 4: [b"2", b"3"]}


def test_missing_and_set_aside_are_counted_apart(opened: Opened) -> None:
    opened().append(
        [
            batch(1),
            Entry(T0, "missing", "riverside", "a1", "data", "e1", seq=2, until=4),
            Entry(T0, "aside", "riverside", "a1", "data", "e1", seq=5, reason="not_json"),
            Entry(T0, "aside", "riverside", "a1", "data", "e1", readings=2, reason="not_finite"),
        ]
    )
    counts = opened().counts()["riverside", "a1", "data", T0]
    assert (counts.batches, counts.readings, counts.missing) == (1, 3, 3)
    assert (counts.aside, counts.aside_batches) == (2, 1)


def test_positions_rise_above_a_cursor_that_is_ahead(opened: Opened) -> None:
    journal = opened()
    journal.append([batch(1)])
    journal.rise(100)
    assert journal.append([batch(2)]) == 101
    journal.rise(50)
    assert opened().append([batch(3)]) == 102


def test_only_the_newest_epochs_of_an_agent_are_kept(opened: Opened) -> None:
    journal = opened()
    for n in range(20):
        journal.append([birth(f"e{n}"), batch(1, epoch=f"e{n}")])
    assert [e.epoch for e in journal.births()] == [f"e{n}" for n in range(4, 20)]
    assert ("riverside", "a1", "e3", "data") not in journal.marks()


# --- the real one ------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("journal-*") if p.suffix in {".sqlite", ".malformed"})


def test_every_commit_waits_for_the_disk(folder: Path) -> None:
    journal = SqliteJournal(folder)
    journal.append([batch(1)])
    db = journal._files[-1].open()
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA journal_mode").fetchone() == (b"wal",)
    journal.close()
    journal.close()


def test_a_file_without_a_write_ahead_log_is_refused() -> None:
    """What SQLite keeps in memory has none, as files of some network file systems."""
    with pytest.raises(sqlite3.OperationalError, match="journal_mode=memory"):
        connect(Path(":memory:"))


def test_a_file_is_begun_each_hour_and_at_its_size(folder: Path) -> None:
    journal = SqliteJournal(folder, file_bytes=1000)
    journal.append([batch(1)])
    journal.append([batch(2, received=T0 + HOUR)])
    journal.append([batch(3, received=T0 + HOUR, payload=b"x" * 1000)])
    journal.append([batch(4, received=T0 + HOUR)])
    journal.append([batch(5, received=T0)])
    journal.close()
    assert len(files(folder)) == 3
    assert [e.seq for _, e in SqliteJournal(folder).read_from(0, 9)] == [1, 2, 3, 4, 5]


def test_a_full_journal_drops_its_oldest_file_and_counts_it(folder: Path) -> None:
    journal = SqliteJournal(folder, file_bytes=1000, cap_bytes=2500)
    for n in range(1, 5):
        journal.append([batch(n, payload=b"x" * 1000)])
    assert journal.dropped == 1
    assert journal.fill > 0.9
    assert [e.seq for _, e in journal.read_from(0, 9)] == [2, 3, 4]
    journal.close()


def test_no_age_takes_what_somebody_has_not_read(folder: Path) -> None:
    """The store may be away for days, and a clock may be wrong by as many."""
    journal = SqliteJournal(folder)
    journal.append([batch(1)])
    journal.append([batch(2, received=T0 + HOUR)])
    journal.append([batch(3, received=T0 + 26 * HOUR)])
    journal.trim(1)
    journal.append([batch(4, received=T0 + 260 * HOUR)])
    assert [e.seq for _, e in journal.read_from(0, 9)] == [2, 3, 4]
    assert journal.dropped == 0
    journal.close()


def test_a_malformed_newest_file_is_set_aside_and_a_new_one_begins(folder: Path) -> None:
    journal = SqliteJournal(folder)
    journal.append([batch(1)])
    journal.append([batch(2, received=T0 + HOUR)])
    journal.close()
    newest = folder / files(folder)[-1]
    newest.write_bytes(b"not a database at all" * 1000)
    journal = SqliteJournal(folder)
    assert malformed_in(folder) == [newest.with_suffix(".malformed").name]
    assert journal.marks() == {("riverside", "a1", "e1", "data"): 1}
    assert journal.append([batch(2, received=T0 + HOUR)]) > JUMP
    assert [e.seq for _, e in journal.read_from(0, 9)] == [1, 2]
    assert journal.counts()["riverside", "a1", "data", T0].batches == 1
    journal.close()
    assert len(files(folder)) == 3


def test_a_file_torn_in_the_middle_is_set_aside_when_it_is_read(folder: Path) -> None:
    journal = SqliteJournal(folder)
    for n in range(1, 50):
        journal.append([batch(n, payload=b"x" * 20_000)])
    journal.append([batch(50, received=T0 + HOUR)])
    journal.close()
    torn = folder / files(folder)[0]
    content = bytearray(torn.read_bytes())
    content[16384:] = b"\xa5" * (len(content) - 16384)
    torn.write_bytes(content)
    journal = SqliteJournal(folder)
    assert [e.seq for _, e in journal.read_from(0, 99)] == [50]
    assert malformed_in(folder)
    journal.close()


def test_a_file_that_was_being_made_at_the_kill_is_made_again(folder: Path) -> None:
    journal = SqliteJournal(folder)
    journal.append([batch(1)])
    journal.close()
    (folder / f"journal-{2:019d}.sqlite").touch()
    journal = SqliteJournal(folder)
    assert journal.append([batch(2)]) == 2
    assert journal.marks()["riverside", "a1", "e1", "data"] == 2
    journal.close()


def changed(path: Path, *statements: str) -> None:
    """The file as other hands left it, sound for SQLite."""
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def loose(table: str) -> tuple[str, ...]:
    """The table without its rules: a null may stand in it."""
    return (
        f'CREATE TABLE copy AS SELECT * FROM "{table}"',  # noqa: S608  # names of this test
        f'DROP TABLE "{table}"',
        f'ALTER TABLE copy RENAME TO "{table}"',
    )


@pytest.mark.parametrize(
    "spoilt",
    [
        (*loose("carry"), "UPDATE carry SET state = NULL"),
        ("UPDATE carry SET state = x'93c3'",),
        ("UPDATE carry SET state = x'81a1ff00'",),
        (*loose("carry"), "UPDATE carry SET hour = NULL"),
        ("UPDATE carry SET hour = 'x'",),
        ("DELETE FROM carry",),
        ('DROP TABLE "group"',),
    ],
    ids=["null", "a list", "no text", "no hour", "hour a text", "nothing", "no groups"],
)
@pytest.mark.parametrize("which", [0, 1], ids=["older", "newest"])
def test_a_file_that_is_sound_for_sqlite_and_not_ours_is_set_aside(
    folder: Path, which: int, spoilt: Sequence[str]
) -> None:
    """As the end of a file looks that was cut short. What the other file has stays, and the next start finds nothing new."""
    journal = SqliteJournal(folder)
    journal.append([birth(), batch(1)])
    journal.append([batch(2, received=T0 + HOUR)])
    journal.close()
    path = folder / files(folder)[which]
    changed(path, *spoilt)
    for life in range(2):
        again = SqliteJournal(folder)
        again.births(1)
        again.append([batch(3 + life, received=T0 + 2 * HOUR)])
        held = [e.seq for _, e in again.read_from(0, 9) if e.kind == "batch"]
        assert held == [2 if which == 0 else 1, 3, 4][: 2 + life]
        assert malformed_in(folder) == [path.with_suffix(".malformed").name]
        assert again.set_aside == (1 if life == 0 else 0)
        again.close()


@pytest.mark.parametrize(
    "spoilt",
    [
        (*loose("group"), 'UPDATE "group" SET entries = NULL WHERE last = 3'),
        ("UPDATE \"group\" SET entries = x'93c3' WHERE last = 3",),
        ('UPDATE "group" SET entries = substr(entries, 1, 40) WHERE last = 3',),
        ('UPDATE "group" SET first = 1 WHERE last = 3',),
        ('UPDATE "group" SET last = 77 WHERE last = 3',),
    ],
    ids=["null", "a list", "cut", "first", "last"],
)
@pytest.mark.parametrize("which", [0, 1], ids=["older", "newest"])
def test_a_group_that_is_not_what_was_written_is_left_out_and_named(
    folder: Path, which: int, spoilt: Sequence[str]
) -> None:
    journal = SqliteJournal(folder)
    for n in range(1, 5):
        journal.append([batch(n)])
    if which == 0:
        journal.append([batch(5, received=T0 + HOUR)])
    journal.close()
    path = folder / files(folder)[0]
    changed(path, *spoilt)
    for life in range(2):
        again = SqliteJournal(folder)
        assert [e.seq for _, e in again.read_from(0, 9)][:3] == [1, 2, 4]
        again.read_from(0, 9)
        assert again.set_aside == (0 if life else 1)
        assert malformed_in(folder) == [f"{path.stem}-groups.malformed"]
        again.close()
    assert again.last() >= 4


def test_a_group_that_nobody_can_note_is_one_accident_however_often_it_is_read(
    folder: Path,
) -> None:
    journal = SqliteJournal(folder)
    for n in range(1, 4):
        journal.append([batch(n)])
    path = folder / files(folder)[0]
    journal.close()
    changed(path, "UPDATE \"group\" SET entries = x'93c3' WHERE last = 2")
    path.with_name(f"{path.stem}-groups.malformed").mkdir()
    again = SqliteJournal(folder)
    assert [[e.seq for _, e in again.read_from(0, 9)] for _ in range(3)] == [[1, 3]] * 3
    assert again.set_aside == 1
    again.close()


def test_no_bit_of_a_group_can_turn_without_being_seen(folder: Path) -> None:
    """Most of a file is readings, and SQLite has no checksum of its own."""
    blob = pack([birth(), batch(1)])
    for bit in range(8 * len(blob)):
        turned = bytearray(blob)
        turned[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            unpack(bytes(turned))
    assert unpack(blob) == [birth(), batch(1)]
    assert unpack(blob[HEAD:]) == [birth(), batch(1)]  # as they were before they had one


def test_a_group_that_one_bit_made_a_text_is_read(folder: Path) -> None:
    journal = SqliteJournal(folder)
    journal.append([replace(batch(1), payload=b"\xff\xfe")])
    journal.close()
    changed(folder / files(folder)[0], 'UPDATE "group" SET entries = CAST(entries AS TEXT)')
    again = SqliteJournal(folder)
    assert [e.payload for _, e in again.read_from(0, 9)] == [b"\xff\xfe"]
    again.close()


def test_no_reading_waits_for_counts_that_are_read(folder: Path) -> None:
    """And what begins a file meanwhile is counted once."""
    journal = SqliteJournal(folder)
    journal.append([batch(1)])
    read = journal._counts.of_other_files
    appended: list[int] = []

    def meanwhile(file: int) -> dict[CountKey, Counts]:
        found = read(file)
        if not appended:
            entries = [batch(2, received=T0 + HOUR)]
            thread = threading.Thread(target=lambda: appended.append(journal.append(entries)))
            thread.start()
            thread.join(5)
            assert appended == [2]
        return found

    journal._counts.of_other_files = meanwhile  # type: ignore[method-assign]  # in order to act in between
    now = journal.standing()
    assert now.last == 2
    assert [c.batches for c in (now.counts or {}).values()] == [1, 1]
    journal.close()


def test_counts_that_are_written_while_they_are_read_are_not_missed(folder: Path) -> None:
    folder.mkdir()
    kept = KeptCounts(folder / "counts.sqlite")
    done = kept._done
    kept.wait([(1, "riverside", "a1", "data", T0, 1, 3, 0, 0, 0)])

    def meanwhile(work: Callable[[sqlite3.Connection], Any]) -> Any:
        found = done(work)
        done(kept._keep)
        return found

    kept._done = meanwhile  # type: ignore[method-assign]  # in order to act in between
    assert [c.readings for c in kept.of_other_files(2).values()] == [3]
    assert kept.waiting == []


def test_malformed_counts_do_not_stop_the_journal(folder: Path) -> None:
    SqliteJournal(folder).close()
    (folder / "counts.sqlite").write_bytes(b"nonsense " * 999)
    journal = SqliteJournal(folder)
    assert journal.append([batch(1)]) == 1
    journal.close()


def spoil(path: Path, first: int = 1) -> None:
    """As of bad sectors: the heads of pages from the given one on; the file's own header stays."""
    with path.open("r+b") as file:
        for page in range(first, path.stat().st_size // PAGE):
            file.seek(page * PAGE)
            file.write(b"\xa5" * 512)


def filled(folder: Path) -> int:
    """A journal of four hours, and so many agents that its counts take several pages; how many entries it has."""
    journal = SqliteJournal(folder)
    for hour in range(4):
        entries = [
            replace(batch(hour + 1, received=T0 + hour * HOUR), agent=f"an-agent-with-a-name-{n}")
            for n in range(300)
        ]
        journal.append(entries)
    journal.close()
    spoil(folder / "counts.sqlite")
    return journal.last()


def test_counts_that_are_malformed_cost_no_entry_at_an_hour_s_change(folder: Path) -> None:
    entries = filled(folder)
    journal = SqliteJournal(folder)
    assert journal.append([batch(1, received=T0 + 5 * HOUR)]) == entries + 1
    assert journal.append([batch(2, received=T0 + 6 * HOUR)]) == entries + 2
    assert len(journal.read_from(0, 2 * entries)) == entries + 2
    assert (malformed_in(folder), journal.set_aside) == (["counts.malformed"], 1)
    kept = journal.counts()
    assert {hour for *_, hour in kept} == {T0 + hour * HOUR for hour in (3, 5, 6)}
    assert sum(counts.batches for counts in kept.values()) == 302
    journal.close()
    again = SqliteJournal(folder)
    assert (again.counts(), malformed_in(folder)) == (kept, ["counts.malformed"])
    again.close()


def test_counts_that_are_malformed_are_begun_anew_when_they_are_asked_for(folder: Path) -> None:
    filled(folder)
    journal = SqliteJournal(folder)
    assert {hour for *_, hour in journal.counts()} == {T0 + 3 * HOUR}
    assert malformed_in(folder) == ["counts.malformed"]
    journal.close()


def sqlite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def batches(journal: SqliteJournal) -> dict[int, int]:
    """By hour since the first."""
    counts = journal.counts().items()
    return {(hour - T0) // HOUR: one.batches for (*_, hour), one in sorted(counts)}


def test_counts_that_cannot_be_written_cost_no_reading_and_are_tried_again(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = SqliteJournal(folder)
    journal.append([batch(1)])
    with closing(sqlite3.connect(folder / "counts.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert journal.append([batch(2, received=T0 + HOUR)]) == 2
        assert batches(journal) == {0: 1, 1: 1}
        (said,) = caplog.messages
        assert "database is locked" in said
        assert "readings go on" in said
        other.execute("ROLLBACK")
    assert journal.append([batch(3, received=T0 + 2 * HOUR)]) == 3
    assert batches(journal) == {0: 1, 1: 1, 2: 1}
    assert (malformed_in(folder), len(caplog.messages)) == ([], 1)
    journal.close()
    with closing(sqlite3.connect(folder / "counts.sqlite")) as db:
        assert db.execute("SELECT file, batches FROM count").fetchall() == [(1, 1), (2, 1)]


STRANGE = ("DROP TABLE count", "CREATE TABLE count (site TEXT, batches INTEGER)")
FULL = ("CREATE TRIGGER full BEFORE INSERT ON count BEGIN SELECT RAISE(ABORT, 'disk is full'); END",)  # fmt: skip


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    ("hurt", "healed"), [(FULL, ("DROP TRIGGER full",)), (STRANGE, ("DROP TABLE count",))]
)
def test_counts_wait_in_the_journal_while_their_file_takes_nothing(
    folder: Path, hurt: Sequence[str], healed: Sequence[str], restarted: bool
) -> None:
    """Also over a restart, and while the files that they count are let go of."""
    journal = SqliteJournal(folder)
    sqlite(folder / "counts.sqlite", *hurt)
    for hour in range(3):
        assert journal.append([batch(hour + 1, received=T0 + hour * HOUR)]) == hour + 1
        journal.trim(hour)
    if restarted:
        journal.close()
        journal = SqliteJournal(folder)
    sqlite(folder / "counts.sqlite", *healed)
    assert batches(journal) == {0: 1, 1: 1, 2: 1}
    journal.append([batch(4, received=T0 + 3 * HOUR)])
    journal.close()
    again = SqliteJournal(folder)
    assert batches(again) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert again._counts.waiting == []
    again.close()


@pytest.mark.parametrize(
    "hurt", [STRANGE, ("INSERT INTO count VALUES (7, 's', 'a', 'data', 0, 'x', 0, 0, 0, 0)",)]
)
def test_counts_that_are_not_ours_are_not_known_and_everything_else_is(
    folder: Path, hurt: Sequence[str]
) -> None:
    journal = SqliteJournal(folder)
    sqlite(folder / "counts.sqlite", *hurt)
    journal.append([batch(1)])
    with pytest.raises(Unavailable, match=r"counts\.sqlite"):
        journal.counts()
    now = journal.standing()
    assert (now.last, now.counts) == (1, None)
    assert now.marks == {("riverside", "a1", "e1", "data"): 1}
    assert "counts.sqlite" in now.trouble
    journal.close()


def test_no_file_of_counts_can_be_made_and_the_journal_begins(folder: Path) -> None:
    (folder / "counts.sqlite").mkdir(parents=True)
    journal = SqliteJournal(folder)
    assert journal.append([batch(1)]) == 1
    assert journal.append([batch(2, received=T0 + HOUR)]) == 2
    journal.close()


def test_of_several_files_only_that_is_set_aside_into_which_nothing_can_be_written(
    folder: Path,
) -> None:
    journal = SqliteJournal(folder)
    for n in range(1, 4):
        journal.append([batch(n, received=T0 + n * HOUR)])
    journal._files[-1].close()
    spoil(folder / files(folder)[-1])
    with pytest.raises(Unavailable, match="malformed"):
        journal.append([batch(4, received=T0 + 3 * HOUR)])
    assert journal.append([batch(4, received=T0 + 3 * HOUR)]) == 3 + JUMP + 1
    assert [e.seq for _, e in journal.read_from(0, 9)] == [1, 2, 4]
    assert (len(malformed_in(folder)), journal.set_aside) == (1, 1)
    journal.close()


def test_what_another_one_wrote_in_between_is_no_damage(folder: Path) -> None:
    first = SqliteJournal(folder)
    first.append([batch(1)])
    second = SqliteJournal(folder)
    first.append([batch(2)])
    with pytest.raises(Unavailable, match="UNIQUE"):
        second.append([batch(2)])
    assert second.append([batch(2)]) > JUMP, "in a file of its own"
    assert first.append([batch(3)]) == 3
    assert malformed_in(folder) == []
    first.close()
    again = SqliteJournal(folder)
    assert [e.seq for _, e in again.read_from(0, 9)] == [1, 2, 3, 2]
    again.close()


def test_a_full_disk_is_unavailable_and_keeps_nothing(folder: Path) -> None:
    journal = SqliteJournal(folder)
    journal.append([batch(1)])
    db = journal._files[-1].open()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(Unavailable, match="full"):
        journal.append([batch(2, payload=b"x" * 200_000)])
    assert journal.marks()["riverside", "a1", "e1", "data"] == 1
    db.execute("PRAGMA max_page_count=1000000")
    assert journal.append([batch(2, payload=b"x" * 200_000)]) == 2
    journal.close()


# --- the one in JetStream ----------------------------------------------------------------------


@pytest.fixture
def in_nats(nats: NatsServer, tmp_path: Path) -> Iterator[Callable[..., NatsJournal]]:
    """Opens one more owner of the same journal, or of another `name`; all are closed at the end."""
    held: list[NatsJournal] = []

    def another(name: str = tmp_path.name, **more: int) -> NatsJournal:
        held.append(nats_journal(nats, name, **more))
        return held[-1]

    yield another
    for journal in held:
        journal.close()


NatsOpened = Callable[..., NatsJournal]


@pytest.mark.system
def test_whoever_opens_it_last_has_it_and_an_earlier_owner_is_refused_for_good(
    in_nats: NatsOpened,
) -> None:
    first = in_nats()
    first.append([batch(1)])
    second = in_nats()
    for _ in range(2):
        with pytest.raises(Unavailable, match="taken this journal over"):
            first.append([batch(2)])
    assert second.append([batch(2)]) == 2
    with pytest.raises(Unavailable, match="taken this journal over"):
        first.append([batch(3)])
    assert [e.seq for _, e in in_nats().read_from(0, 9)] == [1, 2]


@pytest.mark.system
def test_a_group_whose_answer_was_lost_is_kept_once(in_nats: NatsOpened) -> None:
    journal = in_nats()
    journal.append([batch(1)])
    journal._log.last -= 1  # as if nobody had told us
    journal._last = 0
    with pytest.raises(Unavailable, match="kept after all"):
        journal.append([batch(2)])
    assert journal.append([batch(1)]) == 1
    assert journal.append([batch(2)]) == 2
    assert [e.seq for _, e in in_nats().read_from(0, 9)] == [1, 2]


@pytest.mark.system
def test_what_an_earlier_owner_cuts_late_takes_nothing_from_the_next(in_nats: NatsOpened) -> None:
    first = in_nats()
    first.append([birth(), batch(1)])
    first.append([batch(2, received=T0 + HOUR)])
    second = in_nats()
    second.append([batch(3, received=T0 + 2 * HOUR)])
    first.trim(2)
    second.trim(3)
    third = in_nats()
    first.trim(3)
    assert third.marks()["riverside", "a1", "e1", "data"] == 3
    assert [e.payload for e in third.births(3)] == [b"born"]
    assert third.append([batch(4, received=T0 + 3 * HOUR)]) == 5
    third.trim(4)
    again = in_nats()
    assert [p for p, _ in again.read_from(0, 9)] == [5]
    assert again.counts()["riverside", "a1", "data", T0 + 2 * HOUR].batches == 1
    assert again.counts()["riverside", "a1", "data", T0].batches == 1


@pytest.mark.system
def test_a_journal_that_is_full_takes_nothing_until_it_is_cut(in_nats: NatsOpened) -> None:
    journal = in_nats(cap_bytes=50_000, file_bytes=1000)
    journal.append([batch(1, payload=b"x" * 40_000)])
    assert journal.fill > 0.8
    for _ in range(2):
        with pytest.raises(Unavailable, match="the journal is full"):
            journal.append([batch(2, payload=b"x" * 40_000)])
    journal.trim(1)
    assert journal.append([batch(2, payload=b"x" * 40_000)]) == 2


def filled_up(journal: NatsJournal, seq: int = 0) -> int:
    """Append until not even a group of a few bytes is taken; the number of the last batch."""
    for size in (4000, 1):
        try:
            while True:
                journal.append([batch(seq + 1, payload=b"x" * size)])
                seq += 1
        except Unavailable:
            pass
    return seq


@pytest.mark.system
def test_a_full_journal_is_opened_again_and_goes_on_once_it_is_cut(in_nats: NatsOpened) -> None:
    number = filled_up(in_nats(cap_bytes=50_000, file_bytes=1000))
    for _ in range(3):
        journal = in_nats(cap_bytes=50_000, file_bytes=1000)
        with pytest.raises(Unavailable, match="the journal is full"):
            journal.append([batch(number + 1, payload=b"x" * 4000)])
        assert journal.fill > 0.95
    assert [e.seq for _, e in journal.read_from(0, 999)] == list(range(1, number + 1))
    journal.trim(number)
    assert journal.append([batch(number + 1, payload=b"x" * 4000)]) == number + 1
    assert in_nats().marks()["riverside", "a1", "e1", "data"] == number + 1


@pytest.mark.system
def test_a_journal_above_a_cap_that_was_lowered_loses_nothing(in_nats: NatsOpened) -> None:
    number = filled_up(in_nats(cap_bytes=2_000_000))
    journal = in_nats(cap_bytes=50_000, file_bytes=1000)
    with pytest.raises(Unavailable, match="the journal is full"):
        journal.append([batch(number + 1)])
    assert [e.seq for _, e in journal.read_from(0, 9999)] == list(range(1, number + 1))
    journal.trim(number)
    assert in_nats(cap_bytes=50_000).append([batch(number + 1)]) == number + 1


@pytest.mark.system
def test_an_earlier_owner_of_a_full_journal_is_told_that_it_is_taken_over(
    in_nats: NatsOpened,
) -> None:
    first = in_nats(cap_bytes=50_000)
    number = filled_up(first)
    in_nats(cap_bytes=50_000)
    with pytest.raises(TakenOver):
        first.append([batch(number + 1, payload=b"x" * 4000)])


@pytest.mark.system
def test_counts_of_many_hours_and_agents_do_not_end_trimming(in_nats: NatsOpened) -> None:
    """Together they are above what one value may have, as no two names have anything in common."""
    rng = np.random.default_rng(1)
    names = [rng.bytes(150).hex() for _ in range(1000)]
    journal = in_nats()
    for hour in range(64):
        received = T0 + hour * HOUR
        last = journal.append(
            [replace(batch(hour + 1, received=received), agent=name) for name in names]
        )
        journal.trim(last)
    again = in_nats()
    assert [last for last, _ in again.groups_from(0, 1)] == [64_000]
    counts = again.counts()
    assert {key[3] for key in counts} == {T0 + hour * HOUR for hour in range(64)}
    assert all(c.batches == 1 for c in counts.values())
    assert len(counts) == 64_000


@pytest.mark.system
def test_counts_that_were_kept_before_a_kill_are_not_added_once_more(in_nats: NatsOpened) -> None:
    first = in_nats()
    first.append([batch(1)])
    first.append([batch(2, received=T0 + HOUR)])
    first._counts.keep(first._log.last)  # and killed before the rest was kept
    second = in_nats()
    second.append([batch(3, received=T0 + HOUR)])
    wanted = {("riverside", "a1", "data", T0): 1, ("riverside", "a1", "data", T0 + HOUR): 2}
    assert {key: c.batches for key, c in second.counts().items()} == wanted
    second.append([batch(4, received=T0 + 2 * HOUR)])
    second.trim(3)
    second.append([batch(5, received=T0)])  # a clock that was put back: its hour is not in memory
    wanted |= {("riverside", "a1", "data", T0): 2, ("riverside", "a1", "data", T0 + 2 * HOUR): 1}
    assert {key: c.batches for key, c in second.counts().items()} == wanted
    assert {key: c.batches for key, c in in_nats().counts().items()} == wanted


@pytest.mark.system
def test_what_the_heir_cut_is_not_the_end_of_the_journal_to_an_earlier_owner(
    in_nats: NatsOpened,
) -> None:
    first = in_nats()
    first.append([batch(1)])
    heir = in_nats()
    heir.append([batch(2, received=T0 + HOUR)])
    heir.trim(1)
    with pytest.raises(Unavailable, match="does not have what it had"):
        first.groups_from(0, 9)


@pytest.mark.system
def test_what_metrics_and_the_delivery_report_ask_is_known_of_it(in_nats: NatsOpened) -> None:
    journal = in_nats()
    journal.append([batch(1)])
    journal._log.append(b"\xff", 3)
    assert (journal.commits.count, journal.dropped, journal.set_aside) == (1, 0, 0)
    again = in_nats()
    now = again.standing()
    assert (now.last, now.counts, now.marks) == (3, again.counts(), again.marks())
    assert (again.set_aside, now.trouble) == (1, "")
    again.close()
    cut_off = again.standing()
    assert (cut_off.last, cut_off.counts) == (3, None)
    assert cut_off.trouble


@pytest.mark.system
def test_nothing_waits_while_the_counts_of_years_are_read(in_nats: NatsOpened) -> None:
    journal = in_nats()
    journal.append([batch(1)])
    read, ended = journal._log.all_kept, []

    def long(kind: str) -> dict[str, bytes]:
        meanwhile = threading.Thread(target=lambda: journal.append([batch(2)]))
        meanwhile.start()
        meanwhile.join(5)
        ended.append(not meanwhile.is_alive())
        return read(kind)

    journal._log.all_kept = long  # type: ignore[method-assign]  # as if it took as long as an append
    now = journal.standing()
    assert ended == [True]
    assert (now.last, now.counts) == (1, {("riverside", "a1", "data", T0): Counts(1, 3)})


@pytest.mark.system
def test_positions_of_a_damaged_last_piece_are_not_given_again(in_nats: NatsOpened) -> None:
    journal = in_nats()
    journal.append([batch(1)])
    journal._log.append(b"\xff", 3)
    assert in_nats().append([batch(4)]) == 4


@pytest.mark.system
def test_what_lies_behind_many_damaged_entries_is_read(in_nats: NatsOpened) -> None:
    """They were spoilt since it was opened: an empty answer would be its end to who asks."""
    journal = in_nats()
    journal.append([batch(1)])
    journal._log.append(b"\xff", 3)
    journal._index.add(journal._log.last, 3, [batch(2), batch(3)])
    journal._last = 3
    journal.append([batch(4)])
    assert [at for at, _ in journal.groups_from(1, 1)] == [4]


@pytest.mark.system
def test_a_journal_of_many_pieces_is_opened_and_read_with_few_requests(in_nats: NatsOpened) -> None:
    """Whoever takes a site over does both, and a request for each piece took longer than a lease lasts."""
    first = in_nats()
    for n in range(1, 2501):
        first.append([batch(n)])
    journal = in_nats()
    assert [e.seq for _, e in journal.read_from(0, 9999)] == list(range(1, 2501))
    assert journal._log._link.client.stats["out_msgs"] < 50


@pytest.mark.system
def test_more_pieces_than_an_heir_looks_at_in_a_second_are_cut_within_the_hour_too(
    in_nats: NatsOpened,
) -> None:
    journal = in_nats(pieces_max=3)
    for n in range(1, 6):
        journal.append([batch(n)])
        if n in {3, 5}:
            journal.trim(n - 1)
    assert [e.seq for _, e in in_nats().read_from(0, 9)] == [5]


@pytest.mark.system
def test_a_group_above_what_the_server_takes_is_named(in_nats: NatsOpened) -> None:
    with pytest.raises(Unavailable, match="max_payload"):
        in_nats().append([batch(1, payload=b"x" * (9 << 20))])


@pytest.mark.system
def test_its_streams_wait_for_the_disk_with_each_message(nats: NatsServer) -> None:
    assert "sync_interval: always" in (nats.folder / "local.conf").read_text()


def test_the_twin_can_have_a_full_disk_and_be_an_older_copy() -> None:
    journal = MemoryJournal()
    journal.append([batch(1)])
    journal.append([batch(2)])
    journal.fail_appends = 1
    with pytest.raises(Unavailable):
        journal.append([batch(3)])
    journal.forget_after(1)
    assert journal.marks() == {("riverside", "a1", "e1", "data"): 1}
    assert journal.append([batch(2)]) == 2
    journal.fail_appends = -1
    for _ in range(3):
        with pytest.raises(Unavailable):
            journal.append([batch(3)])


def test_the_twin_can_be_unreadable_for_a_while() -> None:
    journal = MemoryJournal()
    journal.append([batch(1)])
    journal.fail_reads = 3
    for read in (lambda: journal.read_from(0, 9), lambda: journal.groups_from(0, 9), journal.births):  # fmt: skip
        with pytest.raises(Unavailable):
            read()
    assert [e.seq for _, e in journal.read_from(0, 9)] == [1]
    journal.fail_reads = -1
    for _ in range(3):
        with pytest.raises(Unavailable):
            journal.births()
