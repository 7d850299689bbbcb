import asyncio
import logging

import pytest

from config.clock import SteppedClock
from config.profile import ModbusLimits
from edge.modbus_reader import (
    PLANS_MAX,
    REFUSING_MAX,
    RETEST_S,
    TESTS_PER_READ,
    ModbusReader,
)
from edge.modbus_transport import Garbled, LinkDown, NoAnswer
from edge.readings import QUALITIES
from tests.unit.edge.modbus_twins import TwinLine, at, failing, reader_of, reasons, values
from tests.unit.edge.rows import START_MS, device, register_point


async def test_every_point_asked_for_gets_a_reading_at_the_time_of_its_answer() -> None:
    twin = TwinLine()
    reader, _ = reader_of(twin)
    result = await reader.read(device(), at(5, 6, 9))
    assert values(result.readings) == {"5": 5, "6": 6, "9": 9}
    assert {r.time for r in result.readings} == {START_MS}
    assert not result.lost
    assert twin.asked == [(1, "holding", 5, 5)]


async def test_only_the_refused_register_is_bad_and_its_neighbours_come_in_the_same_read() -> None:
    twin = TwinLine(bad_addresses={1: {33}})
    reader, _ = reader_of(twin)
    result = await reader.read(device(), at(*range(60)))
    assert reasons(result) == {str(a): "device_refused" if a == 33 else "good" for a in range(60)}
    assert values(result.readings)["34"] == 34
    assert not result.lost


async def test_a_refused_register_is_asked_again_after_its_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    twin = TwinLine(bad_addresses={1: {3}})
    reader, clock = reader_of(twin)
    with caplog.at_level(logging.WARNING):
        await reader.read(device(), at(1, 2, 3))
        assert "refuses holding 3..3: exception 2" in caplog.text
    twin.bad_addresses.clear()
    await clock.advance(RETEST_S - 1)
    assert reasons(await reader.read(device(), at(1, 2, 3)))["3"] == "device_refused"
    await clock.advance(1)
    assert values((await reader.read(device(), at(1, 2, 3))).readings)["3"] == 3
    assert reader._resting == {}, "what is over is not kept"


async def test_a_device_that_refuses_everything_costs_a_few_requests_per_read_until_it_answers() -> (
    None
):
    twin = TwinLine(exceptions={1: 2})
    reader, _ = reader_of(twin)
    points = at(*range(20))
    assert set(reasons(await reader.read(device(), points)).values()) == {"device_refused"}
    twin.asked.clear()
    assert set(reasons(await reader.read(device(), points)).values()) == {"device_refused"}
    assert twin.asked == [(1, "holding", address, 1) for address in range(TESTS_PER_READ)]
    twin.exceptions.clear()
    result = await reader.read(device(), points)
    assert set(reasons(result).values()) == {"good"}
    assert twin.asked[-1] == (1, "holding", 0, 20)
    twin.asked.clear()
    await reader.read(device(), points)
    assert twin.asked == [(1, "holding", 0, 20)]


@pytest.mark.parametrize("missing", [{0}, {0, 1, 2, 3, 4, 5}, {19}])
async def test_a_device_that_refused_everything_comes_back_whatever_it_lacks(
    missing: set[int],
) -> None:
    twin = TwinLine(exceptions={1: 2})
    reader, _ = reader_of(twin)
    points = at(*range(20))
    await reader.read(device(), points)
    twin.exceptions.clear()
    twin.bad_addresses = {1: missing}
    for _ in range(3):
        result = await reader.read(device(), points)
    bad = {name for name, reason in reasons(result).items() if reason != "good"}
    assert bad == {str(address) for address in missing}


async def test_a_silent_device_is_no_longer_tried_for_its_places() -> None:
    twin = TwinLine(exceptions={1: 2})
    reader, _ = reader_of(twin)
    points = at(*range(20))
    await reader.read(device(), points)
    twin.exceptions.clear()
    twin.dead.add(1)
    twin.asked.clear()
    assert (await reader.read(device(), points)).lost
    assert len(twin.asked) == 1


