"""Readings that change nothing while a rule stands as it does: passed over in whole stretches, not one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from collector.domain.conditions import GOOD, ConditionState, LevelState, Sample, Watch
from collector.groups import Group
from config.rules import Level
from edge.readings import Codes, Floats, Ints

BIG: Final = float(np.finfo(np.float64).max)
"""An open end of a band: every finite value is within, the infinite ones are not."""
LOOKED_AT_FIRST: Final = 512
"""Readings looked at together; eight times as many each time that all of them were quiet."""

Interval = tuple[float, float]
EVERYTHING: Final[Interval] = (-BIG, BIG)
NOTHING: Final[Interval] = (np.inf, -np.inf)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Readings of one row in order of source time: columns of equal length, not empty.

    `time` is the counted time (never later than `received`), `live` False for history. Of those that
    are equal in source time and `live`, only the last to arrive is there (rules-alarms 10). `gap` is
    the time since the reading before (0 for the first), `good` what is live and of good quality.
    """

    time: Ints
    value: Floats
    quality: Codes
    live: npt.NDArray[np.bool_]
    received: int
    gap: Ints
    good: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def of(cls, group: Group, time: Ints, part: Ints) -> Self:
        """The readings `part` of a group, which are in order of source time, equal ones of arrival."""
        source, live = group.time[part], group.live[part]
        if (source[1:] == source[:-1]).any():
            part = part[_last_of_equals(source, live)]
            live = group.live[part]
        counted, quality = time[part], group.quality[part]
        gap = np.zeros_like(counted)
        np.subtract(counted[1:], counted[:-1], out=gap[1:])
        good = live & (quality == GOOD)
        return cls(counted, group.value[part], quality, live, group.received, gap, good)

    def sample(self, at: int) -> Sample:
        """One reading as a rule sees it."""
        return Sample(
            int(self.time[at]), float(self.value[at]), int(self.quality[at]), self.received
        )

    def last_live(self, since: int | None) -> Sample | None:
        """The last live reading, if it is not older than `since`."""
        at = len(self) - 1 if self.live[-1] else int(np.flatnonzero(self.live).max(initial=-1))
        if at < 0 or (since is not None and self.time[at] < since):
            return None
        return self.sample(at)


def stretches(group: Group, time: Ints, index: Ints) -> Iterator[tuple[int, Stretch]]:
    """The readings `index` of a group by row, each row with all of its readings there."""
    if not len(index):
        return
    row = group.row[index]
    order = np.lexsort((group.time[index], row))
    index, row = index[order], row[order]
    for part in np.split(index, np.flatnonzero(np.diff(row)) + 1):
        yield int(group.row[part[0]]), Stretch.of(group, time, part)


def _last_of_equals(source: Ints, live: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    kept = np.ones(len(source), np.bool_)
    for index in (np.flatnonzero(live), np.flatnonzero(~live)):
        kept[index[:-1]] = source[index[1:]] != source[index[:-1]]
    return kept


class Quiet:
    """Which good readings of one row a rule may pass over, standing as it does."""

    __slots__ = ("_fresh", "_silence", "_stale")

    def __init__(self, watch: Watch, state: ConditionState, value: float) -> None:
        self._silence = watch.silence
        self._fresh, self._stale = quiet_bands(watch, state, value)

    def past(self, stretch: Stretch, at: int, last: int | None) -> tuple[int, int | None]:
        """Pass over readings from `at` on that change nothing but when the point was last heard.

        `last` is when it was heard before `at`. Gives the first reading that may change more (the
        stretch's length if none may), and when the point was heard before that.
        """
        looked_at = LOOKED_AT_FIRST
        while last is not None and at < len(stretch):
            covered = self._covers(stretch, slice(at, at + looked_at), last)
            passed = len(covered) if covered.all() else int(covered.argmin())
            if passed:
                at += passed
                last = int(stretch.time[at - 1])
            if passed < len(covered):
                break
            looked_at *= 8
        return at, last

    def _covers(self, stretch: Stretch, part: slice, last: int) -> npt.NDArray[np.bool_]:
        time, value, gap = stretch.time[part], stretch.value[part], stretch.gap[part].copy()
        gap[0] = time[0] - last
        covered = stretch.good[part] & (gap >= 0) & (gap <= self._silence)
        if self._fresh == self._stale:
            return covered & _within(value, self._fresh)
        stale = stretch.received - time > self._silence
        covered &= _within(value, self._stale) | ~stale
        return covered & (_within(value, self._fresh) | stale)


def _within(value: Floats, band: Interval) -> npt.NDArray[np.bool_]:
    return (value >= band[0]) & (value <= band[1])


def quiet_bands(watch: Watch, state: ConditionState, value: float) -> tuple[Interval, Interval]:
    """Usable values that change nothing as long as the rule stands so: fresh ones, and stale ones.

    `value` is the last one judged, NaN without one. Stale is what was silent already on arrival.
    """
    if state.in_test:
        return NOTHING, NOTHING
    match watch.rule.kind:
        case "silent":
            level = state.levels[0]
            heard = level.active == (level.since is not None)
            return (EVERYTHING if heard else NOTHING), EVERYTHING
        case "state":
            band = NOTHING if np.isnan(value) else (value, value)
            if state.unknown and (value in watch.rule.abnormal_states) != state.abnormal:
                band = NOTHING  # silence dropped the delay that this value had begun
        case "limit":
            band = EVERYTHING
            for written, at in zip(watch.rule.levels, state.levels, strict=True):
                band = both(band, _level_band(written, watch.rule.deadband, at))
    return (NOTHING if state.unknown else band), band


def both(one: Interval, other: Interval) -> Interval:
    """What is within both."""
    return max(one[0], other[0]), min(one[1], other[1])


def _level_band(level: Level, deadband: float, state: LevelState) -> Interval:
    """Beyond the limit or this side of it, by whether a change is in progress."""
    sign = 1.0 if level.side == "high" else -1.0
    edge = sign * level.limit - (deadband if state.active else 0.0)
    beyond = state.active == (state.since is None)
    if state.since is not None:
        edge = float(np.nextafter(edge, np.inf if beyond else -np.inf))
    low, high = (edge, BIG) if beyond else (-BIG, edge)
    return (low, high) if level.side == "high" else (-high, -low)
