"""Courses of watched points over the store's twin: what is said, what stays over a restart, what a service does."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.adapters.memory_store import MemoryStore
from collector.buckets import in_buckets
from collector.domain.slopes import DAY_MS
from collector.domain.trends import SPACING_MS
from collector.ports import Ask, Raw, SeriesKey, StoreBatch, Unavailable
from collector.projecting import inline
from collector.trending import RETRY_S, Trending, state_at
from config.clock import SteppedClock
from config.plant import Plant, Point
from config.profile import TrendSpec
from edge.readings import QUALITIES, Floats, Ints
from tests.unit.api.plants import PRESSURE, PUMP, SITE, plant

START = 20_000 * DAY_MS
BY = "a-booster/running"
LIMIT = 7.0
"""Of the plant's own rule on the pressure."""


def watched(by: str = "", horizon_days: float = 60.0) -> Plant:
    """The small plant, whose pressure is watched, by nothing or by a flag of the whole."""
    plain = plant()
    pressure, flag = plain.points[PRESSURE], plain.points[PUMP]
    spec = replace(pressure.spec, trend=TrendSpec(by, horizon_days * 86_400))
    points = {
        **plain.points,
        PRESSURE: Point(PRESSURE, pressure.asset, pressure.device, spec),
        BY: Point(BY, pressure.asset, pressure.device, flag.spec),
    }
    return replace(plain, points=points)


class World:
    """Trending over twins; readings come every ten minutes."""

    def __init__(self, its: Plant) -> None:
        self.plant = its
        self.decisions, self.asks, self.store = MemoryDecisions(), MemoryAsks(), MemoryStore()
        self.trending = self.another()
        self._position = 0

    def another(self) -> Trending:
        return Trending([self.plant], self.decisions, self.asks, self.store, inline)

    def write(self, point: str, time: Ints, value: Floats, quality: str = "good") -> None:
        self._position += 1
        keys = [SeriesKey(SITE, point, "", "measurement")]
        zeros = np.zeros(len(time), np.int64)
        codes = np.full(len(time), QUALITIES[quality], np.uint8)
        self.store.write([StoreBatch(keys, zeros, time, value, codes)], self._position)

    def creep(self, first: int, last: int, per_day: float, seed: int = 1) -> None:
        """Days `first` to `last` of a pressure that begins at 2 bar on day 0 and rises."""
        time = np.arange(START + first * DAY_MS, START + last * DAY_MS, SPACING_MS, dtype=np.int64)
        noise = np.random.default_rng(seed).normal(0, 0.05, len(time))
        self.write(PRESSURE, time, 2 + per_day * (time - START) / DAY_MS + noise)

    async def serviced(self, day: float, *, said_on: float, asset: str = "a-booster") -> str:
        """Somebody says on one day that it was serviced on another; why not, or an empty text."""
        now = START + round(said_on * DAY_MS)
        at = START + round(day * DAY_MS)
        self.asks.ask(Ask("1", SITE, "serviced", asset, "li", now, {"at": at}))
        await self.trending.tick(now)
        outcome = self.asks.outcome("1")
        assert outcome is not None
        return outcome.reason

    async def said(self, day: float) -> dict[str, object]:
        """The only state's row after a tick so many days from the start."""
        await self.trending.tick(START + round(day * DAY_MS))
        row = self.decisions.row("trend", SITE, PRESSURE)
        assert row is not None
        (state,) = row.data["states"]
        return dict(state) | {"open": row.open}


async def test_a_creeping_point_reaches_its_limit_in_a_range_and_work_is_suggested() -> None:
    world = World(watched())
    world.creep(0, 30, 0.1)
    said = await world.said(30)
    slope, reached = said["slope"], said["reached"]
    assert isinstance(slope, dict)
    assert isinstance(reached, dict)
    assert slope["low"] <= 0.1 <= slope["high"]
    assert reached["limit"] == LIMIT
    assert reached["earliest"] <= START + 50 * DAY_MS <= reached["latest"]
    assert said["open"] is True


