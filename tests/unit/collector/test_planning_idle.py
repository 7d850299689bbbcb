"""A planner that passes over plans for which nothing is due finds what one finds that looks at all of them."""

from dataclasses import replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from collector.domain.days import local_date, weekday_working
from collector.domain.intervals import Due, DueState, Frame, fixed_dues, period_dues, state_of
from collector.occurrences import turns, wants_order
from collector.ports import Ask, LedgerEvent, Unavailable
from config.load import LIBRARY, load_plant
from config.plant import Plant
from config.standards import Fixed, Meter, Period, PerPeriod
from tests.unit.collector.planners import (
    DAY,
    HOUR,
    MIN,
    SERVICE,
    SITE,
    START,
    TRIAL,
    World,
    at,
    only,
)


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
        for kept in world.planning._kept:
            world.planning._idle.wake(kept.number)
            kept.stands = (0, 0)
    await world.planning.tick(now)


def idle(world: World) -> list[tuple[int, int]]:
    planning = world.planning
    return [planning._idle.span(kept.number) for kept in planning._kept]


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
        kept = worlds[True].planning._kept
        ids = {id for one in kept for id, data in one.rows.items() if data["open"]}
        now += int(rng.integers(10 * MIN, 12 * HOUR))
    assert worlds[True].data() == worlds[False].data()
    kinds = {event.kind for event in events}
    assert {"coming", "due", "late", "missed", "done", "wants_order"} <= kinds


@pytest.fixture(scope="module")
def watched() -> Plant:
    """Of the demo the plans that readings judge or close, and those that count a meter."""
    plant = load_plant(LIBRARY / "plants" / "riverside")
    plans = plant.plans.values()
    judged = [plan for plan in plans if plan.duty.evidence is not None]
    metered = next(plan for plan in plans if isinstance(plan.duty.every, Meter))
    often = replace(metered.duty, every=Meter("run_hours", 5, tolerance=1))
    found = [*judged, replace(metered, duty=often)]
    return replace(plant, plans={plan.id: plan for plan in found})


RUNS = (
    "generator/run", "sump-pit/pump_1", "fire-panel/mains_fault", "a-booster/pump-1/state",
    "a-booster/pump-2/state",
)  # fmt: skip


def shown(world: World, rng: np.random.Generator, since: int, now: int, late: list[int]) -> None:
    """Readings from `since` on: equipment runs now and then, one meter all the time; a hole comes later."""
    hole = since + (now - since) // 2
    for point in RUNS:
        runs = now - since < DAY and rng.random() < 0.1
        begins = since + int(rng.integers(now - since)) if runs else now
        stops = min(now, begins + int(rng.integers(MIN, 20 * MIN)))
        world.write(point, since, begins, 0, MIN)
        world.write(point, begins, stops, 1)
        if point != RUNS[1]:
            world.write(point, stops, now, 0, MIN)
    if now - since > 5 * HOUR:
        late[:] = [hole, now]
    elif late:
        world.write(RUNS[1], late[0], late[1], 1, MIN)
        late.clear()
    times = np.arange(since, now, 10 * MIN)
    hours = 1_890 + np.floor((times - START) / 360_000) / 10
    for time, value in zip(times.tolist(), hours.tolist(), strict=True):
        world.write("a-booster/pump-1/run_hours", time, time + 1, value)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("quick", [True, False], ids=["every few seconds", "every few hours"])
