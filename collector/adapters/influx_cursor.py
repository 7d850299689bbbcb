"""How far a journal has come in a bucket: its position, and what became of the readings up to there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from collector.adapters.lineprotocol import escaped

CURSOR: Final = "steward_cursor"
JOURNAL: Final = "journal"
"""Tag: each journal has positions of its own. Older versions wrote none."""


@dataclass(frozen=True, slots=True)
class Noted:
    """`taken` and `refused` are readings of all writes up to `position`; `taken` is None where nobody counted."""

    position: int = 0
    taken: int | None = 0
    refused: int = 0

    def after(self, position: int, readings: int, refused: int) -> "Noted":
        """With one more write of so many readings, of which some were refused for ever."""
        taken = None if self.taken is None else self.taken + readings - refused
        return Noted(position, taken, self.refused + refused)

    def line(self, journal: str) -> str:
        """As it is kept; the time is InfluxDB's."""
        tag = f",{JOURNAL}={escaped(journal)}" if journal else ""
        taken = "" if self.taken is None else f",taken={self.taken}i"
        return f"{CURSOR}{tag} position={self.position}i,refused={self.refused}i{taken}\n"


def noted_in(rows: Iterable[Mapping[str, str]], journal: str) -> Noted:
    """What the last fields of all journals say of one; one without a tag counts until the first that has one."""
    by_journal: dict[str, dict[str, int]] = {}
    for row in rows:
        said = by_journal.setdefault(row.get(JOURNAL, ""), {})
        said[row["_field"]] = int(row["_value"])
    if not by_journal:
        return Noted()
    found = by_journal.get(journal) or (by_journal.get("") if len(by_journal) == 1 else None)
    return (
        Noted(found["position"], found.get("taken"), found.get("refused", 0)) if found else Noted()
    )
