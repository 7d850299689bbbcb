from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.domain.alarms import Wish, on_sample, on_wish, watch_from
from collector.domain.conditions import Sample, compile_rule, priority_of
from commands.proving.history import AgentHistory, History, Key, Told, problems, told_of
from config.rules import Level
from tests.alarm_world import a_rule, ms

ONCE = [Told("alarm", "raised", 5, "high"), Told("alarm", "annunciated", 5, "high")]
MORE = [
    *ONCE,
    Told("alarm", "annunciated", 6, "critical"), Told("alarm", "returned", 7, "critical"),
    Told("alarm", "annunciated", 8, "high"), Told("alarm", "reset", 9, "high"), Told("alarm", "annunciated", 10, "high"),
    Told("alarm", "annunciated", 11, "critical"), Told("alarm", "priority", 12, "low"), Told("alarm", "annunciated", 13, "critical"),
    Told("other", "annunciated", 5, "low"), Told("other", "acknowledged", 6, "low"), Told("other", "returned", 7, "low", latched=True),
    Told("other", "annunciated", 8, "low"), Told("other", "returned", 9, "low", latched=True), Told("other", "acknowledged", 10, "low"),
    Told("other", "annunciated", 11, "low"),
]  # fmt: skip
LATCHED = [
    *ONCE,
    Told("alarm", "returned", 6, "high", latched=True),
    Told("alarm", "annunciated", 7, "high"),
]
AGAIN = [
    *LATCHED[:3],
    Told("alarm", "abnormal_again", 7, "high"),
    Told("alarm", "acknowledged", 8, "high"),
]
"""Acknowledged while its condition stands again: it is not over."""

KEYS = [("s", "a/p", 1_000 * n) for n in range(1, 6)]


def sound() -> History:
    values: dict[tuple[str, str, int], list[float | None]] = {key: [float(key[2])] for key in KEYS}
    values[KEYS[0]] = [None]
    agent = AgentHistory(
        made=6, held=1, journalled=5, numbers={("E", "data"): [(1, 1), (2, 4), (5, 5)]}
    )
    return History(
        {"e": agent}, dict(values), {key: list(rows) for key, rows in values.items()},
        {("s", "a/p")}, MORE, [("rule", 5, 7), ("rule", 9, None)], ["alarm:1", "alarm:2"],
    )  # fmt: skip


def test_a_history_in_which_everything_arrived_once_is_sound() -> None:
    assert problems(sound()) == []


def test_what_is_said_twice_at_an_instant_and_is_not_polled_may_replace_the_first() -> None:
    both: dict[Key, list[float | None]] = {**sound().journalled, KEYS[3]: [3_999.0, 4_000.0]}
    history = replace(agent(made=7, journalled=6), journalled=both)
    assert problems(replace(history, polled=frozenset())) == []
    assert problems(history) != []
    lost = {**sound().journalled, KEYS[3]: [None, 4_000.0]}
    assert problems(replace(history, journalled=lost)) == []


def test_a_latched_alarm_that_returned_after_its_acknowledgement_may_be_said_again() -> None:
    told = [
        *AGAIN,
        Told("alarm", "returned", 9, "high", latched=True),
        Told("alarm", "abnormal_again", 10, "high"),
        Told("alarm", "annunciated", 10, "high"),
    ]
    assert problems(replace(sound(), told=told)) == []


def agent(**changes: object) -> History:
    history = sound()
    history.agents = {"e": replace(history.agents["e"], **changes)}  # type: ignore[arg-type]  # a table of members
    return history


def without(history: History, side: str) -> History:
    getattr(history, side).pop(KEYS[2])
    return history


def with_value(value: list[float | None]) -> History:
    history = sound()
    history.stored = {**history.stored, KEYS[1]: value}
    return history


