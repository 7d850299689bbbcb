"""Alarms as HTTP shows them: the ledger's row, the rule, and what its point reads now."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.looking import Look
from api.shapes import Alarm, AlarmDetail, LedgerEventRow, UnknownRule, Why
from api.site_views import rule_row
from api.times import shown, text_of
from api.wording import why_text
from collector.domain.alarms import Condition
from collector.ports import LedgerEvent, LedgerRow
from config.plant import Plant
from config.rules import Rule
from edge.readings import QUALITY_NAMES

OrderOf = Mapping[str, tuple[str, str]]
"""Alarm id to (number, state) of its order."""


def alarm_view(plant: Plant, row: LedgerRow, seen: Look, orders: OrderOf) -> Alarm:
    """One alarm; what its row does not say is null, false or 0."""
    data = row.data
    rule = plant.rules.get(str(data.get("rule")))
    point = str(data.get("point") or (rule.point if rule else ""))
    reading = seen.reading(point)
    number, state = orders.get(row.id, (None, None))
    return {
        "id": row.id,
        "rule": str(data.get("rule", "")),
        "asset": str(data.get("asset") or (rule.asset if rule else "")),
        "point": point,
        "name": dict(rule.name) if rule else {"en": str(data.get("rule", ""))},
        "class": str(data.get("class") or (rule.alarm_class if rule else "")),
        "priority": str(data.get("priority") or (rule.priority if rule else "")),
        "letter": str(data.get("letter", "")),
        "condition": str(data.get("condition", "")),
        "acknowledged": bool(data.get("acknowledged")),
        "acknowledged_by": data.get("acknowledged_by") or None,
        "acknowledged_at": shown(data.get("acknowledged_at")),
        "note": data.get("note") or None,
        "latched": bool(data.get("latched")),
        "raised_at": shown(data.get("raised_at")),
        "condition_since": shown(data.get("condition_since")),
        "returned_at": shown(data.get("returned_at")),
        "closed_at": shown(data.get("closed_at")),
        "close_reason": data.get("close_reason") or None,
        "value": data.get("value"),
        "value_now": reading.value,
        "quality_now": reading.quality,
        "unit": plant.points[point].unit if point in plant.points else "",
        "uncertain": bool(data.get("uncertain")),
        "annunciations": int(data.get("annunciations") or 0),
        "chatter": int(data.get("chatter") or 0),
        "order": number,
        "order_state": state,
    }


def unknown_rules(plant: Plant, seen: Look) -> list[UnknownRule]:
    """Rules that cannot be judged now, longest first."""
    unknown = [r for r in plant.rules.values() if seen.condition(r.id) is Condition.UNKNOWN]
    return sorted((_unknown(r, seen) for r in unknown), key=lambda u: u["since"] or "")


def _unknown(rule: Rule, seen: Look) -> UnknownRule:
    now = seen.conditions.get(rule.id)
    return {
        "id": f"unknown:{rule.id}",
        "rule": rule.id,
        "asset": rule.asset,
        "point": rule.point,
        "name": dict(rule.name),
        "since": shown(now.since) if now else None,
        "quality_now": seen.reading(rule.point).quality,
    }


def alarm_detail(
    plant: Plant, row: LedgerRow, seen: Look, orders: OrderOf, events: Sequence[LedgerEvent]
) -> AlarmDetail:
    """One alarm with its rule, why it is there, why it is not gone, and its events."""
    rule = plant.rules.get(str(row.data.get("rule")))
    return {
        **alarm_view(plant, row, seen, orders),
        "rule_detail": rule_row(rule) if rule else None,
        "why": _why(plant, rule, seen),
        "why_not_cleared": _why_not_cleared(row, rule, seen) if row.open else [],
        "events": [event_row(e) for e in events],
    }


def _why(plant: Plant, rule: Rule | None, seen: Look) -> Why:
    if rule is None:
        return {"text": "", "points": []}
    reading = seen.reading(rule.point)
    unit = plant.points[rule.point].unit if rule.point in plant.points else ""
    point = {
        "point": rule.point, "value": reading.value, "quality": reading.quality,
        "source_time": reading.source_time,
    }  # fmt: skip
    return {"text": why_text(rule, unit), "points": [point]}  # type: ignore[list-item]  # the members of WhyPoint


def _why_not_cleared(row: LedgerRow, rule: Rule | None, seen: Look) -> list[dict[str, Any]]:
    """What keeps an alarm open, as ids with their numbers."""
    reasons: list[dict[str, Any]] = []
    if rule is not None:
        reasons += _standing(rule, seen)
    if row.data.get("latched"):
        reasons.append({"id": "latched"})
    if not row.data.get("acknowledged"):
        reasons.append({"id": "not_acknowledged"})
    return reasons


def _standing(rule: Rule, seen: Look) -> list[dict[str, Any]]:
    reading = seen.reading(rule.point)
    condition = seen.condition(rule.id)
    if condition is Condition.UNKNOWN:
        age = round((seen.now - reading.source_time) / 1000) if reading.source_time else None
        quality = QUALITY_NAMES.get(reading.quality, str(reading.quality))
        return [{"id": "condition_unknown", "quality": quality, "age_s": age}]
    if condition is not Condition.ABNORMAL:
        return []
    limits = [level.limit for level in rule.levels]
    numbers = {"value": reading.value, "deadband": rule.deadband, "off_delay_s": rule.off_delay_s}
    return [{"id": "still_abnormal", **numbers, "limit": limits[0] if limits else None}]


def event_row(event: LedgerEvent) -> LedgerEventRow:
    """One event of the ledger."""
    return {
        "seq": event.seq,
        "kind": event.kind,
        "at": text_of(event.at),
        "by": event.by,
        "data": dict(event.data),
    }
