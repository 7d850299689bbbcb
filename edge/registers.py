"""Which registers to ask for: pure, without knowing how they travel or what they mean."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from config.plant import Point
from config.profile import WORDS, ModbusLimits, Register, Table
from edge.spans import Pairs, Span, Spans

TABLES: Final[tuple[Table, ...]] = ("holding", "input", "coil", "discrete")
BIT_TABLES: Final = frozenset({"coil", "discrete"})
_PROTOCOL_WORDS: Final = 125
_PROTOCOL_BITS: Final = 2000

Cut = tuple[Table, int, int]
"""Two addresses of a table that no request may hold together, unless one value needs both."""


def register_of(point: Point) -> Register:
    """The point's register.

    Raises:
        TypeError: the point is not read by Modbus.
    """
    if not isinstance(point.source, Register):
        raise TypeError(f"{point.id} has no register")
    return point.source


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


@dataclass(frozen=True, slots=True)
class Unit:
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
        first, last = own_span(point)
        return (
            self.table == register_of(point).table and self.address <= first and last <= self.last
        )

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
    """The cheapest requests that read these points, by exact dynamic programming per table.

    No request touches a forbidden register, is longer than the device allows or splits a value or a
    range that must be read together (such a range is read whole). The request of a value holds the
    exponent that `scale_from` names wherever limits and cuts let one request hold both, even if
    another request is that exponent's own. Each point is in one request, those that cannot be read
    under these limits in none.
    """
    by_table: dict[Table, list[Point]] = {table: [] for table in TABLES}
    for point in points:
        by_table[register_of(point).table].append(point)
    return tuple(
        request
        for table, own in by_table.items()
        for request in _plan_table(table, own, limits, link, cuts)
    )


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What holds for requests to one table."""

    longest: int
    forbidden: Spans
    cuts: Pairs

    def readable(self, span: Span) -> bool:
        first, last = span
        in_bounds = last - first < self.longest and last <= 0xFFFF
        return in_bounds and not self.forbidden.touches(span)

    def joinable(self, span: Span) -> bool:
        return self.readable(span) and not self.cuts.any_in(span)


def _spans_of(table: Table, ranges: Sequence[tuple[Table, int, int]]) -> tuple[Span, ...]:
    return tuple((first, last) for name, first, last in ranges if name == table)


def _plan_table(
    table: Table,
    points: Sequence[Point],
    limits: ModbusLimits,
    link: LinkCost,
    cuts: Sequence[Cut],
) -> list[ReadRequest]:
    bits = table in BIT_TABLES
    longest = (
        min(limits.max_bits, _PROTOCOL_BITS) if bits else min(limits.max_words, _PROTOCOL_WORDS)
    )
    forbidden = Spans.of(_spans_of(table, limits.forbidden))
    bounds = _Bounds(longest, forbidden, Pairs(_spans_of(table, cuts)))
    units = _units(points, _spans_of(table, limits.together), bounds)
    steps = _Steps(link.request_s, 8, link.byte_s) if bits else _Steps(link.request_s, 1, 2 * link.byte_s)  # fmt: skip
    return [_request(table, block) for block in _cheapest(units, bounds, steps)]


def _units(points: Sequence[Point], together: Sequence[Span], bounds: _Bounds) -> list[Unit]:
    """What must not be split, in order of addresses; a unit inside another is part of it."""
    by_id = {point.id: point for point in points}
    whole = Spans.of(together)
    spans = [(_window(point, by_id, whole, bounds), point) for point in points]
    readable = [(span, point) for span, point in spans if bounds.readable(span)]
    units: list[Unit] = []
    for (first, last), point in sorted(readable, key=lambda row: (row[0][0], -row[0][1])):
        if units and last <= units[-1].last:
            units[-1] = Unit(units[-1].first, units[-1].last, (*units[-1].points, point))
        else:
            units.append(Unit(first, last, (point,)))
    return units


def _window(point: Point, by_id: Mapping[str, Point], together: Spans, bounds: _Bounds) -> Span:
    """What one request must hold for this point: its registers, its exponent's, and what comes with them.

    Without the exponent where no request can hold both.
    """
    own = own_span(point)
    exponent = _exponent_in(by_id, point)
    if exponent is not None:
        first, last = own_span(exponent)
        both = together.grown((min(own[0], first), max(own[1], last)))
        if bounds.joinable(both):
            return both
    return together.grown(own)


def _apart(points: Sequence[Point], together: Spans) -> list[Unit]:
    """The points that stand in the same registers, with what must come with them, in order of addresses."""
    spans: dict[Span, list[Point]] = {}
    for point in points:
        spans.setdefault(together.grown(own_span(point)), []).append(point)
    return [Unit(*span, tuple(spans[span])) for span in sorted(spans)]


def own_span(point: Point) -> Span:
    """First and last address of the point's own words."""
    register = register_of(point)
    return register.address, register.address + width(register) - 1


def exponent_of(point: Point, points: Iterable[Point]) -> Point | None:
    """The point that holds this point's decimal exponent, if it is among `points`."""
    wanted = point.exponent
    return next((other for other in points if other.id == wanted), None) if wanted else None


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


@dataclass(frozen=True, slots=True)
class _Steps:
    """What a request costs: so much, and so much for each begun step of `size` registers or bits."""

    request_s: float
    size: int
    step_s: float


def _cheapest(units: Sequence[Unit], bounds: _Bounds, steps: _Steps) -> list[Sequence[Unit]]:
    """Cut the row of units into blocks of least total cost; one unit alone is always allowed.

    The dynamic programme best(end) = min over start of best(start) + cost(first(start)..last(end)),
    in one pass: where begun steps are counted, the cost of a block falls into a part of its start
    and a part of its end, but for one step that depends on the two places within a step. So among
    the starts of one place the best so far is known, whatever the end (a queue of minima over the
    window of allowed starts for each place).
    """
    best = [0.0]
    starts: list[int] = []
    queues: list[deque[tuple[float, int]]] = [deque() for _ in range(steps.size)]
    low = 0
    for at, unit in enumerate(units):
        whole, place = divmod(unit.first, steps.size)
        value = best[at] - whole * steps.step_s
        queue = queues[place]
        while queue and queue[-1][0] > value:
            queue.pop()
        queue.append((value, at))
        while low < at and not bounds.joinable((units[low].first, unit.last)):
            low += 1
        cost, start = _ending_at(unit.last + 1, low, queues, steps)
        best.append(cost)
        starts.append(start)
    blocks: list[Sequence[Unit]] = []
    end = len(units)
    while end:
        blocks.append(units[starts[end - 1] : end])
        end = starts[end - 1]
    return blocks[::-1]


def _ending_at(
    end: int, low: int, queues: Sequence[deque[tuple[float, int]]], steps: _Steps
) -> tuple[float, int]:
    """Least total cost, and the start, of a block that ends before the address `end`."""
    whole, rest = divmod(end, steps.size)
    options: list[tuple[float, int]] = []
    for place, queue in enumerate(queues):
        while queue and queue[0][1] < low:
            queue.popleft()
        if queue:
            value, start = queue[0]
            options.append((value + steps.step_s * (whole + (rest > place)), start))
    cost, start = min(options)
    return cost + steps.request_s, start


def _request(table: Table, units: Sequence[Unit]) -> ReadRequest:
    first, last = units[0].first, max(unit.last for unit in units)
    return ReadRequest(table, first, last - first + 1, tuple(units))
