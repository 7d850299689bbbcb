"""What the measurements of the edge stand on: their plant is sound, what they count was done, and lateness is what it says."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.modbus import Grid, grid_rows
from benchmarks.modbus_agents import _rest_rows, _write_plant, check_rest
from benchmarks.modbus_requests import rtu
from benchmarks.modbus_timers import Late, lateness, p99
from benchmarks.modbus_watched import Heard, cancelled, raise_any, unsound
from benchmarks.modbus_wire import use_of, wire_s
from benchmarks.running import Failed
from config.load import load_plant
from edge.bus_time import link_cost, uses_of
from edge.poller import LineStats


def test_the_plant_of_the_agents_is_read_as_meant(tmp_path: Path) -> None:
    _write_plant(tmp_path, [20_001, 20_002], 100, 5.0)
    plant = load_plant(tmp_path)
    assert [(line.host, line.port) for line in plant.lines.values()] == [
        ("127.0.0.1", 20_001),
        ("127.0.0.1", 20_002),
    ]
    read = [point for point in plant.points.values() if point.device]
    assert len(read) == 200
    assert {point.period_s for point in read} == {5.0}
    assert [(use.requests, use.registers) for use in uses_of(plant)] == [(1, 100), (1, 100)]


def test_late_is_what_lies_behind_the_earliest_place_in_the_grid() -> None:
    assert lateness([10.0, 11.0, 12.25, 13.0]) == pytest.approx([0.0, 0.0, 0.25, 0.0])
    assert lateness([10.7, 11.0, 12.6]) == pytest.approx([0.7, 0.0, 0.6]), "however late"
    assert p99([0.0] * 990 + [1.0] * 10) == pytest.approx(0.0, abs=0.02)
    assert p99([0.0] * 980 + [1.0] * 20) == 1.0


def test_a_wire_takes_what_the_standard_says() -> None:
    """263 bytes are 2 893 bits; a silence is 38.5 bits, above 19 200 baud 1.75 ms."""
    assert wire_s(9600, 125) == pytest.approx((2893 + 77) / 9600)
    assert wire_s(115_200, 125) == pytest.approx(2893 / 115_200 + 0.0035)


@pytest.mark.parametrize("baud", [1200, 9600, 19_200, 38_400, 115_200])
@pytest.mark.parametrize("words", [1, 10, 125])
def test_the_edge_reckons_with_what_a_wire_takes(baud: int, words: int) -> None:
    assert link_cost(rtu(baud)).of("holding", words) == pytest.approx(wire_s(baud, words))


def test_no_line_is_used_for_more_than_all_of_its_time() -> None:
    assert use_of(95, 0.01, 1.0) == pytest.approx(0.95)
    with pytest.raises(ValueError, match="101 reads took"):
        use_of(101, 0.01, 1.0)


READ = {"reads": 50, "bad": 0, "confirmed": 0}
AT_REST = [
    READ,
    READ | {"confirmed": 1000},
    READ,
    READ | {"confirmed": 1041},
    READ | {"confirmed": 5000},
]
"""Of 50 s in which 10 devices with 100 points were read every 10 s, told once or with each read."""
LAZY = [
    (0, {"reads": 30}, "not all read as often"),
    (0, {"bad": 100}, "not all that was read is good"),
    (2, {"bad": 1}, "not all that was read is good"),
    (1, {"confirmed": 0}, "700 readings were due"),
    (3, {"confirmed": 41}, "700 readings were due"),
    (4, {"confirmed": 1000}, "3700 readings were due"),
]


@pytest.mark.parametrize(("who", "did", "said"), LAZY)
def test_who_does_less_than_was_due_is_not_measured_at_rest(
    who: int, did: dict[str, int], said: str
) -> None:
    check_rest(AT_REST, 50.0)
    lazy = [one | (did if place == who else {}) for place, one in enumerate(AT_REST)]
    with pytest.raises(Failed, match=said):
        check_rest(lazy, 50.0)


def test_an_agent_at_rest_is_held_to_the_loop_that_drops_all_first() -> None:
    rows = list(_rest_rows([0.1, 0.125, 0.15, 0.25, 0.5], AT_REST, 50.0))
    assert [row.reference for row in rows] == [0.1, None, 0.125, 0.1, 0.125]
    assert [row.ours for row in rows] == [0.25, 0.25, 0.25, 0.15, 0.5]
    assert rows[0].note.endswith("loop, agent, busy agent 1000, 1041, 5000")


GOOD = LineStats(reads=60)
HEARD = Heard(600)
UNSOUND = [
    ("never read", LineStats(), Heard()),
    ("a bad value", LineStats(reads=60, errors=Counter(undecodable=1)), HEARD),
    ("a fault of the poller", LineStats(reads=60, faults=1), HEARD),
    ("a value that was not told", GOOD, Heard(599)),
]


@pytest.mark.parametrize(("stats", "heard"), [row[1:] for row in UNSOUND], ids=[row[0] for row in UNSOUND])  # fmt: skip
def test_a_line_is_sound_if_all_that_was_read_was_good(stats: LineStats, heard: Heard) -> None:
    assert unsound([GOOD, GOOD], [HEARD, HEARD], 10) == 0
    assert unsound([GOOD, stats], [HEARD, heard], 10) == 1


def test_that_none_was_missed_is_said_of_each_living_device() -> None:
    """A minute: 59 reads are due of each. What another was read more often does not count."""
    living = [LineStats(reads=59), LineStats(reads=61), LineStats(reads=58, missed=2)]
    grid = Grid([0.0, 0.002], 0.25, living, [Heard(590), Heard(610), Heard(579)], 5)
    rows = {row.name: row for row in grid_rows(grid, Late(0.001, 1.5, 7), 60.0)}
    assert rows["9 p99 late beyond bare timers"].ours == pytest.approx(1.0, abs=0.1)
    found = {name: (row.ours, row.met) for name, row in rows.items() if row.target == 0.0}
    assert found == {
        "9 cycles missed": (2, False),
        "9 living devices read less often than due": (1, False),
        "9 living devices that gave other than good values": (1, False),
    }
    assert rows["9 cycles missed"].note == "most late: ours 0.00 s, bare timers 1.50 s (7 of theirs by a whole second, which is a cycle missed); longest read 0.25 s"  # fmt: skip


def test_how_late_a_grid_was_counts_whole_periods() -> None:
    late = Late.of([0.0] * 196 + [0.5, 0.999, 1.0, 2.5])
    assert (late.most_s, late.whole_periods) == (2.5, 2)
    assert late.p99_s == p99([0.0] * 196 + [0.5, 0.999, 1.0, 2.5])


def test_a_poller_that_ends_while_it_is_measured_is_no_measurement() -> None:
    async def measured(*some: str) -> None:
        async def going() -> None:
            await asyncio.Event().wait()

        async def ending() -> None: ...

        async def failing() -> None:
            raise OSError("no more descriptors")

        kinds = {"going": going, "ending": ending, "failing": failing}
        tasks = [asyncio.create_task(kinds[name]()) for name in some]
        await asyncio.sleep(0)
        await cancelled(tasks)

    asyncio.run(measured("going", "going"))
    with pytest.raises(OSError, match="no more descriptors"):
        asyncio.run(measured("going", "failing"))
    with pytest.raises(RuntimeError, match="1 of 2 tasks ended"):
        asyncio.run(measured("ending", "going"))


def test_of_what_tasks_ended_with_only_an_error_is_raised() -> None:
    raise_any([None, asyncio.CancelledError()])
    with pytest.raises(ValueError, match="bad"):
        raise_any([None, asyncio.CancelledError(), ValueError("bad")])
