"""A register list as a table of text: whose columns mean what, and each cell in the maker's way of writing."""

import csv
import io
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from config.mistakes import Mistakes
from config.register_maps import POINTS_MAX, RegisterMap, Row, check_row

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id", "point", "point id", "tag", "key", "variable", "variable name", "symbol"),
    "name": ("name", "en", "english", "english name", "name en", "parameter", "label", "signal"),
    "zh": ("zh", "zh name", "name zh", "chinese", "chinese name", "中文", "中文名", "中文名称", "名称"),
    "table": ("table", "register type", "reg type", "area", "register table", "object type", "space"),
    "function": ("function", "function code", "fc", "func", "read function", "modbus function", "功能码"),
    "address": ("address", "addr", "register", "reg", "register address", "modbus address", "register number", "地址"),
    "type": ("type", "data type", "datatype", "format", "data format", "类型"),
    "order": ("order", "byte order", "word order", "endianness", "endian", "swap"),
    "words": ("words", "registers", "length", "quantity", "word count", "size"),
    "scale": ("scale", "factor", "multiplier", "resolution", "coefficient", "scaling", "倍率"),
    "offset": ("offset", "bias"),
    "scale_from": ("scale from", "exponent", "scale register", "scale factor register", "sf"),
    "unit": ("unit", "units", "engineering unit", "eu", "单位"),
    "sentinels": ("sentinels", "sentinel", "no data", "nodata", "invalid", "invalid value", "invalid values", "not available"),
    "min": ("min", "minimum", "range min"),
    "max": ("max", "maximum", "range max"),
    "bit": ("bit", "bit number", "bit position", "bit index"),
    "bit_width": ("bit width", "bit count", "bit length", "width"),
    "byte": ("byte", "byte half"),
    "enum": ("enum", "enumeration", "values", "states", "value map", "options", "meaning"),
    "bits": ("bits", "bit names", "flags", "bit meaning", "bitmap"),
    "kind": ("kind",),
    "access": ("access", "rw", "r w", "read write", "permission"),
    "note": ("comment", "comments", "note", "notes", "remark", "remarks", "description", "说明", "备注"),
}  # fmt: skip
"""What a column may be called, in small letters, with blanks for _ - / and dots."""
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "holding": ("holding", "holding register", "holding registers", "hr", "4x", "4xxxx", "4"),
    "input": ("input", "input register", "input registers", "ir", "3x", "3xxxx", "3"),
    "coil": ("coil", "coils", "coil status", "do", "digital output", "0x", "0xxxx", "0"),
    "discrete": ("discrete", "discrete input", "discrete inputs", "input status", "di", "digital input", "1x", "1xxxx", "1"),
}  # fmt: skip
TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "u8": ("u8", "uint8", "byte", "unsigned8", "uchar"),
    "i8": ("i8", "int8", "s8", "sint8", "sbyte", "signed8"),
    "u16": ("u16", "uint16", "word", "ushort", "uint", "unsigned", "unsigned16", "unsignedint16", "unsignedint", "16bitunsigned"),
    "i16": ("i16", "int16", "s16", "short", "int", "signed", "signed16", "signedint16", "signedint", "sint16", "16bitsigned"),
    "u32": ("u32", "uint32", "dword", "udint", "ulong", "unsigned32", "unsignedint32", "32bitunsigned"),
    "i32": ("i32", "int32", "s32", "dint", "long", "signed32", "signedint32", "sint32", "32bitsigned"),
    "u64": ("u64", "uint64", "qword", "ulint", "unsigned64", "64bitunsigned"),
    "i64": ("i64", "int64", "s64", "lint", "signed64", "64bitsigned"),
    "f32": ("f32", "float", "float32", "real", "single", "ieee754", "floatingpoint", "32bitfloat"),
    "f64": ("f64", "float64", "double", "lreal", "64bitfloat"),
    "bcd16": ("bcd16", "bcd"),
    "bcd32": ("bcd32",),
    "string": ("string", "str", "ascii", "char", "text"),
    "bit": ("bit", "bool", "boolean", "binary", "digital"),
}  # fmt: skip
"""Type to how makers write it, in small letters without blanks, _ and -."""
ORDERS: Final[Mapping[str, str]] = {
    "big": "ABCD", "big endian": "ABCD", "be": "ABCD", "high word first": "ABCD", "msw first": "ABCD", "none": "ABCD",
    "little": "DCBA", "little endian": "DCBA", "le": "DCBA",
    "low word first": "CDAB", "lsw first": "CDAB", "word swap": "CDAB", "swapped words": "CDAB", "big endian word swap": "CDAB",
    "byte swap": "BADC", "big endian byte swap": "BADC", "swapped bytes": "BADC", "little endian word swap": "BADC",
}  # fmt: skip
FUNCTIONS: Final[Mapping[int, str]] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
WRITES: Final = frozenset({5, 6, 15, 16, 22, 23})
BY_DIGIT: Final[Mapping[str, str]] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
"""First digit of a 40001-style number to its table."""


