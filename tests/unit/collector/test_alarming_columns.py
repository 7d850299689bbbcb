"""Judging by columns gives what judging one reading after the other gives, and the same again on replay."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.domain.alarms import Event, RuleState, Step, on_sample, on_time, row_data, watch_from
from collector.domain.conditions import Sample, compile_rule
from collector.groups import Group
from collector.ports import LedgerEvent
from config.rules import Level, Rule
from tests.alarm_world import SITE, Said, World, a_plant, a_rule, group_of, ms

LEVEL, FLOW, PUMP = "tank/level", "tank/flow", "tank/pump"
RULES = (
    a_rule("high"),
    a_rule(
        "levels",
        levels=(Level("high", 10.0, "medium"), Level("high", 20.0, "critical")),
        on_delay_s=5.0,
        off_delay_s=3.0,
    ),
    a_rule("low", point=FLOW, levels=(Level("low", 10.0, "low"),), latch=True, on_delay_s=2.0),
    a_rule("both", point=FLOW, levels=(Level("high", 20.0, "high"), Level("low", 9.0, "high"))),
    a_rule("picky", point=FLOW, tolerates=(), off_delay_s=4.0),
    a_rule("pump", point=PUMP, kind="state", levels=(), abnormal_states=(10, 20)),
    a_rule("slow", point=PUMP, kind="state", levels=(), abnormal_states=(5,), on_delay_s=7.0),
    a_rule(
        "patient",
        point=PUMP,
        kind="state",
        levels=(),
        abnormal_states=(5,),
        on_delay_s=100.0,
        off_delay_s=90.0,
    ),
    a_rule("silent", kind="silent", levels=()),
    a_rule("quiet", point=FLOW, kind="silent", levels=(), silent_after_s=20.0, on_delay_s=6.0),
)
VALUES = (5.0, 8.9, 9.0, 9.5, 10.0, 10.5, 11.0, 18.9, 20.0, 21.0, 1e300)
LOST = (None, float("inf"))
AGES = (0.0, 0.5, 1.0, 1.0, 3.0, 8.0, 20.001, 60.001, 90.0, -2.0)
QUALITIES = ("good",) * 8 + ("clock_suspect", "stale_source", "in_test", "no_answer")


@dataclass(frozen=True, slots=True)
class Heard:
    """One group as it came: readings and the second of arrival."""

    received: float
    said: tuple[Said, ...]


@st.composite
def streams(draw: st.DrawFn) -> list[Heard]:
    """Up to a dozen groups; some readings late, ahead of time, lost, repeated or history."""
    now, groups = 0.0, []
    for _ in range(draw(st.integers(1, 12))):
        now += draw(st.sampled_from((0.25, 1.0, 2.0, 5.0, 30.0, 61.0)))
        readings = st.builds(
            Said,
            time=st.sampled_from([now - age for age in AGES]),
            value=st.one_of(st.sampled_from(VALUES), st.sampled_from((*VALUES, *LOST))),
            quality=st.sampled_from(QUALITIES),
            live=st.sampled_from((True,) * 9 + (False,)),
            point=st.sampled_from((LEVEL, FLOW, PUMP)),
        )
        groups.append(Heard(now, tuple(draw(st.lists(readings, min_size=1, max_size=8)))))
    return groups


@st.composite
def caught_up(draw: st.DrawFn) -> list[Heard]:
    """A few groups in which points tell much at once, as after an outage: long even runs and what breaks them."""
    now, groups = 0.0, []
    for _ in range(draw(st.integers(1, 3))):
        now += draw(st.sampled_from((10.0, 100.0, 400.0)))
        said: list[Said] = []
        for point in (LEVEL, FLOW, PUMP):
            runs = draw(st.lists(st.tuples(
                st.sampled_from(VALUES), st.integers(1, 150), st.sampled_from((0.1, 0.1, 1.0, 61.0)),
                st.sampled_from(QUALITIES),
            ), max_size=4))  # fmt: skip
            time = now - draw(st.sampled_from((0.0, 5.0, 30.0, 90.0, 700.0)))
            for value, count, step, quality in runs:
                said += [Said(time + n * step, value, quality, point=point) for n in range(count)]
                time += count * step
        groups.append(Heard(now, tuple(said)))
    return [heard for heard in groups if heard.said]


@dataclass(slots=True)
class OneByOne:
    """The same rules judged reading by reading, without arrays."""

    events: list[Event] = field(default_factory=list)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, RuleState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.watches = {rule.id: compile_rule(rule, 60.0) for rule in RULES}
        self.states = {id: watch_from(watch, ms(0)) for id, watch in self.watches.items()}

    watches: dict[str, Any] = field(init=False)

    def judge(self, heard: Heard) -> None:
        received = ms(heard.received)
        self.fire(received - 1)
        for rule in RULES:
            for sample, live in self.samples(heard, rule, received):
                self.note(
                    rule, on_sample(self.watches[rule.id], self.states[rule.id], sample, live=live)
                )
        self.fire(received, woken=received)

    def samples(self, heard: Heard, rule: Rule, received: int) -> list[tuple[Sample, bool]]:
        last_of = {(s.time, s.live): s for s in heard.said if s.point == rule.point}
        found = []
        for said in sorted(heard.said, key=lambda s: s.time):
            if said.point == rule.point and last_of[said.time, said.live] is said:
                group = group_of(WORLD.live, [said], heard.received)
                time = min(ms(said.time), received)
                sample = Sample(time, float(group.value[0]), int(group.quality[0]), received)
                found.append((sample, said.live))
        return found

    def fire(self, until: int, woken: int = 0) -> None:
        for rule in RULES:
            step = on_time(self.watches[rule.id], self.states[rule.id], until, woken=woken)
            self.note(rule, step)

    def note(self, rule: Rule, step: Step) -> None:
        self.states[rule.id] = step.state
        known = {event.key for event in self.events}
        self.events += [event for event in step.events if event.key not in known]
        for alarm in step.alarms:
            if not alarm.retrospective or self.rows.get(alarm.id, {}).get("retrospective", True):
                self.rows[alarm.id] = row_data(alarm)


WORLD = World(a_plant(RULES))
"""Only for its rows."""


def play(groups: list[Heard]) -> World:
    world = World(a_plant(RULES))
    for heard in groups:
        world.read(*heard.said, received=heard.received)
    return world


def _plain(event: LedgerEvent | Event) -> tuple[str, ...]:
    return (event.key, event.kind, str(event.at), event.subject)


@pytest.mark.usefixtures("unmeasured")
@settings(max_examples=80, deadline=None)
@given(streams())
def test_columns_and_one_by_one_come_to_the_same(groups: list[Heard]) -> None:
    compare(groups)


@pytest.mark.usefixtures("unmeasured")
@settings(max_examples=15, deadline=None)
@given(caught_up())
def test_long_stretches_and_one_by_one_come_to_the_same(groups: list[Heard]) -> None:
    compare(groups)


def compare(groups: list[Heard]) -> None:
    """By columns and one by one: the same conditions, rows and events."""
    world, slow = play(groups), OneByOne()
    for heard in groups:
        slow.judge(heard)
    shown = {id: (now.condition, now.letter) for id, now in world.live.conditions(SITE).items()}
    assert shown == {id: (s.condition.shown, s.letter) for id, s in slow.states.items()}
    live_rows = {
        row.id: dict(row.data)
        for row in world.decisions.rows("alarm")
        if not row.data["retrospective"]
    }
    expected = {id: row for id, row in slow.rows.items() if not row["retrospective"]}
    assert live_rows == {id: {**row, "suppression": []} for id, row in expected.items()}
    assert _apart(world.events(), live_rows) == _apart(slow.events, live_rows)


def _apart(events: Iterable[LedgerEvent | Event], live: Container[str]) -> set[tuple[str, ...]]:
    """All events but what history says of an occurrence that was judged live."""
    return {
        _plain(e) for e in events if not (e.subject in live and e.kind.startswith("retrospective"))
    }


@pytest.mark.usefixtures("unmeasured")
@settings(max_examples=20, deadline=None)
@given(streams())
def test_a_replay_gives_the_same_alarms_byte_for_byte(groups: list[Heard]) -> None:
    first, second = play(groups), play(groups)
    assert second.events() == first.events()
    assert second.decisions.rows("alarm") == first.decisions.rows("alarm")


@pytest.mark.usefixtures("unmeasured")
@settings(max_examples=20, deadline=None)
@given(streams(), st.integers(0, 11))
def test_a_restart_in_between_changes_nothing(groups: list[Heard], at: int) -> None:
    whole, broken = play(groups), World(a_plant(RULES))
    for n, heard in enumerate(groups):
        if n == at:
            broken.restart()
        broken.read(*heard.said, received=heard.received)
    assert {_plain(e) for e in broken.events()} == {_plain(e) for e in whole.events()}
    assert broken.live.conditions(SITE) == whole.live.conditions(SITE)


@pytest.mark.usefixtures("unmeasured")
@settings(max_examples=20, deadline=None)
@given(streams(), st.data())
def test_groups_judged_again_after_a_kill_write_nothing_twice(
    groups: list[Heard], data: st.DataObject
) -> None:
    """What was decided but not yet written is decided again, the same."""
    whole, killed = play(groups), World(a_plant(RULES))
    for n, heard in enumerate(groups):
        killed.decisions.away = data.draw(st.booleans(), label="ledger away")
        _read_without_ledger(killed, heard, n + 1)
        if killed.decisions.away:
            killed.decisions.away = False
            killed.restart()
            killed.flush()
    assert {_plain(e) for e in killed.events()} == {_plain(e) for e in whole.events()}
    keys = [e.key for e in killed.events()]
    assert len(keys) == len(set(keys))


def _read_without_ledger(world: World, heard: Heard, position: int) -> None:
    group: Group = group_of(world.live, heard.said, heard.received, position=position)
    world.groups.append(group)
    world.live.apply(group)
    world.alarming.judge(group)
    if not world.decisions.away:
        world.flush()


def test_rows_without_rules_and_rows_born_later_cost_nothing() -> None:
    world = World(a_plant([a_rule()]))
    row = np.array([world.live.row(SITE, f"new/{n}") for n in range(300)], np.int64)
    group = group_of(world.live, [Said(1, 5)], 1, position=1)
    wide = replace(
        group,
        row=row,
        time=np.full(300, ms(1)),
        value=np.full(300, np.nan),
        quality=np.full(300, 65, np.uint8),
        live=np.ones(300, np.bool_),
        agent=np.zeros(300, np.int64),
    )
    world.live.apply(wide)
    world.alarming.judge(wide)
    assert world.events() == []
