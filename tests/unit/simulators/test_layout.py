"""Words are what a data sheet would say, in every type and order."""

import json
import math
from pathlib import Path

import pytest

from config.profile import ModbusLimits, Register
from simulators.layout import (
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    Layout,
    Value,
    encode,
    missing,
    span,
)
from tests.unit.simulators.plants import booster_points, holding, other_points, point

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "conversions.json"

CASES: list[tuple[str, Register, Value, tuple[int, ...]]] = [
    ("unsigned", holding(0, scale=0.01), 4.21, (421,)),
    ("signed", holding(0, "i16", scale=0.1), -12.5, (65411,)),
    ("bytes swapped in one word", holding(0, order="BADC", scale=0.01), 30.0, (47115,)),
    ("u32 high word first", holding(0, "u32"), 0x11223344, (0x1122, 0x3344)),
    ("u32 low word first", holding(0, "u32", order="CDAB"), 0x11223344, (0x3344, 0x1122)),
    ("u32 swapped bytes", holding(0, "u32", order="BADC"), 0x11223344, (0x2211, 0x4433)),
    ("u32 all reversed", holding(0, "u32", order="DCBA"), 0x11223344, (0x4433, 0x2211)),
    ("i32 all reversed", holding(0, "i32", order="DCBA"), -42, (55039, 65535)),
    ("f32", holding(0, "f32"), 230.5, (17254, 32768)),
    ("f32 bytes swapped", holding(0, "f32", order="BADC"), -0.15625, (8382, 0)),
    ("f64 low word first", holding(0, "f64", order="CDAB"), 1.0, (0, 0, 0, 0x3FF0)),
    ("u64", holding(0, "u64"), 2**40 + 5, (0, 256, 0, 5)),
    ("i64", holding(0, "i64"), -2, (65535, 65535, 65535, 65534)),
    ("bcd16", holding(0, "bcd16"), 2026, (0x2026,)),
    ("bcd32", holding(0, "bcd32"), 12345678, (0x1234, 0x5678)),
    ("offset", holding(0, offset=-40.0), 20.0, (60,)),
    ("one bit of a word", holding(0, bit=7), 1, (128,)),
    ("a cleared bit", holding(0, bit=7), 0, (0,)),
    ("one bit of two words", holding(0, "u32", order="CDAB", bit=17), 1, (0, 2)),
    ("orders in full, two bytes", holding(0, order="BA"), 0x1122, (0x2211,)),
    ("orders in full, eight bytes", holding(0, "u64", order="GHEFCDAB"), 2**40 + 5, (5, 0, 256, 0)),
    ("four bytes, unusual", holding(0, "u32", order="BDAC"), 0x11223344, (0x2244, 0x1133)),
    ("the high byte of a word", holding(0, bit=8, bit_width=8), 7, (0x0700,)),
    ("a signed field", holding(0, "i16", bit=4, bit_width=4), -2, (0xE0,)),
    ("a field that is too small", holding(0, bit=8, bit_width=8), 300, (0xFF00,)),
    ("a field without data", holding(0, bit=8, bit_width=8, no_data=(254,)), None, (0xFE00,)),
    ("a coil", Register("coil", 5, "bit"), 1, (1,)),
    ("a coil without a value", Register("coil", 5, "bit"), None, (0,)),
    ("text", holding(0, "string", words=4), "PUMP-1", (0x5055, 0x4D50, 0x2D31, 0)),
    ("text, bytes swapped", holding(0, "string", words=4, order="BADC"), "PUMP-1", (21840, 20557, 12589, 0)),
    ("no text", holding(0, "string", words=2), None, (0, 0)),
    ("a number where text is meant", holding(0, "string", words=1), 3.0, (0,)),
    ("nothing, sentinel", holding(0, "u32", order="CDAB", no_data=(0x7FFF1234,)), None, (0x1234, 0x7FFF)),
    ("nothing, no sentinel", holding(0), None, (65535,)),
    ("not a number", holding(0, no_data=(32768,)), math.nan, (32768,)),
    ("too large", holding(0, no_data=(32768,)), 70000, (32768,)),
    ("too negative", holding(0, "i16", no_data=(32768,)), -40000, (32768,)),
    ("negative bcd", holding(0, "bcd16", no_data=(0xFFFF,)), -1, (0xFFFF,)),
    ("too large for f32", holding(0, "f32", no_data=(0x7F800000,)), 1e300, (0x7F80, 0)),
    ("nothing in a bit", holding(0, bit=3), None, (0,)),
    ("a bit whose word has no data", holding(0, "u32", order="CDAB", bit=3, no_word=(0x8000FFFF,)), None, (0xFFFF, 0x8000)),
    ("a field whose word has no data", holding(0, bit=8, bit_width=4, no_word=(0x8000,)), None, (0x8000,)),
]  # fmt: skip


