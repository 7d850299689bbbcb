from dataclasses import replace
from functools import cache

import pytest

from commands.scenarios import run_scenario, scenario_plant
from config.plant import Plant
from simulators.scenario import FOLDER, read_scenario, scenarios


@cache
def plant_of(name: str) -> Plant:
    return scenario_plant(name)


def riverside() -> Plant:
    return plant_of("riverside")


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("name", scenarios())
def test_what_must_follow_follows_and_nothing_else(name: str) -> None:
    path = FOLDER / f"{name}.toml"
    plant = plant_of(read_scenario(path).plant)
    verdict = run_scenario(read_scenario(path, plant), plant)
    assert verdict.ok, [
        f"{row.what}: wanted {row.expected}; seen {row.seen}" for row in verdict.rows if not row.ok
    ]


@pytest.mark.usefixtures("unmeasured")
def test_the_same_seed_gives_the_same_run() -> None:
    path = FOLDER / "modbus-links-fail.toml"
    plant = plant_of(read_scenario(path).plant)
    scenario = read_scenario(path, plant)
    assert run_scenario(scenario, plant, 3) == run_scenario(scenario, plant, 3)


@pytest.mark.usefixtures("unmeasured")
def test_a_scenario_that_does_not_come_true_fails() -> None:
    """The judge can say no: the pump's alarm is expected where the pit floods."""
    wrong = read_scenario(FOLDER / "standby-takes-over.toml", riverside())
    flood = read_scenario(FOLDER / "fire-while-flooding.toml", riverside())
    mixed = replace(wrong, actions=flood.actions, lasts_s=90.0)
    (alarm, *_) = run_scenario(mixed, riverside()).rows
    assert (alarm.ok, alarm.seen) == (False, "nothing")
