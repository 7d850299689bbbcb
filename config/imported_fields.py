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


def is_chinese(text: str) -> bool:
    """Whether there is a sign of Chinese in it."""
    return any("\u3400" <= sign <= "\u9fff" for sign in text)


def key_of(fields: Mapping[str, Any]) -> str:
    """The id of a row's point: its own in small letters, by its place where that says too little to tell it from others."""
    own = slug(str(fields["id"]), "_")
    if own and not is_chinese(str(fields["id"])):
        return own
    bit = field_of(fields)[0]
    place = [fields["table"], str(fields["address"])] + ([] if bit is None else [str(bit)])
    return "_".join(filter(None, [own, *place]))


def names_of(key: str, fields: Mapping[str, Any]) -> dict[str, str]:
    """Name by language: what the row says, and where it says only an id, that, unless the point's own id says as much."""
    id, zh = str(fields["id"]), fields.get("zh")
    name = fields.get("name") or ("" if id.isascii() else id)
    if is_chinese(name) and (not zh or not fields.get("name")):
        zh, name = zh or name, ""
    return {"en": name or titled(key)} | ({"zh": zh} if zh else {})


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
