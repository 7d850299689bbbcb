"""Where the requests to a model must be cut, as refusals taught it; none of it for good, as each may have been a bad hour."""

import math
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Final

from edge.registers import Cut

FIRST_S: Final = 120.0
"""A cut holds for so long when it is new: for longer than a refused point rests."""
GROWTH: Final = 4.0
"""Found again after it ended, it holds for so many times as long as the last time, at most for `LONGEST_S`."""
LONGEST_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class _Held:
    """Since when a cut holds or held, until when, and for how long it does if it is found once more."""

    since: float
    until: float
    lasts_s: float


class Cuts:
    """The cuts of one profile; times are seconds of a monotonic clock.

    One that is found again while it holds, of a range that is refused when it is asked for alone, holds as
    long again. One that is found soon after another ends with it: both are then found as they were this time.
    """

    def __init__(self) -> None:
        self.holding: Set[Cut] = frozenset()
        self._known: dict[Cut, _Held] = {}
        self._next_end = math.inf

    def end(self, now: float) -> bool:
        """Let go of those that have held long enough; whether there was any."""
        if now < self._next_end:
            return False
        self._hold(cut for cut in self.holding if self._known[cut].until > now)
        return True

    def learn(self, found: Iterable[Cut], now: float) -> set[Cut]:
        """Hold these; those of them that were not held until now."""
        cuts = set(found)
        self._known |= {cut: self._held(cut, now) for cut in cuts}
        self._known = {
            cut: held for cut, held in self._known.items() if held.until + LONGEST_S > now
        }
        new = cuts - self.holding
        self._hold(self.holding | new)
        return new

    def _held(self, cut: Cut, now: float) -> _Held:
        known = self._known.get(cut)
        if known and cut in self.holding:
            return _Held(known.since, now + known.lasts_s, known.lasts_s)
        lasts_s = min(known.lasts_s * GROWTH, LONGEST_S) if known else FIRST_S
        fresh = [held for held in map(self._known.__getitem__, self.holding) if now - held.since < FIRST_S]  # fmt: skip
        if fresh and (longest := max(fresh, key=lambda held: held.lasts_s)).lasts_s >= lasts_s:
            return _Held(now, longest.until, longest.lasts_s)
        return _Held(now, now + lasts_s, lasts_s)

    def _hold(self, cuts: Iterable[Cut]) -> None:
        self.holding = frozenset(cuts)
        self._next_end = min((self._known[cut].until for cut in self.holding), default=math.inf)