@pytest.mark.parametrize("code", [1, 4, 5, 6, 200])
async def test_any_other_exception_refuses_the_block_without_further_requests(code: int) -> None:
    twin = TwinLine(exceptions={1: code})
    reader, _ = reader_of(twin)
    result = await reader.read(device(), at(1, 2))
    assert set(reasons(result).values()) == {"device_refused"}
    assert len(twin.asked) == 1
    assert not result.lost


@pytest.mark.parametrize("code", [10, 11])
async def test_a_gateway_whose_device_does_not_answer_means_no_answer(code: int) -> None:
    twin = TwinLine(exceptions={1: code})
    reader, _ = reader_of(twin)
    result = await reader.read(device(), at(1, 200))
    assert set(reasons(result).values()) == {"no_answer"}
    assert result.lost
    assert len(twin.asked) == 1


async def test_after_the_first_silence_the_rest_of_the_read_is_not_tried() -> None:
    twin = TwinLine(fails_at=2)
    reader, _ = reader_of(twin)
    result = await reader.read(device(), at(0, 200, 400))
    assert reasons(result) == {"0": "good", "200": "no_answer", "400": "no_answer"}
    assert (result.lost, result.line_lost, result.detail) == (True, False, "silent")
    assert len(twin.asked) == 2


@pytest.mark.parametrize(
    ("error", "detail"), [(NoAnswer(), "no answer"), (LinkDown(), "link down")]
)
async def test_a_read_that_failed_without_a_word_says_what_it_was(
    error: Exception, detail: str
) -> None:
    reader, _ = reader_of(TwinLine(before=failing(error)))
    assert (await reader.read(device(), at(0))).detail == detail


async def test_a_link_that_is_down_is_told_for_every_point() -> None:
    reader, _ = reader_of(TwinLine(down=True))
    result = await reader.read(device(), at(0, 200))
    assert set(reasons(result).values()) == {"link_down"}
    assert (result.lost, result.line_lost) == (True, True)
    assert result.detail == "unplugged"


async def test_a_point_that_the_limits_forbid_is_disabled_and_never_asked_for() -> None:
    twin = TwinLine()
    reader, _ = reader_of(twin, ModbusLimits(forbidden=(("holding", 4, 6),)))
    assert reasons(await reader.read(device(), at(3, 5, 7))) == {
        "3": "good",
        "5": "disabled",
        "7": "good",
    }
    assert not {4, 5, 6} & {a for _, _, first, n in twin.asked for a in range(first, first + n)}


async def test_requests_to_a_slow_device_keep_its_pause() -> None:
    clock = SteppedClock()
    times: list[float] = []
    twin = TwinLine(before=lambda: times.append(clock.monotonic()))
    reader = ModbusReader(twin, lambda _: ModbusLimits(pause_s=0.5), clock)
    task = asyncio.ensure_future(reader.read(device(), at(0, 200, 400)))
    await clock.advance(2)
    await task
    assert times == [0.0, 0.5, 1.0]


async def test_a_pause_is_kept_whoever_is_asked_meanwhile() -> None:
    """Another device of the line wants none, and takes none away."""
    clock = SteppedClock()
    times: list[float] = []
    twin = TwinLine(before=lambda: times.append(clock.monotonic()))
    fragile = ModbusLimits(pause_s=0.5)
    reader = ModbusReader(twin, lambda name: fragile if name == "m" else ModbusLimits(), clock)

    async def polled() -> None:
        for one in (device(), device("e", unit="2", profile="quick"), device()):
            await reader.read(one, at(0))

    task = asyncio.ensure_future(polled())
    await clock.advance(2)
    await task
    assert [unit for unit, *_ in twin.asked] == [1, 2, 1]
    assert times == [0.0, 0.0, 0.5]


async def test_what_a_device_refused_before_it_was_changed_says_nothing_of_it_now() -> None:
    """It is changed while it is being asked."""
    twin = TwinLine(bad_addresses={1: {33}})
    reader, _ = reader_of(twin)
    twin.before = lambda: reader.forget("d")
    assert reasons(await reader.read(device(), at(5, 33)))["33"] == "device_refused"
    twin.before, twin.bad_addresses = lambda: None, {}
    assert reasons(await reader.read(device(), at(5, 33)))["33"] == "good"


