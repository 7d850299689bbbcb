"""How a row of a register list says that its value is scaled by a power of ten, and which row that means."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from config.imported_fields import is_bit, slug
from config.register_maps import Row
from config.scaling import why_no_exponent

POWERS: Final = range(-10, 11)
"""What an exponent may be where a list says it as a number (SunSpec Information Model: -10 to 10)."""


@dataclass(frozen=True, slots=True)
class Exponent:
    """What scales a value beside its own scale: the point `key`, or else 10^`power`. `why` it cannot be told; `note` if it can, in doubt."""

    key: str = ""
    power: int = 0
    why: str = ""
    note: str = ""


class Exponents:
    """Which row scales which: `kept` are the places in `rows` of those that become points, with their keys."""

    def __init__(self, rows: Sequence[Row], kept: Mapping[int, str]) -> None:
        self._rows, self._kept = rows, kept
        self._by_id: dict[str, list[int]] = {}
        self._by_slug: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            id = str(row.fields["id"]).strip()
            self._by_id.setdefault(id, []).append(place)
            self._by_slug.setdefault(slug(id, "_"), []).append(place)

    def of(self, place: int) -> Exponent:
        """What scales the row at that place of the list."""
        fields = self._rows[place].fields
        named = str(fields.get("scale_from") or "").strip()
        if fields.get("scale_from") in (None, ""):
            return Exponent()
        meant = self._called(named)
        if not meant:
            return _number(named or "0", fields)
        found = self._of_block(place, meant)
        if found is None:
            where = " and ".join(self._rows[one].where for one in meant)
            return Exponent(why=f"takes its scale from {named!r}, and {where} are all called so, which of them is not said: name each apart")  # fmt: skip
        if why := self._why_not(found):
            return Exponent(why=f"takes its scale from {named!r}, which {why}")
        note = self._doubt(place, named, meant, found) if len(meant) > 1 else ""
        return Exponent(key=self._kept[found], note=note)

    def _called(self, name: str) -> list[int]:
        """Places of the rows of a name; of those that are written otherwise only if no row is called just so."""
        alike = slug(name, "_")
        return self._by_id.get(name) or (self._by_slug.get(alike, []) if alike else [])

    def _of_block(self, place: int, meant: Sequence[int]) -> int | None:
        """The only one; of several that of the same block, where value and exponent are there equally often."""
        if len(meant) == 1:
            return meant[0]
        blocks = self._called(str(self._rows[place].fields["id"]).strip())
        return meant[blocks.index(place)] if len(blocks) == len(meant) else None

    def _doubt(self, place: int, named: str, meant: Sequence[int], found: int) -> str:
        fields = self._rows[found].fields
        return (
            f"takes its scale from {named!r}, and {len(meant)} rows are called so: that of the same block "
            f"is taken, {self._rows[found].where} at {fields['table']}:{fields['address']}; check it"
        )

    def _why_not(self, place: int) -> str:
        fields = self._rows[place].fields
        if place not in self._kept:
            return "is left out itself"
        scaled = str(fields.get("scale_from") or "").strip()
        return why_no_exponent(
            single_bit=is_bit(fields) or bool(fields.get("bits")), type=fields["type"],
            scale_from=None if scaled == "0" else scaled, scale=fields.get("scale") or 1, offset=fields.get("offset") or 0,
        )  # fmt: skip


def _number(said: str, fields: Mapping[str, Any]) -> Exponent:
    """An exponent that is written as such."""
    if not re.fullmatch(r"[-+]?\d{1,9}", said):
        return Exponent(why=f"takes its scale from {said!r}, which no row is called")
    if int(said) not in POWERS:
        return Exponent(why=f"takes its scale from {said!r}, which no row is called and which is no exponent in {POWERS.start}..{POWERS.stop - 1}")  # fmt: skip
    if (fields.get("scale") or 1) != 1 and int(said):
        return Exponent(why=f"says a scale of {fields['scale']:g} and an exponent of {said}: say one of them")  # fmt: skip
    return Exponent(power=int(said))
