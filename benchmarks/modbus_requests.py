"""Row 6: requests issued, beside the optimum, the best greedy and one request per point; what planning takes."""

import math
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from benchmarks.read_maps import random_map, real_maps
from benchmarks.read_planning import max_insert, max_inserts, optimum
from benchmarks.read_shapes import shapes
from benchmarks.rows import Row
from config.plant import Line, Serial
from edge.bus_time import link_cost
from edge.registers import LinkCost, plan_reads

POINTS: Final = 500
RANDOM_MAPS: Final = 1000
TCP: Final = Line("l", "e", "tcp")


def run() -> Iterator[Row]:
    """All rows."""
    yield from _requests()
    yield from _random_maps()
    yield from _planner()


def _requests() -> Iterator[Row]:
    maps = real_maps()
    for name, cost in _costs().items():
        plans = [plan_reads(one.points, one.limits, cost) for one in maps]
        seconds = sum(cost.of(r.table, r.count) for plan in plans for r in plan)
        best = sum(optimum(one, cost)[0] for one in maps)
        greedy = sum(
            min(sum(cost.of(*request) for request in max_insert(one, hole)) for hole in range(126))
            for one in maps
        )
        yield Row(
            f"6 {name}, s of 12 maps beside the optimum", seconds, "s", best, 1.0 + 1e-9, "lower"
        )
        yield Row(
            f"6 {name}, s beside the best max_insert", seconds, "s", greedy, 1.0 + 1e-9, "lower"
        )
    issued = sum(len(plan_reads(one.points, one.limits, link_cost(TCP))) for one in maps)
    points = sum(len(one.points) for one in maps)
    yield Row("6 TCP, requests beside one per point", issued, "requests", points, 0.1, "lower")


def _random_maps() -> Iterator[Row]:
    """Sums, and how many are not what they should be: in a sum one map could make up for another."""
    rng = np.random.default_rng(20261129)
    maps = [random_map(rng) for _ in range(RANDOM_MAPS)]
    inserts = [max_inserts(one) for one in maps]
    for name, cost in _costs().items():
        plans = [plan_reads(one.points, one.limits, cost) for one in maps]
        ours = [sum(cost.of(r.table, r.count) for r in plan) for plan in plans]
        best = [optimum(one, cost)[0] for one in maps]
        others = [
            min((sum(cost.of(*request) for request in each) for each in found), default=0.0)
            for found in inserts
        ]
        differ = sum(not math.isclose(*pair, rel_tol=1e-9) for pair in zip(ours, best, strict=True))
        dearer = sum(a > b * (1 + 1e-9) for a, b in zip(ours, others, strict=True))
        of = f"{name}, of {RANDOM_MAPS} random maps"
        yield Row(f"6 {of}, s beside the optimum", sum(ours), "s", sum(best), 1.0 + 1e-9, "lower")
        yield Row(f"6 {of}, not the optimum", differ, "maps", None, 0.0, "lower")
        yield Row(f"6 {of}, dearer than max_insert", dearer, "maps", None, 0.0, "lower")


def _costs() -> Mapping[str, LinkCost]:
    lines = {"TCP": TCP, "9 600": rtu(9600), "115 200": rtu(115_200)}
    return {name: link_cost(line) for name, line in lines.items()}


def _planner() -> Iterator[Row]:
    """Each shape 21 times, in turn with the others: all see the machine as it is."""
    cost, found = link_cost(TCP), shapes(POINTS)
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(21):
        for name, shape in found.items():
            begun = time.perf_counter()
            plan_reads(shape.points, shape.limits, cost, shape.cuts)
            times[name].append(time.perf_counter() - begun)
    for name, taken in times.items():
        middle = 1000 * statistics.median(taken)
        yield Row(f"6 planning {POINTS} points, {name}", middle, "ms", None, 10.0, "lower")


def rtu(baud: int, path: str = "/dev/x") -> Line:
    """A serial line whose devices answer at once."""
    return Line("l", "e", "rtu", path=path, serial=Serial(baud, "none", 2, turnaround_s=0.0))
