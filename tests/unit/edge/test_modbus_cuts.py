"""What refusals teach of a model: which requests are cut from then on, and for how long."""

from itertools import pairwise

import pytest

from config.plant import Point
from edge.modbus_cuts import FIRST_S, GROWTH, LONGEST_S, Cuts
from edge.modbus_reader import RETEST_S, ModbusReader
from edge.modbus_transport import Garbled, Refused
from edge.registers import Cut
from tests.unit.edge.modbus_twins import TwinLine, at, failing, reader_of, reasons
from tests.unit.edge.rows import device

ONE: Cut = ("holding", 3, 5)
OTHER: Cut = ("input", 7, 9)
HOLE = at(*(a for a in range(60) if a != 33))


async def asked(twin: TwinLine, reader: ModbusReader, points: list[Point]) -> list[tuple[int, int]]:
    """Where, and for how many, the next read asks; every point of it is good."""
    twin.asked.clear()
    assert set(reasons(await reader.read(device(), points)).values()) == {"good"}
    return [(address, count) for _, _, address, count in twin.asked]


# --- for how long


def test_a_cut_holds_for_a_while_and_each_time_it_is_found_again_for_longer() -> None:
    cuts, now = Cuts(), 1000.0
    assert not cuts.end(now)
    for n in range(8):
        assert cuts.learn([ONE], now) == {ONE}
        now += min(FIRST_S * GROWTH**n, LONGEST_S)
        assert (cuts.end(now - 0.1), cuts.holding) == (False, {ONE})
        assert (cuts.end(now), cuts.holding) == (True, frozenset())
        assert not cuts.end(now)


def test_a_cut_that_is_found_while_it_holds_holds_as_long_again_and_no_longer() -> None:
    cuts = Cuts()
    cuts.learn([ONE], 0.0)
    for n in range(1, 5):
        assert cuts.learn([ONE], 60.0 * n) == set()
    assert (cuts.end(240.0 + FIRST_S - 0.1), cuts.holding) == (False, {ONE})
    assert (cuts.end(240.0 + FIRST_S), cuts.holding) == (True, frozenset())


def test_cuts_that_are_found_behind_each_other_end_together() -> None:
    cuts = Cuts()
    cuts.learn([ONE], 0.0)
    assert cuts.learn([OTHER], FIRST_S - 1.0) == {OTHER}
    assert (cuts.end(FIRST_S), cuts.holding) == (True, frozenset())
    cuts.learn([ONE], FIRST_S)
    cuts.learn([OTHER], FIRST_S + 10.0)
    assert (cuts.end(FIRST_S + GROWTH * FIRST_S), cuts.holding) == (True, frozenset())


def test_a_cut_that_has_nothing_to_do_with_another_holds_no_longer_for_it() -> None:
    cuts, now = Cuts(), 0.0
    cuts.learn([ONE], now)
    cuts.end(now := now + FIRST_S)
    cuts.learn([ONE], now)
    cuts.learn([OTHER], now + FIRST_S)
    assert (cuts.end(now + 2 * FIRST_S), cuts.holding) == (True, {ONE})


def test_a_cut_that_was_not_found_for_a_day_is_new_again() -> None:
    for since_it_ended_s, lasts_s in ((LONGEST_S - 1, GROWTH * FIRST_S), (LONGEST_S, FIRST_S)):
        cuts = Cuts()
        cuts.learn([ONE], 0.0)
        cuts.end(FIRST_S)
        now = FIRST_S + since_it_ended_s
        cuts.learn([OTHER], now)
        cuts.end(now + FIRST_S)
        cuts.learn([ONE], now + FIRST_S)
        assert (cuts.end(now + FIRST_S + lasts_s - 0.1), cuts.holding) == (False, {ONE})
        assert (cuts.end(now + FIRST_S + lasts_s), cuts.holding) == (True, frozenset())


# --- which


async def test_where_a_block_had_to_be_cut_is_remembered_for_every_device_of_the_profile() -> None:
    twin = TwinLine(bad_addresses={1: {33}, 2: {33}})
    reader, _ = reader_of(twin)
    points = at(*range(60))
    await reader.read(device(), points)
    twin.asked.clear()
    await reader.read(device(), points)
    assert twin.asked == [(1, "holding", 0, 33), (1, "holding", 34, 26)]
    twin.asked.clear()
    await reader.read(device("other", unit="2"), points)
    assert twin.asked == [(2, "holding", 0, 33), (2, "holding", 33, 1), (2, "holding", 34, 26)]
    twin.asked.clear()
    await reader.read(device("third", unit="3", profile="another"), points)
    assert twin.asked == [(3, "holding", 0, 60)]