PLANTED = [
    ("a made reading that nobody has", agent(made=7), "1 of 7 made readings are lost"),
    ("a reading journalled twice", agent(made=5), "1 readings more than the 5 made"),
    ("a reading thinned where there was room", agent(made=7, thinned=1), "1 readings were thinned"),
    ("a loss that something doubled makes up for", agent(missing=1), "1 numbered batches will never come"),
    ("a number journalled twice", agent(numbers={("E", "data"): [(1, 1), (1, 1), (2, 2)]}), "number 1 where 2 was due"),
    ("a reading made twice and stored once", replace(agent(made=7, journalled=6), journalled={**sound().journalled, KEYS[3]: [4_000.0, 4_000.0]}), "1 polled readings are journalled more than once"),
    ("a number passed over", agent(numbers={("E", "data"): [(1, 1), (3, 3)]}), "number 3 where 2 was due"),
    ("a journalled reading that is not stored", without(sound(), "stored"), "1 journalled readings are not stored"),
    ("a stored reading that was never journalled", without(sound(), "journalled"), "1 stored readings were never journalled"),
    ("another value in the store", with_value([2_000.0000000000005]), "another value"),
    ("no value where there was one", with_value([None]), "another value"),
    ("a reading stored twice", with_value([2_000.0, 2_000.0]), "stored more than once"),
    ("an alarm said twice", replace(sound(), told=[*ONCE, *ONCE]), "made twice"),
    ("an alarm said again after a restart", replace(sound(), told=[*ONCE, Told("alarm", "annunciated", 905, "high")]), "made twice"),
    ("a latched alarm said again while nobody has acknowledged it", replace(sound(), told=LATCHED), "made twice"),
    ("a latched alarm said again that was acknowledged while it stood again", replace(sound(), told=[*AGAIN, Told("alarm", "annunciated", 9, "high")]), "made twice"),
    ("an alarm said again as less", replace(sound(), told=[*ONCE, Told("alarm", "annunciated", 6, "medium")]), "made twice"),
    ("a second order", replace(sound(), order_causes=["alarm:1", "alarm:1"]), "more than one order"),
    ("a second order for a fault that has one", replace(sound(), faults=[("pump trip", 5, 9), ("pump trip", 8, None)]), "a second work order at 8"),
    ("an alarm raised while it stands", replace(sound(), occurrences=[("rule", 5, 7), ("rule", 6, None)]), "raised again at 6"),
    ("an alarm raised before it returned", replace(sound(), occurrences=[("rule", 5, None), ("rule", 9, None)]), "raised again at 9"),
]  # fmt: skip


LEVELS = (Level("high", 10.0, "medium"), Level("high", 20.0, "critical"))
DEEDS = st.sampled_from((5.0, 11.0, 25.0, "acknowledge", "reset"))


@given(st.lists(DEEDS, max_size=12), st.booleans())
@example([11.0, 5.0, 11.0, "acknowledge"], True)
def test_what_people_know_of_an_alarm_is_known_here_too(
    deeds: list[float | str], latch: bool
) -> None:
    """Said again by a fault it is found; what was decided in good order is not."""
    watch = compile_rule(a_rule(latch=latch, levels=LEVELS), 3600)
    state, said = watch_from(watch, ms(0)), list[Told]()
    for n, deed in enumerate(deeds, 1):
        if isinstance(deed, str):
            subject = state.alarm.id if state.alarm else "none"
            kind: Literal["acknowledge", "reset"] = "reset" if deed == "reset" else "acknowledge"
            step = on_wish(state, Wish(f"w{n}", kind, subject, "li", ms(n)))
        else:
            step = on_sample(watch, state, Sample(ms(n), deed, 0, ms(n)))
        state = step.state
        said += [told_of(e.subject, e.kind, e.at, e.data) for e in step.events]
    assert problems(History({}, {}, {}, told=said)) == []
    if state.alarm and state.alarm.heard >= 0:
        again = Told(state.alarm.id, "annunciated", ms(99), priority_of(state.alarm.heard))
        assert problems(History({}, {}, {}, told=[*said, again])) != []


@pytest.mark.parametrize(("name", "history", "said"), PLANTED, ids=[p[0] for p in PLANTED])
def test_what_is_planted_is_found(name: str, history: History, said: str) -> None:
    found = problems(history)
    assert any(said in one for one in found), found
