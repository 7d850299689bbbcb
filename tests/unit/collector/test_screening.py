"""A point's first reading is nothing to judge where it is good, fresh and within limits: whole columns become known."""

import numpy as np
import pytest
from msgspec.structs import replace

from collector.domain.conditions import Condition, LevelState, begin, compile_rule, known_from
from collector.live import LiveTable
from collector.screening import Screen
from config.rules import Level, Rule
from tests.alarm_world import SITE, START, Said, World, a_plant, a_rule, group_of, ms

LEVELS = (Level("high", 10.0, "high"), Level("low", 2.0, "low"))
RULES = (
    a_rule("high"),
    a_rule("band", levels=LEVELS, silent_after_s=20.0),
    a_rule("silent", kind="silent", levels=(), silent_after_s=30.0),
    a_rule("pump", point="tank/pump", kind="state", levels=(), abnormal_states=(1,)),
    a_rule("flow", point="tank/flow", tolerates=()),
)


def unread(rules: tuple[Rule, ...] = RULES) -> tuple[Screen, LiveTable]:
    """The rules as they are watched from second 0 on."""
    live = LiveTable([a_plant(rules)], life=1)
    watches = [compile_rule(rule, 60.0) for rule in rules]
    screen = Screen(watches, [live.row(SITE, rule.point) for rule in rules])
    for row, known in screen.rules_of.items():
        screen.settle(row, [begin(watches[rule], START) for rule in known])
    return screen, live


def looked(*said: Said, received: float) -> tuple[list[tuple[str, int]], int]:
    """Rules that a first look made known, each with its second, and how many readings are left to judge."""
    screen, live = unread()
    group = group_of(live, said, received)
    time = np.minimum(group.time, group.received)
    rules, since, lively = screen.lively(group, time)
    found = zip(rules.tolist(), since.tolist(), strict=True)
    return [(RULES[rule].id, (at - START) // 1000) for rule, at in found], len(lively)


def test_the_first_readings_of_a_row_are_all_passed_over() -> None:
    said = [Said(9, 5), Said(7, 6), Said(8, 10), Said(8, 2)]
    assert looked(*said, received=9) == ([("high", 7), ("band", 7)], 0)


def test_a_time_ahead_counts_as_its_arrival() -> None:
    assert looked(Said(50, 5), received=9) == ([("high", 9), ("band", 9)], 0)


@pytest.mark.parametrize(
    "said",
    [
        Said(9, 10.5),
        Said(9, 1.5),
        Said(9, None),
        Said(9, float("-inf")),
        Said(9, 5, "no_answer"),
        Said(9, 5, "in_test"),
        Said(9, 5, "clock_suspect"),
        Said(9, 5, live=False),
        Said(-12, 5),
    ],
)
def test_a_row_with_a_reading_that_says_more_is_judged_with_all_of_them(said: Said) -> None:
    beside = Said(8, 5, point="tank/flow")
    assert looked(Said(8, 5), said, beside, received=9) == ([("flow", 8)], 2)


def test_what_no_rule_tolerates_is_no_first_reading() -> None:
    assert looked(Said(9, 5, "clock_suspect", point="tank/flow"), received=9) == ([], 0)


def test_a_row_that_was_silent_only_is_not_waiting() -> None:
    screen, live = unread(RULES[2:3])
    group = group_of(live, [Said(9, 5), Said(8, 5, live=False)], 9)
    assert [len(found) for found in screen.lively(group, group.time)] == [0, 0, 0]


def test_the_first_value_of_a_state_is_judged() -> None:
    assert looked(Said(9, 0, point="tank/pump"), received=9) == ([], 1)


def test_a_silence_that_begins_with_the_first_reading_is_judged() -> None:
    assert looked(Said(30, 5), received=30) == ([("high", 30), ("band", 30)], 0)
    assert looked(Said(30.001, 5), received=30.001) == ([], 1)


def test_what_was_passed_over_is_known_since_its_first_reading_and_goes_on() -> None:
    tank = World(a_plant(RULES))
    tank.read(Said(3, 5), Said(2, 5), Said(4, 20, point="tank/flow"))
    assert (tank.now().condition, tank.now().since) == (Condition.NORMAL, ms(2))
    assert tank.events("condition", "blip") == []
    tank.wake(23)
    assert tank.now("band").condition is Condition.NORMAL
    tank.wake(24)
    assert (tank.now("band").condition, tank.now("band").since) == (Condition.UNKNOWN, ms(23.001))
    tank.read(Said(25, 11))
    assert tank.now().letter == "B"


def test_what_was_passed_over_is_kept_for_a_restart() -> None:
    tank = World(a_plant([a_rule()]))
    tank.read(Said(2, 5))
    tank.wake(4)
    kept = tank.decisions.row("rule", SITE, "high")
    assert kept is not None
    assert (kept.data["condition"]["unknown"], kept.data["condition"]["since"]) == (False, ms(2))
    tank.restart()
    tank.read(Said(5, 11))
    assert tank.story("raised") == [(5, "raised")]


def test_of_a_group_that_is_newest_nobody_asks_again_when_its_points_were_last_heard() -> None:
    screen, live = unread(RULES[:1])
    known = known_from(begin(screen.watches[0], START), START)
    screen.settle(0, [replace(known, levels=(LevelState(active=True),))])
    screen.heard(group := group_of(live, [Said(2, 11)], 2), group.time)
    late = group_of(live, [Said(1, 12)], 3)
    assert len(screen.lively(late, late.time)[2]) == 1
    assert len(screen.lively(late, late.time, is_newest=True)[2]) == 0
