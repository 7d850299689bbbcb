"""What `rolls_over_at` of a profile means."""

import pytest

from config.rollovers import range_of


@pytest.mark.parametrize(
    ("written", "step", "register", "range_"),
    [
        (65535, 1.0, "u16", 65536), (65536, 1.0, "u16", 65536),
        (4294967295, 1.0, "u32", 2**32), (4294967295, 0.1, "u32", 429496729.6),
        (429496729.5, 0.1, "u32", 429496729.6), (429496729.6, 0.1, "u32", 429496729.6),
        (65535, 1.0, None, 65536), (16777215, 1.0, None, 2**24),
        (99999.9, 0.1, "u32", 100000.0), (100000, 0.1, "u32", 100000.0), (999999, 1.0, "f64", 1000000),
        (360, 0.1, "u16", 360), (359, 1.0, "u16", 359), (24, 1.0, None, 24), (99, 1.0, None, 99),
        (10000, 1.0, "bcd32", 10000), (65535, -1.0, "i16", 65536),
    ],
)  # fmt: skip
def test_one_round_is_what_is_added(
    written: float, step: float, register: str | None, range_: float
) -> None:
    assert range_of(written, step, register) == pytest.approx(range_, rel=1e-12)
