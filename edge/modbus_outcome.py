"""What one read of a Modbus device has given so far, and the readings that it comes to."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from config.plant import Point
from edge.decoding import UNDECODABLE, Decoded, decode_text, scaled
from edge.modbus_plans import NOT_ASKED, Block, Came
from edge.ports import PointReading, ReadResult
from edge.readings import QUALITIES
from edge.registers import Cut, ReadRequest, register_of, width

REFUSED: Final = QUALITIES["device_refused"]
Known = Mapping[int, tuple[int, PointReading]]
"""Of exponents, by their number among the points asked for: how many readings were known before, and its own."""


@dataclass(frozen=True, slots=True)
class Apart:
    """An answer with values whose exponents came in others, and how many readings were known before it."""

    block: Block
    words: Sequence[int]
    known: int
    time: int


class Outcome(msgspec.Struct):
    """Readings of the points asked for, answers that wait for exponents, texts and reasons by point; what was refused."""

    asked: Sequence[Point]
    read: list[PointReading] = []
    apart: list[Apart] = []
    before: dict[str, PointReading] = {}
    """Of exponents, what they were when they were asked for once more before all that is in `read`."""
    after: dict[str, PointReading] = {}
    """The same after it."""
    facts: dict[str, str] = {}
    blocks: list[Block] = []
    """What was asked for and came whole."""
    later: bool = False
    """Answers are kept as they come, and taken when the result is made."""
    came: list[Came] = []
    """Those that are not taken yet."""
    same: bool = False
    """Whether these are all that was asked for, and came word for word when all of it last did."""
    answered: bool = False
    bad: dict[str, tuple[int, int]] = {}
    cuts: list[Cut] = []
    refused: list[ReadRequest] = []
    """Ranges that the device does not give, none of which can be divided."""
    denied: list[tuple[ReadRequest, int]] = []
    """What the device refuses for a reason that is not the range, and the exception."""
    rest: int = QUALITIES["disabled"]
    """The reason of points that no request covered."""
    lost: bool = False
    line_lost: bool = False
    retry_s: float = 0.0
    detail: str = ""
    refusal: str = ""
    """The last one of a range, in words."""

    def keep(self, block: Block, words: Sequence[int], now: int) -> None:
        """Take the words of a whole answer, which came at `now`."""
        if self.later:
            self.came.append((block, words, now))
            return
        asked = self.asked
        self.blocks.append(block)
        if block.far:
            self.apart.append(Apart(block, words, len(self.read), now))
        take = self.read.append
        for at, place, decoded in block.rows:
            value, quality = decoded(words, place, 1.0)
            take(PointReading(asked[at].id, value, quality, now))
        for at, place in block.texts:
            own = words[place : place + width(register_of(asked[at]))]
            if (text := decode_text(asked[at], own)) is not None:
                self.facts[asked[at].id] = text

    def look(self) -> None:
        """Take what came, and from now on what comes as it comes."""
        came, self.came, self.later = self.came, [], False
        for one in came:
            self.keep(*one)

    def refuse(self, points: Iterable[Point], now: int) -> None:
        """The device refused to tell these."""
        self.bad |= {point.id: (REFUSED, now) for point in points}

    def told(self) -> dict[str, PointReading]:
        """What was read, and what was refused, by point."""
        bad = {id: PointReading(id, None, why, at) for id, (why, at) in self.bad.items()}
        return bad | {reading.point: reading for reading in self.read}

    def result(self, points: Sequence[Point], now: int) -> ReadResult:
        """A reading of each of `points` but texts; those that nothing was heard of are bad since `now`."""
        if self.came:
            self.look()
        read = self.read
        if self.apart:
            read += self._scaled()
        if len(read) < len(points):
            known = {reading.point for reading in read}
            for point in points:
                if point.id not in known and register_of(point).type != "string":
                    quality, time = self.bad.get(point.id, (self.rest, now))
                    read.append(PointReading(point.id, None, quality, time))
        result = ReadResult(read, self.lost, self.detail, self.facts)
        result.line_lost, result.retry_s = self.line_lost, self.retry_s
        return result

    # --- values whose exponents came in other answers

    def torn(self) -> list[Block]:
        """What gave values whose exponents are known, but not to have been the same before them and after them."""
        known = self._exponents()
        return [a.block for a in self.apart if any(self._unsure(a, n, known) for n in exponents_of(a.block))]  # fmt: skip

    def giving(self, exponents: Collection[int]) -> list[Block]:
        """What gave these exponents themselves."""
        return [block for block in self.blocks if any(row[0] in exponents for row in block.rows)]

    def refused_alone(self, exponents: Iterable[int]) -> list[Point]:
        """Those that came among others, and were refused when they were asked for once more."""
        again = [one.point for one in (*self.before.values(), *self.after.values()) if one.quality == REFUSED]  # fmt: skip
        return [point for n in exponents if (point := self.asked[n]).id in again]

    def renew(self, values: "Outcome", told: "Outcome") -> None:
        """Take values that were asked for again, and what their exponents were told to be after that."""
        known = len(self.read)
        fresh = {id(one.block): replace(one, known=known) for one in values.apart}
        self.apart = [fresh.get(id(apart.block), apart) for apart in self.apart]
        self.after |= told.told()

    def _scaled(self) -> list[PointReading]:
        known, asked = self._exponents(), self.asked
        read: list[PointReading] = []
        for apart in self.apart:
            powers = {n: self._power(apart, n, known) for n in exponents_of(apart.block)}
            for at, place, meaning, exponent in apart.block.far:
                power = self._not_asked(asked[at]) if exponent == NOT_ASKED else powers[exponent]
                value, quality = scaled(meaning, apart.words, place, power)
                read.append(PointReading(asked[at].id, value, quality, apart.time))
        return read

    def _exponents(self) -> Known:
        """Those of the values that came apart, as far as they were told."""
        wanted = {self.asked[n].id: n for apart in self.apart for n in exponents_of(apart.block)}
        told = enumerate(self.read)
        return {wanted[one.point]: (at, one) for at, one in told if one.point in wanted}

    def _again(self, apart: Apart, at: int, told: PointReading) -> PointReading | None:
        """What an exponent was on the other side of a value: after it if it was told before it."""
        return (self.after if at < apart.known else self.before).get(told.point)

    def _unsure(self, apart: Apart, exponent: int, known: Known) -> bool:
        if exponent not in known or known[exponent][1].value is None:
            return False
        again = self._again(apart, *known[exponent])
        return again is None or again.quality == REFUSED

    def _power(self, apart: Apart, exponent: int, known: Known) -> Decoded:
        """An exponent and its quality, or why there is none: one that changed meanwhile means nothing."""
        if exponent not in known:
            return None, self.bad.get(self.asked[exponent].id, (self.rest, 0))[0]
        at, told = known[exponent]
        if told.value is None:
            return None, told.quality
        again = self._again(apart, at, told)
        if again is None:
            return None, self.rest if self.lost else UNDECODABLE
        if again.value != told.value:
            return None, again.quality if again.value is None else UNDECODABLE
        return told.value, told.quality

    def _not_asked(self, point: Point) -> Decoded:
        """Why there is no exponent that was not asked for: it may rest."""
        return None, self.bad.get(point.exponent or "", (UNDECODABLE, 0))[0]


def exponents_of(block: Block) -> set[int]:
    """Which of the points asked for are the exponents of its values, as far as it does not hold them."""
    return {exponent for _, _, _, exponent in block.far if exponent != NOT_ASKED}