class _Wrong(Exception):
    """What is wrong with a cell."""


def read_csv(text: str, name: str, shown: str, mistakes: Mistakes) -> RegisterMap | None:
    """A register list from CSV (comma, semicolon or tab; the first line names the columns).

    `name` becomes the id of the map. None and a mistake for each cell that cannot be understood.
    """
    if "\0" in text:
        mistakes.add(shown, "", "holds a zero byte: save it as CSV UTF-8")
        return None
    lines = text.removeprefix("\ufeff").lstrip("\r\n")
    delimiter = max(",;\t", key=lines.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter, strict=True)
    try:
        table = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]  # fmt: skip
    except csv.Error as error:
        mistakes.add(shown, f"row {reader.line_num}", f"is not CSV: {error}")
        return None
    if len(table) < 2 or len(table) > POINTS_MAX:
        mistakes.add(shown, "", f"has {max(0, len(table) - 1)} rows below a line of column names; allowed: 1..{POINTS_MAX}")  # fmt: skip
        return None
    columns = _columns(table[0][1], shown, mistakes)
    if columns is None:
        return None
    rows = [_row(number, columns, cells, delimiter, (shown, mistakes)) for number, cells in table[1:]]  # fmt: skip
    unused = [f"column {title!r}" for title, field in zip(table[0][1], columns, strict=True) if not field and title.strip()]  # fmt: skip
    return RegisterMap(name, {}, [row for row in rows if row], {}, unused)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\s_\-/.()]+", " ", text.lower()).split())


def _columns(titles: Sequence[str], shown: str, mistakes: Mistakes) -> list[str] | None:
    """Of each column its field, "" for one that is not known."""
    fields = [next((f for f, names in COLUMNS.items() if _plain(t) in names), "") for t in titles]
    for field in COLUMNS:
        if fields.count(field) > 1:
            both = [title for title, own in zip(titles, fields, strict=True) if own == field]
            mistakes.add(shown, "row 1", f"columns {', '.join(map(repr, both))} are all the {field}: keep one")  # fmt: skip
            return None
    missing = [] if {"id", "name"} & set(fields) else ["id"]
    missing += [] if "address" in fields else ["address"]
    for field in missing:
        mistakes.add(shown, "row 1", f"has no column {field}; it may be called {', '.join(COLUMNS[field])}")  # fmt: skip
    return None if missing else fields


def _row(
    number: int,
    columns: Sequence[str],
    cells: Sequence[str],
    delimiter: str,
    told: tuple[str, Mistakes],
) -> Row | None:
    shown, mistakes = told
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        mistakes.add(shown, f"row {number}", f"has {len(cells)} cells for {len(columns)} columns: quote texts that hold {delimiter!r}")  # fmt: skip
        return None
    given = {f: c.strip() for f, c in zip(columns, cells, strict=False) if f and c.strip()}
    if delimiter != ",":
        given |= {f: given[f].replace(",", ".") for f in NUMBERS if f in given}
    fields: dict[str, Any] = {}
    sound = True
    for key, make in CELLS.items():
        try:
            fields |= make(given)
        except _Wrong as error:
            mistakes.add(shown, f"row {number}.{key}", str(error))
            sound = False
    row = Row(f"row {number}", fields)
    if sound:
        check_row(row, shown, mistakes)
    return row if sound else None


Given = Mapping[str, str]
"""Field to the cell as written, those that are filled."""
NUMBERS: Final = ("scale", "offset", "min", "max")


