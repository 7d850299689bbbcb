"""A device that says again what it said is not looked into; what is told of it is what would be told if it were."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.plant import Device, Point
from edge.deadbands import Deadbands
from edge.modbus_plans import STIRRED_READS
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import Garbled, NoAnswer
from edge.plausibility import Plausibility
from edge.point_table import grown
from edge.poller import LineStats, Poller
from edge.ports import PointReading, ReadResult, WordReader
from tests.unit.edge.modbus_twins import TwinLine, at, failing, reader_of, values
from tests.unit.edge.rows import START_MS, device, line, plant, register_point

PERIOD_S = 10.0


class Looking:
    """A reader that looks into every answer."""

    def __init__(self, reader: ModbusReader) -> None:
        self._reader = reader

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        return await self._reader.read(device, points)

    def forget(self, device: str) -> None:
        self._reader.forget(device)

    def words(self) -> str:
        return ""

    async def close(self) -> None:
        await self._reader.close()


class Step(NamedTuple):
    """After so many seconds: what a register holds from then on, who is dead, whether all is news again, which register is refused."""

    after_s: float
    address: int
    word: int
    dead: frozenset[int] = frozenset()
    restarts: bool = False
    refused: int = -1
    set_ms: int = 0
    """By how much the clock is set."""
    raises: bool = False
    """Whether reading fails in us from then on."""


class WallClock(VirtualClock):
    """One that may be set."""

    ahead_ms = 0

    def now(self) -> int:
        return super().now() + self.ahead_ms


class Told(NamedTuple):
    """What left, of how many readings that were looked at, and what was counted of the line."""

    news: Sequence[PointReading]
    looked_at: int
    stats: LineStats


ROWS = [
    register_point(
        f"{unit}/{n}", n, id=f"{unit}/{n}", device=f"d{unit}", asset=f"{unit}",
        period_s=PERIOD_S * (1 + n // 2), deadband=float(n), longest_silence_s=(60.0, 300.0)[n // 2], range=(0, 90),
        rate_max=0.1 if (unit, n) == (2, 0) else None,
    )
    for unit in (1, 2) for n in range(4)
]  # fmt: skip
"""Two devices, each read in two classes; one has a point that is judged by how it moves."""
MORE = [
    register_point("3/value", 0, id="3/value", device="d3", asset="3", period_s=PERIOD_S, scale_from="power", longest_silence_s=300.0),
    register_point("3/power", 1, id="3/power", device="d3", asset="3", period_s=2 * PERIOD_S, longest_silence_s=300.0),
    register_point("3/other", 2, id="3/other", device="d3", asset="3", period_s=2 * PERIOD_S, longest_silence_s=300.0),
    register_point("4/moving", 3, id="4/moving", device="d4", asset="4", period_s=PERIOD_S, frozen_after_s=100.0, longest_silence_s=300.0),
]  # fmt: skip
"""One device more, whose exponent both of its classes read, and one with a point that cannot stand still."""


def _raise() -> None:
    raise RuntimeError("nobody foresaw it")


def play(steps: Sequence[Step], rows: Sequence[Point] = ROWS, *, looking: bool) -> Told:
    loop = VirtualLoop()
    clock, twin = WallClock(loop, START_MS), TwinLine()
    news: list[PointReading] = []
    looked_at = 0

    async def main() -> Told:
        nonlocal looked_at
        reader = reader_of(twin)[0]
        reader._clock = clock
        bands, plausible = Deadbands(grown((), rows)), Plausibility(rows)

        def take(readings: Sequence[PointReading]) -> None:
            nonlocal looked_at
            looked_at += len(readings)
            judged = plausible.judged(readings, clock.monotonic())
            news.extend(bands.news(judged).readings)

        devices = [device(f"d{unit}", unit=str(unit)) for unit in (1, 2, 3, 4)]
        poller = Poller(
            plant([line()], devices, rows), "l", Looking(reader) if looking else reader, clock,
            np.random.default_rng(1),
        )  # fmt: skip
        task = asyncio.create_task(poller.run(take, quiet_s=bands.quiet_s))
        for step in steps:
            await asyncio.sleep(step.after_s)
            twin.words[step.address], twin.dead = step.word, set(step.dead)
            refused = step.refused
            twin.refuses = lambda address, _, refused=refused: 4 * (address == refused)  # type: ignore[misc]
            twin.before = _raise if step.raises else lambda: None
            clock.ahead_ms += step.set_ms
            if step.restarts:
                bands.restart()
                poller.tell_all()
        await asyncio.sleep(200.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return Told(news, looked_at, poller.stats)

    return run_virtual(main(), loop=loop)


steps = st.builds(
    Step,
    st.sampled_from([0.5, 7.0, 31.0, 45.0, 130.0]),
    st.integers(0, 3),
    st.sampled_from([0, 1, 2, 50, 99]),
    st.frozensets(st.sampled_from([1, 2, 3]), max_size=2),
    st.booleans(),
    st.sampled_from([-1, 0, 1]),
    st.just(0),
)


@settings(max_examples=60)
@given(st.lists(steps, max_size=6))
@example([Step(130.0, 0, 99), Step(130.0, 0, 50), Step(130.0, 0, 99, restarts=True)])
@example([Step(51.0, 0, 1, dead=frozenset({1})), Step(31.0, 0, 1)])
@example([Step(45.0, 0, 3), Step(10.0, 0, 3)])
@example([Step(130.0, 9, 9, refused=1), Step(31.0, 9, 9)])
@example([Step(130.0, 9, 9, refused=0), Step(15.0, 9, 9)])
@example([Step(130.0, 9, 9, raises=True), Step(15.0, 9, 9)])
def test_nothing_else_leaves_than_from_a_reader_that_looks_into_every_answer(
    script: list[Step],
) -> None:
    spared, looked = (play(script, [*ROWS, *MORE], looking=looking) for looking in (False, True))
    assert spared.news == looked.news
    assert spared.stats.errors == looked.stats.errors
    assert spared.stats.last_good_s == looked.stats.last_good_s
    assert spared.stats.reads == looked.stats.reads
    assert spared.looked_at <= looked.looked_at


def test_of_a_device_at_rest_most_answers_are_not_looked_into() -> None:
    spared, looked = (play([Step(600.0, 9, 9)], looking=looking) for looking in (False, True))
    told = {point.id: sum(one.point == point.id for one in spared.news) for point in ROWS}
    silences = {point.id: point.longest_silence_s for point in ROWS}
    assert all(told[id] >= 800 // silence_s for id, silence_s in silences.items())
    judged = looked.looked_at * 2 // 12  # the class of the point that is judged by how it moves
    assert spared.looked_at - judged < (looked.looked_at - judged) / 2


def test_a_clock_that_is_set_back_keeps_no_device_silent() -> None:
    set_ms = -3_600_000
    at = START_MS + 130_000 + set_ms
    told = play([Step(130.0, 9, 9, set_ms=set_ms), Step(600.0, 9, 9)], looking=False).news
    for point in ROWS:
        times = [one.time for one in told if one.point == point.id and one.time < START_MS]
        silences = [b - a for a, b in pairwise([at, *times, at + 800_000])]
        assert max(silences) <= 1000 * point.longest_silence_s


def test_only_who_sees_words_is_asked_for_them() -> None:
    reader, _ = reader_of(TwinLine())
    assert isinstance(reader, WordReader)
    assert not isinstance(Looking(reader), WordReader)


async def test_an_answer_like_the_last_whole_one_is_worked_out_when_it_is_wanted() -> None:
    twin = TwinLine()
    reader, clock = reader_of(twin)
    points = at(5, 6, 200)
    assert isinstance(await reader.read_words(device(), points), ReadResult)
    await clock.advance(10.0)
    again = await reader.read_words(device(), points)
    assert not isinstance(again, ReadResult)
    await clock.advance(10.0)
    told = again()
    assert values(told.readings) == {"5": 5, "6": 6, "200": 200}
    assert {one.time for one in told.readings} == {START_MS + 10_000}
    twin.words[200] = 7
    changed = await reader.read_words(device(), points)
    assert isinstance(changed, ReadResult)
    assert values(changed.readings)["200"] == 7


async def test_a_read_with_a_fault_is_never_one_that_says_the_same() -> None:
    for error in (NoAnswer("silent"), Garbled("nonsense")):
        twin = TwinLine()
        reader, _ = reader_of(twin)
        for _ in range(2):
            await reader.read(device(), at(5))
        twin.before = failing(error)
        assert isinstance(await reader.read_words(device(), at(5)), ReadResult)
    twin = TwinLine()
    reader, _ = reader_of(twin)
    await reader.read(device(), at(*range(4)))
    twin.bad_addresses = {1: {3}}
    assert isinstance(await reader.read_words(device(), at(*range(4))), ReadResult)


async def test_what_its_words_alone_do_not_say_is_looked_into_each_time() -> None:
    serial = register_point("serial", 0, "string", words=4)
    reader, _ = reader_of(TwinLine())
    for _ in range(3):
        result = await reader.read_words(device(), [serial, *at(9)])
        assert isinstance(result, ReadResult)
        assert set(result.facts) == {"a/serial"}


async def test_words_that_changed_are_not_looked_at_for_some_reads() -> None:
    """Comparing costs a device that never rests a tenth of its read, for nothing."""
    twin = TwinLine()
    reader, _ = reader_of(twin)
    await reader.read(device(), at(5))
    twin.words[5] = 9
    await reader.read(device(), at(5))
    for _ in range(STIRRED_READS):
        result = await reader.read_words(device(), at(5))
        assert isinstance(result, ReadResult)
        assert values(result.readings) == {"5": 9}
    assert not isinstance(await reader.read_words(device(), at(5)), ReadResult)
