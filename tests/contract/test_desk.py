"""One suite for every desk: the twin, SQLite and PostgreSQL keep the same promises."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from api.adapters.desk_memory import MemoryDesk
from api.adapters.desk_sql import SqlDesk, metadata
from api.ports import Conflict, Desk, DeskEvent, DeskRow
from collector.adapters.ledger_sql import open_ledger
from collector.ports import Unavailable
from commands.migrate import migrate
from tests.contract.ledgers import KINDS, fresh

SITE = "riverside"


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with fresh(request.param, tmp_path, request) as ledger:
        if not ledger.url:
            yield MemoryDesk()
            return
        engine = open_ledger(ledger.url)
        yield SqlDesk(engine)
        engine.dispose()


def event(key: str, subject: str = "202511-0001") -> DeskEvent:
    return DeskEvent("order", SITE, subject, "raised", 1000, "readings", key, {"a": "泵", "n": 1.5})


def row(id: str = "202511-0001", **changes: object) -> DeskRow:
    base = DeskRow("order", SITE, id, True, {"state": "reported"})
    return replace(base, **changes)  # type: ignore[arg-type]  # cases are data


def test_what_is_appended_is_read_back_in_order(desk: Desk) -> None:
    kept = desk.append([event("a"), event("b")], [row()], {"following": 7})
    assert [e.key for e in kept] == ["a", "b"]
    assert kept[0].seq < kept[1].seq
    assert desk.history("order", SITE, "202511-0001") == kept
    assert kept[0].data == {"a": "泵", "n": 1.5}
    assert desk.row("order", SITE, "202511-0001") == row()
    assert desk.cursor("following") == 7


def test_nothing_is_there_before_it_is_written(desk: Desk) -> None:
    assert desk.row("order", SITE, "202511-0001") is None
    assert desk.rows("order") == []
    assert desk.history("order", SITE, "202511-0001") == []
    assert desk.cursor("following") == 0


def test_a_step_done_twice_writes_once_and_keeps_its_cursor(desk: Desk) -> None:
    desk.append([event("a")], [row()], {"following": 1})
    again = desk.append([event("a")], [row()], {"following": 2})
    assert again == []
    assert len(desk.history("order", SITE, "202511-0001")) == 1
    assert desk.cursor("following") == 2


def test_a_cursor_may_go_on_alone(desk: Desk) -> None:
    assert desk.append([], [], {"following": 3}) == []
    assert desk.cursor("following") == 3


def test_the_same_key_at_another_site_is_another_event(desk: Desk) -> None:
    kept = desk.append([event("a"), replace(event("a"), site="hillside")], [])
    assert len(kept) == 2


def test_a_row_is_replaced_by_its_next_version_only(desk: Desk) -> None:
    desk.append([event("a")], [row()])
    desk.append([event("b")], [row(version=2, data={"state": "triaged"})])
    with pytest.raises(Conflict):
        desk.append([event("c")], [row(version=2, data={"state": "dispatched"})])
    found = desk.row("order", SITE, "202511-0001")
    assert found is not None
    assert (found.version, found.data) == (2, {"state": "triaged"})


def test_a_new_row_does_not_replace_one_that_is_there(desk: Desk) -> None:
    desk.append([event("a")], [row()])
    with pytest.raises(Conflict):
        desk.append([event("b")], [row()])


def test_after_a_conflict_nothing_of_the_append_is_kept(desk: Desk) -> None:
    desk.append([event("a")], [row()], {"following": 1})
    with pytest.raises(Conflict):
        desk.append([event("b")], [row(version=7)], {"following": 2})
    assert [e.key for e in desk.history("order", SITE, "202511-0001")] == ["a"]
    assert desk.cursor("following") == 1


def test_a_key_is_held_by_one_open_row_only(desk: Desk) -> None:
    desk.append([event("a")], [row(unique=("fault:pump|leak", "other"))])
    second = row("202511-0002", unique=("fault:pump|leak",))
    with pytest.raises(Conflict):
        desk.append([event("b", "202511-0002")], [second])
    closed = row(version=2, open=False, unique=("fault:pump|leak", "other"))
    desk.append([event("c")], [closed])
    desk.append([event("d", "202511-0002")], [second])
    with pytest.raises(Conflict):
        desk.append([event("e")], [row(version=3, unique=("fault:pump|leak",))])


def test_a_key_for_ever_is_never_given_again(desk: Desk) -> None:
    desk.append([event("a")], [row(unique_for_ever="alarm:1")])
    desk.append([event("b")], [row(version=2, open=False, unique_for_ever="alarm:1")])
    with pytest.raises(Conflict):
        desk.append([event("c")], [row("202511-0002", unique_for_ever="alarm:1")])
    desk.append([event("d")], [row("202511-0002", unique_for_ever="alarm:2")])


def test_rows_without_a_key_for_ever_do_not_collide(desk: Desk) -> None:
    desk.append([event("a")], [row(), row("202511-0002")])
    assert len(desk.rows("order", SITE)) == 2


def test_rows_come_newest_first_and_by_stream_site_and_openness(desk: Desk) -> None:
    desk.append([], [row(), row("202511-0002", open=False), row("202511-0003")])
    desk.append([], [row(version=2), replace(row("x"), stream="person", site="")])
    desk.append([], [replace(row("202511-0001"), site="hillside")])
    assert [r.id for r in desk.rows("order", SITE)] == [
        "202511-0003",
        "202511-0002",
        "202511-0001",
    ]
    assert [r.id for r in desk.rows("order", SITE, open_only=True, limit=1)] == ["202511-0003"]
    assert len(desk.rows("order")) == 4


def test_of_many_ids_those_that_are_there_are_found_each_by_its_own(desk: Desk) -> None:
    """More than go into one statement; another site and another stream have the same ids."""
    ids = [f"n{i}" for i in range(1_100)]
    desk.append([], [row(id, data={"of": id}) for id in ids])
    desk.append([], [row("n1", site="hillside"), row("n2", stream="token"), row("other")])
    desk.append([], [row("n7", open=False, version=2)])
    found = desk.those("order", SITE, {*ids, "missing"})
    assert set(found) == set(ids)
    assert found["n3"] == row("n3", data={"of": "n3"})
    assert found["n7"] == desk.row("order", SITE, "n7")
    assert set(desk.those("order", "hillside", ["n1", "n3"])) == {"n1"}
    assert desk.those("order", SITE, []) == {}


def test_numbers_have_no_gap_even_if_one_is_asked_for_and_not_used(desk: Desk) -> None:
    assert desk.number(SITE, "202511") == "202511-0001"
    assert desk.number(SITE, "202511") == "202511-0001"
    desk.append([event("a")], [row("202511-0001")])
    desk.append([event("b")], [row("202511-0001", version=2)])
    assert desk.number(SITE, "202511") == "202511-0002"
    assert desk.number(SITE, "202512") == "202512-0001"
    assert desk.number("hillside", "202511") == "202511-0001"


@pytest.mark.parametrize("skipped", ["202511-0002", "202511-0003"])
def test_an_order_cannot_take_a_number_out_of_turn(desk: Desk, skipped: str) -> None:
    with pytest.raises(Conflict):
        desk.append([event("a")], [row(skipped)])
    desk.append([event("a")], [row("202511-0001")])
    assert desk.number(SITE, "202511") == "202511-0002"


def test_after_9999_orders_a_month_the_number_gets_longer(desk: Desk) -> None:
    for n in (1, 2):
        desk.append([], [row(f"202511-{n:04d}")])
    assert desk.number(SITE, "202511") == "202511-0003"


def test_a_desk_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    engine = open_ledger(f"sqlite:///{tmp_path / 'missing' / 'ledger.db'}")
    with pytest.raises(Unavailable):
        SqlDesk(engine).rows("order")
    engine.dispose()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_migrations_make_the_tables_that_the_desk_speaks_to(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with fresh(kind, tmp_path, request) as ledger:
        engine = sa.create_engine(ledger.url)
        ours = set(metadata.tables)
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "include_name": lambda n, k, _p: k != "table" or n in ours,
                    "compare_type": True,
                },
            )
            assert compare_metadata(context, metadata) == []
        engine.dispose()


def test_what_one_process_keeps_another_reads(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(url)
    first, second = open_ledger(url), open_ledger(url)
    SqlDesk(first).append([event("a")], [row(unique=("k",))], {"following": 1})
    other = SqlDesk(second)
    assert other.row("order", SITE, "202511-0001") == row(unique=("k",))
    assert other.cursor("following") == 1
    for engine in (first, second):
        engine.dispose()


def test_who_is_let_in_is_read_in_one_statement(tmp_path: Path) -> None:
    """On SQLite a statement is its own transaction: to begin and end one took a fifth of each look."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(url)
    engine = open_ledger(url)
    desk, said = SqlDesk(engine), []
    desk.append([], [DeskRow("token", "", "a", True, {})])

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        said.append(statement.split()[0])

    sa.event.listen(engine, "before_cursor_execute", note)
    assert desk.row("token", "", "a") is not None
    assert said == ["SELECT"]
    assert set(desk.those("token", "", [str(n) for n in range(400)] + ["a"])) == {"a"}
    assert said == ["SELECT", "SELECT"]
    engine.dispose()
