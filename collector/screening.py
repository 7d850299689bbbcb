"""Which readings of a group can change anything: whole columns at once, so that the quiet ones cost next to nothing."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.domain.conditions import GOOD, IN_TEST, ConditionState, Watch, silence_at
from collector.groups import SET_BACK_MS, Group
from collector.quiet import BIG, EVERYTHING, NOTHING, Interval, both, quiet_bands
from edge.readings import Floats, Ints

NEVER: Final = int(np.iinfo(np.int64).min)
FAR: Final = int(np.iinfo(np.int64).max)
NONE: Final[Ints] = np.empty(0, np.int64)
AT_ONCE: Final = 16_384
"""Readings looked at together: so many that what is looked up for them stays near the processor."""
UNCHECKED: Final = "clip"
"""All rows are the live table's and `fit` made room for them: to test each takes a sixth of a look."""
USABLE, LOST, SINGLY = 0, 1, 2
"""What a quality means for the rules of a row: usable for all, for none, or they must be asked."""


class Screen:
    """Arrays over the rows of the live table.

    A live, usable value within `[lo, hi]` of its row changes nothing there; an unusable one changes
    nothing where `dead`. `last` is the (counted) time of the row's last live reading, `NEVER` without
    one. What was already silent on arrival changes nothing within the stale band of an UNKNOWN row, and
    what is late nothing within the calm band while no late stretch is open. A row is `_unread` up to
    an instant (else `NEVER`) where rules wait for the first usable reading, and others only for silence.
    """

    lo: Floats
    hi: Floats
    last: Ints
    dead: npt.NDArray[np.bool_]
    _stale_lo: Floats
    _stale_hi: Floats
    _patience: Ints
    _brief: Ints
    _unread: Ints
    _since: Ints
    _calm_lo: Floats
    _calm_hi: Floats
    _value: Floats
    _ruled: npt.NDArray[np.bool_]
    _late_open: npt.NDArray[np.bool_]
    _flag: npt.NDArray[np.bool_]
    _policy: Ints

    def __init__(self, watches: Sequence[Watch], rows: Sequence[int]) -> None:
        self.watches = watches
        self.row_of: Ints = np.array(rows, np.int64)
        self.rules_of: dict[int, list[int]] = {}
        for rule, row in enumerate(rows):
            self.rules_of.setdefault(row, []).append(rule)
        self._size = 0
        self._grow(max(rows, default=0) + 1)
        self._codes = self._qualities()
        self._calm()
        self._silence: Ints = np.array([watch.silence for watch in watches], np.int64)
        self._silence_base: Ints = np.zeros(len(watches), np.int64)
        self._hears: npt.NDArray[np.bool_] = np.zeros(len(watches), np.bool_)
        self.next_silence = FAR
        self._latest = NEVER
        """No row was heard later."""

    # --- readings ------------------------------------------------------------------------------

    def lively(
        self, group: Group, time: Ints, overdue: int | None = None, *, is_newest: bool = False
    ) -> tuple[Ints, Ints, Ints]:
        """All readings in the group of rows where something may change.

        With them the rules of which there is nothing to say but that their point was read for the first
        time, and when: those rows stand so from now on. Rows silent since before `overdue` are lively
        in any case. `is_newest`: no reading of the group is late or history, as was seen before.
        """
        even = self._even(group, time, overdue, is_newest=is_newest)
        if even.all():
            return NONE, NONE, NONE
        rules, since, index = self._first_heard(group, time, np.flatnonzero(~even))
        found = self._sift(group, time, index, overdue)
        if not len(found):
            return rules, since, found
        self._flag[found] = True
        index = np.flatnonzero(self._flag[group.row])
        self._flag[found] = False
        return rules, since, index

    def _even(
        self, group: Group, time: Ints, overdue: int | None, *, is_newest: bool
    ) -> npt.NDArray[np.bool_]:
        """Readings that change nothing, as far as a look at their row's bands can tell."""
        row, even = group.row, np.empty(len(group), np.bool_)
        for start in range(0, len(group), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            value, of = group.value[part], row[part]
            within = np.greater_equal(value, self.lo.take(of, mode=UNCHECKED), out=even[part])
            within &= value <= self.hi.take(of, mode=UNCHECKED)
        if not is_newest:
            even &= group.live
            even &= time >= self.last.take(row)
        if group.quality.max(initial=GOOD) != GOOD:  # twice as fast as any()
            even &= self._codes[self._policy[row], group.quality] == USABLE
        if overdue is not None:
            even &= self.last.take(row) >= overdue
        return even

    def _first_heard(self, group: Group, time: Ints, index: Ints) -> tuple[Ints, Ints, Ints]:
        """Of readings that stand out, as each of an unread row does, those that only end its wait; and the others."""
        row = group.row[index]
        unread = self._unread[row] >= group.received
        if not unread.any():
            return NONE, NONE, index
        self._flag[row[unread]] = True
        self._flag[row[~self._dull(group, index, row)]] = False
        first = self._flag[row]
        np.minimum.at(self._since, row[first], time[index[first]])
        rows = np.flatnonzero(self._flag)
        since = self._since[rows]
        fresh = since >= np.maximum(self.last[rows], group.received - self._brief[rows])
        self._flag[rows[~fresh]] = False
        first = self._flag[row]
        rules, since = self._begin(rows[fresh])
        self._flag[rows], self._since[rows] = False, FAR
        return rules, since, index[~first]

    def _dull(self, group: Group, index: Ints, row: Ints) -> npt.NDArray[np.bool_]:
        """Good live readings that begin nothing."""
        value = group.value[index]
        dull: npt.NDArray[np.bool_] = group.live[index] & (group.quality[index] == GOOD)
        dull &= (value >= self._stale_lo[row]) & (value <= self._stale_hi[row])
        return dull

    def _begin(self, rows: Ints) -> tuple[Ints, Ints]:
        """The rows, which are flagged, were read for the first time: the rules that are known now, and since when."""
        if not len(rows):
            return NONE, NONE
        self.lo[rows], self.hi[rows] = self._stale_lo[rows], self._stale_hi[rows]
        self.dead[rows], self._unread[rows] = False, NEVER
        rules = np.flatnonzero(self._flag[self.row_of] & ~self._hears)
        since = self._since[self.row_of[rules]]
        self._hears[rules] = True
        due = np.maximum(since, self._silence_base[rules]) + self._silence[rules] + 1
        self.next_silence = min(self.next_silence, int(due.min(initial=FAR)))
        return rules, since

    def _sift(self, group: Group, time: Ints, index: Ints, overdue: int | None) -> Ints:
        """Of the readings that stand out, those that can change something; their rows, once each."""
        index = index[self._ruled[group.row[index]]]
        row, value = group.row[index], group.value[index]
        code = self._codes[self._policy[row], group.quality[index]]
        code = np.where(np.isfinite(value), code, LOST)
        past = ~group.live[index] | (time[index] < self.last[row])
        calm = (value >= self._calm_lo[row]) & (value <= self._calm_hi[row]) & (code == USABLE)
        quiet_past = ((code == LOST) | calm) & ~self._late_open[row]
        stale = group.received - time[index] > self._patience[row]
        stale &= (value >= self._stale_lo[row]) & (value <= self._stale_hi[row])
        quiet_live = np.where(code == LOST, self.dead[row], stale & (code == USABLE))
        if overdue is not None:
            quiet_live &= self.last[row] >= overdue
        self._flag[row[~np.where(past, quiet_past, quiet_live)]] = True
        found = np.flatnonzero(self._flag)
        self._flag[found] = False
        return found

    def fit(self, rows: int) -> None:
        """The live table has so many rows now."""
        if rows > self._size:
            self._grow(rows)

    def set_back(self, group: Group) -> bool:
        """Whether its rows were last heard after the group came: the server's clock was set back, and all were heard until now."""
        latest = group.received + SET_BACK_MS
        if self._latest <= latest or not (self.last[group.row] > latest).any():
            return False
        np.minimum(self.last, group.received, out=self.last)
        self._latest = group.received
        self.next_silence = min(self.next_silence, group.received)
        return True

    def heard(self, group: Group, time: Ints, *, is_newest: bool = False) -> None:
        """Remember when each row last spoke; what is late or history does not count. No time is after the group's receive time. `is_newest` as in `lively`."""
        row = group.row
        if not (is_newest or group.live.all()):
            row, time = row[group.live], time[group.live]
        np.maximum.at(self.last, row, time)
        self._latest = max(self._latest, group.received)

    def recall(self, rows: Ints, times: Ints) -> None:
        """The rows, once each, were last heard at these times."""
        self.last[rows] = times
        self._latest = max(self._latest, int(times.max(initial=NEVER)))

    def last_of(self, row: int) -> int | None:
        """The time of the row's last live reading, None without one."""
        last = int(self.last[row])
        return None if last == NEVER else last

    # --- silence -------------------------------------------------------------------------------

    def silent_by(self, until: int) -> list[int]:
        """Rules whose silence begins at or before `until`."""
        if until < self.next_silence:
            return []
        base = np.maximum(self.last[self.row_of], self._silence_base)
        due = np.where(self._hears, base + self._silence + 1, FAR)
        self.next_silence = int(due.min(initial=FAR))
        found: list[int] = np.flatnonzero(due <= until).tolist()
        return found

    # --- states --------------------------------------------------------------------------------

    def settle(
        self, row: int, states: Sequence[ConditionState], value: float | None = None
    ) -> None:
        """The rules of a row stand like `states` now; `value` is the row's last usable value."""
        if value is not None:
            self._value[row] = value
        rules = self.rules_of[row]
        fresh, stale = EVERYTHING, EVERYTHING
        dead, late_open, unread = True, False, FAR
        for rule, state in zip(rules, states, strict=True):
            watch = self.watches[rule]
            own_fresh, own_stale = quiet_bands(watch, state, float(self._value[row]))
            fresh, stale = both(fresh, own_fresh), both(stale, own_stale)
            dead = dead and _dead(watch, state)
            late_open = late_open or state.late is not None
            unread = min(unread, _unread_until(watch, state))
            self._listen(rule, watch, state)
        self.lo[row], self.hi[row] = fresh
        self._stale_lo[row], self._stale_hi[row] = stale
        self.dead[row], self._late_open[row] = dead, late_open
        self._unread[row] = unread if fresh == NOTHING else NEVER

    def _listen(self, rule: int, watch: Watch, state: ConditionState) -> None:
        instant = silence_at(watch, state)
        self._hears[rule] = instant is not None
        self._silence_base[rule] = state.watched
        if instant is not None:
            self.next_silence = min(self.next_silence, instant)

    # --- inside --------------------------------------------------------------------------------

    def _grow(self, size: int) -> None:
        size = max(64, 2 * size)
        kept = self._size
        columns: dict[str, tuple[npt.DTypeLike, object]] = {
            "lo": (np.float64, -BIG),
            "hi": (np.float64, BIG),
            "_stale_lo": (np.float64, -BIG),
            "_stale_hi": (np.float64, BIG),
            "_patience": (np.int64, 0),
            "_brief": (np.int64, 0),
            "_unread": (np.int64, NEVER),
            "_since": (np.int64, FAR),
            "_calm_lo": (np.float64, -BIG),
            "_calm_hi": (np.float64, BIG),
            "_value": (np.float64, np.nan),
            "last": (np.int64, NEVER),
            "dead": (np.bool_, True),
            "_ruled": (np.bool_, False),
            "_late_open": (np.bool_, False),
            "_flag": (np.bool_, False),
            "_policy": (np.int64, 0),
        }
        for name, (kind, empty) in columns.items():
            column = np.full(size, empty, kind)
            if kept:
                column[:kept] = getattr(self, name)
            setattr(self, name, column)
        self._size = size
        self._ruled[list(self.rules_of)] = True

    def _qualities(self) -> npt.NDArray[np.uint8]:
        """What each quality means, one line for each mix of tolerances that a row's rules have."""
        lines: dict[frozenset[frozenset[int]], int] = {frozenset(): 0}
        for row, rules in self.rules_of.items():
            mix = frozenset(self.watches[rule].usable for rule in rules)
            self._policy[row] = lines.setdefault(mix, len(lines))
        table = np.zeros((len(lines), 256), np.uint8)
        for mix, line in lines.items():
            for code in range(256):
                accepted = {code in usable for usable in mix}
                table[line, code] = SINGLY if len(accepted) == 2 else LOST * (False in accepted)
        table[1:, IN_TEST] = SINGLY
        return table

    def _calm(self) -> None:
        for row, rules in self.rules_of.items():
            bands = [_calm_band(self.watches[rule]) for rule in rules]
            self._calm_lo[row] = max(low for low, _ in bands)
            self._calm_hi[row] = min(high for _, high in bands)
            silences = [self.watches[rule].silence for rule in rules]
            self._patience[row], self._brief[row] = max(silences), min(silences)


def _dead(watch: Watch, state: ConditionState) -> bool:
    """Whether another unusable reading would change nothing."""
    if not watch.silent:
        return state.unknown
    level = state.levels[0]
    return level.active == (level.since is None)


def _unread_until(watch: Watch, state: ConditionState) -> int:
    """Up to when a usable reading that changes no level can be the first one, with no timer before it."""
    if not watch.silent:
        return FAR if state.unknown and not state.read else NEVER
    level, instant = state.levels[0], silence_at(watch, state)
    return NEVER if instant is None or level.active else instant - 1


def _calm_band(watch: Watch) -> Interval:
    """Values that are not abnormal, whatever came before."""
    match watch.rule.kind:
        case "silent":
            return EVERYTHING
        case "state":
            first = min(watch.rule.abnormal_states, default=BIG)
            return -BIG, float(np.nextafter(first, -np.inf))
        case "limit":
            highs = [level.limit for level in watch.rule.levels if level.side == "high"]
            lows = [level.limit for level in watch.rule.levels if level.side == "low"]
            return max(lows, default=-BIG), min(highs, default=BIG)
