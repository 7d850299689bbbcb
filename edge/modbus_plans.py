"""What to ask a Modbus device for, and what the words of its answers mean: worked out once, shared where devices are read alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from config.plant import Device, Point
from config.profile import ModbusLimits, Table
from edge.decoding import Decoder, decoder
from edge.registers import Cut, LinkCost, ReadRequest, plan_reads, register_of

Row = tuple[int, int, Decoder]
"""Which of the points asked for, where its words begin in the answer, what they mean."""


@dataclass(frozen=True, slots=True)
class Block:
    """One request, and what stands in its answer: `rows`, and `others` that mean nothing by their own words alone, or are texts."""

    table: Table
    address: int
    count: int
    rows: Sequence[Row]
    others: Sequence[tuple[int, int]]
    """Which of the points asked for, and where its words begin."""

    def points(self, asked: Sequence[Point]) -> list[Point]:
        """Those of the points asked for that stand in it."""
        places = [*(at for at, _, _ in self.rows), *(at for at, _ in self.others)]
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
    _requests: Sequence[ReadRequest] = field(init=False, default=())

    def __post_init__(self) -> None:
        places = self._places()
        self.blocks = [_block(request, places) for request in self._planned()]

    def requests(self) -> Sequence[ReadRequest]:
        """The requests of the blocks, in their order."""
        if not self._requests:
            self._requests = self._planned()
        return self._requests

    def _planned(self) -> Sequence[ReadRequest]:
        return plan_reads(self.points, self.limits, self.cost, self.cuts)

    def block(self, request: ReadRequest) -> Block:
        """A request for some of its points."""
        return _block(request, self._places())

    def _places(self) -> Mapping[str, int]:
        return {point.id: at for at, point in enumerate(self.points)}


def _block(request: ReadRequest, places: Mapping[str, int]) -> Block:
    rows: list[Row] = []
    others: list[tuple[int, int]] = []
    for point in request.points:
        at, begin = places[point.id], request.place_of(point)
        register = register_of(point)
        if register.type == "string" or register.scale_from is not None:
            others.append((at, begin))
        else:
            rows.append((at, begin, decoder(point)))
    return Block(request.table, request.address, request.count, _shared(tuple(rows)), others)


@lru_cache(maxsize=512)
def _shared(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """One for all devices that are read alike: a row takes 70 bytes, for every point again."""
    return rows
