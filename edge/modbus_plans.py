"""What to ask a Modbus device for, and what the words of its answers mean: worked out once, shared where devices are read alike."""

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from config.plant import Device, Point
from config.profile import ModbusLimits, Table
from edge.decoding import Decoder, decoder, with_exponent
from edge.registers import Cut, LinkCost, ReadRequest, plan_reads, register_of, unconfirmed

Row = tuple[int, int, Decoder]
"""Which of the points asked for, where its words begin in the answer, what they mean."""
FarRow = tuple[int, int, Decoder, int]
"""The same of a value whose exponent is in another answer, and which of the points that is; `NOT_ASKED` if none."""
Text = tuple[int, int]
"""Which of the points asked for, where its words begin."""
Meanings = tuple[tuple[Row, ...], tuple[FarRow, ...], tuple[Text, ...]]
NOT_ASKED: Final = -1
STIRRED_READS: Final = 8
"""A device that changed is believed to go on for so many reads."""


@dataclass(frozen=True, slots=True)
class Block:
    """One request, and what stands in its answer: rows that it explains by itself, rows that it does not, texts.

    The words of an exponent may be there for the sake of a value, without being asked for.
    """

    table: Table
    address: int
    count: int
    rows: Sequence[Row]
    far: Sequence[FarRow]
    texts: Sequence[Text]

    def numbers(self) -> list[int]:
        """Which of the points asked for stand in it, but texts."""
        return [*(at for at, _, _ in self.rows), *(at for at, _, _, _ in self.far)]


Came = tuple[Block, Sequence[int], int]
"""A whole answer as it came: to what, its words, when (UTC ms)."""


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
    before_blocks: Sequence[Block] = ()
    after_blocks: Sequence[Block] = ()
    words: Sequence["array[int]"] = ()
    """What the blocks' answers were when all of them last came whole."""
    not_compared: int = 0
    """So many reads more are looked into without a look at their words."""
    by_words: bool = field(init=False, default=False)
    """Whether what these mean hangs on nothing else, and is nothing but readings."""
    unit: int = field(init=False, default=1)
    """The device's, as a number."""
    _requests: Sequence[ReadRequest] = field(init=False, default=())

    def __post_init__(self) -> None:
        places, requests = self._places(), self._planned(self.points)
        self.blocks = [self._block(request, places) for request in requests]
        self._confirm_by(*map(self._planned, unconfirmed(requests, self.points)))
        apart = self.before or self.after or any(one.far or one.texts for one in self.blocks)
        self.by_words = not apart
        self.unit = int(self.device.unit or 1)

    def says_again(self, came: Sequence[Came]) -> bool:
        """Whether the blocks' answers, as they came, are whole and those of the last time that they were."""
        if len(came) < len(self.blocks):
            return False
        words = [array("H", answer) for _, answer, _ in came]
        same = words == self.words
        self.not_compared = STIRRED_READS if self.words and not same else 0
        self.words = words
        return same

    def compares(self) -> bool:
        """Whether the words of this read are to be compared: seldom where they were others the last time."""
        if self.not_compared:
            self.not_compared -= 1
            return False
        return self.by_words

    def requests(self) -> Sequence[ReadRequest]:
        """The requests of the blocks, in their order."""
        if not self._requests:
            self._requests = self._planned(self.points)
        return self._requests

    def never_alone(self, exponents: Collection[str]) -> None:
        """From now on these, refused alone, are asked for once more by the requests that hold them anyway."""
        self._confirm_by(self._among(self.before, exponents), self._among(self.after, exponents))

    def block(self, request: ReadRequest) -> Block:
        """A request for some of its points."""
        return self._block(request, self._places())

    def _planned(self, points: Sequence[Point]) -> Sequence[ReadRequest]:
        return plan_reads(points, self.limits, self.cost, self.cuts)

    def _confirm_by(self, before: Sequence[ReadRequest], after: Sequence[ReadRequest]) -> None:
        self.before, self.after = before, after
        places = self._places() if before or after else {}
        self.before_blocks = [self._block(request, places) for request in before]
        self.after_blocks = [self._block(request, places) for request in after]

    def _among(
        self, requests: Sequence[ReadRequest], exponents: Collection[str]
    ) -> Sequence[ReadRequest]:
        alone = [one for one in requests if any(point.id in exponents for point in one.points)]
        ids = {point.id for one in alone for point in one.points}
        holding = [one for one in self.requests() if any(point.id in ids for point in one.points)]
        return [*(one for one in requests if one not in alone), *holding]

    def _places(self) -> Mapping[str, int]:
        return {point.id: at for at, point in enumerate(self.points)}

    def _block(self, request: ReadRequest, places: Mapping[str, int]) -> Block:
        rows: list[Row] = []
        far: list[FarRow] = []
        texts: list[Text] = []
        for point in request.points:
            at, begin, register = places[point.id], request.place_of(point), register_of(point)
            if register.type == "string":
                texts.append((at, begin))
                continue
            meaning, exponent_at = decoder(point), places.get(point.exponent or "", NOT_ASKED)
            if register.scale_from is None:
                rows.append((at, begin, meaning))
            elif exponent_at == NOT_ASKED or not request.holds(self.points[exponent_at]):
                far.append((at, begin, meaning, exponent_at))
            else:
                exponent = self.points[exponent_at]
                distance = request.place_of(exponent) - begin
                rows.append((at, begin, with_exponent(meaning, distance, decoder(exponent))))
        shared = _shared(tuple(rows), tuple(far), tuple(texts))
        return Block(request.table, request.address, request.count, *shared)


@lru_cache(maxsize=512)
def _shared(rows: tuple[Row, ...], far: tuple[FarRow, ...], texts: tuple[Text, ...]) -> Meanings:
    """One for all devices that are read alike: a row takes 70 bytes, for every point again."""
    return rows, far, texts
