"""Numbers belong to the month of the site's own calendar."""

import pytest

from api.desk.numbering import month_of, number_of, parse_number

MIDNIGHT_SHANGHAI = 1_764_518_400_000
"""2025-12-01 00:00 in Shanghai, 2025-11-30 16:00 UTC."""


@pytest.mark.parametrize(
    ("at", "zone", "month"),
    [
        (MIDNIGHT_SHANGHAI, "Asia/Shanghai", "202512"),
        (MIDNIGHT_SHANGHAI - 1, "Asia/Shanghai", "202511"),
        (MIDNIGHT_SHANGHAI, "UTC", "202511"),
        (MIDNIGHT_SHANGHAI, "America/New_York", "202511"),
    ],
)
def test_the_month_is_the_sites(at: int, zone: str, month: str) -> None:
    assert month_of(at, zone) == month


@pytest.mark.parametrize(
    ("n", "text"), [(1, "202511-0001"), (9999, "202511-9999"), (10_000, "202511-10000")]
)
def test_a_number_is_read_back(n: int, text: str) -> None:
    assert number_of("202511", n) == text
    assert parse_number(text) == ("202511", n)


@pytest.mark.parametrize(
    "text", ["", "x", "202511", "20251-0001", "202511-001", "202511-0001x", "202511-1234567890"]
)
def test_anything_else_is_no_number(text: str) -> None:
    assert parse_number(text) is None
