"""Fire transmission devices on real sockets: simulated panels, the port they connect to, what the edge makes of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from commands.edge import Readers
from commands.part_servers import free_port
from config.clock import ScaledClock
from config.load import load_plant
from config.plant import Plant
from config.settings import read_settings
from edge.fire_reader import FireReader
from edge.poller import Poller
from edge.ports import PointReading
from edge.readings import QUALITY_NAMES
from simulators.estate import Estate
from simulators.serving import Access, Servers, serving
from tests.waiting import until

PLANT = """
site = "tower"
name = { en = "Tower", zh = "塔楼" }
time_zone = "Asia/Shanghai"

[lines.panels]
agent = "e"
fire = "127.0.0.1:15999"
timeout = "200ms"

[devices.panel-a]
profile = "fire-transmission"
line = "panels"
unit = 889
asset = "fire-a"

[devices.panel-b]
profile = "fire-transmission"
line = "panels"
unit = 890
asset = "fire-b"

[assets.fire-a]
name = { en = "Fire alarm A", zh = "A 座火灾报警" }
system = "fire-alarm"

[assets.fire-b]
name = { en = "Fire alarm B", zh = "B 座火灾报警" }
system = "fire-alarm"
"""
FACTOR = 20
"""Heartbeats every 1.5 s, silence after 4.5 s, an answer within 0.5 s."""
START_MS = 1_763_700_000_000


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    folder = tmp_path / "plants" / "tower"
    folder.mkdir(parents=True)
    (folder / "plant.toml").write_text(PLANT, encoding="utf-8")
    return load_plant(folder)


@dataclass(slots=True)
class Site:
    """The panels, the edge's reader of their line, and every reading that it gave."""

    estate: Estate
    servers: Servers
    reader: FireReader
    readings: list[PointReading] = field(default_factory=list)

    def take(self, readings: Sequence[PointReading]) -> None:
        self.readings += readings

    def last(self, point: str) -> tuple[float | None, str]:
        """Value and quality of the last reading of a point."""
        for reading in reversed(self.readings):
            if reading.point == point:
                return reading.value, QUALITY_NAMES[reading.quality]
        return None, "nothing"

    def qualities(self, asset: str) -> set[str]:
        """Of the last readings of all points of an asset."""
        points = [p for p in self.estate.plant.points if p.startswith(f"{asset}/")]
        return {self.last(point)[1] for point in points}

    def is_well(self, asset: str) -> bool:
        return self.qualities(asset) == {"good"}


def reader_of(plant: Plant, clock: ScaledClock, port: int) -> FireReader:
    """As `steward edge` builds it."""
    line = replace(plant.lines["panels"], port=port)
    reader = Readers(read_settings({}), clock).make(plant, line)
    assert isinstance(reader, FireReader)
    return reader


@asynccontextmanager
async def site_of(plant: Plant) -> AsyncIterator[Site]:
    clock = ScaledClock(origin_ms=START_MS, factor=FACTOR)
    port = free_port()
    reader = reader_of(plant, clock, port)
    line = replace(plant.lines["panels"], port=port)
    plant = replace(plant, lines={"panels": line})
    estate = Estate(plant, 1)
    poller = Poller(plant, "panels", reader, clock, np.random.default_rng(1))
    async with serving(estate, clock, Access()) as servers:
        site = Site(estate, servers, reader)
        polling = asyncio.create_task(poller.run(site.take))
        try:
            await until(lambda: site.is_well("fire-a") and site.is_well("fire-b"))
            yield site
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)


async def test_a_fire_is_read_and_its_end_and_the_other_panel_is_untouched(plant: Plant) -> None:
    async with site_of(plant) as site:
        assert site.last("fire-a/zone_1_fire") == (0.0, "good")
        assert site.last("fire-a/service") == (1.0, "good")
        assert site.last("fire-a/battery_voltage")[0] == pytest.approx(27.4, abs=0.3)
        site.estate.fault("fire-a", "fire", zone=1)
        await until(lambda: site.last("fire-a/zone_1_fire") == (1.0, "good"))
        await until(lambda: site.last("fire-a/fire") == (1.0, "good"))
        assert site.last("fire-a/zone_2_fire") == (0.0, "good")
        site.estate.repair("fire-a")
        await until(lambda: site.last("fire-a/zone_1_fire") == (0.0, "good"))
        site.estate.fault("fire-b", "test")
        await until(lambda: site.last("fire-b/service") == (0.0, "good"))
        assert not [r for r in site.readings if r.point.startswith("fire-b/") and "fire" in r.point[7:] and r.value]  # fmt: skip
        for point in site.estate.plant.points:
            times = [r.time for r in site.readings if r.point == point]
            assert times == sorted(set(times))


