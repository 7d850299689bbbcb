"""The plan against an exact search of another kind and the best published greedy, on real and random maps."""

import numpy as np
import pytest

from benchmarks.read_planning import Map, max_insert, optimum, random_map, real_maps
from config.plant import Serial
from edge.bus_time import link_cost
from edge.registers import LinkCost, plan_reads
from tests.unit.edge.rows import line

LINKS = {
    "tcp": link_cost(line()),
    "9600": link_cost(line(kind="rtu", serial=Serial(9600))),
    "115200": link_cost(line(kind="rtu", serial=Serial(115_200))),
}
HOLES = range(126)
RANDOM_MAPS = 1_000


def planned(one: Map, cost: LinkCost) -> tuple[float, int]:
    """Seconds and requests of our plan."""
    plan = plan_reads(one.points, one.limits, cost)
    assert {p.id for request in plan for p in request.points} == {p.id for p in one.points}
    return sum(cost.of(request.table, request.count) for request in plan), len(plan)


def compared(one: Map, link: str) -> None:
    cost = LINKS[link]
    seconds, requests = planned(one, cost)
    least, fewest = optimum(one, cost)
    assert seconds == pytest.approx(least, rel=1e-9)
    for hole in HOLES:
        greedy = max_insert(one, hole)
        assert seconds <= sum(cost.of(table, count) for table, count in greedy) * (1 + 1e-9)
        if link == "tcp":
            assert requests <= len(greedy)
    if link == "tcp":
        assert requests == fewest


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("one", real_maps(), ids=lambda one: one.name)
def test_a_real_map_is_read_as_cheaply_as_can_be(one: Map, link: str) -> None:
    compared(one, link)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("link", LINKS)
def test_random_maps_are_read_as_cheaply_as_can_be(link: str) -> None:
    rng = np.random.default_rng(20261129)
    for _ in range(RANDOM_MAPS):
        compared(random_map(rng), link)


def test_the_search_knows_the_answers_that_can_be_seen() -> None:
    """Two values 130 registers apart are two requests; three in a row are one."""
    rng = np.random.default_rng(1)
    some = [random_map(rng) for _ in range(50)]
    assert {optimum(one, LINKS["tcp"])[1] for one in some} > {1, 2}
    assert all(len(max_insert(one, 125)) <= len(max_insert(one, 0)) for one in some)
