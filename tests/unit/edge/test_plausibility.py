from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.plant import Point
from edge.plausibility import Plausibility
from edge.ports import PointReading
from edge.readings import QUALITIES, QUALITY_NAMES
from tests.unit.edge.rows import START_MS, register_point


def judged(point: Point, *values: float | None, every_s: float = 10.0) -> list[str]:
    """The qualities of values that are read at one pace."""
    plausible = Plausibility([point])
    readings = [
        PointReading(point.id, v, 0, START_MS + round(n * every_s * 1000))
        for n, v in enumerate(values)
    ]
    found = [r for one in readings for r in plausible.judged([one], one.time / 1000)]
    assert [(r.point, r.value, r.time) for r in found] == [
        (r.point, r.value, r.time) for r in readings
    ]
    return [QUALITY_NAMES[r.quality] for r in found]


def limited(rate_max: float = 1.0, **fields: Any) -> Point:
    return register_point("p", 0, rate_max=rate_max, **fields)


@pytest.mark.parametrize(
    ("values", "doubted"),
    [
        ([0, 5, 10, 20], []),
        ([0, 10.001], [1]),
        ([0, 50, 1, 2], [1]),
        ([0, 50, 51, 52], [1]),
        ([0, 50, 100, 150], [1, 2, 3]),
        ([0, -50, -50, -50], [1]),
        ([0, 50, 5, 50, 5], [1, 3]),
    ],
    ids=["slow", "just too fast", "a spike", "a step", "a ramp", "a step down", "flicker"],
)
def test_what_moves_too_fast_is_doubted(values: list[float], doubted: list[int]) -> None:
    found = judged(limited(), *values)
    assert [n for n, name in enumerate(found) if name == "rate_implausible"] == doubted
    assert set(found) <= {"good", "rate_implausible"}


def test_after_a_long_silence_a_value_may_be_far_away() -> None:
    assert judged(limited(), 0, 50, every_s=60) == ["good", "good"]


def test_a_counter_that_rolls_over_goes_on() -> None:
    counter = limited(kind="counter", rolls_over_at=65_536.0)
    assert judged(counter, 65_530, 3) == ["good", "good"]
    assert judged(limited(), 65_530, 3) == ["good", "rate_implausible"]


def test_what_never_moves_is_frozen_until_it_moves() -> None:
    still = register_point("p", 0, frozen_after_s=30.0)
    assert judged(still, 4, 4, 4, 4, 4, 5, 5, 5, 5) == ["good"] * 3 + ["frozen"] * 2 + ["good"] * 3 + ["frozen"]  # fmt: skip


def test_history_and_what_is_bad_say_nothing_of_now() -> None:
    point = limited()
    plausible = Plausibility([point])
    old = PointReading(point.id, 999.0, 0, START_MS - 1)
    bad = PointReading(point.id, None, QUALITIES["no_answer"], START_MS + 5)
    first = PointReading(point.id, 1.0, 0, START_MS)
    assert plausible.judged([first, old, bad], 0.0) == [first, old, bad]
    assert plausible.judged([PointReading("a/other", 1.0, 0, START_MS)], 0.0)[0].quality == 0


def test_a_point_that_becomes_another_is_looked_at_afresh() -> None:
    plausible = Plausibility([limited()])
    plausible.judged([PointReading("a/p", 0.0, 0, START_MS)], 0.0)
    plausible.change([limited(rate_max=2.0)])
    assert plausible.judged([PointReading("a/p", 99.0, 0, START_MS + 1000)], 1.0)[0].quality == 0
    plausible.change({})
    assert plausible.judged([PointReading("a/p", 1e9, 0, START_MS + 2000)], 2.0)[0].quality == 0


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_whatever_stays_within_the_rate_is_never_doubted(changes: list[float]) -> None:
    values = [sum(changes[: n + 1]) for n in range(len(changes))]
    assert set(judged(limited(rate_max=10.1), *values)) == {"good"}


