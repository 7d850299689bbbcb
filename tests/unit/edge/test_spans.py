"""What meets and what holds what, against sets of addresses."""

from hypothesis import given
from hypothesis import strategies as st

from edge.spans import Pairs, Span, Spans

SPANS = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda s: (s[0], s[0] + s[1]))
MANY = st.lists(SPANS, max_size=8)


def addresses(*spans: Span) -> set[int]:
    return {at for first, last in spans for at in range(first, last + 1)}


@given(many=MANY, span=SPANS)
def test_a_set_of_spans_is_met_where_an_address_is_shared(many: list[Span], span: Span) -> None:
    union, wanted = Spans.of(many), addresses(*many)
    assert addresses(*zip(union.firsts, union.lasts, strict=True)) == wanted
    assert union.touches(span) == bool(wanted & addresses(span))


@given(many=MANY, span=SPANS)
def test_a_span_grows_by_all_that_it_touches_directly_or_through_another(
    many: list[Span], span: Span
) -> None:
    wanted = addresses(span)
    for _ in many:
        for other in many:
            if wanted & addresses(other):
                wanted |= addresses(other)
    assert Spans.of(many).grown(span) == (min(wanted), max(wanted))


def test_neighbours_share_no_address() -> None:
    assert Spans.of([(0, 3), (4, 7)]) == Spans([0, 4], [3, 7])
    assert Spans().grown((2, 3)) == (2, 3)


@given(many=MANY, address=st.integers(0, 50))
def test_the_nearest_of_a_set_is_the_last_up_to_an_address(many: list[Span], address: int) -> None:
    wanted = {at for at in addresses(*many) if at <= address}
    assert Spans.of(many).nearest(address) == max(wanted, default=-1)


@given(pairs=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8), span=SPANS)
def test_a_span_holds_a_pair_if_it_begins_before_the_last_one_opened(
    pairs: list[Span], span: Span
) -> None:
    holds = any(set(pair) <= addresses(span) for pair in pairs)
    assert (Pairs(pairs).opened_by(span[1]) >= span[0]) == holds
