"""What a virtual site makes of faults that lie between its devices and its edges."""

import asyncio

import numpy as np
import pytest

from collector.adapters.memory_bus import MemoryBus
from commands.real_site import only_virtual
from commands.scenarios import scenario_plant
from commands.virtual import VirtualSite
from commands.virtual_machine import EdgeClock
from commands.virtual_twins import EstateFeed
from config.clock import VirtualClock, VirtualLoop, run_virtual
from edge.mqtt_publisher import KEEP_ALIVE_S
from edge.ports import LinkLost
from simulators.scenario import Action, Scenario
from simulators.scenario_text import Verb
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


def test_who_speaks_on_a_half_open_connection_knows_it_after_two_keep_alives() -> None:
    loop = VirtualLoop()
    bus = MemoryBus(VirtualClock(loop, START_MS), np.random.default_rng(1), LinkLost)

    async def main() -> None:
        source = bus.source()
        async with bus.connect("s", "edge-a")(b"") as connection:
            began = loop.time()
            bus.stall("s", "edge-a", 90)
            await connection.publish("data", b"said")
            with pytest.raises(LinkLost):
                await connection.received()
            assert loop.time() - began == 2 * KEEP_ALIVE_S
        assert b"said" not in [message.payload for message in source.waiting()]
        await asyncio.sleep(90 - 2 * KEEP_ALIVE_S)
        assert b"said" in [message.payload for message in source.waiting()]

    run_virtual(main(), loop=loop)


@pytest.mark.usefixtures("unmeasured")
def test_whose_session_is_taken_is_cut_and_its_next_connection_has_it() -> None:
    loop = VirtualLoop()
    site = VirtualSite(scenario_plant("riverside"), VirtualClock(loop, START_MS), 1)
    connect = site.bus.connect("riverside", "edge-a")

    async def main() -> None:
        async with connect(b"") as first:
            site.take("edge-a")
            with pytest.raises(LinkLost):
                await first.received()
        async with connect(b"") as again:
            site.bus.publish("steward/v1/riverside/edge-a/committed", b"1", retain=False)
            assert await again.received() == ("committed", b"1")

    run_virtual(main(), loop=loop)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("verb", ["deafen", "stall", "take"])
def test_no_process_is_started_for_what_befalls_the_link_to_a_broker(verb: Verb) -> None:
    does = Action(1.0, verb, "edge-a", options={"seconds": 20})
    scenario = Scenario("one", "", "riverside", 1, "2026-03-02T08:00:00", 1.0, (does,), ())
    assert "link" in only_virtual(scenario, scenario_plant("riverside"))
