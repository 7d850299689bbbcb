"""Stretches of addresses that lie in no other, and the fewest requests that hold them."""

from hypothesis import given
from hypothesis import strategies as st

from edge.covers import (
    Bounds,
    Steps,
    cheapest,
    filled_from_first,
    filled_from_last,
    joined,
    outermost,
)
from edge.spans import Span

SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda s: (s[0], sum(s))))


@given(spans=SPANS, others=SPANS)
def test_a_few_joined_to_many_are_those_of_all_that_lie_in_no_other(
    spans: list[Span], others: list[Span]
) -> None:
    both = {*spans, *others}
    alone = [
        (first, last)
        for first, last in both
        if not any(a <= first and last <= b for a, b in both - {(first, last)})
    ]
    assert joined(outermost(spans), others) == outermost(both) == sorted(alone)


@given(spans=SPANS.filter(bool), forbidden=SPANS)
def test_requests_filled_from_either_end_are_as_few_as_can_be(
    spans: list[Span], forbidden: list[Span]
) -> None:
    bounds, steps, wanted = Bounds(10, forbidden), Steps(1.0, 1, 0.1), outermost(spans)
    fewest, _ = cheapest(wanted, bounds, Steps(1.0, 1, 0.0))
    for cut in (filled_from_first, filled_from_last):
        seconds, parts = cut(wanted, bounds, steps)
        assert seconds == len(parts) == fewest
        assert [span for part in parts for span in wanted[part]] == wanted
        for part in parts:
            whole = wanted[part.start][0], wanted[part.stop - 1][1]
            assert part.stop - part.start == 1 or bounds.joinable(whole)


def test_they_are_filled_from_the_end_that_they_are_named_by() -> None:
    bounds, steps = Bounds(3), Steps(1.0, 1, 0.1)
    wanted = [(n, n) for n in range(4)]
    assert filled_from_first(wanted, bounds, steps)[1] == [slice(0, 3), slice(3, 4)]
    assert filled_from_last(wanted, bounds, steps)[1] == [slice(0, 1), slice(1, 4)]
