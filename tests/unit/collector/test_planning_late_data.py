"""What readings say when they come late, twice, or not at all: every planner comes to the same rows."""

import pytest

from collector.ports import Unavailable
from config.load import LIBRARY, load_plant
from config.plant import Plant
from config.standards import ChangedOver, MaxGap, PerPeriod
from tests.unit.collector.planners import DAY, HOUR, MIN, SERVICE, START, TRIAL, World, at, only

RUN = "generator/run"
APRIL = at("2026-03-31T16:00:00")
"""Midnight in Shanghai."""


@pytest.fixture(scope="module")
def plant() -> Plant:
    return load_plant(LIBRARY / "plants" / "riverside")


def said(world: World) -> list[tuple[str, str, str | None]]:
    return [(d["key"], d["state"], d["verdict"]) for d in world.data()]


def ran(world: World, start: int, begin: int, end: int, until: int, step: int = 30_000) -> None:
    """Written: at rest from `start`, running from `begin` to `end`, at rest up to `until`."""
    world.write(RUN, start, begin, 0, step)
    world.write(RUN, begin, end, 1, step)
    world.write(RUN, end, until, 0, step)


async def test_a_claim_made_while_the_link_was_lost_is_confirmed_by_what_comes_late(
    plant: Plant,
) -> None:
    world = World(only(plant, TRIAL, closes="by_person"))
    await world.planning.tick(START)
    lost = START + 20 * DAY
    world.write(RUN, START, lost, 0)
    await world.planning.tick(lost)
    await world.say_done(world.one(TRIAL), lost + 2 * HOUR)
    await world.planning.tick(lost + 2 * HOUR + 2 * MIN)
    assert said(world)[0] == ("2026-03/1", "done", "not_observable"), "nobody is accused by a hole"
    ran(world, lost, lost + HOUR, lost + 2 * HOUR, lost + 8 * HOUR)
    await world.planning.tick(lost + 9 * HOUR)
    assert said(world)[0] == ("2026-03/1", "done", "confirmed")
    assert world.data()[0]["verdict_span"] == [lost + HOUR, lost + HOUR + 10 * MIN]


async def test_a_claim_is_contradicted_once_nothing_more_can_come(plant: Plant) -> None:
    world = World(only(plant, TRIAL, closes="by_person"))
    await world.planning.tick(START)
    lost = START + 20 * DAY
    world.write(RUN, START, lost, 0)
    await world.say_done(world.one(TRIAL), lost + 2 * HOUR)
    for day in range(6):
        await world.planning.tick(lost + DAY + day * DAY)
    assert world.data()[0]["verdict"] == "not_observable"
    await world.planning.tick(lost + 9 * DAY)
    assert (world.data()[0]["verdict"], world.data()[0]["verdict_final"]) == ("contradicted", True)
    ran(world, lost, lost + HOUR, lost + 2 * HOUR, lost + 8 * HOUR)
    await world.another().tick(lost + 10 * DAY)
    assert world.data()[0]["verdict"] == "contradicted"


@pytest.mark.usefixtures("unmeasured")
async def test_a_run_that_comes_late_turns_missed_into_done(plant: Plant) -> None:
    world = World(only(plant, TRIAL))
    await world.planning.tick(START)
    world.write(RUN, START - 9 * HOUR, APRIL - 6 * HOUR, 0)
    for hour in range(-8, 3):
        await world.planning.tick(APRIL + hour * HOUR)
    assert said(world)[0] == ("2026-03/1", "missed", "not_observable")
    ran(world, APRIL - 6 * HOUR, APRIL - 4 * HOUR, APRIL - 3 * HOUR, APRIL + 8 * HOUR)
    for hour in range(3, 6):
        await world.planning.tick(APRIL + hour * HOUR)
    assert said(world)[0] == ("2026-03/1", "done", "confirmed")
    assert world.data()[0]["done_at"] == APRIL - 4 * HOUR + 10 * MIN


