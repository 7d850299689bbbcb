"""A work order as a fold of its events, and the one table of what may follow what."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from api.desk.clocks import Mark


class State(StrEnum):
    """Where an order stands."""

    REPORTED = "reported"
    TRIAGED = "triaged"
    DISPATCHED = "dispatched"
    ACCEPTED = "accepted"
    DEPARTED = "departed"
    ARRIVED = "arrived"
    IN_PROGRESS = "in_progress"
    PAUSED = "paused"
    COMPLETED = "completed"
    VERIFIED = "verified"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    MERGED = "merged"
    HANDED_OVER = "handed_over"


ENDED = frozenset({State.CLOSED, State.CANCELLED, State.MERGED})
"""States in which an order is no longer open."""
PROVED = frozenset({State.COMPLETED, State.VERIFIED, State.CLOSED})
"""States that follow the work."""
UNDONE = frozenset(State) - ENDED - PROVED
"""States in which the work is still to be done."""

KINDS = ("fault", "inspection", "maintenance", "request", "complaint", "improvement")
INSPECTIONS = frozenset({"inspection", "maintenance"})
"""Kinds that may skip triage and departure."""

VIEWER, OPERATOR, TECHNICIAN, PLANNER = "viewer", "operator", "technician", "planner"
SUPERVISORS = ("supervisor", "manager", "admin")
"""Roles that may make every move."""
ROLES = (VIEWER, OPERATOR, TECHNICIAN, PLANNER, *SUPERVISORS)
READINGS = "readings"
"""The actor that closes what the readings prove; no person can have this name."""


@dataclass(frozen=True, slots=True)
class Move:
    """One row of the table: who may take an order from where to where, and what must be said.

    `inspection_sources` holds for inspection kinds as well, `readings_sources` for the actor
    `readings` on inspection kinds. `needs` names the arguments that must not be empty.
    """

    name: str
    sources: frozenset[State]
    target: State
    roles: tuple[str, ...]
    needs: tuple[str, ...] = ()
    inspection_sources: frozenset[State] = frozenset()
    readings_sources: frozenset[State] = frozenset()


def _row(
    name: str,
    sources: str,
    target: State,
    roles: str,
    needs: str = "",
    inspections: str = "",
) -> Move:
    return Move(
        name,
        frozenset(State(s) for s in sources.split()),
        target,
        (*roles.split(), *SUPERVISORS),
        tuple(needs.split()),
        frozenset(State(s) for s in inspections.split()),
        frozenset(UNDONE) if name == "complete" else frozenset(),
    )


_UNDONE = " ".join(sorted(UNDONE))
_ON_IT = "dispatched accepted departed arrived in_progress"

MOVES: Mapping[str, Move] = {
    row.name: row
    for row in (
        _row("triage", "reported", State.TRIAGED, "operator planner"),
        _row(
            "dispatch",
            "triaged dispatched handed_over",
            State.DISPATCHED,
            "operator planner",
            "assignee",
            "reported",
        ),
        _row("accept", "dispatched handed_over", State.ACCEPTED, "technician"),
        _row("depart", "accepted", State.DEPARTED, "technician"),
        _row("arrive", "departed", State.ARRIVED, "technician", "", "accepted"),
        _row("start", "arrived", State.IN_PROGRESS, "technician", "", "accepted"),
        _row("pause", "in_progress", State.PAUSED, "technician", "reason"),
        _row("resume", "paused", State.IN_PROGRESS, "technician"),
        _row("complete", "in_progress", State.COMPLETED, "technician"),
        _row("verify", "completed", State.VERIFIED, "planner", "reason"),
        _row("close", "verified", State.CLOSED, "planner"),
        _row("reopen", "completed verified closed", State.REPORTED, "operator planner", "reason"),
        _row("cancel", _UNDONE, State.CANCELLED, "planner", "reason"),
        _row("merge", _UNDONE, State.MERGED, "operator planner", "into"),
        _row("hand_over", _ON_IT, State.HANDED_OVER, "operator technician planner", "assignee"),
    )
}
"""Every move; nothing else changes an order's state."""

