"""How makers write the columns, tables, types and orders of a register list."""

import re
from collections.abc import Mapping
from typing import Final

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id", "point", "point id", "tag", "key", "variable", "variable name", "symbol", "标识", "标识符"),
    "name": ("name", "en", "english", "english name", "name en", "parameter", "label", "signal"),
    "zh": ("zh", "zh name", "name zh", "chinese", "chinese name", "中文", "中文名", "中文名称", "名称", "参数名称", "变量名称", "信号名称", "测点名称"),
    "table": ("table", "register type", "reg type", "area", "register table", "object type", "space", "寄存器类型"),
    "function": ("function", "function code", "fc", "func", "read function", "modbus function", "功能码", "读功能码"),
    "address": ("address", "addr", "register", "reg", "register address", "modbus address", "register number", "地址", "寄存器地址"),
    "type": ("type", "data type", "datatype", "format", "data format", "类型", "数据类型"),
    "order": ("order", "byte order", "word order", "endianness", "endian", "swap", "字节序", "字节顺序"),
    "words": ("words", "registers", "length", "quantity", "word count", "size", "寄存器数", "寄存器数量", "寄存器个数"),
    "scale": ("scale", "factor", "multiplier", "resolution", "coefficient", "scaling", "倍率", "系数", "分辨率"),
    "divisor": ("divisor", "divide by", "divider", "denominator", "除数"),
    "offset": ("offset", "bias"),
    "scale_from": ("scale from", "exponent", "power of ten", "scale register", "scale factor register", "sf"),
    "unit": ("unit", "units", "engineering unit", "eu", "单位"),
    "sentinels": ("sentinels", "sentinel", "no data", "nodata", "invalid", "invalid value", "invalid values", "not available", "无效值"),
    "min": ("min", "minimum", "range min", "最小值"),
    "max": ("max", "maximum", "range max", "最大值"),
    "bit": ("bit", "bit number", "bit position", "bit index"),
    "bit_width": ("bit width", "bit count", "bit length", "width"),
    "byte": ("byte", "byte half"),
    "enum": ("enum", "enumeration", "values", "states", "value map", "options", "meaning", "枚举"),
    "bits": ("bits", "bit names", "flags", "bit meaning", "bitmap"),
    "kind": ("kind",),
    "access": ("access", "rw", "r w", "read write", "permission", "读写", "读写属性", "权限"),
    "note": ("comment", "comments", "note", "notes", "remark", "remarks", "description", "说明", "备注", "描述"),
}  # fmt: skip
"""What a column may be called, in small letters, with blanks for _ - / and dots."""
DECIMALS: Final = ("decimals", "decimal", "decimal places", "decimal point", "dp", "digits", "precision", "小数位", "小数位数", "精度")  # fmt: skip
DOUBTFUL: Final[Mapping[str, str]] = {
    **dict.fromkeys(("gain", "增益"), "multiplies in some lists and divides in others: call it scale (value = raw x scale) or divisor"),
    **dict.fromkeys(("scale factor", "scaling factor", "ratio", "比例", "变比"), "is a factor in some lists, in others a power of ten or the name of a register: call it scale, divisor or exponent"),
    **dict.fromkeys(("formula", "conversion", "calculation", "equation", "公式", "换算", "换算公式", "计算公式"), "says in words how values are scaled: say it in a column scale (and offset)"),
    **dict.fromkeys(DECIMALS, "says where the point stands in some lists, in others only what is shown: say it in a column scale, 0.1 for one digit"),
}  # fmt: skip
"""What a column is called that scales values, but not in one way."""
EMPTY: Final = frozenset({"-", "--", "–", "—", "/", "n/a", "n.a.", "na"})
"""What stands in a cell that holds nothing, in small letters."""
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "holding": ("holding", "holding register", "holding registers", "hr", "保持寄存器", "4x", "4xxxx", "4"),
    "input": ("input", "input register", "input registers", "ir", "输入寄存器", "3x", "3xxxx", "3"),
    "coil": ("coil", "coils", "coil status", "do", "digital output", "线圈", "0x", "0xxxx", "0"),
    "discrete": ("discrete", "discrete input", "discrete inputs", "input status", "di", "digital input", "离散输入", "1x", "1xxxx", "1"),
}  # fmt: skip
TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "u8": ("u8", "uint8", "byte", "unsigned8", "uchar"),
    "i8": ("i8", "int8", "s8", "sint8", "sbyte", "signed8"),
    "u16": ("u16", "uint16", "word", "ushort", "uint", "unsigned", "unsigned16", "unsignedint16", "unsignedint", "16bitunsigned", "int16u"),
    "i16": ("i16", "int16", "s16", "short", "int", "signed", "signed16", "signedint16", "signedint", "sint16", "16bitsigned", "int16s"),
    "u32": ("u32", "uint32", "dword", "udint", "ulong", "unsigned32", "unsignedint32", "32bitunsigned", "int32u"),
    "i32": ("i32", "int32", "s32", "dint", "long", "signed32", "signedint32", "sint32", "32bitsigned", "int32s"),
    "u64": ("u64", "uint64", "qword", "ulint", "unsigned64", "64bitunsigned", "int64u"),
    "i64": ("i64", "int64", "s64", "lint", "signed64", "64bitsigned", "int64s"),
    "f32": ("f32", "float", "float32", "real", "single", "ieee754", "floatingpoint", "32bitfloat"),
    "f64": ("f64", "float64", "double", "lreal", "64bitfloat"),
    "bcd16": ("bcd16", "bcd"),
    "bcd32": ("bcd32",),
    "string": ("string", "str", "ascii", "char", "text"),
    "bit": ("bit", "bool", "boolean", "binary", "digital"),
}  # fmt: skip
"""Type to how makers write it, in small letters without blanks, _ and -."""
SIZELESS: Final = frozenset({"int", "uint", "signed", "unsigned", "signedint", "unsignedint"})
"""Types of 16 bits in most lists, and of 32 in some."""
ORDERS: Final[Mapping[str, str]] = {
    "big": "ABCD", "big endian": "ABCD", "be": "ABCD", "high word first": "ABCD", "msw first": "ABCD", "none": "ABCD",
    "little": "DCBA", "little endian": "DCBA", "le": "DCBA",
    "low word first": "CDAB", "lsw first": "CDAB", "word swap": "CDAB", "swapped words": "CDAB", "big endian word swap": "CDAB",
    "byte swap": "BADC", "big endian byte swap": "BADC", "swapped bytes": "BADC", "little endian word swap": "BADC",
}  # fmt: skip
ACCESS: Final[Mapping[str, tuple[str, ...]]] = {
    "r": ("r", "ro", "read", "readonly", "只读", "读"),
    "rw": ("rw", "wr", "readwrite", "读写", "可读写", "可读可写"),
    "w": ("w", "wo", "write", "writeonly", "只写", "写"),
}  # fmt: skip
"""Access to how makers write it, letters only."""
FUNCTIONS: Final[Mapping[int, str]] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
WRITES: Final = frozenset({5, 6, 15, 16, 22, 23})
BY_DIGIT: Final[Mapping[str, str]] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
"""First digit of a 40001-style number to its table."""


WIDE: Final = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: " ", 0x2212: "-"}
"""Letters, digits and signs of Chinese width, and the sign for minus; not all that Unicode folds: 10² is not 102."""


def folded(text: str) -> str:
    """The text with the letters, digits and signs of a keyboard."""
    return text.translate(WIDE)


def plain(text: str) -> str:
    """A title as the tables above have it: small letters, single blanks for _ - / . and brackets."""
    return " ".join(re.sub(r"[\s_\-/.()]+", " ", folded(text).lower()).split())


def plain_type(text: str) -> str:
    """A type as `TYPES` has it."""
    return re.sub(r"[\s_\-()]", "", text.lower())


def says_scale(title: str) -> bool:
    """Whether a column or key of that name says how values are scaled, in whatever way."""
    scaling = ("scale", "divisor", "offset", "scale_from")
    return plain(title) in DOUBTFUL or any(plain(title) in COLUMNS[field] for field in scaling)
