"""What alarming has decided and not yet written: events, rows, cursors and outcomes, kept together."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from collector.domain.alarms import Alarm, Event, RuleState, Step, alarm_of, row_data
from collector.domain.conditions import ConditionState
from collector.ports import Ask, Asks, Decisions, LedgerEvent, LedgerRow, Outcome, Unavailable
from config.rules import Rule

CURSOR: Final = "alarming"
ASKS_CURSOR: Final = "alarming.asks"
TIME_CURSOR: Final = "alarming.time"
KINDS: Final = ("acknowledge", "reset")
EVERY_MS: Final = 1000
"""Without news the cursor is written so often; a ledger that is away is tried so often."""


@dataclass(frozen=True, slots=True)
class KeptRule:
    """A rule as the ledger remembers it, with the version that judged last; `state` has its open alarm."""

    site: str
    rule: str
    version: str
    state: RuleState


class AlarmLedger:
    """Collects what is decided and writes it in one transaction.

    `position` is the journal position up to which decisions are durable, `judged` up to which they are
    made; `heard` (UTC ms) is when the last group judged was received.
    """

    def __init__(self, decisions: Decisions, asks: Asks) -> None:
        self._decisions = decisions
        self._asks = asks
        self._events: list[LedgerEvent] = []
        self._alarms: dict[tuple[str, str], Alarm] = {}
        self._rules: dict[tuple[str, str], LedgerRow] = {}
        self._outcomes: list[Outcome] = []
        self._asked = 0
        self._asked_kept = 0
        self._written_at = 0
        self._refused_at: int | None = None
        self.position = 0
        self.judged = 0
        self.heard = 0

    # --- start ---------------------------------------------------------------------------------

    def restore(self) -> Iterator[KeptRule]:
        """Cursors, and every rule as it was kept. Raises `Unavailable`.

        An open alarm always has its rule beside it, as both are written together.
        """
        self.position = self.judged = self._decisions.cursor(CURSOR)
        self._asked = self._asked_kept = self._decisions.cursor(ASKS_CURSOR)
        self.heard = self._decisions.cursor(TIME_CURSOR)
        alarms: dict[tuple[str, str], Alarm] = {}
        for row in self._decisions.rows("alarm", open_only=True):
            alarm = alarm_of(row.id, row.data)
            alarms[row.site, alarm.rule] = alarm
        for row in self._decisions.rows("rule", open_only=True):
            condition = msgspec.convert(row.data["condition"], ConditionState)
            state = RuleState(condition, alarms.get((row.site, row.id)), row.data["raised"])
            yield KeptRule(row.site, row.id, row.data["version"], state)

    # --- what is decided -----------------------------------------------------------------------

    def note(self, site: str, step: Step) -> None:
        """Take up what a step said. A live occurrence is never overwritten by one from history (16)."""
        hidden: set[str] = set()
        for alarm in step.alarms:
            pending = self._alarms.get((site, alarm.id))
            if alarm.retrospective and pending is not None and not pending.retrospective:
                hidden.add(alarm.id)
            else:
                self._alarms[site, alarm.id] = alarm
        self._events += [_ledger_event(site, e) for e in step.events if e.subject not in hidden]

    def count(self) -> int:
        """Events that wait."""
        return len(self._events)

    def order(self, start: int) -> None:
        """Put the events from number `start` on in order of their instants."""
        self._events[start:] = sorted(self._events[start:], key=lambda event: event.at)

    def stands(self, site: str, rule: Rule, state: RuleState) -> None:
        """A rule stands so now: what a restart must know of it beside its alarm."""
        condition = msgspec.to_builtins(replace(state.condition, last=None))
        data = {"version": rule.version, "raised": state.raised, "condition": condition}
        self._rules[site, rule.id] = LedgerRow("rule", site, rule.id, open=True, data=data)

    def forget(self, site: str, rule: str) -> None:
        """A rule is no more."""
        self._rules[site, rule] = LedgerRow("rule", site, rule, open=False, data={})

    # --- people --------------------------------------------------------------------------------

    def asks(self) -> list[Ask]:
        """What people ask and nobody answered yet, in order. Raises `Unavailable`."""
        return self._asks.since(self._asked, KINDS)

    def answer(self, ask: Ask, refused: str | None, now: int) -> None:
        """Keep the outcome with the next flush. Raises `Unavailable`: nothing was kept.

        A refusal of what was done before a stop, outcome lost, is no refusal.
        """
        if refused is not None and self._done_before(ask):
            refused = None
        self._outcomes.append(Outcome(ask.id, refused is None, refused or "", now))
        self._asked = ask.seq

    def _done_before(self, ask: Ask) -> bool:
        events = self._decisions.history("alarm", ask.site, ask.subject)
        return any(event.data.get("ask") == ask.id for event in events)

    # --- writing -------------------------------------------------------------------------------

    def flush(self, now: int) -> None:
        """Write all that waits; without events at most once a second of `now`.

        Raises `Unavailable`: everything is kept here and tried again, at most once a second.
        """
        urgent = bool(self._events or self._alarms or self._outcomes)
        waited = not 0 <= now - self._written_at < EVERY_MS
        news = self.judged > self.position or self._rules or self._asked > self._asked_kept
        if not urgent and not (waited and news):
            return
        if self._refused_at is not None and 0 <= now - self._refused_at < EVERY_MS:
            raise Unavailable("the ledger was away a moment ago")
        try:
            self._write()
        except Unavailable:
            self._refused_at = now
            raise
        self._refused_at, self._written_at = None, now

    def _write(self) -> None:
        """Events first, then outcomes, then (with the next write) the asks' cursor: each may be repeated."""
        self._drop_known_history()
        asked = self._asked_kept if self._outcomes else self._asked
        cursors = {CURSOR: self.judged, ASKS_CURSOR: asked, TIME_CURSOR: self.heard}
        rows = [
            LedgerRow("alarm", site, id, alarm.open, row_data(alarm))
            for (site, id), alarm in self._alarms.items()
        ]
        self._decisions.append(self._events, [*rows, *self._rules.values()], cursors)
        self.position, self._asked_kept = self.judged, asked
        self._events, self._alarms, self._rules = [], {}, {}
        while self._outcomes:
            self._asks.settle(self._outcomes[0])
            del self._outcomes[0]

    def _drop_known_history(self) -> None:
        """History sent twice shows what was judged live already: its occurrence stays as it is."""
        past = [key for key, alarm in self._alarms.items() if alarm.retrospective]
        known = {(site, id) for site, id in past if self._is_live(site, id)}
        for key in known:
            del self._alarms[key]
        if known:
            self._events = [e for e in self._events if (e.site, e.subject) not in known]

    def _is_live(self, site: str, id: str) -> bool:
        row = self._decisions.row("alarm", site, id)
        return row is not None and not row.data["retrospective"]


def enduring(state: RuleState) -> tuple[Any, ...]:
    """What a restart must know of a rule, beside its alarm."""
    condition = state.condition
    return (
        condition.levels, condition.since, condition.watched, condition.unknown,
        condition.read, condition.in_test, condition.late, state.raised,
    )  # fmt: skip


def _ledger_event(site: str, event: Event) -> LedgerEvent:
    return LedgerEvent(
        "alarm", site, event.subject, event.kind, event.at, event.key, event.by, event.data
    )
