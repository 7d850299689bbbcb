"""What a profile may derive of its points, and which mistakes are told where."""

from pathlib import Path

import pytest

from config.deriving import derived_points
from config.files import ProfileFile
from config.load import load_plant
from config.plant import STEWARD
from config.profile import Tags

RIVERSIDE = Path(__file__).parents[3] / "config" / "plants" / "riverside"
SITE = load_plant(RIVERSIDE)
ASSET = "a-booster"


def told(key: str, **row: object) -> tuple[list[str], list[tuple[str, str]]]:
    """The ids of the points that come of one row beside the booster set's own points, and the mistakes."""
    parts = {"pump": {"count": 2, "stride": 20, "name": {"en": "Pump {n}"}}}
    text = {"name": {"en": "x"}, **row}
    file = ProfileFile.model_validate(
        {"profile": "p", "version": 1, "name": {"en": "p"}, "protocol": "modbus", "class": "x",
         "parts": parts, "points": {}, "derived": {key: text}}
    )  # fmt: skip
    wrong: list[tuple[str, str]] = []
    points = list(derived_points(file, ASSET, SITE.points, lambda path, said: wrong.append((path, said))))  # fmt: skip
    return [point.id for point in points], wrong


def test_the_server_says_what_is_derived_and_no_agent_reads_it() -> None:
    point = SITE.points["a-booster/pump-1/run_time_day"]
    assert (SITE.agent_of(point), point.device, point.unit) == (STEWARD, "", "h")
    derive = point.spec.derive
    assert derive is not None
    assert (derive.of, derive.states) == ("a-booster/pump-1/state", frozenset({1}))
    assert SITE.points["a-booster/energy_day"].unit == SITE.points["a-booster/energy"].unit


def test_what_is_of_the_same_quantity_has_the_tags_of_what_it_is_made_of() -> None:
    tags = {id.removeprefix("a-booster/"): point.spec.tags for id, point in SITE.points.items()}
    assert tags["energy_day"] == Tags("Electric_Energy_Sensor", ("elec", "energy", "sensor"))
    assert tags["night_flow_min"] == tags["flow"] != Tags()
    assert tags["pump-1/run_time_day"] == Tags("Duration_Sensor")
    assert tags["pump-1/starts_day"] == tags["pump-1/duty_share_day"] == Tags()


def test_each_part_has_its_own() -> None:
    ids, wrong = told("pump.tripped_day", of="pump.state", kind="time_in", states=["tripped", 3])
    assert (ids, wrong) == ([f"{ASSET}/pump-{n}/tripped_day" for n in (1, 2)], [])


MISTAKES = [
    ("x", {"of": "nothing", "kind": "growth"}, "derived.x.of", "no point"),
    ("x", {"of": "pump.state", "kind": "starts", "states": [1]}, "derived.x.of", "same part"),
    ("fan.x", {"of": "fan.state", "kind": "starts", "states": [1]}, "derived.fan.x.of", "no point"),
    ("flow", {"of": "energy", "kind": "growth"}, "derived.flow", "already"),
    ("x", {"of": "flow", "kind": "growth"}, "derived.x.of", "is made of: counter"),
    ("pump.x", {"of": "pump.state", "kind": "time_in"}, "derived.pump.x.states", "tripped"),
    ("pump.x", {"of": "pump.state", "kind": "starts", "states": ["runs"]}, "derived.pump.x.states", "running"),
    ("x", {"of": "flow", "kind": "night_minimum", "between": ["23:00", "01:00"]}, "derived.x.between", "one day"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "row", "path", "said"), MISTAKES)
def test_a_mistake_is_told_where_it_stands(
    key: str, row: dict[str, object], path: str, said: str
) -> None:
    ids, wrong = told(key, **row)
    assert ids == []
    assert {where for where, _ in wrong} == {path}
    assert said in wrong[0][1]
