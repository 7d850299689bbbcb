"""Each cell of a register list in the maker's way of writing, as the fields that it means."""

import re
import struct
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

from config.register_words import (
    ACCESS,
    BY_DIGIT,
    FUNCTIONS,
    ORDERS,
    TABLES,
    TYPES,
    WRITES,
    plain,
    plain_type,
)


class Unclear(Exception):
    """What is wrong with a cell."""


Given = Mapping[str, str]
"""Field to the cell as written, those that are filled."""


def _name(given: Given) -> dict[str, Any]:
    id = given.get("id") or given.get("name") or given.get("zh")
    if not id:
        raise Unclear("is missing")
    texts = {key: given[key] for key in ("name", "zh", "unit", "scale_from", "note") if key in given}  # fmt: skip
    return {"id": id} | ({"name": id} if " " in id else {}) | texts


def _place(given: Given) -> dict[str, Any]:
    if "address" not in given:
        raise Unclear("is missing")
    told = _table(given)
    table = "holding" if told == "write" else told
    first, last = _ends(given["address"])
    place = _at(first, table)
    if told == "write":
        return {"table": "holding", "address": place["address"] % 65536, "write_only": True}
    return place | (_words_to(place, _at(last, table), given) if last else {})


def _ends(said: str) -> tuple[str, str]:
    """A single address, or the first and the last of those that a value takes."""
    ends = re.fullmatch(r"(\w+)\s*(?:-|–|~|\.\.+|to|至)\s*(\w+)", said)
    return (ends[1], ends[2]) if ends else (said, "")


def _words_to(first: dict[str, Any], last: dict[str, Any], given: Given) -> dict[str, Any]:
    """How many registers a value takes that is given by its first and its last."""
    words = last["address"] - first["address"] + 1
    if words < 1 or first["table"] != last["table"] or first["table"] in ("coil", "discrete"):
        raise Unclear(f"{given['address']!r} is no span of registers")
    if "words" in given and given["words"] != str(words):
        raise Unclear(f"{given['address']!r} are {words} registers, and words says {given['words']}")  # fmt: skip
    return {"words": words}


def _at(said: str, table: str | None) -> dict[str, Any]:
    """Table and address of one register; `table` as the row says it beside the address."""
    style = re.fullmatch(r"([134])[xX](\d{4,5})|([0134])(\d{4,5})", said)
    digit, number = (style[1] or style[3], style[2] or style[4]) if style else ("", "")
    by_style = BY_DIGIT.get(digit)
    if style and table in (None, by_style if style[1] else None):
        if not 1 <= int(number) <= 65536:
            raise Unclear(f"{said!r} is not in {said[: -len(number)]}0001..{said[: -len(number)]}65536")  # fmt: skip
        return {"table": by_style, "address": int(number) - 1}
    if style and style[1]:
        raise Unclear(f"{said!r} is of table {by_style}, and the row says {table}")
    if re.fullmatch(r"\w+\.\d+", said):
        raise Unclear(f"{said!r} has a point: write the address alone, and a bit in a column bit")
    if table is None:
        raise Unclear(f"{said!r} says no table: give a column table or function, or numbers such as 40001")  # fmt: skip
    address = _address(said)
    doubt = _doubt(said, table, by_style)
    return {"table": table, "address": address} | ({"as_written": doubt} if doubt else {})


def _address(said: str) -> int:
    """An address on the wire: 12, 0x0C or 0Ch."""
    try:
        return _whole(said)
    except Unclear:
        raise Unclear(f"{said!r} is no address; allowed: 40001 or 4x0001 (from 1, the first digit says the table), and with a column table or function 12, 0x0C, 0Ch (from 0); 40001-40002 for a value of two registers") from None  # fmt: skip


def _doubt(said: str, table: str, by_style: str | None) -> str:
    """Why an address may mean something else in this list than what it is taken for; "" if it cannot."""
    if re.fullmatch(r"0\d{3,}", said) and int(said) >= 10:
        return f"{said} is taken as decimal {int(said)}; where the list counts in hex, write 0x{said}"  # fmt: skip
    if table == "coil" and re.fullmatch(r"0[xX]\d{4,5}", said):
        return f"{said} is taken as hex, from 0; where it is of the style 00001, leave table and function empty and write 0{said[2:]}"  # fmt: skip
    if by_style is None or said.startswith("0"):
        return ""
    other = "" if by_style == table else f", though {said} is mostly of table {by_style}"
    return f"{said} is taken as the address on the wire of table {table}{other}; where it is of the style 40001, leave table and function empty"  # fmt: skip


