import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.read_shapes import shapes
from config.plant import Point
from config.profile import ModbusLimits, Table
from edge.registers import (
    LinkCost,
    ReadRequest,
    plan_reads,
    register_of,
    unconfirmed,
    width,
)
from tests.unit.edge.rows import NO_LIMITS, register_point

TCP = LinkCost(request_s=0.01, byte_s=0.00001)
SLOW_SERIAL = LinkCost(request_s=0.02, byte_s=0.001)

Block = tuple[Table, int, int]


def blocks(
    points: list[Point], limits: ModbusLimits = NO_LIMITS, link: LinkCost = TCP
) -> list[Block]:
    return [(r.table, r.address, r.count) for r in plan_reads(points, limits, link)]


def cost(found: list[Block], link: LinkCost) -> float:
    """Seconds, restated: two bytes a register, eight bits a byte."""
    sizes = [-(-n // 8) if table in ("coil", "discrete") else 2 * n for table, _, n in found]
    return sum(link.request_s + link.byte_s * size for size in sizes)


def at(*addresses: int, type: str = "u16", **fields: object) -> list[Point]:
    return [register_point(f"{type}-{a}", a, type, **fields) for a in addresses]


def test_nothing_to_read_is_no_request() -> None:
    assert blocks([]) == []


@pytest.mark.parametrize(
    ("points", "limits", "link", "expected"),
    [
        (at(0, 1, 2), ModbusLimits(), TCP, [("holding", 0, 3)]),
        (at(2, 0, 1), ModbusLimits(), TCP, [("holding", 0, 3)]),
        (at(0, 50), ModbusLimits(), TCP, [("holding", 0, 51)]),
        (at(0, 50), ModbusLimits(), SLOW_SERIAL, [("holding", 0, 1), ("holding", 50, 1)]),
        (at(0, 9), ModbusLimits(), SLOW_SERIAL, [("holding", 0, 10)]),
        (at(0, 124), ModbusLimits(), TCP, [("holding", 0, 125)]),
        (at(0, 125), ModbusLimits(), TCP, [("holding", 0, 1), ("holding", 125, 1)]),
        (at(0, 1, 2, 3), ModbusLimits(max_words=2), TCP, [("holding", 0, 2), ("holding", 2, 2)]),
        (at(0, 2, 4, type="u32"), ModbusLimits(max_words=3), TCP,
         [("holding", 0, 2), ("holding", 2, 2), ("holding", 4, 2)]),
        (at(0, 1, 3), ModbusLimits(forbidden=(("holding", 2, 2),)), TCP,
         [("holding", 0, 2), ("holding", 3, 1)]),
        (at(0, 1, 3), ModbusLimits(forbidden=(("input", 2, 2),)), TCP, [("holding", 0, 4)]),
        (at(0, 1, 2), ModbusLimits(forbidden=(("holding", 1, 1),)), TCP,
         [("holding", 0, 1), ("holding", 2, 1)]),
        (at(4), ModbusLimits(together=(("holding", 2, 6),)), TCP, [("holding", 2, 5)]),
        (at(0, 3, 5), ModbusLimits(max_words=4, together=(("holding", 3, 6),)), TCP,
         [("holding", 0, 1), ("holding", 3, 4)]),
        (at(2, 6), ModbusLimits(together=(("holding", 1, 3), ("holding", 3, 7))), TCP,
         [("holding", 1, 7)]),
        (at(4), ModbusLimits(max_words=3, together=(("holding", 2, 6),)), TCP, []),
        (at(0, type="u64"), ModbusLimits(max_words=3), TCP, []),
        (at(65535, type="u32"), ModbusLimits(), TCP, []),
        (at(65535), ModbusLimits(), TCP, [("holding", 65535, 1)]),
        (at(0, 1999, type="bit", table="coil"), ModbusLimits(), TCP, [("coil", 0, 2000)]),
        (at(0, 2000, type="bit", table="coil"), ModbusLimits(), TCP, [("coil", 0, 1), ("coil", 2000, 1)]),
        (at(0, 1, 2, type="bit", table="discrete"), ModbusLimits(max_bits=2), TCP,
         [("discrete", 0, 1), ("discrete", 1, 2)]),
        (at(0, 1) + at(0, 1, table="input"), ModbusLimits(), TCP,
         [("holding", 0, 2), ("input", 0, 2)]),
        (at(0, type="string", words=8) + at(8), ModbusLimits(), TCP, [("holding", 0, 9)]),
        (at(7, bit=0) + at(7, type="i16", bit=3) + at(7), ModbusLimits(), TCP, [("holding", 7, 1)]),
    ],
)  # fmt: skip
def test_a_plan_is_the_cheapest_that_the_limits_let(
    points: list[Point], limits: ModbusLimits, link: LinkCost, expected: list[Block]
) -> None:
    found = blocks(points, limits, link)
    assert len(found) == len(expected)
    assert cost(found, link) == pytest.approx(cost(expected, link))
    if "discrete" not in {table for table, _, _ in expected}:  # there, several are equally cheap
        assert found == expected


def test_a_cut_keeps_two_registers_apart_but_never_splits_a_value() -> None:
    points = at(0, 1, 2) + at(3, type="u32")
    plan = plan_reads(points, ModbusLimits(), TCP, cuts=(("holding", 1, 2), ("holding", 3, 4)))
    assert [(r.address, r.count) for r in plan] == [(0, 2), (2, 1), (3, 2)]


def test_a_value_and_its_exponent_share_a_request_where_that_costs_least() -> None:
    value, exponent = register_point("v", 0, scale_from="e"), register_point("e", 9, "i16")
    assert [r.count for r in plan_reads([value, exponent], ModbusLimits(), SLOW_SERIAL)] == [10]
    far = register_point("e", 24, "i16")  # 22 ms more than both alone and the exponent once more
    assert [r.count for r in plan_reads([value, far], ModbusLimits(), TCP)] == [25]
    plan = plan_reads([value, far], ModbusLimits(), SLOW_SERIAL)
    assert [r.count for r in plan] == [1, 1]
    assert unconfirmed(plan, [value, far]) == ((far,), ())


@pytest.mark.parametrize(
    ("text", "words", "read"),
    [
        (118, 10, ["v", "es"]),
        (118, 7, ["esv"]),
        (121, 4, ["esv"]),
    ],
    ids=["ends beyond the longest request", "ends at it", "begins behind the exponent"],
)
def test_a_value_is_read_with_its_exponent_at_no_other_points_price(
    text: int, words: int, read: list[str]
) -> None:
    value, exponent = register_point("v", 0, scale_from="e"), register_point("e", 120, "i16")
    other = register_point("s", text, "string", words=words)
    assert names(plan_reads([value, exponent, other], ModbusLimits(), TCP)) == read


def test_a_text_that_reaches_too_far_back_is_read_apart_from_a_value_and_its_exponent() -> None:
    text, value = register_point("s", 0, "string", words=10), register_point("v", 9, scale_from="e")
    exponent = register_point("e", 127, "i16")
    assert names(plan_reads([text, value, exponent], ModbusLimits(), TCP)) == ["s", "ev"]


def names(plan: Sequence[ReadRequest]) -> list[str]:
    """The points of each request, whose names are letters."""
    return ["".join(sorted(point.id[2:] for point in request.points)) for request in plan]


def test_a_request_gives_each_point_its_own_words() -> None:
    points = [*at(10), *at(11, type="u32"), *at(20)]
    (request,) = plan_reads(points, ModbusLimits(), TCP)
    answer = list(range(10, 21))
    assert [answer[request.place_of(p)] for p in points] == [10, 11, 20]
    assert request.points == tuple(points)


def test_a_request_is_halved_down_to_what_must_stay_together() -> None:
    limits = ModbusLimits(together=(("holding", 5, 9),))
    (request,) = plan_reads(at(0, 1, 5, 9), limits, TCP)
    halves = request.smaller(limits)
    assert [(r.address, r.count) for r in halves] == [(0, 1), (1, 9)]
    right = halves[1].smaller(limits)
    assert [(r.address, r.count) for r in right] == [(1, 1), (5, 5)]
    assert right[1].smaller(limits) == ()


def test_a_value_and_its_exponent_are_taken_apart_when_nothing_else_is_left() -> None:
    points = [register_point("v", 0, "u32", scale_from="e"), register_point("e", 9, "i16")]
    (request,) = plan_reads(points, NO_LIMITS, TCP)
    parts = request.smaller(NO_LIMITS)
    assert [(r.address, r.count) for r in parts] == [(0, 2), (9, 1)]
    assert request.cut(parts) == ("holding", 1, 9)


def test_what_crosses_in_the_refused_request_is_cut_at_its_ends() -> None:
    """The exponent that both need stands in both parts: each of them is a request that the device gives."""
    points = [
        register_point("v", 0, scale_from="e"),
        register_point("e", 9),
        register_point("w", 18, scale_from="e"),
    ]
    (request,) = plan_reads(points, NO_LIMITS, TCP)
    parts = request.smaller(NO_LIMITS)
    assert [(r.address, r.count) for r in parts] == [(0, 10), (9, 10)]
    assert request.cut(parts) == ("holding", 0, 18)
    (alone,) = parts[0].smaller(NO_LIMITS)
    assert (alone.address, alone.count) == (0, 1)
    assert parts[0].cut([alone]) == ("holding", 0, 9)


def test_what_was_refused_between_a_value_and_its_exponent_parts_them_for_good() -> None:
    points = [register_point("v", 0, scale_from="e"), register_point("e", 9, "i16")]
    points.append(register_point("x", 4))
    plan = plan_reads(points, NO_LIMITS, TCP, cuts=(("holding", 4, 9),))
    assert names(plan) == ["vx", "e"]
    assert [[p.id for p in some] for some in unconfirmed(plan, points)] == [["a/e"], []]


def test_an_exponent_between_its_values_comes_after_them_and_is_asked_for_once_before() -> None:
    points = [
        register_point("v", 0, scale_from="e"),
        register_point("e", 200, "i16"),
        register_point("w", 400, scale_from="e"),
        register_point("x", 210, scale_from="e"),
    ]
    plan = plan_reads(points, NO_LIMITS, TCP)
    assert names(plan) == ["v", "w", "ex"]
    assert [[p.id for p in some] for some in unconfirmed(plan, points)] == [["a/e"], []]
    assert unconfirmed(plan, [points[0]]) == ((), ())


def test_requests_that_tell_each_others_exponents_are_each_asked_for_one_once_more() -> None:
    """One exponent is asked for before both and the other after: neither is asked for thrice."""
    points = [
        register_point("v", 0, scale_from="f"),
        register_point("e", 1, "i16"),
        register_point("w", 200, scale_from="e"),
        register_point("f", 201, "i16"),
    ]
    plan = plan_reads(points, NO_LIMITS, TCP)
    assert names(plan) == ["ev", "fw"]
    assert [[p.id for p in some] for some in unconfirmed(plan, points)] == [["a/f"], ["a/e"]]


def test_of_two_tables_that_need_each_other_only_one_is_asked_before() -> None:
    """Read as they stand, `e` would be asked for before `w` and after `v` and `x`."""
    points = [
        register_point("v", 0, scale_from="e"),
        register_point("f", 1, "i16"),
        register_point("w", 0, table="input", scale_from="f"),
        register_point("e", 200, "i16", table="input"),
        register_point("x", 400, table="input", scale_from="e"),
    ]
    plan = plan_reads(points, NO_LIMITS, TCP)
    again = unconfirmed(plan, points)
    assert sorted(p.id for some in again for p in some) == ["a/e", "a/f"]


def test_one_exponent_comes_with_each_of_two_values_that_are_too_far_apart() -> None:
    points = [
        register_point("v", 0, scale_from="e"),
        register_point("e", 100, "i16"),
        register_point("w", 200, scale_from="e"),
    ]
    plan = plan_reads(points, NO_LIMITS, TCP)
    assert [(r.address, r.count) for r in plan] == [(0, 101), (100, 101)]
    assert unconfirmed(plan, points) == ((), ())


TYPES = st.sampled_from(["u16", "u32", "f64", "bit"])
EXPONENTS = st.none() | st.integers(0, 25).map(str)
RANGES = st.lists(
    st.tuples(st.just("holding"), st.integers(0, 60), st.integers(0, 6)).map(
        lambda r: (r[0], r[1], r[1] + r[2])
    ),
    max_size=3,
)


@given(
    places=st.lists(st.tuples(st.integers(0, 60), TYPES, EXPONENTS), max_size=25),
    forbidden=RANGES,
    together=RANGES,
    longest=st.integers(1, 20),
    request_s=st.floats(0.0, 0.1),
    cuts=RANGES,
)
def test_no_plan_breaks_a_limit_or_leaves_out_what_could_be_read(
    places: list[tuple[int, str, str | None]],
    forbidden: list[Block],
    together: list[Block],
    longest: int,
    request_s: float,
    cuts: list[Block],
) -> None:
    points = [register_point(str(i), a, t, scale_from=e) for i, (a, t, e) in enumerate(places)]
    limits = ModbusLimits(longest, forbidden=tuple(forbidden), together=tuple(together))
    plan = plan_reads(points, limits, LinkCost(request_s, 0.0005), tuple(cuts))
    covered = [p.id for request in plan for p in request.points]
    assert len(covered) == len(set(covered))
    for request in plan:
        _keeps(request, limits, together)
    alone = [register_point(str(i), a, t) for i, (a, t, _) in enumerate(places)]
    without = plan_reads(alone, limits, LinkCost(request_s, 0.0005))
    assert set(covered) == {p.id for request in without for p in request.points}
    _surely_scaled(plan, points)
    if not together:
        free = [p for p in points if _free(p, forbidden, longest)]
        assert sorted(covered) == sorted(p.id for p in free)


def _addresses(request: ReadRequest) -> set[int]:
    return set(range(request.address, request.address + request.count))


def _keeps(request: ReadRequest, limits: ModbusLimits, together: list[Block]) -> None:
    assert request.count <= limits.max_words
    for _, first, last in limits.forbidden:
        assert not _addresses(request) & set(range(first, last + 1))
    for p in request.points:
        start = register_of(p).address
        own = set(range(start, start + width(register_of(p))))
        assert own <= _addresses(request)
        for _, first, last in together:
            if own & set(range(first, last + 1)):
                assert set(range(first, last + 1)) <= _addresses(request)
    assert all(a.first <= b.first for a, b in pairwise(request.units))


def _surely_scaled(plan: Sequence[ReadRequest], points: list[Point]) -> None:
    """A value's exponent is in its answer, or is heard before it and after it."""
    before, after = ({p.id for p in some} for some in unconfirmed(plan, points))
    told = [{p.id for p in request.points} for request in plan]
    by_id = {p.id: p for p in points}
    for n, request in enumerate(plan):
        for p in request.points:
            exponent = by_id.get(p.exponent or "")
            if exponent is not None and any(exponent.id in some for some in told):
                earlier, later = before.union(*told[:n]), after.union(*told[n + 1 :])
                assert request.holds(exponent) or exponent.id in earlier & later


def _free(p: Point, forbidden: list[Block], longest: int) -> bool:
    start, size = register_of(p).address, width(register_of(p))
    own = set(range(start, start + size))
    return size <= longest and not any(own & set(range(f, t + 1)) for _, f, t in forbidden)


@given(
    addresses=st.lists(st.integers(0, 40), min_size=1, max_size=7, unique=True),
    longest=st.integers(1, 12),
    request_s=st.floats(0.0001, 0.05),
)
def test_the_plan_is_as_cheap_as_the_best_of_all_plans(
    addresses: list[int], longest: int, request_s: float
) -> None:
    link = LinkCost(request_s, 0.0005)
    plan = plan_reads(at(*addresses), ModbusLimits(max_words=longest), link)
    found = cost([(r.table, r.address, r.count) for r in plan], link)
    assert found == pytest.approx(_best(sorted(addresses), longest, link))


def _best(addresses: list[int], longest: int, link: LinkCost) -> float:
    """By trying every first block."""
    if not addresses:
        return 0.0
    costs = []
    for end in range(1, len(addresses) + 1):
        count = addresses[end - 1] - addresses[0] + 1
        if count <= longest:
            costs.append(link.of("holding", count) + _best(addresses[end:], longest, link))
    return min(costs)


def test_overlapping_values_are_read_once() -> None:
    points = [*at(0, type="u32"), *at(1, type="u32"), register_point("inner", 1)]
    assert blocks(points) == [("holding", 0, 3)]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("shape", shapes(250))
def test_twice_as_many_points_are_twice_the_work(shape: str) -> None:
    """Of any shape: counted in calls, because the seconds are the machine's."""
    once, twice = (shapes(count)[shape] for count in (500, 1000))
    few = calls(lambda: plan_reads(once.points, once.limits, TCP, once.cuts))
    many = calls(lambda: plan_reads(twice.points, twice.limits, TCP, twice.cuts))
    assert many < 2.1 * few  # which is at the bounds of what is looked at, or below them


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, and left."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
