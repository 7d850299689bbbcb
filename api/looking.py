"""One look at the live table: how rules stand and what their points read, at one instant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.desk.proof import Proof, Watched, prove, usable
from api.desk.work_orders import WorkOrder
from collector.domain.alarms import Condition
from collector.ports import LiveSnapshot, LiveView, RuleNow
from config.plant import Plant
from edge.readings import BAD, QUALITIES


@dataclass(frozen=True, slots=True)
class Seen:
    """The last reading of a point: value (None: none), quality code, times UTC ms (0: never)."""

    value: float | None
    quality: int
    source_time: int


NEVER = Seen(None, QUALITIES["not_read_yet"], 0)


@dataclass(frozen=True, slots=True)
class Look:
    """Conditions and readings of one site as they were at one instant (`now`, UTC ms)."""

    now: int
    conditions: Mapping[str, RuleNow]
    snapshot: LiveSnapshot
    index: Mapping[str, int]

    def reading(self, point: str) -> Seen:
        """The last reading of a point, `NEVER` if there is none."""
        i = self.index.get(point)
        if i is None:
            return NEVER
        value = float(self.snapshot.value[i])
        return Seen(
            value if value == value else None,
            int(self.snapshot.quality[i]),
            int(self.snapshot.source_time[i]),
        )

    def condition(self, rule: str) -> Condition:
        """How a rule stands; UNKNOWN for one that nobody judged yet."""
        found = self.conditions.get(rule)
        return found.condition if found else Condition.UNKNOWN


def look(live: LiveView, site: str, now: int) -> Look:
    """Look once; call it where the live table is written (the loop), it is not locked."""
    snapshot = live.snapshot(site)
    index = {point: i for i, point in enumerate(snapshot.points)}
    return Look(now, live.conditions(site), snapshot, index)


def is_stale(seen: Seen, silence_s: float, now: int) -> bool:
    """Whether a reading is older than its point may be silent, or was never there."""
    return now - seen.source_time > silence_s * 1000


def is_unknown(seen: Seen, silence_s: float, now: int) -> bool:
    """Whether the reading says nothing about now: bad quality, stale at the source, or too old."""
    stale_source = seen.quality == QUALITIES["stale_source"]
    return seen.quality >= BAD or stale_source or is_stale(seen, silence_s, now)


class Proving:
    """What the readings prove about orders; remembers when a reading was last of no use."""

    def __init__(self, plants: Mapping[str, Plant]) -> None:
        self._plants = plants
        self._broken: dict[tuple[str, str], int] = {}

    def observe(self, orders: Sequence[WorkOrder], site: str, seen: Look) -> None:
        """Note every rule of these orders whose reading is of no use at this instant."""
        for rule in {rule for order in orders for rule in order.rules}:
            if not self._usable(site, rule, seen):
                self._broken[(site, rule)] = seen.now

    def proof(self, order: WorkOrder, seen: Look) -> Proof:
        """How far the readings prove the repair."""
        plant = self._plants[order.site]
        rules = [plant.rules[r] for r in order.rules if r in plant.rules]
        minutes = max((r.work_order.healthy_minutes for r in rules), default=5.0)
        watched = [self._watched(order.site, r.id, seen) for r in rules]
        return prove(
            watched if len(rules) == len(order.rules) else [],
            completed_at=order.completed_at,
            needed_s=minutes * 60,
            now=seen.now,
        )

    def _watched(self, site: str, rule: str, seen: Look) -> Watched:
        now = seen.conditions.get(rule)
        since = max(now.since if now else 0, self._broken.get((site, rule), 0))
        return Watched(str(seen.condition(rule)), since, self._usable(site, rule, seen))

    def _usable(self, site: str, rule: str, seen: Look) -> bool:
        plant = self._plants[site]
        point = plant.points.get(plant.rules[rule].point) if rule in plant.rules else None
        if point is None:
            return False
        reading = seen.reading(point.id)
        silence = point.longest_silence_s + point.period_s
        return usable(reading.quality, reading.source_time, now=seen.now, silence_s=silence)
