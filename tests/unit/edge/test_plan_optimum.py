"""The plan against an exact search of another kind and the best published greedy, on real and random maps."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.read_planning import (
    Map,
    map_of,
    max_insert,
    optimum,
    point_at,
    random_map,
    real_maps,
)
from config.plant import Serial
from config.profile import ModbusLimits, Register, Table
from edge.bus_time import link_cost
from edge.registers import LinkCost, plan_reads
from tests.unit.edge.rows import line

LINKS = {
    "tcp": link_cost(line()),
    "9600": link_cost(line(kind="rtu", serial=Serial(9600))),
    "115200": link_cost(line(kind="rtu", serial=Serial(115_200))),
}
HOLES_MAX = 125
RANDOM_MAPS = 1_000


def planned(one: Map, cost: LinkCost) -> tuple[float, int]:
    """Seconds and requests of our plan."""
    plan = plan_reads(one.points, one.limits, cost)
    assert {p.id for request in plan for p in request.points} == {p.id for p in one.points}
    return sum(cost.of(request.table, request.count) for request in plan), len(plan)


def greedy(one: Map) -> list[list[tuple[Table, int]]]:
    """What the greedy does with each hole of 0..125: only a hole as wide as a gap of the map changes it."""
    gaps = {0}
    for _, spans, _ in one.tables:
        end = spans[0][1]
        for first, last in spans[1:]:
            gaps.add(first - end - 1)
            end = max(end, last)
    return [max_insert(one, hole) for hole in gaps if 0 <= hole <= HOLES_MAX]


def compared(one: Map, link: str, others: Sequence[Sequence[tuple[Table, int]]]) -> None:
    cost = LINKS[link]
    seconds, requests = planned(one, cost)
    least, fewest = optimum(one, cost)
    assert seconds == pytest.approx(least, rel=1e-9)
    for other in others:
        assert seconds <= sum(cost.of(table, count) for table, count in other) * (1 + 1e-9)
        if link == "tcp":
            assert requests <= len(other)
    if link == "tcp":
        assert requests == fewest


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("one", real_maps(), ids=lambda one: one.name)
def test_a_real_map_is_read_as_cheaply_as_can_be(one: Map, link: str) -> None:
    compared(one, link, greedy(one))


@pytest.mark.parametrize("one", real_maps(), ids=lambda one: one.name)
def test_between_the_gaps_of_a_map_the_greedy_does_the_same(one: Map) -> None:
    some = greedy(one)
    assert all(max_insert(one, hole) in some for hole in range(HOLES_MAX + 1))


@pytest.mark.usefixtures("unmeasured")
def test_random_maps_are_read_as_cheaply_as_can_be() -> None:
    rng = np.random.default_rng(20261129)
    maps = [random_map(rng) for _ in range(RANDOM_MAPS)]
    assert sum(bool(one.limits.together) for one in maps) > RANDOM_MAPS / 3
    assert sum(len(one.tables) > 1 for one in maps) > RANDOM_MAPS / 3
    for one in maps:
        others = greedy(one)
        for link in LINKS:
            compared(one, link, others)


KNOWN = [
    ("three in a row are one request of 3", [0, 1, 2], ModbusLimits(), 1.6, 1),
    ("130 registers apart are two", [0, 131], ModbusLimits(), 2.4, 2),
    ("a hole of 4 costs less than a request", [0, 5], ModbusLimits(), 2.2, 1),
    ("a hole of 6 costs more", [0, 7], ModbusLimits(), 2.4, 2),
    ("what must not be read parts them", [0, 2], ModbusLimits(forbidden=(("holding", 1, 1),)), 2.4, 2),
    ("what must come together does", [0, 7], ModbusLimits(together=(("holding", 0, 7),)), 2.6, 1),
    ("a request may be shorter than both", [0, 1, 2], ModbusLimits(max_words=2), 2.6, 2),
]  # fmt: skip


@pytest.mark.parametrize(("addresses", "limits", "least", "fewest"), [row[1:] for row in KNOWN], ids=[row[0] for row in KNOWN])  # fmt: skip
def test_search_and_plan_know_the_answers_that_can_be_seen(
    addresses: list[int], limits: ModbusLimits, least: float, fewest: int
) -> None:
    """A request costs 1 s and a register 0.2 s: both answers are worked out by hand."""
    points = [point_at(str(at), Register("holding", at, "u16")) for at in addresses]
    one, cost = map_of("known", points, limits), LinkCost(1.0, 0.1)
    for seconds, requests in (optimum(one, cost), planned(one, cost)):
        assert seconds == pytest.approx(least)
        assert requests == fewest
