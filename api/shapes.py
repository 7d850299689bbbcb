"""What HTTP says, as types: the views return them and openapi.json is made from them."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

Names = dict[str, str]


class SiteRow(TypedDict):
    """One site in the list."""

    id: str
    name: Names
    time_zone: str


class SystemRow(TypedDict):
    """One equipment family."""

    id: str
    name: Names


AssetRow = TypedDict(
    "AssetRow",
    {
        "id": str,
        "name": Names,
        "system": str,
        "location": str,
        "class": str,
        "parent": str,
        "device": str,
    },
)


class PointRow(TypedDict):
    """One point with all that is needed to show it; `brick` is its Brick class or "", `haystack` its markers but `point`."""

    id: str
    asset: str
    name: Names
    kind: str
    unit: str
    decimals: int
    range: tuple[float, float] | None
    expected: tuple[float, float] | None
    states: dict[str, Names]
    longest_silence_s: float
    period_s: float
    lane: str
    derived: bool
    brick: str
    haystack: list[str]


class LevelRow(TypedDict):
    """One level of a limit rule."""

    side: str
    limit: float
    priority: str


RuleRow = TypedDict(
    "RuleRow",
    {
        "id": str,
        "name": Names,
        "asset": str,
        "point": str,
        "kind": str,
        "class": str,
        "priority": str,
        "levels": list[LevelRow],
        "deadband": float,
        "on_delay_s": float,
        "off_delay_s": float,
        "latch": bool,
        "cause": Names | None,
        "consequence": Names | None,
        "action": Names | None,
    },
)


class SiteDetail(SiteRow):
    """The plant as loaded."""

    systems: list[SystemRow]
    locations: dict[str, Names]
    assets: list[AssetRow]
    points: list[PointRow]
    rules: list[RuleRow]
    agents: list[str]


class Totals(TypedDict):
    """Assets of the site by how they are."""

    assets: int
    normal: int
    abnormal: int
    unknown: int
    suppressed: int


class SystemCounts(Totals):
    """Assets of one system, and the worst of its active alarms."""

    id: str
    name: Names
    worst: str | None
    worst_unacknowledged: bool


class Overview(TypedDict):
    """How the site is now."""

    now: str
    systems: list[SystemCounts]
    totals: Totals
    unacknowledged: dict[str, int]
    active: dict[str, int]


class Live(TypedDict):
    """Points, one array per column; times UTC ms."""

    mark: str
    now: str
    points: list[str]
    value: list[float | None]
    quality: list[int]
    source_time: list[int]
    receive_time: list[int]
    change: list[int]


class RawHistory(TypedDict):
    """Raw readings of one point; times UTC ms. `complete_until` is null while nobody knows it."""

    point: str
    unit: str
    resolution: Literal["raw"]
    complete_until: int | None
    time: list[int]
    value: list[float | None]
    quality: list[int]


class HistoryKept(TypedDict):
    """Readings are kept from then on, UTC ms (0: all); what was before is gone, but for roll-ups that buckets are made of."""

    kept_from: int


class BucketHistory(TypedDict):
    """One point in buckets of `resolution` ms; a gap is a missing bucket. `complete_until` is null while nobody knows it."""

    point: str
    unit: str
    resolution: int
    complete_until: int | None
    time: list[int]
    min: list[float | None]
    max: list[float | None]
    mean: list[float | None]
    first: list[float | None]
    last: list[float | None]
    count: list[int]
    worst: list[int]


Alarm = TypedDict(
    "Alarm",
    {
        "id": str,
        "rule": str,
        "asset": str,
        "point": str,
        "name": Names,
        "class": str,
        "priority": str,
        "letter": str,
        "condition": str,
        "acknowledged": bool,
        "acknowledged_by": str | None,
        "acknowledged_at": str | None,
        "note": str | None,
        "latched": bool,
        "raised_at": str | None,
        "condition_since": str | None,
        "returned_at": str | None,
        "closed_at": str | None,
        "close_reason": str | None,
        "value": float | None,
        "value_now": float | None,
        "quality_now": int,
        "unit": str,
        "uncertain": bool,
        "annunciations": int,
        "chatter": int,
        "order": str | None,
        "order_state": str | None,
    },
)


class UnknownRule(TypedDict):
    """A rule that cannot be judged now."""

    id: str
    rule: str
    asset: str
    point: str
    name: Names
    since: str | None
    quality_now: int


class WhyPoint(TypedDict):
    """A reading that an alarm looks at."""

    point: str
    value: float | None
    quality: int
    source_time: int


class Why(TypedDict):
    """What the alarm's rule says, and what its points read."""

    text: str
    points: list[WhyPoint]


class LedgerEventRow(TypedDict):
    """One event of an alarm or occurrence."""

    seq: int
    kind: str
    at: str
    by: str
    data: dict[str, Any]


