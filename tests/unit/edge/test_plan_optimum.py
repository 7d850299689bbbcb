"""The plan against exact searches of other kinds and the best published greedy, on real and random maps."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.modbus_requests import requests, seconds
from benchmarks.read_inserts import HOLES_MAX, best_of, least_confirmed, max_insert, max_inserts
from benchmarks.read_inserts import unconfirmed as torn
from benchmarks.read_maps import Map, map_of, point_at, random_map, real_maps, small_map, unscaled
from benchmarks.read_planning import always_together, least_choice, optimum
from benchmarks.read_sequences import least_of_all
from config.plant import Point, Serial
from config.profile import ModbusLimits, Register
from edge.bus_time import link_cost
from edge.registers import LinkCost, ReadRequest, Unit, plan_reads, unconfirmed
from tests.unit.edge.rows import line

LINKS = {
    "tcp": link_cost(line()),
    "9600": link_cost(line(kind="rtu", serial=Serial(9600))),
    "115200": link_cost(line(kind="rtu", serial=Serial(115_200))),
}
RANDOM_MAPS = 200
"""A sample: `steward bench modbus` has 1 000 others, and 1 000 small ones."""
SMALL_MAPS = 40


def sound(one: Map, cost: LinkCost) -> None:
    """The plan reads what can be read, once, whole, and every value by an exponent that is its own."""
    plan = plan_reads(one.points, one.limits, cost)
    before, after = unconfirmed(plan, one.points)
    ids = [point.id for request in plan for point in request.points]
    assert sorted(ids) == sorted(id for wanted in one.tables for id in wanted.spans)
    assert all(keeps(request, one) for request in requests(one, cost))
    heard = [
        {p.id for p in before},
        *({p.id for p in r.points} for r in plan),
        {p.id for p in after},
    ]
    for n, request in enumerate(plan):
        for point in request.points:
            exponent = one.exponents.get(point.id)
            if exponent and not request.holds(next(p for p in one.points if p.id == exponent)):
                assert exponent in set().union(*heard[: n + 1])
                assert exponent in set().union(*heard[n + 2 :])


def keeps(request: ReadRequest, one: Map) -> bool:
    """Whether it may be asked for and holds all that must come with each of its points."""
    (wanted,) = (wanted for wanted in one.tables if wanted.table == request.table)
    spans = [wanted.spans[point.id] for point in request.points]
    return wanted.allows((request.address, request.last)) and all(
        request.address <= first and last <= request.last for first, last in spans
    )


def compared(one: Map, link: str) -> None:
    """Without exponents: the optimum, and no dearer than the greedy with any hole."""
    cost, plain = LINKS[link], unscaled(one)
    plan = plan_reads(plain.points, plain.limits, cost)
    least, fewest = optimum(one, cost)
    taken = sum(cost.of(request.table, request.count) for request in plan)
    assert taken == pytest.approx(least, rel=1e-9)
    greedy = best_of(max_inserts(one), cost)
    assert taken <= greedy.seconds * (1 + 1e-9)
    if link == "tcp":
        assert len(plan) <= greedy.requests
        assert len(plan) == fewest


def chosen(one: Map, cost: LinkCost) -> None:
    """With exponents: the least of all choices, and so no dearer than all together or all apart, nor than the greedy with these."""
    sound(one, cost)
    taken = seconds(one, cost)
    assert taken == pytest.approx(least_choice(one, cost), rel=1e-9)
    assert taken <= always_together(one, cost) * (1 + 1e-9)
    assert taken <= least_confirmed(one, cost).seconds * (1 + 1e-9)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("one", real_maps(), ids=lambda one: one.name)
def test_a_real_map_is_read_as_cheaply_as_can_be(one: Map, link: str) -> None:
    compared(one, link)
    sound(one, LINKS[link])
    assert seconds(one, LINKS[link]) == pytest.approx(optimum(one, LINKS[link])[0], rel=1e-9)


@pytest.mark.parametrize("one", real_maps(), ids=lambda one: one.name)
def test_between_the_gaps_of_a_map_the_greedy_does_the_same(one: Map) -> None:
    some = max_inserts(one)
    assert all(max_insert(one, hole) in some for hole in range(HOLES_MAX + 1))


def test_the_greedy_must_ask_again_for_what_the_reader_would_have_to() -> None:
    rng = np.random.default_rng(3)
    asked = 0
    for one in (random_map(rng) for _ in range(30)):
        by_id = {point.id: point for point in one.points}
        for plan in max_inserts(one):
            requests = [
                ReadRequest(own.table, own.span[0], own.count, (Unit(*own.span, tuple(map(by_id.__getitem__, own.told))),))
                for own in plan
            ]  # fmt: skip
            again = {point.id for some in unconfirmed(requests, one.points) for point in some}
            assert torn(one, plan) == again
            asked += len(again)
    assert asked > 30


@pytest.mark.usefixtures("unmeasured")
def test_random_maps_are_read_as_cheaply_as_can_be() -> None:
    rng = np.random.default_rng(1)
    maps = [random_map(rng) for _ in range(RANDOM_MAPS)]
    tables = [wanted for one in maps for wanted in one.tables]
    assert {wanted.table for wanted in tables} == {"holding", "input", "coil", "discrete"}
    assert sum(bool(one.exponents) for one in maps) > RANDOM_MAPS / 3
    for one in maps:
        for link, cost in LINKS.items():
            compared(one, link)
            chosen(one, cost)


@pytest.mark.usefixtures("unmeasured")
def test_where_no_order_suits_the_cheapest_requests_others_are_taken() -> None:
    """Of each of these maps two of the cheapest requests need each other's exponents: they take a request more than the greedy."""
    rng, cost = np.random.default_rng(3), LINKS["tcp"]
    maps = [random_map(rng) for _ in range(475)]
    for one in (maps[244], maps[282], maps[474]):
        sound(one, cost)
        assert len(requests(one, cost)) == least_confirmed(one, cost).requests


