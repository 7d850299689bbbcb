"""What the planner of reads is held against: exact searches of another kind."""

import heapq
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, chain, combinations

from benchmarks.read_maps import Map, Span, Wanted
from edge.registers import LinkCost


def optimum(one: Map, cost: LinkCost) -> tuple[float, int]:
    """Least seconds that can read the map, and in how many requests, whatever its values are scaled by.

    The shortest way through its addresses: a request begins where the first that is not read yet
    begins and ends where anything ends; it reads what lies whole in it. Requests, not values, are the
    steps of the search (Dijkstra), so that nothing of the planner's own reasoning is used.
    """
    ways = [_shortest(wanted, wanted.spans.values(), cost) for wanted in one.tables]
    return sum(seconds for seconds, _ in ways), sum(requests for _, requests in ways)


def _shortest(wanted: Wanted, spans: Collection[Span], cost: LinkCost) -> tuple[float, int]:
    by_end = sorted(spans, key=lambda span: span[1])
    ends = [last for _, last in by_end]
    starts = [*accumulate((first for first, _ in reversed(by_end)), min)][::-1]
    """Where the first of all begins that end no earlier."""
    waiting: list[tuple[float, int, int]] = [(0.0, 0, 0)]
    done: set[int] = set()
    while True:
        seconds, requests, at = heapq.heappop(waiting)
        if at == len(ends):
            return seconds, requests
        if at in done:
            continue
        done.add(at)
        for end in dict.fromkeys(ends[at:]):
            if not wanted.allows((starts[at], end)):
                break
            step = cost.of(wanted.table, end - starts[at] + 1)
            heapq.heappush(waiting, (seconds + step, requests + 1, bisect_right(ends, end)))


def least_choice(one: Map, cost: LinkCost) -> float:
    """Least seconds that can read the map and every value with an exponent that is its own, by trying every choice.

    Each exponent comes in one request with each of its values, or it is asked for once more; that
    it then comes before and after all that needs it is taken for granted, so no plan takes less.
    """
    return sum(min(_choices(one, wanted, cost)) for wanted in one.tables)


def _choices(one: Map, wanted: Wanted, cost: LinkCost) -> Iterable[float]:
    windows, again = _ties(one, wanted)
    free = [id for id in windows if id not in again]
    for together in chain.from_iterable(combinations(free, n) for n in range(len(free) + 1)):
        held = [window for id in together for window in windows[id]]
        once, _ = _shortest(wanted, [*wanted.spans.values(), *held], cost)
        more = [wanted.spans[id] for id in {*again, *free} - {*together}]
        yield once + _shortest(wanted, more, cost)[0]


def always_together(one: Map, cost: LinkCost) -> float:
    """Least seconds if each value comes with its exponent wherever one request can hold both; the order as in `least_choice`."""
    seconds = 0.0
    for wanted in one.tables:
        windows, again = _ties(one, wanted)
        held = chain.from_iterable(windows.values())
        seconds += _shortest(wanted, [*wanted.spans.values(), *held], cost)[0]
        seconds += _shortest(wanted, [wanted.spans[id] for id in again], cost)[0]
    return seconds


def _ties(one: Map, wanted: Wanted) -> tuple[Mapping[str, Sequence[Span]], Collection[str]]:
    """Exponents of the table with what holds each and one of its values; those of a value that no request holds too."""
    windows: dict[str, list[Span]] = {}
    again: set[str] = set()
    for value, exponent in one.exponents.items():
        if exponent not in wanted.spans:
            continue
        both = [wanted.spans[id] for id in (value, exponent) if id in wanted.spans]
        if len(both) == 2 and wanted.allows(wanted.joined(both)):
            windows.setdefault(exponent, []).append(wanted.joined(both))
        else:
            again.add(exponent)
    return windows, again