async def test_beyond_the_horizon_nothing_is_suggested() -> None:
    world = World(watched(horizon_days=7))
    world.creep(0, 30, 0.1)
    said = await world.said(30)
    assert said["reached"] is not None
    assert said["open"] is False


async def test_a_few_days_say_nothing_and_why() -> None:
    world = World(watched())
    world.creep(0, 4, 0.1)
    said = await world.said(4)
    assert (said["slope"], said["refusal"], said["days"]) == (None, "too_short", 4)


@pytest.mark.parametrize("stops", [[30.0], [9.5, 12, 12, 20.3, 30.0]], ids=["once", "restarted"])
async def test_the_same_is_said_however_often_it_was_looked_at_and_restarted(
    stops: list[float],
) -> None:
    once, often = World(watched()), World(watched())
    once.creep(0, 30, 0.1)
    written = 0
    for stop in stops:
        often.trending = often.another()
        whole = int(stop)
        time = np.arange(
            START + written * DAY_MS, START + whole * DAY_MS, SPACING_MS, dtype=np.int64
        )
        if len(time):
            raw = once.store.raw(SITE, PRESSURE, int(time[0]), int(time[-1]) + 1)
            often.write(PRESSURE, raw.time, raw.value)
        written = max(written, whole)
        found = await often.said(stop)
    assert found == await once.said(30)


async def test_readings_that_came_a_week_late_are_counted() -> None:
    whole, late = World(watched()), World(watched())
    whole.creep(0, 20, 0.1)
    late.creep(0, 14, 0.1)
    await late.said(14)
    late.creep(0, 20, 0.1)
    assert await late.said(20) == await whole.said(20)


async def test_a_service_begins_anew_and_its_own_day_is_of_neither() -> None:
    world = World(watched())
    world.creep(0, 30, 0.1)
    assert (await world.said(30))["slope"] is not None
    assert await world.serviced(30.4, said_on=31) == ""
    world.creep(30, 40, 0.1)
    said = await world.said(40)
    assert (said["slope"], said["refusal"], said["days"]) == (None, "after_reset", 9)
    world.creep(40, 46, 0.1)
    assert (await world.said(46))["slope"] is not None


async def test_what_was_serviced_stays_serviced_over_a_restart() -> None:
    world = World(watched())
    world.creep(0, 31, 0.1)
    assert await world.serviced(30.4, said_on=31) == ""
    world.trending = world.another()
    assert (await world.said(31.5))["refusal"] == "after_reset"
    assert world.asks.since(0, ["serviced"])[0].seq == world.decisions.cursor("trending-asks")


@pytest.mark.parametrize(
    ("asset", "day", "reason"),
    [("b-lift", 1.0, "not_watched"), ("a-boost", 1.0, "not_watched"), ("a-booster", 9.0, "in_the_future")],
)  # fmt: skip
async def test_a_service_that_cannot_be_is_refused(asset: str, day: float, reason: str) -> None:
    world = World(watched())
    assert await world.serviced(day, said_on=2, asset=asset) == reason


