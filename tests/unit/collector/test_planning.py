import asyncio
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from collector.ports import LedgerRow, TakenOver
from config.clock import SteppedClock
from config.load import LIBRARY, load_plant
from config.plant import Plant
from tests.unit.collector.planners import DAY, HOUR, MIN, PATROL, SITE, START, TRIAL, World, at
from tests.waiting import until


@pytest.fixture(scope="module")
def plant() -> Plant:
    return load_plant(LIBRARY / "plants" / "riverside")


@pytest.fixture
def world(plant: Plant) -> World:
    return World(plant)


async def test_every_duty_that_opens_within_a_week_has_its_row(world: World, plant: Plant) -> None:
    await world.planning.tick(START)
    found = {str(row.data["plan"]) for row in world.decisions.rows("occurrence", SITE)}
    metered = {plan.id for plan in plant.plans.values() if plan.duty.id == "pump-hours"}
    assert found | metered | {
        p for p in plant.plans if "elevator-service" in p or "sump-manual" in p
    } == set(plant.plans)


async def test_ids_are_unique_and_safe_in_a_url(world: World) -> None:
    await world.planning.tick(START)
    ids = [row.id for row in world.decisions.rows("occurrence", SITE)]
    assert len(ids) == len(set(ids))
    assert all(set(id) <= set("abcdefghijklmnopqrstuvwxyzQWH0123456789.-~_") for id in ids)


async def test_running_twice_or_on_two_machines_writes_nothing_new(world: World) -> None:
    await world.planning.tick(START)
    events = len(world.decisions.since(0, 100_000))
    await world.planning.tick(START)
    await world.another().tick(START)
    assert len(world.decisions.since(0, 100_000)) == events


@pytest.mark.usefixtures("unmeasured")
async def test_a_week_of_outage_gives_the_same_rows_as_a_week_of_ticks(plant: Plant) -> None:
    steady, late = World(plant), World(plant)
    for world in (steady, late):
        await world.planning.tick(START)
        world.write("generator/run", START, START + 3 * DAY, 0)
        world.write("generator/run", START + 3 * DAY, START + 3 * DAY + 25 * MIN, 1)
        world.write("generator/run", START + 3 * DAY + 25 * MIN, START + 8 * DAY, 0)
    for hour in range(0, 8 * 24, 6):
        await steady.planning.tick(START + hour * HOUR)
    end = START + 8 * DAY
    await steady.planning.tick(end)
    await late.another().tick(end)
    shown = ("state", "open", "verdict", "verdict_span", "done_at", "done_by", "too_late")
    rows = [{d["plan"] + d["key"]: [d[name] for name in shown] for d in w.data()} for w in (steady, late)]  # fmt: skip
    assert rows[0] == rows[1]
    assert [row[2] for row in rows[0].values() if row[5] == "readings"] == ["confirmed"]


async def test_states_move_with_the_days_and_each_change_is_one_event(world: World) -> None:
    for hour in range(0, 30, 3):
        await world.planning.tick(START + hour * HOUR)
    patrol = world.rows(PATROL, "a-booster")
    first = min(patrol, key=lambda row: str(row.data["early_at"]))
    kinds = [e.kind for e in world.decisions.history("occurrence", SITE, first.id)]
    assert [k for k in kinds if k in ("due", "late", "missed")] in (
        ["due", "late", "missed"],
        ["due", "missed"],
        ["late", "missed"],
        ["due", "late"],
    )
    assert kinds.count("missed") <= 1


async def test_a_person_completes_what_is_open(world: World) -> None:
    await world.planning.tick(START)
    row = world.one("fire-panel-patrol")
    assert await world.say_done(row, START + HOUR) is None
    done = world.one("fire-panel-patrol")
    assert (done.data["state"], done.data["done_by"], done.data["done_at"]) == (
        "done",
        "li",
        START + HOUR,
    )
    assert await world.say_done(done, START + 2 * HOUR, "2") == "already_done"


async def test_what_cannot_be_done_is_refused_with_its_reason(world: World) -> None:
    await world.planning.tick(START)
    row = world.one("fire-panel-patrol")
    assert await world.say_done(row, START, "a", done_at=START + DAY) == "in_the_future"
    stranger = LedgerRow("occurrence", SITE, "nothing", True, {})
    assert await world.say_done(stranger, START, "b") == "unknown_occurrence"


async def test_a_restart_takes_up_what_was_done_and_asked(world: World) -> None:
    await world.planning.tick(START)
    await world.say_done(world.one("fire-panel-patrol"), START + HOUR)
    events = len(world.decisions.since(0, 100_000))
    await world.another().tick(START + HOUR)
    assert len(world.decisions.since(0, 100_000)) == events


async def test_readings_alone_complete_a_duty_that_says_so(world: World) -> None:
    await world.planning.tick(START)
    world.write("generator/run", START, START + HOUR, 0)
    world.write("generator/run", START + HOUR, START + HOUR + 12 * MIN, 1)
    world.write("generator/run", START + HOUR + 12 * MIN, START + 2 * HOUR, 0)
    await world.planning.tick(START + 2 * HOUR)
    row = world.one(TRIAL)
    assert (row.data["state"], row.data["verdict"], row.data["done_by"]) == (
        "done",
        "confirmed",
        "readings",
    )
    assert row.data["verdict_span"] == [START + HOUR, START + HOUR + 10 * MIN]


