import pytest
from msgspec.structs import replace

from collector.columns import Columns
from collector.live import LiveTable
from collector.ports import Entry
from edge.readings import Batch, Birth, PointRow, encode

T0 = 1_763_700_000_000
ROWS = [PointRow(i, f"a/p{i}", "bar", "measurement", 1, "data", 1.0, 60.0) for i in range(200)]


def birth(rows: list[PointRow], epoch: str = "E", **facts: str) -> Entry:
    payload = encode(Birth("1.0", 1, epoch, "v", "h", rows, facts=facts))
    return Entry(T0, "birth", "s", "e", "", epoch, payload=payload)


def batch(index: int, value: float) -> Entry:
    payload = encode(Batch("E", 1, 1, T0, T0, [index], [0], [value], [0]))
    return Entry(T0, "batch", "s", "e", "data", "E", 1, payload=payload, readings=1)


@pytest.mark.usefixtures("unmeasured")
def test_births_that_tell_other_facts_take_no_room() -> None:
    columns = Columns(LiveTable([]))
    for second in range(1000):
        columns.born(birth(ROWS, clock=str(second)))
    assert columns.rows_held == len(ROWS)
    assert columns.join([batch(7, 4.5)]).value.tolist() == [4.5]


def test_a_table_that_changed_reads_only_what_comes_after_it() -> None:
    columns = Columns(LiveTable([]))
    gone = [replace(ROWS[0], retired=True), *ROWS[1:]]
    joined = columns.join([birth(ROWS), batch(0, 1.0), birth(gone), batch(0, 2.0), batch(1, 3.0)])
    assert joined.value.tolist() == [1.0, 3.0]
    assert [entry.reason for entry in joined.aside] == ["retired_index"]
    grown = [*ROWS, PointRow(200, "a/new", "bar", "measurement", 1, "data", 1.0, 60.0)]
    columns.born(birth(grown))
    assert columns.join([batch(200, 5.0)]).value.tolist() == [5.0]


def test_the_same_table_of_another_epoch_is_one_of_its_own() -> None:
    columns = Columns(LiveTable([]))
    columns.born(birth(ROWS))
    columns.born(birth(ROWS, "F"))
    assert columns.rows_held == 2 * len(ROWS)


def test_a_batch_that_came_out_of_a_journal_unreadable_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Journals of before groups had a checksum may hold one: a server that fails on it would fail at every start."""
    columns = Columns(LiveTable([]))
    columns.born(birth(ROWS))
    turned = replace(batch(1, 2.0), seq=2, payload=batch(1, 2.0).payload.replace(b",", b"\x0c", 1))
    assert columns.join([batch(0, 1.0), turned, batch(2, 3.0)]).value.tolist() == [1.0, 3.0]
    assert "batch 2 of s/e, lane data, came out of the journal unreadable" in caplog.text


def test_batches_whose_birth_the_journal_has_lost_are_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    columns = Columns(LiveTable([]))
    for _ in range(2):
        assert columns.join([batch(0, 1.0), batch(1, 2.0)]).value.tolist() == []
    (said,) = caplog.messages
    assert said.startswith("readings of s/e do not reach the store or the alarms from batch 1 on")
    columns.born(birth(ROWS))
    assert columns.join([batch(0, 1.0)]).value.tolist() == [1.0]
