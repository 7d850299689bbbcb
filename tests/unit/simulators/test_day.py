"""The demo's day: honest faults on the real plant, and quiet otherwise."""

from pathlib import Path

import pytest

from config.load import load_plant
from config.plant import Plant
from config.profile import ModbusLimits, Register
from simulators.day import honest_faults
from simulators.estate import Estate
from tests.unit.simulators.plants import camera_points, pit_points, plant_of

RIVERSIDE = Path(__file__).parents[3] / "config" / "plants" / "riverside"
START = 1_772_409_600_000


@pytest.mark.usefixtures("unmeasured")
def test_the_first_ten_minutes_hold_a_fault_its_repair_and_a_changeover_that_both_pumps_show() -> (
    None
):
    estate = Estate(load_plant(RIVERSIDE), 1)
    estate.advance(START)
    estate.schedule(honest_faults(estate.plant, 1, START))
    seen: dict[str, list[object]] = {"pump-1": [], "pump-2": [], "run": []}
    for second in range(0, 14 * 60, 5):
        estate.advance(START + second * 1000)
        for name in ("pump-1", "pump-2"):
            seen[name].append(estate.value(f"a-booster/{name}/state"))
        seen["run"].append(estate.value("generator/run"))
    at_40_s, at_130_s, ten_minutes = 8, 26, 120
    assert set(seen["pump-1"][:at_40_s]) == {1.0}
    assert set(seen["pump-1"][at_40_s:at_130_s]) == {2.0}
    assert set(seen["pump-1"][at_130_s:ten_minutes]) == {0.0}
    assert set(seen["pump-2"][at_40_s + 1 : ten_minutes]) == {1.0}
    assert 10 * 60 / 5 < seen["run"].count(1.0) <= 12 * 60 / 5


@pytest.mark.usefixtures("unmeasured")
def test_every_fault_of_a_day_is_possible_and_is_repaired() -> None:
    plant = load_plant(RIVERSIDE)
    steps = honest_faults(plant, 5, START)
    assert len(steps) > 80
    estate = Estate(plant, 5)
    estate.advance(START)
    estate.schedule(steps)
    estate.advance(START + 26 * 3_600_000)
    stations = estate.stations.values()
    assert not any(station.faults for station in stations)
    left = [one.kind for station in stations for _, one in station.imposed]
    assert left == ["trial_run"]
    assert honest_faults(plant, 5, START) == steps
    assert honest_faults(plant, 6, START) != steps


def small(*devices: tuple[str, str, str, str, str]) -> Plant:
    return plant_of(devices, [*pit_points(), *camera_points()], ModbusLimits())


def test_without_booster_sets_something_else_fails_first() -> None:
    pit = ("sump-pit", "mqtt", "pits", "sump-pit", "p7")
    camera = ("camera-1", "camera", "camera-1", "camera-1", "")
    assert honest_faults(small(pit, camera), 1, START)[0].kind == "flood"
    assert honest_faults(small(camera), 1, START)[0].kind == "no_media"
    assert honest_faults(small(("x", "modbus", "x", "x", "1")), 1, START) == ()


@pytest.mark.usefixtures("unmeasured")
def test_a_quiet_hour_of_the_real_plant_stays_within_what_its_profiles_expect() -> None:
    plant = load_plant(RIVERSIDE)
    estate = Estate(plant, 11)
    estate.advance(START)
    for minute in range(1, 61):
        estate.advance(START + minute * 60_000)
        for point in (p for p in plant.points.values() if p.device):
            value = estate.value(point.id)
            assert isinstance(value, float), f"{point.id} shows {value!r}"
            for allowed in (point.range, point.expected):
                assert allowed is None or allowed[0] <= value <= allowed[1], (point.id, value)
            if point.states:
                assert int(value) in point.states, (point.id, value)


def test_every_register_of_the_real_plant_answers_without_a_refusal() -> None:
    plant = load_plant(RIVERSIDE)
    estate = Estate(plant, 11)
    estate.advance(START)
    codes = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
    asked = 0
    for point in plant.points.values():
        if isinstance(point.source, Register):
            device = plant.devices[point.device]
            words = estate.words(device.line)
            source = point.source
            answer = words.answer(int(device.unit), codes[source.table], source.address, 1)
            assert isinstance(answer, list), point.id
            asked += 1
    assert asked > 100
