"""In which order to send requests that tell each other's exponents: so that as little as can be is asked once more."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from itertools import chain, combinations, islice
from math import inf
from typing import NamedTuple

Again = Callable[[frozenset[str]], float]
"""Seconds of asking once more for these exponents."""


class Need(NamedTuple):
    """The request of a value, by number, needs an exponent that another request tells."""

    value: int
    told: int
    exponent: str


class Order(NamedTuple):
    """The numbers of the requests, and what is asked once more."""

    numbers: Sequence[int]
    seconds: float
    once: bool
    """Whether once more is enough for all, so that no order is better."""


def best_order(
    count: int, needs: Sequence[Need], table_of: Mapping[str, str], again: Again, tries: int
) -> Order:
    """The numbers 0..count-1 in the order in which the least is asked once more: as they are, if no other is better.

    What tells an exponent comes after all that needs it, or before it: then once more is enough.
    Where that goes in a circle some are asked for before and after. Of the ways to choose between
    after and before for each exponent, `tries` are looked at, or fewer if no order can be better.
    """
    least = again(frozenset(table_of))
    best = Order((), inf, once=False)
    for order in chain([[*range(count)]], islice(_orders(count, needs, table_of), tries)):
        rank = {request: at for at, request in enumerate(order)}
        before = frozenset(need.exponent for need in needs if rank[need.value] < rank[need.told])
        after = frozenset(need.exponent for need in needs if rank[need.value] > rank[need.told])
        seconds = again(before) + again(after)
        if seconds < best.seconds:
            best = Order(order, seconds, once=seconds <= least * (1.0 + 1e-9))
        if best.once:
            break
    return best


def _orders(
    count: int, needs: Sequence[Need], table_of: Mapping[str, str]
) -> Iterator[Sequence[int]]:
    """What tells an exponent behind what needs it; but for those of a table, all, those that one request tells, one, two and so on before it."""
    ids = [*table_of]
    tables = dict.fromkeys(table_of.values())
    by_table = ({id for id in ids if table_of[id] == table} for table in tables)
    requests = dict.fromkeys(need.told for need in needs)
    by_request = ({need.exponent for need in needs if need.told == one} for one in requests)
    some = (set(one) for n in range(1, len(ids)) for one in combinations(ids, n))
    for early in chain([set[str]()], by_table, [set(ids)], by_request, some):
        yield in_order(count, _ahead(needs, early))


def _ahead(needs: Sequence[Need], early: Set[str]) -> Mapping[int, Set[int]]:
    """By request those that should come before it: what tells one of the `early` exponents before what needs it."""
    ahead: dict[int, set[int]] = {}
    for need in needs:
        ends = (need.told, need.value) if need.exponent in early else (need.value, need.told)
        ahead.setdefault(ends[1], set()).add(ends[0])
    return ahead


def in_order(count: int, ahead: Mapping[int, Set[int]]) -> list[int]:
    """0..count-1, each behind those that are to be ahead of it; in a circle, behind some of them."""
    order: list[int] = []
    begun: set[int] = set()
    for start in range(count):
        path = [start] if start not in begun else []
        begun.add(start)
        while path:
            if left := sorted(ahead.get(path[-1], set()) - begun):
                path.append(left[0])
                begun.add(left[0])
            else:
                order.append(path.pop())
    return order