async def test_plans_of_which_no_readings_are_wanted_stand_as_if_they_were_looked_at(
    watched: Plant, seed: int, quick: bool
) -> None:
    """Of a meter a tick within a minute of its last reading may find less, so it ticks slowly only."""
    unmetered = {id: plan for id, plan in watched.plans.items() if plan.duty.evidence is not None}
    plant = replace(watched, plans=unmetered) if quick else watched
    steps = [1, 10_000, 59_999, MIN, 7 * MIN] if quick else [MIN, 7 * MIN, 3 * HOUR, 13 * HOUR]
    worlds, sources = {True: World(plant), False: World(plant)}, [seed, seed]
    rngs = [np.random.default_rng(source) for source in sources]
    rng, lates = np.random.default_rng(seed), (list[int](), list[int]())
    now, passed, events = START, 0, list[LedgerEvent]()
    for number in range(160):
        since, now = now, now + int(rng.choice(steps))
        if quick and number == 1:
            now = at("2026-03-31T12:00:00")
        open_ = sorted(
            row.id for row in worlds[True].decisions.rows("occurrence", SITE) if row.open
        )
        if number % 40 == 39 and open_:
            done = Ask(str(now), SITE, "done", str(rng.choice(open_)), "li", now, {})
            for world in worlds.values():
                world.asks.ask(done)
        for (passing_over, world), of, late in zip(worlds.items(), rngs, lates, strict=True):
            if now - since > 1:
                shown(world, of, since, now, late)
            passed += len(idle(world)) - len(world.planning._idle.over(now)) if passing_over else 0
            await tick(world, now, passing_over=passing_over)
        said, wanted = (world.decisions.since(len(events)) for world in worlds.values())
        assert said == wanted, now
        events += said
    assert worlds[True].data() == worlds[False].data()
    assert passed > 0
    assert {"completed", "done", "verdict_confirmed"} <= {event.kind for event in events}


async def test_an_idle_plan_is_not_looked_at_until_its_next_turn_or_midnight(plant: Plant) -> None:
    world = World(plant)
    await world.planning.tick(START)
    spans = idle(world)
    assert all(since == START < until <= START + DAY for since, until in spans)
    first = min(until for _, until in spans)
    await world.planning.tick(first - 1)
    assert {since for since, _ in idle(world)} == {START}
    await world.planning.tick(first)
    assert first in {since for since, _ in idle(world)}


async def test_a_clock_that_was_put_back_makes_all_plans_looked_at(plant: Plant) -> None:
    world = World(plant)
    await world.planning.tick(START)
    await world.planning.tick(START - HOUR)
    assert {since for since, _ in idle(world)} == {START - HOUR}


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


async def test_a_window_that_ended_while_the_store_was_away_is_looked_at_at_once(
    watched: Plant,
) -> None:
    world = World(only(watched, TRIAL, closes="by_person"))
    month_ends = at("2026-03-31T16:00:00")
    for now in (START, month_ends - MIN):
        await world.planning.tick(now)
    world.store.unavailable = "away"
    with pytest.raises(Unavailable):
        await world.planning.tick(month_ends)
    assert world.planning._idle.over(month_ends) == [0]
    world.store.unavailable = ""
    await world.planning.tick(month_ends)
    assert world.planning._idle.over(month_ends) == []
    assert world.one(TRIAL).data["verdict"] == "not_observable"


async def test_what_the_ledger_did_not_take_is_written_at_the_next_tick(plant: Plant) -> None:
    world = World(only(plant, SERVICE))
    await world.planning.tick(START)
    await world.planning.tick(START + 20 * DAY)
    (row,) = world.rows(SERVICE)
    keep, calls = world.decisions.append, list[int]()

    def append(*args: Any, **more: Any) -> None:
        calls.append(len(calls))
        if len(calls) == 3:
            raise Unavailable("the ledger is away")
        keep(*args, **more)

    world.decisions.append = append  # type: ignore[method-assign]  # call 3: completion and ask are kept, no row
    now = START + 20 * DAY + HOUR
    with pytest.raises(Unavailable):
        await world.say_done(row, now)
    await world.planning.tick(now + 10_000)
    assert [one["state"] for one in world.data()] == ["done"]


async def test_a_start_in_the_midst_of_which_the_ledger_went_away_is_made_again(
    watched: Plant,
) -> None:
    world = World(watched)
    keep, calls = world.decisions.history, list[str]()

    def history(stream: str, site: str, subject: str) -> list[LedgerEvent]:
        calls.append(subject)
        if len(calls) == 3:
            raise Unavailable("the ledger is away")
        return keep(stream, site, subject)

    world.decisions.history = history  # type: ignore[method-assign]  # a failure at call 3
    with pytest.raises(Unavailable):
        await world.planning.tick(START)
    await world.planning.tick(START)
    assert len(idle(world)) == len(watched.plans)
