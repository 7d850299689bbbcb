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
    found = best_order(4, needs, tables, once_each, MANY).numbers
    assert sorted(found) == [0, 1, 2, 3]
    best = min(seconds(order, needs) for order in permutations(range(4)))
    assert (seconds(found, needs) == len(tables)) == (best == len(tables))


def test_an_order_that_is_good_is_kept() -> None:
    needs = [Need(0, 1, "e"), Need(2, 1, "f"), Need(3, 2, "g")]
    tables = dict.fromkeys("efg", "holding")
    assert best_order(4, needs, tables, once_each, MANY).numbers == [0, 1, 2, 3]


def test_what_tells_comes_behind_what_needs_it() -> None:
    assert in_order(4, {0: {2}, 2: {1, 3}}) == [1, 3, 2, 0]


def test_a_circle_is_opened_somewhere() -> None:
    assert sorted(in_order(3, {0: {1}, 1: {2}, 2: {0}})) == [0, 1, 2]


def test_of_two_tables_that_need_each_other_one_is_told_first_whatever_it_holds() -> None:
    """Ten exponents each: their ways to be told early or late would be a million."""
    places = {f"e{n}": (1, (0, 2)) for n in range(10)} | {f"f{n}": (2, (1, 3)) for n in range(10)}
    needs = [Need(value, told, id) for id, (told, values) in places.items() for value in values]
    tables = {id: "holding" if told == 1 else "input" for id, (told, _) in places.items()}
    assert seconds(best_order(4, needs, tables, once_each, 1).numbers, needs) > 20
    assert seconds(best_order(4, needs, tables, once_each, 2).numbers, needs) == 20


def test_of_two_requests_that_need_each_other_one_is_told_first_whatever_it_holds() -> None:
    """In one table, and ten exponents each: no single one of them opens the circle."""
    places = {f"e{n}": (1, (0, 2)) for n in range(10)} | {f"f{n}": (2, (1, 3)) for n in range(10)}
    needs = [Need(value, told, id) for id, (told, values) in places.items() for value in values]
    tables = dict.fromkeys(places, "holding")

    def again(ids: Set[str]) -> float:
        return len({id[0] for id in ids}) + len(ids) / 100  # all of one letter in one request

    order = best_order(4, needs, tables, again, 4).numbers
    assert seconds(order, needs) == 20


def test_the_best_is_taken_of_as_many_orders_as_may_be_looked_at() -> None:
    """The second request tells what the others need, and the first what the second needs: none is good enough to stop at."""
    rows = (0, 1, "e"), (2, 1, "e"), (1, 0, "f"), (1, 0, "g")
    needs = [Need(*row) for row in rows]
    asked: list[float] = []

    def again(ids: Set[str]) -> float:
        asked.append(len(ids) ** 0.5)  # once more for all is less than in two parts
        return asked[-1]

    found = best_order(3, needs, {need.exponent: "holding" for need in needs}, again, 7).numbers
    tried = [sum(pair) for pair in zip(asked[1::2], asked[2::2], strict=True)]
    assert len(tried) == 1 + 7
    late = {need.exponent for need in needs if found.index(need.told) > found.index(need.value)}
    early = {need.exponent for need in needs if found.index(need.told) < found.index(need.value)}
    assert len(late) ** 0.5 + len(early) ** 0.5 == min(tried) < max(tried)
    assert tried[-1] > min(tried)
