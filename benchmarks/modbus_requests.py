"""Row 6: requests issued, beside the optimum, the best greedy and one request per point; what planning takes."""

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from benchmarks.read_inserts import best_of, least_confirmed, max_inserts
from benchmarks.read_maps import Map, random_map, real_maps, small_map, unscaled
from benchmarks.read_planning import always_together, least_choice, optimum
from benchmarks.read_sequences import least_of_all
from benchmarks.read_shapes import shapes
from benchmarks.rows import Row
from config.plant import Line, Serial
from edge.bus_time import link_cost
from edge.registers import LinkCost, ReadRequest, plan_reads, unconfirmed

POINTS: Final = 500
RANDOM_MAPS: Final = 1000
SEEDS: Final = (1, 2, 3, 4)
OF_EACH_SEED: Final = 500
ADDITIONS: Final = 1_000_000
TCP: Final = Line("l", "e", "tcp")
SAME: Final = 1.0 + 1e-9


def run() -> Iterator[Row]:
    """All rows."""
    yield from _real_maps()
    yield from _random_maps()
    yield from _other_random_maps()
    yield from _small_maps()
    yield from _planner()


def seconds(one: Map, cost: LinkCost) -> float:
    """What a cycle of the plan takes: its requests, and those for exponents once more."""
    return sum(cost.of(request.table, request.count) for request in requests(one, cost))


def requests(one: Map, cost: LinkCost) -> list[ReadRequest]:
    """All that are sent in a cycle."""
    plan = plan_reads(one.points, one.limits, cost)
    again = unconfirmed(plan, one.points)
    return [*plan, *(r for some in again for r in plan_reads(some, one.limits, cost))]


def _real_maps() -> Iterator[Row]:
    """One of them (`sunspec-103`) has exponents: 12, of 23 values; nothing is asked twice there."""
    maps = real_maps()
    for name, cost in _costs().items():
        ours = [seconds(one, cost) for one in maps]
        best = [optimum(one, cost)[0] for one in maps]
        other = [best_of(max_inserts(one), cost).seconds for one in maps]
        of = f"6 {name}, of {len(maps)} real maps"
        yield _none(f"{of}: not the optimum", _differ(ours, best))
        yield _none(f"{of}: dearer than max_insert", _dearer(ours, other))
        yield Row(f"{of}, s beside the optimum", sum(ours), "s", sum(best))
        yield Row(f"{of}, s beside max_insert", sum(ours), "s", sum(other))
    cost = link_cost(TCP)
    issued = [len(requests(one, cost)) for one in maps]
    fewest = [best_of(max_inserts(one), cost).requests for one in maps]
    of = f"6 TCP, of {len(maps)} real maps"
    yield _none(f"{of}: not as few requests as the optimum", _differ(issued, [optimum(one, cost)[1] for one in maps]))  # fmt: skip
    yield _none(f"{of}: more requests than max_insert", _dearer(issued, fewest))
    points = sum(len(one.points) for one in maps)
    yield Row("6 TCP, requests beside one per point", sum(issued), "requests", points, 0.1, "lower")


def _random_maps() -> Iterator[Row]:
    """How many are not what they should be: in a sum one map could make up for another."""
    rng = np.random.default_rng(20261129)
    maps = [random_map(rng) for _ in range(RANDOM_MAPS)]
    for name, cost in _costs().items():
        of = f"6 {name}, of {RANDOM_MAPS} random maps"
        yield from _without_exponents(f"{of}, no exponents", [unscaled(one) for one in maps], cost)
        yield from _with_exponents(f"{of}, with exponents", maps, cost)


def _other_random_maps() -> Iterator[Row]:
    """Of several seeds, for which nothing was mended: beside the greedy that must give each value its own exponent too."""
    generators = [np.random.default_rng(seed) for seed in SEEDS]
    maps = [random_map(rng) for rng in generators for _ in range(OF_EACH_SEED)]
    of = f"{len(maps)} random maps of {len(SEEDS)} other seeds, with exponents"
    for name, cost in _costs().items():
        confirmed = [least_confirmed(one, cost) for one in maps]
        ours = [seconds(one, cost) for one in maps]
        yield _none(f"6 {name}, of {of}: dearer than max_insert with its own", _dearer(ours, [one.seconds for one in confirmed]))  # fmt: skip
        if cost == link_cost(TCP):
            issued = [len(requests(one, cost)) for one in maps]
            yield _none(f"6 {name}, of {of}: more requests than max_insert with its own", _dearer(issued, [one.requests for one in confirmed]))  # fmt: skip


def _without_exponents(of: str, maps: Sequence[Map], cost: LinkCost) -> Iterator[Row]:
    ours = [seconds(one, cost) for one in maps]
    yield _none(f"{of}: not the optimum", _differ(ours, [optimum(one, cost)[0] for one in maps]))
    greedy = [best_of(max_inserts(one), cost) for one in maps]
    yield _none(f"{of}: dearer than max_insert", _dearer(ours, [one.seconds for one in greedy]))
    if cost == link_cost(TCP):
        issued = [len(requests(one, cost)) for one in maps]
        yield _none(f"{of}: not as few requests as the optimum", _differ(issued, [optimum(one, cost)[1] for one in maps]))  # fmt: skip
        yield _none(f"{of}: more requests than max_insert", _dearer(issued, [one.requests for one in greedy]))  # fmt: skip


