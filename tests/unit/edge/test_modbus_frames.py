"""Which bytes of a serial bus are a frame: whatever stands before it, and nothing that stands inside another."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.modbus_frames import Frame, first_frame
from edge.modbus_transport import parse_answer
from tests.unit.edge.serial_twin import sealed

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "modbus_frames.json"
ANSWERS = [
    frame
    for frame in json.loads(GOLDEN.read_text(encoding="utf-8"))["frames"]
    if frame["direction"] == "response"
]
UNIT = 7
OTHER = 9


def answer(unit: int, data: bytes, function: int = 3) -> bytes:
    return sealed(bytes((unit, function, len(data))) + data)


def head(frame: bytes) -> bytes:
    return frame[:3]


RIGHT = answer(UNIT, bytes(range(20, 40)))
REFUSAL = sealed(bytes((UNIT, 0x83, 2)))
AWAITED = {head(RIGHT)}
noise = st.binary(max_size=40).map(lambda data: data.replace(bytes((UNIT,)), b"\0"))


@given(noise, noise, st.sampled_from([RIGHT, REFUSAL]))
def test_noise_before_a_frame_and_behind_it_hides_it_not(
    before: bytes, behind: bytes, frame: bytes
) -> None:
    found = first_frame(before + frame + behind, AWAITED)
    assert found == Frame(len(before + frame), UNIT, frame[1:-2])


@given(noise, st.data())
def test_no_part_of_a_frame_is_one(before: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(RIGHT) - 1))
    assert not first_frame(before + RIGHT[:size], AWAITED).pdu


@given(st.integers(0, 8 * len(RIGHT) - 1))
def test_a_frame_with_a_wrong_bit_is_none(bit: int) -> None:
    wrong = (int.from_bytes(RIGHT, "big") ^ 1 << bit).to_bytes(len(RIGHT), "big")
    assert not first_frame(wrong, AWAITED).pdu


def test_a_frame_inside_an_awaited_one_is_its_data_also_before_it_is_whole() -> None:
    outer = answer(OTHER, b"\0\0" + RIGHT + b"\0")
    awaited = {head(outer), *AWAITED}
    inner_end = outer.index(RIGHT) + len(RIGHT)
    assert not first_frame(outer[:inner_end], awaited).pdu
    assert first_frame(outer + RIGHT, awaited) == Frame(len(outer), OTHER, outer[1:-2])


def test_what_cannot_be_awaited_hides_nothing() -> None:
    """A stray byte before the unit: with its function it looks as if a long answer of another began."""
    for stray in range(256):
        received = bytes((stray, OTHER, 3, 250)) + RIGHT
        assert first_frame(received, AWAITED).end == len(received)


@pytest.mark.parametrize("function", [1, 2, 3, 4])
def test_a_frame_in_order_that_nobody_awaits_is_one_all_the_same(function: int) -> None:
    """Too short, or of another function: the unit answered, and what it says is garbled."""
    short = answer(UNIT, b"\1\2", function)
    assert first_frame(short + RIGHT, AWAITED) == Frame(len(short), UNIT, short[1:-2])


def test_a_refusal_is_whole_with_its_last_byte() -> None:
    assert not first_frame(REFUSAL[:-1], AWAITED).pdu
    assert first_frame(REFUSAL, AWAITED) == Frame(5, UNIT, b"\x83\x02")


SHORT = answer(UNIT, b"\1\2", 4)
AROUND = answer(OTHER, RIGHT[:3] + bytes(4), 4)
PARTS = [RIGHT, REFUSAL, SHORT, AROUND, RIGHT[:3], bytes((OTHER, 3, 250)), b"\0", b"\3", bytes((UNIT,))]  # fmt: skip


@settings(max_examples=40)
@given(st.lists(st.sampled_from(PARTS), max_size=6))
@example([SHORT])
@example([AROUND])
def test_what_comes_in_pieces_is_looked_at_once_more_only_from_where_a_frame_may_begin(
    parts: list[bytes],
) -> None:
    received = b"".join(parts)
    begins = 0
    for size in range(1, len(received) + 1):
        whole = first_frame(received[:size], AWAITED)
        assert first_frame(received[:size], AWAITED, begins) == whole
        if whole.pdu:
            return
        begins = whole.end


@pytest.mark.parametrize("noise", [b"\0", b"\3", b"\xff"])
def test_what_can_be_no_frame_is_not_looked_at_again(noise: bytes) -> None:
    """A unit that never stops sending would cost the more the longer it was waited for."""
    assert first_frame(1000 * noise, AWAITED).end > 990


@pytest.mark.parametrize("golden", ANSWERS, ids=[frame["id"] for frame in ANSWERS])
def test_the_golden_answers_are_frames_and_hold_the_words_that_are_published(
    golden: dict[str, Any],
) -> None:
    received, pdu = bytes.fromhex(golden["rtu"]), bytes.fromhex(golden["pdu"])
    assert first_frame(received, set()) == Frame(len(received), golden["unit"], pdu)
    wanted = list((golden["decoded"].get("bits") or golden["decoded"]["words"]).values())
    assert parse_answer(golden["function"], len(wanted), pdu) == wanted
