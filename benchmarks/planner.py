"""Row 20: a tick of the planner over 100 000 plans when nothing is new, beside a numpy scan of as many due times."""

import asyncio
import statistics
import time
from dataclasses import replace
from typing import Any, Final

import numpy as np

from benchmarks.rows import Row, main
from benchmarks.running import ROOT, Failed, say
from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.adapters.memory_store import MemoryStore
from collector.ingest import spare_garbage_collection
from collector.planning import Planning
from collector.projecting import inline
from config.load import load_plant
from config.plant import Plant
from config.standards import Meter, Plan

PLANS: Final = 100_000
SMALL: Final = 2_000
TICKS: Final = 18
"""Three minutes: readings are looked at once in each."""
EVERY_MS: Final = 10_000
START_MS: Final = 1_772_430_000_000
"""A Monday morning in March, local time."""
TARGET_MS: Final = 50.0
SITE: Final = "riverside"


def plant_with(count: int, *, watched: bool) -> Plant:
    """The demo's plant with its duties again and again; with those that readings judge, or without."""
    plant = load_plant(ROOT / "config/plants" / SITE)
    kinds = [plan for plan in plant.plans.values() if watched or not _is_watched(plan)]
    plans = [_copy(kinds[n % len(kinds)], n // len(kinds)) for n in range(count)]
    return replace(plant, plans={plan.id: plan for plan in plans})


def _is_watched(plan: Plan) -> bool:
    return plan.duty.evidence is not None or isinstance(plan.duty.every, Meter)


def _copy(plan: Plan, number: int) -> Plan:
    """The same duty of the same asset under another name, which its occurrences bear too."""
    duty = replace(plan.duty, id=f"{plan.duty.id}-{number}")
    return replace(plan, id=f"{plan.id}-{number}", duty=duty)


def ticked(count: int, *, watched: bool) -> tuple[float, float]:
    """Milliseconds of a tick in which nothing is new: the median and the longest; the first made all rows."""
    spare_garbage_collection()  # as a server does
    decisions = MemoryDecisions()
    plant = plant_with(count, watched=watched)
    planning = Planning([plant], decisions, MemoryAsks(), MemoryStore(), inline)

    async def timed(now: int) -> float:
        begun = time.perf_counter()
        await planning.tick(now)
        return (time.perf_counter() - begun) * 1000

    async def measured() -> list[float]:
        first = await timed(START_MS)
        say(f"  20: the first tick over {count} plans took {first / 1000:.1f} s")
        return [await timed(START_MS + n * EVERY_MS) for n in range(1, TICKS + 1)]

    took = asyncio.run(measured())
    if not decisions.rows("occurrence", SITE, limit=1):
        raise Failed("no plan owes anything")
    return statistics.median(took), max(took)


def scanned(count: int) -> float:
    """Milliseconds of a look for due times that have passed."""
    due = START_MS + np.random.default_rng(1).integers(1, 10**9, count)
    took = []
    for n in range(1, 101):
        begun = time.perf_counter()
        np.flatnonzero(due <= START_MS + n)
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


def run(small: bool) -> list[Row]:
    """Row 20. Small: fewer plans, no target claimed."""
    count = SMALL if small else PLANS
    (people, _), scan = ticked(count, watched=False), scanned(count)
    both, longest = ticked(count, watched=True)
    rows: list[Any] = [
        Row("20 a tick over plans that people close", people, "ms", target=TARGET_MS, better="lower",
            note=f"{count} plans: the demo's duties again and again"),
        Row("20 the same, beside a numpy scan of due times", people, "ms", scan, better="lower"),
        Row("20 a tick over the demo's duties, those with readings among them", both, "ms",
            target=TARGET_MS, better="lower"),
        Row("20 the longest of these: readings are looked at once a minute", longest, "ms", better="lower"),
    ]  # fmt: skip
    return [replace(row, target=None) for row in rows] if small else rows


if __name__ == "__main__":
    raise SystemExit(main(run))
