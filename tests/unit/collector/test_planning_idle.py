"""A planner that passes over plans for which nothing is due finds what one finds that looks at all of them."""

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from collector.domain.days import local_date, weekday_working
from collector.domain.intervals import Due, DueState, Frame, fixed_dues, period_dues, state_of
from collector.occurrences import turns, wants_order
from collector.ports import Ask, LedgerEvent
from config.load import LIBRARY, load_plant
from config.plant import Plant
from config.standards import Fixed, Meter, Period, PerPeriod
from tests.unit.collector.planners import DAY, HOUR, MIN, SITE, START, World, at


@pytest.fixture(scope="module")
def plant() -> Plant:
    """Of the demo one plan of each interval that people alone close."""
    plant = load_plant(LIBRARY / "plants" / "riverside")
    plans = {
        repr(plan.duty.every): plan
        for plan in plant.plans.values()
        if plan.duty.evidence is None and not isinstance(plan.duty.every, Meter)
    }
    return replace(plant, plans={plan.id: plan for plan in plans.values()})


async def tick(world: World, now: int, *, passing_over: bool) -> None:
    if not passing_over:
        for kept in world.planning._kept.values():
            kept.idle = (0, 0)
    await world.planning.tick(now)


@pytest.mark.usefixtures("unmeasured")
async def test_plans_passed_over_stand_as_if_they_were_looked_at(plant: Plant) -> None:
    rng = np.random.default_rng(20)
    worlds = {True: World(plant), False: World(plant)}
    now, ids, events = START, set[str](), list[LedgerEvent]()
    for number in range(200):
        if number % 5 == 4:
            id = sorted(ids)[int(rng.integers(len(ids)))]
            done = Ask(str(now), SITE, "done", id, "li", now, {"done_at": now - 2 * HOUR})
            for world in worlds.values():
                world.asks.ask(done)
        for passing_over, world in worlds.items():
            await tick(world, now, passing_over=passing_over)
        said, wanted = (world.decisions.since(len(events)) for world in worlds.values())
        assert said == wanted, now
        events += said
        kept = worlds[True].planning._kept.values()
        ids = {id for one in kept for id, data in one.rows.items() if data["open"]}
        now += int(rng.integers(10 * MIN, 12 * HOUR))
    assert worlds[True].data() == worlds[False].data()
    kinds = {event.kind for event in events}
    assert {"coming", "due", "late", "missed", "done", "wants_order"} <= kinds


async def test_an_idle_plan_is_not_looked_at_until_its_next_turn_or_midnight(plant: Plant) -> None:
    world = World(plant)
    await world.planning.tick(START)
    kept = list(world.planning._kept.values())
    assert all(k.idle[0] == START < k.idle[1] <= START + DAY for k in kept)
    until = min(k.idle[1] for k in kept)
    await world.planning.tick(until - 1)
    assert {k.idle[0] for k in kept} == {START}
    await world.planning.tick(until)
    assert until in {k.idle[0] for k in kept}


async def test_a_clock_that_was_put_back_makes_all_plans_looked_at(plant: Plant) -> None:
    world = World(plant)
    await world.planning.tick(START)
    await world.planning.tick(START - HOUR)
    assert {k.idle[0] for k in world.planning._kept.values()} == {START - HOUR}


ROME = ZoneInfo("Europe/Rome")
SUMMER_BEGINS = date(2026, 3, 29)
SLOTS = list(period_dues(PerPeriod("day", 2), Frame(ROME, SUMMER_BEGINS, weekday_working), SUMMER_BEGINS))  # fmt: skip
WIDE = Frame(ROME, date(2026, 3, 1), weekday_working, tolerance_days=10)
(YEARLY,) = fixed_dues(Fixed(Period(1, "year"), "2026-04-01"), WIDE, SUMMER_BEGINS)
"""An order is wanted 168 h before its day ends: summer time begins in between."""
METERED = Due("5", None, None, None, at("2026-03-30T07:15:00"), at("2026-04-02T03:05:00"), at("2026-04-03T10:25:00"))  # fmt: skip


@pytest.mark.parametrize("due", [*SLOTS, YEARLY, METERED], ids=lambda due: due.key)
def test_a_row_becomes_another_one_only_at_a_turn_or_at_midnight(due: Due) -> None:
    def stands(now: int) -> tuple[DueState, bool]:
        state = state_of(due, done=False, now=now, zone=ROME)
        return state, wants_order(due, state, now, is_open=True)

    step = 5 * MIN
    steps = range(at("2026-03-20T00:00:00"), at("2026-05-10T00:00:00"), step)
    changes = [now for now in steps if stands(now - step) != stands(now)]
    assert len(changes) >= 3
    for now in changes:
        turned = any(now - step < turn <= now for turn in turns(due))
        assert turned or local_date(now - step, ROME) != local_date(now, ROME), now
