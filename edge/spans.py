"""Stretches of addresses: what meets, what is held by what, each found by bisection."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

Span = tuple[int, int]
"""First and last address, inclusive."""


@dataclass(frozen=True, slots=True)
class Spans:
    """A set of addresses as spans in order, of which no two share an address."""

    firsts: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)

    @staticmethod
    def of(spans: Iterable[Span]) -> "Spans":
        """The union of these."""
        union = Spans()
        for span in spans:
            union.add(span)
        return union

    def add(self, span: Span) -> None:
        """Join the span to all that share an address with it."""
        met = slice(bisect_left(self.lasts, span[0]), bisect_right(self.firsts, span[1]))
        first, last = self.grown(span)
        self.firsts[met], self.lasts[met] = [first], [last]

    def touches(self, span: Span) -> bool:
        """Whether any address of the span is in the set."""
        at = bisect_left(self.lasts, span[0])
        return at < len(self.lasts) and self.firsts[at] <= span[1]

    def nearest(self, address: int) -> int:
        """The greatest address of the set that is not beyond this one; -1 if there is none."""
        at = bisect_right(self.firsts, address)
        return min(self.lasts[at - 1], address) if at else -1

    def grown(self, span: Span) -> Span:
        """The span with all of the set that shares an address with it."""
        begin, end = bisect_left(self.lasts, span[0]), bisect_right(self.firsts, span[1])
        if begin == end:
            return span
        return min(span[0], self.firsts[begin]), max(span[1], self.lasts[end - 1])


class Pairs:
    """Pairs of addresses, to be asked which of them a span holds both of."""

    def __init__(self, pairs: Iterable[Span]) -> None:
        ordered = sorted((max(pair), min(pair)) for pair in pairs)
        self._lasts = [last for last, _ in ordered]
        self._firsts = [*accumulate((first for _, first in ordered), max)]

    def opened_by(self, last: int) -> int:
        """The greatest lower address of the pairs of which none lies beyond `last`; -1 if there is none.

        A span to `last` that begins behind it holds both of no pair.
        """
        at = bisect_right(self._lasts, last)
        return self._firsts[at - 1] if at else -1