async def test_work_before_its_window_opens_is_seen_where_it_counts(plant: Plant) -> None:
    world = World(only(plant, TRIAL, every=MaxGap(30), closes="by_person"))
    await world.planning.tick(START)
    begin = START + 20 * DAY
    ran(world, START, begin, begin + HOUR, START + 40 * DAY)
    await world.planning.tick(START + 23 * DAY)
    (row,) = world.rows(TRIAL)
    assert row.data["state"] == "coming"
    assert await world.say_done(row, START + 23 * DAY + 1, done_at=begin + HOUR) is None
    await world.planning.tick(START + 24 * DAY)
    assert said(world)[0] == ("2026-04-01", "done", "confirmed")


async def test_what_readings_close_early_is_closed_early(plant: Plant) -> None:
    world = World(only(plant, TRIAL, every=MaxGap(30)))
    begin = START + 20 * DAY
    ran(world, START, begin, begin + HOUR, START + 40 * DAY)
    await world.planning.tick(START)
    await world.planning.tick(START + 22 * DAY)
    assert [d["done_at"] for d in world.data()] == [begin + 10 * MIN]


@pytest.mark.parametrize("minutes", [2, 160])
async def test_a_run_over_the_end_of_a_month_is_one_and_belongs_where_it_was_fulfilled(
    plant: Plant, minutes: int
) -> None:
    world = World(only(plant, TRIAL))
    await world.planning.tick(START)
    ran(world, START, APRIL - 30 * MIN, APRIL + 30 * MIN, APRIL + 8 * HOUR)
    for minute in range(-40, 130, minutes):
        await world.planning.tick(APRIL + minute * MIN)
    march, april = world.data()
    assert (march["state"], march["done_at"]) == ("done", APRIL - 20 * MIN)
    assert (april["state"], april["verdict"]) == ("due", None)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("closes", ["by_readings", "by_person"])
async def test_two_runs_close_or_confirm_two_slots_and_one_run_only_one(
    plant: Plant, closes: str
) -> None:
    first, second = at("2026-03-18T02:00:00"), at("2026-03-25T02:00:00")
    world = World(only(plant, TRIAL, every=PerPeriod("month", 2), closes=closes))
    await world.planning.tick(START)
    ran(world, START, first, first + HOUR, second)
    ran(world, second, second, second + HOUR, second + 20 * DAY)
    for day in range(1, 34):
        await world.planning.tick(START + day * DAY)
        if START + day * DAY == at("2026-03-20T00:00:00"):
            assert [d["verdict"] for d in world.data()] == ["confirmed", None]
    state = "done" if closes == "by_readings" else "missed"
    assert said(world)[:2] == [("2026-03/1", state, "confirmed"), ("2026-03/2", state, "confirmed")]
    spans = [d["verdict_span"] for d in world.data()[:2]]
    assert spans == [[first, first + 10 * MIN], [second, second + 10 * MIN]]


async def test_a_missed_one_that_is_still_owed_is_closed_by_readings_too_late(plant: Plant) -> None:
    world = World(only(plant, TRIAL, every=MaxGap(10)))
    await world.planning.tick(START)
    begin = START + 15 * DAY
    ran(world, START, begin, begin + HOUR, START + 40 * DAY)
    for day in range(8, 19):
        await world.planning.tick(START + day * DAY)
    done, _ = world.data()
    assert (done["state"], done["too_late"], done["done_at"]) == ("done", True, begin + 10 * MIN)


@pytest.mark.usefixtures("unmeasured")
async def test_pumps_that_change_over_close_each_quarter_once(plant: Plant) -> None:
    duty = "standby-pump-changeover"
    points = ChangedOver(("pump-1/state", "pump-2/state"))
    one = only(plant, duty, every=PerPeriod("week"), evidence=points)
    (plan,) = one.plans.values()
    steady, late = World(one), World(one)
    for world in (steady, late):
        await world.planning.tick(START)
        for number in (1, 2):
            for day in range(30):
                value = 1 if day % 8 in (number, number + 4) else 0
                world.write(
                    f"{plan.asset}/pump-{number}/state",
                    START + day * DAY,
                    START + (day + 1) * DAY,
                    value,
                )
    for hour in range(0, 28 * 24, 6):
        await steady.planning.tick(START + hour * HOUR)
    await steady.planning.tick(START + 28 * DAY)
    await late.another().tick(START + 28 * DAY)
    shown = [
        [(d["key"], d["state"], d["done_at"], d["verdict_span"]) for d in w.data()]
        for w in (steady, late)
    ]
    assert shown[0] == shown[1]
    assert [row[1] for row in shown[0]][:4] == ["done"] * 4