def _table(given: Given) -> str | None:
    """The table by its column or the function's; "write" where the register can only be written."""
    told = plain(given.get("table", ""))
    named = next((table for table, names in TABLES.items() if told in names), None)
    if told and named is None:
        raise Unclear(f"table {given['table']!r} is not one of {', '.join(TABLES)}")
    codes = [int(code, 16) if "x" in code else int(code) for code in re.findall(r"0x[0-9a-f]{1,2}|\d{1,2}", given.get("function", "").lower())]  # fmt: skip
    reads = [FUNCTIONS[code] for code in codes if code in FUNCTIONS]
    if reads:
        if named and named != reads[0]:
            raise Unclear(f"function {given['function']} does not read table {named}")
        return reads[0]
    if given.get("function"):
        if codes and WRITES.issuperset(codes):
            return "write"
        raise Unclear(f"function {given['function']!r} is not one of 1, 2, 3, 4")
    return named


def _type(given: Given) -> dict[str, Any]:
    said = plain_type(given.get("type", ""))
    if not said:
        return {"type": "bit" if _is_bits(given) else "u16"}
    known = next((type for type, names in TYPES.items() if said in names), None)
    if known is None:
        raise Unclear(f"{given['type']!r} is not one of {', '.join(TYPES)}")
    return {"type": "bit" if _is_bits(given) else known}


def _is_bits(given: Given) -> bool:
    try:
        return _place(given)["table"] in ("coil", "discrete")
    except Unclear:
        return False


def _order(given: Given) -> dict[str, Any]:
    said = given.get("order", "")
    if not said:
        return {}
    letters = re.sub(r"[\s\-]", "", said.upper())
    if re.fullmatch("[A-H]{2,8}", letters) and sorted(letters) == list("ABCDEFGH"[: len(letters)]):
        return {"order": letters}
    if plain(said) not in ORDERS:
        raise Unclear(f"{said!r} is no order; allowed: ABCD, CDAB, BADC, DCBA, {', '.join(ORDERS)}")
    return {"order": ORDERS[plain(said)]}


def _sized(field: str) -> Callable[[Given], dict[str, Any]]:
    return lambda given: {field: _whole(given[field])} if field in given else {}


def _byte(given: Given) -> dict[str, Any]:
    half = {"h": "high", "hi": "high", "l": "low", "lo": "low"}
    return {"byte": half.get(given["byte"].lower(), given["byte"].lower())} if "byte" in given else {}  # fmt: skip


def _divisor(given: Given) -> dict[str, Any]:
    if "divisor" not in given:
        return {}
    if "scale" in given:
        raise Unclear("is said by a scale too: say one of them")
    if not (divisor := _number(given["divisor"])):
        raise Unclear("is 0, by which nothing can be divided")
    return {"scale": 1 / divisor}


def _scaling(given: Given) -> dict[str, Any]:
    return _scale(given["scale"], given.get("unit", "")) if "scale" in given else {}


def _scale(said: str, unit: str) -> dict[str, Any]:
    """`0.1`, `x0.1`, `1/10`, `/10`, `10^-1`, or `0.1V` with its unit."""
    if power := re.fullmatch(r"[x×*]?\s*10\s*(?:\^|\*\*)\s*\(?([-+]?\d{1,2})\)?", said):
        return {"scale": float(f"1e{power[1]}")}
    parts = re.fullmatch(rf"(?:[x×*]\s*|([/÷])\s*)?({NUMBER})((?:/\d+)?)\s*((?:[^\W\d_]|[%°‰℃℉])\S*)?", said)  # fmt: skip
    raised = parts and unicodedata.category((parts[4] or " ")[0]) == "No"  # 10² has no unit ²
    if parts is None or raised or (parts[1] and parts[3]):
        raise Unclear(f"{said!r} is not a number such as 0.1, 1/10, /10 or 10^-1")
    if parts[4] and unit and _alike(parts[4]) != _alike(unit):
        raise Unclear(f"{said!r} is in {parts[4]}, and unit says {unit}")
    number = _number(f"1/{parts[2]}" if parts[1] else parts[2] + parts[3])
    return {"scale": number} | ({"unit": parts[4]} if parts[4] else {})


def _alike(unit: str) -> str:
    """℃ and °C, m³ and m3 are one unit."""
    return unicodedata.normalize("NFKC", unit).lower()


def _offset(given: Given) -> dict[str, Any]:
    return {"offset": _number(given["offset"])} if "offset" in given else {}


def _range(given: Given) -> dict[str, Any]:
    ends = [_number(given[key]) for key in ("min", "max") if key in given]
    if len(ends) == 1:
        raise Unclear("has one end only: give min and max")
    return {"range": ends} if ends else {}


