"""What breaks something on the bus says whether there was anything to break: the delivery model counts by it."""

import numpy as np

from collector.adapters.memory_bus import MemoryBus
from config.clock import SteppedClock
from edge.ports import LinkLost

NAME = ("site", "edge-a")


def a_bus() -> MemoryBus:
    return MemoryBus(SteppedClock(0), np.random.default_rng(1), LinkLost)


def test_where_nobody_is_nothing_breaks() -> None:
    bus = a_bus()
    assert not bus.cut(*NAME)
    assert not bus.stall(*NAME, 1.0)
    assert not bus.cut_collector()
    assert bus.stop()
    assert not bus.stop()


async def test_a_connection_is_cut_once() -> None:
    bus = a_bus()
    async with bus.connect(*NAME)(b""):
        assert bus.cut(*NAME)
        assert not bus.cut(*NAME)


async def test_a_half_open_connection_is_stalled_and_cut_once() -> None:
    bus = a_bus()
    async with bus.connect(*NAME)(b""):
        assert bus.stall(*NAME, 1.0)
        assert not bus.stall(*NAME, 1.0)
        assert bus.cut(*NAME)
        assert not bus.cut(*NAME)


async def test_a_session_is_taken_from_an_agent_that_has_it() -> None:
    bus = a_bus()
    async with bus.connect(*NAME)(b""):
        assert bus.sessions_taken == 0
        async with bus.connect(*NAME)(b""):
            assert bus.sessions_taken == 1
    async with bus.connect(*NAME)(b""):
        assert bus.sessions_taken == 1


async def test_a_collectors_session_is_taken_by_another_beside_it() -> None:
    bus = a_bus()
    first = bus.source()
    bus.source()
    assert bus.sessions_taken == 0
    assert not first.waiting()
    bus.source(beside=True)
    assert bus.sessions_taken == 1
    bus.both_hear = True
    bus.source(beside=True)
    assert bus.sessions_taken == 1, "both hear"


async def test_a_collector_that_is_away_is_not_cut_again() -> None:
    bus = a_bus()
    bus.source()
    assert bus.cut_collector(away_s=1.0)
    assert not bus.cut_collector(away_s=1.0)