def _name(given: Given) -> dict[str, Any]:
    if not given.get("id") and not given.get("name"):
        raise _Wrong("is missing")
    texts = {key: given[key] for key in ("name", "zh", "unit", "scale_from", "note") if key in given}  # fmt: skip
    id = given.get("id") or given["name"]
    return {"id": id} | ({"name": id} if " " in id else {}) | texts


def _place(given: Given) -> dict[str, Any]:
    if "address" not in given:
        raise _Wrong("is missing")
    said, table = given["address"], _table(given)
    if table == "write":
        return {"table": "holding", "address": _whole(said) % 65536, "write_only": True}
    style = re.fullmatch(r"([134][xX]|[0134])(\d{4,5})", said)
    by_style = BY_DIGIT[style[1][0]] if style else ""
    if style and (table is None or (table == by_style and "x" in said.lower())):
        if not 1 <= int(style[2]) <= 65536:
            raise _Wrong(f"{said!r} is not in {style[1]}0001..{style[1]}65536")
        return {"table": by_style, "address": int(style[2]) - 1}
    if table is None:
        raise _Wrong(f"{said!r} says no table: give a column table or function, or numbers such as 40001")  # fmt: skip
    doubt = {"as_written": _as_written(said)} if style and table == by_style else {}
    return {"table": table, "address": _whole(said)} | doubt


def _as_written(said: str) -> str:
    return f"{said} is taken as the address on the wire, as its table is given; where it is of the style 40001, leave table and function empty"  # fmt: skip


def _table(given: Given) -> str | None:
    """The table by its column or the function's; "write" where the register can only be written."""
    told = _plain(given.get("table", ""))
    named = next((table for table, names in TABLES.items() if told in names), None)
    if told and named is None:
        raise _Wrong(f"table {given['table']!r} is not one of {', '.join(TABLES)}")
    codes = [int(code, 16) if "x" in code else int(code) for code in re.findall(r"0x[0-9a-f]{1,2}|\d{1,2}", given.get("function", "").lower())]  # fmt: skip
    reads = [FUNCTIONS[code] for code in codes if code in FUNCTIONS]
    if reads:
        if named and named != reads[0]:
            raise _Wrong(f"function {given['function']} does not read table {named}")
        return reads[0]
    if given.get("function"):
        if codes and WRITES.issuperset(codes):
            return "write"
        raise _Wrong(f"function {given['function']!r} is not one of 1, 2, 3, 4")
    return named


def _type(given: Given) -> dict[str, Any]:
    said = re.sub(r"[\s_\-()]", "", given.get("type", "").lower())
    if not said:
        return {"type": "bit" if _is_bits(given) else "u16"}
    known = next((type for type, names in TYPES.items() if said in names), None)
    if known is None:
        raise _Wrong(f"{given['type']!r} is not one of {', '.join(TYPES)}")
    return {"type": "bit" if _is_bits(given) else known}


def _is_bits(given: Given) -> bool:
    try:
        return _place(given)["table"] in ("coil", "discrete")
    except _Wrong:
        return False


def _order(given: Given) -> dict[str, Any]:
    said = given.get("order", "")
    if not said:
        return {}
    letters = re.sub(r"[\s\-]", "", said.upper())
    if re.fullmatch("[A-H]{2,8}", letters) and sorted(letters) == list("ABCDEFGH"[: len(letters)]):
        return {"order": letters}
    if _plain(said) not in ORDERS:
        raise _Wrong(f"{said!r} is no order; allowed: ABCD, CDAB, BADC, DCBA, {', '.join(ORDERS)}")
    return {"order": ORDERS[_plain(said)]}


def _sizes(given: Given) -> dict[str, Any]:
    return {key: _whole(given[key]) for key in ("words", "bit", "bit_width") if key in given}


def _byte(given: Given) -> dict[str, Any]:
    half = {"h": "high", "hi": "high", "l": "low", "lo": "low"}
    return {"byte": half.get(given["byte"].lower(), given["byte"].lower())} if "byte" in given else {}  # fmt: skip


def _numbers(given: Given) -> dict[str, Any]:
    return {key: _number(given[key]) for key in ("scale", "offset") if key in given}


