"""What followed, held against what must follow: one row per expectation, and one for anything else."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from simulators.scenario import (
    AlarmExpected,
    Expected,
    LogExpected,
    OccurrenceExpected,
    OrderExpected,
    ReadingExpected,
    Scenario,
    Window,
)

Event = Mapping[str, Any]
"""One plain event; `t` is seconds since the scenario's start."""


@dataclass(frozen=True, slots=True)
class History:
    """What a run saw, in order of time.

    alarms: {t, kind, alarm, rule, asset, name, priority}: kind `raised` (or `opened`), `returned`, `unknown`, and
    any other; `alarm` is the occurrence's id, `rule` the rule's (`tripped@a-booster/pump-1`).
    orders: {t, kind, order, order_kind, asset, rule, name, closed_by}: kind `opened`, `closed` and any
    other; `order_kind` fault, inspection, …; `rule` is the cause's rule id or duty id; `closed_by`
    (of `closed`) readings or people.
    occurrences: {t, duty, asset, verdict}: each verdict that was given.
    readings: {t, point, quality}: what is stored of the points that are asked for, `t` of the reading.
    log: {t, level, text}: warnings and errors of the edges, `level` in small letters.
    """

    alarms: Sequence[Event] = ()
    orders: Sequence[Event] = ()
    occurrences: Sequence[Event] = ()
    readings: Sequence[Event] = ()
    log: Sequence[Event] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the verdict table."""

    what: str
    expected: str
    seen: str
    ok: bool


def judge(scenario: Scenario, history: History) -> tuple[Row, ...]:
    """One row per expectation, then the rows of `expect_nothing_else`."""
    rows = [_judge(one, scenario.expected, history) for one in scenario.expected]
    if scenario.no_other_alarms:
        rows.append(_other_alarms(scenario.expected, history))
    if scenario.no_other_orders:
        rows.append(_other_orders(scenario.expected, history))
        rows.append(_nothing_contradicted(scenario.expected, history))
    if scenario.no_other_log:
        rows.append(_other_log(scenario.expected, history))
    return tuple(rows)


def passed(rows: Iterable[Row]) -> bool:
    """Whether everything followed that must, and nothing else."""
    return all(row.ok for row in rows)


def is_named(text: str, event: Event) -> bool:
    """Whether `asset words` means this event's rule: same asset, all words in the rule's id or name."""
    asset, _, words = text.strip().partition(" ")
    rule = str(event.get("rule", "")).replace(f"@{asset}", " ", 1)
    known = _words(rule) | _words(str(event.get("name", "")))
    return event.get("asset") == asset and _words(words) <= known


def _words(text: str) -> set[str]:
    return set(re.findall(r"[0-9a-z\u4e00-\u9fff]+", text.lower()))


def _judge(one: Expected, every: Sequence[Expected], history: History) -> Row:
    if isinstance(one, AlarmExpected):
        return _alarm(one, history.alarms)
    if isinstance(one, OrderExpected):
        return _order(one, history.orders)
    if isinstance(one, ReadingExpected):
        return _reading(one, history.readings)
    if isinstance(one, LogExpected):
        return _log(one, [e for e in every if isinstance(e, LogExpected)], history.log)
    return _occurrence(one, history.occurrences)


def _raised(alarms: Sequence[Event]) -> list[Event]:
    return [event for event in alarms if event["kind"] in ("raised", "opened")]


def _alarm(one: AlarmExpected, alarms: Sequence[Event]) -> Row:
    raised = [event for event in _raised(alarms) if is_named(one.alarm, event)]
    ids = {event.get("alarm") for event in raised}
    own = [event for event in alarms if event.get("alarm") in ids or is_named(one.alarm, event)]
    returned = [e for e in own if e["kind"] == "returned"]
    unknown = [e for e in own if e["kind"] == "unknown"]
    wrong = [
        len(raised) != one.count,
        not _all_within(raised, one.raised),
        one.returned is not None and not (returned and _all_within(returned, one.returned)),
        one.never_returns and bool(returned),
        one.unknown is not None and not any(_within(e, one.unknown) for e in unknown),
        bool(one.priority) and any(e.get("priority") != one.priority for e in raised),
    ]
    return Row(f"alarm {one.alarm}", _wanted(one), _seen_alarms(own), not any(wrong))


def _within(event: Event, window: Window | None) -> bool:
    return window is None or window[0] <= event["t"] <= window[1]


def _all_within(events: Iterable[Event], window: Window | None) -> bool:
    return all(_within(event, window) for event in events)


def _wanted(one: AlarmExpected) -> str:
    parts = [f"{one.count}x raised {_told(one.raised)}".strip()]
    if one.returned is not None:
        parts.append(f"returned {_told(one.returned)}")
    if one.never_returns:
        parts.append("never returned")
    if one.unknown is not None:
        parts.append(f"unknown {_told(one.unknown)}")
    if one.priority:
        parts.append(f"priority {one.priority}")
    return ", ".join(parts)


def _told(window: Window | None) -> str:
    return f"{window[0]:g}..{window[1]:g} s" if window else ""


def _seen_alarms(events: Sequence[Event]) -> str:
    shown = ("raised", "opened", "returned", "unknown")
    told = [f"{e['kind']} {e['t']:.1f} s" for e in events if e["kind"] in shown]
    return ", ".join(told) or "nothing"


def _order(one: OrderExpected, orders: Sequence[Event]) -> Row:
    own = [e for e in orders if is_named(one.cause, e) and one.kind in ("", e.get("order_kind"))]
    opened = {e.get("order") for e in own if e["kind"] == "opened"}
    closed = [e for e in orders if e["kind"] == "closed" and e.get("order") in opened]
    right = {e.get("order") for e in closed if e.get("closed_by") == one.closed_by}
    ok = len(opened) == one.count and (not one.closed_by or right == opened)
    wanted = f"{one.count}x opened" + (f", closed by {one.closed_by}" if one.closed_by else "")
    seen = [f"opened {e['t']:.1f} s" for e in own if e["kind"] == "opened"]
    seen += [f"closed by {e.get('closed_by')} {e['t']:.1f} s" for e in closed]
    return Row(f"work order {one.cause}", wanted, ", ".join(seen) or "nothing", ok)


def _occurrence(one: OccurrenceExpected, occurrences: Sequence[Event]) -> Row:
    own = [e for e in occurrences if (e["duty"], e["asset"]) == (one.duty, one.asset)]
    verdicts = [str(e["verdict"]) for e in own if e["verdict"]]
    return Row(
        f"occurrence {one.duty} of {one.asset}",
        one.verdict,
        ", ".join(verdicts) or "nothing",
        bool(verdicts) and set(verdicts) == {one.verdict},
    )


def _reading(one: ReadingExpected, readings: Sequence[Event]) -> Row:
    own = [e for e in readings if e["point"] == one.point and _within(e, one.during)]
    seen = Counter(str(e["quality"]) for e in own)
    gap = max(b - a for a, b in pairwise([one.during[0], *(e["t"] for e in own), one.during[1]]))
    ok = set(seen) == {one.quality} and (one.gap_max_s is None or gap <= one.gap_max_s)
    wanted = f"{one.quality} {_told(one.during)}"
    told = ", ".join(f"{count}x {quality}" for quality, count in seen.most_common()) or "nothing"
    if one.gap_max_s is not None:
        wanted, told = f"{wanted}, no gap over {one.gap_max_s:g} s", f"{told}, gap {gap:.1f} s"
    return Row(f"reading {one.point}", wanted, told, ok)


def _log(one: LogExpected, every: Sequence[LogExpected], log: Sequence[Event]) -> Row:
    own = [e for e in log if one.says in e["text"]]
    told = ", ".join(f"{e['level']} {e['t']:.1f} s" for e in own) or "nothing"
    levels = [e["level"] for e in own if _within(e, one.during)]
    asked_for = (any(o.says in e["text"] and _within(e, o.during) for o in every) for e in own)
    ok = levels == [one.level] and all(asked_for)
    return Row(f"log {one.says}", f"{one.level}, once {_told(one.during)}", told, ok)


def _other_alarms(expected: Iterable[Expected], history: History) -> Row:
    names = [one.alarm for one in expected if isinstance(one, AlarmExpected)]
    return _nothing_else("alarms", names, _raised(history.alarms))


def _other_orders(expected: Iterable[Expected], history: History) -> Row:
    names = [one.cause for one in expected if isinstance(one, OrderExpected)]
    opened = [e for e in history.orders if e["kind"] == "opened" and e.get("order_kind") == "fault"]
    return _nothing_else("work orders", names, opened)


def _other_log(expected: Iterable[Expected], history: History) -> Row:
    says = [one.says for one in expected if isinstance(one, LogExpected)]
    others = [e for e in history.log if not any(words in e["text"] for words in says)]
    told = [f"{e['level']} {e['t']:.1f} s: {e['text']}" for e in others]
    return Row("no other line of the log", "nothing", "; ".join(told) or "nothing", not others)


def _nothing_contradicted(expected: Iterable[Expected], history: History) -> Row:
    """No claim is called untrue but those that must be; other verdicts come from the time of year."""
    named = {(one.duty, one.asset) for one in expected if isinstance(one, OccurrenceExpected)}
    others = [e for e in history.occurrences if e["verdict"] == "contradicted" and (e["duty"], e["asset"]) not in named]  # fmt: skip
    told = [f"{e['duty']} of {e['asset']}" for e in others]
    return Row("no other claim contradicted", "nothing", ", ".join(told) or "nothing", not others)


def _nothing_else(what: str, names: Sequence[str], events: Iterable[Event]) -> Row:
    others = [e for e in events if not any(is_named(name, e) for name in names)]
    told = [f"{e.get('rule') or e.get('name')} of {e.get('asset')} {e['t']:.1f} s" for e in others]
    return Row(f"no other {what}", "nothing", ", ".join(told) or "nothing", not others)
