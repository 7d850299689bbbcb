"""What a correct master may say of a value whose exponent comes in other answers."""

import pytest

from commands.proving.fuzz_modbus_oracle import Asked
from commands.proving.fuzz_modbus_witness import Heard, Witness
from tests.unit.edge.rows import register_point
from tests.unit.edge.serial_twin import sealed

EXPONENT, VALUE, OTHER = 176, 34, 102
POINTS = [
    register_point("power", EXPONENT, "i16"),
    register_point("flow", VALUE, "i16", scale_from="power"),
]


def heard(*said: tuple[int, int], numbered: bool = False) -> list[Heard]:
    """Requests for one word at these addresses, each answered with this word."""
    rows = []
    for n, (address, word) in enumerate(said):
        data = word.to_bytes(2, "big")
        own = bytes((3, 3, 2)) + data
        frame = bytes((0, n, 0, 0, 0, len(own))) + own if numbered else sealed(own)
        asked = Asked(3, 3, address, 1, n if numbered else None)
        rows.append(Heard(asked, data, stream=bytearray(frame)))
    return rows


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ([(EXPONENT, 2), (VALUE, 7), (EXPONENT, 2)], [700.0]),
        ([(EXPONENT, 2), (VALUE, 7), (EXPONENT, 3)], []),
        ([(EXPONENT, 2), (VALUE, 7)], []),
        ([(EXPONENT, 2), (VALUE, 7), (EXPONENT, 9), (EXPONENT, 2)], [700.0]),
        ([(EXPONENT, 2), (VALUE, 7), (EXPONENT, 9), (OTHER, 5), (EXPONENT, 2)], []),
        ([(EXPONENT, 2), (VALUE, 7), (EXPONENT, 9), (EXPONENT, 3)], []),
    ],
)
def test_an_exponent_counts_that_is_the_same_before_and_after_but_for_a_sign_of_life(
    said: list[tuple[int, int]], values: list[float]
) -> None:
    assert Witness(heard(*said), POINTS).values(POINTS[1]) == values


@pytest.mark.parametrize(("after", "values"), [([(EXPONENT, 2)], [700.0]), ([(EXPONENT, 9), (EXPONENT, 2)], [])])  # fmt: skip
def test_where_answers_are_numbered_none_is_a_sign_of_life(
    after: list[tuple[int, int]], values: list[float]
) -> None:
    said = heard((EXPONENT, 2), (VALUE, 7), *after, numbered=True)
    assert Witness(said, POINTS).values(POINTS[1]) == values
