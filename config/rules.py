"""What makes a point or an asset abnormal: alarm rules as rows, already expanded to their points."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from config.profile import Names

Priority = Literal["critical", "high", "medium", "low"]
PRIORITIES: tuple[Priority, ...] = ("critical", "high", "medium", "low")
"""Most severe first."""

AlarmClass = Literal["fire", "life_safety", "equipment", "instrument", "communication", "condition"]
Side = Literal["high", "low"]
RuleKind = Literal["limit", "state", "silent"]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a limit rule: abnormal above (`high`) or below (`low`) the limit."""

    side: Side
    limit: float
    priority: Priority


@dataclass(frozen=True, slots=True)
class WorkOrderPolicy:
    """Whether and how a fault becomes an order. `raise_when`: at once, or never."""

    raise_when: Literal["at_once", "never"] = "at_once"
    fault_class: str = "fault"
    healthy_minutes: float = 5.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule on one point of one asset; `id` is unique in the site: `rule@asset` (`rule@asset/point`
    where one rule of an asset watches several points).

    `kind` limit uses `levels` and `deadband`; state uses `abnormal_states` (numbers of the
    enumeration, or {1} for a flag); silent uses neither. Delays in seconds. `tolerates` are quality
    codes beyond good that the rule accepts, None the usual ones (rules-alarms 47). `version` is a hash of the rule.
    `parents` are rule ids that suppress this one.
    """

    id: str
    site: str
    asset: str
    point: str
    """Full point path without the site: `asset/point`."""
    name: Names
    kind: RuleKind
    alarm_class: AlarmClass
    priority: Priority
    levels: tuple[Level, ...] = ()
    deadband: float = 0.0
    abnormal_states: tuple[int, ...] = ()
    tolerates: tuple[int, ...] | None = None
    silent_after_s: float | None = None
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    latch: bool = False
    parents: tuple[str, ...] = ()
    work_order: WorkOrderPolicy = WorkOrderPolicy()
    version: str = ""
    regroup_s: float = 300.0
    cause: Names | None = None
    consequence: Names | None = None
    action: Names | None = None
    respond_within_s: float | None = None


def has_rationale(rule: Rule) -> bool:
    """Whether cause, consequence and action are all written."""
    return bool(rule.cause and rule.consequence and rule.action)


RulesById = Mapping[str, Rule]