OWN_WORK = frozenset({"accept", "depart", "arrive", "start", "pause", "resume", "complete"})
"""Moves of the one who does the work: of others only supervisors may make them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a move is refused: `reason` names it, `legal` the moves that the state allows."""

    reason: str
    legal: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """One order as its events leave it. Times UTC ms; `marks` are what its clocks count from.

    `alarms` and `rules` are those that joined it, the cause first.
    """

    number: str
    site: str
    kind: str
    title: Mapping[str, str]
    asset: str
    state: State
    priority: str
    cause: str
    raised_at: int
    updated_at: int
    alarm: str = ""
    occurrence: str = ""
    fault_class: str = ""
    assignee: str = ""
    completed_at: int = 0
    paused_reason: str = ""
    closed_by: str = ""
    merged_into: str = ""
    note: str = ""
    alarms: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def open(self) -> bool:
        """Whether somebody still has to do something about it."""
        return self.state not in ENDED

    @property
    def wants_proof(self) -> bool:
        """Whether readings, or a supervisor's reason, must say that a fault is gone."""
        return self.kind == "fault" or bool(self.alarms or self.rules)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an order: a move's name, or one of `raised`, `joined`,
    `priority`, `merged_in`, `comment`, `returned`, `evidence`. `at` UTC ms.
    """

    kind: str
    at: int
    by: str
    data: Mapping[str, Any]


MARKS = frozenset(
    {"accept", "pause", "resume", "complete", "reopen", "cancel", "merge", "priority", "merged_in"}
)
"""Kinds of events that clocks look at, beside `raised`."""
_INFO = {"priority": "priority", "pause": "reason", "merged_in": "started_at", "raised": "priority"}


def fold(events: Iterable[Event]) -> WorkOrder:
    """The order that these events make, the first of which is `raised`."""
    order: WorkOrder | None = None
    for event in events:
        order = raised(event) if order is None else apply(order, event)
    if order is None:
        raise ValueError("an order without events")
    return order


def raised(event: Event) -> WorkOrder:
    """The order as its first event makes it."""
    d = event.data
    return WorkOrder(
        number=d["number"],
        site=d["site"],
        kind=d["kind"],
        title=d["title"],
        asset=d["asset"],
        state=State.REPORTED,
        priority=d["priority"],
        cause=d["cause"],
        raised_at=event.at,
        updated_at=event.at,
        alarm=d.get("alarm", ""),
        occurrence=d.get("occurrence", ""),
        fault_class=d.get("fault_class", ""),
        note=d.get("note", ""),
        alarms=_some(d.get("alarm")),
        rules=_some(d.get("rule")),
        marks=(_mark(event),),
    )


def apply(order: WorkOrder, event: Event) -> WorkOrder:
    """The order after one more event. Kinds that are not known only touch `updated_at`."""
    order = replace(order, updated_at=max(order.updated_at, event.at))
    if event.kind in MARKS:
        order = replace(order, marks=(*order.marks, _mark(event)))
    if event.kind in MOVES:
        return _moved(order, event)
    if event.kind == "joined":
        return _joined(order, event.data)
    if event.kind == "priority":
        return replace(order, priority=event.data["priority"])
    return order


def _joined(order: WorkOrder, data: Mapping[str, Any]) -> WorkOrder:
    return replace(
        order,
        alarms=_with(order.alarms, data.get("alarm")),
        rules=_with(order.rules, data.get("rule")),
    )


def _moved(order: WorkOrder, event: Event) -> WorkOrder:
    state = MOVES[event.kind].target
    data = event.data
    completed = {State.COMPLETED: event.at, State.REPORTED: 0}.get(state, order.completed_at)
    return replace(
        order,
        state=state,
        assignee=str(data.get("assignee") or order.assignee),
        completed_at=completed,
        closed_by=event.by if state is State.CLOSED else "",
        paused_reason=str(data.get("reason", "")) if state is State.PAUSED else "",
        merged_into=str(data.get("into", "")) if state is State.MERGED else order.merged_into,
    )


def _mark(event: Event) -> Mark:
    return Mark(event.kind, event.at, str(event.data.get(_INFO.get(event.kind, ""), "")))


def _some(text: str | None) -> tuple[str, ...]:
    return (text,) if text else ()


def _with(have: tuple[str, ...], text: str | None) -> tuple[str, ...]:
    return have if not text or text in have else (*have, text)


def to_data(order: WorkOrder) -> dict[str, Any]:
    """The order as plain data for its row."""
    return {
        **asdict(order),
        "marks": [[m.kind, m.at, m.info] for m in order.marks],
        "alarms": list(order.alarms),
        "rules": list(order.rules),
        "title": dict(order.title),
        "state": str(order.state),
    }


def from_data(data: Mapping[str, Any]) -> WorkOrder:
    """The order back from its row."""
    return WorkOrder(
        **{
            **data,
            "state": State(data["state"]),
            "alarms": tuple(data["alarms"]),
            "rules": tuple(data["rules"]),
            "marks": tuple(Mark(*m) for m in data["marks"]),
        }
    )


def sources(move: Move, kind: str, by: str = "") -> frozenset[State]:
    """States from which an order of that kind may make the move."""
    if kind not in INSPECTIONS:
        return move.sources
    extra = move.readings_sources if by == READINGS else frozenset()
    return move.sources | move.inspection_sources | extra


def legal_moves(order: WorkOrder) -> tuple[str, ...]:
    """Moves that the order's state allows to people, in the order of the table."""
    return tuple(m.name for m in MOVES.values() if order.state in sources(m, order.kind))


