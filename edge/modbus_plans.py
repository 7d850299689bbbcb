"""What to ask a Modbus device for, and what the words of its answers mean: worked out once, shared where devices are read alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from config.plant import Device, Point
from config.profile import ModbusLimits, Table
from edge.decoding import Decoder, decoder
from edge.registers import Cut, LinkCost, ReadRequest, plan_reads, register_of, unconfirmed

Row = tuple[int, int, Decoder]
"""Which of the points asked for, where its words begin in the answer, what they mean."""
Other = tuple[int, int, tuple[int, Decoder] | None]
"""Which of the points asked for, where its words begin, and of its exponent the same and what they mean, if it is in the answer."""


@dataclass(frozen=True, slots=True)
class Block:
    """One request, and what stands in its answer: `rows`, and `others` that mean nothing by their own words alone, or are texts.

    The words of an exponent may be there for the sake of a value, without being asked for.
    """

    table: Table
    address: int
    count: int
    rows: Sequence[Row]
    others: Sequence[Other]

    def points(self, asked: Sequence[Point]) -> list[Point]:
        """Those of the points asked for that stand in it."""
        places = [*(at for at, _, _ in self.rows), *(at for at, _, _ in self.others)]
        return [asked[at] for at in places]


@dataclass(slots=True)
class Plan:
    """How these points of a device are read.

    The blocks are enough where nothing is refused. What a refused one can be divided into takes 130
    bytes a point: it is worked out when it is needed, and kept from then on.
    """

    device: Device
    points: tuple[Point, ...]
    limits: ModbusLimits
    cost: LinkCost
    cuts: Sequence[Cut]
    blocks: Sequence[Block] = ()
    before: Sequence[ReadRequest] = ()
    """For exponents that no answer gives with their value: what is asked once more before the blocks, and `after` them."""
    after: Sequence[ReadRequest] = ()
    _requests: Sequence[ReadRequest] = field(init=False, default=())

    def __post_init__(self) -> None:
        places, requests = self._places(), self._planned(self.points)
        self.blocks = [self._block(request, places) for request in requests]
        self.before, self.after = map(self._planned, unconfirmed(requests, self.points))

    def requests(self) -> Sequence[ReadRequest]:
        """The requests of the blocks, in their order."""
        if not self._requests:
            self._requests = self._planned(self.points)
        return self._requests

    def _planned(self, points: Sequence[Point]) -> Sequence[ReadRequest]:
        return plan_reads(points, self.limits, self.cost, self.cuts)

    def block(self, request: ReadRequest) -> Block:
        """A request for some of its points."""
        return self._block(request, self._places())

    def _places(self) -> Mapping[str, int]:
        return {point.id: at for at, point in enumerate(self.points)}

    def _block(self, request: ReadRequest, places: Mapping[str, int]) -> Block:
        rows: list[Row] = []
        others: list[Other] = []
        for point in request.points:
            at, begin = places[point.id], request.place_of(point)
            register = register_of(point)
            if register.type == "string" or register.scale_from is not None:
                others.append((at, begin, self._exponent_in(request, point, places)))
            else:
                rows.append((at, begin, decoder(point)))
        shared, kept = _shared(tuple(rows), tuple(others))
        return Block(request.table, request.address, request.count, shared, kept)

    def _exponent_in(
        self, request: ReadRequest, point: Point, places: Mapping[str, int]
    ) -> tuple[int, Decoder] | None:
        at = places.get(point.exponent or "")
        if at is None or not request.holds(self.points[at]):
            return None
        return request.place_of(self.points[at]), decoder(self.points[at])


@lru_cache(maxsize=512)
def _shared(
    rows: tuple[Row, ...], others: tuple[Other, ...]
) -> tuple[tuple[Row, ...], tuple[Other, ...]]:
    """One for all devices that are read alike: a row takes 70 bytes, for every point again."""
    return rows, others
