"""Row 6: requests issued, beside the optimum, the best greedy and one request per point; what planning takes."""

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from benchmarks.read_maps import Map, random_map, real_maps, small_map, unscaled
from benchmarks.read_planning import always_together, least_choice, max_inserts, optimum
from benchmarks.read_sequences import least_of_all
from benchmarks.read_shapes import shapes
from benchmarks.rows import Row
from config.plant import Line, Serial
from edge.bus_time import link_cost
from edge.registers import LinkCost, ReadRequest, plan_reads, unconfirmed

POINTS: Final = 500
RANDOM_MAPS: Final = 1000
TCP: Final = Line("l", "e", "tcp")
SAME: Final = 1.0 + 1e-9


def run() -> Iterator[Row]:
    """All rows."""
    yield from _real_maps()
    yield from _random_maps()
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


def greedy(one: Map, cost: LinkCost) -> float:
    """The best of `max_insert` with holes of 0 to 125; exponents mean nothing to it."""
    found = max_inserts(one)
    return min((sum(cost.of(*request) for request in each) for each in found), default=0.0)


def _real_maps() -> Iterator[Row]:
    """One of them (`sunspec-103`) has exponents: 12, of 23 values; nothing is asked twice there."""
    maps = real_maps()
    for name, cost in _costs().items():
        ours = sum(seconds(one, cost) for one in maps)
        best = sum(optimum(one, cost)[0] for one in maps)
        other = sum(greedy(one, cost) for one in maps)
        yield Row(f"6 {name}, s of 12 maps beside the optimum", ours, "s", best, SAME, "lower")
        yield Row(f"6 {name}, s beside the best max_insert", ours, "s", other, SAME, "lower")
    issued = sum(len(requests(one, link_cost(TCP))) for one in maps)
    points = sum(len(one.points) for one in maps)
    yield Row("6 TCP, requests beside one per point", issued, "requests", points, 0.1, "lower")


def _random_maps() -> Iterator[Row]:
    """Sums, and how many are not what they should be: in a sum one map could make up for another."""
    rng = np.random.default_rng(20261129)
    maps = [random_map(rng) for _ in range(RANDOM_MAPS)]
    plain = [unscaled(one) for one in maps]
    for name, cost in _costs().items():
        of = f"6 {name}, of {RANDOM_MAPS} random maps"
        ours = [seconds(one, cost) for one in maps]
        without = [seconds(one, cost) for one in plain]
        others = [greedy(one, cost) for one in maps]
        best = [optimum(one, cost)[0] for one in maps]
        least = [least_choice(one, cost) for one in maps]
        yield Row(f"{of}, no exponents: not the optimum", _differ(without, best), "maps", None, 0.0, "lower")  # fmt: skip
        yield Row(f"{of}, no exponents: dearer than max_insert", _dearer(without, others), "maps", None, 0.0, "lower")  # fmt: skip
        yield Row(f"{of}, with exponents: dearer than the best of all choices in an order that suits all", _dearer(ours, least), "maps")  # fmt: skip
        yield Row(f"{of}, s with exponents beside without", sum(ours), "s", sum(without))
        yield Row(f"{of}, s with exponents beside max_insert without", sum(ours), "s", sum(others))
        yield Row(f"{of}, with exponents: dearer than max_insert without", _dearer(ours, others), "maps")  # fmt: skip
        together = [always_together(one, cost) for one in maps]
        yield Row(f"{of}, dearer than always together in an order that suits all", _dearer(ours, together), "maps")  # fmt: skip
        yield Row(f"{of}, s beside always together", sum(ours), "s", sum(together), SAME, "lower")


def _small_maps() -> Iterator[Row]:
    """Beside every plan that there is, and beside every sequence of requests."""
    rng = np.random.default_rng(20261129)
    maps = [small_map(rng) for _ in range(RANDOM_MAPS)]
    for name, cost in _costs().items():
        of = f"6 {name}, of {RANDOM_MAPS} small maps"
        ours = [seconds(one, cost) for one in maps]
        plans = [least_of_all(one, cost) for one in maps]
        sequences = [least_of_all(one, cost, "any") for one in maps]
        yield Row(f"{of}, not the best of all plans", _differ(ours, plans), "maps", None, 0.0, "lower")  # fmt: skip
        yield Row(f"{of}, dearer than the best of all sequences", _dearer(ours, sequences), "maps")
        yield Row(f"{of}, s beside the best of all sequences", sum(ours), "s", sum(sequences))


def _differ(ours: Sequence[float], others: Sequence[float]) -> int:
    return sum(not math.isclose(a, b, rel_tol=1e-9) for a, b in zip(ours, others, strict=True))


def _dearer(ours: Sequence[float], others: Sequence[float]) -> int:
    return sum(a > b * SAME for a, b in zip(ours, others, strict=True))


def _costs() -> Mapping[str, LinkCost]:
    lines = {"TCP": TCP, "9 600": rtu(9600), "115 200": rtu(115_200)}
    return {name: link_cost(line) for name, line in lines.items()}


def _planner() -> Iterator[Row]:
    """CPU time, which the work of others is not in: each shape 21 times, in turn with the others."""
    cost, found = link_cost(TCP), shapes(POINTS)
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(21):
        for name, shape in found.items():
            begun = time.process_time()
            plan_reads(shape.points, shape.limits, cost, shape.cuts)
            times[name].append(time.process_time() - begun)
    for name, taken in times.items():
        middle = 1000 * statistics.median(taken)
        yield Row(f"6 planning {POINTS} points, {name}, CPU", middle, "ms", None, 10.0, "lower")


def rtu(baud: int, path: str = "/dev/x") -> Line:
    """A serial line whose devices answer at once."""
    return Line("l", "e", "rtu", path=path, serial=Serial(baud, "none", 2, turnaround_s=0.0))