async def test_a_claim_that_readings_deny_is_contradicted(world: World) -> None:
    begin = at("2026-03-31T18:00:00")
    await world.planning.tick(begin)
    midnight = at("2026-03-31T16:00:00")
    world.write("generator/run", midnight, begin + 3 * HOUR, 0)
    row = world.one(TRIAL)
    assert await world.say_done(row, begin + HOUR) is None
    assert world.one(TRIAL).data["verdict"] is None, "the last readings may still be on their way"
    await world.planning.tick(begin + 2 * HOUR)
    assert world.one(TRIAL).data["verdict"] == "contradicted"


async def test_a_claim_without_readings_is_not_observable(world: World) -> None:
    await world.planning.tick(START)
    await world.say_done(world.one(TRIAL), START + HOUR)
    await world.planning.tick(START + 2 * HOUR)
    assert world.one(TRIAL).data["verdict"] == "not_observable"


SEEN = [
    ("at rest all the time", "2026-03-30T16:00:00", "absent"),
    ("a quarter not seen", "2026-03-30T22:00:00", "not_observable"),
    ("never seen", "2026-03-31T16:00:00", "not_observable"),
]


@pytest.mark.parametrize(("name", "first", "verdict"), SEEN, ids=[s[0] for s in SEEN])
async def test_a_window_that_passed_unseen_is_absent_or_not_observable(
    world: World, name: str, first: str, verdict: str
) -> None:
    await world.planning.tick(at("2026-03-31T10:00:00"))
    world.write("generator/run", at(first), at("2026-03-31T16:00:00"), 0)
    await world.planning.tick(at("2026-03-31T16:30:00"))
    row = next(r for r in world.rows(TRIAL) if r.data["key"].startswith("2026-03"))
    assert (row.data["state"], row.data["verdict"]) == ("missed", verdict)


async def test_a_week_before_its_due_day_an_occurrence_wants_an_order_once(world: World) -> None:
    await world.planning.tick(START)
    row = world.one("fire-panel-test")
    assert not row.data["wants_order"]
    for day in range(20, 28):
        await world.planning.tick(START + day * DAY)
    wishes = [
        e
        for e in world.decisions.since(0, 100_000)
        if e.kind == "wants_order" and e.subject == row.id
    ]
    assert len(wishes) == 1


async def test_run_hours_make_marks_due(world: World) -> None:
    await world.planning.tick(START)
    point = "a-booster/pump-1/run_hours"
    for minute in range(7, 30 * 60, 13):
        begin = START + minute * MIN
        world.write(point, begin, begin + 1, 1_980.0 + round(minute / 60, 1), 1)
    shown = []
    for hour in (10, 21, 31):
        await world.planning.tick(START + hour * HOUR)
        (row,) = [d for d in world.data() if d["asset"] == "a-booster/pump-1" and d["mark"]]
        shown.append((row["mark"], row["due"], row["state"]))
    assert shown == [
        (2_000, None, "due"),
        (2_000, "2026-03-03", "due"),
        (2_000, "2026-03-03", "due"),
    ]
    await world.planning.tick(at("2026-03-03T16:00:00"))
    assert [d["state"] for d in world.data() if d["mark"] == 2_000] == ["late"]


async def test_a_store_that_is_away_is_waited_for_and_said_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.store.unavailable = "the disk is full"
    task = asyncio.ensure_future(world.planning.run(SteppedClock(START), every_s=0.01))
    await until(lambda: bool(caplog.records))
    said = len(caplog.records)
    world.store.unavailable = ""
    await until(
        lambda: bool(world.rows("pump-hours", "a-booster/pump-1")) or len(world.rows(PATROL)) > 1
    )
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert said == 1


async def test_who_lost_the_ledger_plans_nothing_more(world: World) -> None:
    async def lost(now: int) -> None:
        raise TakenOver("another collector has it")

    world.planning.tick = lost  # type: ignore[method-assign]  # as that of a former owner
    with pytest.raises(TakenOver):
        await asyncio.wait_for(world.planning.run(SteppedClock(START), every_s=0.01), 5)


async def test_the_ticker_ends_when_it_is_asked_to(world: World) -> None:
    clock = SteppedClock(START)
    task = asyncio.ensure_future(world.planning.run(clock, every_s=0.01))
    await until(lambda: len(world.rows(PATROL)) > 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.rows(PATROL)


def _days(first: date, last: date, step: int) -> Iterator[int]:
    for ordinal in range(first.toordinal(), last.toordinal(), step):
        yield at(date.fromordinal(ordinal).isoformat())


@pytest.mark.usefixtures("unmeasured")
async def test_ten_duties_of_the_standard_over_half_a_year(world: World) -> None:
    for now in _days(date(2026, 1, 1), date(2026, 7, 1), 3):
        await world.planning.tick(now)
    rows = world.decisions.rows("occurrence", SITE)
    duties = {str(row.data["duty"]) for row in rows}
    assert len(duties) >= 10
    fortnights = [
        r for r in rows if r.data["duty"] == "sump-manual-start" and r.data["state"] == "missed"
    ]
    assert len(fortnights) == 13, "every second Monday from 5 January to 22 June"
    assert all(row.data["source"] for row in rows)


def test_the_standard_ships_with_its_rows(plant: Plant) -> None:
    assert (Path(LIBRARY) / "standards" / "grade-3.toml").is_file()
    assert {p.duty.standard for p in plant.plans.values()} == {"grade-3"}
