"""What one read of a Modbus device has given so far, and the readings that it comes to."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from config.plant import Point
from edge.decoding import UNDECODABLE, Decoded, decode, decode_text
from edge.modbus_plans import Block
from edge.ports import PointReading, ReadResult
from edge.readings import QUALITIES
from edge.registers import Cut, exponent_of, register_of, width


@dataclass(slots=True)
class Outcome:
    """Readings, words that wait for an exponent, texts by point, reasons by point; what was refused."""

    read: list[PointReading] = field(default_factory=list)
    scaled: list[tuple[Point, Sequence[int], int]] = field(default_factory=list)
    again: list[PointReading] = field(default_factory=list)
    """Of exponents, what they were when they were asked for once more."""
    facts: dict[str, str] = field(default_factory=dict)
    answered: bool = False
    bad: dict[str, tuple[int, int]] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    refused: list[Point] = field(default_factory=list)
    torn: bool = False
    """Something was learned, and values came apart from their exponents before it was known."""
    rest: int = QUALITIES["disabled"]
    """The reason of points that no request covered."""
    lost: bool = False
    line_lost: bool = False
    detail: str = ""

    def keep(self, asked: Sequence[Point], block: Block, words: Sequence[int], now: int) -> None:
        """Take the words of a whole answer, which came at `now`, for those of the points asked for in it."""
        for at, place, decoded in block.rows:
            value, quality = decoded(words, place, 1.0)
            self.read.append(PointReading(asked[at].id, value, quality, now))
        for at, place, power in block.others:
            point = asked[at]
            own = words[place : place + width(register_of(point))]
            if register_of(point).type == "string":
                if (text := decode_text(point, own)) is not None:
                    self.facts[point.id] = text
            elif power is None:
                self.scaled.append((point, own, now))
            else:
                begin, decoded = power
                value, quality = _scaled(point, own, decoded(words, begin, 1.0))
                self.read.append(PointReading(point.id, value, quality, now))

    def refuse(self, points: Sequence[Point], now: int) -> None:
        """The device refused to tell these."""
        self.bad |= {point.id: (QUALITIES["device_refused"], now) for point in points}

    def confirm(self, again: "Outcome") -> None:
        """Take what exponents were when they were asked for once more."""
        self.again += again.read
        self.again += [PointReading(id, None, why, at) for id, (why, at) in again.bad.items()]

    def result(self, points: Sequence[Point], now: int) -> ReadResult:
        """A reading of each point but texts; those that nothing was heard of are bad since `now`."""
        read = self.read
        if self.scaled:
            powers = {reading.point: reading for reading in read}
            for point, words, time in self.scaled:
                exponent = exponent_of(point, points)
                power = self._power(exponent, powers.get(exponent.id)) if exponent else (None, UNDECODABLE)  # fmt: skip
                value, quality = _scaled(point, words, power)
                read.append(PointReading(point.id, value, quality, time))
        if len(read) < len(points):
            known = {reading.point for reading in read}
            for point in points:
                if point.id not in known and register_of(point).type != "string":
                    quality, time = self.bad.get(point.id, (self.rest, now))
                    read.append(PointReading(point.id, None, quality, time))
        result = ReadResult(read, self.lost, self.detail, self.facts)
        result.line_lost = self.line_lost
        return result

    def _power(self, exponent: Point, told: PointReading | None) -> Decoded:
        """An exponent and its quality, or why there is none: one that changed meanwhile means nothing.

        Nor does one of a read that ended before it could be asked for once more.
        """
        if self.lost or self.torn:
            return None, self.rest if self.lost else UNDECODABLE
        if told is None:
            return None, self.bad.get(exponent.id, (self.rest, 0))[0]
        for other in self.again:
            if other.point == exponent.id and other.value != told.value:
                return None, other.quality if other.value is None else UNDECODABLE
        return told.value, told.quality


def _scaled(point: Point, words: Sequence[int], power: Decoded) -> Decoded:
    """A value is no surer than the exponent that it is scaled by."""
    exponent, doubt = power
    if exponent is None:
        return None, doubt
    value, quality = decode(point, words, int(exponent))
    return value, quality or doubt
