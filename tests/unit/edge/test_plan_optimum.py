"""The plan against an exact search of another kind and the best published greedy, on real and random maps."""

import numpy as np
import pytest

from benchmarks.read_maps import Map, map_of, point_at, random_map, real_maps
from benchmarks.read_planning import HOLES_MAX, least_of_all, max_insert, max_inserts, optimum
from config.plant import Serial
from config.profile import ModbusLimits, Register
from edge.bus_time import link_cost
from edge.registers import LinkCost, ReadRequest, plan_reads
from tests.unit.edge.rows import line

LINKS = {
    "tcp": link_cost(line()),
    "9600": link_cost(line(kind="rtu", serial=Serial(9600))),
    "115200": link_cost(line(kind="rtu", serial=Serial(115_200))),
}
RANDOM_MAPS = 200
"""A sample: `steward bench modbus` has 1 000 others."""
SMALL_MAPS = 100


def planned(one: Map, cost: LinkCost) -> tuple[float, int]:
    """Seconds and requests of our plan, which reads what can be read, once, as it must be."""
    plan = plan_reads(one.points, one.limits, cost)
    ids = sorted(point.id for request in plan for point in request.points)
    assert ids == sorted(id for wanted in one.tables for id in wanted.windows)
    assert all(keeps(request, one) for request in plan)
    return sum(cost.of(request.table, request.count) for request in plan), len(plan)


def keeps(request: ReadRequest, one: Map) -> bool:
    """Whether it may be asked for and holds all that must come with each of its points."""
    (wanted,) = (wanted for wanted in one.tables if wanted.table == request.table)
    windows = [wanted.windows[point.id] for point in request.points]
    return wanted.allows((request.address, request.last)) and all(
        request.address <= first and last <= request.last for first, last in windows
    )


def compared(one: Map, link: str) -> None:
    cost = LINKS[link]
    seconds, requests = planned(one, cost)
    least, fewest = optimum(one, cost)
    assert seconds == pytest.approx(least, rel=1e-9)
    for other in max_inserts(one):
        assert seconds <= sum(cost.of(table, count) for table, count in other) * (1 + 1e-9)
        if link == "tcp":
            assert requests <= len(other)
    if link == "tcp":
        assert requests == fewest


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("one", real_maps(), ids=lambda one: one.name)
def test_a_real_map_is_read_as_cheaply_as_can_be(one: Map, link: str) -> None:
    compared(one, link)


@pytest.mark.parametrize("one", real_maps(), ids=lambda one: one.name)
def test_between_the_gaps_of_a_map_the_greedy_does_the_same(one: Map) -> None:
    some = max_inserts(one)
    assert all(max_insert(one, hole) in some for hole in range(HOLES_MAX + 1))


@pytest.mark.usefixtures("unmeasured")
def test_random_maps_are_read_as_cheaply_as_can_be() -> None:
    rng = np.random.default_rng(1)
    maps = [random_map(rng) for _ in range(RANDOM_MAPS)]
    tables = [wanted for one in maps for wanted in one.tables]
    assert {wanted.table for wanted in tables} == {"holding", "input", "coil", "discrete"}
    exponents = [point.exponent for one in maps for point in one.points if point.exponent]
    assert exponents
    for one in maps:
        for link in LINKS:
            compared(one, link)


@pytest.mark.usefixtures("unmeasured")
def test_of_small_maps_the_search_finds_the_best_of_all_ways() -> None:
    rng = np.random.default_rng(20261129)
    for one in [random_map(rng, 5) for _ in range(SMALL_MAPS)]:
        for cost in LINKS.values():
            assert optimum(one, cost)[0] == pytest.approx(least_of_all(one, cost), rel=1e-9)


def test_values_that_cross_each_other_are_each_read_with_their_exponent() -> None:
    """All in one would be 13 words: the second request begins within the first."""
    places = {"a": 0, "v": 2, "w": 6, "e": 10, "f": 14, "z": 16}
    exponents = {"v": "e", "w": "f"}
    points = [
        point_at(name, Register("holding", place, "u16", scale_from=exponents.get(name)))
        for name, place in places.items()
    ]
    plan = plan_reads(points, ModbusLimits(max_words=11), LINKS["tcp"])
    assert [(r.address, r.count) for r in plan] == [(0, 11), (6, 11)]
    held = ["".join(p.id[2:] for p in points if r.holds(p)) for r in plan]
    assert held == ["avwe", "wefz"]


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