async def test_only_of_the_device_that_was_changed_nothing_is_remembered() -> None:
    twin = TwinLine(bad_addresses={1: {33}, 2: {33}}, exceptions={3: 2, 4: 2})
    reader, _ = reader_of(twin)
    devices = [device(f"d{unit}", unit=str(unit)) for unit in (1, 2, 3, 4)]
    points = at(*range(30, 35))

    async def asked() -> dict[int, set[int]]:
        """Of each unit, what it is asked for."""
        twin.asked.clear()
        for one in devices:
            await reader.read(one, points)
        return {
            unit: {a for of, _, first, n in twin.asked if of == unit for a in range(first, first + n)}
            for unit in (1, 2, 3, 4)
        }  # fmt: skip

    await asked()
    few = set(range(30, 30 + TESTS_PER_READ))
    assert await asked() == {1: {30, 31, 32, 34}, 2: {30, 31, 32, 34}, 3: few, 4: few}
    reader.forget("d1")
    reader.forget("d3")
    now = await asked()
    assert (now[1], now[3]) == ({30, 31, 32, 33, 34}, {30, 31, 32, 33, 34})
    assert 33 not in now[2]
    assert len(now[4]) == TESTS_PER_READ


async def test_what_a_device_may_not_be_asked_for_holds_from_its_change_on() -> None:
    limits = ModbusLimits()
    reader = ModbusReader(twin := TwinLine(), lambda _: limits, SteppedClock())
    await reader.read(device(), at(1, 2))
    limits = ModbusLimits(forbidden=(("holding", 2, 2),))
    reader.forget("d")
    twin.asked.clear()
    assert reasons(await reader.read(device(), at(1, 2))) == {"1": "good", "2": "disabled"}
    assert twin.asked == [(1, "holding", 1, 1)]


async def test_a_device_is_asked_as_always_while_another_refuses_everything() -> None:
    twin = TwinLine(exceptions={1: 2})
    reader, _ = reader_of(twin)
    for _ in range(2):
        result = await reader.read(device(), at(1, 2))
        assert result.detail.startswith("d refuses holding")
    twin.asked.clear()
    assert set(reasons(await reader.read(device("e", unit="2"), at(1, 2))).values()) == {"good"}
    assert twin.asked == [(2, "holding", 1, 2)]


async def test_no_more_is_kept_of_how_to_ask_than_so_much() -> None:
    reader, _ = reader_of(TwinLine())
    refused, _ = reader_of(TwinLine(exceptions={1: 2}))
    plans, refusing = set(), set()
    for address in range(2 * REFUSING_MAX):
        await reader.read(device(), at(address))
        plans.add(len(reader._plans["d"]))
        await refused.read(device(), at(address))
        refusing.add(len(refused._refusing))
    assert plans == set(range(1, PLANS_MAX + 1))
    assert refusing == set(range(1, REFUSING_MAX + 1))


async def test_strings_are_facts_and_give_no_reading() -> None:
    serial = register_point("serial", 10, "string", words=3)
    twin = TwinLine(words={10: 0x534E, 11: 0x3432, 12: 0})
    reader, _ = reader_of(twin)
    result = await reader.read(device(), [serial, *at(9)])
    assert result.facts == {"a/serial": "SN42"}
    assert values(result.readings) == {"9": 9}


@pytest.mark.parametrize(
    ("exponent", "value", "quality"),
    [(0xFFFE, 1.0, "good"), (3, 100_000.0, "good"), (0x8000, None, "sensor_fault")],
)
async def test_a_value_takes_its_exponent_from_the_same_read(
    exponent: int, value: float | None, quality: str
) -> None:
    scaled = register_point("100", 100, scale_from="power")
    power = register_point("power", 104, "i16", no_data=(0x8000,))
    reader, _ = reader_of(TwinLine(words={104: exponent}))
    result = await reader.read(device(), [scaled, power])
    assert values(result.readings)["100"] == value
    assert reasons(result)["100"] == quality


async def test_a_value_without_its_exponent_is_undecodable() -> None:
    scaled = register_point("100", 100, scale_from="power")
    twin = TwinLine()
    reader, _ = reader_of(twin)
    assert reasons(await reader.read(device(), [scaled])) == {"100": "undecodable"}
    assert reasons(await reader.read(device(), [scaled, *at(99)])) == {"100": "undecodable", "99": "good"}  # fmt: skip
    assert twin.asked == [(1, "holding", 100, 1), (1, "holding", 99, 2)]


