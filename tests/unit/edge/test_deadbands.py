from dataclasses import replace

import pytest

from config.plant import Point, PointSpec
from config.profile import Register
from edge.deadbands import Deadbands, Sent, is_news
from edge.point_table import grown
from edge.ports import PointReading

SPEC = PointSpec(
    {"en": "p"}, "measurement", "bar", Register("holding", 0, "u16"),
    period_s=10.0, deadband=0.5, longest_silence_s=60.0,
)  # fmt: skip
POINT = Point("a/p", "a", "d", SPEC)
LAST = PointReading("a/p", 4.0, 0, 100_000)
SENT: Sent = (100_000, 4.0, 0)

CASES = [
    ("the first reading", None, 4.0, 0, 0, True),
    ("a value within the deadband", SENT, 4.5, 0, 10_000, False),
    ("a value beyond the deadband", SENT, 4.51, 0, 10_000, True),
    ("a value below the deadband", SENT, 3.4, 0, 10_000, True),
    ("another quality", SENT, 4.0, 5, 10_000, True),
    ("a bad reading after a good one", SENT, None, 65, 10_000, True),
    ("the last read before the silence could end", SENT, 4.0, 0, 50_000, True),
    ("the read before that", SENT, 4.0, 0, 40_000, False),
    ("the same reading again", SENT, 4.0, 0, 0, False),
    ("another value at the same time", SENT, 9.0, 0, 0, True),
    ("an older reading is history", SENT, 4.0, 0, -1_000, True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "last", "value", "quality", "after", "news"), CASES, ids=[c[0] for c in CASES]
)
def test_what_is_news(
    name: str, last: Sent | None, value: float | None, quality: int, after: int, news: bool
) -> None:
    reading = PointReading("a/p", value, quality, 100_000 + after)
    assert is_news(POINT, last, reading) is news


def test_a_bad_reading_is_repeated_for_silence_only() -> None:
    bad: Sent = (100_000, None, 65)
    assert not is_news(POINT, bad, PointReading("a/p", None, 65, 110_000))
    assert is_news(POINT, bad, PointReading("a/p", None, 65, 150_000))


def test_a_percent_deadband_is_of_the_last_sent_value() -> None:
    point = Point("a/p", "a", "d", replace(SPEC, deadband=0.0, deadband_percent=10.0))
    assert not is_news(point, SENT, PointReading("a/p", 4.39, 0, 101_000))
    assert is_news(point, SENT, PointReading("a/p", 4.41, 0, 101_000))


def test_a_slow_drift_is_sent_once_it_leaves_the_band_of_what_was_sent() -> None:
    bands = Deadbands(grown((), [POINT]))
    rows = [PointReading("a/p", 4.0 + 0.1 * n, 0, 100_000 + 1_000 * n) for n in range(12)]
    assert [r.value for row in rows for r in bands.news([row], 0.0)] == pytest.approx([4.0, 4.6])


def test_after_a_restart_everything_is_news_again() -> None:
    bands = Deadbands(grown((), [POINT]))
    again = PointReading("a/p", 4.0, 0, 101_000)
    assert bands.news([LAST, again], 0.0) == [LAST]
    bands.restart()
    assert bands.news([again], 0.0) == [again]


def test_a_point_that_the_plant_does_not_know_is_left_out() -> None:
    assert Deadbands(grown((), [POINT])).news([PointReading("a/x", 1.0, 0, 1)], 0.0) == []


def test_an_older_reading_does_not_become_the_last_sent_one() -> None:
    bands = Deadbands(grown((), [POINT]))
    old = PointReading("a/p", 9.0, 0, 50_000)
    assert bands.news([LAST, old], 0.0) == [LAST, old]
    assert bands.news([PointReading("a/p", 4.1, 0, 101_000)], 0.0) == []


def test_a_bad_reading_that_comes_again_is_no_news() -> None:
    bands = Deadbands(grown((), [POINT]))
    bad = PointReading("a/p", None, 65, 100_000)
    assert bands.news([bad, bad], 0.0) == [bad]
    assert bands.news([PointReading("a/p", None, 65, 101_000)], 0.0) == []


def test_what_was_sent_outlives_a_change_that_does_not_touch_the_point() -> None:
    """Another becomes wider, a third comes: the table grows, and every point keeps its own last value."""
    q, r = (Point(f"a/{name}", "a", "d", SPEC) for name in "qr")
    before = grown((), [POINT, q])
    bands = Deadbands(before)
    sent = [PointReading(name, 4.0, 0, 100_000) for name in ("a/p", "a/q")]
    assert bands.news(sent, 0.0) == sent
    wider = Point("a/q", "a", "d", replace(SPEC, deadband=2.0))
    bands.change(grown(before.rows(), [r, POINT, wider]))
    again = [PointReading(name, 4.1, 0, 101_000) for name in ("a/p", "a/q", "a/r")]
    assert bands.news(again, 0.0) == again[1:]


HOUR_MS = 3_600_000
Came = tuple[float, int, float]
"""Seconds of its arrival, its time, its value."""


def row(came_s: float, time: int, count: int, every_s: float = 1.0) -> list[Came]:
    return [(came_s + every_s * n, time + round(1000 * every_s * n), 4.0) for n in range(count)]


def told(came: list[Came]) -> list[float]:
    """When those came that were news."""
    bands = Deadbands(grown((), [POINT]))
    return [at for at, time, value in came if bands.news([PointReading("a/p", value, 0, time)], at)]


def test_behind_a_clock_that_was_set_back_only_what_is_news_is_told() -> None:
    """The third reading shows that it was set; the next is due with the silence, as ever."""
    before = row(0.0, HOUR_MS, 3)
    after = row(3.0, 0, 60)
    assert told([*before, *after]) == [0.0, 3.0, 4.0, 5.0, 49.0]


def test_history_that_is_sent_afterwards_is_told_whole() -> None:
    """Its times go on faster than it comes."""
    burst = [(3.0 + n / 100, 10_000 * n, 4.0) for n in range(50)]
    assert told([*row(0.0, HOUR_MS, 3), *burst]) == [0.0, *(at for at, _, _ in burst)]


def test_history_between_the_readings_of_now_sets_no_clock() -> None:
    now, old = row(0.0, HOUR_MS, 20), row(0.5, 0, 20)
    mixed = [one for pair in zip(now, old, strict=True) for one in pair]
    assert told(mixed) == [0.0, *(at for at, _, _ in old)]
