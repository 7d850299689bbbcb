"""A site by hand for tests of the desk: twins of every port, and verbs that say what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from api.adapters.desk_memory import MemoryDesk
from api.following import Following
from api.looking import Look, Proving, look
from api.ordering import Actor, Kept, Ordering
from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.domain.alarms import Condition
from collector.groups import Group
from collector.live import LiveTable
from collector.ports import LedgerEvent, LedgerRow, RuleNow
from config.clock import SteppedClock
from config.plant import Plant
from tests.unit.api.plants import PLAN, PRESSURE, PUMP, SITE, START, plant

BOSS = Actor("boss", ("admin",))
HIGH, LOW, TRIP = "pressure_high@a-booster", "pressure_low@a-booster", "tripped@a-booster/pump-1"
TO_COMPLETED = ("triage", "dispatch", "accept", "depart", "arrive", "start", "complete")


@dataclass
class DeskSite:
    """One site whose ledger and live table the test writes."""

    plant: Plant = field(default_factory=plant)
    clock: SteppedClock = field(default_factory=lambda: SteppedClock(START))
    desk: MemoryDesk = field(default_factory=MemoryDesk)
    decisions: MemoryDecisions = field(default_factory=MemoryDecisions)
    asks: MemoryAsks = field(default_factory=MemoryAsks)
    live: LiveTable = field(init=False)
    ordering: Ordering = field(init=False)
    proving: Proving = field(init=False)
    following: Following = field(init=False)
    standing: dict[str, RuleNow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.live = LiveTable([self.plant], life=7)
        plants = {self.plant.site: self.plant}
        self.ordering = Ordering(plants, self.desk, self.clock)
        self.proving = Proving(plants)
        self.following = self.another_follower()

    def another_follower(self) -> Following:
        """A follower as a fresh process would have it."""
        return Following(
            {self.plant.site: self.plant}, self.decisions, self.live, self.desk, self.clock,
            asks=self.asks, ordering=self.ordering, proving=self.proving,
        )  # fmt: skip

    # --- what the collector says ---------------------------------------------------------------

    def alarm(
        self, id: str, rule: str = HIGH, *, kind: str = "annunciated", at: int = 0, **data: object
    ) -> None:
        """An event of an alarm, with its row."""
        at = at or self.clock.now()
        known = self.plant.rules.get(rule)
        row = {
            "rule": rule, "asset": known.asset if known else "gone", "point": known.point if known else "",
            "class": "equipment", "priority": known.priority if known else "low", "letter": "B",
            "condition": "ABNORMAL", "acknowledged": False, "raised_at": at, "value": 7.5, "annunciations": 1,
            **data,
        }  # fmt: skip
        event = LedgerEvent("alarm", SITE, id, kind, at, f"{id}|{kind}|{at}", "", dict(data))
        self.decisions.append(
            [event], [LedgerRow("alarm", SITE, id, bool(data.get("open", True)), row)]
        )

    def occurrence(self, id: str, kind: str, *, open: bool = True, **data: object) -> None:
        """An event of an occurrence, with its row."""
        at = self.clock.now()
        row = {
            "plan": PLAN.id, "key": "2025-11", "early": "2025-11-01", "due": "2025-11-30",
            "late": "2025-12-07", "state": "due", "verdict": None, "verdict_span": None,
            "done_at": None, "done_by": None, **data,
        }  # fmt: skip
        event = LedgerEvent("occurrence", SITE, id, kind, at, f"{id}|{kind}|{at}", "", row)
        self.decisions.append([event], [LedgerRow("occurrence", SITE, id, open, row)])

    def stands(self, rule: str, condition: str, since: int = 0) -> None:
        """A rule stands so since then (now unless told)."""
        known = self.plant.rules[rule]
        now = RuleNow(rule, known.asset, Condition(condition), since or self.clock.now(), "A")
        self.standing[rule] = now
        self.live.set_conditions(SITE, dict(self.standing))

    def read(self, values: Mapping[str, float] | None = None, quality: int = 0) -> None:
        """Readings of these points arrive now."""
        values = values or {PRESSURE: 4.0, PUMP: 0.0}
        rows = np.array([self.live.row(SITE, p) for p in values], np.int64)
        now = self.clock.now()
        n = len(rows)
        self.live.apply(
            Group(
                position=0, received=now, row=rows, time=np.full(n, now, np.int64),
                value=np.array(list(values.values()), np.float64),
                quality=np.full(n, quality, np.uint8), live=np.ones(n, np.bool_),
                agent=np.zeros(n, np.int64),
            )
        )  # fmt: skip

    # --- what people do ------------------------------------------------------------------------

    def orders(self) -> list[Kept]:
        """Orders, oldest first."""
        return list(reversed(self.ordering.list(SITE)))

    def order(self) -> Kept:
        """The only order."""
        (kept,) = self.orders()
        return kept

    def work(self, kept: Kept, moves: Sequence[str] = TO_COMPLETED, **said: str) -> Kept:
        """Let the boss make these moves."""
        for name in moves:
            kept = self.ordering.move(
                kept, name, {"assignee": "boss", "reason": "because", **said}, BOSS
            )
        return kept

    def tick(self) -> None:
        """Let the follower look once."""
        self.following.tick(self.clock.now())

    async def wait(self, minutes: float, *, reading: bool = True) -> None:
        """Time goes on; a reading comes every half minute and the follower looks as often."""
        for _ in range(round(minutes * 2)):
            await self.clock.advance(30)
            if reading:
                self.read()
            self.tick()

    def look(self) -> Look:
        """The live table now."""
        return look(self.live, SITE, self.clock.now())
