"""The best published greedy, beside which the planner of reads is held: as it is, and with what gives each value its own exponent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

from benchmarks.read_maps import Map, Span, Wanted
from config.profile import Table
from edge.registers import LinkCost

HOLES_MAX: Final = 125


@dataclass(frozen=True, slots=True)
class Insert:
    """One request of the greedy, and the points that it tells."""

    table: Table
    span: Span
    told: tuple[str, ...]

    @property
    def count(self) -> int:
        """Registers or bits asked for."""
        return self.span[1] - self.span[0] + 1


class Least(NamedTuple):
    """What the best of some plans takes; each figure may be of another plan."""

    seconds: float
    requests: int


Plan = Sequence[Insert]
_Spans = Mapping[Table, Mapping[str, Span]]
"""What one request must hold for each point."""


def max_inserts(one: Map) -> list[Plan]:
    """What the greedy does with each hole of 0..125."""
    return _with_each_hole(one, _own(one))


def max_insert(one: Map, hole: int) -> Plan:
    """The requests of the greedy that Telegraf calls `max_insert`, restated.

    From the first address on, the next value joins the request while the registers between them are
    at most `hole` and the whole is not too long (Telegraf plugins/inputs/modbus, `max_insert` with
    `optimization_max_register_fill`). What it does not know holds for it too: forbidden registers
    part a request, and what must come together counts as one value. Of exponents it knows nothing:
    a value may be scaled by one of another moment (but see `least_confirmed`).
    """
    return _inserted(one, _own(one), hole)


def best_of(plans: Iterable[Plan], cost: LinkCost) -> Least:
    """Of the cheapest and of the shortest of these; nothing where there is none."""
    found = [(sum(cost.of(request.table, request.count) for request in plan), len(plan)) for plan in plans]  # fmt: skip
    return Least(*map(min, zip(*found, strict=True))) if found else Least(0.0, 0)


def least_confirmed(one: Map, cost: LinkCost) -> Least:
    """What the best of `max_insert` takes if every value is to have an exponent that is its own, as in our plans (decision 143).

    With each hole, as it is and with a value and its exponent as one wherever one request can hold both. An
    exponent that then does not come in the answer with each of its values is asked for once more, by the
    greedy with each hole. That it so comes before and after all that needs it is taken for granted: no less will do.
    """
    found = [
        _sum(best_of([plan], cost), _again(one, unconfirmed(one, plan), cost))
        for spans in (_own(one), _bound(one))
        for plan in _with_each_hole(one, spans)
    ]
    return Least(*map(min, zip(*found, strict=True))) if found else Least(0.0, 0)


def unconfirmed(one: Map, plan: Plan) -> frozenset[str]:
    """Exponents that are not in the answer that tells one of their values."""
    span_of = {id: (wanted.table, span) for wanted in one.tables for id, span in wanted.spans.items()}  # fmt: skip
    return frozenset(
        exponent
        for request in plan
        for exponent in {one.exponents[id] for id in request.told if id in one.exponents}
        for table, (first, last) in [span_of[exponent]]
        if table != request.table or first < request.span[0] or request.span[1] < last
    )


def _again(one: Map, exponents: frozenset[str], cost: LinkCost) -> Least:
    spans = {t: {id: s for id, s in own.items() if id in exponents} for t, own in _own(one).items()}
    return best_of(_with_each_hole(one, spans), cost)


def _sum(one: Least, other: Least) -> Least:
    return Least(one.seconds + other.seconds, one.requests + other.requests)


def _own(one: Map) -> _Spans:
    return {wanted.table: wanted.spans for wanted in one.tables}


def _bound(one: Map) -> _Spans:
    return {wanted.table: {**wanted.spans, **_windows(one, wanted)} for wanted in one.tables}


def _windows(one: Map, wanted: Wanted) -> Mapping[str, Span]:
    """What holds a value and its exponent, where one request can."""
    pairs = ((id, other) for id, other in one.exponents.items() if {id, other} <= {*wanted.spans})
    found = {id: wanted.joined((wanted.spans[id], wanted.spans[other])) for id, other in pairs}
    return {id: window for id, window in found.items() if wanted.allows(window)}


def _with_each_hole(one: Map, spans: _Spans) -> list[Plan]:
    """Only a hole as wide as a gap of the map changes anything."""
    gaps = {0}
    for some in spans.values():
        ordered = sorted(some.values())
        ends = accumulate((last for _, last in ordered), max)
        gaps |= {first - end - 1 for end, (first, _) in zip(ends, ordered[1:], strict=False)}
    return [_inserted(one, spans, hole) for hole in gaps if 0 <= hole <= HOLES_MAX]


def _inserted(one: Map, spans: _Spans, hole: int) -> Plan:
    requests: list[Insert] = []
    for wanted in one.tables:
        begun = len(requests)
        rows = sorted(spans[wanted.table].items(), key=lambda row: row[1])
        for id, (first, last) in rows:
            before = requests[-1] if len(requests) > begun else None
            whole = (before.span[0], max(before.span[1], last)) if before else (first, last)
            if before and first - before.span[1] - 1 <= hole and wanted.allows(whole):
                requests[-1] = Insert(wanted.table, whole, (*before.told, id))
            else:
                requests.append(Insert(wanted.table, (first, last), (id,)))
    return requests