def test_a_value_is_frozen_only_if_it_was_seen_all_the_time() -> None:
    still = register_point("p", 0, frozen_after_s=3600.0)
    plausible, hour = Plausibility([still]), 3_600_000

    def at(hours: float, value: float | None, quality: int = 0) -> str:
        reading = PointReading(still.id, value, quality, START_MS + round(hours * hour))
        return QUALITY_NAMES[plausible.judged([reading], hours * 3600)[0].quality]

    assert [at(0, 4.0), at(0.5, 4.0)] == ["good", "good"]
    assert at(0.6, None, QUALITIES["link_down"]) == "link_down"
    assert at(2.6, 4.0) == "good", "nobody saw it for two hours"
    assert at(3.5, 4.0) == "good"
    assert at(3.6, 4.0) == "frozen"
    assert at(3.7, 9.0, QUALITIES["out_of_expected_range"]) == "out_of_expected_range"
    assert at(3.8, 4.0) == "good", "it moved"


Came = tuple[float, float, float]
"""Of a reading: when it came and its own time, seconds since the start, and its value."""
HOUR_S = 3600.0


def told(point: Point, *came: Came) -> list[str]:
    """The qualities of readings that come with times of their own."""
    plausible = Plausibility([point])
    return [
        QUALITY_NAMES[r.quality]
        for came_s, own_s, value in came
        for r in plausible.judged(
            [PointReading("a/p", value, 0, START_MS + round(own_s * 1000))], came_s
        )
    ]


def row(came_s: float, own_s: float, *values: float, every_s: float = 10.0) -> list[Came]:
    """Values that come at one pace and are as far apart by their own times."""
    return [(came_s + n * every_s, own_s + n * every_s, v) for n, v in enumerate(values)]