def _range(given: Given) -> dict[str, Any]:
    ends = [_number(given[key]) for key in ("min", "max") if key in given]
    if len(ends) == 1:
        raise _Wrong("has one end only: give min and max")
    return {"range": ends} if ends else {}


def _sentinels(given: Given) -> dict[str, Any]:
    words = re.split(r"[\s;,|]+", given["sentinels"]) if "sentinels" in given else []
    if (type := _type(given)["type"]) in FLOATS:
        # NaN is no value anyway
        return {"sentinels": [_bits_of(word, type) for word in words if word.lower() not in ("", "nan")]}  # fmt: skip
    return {"sentinels": [_whole(word) for word in words if word]}


FLOATS: Final[Mapping[str, tuple[str, str]]] = {"f32": (">f", ">I"), "f64": (">d", ">Q")}
"""Type to how `struct` packs its value and its bits."""


def _bits_of(word: str, type: str) -> int:
    """What stands in the registers: the bits themselves where written in hex, else those of the number."""
    if "x" in word.lower():
        return _whole(word)
    value, bits = FLOATS[type]
    try:
        return int(struct.unpack(bits, struct.pack(value, _number(word)))[0])
    except OverflowError:
        raise _Wrong(f"{word!r} is larger than any {type}") from None


def _kind(given: Given) -> dict[str, Any]:
    return {"kind": given["kind"].lower()} if "kind" in given else {}


def _access(given: Given) -> dict[str, Any]:
    said = re.sub(r"[^a-z]", "", given.get("access", "").lower())
    if said in ("w", "wo", "write", "writeonly"):
        return {"write_only": True}
    if said in ("", "r", "ro", "read", "readonly", "rw", "wr", "readwrite"):
        return {"writable": True} if "w" in said else {}
    raise _Wrong(f"{given['access']!r} is not one of R, RW, W")


def _named(field: str) -> Callable[[Given], dict[str, Any]]:
    """A cell such as `0=Off; 1=On` (also `:`; `,`, `|`, `/`, blanks or a new line between)."""

    def make(given: Given) -> dict[str, Any]:
        return {field: _meanings(given[field])} if field in given else {}

    return make


NUMBERED: Final = re.compile(r"(?<![\w.])(-?(?:0[xX][0-9A-Fa-f]+|\d+))\s*[=:]\s*")
"""A number that a text follows."""


def _meanings(cell: str) -> dict[str, str]:
    """Number to text; every character of the cell is one of a number, of its text or between them."""
    before, *parts = NUMBERED.split(cell)
    if before.strip(BETWEEN) or not parts:
        raise _Wrong(f"{cell!r} is not of the form 0=Off; 1=On")
    named: dict[str, str] = {}
    for number, text in zip(parts[::2], parts[1::2], strict=True):
        key = str(int(number, 16 if "x" in number.lower() else 10))
        if key in named:
            raise _Wrong(f"{cell!r} names {key} twice")
        if re.search(r"\d+\s*[=:]", text) or (not text and parts[-1] is not text):
            raise _Wrong(f"{cell!r} cannot be taken apart at {text!r}: write 0=Off; 1=On")
        named[key] = " ".join(text.strip(BETWEEN).split())
    return named


BETWEEN: Final = " \t\r\n;|,/"


def _whole(text: str) -> int:
    if re.fullmatch(r"-?\d{1,20}", text):
        return int(text)
    if re.fullmatch(r"0[xX][0-9A-Fa-f]{1,16}", text):
        return int(text, 16)
    raise _Wrong(f"{text!r} is not a whole number such as 12 or 0x0C")


def _number(text: str) -> float:
    found = re.fullmatch(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?)(?:/(\d+(?:\.\d+)?))?", text)  # fmt: skip
    if found is None or (found[2] and float(found[2]) == 0):
        raise _Wrong(f"{text!r} is not a number such as 0.1 or 1/10")
    return float(found[1]) / float(found[2] or 1)


CELLS: Final[Mapping[str, Callable[[Given], dict[str, Any]]]] = {
    "id": _name, "address": _place, "type": _type, "order": _order, "words": _sizes, "byte": _byte,
    "scale": _numbers, "range": _range, "sentinels": _sentinels, "kind": _kind, "access": _access,
    "enum": _named("enum"), "bits": _named("bits"),
}  # fmt: skip
"""Column by which a mistake is named to what its cells become."""
