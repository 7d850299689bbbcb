"""The order of requests that need each other's exponents, against all orders that there are."""

from collections.abc import Sequence, Set
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from edge.read_order import Need, best_order, in_order

MANY = 1000


def once_each(ids: Set[str]) -> float:
    """A second for each exponent that is asked for again."""
    return float(len(ids))


def seconds(order: Sequence[int], needs: Sequence[Need]) -> float:
    """Exponents that are told after a value, and those that are told before one."""
    late = {need.exponent for need in needs if order.index(need.told) > order.index(need.value)}
    early = {need.exponent for need in needs if order.index(need.told) < order.index(need.value)}
    return float(len(late) + len(early))


EXPONENTS = {"e": 0, "f": 1, "g": 2, "h": 2}
"""By the request that tells each."""
NEEDS = st.lists(
    st.tuples(st.sampled_from("efgh"), st.integers(0, 3)).filter(lambda n: EXPONENTS[n[0]] != n[1]),
    min_size=1,
    max_size=8,
).map(lambda rows: [Need(value, EXPONENTS[exponent], exponent) for exponent, value in rows])


@given(needs=NEEDS)
def test_an_order_by_which_once_more_is_enough_is_found_if_there_is_one(needs: list[Need]) -> None:
    tables = {need.exponent: "holding" if need.told else "input" for need in needs}
    found = best_order(4, needs, tables, once_each, MANY)
    assert sorted(found.numbers) == [0, 1, 2, 3]
    assert found.seconds == seconds(found.numbers, needs)
    assert found.least == len(tables)
    best = min(seconds(order, needs) for order in permutations(range(4)))
    assert (found.seconds == found.least) == (best == found.least)


def test_an_order_that_is_good_is_kept() -> None:
    needs = [Need(0, 1, "e"), Need(2, 1, "f"), Need(3, 2, "g")]
    tables = dict.fromkeys("efg", "holding")
    assert best_order(4, needs, tables, once_each, MANY).numbers == [0, 1, 2, 3]


def test_what_tells_comes_behind_what_needs_it() -> None:
    assert in_order(4, {0: {2}, 2: {1, 3}}) == [1, 3, 2, 0]


def test_a_circle_is_opened_somewhere() -> None:
    assert sorted(in_order(3, {0: {1}, 1: {2}, 2: {0}})) == [0, 1, 2]


def test_no_more_orders_are_looked_at_than_allowed() -> None:
    """Each of two tells what the other needs, of two exponents at once: no order is good enough to stop at."""
    needs = [Need(a, b, f"{b}{n}") for a, b in ((0, 1), (1, 0), (1, 2), (2, 1)) for n in range(2)]
    asked = []

    def again(ids: Set[str]) -> float:
        asked.append(ids)
        return float(len(ids) ** 0.5)  # once more for all is less than in two parts

    best_order(3, needs, {need.exponent: "holding" for need in needs}, again, 5)
    assert len(asked) == 1 + 2 * (1 + 5)