async def test_a_value_is_as_doubtful_as_its_exponent() -> None:
    scaled = register_point("100", 100, scale_from="power")
    power = register_point("power", 104, "i16", expected=(-2.0, 2.0))
    reader, _ = reader_of(TwinLine(words={104: 3}))
    result = await reader.read(device(), [scaled, power])
    assert values(result.readings)["100"] == 100_000.0
    assert reasons(result) == dict.fromkeys(("100", "power"), "out_of_expected_range")


async def test_a_value_whose_exponent_did_not_come_has_the_reason_of_that() -> None:
    scaled = register_point("100", 100, scale_from="power")
    power = register_point("power", 400, "i16")
    reader, _ = reader_of(TwinLine(fails_at=2))
    result = await reader.read(device(), [scaled, power])
    assert reasons(result) == {"100": "no_answer", "power": "no_answer"}
    twin = TwinLine(bad_addresses={1: {400}})
    reader, _ = reader_of(twin)
    for number in range(2):  # then it rests
        result = await reader.read(device(), [scaled, power])
        assert reasons(result) == {"100": "device_refused", "power": "device_refused"}, number
    assert sorted(address for _, _, address, _ in twin.asked) == [100, 100, 400, 400]


async def test_a_register_that_is_refused_between_a_value_and_its_exponent_takes_neither() -> None:
    twin = TwinLine(bad_addresses={1: {102}}, words={104: 1})
    reader, _ = reader_of(twin)
    points = [
        register_point("100", 100, scale_from="power"),
        register_point("power", 104, "i16"),
        register_point("103", 103),
    ]
    for _ in range(2):
        result = await reader.read(device(), points)
        assert values(result.readings) == {"100": 1000.0, "103": 103, "power": 1}
        assert set(reasons(result).values()) == {"good"}
    twin.asked.clear()
    await reader.read(device("other", unit="2"), points)
    assert {(first, n) for _, _, first, n in twin.asked} == {(104, 1), (100, 1), (103, 2)}


async def test_an_exponent_that_changes_while_a_refusal_is_learned_is_seen_too() -> None:
    """A joined request, its two parts, then both once more; from then on as learned: exponent, value, exponent."""
    twin = TwinLine(bad_addresses={1: {102}}, words={100: 7, 104: 1})
    reader, _ = reader_of(twin)
    points = [register_point("100", 100, scale_from="power"), register_point("power", 104, "i16")]

    def changing() -> None:
        if len(twin.asked) == 2:  # between the value and its exponent
            twin.words |= {100: 70, 104: 0}

    twin.before = changing
    result = await reader.read(device(), points)
    assert [first for _, _, first, _ in twin.asked] == [100, 100, 104, 100, 104]
    assert values(result.readings) == {"100": 70.0, "power": 0}
    twin.asked.clear()
    await reader.read(device(), points)
    assert [first for _, _, first, _ in twin.asked] == [104, 100, 104]


async def test_only_the_value_is_bad_whose_own_register_is_refused_between_others() -> None:
    twin = TwinLine(bad_addresses={1: {102}}, words={104: 1})
    reader, _ = reader_of(twin)
    points = [
        register_point("100", 100, scale_from="power"),
        *at(102),
        register_point("power", 104),
    ]
    expected = {"100": "good", "102": "device_refused", "power": "good"}
    assert reasons(await reader.read(device(), points)) == expected
    assert reasons(await reader.read(device(), points)) == expected


async def test_a_range_that_must_come_whole_is_not_taken_apart() -> None:
    """Its values belong together: apart they would not be of one moment."""
    twin = TwinLine(bad_addresses={1: {12}})
    reader, _ = reader_of(twin, ModbusLimits(together=(("holding", 10, 14),)))
    result = await reader.read(device(), at(5, 10, 14))
    assert reasons(result) == {"5": "good", "10": "device_refused", "14": "device_refused"}


async def test_a_device_that_refused_everything_comes_back_by_one_of_two_overlapping_values() -> (
    None
):
    """The text that holds the value is never given."""
    twin = TwinLine(exceptions={1: 2}, bad_addresses={1: {18}})
    reader, _ = reader_of(twin)
    points = [register_point("text", 10, "string", words=10), register_point("13", 13)]
    await reader.read(device(), points)
    twin.exceptions.clear()
    assert values((await reader.read(device(), points)).readings) == {"13": 13}


