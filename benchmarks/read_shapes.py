"""Maps that are hard to plan, of any number of points: each has much of one thing that the planner looks up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.read_maps import point_at
from config.plant import Point
from config.profile import ModbusLimits, Register
from edge.registers import Cut
from edge.spans import Span

NO_LIMITS: Final = ModbusLimits()
BLOCK: Final = 50
VALUES: Final = 40


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked of the planner."""

    points: Sequence[Point]
    limits: ModbusLimits = NO_LIMITS
    cuts: Sequence[Cut] = ()


def shapes(count: int) -> Mapping[str, Shape]:
    """By name, `count` points each (a multiple of 50); ranges and cuts are as many as a fifth or a tenth."""
    plain = [_word(n, 2 * n) for n in range(count)]
    forbidden = _ranges([(10 * n + 1, 10 * n + 1) for n in range(count // 5)])
    together = _ranges([(20 * n, 20 * n + 3) for n in range(count // 10)])
    cuts = _ranges([(10 * n + 9, 10 * n + 10) for n in range(count // 5)])
    return {
        "plain": Shape(plain),
        "forbidden": Shape(plain, ModbusLimits(forbidden=forbidden)),
        "together": Shape(plain, ModbusLimits(together=together)),
        "cuts": Shape(plain, cuts=cuts),
        "exponents": Shape(_blocks(count)),
        "exponents beside their values": Shape(_scaled(count, lambda n: n + 1 if n % 2 else None)),
        "exponents behind all values": Shape(_scaled(count, lambda n: n + count // 2 if n < count // 2 else None)),
        "exponents at the far end of a request": Shape(_far(count)),
        "exponents in each other's requests": Shape(_crossed(count)),
        "overlapping": Shape(_overlapping(count)),
        "bits of words": Shape([_word(n, n // 16, bit=n % 16) for n in range(count)]),
        "coils": Shape([point_at(str(n), Register("coil", 3 * n, "bit")) for n in range(count)]),
        "all at once": Shape(_blocks(count), ModbusLimits(forbidden=forbidden, together=together), cuts),
    }  # fmt: skip


def _ranges(spans: Sequence[Span]) -> tuple[Cut, ...]:
    return tuple(("holding", first, last) for first, last in spans)


def _word(number: int, address: int, **fields: str | int) -> Point:
    return point_at(str(number), Register("holding", address, "u16", **fields))  # type: ignore[arg-type]  # fields by name


def _scaled(count: int, exponent: Callable[[int], int | None], gap: int = 2) -> list[Point]:
    """Every so many registers one; `exponent` says the number of a point's own."""
    found = ((n, exponent(n)) for n in range(count))
    return [
        _word(n, gap * n) if other is None else _word(n, gap * n, scale_from=str(other))
        for n, other in found
    ]


def _blocks(count: int) -> list[Point]:
    """As SunSpec's models are: forty values, then the ten exponents that they share."""
    points = []
    for n in range(count):
        block, at = divmod(n, BLOCK)
        exponent = {"scale_from": str(block * BLOCK + VALUES + at % 10)} if at < VALUES else {}
        points.append(_word(n, 60 * block + at, **exponent))
    return points


def _far(count: int) -> list[Point]:
    """Twenty-five values, and an exponent of each 123 registers behind it: a request holds two pairs."""
    points = []
    for n in range(count):
        block, at = divmod(n, BLOCK)
        address = 180 * block + 2 * at + (73 if at >= BLOCK // 2 else 0)
        exponent = {"scale_from": str(n + BLOCK // 2)} if at < BLOCK // 2 else {}
        points.append(_word(n, address, **exponent))
    return points


def _crossed(count: int) -> list[Point]:
    """Values and exponents in turn, of which each value's is far behind it or far before it."""
    far = count // 5 * 2
    return _scaled(
        count, lambda n: None if n % 2 else (n + 1 + (far if n % 4 else count - far)) % count
    )


def _overlapping(count: int) -> list[Point]:
    """Texts of forty words, with a value and an exponent by turns among them, which is far behind it."""
    return [
        point_at(str(n), Register("holding", 4 * n, "string", words=40))
        if n % 2 == 0
        else _word(n, 4 * n, scale_from=str((n + 14) % count))
        if n % 4 == 1 and n + 14 < count
        else _word(n, 4 * n)
        for n in range(count)
    ]
