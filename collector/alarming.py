"""Alarms as they happen: every group judged in passing, timers that run without messages, people's asks."""

import heapq
import logging
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec.structs import replace

from collector.alarm_ledger import AlarmLedger, KeptRule, enduring
from collector.domain.alarms import (
    RuleState,
    Step,
    Wish,
    on_edit,
    on_retire,
    on_sample,
    on_time,
    on_wish,
    watch_from,
)
from collector.domain.conditions import (
    ConditionState,
    Sample,
    Watch,
    compile_rule,
    delay_at,
    known_from,
    set_back,
    usable,
)
from collector.groups import SET_BACK_MS, Group
from collector.live import LiveTable
from collector.ports import Ask, Asks, Decisions, RuleNow, TakenOver, Unavailable
from collector.quiet import Quiet, Stretch, stretches
from collector.screening import FAR, Screen
from config.clock import Clock
from config.plant import Plant
from edge.readings import Ints

log = logging.getLogger("steward.alarming")

LOOK_EVERY_MS: Final = 200
"""How often asks are looked for."""
PATIENCE_MS: Final = 100
"""A timer waits so long for readings that were received before its instant but not yet judged."""
SETTLE_MS: Final = 5000
"""After a stop, timers that passed meanwhile wait so long for readings that queued (rules-alarms 11)."""