class AlarmDetail(Alarm):
    """An alarm with its reasons and events."""

    rule_detail: RuleRow | None
    why: Why
    why_not_cleared: list[dict[str, Any]]
    events: list[LedgerEventRow]


class AlarmPage(TypedDict):
    """Alarms, newest first; `next` is the cursor of the next page."""

    now: str
    items: list[Alarm | UnknownRule]
    next: str | None


class Asked(TypedDict, total=False):
    """An ask and what came of it, if that is known yet."""

    ask: str
    outcome: str


class PlanRow(TypedDict):
    """A duty applied to an asset."""

    id: str
    duty: str
    standard: str
    name: Names
    asset: str
    every_text: Names
    statutory: bool
    source: list[str]
    evidence: bool


class PlanList(TypedDict):
    """Plans of the site."""

    items: list[PlanRow]


class Occurrence(TypedDict):
    """One thing that a plan owes; dates are of the site's calendar."""

    id: str
    plan: str
    duty: str
    asset: str
    name: Names
    key: str
    early: str | None
    due: str | None
    late: str | None
    state: str
    verdict: str | None
    verdict_span: tuple[int, int] | None
    verdict_text: str | None
    done_at: str | None
    done_by: str | None
    order: str | None
    source: list[str]
    every_text: Names


class OccurrenceDetail(Occurrence):
    """An occurrence with its events."""

    events: list[LedgerEventRow]


class DueList(TypedDict):
    """Occurrences by due date."""

    today: str
    items: list[Occurrence]


class SlopeRow(TypedDict):
    """Units of the point a day, with its 95 % interval, and the line's value at its end."""

    per_day: float
    low: float
    high: float
    level: float
    at: str


class ChangeRow(TypedDict):
    """The point left its baseline; `since` is likely."""

    seen_at: str
    since: str
    up: bool


class ReachedRow(TypedDict):
    """When the next limit is reached; `latest` null: perhaps never."""

    limit: float
    earliest: str
    latest: str | None


class TrendState(TypedDict):
    """What may be said of a point in one state of its equipment; without a slope, `refusal` says why.

    `learnt` readings of the baseline so far, `days` since the last service or change.
    """

    state: Names | None
    learnt: int
    days: int
    mean: float | None
    sigma: float | None
    change: ChangeRow | None
    slope: SlopeRow | None
    refusal: str | None
    reached: ReachedRow | None


class TrendRow(TypedDict):
    """One watched point; `suggested`: work is, as a limit may be reached within `horizon_s`."""

    point: str
    asset: str
    unit: str
    by: str | None
    horizon_s: float
    at: str | None
    suggested: bool
    states: list[TrendState]


class TrendList(TypedDict):
    """Watched points, and what a baseline and a slope need at least."""

    now: str
    learn_rows: int
    days_needed: int
    items: list[TrendRow]


class ClockRow(TypedDict):
    """One clock of an order; segments are UTC ms."""

    kind: str
    unit: str
    limit: int
    target: str | None
    elapsed_s: float
    remaining_s: float
    state: str
    segments: list[tuple[int, int]]
    started_at: str
    stopped_at: str | None


class ProofRow(TypedDict):
    """How far the readings prove the repair."""

    needed_s: float
    healthy_s: float
    since: int | None
    reason: str


class Order(TypedDict):
    """One work order."""

    number: str
    kind: str
    title: Names
    asset: str
    state: str
    priority: str
    cause: str
    alarm: str | None
    occurrence: str | None
    fault_class: str
    assignee: str | None
    raised_at: str
    updated_at: str
    version: int
    clocks: list[ClockRow]
    proof: ProofRow | None
    paused_reason: str | None
    closed_by: str | None
    merged_into: str | None
    note: str | None


class MoveRow(TypedDict):
    """A move that the order's state allows, and whether it is the caller's to make.

    `reasons`, of a pause only, are those that stop the clocks; any other may be said as well.
    """

    move: str
    to: str
    roles: list[str]
    needs: list[str]
    allowed: bool
    why_not: str | None
    reasons: NotRequired[list[str]]


class OrderEvent(TypedDict):
    """One thing that happened to an order."""

    at: str
    by: str
    kind: str
    data: dict[str, Any]


class OrderDetail(Order):
    """An order with its moves and events."""

    moves: list[MoveRow]
    events: list[OrderEvent]


class OrderPage(TypedDict):
    """Orders, newest first; `next` is the cursor of the next page."""

    now: str
    items: list[Order]
    next: str | None


class AgentReply(TypedDict):
    """What an agent says of a request: `outcome` is done, refused, expired or failed; `detail` in words."""

    agent: str
    outcome: str
    detail: dict[str, str]


class Me(TypedDict):
    """Who is signed in."""

    name: str
    roles: list[str]
    sites: list[str]
    csrf: str
    locale: str


class ProblemDocument(TypedDict, total=False):
    """Why a request was refused (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    legal: list[str]
