"""The server's half of the delivery report."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.memory_store import MemoryStore
from collector.adapters.store_duckdb import DuckDbStore
from collector.columns import Columns
from collector.live import LiveTable
from collector.ports import Entry, Message, SeriesKey, StoreBatch
from collector.projecting import Projecting, inline
from commands.delivering import delivery_report, delivery_since, outbox_counts
from commands.reconciling import from_hour, whole_report
from commands.report import verdict
from config.clock import SteppedClock
from config.plant import STEWARD
from edge.outbox import Outbox
from edge.ports import PointReading
from edge.readings import Batch, Committed, decode
from tests.unit.collector.feeding import batch, birth, plant
from tests.unit.edge.rows import register_point

HOUR = 3_600_000
T0 = 1_773_532_800_000
SITE = "riverside"
POINT = register_point("flow", 0)
KEY = SeriesKey("riverside", "booster/pressure", "bar", "number")


def test_what_was_made_here_is_counted_by_itself(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal")
    for agent, readings in (("a1", 3), (STEWARD, 2)):
        journal.append([Entry(T0, "batch", "riverside", agent, "data", "e1", 1, readings=readings)])
    found = delivery_report(journal, MemoryStore(), lambda: 1)["readings"]
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
    readings = delivery_report(journal, store, store.cursor)["readings"]
    assert readings | {"stored": 8, "past_retention": 0, "replaced": 4} == readings
    store.delete_before(T0 + 3 * HOUR)
    readings = delivery_report(journal, store, store.cursor)["readings"]
    assert (
        readings | {"journalled": 12, "past_retention": 9, "stored": 1, "replaced": None}
        == readings
    )
    journal.close()


def test_what_waits_for_the_store_was_not_replaced(tmp_path: Path) -> None:
    journal, store = SqliteJournal(tmp_path / "journal"), MemoryStore()
    one, none = np.ones(1), np.zeros(1, np.int64)
    store.write([StoreBatch([KEY], none, np.array([T0]), one, none.astype(np.uint8))], 1)
    for n, readings in ((1, 1), (2, 5)):
        journal.append([Entry(T0, "batch", "riverside", "a1", "data", "e1", n, readings=readings)])
    journal.append([Entry(T0, "aside", "riverside", "a1", "data", "e1", readings=2)])
    found = delivery_report(journal, store, store.cursor)["readings"]
    assert found | {"stored": 1, "replaced": 0, "waiting_for_store": 2} == found
    journal.close()


def test_positions_that_hold_nothing_do_not_wait_for_the_store(tmp_path: Path) -> None:
    """As after a start with a store that was ahead."""
    journal, store = SqliteJournal(tmp_path / "journal"), MemoryStore()
    journal.append([Entry(T0, "batch", "riverside", "a1", "data", "e1", 1, readings=1)])
    store.write([], 1)
    journal.rise(50)
    assert delivery_report(journal, store, store.cursor)["readings"]["waiting_for_store"] == 0
    journal.close()


class Losing(MemoryStore):
    """Keeps the first batch of a write only, and moves its cursor past all: the loss that nobody must hide."""

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        super().write(batches[:1], cursor)


def test_a_loss_between_journal_and_store_is_none_that_was_replaced(tmp_path: Path) -> None:
    journal, store = SqliteJournal(tmp_path / "journal"), Losing()
    one, none = np.ones(2), np.zeros(2, np.int64)
    for n in (1, 2):
        journal.append([Entry(T0, "batch", "riverside", "a1", "data", "e1", n, readings=2)])
    batches = [
        StoreBatch([KEY], none, np.array([T0, T0 + n]), one, none.astype(np.uint8)) for n in (0, 1)
    ]
    store.write(batches, 2)
    found = delivery_report(journal, store, store.cursor)["readings"]
    assert found | {"journalled": 4, "stored": 1, "replaced": 1, "unstored": 2} == found
    assert verdict(whole_report(delivery_report(journal, store, store.cursor), {})["readings"]) == 1
    journal.close()


class Holding(MemoryStore):
    """Somebody else wrote four readings into it."""

    def count(self) -> int:
        return super().count() + 4


@pytest.mark.parametrize(
    ("store", "given", "name", "words"),
    [
        (MemoryStore(), 5, "unstored", "2 readings more than are counted as journalled"),
        (Holding(), 3, "replaced", "holds 4 readings more than it was ever given"),
    ],
)
def test_what_a_store_has_too_much_is_named(
    store: MemoryStore, given: int, name: str, words: str, tmp_path: Path
) -> None:
    """Three were journalled."""
    journal = SqliteJournal(tmp_path / "journal")
    journal.append([Entry(T0, "batch", SITE, "a1", "data", "e1", 1, readings=3)])
    times, none = np.arange(T0, T0 + given), np.zeros(given, np.int64)
    store.write([StoreBatch([KEY], none, times, np.ones(given), none.astype(np.uint8))], 1)
    found = delivery_report(journal, store, store.cursor)
    (said,) = found["unknown"]
    assert words in said
    assert found["readings"][name] is None
    journal.close()


async def test_batches_that_no_birth_explains_any_more_are_not_stored_and_said(
    tmp_path: Path,
) -> None:
    """The journal's first file was damaged: who reads on behind it does not know what indexes mean."""
    folder = tmp_path / "journal"
    journal, store, live = SqliteJournal(folder), MemoryStore(), LiveTable([plant()])
    payload = batch(1, (0, 1.0), (1, 2.0)).payload
    journal.append([Entry(T0, "batch", SITE, "a1", "data", "E1", 1, payload=payload, readings=2)])
    projecting = Projecting(journal, store, live, inline, SteppedClock(T0))
    await projecting.drain()
    found = delivery_report(journal, store, store.cursor)["readings"]
    assert found | {"waiting_for_store": 0, "stored": 0, "replaced": 0, "unstored": 2} == found
    journal.close()


