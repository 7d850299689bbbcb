"""Running meters of the plans that count hours or starts: read as they grow, kept before the store forgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.domain.days import midnight
from collector.domain.intervals import DAY_MS, Frame
from collector.domain.looks import LATE_MS
from collector.domain.meters import (
    NO_PATH,
    MeterPath,
    MeterReading,
    meter_dues,
    running_meter,
    thinned,
    usable,
)
from collector.looking import Looking
from collector.ports import Decisions, LedgerRow, Raw
from config.plant import Plant, Point
from config.standards import Meter, Plan

EVERY_MS = 60_000
"""A meter is read no oftener: the instants that its rows bear are those of its readings."""
WHOLE_MS = 600_000
"""Readings that came late are looked for so often; in between only new ones are read."""


@dataclass(slots=True)
class _Running:
    """A meter up to where no reading can come late any more, as in the ledger; and up to now."""

    kept: MeterPath
    path: MeterPath
    whole_at: int = 0
    read_at: int = 0


class Metering:
    """The meters of all plans, by site and plan."""

    def __init__(self, decisions: Decisions, looking: Looking) -> None:
        self._decisions = decisions
        self._looking = looking
        self._meters: dict[tuple[str, str], _Running] = {}

    def restore(self, site: str) -> None:
        """Take up the meters that the ledger keeps."""
        for row in self._decisions.rows("meter", site):
            path = _path_of(row.data)
            self._meters[site, row.id] = _Running(path, path)

    async def read(
        self, plan: Plan, plant: Plant, frame: Frame, served: Sequence[int], now: int
    ) -> MeterPath:
        """The plan's meter at `now` (UTC ms); `served` are the instants of its services, in order.

        Nothing for a plan without a meter, or whose point is not there. Raises `Unavailable`.
        """
        every = plan.duty.every
        point = (
            plant.points.get(f"{plan.asset}/{every.point}") if isinstance(every, Meter) else None
        )
        if point is None or not isinstance(every, Meter):
            return NO_PATH
        meter = self._meters.setdefault((plan.site, plan.id), _Running(NO_PATH, NO_PATH))
        whole = now - meter.whole_at >= WHOLE_MS
        before = meter.kept if whole else meter.path
        start = midnight(frame.start, frame.zone) if before.last is None else before.last.at + 1
        raw = await self._looking.raw(plan.site, point.id, start, now)
        if whole:
            settled = _on(before, _part(raw, raw.time < now - LATE_MS), point)
            self._keep(plan, meter, _thin(every, settled, served, frame), frame)
            before, raw = settled, _part(raw, raw.time >= now - LATE_MS)
            meter.whole_at = now
        meter.path, meter.read_at = _on(before, raw, point), now
        return meter.path

    def next_read(self, plan: Plan) -> int | None:
        """When the plan's meter is to be read again (UTC ms); None: it has none that can be read."""
        meter = self._meters.get((plan.site, plan.id))
        return None if meter is None else meter.read_at + EVERY_MS

    def _keep(self, plan: Plan, meter: _Running, thin: MeterPath, frame: Frame) -> None:
        """Once a day what is settled goes to the ledger."""
        before = meter.kept.last
        if thin.last is None or (before is not None and thin.last.at - before.at < DAY_MS):
            return
        row = LedgerRow("meter", plan.site, plan.id, False, _data_of(thin))
        self._decisions.append([], [row])
        meter.kept = thin


def _thin(every: Meter, path: MeterPath, served: Sequence[int], frame: Frame) -> MeterPath:
    dues = meter_dues(every, path, served, frame.zone)
    instants = {at for due in dues for at in (due.early_at, due.late_at) if at is not None}
    return thinned(path, instants, served, frame.zone)


def _part(raw: Raw, which: Any) -> Raw:
    return Raw(raw.time[which], raw.value[which], raw.quality[which])


def _on(before: MeterPath, raw: Raw, point: Point) -> MeterPath:
    """The meter gone on by these readings; the same one where there are none."""
    if not len(raw.time):
        return before
    return running_meter(
        usable(raw.time, raw.value, raw.quality), rolls_over_at=point.rolls_over_at,
        hours=point.unit == "h", step=10.0**-point.decimals, before=before,
    )  # fmt: skip


def _data_of(path: MeterPath) -> dict[str, Any]:
    last = path.last
    return {
        "steps": [[step.at, step.value] for step in path.steps],
        "last": [last.at, last.value] if last else None,
        "flagged": list(path.flagged),
    }


def _path_of(data: Mapping[str, Any]) -> MeterPath:
    steps = tuple(MeterReading(int(at), float(value)) for at, value in data["steps"])
    last = data["last"]
    shown = MeterReading(int(last[0]), float(last[1])) if last else None
    return MeterPath(steps, tuple(int(at) for at in data["flagged"]), shown)
