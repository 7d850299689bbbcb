"""Alarms as ISA-18.2 has them: what a change of condition and what a person does to an occurrence.

Numbers in brackets are rules of `rules-alarms.md`. Times are instants in UTC ms.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from collector.domain.conditions import (
    Change,
    ConditionState,
    Sample,
    Watch,
    adopt,
    begin,
    priority_of,
    review,
    run_to,
    take,
    take_late,
)
from collector.domain.conditions import (
    Condition as Condition,
)
from config.rules import Priority

Letter = Literal["A", "B", "C", "D", "E", "F", "G"]
Reason = Literal["nothing_to_acknowledge", "not_latched", "condition_unknown", "still_abnormal"]
CloseReason = Literal["returned", "auto_acknowledged", "retired"]
STRONGEST: Final[tuple[tuple[str, Letter], ...]] = (
    ("out_of_service", "G"),
    ("by_design", "F"),
    ("shelved", "E"),
)
"""Kinds of suppression, strongest first, and the letter each gives (26)."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """One record of why nobody is told; an alarm holds a set of them."""

    kind: Literal["out_of_service", "by_design", "shelved"]
    by: str
    why: str
    since: int
    until: int | None = None


class Alarm(msgspec.Struct, frozen=True):
    """One occurrence of a rule being abnormal, from its raising to its closing.

    `held` is the last known condition, `heard` the rank announced in this abnormal stretch (-1: none
    yet); `started` is where the stretch began before its on-delay, `normal_since` when it last came to
    D. `announced_at` is when people could first know of the last annunciation (21).
    """

    id: str
    rule: str
    asset: str
    point: str
    name: Mapping[str, str]
    alarm_class: str
    priority: Priority
    rule_version: str
    fault_class: str
    raise_when: str
    healthy_minutes: float
    raised_at: int
    started: int
    condition: Condition
    condition_since: int
    value: float | None = None
    uncertain: bool = False
    in_test: bool = False
    retrospective: bool = False
    held: Condition = Condition.ABNORMAL
    heard: int = -1
    acknowledged: bool = False
    acknowledged_by: str | None = None
    acknowledged_at: int | None = None
    note: str | None = None
    latched: bool = False
    annunciations: int = 0
    annunciated_at: int | None = None
    announced_at: int | None = None
    chatter: int = 0
    returned_at: int | None = None
    normal_since: int | None = None
    closed_at: int | None = None
    close_reason: CloseReason | None = None
    suppression: tuple[Suppression, ...] = ()

    @property
    def open(self) -> bool:
        """Whether the occurrence still goes on."""
        return self.closed_at is None

    @property
    def abnormal(self) -> bool:
        """The last known condition, by which the letter is given (15)."""
        return self.held is Condition.ABNORMAL

    @property
    def letter(self) -> Letter:
        """ISA's letter: G F E by suppression, else B C D A by condition and response."""
        for kind, letter in STRONGEST:
            if any(record.kind == kind for record in self.suppression):
                return letter
        if self.latched or (self.abnormal and self.heard >= 0):
            return "C" if self.acknowledged else "B"
        told = self.annunciations > 0 and self.open
        return "D" if told and not self.acknowledged else "A"