BEFORE = row(0, 0, 20.0, 20.0)
SPIKE = row(40, 40, 9000.0, 20.1)
HISTORIES = {
    "none": [],
    "one reading": [(15.0, -3 * HOUR_S, 5.0)],
    "many at once": [(15.0, -3 * HOUR_S + 10 * n, 5.0) for n in range(100)],
    "many, one after the other": [(15.0 + n / 10, -3 * HOUR_S + 10 * n, 5.0) for n in range(100)],
    "the newest first": [(15.0 + n, -60.0 - 10 * n, 5.0) for n in range(20)],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_history_between_makes_no_spike_good_and_no_true_value_doubted(history: list[Came]) -> None:
    found = told(limited(), *BEFORE, *history, *SPIKE)
    assert found == ["good"] * (2 + len(history)) + ["rate_implausible", "good"]


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_history_between_does_not_say_that_a_value_never_moved(history: list[Came]) -> None:
    still = register_point("p", 0, frozen_after_s=1800.0)
    found = told(still, *row(0, 0, 20.0, 5.5), *history, *row(40, 40, 5.0, 5.0))
    assert set(found) == {"good"}


def test_history_that_comes_between_the_readings_of_now_sets_no_clock() -> None:
    now = row(0, 0, *[20.0] * 30, every_s=10.0)
    old = row(5, -3 * HOUR_S, *[5.0] * 30, every_s=10.0)
    mixed = [one for pair in zip(now, old, strict=True) for one in pair]
    found = told(limited(), *mixed, (300.0, 300.0, 9000.0), (310.0, 310.0, 20.0))
    assert found[-2:] == ["rate_implausible", "good"]
    assert set(found[:-2]) == {"good"}


def test_bad_readings_of_before_do_not_hide_that_a_value_never_moves() -> None:
    still = register_point("p", 0, frozen_after_s=30.0)
    plausible = Plausibility([still])
    bad = PointReading("a/p", None, QUALITIES["sensor_fault"], START_MS - 1000)
    found = [
        r
        for n in range(4)
        for r in plausible.judged(
            [PointReading("a/p", 4.0, 0, START_MS + n * 10_000), bad], 10.0 * n
        )
    ]
    assert [QUALITY_NAMES[r.quality] for r in found[::2]] == ["good"] * 3 + ["frozen"]


@pytest.mark.parametrize("every_s", [1.0, 10.0, 60.0, 900.0])
def test_a_clock_that_is_set_back_begins_anew_with_the_third_reading(every_s: float) -> None:
    point = limited(rate_max=1.0, period_s=every_s)
    before = row(0, 0, 20.0, 20.0, every_s=every_s)
    after = row(
        2 * every_s, -10 * HOUR_S, 7.0, 7.0, 7.0, 7 + 2000.0 * every_s, 7.0, every_s=every_s
    )
    assert told(point, *before, *after) == ["good"] * 5 + ["rate_implausible", "good"]


def test_a_clock_that_is_set_back_is_seen_by_readings_that_come_several_at_once() -> None:
    after = [(10.0 * (1 + n // 10), -HOUR_S + n, 7.0) for n in range(60)]
    spike = row(80, -HOUR_S + 70, 500.0, 7.0)
    found = told(limited(), *BEFORE, *after, *spike)
    assert found == ["good"] * 62 + ["rate_implausible", "good"]


def test_what_a_clock_is_set_forward_by_makes_no_value_frozen() -> None:
    still = register_point("p", 0, frozen_after_s=1800.0)
    before = row(0, 0, *[4.0] * 3)
    after = row(30, HOUR_S + 30, *[4.0] * 180)
    assert told(still, *before, *after) == ["good"] * 180 + ["frozen"] * 3


def test_what_is_frozen_stays_so_when_the_clock_is_set_forward() -> None:
    still = register_point("p", 0, frozen_after_s=20.0)
    after = row(30, HOUR_S + 30, 4.0, 4.0, 5.0)
    assert told(still, *row(0, 0, *[4.0] * 3), *after) == ["good"] * 2 + ["frozen"] * 3 + ["good"]


def test_a_value_that_a_device_tells_in_batches_is_frozen_by_the_times_of_the_device() -> None:
    still = register_point("p", 0, frozen_after_s=2 * HOUR_S)
    quarters = [(HOUR_S * (1 + n // 4), HOUR_S * (1 + n) / 4, 4.0) for n in range(16)]
    found = told(still, (HOUR_S / 4, HOUR_S / 4, 5.0), *quarters[1:])
    assert found == ["good"] * 9 + ["frozen"] * 7


def test_a_value_that_never_moved_is_frozen_in_what_a_device_sends_afterwards_too() -> None:
    still = register_point("p", 0, frozen_after_s=2 * HOUR_S)
    afterwards = [(6 * HOUR_S, n * HOUR_S / 4, 4.0) for n in range(1, 25)]
    found = told(still, (0.0, 0.0, 4.0), *afterwards)
    assert found == ["good"] * 8 + ["frozen"] * 17


def test_what_never_moves_in_the_first_that_a_device_sends_afterwards_is_frozen() -> None:
    """Each of them is nearer to its arrival than the one before: no clock was set forward."""
    still = register_point("p", 0, frozen_after_s=2 * HOUR_S)
    day = [(24 * HOUR_S, n * HOUR_S / 4, 4.0) for n in range(96)]
    assert told(still, *day) == ["good"] * 8 + ["frozen"] * 88


def test_a_clock_set_forward_between_two_readings_of_one_read_makes_no_value_frozen() -> None:
    still = register_point("p", 0, frozen_after_s=2 * HOUR_S)
    live = row(0, 0, *[4.0] * 60)
    both = [(600.0, 600.0, 4.0), (600.0, 24 * HOUR_S + 601.0, 4.0)]
    after = row(610, 24 * HOUR_S + 610, *[4.0] * 3)
    assert told(still, *live, *both, *after) == ["good"] * 65


def test_what_is_sent_afterwards_in_two_reads_is_frozen_all_the_same() -> None:
    """Of the gap between the two nobody can say whether a clock was set meanwhile."""
    still = register_point("p", 0, frozen_after_s=2 * HOUR_S)
    first = [(24 * HOUR_S, n * HOUR_S / 4, 4.0) for n in range(4)]
    second = [(24 * HOUR_S + 10.0, n * HOUR_S / 4, 4.0) for n in range(4, 96)]
    assert told(still, *first, *second) == ["good"] * 9 + ["frozen"] * 87


def test_readings_that_follow_at_once_are_no_jump() -> None:
    """After a link is back a point may be read twice within milliseconds."""
    assert judged(limited(), 1.0, 1.2, 1.1, every_s=0.01) == ["good", "good", "good"]
