"""Conditions as properties: what must hold whatever the readings are."""

import math

from hypothesis import given
from hypothesis import strategies as st

from collector.domain.conditions import (
    Change,
    Condition,
    Sample,
    adopt,
    begin,
    compile_rule,
    priority_of,
    rank_of,
    review,
    run_to,
    take,
    take_late,
)
from config.rules import PRIORITIES, Level
from tests.alarm_world import a_rule, ms


def sample(second: float, value: float, quality: int = 0) -> Sample:
    return Sample(ms(second), value, quality, ms(second))


@given(
    st.lists(st.floats(-0.49, 0.49), min_size=2, max_size=60),
    st.floats(0, 5),
    st.sampled_from(("high", "low")),
    st.floats(-3, 3),
)
def test_a_signal_that_moves_less_than_its_deadband_never_toggles(
    moves: list[float], delay_s: float, side: str, offset: float
) -> None:
    level = Level("high" if side == "high" else "low", 10.0, "high")
    rule = a_rule(levels=(level,), deadband=1.0, on_delay_s=delay_s)
    watch = compile_rule(rule, 60)
    state, turns = begin(watch, ms(0)), 0
    for n, move in enumerate(moves):
        state, changes = take(watch, state, sample(n, 10.0 + offset + move))
        turns += sum(change.what in ("abnormal", "normal") for change in changes)
    assert turns <= 1


@given(st.lists(st.tuples(st.floats(allow_nan=True), st.integers(0, 80)), max_size=30))
def test_lost_data_is_never_normal_and_never_changes_what_is_held(
    readings: list[tuple[float, int]],
) -> None:
    watch = compile_rule(a_rule(off_delay_s=3), 60)
    state = begin(watch, ms(0))
    for n, (value, quality) in enumerate(readings):
        held, _ = run_to(watch, state, ms(n))
        state, _ = take(watch, state, sample(n, value, quality))
        if quality >= 64 or not math.isfinite(value):
            assert state.shown is Condition.UNKNOWN
            assert state.abnormal == held.abnormal


def test_ranks_and_priorities_are_two_names_of_one_order() -> None:
    assert [priority_of(rank_of(p)) for p in PRIORITIES] == list(PRIORITIES)
    assert rank_of("critical") > rank_of("low")


def test_a_watch_of_a_rule_without_levels_is_never_abnormal() -> None:
    watch = compile_rule(a_rule(levels=()), 60)
    state, changes = take(watch, begin(watch, ms(0)), sample(1, 1e9))
    assert (state.shown, [c.what for c in changes]) == (Condition.NORMAL, ["first"])
    assert adopt(watch, state, ms(2)).levels == ()


def test_a_late_stretch_ends_at_an_unusable_reading_with_its_last_abnormal_one() -> None:
    watch = compile_rule(a_rule(), 60)
    state, _ = take(watch, begin(watch, ms(0)), sample(50, 5))
    state, opened = take_late(watch, state, sample(1, 11))
    state, grown = take_late(watch, state, sample(3, 12))
    state, ended = take_late(watch, state, sample(4, 5, quality=65))
    assert [c.what for c in opened + grown + ended] == ["late_opened", "late_grown", "late_ended"]
    assert ended[0].until == ms(3)
    assert state.late is None


def test_a_late_reading_before_an_open_stretch_begins_another() -> None:
    watch = compile_rule(a_rule(), 60)
    state, _ = take(watch, begin(watch, ms(0)), sample(50, 5))
    state, _ = take_late(watch, state, sample(20, 11))
    state, changes = take_late(watch, state, sample(10, 11))
    assert [(c.what, c.at) for c in changes] == [("late_ended", ms(20)), ("late_opened", ms(10))]


def test_an_edit_to_fewer_levels_holds_what_was_abnormal() -> None:
    two = a_rule(levels=(Level("high", 90, "low"), Level("low", 0, "high")), deadband=0)
    watch = compile_rule(two, 60)
    state, _ = take(watch, begin(watch, ms(0)), sample(1, -5))
    one = compile_rule(a_rule(levels=(Level("high", 90, "low"),)), 60)
    adopted = adopt(one, state, ms(2))
    assert adopted.shown is Condition.ABNORMAL
    reviewed, changes = review(one, adopted, ms(2), sample(1, -5))
    assert [(c.what, c.at) for c in changes] == [("normal", ms(2))]
    assert reviewed.shown is Condition.NORMAL


def test_an_edit_is_judged_by_what_the_new_version_may_look_at() -> None:
    watch = compile_rule(a_rule(), 60)
    state, _ = take(watch, begin(watch, ms(0)), sample(1, 5, quality=3))
    picky = compile_rule(a_rule(tolerates=()), 60)
    reviewed, changes = review(picky, adopt(picky, state, ms(2)), ms(2), sample(1, 5, quality=3))
    assert changes == (Change("unknown", ms(2)),)
    assert reviewed.shown is Condition.UNKNOWN
    again, none = review(picky, reviewed, ms(3), sample(1, 5))
    assert (again, none) == (reviewed, ())


def test_an_edit_of_a_silent_rule_counts_its_delay_from_the_edit() -> None:
    silent = compile_rule(a_rule(kind="silent", levels=(), on_delay_s=10), 60)
    state, _ = take(silent, begin(silent, ms(0)), sample(1, math.nan, quality=65))
    adopted = adopt(silent, state, ms(5))
    assert run_to(silent, adopted, ms(14))[1] == ()
    assert [c.at for c in run_to(silent, adopted, ms(15))[1]] == [ms(15)]


def test_silence_after_an_off_delay_began_breaks_it() -> None:
    silent = compile_rule(a_rule(kind="silent", levels=(), off_delay_s=100), 60)
    state, raised = run_to(silent, begin(silent, ms(0)), ms(70))
    state, _ = take(silent, state, sample(80, 5))
    state, changes = run_to(silent, state, ms(500))
    assert [c.what for c in raised] == ["abnormal"]
    assert changes == ()
    assert state.shown is Condition.ABNORMAL


def test_news_already_silent_on_arrival_ends_no_silence() -> None:
    silent = compile_rule(a_rule(kind="silent", levels=()), 60)
    state, _ = run_to(silent, begin(silent, ms(0)), ms(70))
    state, changes = take(silent, state, Sample(ms(80), 5, 0, ms(200)))
    assert (changes, state.shown) == ((), Condition.ABNORMAL)
    high = compile_rule(a_rule(), 60)
    state, changes = take(high, begin(high, ms(0)), Sample(ms(80), 5, 0, ms(200)))
    assert [c.what for c in changes] == []
    assert state.shown is Condition.UNKNOWN
