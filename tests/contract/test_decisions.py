"""What every keeper of decisions must do: the twin, SQLite and PostgreSQL alike."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import alembic.autogenerate
import pytest
from alembic.migration import MigrationContext

from collector.adapters.ledger_sql import SqlDecisions, metadata, open_ledger
from collector.adapters.memory_ledger import MemoryDecisions
from collector.ports import Decisions, LedgerEvent, LedgerRow, TakenOver, Unavailable
from commands.migrate import migrate
from tests.contract.ledgers import KINDS, Ledger, fresh, opened


@pytest.fixture(params=KINDS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with fresh(request.param, tmp_path, request) as made:
        yield made


@pytest.fixture
def decisions(ledger: Ledger) -> Decisions:
    return ledger.decisions


def event(key: str, *, subject: str = "a", site: str = "here", at: int = 7) -> LedgerEvent:
    data = {"value": 1.5, "text": "水泵 \u0000 “x”", "list": [1, None], "at": 2**53}
    return LedgerEvent("alarm", site, subject, "raised", at, key, by="steward", data=data)


def row(id: str, *, open: bool = True, stream: str = "alarm", site: str = "here") -> LedgerRow:
    return LedgerRow(stream, site, id, open, {"id": id})  # type: ignore[arg-type]  # any stream is kept


def test_an_empty_ledger_has_nothing_to_say(decisions: Decisions) -> None:
    assert decisions.since(0) == []
    assert decisions.rows("alarm") == []
    assert decisions.row("alarm", "here", "a") is None
    assert decisions.history("alarm", "here", "a") == []
    assert decisions.cursor("alarming") == 0


def test_an_event_comes_back_as_it_went_in_with_its_number(decisions: Decisions) -> None:
    decisions.append([event("k1")], [])
    (kept,) = decisions.since(0)
    assert kept == replace(event("k1"), seq=kept.seq)
    assert kept.seq > 0


def test_numbers_only_grow_and_a_reader_goes_on_behind_the_last_it_saw(
    decisions: Decisions,
) -> None:
    decisions.append([event("k1"), event("k2")], [])
    decisions.append([event("k3")], [])
    numbers = [e.seq for e in decisions.since(0)]
    assert numbers == sorted(set(numbers))
    assert [e.key for e in decisions.since(numbers[0])] == ["k2", "k3"]
    assert [e.key for e in decisions.since(0, limit=2)] == ["k1", "k2"]


def test_a_key_is_written_once(decisions: Decisions) -> None:
    decisions.append([event("k1", at=1)], [])
    decisions.append([event("k1", at=2), event("k2"), event("k2")], [])
    assert [(e.key, e.at) for e in decisions.since(0)] == [("k1", 1), ("k2", 7)]


def test_the_same_key_at_another_site_is_another_event(decisions: Decisions) -> None:
    decisions.append([event("k1"), event("k1", site="there")], [])
    assert [e.site for e in decisions.since(0)] == ["here", "there"]


def test_a_row_is_replaced_by_its_later_version(decisions: Decisions) -> None:
    decisions.append([], [row("a")])
    decisions.append([], [row("a", open=False), LedgerRow("alarm", "here", "a", False, {"n": 2})])
    assert decisions.row("alarm", "here", "a") == LedgerRow("alarm", "here", "a", False, {"n": 2})
    assert len(decisions.rows("alarm")) == 1


def test_rows_come_newest_first_by_stream_site_and_openness(decisions: Decisions) -> None:
    decisions.append([], [row("a"), row("b", open=False), row("c", site="there")])
    decisions.append([], [row("d", stream="occurrence"), row("a")])
    assert [r.id for r in decisions.rows("alarm")] == ["c", "b", "a"]
    assert [r.id for r in decisions.rows("alarm", "here")] == ["b", "a"]
    assert [r.id for r in decisions.rows("alarm", "here", open_only=True)] == ["a"]
    assert [r.id for r in decisions.rows("alarm", limit=1)] == ["c"]


def test_history_is_all_events_of_one_subject_in_order(decisions: Decisions) -> None:
    decisions.append([event("k1"), event("k2", subject="b"), event("k3")], [])
    assert [e.key for e in decisions.history("alarm", "here", "a")] == ["k1", "k3"]
    assert decisions.history("occurrence", "here", "a") == []


def test_a_cursor_moves_with_what_it_stands_for(decisions: Decisions) -> None:
    decisions.append([event("k1")], [row("a")], {"alarming": 41, "asks": 3})
    decisions.append([], [], {"alarming": 42})
    assert (decisions.cursor("alarming"), decisions.cursor("asks")) == (42, 3)


def test_what_one_append_cannot_keep_is_not_kept_in_part(decisions: Decisions) -> None:
    bad = LedgerRow("alarm", "here", "bad", True, {"what": object()})
    with pytest.raises(Exception, match=r"JSON serializable|type object is unsupported"):
        decisions.append([event("k1")], [bad], {"alarming": 1})
    assert decisions.since(0) == []
    assert decisions.cursor("alarming") == 0


def test_what_was_kept_is_there_for_another_process(ledger: Ledger) -> None:
    ledger.decisions.append([event("k1")], [row("a")], {"alarming": 9})
    if not ledger.url:
        return
    migrate(ledger.url)
    with opened(ledger.url) as again:
        assert again.decisions.since(0) == ledger.decisions.since(0)
        assert again.decisions.cursor("alarming") == 9


def test_writers_beside_each_other_leave_no_number_behind_a_reader(ledger: Ledger) -> None:
    def write(name: str) -> None:
        for n in range(20):
            ledger.decisions.append([event(f"{name}{n}")], [row(name)], {name: n})

    writers = [threading.Thread(target=write, args=(name,)) for name in ("p", "q", "r")]
    for writer in writers:
        writer.start()
    seen: list[LedgerEvent] = []
    while any(w.is_alive() for w in writers):
        seen += ledger.decisions.since(seen[-1].seq if seen else 0)
    for writer in writers:
        writer.join()
    seen += ledger.decisions.since(seen[-1].seq if seen else 0)
    assert len({e.key for e in seen}) == 60


def test_nothing_is_kept_where_a_cursor_does_not_stand_as_was_said(decisions: Decisions) -> None:
    decisions.append([event("k1")], [row("a")], {"owner": 1}, only_if={"owner": 0})
    with pytest.raises(TakenOver):
        decisions.append([event("k2")], [row("b")], {"alarming": 9}, only_if={"owner": 0})
    assert [e.key for e in decisions.since(0)] == ["k1"]
    assert (decisions.row("alarm", "here", "b"), decisions.cursor("alarming")) == (None, 0)
    decisions.append([event("k2")], [], only_if={"owner": 1})
    assert [e.key for e in decisions.since(0)] == ["k1", "k2"]


def test_of_several_that_claim_at_once_one_has_it(ledger: Ledger) -> None:
    had: list[str] = []

    def try_it(name: str) -> None:
        with suppress(TakenOver):
            ledger.decisions.append([event(name)], [], {"owner": 1}, only_if={"owner": 0})
            had.append(name)

    tries = [threading.Thread(target=try_it, args=(name,)) for name in "pqrs"]
    for each in tries:
        each.start()
    for each in tries:
        each.join()
    assert [e.key for e in ledger.decisions.since(0)] == had
    assert len(had) == 1


def test_a_database_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    engine = open_ledger(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises(Unavailable, match="ledger"):
        SqlDecisions(engine).since(0)
    with pytest.raises(Unavailable, match="ledger"):
        SqlDecisions(engine).append([], [], {"a": 1})
    SqlDecisions(engine).close()


def test_the_twin_can_be_away_too() -> None:
    twin = MemoryDecisions()
    twin.away = True
    with pytest.raises(Unavailable):
        twin.append([], [])


def test_the_migrations_make_what_the_code_expects(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(url)
    engine = open_ledger(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or _ours(name)}
        )
        assert alembic.autogenerate.compare_metadata(context, metadata) == []
        pragma = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    engine.dispose()
    assert pragma == 2, "an append must be on the disk when it returns"


def _ours(name: str | None) -> bool:
    return name in metadata.tables


def test_another_writer_that_holds_the_ledger_is_waited_for_as_long_as_told(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(url)
    engine, other = open_ledger(url, wait_s=0.01), open_ledger(url)
    decisions = SqlDecisions(engine)
    with other.execution_options(writing=True).begin():
        with pytest.raises(Unavailable, match="locked"):
            decisions.append([], [], {"reader": 1})
        assert decisions.cursor("reader") == 0, "reading goes on"
    decisions.append([], [], {"reader": 1})
    assert decisions.cursor("reader") == 1
    engine.dispose()
    other.dispose()
