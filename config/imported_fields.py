"""What is asked of the fields of a row of a register list, and how its texts become names."""

import re
from collections.abc import Mapping, Set
from typing import Any, Final

from config.profile import WORDS, spells
from config.register_maps import whole

BYTES: Final = {"low": 0, "high": 8}


def slug(text: str, joint: str) -> str:
    """The text in small letters and digits, joined by `joint`; "" if it has none."""
    return joint.join(re.findall(r"[a-z0-9]+", text.lower()))


def titled(id: str) -> str:
    """An id as a name: `l1_voltage` to "L1 voltage"."""
    words = id.replace("_", " ").replace("-", " ").strip() or id
    return words[:1].upper() + words[1:]


def free(name: str, taken: Set[str]) -> str:
    """The name, numbered if it is taken."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def size_of(fields: Mapping[str, Any]) -> int:
    """Registers that a value of the row's type takes; of a text 1."""
    return WORDS.get(fields["type"], 1)


def order_of(fields: Mapping[str, Any]) -> str | None:
    """The order of a row as its point has it, "" for the usual one; None if no value of its size has that."""
    order, size = fields.get("order") or "AB", size_of(fields)
    if size == 1:  # of a text too: characters stay in their words
        if not spells(order, len(order) // 2):
            return None
        swapped = order[0] > order[1]
        return ("BADC" if fields["type"] == "string" else "BA") if swapped else ""
    order = PATTERNS.get(order, order)
    if order not in PATTERNS.values() and not spells(order, size):
        return None
    return "" if order == "ABCD" else order


PATTERNS: Final[Mapping[str, str]] = {
    "AB": "ABCD", "BA": "BADC",
    "ABCDEFGH": "ABCD", "GHEFCDAB": "CDAB", "BADCFEHG": "BADC", "HGFEDCBA": "DCBA",
}  # fmt: skip
"""Orders written out to the pattern that they follow."""


def field_of(fields: Mapping[str, Any]) -> tuple[int | None, int]:
    """Lowest bit and width of the part of a word that the row means; None for the whole."""
    byte = fields["type"] in ("u8", "i8") or bool(fields.get("byte"))
    bit, width = whole(fields.get("bit")), fields.get("bit_width")
    if bit is None and byte:
        return BYTES[fields.get("byte") or "low"], width or 8
    if bit is None:
        return (0, width) if width else (None, 1)
    return bit, width or (8 if byte and bit in (0, 8) else 1)


def is_bit(fields: Mapping[str, Any]) -> bool:
    """Whether the row is a single bit, in a table of bits or of a word."""
    bit, width = field_of(fields)
    if fields["table"] in ("coil", "discrete"):
        return True
    return width == 1 and (bit is not None or fields["type"] == "bit")
