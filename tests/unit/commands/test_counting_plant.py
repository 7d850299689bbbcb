from collections.abc import Callable
from pathlib import Path

import pytest

from commands.proving.counting_plant import (
    AGENT,
    NUMBERS,
    SITE,
    TRIP_EVERY,
    UNITS,
    UNKEPT_MS_MAX,
    WORDS,
    CountingDevices,
    asset_of,
    witness,
    write_plant,
)
from commands.proving.history import Key
from commands.proving.kills import polled_points
from config.load import load_plant
from edge.bus_time import uses_of
from simulators.layout import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, TARGET_SILENT

ASSET = asset_of(1)
OPENED = (10_000, 20_000)
GIVEN = {
    ASSET: [
        *((OPENED[0], n, OPENED[0] + 250 * n) for n in (1, 2, 3)),
        *((OPENED[1], n, OPENED[1] + 250 * n) for n in range(4, 21)),
    ]
}
KILL = OPENED[0] + 3 * 250 + 10
KILLS = [(KILL, KILL + 5)]
TRIPPED = f"{ASSET}/tripped"
ALL = tuple(range(1, 21))
Stored = dict[Key, list[float | None]]


def stored(*numbers: int) -> Stored:
    """Each answer by all its points, a second apart; a trip when it changes."""
    rows: Stored = {
        (SITE, f"{ASSET}/number_{point}", 1000 * at): [float(number)]
        for at, number in enumerate(numbers)
        for point in range(1, NUMBERS + 1)
    }
    last = None
    for at, number in enumerate(numbers):
        if (now := number // TRIP_EVERY % 2) != last:
            rows[SITE, TRIPPED, 1000 * at] = [float(now)]
        last = now
    return rows


def test_the_plant_is_read_by_one_request_a_device(tmp_path: Path) -> None:
    write_plant(tmp_path / "plant")
    plant = load_plant(tmp_path / "plant")
    assert (plant.site, list(plant.agents)) == (SITE, [AGENT])
    uses = uses_of(plant, plant.lines.values())
    numbers = {(SITE, f"{asset_of(unit)}/number_{n}") for unit in UNITS for n in range(1, NUMBERS + 1)}  # fmt: skip
    trips = {(SITE, f"{asset_of(unit)}/tripped") for unit in UNITS}
    assert polled_points(plant) == numbers | trips  # and none that the agent says of itself
    assert [(use.requests, use.registers, use.holes) for use in uses] == [(1, WORDS, 0)] * len(UNITS)  # fmt: skip


def test_each_answer_shows_its_own_number() -> None:
    devices = CountingDevices(lambda: 9)
    devices.given[ASSET] += [(0, n, 0) for n in range(1, 70_001)]
    answer = devices.answer(1, 3, 0, WORDS, 7)
    assert isinstance(answer, list)
    assert answer[:-1] == [1, 70_001 - 65_536] * NUMBERS
    assert devices.given[ASSET][-1] == (7, 70_001, 9)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [((9, 3, 0, WORDS), TARGET_SILENT), ((1, 4, 0, WORDS), ILLEGAL_FUNCTION), ((1, 3, 2, 4), ILLEGAL_ADDRESS)],
)  # fmt: skip
def test_what_is_no_whole_read_is_no_answer(asked: tuple[int, int, int, int], refusal: int) -> None:
    devices = CountingDevices(lambda: 9)
    assert devices.answer(*asked) == refusal
    assert not any(devices.given.values())


@pytest.mark.parametrize(
    ("missing", "unkept"), [((), 0), ((3,), 1), ((2, 3), 2), ((20,), 1), ((2, 3, 20), 3)]
)
def test_what_was_not_yet_kept_at_a_kill_and_what_was_under_way_is_no_loss(
    missing: tuple[int, ...], unkept: int
) -> None:
    found = witness(GIVEN, stored(*(n for n in ALL if n not in missing)), KILLS)
    assert (found.given, found.unkept, found.problems) == (20, unkept, ())


@pytest.mark.parametrize(
    ("missing", "kills", "lost"),
    [
        ((1, 2, 3), KILLS, {1: "510 ms before a kill"}),
        ((2, 3), [], {2: "no kill"}),
        ((2, 3), [(9_000, 9_999)], {2: "no kill"}),
        ((19, 20), KILLS, {19: "no kill"}),
        (ALL[3:], KILLS, dict.fromkeys(ALL[3:-1], "no kill")),
    ],
)
def test_what_an_agent_loses_at_its_end_beyond_that_is_a_loss(
    missing: tuple[int, ...], kills: list[tuple[int, int]], lost: dict[int, str]
) -> None:
    """Such as its last seconds, or all that was given on a connection."""
    assert UNKEPT_MS_MAX == 500
    found = witness(GIVEN, stored(*(n for n in ALL if n not in missing)), kills)
    assert len(found.problems) == len(lost)
    for said, (number, when) in zip(found.problems, lost.items(), strict=True):
        assert f"answer {number} is lost" in said
        assert when in said


def test_of_two_devices_on_a_line_one_answer_is_under_way() -> None:
    other = asset_of(2)
    given = {**GIVEN, other: [(opened, n, at + 20) for opened, n, at in GIVEN[ASSET]]}
    rows = stored(*ALL[:-1])
    rows |= {(site, point.replace(ASSET, other), at): v for (site, point, at), v in rows.items()}
    (problem,) = witness(given, rows, KILLS).problems
    assert f"{ASSET}: answer 20 is lost" in problem


def changed(key: tuple[str, int], values: list[float | None] | None) -> Callable[[], Stored]:
    """All, with another reading of a point at a time, or without it."""

    def rows() -> Stored:
        made: Stored = stored(*ALL)
        made.pop((SITE, *key), None)
        return made if values is None else {**made, (SITE, *key): values}

    return rows


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (lambda: stored(1, *ALL[2:]), "answer 2 is lost"),
        (lambda: stored(*ALL[:4], *ALL[5:]), "answer 5 is lost"),
        (lambda: stored(1, 2, 2, *ALL[2:]), "answer 2 is stored behind 2"),
        (lambda: stored(1, 3, 2, *ALL[3:]), "answer 2 is stored behind 3"),
        (lambda: stored(*ALL, 21), "1 answers are stored that were never given, first 21"),
        (changed((f"{ASSET}/number_7", 2000), None), "number_7 tells of other answers"),
        (changed((TRIPPED, 9000), [0.0]), "tripped is stored as 0.0 with answer 10"),
        (changed((TRIPPED, 17_000), None), "tripped is stored as 0.0 with answer 18"),
        (changed((TRIPPED, 17_500), [1.0]), "1 readings of tripped belong to no stored answer"),
    ],
)
def test_planted_faults_are_found(rows: Callable[[], Stored], problem: str) -> None:
    found = witness(GIVEN, rows(), KILLS).problems
    assert problem in found[0]


def test_a_reading_without_a_value_is_no_answer() -> None:
    rows = stored(*ALL)
    rows |= {(SITE, f"{ASSET}/number_1", 9500): [None], (SITE, f"{ASSET}/number_1", 9501): [float("nan")]}  # fmt: skip
    assert witness(GIVEN, rows, KILLS).problems == ()
