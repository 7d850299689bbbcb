"""What the quick way takes of a batch is what the thorough one takes, to the bit; and nothing else."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from collector.decoding import Decoded, Decoder, as_columns
from edge.readings import Malformed, decode_batch

PLAIN: dict[str, Any] = {
    "e": "E", "s": 2, "o": 1, "t": 1_763_700_000_000, "n": 1_763_700_000_500,
    "i": [0, 7, 3], "d": [0, 5, -5], "v": [1.5, 2, None], "q": [0, 5, 65],
}  # fmt: skip


def thorough(payload: bytes) -> Decoded | str:
    try:
        return as_columns(decode_batch(payload))
    except Malformed as error:
        return str(error)


def decoded(payload: bytes) -> Decoded | str:
    (found,) = Decoder().decode([payload])
    return found if isinstance(found, Decoded) else str(found)


def text(**changed: Any) -> bytes:
    return json.dumps(PLAIN | changed).encode()


def is_quick(payload: bytes) -> bool:
    """Whether the parser alone took it, but for the bounds of its numbers."""
    return Decoder()._quick(payload) is not None


@pytest.mark.parametrize(
    "payload",
    [text(), text(v=[1.5, 2.5, 3.5]), text(i=[], d=[], v=[], q=[]), text(v=[None] * 3), text(v=[1, 2, 3])],
)  # fmt: skip
def test_what_an_agent_says_is_read_quickly(payload: bytes) -> None:
    assert is_quick(payload)
    assert decoded(payload) == thorough(payload)


def test_columns_are_native_numbers() -> None:
    found = decoded(text(v=[1.5, 2, -0.25]))
    assert isinstance(found, Decoded)
    assert (found.e, found.s, found.o, found.size, found.highest) == ("E", 2, 1, 3, 7)
    assert memoryview(found.index).cast("q").tolist() == [0, 7, 3]
    assert memoryview(found.offset).cast("q").tolist() == [0, 5, -5]
    assert memoryview(found.value).cast("d").tolist() == [1.5, 2.0, -0.25]
    assert memoryview(found.quality).cast("q").tolist() == [0, 5, 65]


@pytest.mark.parametrize(
    "payload",
    [
        text(i=[[0], 7, 3]), text(i=[[0, 7, 3]]), text(i=[True, 7, 3]), text(i=["0", 7, 3]), text(i=[0.5, 7, 3]),
        text(i=[-1, 7, 3]), text(i=[2**31, 7, 3]), text(i=[2**31 - 1, 7, 3]), text(i=[2**64, 0, 0]), text(i=[2**63, 0, 0]),
        text(d=[2**53, 0, -(2**53)]), text(d=[2**53 + 1, 0, 0]), text(d=[0, 0, -(2**53) - 1]), text(d=[-(2**63), 0, 0]),
        text(d=[2**63 - 1, 0, 0]), text(q=[0, 0, 127]), text(q=[0, 0, 128]), text(q=[0, 0, -1]), text(q=[0, None, 1]),
        text(v=[True, 1, 1]), text(v=["1", 1, 1]), text(v=[None, True, 1]), text(v=[None, "x", 1]), text(v=[None, [1], 1]),
        text(v=[None, {}, 1]), text(v=[2**64, 1, 1]), text(v=[2**53 + 1, 2**63 + 1025, -(2**63)]), text(v=[1e308, 5e-324, -0.0]),
        text(v=[1.0, 2.0]), text(i=[1]), text(i=5), text(i=5, later=[]), text(v={"a": 1}), text(s=0), text(s=0, o=0), text(s=2**53), text(s=2**53 - 1), text(s=True),
        text(s=1.0), text(o=3), text(o=-1), text(o=0), text(t=2**53), text(t=2**53 + 1), text(n=-(2**53) - 1), text(n=None),
        text(e=1), text(e="[{"), text(e="中文 \x00 é"), text(later=[1]), text(later=1), b"", b"[]", b"{}", b"{", b"null",
        b"\xef\xbb\xbf" + text(), text() + b" ", text() + b"x", text() + b"\x00", b" " + text(), text().replace(b'"E"', b'"\xff"'),
        text().replace(b'"E"', b'"\\ud800"'), text().replace(b"[0, 7, 3]", b"[0, 7, 3,]"), text().replace(b"1.5", b"NaN"),
        text().replace(b"1.5", b"1e999"), text().replace(b"1.5", b"-0"), text().replace(b"1.5", b"01"), text().replace(b"1.5", b"-0.0"),
        text().replace(b'"s": 2', b'"s": 2, "s": 1'), text().replace(b'"e"', b'"\\u0065"'), text().replace(b'"s": 2, ', b""),
        text().replace(b"[0, 7, 3]", b"[0, 7, 3], \"i\": [1, 1, 1]"), text().replace(b'"q": [0, 5, 65]', b'"i": [1, 1, 1]'),
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
    ],
)  # fmt: skip
def test_what_is_odd_is_taken_or_refused_as_the_thorough_way_does(payload: bytes) -> None:
    assert decoded(payload) == thorough(payload)


VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)


@given(st.lists(VALUES, max_size=6))
@example([-(2.0**63), -(2**63) - 1])
@example([-0.0, 1.7976931348623157e308, 2.2250738585072011e-308])
def test_every_value_is_the_same_to_the_bit(values: list[float | None]) -> None:
    count = len(values)
    payload = text(v=values, i=[0] * count, d=[0] * count, q=[0] * count)
    assert decoded(payload) == thorough(payload)


@given(st.data())
def test_a_payload_with_bytes_changed_is_taken_or_refused_alike(data: st.DataObject) -> None:
    payload = bytearray(text(v=[1.5, 2.25, 3.0]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"0", b"9", b"-", b".", b",", b"[", b"]", b'"', b"e", b" ", b"{", b"}", b":", b"\xc3"])
        )  # fmt: skip
    assert decoded(bytes(payload)) == thorough(bytes(payload))


def test_batches_are_looked_at_together_and_judged_alone() -> None:
    """One with a number out of its bounds takes none of its neighbours along; empty ones stand between."""
    empty = text(i=[], d=[], v=[], q=[])
    payloads = [empty, text(s=3), text(i=[-1, 0, 0]), empty, text(q=[0, 0, 200]), b"x", text(s=4), text(d=[2**53 + 1, 0, 0]), empty]  # fmt: skip
    found = Decoder().decode(payloads)
    assert [f if isinstance(f, Decoded) else str(f) for f in found] == [
        thorough(p) for p in payloads
    ]
    assert Decoder().decode([]) == []


@pytest.mark.parametrize("beside", [text(), text(i=5), text(q="[["), b""])
def test_a_list_in_a_list_is_seen_whatever_stands_beside_it(beside: bytes) -> None:
    """Brackets are counted of all together, where each was taken."""
    nested = text(i=[[0], 7, 3])
    assert is_quick(nested)
    for payloads in ([nested, beside], [beside, nested]):
        found = Decoder().decode(payloads)
        assert [f if isinstance(f, Decoded) else str(f) for f in found] == [
            thorough(p) for p in payloads
        ]


def test_a_decoder_goes_on_after_what_it_could_not_read() -> None:
    decoder = Decoder()
    for _ in range(3):
        first, second = decoder.decode([text(i="x"), text()])
        assert isinstance(first, Malformed)
        assert second == thorough(text())
        for odd in (b"{", text(v=[2**70, 1, 1]), text(v=[None, "x", 1]), text(i=[True, 1, 1])):
            assert decoder._quick(odd) is None
        assert decoder._quick(text()) is not None