async def test_each_agent_lane_and_hour_is_compared_with_what_the_store_was_given(
    tmp_path: Path,
) -> None:
    """Two agents; of one a reading names a point that nobody knows. Then something is lost behind the journal."""
    journal, store = SqliteJournal(tmp_path / "journal"), MemoryStore()
    live, told = LiveTable([plant()]), [birth("pump/flow"), birth("fan/speed", agent="a2")]
    journal.append([_entry(message) for message in told])
    columns, projecting = Columns(live), Projecting(journal, store, live, inline, SteppedClock(T0))
    columns.join([_entry(message) for message in told])
    for seq, hour, agent, rows in ((1, 0, "a1", 3), (2, 1, "a1", 2), (1, 1, "a2", 1)):
        readings = [(0, float(n), 0, n) for n in range(rows)]
        wrong = [(9, 1.0)] if seq == 2 else []
        entries = [_entry(batch(seq, *readings, *wrong, agent=agent, at=T0 + hour * HOUR))]
        journal.append([*entries, *columns.join(entries).aside])
    await projecting.drain()
    found = delivery_report(journal, store, store.cursor)
    told_of = [(r["agent"], r["hour"], r["journalled"], r["set_aside"], r["stored"], r["unstored"]) for r in found["rows"]]  # fmt: skip
    assert told_of == [
        ("a1", T0, 3, 0, 3, 0), ("a1", T0 + HOUR, 3, 1, 2, 0), ("a2", T0 + HOUR, 1, 0, 1, 0),
    ]  # fmt: skip
    journal.append([_entry(batch(3, (0, 1.0), (0, 2.0), at=T0 + 2 * HOUR))])
    rows = delivery_report(journal, store, store.cursor)["rows"]
    assert [(row["stored"], row["unstored"]) for row in rows] == [(3, 0), (2, 0), (0, 0), (1, 0)]
    store.write([], journal.last())
    found = delivery_report(journal, store, store.cursor)
    assert [row["unstored"] for row in found["rows"]] == [0, 0, 2, 0]
    assert found["readings"]["unstored"] == 2
    journal.close()


def _entry(message: Message) -> Entry:
    _, _, site, agent, what = message.topic.split("/")
    if what == "birth":
        return Entry(message.received, "birth", site, agent, epoch="E1", payload=message.payload)
    told = decode(message.payload, Batch)
    return Entry(
        message.received, "batch", site, agent, what, "E1", told.s,  # type: ignore[arg-type]  # a lane's name
        payload=message.payload, readings=len(told.i),
    )  # fmt: skip


