"""What the planner remembers of one plan between ticks, and until when nothing new can come of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.domain.days import local_date, midnight
from collector.domain.evidence import Look
from collector.domain.intervals import DAY_MS, ONE_DAY, Frame
from collector.domain.looks import LATE_MS, Looked, Window, next_look, stood
from collector.domain.meters import NO_PATH, MeterPath
from collector.domain.plans import Completion, Owed
from collector.occurrences import Judged, row_id, settled, turns
from config.plant import Plant
from config.standards import Plan, Ran

READINGS = "readings"
"""Who did it, where nobody said so."""


@dataclass(slots=True)
class KeptPlan:
    """What the planner remembers of one plan between ticks."""

    number: int
    plan: Plan
    plant: Plant
    frame: Frame
    completions: list[Completion] = field(default_factory=list)
    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    looked: dict[str, Looked] = field(default_factory=dict)
    """By due's key."""
    path: MeterPath = NO_PATH
    live: list[Owed] = field(default_factory=list)
    """What is owed, less the rows that only a new completion can change."""
    live_of: tuple[object, ...] = ()
    """What `live` was made from."""
    stands: tuple[int, int] = (0, 0)
    """From when to when (UTC ms) time alone changes no row of `live`."""

    @property
    def by_readings(self) -> bool:
        return self.plan.duty.closes == "by_readings"

    @property
    def brief(self) -> bool:
        """Whether between looks at whole windows one at the last minutes will do."""
        return isinstance(self.plan.duty.evidence, Ran)


def stands_until(kept: KeptPlan, now: int) -> int:
    """The next instant (UTC ms) at which time alone makes something new, local midnight at the latest."""
    zone = kept.frame.zone
    day_ends = midnight(local_date(now, zone) + ONE_DAY, zone)
    return min([day_ends, *(at for row in kept.live for at in turns(row.due) if at > now)])


def is_looked_for(kept: KeptPlan, row: Owed, *, owing: bool) -> bool:
    """Whether readings can still say anything new of a row."""
    before = kept.rows.get(row_id(kept.plan, row.due), {})
    closable = kept.by_readings and row.done is None and owing
    return closable or not settled(before, claimed=row.done is not None)


def next_looks(kept: KeptPlan, row: Owed, now: int, *, owing: bool) -> list[int]:
    """When its readings may be looked at next, if ever as it stands."""
    if not is_looked_for(kept, row, owing=owing):
        return []
    at = next_look(
        row, kept.looked.get(row.due.key), now, kept.frame.zone,
        by_readings=kept.by_readings, brief=kept.brief,
    )  # fmt: skip
    return [] if at is None else [at]


def looks_at(seen: Window, start: int, now: int, taken: Sequence[int], *, late: bool) -> list[Look]:
    """The window; and what followed it, where readings may still close what was missed (`late`)."""
    over = seen.ended and not seen.claimed
    looks = [Look(start, seen.end, seen.claimed, over, now - LATE_MS, taken)]
    if over and late:
        looks.append(Look(max(seen.end, now - LATE_MS - DAY_MS), now, taken=taken))
    return looks


def taken_for(kept: KeptPlan, row: Owed, judged: Mapping[str, Judged]) -> list[int]:
    """Instants at which the evidence was seen for other occurrences: once seen, it counts once."""
    own = row_id(kept.plan, row.due)
    spans = [data.get("verdict_span") for id, data in kept.rows.items() if id != own]
    spans += [j.verdict.span for key, j in judged.items() if key != row.due.key]
    closed = [c.at for c in kept.completions if c.by == READINGS]
    return closed + [int(span[1]) for span in spans if span]


def looked_at(seen: Window, start: int, last: Looked | None, now: int) -> Looked:
    """What is remembered of a look from `start` on."""
    whole_at = now if start == seen.start or last is None else last.whole_at
    return Looked(now, whole_at, stood(seen))