@pytest.mark.usefixtures("unmeasured")
async def test_a_week_without_the_planner_gives_what_a_week_with_it_gives(plant: Plant) -> None:
    steady, late = World(only(plant, TRIAL)), World(only(plant, TRIAL))
    for world in (steady, late):
        await world.planning.tick(START)
        ran(world, START, START + 3 * DAY, START + 3 * DAY + 25 * MIN, START + 9 * DAY)
    for minute in range(0, 8 * 24 * 60, 29):
        await steady.planning.tick(START + minute * MIN)
    await steady.planning.tick(START + 8 * DAY)
    await late.another().tick(START + 8 * DAY)
    assert steady.data() == late.data()
    assert late.data()[0]["done_at"] == START + 3 * DAY + 10 * MIN


async def test_plans_go_on_while_the_store_is_away(plant: Plant) -> None:
    without, with_it = World(plant), World(plant)
    for world in (without, with_it):
        await world.planning.tick(START)
    without.store.unavailable = "the disk is full"
    for day in range(1, 12):
        await with_it.planning.tick(START + day * DAY)
        with pytest.raises(Unavailable):
            await without.planning.tick(START + day * DAY)
    waiting = {p.duty.id for p in plant.plans.values() if p.duty.closes == "by_readings"}
    shown = [
        {(d["plan"], d["key"]): (d["state"], d["wants_order"]) for d in w.data() if d["duty"] not in waiting}
        for w in (without, with_it)
    ]  # fmt: skip
    assert shown[0] == shown[1]
    without.store.unavailable = ""
    await without.planning.tick(START + 11 * DAY + 1)
    await with_it.planning.tick(START + 11 * DAY + 1)
    assert [d["state"] for d in without.data()] == [d["state"] for d in with_it.data()]


MISSED = [
    ("long before", "2024-01-01", (0,)),
    ("while the server was away", None, (0, 5, 17)),
]


@pytest.mark.parametrize(("name", "in_service", "days"), MISSED, ids=[m[0] for m in MISSED])
async def test_what_was_missed_and_is_still_owed_wants_its_order(
    plant: Plant, name: str, in_service: str | None, days: tuple[int, ...]
) -> None:
    world = World(only(plant, SERVICE, in_service=in_service, start="2026-03-02"))
    for day in days:
        await world.planning.tick(START + day * DAY)
    (row,) = world.rows(SERVICE)
    assert (row.data["state"], row.open, row.data["wants_order"]) == ("missed", True, True)
    assert [e.kind for e in world.decisions.since(0) if e.kind == "wants_order"] == ["wants_order"]


async def test_slots_that_are_over_want_no_order(plant: Plant) -> None:
    world = World(only(plant, TRIAL, start="2025-11-01", closes="by_person"))
    await world.planning.tick(START)
    missed = [d for d in world.data() if d["state"] == "missed"]
    assert len(missed) == 4
    assert not any(d["wants_order"] or d["open"] for d in missed)


async def test_a_claim_that_was_kept_before_the_server_died_is_no_refusal(plant: Plant) -> None:
    world = World(only(plant, TRIAL, closes="by_person"))
    await world.planning.tick(START)
    row = world.one(TRIAL)
    assert await world.say_done(row, START + HOUR) is None
    world.decisions.append([], [], {"planning-asks": 0})
    world.asks._outcomes.clear()  # the death came between keeping and settling
    await world.another().tick(START + 2 * HOUR)
    outcome = world.asks.outcome("1")
    assert outcome is not None
    assert outcome.accepted