def test_hours_that_an_older_version_stored_are_not_known_one_by_one(tmp_path: Path) -> None:
    """The hour of the change neither: some of it was stored before."""
    journal, store = SqliteJournal(tmp_path / "journal"), MemoryStore()
    for n in range(3):
        at = T0 + n * HOUR
        journal.append([Entry(at, "batch", SITE, "a1", "data", "e1", n + 1, readings=2)])
    none = np.zeros(2, np.int64)
    for n, known in ((0, 0), (1, 1), (2, 2)):
        given = {(SITE, "a1", "data", T0 + n * HOUR): known} if known else {}
        times = np.array([T0 + n * HOUR, T0 + n * HOUR + 1])
        store.write([StoreBatch([KEY], none, times, np.ones(2), none.astype(np.uint8), given)], n + 1)  # fmt: skip
    found = delivery_report(journal, store, store.cursor)
    assert [row["stored"] for row in found["rows"]] == [None, None, 2]
    assert [row["unstored"] for row in found["rows"]] == [None, None, 0]
    assert found["readings"]["unstored"] == 0
    journal.close()


def test_readings_of_a_file_that_is_gone_are_lost_and_not_replaced(tmp_path: Path) -> None:
    journal, store = SqliteJournal(tmp_path / "journal"), DuckDbStore(tmp_path / "store")
    for n in range(2):
        at = T0 + n * HOUR
        journal.append([Entry(at, "batch", SITE, "a1", "data", "e1", n + 1, readings=3)])
        times, none = np.array([at, at + 1, at + 1]), np.zeros(3, np.int64)
        store.write([StoreBatch([KEY], none, times, np.ones(3), none.astype(np.uint8))], n + 1)
    store.close_hours(T0 + 2 * HOUR)
    found = delivery_report(journal, store, store.cursor)["readings"]
    assert found | {"stored": 4, "replaced": 2, "gone": 0} == found
    next((tmp_path / "store" / "hours").glob(f"{T0}-*")).unlink()
    found = delivery_report(journal, store, store.cursor)["readings"]
    assert found | {"stored": 2, "replaced": None, "gone": 2, "unstored": 0} == found
    assert verdict(whole_report(delivery_report(journal, store, store.cursor), {})["readings"]) == 1
    store.close()
    journal.close()


