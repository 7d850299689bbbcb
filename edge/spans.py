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
        met = self._met(span)
        first, last = self.grown(span)
        self.firsts[met], self.lasts[met] = [first], [last]

    def touches(self, span: Span) -> bool:
        """Whether any address of the span is in the set."""
        at = bisect_left(self.lasts, span[0])
        return at < len(self.lasts) and self.firsts[at] <= span[1]

    def grown(self, span: Span) -> Span:
        """The span with all of the set that shares an address with it."""
        met = self._met(span)
        if met.start == met.stop:
            return span
        return min(span[0], self.firsts[met.start]), max(span[1], self.lasts[met.stop - 1])

    def _met(self, span: Span) -> slice:
        return slice(bisect_left(self.lasts, span[0]), bisect_right(self.firsts, span[1]))


class Pairs:
    """Pairs of addresses, to be asked whether a span holds both of one."""

    def __init__(self, pairs: Iterable[Span]) -> None:
        ordered = sorted((min(pair), max(pair)) for pair in pairs)
        self._firsts = [first for first, _ in ordered]
        self._least_last = [*accumulate((last for _, last in reversed(ordered)), min)][::-1]

    def any_in(self, span: Span) -> bool:
        """Whether the span holds both addresses of a pair."""
        after = bisect_left(self._firsts, span[0])
        return after < len(self._firsts) and self._least_last[after] <= span[1]
