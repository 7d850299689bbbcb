"""Which of `.` and `,` parts whole from fraction in the numbers of a list: as the list itself shows, or not at all."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

MARKED: Final = re.compile(r"\d*(?:[.,]\d+)+")
"""A number with a mark in it, of a cell such as `x0.1`, `1/1,000` or `0,1 V`."""
FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    ".": re.compile(r"(?:\d*|[1-9]\d{0,2}(?:,\d{3})+)(?:\.\d+)?"),
    ",": re.compile(r"(?:\d*|[1-9]\d{0,2}(?:\.\d{3})+)(?:,\d+)?"),
}
"""Decimal mark to how a number with it is written, thousands parted by the other."""
ROWS_NAMED: Final = 10


class Ambiguous(Exception):
    """A number means one thing or another."""


@dataclass(slots=True)
class Marks:
    """What the numbers of a list show of their decimal mark, "" for nothing or for both; `seen` where, in words."""

    decimal: str
    seen: str
    settled: dict[str, list[int]] = field(default_factory=dict)
    """Rows of each number that means something by the others only, as it was asked for."""

    def plain(self, row: int, cell: str) -> str:
        """The cell with its numbers as programs write them; what is no number stays as it is.

        Raises:
            Ambiguous: a number that the others do not settle.
        """
        return MARKED.sub(lambda found: self._plain(row, found[0]), cell)

    def _plain(self, row: int, number: str) -> str:
        marks = _marks(number)
        if len(marks) > 1:
            if not self.decimal:
                either = " or ".join(_with(mark, number) for mark in marks)
                raise Ambiguous(f"{number!r} is {either}, and {self.seen}: write it without a mark for thousands, a fraction as 1.5")  # fmt: skip
            self.settled.setdefault(number, []).append(row)
            marks = [self.decimal]
        return _with(marks[0], number) if marks else number

    def notes(self) -> list[str]:
        """Each number that the others settled, its rows and what it is taken for."""
        return [
            f"{number} is taken as {_with(self.decimal, number)} (row {_few(rows)}), because {self.seen}"
            for number, rows in self.settled.items()
        ]


def marks_of(cells: Iterable[tuple[int, str]]) -> Marks:
    """What these numbers, each with its row, show."""
    shown: dict[str, str] = {}
    for row, cell in cells:
        for number in MARKED.findall(cell):
            marks = _marks(number)
            if len(marks) == 1:
                shown.setdefault(marks[0], f"{number} in row {row}")
    if len(shown) == 1:
        ((decimal, seen),) = shown.items()
        return Marks(decimal, f"'{decimal}' is the decimal mark of {seen}")
    return Marks("", f"the list has both marks: {' and '.join(shown.values())}" if shown else "no other number of the list shows its decimal mark")  # fmt: skip


def _marks(number: str) -> list[str]:
    """The decimal marks that the number can have."""
    return [mark for mark, form in FORMS.items() if form.fullmatch(number)]


def _with(mark: str, number: str) -> str:
    whole, _, fraction = number.partition(mark)
    whole = re.sub("[.,]", "", whole)
    return whole + (f".{fraction}" if fraction else "")


def _few(rows: list[int]) -> str:
    more = f" and {len(rows) - ROWS_NAMED} more" if len(rows) > ROWS_NAMED else ""
    return ", ".join(map(str, rows[:ROWS_NAMED])) + more
