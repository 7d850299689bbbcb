"""Derived points of closed days: said once, made anew where late readings change them, and the same from history."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np

from collector.adapters.memory_journal import MemoryJournal
from collector.adapters.memory_store import MemoryStore
from collector.deriving import Deriving
from collector.ingest import Ingest
from collector.live import LiveTable
from collector.ports import Message, SeriesKey, StoreBatch
from collector.projecting import Projecting, inline
from config.clock import SteppedClock
from config.plant import Plant, Point, PointSpec
from config.profile import Derivation, JsonPath
from edge.readings import QUALITY_NAMES, decode_batch
from tests.unit.collector.feeding import NAMES, SITE, MarksBeside, Recorder, Source, plant

HOUR = 3_600_000
DAY = 24 * HOUR
ZONE = "Asia/Shanghai"
MIDNIGHT = 1_763_654_400_000  # 2025-11-21 00:00 there
RUN = "pump/run"
RUN_DAY = "pump/run_day"


ENERGY = "pump/energy"
ENERGY_DAY = "pump/energy_day"


def derived_plant(rate_max: float | None = None) -> Plant:
    counter = PointSpec(NAMES, "counter", "kWh", JsonPath("", ()), longest_silence_s=3600, rate_max=rate_max)  # fmt: skip
    growth = PointSpec(NAMES, "measurement", "kWh", JsonPath("", ()), derive=Derivation("growth", ENERGY))  # fmt: skip
    flag = PointSpec(NAMES, "flag", "", JsonPath("", ()), longest_silence_s=90_000)
    made = PointSpec(NAMES, "measurement", "h", JsonPath("", ()), derive=Derivation("time_in", RUN, frozenset({1})))  # fmt: skip
    small = replace(plant({"a1": (RUN,)}), time_zone=ZONE)
    points = {
        RUN: Point(RUN, "pump", "a1", flag), RUN_DAY: Point(RUN_DAY, "pump", "", made),
        ENERGY: Point(ENERGY, "pump", "a1", counter), ENERGY_DAY: Point(ENERGY_DAY, "pump", "", growth),
    }  # fmt: skip
    return replace(small, points=points)


class Days:
    """A server over twins that derives; `ran` puts readings of the flag into the store."""

    def __init__(self, store: MemoryStore | None = None, rate_max: float | None = None) -> None:
        its, self.clock, journal = derived_plant(rate_max), SteppedClock(MIDNIGHT + HOUR), MemoryJournal()  # fmt: skip
        self.live, self.store = LiveTable([its]), store or MemoryStore()
        self.projecting = Projecting(journal, self.store, self.live, inline, self.clock)
        self.ingest = Ingest(
            Source(), journal, self.live, [Recorder()], [its], self.clock, self.projecting
        )
        self.ingest.restore()
        self.queue: list[Message] = []
        self.deriving = Deriving([its], journal, self.store, self.clock, inline)
        self.deriving.put = self.queue.append

    def ran(self, *rows: tuple[float, float]) -> None:
        """Hours since the midnight that ends yesterday, and whether it ran."""
        self._write(SeriesKey(SITE, RUN, "", "flag"), rows)

    def counted(self, *rows: tuple[float, float]) -> None:
        """Hours since then, and what the meter showed."""
        self._write(SeriesKey(SITE, ENERGY, "kWh", "counter"), rows)

    def _write(self, key: SeriesKey, rows: Sequence[tuple[float, float]]) -> None:
        none = np.zeros(len(rows), np.int64)
        times = np.array([MIDNIGHT + round(h * HOUR) for h, _ in rows])
        values = np.array([value for _, value in rows])
        self.store.write([StoreBatch([key], none, times, values, none.astype(np.uint8))], self.store.cursor())  # fmt: skip

    async def look(self, later_h: float = 0) -> None:
        await self.clock.advance(later_h * 3600)
        await self.deriving.look(self.clock.now())
        await self.deliver()

    async def deliver(self) -> None:
        taken, self.queue[:] = list(self.queue), []
        if taken:
            await self.ingest.take(taken)
        await self.projecting.drain()

    def stored(self) -> Sequence[tuple[int, float]]:
        raw = self.store.raw(SITE, RUN_DAY, 0, 1 << 62)
        return list(zip(raw.time.tolist(), raw.value.tolist(), strict=True))

    def energy(self) -> Sequence[tuple[int, float, str]]:
        """Days back, kWh, quality of each day's energy."""
        raw = self.store.raw(SITE, ENERGY_DAY, 0, 1 << 62)
        rows = zip(raw.time.tolist(), raw.value.tolist(), raw.quality.tolist(), strict=True)
        return [((MIDNIGHT - time) // DAY, value, QUALITY_NAMES[quality]) for time, value, quality in rows]  # fmt: skip


async def test_a_closed_day_becomes_one_reading_at_its_end_and_is_said_once() -> None:
    one = Days()
    one.ran((-24, 0), (-10, 1), (-7, 0))
    await one.look()
    assert one.stored() == [(MIDNIGHT - 1, 3.0)]
    assert one.live.value[one.live.row(SITE, RUN_DAY)] == 3.0
    await one.look(7)
    assert one.ingest.stats.readings == 1


async def test_the_loop_does_not_wait_for_the_journal_s_lock() -> None:
    one, journal = Days(), MarksBeside()
    one.ran((-24, 0), (-10, 1), (-7, 0))
    deriving = Deriving([derived_plant()], journal, one.store, one.clock, journal.beside)
    deriving.put = one.queue.append
    await deriving.look(one.clock.now())
    assert len(one.queue) == 2  # a birth and one batch


async def test_late_readings_change_the_days_they_are_of_as_history() -> None:
    one = Days()
    one.ran((-48, 0), (-24, 0), (-10, 1), (-7, 0))
    await one.look()
    one.ran((-30, 1), (-29, 0), (-5, 1), (-4, 0))
    await one.look(7)
    assert one.stored() == [(MIDNIGHT - DAY - 1, 1.0), (MIDNIGHT - 1, 4.0)]
    assert one.live.value[one.live.row(SITE, RUN_DAY)] == 4.0


async def test_what_is_made_anew_from_history_is_the_same_and_what_was_damaged_is_put_right() -> None:  # fmt: skip
    one = Days()
    one.ran(*((-24.0 * n, 0) for n in range(40, 0, -1)), (-24.0 * 20 + 5, 1), (-24.0 * 20 + 7, 0))
    since = date(2025, 10, 12)
    changed = await one.deriving.again(SITE, since)
    await one.look()
    first = one.stored()
    assert changed == len(first) == 40
    assert dict(first)[MIDNIGHT - 19 * DAY - 1] == 2.0
    assert await one.deriving.again(SITE, since) == 0
    key, none = SeriesKey(SITE, RUN_DAY, "h", "measurement"), np.zeros(1, np.int64)
    wrong = StoreBatch([key], none, np.array([MIDNIGHT - 19 * DAY - 1]), np.full(1, 9.0), none.astype(np.uint8))  # fmt: skip
    one.store.write([wrong], one.store.cursor())
    again = Days(one.store)
    assert await again.deriving.again(SITE, since) == 1


async def test_a_day_is_as_long_as_it_is_there() -> None:
    """The clocks went back on 2025-10-26 in Berlin: a flag that is always on is on for 25 hours."""
    zone = ZoneInfo("Europe/Berlin")
    its = replace(derived_plant(), time_zone=zone.key)
    store, clock = MemoryStore(), SteppedClock(1_761_480_000_000 + DAY)
    key, none = SeriesKey(SITE, RUN, "", "flag"), np.zeros(3, np.int64)
    times = 1_761_429_600_000 + np.array([-HOUR, 0, 25 * HOUR])  # that midnight, 22:00 UTC
    store.write([StoreBatch([key], none, times, np.ones(3), none.astype(np.uint8))], 0)
    said: list[Message] = []
    deriving = Deriving([its], MemoryJournal(), store, clock, inline)
    deriving.put = said.append
    await deriving.look(clock.now())
    assert decode_batch(said[1].payload).v == [25.0]  # of the day before too little is known


def hourly(first: int, last: int, shows: float = 0.0) -> list[tuple[float, float]]:
    """A meter that counts one each hour, `shows` more than hours since the midnight."""
    return [(float(hour), hour + 1000 + shows) for hour in range(first, last)]


async def test_days_add_up_to_the_counter_over_a_hole_of_three() -> None:
    one = Days()
    one.counted(*hourly(-7 * 24, -5 * 24 + 12), *hourly(-2 * 24 + 10, 1))
    await one.look()
    found = one.energy()
    assert [day for day, *_ in found] == [6, 5, 4, 1, 0]
    assert sum(value for _, value, _ in found if np.isfinite(value)) == 7 * 24 - 1
    assert [quality for *_, quality in found] == ["stale_source", "good", "stale_source", "stale_source", "good"]  # fmt: skip


async def test_a_meter_replaced_by_one_that_shows_more_is_left_out_by_what_was_usual() -> None:
    one = Days()
    one.counted(*hourly(-30 * 24, -12), *hourly(-12, 1, shows=50_000))
    await one.look()
    assert one.energy()[-1] == (0, 23.0, "rate_implausible")
    assert one.energy()[-2] == (1, 24.0, "good")


async def test_a_profile_that_says_how_fast_a_counter_may_be_knows_it_on_the_first_day() -> None:
    one = Days(rate_max=2 / 3600)
    one.counted(*hourly(-25, -12), *hourly(-12, 1, shows=50))
    await one.look()
    assert one.energy()[-1] == (0, 23.0, "rate_implausible")


async def test_a_day_waits_until_the_store_is_behind_its_end() -> None:
    one = Days()
    one.counted(*hourly(-48, -12))
    one.deriving.complete_until = lambda: MIDNIGHT - 12 * HOUR
    await one.look()
    assert one.energy() == []
    assert await one.deriving.again(SITE, date(2025, 11, 10)) == 1  # the day before yesterday
    await one.look(1)
    assert [day for day, *_ in one.energy()] == [1]
    one.counted(*hourly(-12, 1))
    one.deriving.complete_until = lambda: MIDNIGHT
    await one.look(1)
    assert one.energy()[-1] == (0, 24.0, "good")


async def test_days_that_closed_while_the_store_was_behind_are_made_when_it_is_not() -> None:
    """However long that was: more days than late readings are waited for."""
    one = Days()
    one.ran(*[(-24.0 * n + h, (h // 6) % 2) for n in range(20, 0, -1) for h in range(0, 24, 6)])
    one.deriving.complete_until = lambda: MIDNIGHT - 12 * DAY
    await one.look()
    assert one.stored() == []
    one.deriving.complete_until = one.clock.now
    await one.look(1)
    assert [(MIDNIGHT - 1 - at) // DAY for at, _ in one.stored()] == list(range(11, -1, -1))


async def test_days_that_closed_while_the_server_was_off_are_made_from_the_last_that_is_stored() -> (
    None
):
    before = Days()
    before.ran(*[(-24.0 * n + h, (h // 6) % 2) for n in range(20, 12, -1) for h in range(0, 24, 6)])
    for n in (13, 12):
        await before.clock.advance(0)
        await before.deriving.look(MIDNIGHT - (n - 1) * DAY + HOUR)
    await before.deliver()
    made = len(before.stored())
    assert made
    before.ran(*[(-24.0 * n + h, (h // 6) % 2) for n in range(12, 0, -1) for h in range(0, 24, 6)])
    one = Days(before.store)
    await one.look()
    days = [(MIDNIGHT - 1 - at) // DAY for at, _ in one.stored()]
    assert days[-12:] == list(range(11, -1, -1))


async def test_a_store_that_is_away_is_asked_again_at_the_next_look() -> None:
    one = Days()
    one.ran((-24, 0), (-10, 1), (-7, 0))
    one.store.unavailable = "away"
    await one.deriving.look(one.clock.now())
    one.store.unavailable = ""
    await one.look(0.25)
    assert one.stored() == [(MIDNIGHT - 1, 3.0)]


async def test_what_is_made_anew_twice_waits_once() -> None:
    one = Days()
    one.ran((-24, 0), (-10, 1), (-7, 0))
    since = date(2025, 1, 1)
    assert [await one.deriving.again(SITE, since) for _ in range(2)] == [1, 1]
    await one.look()
    assert one.ingest.stats.readings == 1
