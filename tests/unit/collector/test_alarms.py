"""Occurrences: what people may do, what each letter means, what a row keeps."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.domain.alarms import (
    Event,
    RuleState,
    Suppression,
    Wish,
    alarm_of,
    on_edit,
    on_retire,
    on_sample,
    on_time,
    on_wish,
    row_data,
    watch_from,
)
from collector.domain.conditions import Condition, Sample, Watch, compile_rule
from config.rules import Level
from tests.alarm_world import a_rule, ms

IN_TEST, NO_ANSWER = 7, 65


def told(*values: float, quality: int = 0, **rule: Any) -> tuple[Watch, RuleState]:
    """A rule after these values, one a second from second 1 on."""
    watch = compile_rule(a_rule(**rule), 60)
    state = watch_from(watch, ms(0))
    for n, value in enumerate(values, 1):
        state = on_sample(watch, state, Sample(ms(n), value, quality, ms(n))).state
    return watch, state


def wish(state: RuleState, kind: Literal["acknowledge", "reset"], at: float = 9) -> Wish:
    subject = state.alarm.id if state.alarm else "none"
    return Wish("w1", kind, subject, "li", ms(at), "on my way")


@given(
    st.lists(st.sampled_from((5.0, 9.5, 11.0, 25.0, float("nan"))), min_size=1, max_size=20),
    st.booleans(),
)
def test_acknowledging_never_changes_the_condition(values: list[float], latch: bool) -> None:
    _, state = told(*values, latch=latch)
    after = on_wish(state, wish(state, "acknowledge")).state
    assert after.condition == state.condition
    if state.alarm and after.alarm:
        assert after.alarm.condition == state.alarm.condition
        assert after.alarm.held == state.alarm.held


@given(st.floats(10.1, 1e6), st.floats(10.1, 1e6))
def test_two_simultaneous_samples_make_one_occurrence(one: float, other: float) -> None:
    watch, state = told(5)
    events: list[Event] = []
    for value in (one, other):
        step = on_sample(watch, state, Sample(ms(2), value, 0, ms(2)))
        state, events = step.state, events + step.events
    assert [e.kind for e in events] == ["raised", "annunciated"]


@given(st.lists(st.sampled_from((5.0, 9.5, 11.0, 25.0, float("nan"))), max_size=20))
def test_a_refusal_changes_nothing(values: list[float]) -> None:
    _, state = told(*values, latch=True)
    for kind in ("acknowledge", "reset"):
        step = on_wish(state, wish(state, kind))
        if step.refused:
            assert (step.state, step.events, step.alarms) == (state, [], [])


def test_a_wish_for_another_occurrence_is_refused() -> None:
    _, state = told(11, latch=True)
    other = replace(wish(state, "acknowledge"), subject="high@tank~1")
    assert on_wish(state, other).refused == "nothing_to_acknowledge"
    assert on_wish(state, replace(other, kind="reset")).refused == "not_latched"


def test_a_rule_without_an_alarm_has_letter_a_and_nothing_to_retire() -> None:
    _, state = told(5)
    assert state.letter == "A"
    assert on_retire(state, ms(9)).events == []


def test_a_row_gives_the_occurrence_back() -> None:
    _, state = told(11, 8)
    alarm = state.alarm
    assert alarm is not None
    data = row_data(alarm)
    assert (data["class"], data["letter"], data["condition"]) == ("equipment", "D", "NORMAL")
    assert alarm_of(alarm.id, data) == alarm


def test_an_id_fits_one_segment_of_a_path() -> None:
    _, state = told(11, id="high@tank/pump-1")
    assert state.alarm is not None
    assert state.alarm.id == f"high@tank:pump-1~{ms(1)}"


@pytest.mark.parametrize(
    ("kinds", "letter"),
    [
        ((), "B"),
        (("shelved",), "E"),
        (("shelved", "by_design"), "F"),
        (("shelved", "by_design", "out_of_service"), "G"),
        (("out_of_service", "shelved"), "G"),
    ],
)
def test_the_strongest_suppression_gives_the_letter(kinds: tuple[Any, ...], letter: str) -> None:
    _, state = told(11)
    assert state.alarm is not None
    records = tuple(Suppression(kind, "li", "why", ms(1)) for kind in kinds)
    alarm = replace(state.alarm, suppression=records)
    assert alarm.letter == letter
    step = on_wish(replace(state, alarm=alarm), wish(state, "acknowledge"))
    assert step.refused is None, "recorded in E, F and G too (48)"


def test_an_alarm_announced_late_says_when_people_could_know() -> None:
    watch = compile_rule(a_rule(on_delay_s=2), 600)
    state = watch_from(watch, ms(0))
    state = on_sample(watch, state, Sample(ms(1), 11, 0, ms(1))).state
    step = on_time(watch, state, ms(90), woken=ms(90))
    alarm = step.state.alarm
    assert alarm is not None
    assert (alarm.raised_at, alarm.annunciated_at) == (ms(3), ms(3))
    assert alarm.announced_at == ms(90)


def test_a_level_rising_in_test_is_announced_with_its_priority_when_the_test_ends() -> None:
    levels = (Level("high", 10, "low"), Level("high", 20, "critical"))
    watch, state = told(11, 25, quality=IN_TEST, levels=levels)
    step = on_sample(watch, state, Sample(ms(9), 25, 0, ms(9)))
    assert [(e.kind, e.data.get("priority")) for e in step.events] == [("annunciated", "critical")]


def test_latched_in_test_only_needs_no_reset() -> None:
    _, state = told(11, 5, quality=IN_TEST, latch=True)
    assert state.alarm is None


def test_back_from_d_in_test_waits_for_the_end_of_the_test() -> None:
    watch, state = told(11, 5)
    state = on_sample(watch, state, Sample(ms(5), 11, IN_TEST, ms(5))).state
    assert (state.letter, state.condition.shown) == ("D", Condition.ABNORMAL)
    step = on_sample(watch, state, Sample(ms(6), 11, 0, ms(6)))
    assert step.state.alarm is not None
    assert (step.state.letter, step.state.alarm.chatter) == ("B", 1)


def test_a_latched_alarm_back_at_a_lower_level_takes_its_priority_silently() -> None:
    levels = (Level("high", 10, "low"), Level("high", 20, "critical"))
    watch, state = told(25, 5, 11, latch=True, levels=levels)
    assert state.alarm is not None
    assert (state.alarm.priority, state.alarm.annunciations) == ("low", 1)
    step = on_sample(watch, state, Sample(ms(9), 25, 0, ms(9)))
    assert [e.kind for e in step.events] == ["annunciated"]


def test_an_edited_rule_keeps_the_priority_until_it_rises() -> None:
    levels = (Level("high", 10, "low"), Level("high", 20, "critical"))
    _, state = told(11, 5, levels=levels)
    edited = compile_rule(a_rule(levels=(Level("high", 10, "high"), levels[1]), version="2"), 60)
    state = on_edit(edited, state, ms(4), None).state
    state = on_sample(edited, state, Sample(ms(5), 11, 0, ms(5))).state
    assert state.alarm is not None
    assert (state.alarm.priority, state.alarm.annunciations) == ("low", 2)
    state = on_sample(edited, state, Sample(ms(6), 25, 0, ms(6))).state
    assert state.alarm is not None
    assert (state.alarm.priority, state.alarm.annunciations) == ("critical", 3)


def test_raised_twice_in_one_instant_the_later_gets_an_instant_of_its_own() -> None:
    watch, state = told(11, regroup_s=0)
    for value in (5.0, 11.0):
        state = on_sample(watch, state, Sample(ms(1), value, 0, ms(1))).state
    assert state.alarm is not None
    assert state.alarm.raised_at == ms(1) + 1


def test_an_occurrence_never_returns_before_it_was_raised() -> None:
    watch = compile_rule(a_rule(on_delay_s=5), 60)
    state = watch_from(watch, ms(0))
    state = on_sample(watch, state, Sample(ms(1), 11, 0, ms(1))).state
    state = on_time(watch, state, ms(6)).state
    step = on_sample(watch, state, Sample(ms(5.5), 5, 0, ms(7)))
    assert [(e.kind, e.at) for e in step.events] == [("returned", ms(6))]


def test_lost_data_of_a_rule_without_an_alarm_is_told_of_the_rule() -> None:
    watch, state = told(5)
    step = on_sample(watch, state, Sample(ms(2), 5, NO_ANSWER, ms(2)))
    assert [(e.subject, e.kind) for e in step.events] == [("high", "condition")]


def test_a_return_without_an_occurrence_is_told_to_nobody() -> None:
    watch, state = told(11)
    step = on_sample(watch, replace(state, alarm=None), Sample(ms(2), 5, 0, ms(2)))
    assert step.events == []


def test_what_was_raised_before_its_test_began_is_annunciated() -> None:
    """The delay ran out before the reading in test, though nobody looked in between."""
    watch, state = told(11, on_delay_s=2)
    step = on_sample(watch, state, Sample(ms(9), 11, IN_TEST, ms(9)))
    assert [(e.kind, e.at) for e in step.events] == [("raised", ms(3)), ("annunciated", ms(3))]
