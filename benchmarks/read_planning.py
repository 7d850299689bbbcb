"""What the planner of reads is held against: exact searches of another kind, and the best published greedy."""

import heapq
import math
from bisect import bisect_right
from itertools import accumulate
from typing import Final

from benchmarks.read_maps import Map, Span, Wanted, grown, last_of, register
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
    by_end = sorted(wanted.windows.values(), key=lambda window: window[1])
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
    """Least seconds, by trying every set of requests that may be asked for: for a handful of values a table.

    Nothing is said of windows here, only which values a request serves.
    """
    return sum(_least_of(one, wanted, cost) for wanted in one.tables)


def _least_of(one: Map, wanted: Wanted, cost: LinkCost) -> float:
    served = _served(one, wanted)
    least: dict[frozenset[str], float] = {frozenset(): 0.0}
    for id in wanted.windows:  # of all that serve the values before it, those that serve it too
        best: dict[frozenset[str], float] = {}
        for done, seconds in least.items():
            more = [(frozenset(), 0.0)] if id in done else [
                (own, cost.of(wanted.table, last - first + 1))
                for (first, last), own in served.items() if id in own
            ]  # fmt: skip
            for own, step in more:
                best[done | own] = min(best.get(done | own, math.inf), seconds + step)
        least = best
    return min(least.values())


def _served(one: Map, wanted: Wanted) -> dict[Span, frozenset[str]]:
    """Each request that may be asked for, and the values that are read as they must be by it.

    A value's exponent must be in it, unless no request can hold both.
    """
    together = [(first, last) for table, first, last in one.limits.together if table == wanted.table]  # fmt: skip
    spans = {
        point.id: grown((register(point).address, last_of(point)), together)
        for point in one.points if register(point).table == wanted.table
    }  # fmt: skip
    ends = {last for _, last in spans.values()}
    requests = [(first, last) for first, _ in spans.values() for last in ends if first <= last and wanted.allows((first, last))]  # fmt: skip
    held = {request: {id for id, span in spans.items() if request[0] <= span[0] and span[1] <= request[1]} for request in requests}  # fmt: skip
    pairs = {point.id: f"d/{register(point).scale_from}" for point in one.points}
    meet = {id for id, exponent in pairs.items() if any({id, exponent} <= own for own in held.values())}  # fmt: skip
    return {
        request: frozenset(id for id in own if id not in meet or pairs[id] in own)
        for request, own in held.items()
    }


def max_inserts(one: Map) -> list[list[tuple[Table, int]]]:
    """What the greedy does with each hole of 0..125: only a hole as wide as a gap of the map changes it."""
    gaps = {0}
    for wanted in one.tables:
        windows = sorted(wanted.windows.values())
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
        windows = sorted(wanted.windows.values())
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
