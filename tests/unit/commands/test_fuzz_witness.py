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


def heard(*said: tuple[int, int]) -> list[Heard]:
    """Requests for one word at these addresses, each answered with this word."""
    rows = []
    for address, word in said:
        data = word.to_bytes(2, "big")
        frame = sealed(bytes((3, 3, 2)) + data)
        rows.append(Heard(Asked(3, 3, address, 1, None), data, stream=bytearray(frame)))
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
