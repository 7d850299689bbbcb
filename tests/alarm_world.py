"""A small world for alarm tests: rules on points, readings by the second, a ledger that remembers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.alarming import Alarming
from collector.groups import Group
from collector.live import LiveTable
from collector.ports import Ask, LedgerEvent, Outcome, RuleNow
from config.plant import Plant, Point, PointSpec
from config.profile import Register
from config.rules import Level, Rule
from edge.readings import QUALITIES

SITE = "here"
START = 1_763_700_000_000
"""Second 0 of every world, UTC ms."""


def ms(second: float) -> int:
    return START + round(second * 1000)


def second(at: int) -> float:
    return (at - START) / 1000


def a_rule(id: str = "high", **changes: Any) -> Rule:
    """A high limit of 10 with deadband 1 on `tank/level`, unless changed."""
    rule = Rule(
        id=id,
        site=SITE,
        asset="tank",
        point="tank/level",
        name={"en": id},
        kind="limit",
        alarm_class="equipment",
        priority="high",
        levels=(Level("high", 10.0, "high"),),
        deadband=1.0,
        version="1",
    )
    return replace(rule, **changes)


def a_plant(rules: Iterable[Rule], *, silence_s: float = 60.0) -> Plant:
    kept = {rule.id: rule for rule in rules}
    points = {rule.point: _point(rule.point, rule.asset, silence_s) for rule in kept.values()}
    empty: dict[str, Any] = {}
    return Plant(
        SITE, {"en": "Here"}, "Asia/Shanghai", "", empty, empty, empty, (), empty, empty, empty,
        empty, points, kept, empty, empty,
    )  # fmt: skip


def _point(id: str, asset: str, silence_s: float) -> Point:
    source = Register("holding", 0, "u16")
    spec = PointSpec({"en": id}, "measurement", "m", source, longest_silence_s=silence_s)
    return Point(id, asset, "plc", spec)


@dataclass(frozen=True, slots=True)
class Said:
    """One reading as a test writes it: seconds, value (None: none), quality by name."""

    time: float
    value: float | None
    quality: str = "good"
    live: bool = True
    point: str = "tank/level"


@dataclass(slots=True)
class World:
    """Rules under watch from second 0 on; `restart` is a new process over the same ledger."""

    plant: Plant
    decisions: MemoryDecisions = field(default_factory=MemoryDecisions)
    asks: MemoryAsks = field(default_factory=MemoryAsks)
    live: LiveTable = field(init=False)
    alarming: Alarming = field(init=False)
    groups: list[Group] = field(default_factory=list)
    saved: bytes = b""

    def __post_init__(self) -> None:
        self.live = LiveTable([self.plant], life=1)
        self._start()
        self.wake(0)

    def _start(self) -> None:
        self.alarming = Alarming([self.plant], self.live, self.decisions, self.asks)
        self.alarming.restore()

    def restart(self, *, rules: Iterable[Rule] | None = None, silence_s: float = 60.0) -> None:
        """Stop and start, perhaps with changed rules. What was not flushed is judged again."""
        if rules is not None:
            self.plant = a_plant(rules, silence_s=silence_s)
        self.live = LiveTable([self.plant], life=1)
        self._start()
        shown = self.live.restore(self.saved)
        self.alarming.recall()
        for group in self.groups[shown:]:
            self.live.apply(group)
            self.alarming.judge(group)

    def read(self, *said: Said, received: float | None = None) -> None:
        """One group; it arrives with its last reading unless `received` says when."""
        arrived = max(s.time for s in said) if received is None else received
        group = group_of(self.live, said, arrived, position=len(self.groups) + 1)
        self.groups.append(group)
        self.live.apply(group)
        self.alarming.judge(group)
        self.flush()

    def flush(self) -> None:
        """Write, and save the live table where that wrote all."""
        self.alarming.flush()
        if self.alarming.position == len(self.groups):
            self.saved = self.live.dump()

    def series(self, start: float, values: Sequence[float], every: float = 1.0) -> None:
        """Values at equal distances, each a group of its own."""
        for n, value in enumerate(values):
            self.read(Said(start + n * every, value))

    def wake(self, at: float) -> None:
        self.alarming.wake(ms(at))
        self.flush()

    def ask(
        self, kind: str, at: float, *, id: str = "", by: str = "li", subject: str = ""
    ) -> Outcome:
        """A person asks something of the newest alarm (or `subject`) and gets the outcome."""
        id = id or f"{kind}-{at}"
        subject = subject or self.decisions.rows("alarm")[0].id
        self.asks.ask(Ask(id, SITE, kind, subject, by, ms(at), {"note": "seen"}))
        self.wake(at)
        outcome = self.asks.outcome(id)
        assert outcome is not None
        return outcome

    def events(self, *kinds: str) -> list[LedgerEvent]:
        return [e for e in self.decisions.since(0, 100_000) if not kinds or e.kind in kinds]

    def story(self, *kinds: str) -> list[tuple[float, str]]:
        """Events as (second, kind)."""
        return [(second(e.at), e.kind) for e in self.events(*kinds)]

    def alarm(self) -> dict[str, Any]:
        """The newest occurrence's row."""
        return dict(self.decisions.rows("alarm")[0].data)

    def now(self, rule: str = "high") -> RuleNow:
        return self.live.conditions(SITE)[rule]


def group_of(live: LiveTable, said: Sequence[Said], received: float, *, position: int = 0) -> Group:
    """A group over the world's points, columns in the order written."""
    return Group(
        position=position,
        received=ms(received),
        row=np.array([live.row(SITE, s.point) for s in said], np.int64),
        time=np.array([ms(s.time) for s in said], np.int64),
        value=np.array([np.nan if s.value is None else s.value for s in said]),
        quality=np.array([QUALITIES[s.quality] for s in said], np.uint8),
        live=np.array([s.live for s in said], np.bool_),
        agent=np.zeros(len(said), np.int64),
    )
