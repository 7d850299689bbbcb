"""What every measurement prints: name, ours, reference, unit, ratio, target, met."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

COLUMNS: Final = ("name", "ours", "reference", "unit", "ratio", "target", "met")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its reference. Without a reference, `target` is of `ours` itself.

    `better` says which way is better. `note` names what was not run and why, or how it was measured.
    """

    name: str
    ours: float | None
    unit: str
    reference: float | None = None
    target: float | None = None
    better: Literal["higher", "lower"] = "higher"
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the reference's."""
        if self.ours is None or not self.reference:
            return None
        return self.ours / self.reference

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none or nothing was measured."""
        figure = self.ratio if self.reference is not None else self.ours
        if figure is None or self.target is None:
            return None
        return figure >= self.target if self.better == "higher" else figure <= self.target


Run = Callable[[bool], Sequence[Row]]


def show(rows: Sequence[Row], *, as_json: bool = False) -> None:
    """Print the rows: a table with the notes below, or JSON with the notes on stderr."""
    notes = sys.stderr if as_json else sys.stdout
    if as_json:
        print(json.dumps([{name: getattr(row, name) for name in COLUMNS} for row in rows]))
    else:
        _table(rows)
    for row in rows:
        if row.note:
            print(f"{row.name}: {row.note}", file=notes)


def _table(rows: Sequence[Row]) -> None:
    table = [COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[k]) for line in table) for k in range(len(COLUMNS))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def _cells(row: Row) -> tuple[str, ...]:
    sign = "≥" if row.better == "higher" else "≤"
    of = " ×" if row.reference is not None else ""
    return (
        row.name,
        _number(row.ours),
        _number(row.reference),
        row.unit,
        _number(row.ratio),
        "" if row.target is None else f"{sign} {_number(row.target)}{of}",
        {True: "yes", False: "NO", None: ""}[row.met],
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def main(run: Run, argv: Sequence[str] | None = None) -> int:
    """`--small` for a quick look, `--json` for machines. Fails when a target is missed at full size."""
    arguments = sys.argv[1:] if argv is None else argv
    small = "--small" in arguments
    rows = run(small)
    show(rows, as_json="--json" in arguments)
    return 1 if not small and any(row.met is False for row in rows) else 0