@pytest.mark.parametrize(("register", "value", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])  # fmt: skip
def test_a_value_becomes_the_words_of_the_data_sheet(
    register: Register, value: Value, words: tuple[int, ...]
) -> None:
    assert encode(register, value) == words
    assert span(register) == len(words)


def test_the_golden_conversions_are_encoded_back_to_their_words() -> None:
    done = 0
    for case in json.loads(GOLDEN.read_text(encoding="utf-8"))["conversions"]:
        if case["type"] == "u8" or case["id"] == "own/u64-large":
            continue
        register = Register(
            case["table"], case["address"], case["type"], case["order"],
            case.get("scale", 1), case.get("offset", 0), words=len(case["words"]),
        )  # fmt: skip
        assert list(encode(register, case["value"])) == case["words"], case["id"]
        done += 1
    assert done >= 5


def test_missing_floats_are_not_a_number() -> None:
    assert missing(holding(0, "f32")) == 0x7FC00000
    assert missing(holding(0, "f64")) == 0x7FF8000000000000


def test_a_scale_factor_register_moves_the_decimal_point() -> None:
    points = [
        point("m/power", holding(0, "i16", scale_from="power_sf"), "m"),
        point("m/power_sf", holding(1, "i16"), "m"),
    ]
    layout = Layout(points, ModbusLimits())
    assert layout.read("holding", 0, 2, {"m/power": 12.34, "m/power_sf": -2.0}) == [1234, 65534]


def test_a_scale_factor_of_the_whole_is_found_from_a_part() -> None:
    points = [
        point("m/phase-1/power", holding(0, "i16", scale_from="../sf"), "m/phase-1"),
        point("m/sf", holding(1, "i16"), "m"),
        point("m/other", holding(2, "i16", scale_from="nowhere"), "m"),
    ]
    layout = Layout(points, ModbusLimits())
    assert layout.read("holding", 0, 3, {"m/phase-1/power": 5, "m/sf": -1, "m/other": 7}) == [
        50,
        65535,
        7,
    ]


VALUES: dict[str, Value] = {
    "a-booster/discharge_pressure": 5.0,
    "a-booster/flow": 9.0,
    "a-booster/dry_run": 1.0,
    "a-booster/door_open": 1.0,
    "a-booster/pump-1/run_hours": 6553.7,
    "a-booster/pump-1/state": 1.0,
}


def test_holes_inside_the_map_are_zero_and_bits_share_a_word() -> None:
    layout = Layout(booster_points(), ModbusLimits())
    assert layout.read("holding", 0, 9, VALUES) == [500, 65535, 90, 65535, 0, 0, 0, 0, 0b1000_0001]


def test_a_read_may_begin_in_the_middle_of_a_value() -> None:
    layout = Layout(booster_points(), ModbusLimits())
    assert layout.read("holding", 40, 3, VALUES) == [1, 1, 1]
    assert layout.read("holding", 41, 1, VALUES) == [1]


@pytest.mark.parametrize(
    ("table", "address", "count", "code"),
    [
        ("holding", 0, 65, ILLEGAL_VALUE),
        ("holding", 0, 64 + 3, ILLEGAL_VALUE),
        ("holding", 66, 2, ILLEGAL_ADDRESS),
        ("holding", 10, 6, ILLEGAL_ADDRESS),
        ("input", 0, 1, ILLEGAL_ADDRESS),
        ("coil", 0, 2001, ILLEGAL_VALUE),
    ],
)
def test_what_the_device_does_not_allow_is_refused(
    table: str, address: int, count: int, code: int
) -> None:
    limits = ModbusLimits(max_words=64, forbidden=(("holding", 15, 19),))
    layout = Layout(booster_points(), limits)
    assert layout.read(table, address, count, VALUES) == code  # type: ignore[arg-type]  # rows


def test_a_table_reaches_from_its_first_to_its_last_register() -> None:
    layout = Layout(other_points(), ModbusLimits())
    assert layout.reach("holding") == (0, 10)
    assert layout.reach("coil") is None
