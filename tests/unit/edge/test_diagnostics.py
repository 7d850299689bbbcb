"""What an agent says of its outbox, lines and devices: true numbers of points that the plant declares."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from config.clock import SteppedClock
from config.load import load_plant
from config.plant import Device, Point
from edge.diagnostics import Diagnostics, Now
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import PymodbusTransport
from edge.outbox import Dropped
from edge.poller import Poller
from edge.ports import PointReading, ReadResult
from tests.unit.edge.rows import NO_LIMITS, START_MS, device, line, plant, register_point

RIVERSIDE = Path(__file__).parents[3] / "config" / "plants" / "riverside"
SITE = plant([line()], [device()], [register_point("flow", 0)])


def poller() -> Poller:
    clock = SteppedClock()
    reader = ModbusReader(PymodbusTransport(line()), lambda _: NO_LIMITS, clock)
    return Poller(SITE, "l", reader, clock, np.random.default_rng(1))


def values(readings: Iterable[PointReading]) -> dict[str, float | None]:
    return {reading.point: reading.value for reading in readings}


def test_a_line_says_its_use_since_the_last_look_and_its_errors() -> None:
    one, says = poller(), Diagnostics("e")
    one.stats.started_s, one.stats.busy_s, one.stats.last_read_s = 100.0, 45.0, 0.02
    one.stats.errors = Counter(no_answer=3, sensor_fault=9)
    one.stats.last_good_s["d"] = 155.0
    first = values(says.of_lines(SITE, [one], Now(START_MS, 160.0)))
    assert first["e/l/utilisation"] == 75.0
    assert (first["e/l/errors_no_answer"], first["e/l/errors_link_down"]) == (3.0, 0.0)
    assert (first["e/l/round_trip"], first["e/l/d/last_good_age"]) == (20.0, 5.0)
    one.stats.busy_s = 51.0
    assert values(says.of_lines(SITE, [one], Now(START_MS, 220.0)))["e/l/utilisation"] == 10.0


def test_a_burst_at_the_start_is_no_busy_line_and_no_good_reading_is_as_old_as_the_line() -> None:
    one = poller()
    one.stats.busy_s = 1.5
    said = values(Diagnostics("e").of_lines(SITE, [one], Now(START_MS, 2.0)))
    assert (said["e/l/utilisation"], said["e/l/d/last_good_age"]) == (5.0, 2.0)


class Dated:
    """Answers with the given quality and the time of a clock that is so far ahead, ms."""

    def __init__(self, clock: SteppedClock, ahead_ms: int, quality: int) -> None:
        self._clock = clock
        self._ahead_ms = ahead_ms
        self._quality = quality

    async def read(self, _: Device, points: Sequence[Point]) -> ReadResult:
        if self._clock.monotonic() >= 60:
            return ReadResult([])
        at = self._clock.now() + self._ahead_ms
        return ReadResult([PointReading(row.id, 1.0, self._quality, at) for row in points])

    def forget(self, device: str) -> None:
        """Nothing is learnt."""

    def words(self) -> str:
        return ""

    async def close(self) -> None:
        """Nothing to give back."""


HOUR_MS = 3_600_000
DATED = [(0, 0, 3600.0), (8 * HOUR_MS, 0, 3600.0), (-8 * HOUR_MS, 0, 3600.0), (0, 3, 3660.0)]


@pytest.mark.parametrize(("ahead_ms", "quality", "age_s"), DATED)
async def test_a_good_reading_is_as_old_as_its_arrival_and_an_uncertain_one_is_none(
    ahead_ms: int, quality: int, age_s: float
) -> None:
    clock = SteppedClock(START_MS)
    reader = Dated(clock, ahead_ms, quality)
    one = Poller(SITE, "l", reader, clock, np.random.default_rng(1))
    running = asyncio.create_task(one.run(lambda _: None))
    await clock.advance(3660)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    said = values(Diagnostics("e").of_lines(SITE, [one], Now(clock.now(), clock.monotonic())))
    assert said["e/l/d/last_good_age"] == pytest.approx(age_s, abs=10.0)


def test_an_outbox_says_its_depth_and_only_drops_have_a_span() -> None:
    says, now = Diagnostics("e"), Now(START_MS, 0.0)
    quiet = values(says.of_outbox((0, None), Dropped(), now))
    assert quiet == {"e/outbox_batches": 0, "e/outbox_age": 0, "e/outbox_dropped": 0}
    full = values(says.of_outbox((7, START_MS - 90_000), Dropped(2, 1_000, 3_000), now))
    assert (full["e/outbox_batches"], full["e/outbox_age"]) == (7, 90)
    assert (full["e/outbox_dropped_from"], full["e/outbox_dropped_until"]) == (1, 3)


def test_a_plant_declares_its_links_with_rules_and_the_agent_that_says_them() -> None:
    site = load_plant(RIVERSIDE)
    for name in ("edge-a/outbox_age", "edge-a/fire/utilisation", "edge-a/fire/panel/last_good_age"):
        assert site.agent_of(site.points[name]) == "edge-a"
        assert site.assets[site.points[name].asset].system == "links"
    assert site.rules["line-busy@edge-b/power"].point == "edge-b/power/utilisation"
    assert site.rules["outbox-behind@edge-a"].levels[0].limit == 300
    (nearly_full,) = site.rules["disk-nearly-full@steward"].levels
    assert (nearly_full.side, nearly_full.limit) == ("low", 5)
