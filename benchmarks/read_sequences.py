"""The cheapest plan of a small map, by trying all: which requests, in which order, what each is asked for."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from benchmarks.read_maps import Map
from edge.registers import LinkCost

BEFORE, DURING, AFTER = 0, 1, 2
"""Requests for exponents alone; those that tell the points; those for exponents once more."""


class State(NamedTuple):
    """What is known: phase, points that are told for good, exponents that were heard, values that wait to hear theirs again.

    Points are bits of a number.
    """

    phase: int
    told: int
    heard: int
    waiting: int


START: Final = State(BEFORE, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """All that may be asked of a map: the points that each request holds and its seconds; value and exponent of each pair."""

    requests: Sequence[tuple[int, float]]
    pairs: Sequence[tuple[int, int]]
    everything: int
    exponents: int

    @property
    def plain(self) -> int:
        """Points that have no exponent and are none."""
        return self.everything & ~self.exponents & ~sum(value for value, _ in self.pairs)

    def settled(self, waiting: int, heard: int) -> int:
        """Those waiting values whose exponent is heard now."""
        return sum(value for value, exponent in self.pairs if waiting & value and heard & exponent)


def asked_of(one: Map, cost: LinkCost) -> Asked:
    """Of requests for the same points only the cheapest is in it."""
    bits = {id: 1 << n for n, id in enumerate(id for wanted in one.tables for id in wanted.spans)}
    cheapest: dict[int, float] = {}
    for wanted in one.tables:
        for first in {first for first, _ in wanted.spans.values()}:
            for last in {last for _, last in wanted.spans.values() if last >= first}:
                held = sum(bits[id] for id, (a, b) in wanted.spans.items() if first <= a and b <= last)  # fmt: skip
                seconds = cost.of(wanted.table, last - first + 1)
                if held and wanted.allows((first, last)):
                    cheapest[held] = min(seconds, cheapest.get(held, seconds))
    pairs = [(bits[value], bits[exponent]) for value, exponent in one.exponents.items()]
    exponents = sum({exponent for _, exponent in pairs})
    return Asked([*cheapest.items()], pairs, sum(bits.values()), exponents)


def least_of_all(one: Map, cost: LinkCost, rule: Literal["plan", "any"] = "plan") -> float:
    """Least seconds by which every point is told, every value by an exponent that is known to be its own.

    That is one of the same answer, or one that was heard before the value and after it. A `plan`
    is as Steward reads: an answer tells a point once, and exponents may be asked for once more before
    all and after all. With `any`, each answer is taken for all that is in it.
    """
    asked = asked_of(one, cost)
    after = _by_plan if rule == "plan" else _by_any
    seconds: dict[State, float] = {START: 0.0}
    waiting: list[tuple[float, State]] = [(0.0, START)]
    while True:
        spent, state = heapq.heappop(waiting)
        if state.told == asked.everything:
            return spent
        if spent > seconds[state]:
            continue
        for step, new in after(asked, state):
            if spent + step < seconds.get(new, float("inf")):
                seconds[new] = spent + step
                heapq.heappush(waiting, (spent + step, new))


def _by_any(asked: Asked, state: State) -> Iterator[tuple[float, State]]:
    for held, seconds in asked.requests:
        told, waiting = _values(asked, state, held)
        told |= held & (asked.plain | asked.exponents) | asked.settled(state.waiting, held)
        heard = state.heard | held & asked.exponents
        yield seconds, State(state.phase, told, heard, waiting & ~told)


def _by_plan(asked: Asked, state: State) -> Iterator[tuple[float, State]]:
    if state.phase != AFTER:
        yield 0.0, state._replace(phase=state.phase + 1)
    for held, seconds in asked.requests:
        exponents = held & asked.exponents
        if state.phase == BEFORE:
            yield seconds, state._replace(heard=state.heard | exponents)
        elif state.phase == AFTER:
            told = asked.settled(state.waiting, exponents)
            yield seconds, state._replace(told=state.told | told, waiting=state.waiting & ~told)
        else:
            told, waiting = _values(asked, state, held)
            for some in _subsets(exponents & ~state.told):
                more = told | held & asked.plain | some | asked.settled(state.waiting, some)
                yield seconds, State(DURING, more, state.heard | some, waiting & ~more)


def _values(asked: Asked, state: State, held: int) -> tuple[int, int]:
    """Told and waiting values after an answer that holds these points."""
    told, waiting = state.told, state.waiting
    for value, exponent in asked.pairs:
        if held & value and held & exponent:
            told |= value
        elif held & value and state.heard & exponent and not state.told & value:
            waiting |= value
    return told, waiting


def _subsets(points: int) -> Iterable[int]:
    some = points
    while some:
        yield some
        some = (some - 1) & points
    yield 0
