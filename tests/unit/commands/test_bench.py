import json
from collections.abc import Mapping

import pytest

from benchmarks import ingest
from benchmarks.rows import Row, show
from benchmarks.telegraf import lines_of
from commands import load

OURS = {"seconds": 4.0, "cpu_s": 6.0, "rss_mb": 200.0, "stored": 6_000_000}
PEER = {"seconds": 8.0, "cpu_s": 18.0, "rss_mb": 800.0, "stored": 6_000_000}


def test_json_is_a_list_of_rows_and_the_notes_are_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        Row("fast", 6.0, "points/s", 2.0, 3.0),
        Row("away", None, "MB", note="not run: no part"),
    ]
    show(rows, as_json=True)
    out, err = capsys.readouterr()
    assert json.loads(out) == [
        {"name": "fast", "ours": 6.0, "reference": 2.0, "unit": "points/s", "ratio": 3.0,
         "target": 3.0, "met": True},
        {"name": "away", "ours": None, "reference": None, "unit": "MB", "ratio": None,
         "target": None, "met": None},
    ]  # fmt: skip
    assert err == "away: not run: no part\n"


def rows_with(found: Mapping[str, Mapping[str, float]], **notes: str) -> dict[str, Row]:
    return {row.name: row for row in ingest.rows_of("natural", 6_000_000, found, notes)}


def test_the_floor_and_the_times_of_the_peer_are_rows_of_their_own() -> None:
    rows = rows_with({ingest.OURS: OURS, ingest.TELEGRAF: PEER, ingest.OURS_INFLUX: PEER})
    floor = rows["1a natural batches: stored, alarms and journal on"]
    peer = rows["1a natural batches: beside Telegraf to InfluxDB"]
    memory = rows["1a natural batches: memory, beside Telegraf and InfluxDB"]
    influx = rows["1a natural batches: InfluxDB as our store too, beside Telegraf"]
    assert (floor.ours, floor.target, floor.met) == (1_500_000, 1_000_000, True)
    assert (peer.ratio, peer.target, peer.met) == (2.0, 3.0, False)
    assert (memory.ratio, memory.target, memory.met) == (0.25, 0.5, True)
    assert (influx.ratio, influx.met) == (1.0, True)


def test_without_the_peer_its_rows_say_why_and_claim_nothing() -> None:
    rows = rows_with({ingest.OURS: OURS}, Telegraf="Telegraf not run: no go")
    beside = [row for name, row in rows.items() if "Telegraf" in name]
    assert len(beside) == 4
    assert all(row.note == "Telegraf not run: no go" and row.met is None for row in beside)


@pytest.mark.parametrize("shape", load.SHAPES.values())
def test_lines_are_counted_as_the_load_makes_them(shape: load.Shape) -> None:
    each = 20 * shape.points
    made = sum(len(text.splitlines()) for text in load.lines_of(0, shape, each, 0))
    assert lines_of(shape, each * shape.agents) == made * shape.agents
