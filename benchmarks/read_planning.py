"""What the planner of reads is held against: exact searches of another kind, and the best published greedy."""

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from benchmarks.read_maps import Map, Span, Wanted
from config.profile import Table
from edge.registers import LinkCost

HOLES_MAX: Final = 125


def optimum(one: Map, cost: LinkCost) -> tuple[float, int]:
    """Least seconds that can read the map, and in how many requests: the shortest way through its addresses.

    A request begins where the first that is not read yet begins and ends where anything ends; it
    reads what lies whole in it. Requests, not values, are the steps of the search (Dijkstra), so that
    nothing of the planner's own reasoning is used.
    """
    ways = [_shortest(wanted, cost) for wanted in one.tables]
    return sum(seconds for seconds, _ in ways), sum(requests for _, requests in ways)


def _shortest(wanted: Wanted, cost: LinkCost) -> tuple[float, int]:
    by_end = sorted(wanted.windows, key=lambda window: window[1])
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


def least_of_all(one: Map, cost: LinkCost) -> float:
    """Least seconds, by trying every way to share out the windows among requests: for a handful a table."""
    return sum(
        min(
            sum(cost.of(wanted.table, last - first + 1) for first, last in requests)
            for requests in _all_ways(wanted.windows)
            if all(map(wanted.allows, requests))
        )
        for wanted in one.tables
    )


def _all_ways(windows: Sequence[Span]) -> Iterator[list[Span]]:
    if not windows:
        yield []
        return
    (first, last), *others = windows
    for way in _all_ways(others):
        yield [(first, last), *way]
        for n, (begin, end) in enumerate(way):
            yield [*way[:n], (min(first, begin), max(last, end)), *way[n + 1 :]]


def max_inserts(one: Map) -> list[list[tuple[Table, int]]]:
    """What the greedy does with each hole of 0..125: only a hole as wide as a gap of the map changes it."""
    gaps = {0}
    for wanted in one.tables:
        windows = sorted(wanted.windows)
        ends = accumulate((last for _, last in windows), max)
        gaps |= {first - end - 1 for end, (first, _) in zip(ends, windows[1:], strict=False)}
    return [max_insert(one, hole) for hole in gaps if 0 <= hole <= HOLES_MAX]


def max_insert(one: Map, hole: int) -> list[tuple[Table, int]]:
    """Tables and lengths of the requests of the greedy that Telegraf calls `max_insert`, restated.

    From the first address on, the next value joins the request while the registers between them are
    at most `hole` and the whole is not too long (Telegraf plugins/inputs/modbus, `max_insert` with
    `optimization_max_register_fill`). What it does not know holds for it too: forbidden registers
    part a request, and what must come together counts as one value.
    """
    requests: list[tuple[Table, int]] = []
    for wanted in one.tables:
        windows = sorted(wanted.windows)
        first, end = windows[0]
        for start, last in windows[1:]:
            whole = first, max(end, last)
            if start - end - 1 <= hole and wanted.allows(whole):
                end = whole[1]
            else:
                requests.append((wanted.table, end - first + 1))
                first, end = start, last
        requests.append((wanted.table, end - first + 1))
    return requests
