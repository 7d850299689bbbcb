"""Drawn cameras through a day of weather and every failure; `steward prove pictures` runs many."""

from dataclasses import replace

import pytest

from commands.main import main
from commands.prove_pictures import run_pictures
from config.profile import PictureLimits
from edge.pictures import FAULTS

LIMITS = PictureLimits()


@pytest.mark.parametrize("seed", [2, 5, 26])
def test_a_day_of_weather_alarms_nobody_and_every_failure_is_found_in_time(seed: int) -> None:
    verdict = run_pictures(seed, minutes=30.0)
    assert verdict.pictures >= 48
    assert verdict.problems(LIMITS) == []
    assert {one.fault for one in verdict.found} == set(FAULTS)


def test_a_judge_that_is_slow_or_sees_too_much_is_found_out() -> None:
    slow = run_pictures(5, minutes=60.0, limits=replace(LIMITS, frames=6)).problems(LIMITS)
    assert "black at 13:00 found after 6, not 3" in slow
    nervous = run_pictures(5, minutes=60.0, limits=replace(LIMITS, black_below=200.0))
    assert "frozen at 13:00 called black" in nervous.problems(LIMITS)


def test_the_command_says_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "pictures", "--seeds", "1", "--minutes", "60"]) == 0
    said = capsys.readouterr().out
    assert "false alarms: 0" in said
    assert "cameras: 1" in said