async def test_a_hole_that_the_device_refuses_is_read_around_from_then_on() -> None:
    twin = TwinLine(bad_addresses={1: {5}})
    reader, _ = reader_of(twin)
    assert await asked(twin, reader, at(1, 9)) == [(1, 9), (1, 1), (9, 1)]
    assert await asked(twin, reader, at(1, 9)) == [(1, 1), (9, 1)]


async def test_a_hole_in_the_middle_of_a_long_block_cuts_it_there_and_nowhere_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    twin = TwinLine(bad_addresses={1: {33}})
    reader, _ = reader_of(twin)
    assert len(await asked(twin, reader, HOLE)) > 6
    assert await asked(twin, reader, HOLE) == [(0, 33), (34, 26)]
    assert [record.args[2] for record in caplog.records] == [[("holding", 32, 34)]]  # type: ignore[index]  # a tuple


async def test_a_device_that_takes_shorter_requests_only_is_learned() -> None:
    twin = TwinLine(longest=16)
    reader, _ = reader_of(twin)
    points = at(*range(64))
    await asked(twin, reader, points)
    await asked(twin, reader, points)  # what was cut for no need of its own is tried joined
    assert [count for _, count in await asked(twin, reader, points)] == [16, 16, 16, 16]


async def test_each_register_that_is_refused_is_said_whatever_was_beside_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    twin = TwinLine(bad_addresses={1: {2, 4}})
    reader, clock = reader_of(twin)
    await reader.read(device(), at(*range(6)))
    twin.bad_addresses[1].add(3)
    await clock.advance(RETEST_S)
    await reader.read(device(), at(*range(6)))
    assert [record.args[2] for record in caplog.records] == [  # type: ignore[index]  # a tuple
        [("holding", 2, 2), ("holding", 4, 4)],
        [("holding", 3, 3)],
    ]


async def test_a_part_of_which_nothing_can_be_made_teaches_nothing() -> None:
    twin = TwinLine(before=failing(Refused(2), Garbled("nonsense")))
    reader, _ = reader_of(twin)
    assert set(reasons(await reader.read(device(), at(1, 9))).values()) == {"undecodable", "good"}
    assert await asked(twin, reader, at(1, 9)) == [(1, 9)]


@pytest.mark.parametrize("after", [Garbled("nonsense"), Refused(4)])
async def test_what_is_learned_is_said_with_what_was_refused_whatever_came_after_it(
    after: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    reader, _ = reader_of(TwinLine(before=failing(Refused(2), None, None, after)))
    await reader.read(device(), at(1, 9, 400))
    assert [record.getMessage() for record in caplog.records] == [
        "profile m: device d refuses holding 1..9: exception 2, now read apart: [('holding', 1, 9)]"
    ]


# --- with the reader


async def test_one_bad_moment_of_a_device_is_forgotten_soon() -> None:
    twin = TwinLine(refuses=lambda _address, _count: 0 if twin.asked[1:] else 2)
    reader, clock = reader_of(twin)
    points = at(*range(60))
    assert await asked(twin, reader, points) == [(0, 60), (0, 30), (30, 30)]
    twin.refuses = lambda _address, _count: 0
    await clock.advance(FIRST_S - 1)
    assert await asked(twin, reader, points) == [(0, 30), (30, 30)]
    await clock.advance(1)
    assert await asked(twin, reader, points) == [(0, 60)]


async def test_a_hole_that_stays_is_tried_less_and_less(caplog: pytest.LogCaptureFixture) -> None:
    twin = TwinLine(bad_addresses={1: {5}})
    reader, clock = reader_of(twin)
    tried = []
    for turn in range(4 * 24 * 30):
        if len(await asked(twin, reader, at(1, 2, 9))) > 2:
            tried.append(2 * turn)
        await clock.advance(120.0)
    waits_min = [after - before for before, after in pairwise(tried)]
    assert waits_min == [2, 8, 32, 128, 512, 1440, 1440, 1440]
    assert len(caplog.records) == len(tried)


async def test_a_register_that_stays_refused_stays_apart_and_is_joined_when_it_is_given_again() -> (
    None
):
    twin = TwinLine(bad_addresses={1: {3}})
    reader, clock = reader_of(twin)
    points = at(*range(6))
    await reader.read(device(), points)
    for _ in range(100):
        await clock.advance(RETEST_S)
        twin.asked.clear()
        assert reasons(await reader.read(device(), points))["3"] == "device_refused"
        assert [row[2:] for row in twin.asked] == [(0, 3), (3, 1), (4, 2)]
    twin.bad_addresses.clear()
    await clock.advance(FIRST_S)
    assert await asked(twin, reader, points) == [(0, 6)]
