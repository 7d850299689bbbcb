import math
import struct
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.plant import Point
from config.profile import JsonPath, StateName
from edge.decoding import can_be, decode, decode_text, decoder
from edge.readings import QUALITIES
from edge.registers import register_of
from tests.unit.edge.encoding import FORMATS, SIZES, big_endian, on_the_wire, words
from tests.unit.edge.rows import point, register_point

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
BAD = {name: (None, code) for name, code in QUALITIES.items()}
LIMIT = 2**53

INTEGERS = {
    "u16": (0, 0xFFFF), "i16": (-0x8000, 0x7FFF),
    "u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1),
    "u64": (0, LIMIT), "i64": (-LIMIT, LIMIT),
    "bcd16": (0, 9999), "bcd32": (0, 99_999_999),
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("type", INTEGERS)
@given(data=st.data())
def test_every_integer_comes_back_in_every_order(
    type: str, order: str, data: st.DataObject
) -> None:
    number = data.draw(st.integers(*INTEGERS[type]))
    row = register_point("p", 0, type, order=order)
    assert decode(row, words(type, number, order)) == (float(number), 0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("type", "bits"), [("f32", 32), ("f64", 64)])
@given(data=st.data())
def test_every_float_comes_back_in_every_order(
    type: str, bits: int, order: str, data: st.DataObject
) -> None:
    number = data.draw(st.floats(width=bits, allow_nan=False, allow_infinity=False))  # type: ignore[arg-type]  # the widths are literals
    row = register_point("p", 0, type, order=order)
    assert decode(row, words(type, number, order)) == (number, 0)


@pytest.mark.parametrize("type", ["f32", "f64"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_no_number_is_undecodable(type: str, number: float) -> None:
    assert decode(register_point("p", 0, type), words(type, number, "ABCD")) == BAD["undecodable"]


@pytest.mark.parametrize(
    ("type", "number", "good"),
    [
        ("u64", LIMIT, True),
        ("u64", LIMIT + 1, False),
        ("u64", 2**64 - 1, False),
        ("i64", -LIMIT, True),
        ("i64", -LIMIT - 1, False),
        ("i64", LIMIT + 1, False),
    ],
)
def test_an_integer_that_a_float_cannot_hold_is_undecodable(
    type: str, number: int, good: bool
) -> None:
    expected = (float(number), 0) if good else BAD["undecodable"]
    assert decode(register_point("p", 0, type), words(type, number, "ABCD")) == expected


@pytest.mark.parametrize(("type", "raw"), [("bcd16", "123a"), ("bcd32", "f0000000")])
def test_a_bcd_digit_above_nine_is_undecodable(type: str, raw: str) -> None:
    row = register_point("p", 0, type)
    assert decode(row, on_the_wire(bytes.fromhex(raw), "ABCD")) == BAD["undecodable"]


@pytest.mark.parametrize(
    ("order", "wire"),
    [
        ("ABCDEFGH", "0001020304050607"),
        ("GHEFCDAB", "0607040502030001"),
        ("BADCFEHG", "0100030205040706"),
        ("HGFEDCBA", "0706050403020100"),
        ("CDABGHEF", "0203000106070405"),
    ],
)
def test_an_order_written_out_says_the_place_of_each_byte(order: str, wire: str) -> None:
    row = register_point("p", 0, "u64", order=order)
    assert decode(row, on_the_wire(bytes.fromhex(wire), "ABCD")) == (0x0001020304050607, 0)


@pytest.mark.parametrize(("order", "value"), [("AB", 0x0102), ("BA", 0x0201), ("CDAB", 0x0102)])
def test_one_word_knows_only_its_bytes(order: str, value: int) -> None:
    assert decode(register_point("p", 0, "u16", order=order), [0x0102]) == (value, 0)


@pytest.mark.parametrize(
    ("type", "raw", "fields", "value"),
    [
        ("u16", [0b100], {"bit": 2}, 1),
        ("u16", [0b100], {"bit": 1}, 0),
        ("u32", [0x8000, 0], {"bit": 31}, 1),
        ("u16", [0xFF0D], {"bit": 8, "bit_width": 8}, 0xFF),
        ("i16", [0xFF0D], {"bit": 8, "bit_width": 8}, -1),
        ("i16", [0xFF0D], {"bit": 0, "bit_width": 8}, 13),
        ("bit", [0b1000], {"bit": 3}, 1),
        ("bit", [0b1000], {}, 0),
        ("bit", [1], {}, 1),
        ("bit", [1], {"table": "coil"}, 1),
        ("bit", [0], {"table": "discrete"}, 0),
    ],
)
def test_a_field_of_bits_is_a_number_of_its_own(
    type: str, raw: list[int], fields: dict[str, object], value: int
) -> None:
    assert decode(register_point("p", 0, type, **fields), raw) == (value, 0)


@pytest.mark.parametrize(
    ("type", "raw", "fields"),
    [
        ("u16", [], {}),
        ("u16", [1, 2], {}),
        ("u32", [1], {}),
        ("u16", [0x10000], {}),
        ("i16", [-1], {}),
        ("bit", [2], {"table": "coil"}),
        ("bit", [], {"table": "coil"}),
        ("string", [0x4142], {}),
    ],
)
def test_words_that_cannot_be_this_value_are_undecodable(
    type: str, raw: list[int], fields: dict[str, object]
) -> None:
    assert decode(register_point("p", 0, type, **fields), raw) == BAD["undecodable"]


@pytest.mark.parametrize(
    ("type", "number", "no_data"),
    [("u16", 0xFFFF, 0xFFFF), ("i16", -0x8000, 0x8000), ("i32", -1, 0xFFFFFFFF)],
)
def test_a_no_data_number_is_a_sensor_fault_whatever_the_scale(
    type: str, number: int, no_data: int
) -> None:
    row = register_point("p", 0, type, order="DCBA", no_data=(no_data,), scale=0.1)
    assert decode(row, words(type, number, "DCBA")) == BAD["sensor_fault"]
    assert decode(row, words(type, 7, "DCBA"))[1] == 0


def test_a_no_data_pattern_of_a_float_is_a_sensor_fault_before_it_is_no_number() -> None:
    row = register_point("p", 0, "f32", no_data=(0x7FC00000,))
    assert decode(row, [0x7FC0, 0]) == BAD["sensor_fault"]


RUNS = {0: StateName("stopped", {"en": "Stopped"}), 3: StateName("running", {"en": "Running"})}


def test_a_state_that_the_profile_does_not_name_means_nothing() -> None:
    """A rule would take a new firmware's code of a fault for a state that is not abnormal."""
    row = register_point("p", 0, kind="state", states=RUNS, expected=(0.0, 3.0))
    assert [decode(row, [word]) for word in (0, 3)] == [(0.0, 0), (3.0, 0)]
    assert [decode(row, [word]) for word in (1, 4)] == [BAD["undecodable"]] * 2
    assert decoder(row)([4], 0, 1.0) == BAD["undecodable"]
    field = register_point("p", 0, bit=4, bit_width=2, kind="state", states=RUNS)
    assert [decode(field, [word]) for word in (0x30, 0x10)] == [(3.0, 0), BAD["undecodable"]]


@pytest.mark.parametrize("bit", [None, 8])
def test_a_flag_that_is_neither_0_nor_1_means_nothing(bit: int | None) -> None:
    row = register_point("p", 0, kind="flag", bit=bit, bit_width=8)
    shift = bit or 0
    assert [decode(row, [n << shift]) for n in (0, 1, 2)] == [
        (0.0, 0),
        (1.0, 0),
        BAD["undecodable"],
    ]


def test_what_a_reader_says_of_a_state_or_flag_is_judged_by_its_names_too() -> None:
    state, flag = (
        register_point("p", 0, kind="state", states=RUNS),
        register_point("p", 0, kind="flag"),
    )
    assert [can_be(state, value) for value in (0.0, 3.0, 1.0, 0.5)] == [True, True, False, False]
    assert [can_be(flag, value) for value in (1.0, 7.0)] == [True, False]


@pytest.mark.parametrize(("bit", "width"), [(0, 1), (31, 1), (12, 8)])
def test_a_bit_or_field_has_no_data_where_its_whole_word_says_so(bit: int, width: int) -> None:
    row = register_point(
        "p", 0, "u32", order="CDAB", bit=bit, bit_width=width, no_word=(0xFFFFFFFF, 0x8000_0001)
    )
    assert decode(row, words("u32", 0xFFFFFFFF, "CDAB")) == BAD["sensor_fault"]
    assert decode(row, words("u32", 0x8000_0001, "CDAB")) == BAD["sensor_fault"]
    assert decode(row, words("u32", 0xFFFFFFFE, "CDAB")) == (float(2**width - 1 - (bit == 0)), 0)


def test_a_word_that_is_only_a_bit_has_no_data_where_it_is_no_bit() -> None:
    row = register_point("p", 0, "bit", no_word=(0xFFFF,))
    assert [decode(row, [word]) for word in (0xFFFF, 1, 2)] == [BAD["sensor_fault"], (1.0, 0), (0.0, 0)]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "scale", "offset", "value"),
    [
        (3, 0.1, 0, 0.3),
        (1234567, 0.001, 0, 1234.567),
        (-125, 0.1, -40, -52.5),
        (5, 1 / 64, 0, 0.078125),
    ],
)
def test_a_scaled_number_is_the_nearest_to_the_decimal_meant(
    raw: int, scale: float, offset: float, value: float
) -> None:
    row = register_point("p", 0, "i32", scale=scale, offset=offset)
    assert decode(row, words("i32", raw, "ABCD")) == (value, 0)


@pytest.mark.parametrize("scale", [0.0, 2.5, 1e300, 5e-324])
def test_any_scale_gives_a_number_or_a_reason(scale: float) -> None:
    value, quality = decode(register_point("p", 0, "f32", scale=scale), words("f32", 3e38, "ABCD"))
    assert (value is None) == (quality == QUALITIES["undecodable"])
    assert value is None or value == pytest.approx(3e38 * scale)


@pytest.mark.parametrize(("exponent", "value"), [(-2, 1.23), (0, 123.0), (3, 123000.0)])
def test_an_exponent_moves_the_decimal_point(exponent: int, value: float) -> None:
    assert decode(register_point("p", 0), [123], exponent) == (value, 0)


@pytest.mark.parametrize("exponent", [-31, 31, -32768])
def test_an_exponent_that_cannot_be_is_undecodable(exponent: int) -> None:
    assert decode(register_point("p", 0), [123], exponent) == BAD["undecodable"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (0, BAD["out_of_physical_range"]),
        (10, (10.0, QUALITIES["out_of_expected_range"])),
        (19, (19.0, QUALITIES["out_of_expected_range"])),
        (20, (20.0, 0)),
        (80, (80.0, 0)),
        (81, (81.0, QUALITIES["out_of_expected_range"])),
        (100, (100.0, QUALITIES["out_of_expected_range"])),
        (101, BAD["out_of_physical_range"]),
    ],
)
def test_outside_the_physical_range_is_bad_and_outside_the_expected_uncertain(
    raw: int, expected: tuple[float | None, int]
) -> None:
    row = register_point("p", 0, range=(10.0, 100.0), expected=(20.0, 80.0))
    assert decode(row, [raw]) == expected


