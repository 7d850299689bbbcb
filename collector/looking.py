"""Readings for the planner: raw ones of a point, and what they say of an occurrence; all beside the loop."""

from collections.abc import Callable
from typing import TypeVar

from collector.domain.evidence import Look, Trace, Verdict, judge, reach
from collector.ports import Raw, ReadingStore, Unavailable
from collector.projecting import Offload
from config.plant import Plant
from config.standards import Evidence, Plan, Ran

T = TypeVar("T")


class StoreAwayError(Unavailable):
    """The store of readings cannot be reached: what does not need it goes on."""


class Looking:
    """Reads the store for the planner."""

    def __init__(self, store: ReadingStore, offload: Offload) -> None:
        self._store = store
        self._offload = offload

    async def raw(self, site: str, point: str, start: int, end: int) -> Raw:
        """Readings with start ≤ time < end (UTC ms). Raises `StoreAwayError`."""
        return await self._beside(lambda: self._store.raw(site, point, start, end))

    async def verdict(self, plan: Plan, plant: Plant, look: Look) -> Verdict | None:
        """What the readings say of a window of a plan with evidence. Raises `StoreAwayError`."""
        return await self._beside(lambda: self._judge(plan, plant, look))

    async def _beside(self, work: Callable[[], T]) -> T:
        try:
            return await self._offload(work)
        except Unavailable as error:
            raise StoreAwayError(str(error)) from error

    def _judge(self, plan: Plan, plant: Plant, look: Look) -> Verdict | None:
        evidence = plan.duty.evidence
        if evidence is None:
            return None
        start = look.start - reach(evidence)
        names = [f"{plan.asset}/{path}" for path in _paths(evidence)]
        traces = [self._trace(plant, name, start, look.end) for name in names]
        return judge(evidence, traces, look, bad_share_max=plan.duty.bad_share_max)

    def _trace(self, plant: Plant, name: str, start: int, end: int) -> Trace | None:
        point = plant.points.get(name)
        if point is None:
            return None
        silence = round(point.longest_silence_s * 1000)
        raw = self._store.raw(plant.site, name, start - silence, end)
        return Trace(raw.time, raw.value, raw.quality, silence)


def _paths(evidence: Evidence) -> tuple[str, ...]:
    return (evidence.point,) if isinstance(evidence, Ran) else evidence.points
