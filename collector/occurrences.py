"""An occurrence as the ledger keeps it: its row, and the events that a change of it makes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from collector.domain.evidence import Verdict, VerdictKind
from collector.domain.intervals import COMING_DAYS, DAY_MS, Due, DueState, Frame, state_of
from collector.domain.plans import Owed
from collector.ports import LedgerEvent
from config.standards import Plan

ORDER_AHEAD_MS = 7 * DAY_MS
"""An occurrence wants an order a week before its due day ends, or at once when its window is shorter."""
VERDICT = ("verdict", "verdict_span", "verdict_seen_s", "verdict_unknown_share", "verdict_final")


@dataclass(frozen=True, slots=True)
class Judged:
    """A new verdict; `final`: no late reading can change it any more."""

    verdict: Verdict
    final: bool


def row_id(plan: Plan, due: Due) -> str:
    """Readable and safe in a URL: standard.duty~asset~what it is for."""
    return f"{plan.duty.standard}.{plan.duty.id}~{plan.asset}~{due.key}".replace("/", ".").replace(":", "-")  # fmt: skip


def row_data(
    plan: Plan, frame: Frame, row: Owed, judged: Judged | None, old: Mapping[str, Any],
    now_open: tuple[int, bool],
) -> dict[str, Any]:  # fmt: skip
    """The row at an instant (UTC ms), and whether it is still open then; `old` is the row so far, or empty."""
    due, duty, (now, is_open) = row.due, plan.duty, now_open
    state = state_of(due, done=row.done is not None, now=now, zone=frame.zone)
    wanted = bool(old.get("wants_order")) or wants_order(due, state, now, is_open=is_open)
    data: dict[str, Any] = {
        "plan": plan.id, "duty": duty.id, "standard": duty.standard, "asset": plan.asset,
        "name": dict(duty.name), "key": due.key, "source": list(duty.source),
        "early": _iso(due.early), "due": _iso(due.due), "late": _iso(due.late),
        "early_at": due.early_at, "due_at": due.due_at, "late_at": due.late_at,
        "state": str(state), "open": is_open,
        "statutory": duty.statutory, "evidence": duty.evidence is not None,
        "done_at": row.done.at if row.done else None, "done_by": row.done.by if row.done else None,
        "too_late": row.too_late, "claimed": row.done is not None, "mark": due.mark,
        "wants_order": wanted,
    }  # fmt: skip
    return data | (_verdict(judged) if judged else {name: old.get(name) for name in VERDICT})


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _verdict(judged: Judged) -> dict[str, Any]:
    verdict = judged.verdict
    return {
        "verdict": str(verdict.kind),
        "verdict_span": list(verdict.span) if verdict.span else None,
        "verdict_seen_s": verdict.seen_s,
        "verdict_unknown_share": round(verdict.unknown_share, 4),
        "verdict_final": judged.final,
    }


def turns(due: Due) -> list[int]:
    """Instants (UTC ms) within a local day at which its row may become another one by itself."""
    opens = [] if due.early_at is None else [due.early_at - COMING_DAYS * DAY_MS, due.early_at]
    ends = [] if due.due_at is None else [due.due_at - ORDER_AHEAD_MS, due.due_at]
    return [*opens, *ends] if due.late_at is None else [*opens, *ends, due.late_at]


def wants_order(due: Due, state: DueState, now: int, *, is_open: bool) -> bool:
    """Whether the desk shall raise an order; what was missed wants one while it is still owed."""
    if state in (DueState.LATE, DueState.MISSED):
        return is_open
    if state is not DueState.DUE or due.by_clock:
        return False
    return due.due_at is not None and now >= due.due_at - ORDER_AHEAD_MS


def settled(data: Mapping[str, Any], *, claimed: bool) -> bool:
    """A verdict that neither a claim nor late readings can change any more."""
    if data.get("verdict") == VerdictKind.CONFIRMED:
        return True
    return bool(data.get("verdict_final")) and data.get("claimed") == claimed


def finished(data: Mapping[str, Any]) -> bool:
    """Nothing but a new completion can change this row."""
    closed = not data["open"]
    return closed and (not data["evidence"] or settled(data, claimed=bool(data["claimed"])))


def row_events(
    site: str, id: str, old: Mapping[str, Any], data: Mapping[str, Any], now: int
) -> list[LedgerEvent]:
    """One event per change of state, of verdict, and the wish for an order; each has its natural key."""
    changes = [
        (str(data["state"]), old.get("state") != data["state"]),
        (f"verdict_{data['verdict']}", bool(data["verdict"]) and old.get("verdict") != data["verdict"]),
        ("wants_order", data["wants_order"] and not old.get("wants_order")),
    ]  # fmt: skip
    digest = hashlib.sha256(repr(data["done_at"]).encode()).hexdigest()[:6]
    return [
        LedgerEvent(
            "occurrence", site, id, kind, _instant(kind, data, now),
            key=f"{site}:{id}:{kind}:{digest}", data=dict(data),
        )
        for kind, happened in changes
        if happened
    ]  # fmt: skip


def _instant(kind: str, data: Mapping[str, Any], now: int) -> int:
    """The instant of the rule where there is one, else now."""
    at = {"due": "early_at", "late": "due_at", "missed": "late_at", "done": "done_at"}.get(kind)
    value = data.get(at) if at else None
    return int(value) if value is not None else now
