"""What is made of a body that InfluxDB refused: readings that are lost, lines that are posted again."""

import pytest

from collector.adapters.influx_lines import Refused, readings_of, site_of, sorted_out

HOUR = 3_600_000
LINE = b"readings,asset=flow,site=a\\ b flow=1.5,flow/quality=1i,flow\\ x=2.5 17\n"
X = b"readings,asset=flow,site=a\\ b flow\\ x=2.5 17\n"
FLOW = b"readings,asset=flow,site=a\\ b flow=1.5,flow/quality=1i 17\n"
NEXT = b"readings,asset=flow flow=1.5 %d\n" % HOUR
PLACE = "readings,asset=flow,site=a\\ b "


def conflict(field: str) -> str:
    return f'partial write: field type conflict: input field "{field}" on measurement "readings" is type float, already exists as type integer dropped=1'


def test_a_line_is_counted_by_its_points() -> None:
    assert readings_of(LINE) == [
        Refused(PLACE + "flow", "17", "flow=1.5,flow/quality=1i"),
        Refused(PLACE + "flow\\ x", "17", "flow\\ x=2.5"),
    ]
    assert readings_of(b"no line protocol at all\n") == [Refused("no line protocol at all", "")]


def test_a_reading_is_of_the_site_that_its_line_names() -> None:
    sites = [site_of(one) for line in (LINE, NEXT, b"?") for one in readings_of(line)]
    assert sites == ["a b", "a b", "", ""]


@pytest.mark.parametrize(
    ("lines", "field", "refused", "again"),
    [
        ([LINE], "flow", ["flow"], [[X]]),
        ([LINE], "flow/quality", ["flow"], [[X]]),
        ([LINE], "flow x", ["flow\\ x"], [[FLOW]]),
        ([FLOW, FLOW], "flow", ["flow", "flow"], []),
        ([LINE, X], "flow", [], [[X], [LINE]]),  # first what does not hold it
        ([LINE, NEXT], "flow", [], [[LINE], [NEXT]]),  # another shard may take it
        ([LINE, NEXT], "flow/quality", [], [[NEXT], [LINE]]),
        ([LINE, X], "nowhere", [], [[LINE], [X]]),  # halves, until a line stands alone
    ],
)
def test_of_a_conflict_the_readings_of_that_field_go(
    lines: list[bytes], field: str, refused: list[str], again: list[list[bytes]]
) -> None:
    found = sorted_out(lines, conflict(field))
    assert [reading.place.removeprefix(PLACE) for reading in found.refused] == refused
    assert [list(part) for part in found.again] == again


def test_behind_the_retention_are_the_oldest() -> None:
    found = sorted_out([NEXT, X, LINE], "dropped 2 points outside retention policy of 1h dropped=2")
    assert [list(part) for part in found.again] == [[NEXT]]
    assert [reading.time for reading in found.refused] == ["17", "17", "17"]


def test_a_body_that_cannot_be_read_is_halved_until_a_line_stands_alone() -> None:
    assert sorted_out([X, b"?", X, X], "unable to parse").again == [[X, b"?"], [X, X]]
    assert sorted_out([b"?"], "unable to parse") == ([Refused("?", "")], [])