@pytest.mark.parametrize(
    ("order", "data", "text"),
    [
        ("ABCD", b"PUMP-1\0\0", "PUMP-1"),
        ("BADC", b"PUMP-1\0\0", "PUMP-1"),
        ("BA", b"PUMP-1\0\0", "PUMP-1"),
        ("ABCD", b"AB\0zDEFG", "AB"),
        ("ABCD", b"SN 42   ", "SN 42"),
        ("ABCD", "泵房1 ".encode(), "泵房1"),
        ("ABCD", b"\xff\xfe\xff\xfeABCD", None),
    ],
)
def test_a_string_ends_at_its_first_zero(order: str, data: bytes, text: str | None) -> None:
    row = register_point("p", 0, "string", order=order, words=4)
    assert decode_text(row, on_the_wire(data, "BADC" if order == "BA" else order)) == text


@pytest.mark.parametrize("order", ORDERS)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    more=st.integers(0, 4),
)
def test_every_text_comes_back_in_every_order(order: str, text: str, more: int) -> None:
    """But for blanks at its ends, which devices fill up with."""
    data = text.encode()
    size = max(1, -(-len(data) // 2) + more)
    row = register_point("p", 0, "string", order=order, words=size)
    assert decode_text(row, on_the_wire(data.ljust(2 * size, b"\0"), order)) == text.strip()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("type", ["u16", "i16", "u32", "i32", "u64", "i64"])
@given(data=st.data())
def test_every_field_of_bits_comes_back_whatever_stands_around_it(
    type: str, order: str, data: st.DataObject
) -> None:
    size = 8 * SIZES[type]
    signed = type[0] == "i"
    bits = data.draw(st.integers(1 + signed, min(size, 53)))
    bit = data.draw(st.integers(0, size - bits))
    field = data.draw(st.integers(0, 2**bits - 1))
    around = data.draw(st.integers(0, 2**size - 1)) & ~((2**bits - 1) << bit)
    row = register_point("p", 0, type, order=order, bit=bit, bit_width=bits)
    raw = on_the_wire((around | field << bit).to_bytes(size // 8, "big"), order)
    negative = signed and field >= 2 ** (bits - 1)
    assert decode(row, raw) == (float(field - 2**bits if negative else field), 0)


def test_a_string_of_the_wrong_length_is_none() -> None:
    assert decode_text(register_point("p", 0, "string", words=4), [0x4142]) is None
    assert decode_text(register_point("p", 0, "string", words=1), [0x1_4142]) is None


def test_a_point_that_is_not_modbus_has_no_register() -> None:
    with pytest.raises(TypeError, match="a/p has no register"):
        register_of(point(JsonPath("t", ("x",))))


@given(
    type=st.sampled_from(sorted(SIZES)),
    order=st.sampled_from(ORDERS),
    raw=st.lists(st.integers(-5, 70_000), max_size=6),
)
def test_whatever_the_words_a_value_is_finite_or_has_a_reason(
    type: str, order: str, raw: list[int]
) -> None:
    value, quality = decode(register_point("p", 0, type, order=order, scale=1e200), raw)
    assert (value is None) == (quality >= 64)
    assert value is None or math.isfinite(value)


def test_the_encoder_agrees_with_struct() -> None:
    assert big_endian("i32", -42) == struct.pack(">i", -42)
    assert words("u32", 0x01020304, "CDAB") == [0x0304, 0x0102]
    assert words("u32", 0x01020304, "BADC") == [0x0201, 0x0403]
    assert words("u32", 0x01020304, "DCBA") == [0x0403, 0x0201]


def in_order(order: str, size: int) -> list[int]:
    """For each byte, most significant first, its place on the wire, by another way than the decoder's."""
    places = list(range(size))
    if order in ("CDAB", "DCBA"):
        places = [place for at in range(size - 2, -1, -2) for place in places[at : at + 2]]
    if order in ("BADC", "DCBA"):
        places = [place ^ 1 for place in places]
    return places


def restated(row: Point, raw: list[int], exponent: int) -> tuple[float | None, int]:
    """What the words mean, worked out byte by byte and in decimal fractions."""
    register = register_of(row)
    wire = b"".join(word.to_bytes(2, "big") for word in raw)
    data = bytes(wire[place] for place in in_order(register.order, len(wire)))
    unsigned = int(data.hex(), 16)
    if unsigned in register.no_data:
        return BAD["sensor_fault"]
    if register.type.startswith("bcd"):
        number: float = float(data.hex()) if data.hex().isdecimal() else math.nan
    else:
        number = struct.unpack(FORMATS[register.type], data)[0]
    if not math.isfinite(number) or (register.type[0] in "ui" and abs(number) > LIMIT):
        return BAD["undecodable"]
    value = float(Fraction(number) * Fraction(10) ** exponent * Fraction(str(register.scale)) + Fraction(str(register.offset)))  # fmt: skip
    assert row.range
    assert row.expected
    if not row.range[0] <= value <= row.range[1]:
        return BAD["out_of_physical_range"]
    inside = row.expected[0] <= value <= row.expected[1]
    return value, 0 if inside else QUALITIES["out_of_expected_range"]


@given(
    type=st.sampled_from(sorted(SIZES)),
    order=st.sampled_from(ORDERS),
    scaling=st.tuples(
        st.sampled_from([1.0, 0.1, 0.25, 2.5, 0.001, -0.1]),
        st.sampled_from([0.0, -40.0, 0.5]),
        st.sampled_from([0, 0, -3, 2]),
    ),
    before=st.integers(0, 3),
    data=st.data(),
)
def test_what_is_prepared_once_means_what_the_words_say_wherever_they_stand(
    type: str, order: str, scaling: tuple[float, float, int], before: int, data: st.DataObject
) -> None:
    scale, offset, exponent = scaling
    size = SIZES[type] // 2
    raw = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=size, max_size=size))
    row = register_point(
        "p", 0, type, order=order, scale=scale, offset=offset, no_data=(0xFFFF, 0, 0x8000_0000),
        range=(-1e9, 3e9), expected=(-1000.0, 60_000.0),
    )  # fmt: skip
    answer = [0xABCD] * before + raw + [0xABCD]
    value, quality = decoder(row)(answer, before, 10.0**exponent)
    wanted, reason = restated(row, raw, exponent)
    assert quality == reason
    assert value == (wanted if wanted is None else pytest.approx(wanted, rel=1e-12, abs=1e-9))
    assert decode(row, raw, exponent) == (value, quality)


SPELLED = {"ABCD": "ABCDEFGH", "CDAB": "GHEFCDAB", "BADC": "BADCFEHG", "DCBA": "HGFEDCBA"}


@pytest.mark.parametrize("order", ORDERS)
@given(raw=st.lists(st.integers(0, 0xFFFF), min_size=4, max_size=4))
def test_an_order_written_out_in_full_is_the_pattern_it_spells(order: str, raw: list[int]) -> None:
    short, full = (register_point("p", 0, "i64", order=o) for o in (order, SPELLED[order]))
    assert decode(short, raw) == decode(full, raw)


@given(low=st.integers(0, 0xFFFF), high=st.integers(0, 0xFFFF), bit=st.integers(0, 31))
def test_a_bit_is_taken_after_the_order(low: int, high: int, bit: int) -> None:
    row = register_point("p", 0, "u32", order="CDAB", bit=bit)
    assert decode(row, [low, high]) == ((high * 65536 + low) >> bit & 1, 0)


def test_points_that_are_read_alike_share_what_is_prepared() -> None:
    one, other = register_point("p", 3, scale=0.1), register_point("q", 3, scale=0.1, asset="b")
    assert decoder(one) is decoder(other)
    assert decoder(one) is not decoder(register_point("p", 3, scale=0.1, range=(0.0, 1.0)))


@pytest.mark.parametrize("scaling", [{"scale": 2.0}, {"offset": 5.0}], ids=["scale", "offset"])
def test_a_flag_that_scaling_makes_neither_0_nor_1_is_no_flag(scaling: dict[str, Any]) -> None:
    row = register_point("p", 0, kind="flag", bit=3, **scaling)
    assert decode(row, [0b1000]) == BAD["undecodable"]