def test_what_a_damaged_file_withholds_is_said(tmp_path: Path) -> None:
    journal, store = SqliteJournal(tmp_path / "journal"), DuckDbStore(tmp_path / "store")
    one, none = np.ones(1), np.zeros(1, np.int64)
    store.write([StoreBatch([KEY], none, np.array([T0]), one, none.astype(np.uint8))], 1)
    store.close_hours(T0 + HOUR)
    path = next((tmp_path / "store" / "hours").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = delivery_report(journal, store, store.cursor)
    (said,) = found["unknown"]
    assert path.name in said
    assert found["readings"]["stored"] is None
    store.close()
    journal.close()


def test_of_a_store_that_is_away_nothing_is_known(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal")
    journal.append([Entry(T0, "batch", SITE, "a1", "data", "e1", 1, readings=2)])
    found = delivery_report(journal, MemoryStore(unavailable="away"), lambda: 1)["readings"]
    assert found | {"stored": None, "replaced": None, "unstored": None, "waiting_for_store": 0} == found  # fmt: skip
    journal.close()


def test_of_an_hour_whose_counts_were_spoilt_it_is_not_known_what_is_lost(site: "Site") -> None:
    site.make(3)
    site.send()
    site.now += HOUR
    site.make(2)
    site.send()
    (site.folder / "journal" / "counts.sqlite").write_bytes(b"nonsense " * 999)
    report = whole_report(site.server(), outbox_counts(site.folder))
    readings = report["readings"]
    assert (readings["made"], readings["journalled"], readings["lost"]) == (5, 2, None)
    assert [found["what"] for found in report["differences"]] == ["not counted"]
    assert "3 readings of riverside.a1" in report["unknown"][-1]


def test_of_counts_that_cannot_be_read_nothing_is_called_lost_and_the_file_is_named(
    site: "Site",
) -> None:
    site.make(3)
    site.send()
    with closing(sqlite3.connect(site.folder / "journal" / "counts.sqlite")) as db:
        db.execute("DROP TABLE count")
        db.execute("CREATE TABLE count (site TEXT)")
    server = site.server()
    report = whole_report(server, outbox_counts(site.folder))
    unknown = dict.fromkeys(("journalled", "unstored", "replaced", "lost", "doubled"))
    assert report["readings"] | unknown | {"made": 3} == report["readings"]
    assert (report["rows"][0]["made"], report["differences"]) == (3, [])
    (words,) = report["unknown"]
    assert "counts.sqlite" in words
    assert verdict(report["readings"]) == 3
    assert len(delivery_since(site.journal, 0)["batches"]) == site.sent


class Site:
    """One agent's real outbox and the server's real journal; `send` goes the whole way."""

    def __init__(self, folder: Path) -> None:
        (folder / "edge").mkdir()
        self.folder, self.sent, self.now = folder, 0, T0
        self.journal = SqliteJournal(folder / "journal")
        rng = np.random.default_rng(1)
        self.outbox = Outbox(folder / "edge" / f"{SITE}.a1.outbox", now=T0, rng=rng)
        self.outbox.define([POINT], T0)

    def make(self, batches: int) -> None:
        for _ in range(batches):
            reading = PointReading(POINT.id, 1.0, 0, self.now)
            self.outbox.keep([reading], self.now, monotonic=1.0)

    def send(self, *, lose: int = 0, commit: bool = True) -> None:
        """Number and journal all that waits, but for one number; the outbox is told, or not yet."""
        self.outbox.number("data", self.now, 1.0)
        for seq in range(self.sent + 1, self.outbox.given("data") + 1):
            readings = 0 if seq == lose else 1
            entry = Entry(
                self.now, "batch", SITE, "a1", "data", self.outbox.epoch, seq, readings=readings
            )
            self.journal.append([entry])
        self.sent = self.outbox.given("data")
        if commit:
            self.outbox.commit(Committed(self.outbox.epoch, data=self.sent), self.now)

    def server(self) -> dict[str, Any]:
        return delivery_report(self.journal, MemoryStore(), lambda: 0)

    def close(self) -> None:
        self.outbox.close()
        self.journal.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    yield one
    one.close()


def test_an_agent_that_goes_on_between_the_questions_has_lost_and_doubled_nothing(
    site: Site,
) -> None:
    site.make(3)
    site.send(commit=False)  # journalled, and the agent has not heard of it
    server = site.server()
    site.make(4)
    site.send()  # made, sent, journalled and forgotten since the server was asked
    site.make(2)
    outboxes = outbox_counts(site.folder)
    site.send()  # what the outbox held is journalled by the time of the tail
    tail = delivery_since(site.journal, server["position"])
    report = whole_report(server, outboxes, tail["batches"])
    assert (report["readings"]["lost"], report["readings"]["doubled"]) == (0, 0)
    assert (report["differences"], report["readings"]["held_batches"]) == ([], 2)
    assert report["readings"]["made"] == 9


def test_a_loss_is_named_by_lane_and_hour_while_the_agent_goes_on(site: Site) -> None:
    site.make(3)
    site.send(lose=2)
    server = site.server()
    site.make(4)
    site.send()
    outboxes = outbox_counts(site.folder)
    tail = delivery_since(site.journal, server["position"])
    report = whole_report(server, outboxes, tail["batches"])
    assert (report["readings"]["lost"], report["readings"]["doubled"]) == (1, 0)
    (found,) = report["differences"]
    assert (found["lane"], found["difference"], found["what"]) == ("data", 1, "lost")
    assert found["from_hour"] == T0 - T0 % HOUR


@pytest.mark.parametrize(
    ("hours", "difference", "first"),
    [
        ([(5, 5), (5, 3), (5, 5)], 2, 1),  # lost in the second hour
        ([(5, 3), (5, 7), (5, 3)], 2, 2),  # under way at the first hour's end; lost in the third
        ([(5, 5), (5, 6)], -1, 1),
        ([(5, 5)], 1, None),  # not at any hour's end
    ],
)
def test_a_difference_is_of_the_hours_from_which_on_it_stays(
    hours: list[tuple[int, int]], difference: int, first: int | None
) -> None:
    rows = [
        {"hour": n, "sent": sent, "journalled": journalled}
        for n, (sent, journalled) in enumerate(hours)
    ]
    assert from_hour(rows, difference) == first
