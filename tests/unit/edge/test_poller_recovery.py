"""Lost and back, hour by hour: what the poller does about a line that fails, in a clock moved by hand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from config.clock import SteppedClock
from config.plant import Device, Line, Point
from config.profile import ModbusLimits
from edge.modbus_reader import ModbusReader
from edge.poller import BACKOFF_S_MIN, Poller
from edge.ports import PointReader, PointReading, ReadResult
from edge.readings import QUALITIES
from tests.unit.edge.modbus_twins import TwinLine
from tests.unit.edge.polled_line import said
from tests.unit.edge.rows import device, line, plant, register_point

CAP_S = 8.0
TICK_S = 0.001


@asynccontextmanager
async def polling(line: Line, reader: PointReader, clock: SteppedClock) -> AsyncIterator[Poller]:
    site = plant([line], [device()], [register_point("p", 3, period_s=3600.0)])
    poller = Poller(site, line.id, reader, clock, np.random.default_rng(3))
    task = asyncio.ensure_future(poller.run(lambda _: None))
    try:
        yield poller
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("dead", ["line", "device"])
async def test_what_is_lost_is_tried_for_ever_ever_more_seldom_but_once_per_longest_back_off(
    dead: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock, tried = SteppedClock(), []
    twin = TwinLine(down=dead == "line", dead={1}, before=lambda: tried.append(clock.monotonic()))
    reader = ModbusReader(twin, lambda _: ModbusLimits(), clock)
    async with polling(line(backoff_s_max=CAP_S), reader, clock):
        await clock.advance(24 * 3600)
        waits = [b - a for a, b in pairwise(tried)]
        assert BACKOFF_S_MIN / 2 - TICK_S <= waits[0] <= BACKOFF_S_MIN + TICK_S
        assert max(waits) <= CAP_S + TICK_S
        assert min(waits[10:]) >= CAP_S / 2 - TICK_S
        assert len(set(waits[10:])) > 1000, "jitter"
        twin.down, twin.dead = False, set()
        await clock.advance(CAP_S)
    assert [len(lines) for lines in said(caplog).values()] == [2]


@dataclass
class Told:
    """A device that sends by itself: what comes with each read, then nothing."""

    qualities: list[int]
    reads: int = field(default=0)

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        self.reads += 1
        now, come = 0, self.qualities[:1]
        del self.qualities[:1]
        return ReadResult([PointReading(p.id, None, q, now) for p in points for q in come])

    def forget(self, device: str) -> None:
        """Nothing was learnt."""

    def words(self) -> str:
        return ""

    async def close(self) -> None:
        return


async def test_a_device_that_is_merely_quiet_does_not_give_values_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, reader = SteppedClock(), Told([QUALITIES["undecodable"]])
    async with polling(line(kind="mqtt"), reader, clock):
        await clock.advance(60)
        assert said(caplog) == {"device d": ["answers without values: undecodable"]}
        reader.qualities.append(QUALITIES["good"])
        await clock.advance(60)
    assert len(said(caplog)["device d"]) == 2
