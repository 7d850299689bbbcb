"""Row 11: one pass of 100 000 limit rules over a reading of each point, beside bare numpy compares of the same readings."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from benchmarks.load_plant import LIMIT, plant_of
from benchmarks.rows import Row, main
from benchmarks.running import Failed, say
from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.alarming import Alarming
from collector.groups import Group
from collector.live import LiveTable
from commands.load import SITE, Shape, point_name

RULES: Final = 100_000
SMALL: Final = 10_000
AGENTS: Final = 100
RUNS: Final = 201
START_MS: Final = 1_763_700_000_000
PERIOD_MS: Final = 1_000
LEVEL: Final = 20.0


class Pass:
    """Every point reads anew, within its limits, in an order of agents that is never the same."""

    def __init__(self, rules: int) -> None:
        shape = Shape(AGENTS, rules // AGENTS, rules // AGENTS)
        plant = plant_of(shape)
        self._live = live = LiveTable([plant])
        self.alarming = Alarming([plant], live, MemoryDecisions(), MemoryAsks())
        self.alarming.restore()
        self._rng, self._number = np.random.default_rng(1), 0
        names = [[point_name(n, i) for i in range(shape.points)] for n in range(AGENTS)]
        self._rows = [np.array([live.row(SITE, name) for name in of_one]) for of_one in names]
        self.high = np.full(rules, LIMIT)

    def group(self) -> Group:
        """The next second's readings, each a good one; the live table has them, as in the collector."""
        self._number += 1
        row = np.concatenate([self._rows[n] for n in self._rng.permutation(AGENTS)])
        count, now = len(row), START_MS + self._number * PERIOD_MS
        value = np.round(LEVEL + self._rng.normal(size=count), 2)
        good, none = np.zeros(count, np.uint8), np.zeros(count, np.int64)
        when, live = np.full(count, now), np.ones(count, np.bool_)
        group = Group(self._number, now, row, when, value, good, live, none)
        self._live.apply(group)
        return group


def passed(rules: int, runs: int) -> list[Row]:
    """Ours and both compares in turn on each group, from the second on: the first begins every rule."""
    every = Pass(rules)
    say(f"  11: the first reading of {rules} rules, judged one by one")
    every.alarming.judge(every.group())
    begun = every.alarming.waiting
    sides: Mapping[str, Callable[[Group], Any]] = {
        "ours": every.alarming.judge,
        "rows": lambda group: np.flatnonzero(group.value > every.high[group.row]),
        "bare": lambda group: np.flatnonzero(group.value > every.high),
    }
    took: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(runs):
        group = every.group()
        for side, work in sides.items():
            start = time.perf_counter()
            work(group)
            took[side].append((time.perf_counter() - start) * 1000)
    if every.alarming.waiting != begun:
        raise Failed("a rule changed, where each reading was within its limit")
    ours, rows, bare = (statistics.median(each) for each in took.values())
    note = f"{rules} readings in one group; from the collector's group to every decision made"
    return [
        Row("11 limit rules: beside a compare that takes limits by row", ours, "ms a pass", rows, 3.0, "lower", note),
        Row("11 limit rules: beside a compare of two columns", ours, "ms a pass", bare, 3.0, "lower"),
    ]  # fmt: skip


def run(small: bool) -> list[Row]:
    """Row 11. Small: a tenth of the rules, no target claimed."""
    if small:
        return [replace(row, target=None) for row in passed(SMALL, 21)]
    return passed(RULES, RUNS)


if __name__ == "__main__":
    raise SystemExit(main(run))
