from collections.abc import Callable
from pathlib import Path

import pytest

from commands.proving.counting_plant import (
    AGENT,
    NUMBERS,
    SITE,
    UNITS,
    WORDS,
    CountingDevices,
    asset_of,
    witness,
    write_plant,
)
from commands.proving.history import Key
from config.load import load_plant
from edge.bus_time import uses_of
from simulators.layout import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, TARGET_SILENT

ASSET = asset_of(1)
GIVEN = {ASSET: [(100, 1), (100, 2), (100, 3), (200, 4), (200, 5)]}
Stored = dict[Key, list[float | None]]


def stored(*numbers: int) -> Stored:
    """Each answer by all its points, a second apart."""
    return {
        (SITE, f"{ASSET}/number_{point}", 1000 * at): [float(number)]
        for at, number in enumerate(numbers)
        for point in range(1, NUMBERS + 1)
    }


def test_the_plant_is_read_by_one_request_a_device(tmp_path: Path) -> None:
    write_plant(tmp_path / "plant")
    plant = load_plant(tmp_path / "plant")
    assert (plant.site, list(plant.agents)) == (SITE, [AGENT])
    uses = uses_of(plant, plant.lines.values())
    assert [(use.requests, use.registers, use.holes) for use in uses] == [(1, WORDS, 0)] * len(UNITS)  # fmt: skip


def test_each_answer_shows_its_own_number() -> None:
    devices = CountingDevices()
    devices.given[ASSET] += [(0, n) for n in range(1, 70_001)]
    answer = devices.answer(1, 3, 0, WORDS, 7)
    assert isinstance(answer, list)
    assert answer[:-1] == [1, 70_001 - 65_536] * NUMBERS
    assert devices.given[ASSET][-1] == (7, 70_001)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [((9, 3, 0, WORDS), TARGET_SILENT), ((1, 4, 0, WORDS), ILLEGAL_FUNCTION), ((1, 3, 2, 4), ILLEGAL_ADDRESS)],
)  # fmt: skip
def test_what_is_no_whole_read_is_no_answer(asked: tuple[int, int, int, int], refusal: int) -> None:
    devices = CountingDevices()
    assert devices.answer(*asked) == refusal
    assert not any(devices.given.values())


@pytest.mark.parametrize(
    ("kept", "unkept"), [((1, 2, 3, 4, 5), 0), ((1, 2, 4, 5), 1), ((1, 2, 3), 2), ((4, 5), 3)]
)
def test_what_was_not_yet_kept_at_a_kill_is_no_loss(kept: tuple[int, ...], unkept: int) -> None:
    found = witness(GIVEN, stored(*kept))
    assert (found.given, found.unkept, found.problems) == (5, unkept, ())


def without_a_point() -> Stored:
    rows = stored(1, 2, 3, 4, 5)
    del rows[SITE, f"{ASSET}/number_7", 2000]
    return rows


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (lambda: stored(1, 3, 4, 5), "answer 2 is lost"),
        (lambda: stored(1, 2, 3, 5), "answer 4 is lost"),
        (lambda: stored(1, 2, 2, 3, 4, 5), "answer 2 is stored behind 2"),
        (lambda: stored(1, 3, 2, 4, 5), "answer 2 is stored behind 3"),
        (lambda: stored(1, 2, 3, 4, 5, 6), "1 answers are stored that were never given, first 6"),
        (without_a_point, "number_7 tells of other answers"),
    ],
)
def test_planted_faults_are_found(rows: Callable[[], Stored], problem: str) -> None:
    (found,) = witness(GIVEN, rows()).problems
    assert problem in found


def test_a_reading_without_a_value_is_no_answer() -> None:
    rows = stored(1, 2, 3, 4, 5)
    rows |= {(SITE, f"{ASSET}/number_1", 9000): [None], (SITE, f"{ASSET}/number_1", 9001): [float("nan")]}  # fmt: skip
    assert witness(GIVEN, rows).problems == ()