def refuse(
    order: WorkOrder, name: str, *, by: str, roles: Sequence[str], said: Mapping[str, str]
) -> Refusal | None:
    """Why `by` may not make that move now, None if they may.

    Reasons: `unknown_move`, `illegal_move`, `role_missing`, `not_assignee`, `priority_not_yours`,
    `<argument>_missing`.
    """
    legal = legal_moves(order)
    row = MOVES.get(name)
    if row is None:
        return Refusal("unknown_move", legal)
    if order.state not in sources(row, order.kind, by):
        return Refusal("illegal_move", legal)
    reason = "" if by == READINGS else _not_theirs(order, row, by, roles)
    reason = reason or _reprioritized(order, row, roles, said) or _missing(order, row, said)
    return Refusal(reason, legal) if reason else None


def _not_theirs(order: WorkOrder, row: Move, by: str, roles: Sequence[str]) -> str:
    if not set(roles) & set(roles_of(order, row)):
        return "role_missing"
    others = row.name in OWN_WORK and order.assignee not in ("", by)
    return "not_assignee" if others and not set(roles) & set(SUPERVISORS) else ""


def _reprioritized(
    order: WorkOrder, row: Move, roles: Sequence[str], said: Mapping[str, str]
) -> str:
    """Deadlines move with the priority: planners change it, and operators when they triage."""
    if said.get("priority", "") in ("", order.priority):
        return ""
    may = {PLANNER, *SUPERVISORS} | ({OPERATOR} if row.name == "triage" else set())
    return "" if may & set(roles) else "priority_not_yours"


def roles_of(order: WorkOrder, row: Move) -> tuple[str, ...]:
    """Roles that may make the move of this order: without readings only supervisors say it is proved."""
    return SUPERVISORS if row.name == "verify" and order.wants_proof else row.roles


def _missing(order: WorkOrder, row: Move, said: Mapping[str, str]) -> str:
    for argument in row.needs:
        if row.name == "verify" and not order.wants_proof:
            continue
        if not said.get(argument, "").strip():
            return f"{argument}_missing"
    return ""