class Alarming:
    """The only writer of alarms. `restore` first; then groups in the order of the journal.

    `judge` lets the timers act that are due by its group's receive time: nobody needs to call `wake`
    before it. Only `flush` speaks to the ledger, and `wake`, to read what people ask.
    """

    def __init__(
        self, plants: Sequence[Plant], live: LiveTable, decisions: Decisions, asks: Asks
    ) -> None:
        self._live = live
        self._ledger = AlarmLedger(decisions, asks)
        self._sites = [plant.site for plant in plants for _ in plant.rules]
        self._watches = [
            compile_rule(rule, plant.points[rule.point].longest_silence_s)
            for plant in plants
            for rule in plant.rules.values()
        ]
        rules = list(zip(self._sites, self._watches, strict=True))
        self._index = {(site, watch.rule.id): n for n, (site, watch) in enumerate(rules)}
        self._screen = Screen(
            self._watches, [live.row(site, watch.rule.point) for site, watch in rules]
        )
        self._states: list[RuleState] = []
        self._kept: list[KeptRule] = []
        self._conditions: dict[str, dict[str, RuleNow]] = {plant.site: {} for plant in plants}
        self._timers: list[tuple[int, int]] = []
        self._armed: dict[int, int] = {}
        self._begun = self._recalled = False
        self._ahead: set[int] = set()
        self._now = 0
        self._stopped_at = 0
        self._held = (0, 0)
        self._reachable = True

    @property
    def position(self) -> int:
        """Journal position up to which decisions are durable."""
        return self._ledger.position

    @property
    def waiting(self) -> int:
        """Events that are not yet in the ledger."""
        return self._ledger.count()

    # --- start ---------------------------------------------------------------------------------

    def restore(self) -> None:
        """Take up what the ledger keeps. Raises `Unavailable`."""
        self._kept = list(self._ledger.restore())
        self._now = self._stopped_at = self._ledger.heard

    def _awake(self, now: int) -> None:
        self._now = _onward(self._now, now)
        if not self._begun:
            self._begun = True
            self._begin(now)

    def _begin(self, now: int) -> None:
        """Once, with the first instant known: rules stand as they were kept, or are watched from now on."""
        if not self._recalled:
            self._recall()
        self._states = [watch_from(watch, now) for watch in self._watches]
        fresh = set(range(len(self._watches)))
        for kept in self._kept:
            index = self._index.get((kept.site, kept.rule))
            if index is None:
                self._ledger.note(kept.site, on_retire(kept.state, now))
                self._ledger.forget(kept.site, kept.rule)
            else:
                fresh.discard(index)
                self._take_up(index, kept, now)
        for index in fresh:
            self._remember(index)
        for row in self._screen.rules_of:
            self._settle(row)
        for site, conditions in self._conditions.items():
            self._live.set_conditions(site, conditions)

    def recall(self) -> None:
        """Take up when each row was last heard, as far as that was judged before the stop.

        To be called once, when the live table is restored and before any group is applied to it; else
        it happens with the first group judged, and what is late in that very group is not seen to be.
        """
        self._recall()
        self._recalled = self._live.position >= self._ledger.position

    def _recall(self) -> None:
        rows = self._screen.row_of
        received = self._live.receive_time[rows]
        known = rows[(received > 0) & (received <= self._stopped_at)]
        self._screen.recall(known, self._live.order[known])
        self._ahead = set(rows[received > self._stopped_at].tolist())

    def _take_up(self, index: int, kept: KeptRule, now: int) -> None:
        watch, state = self._watches[index], self._heard_again(index, kept.state)
        self._states[index] = state
        if kept.version != watch.rule.version:
            self._do(index, on_edit(watch, state, now, self._seen(index)))
            self._remember(index)

    def _heard_again(self, index: int, state: RuleState) -> RuleState:
        """With the time of its last reading; a row that spoke since the stop was heard until then."""
        row = int(self._screen.row_of[index])
        condition = replace(state.condition, last=self._screen.last_of(row))
        never = condition.unknown and not condition.read
        if condition.last is None and not never and row in self._ahead:
            condition = replace(condition, watched=max(condition.watched, self._stopped_at))
        return replace(state, condition=condition)

    def _seen(self, index: int) -> Sample | None:
        row = int(self._screen.row_of[index])
        last = self._screen.last_of(row)
        if last is None:
            return None
        return Sample(last, float(self._live.value[row]), int(self._live.quality[row]), self._now)

    # --- readings ------------------------------------------------------------------------------

    def judge(self, group: Group) -> None:
        """Decide about one group; the live table has it already. A repeat changes nothing.

        Timers before its receive time act first; those that end within it act where no reading of the
        group says otherwise (rules-alarms 8, 9).
        """
        if 0 < group.position <= self._ledger.judged:
            return
        now = group.received
        self._awake(now)
        self._screen.fit(len(self._live))
        if self._screen.set_back(group):
            self._set_back(now)
        held = self._held[0] <= now < self._held[1]
        if not held:
            self._fire(now - 1)
        time = group.time if group.time.max(initial=now) == now else np.minimum(group.time, now)
        start = self._ledger.count()
        # silence that begins at this very instant comes before what came in it (rules-alarms 8)
        silent = held or self._screen.next_silence <= now
        self._look(group, time, self._overdue(now) if silent else None)
        self._ledger.order(start)
        self._screen.heard(group, time, is_newest=self._live.is_newest(group))
        if not held:
            self._fire(now, woken=now)
        self._ledger.judged = max(self._ledger.judged, group.position)
        self._ledger.heard = _onward(self._ledger.heard, now)

    def _set_back(self, now: int) -> None:
        for index, state in enumerate(self._states):
            self._put(index, replace(state, condition=set_back(state.condition, now)))
        for row in self._screen.rules_of:
            self._settle(row)

    def _overdue(self, now: int) -> int:
        return now - min((watch.silence for watch in self._watches), default=0)

    def _look(self, group: Group, time: Ints, overdue: int | None) -> None:
        newest = self._live.is_newest(group)
        rules, since, lively = self._screen.lively(group, time, overdue, is_newest=newest)
        for index, at in zip(rules.tolist(), since.tolist(), strict=True):
            self._know(index, at)
        for row, stretch in stretches(group, time, lively):
            for index in self._screen.rules_of[row]:
                self._take(index, row, stretch)
            self._settle(row, self._last_value(row, stretch))

    def _know(self, index: int, at: int) -> None:
        """The first reading of a rule, of which there is nothing else to say."""
        state = self._states[index]
        state = self._states[index] = replace(state, condition=known_from(state.condition, at))
        self._remember(index)
        self._show(index, state)

    def _take(self, index: int, row: int, stretch: Stretch) -> None:
        """Judge a row's readings by one rule; what its state makes quiet is passed over."""
        watch, state = self._watches[index], self._refreshed(index, row)
        last, value, at = state.condition.last, math.nan, 0
        while at < len(stretch):
            sample, live = stretch.sample(at), bool(stretch.live[at])
            if last != state.condition.last:
                state = replace(state, condition=replace(state.condition, last=last))
            step = on_sample(watch, state, sample, live=live)
            self._ledger.note(self._sites[index], step)
            if live and (last is None or sample.time >= last):
                value = _known(sample, (watch,))
            state = step.state
            at, last = Quiet(watch, state.condition, value).past(
                stretch, at + 1, state.condition.last
            )
        self._put(index, state)

    def _last_value(self, row: int, stretch: Stretch) -> float | None:
        """The value that the row's rules judged last; None if there was no live reading."""
        sample = stretch.last_live(self._screen.last_of(row))
        if sample is None:
            return None
        return _known(sample, [self._watches[index] for index in self._screen.rules_of[row]])

    def _refreshed(self, index: int, row: int) -> RuleState:
        state = self._states[index]
        last = self._screen.last_of(row)
        if last == state.condition.last:
            return state
        return replace(state, condition=replace(state.condition, last=last))

    # --- timers --------------------------------------------------------------------------------

    def wake(self, now: int) -> None:
        """Let every timer act that is due at `now`, at its own instant; then do what people ask."""
        self._awake(now)
        self._fire(now)
        try:
            self._attend(now)
        except Unavailable as error:
            self._complain(error)

    def next_wake(self) -> int | None:
        """When the next timer may be due (UTC ms): never later than it is; None without any."""
        first = min(self._timers[0][0] if self._timers else FAR, self._screen.next_silence)
        return None if first == FAR or self._now < self._held[1] else first

    def _fire(self, until: int, woken: int = 0) -> None:
        start = self._ledger.count()
        while due := self._due(until):
            for index in sorted(due):
                row = int(self._screen.row_of[index])
                state = self._refreshed(index, row)
                self._do(index, on_time(self._watches[index], state, until, woken=woken))
                self._settle(row)
        self._ledger.order(start)

    def _due(self, until: int) -> set[int]:
        due = set(self._screen.silent_by(until))
        while self._timers and self._timers[0][0] <= until:
            instant, index = heapq.heappop(self._timers)
            if self._armed.get(index) == instant:
                del self._armed[index]
            if delay_at(self._watches[index], self._states[index].condition) == instant:
                due.add(index)
        return due

    # --- people --------------------------------------------------------------------------------

    def _attend(self, now: int) -> None:
        for ask in self._ledger.asks():
            self._answer(ask, now)

    def _answer(self, ask: Ask, now: int) -> None:
        index = self._index_of(ask)
        note = ask.data.get("note")
        wish = Wish(
            id=ask.id,
            kind="reset" if ask.kind == "reset" else "acknowledge",
            subject=ask.subject,
            by=ask.by,
            at=min(ask.at, now),
            note=None if note is None else str(note),
            position=self._ledger.judged,
        )
        step = on_wish(_NOTHING if index is None else self._states[index], wish)
        self._ledger.answer(ask, step.refused, now)
        if index is not None and step.refused is None:
            self._do(index, step)
            self._settle(int(self._screen.row_of[index]))

    def _index_of(self, ask: Ask) -> int | None:
        for index, state in enumerate(self._states):
            if state.alarm and state.alarm.id == ask.subject and self._sites[index] == ask.site:
                return index
        return None

    # --- what came of it -----------------------------------------------------------------------

    def _do(self, index: int, step: Step) -> None:
        self._ledger.note(self._sites[index], step)
        self._put(index, step.state)

    def _put(self, index: int, state: RuleState) -> None:
        before = self._states[index]
        self._states[index] = state
        if enduring(before) != enduring(state):
            self._remember(index)

    def _remember(self, index: int) -> None:
        self._ledger.stands(self._sites[index], self._watches[index].rule, self._states[index])

    def _settle(self, row: int, value: float | None = None) -> None:
        rules = self._screen.rules_of[row]
        states = [self._states[index] for index in rules]
        self._screen.settle(row, [state.condition for state in states], value)
        for index, state in zip(rules, states, strict=True):
            self._show(index, state)
            instant = delay_at(self._watches[index], state.condition)
            if instant is not None and self._armed.get(index) != instant:
                heapq.heappush(self._timers, (instant, index))
                self._armed[index] = instant

    def _show(self, index: int, state: RuleState) -> None:
        rule, condition = self._watches[index].rule, state.condition
        self._conditions[self._sites[index]][rule.id] = RuleNow(
            rule=rule.id,
            asset=rule.asset,
            condition=condition.shown,
            since=condition.since,
            letter=state.letter,
            alarm=state.alarm.id if state.alarm else "",
        )

    # --- running -------------------------------------------------------------------------------

    def flush(self) -> None:
        """Keep events, rows and cursor in one transaction; without events at most once a second.

        Raises `Unavailable`: everything is kept here and tried again, at most once a second.
        """
        self._ledger.flush(self._now)

    async def run(self, clock: Clock) -> None:
        """Wake for timers and asks, for ever. After a stop, what queued meanwhile may speak first.

        Raises `TakenOver` when the ledger is not ours any more.
        """
        if self._stopped_at:
            await self._settle_down(clock)
        while True:
            now = clock.now()
            self._awake(now)
            self._fire(now - PATIENCE_MS)
            self._speak_to_ledger(now)
            await clock.sleep_until(clock.monotonic() + self._wait(now) / 1000)

    def _wait(self, now: int) -> int:
        due = self.next_wake()
        if due is None:
            return LOOK_EVERY_MS
        return min(LOOK_EVERY_MS, max(1, due + PATIENCE_MS - now))

    async def _settle_down(self, clock: Clock) -> None:
        start = clock.now()
        self._held = (start, start + SETTLE_MS)
        await clock.sleep_until(clock.monotonic() + SETTLE_MS / 1000)
        now = clock.now()
        self._awake(now)
        self._fire(now, woken=now)

    def _speak_to_ledger(self, now: int) -> None:
        try:
            self._attend(now)
            self.flush()
        except Unavailable as error:
            self._complain(error)
        else:
            if not self._reachable:
                log.info("the ledger is back")
            self._reachable = True

    def _complain(self, error: Unavailable) -> None:
        if isinstance(error, TakenOver):
            raise error
        if self._reachable:
            log.error("decisions wait for the ledger: %s", error)
        self._reachable = False


_NOTHING: Final = RuleState(ConditionState((), since=0, watched=0, unknown=False))
"""Of an alarm that is not open."""


def _onward(last: int, now: int) -> int:
    """The later of the two; `now` where the clock was set back."""
    return now if now < last - SET_BACK_MS else max(last, now)


def _known(sample: Sample, watches: Sequence[Watch]) -> float:
    """The reading's value if every rule may look at it, else NaN."""
    return sample.value if all(usable(watch, sample) for watch in watches) else math.nan
