"""What a correct Modbus master may say of its points after a read: by the answers that fit, in their order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from commands.proving.fuzz_modbus_oracle import Asked, fitting, meaning, text, words_of
from config.plant import Point
from config.profile import Register
from edge.ports import PointReading

FITTING_MAX: Final = 16
FUNCTIONS: Final = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


@dataclass(slots=True)
class Heard:
    """One request and what came while its answer was waited for."""

    asked: Asked
    data: bytes
    """Of its honest answer."""
    honest: bool = False
    """Whether that came, alone."""
    stream: bytearray = field(default_factory=bytearray)


class Witness:
    """The requests of one read with what came, and the points that were read.

    A value and its exponent are of one time: both of one answer, or else the exponent is the same in the
    answers next before and next after that of the value. On a bus the answer to a request that is sent once more, or in
    part before it is sent whole, may have been dropped as a sign of life.
    """

    def __init__(self, heard: Sequence[Heard], points: Sequence[Point]) -> None:
        self._told = [
            (at, one.asked, data)
            for at, one in enumerate(heard)
            for data in fitting(one.asked, bytes(one.stream))[:FITTING_MAX]
        ]
        self._points = {point.id: point for point in points}
        self._asked = [one.asked for one in heard]

    def meanings(self, point: Point) -> list[float | None]:
        """What the fitting answers say of a point, in order; None where one says that there is no value."""
        return [
            None if power is None else meaning(point, words, int(power))
            for at, data, words in self._words(register_of(point))
            for power in self._powers(point, at, data)
        ]

    def values(self, point: Point) -> list[float]:
        """Values that the fitting answers say of a point."""
        return [value for value in self.meanings(point) if value is not None]

    def texts(self, point: Point) -> list[str | None]:
        """Texts that the fitting answers say of a point."""
        register = register_of(point)
        return [text(register, words) for _, _, words in self._words(register)]

    def unsure(self, point: Point, read: Mapping[str, PointReading]) -> bool:
        """Whether a point has an exponent of which nothing was read, or more than one."""
        if point.exponent is None:
            return False
        told = self.meanings(self._points[point.exponent])
        return read[point.exponent].value is None or len(set(told)) > 1

    def _powers(self, point: Point, at: int, data: tuple[Asked, bytes]) -> list[float | None]:
        """What may scale a value of that answer: 0 of a point that has no exponent, None for nothing."""
        if point.exponent is None:
            return [0.0]
        exponent = self._points[point.exponent]
        if _function(register_of(exponent)) == data[0].function:
            own = words_of(*data, register_of(exponent))
            if own is not None:
                return [meaning(exponent, own)]
        told = [(n, meaning(exponent, words)) for n, _, words in self._words(register_of(exponent))]
        before = max((n for n, _ in told if n < at), default=-1)
        after = {
            min((n for n, _ in told if n > at), default=-1),
            min((n for n, _ in told if n > at and not self._sent_again(n)), default=-1),
        }
        both = {e for n, e in told if n == before} & {e for n, e in told if n in after}
        return list(both) or [None]

    def _sent_again(self, n: int) -> bool:
        """Whether the next request on a bus asks for the same, or for more from there on."""
        one, *rest = self._asked[n : n + 2]
        if one.number is not None:
            return False
        place = (one.unit, one.function, one.address)
        return any((r.unit, r.function, r.address) == place and r.count >= one.count for r in rest)

    def _words(self, register: Register) -> Iterator[tuple[int, tuple[Asked, bytes], list[int]]]:
        """Which request, its answer, and the register's own words in it."""
        for at, asked, data in self._told:
            if _function(register) == asked.function:
                words = words_of(asked, data, register)
                if words is not None:
                    yield at, (asked, data), words


def register_of(point: Point) -> Register:
    """Where a point of the fuzzer stands."""
    if not isinstance(point.source, Register):
        raise TypeError(point.id)
    return point.source


def _function(register: Register) -> int:
    return FUNCTIONS[register.table]
