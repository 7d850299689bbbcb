"""Brick classes and Haystack markers of points: what is refused, what comes out, and that the shipped profiles have theirs."""

import tomllib
from pathlib import Path

import pytest

from config.load import LIBRARY, load_plant, load_profile
from config.mistakes import ConfigErrors
from config.profile import ProfilePoint, Tags
from config.tags import QUANTITIES

HEAD = """
profile = "meter"
version = 1
name = { en = "Meter" }
protocol = "modbus"
class = "energy-meter"
"""
UNITS = tomllib.loads((LIBRARY / "units.toml").read_text(encoding="utf-8"))["units"]
PROFILES = sorted((LIBRARY / "profiles").glob("*.toml"))


def points(folder: Path, *lines: str) -> dict[str, ProfilePoint]:
    """The points of a profile of one, `p`, of which these lines are written."""
    path = folder / "meter.toml"
    text = "\n".join(["[points.p]", 'name = { en = "P" }', 'at = "holding:0"', *lines])
    path.write_text(HEAD + text, encoding="utf-8")
    return {point.id: point for point in load_profile(path).points}


def test_a_point_has_its_class_and_markers(tmp_path: Path) -> None:
    lines = ['unit = "bar"', 'class = "Water_Pressure_Sensor"', 'haystack = ["water", "pressure", "sensor"]']  # fmt: skip
    assert points(tmp_path, *lines)["p"].tags == Tags("Water_Pressure_Sensor", ("water", "pressure", "sensor"))  # fmt: skip
    assert points(tmp_path)["p"].tags == Tags()


def test_named_bits_have_those_of_their_word_or_their_own(tmp_path: Path) -> None:
    bits = 'bits = { 0 = "fault", 1 = { id = "door", class = "Open_Close_Status", haystack = [] }, 2 = { id = "hot", class = "High_Temperature_Alarm" } }'  # fmt: skip
    made = points(tmp_path, 'kind = "flags"', bits, 'class = "Fault_Status"', 'haystack = ["alarm", "sensor"]')  # fmt: skip
    assert {id: point.tags for id, point in made.items()} == {
        "fault": Tags("Fault_Status", ("alarm", "sensor")),
        "door": Tags("Open_Close_Status"),
        "hot": Tags("High_Temperature_Alarm", ("alarm", "sensor")),
    }


FLAG, STATE = 'kind = "flag"\nat = "coil:0"\ntype = "bit"', 'kind = "state"\nnames = { 0 = { id = "off", en = "Off" } }'  # fmt: skip
WRONG = [
    (['class = "water pressure"'], "points.p.class: 'water pressure' is not of the form Water_Pressure_Sensor"),
    (['class = "Water_Pressure"'], "points.p.class: 'Water_Pressure' is no Brick class of a point: such end in _Sensor, _Status"),
    (['unit = "bar"', 'class = "Water_Level_Sensor"'], "points.p.class: 'Water_Level_Sensor' is of length, level or share, and the unit bar of pressure"),
    (['unit = "h"', 'class = "Temperature_Setpoint"'], "and the unit h of time in service"),
    (['class = "Pressure_Alarm"'], "'Pressure_Alarm' is there or not, and this is a measurement"),
    ([STATE, 'class = "Pressure_Sensor"'], "'Pressure_Sensor' is a number, and this is a state"),
    (['haystack = ["Water"]'], "points.p.haystack[0]: 'Water' is not of the form water or fuelOil"),
    (['haystack = ["sensor", "sensor"]'], "points.p.haystack: names a marker twice"),
    (['haystack = ["point", "sensor"]'], "or point, which every point has"),
    (['haystack = ["water"]'], "points.p.haystack: has none of sensor, cmd, sp; allowed: exactly one"),
    (['haystack = ["sensor", "sp"]'], "has sensor and sp of sensor, cmd, sp"),
    (['class = "Pressure_Setpoint"', 'haystack = ["sensor"]'], "says sensor, and the class Pressure_Setpoint is a sp"),
    (['haystack = ["alarm", "sensor"]'], "says alarm, which is there or not, and this is a measurement"),
    (['unit = "A"', 'haystack = ["elec", "volt", "sensor"]'], "says volt, and the unit A is of electric current"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_what_contradicts_the_point_is_refused_in_words(
    lines: list[str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigErrors) as refused:
        points(tmp_path, *lines)
    assert said in str(refused.value)


SOUND = [
    ['unit = "m"', 'haystack = ["water", "level", "sensor"]'],
    ['unit = "%"', 'class = "Power_Factor_Sensor"'],
    ['unit = "kWh"', 'kind = "counter"', 'class = "Electrical_Energy_Usage_Sensor"'],
    ['unit = "s"', 'class = "Temperature_Deadband_Setpoint"'],
    [STATE, 'class = "Pressure_Status"'],
    [STATE, 'haystack = ["water", "level", "alarm", "sensor"]'],
    ['unit = "W"', 'haystack = ["elec", "power", "energy", "sensor"]'],
]  # fmt: skip


@pytest.mark.parametrize("lines", SOUND, ids=[row[-1] for row in SOUND])
def test_what_does_not_is_taken(lines: list[str], tmp_path: Path) -> None:
    assert points(tmp_path, *lines)["p"].tags != Tags()


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_measured_quantity_of_a_shipped_profile_is_tagged(path: Path) -> None:
    measured = {sort for _, sorts in QUANTITIES.values() for sort in sorts} - {"share", "time"}
    for point in load_profile(path).points:
        if point.kind == "measurement" and UNITS[point.unit] in measured:
            assert "sensor" in point.tags.haystack or "sp" in point.tags.haystack, point.id
            assert point.tags.brick or point.id == "fuel_level", point.id


def test_points_of_a_plant_are_found_by_what_they_are() -> None:
    plant = load_plant(LIBRARY / "plants" / "riverside")
    found = {p.id for p in plant.points.values() if p.spec.tags.has(["water", "entering", "pressure"])}  # fmt: skip
    assert found == {"a-booster/suction_pressure", "b-booster/suction_pressure"}
    motors = {p.id for p in plant.points.values() if p.spec.tags.has(["Motor_Current_Sensor", "pump"])}  # fmt: skip
    assert motors == {f"{set}-booster/pump-{n}/current" for set in "ab" for n in (1, 2)}
