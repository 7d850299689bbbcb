"""Who comes to a fire line with a fault of one of its devices, seen by the edge's own reader."""

import asyncio
import logging
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager

import pytest

from config.clock import VirtualClock, run_virtual
from config.plant import Device, Line
from edge.fire_centre import Watched
from edge.fire_reader import SPARE_LINKS, FireReader
from simulators.fire_client import FireDevice
from simulators.fire_frames import told
from simulators.fire_intruders import CROWD, STRANGER, WHO, Intruders
from simulators.wires import WiredLoop
from tests.unit.edge.rows import line
from tests.unit.simulators.test_fire_client import NOW, POINTS, QUIET, ZONE

UNIT, PORT = 889, 15130
WHERE: Line = line(kind="fire", host="127.0.0.1", port=PORT)


@asynccontextmanager
async def fire_line(clock: VirtualClock) -> AsyncIterator[tuple[FireReader, Intruders]]:
    device = Device("d", "fire-transmission", WHERE.id, asset="a", unit=str(UNIT))
    reader = FireReader(WHERE, [Watched(device, tuple(POINTS), 90.0)], clock, ZONE)

    def panel(unit: int | None = None, faults: Set[str] = frozenset()) -> FireDevice:
        one = FireDevice(("127.0.0.1", PORT), unit or UNIT, clock, ZONE, faults=lambda: faults)
        one.show(told(POINTS, QUIET, NOW))
        return one

    own, intruders = panel(), Intruders(panel)
    await reader.open()
    own.start()
    try:
        yield reader, intruders
    finally:
        await intruders.close()
        await own.close()
        await reader.close()


@pytest.mark.parametrize(
    ("kind", "strangers", "taken_over", "places", "says"),
    [
        (
            "two_alike",
            False,
            True,
            {1, 2},
            ["device d speaks on another connection, the old one is ended"],
        ),
        (
            "stranger",
            True,
            False,
            {2},
            [f"a device of source address {STRANGER} is not on this line"],
        ),
        ("crowd", False, False, {SPARE_LINKS + 1}, []),
    ],
)
def test_who_comes_is_met_and_the_device_is_read_on(
    kind: str, strangers: bool, taken_over: bool, places: set[int], says: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    loop = WiredLoop()

    async def main() -> None:
        async with fire_line(VirtualClock(loop, 1_763_700_000_000)) as (reader, intruders):
            await asyncio.sleep(20)
            reader.centre.readings("d")
            await intruders.update({kind})
            await asyncio.sleep(40)
            stats = reader.centre.stats
            assert (stats.strangers > 0, stats.taken_over > 0) == (strangers, taken_over)
            assert {one.quality for one in reader.centre.readings("d")} == {0}
            assert reader.refused_links == 0
            assert len(reader._sockets) in places
            await intruders.update(frozenset())
            await asyncio.sleep(40)
            assert len(reader._sockets) == 1

    with caplog.at_level(logging.WARNING, "edge"):
        run_virtual(main(), loop=loop)
    assert len(caplog.messages) == len(says)
    assert all(said.startswith(wanted) for said, wanted in zip(caplog.messages, says, strict=True))


def test_a_crowd_is_more_than_have_a_place() -> None:
    assert len(WHO["crowd"]) == CROWD > SPARE_LINKS + 1
