"""What a virtual site makes of faults that lie between its devices and its edges."""

import asyncio

import numpy as np
import pytest

from collector.adapters.memory_bus import MemoryBus
from commands.scenarios import scenario_plant
from commands.virtual import VirtualSite
from commands.virtual_machine import EdgeClock
from commands.virtual_twins import EstateFeed
from config.clock import VirtualClock, VirtualLoop, run_virtual
from edge.ports import LinkLost
from simulators.wires import WiredLoop

START_MS = 1_763_700_000_000
NAME, PORT = "fan-13.hall", 15113


@pytest.mark.usefixtures("unmeasured")
def test_a_name_leads_where_a_device_was_until_it_is_told_where_it_is() -> None:
    loop = WiredLoop()

    async def main() -> None:
        plant = scenario_plant("millside")
        site = VirtualSite(plant, VirtualClock(loop, START_MS), 1, loop)
        first = loop.resolve(NAME)
        assert loop.reach((first, PORT)) == "open"
        site.estate.fault("fan-13", "readdressed")
        assert (loop.resolve(NAME), loop.reach((first, PORT))) == (first, "refused")
        site.estate.repair("fan-13")
        second = loop.resolve(NAME)
        assert second != first
        assert [loop.reach((host, PORT)) for host in (first, second)] == ["refused", "open"]
        assert loop.resolve("127.0.0.1") == "127.0.0.1"

    run_virtual(main(), loop=loop)


@pytest.mark.usefixtures("unmeasured")
def test_the_devices_broker_refuses_the_filters_of_one_device_alone() -> None:
    loop = VirtualLoop()
    clock, plant = VirtualClock(loop, START_MS), scenario_plant("millside")
    site = VirtualSite(plant, clock, 1)
    feed = EstateFeed(site.estate, plant.lines["pits"], clock, EdgeClock(clock))
    filters = frozenset(f"devices/riverside/pit-{n}/status" for n in (1, 2, 3))
    site.estate.fault("pit-3", "filter_refused")
    refused = run_virtual(feed.open(filters), loop=loop)
    assert refused == {"devices/riverside/pit-3/status"}


def test_a_deaf_connection_takes_what_is_said_and_brings_nothing_and_another_one_does() -> None:
    loop = VirtualLoop()
    bus = MemoryBus(VirtualClock(loop, START_MS), np.random.default_rng(1), LinkLost)
    connect = bus.connect("s", "edge-a")

    async def main() -> None:
        source = bus.source()
        async with connect(b"") as deaf:
            bus.deafen("s", "edge-a")
            await deaf.publish("data", b"said")
            await source.commit("steward/v1/s/edge-a/committed", b"1", retain=False)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(60):
                    await deaf.received()
            assert b"said" in [message.payload for message in source.waiting()]
        async with connect(b"") as other:
            await source.commit("steward/v1/s/edge-a/committed", b"2", retain=False)
            assert await other.received() == ("committed", b"2")

    run_virtual(main(), loop=loop)