async def test_each_state_of_the_pump_is_said_by_itself() -> None:
    world = World(watched(by="running"))
    time = np.arange(START, START + 20 * DAY_MS, SPACING_MS, dtype=np.int64)
    running = (time // DAY_MS % 2).astype(float)
    world.write(BY, time, running)
    world.write(
        PRESSURE, time, 1 + 4 * running + np.random.default_rng(3).normal(0, 0.1, len(time))
    )
    await world.trending.tick(START + 20 * DAY_MS)
    row = world.decisions.row("trend", SITE, PRESSURE)
    assert row is not None
    means = {one["state"]: one["baseline"]["mean"] for one in row.data["states"]}
    assert means == pytest.approx({"0": 1, "1": 5}, abs=0.05)


@pytest.mark.parametrize("quality", ["in_test", "frozen"])
async def test_what_is_not_the_equipments_own_says_nothing_of_it(quality: str) -> None:
    """Two hours a day somebody tries something."""
    whole, tried = World(watched()), World(watched())
    for world in (whole, tried):
        world.creep(0, 30, 0.1)
    time = np.arange(START, START + 30 * DAY_MS, SPACING_MS, dtype=np.int64)
    tests = time[time % DAY_MS < 7_200_000]
    tried.write(PRESSURE, tests, np.full(len(tests), 40.0))
    tried.write(PRESSURE, tests + 1, np.full(len(tests), 40.0), quality)
    left = World(watched())
    rest = np.setdiff1d(time, tests)
    raw = whole.store.raw(SITE, PRESSURE, START, START + 30 * DAY_MS)
    left.write(PRESSURE, rest, raw.value[np.isin(raw.time, rest)])
    assert await tried.said(30) == await left.said(30)


async def test_a_reading_that_is_lost_in_every_bucket_takes_no_trend_away() -> None:
    whole, losing = World(watched()), World(watched())
    for world in (whole, losing):
        world.creep(0, 30, 0.1)
    time = np.arange(START, START + 30 * DAY_MS, SPACING_MS, dtype=np.int64)
    losing.write(PRESSURE, time + 1, np.full(len(time), np.nan), "no_answer")
    assert await losing.said(30) == await whole.said(30)
    assert (await losing.said(30))["slope"] is not None


async def test_what_is_only_doubted_says_what_it_says() -> None:
    whole, doubted = World(watched()), World(watched())
    whole.creep(0, 30, 0.1)
    raw = whole.store.raw(SITE, PRESSURE, START, START + 30 * DAY_MS)
    doubted.write(PRESSURE, raw.time, raw.value, "clock_suspect")
    assert await doubted.said(30) == await whole.said(30)


async def test_a_store_that_is_away_is_told_and_costs_nothing() -> None:
    world = World(watched())
    world.creep(0, 30, 0.1)
    world.store.unavailable = "away"
    with pytest.raises(Unavailable):
        await world.trending.tick(START + 30 * DAY_MS)
    world.store.unavailable = ""
    assert (await world.said(30))["slope"] is not None


async def test_what_did_not_change_is_not_written_again() -> None:
    world = World(watched())
    world.creep(0, 30, 0.1)
    await world.said(30)
    before = world.decisions.appends
    await world.trending.tick(START + 30 * DAY_MS)
    assert world.decisions.appends == before


def test_a_state_holds_until_it_may_not_be_silent_any_longer() -> None:
    """Told 1 in the first bucket, 1 then 2 in the third; buckets of ten minutes, silence of ten."""
    time = np.array([0, 1, 2, 3, 4, 6], dtype=np.int64) * SPACING_MS
    told = Raw(
        np.array([5, 2 * SPACING_MS + 1, 2 * SPACING_MS + 9], dtype=np.int64),
        np.array([1.0, 1.0, 2.0]), np.zeros(3, np.uint8),
    )  # fmt: skip
    found = state_at(in_buckets(told, SPACING_MS), time, SPACING_MS)
    assert np.array_equal(found, [1, 1, np.nan, 2, 2, np.nan], equal_nan=True)
    none = in_buckets(Raw(time[:0], np.empty(0), np.empty(0, np.uint8)), SPACING_MS)
    assert np.isnan(state_at(none, time, SPACING_MS)).all()


async def test_it_runs_hourly_and_tries_sooner_while_the_store_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world, clock = World(watched()), SteppedClock(START + 30 * DAY_MS)
    world.creep(0, 30, 0.1)
    world.store.unavailable = "the disk is away"
    running = asyncio.create_task(world.trending.run(clock))
    await clock.advance(3 * RETRY_S)
    assert world.decisions.row("trend", SITE, PRESSURE) is None
    assert [record.message for record in caplog.records] == ["trends wait: the disk is away"]
    world.store.unavailable = ""
    await clock.advance(RETRY_S)
    first = world.decisions.row("trend", SITE, PRESSURE)
    assert first is not None
    world.creep(30, 31, 0.1)
    await clock.advance(86_400)
    later = world.decisions.row("trend", SITE, PRESSURE)
    assert later is not None
    assert later.data["at"] > first.data["at"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