class RuleState(msgspec.Struct, frozen=True):
    """All that is remembered of one rule. `raised` is when it was last raised (natural keys differ)."""

    condition: ConditionState
    alarm: Alarm | None = None
    raised: int = 0

    @property
    def letter(self) -> Letter:
        """The letter of its open occurrence, A without one."""
        return "A" if self.alarm is None else self.alarm.letter


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to journal. `subject` is an alarm's id, or the rule's where no alarm is open."""

    subject: str
    kind: str
    at: int
    key: str
    by: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


class Wish(msgspec.Struct, frozen=True):
    """What a person asks of an alarm, applied behind journal position `position`."""

    id: str
    kind: Literal["acknowledge", "reset"]
    subject: str
    by: str
    at: int
    note: str | None = None
    position: int = 0


@dataclass(slots=True)
class Step:
    """What one step did: the state after it, events in order, every version an occurrence went through.

    `refused` names why a wish changed nothing.
    """

    state: RuleState
    events: list[Event] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    refused: Reason | None = None

    def put(
        self, alarm: Alarm, kind: str, at: int, key: str, *, by: str = "", **data: object
    ) -> None:
        """The occurrence is now `alarm`, and the event says so."""
        self.alarms.append(alarm)
        self.state = replace(self.state, alarm=alarm if alarm.open else None)
        self.events.append(_event(alarm, kind, at, key, data, by))


# --- inputs ------------------------------------------------------------------------------------


def watch_from(watch: Watch, now: int) -> RuleState:
    """A rule that is watched from `now` on."""
    return RuleState(begin(watch, now))


def on_sample(watch: Watch, state: RuleState, sample: Sample, *, live: bool = True) -> Step:
    """Judge a reading. Late is one older than the last judged, or not `live` (16)."""
    last = state.condition.last
    late = not live or (last is not None and sample.time < last)
    condition, changes = (take_late if late else take)(watch, state.condition, sample)
    return _apply(watch, replace(state, condition=condition), changes, sample.received)


def on_time(watch: Watch, state: RuleState, until: int, *, woken: int = 0) -> Step:
    """Let timers act that end at or before `until`; `woken` is when a stopped system woke (21)."""
    condition, changes = run_to(watch, state.condition, until)
    return _apply(watch, replace(state, condition=condition), changes, woken)


def on_edit(watch: Watch, state: RuleState, now: int, seen: Sample | None) -> Step:
    """Go on with a new version of the rule, which judges `seen`, its point's last reading (35).

    An edit of priority alone annunciates nothing.
    """
    condition, changes = adopt(watch, state.condition, now), tuple[Change, ...]()
    alarm = state.alarm
    if alarm is not None and alarm.heard >= 0:
        alarm = replace(alarm, heard=max(alarm.heard, _rank(watch, condition)))
    if seen is not None:
        condition, changes = review(watch, condition, now, seen)
    return _apply(watch, replace(state, condition=condition, alarm=alarm), changes, now)


def on_wish(state: RuleState, wish: Wish) -> Step:
    """Do what a person asks, or name the reason why not; a refusal changes nothing."""
    step = Step(state)
    act = {"acknowledge": _acknowledge, "reset": _reset}[wish.kind]
    step.refused = act(step, wish)
    return step


def on_retire(state: RuleState, now: int) -> Step:
    """The rule is no more: its occurrence closes with that reason (36)."""
    step = Step(state)
    if state.alarm is not None:
        _close(step, state.alarm, now, "retired")
    return step


# --- changes of condition ----------------------------------------------------------------------


def _apply(watch: Watch, state: RuleState, changes: tuple[Change, ...], known_at: int) -> Step:
    step = Step(state)
    for change in changes:
        _CHANGES[change.what](watch, step, change, known_at)
    return step


def _abnormal(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    """The condition became ABNORMAL: a new occurrence, or the same one within its window (15, 18, 19)."""
    alarm = step.state.alarm
    if alarm is not None and not _goes_on(watch, alarm, change.at):
        _close(step, alarm, change.at, "returned")
        alarm = None
    if alarm is None:
        _raise(watch, step, change)
    else:
        again = replace(alarm, held=Condition.ABNORMAL, returned_at=None, normal_since=None)
        step.put(_shown(again, change.at), "abnormal_again", change.at, f"again|{change.at}")
        _fall(step, change)
    _announce(watch, step, change, known_at)


def _goes_on(watch: Watch, alarm: Alarm, at: int) -> bool:
    if alarm.latched or alarm.normal_since is None:
        return True
    return at - alarm.normal_since < watch.rule.regroup_s * 1000


def _raise(watch: Watch, step: Step, change: Change) -> None:
    raised_at = max(change.at, step.state.raised + 1)
    alarm = replace(_occurrence(watch, change, raised_at), in_test=change.in_test)
    step.state = replace(step.state, raised=raised_at)
    step.put(alarm, "raised", raised_at, "raised", **row_data(alarm))


def _occurrence(watch: Watch, change: Change, raised_at: int) -> Alarm:
    rule = watch.rule
    return Alarm(
        id=alarm_id(rule.id, raised_at),
        rule=rule.id,
        asset=rule.asset,
        point=rule.point,
        name=dict(rule.name),
        alarm_class=rule.alarm_class,
        priority=priority_of(change.rank),
        rule_version=rule.version,
        fault_class=rule.work_order.fault_class,
        raise_when=rule.work_order.raise_when,
        healthy_minutes=rule.work_order.healthy_minutes,
        raised_at=raised_at,
        started=change.start,
        condition=Condition.ABNORMAL,
        condition_since=raised_at,
        value=change.value,
        uncertain=change.uncertain,
    )


def alarm_id(rule: str, raised_at: int) -> str:
    """`rule@asset:part~raised_at`: readable, and fit for one segment of a path."""
    return f"{rule.replace('/', ':')}~{raised_at}"


def _announce(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    """Bring it to a person if they were not told of this stretch or of this rank, and no test runs (17, 46)."""
    alarm = step.state.alarm
    if alarm is None or not alarm.abnormal or change.in_test:
        return
    if change.rank <= alarm.heard:
        return
    at = max(change.at, alarm.raised_at)
    told = replace(
        alarm,
        heard=change.rank,
        priority=_priority(watch, alarm, change.rank),
        in_test=False,
        acknowledged=False,
        acknowledged_by=None,
        acknowledged_at=None,
        note=None,
        annunciations=alarm.annunciations + 1,
        annunciated_at=at,
        announced_at=max(at, known_at),
        chatter=alarm.chatter + (alarm.letter == "D"),
    )
    key = f"annunciated|{told.annunciations}"
    step.put(
        told, "annunciated", at, key,
        n=told.annunciations, priority=told.priority, chatter=told.chatter,
        announced_at=told.announced_at,
    )  # fmt: skip


def _priority(watch: Watch, alarm: Alarm, rank: int) -> Priority:
    """That of its most severe level (4); raised by an earlier version, it keeps its own until a rise (35)."""
    edited = watch.rule.version != alarm.rule_version
    return alarm.priority if edited and alarm.heard < 0 else priority_of(rank)


def _normal(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    """The condition became NORMAL: closed, or waiting for its acknowledgement or its reset."""
    alarm = step.state.alarm
    if alarm is None:
        return
    at = max(change.at, alarm.raised_at)
    told = alarm.annunciations > 0
    latched = watch.rule.latch and told
    back = replace(
        alarm,
        held=Condition.NORMAL,
        returned_at=at,
        latched=latched,
        heard=alarm.heard if latched and not alarm.acknowledged else -1,
        normal_since=None if latched else at,
    )
    step.put(_shown(back, at), "returned", at, f"returned|{at}", latched=latched)
    if not latched and (back.acknowledged or not told):
        _close(step, _shown(back, at), at, "returned")


def _level(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    """A level came or went inside an open alarm: a rise is annunciated, a fall is not (4, 17)."""
    _fall(step, change)
    _announce(watch, step, change, known_at)


def _fall(step: Step, change: Change) -> None:
    alarm = step.state.alarm
    if alarm is None or change.rank >= alarm.heard:
        return
    lower = replace(alarm, heard=change.rank, priority=priority_of(change.rank))
    key = f"priority|{change.at}|{change.rank}"
    step.put(lower, "priority", change.at, key, priority=lower.priority)


def _unknown(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    _condition(watch, step, change.at, Condition.UNKNOWN)


def _known(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    alarm = step.state.alarm
    held = Condition.NORMAL if alarm is None else alarm.held
    _condition(watch, step, change.at, held)


def _condition(watch: Watch, step: Step, at: int, condition: Condition) -> None:
    alarm, rule = step.state.alarm, watch.rule
    key = f"condition|{condition}|{at}"
    if alarm is not None:
        shown = replace(alarm, condition=condition, condition_since=at)
        step.put(shown, "condition", at, key, condition=condition)
        return
    data = {"rule": rule.id, "asset": rule.asset, "letter": "A", "condition": condition}
    step.events.append(Event(rule.id, "condition", at, f"{rule.id}|{key}", data=data))


def _first(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    """The first usable reading of a point: nobody was told that it was unknown before."""


def _blip(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    rule = watch.rule
    data = {
        "rule": rule.id,
        "asset": rule.asset,
        "start": change.start,
        "letter": step.state.letter,
    }
    key = f"{rule.id}|blip|{change.start}"
    step.events.append(Event(rule.id, "blip", change.at, key, data=data))


def _tested(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    """The test is over: what is still abnormal is annunciated now (46)."""
    _announce(watch, step, replace(change, rank=_rank(watch, step.state.condition)), known_at)


def _late_opened(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    """Late readings alone showed it abnormal: an occurrence that is counted apart and pages nobody (16)."""
    past = _past(watch, change)
    event = _event(past, "retrospective", change.at, "retrospective", row_data(past))
    step.events.append(event)
    step.alarms.append(past)


def _late_grown(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    step.alarms.append(_past(watch, change))


def _late_ended(watch: Watch, step: Step, change: Change, known_at: int) -> None:
    past = _past(watch, change)
    kind = "retrospective_closed"
    step.events.append(_event(past, kind, change.until, kind, {"until": change.until}))
    step.alarms.append(past)


def _past(watch: Watch, change: Change) -> Alarm:
    return replace(
        _occurrence(watch, change, change.at),
        retrospective=True,
        held=Condition.NORMAL,
        condition=Condition.NORMAL,
        condition_since=change.until,
        returned_at=change.until,
        closed_at=change.until,
        close_reason="returned",
    )


_CHANGES: Final[Mapping[str, Callable[[Watch, Step, Change, int], None]]] = {
    "abnormal": _abnormal,
    "normal": _normal,
    "level": _level,
    "unknown": _unknown,
    "known": _known,
    "first": _first,
    "blip": _blip,
    "tested": _tested,
    "late_opened": _late_opened,
    "late_grown": _late_grown,
    "late_ended": _late_ended,
}


# --- people ------------------------------------------------------------------------------------


def _acknowledge(step: Step, wish: Wish) -> Reason | None:
    """B to C, D to A; from E, F and G it is recorded (48). It never changes the condition."""
    alarm = step.state.alarm
    if alarm is None or alarm.id != wish.subject:
        return "nothing_to_acknowledge"
    if alarm.acknowledged or alarm.annunciations == 0 or alarm.letter not in "BDEFG":
        return "nothing_to_acknowledge"
    at = max(wish.at, alarm.annunciated_at or 0)
    seen = replace(
        alarm,
        acknowledged=True,
        acknowledged_by=wish.by,
        acknowledged_at=at,
        note=wish.note,
        heard=alarm.heard if alarm.abnormal else -1,
    )
    key = f"acknowledged|{wish.id}"
    about = {"note": wish.note, "ask": wish.id, "position": wish.position}
    step.put(seen, "acknowledged", at, key, by=wish.by, **about)
    if not seen.abnormal and not seen.latched:
        _close(step, seen, at, "returned")
    return None


def _reset(step: Step, wish: Wish) -> Reason | None:
    """What is latched is let go: D or A. Only while the condition is known and normal (24)."""
    alarm = step.state.alarm
    if alarm is None or alarm.id != wish.subject or not alarm.latched:
        return "not_latched"
    if step.state.condition.unknown:
        return "condition_unknown"
    if alarm.abnormal:
        return "still_abnormal"
    at = max(wish.at, alarm.returned_at or 0)
    free = replace(alarm, latched=False, heard=-1, normal_since=at)
    about = {"ask": wish.id, "position": wish.position}
    step.put(free, "reset", at, f"reset|{wish.id}", by=wish.by, **about)
    if free.acknowledged:
        _close(step, free, at, "returned")
    return None


# --- shared ------------------------------------------------------------------------------------


def _close(step: Step, alarm: Alarm, at: int, reason: CloseReason) -> None:
    at = max(at, alarm.raised_at)
    closed = replace(alarm, closed_at=at, close_reason=reason, latched=False)
    step.put(closed, "closed", at, "closed", reason=reason)


def _shown(alarm: Alarm, at: int) -> Alarm:
    return replace(alarm, condition=alarm.held, condition_since=at)


def _rank(watch: Watch, state: ConditionState) -> int:
    pairs = zip(watch.bands, state.levels, strict=False)
    return max((band.rank for band, level in pairs if level.active), default=-1)


def _event(
    alarm: Alarm, kind: str, at: int, key: str, data: Mapping[str, Any], by: str = ""
) -> Event:
    about = {"rule": alarm.rule, "asset": alarm.asset, "letter": alarm.letter, **data}
    return Event(alarm.id, kind, at, f"{alarm.id}|{key}", by, about)


def row_data(alarm: Alarm) -> dict[str, Any]:
    """The current row of an occurrence: plain values, as the ledger keeps and the API shows it."""
    data: dict[str, Any] = msgspec.to_builtins(alarm)
    del data["id"]
    data["class"] = data.pop("alarm_class")
    data["letter"] = alarm.letter
    return data


def alarm_of(id: str, data: Mapping[str, Any]) -> Alarm:
    """The occurrence that a row keeps.

    Raises:
        msgspec.ValidationError: the row is not one of `row_data`.
    """
    return msgspec.convert({**data, "id": id, "alarm_class": data["class"]}, Alarm)
