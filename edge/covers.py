"""The cheapest requests that hold given stretches of addresses whole: integers and seconds only, exact."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from edge.spans import Pairs, Span, Spans


class Bounds:
    """What one request to a table may be: at most so long, nothing forbidden in it, no pair of addresses that a device parts."""

    def __init__(
        self, longest: int, forbidden: Iterable[Span] = (), cuts: Iterable[Span] = ()
    ) -> None:
        self._longest = longest
        self._forbidden = Spans.of(forbidden)
        self._cuts = Pairs(cuts)
        self._known: dict[int, int] = {}

    def readable(self, span: Span) -> bool:
        """Whether one request may ask for all of this if nothing less will do."""
        return span[0] >= self._lowest(span[1]) and span[1] <= 0xFFFF

    def joinable(self, span: Span) -> bool:
        """Whether one request may hold all of this."""
        return span[0] >= self.earliest(span[1]) and span[1] <= 0xFFFF

    def earliest(self, last: int) -> int:
        """Where a request that ends at `last` may begin at the earliest."""
        if last not in self._known:
            self._known[last] = max(self._lowest(last), self._cuts.opened_by(last) + 1)
        return self._known[last]

    def _lowest(self, last: int) -> int:
        return max(last - self._longest, self._forbidden.nearest(last)) + 1


@dataclass(frozen=True, slots=True)
class Steps:
    """What a request costs: so much, and so much for each begun step of `size` registers or bits."""

    request_s: float
    size: int
    step_s: float


def outermost(spans: Iterable[Span]) -> list[Span]:
    """Those that lie in no other, in order: both their first and their last addresses rise."""
    kept: list[Span] = []
    for span in sorted(spans):
        if kept and kept[-1][0] == span[0]:
            kept[-1] = span
        elif not kept or kept[-1][1] < span[1]:
            kept.append(span)
    return kept


def cheapest(spans: Sequence[Span], bounds: Bounds, steps: Steps) -> tuple[float, list[slice]]:
    """Seconds, and which of the spans (see `outermost`) each request holds; a span alone is always allowed.

    The dynamic programme best(end) = min over start of best(start) + cost(first(start)..last(end)),
    in one pass: where begun steps are counted, the cost of a request falls into a part of its start
    and a part of its end, but for one step that depends on the two places within a step. So among
    the starts of one place the best so far is known, whatever the end (a queue of minima over the
    window of allowed starts for each place).
    """
    best, starts = [0.0], [0]
    queues: list[deque[tuple[float, int, int]]] = [deque() for _ in range(steps.size)]
    for at, (first, last) in enumerate(spans):
        whole, place = divmod(first, steps.size)
        value, queue = best[at] - whole * steps.step_s, queues[place]
        while queue and queue[-1][0] > value:
            queue.pop()
        queue.append((value, at, first))
        cost, start = _ending_at(last, min(first, bounds.earliest(last)), queues, steps)
        best.append(cost + steps.request_s)
        starts.append(start)
    return best[-1], _cut(starts)


def _ending_at(
    last: int, low: int, queues: Sequence[deque[tuple[float, int, int]]], steps: Steps
) -> tuple[float, int]:
    """Least seconds but one request's, and the start, of a request from `low` or later to `last`."""
    whole, rest = divmod(last + 1, steps.size)
    least, best_start = inf, 0
    for place, queue in enumerate(queues):
        while queue and queue[0][2] < low:
            queue.popleft()
        if queue:
            value, start, _ = queue[0]
            cost = value + steps.step_s * (whole + (rest > place))
            if cost < least:
                least, best_start = cost, start
    return least, best_start


def _cut(starts: Sequence[int]) -> list[slice]:
    found: list[slice] = []
    end = len(starts) - 1
    while end:
        found.append(slice(starts[end], end))
        end = starts[end]
    return found[::-1]