async def test_silence_is_no_answer_of_every_point_of_that_panel_alone(plant: Plant) -> None:
    async with site_of(plant) as site:
        site.estate.fault("fire-a", "fire", zone=2)
        await until(lambda: site.last("fire-a/zone_2_fire") == (1.0, "good"))
        site.estate.fault("fire-a", "silent")
        await until(lambda: site.qualities("fire-a") == {"no_answer"}, timeout=15)
        assert site.last("fire-a/zone_2_fire") == (None, "no_answer")
        assert site.is_well("fire-b")
        site.estate.repair("fire-a")
        await until(lambda: site.last("fire-a/zone_2_fire") == (0.0, "good"))


async def test_a_cut_link_is_link_down_and_the_panel_tells_all_when_it_is_back(plant: Plant) -> None:  # fmt: skip
    async with site_of(plant) as site:
        site.estate.fault("panel-b", "link_lost")
        await until(lambda: site.qualities("fire-b") == {"link_down"})
        assert site.is_well("fire-a")
        site.estate.fault("fire-b", "fire", zone=3)
        site.estate.repair("fire-b", "link_lost")
        await until(lambda: site.last("fire-b/zone_3_fire") == (1.0, "good"))
        await until(lambda: site.is_well("fire-b"))


async def test_garbage_in_between_loses_nothing(plant: Plant) -> None:
    async with site_of(plant) as site:
        panel = site.servers.fire["panel-a"]
        for noise in (
            b"\x00\xff@",
            b"@@" + bytes(21) + b"\x90\x01" + bytes(9),
            b"##@@##",
            b"@" * 999,
        ):
            await panel.say(noise)
        site.estate.fault("fire-a", "fire", zone=1)
        await until(lambda: site.last("fire-a/zone_1_fire") == (1.0, "good"), timeout=15)
        assert site.reader.centre.stats.bad
        await until(lambda: site.is_well("fire-a"))


async def test_wrong_checksums_are_denied_and_sent_again_until_they_are_right(plant: Plant) -> None:
    async with site_of(plant) as site:
        panel = site.servers.fire["panel-a"]
        site.estate.fault("fire-a", "garbled")
        site.estate.fault("fire-a", "fire", zone=1)
        await until(lambda: panel.stats.failed >= 1)
        assert site.reader.centre.stats.bad["bad_checksum"] >= 3
        assert site.last("fire-a/zone_1_fire") == (0.0, "good")
        await until(lambda: site.qualities("fire-a") == {"no_answer"}, timeout=15)
        site.estate.repair("fire-a", "garbled")
        await until(lambda: site.last("fire-a/zone_1_fire") == (1.0, "good"), timeout=15)


async def test_nothing_but_confirmations_and_denials_ever_reaches_a_panel(plant: Plant) -> None:
    async with site_of(plant) as site:
        panels = site.servers.fire
        site.estate.fault("fire-a", "garbled")
        site.estate.fault("fire-b", "fire", zone=1)
        await panels["panel-b"].say(bytes(range(256)) * 3 + b"@@" * 40)
        await until(lambda: panels["panel-a"].stats.commands[6] >= 3)
        await until(lambda: panels["panel-b"].stats.commands[3] >= 6)
        assert set().union(*(panel.stats.commands for panel in panels.values())) == {3, 6}


async def test_a_reader_that_begins_again_is_told_everything_again(plant: Plant) -> None:
    async with site_of(plant) as site:
        port = site.reader.port
        await site.reader.close()
        assert site.reader.port == 0
        await until(lambda: site.reader.port == port, timeout=10)
        site.estate.fault("fire-a", "fire", zone=1)
        await until(lambda: site.last("fire-a/zone_1_fire") == (1.0, "good"), timeout=10)
        assert site.servers.fire["panel-a"].stats.connections >= 2
