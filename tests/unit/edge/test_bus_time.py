"""What lines take, against times worked out by hand from Modbus over serial line V1.02."""

from dataclasses import replace

import pytest

from config.plant import Line, Plant, Serial
from config.profile import ModbusLimits
from edge.bus_time import (
    LineTooBusy,
    character_s,
    gap_s,
    link_cost,
    refuse_overload,
    shares,
    table,
    uses_of,
)
from edge.registers import LinkCost, plan_reads
from tests.unit.edge.rows import device, line, plant, register_point

EVEN_9600 = Serial(9600, "even", 1, turnaround_s=0.005)


def rtu(serial: Serial = EVEN_9600) -> Line:
    return line(kind="rtu", path="/dev/x", serial=serial)


def test_characters_and_gaps_are_those_of_the_standard() -> None:
    assert character_s(EVEN_9600) == pytest.approx(11 / 9600)
    assert character_s(Serial(9600, "none", 1)) == pytest.approx(10 / 9600)
    assert character_s(Serial(9600, "none", 2)) == pytest.approx(11 / 9600)
    assert gap_s(EVEN_9600) == pytest.approx(0.0040104, abs=1e-6)
    assert gap_s(Serial(19200)) == pytest.approx(0.0020052, abs=1e-6)
    assert gap_s(Serial(115_200)) == 0.00175


@pytest.mark.parametrize(
    ("at", "pause_s", "count", "ms"),
    [
        (rtu(), 0.0, 10, 33 * 1.145833 + 4.0104 + 5.0),
        (rtu(replace(EVEN_9600, turnaround_s=0.0)), 0.0, 10, 33 * 1.145833 + 2 * 4.0104),
        (rtu(), 0.05, 10, 33 * 1.145833 + 50.0 + 5.0),
        (rtu(Serial(115_200, turnaround_s=0.002)), 0.0, 125, 263 * 0.0954861 + 1.75 + 2.0),
        (line(), 0.0, 10, 10.002),
        (line(round_trip_s=0.003), 0.0, 10, 3.002),
        (line(), 0.05, 10, 60.002),
        (
            line(kind="rtu_over_tcp", serial=EVEN_9600, round_trip_s=0.02),
            0.0,
            10,
            33 * 1.145833 + 4.0104 + 5.0 + 20.0,
        ),
    ],
)
def test_a_request_takes_its_frames_the_quiet_and_the_network(
    at: Line, pause_s: float, count: int, ms: float
) -> None:
    assert 1000 * link_cost(at, pause_s).of("holding", count) == pytest.approx(ms, abs=1e-3)


def test_bits_are_eight_to_a_byte() -> None:
    cost = LinkCost(0.0, 1.0)
    assert [cost.of("coil", n) for n in (1, 8, 9, 2000)] == [1, 1, 2, 250]
    assert cost.of("input", 3) == 6


@pytest.mark.parametrize(("hole", "requests"), [(10, 1), (11, 2)])
def test_at_9600_baud_a_hole_wider_than_ten_registers_is_split(hole: int, requests: int) -> None:
    points = [register_point("a", 0), register_point("b", hole + 1)]
    assert len(plan_reads(points, ModbusLimits(), link_cost(rtu()))) == requests
    assert len(plan_reads(points, ModbusLimits(), link_cost(line()))) == 1


def busy(every_s: float) -> Plant:
    """Two devices on a slow bus, each of them read in one request of 46.8 ms."""
    devices = [device("d"), device("e", unit="2")]
    points = [
        register_point(f"{d.id}-{a}", a, device=d.id, period_s=every_s)
        for d in devices
        for a in (*range(4), *range(6, 10))
    ]
    return plant([rtu()], devices, points)


def test_each_device_takes_its_part_of_the_line() -> None:
    uses = uses_of(busy(1.0))
    assert [(u.device, u.requests, u.registers, u.holes) for u in uses] == [
        ("d", 1, 10, 2),
        ("e", 1, 10, 2),
    ]
    assert [u.share for u in uses] == pytest.approx([0.0468] * 2, abs=1e-4)
    assert shares(uses) == {"l": pytest.approx(0.0936, abs=1e-4)}
    refuse_overload(uses)


def test_each_request_says_its_addresses_and_those_that_no_point_stands_in() -> None:
    # by an exponent that no request can hold with its value, at both its sides
    points = [
        register_point("v", 400, scale_from="e"), register_point("e", 0),
        register_point("a", 2, "u32"), register_point("b", 7), register_point("c", 9, table="input"),
    ]  # fmt: skip
    (use,) = uses_of(plant([rtu()], [device()], points))
    assert sorted((one.table, one.first, one.last, one.holes, one.again) for one in use.asked) == [
        ("holding", 0, 0, (), True),
        ("holding", 0, 7, ((1, 1), (4, 6)), False),
        ("holding", 400, 400, (), False),
        ("input", 9, 9, (), False),
    ]
    assert use.asked[-1].again
    assert use.holes == 4
    assert sum(one.last - one.first + 1 for one in use.asked) == use.registers
    assert len(use.asked) == use.requests


def test_a_line_that_cannot_keep_its_pace_is_refused_with_who_uses_how_much() -> None:
    uses = uses_of(busy(0.09))
    with pytest.raises(LineTooBusy) as refusal:
        refuse_overload(uses)
    said = str(refusal.value).splitlines()
    assert said[0] == "line l needs 104% of its time"
    assert said[1:] == table(uses)
    assert said[2].split() == ["l", "d", "normal", "0.09", "s", "1", "10", "2", "46.8", "ms", "52.0%"]  # fmt: skip


def test_what_the_model_does_not_let_anybody_read_is_named() -> None:
    one = plant([rtu()], [device()], [register_point("a", 0), register_point("b", 5, "f64")])
    limits = ModbusLimits(max_words=2)
    one.profiles["m"] = replace(one.profiles["m"], limits=limits)  # type: ignore[index]  # a dict here
    (use,) = uses_of(one)
    assert use.unread == ("a/b",)


@pytest.mark.parametrize(
    ("places", "takes", "again"),
    [
        ({"v": 0, "e": 400}, (3, 3, 0), ("a/e",)),
        ({"v": 0, "e": 100, "w": 200}, (4, 4, 0), ("a/e",)),
        ({"v": 0, "e": 9}, (1, 10, 8), ()),
    ],
    ids=["no request holds both", "once more costs less", "both in one"],
)
def test_exponents_take_their_time_as_they_are_read(
    places: dict[str, int], takes: tuple[int, int, int], again: tuple[str, ...]
) -> None:
    """Requests, registers and holes."""
    points = [
        register_point(name, at, scale_from=None if name == "e" else "e")
        for name, at in places.items()
    ]
    (use,) = uses_of(plant([rtu()], [device()], points))
    assert (use.requests, use.registers, use.holes) == takes
    assert (use.again, use.again_requests) == (again, len(again))
    character, gap_s = 11 / 9600, 0.0040104
    frames = takes[0] * (13 * character + gap_s + 0.005) + 2 * takes[1] * character
    assert use.cycle_s == pytest.approx(frames, abs=1e-5)


def test_lines_whose_devices_send_by_themselves_use_no_time() -> None:
    assert uses_of(plant([line(kind="mqtt")], [device()], [register_point("a", 0)])) == ()
