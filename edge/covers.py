"""The cheapest requests that hold given stretches of addresses whole: integers and seconds only, exact."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from operator import itemgetter

from edge.spans import Pairs, Span, Spans

_FIRST, _LAST = itemgetter(0), itemgetter(1)


class Bounds:
    """What one request to a table may be: at most so long, nothing forbidden in it, no pair of addresses that a device parts."""

    def __init__(
        self, longest: int, forbidden: Iterable[Span] = (), cuts: Iterable[Span] = ()
    ) -> None:
        self._longest = longest
        self._forbidden = Spans.of(forbidden)
        self.earliest: Mapping[int, int] = _Earliest(longest, self._forbidden, Pairs(cuts))
        """Where a request that ends at an address may begin at the earliest."""

    def readable(self, span: Span) -> bool:
        """Whether one request may ask for all of this if nothing less will do."""
        first, last = span
        if self.joinable(span):
            return True
        lowest = max(last - self._longest, self._forbidden.nearest(last)) + 1
        return lowest <= first and last <= 0xFFFF

    def joinable(self, span: Span) -> bool:
        """Whether one request may hold all of this."""
        return span[0] >= self.earliest[span[1]] and span[1] <= 0xFFFF


class _Earliest(dict[int, int]):
    """By the last address of a request, worked out when it is first asked for: a look-up is a third of a call."""

    def __init__(self, longest: int, forbidden: Spans, cuts: Pairs) -> None:
        super().__init__()
        self._longest, self._forbidden, self._cuts = longest, forbidden, cuts

    def __missing__(self, last: int) -> int:
        before = max(
            last - self._longest, self._forbidden.nearest(last), self._cuts.opened_by(last)
        )
        self[last] = before + 1
        return before + 1


@dataclass(frozen=True, slots=True)
class Steps:
    """What a request costs: so much, and so much for each begun step of `size` registers or bits."""

    request_s: float
    size: int
    step_s: float


def outermost(spans: Iterable[Span]) -> list[Span]:
    """Those that lie in no other, in order: both their first and their last addresses rise."""
    ordered = sorted(spans)
    if len(ordered) < 2:
        return ordered
    kept: list[Span] = []
    for span in ordered:
        if kept and kept[-1][0] == span[0]:
            kept[-1] = span
        elif not kept or kept[-1][1] < span[1]:
            kept.append(span)
    return kept


def joined(spans: Sequence[Span], others: Iterable[Span]) -> list[Span]:
    """`outermost` of spans that are so already and a few others."""
    kept = [*spans]
    for first, last in others:
        beyond = bisect_left(kept, last, key=_LAST)
        if beyond == len(kept) or kept[beyond][0] > first:
            begin, end = bisect_left(kept, first, key=_FIRST), bisect_right(kept, last, key=_LAST)
            kept[begin:end] = [(first, last)]
    return kept


Cutting = Callable[[Sequence[Span], Bounds, Steps], tuple[float, list[slice]]]
"""Where to cut between requests: `cheapest`, or another way that is allowed."""


def cheapest(spans: Sequence[Span], bounds: Bounds, steps: Steps) -> tuple[float, list[slice]]:
    """Seconds, and which of the spans (see `outermost`) each request holds; a span alone is always allowed.

    The dynamic programme best(end) = min over start of best(start) + cost(first(start)..last(end)),
    in one pass: where begun steps are counted, the cost of a request falls into a part of its start
    and a part of its end, but for one step that depends on the two places within a step. So among
    the starts of one place the best so far is known, whatever the end (a queue of minima over the
    window of allowed starts for each place).
    """
    found = _by_register if steps.size == 1 else _by_step
    seconds, starts = found(spans, bounds, steps)
    return seconds, _cut(starts)


def filled_from_last(
    spans: Sequence[Span], bounds: Bounds, steps: Steps
) -> tuple[float, list[slice]]:
    """As few requests as can be, the last as long as may be, then the one before it, and so on; seconds without their bytes."""
    return cheapest(spans, bounds, Steps(steps.request_s, steps.size, 0.0))


def filled_from_first(
    spans: Sequence[Span], bounds: Bounds, steps: Steps
) -> tuple[float, list[slice]]:
    """The same from the first on."""
    begins = [0]
    for at, (_, last) in enumerate(spans):
        if at > begins[-1] and spans[begins[-1]][0] < bounds.earliest[last]:
            begins.append(at)
    parts = [*map(slice, begins, (*begins[1:], len(spans)))]
    return len(parts) * steps.request_s, parts


_Found = tuple[float, list[int]]
"""Least seconds for all; for as many of the spans, from the first on, where the last of their requests starts."""


def _by_register(spans: Sequence[Span], bounds: Bounds, steps: Steps) -> _Found:
    """As `_by_step` for steps of one, of which all starts have the same place: in half the time."""
    seconds, starts = 0.0, [0]
    queue: deque[tuple[float, int, int]] = deque()
    request_s, step_s, earliest = steps.request_s, steps.step_s, bounds.earliest
    for at, (first, last) in enumerate(spans):
        value = seconds - first * step_s
        while queue and queue[-1][0] > value:
            queue.pop()
        queue.append((value, first, at))
        low = earliest[last]
        if low > first:
            low = first
        value, begin, start = queue[0]
        while begin < low:
            queue.popleft()
            value, begin, start = queue[0]
        seconds = value + step_s * (last + 1) + request_s
        starts.append(start)
    return seconds, starts


def _by_step(spans: Sequence[Span], bounds: Bounds, steps: Steps) -> _Found:
    best, starts = [0.0], [0]
    queues: list[deque[tuple[float, int, int]]] = [deque() for _ in range(steps.size)]
    for at, (first, last) in enumerate(spans):
        whole, place = divmod(first, steps.size)
        value, queue = best[at] - whole * steps.step_s, queues[place]
        while queue and queue[-1][0] > value:
            queue.pop()
        queue.append((value, at, first))
        cost, start = _ending_at(last, min(first, bounds.earliest[last]), queues, steps)
        best.append(cost + steps.request_s)
        starts.append(start)
    return best[-1], starts


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
