"""Stretches of addresses that lie in no other."""

from hypothesis import given
from hypothesis import strategies as st

from edge.covers import joined, outermost
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
