"""Where there are too many exponents to look at every choice, the plan is still one of the good ones."""

import pytest

from benchmarks.modbus_requests import seconds
from benchmarks.read_maps import Map, map_of
from benchmarks.read_planning import always_together, optimum
from benchmarks.read_shapes import shapes
from edge.bus_time import uses_of
from edge.covers import Bounds, Steps, cheapest, outermost
from edge.exponent_choice import windows
from edge.registers import LinkCost, plan_reads, planned
from edge.spans import Span
from tests.unit.edge.rows import NO_LIMITS, device, line, plant, register_point

COSTS = {"tcp": LinkCost(0.01, 1e-7), "serial": LinkCost(0.02, 0.001)}
TIED = ("exponents", "exponents beside their values", "exponents at the far end of a request")


def shape(name: str, count: int) -> Map:
    found = shapes(count)[name]
    return map_of(name, found.points, found.limits)


def always_apart(one: Map, cost: LinkCost) -> float:
    """Least seconds if no value comes with its exponent on purpose: all of these are asked for once more."""
    again = {one.exponents[id] for id in one.exponents}
    points = [point for point in one.points if point.id in again]
    return optimum(one, cost)[0] + optimum(map_of("again", points, one.limits), cost)[0]


@pytest.mark.parametrize("link", COSTS)
@pytest.mark.parametrize("name", TIED)
@pytest.mark.parametrize("count", [50, 500])
def test_a_plan_is_never_dearer_than_all_together_or_all_apart(
    name: str, count: int, link: str
) -> None:
    one, cost = shape(name, count), COSTS[link]
    taken = seconds(one, cost)
    assert taken <= always_together(one, cost) * (1 + 1e-9)
    assert taken <= always_apart(one, cost) * (1 + 1e-9)


@pytest.mark.parametrize("link", COSTS)
@pytest.mark.parametrize(("count", "proven"), [(50, True), (500, False)])
def test_a_plan_says_whether_every_choice_was_looked_at(
    count: int, proven: bool, link: str
) -> None:
    one = shape("exponents at the far end of a request", count)
    plan, said = planned(one.points, one.limits, COSTS[link])
    assert said is proven
    assert plan == plan_reads(one.points, one.limits, COSTS[link])
    (use,) = uses_of(plant([line()], [device()], one.points))
    assert use.proven is proven


@pytest.mark.parametrize("near_first", [True, False])
def test_some_come_with_their_exponent_and_some_do_not(near_first: bool) -> None:
    """A request costs five registers. A value's exponent is six registers behind it: with it 13, apart
    6 + 6 and once more 6. Three values' stand together 37 behind: with them 48, apart 8 + 8 and once more 8.
    """
    near: dict[str, Span] = {"v": (0, 0), "e": (7, 7)}
    far: dict[str, Span] = {f"w{n}": (100 + n, 100 + n) for n in range(3)}
    exponents: dict[str, Span] = {f"f{n}": (140 + n, 140 + n) for n in range(3)}
    spans = near | far | exponents
    one: dict[str, dict[str, Span | None]] = {"e": {"v": (0, 7)}}
    three: dict[str, dict[str, Span | None]] = {
        f"f{n}": {f"w{n}": (100 + n, 140 + n)} for n in range(3)
    }
    ties = one | three if near_first else three | one
    bounds, steps = Bounds(50), Steps(5.0, 1, 1.0)
    assert windows(spans, ties, bounds, steps) == ({"v": (0, 7)}, True)
    once, _ = cheapest(outermost([*spans.values(), (0, 7)]), bounds, steps)
    assert once == pytest.approx(13 + 8 + 8)


def test_an_exponent_that_is_asked_for_again_anyway_is_not_asked_to_come_with_a_value() -> None:
    """It would cost nothing: both are in one request, but only while they are."""
    spans: dict[str, Span] = {"v": (0, 0), "e": (1, 1)}
    ties: dict[str, dict[str, Span | None]] = {"e": {"v": (0, 1), "in another table": None}}
    assert windows(spans, ties, Bounds(50), Steps(5.0, 1, 1.0)) == ({}, True)


def test_beside_what_is_asked_for_again_anyway_once_more_costs_little() -> None:
    """A request costs five registers. `e` apart: 6 + 7, and with `f` once more 7; with its value 15, and `f` 6."""
    points = [
        register_point("w", 100, scale_from="e"),
        register_point("e", 108),
        register_point("f", 109),
        register_point("u", 105, table="input", scale_from="f"),
    ]
    plan = plan_reads(points, NO_LIMITS, LinkCost(5.0, 0.5))
    assert sorted((r.table, r.address, r.count) for r in plan) == [
        ("holding", 100, 1),
        ("holding", 108, 2),
        ("input", 105, 1),
    ]
