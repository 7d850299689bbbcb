"""What the measurements of the edge stand on: their plant is sound, and lateness is what it says."""

from pathlib import Path

import pytest

from benchmarks.modbus_agents import _write_plant
from benchmarks.modbus_timers import lateness, p99
from config.load import load_plant
from edge.bus_time import uses_of


def test_the_plant_of_the_agents_is_read_as_meant(tmp_path: Path) -> None:
    _write_plant(tmp_path, [20_001, 20_002], 100, 5.0)
    plant = load_plant(tmp_path)
    assert [(line.host, line.port) for line in plant.lines.values()] == [
        ("127.0.0.1", 20_001),
        ("127.0.0.1", 20_002),
    ]
    read = [point for point in plant.points.values() if point.device]
    assert len(read) == 200
    assert {point.period_s for point in read} == {5.0}
    assert [(use.requests, use.registers) for use in uses_of(plant)] == [(1, 100), (1, 100)]


def test_late_is_what_lies_behind_the_earliest_place_in_the_grid() -> None:
    assert lateness([10.0, 11.0, 12.25, 13.0]) == pytest.approx([0.0, 0.0, 0.25, 0.0])
    assert lateness([10.7, 11.0, 12.6]) == pytest.approx([0.7, 0.0, 0.6]), "however late"
    assert p99([0.0] * 990 + [1.0] * 10) == pytest.approx(0.0, abs=0.02)
    assert p99([0.0] * 980 + [1.0] * 20) == 1.0
