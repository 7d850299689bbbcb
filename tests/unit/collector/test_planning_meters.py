"""Run hours to marks: from the readings' own instants, over outages, restarts and what the store forgets."""

import numpy as np
import pytest

from collector.adapters.memory_store import MemoryStore
from collector.ports import Raw, SeriesKey, StoreBatch
from config.load import LIBRARY, load_plant
from config.plant import Plant
from config.standards import Meter
from tests.unit.collector.planners import DAY, HOUR, MIN, SITE, START, World, only

DUTY = "pump-hours"


@pytest.fixture(scope="module")
def plant() -> Plant:
    return load_plant(LIBRARY / "plants" / "riverside")


def metered(plant: Plant, **every: object) -> tuple[World, str]:
    one = only(plant, DUTY, start="2026-03-02", every=Meter("run_hours", 2000, **every))  # type: ignore[arg-type]  # its members
    (plan,) = one.plans.values()
    return World(one), f"{plan.asset}/run_hours"


def counted(world: World, point: str, start: int, end: int, first: float, step: int = MIN) -> None:
    """A pump that runs all the time, its counter in tenths, `first` at START."""
    times = np.arange(start, end, step, dtype=np.int64)
    values = first + np.floor((times - START) / 360_000) / 10
    world.position += 1
    key = SeriesKey(SITE, point, "h", "counter")
    zeros = np.zeros(len(times), np.int64)
    batch = StoreBatch([key], zeros, times, values, zeros.astype(np.uint8))
    world.store.write([batch], world.position)


def marks(world: World) -> dict[float, str]:
    return {d["mark"]: d["state"] for d in world.data()}


@pytest.mark.parametrize("floating", [False, True])
async def test_a_meter_without_a_reading_owes_nothing_yet(plant: Plant, floating: bool) -> None:
    world, _ = metered(plant, floating=floating)
    await world.planning.tick(START)
    assert world.data() == []


async def test_work_in_the_hour_in_which_the_window_opened_counts(plant: Plant) -> None:
    world, point = metered(plant, tolerance=100)
    counted(world, point, START, START + 5 * HOUR, 1_898.7)
    for minute in range(0, 81, 5):
        await world.planning.tick(START + minute * MIN)
    (row,) = world.rows(DUTY)
    assert row.data["early_at"] == START + 78 * MIN, "the reading that shows 1900"
    done = START + 79 * MIN
    assert await world.say_done(row, START + 80 * MIN, done_at=done) is None
    for hour in range(2, 5):
        await world.planning.tick(START + hour * HOUR)
    assert (world.data()[0]["state"], world.data()[0]["done_at"]) == ("done", done)


async def test_a_row_is_written_only_when_something_changed(plant: Plant) -> None:
    world, point = metered(plant, tolerance=100)
    counted(world, point, START, START + 5 * HOUR, 1_899.7)
    for second in range(0, 3600, 10):
        await world.planning.tick(START + HOUR + second * 1000)
    assert world.decisions.appends <= 4


async def test_hours_run_while_the_link_was_lost_are_counted(plant: Plant) -> None:
    world, point = metered(plant, tolerance=5)
    counted(world, point, START, START + 2 * HOUR + 5 * MIN, 1_990.0)
    counted(world, point, START + 4 * HOUR + 50 * MIN, START + 30 * HOUR, 1_990.0)
    for minute in range(0, 30 * 60, 3):
        await world.planning.tick(START + minute * MIN)
    (passed,) = world.data()
    assert (passed["mark"], passed["due"], passed["late_at"]) == (
        2_000,
        "2026-03-02",
        START + 15 * HOUR + 6 * MIN,
    )


async def test_readings_that_come_late_change_when_a_mark_was_passed(plant: Plant) -> None:
    steady, late = metered(plant, tolerance=5)[0], metered(plant, tolerance=5)[0]
    point = f"{next(iter(late.plant.plans.values())).asset}/run_hours"
    for world in (steady, late):
        counted(world, point, START, START + 2 * HOUR, 1_994.0)
        counted(world, point, START + 12 * HOUR, START + 30 * HOUR, 1_994.0)
    for minute in range(0, 24 * 60, 30):
        await steady.planning.tick(START + minute * MIN)
    for world in (steady, late):
        counted(world, point, START + 2 * HOUR, START + 12 * HOUR, 1_994.0)
        await world.planning.tick(START + 29 * HOUR)
    shown = [[(d["early_at"], d["due"], d["late_at"]) for d in w.data()] for w in (steady, late)]
    assert shown[0] == shown[1]
    assert shown[0][0][2] == START + 11 * HOUR + 6 * MIN


async def test_a_mark_that_is_due_and_missed_at_one_instant_wants_its_order(plant: Plant) -> None:
    world, point = metered(plant)
    counted(world, point, START, START + 9 * HOUR, 1_998.4)
    await world.planning.tick(START)
    for minute in range(0, 9 * 60, 20):
        await world.planning.tick(START + minute * MIN)
    passed = next(d for d in world.data() if d["mark"] == 2_000)
    assert (passed["state"], passed["open"], passed["wants_order"]) == ("missed", True, True)


async def test_a_floating_meter_keeps_its_base_when_the_store_forgets_it(plant: Plant) -> None:
    world, point = metered(plant, floating=True, tolerance=100)
    for day in range(0, 240, 4):
        counted(world, point, START + day * DAY, START + (day + 4) * DAY, 100.0, HOUR)
        now = START + (day + 4) * DAY
        world.store.delete_before(now - 30 * DAY)
        planning = world.planning if day % 40 else world.another()
        await planning.tick(now)
    (row,) = world.data()
    assert (row["mark"], row["state"]) == (2_100, "missed")
    assert row["early_at"] == START + 1_900 * HOUR
    assert await world.say_done(world.rows(DUTY)[0], START + 240 * DAY) is None
    assert marks(world) == {2_100: "done"}
    kept = world.decisions.row("meter", SITE, str(row["plan"]))
    assert kept is not None
    assert len(kept.data["steps"]) < 260


class _Watched:
    """A store that remembers how much was asked of it."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.spans: list[int] = []

    def raw(self, site: str, point: str, start: int, end: int) -> Raw:
        self.spans.append(end - start)
        return self._store.raw(site, point, start, end)


async def test_only_what_is_new_is_read_at_each_tick(plant: Plant) -> None:
    world, point = metered(plant, floating=True)
    counted(world, point, START, START + 60 * DAY, 100.0, HOUR)
    watched = _Watched(world.store)
    world.store = watched  # type: ignore[assignment]  # the verbs that planning needs
    world.planning, spans = world.another(), watched.spans
    now = START + 60 * DAY
    for second in range(0, 1200, 10):
        await world.planning.tick(now + second * 1000)
    assert spans[0] >= 60 * DAY
    assert all(span <= 9 * DAY for span in spans[1:])
    assert len([span for span in spans if span > 2 * HOUR]) <= 3
