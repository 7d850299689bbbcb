"""Which registers to ask for: pure, without knowing how they travel or what they mean."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice, product
from operator import itemgetter
from typing import Final, NamedTuple

from config.plant import Point
from config.profile import WORDS, ModbusLimits, Register, Table
from edge.covers import (
    Bounds,
    Cutting,
    Steps,
    cheapest,
    filled_from_first,
    filled_from_last,
    outermost,
)
from edge.exponent_choice import Ties, windows
from edge.read_order import Need, Order, best_order
from edge.spans import Span, Spans

TABLES: Final[tuple[Table, ...]] = ("holding", "input", "coil", "discrete")
BIT_TABLES: Final = frozenset({"coil", "discrete"})
_PROTOCOL_WORDS: Final = 125
_PROTOCOL_BITS: Final = 2000
_LOOKED_AT: Final = 1000
"""So many points are looked at to find the best order of requests: it bounds the time of planning."""
_CUT: Final = 900
"""So many points are divided among requests, once or again and again where no good order is found: it bounds the time of planning."""
_CUTTINGS: Final[Sequence[Cutting]] = (cheapest, filled_from_last, filled_from_first)

Cut = tuple[Table, int, int]
"""Two addresses of a table that no request may hold together, unless one value needs both."""


def register_of(point: Point) -> Register:
    """The point's register.

    Raises:
        TypeError: the point is not read by Modbus.
    """
    source = point.spec.source
    if not isinstance(source, Register):
        raise TypeError(f"{point.id} has no register")
    return source


def width(register: Register) -> int:
    """How many registers (or bits, in a table of bits) the value takes."""
    if register.table in BIT_TABLES:
        return 1
    return WORDS.get(register.type, register.words)


@dataclass(frozen=True, slots=True)
class LinkCost:
    """Seconds that one more request, and one more byte of its answer, take on a line.

    Without a line: TCP at 100 Mbit/s with a round trip of 10 ms.
    """

    request_s: float = 0.01
    byte_s: float = 0.000_000_1

    def of(self, table: Table, count: int) -> float:
        """Seconds of one request for `count` registers (two bytes each) or bits (eight to a byte)."""
        size = -(-count // 8) if table in BIT_TABLES else 2 * count
        return self.request_s + self.byte_s * size


class Unit(NamedTuple):
    """Registers that are read together or not at all, and the points that stand in them."""

    first: int
    last: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One request to one table: `count` registers or bits from `address` on."""

    table: Table
    address: int
    count: int
    units: tuple[Unit, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points that this request answers."""
        return tuple(point for unit in self.units for point in unit.points)

    @property
    def last(self) -> int:
        """The last address."""
        return self.address + self.count - 1

    def place_of(self, point: Point) -> int:
        """Where in the whole answer one point's own words begin."""
        return register_of(point).address - self.address

    def holds(self, point: Point) -> bool:
        """Whether the point's own words are in the answer, whatever it is asked for."""
        register = register_of(point)
        first, last = _span_of(register)
        return self.table == register.table and self.address <= first and last <= self.last

    def smaller(self, limits: ModbusLimits) -> "tuple[ReadRequest, ...]":
        """Two smaller requests for the same points, or one, or none where nothing may be left out.

        One unit is taken apart into its points: what is only asked for together because it is better
        so (a value and its exponent) comes by itself, what the device gives only together does not.
        """
        units: Sequence[Unit] = self.units
        if len(units) == 1:
            units = _apart(units[0].points, Spans.of(_spans_of(self.table, limits.together)))
        if len(units) == 1:
            alone = _request(self.table, units)
            return (alone,) if alone.count < self.count else ()
        middle = len(units) // 2
        return _request(self.table, units[:middle]), _request(self.table, units[middle:])

    def cut(self, parts: "Sequence[ReadRequest]") -> Cut:
        """What no request may hold if a device gives these parts (see `smaller`) but not the whole."""
        ends = parts[0].last, parts[-1].address
        return (self.table, *ends) if ends[0] < ends[1] else (self.table, self.address, self.last)


def plan_reads(
    points: Sequence[Point],
    limits: ModbusLimits,
    link: LinkCost,
    cuts: Sequence[Cut] = (),
) -> tuple[ReadRequest, ...]:
    """The requests that read these points, and in which order, so that the whole takes the least time.

    No request touches a forbidden register, is longer than the device allows or splits a value or a
    range that must be read together (such a range is read whole). Each point is in one request, those
    that cannot be read under these limits in none.

    The request of a value holds the exponent that `scale_from` names, or that is to be asked for once
    more (`unconfirmed`): where no request can hold both, or where that costs less, what is asked once
    more being counted (`exponent_choice`). The order is one in which once more is enough, if there is
    one (`read_order`); if none is found, requests that are as long as can be are tried too, which may
    hold other exponents. For a choice the cuts between requests are exact (`covers`). The whole is so
    where the search for the choice ends and there is such an order.
    """
    return planned(points, limits, link, cuts)[0]


def planned(
    points: Sequence[Point], limits: ModbusLimits, link: LinkCost, cuts: Sequence[Cut] = ()
) -> tuple[tuple[ReadRequest, ...], bool]:
    """What `plan_reads` gives, and whether the search for the choice ended."""
    tables = _tables(points, limits, link, cuts)
    pairs = _pairs(tables)
    chosen = [table.units(table.ties(pairs)) for table in tables]
    units, proven = [own for own, _ in chosen], all(known for _, known in chosen)
    plans: list[tuple[float, tuple[ReadRequest, ...]]] = []
    for ways in islice(_ways(tables), max(1, _CUT // max(1, len(points)))):
        requests = [*chain.from_iterable(map(_Table.requests, tables, units, ways))]
        order = _order(requests, tables, pairs)
        seconds = sum(link.of(request.table, request.count) for request in requests)
        plans.append((seconds + order.seconds, tuple(requests[n] for n in order.numbers)))
        if order.once and len(plans) == 1:
            break
    return min(plans, key=itemgetter(0))[1], proven


def _ways(tables: "Sequence[_Table]") -> Iterator[Sequence[Cutting]]:
    """How to cut each table; one of bits, which has no exponents, in one way."""
    return product(*(_CUTTINGS[: 1 if table.name in BIT_TABLES else None] for table in tables))


def _tables(
    points: Sequence[Point], limits: ModbusLimits, link: LinkCost, cuts: Sequence[Cut]
) -> "list[_Table]":
    by_table: dict[Table, list[tuple[Point, Span]]] = {table: [] for table in TABLES}
    for point in points:
        register = register_of(point)
        by_table[register.table].append((point, _span_of(register)))
    return [_table(name, own, limits, link, cuts) for name, own in by_table.items() if own]


def _table(
    name: Table,
    points: Sequence[tuple[Point, Span]],
    limits: ModbusLimits,
    link: LinkCost,
    cuts: Sequence[Cut],
) -> "_Table":
    bits = name in BIT_TABLES
    longest = min(limits.max_bits, _PROTOCOL_BITS) if bits else min(limits.max_words, _PROTOCOL_WORDS)  # fmt: skip
    bounds = Bounds(longest, _spans_of(name, limits.forbidden), _spans_of(name, cuts))
    steps = Steps(link.request_s, 8, link.byte_s) if bits else Steps(link.request_s, 1, 2 * link.byte_s)  # fmt: skip
    together = Spans.of(_spans_of(name, limits.together))
    table = _Table(name, {}, {}, {}, together, bounds, steps)
    for point, own in points:
        span = together.grown(own)
        if bounds.readable(span):
            table.points[point.id], table.own[point.id], table.spans[point.id] = point, own, span
    return table


def _spans_of(table: Table, ranges: Sequence[tuple[Table, int, int]]) -> tuple[Span, ...]:
    return tuple((first, last) for name, first, last in ranges if name == table)


_Pairs = Sequence[tuple[Point, Point]]
"""Values, and the exponents that they are scaled by."""


def _pairs(tables: "Sequence[_Table]") -> _Pairs:
    """Of which both can be read."""
    readable = {id: point for table in tables for id, point in table.points.items()}
    named = ((point, point.exponent) for point in readable.values())
    return [(value, readable[id]) for value, id in named if id in readable]


@dataclass(frozen=True, slots=True)
class _Table:
    """What can be read of one table: points and, by their ids, their own words and what must come with each; what holds for requests."""

    name: Table
    points: dict[str, Point]
    own: dict[str, Span]
    spans: dict[str, Span]
    together: Spans
    bounds: Bounds
    steps: Steps

    def units(self, ties: Ties) -> tuple[list[Unit], bool]:
        """What the cheapest requests that were found must not split; whether there are none cheaper."""
        wider, proven = windows(self.spans, ties, self.bounds, self.steps)
        return self._units({**self.spans, **wider}), proven

    def requests(self, units: Sequence[Unit], cut: Cutting) -> list[ReadRequest]:
        """In order of addresses."""
        _, parts = cut([(unit.first, unit.last) for unit in units], self.bounds, self.steps)
        return [_request(self.name, units[part]) for part in parts]

    def seconds(self, ids: Set[str]) -> float:
        """What asking for these alone takes, as if none had an exponent."""
        own = outermost(self.spans[id] for id in ids if id in self.spans)
        return cheapest(own, self.bounds, self.steps)[0]

    def ties(self, pairs: _Pairs) -> Ties:
        """Of the exponents of this table."""
        ties: dict[str, dict[str, Span | None]] = {}
        for value, exponent in pairs:
            if exponent.id in self.points:
                ties.setdefault(exponent.id, {})[value.id] = self._window(value, exponent)
        return ties

    def _window(self, value: Point, exponent: Point) -> Span | None:
        """What one request must hold for both; None if none can."""
        if value.id not in self.points:
            return None
        (first, last), (begin, end) = self.own[value.id], self.own[exponent.id]
        both = self.together.grown((min(first, begin), max(last, end)))
        return both if self.bounds.joinable(both) else None

    def _units(self, spans: Mapping[str, Span]) -> list[Unit]:
        """What must not be split, in order of addresses; a unit inside another is part of it."""
        units: list[Unit] = []
        rows = [
            (first, -last, point)
            for id, point in self.points.items()
            for first, last in [spans[id]]
        ]
        for first, last, point in sorted(rows, key=itemgetter(0, 1)):
            if units and -last <= units[-1].last:
                units[-1] = Unit(units[-1].first, units[-1].last, (*units[-1].points, point))
            else:
                units.append(Unit(first, -last, (point,)))
        return units


def _order(requests: Sequence[ReadRequest], tables: Sequence[_Table], pairs: _Pairs) -> Order:
    """The best order of those tried."""
    place = {point.id: n for n, request in enumerate(requests) for point in request.points}
    placed = ((place[value.id], place[exponent.id], exponent) for value, exponent in pairs)
    needs = [
        Need(at, told, exponent.id)
        for at, told, exponent in placed
        if at != told and not requests[at].holds(exponent)
    ]
    table_of = {need.exponent: requests[need.told].table for need in needs}

    @cache
    def again(ids: frozenset[str]) -> float:
        return sum(table.seconds(ids) for table in tables) if ids else 0.0

    tries = max(1, _LOOKED_AT // max(1, len(place)))
    return best_order(len(requests), needs, table_of, again, tries)


def _apart(points: Sequence[Point], together: Spans) -> list[Unit]:
    """The points that stand in the same registers, with what must come with them, in order of addresses."""
    spans: dict[Span, list[Point]] = {}
    for point in points:
        spans.setdefault(together.grown(own_span(point)), []).append(point)
    return [Unit(*span, tuple(spans[span])) for span in sorted(spans)]


def own_span(point: Point) -> Span:
    """First and last address of the point's own words."""
    return _span_of(register_of(point))


def _span_of(register: Register) -> Span:
    return register.address, register.address + width(register) - 1


def with_exponents(group: Sequence[Point], points: Iterable[Point]) -> tuple[Point, ...]:
    """The group and those of `points` that hold its exponents, even if they are read less often."""
    by_id = {point.id: point for point in points}
    needed = (_exponent_in(by_id, point) for point in group)
    extra = {point.id: point for point in needed if point is not None and point not in group}
    return (*group, *extra.values())


def unconfirmed(
    requests: Sequence[ReadRequest], points: Sequence[Point]
) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Exponents to be asked for once more: before the requests, and after them.

    An exponent that does not come in one answer with a value may change between the two. It is known
    to be the value's if it is the same before the value and after it.
    """
    by_id = {point.id: point for point in points}
    place = {point.id: n for n, request in enumerate(requests) for point in request.points}
    before: dict[str, Point] = {}
    after: dict[str, Point] = {}
    for n, request in enumerate(requests):
        for point in request.points:
            exponent = _exponent_in(by_id, point)
            if exponent is not None and exponent.id in place and not request.holds(exponent):
                (before if n < place[exponent.id] else after)[exponent.id] = exponent
    return tuple(before.values()), tuple(after.values())


def _exponent_in(by_id: Mapping[str, Point], point: Point) -> Point | None:
    wanted = point.exponent
    return by_id.get(wanted) if wanted else None


def _request(table: Table, units: Sequence[Unit]) -> ReadRequest:
    first, last = units[0].first, max(unit.last for unit in units)
    return ReadRequest(table, first, last - first + 1, tuple(units))