def _with_exponents(of: str, maps: Sequence[Map], cost: LinkCost) -> Iterator[Row]:
    """Beside what must give each value its own exponent too, and beside what need not: what consistency costs."""
    ours = [seconds(one, cost) for one in maps]
    choices = [least_choice(one, cost) for one in maps]
    confirmed = [least_confirmed(one, cost) for one in maps]
    together = [always_together(one, cost) for one in maps]
    yield _none(f"{of}: not the best of all choices in an order that suits all", _differ(ours, choices))  # fmt: skip
    yield _none(f"{of}: dearer than max_insert with its own", _dearer(ours, [one.seconds for one in confirmed]))  # fmt: skip
    if cost == link_cost(TCP):
        issued = [len(requests(one, cost)) for one in maps]
        yield _none(f"{of}: more requests than max_insert with its own", _dearer(issued, [one.requests for one in confirmed]))  # fmt: skip
    yield _none(f"{of}: dearer than always together", _dearer(ours, together))
    yield Row(f"{of}, s beside max_insert with its own", sum(ours), "s", sum(one.seconds for one in confirmed))  # fmt: skip
    yield Row(f"{of}, s beside always together", sum(ours), "s", sum(together))
    plain = [unscaled(one) for one in maps]
    yield Row(f"{of}, s beside without", sum(ours), "s", sum(seconds(one, cost) for one in plain))
    greedy = [best_of(max_inserts(one), cost).seconds for one in maps]
    yield Row(f"{of}, s beside max_insert with any", sum(ours), "s", sum(greedy))
    yield Row(f"{of}: dearer than max_insert with any", _dearer(ours, greedy), "maps")


def _small_maps() -> Iterator[Row]:
    """Beside every plan that there is, and beside every sequence of requests."""
    rng = np.random.default_rng(20261129)
    maps = [small_map(rng) for _ in range(RANDOM_MAPS)]
    for name, cost in _costs().items():
        of = f"6 {name}, of {RANDOM_MAPS} small maps"
        ours = [seconds(one, cost) for one in maps]
        plans = [least_of_all(one, cost) for one in maps]
        sequences = [least_of_all(one, cost, "any") for one in maps]
        confirmed = [least_confirmed(one, cost).seconds for one in maps]
        yield _none(f"{of}, not the best of all plans", _differ(ours, plans))
        yield _none(f"{of}, dearer than max_insert with its own", _dearer(ours, confirmed))
        yield Row(f"{of}, dearer than the best of all sequences", _dearer(ours, sequences), "maps")
        yield Row(f"{of}, s beside the best of all sequences", sum(ours), "s", sum(sequences))


def _none(name: str, maps: int) -> Row:
    """So many of the maps are as none should be."""
    return Row(name, maps, "maps", None, 0.0, "lower")


def _differ(ours: Sequence[float], others: Sequence[float]) -> int:
    return sum(not math.isclose(a, b, rel_tol=1e-9) for a, b in zip(ours, others, strict=True))


def _dearer(ours: Sequence[float], others: Sequence[float]) -> int:
    return sum(a > b * SAME for a, b in zip(ours, others, strict=True))


def _costs() -> Mapping[str, LinkCost]:
    lines = {"TCP": TCP, "9 600": rtu(9600), "115 200": rtu(115_200)}
    return {name: link_cost(line) for name, line in lines.items()}


def _planner() -> Iterator[Row]:
    """CPU time: each shape 21 times, in turn with the others and with additions, which say how fast the machine is just then.

    The work of others is not in it, but slows it where two share a core.
    """
    cost, found = link_cost(TCP), shapes(POINTS)
    times: dict[str, list[float]] = {name: [] for name in found}
    yards: list[float] = []
    for _ in range(21):
        yards.append(_additions())
        for name, shape in found.items():
            begun = time.process_time()
            plan_reads(shape.points, shape.limits, cost, shape.cuts)
            times[name].append(time.process_time() - begun)
    yield Row(f"6 {ADDITIONS} additions in turn with planning, CPU", 1000 * statistics.median(yards), "ms")  # fmt: skip
    for name, taken in times.items():
        middle = 1000 * statistics.median(taken)
        yield Row(f"6 planning {POINTS} points, {name}, CPU", middle, "ms", None, 10.0, "lower")


def _additions() -> float:
    """CPU seconds."""
    begun, total = time.process_time(), 0
    for number in range(ADDITIONS):
        total += number
    return time.process_time() - begun


def rtu(baud: int, path: str = "/dev/x") -> Line:
    """A serial line whose devices answer at once."""
    return Line("l", "e", "rtu", path=path, serial=Serial(baud, "none", 2, turnaround_s=0.0))
