import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
OTHER = Point("a/other", "a", "d", SPEC)
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
    ("1.5 periods and 2 s before the silence ends", SENT, 4.0, 0, 43_000, False),
    ("a moment later", SENT, 4.0, 0, 43_001, True),
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


WAITS = [
    ("the first reading", None, 4.0, 0, 0, 0.0),
    ("another value", SENT, 4.51, 0, 50_000, 0.0),
    ("another quality", SENT, 4.0, 5, 50_000, 0.0),
    ("the same again", SENT, 4.0, 0, 50_000, 8.0),
    ("the same again, late", SENT, 4.0, 0, 57_500, 0.5),
    ("the same again, too late", SENT, 4.0, 0, 70_000, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "last", "value", "quality", "after", "wait_s"), WAITS, ids=[w[0] for w in WAITS]
)
def test_what_says_again_what_was_sent_may_wait_until_its_silence_is_about_to_end(
    name: str, last: Sent | None, value: float, quality: int, after: int, wait_s: float
) -> None:
    bands = Deadbands(grown((), [POINT, OTHER]))
    if last is not None:
        bands.news([LAST, PointReading("a/other", 1.0, 0, 100_000)])
    other = PointReading("a/other", 1.0, 0, 150_000)
    news = bands.news([other, PointReading("a/p", value, quality, 100_000 + after), other])
    assert len(news.readings) == 2
    assert news.wait_s == wait_s


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
    assert [r.value for row in rows for r in bands.news([row]).readings] == pytest.approx(
        [4.0, 4.6]
    )


told = st.tuples(
    st.sampled_from([0, 1, 9_999, 10_000, 42_999, 43_000, 43_001, 43_002, -10_000]),
    st.sampled_from([4.0, 4.5, 5.0, None]),
    st.sampled_from([0, 5, 65]),
)


@given(st.lists(told, max_size=30))
def test_what_leaves_is_what_is_news_beside_the_newest_that_left(
    rows: list[tuple[int, float | None, int]],
) -> None:
    bands, last, time = Deadbands(grown((), [POINT])), None, 100_000
    for after, value, quality in rows:
        time = (last[0] if last else time) + after
        reading = PointReading("a/p", value, quality, time)
        news = is_news(POINT, last, reading)
        assert bands.news([reading]).readings == [reading] * news
        if news and (last is None or time >= last[0]):
            last = (time, value, quality)


def test_after_a_restart_everything_is_news_again() -> None:
    bands = Deadbands(grown((), [POINT]))
    again = PointReading("a/p", 4.0, 0, 101_000)
    assert bands.news([LAST, again]).readings == [LAST]
    bands.restart()
    assert bands.news([again]).readings == [again]


def test_a_point_that_the_plant_does_not_know_is_left_out() -> None:
    assert Deadbands(grown((), [POINT])).news([PointReading("a/x", 1.0, 0, 1)]).readings == []


def test_an_older_reading_does_not_become_the_last_sent_one() -> None:
    bands = Deadbands(grown((), [POINT]))
    old = PointReading("a/p", 9.0, 0, 50_000)
    assert bands.news([LAST, old]).readings == [LAST, old]
    assert bands.news([PointReading("a/p", 4.1, 0, 101_000)]).readings == []


def test_a_bad_reading_that_comes_again_is_no_news() -> None:
    bands = Deadbands(grown((), [POINT]))
    bad = PointReading("a/p", None, 65, 100_000)
    assert bands.news([bad, bad]).readings == [bad]
    assert bands.news([PointReading("a/p", None, 65, 101_000)]).readings == []


def test_what_was_sent_outlives_a_change_that_does_not_touch_the_point() -> None:
    """Another becomes wider, a third comes: the table grows, and every point keeps its own last value."""
    q, r = (Point(f"a/{name}", "a", "d", SPEC) for name in "qr")
    before = grown((), [POINT, q])
    bands = Deadbands(before)
    sent = [PointReading(name, 4.0, 0, 100_000) for name in ("a/p", "a/q")]
    assert bands.news(sent).readings == sent
    wider = Point("a/q", "a", "d", replace(SPEC, deadband=2.0))
    bands.change(grown(before.rows(), [r, POINT, wider]))
    again = [PointReading(name, 4.1, 0, 101_000) for name in ("a/p", "a/q", "a/r")]
    assert bands.news(again).readings == again[1:]


def test_a_point_keeps_a_time_a_value_and_a_quality() -> None:
    """So many bytes and no more, also of those that a reload brings: there is one of each for every point."""
    points = [Point(f"a/{n}", "a", "d", SPEC) for n in range(20_000)]
    few = grown((), points[:10_000])
    whole = grown(few.rows(), points)
    tracemalloc.start()
    try:
        bands = Deadbands(few)
        bands.change(whole)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < (8 + 8 + 1.2) * len(points)
