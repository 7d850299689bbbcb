"""What is to be done, how often and with which evidence: duties of standards, as rows."""

from dataclasses import dataclass
from typing import Literal

from config.profile import Names

Unit = Literal["day", "week", "half_month", "month", "quarter", "half_year", "year"]


@dataclass(frozen=True, slots=True)
class Period:
    """A calendar period `n` units long, e.g. 2 weeks. Months count as months, not as 30 days."""

    n: int
    unit: Literal["day", "week", "month", "year"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """Grid anchored at a date: anchor + n × period (rules-due-dates 10). `anchor` is YYYY-MM-DD."""

    period: Period
    anchor: str


@dataclass(frozen=True, slots=True)
class MaxGap:
    """Never more than `days` between two completions."""

    days: int


@dataclass(frozen=True, slots=True)
class PerPeriod:
    """`times` in each calendar `unit`, spread over equal slots (rules-due-dates 14, 15)."""

    unit: Unit
    times: int = 1
    min_spacing_days: int | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """Every `every` units of a counter point (relative to the asset), fixed or floating."""

    point: str
    every: float
    floating: bool = False
    tolerance: float = 0.0


Interval = Fixed | MaxGap | PerPeriod | Meter


@dataclass(frozen=True, slots=True)
class Ran:
    """The state or flag `point` (relative path) was at `value` for at least `for_at_least_s` on end."""

    point: str
    for_at_least_s: float
    value: int = 1


@dataclass(frozen=True, slots=True)
class ChangedOver:
    """Each of `points` (relative paths) ran (was at `value`) within the window, not all from the start."""

    points: tuple[str, ...]
    value: int = 1


Evidence = Ran | ChangedOver


@dataclass(frozen=True, slots=True)
class Duty:
    """One recurring duty of a standard, with the catalogue rows it comes from.

    `on` is `class:<asset class>` or `system:<system>` or `asset:<id>`.
    """

    id: str
    standard: str
    name: Names
    on: str
    every: Interval
    source: tuple[str, ...]
    evidence: Evidence | None = None
    closes: Literal["by_person", "by_readings"] = "by_person"
    statutory: bool = False
    tolerance_days: int | None = None
    bad_share_max: float = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """A duty applied to an asset: what the planner keeps. `id` is `standard/duty@asset`."""

    id: str
    site: str
    asset: str
    duty: Duty
    start: str
    """First local date, YYYY-MM-DD, on which the plan owes anything; "" = the day Steward first ran."""
    in_service: str | None = None
    """The asset's in-service date: 'never more than' counts from it (rules-due-dates 11)."""
