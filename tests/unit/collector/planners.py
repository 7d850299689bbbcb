"""A planner over twins, for its tests."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.adapters.memory_store import MemoryStore
from collector.planning import Planning
from collector.ports import Ask, LedgerRow, SeriesKey, StoreBatch
from collector.projecting import inline
from config.plant import Plant

MIN, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SITE = "riverside"


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


START = at("2026-03-02T00:00:00")
TRIAL, PATROL, SERVICE = "generator-trial-run", "pump-house-patrol", "elevator-service"


def only(
    plant: Plant, duty: str, *, in_service: str | None = None, start: str = "", **other: object
) -> Plant:
    """The plant with one plan of this duty, some of which may be said otherwise."""
    plan = next(p for p in plant.plans.values() if p.duty.id == duty)
    duty_ = replace(plan.duty, **other)  # type: ignore[arg-type]  # a table of members
    plan = replace(plan, duty=duty_, in_service=in_service, start=start)
    return replace(plant, plans={plan.id: plan})


class World:
    """A planner over twins, whose store is written by hand."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.decisions, self.asks, self.store = MemoryDecisions(), MemoryAsks(), MemoryStore()
        self.position = 0
        self.planning = self.another()

    def another(self) -> Planning:
        return Planning([self.plant], self.decisions, self.asks, self.store, inline)

    def rows(self, duty: str, asset: str = "") -> list[LedgerRow]:
        found = self.decisions.rows("occurrence", SITE)
        return [r for r in found if r.data["duty"] == duty and asset in ("", r.data["asset"])]

    def one(self, duty: str, asset: str = "") -> LedgerRow:
        return min(self.rows(duty, asset), key=lambda row: str(row.data["due"]))

    def write(
        self, point: str, start: int, end: int, value: float | None, step: int = 30_000
    ) -> None:
        times = np.arange(start, end, step, dtype=np.int64)
        number = np.nan if value is None else value
        self.position += 1
        batch = StoreBatch(
            [SeriesKey(SITE, point, "", "flag")], np.zeros(len(times), np.int64), times,
            np.full(len(times), number), np.full(len(times), 65 if value is None else 0, np.uint8),
        )  # fmt: skip
        self.store.write([batch], self.position)

    def data(self) -> list[dict[str, Any]]:
        """All rows by their key."""
        rows = self.decisions.rows("occurrence", SITE)
        return sorted((dict(row.data) for row in rows), key=lambda data: str(data["key"]))

    async def say_done(self, row: LedgerRow, now: int, ask: str = "1", **data: int) -> str | None:
        self.asks.ask(Ask(ask, SITE, "done", row.id, "li", now, data))
        await self.planning.tick(now)
        outcome = self.asks.outcome(ask)
        assert outcome is not None
        return None if outcome.accepted else outcome.reason
