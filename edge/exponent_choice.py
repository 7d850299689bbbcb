"""Which exponents are asked for together with their values, and which once more: what is cheaper, by branch and bound."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from edge.covers import Bounds, Steps, cheapest, joined, outermost
from edge.spans import Span

WORK: Final = 1500
"""So many spans are looked at, then the best choice so far has to do: it bounds the time of planning."""
SAME: Final = 1.0 - 1e-12

Ties = Mapping[str, Mapping[str, Span | None]]
"""By exponent, its values: what one request must hold for both, None where none can."""


def windows(
    spans: Mapping[str, Span], ties: Ties, bounds: Bounds, steps: Steps
) -> tuple[Mapping[str, Span], bool]:
    """What one request must hold for values that are read with their exponent, the others are not in it; whether no choice is better.

    `spans` are all that is read of a table. An exponent comes with all its values of the table, or it
    is asked for once more, in as few requests as can be; which costs less in all. Exact where `WORK` is
    enough to look at every choice that no bound rules out; else the best of those looked at, never
    dearer than all together or all apart.
    """
    whole = {id: own for id, own in ties.items() if None not in own.values()}
    if not whole:
        return {}, True
    again = tuple(spans[id] for id in ties if id not in whole)
    rows = [_Tie(spans[id], outermost(filter(None, own.values()))) for id, own in whole.items()]
    search = _Search(outermost(spans.values()), rows, again, bounds, steps)
    chosen = search.best_of()
    found = {
        value: span
        for at, own in enumerate(whole.values())
        if at in chosen
        for value, span in own.items()
        if span is not None
    }
    return found, search.proven


class _Tie(NamedTuple):
    """What is asked for to have an exponent once more, and what holds it with all its values."""

    own: Span
    windows: Sequence[Span]


_Some = frozenset[int]
"""Of the ties."""


@dataclass(slots=True)
class _Search:
    """Two bounds rule choices out.

    More that must come together makes no requests cheaper, more to be asked for again makes that no cheaper.
    """

    spans: Sequence[Span]
    ties: Sequence[_Tie]
    again: Sequence[Span]
    bounds: Bounds
    steps: Steps
    best: _Some = frozenset()
    least: float = inf
    looked: int = 0
    proven: bool = True
    """Whether every choice was looked at or ruled out."""
    _known: dict[_Some, float] = field(default_factory=dict)
    _windows: Sequence[tuple[int, Span]] = field(init=False)
    """Which of the ties, and what must be held for it."""

    def __post_init__(self) -> None:
        self._windows = [(at, one) for at, tie in enumerate(self.ties) for one in tie.windows]

    def best_of(self) -> _Some:
        """The ties that should come together."""
        none: _Some = frozenset()
        waiting = [(*self._read(self.spans), self.spans, none)]
        if waiting[0][1]:
            windows = (window for _, window in self._windows)
            self._take(*self._read(outermost([*self.spans, *windows])))
        while waiting:
            seconds, broken, spans, apart = waiting.pop()
            self._take(seconds, broken)
            left = broken - apart
            if not left or seconds + self._asked_again(apart) >= self.least * SAME:
                continue
            if self.looked + 2 * len(spans) > WORK:  # read, and asked for again
                self.proven = False
                break
            one = self._farthest(left, apart)
            waiting.append((seconds, broken, spans, apart | {one}))
            near = joined(spans, self.ties[one].windows)
            waiting.append((*self._read(near), near, apart))
        return self.best

    def _take(self, seconds: float, broken: _Some) -> None:
        """Keep it if it is the best: those that its requests do not hold whole are asked for again."""
        found = seconds + self._asked_again(broken)
        if found < self.least:
            self.least, self.best = found, frozenset(range(len(self.ties))) - broken

    def _read(self, spans: Sequence[Span]) -> tuple[float, _Some]:
        """Seconds of the cheapest requests that hold these spans, and the ties that they do not hold."""
        self.looked += len(spans)
        seconds, parts = cheapest(spans, self.bounds, self.steps)
        firsts = [spans[part.start][0] for part in parts]
        lasts = [spans[part.stop - 1][1] for part in parts]
        return seconds, frozenset(
            at
            for at, (first, last) in self._windows
            if lasts[bisect_right(firsts, first) - 1] < last
        )

    def _asked_again(self, apart: _Some) -> float:
        """Seconds of asking once more for these, and for those that no request can hold with a value."""
        if apart not in self._known:
            spans = outermost([*self.again, *(self.ties[at].own for at in apart)])
            self.looked += len(spans)
            self._known[apart] = cheapest(spans, self.bounds, self.steps)[0]
        return self._known[apart]

    def _farthest(self, left: _Some, apart: _Some) -> int:
        """The tie whose exponent is farthest from what is asked for again: what lies between is mostly for nothing."""
        again = sorted(first for first, _ in (*self.again, *(self.ties[at].own for at in apart)))
        places = [-inf, *again, inf]

        def distance(at: int) -> float:
            first = self.ties[at].own[0]
            beyond = bisect_right(places, first)
            return min(first - places[beyond - 1], places[beyond] - first)

        return max(sorted(left), key=distance)