@pytest.mark.usefixtures("unmeasured")
def test_small_maps_are_read_by_the_best_of_all_plans() -> None:
    """Whatever is read with what, in whatever order: the search knows only what an answer tells."""
    rng = np.random.default_rng(2)
    maps = [small_map(rng) for _ in range(SMALL_MAPS)]
    asked_twice = 0
    for one in maps:
        for cost in LINKS.values():
            sound(one, cost)
            assert seconds(one, cost) == pytest.approx(least_of_all(one, cost), rel=1e-9)
            assert seconds(unscaled(one), cost) == pytest.approx(
                least_of_all(unscaled(one), cost), rel=1e-9
            )
            asked_twice += any(unconfirmed(plan_reads(one.points, one.limits, cost), one.points))
    assert SMALL_MAPS < asked_twice < 3 * SMALL_MAPS


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("values", [20, 60])
def test_many_values_before_as_many_exponents_do_not_each_take_a_request(
    values: int, link: str
) -> None:
    """Each would need its own: with the exponent it is a whole longest request."""
    points = apart(values, 124)
    one = map_of("far", points, ModbusLimits())
    cost = LINKS[link]
    blocks = [cost.of("holding", values)] * 3  # values, exponents, exponents once more
    joined = [cost.of("holding", 125), cost.of("holding", 125), cost.of("holding", values)]
    assert seconds(one, cost) <= min(sum(blocks), sum(joined)) * (1 + 1e-9)
    assert always_together(one, cost) == pytest.approx(values * cost.of("holding", 125))


def apart(count: int, distance: int) -> list[Point]:
    """Values in a row, and as far behind each its own exponent."""
    values = [Register("holding", n, "u16", scale_from=f"e{n}") for n in range(count)]
    return [
        *(point_at(f"v{n}", value) for n, value in enumerate(values)),
        *(point_at(f"e{n}", Register("holding", n + distance, "i16")) for n in range(count)),
    ]


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
    plan = requests(one, cost)
    taken = sum(cost.of(request.table, request.count) for request in plan)
    for found in (optimum(one, cost), (taken, len(plan))):
        assert found[0] == pytest.approx(least)
        assert found[1] == fewest


# A request costs 1 s and a register 0.2 s: all that follows is worked out by hand.
CHOICES = [
    ("near: one request of 6", {"v": 0, "e": 5}, 125, 2.2, ["ev"]),
    ("farther than two requests cost", {"v": 0, "e": 13}, 125, 3.6, ["v", "e"]),
    ("not as far", {"v": 0, "e": 11}, 125, 3.4, ["ev"]),
    ("both sides: once more is enough", {"v": 0, "e": 20, "w": 40}, 125, 4.8, ["v", "w", "e"]),
    ("too long for one", {"v": 0, "e": 3}, 3, 3.6, ["v", "e"]),
    ("between, two requests hold it", {"v": 0, "e": 3, "w": 6}, 4, 3.6, ["ev", "ew"]),
]  # fmt: skip


@pytest.mark.parametrize(("places", "longest", "least", "held"), [row[1:] for row in CHOICES], ids=[row[0] for row in CHOICES])  # fmt: skip
def test_search_and_plan_choose_what_can_be_seen(
    places: dict[str, int], longest: int, least: float, held: Sequence[str]
) -> None:
    points = [
        point_at(name, Register("holding", at, "u16", scale_from="e" if name != "e" else None))
        for name, at in places.items()
    ]
    one, cost = map_of("known", points, ModbusLimits(longest)), LinkCost(1.0, 0.1)
    assert least_choice(one, cost) == least_of_all(one, cost) == pytest.approx(least)
    assert least_confirmed(one, cost).seconds == pytest.approx(least), "so few are all seen"
    assert seconds(one, cost) == pytest.approx(least)
    plan = plan_reads(points, one.limits, cost)
    assert ["".join(sorted(p.id[2:] for p in points if r.holds(p))) for r in plan] == held


def test_the_greedy_with_exponents_may_take_value_and_exponent_as_one() -> None:
    """A hole of 7 (one of 9: 2.8 s, two: 2.4) is dear, one of 10 before an exponent (3.4 for 3.6) is not: no one hole will do."""
    places = {"a": 0, "b": 8, "v": 60, "e": 71}
    points = [
        point_at(name, Register("holding", at, "u16", scale_from="e" if name == "v" else None))
        for name, at in places.items()
    ]
    one, cost = map_of("known", points, ModbusLimits(20)), LinkCost(1.0, 0.1)
    confirmed = least_confirmed(one, cost)
    assert confirmed.seconds == pytest.approx(2.4 + 3.4)
    assert confirmed.requests == 2, "with a hole of 10, which takes 2.8 + 3.4 s"
    assert best_of(max_inserts(one), cost).seconds == pytest.approx(4 * 1.2)
    assert seconds(one, cost) == pytest.approx(2.4 + 3.4)


def test_the_holes_that_are_tried_give_every_plan_that_any_hole_gives() -> None:
    rng = np.random.default_rng(5)
    for one in (*real_maps(), *(random_map(rng) for _ in range(20)), *(small_map(rng) for _ in range(40))):  # fmt: skip
        tried = {tuple(plan) for plan in max_inserts(one)}
        assert {tuple(max_insert(one, hole)) for hole in range(HOLES_MAX + 1)} == tried
