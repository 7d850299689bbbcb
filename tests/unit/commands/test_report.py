import pytest

from commands.report import verdict


@pytest.mark.parametrize(
    ("lost", "doubled", "code"),
    [(0, 0, 0), (1, 0, 1), (0, 1, 1), (None, None, 3), (0, None, 3), (None, 0, 3), (2, None, 1)],
)
def test_what_is_not_known_is_neither_yes_nor_no(
    lost: int | None, doubled: int | None, code: int
) -> None:
    assert verdict({"lost": lost, "doubled": doubled}) == code