@pytest.mark.parametrize(("value", "exponent"), [(100, 400), (400, 100)], ids=["behind", "before"])
@pytest.mark.parametrize("changes_at", [1, 2, 3, 4])
async def test_a_value_that_is_read_while_its_exponent_changes_has_none(
    value: int, exponent: int, changes_at: int
) -> None:
    """They are too far apart for one answer: the exponent is asked for before the value and after it."""
    twin = TwinLine(words={value: 7, exponent: 1})

    def changing() -> None:
        if len(twin.asked) + 1 == changes_at:
            twin.words |= {value: 70, exponent: 0}

    twin.before = changing
    reader, _ = reader_of(twin)
    points = [register_point("value", value, scale_from="power"), register_point("power", exponent)]
    result = await reader.read(device(), points)
    assert [first for _, _, first, _ in twin.asked] == [exponent, value, exponent]
    torn = changes_at in (2, 3)
    assert values(result.readings)["value"] == (None if torn else 70)
    assert reasons(result)["value"] == ("undecodable" if torn else "good")


async def test_a_value_is_not_told_if_the_device_falls_silent_before_its_exponent_is_confirmed() -> (
    None
):
    points = [register_point("power", 0, "i16"), register_point("200", 200, scale_from="power")]
    for fails_at, reason in ((4, "good"), (3, "no_answer")):  # exponent, value, exponent
        reader, _ = reader_of(TwinLine(words={0: 1}, fails_at=fails_at))
        assert reasons(await reader.read(device(), points))["200"] == reason


async def test_a_value_takes_the_exponent_of_its_own_answer() -> None:
    """It changes from one request to the next: each value is of its own answer."""
    twin = TwinLine(words={0: 7, 100: 1, 200: 70})

    def changing() -> None:
        if twin.asked:
            twin.words[100] = 0

    twin.before = changing
    reader, _ = reader_of(twin)
    points = [
        register_point("near", 0, scale_from="power"),
        register_point("power", 100),
        register_point("far", 200, scale_from="power"),
    ]
    result = await reader.read(device(), points)
    assert [(first, count) for _, _, first, count in twin.asked] == [(0, 101), (100, 101)]
    assert values(result.readings) == {"near": 70.0, "power": 0, "far": 70.0}


async def test_bits_and_registers_are_read_from_their_own_tables() -> None:
    twin = TwinLine()
    reader, _ = reader_of(twin)
    points = [
        register_point("coil", 3, "bit", table="coil"),
        register_point("discrete", 4, "bit", table="discrete"),
        register_point("input", 5, table="input"),
    ]
    result = await reader.read(device(), points)
    assert values(result.readings) == {"coil": 1, "discrete": 0, "input": 5}
    assert {table for _, table, _, _ in twin.asked} == {"coil", "discrete", "input"}


async def test_an_answer_that_cannot_be_one_is_undecodable_and_what_is_next_is_asked_for() -> None:
    reader, _ = reader_of(TwinLine(before=failing(Garbled("nonsense"))))
    result = await reader.read(device(), at(1, 400))
    assert reasons(result) == {"1": "undecodable", "400": "good"}
    assert (result.lost, result.detail) == (False, "nonsense")


async def test_an_answer_of_the_wrong_length_is_undecodable() -> None:
    class Short(TwinLine):
        async def request(self, unit, table, address, count):  # type: ignore[no-untyped-def]  # as in the port
            return (await super().request(unit, table, address, count))[:-1]

    reader, _ = reader_of(Short())
    assert set(reasons(await reader.read(device(), at(1, 2))).values()) == {"undecodable"}


async def test_a_device_without_a_unit_is_the_first() -> None:
    twin = TwinLine()
    reader, _ = reader_of(twin)
    await reader.read(device(unit=""), at(7))
    assert twin.asked == [(1, "holding", 7, 1)]


async def test_closing_gives_the_line_back() -> None:
    twin = TwinLine()
    reader, _ = reader_of(twin)
    await reader.close()
    assert twin.closed == 1
    assert QUALITIES["good"] == 0