def _sentinels(given: Given) -> dict[str, Any]:
    if "sentinels" not in given:
        return {}
    type = _type(given)["type"]
    if both := re.search(
        r"\d+,\d+" if type in FLOATS else r"\b[1-9]\d{0,2}(?:,\d{3})+\b", given["sentinels"]
    ):
        raise Unclear(f"{both[0]!r} is one number or {both[0].count(',') + 1}: write blanks between numbers, and none in one")  # fmt: skip
    words = re.split(r"[\s;,|]+", given["sentinels"])
    if type in FLOATS:
        # NaN is no value anyway
        return {"sentinels": [_bits_of(word, type) for word in words if word.lower() not in ("", "nan")]}  # fmt: skip
    return {"sentinels": [_whole(word) for word in words if word]}


FLOATS: Final[Mapping[str, tuple[str, str]]] = {"f32": (">f", ">I"), "f64": (">d", ">Q")}
"""Type to how `struct` packs its value and its bits."""


def _bits_of(word: str, type: str) -> int:
    """What stands in the registers: the bits themselves where written in hex, else those of the number."""
    if HEX.fullmatch(word):
        return _whole(word)
    value, bits = FLOATS[type]
    try:
        return int(struct.unpack(bits, struct.pack(value, _number(word)))[0])
    except OverflowError:
        raise Unclear(f"{word!r} is larger than any {type}") from None


def _kind(given: Given) -> dict[str, Any]:
    return {"kind": given["kind"].lower()} if "kind" in given else {}


def _access(given: Given) -> dict[str, Any]:
    if "access" not in given:
        return {}
    said = "".join(sign for sign in given["access"].lower() if sign.isalpha())
    meant = next((means for means, names in ACCESS.items() if said in names), None)
    if meant is None:
        raise Unclear(f"{given['access']!r} is not one of R, RW, W")
    return {"r": {}, "rw": {"writable": True}, "w": {"write_only": True}}[meant]


def _named(field: str) -> Callable[[Given], dict[str, Any]]:
    """A cell such as `0=Off; 1=On` (also `:`; `,`, `|`, `/`, blanks or a new line between)."""

    def make(given: Given) -> dict[str, Any]:
        return {field: _meanings(given[field])} if field in given else {}

    return make


DIGITS_MAX: Final = 20
"""No register holds a number that takes more signs."""
NUMBERED: Final = re.compile(r"(?<![\w.])(-?(?:0[xX][0-9A-Fa-f]+|\d+))\s*[=:＝：]\s*")
"""A number that a text follows."""


def _meanings(cell: str) -> dict[str, str]:
    """Number to text; every character of the cell is one of a number, of its text or between them."""
    before, *parts = NUMBERED.split(cell)
    if before.strip(BETWEEN) or not parts:
        raise Unclear(f"{cell!r} is not of the form 0=Off; 1=On")
    named: dict[str, str] = {}
    for number, text in zip(parts[::2], parts[1::2], strict=True):
        if len(number) > DIGITS_MAX:
            raise Unclear(
                f"{number!r} is no number of a register; allowed: up to {DIGITS_MAX} signs"
            )
        key = str(int(number, 16 if "x" in number.lower() else 10))
        if key in named:
            raise Unclear(f"{cell!r} names {key} twice")
        if re.search(r"\d+\s*[=:＝：]", text) or (not text and parts[-1] is not text):
            raise Unclear(f"{cell!r} cannot be taken apart at {text!r}: write 0=Off; 1=On")
        named[key] = " ".join(text.strip(BETWEEN).split())
    return named


BETWEEN: Final = " \t\r\n;|,/；，、"


NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?"


HEX: Final = re.compile(r"0[xX]([0-9A-Fa-f]{1,16})|([0-9A-Fa-f]{1,16})[hH]")


def _whole(text: str) -> int:
    if re.fullmatch(r"-?\d{1,20}", text):
        return int(text)
    if hexadecimal := HEX.fullmatch(text):
        return int(hexadecimal[1] or hexadecimal[2], 16)
    raise Unclear(f"{text!r} is not a whole number such as 12, 0x0C or 0Ch")


def _number(text: str) -> float:
    found = re.fullmatch(rf"({NUMBER})(?:/(\d+(?:\.\d+)?))?", text)
    if found is None or (found[2] and float(found[2]) == 0):
        raise Unclear(f"{text!r} is not a number such as 0.1 or 1/10")
    return float(found[1]) / float(found[2] or 1)


CELLS: Final[Mapping[str, Callable[[Given], dict[str, Any]]]] = {
    "id": _name, "address": _place, "type": _type, "order": _order, "words": _sized("words"), "bit": _sized("bit"), "bit_width": _sized("bit_width"), "byte": _byte,
    "scale": _scaling, "divisor": _divisor, "offset": _offset, "range": _range, "sentinels": _sentinels, "kind": _kind, "access": _access,
    "enum": _named("enum"), "bits": _named("bits"),
}  # fmt: skip
"""Column by which a mistake is named to what its cells become."""
