"""A loop on the side that stumbles begins again by itself: later each time, logged once, counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from commands.side_loops import BACKOFF_S_MAX, STEADY_S, SideLoops
from config.clock import SteppedClock
from tests.waiting import until


class Stumbling:
    """A loop that raises at each of its looks while `broken`."""

    def __init__(self, clock: SteppedClock, *, ends: bool = False) -> None:
        self.clock, self.ends = clock, ends
        self.broken = True
        self.began = 0
        self.looks = 0

    async def run(self) -> None:
        self.began += 1
        while True:
            self.looks += 1
            if self.broken and self.ends:
                return
            if self.broken:
                raise ZeroDivisionError("in a look")
            await self.clock.sleep_until(self.clock.monotonic() + 60)


@asynccontextmanager
async def tended(*loops: Stumbling, clock: SteppedClock) -> AsyncIterator[SideLoops]:
    side = SideLoops(clock)
    tasks = [asyncio.create_task(side.run(f"loop-{n}", one.run)) for n, one in enumerate(loops)]
    await until(lambda: all(one.looks for one in loops))
    try:
        yield side
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("ends", [False, True], ids=["raises", "ends"])
async def test_it_begins_again_later_each_time_and_is_logged_once(
    ends: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SteppedClock()
    one = Stumbling(clock, ends=ends)
    async with tended(one, clock=clock) as side:
        for waits, began in ((1, 2), (1, 2), (1, 3), (4, 4), (8, 5)):
            await clock.advance(waits)
            assert one.began == began
        for _ in range(20):
            await clock.advance(BACKOFF_S_MAX)
        assert one.began > 20  # it never gives up
        assert side.restarts == {"loop-0": one.began - 1}
        assert len(caplog.records) == 1
        assert list(side.troubles()) == ["loop-0"]


async def test_the_others_go_on() -> None:
    clock = SteppedClock()
    one, other = Stumbling(clock), Stumbling(clock)
    other.broken = False
    async with tended(one, other, clock=clock) as side:
        for _ in range(5):
            await clock.advance(60)
        assert (other.began, other.looks) == (1, 6)
        assert list(side.troubles()) == ["loop-0"]


async def test_what_has_run_for_long_is_well_and_what_it_stumbles_over_then_is_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SteppedClock()
    one = Stumbling(clock)
    async with tended(one, clock=clock) as side:
        one.broken = False
        await clock.advance(2)
        assert side.troubles()
        for _ in range(round(STEADY_S // 60) + 1):
            await clock.advance(60)
        assert not side.troubles()
        one.broken = True
        await clock.advance(60)
        assert len(caplog.records) == 2
        await clock.advance(1)
        assert side.restarts == {"loop-0": 2}
