import csv
import io
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config import register_maps
from config.imported_points import UNITS, Draft
from config.importing import draft_profile
from config.load import LIBRARY, load_profile
from config.mistakes import ConfigErrors, Mistakes
from config.plant import Point, PointSpec
from config.profile import Profile, Register
from config.profile_text import profile_text, value_text
from config.register_csv import read_csv
from config.register_maps import RegisterMap, read_map
from config.register_words import COLUMNS, DOUBTFUL, ORDERS, TABLES, TYPES
from edge.decoding import decode

FOLDER = Path(__file__).parents[2] / "data" / "register_maps"
MAPS = sorted(FOLDER.glob("*.json"))
NAMES = tomllib.loads((LIBRARY / "units.toml").read_text(encoding="utf-8"))["units"].keys()


def of_json(raw: object) -> RegisterMap:
    mistakes = Mistakes()
    registers = read_map(json.dumps(raw), "m.json", mistakes)
    mistakes.raise_if_any()
    assert registers is not None
    return registers


def of_csv(text: str) -> RegisterMap:
    mistakes = Mistakes()
    registers = read_csv(text, "list", "l.csv", mistakes)
    mistakes.raise_if_any()
    assert registers is not None
    return registers


def drafted(registers: RegisterMap) -> Draft:
    return draft_profile(registers, NAMES, "mine", "meter")


def loaded(draft: Draft, folder: Path) -> Profile:
    path = folder / "profiles" / "mine.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(profile_text(draft.profile, draft.remarks, ["made"]), encoding="utf-8")
    return load_profile(path)


def one(fields: Mapping[str, Any], folder: Path) -> tuple[Any, list[str]]:
    """The first point of a map of one register, and what was noted."""
    row: dict[str, Any] = {
        "id": "p",
        "table": "holding",
        "address": 7,
        "type": "u16",
        "order": "AB",
    }
    draft = drafted(of_json({"id": "m", "points": [{**row, **fields}]}))
    return loaded(draft, folder).points[0], [note.message for note in draft.notes]


def register(row: Any) -> Register:
    assert isinstance(row.source, Register)
    return row.source


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_every_map_becomes_a_profile_and_every_register_a_point_or_a_reason(
    path: Path, tmp_path: Path
) -> None:
    raw = json.loads(path.read_text(encoding="utf-8"))
    draft = drafted(of_json(raw))
    profile = loaded(draft, tmp_path)
    lost = {note.point for note in draft.notes if note.lost}
    assert len(draft.profile["points"]) + len(lost) == len(raw["points"])
    at = {(r.table, r.address) for r in map(register, profile.points)}
    for row in raw["points"]:
        assert row["id"] in lost or (row["table"], row["address"]) in at
    for span in profile.limits.forbidden:
        assert not any(span[0] == table and span[1] <= a <= span[2] for table, a in at)


def test_the_vectors_of_the_maps_decode(tmp_path: Path) -> None:
    rows = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in MAPS}
    meter, panel = rows["xintai-water-meter"], rows["bolid-s2000-pp"]
    points = {p.id: p for p in loaded(drafted(of_json(meter)), tmp_path).points}
    vector = meter["vectors"][0]
    assert decoded(points[vector["point"]], vector["words"]) == pytest.approx(vector["value"])
    words = dict(enumerate(panel["vectors"][0]["words"], 40000))
    zones = [p for p in loaded(drafted(of_json(panel)), tmp_path).points if register(p).address in words]  # fmt: skip
    assert len(zones) == len(words)
    for zone in zones:
        word = words[register(zone).address]
        assert decoded(zone, [word]) == word


def decoded(row: Any, words: list[int]) -> float | None:
    spec = PointSpec({"en": "p"}, row.kind, row.unit, row.source)
    return decode(Point("a/p", "a", "d", spec), words)[0]


def test_what_a_device_allows_is_carried_over(tmp_path: Path) -> None:
    limits = {"max_words": 40, "max_bits": 100, "pause_us": 35000, "timeout_ms": 100, "note": "x"}
    span = {"table": "holding", "start": 100, "length": 10}
    draft = drafted(of_json({
        "id": "m", "limits": limits, "forbidden": [span], "refused": [span | {"start": 200, "length": 1}],
        "read_together": [span | {"start": 0, "length": 4}], "must_be_same_request": "with its exponent",
        "layout": "wide", "points": [{"id": "p", "table": "holding", "address": 1, "type": "u16"}],
    }))  # fmt: skip
    made = loaded(draft, tmp_path).limits
    assert (made.max_words, made.max_bits, made.pause_s) == (40, 100, 0.035)
    assert made.forbidden == (("holding", 100, 109), ("holding", 200, 200))
    assert made.together == (("holding", 0, 3),)
    said = "\n".join(note.message for note in draft.notes)
    for words in ("timeout belongs to the line", "limits.note", "with its exponent", "read before and after", "layout is not"):  # fmt: skip
        assert words in said


def test_a_pause_beyond_any_number_is_noted_and_left_out(tmp_path: Path) -> None:
    row = {"id": "p", "table": "holding", "address": 1, "type": "u16"}
    draft = drafted(of_json({"id": "m", "limits": {"pause_ms": 10**400}, "points": [row]}))
    assert loaded(draft, tmp_path).limits.pause_s == 0
    assert [note.message[:40] for note in draft.notes] == [
        "limits.pause_ms is not carried over: 100"
    ]


LOST = [
    ({"write_only": True}, "only be written"),
    ({"needs_write": "select"}, "only after a write (select)"),
    ({"words": 4, "count": 4}, "an array of 4"),
    ({"words": 3}, "takes 3 words, which u16 does not"),
    ({"type": "string"}, "unknown length"),
    ({"type": "string", "words": 2, "chars_per_word": 1}, "one character per word"),
    ({"type": "u64", "order": "ACBDEFGH"}, "has the order ACBDEFGH, which is none of a u64"),
    ({"type": "u32", "order": "CDABGHEF"}, "has the order CDABGHEF, which is none of a u32"),
    ({"order": "HA"}, "has the order HA, which is none of a u16"),
    ({"type": "f32", "bit": 3}, "names bits of a f32"),
    ({"bit": 9, "bit_width": 8}, "names bit 16 of 16"),
    ({"type": "u32", "address": 65535}, "beyond address 65535"),
    ({"address": 101}, "must not be read"),
]


@pytest.mark.parametrize(("fields", "said"), LOST, ids=[said for _, said in LOST])
def test_a_register_that_cannot_be_a_point_is_left_out_with_its_reason(
    fields: dict[str, Any], said: str
) -> None:
    row = {"id": "p", "table": "holding", "address": 7, "type": "u16"}
    span = {"table": "holding", "start": 100, "length": 10}
    draft = drafted(of_json({"id": "m", "forbidden": [span], "points": [row | fields]}))
    assert draft.profile["points"] == {}
    assert [note.lost for note in draft.notes] == [True]
    assert said in draft.notes[0].message


LIMITED: list[tuple[dict[str, Any], int, str]] = [
    ({"limits": {"max_words": 1}}, 0, "longer than one request may be (1 words)"),
    ({"read_together": [{"table": "holding", "start": 0, "length": 126}]}, 1, "read_together holding:0-125 is longer"),
    ({"read_together": [{"table": "holding", "start": 8, "length": 9}], "forbidden": [{"table": "holding", "start": 16, "length": 1}]}, 1, "holds holding:16, which must not"),
    ({"read_together": [{"table": "holding", "start": 0, "length": 90}, {"table": "holding", "start": 80, "length": 90}]}, 1, "read_together holding:80-169 is longer"),
    ({"read_together": [{"table": "holding", "start": 8, "length": 8}], "limits": {"max_words": 8}}, 0, "is to be read as holding:7-15, which is longer"),
]  # fmt: skip


@pytest.mark.parametrize(("about", "points", "said"), LIMITED, ids=[said for _, _, said in LIMITED])
def test_what_no_request_can_read_is_left_out_and_the_rest_loads(
    about: dict[str, Any], points: int, said: str, tmp_path: Path
) -> None:
    row = {"id": "p", "table": "holding", "address": 7, "type": "u32", "order": "ABCD"}
    draft = drafted(of_json({"id": "m", "points": [row], **about}))
    assert len(draft.profile["points"]) == points
    assert any(said in note.message for note in draft.notes)
    if points:
        assert len(loaded(draft, tmp_path).points) == points


NOTED = [
    ({"scale": 0.1, "range": [0, 65535]}, "more than u16 x 0.1 can give"),
    ({"enum": {"0": "Off", "2": "On"}, "range": [1, 2]}, "leaves out 0, which has a name"),
    ({"scale": 10}, "write 1/10"),
    (
        {"scale": -1},
        "scale -1 multiplies: 5 is read as -5; some lists mean 10^-1, then write 0.1 or call the column exponent",
    ),
    ({"scale": -3.0, "kind": "counter"}, "some lists mean 10^-3, then write 0.001"),
    ({"unit": "furlong"}, "'furlong' is not in config/units.toml"),
    ({"unit": "KWH"}, "is taken as kWh"),
    ({"type": "string", "words": 2, "sentinels": [65535]}, "a text cannot say so"),
    ({"bits": {"0": "a", "16": "b"}}, "names bit 16 of 16"),
    ({"sentinels": [65536, 1]}, "65536 never stands in 16 bits"),
    ({"packed": "two codes"}, "one number of several (two codes)"),
    ({"unit_from": "u"}, "the unit that u says"),
    ({"optional": True}, "on some models only"),
    ({"type": "u8"}, "which byte"),
    ({"colour": "red"}, "colour is not carried over: red"),
    ({"kind": "state"}, "names no values"),
    ({"bit": 3, "kind": "counter"}, "a flag, not a counter"),
    ({"bits": {"0": "a"}, "enum": {"0": "a"}}, "names values, which flags of u16 has not"),
    ({"type": "f32", "enum": {"0": "a"}}, "names values, which measurement of f32"),
    ({"scale": 0.1, "enum": {"0": "a"}}, "its scale is left out"),
    ({"bit_width": 3}, "the lowest bits are taken"),
    (
        {"bit": 2, "enum": {"0": "a"}, "sentinels": [1, 65535]},
        "no data = 1: what the bit itself may be",
    ),
    ({"table": "coil", "scale": 2, "unit": "V"}, "its scale, unit is left out"),
    ({"table": "coil", "type": "bit", "bits": {"0": "a"}}, "only a whole word"),
    ({"id": "Flow (m3)"}, "is 'Flow (m3)' in the list"),
]


@pytest.mark.parametrize(("fields", "said"), NOTED, ids=[said for _, said in NOTED])
def test_what_a_point_cannot_say_is_noted_and_the_point_kept(
    fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    _, notes = one(fields, tmp_path)
    assert any(said in note for note in notes)


@pytest.mark.parametrize(
    ("type", "order", "words"),
    [
        ("u64", "CDABGHEF", [0x0203, 0x0001, 0x0607, 0x0405]),
        ("u64", "EFGHABCD", [0x0405, 0x0607, 0x0001, 0x0203]),
        ("i64", "FEHGBADC", [0x0504, 0x0706, 0x0100, 0x0302]),
        ("u16", "CDABGHEF", [0x0607]),
        ("u16", "DCBAHGFE", [0x0706]),
    ],
)
def test_an_order_that_spells_each_byte_is_read_as_it_says(
    type: str, order: str, words: list[int], tmp_path: Path
) -> None:
    point, notes = one({"type": type, "order": order}, tmp_path)
    assert decoded(point, words) == (0x0001020304050607 if len(words) > 1 else 0x0607)
    assert notes == []


def test_bytes_and_fields_of_a_word_keep_their_bits_and_sentinels(tmp_path: Path) -> None:
    high, _ = one({"type": "u8", "byte": "high", "sentinels": [255]}, tmp_path)
    assert (register(high).bit, register(high).bit_width, register(high).no_data) == (8, 8, (255,))
    low, _ = one({"type": "i8", "byte": "low", "sentinels": [128]}, tmp_path)
    assert decoded(low, [0x12FE]) == -2.0
    assert decoded(low, [0x1280]) is None
    field, _ = one({"type": "u16", "bit": 4, "bit_width": 3}, tmp_path)
    assert decoded(field, [0b0101_1111]) == 0b101


def test_bits_and_fields_have_no_data_where_their_whole_word_says_so(tmp_path: Path) -> None:
    flag, notes = one({"type": "i16", "bits": {"0": "a"}, "sentinels": [-1]}, tmp_path)
    assert decoded(flag, [0x0001]) == 1.0
    assert decoded(flag, [0xFFFF]) is None
    single, _ = one({"bit": 2, "sentinels": [0x8000]}, tmp_path)
    assert decoded(single, [0x0004]) == 1.0
    assert decoded(single, [0x8000]) is None
    field, _ = one({"bit": 4, "bit_width": 3, "sentinels": [7, 65535]}, tmp_path)
    assert decoded(field, [0x0050]) == 5.0
    assert decoded(field, [0x0070]) is None, "its own"
    assert decoded(field, [0xFFFF]) is None
    assert not any("no data" in note for note in notes)


@pytest.mark.parametrize(
    ("map", "id", "number"),
    [("sunspec-103", "evt1", 0xFFFFFFFF), ("grundfos-booster", "pumps_present", 0xFFFF)],
)
def test_flags_of_makers_lists_that_are_not_there_are_no_faults(
    map: str, id: str, number: int, tmp_path: Path
) -> None:
    """SunSpec: 0xFFFFFFFF of a bitfield32 is "not implemented", not every fault at once."""
    listed = json.loads((FOLDER / f"{map}.json").read_text(encoding="utf-8"))
    profile = loaded(drafted(of_json(listed)), tmp_path)
    flags = [row for row in profile.points if row.kind == "flag" and row.id.startswith(id)]
    assert len(flags) == len(next(row for row in listed["points"] if row["id"] == id)["bits"])
    words = [number >> 16, number & 0xFFFF] if number > 0xFFFF else [number]
    assert {decoded(flag, words) for flag in flags} == {None}
    assert {decoded(flag, [0] * len(words)) for flag in flags} == {0.0}


def test_states_flags_exponents_and_sentinels_of_64_bits_are_carried_over(tmp_path: Path) -> None:
    state, _ = one({"enum": {"1": "On", "0": "Off", "2": "On!", "-1": "？"}}, tmp_path)
    assert {n: s.id for n, s in state.states.items()} == {-1: "value_minus_1", 0: "off", 1: "on", 2: "on_2"}  # fmt: skip
    flag, _ = one({"type": "i16", "bits": {"3": "over voltage"}}, tmp_path)
    assert (flag.id, flag.kind, flag.name["en"], register(flag).bit) == ("p_over_voltage", "flag", "P: over voltage", 3)  # fmt: skip
    total, _ = one({"type": "u64", "order": "GHEFCDAB", "sentinels": [2**64 - 1]}, tmp_path)
    assert (register(total).order, register(total).no_data) == ("CDAB", (2**64 - 1,))
    rows: list[dict[str, Any]] = [
        {"id": "v", "scale_from": "v sf"},
        {"id": "v sf", "address": 1, "type": "i16"},
    ]
    base: dict[str, Any] = {"table": "holding", "address": 0, "type": "u16"}
    scaled = loaded(drafted(of_json({"id": "m", "points": [base | row for row in rows]})), tmp_path)
    assert (register(scaled.points[0]).scale_from, scaled.points[0].decimals) == ("v_sf", 2)


@pytest.mark.parametrize(
    "exponent",
    [{"type": "f32"}, {"type": "bit", "bit": 3}, {"scale": 0.1}, {"scale_from": "q"}, {"table": "coil"}, {"write_only": True}],
    ids=["a fraction", "a bit", "scaled", "scaled by another", "a coil", "left out itself"],
)  # fmt: skip
def test_what_is_no_exponent_is_left_out_by_name(exponent: dict[str, Any], tmp_path: Path) -> None:
    base: dict[str, Any] = {"table": "holding", "type": "u16"}
    rows = [
        base | {"id": "p", "address": 0, "scale_from": "sf"},
        base | {"id": "sf", "address": 1} | exponent,
        base | {"id": "q", "address": 2},
    ]
    draft = drafted(of_json({"id": "m", "points": rows}))
    assert "p" not in {point.id for point in loaded(draft, tmp_path).points}
    (note,) = [note for note in draft.notes if note.point == "p"]
    assert note.lost
    assert "takes its scale from 'sf', which" in note.message


BLOCKS: list[tuple[str, list[str], dict[str, str]]] = [
    ("block behind block", ["v>sf", "sf", "v>sf", "sf"], {"v": "sf", "v_2": "sf_2"}),
    # the nearest exponent of the second value is that of the first
    ("exponents last", ["v>sf", "q", "q", "sf", "v>sf", "q", "q", "q", "sf"], {"v": "sf", "v_2": "sf_2"}),
    ("written otherwise", ["v>S F", "s_f", "v>S F", "s_f"], {"v": "s_f", "v_2": "s_f_2"}),
]  # fmt: skip


def of_names(names: list[str]) -> Draft:
    """Rows by name; `v>sf` takes its scale from `sf`."""
    rows: list[dict[str, Any]] = []
    for address, name in enumerate(names):
        id, _, scale_from = name.partition(">")
        row = {"id": id, "table": "holding", "address": address, "type": "i16"}
        rows.append(row | ({"scale_from": scale_from} if scale_from else {}))
    return drafted(of_json({"id": "m", "points": rows}))


@pytest.mark.parametrize(("names", "wanted"), [row[1:] for row in BLOCKS], ids=[b[0] for b in BLOCKS])  # fmt: skip
def test_of_two_exponents_of_one_name_that_of_the_same_block_is_taken_and_said(
    names: list[str], wanted: dict[str, str], tmp_path: Path
) -> None:
    draft = of_names(names)
    points = {point.id: register(point) for point in loaded(draft, tmp_path).points}
    assert {id: one.scale_from for id, one in points.items() if one.scale_from} == wanted
    for id, exponent in wanted.items():
        (said,) = [n.message for n in draft.notes if n.point == id and "takes its scale" in n.message]  # fmt: skip
        assert "2 rows are called so" in said
        assert f"at holding:{points[exponent].address}; check it" in said


def test_which_of_two_exponents_is_meant_is_never_guessed(tmp_path: Path) -> None:
    draft = of_names(["power_1>sf", "sf", "power_2>sf", "sf"])
    assert [point.id for point in loaded(draft, tmp_path).points] == ["sf", "sf_2"]
    lost = {note.point: note.message for note in draft.notes if note.lost}
    assert list(lost) == ["power_1", "power_2"]
    assert "points[1] and points[3] are all called so" in lost["power_1"]


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        ("sf\n-2", 1.23), ("exponent\n2", 12300.0), ("sf\n0", 123.0), ("sf\n+1", 1230.0), ("scale,sf\n1,-2", 1.23),
        ("scale,sf\n0.1,0", 12.3), ("sf\n-", 123.0), ("divisor\n100", 1.23), ("scale\n/100", 1.23), ("scale\n÷10", 12.3),
        ("scale\nx0.1", 12.3), ("scale\n× 0.1", 12.3), ("scale\n10^-2", 1.23), ("scale\n10**-1", 12.3), ("scale\n1E-1", 12.3),
        ("scale\n０．１", 12.3), ("scale\n−0.1", -12.3), ("scale\n10^−1", 12.3), ("scale\n／１０", 12.3), ("offset\n−23", 100), ("offset\n－23", 100),
        ("scale\n0.1℃", 12.3), ("scale,unit\n0.1℃,°C", 12.3), ("scale,unit\n0.1 °C,℃", 12.3), ("scale\n0.1％", 12.3), ("scale,unit\n0.1 m³,m3", 12.3),
        ("scale\n0.1V", 12.3), ("scale\n0.1 kWh", 12.3), ("scale,unit\n0.1 V,v", 12.3), ("scale\n1/10A", 12.3), ("系数\n0.1", 12.3),
    ],
)  # fmt: skip
def test_a_scale_is_understood_as_makers_write_it(cells: str, value: float, tmp_path: Path) -> None:
    titles, _, row = cells.partition("\n")
    draft = drafted(of_csv(f"id,address,{titles}\nx,40001,{row}\n"))
    assert decoded(loaded(draft, tmp_path).points[0], [123]) == pytest.approx(value)
    assert draft.notes == []


def test_no_data_is_written_in_hex_as_an_address_is(tmp_path: Path) -> None:
    fields = cells("id,address,type,sentinels\nx,４０００１,u16,FFFFh 0x8000 −1\n")
    assert (fields["address"], fields["sentinels"]) == (0, [65535, 32768, -1])
    assert cells("id,address,type,sentinels\nx,40001,float,7FC00001H\n")["sentinels"] == [
        0x7FC00001
    ]


@pytest.mark.parametrize("column", ["enum", "bits", "scale", "sentinels", "unit", "order"])
def test_a_dash_is_an_empty_cell(column: str) -> None:
    assert cells(f"id,address,type,{column}\nx,40001,i16,－\ny,40002,i16,-\n") == {"id": "x", "table": "holding", "address": 0, "type": "i16"}  # fmt: skip


def test_texts_are_kept_as_they_are_written() -> None:
    fields = cells("id,address,zh,enum,note\nx,40001,１号泵（备用）,0=－ 1=＋,−\n")
    assert [fields[key] for key in ("zh", "enum", "note")] == ["１号泵（备用）", {"0": "－", "1": "＋"}, "−"]  # fmt: skip


def test_an_order_that_is_taken_because_none_is_said_is_noted_once_for_all(tmp_path: Path) -> None:
    rows = [("v1", "f32", ""), ("v2", "u32", "CDAB"), ("v3", "u16", ""), ("v4", "string", "")]
    rows += [(f"w{n}", "i64", "") for n in range(6)]
    points = [
        {"id": id, "table": "holding", "address": 10 * n, "type": type, "words": 4}
        | ({"order": order} if order else {})
        for n, (id, type, order) in enumerate(rows)
    ]
    for point in points[:3]:
        del point["words"]
    draft = drafted(of_json({"id": "m", "points": points}))
    assert len(loaded(draft, tmp_path).points) == len(points)
    (said,) = [note.message for note in draft.notes if "order" in note.message]
    assert said.startswith("no order of registers is said for v1, w0, w1, w2, w3 and 2 more: ABCD")


def test_an_exponent_of_0_scales_no_exponent(tmp_path: Path) -> None:
    draft = drafted(of_csv("id,address,type,sf\nv,40001,u16,v_sf\nv_sf,40002,i16,0\n"))
    assert register(loaded(draft, tmp_path).points[0]).scale_from == "v_sf"
    assert draft.notes == []


def test_the_unit_beside_a_scale_is_the_unit_of_the_row(tmp_path: Path) -> None:
    (point,) = loaded(drafted(of_csv("id,address,scale\nx,40001,0.1 kWh\n")), tmp_path).points
    assert point.unit == "kWh"


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("sf\nA_SF", "takes its scale from 'A_SF', which no row is called"),
        ("sf\n0.1", "takes its scale from '0.1', which no row is called"),
        ("sf\n40083", "no exponent in -10..10"),
        ("scale,sf\n0.01,-2", "says a scale of 0.01 and an exponent of -2: say one of them"),
    ],
)
def test_a_value_whose_scale_cannot_be_told_is_left_out_and_said(cells: str, said: str) -> None:
    titles, _, row = cells.partition("\n")
    draft = drafted(of_csv(f"id,address,{titles}\nx,40001,{row}\n"))
    assert draft.profile["points"] == {}
    assert [(note.point, note.lost, said in note.message) for note in draft.notes] == [("x", True, True)]  # fmt: skip


@pytest.mark.parametrize("title", [*DOUBTFUL, "Scale Factor", "Decimal_Places"])
def test_a_column_that_scales_in_one_way_or_another_is_refused(title: str) -> None:
    with pytest.raises(ConfigErrors) as found:
        of_csv(f"id,address,{title}\nx,40001,10\n")
    assert f"l.csv: row 1: column {title!r}" in str(found.value)


def test_digits_that_are_shown_say_nothing_beside_a_scale() -> None:
    registers = of_csv("id,address,scale,decimals\nx,40001,0.1,1\n")
    assert (registers.rows[0].fields["scale"], registers.unused) == (0.1, ["column 'decimals'"])


@pytest.mark.parametrize("key", ["sf", "gain", "Divisor", "decimals", "scale_factor"])
def test_a_key_of_a_map_that_would_scale_is_refused(key: str) -> None:
    row = {"id": "p", "table": "holding", "address": 1, "type": "u16", key: -2}
    with pytest.raises(
        ConfigErrors, match=rf"points\[0\].{key}: is not taken: values are scaled by"
    ):
        of_json({"points": [row]})


ASSUMED = [
    ("id,address,type,Mult (x)\nx,40001,i16,10", "for the scale: every number is as it stands in its register, unless column 'Mult (x)' says otherwise"),
    ("id,address,scale,Kind of number\nx,40001,1,signed", "for the type: every register is read as u16"),
    ("id,address,type\nx,40001,UInt\ny,40002,uint16", "type UInt says no size: 16 bits are taken"),
    ("id,address,fc\nx,1,3\ny,2,3", "the lowest address is 1: where the list counts from 1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), ASSUMED, ids=[said[:30] for _, said in ASSUMED])
def test_what_a_list_does_not_say_is_noted(text: str, said: str) -> None:
    notes = [note for note in drafted(of_csv(text)).notes if note.point == ""]
    assert any(said in note.message for note in notes)


def test_a_name_in_capitals_and_with_blanks_is_no_news() -> None:
    draft = drafted(of_csv("name,address,type,scale\nVoltage L1,40001,i16,1\n"))
    assert (list(draft.profile["points"]), draft.notes) == (["voltage_l1"], [])


def test_a_type_that_is_none_is_said_once() -> None:
    with pytest.raises(ConfigErrors) as found:
        of_csv("id,address,type\nx,40001,u12\n")
    assert len(found.value.mistakes) == 1


@pytest.mark.parametrize("scale", ["-0.1", "0.1", "1", "-1.5", "-11"])
def test_a_scale_that_is_no_power_of_ten_is_not_doubted(scale: str) -> None:
    assert drafted(of_csv(f"id,address,type,scale\nx,40001,i16,{scale}\n")).notes == []


@pytest.mark.parametrize("scale", ["-1", "10"])
def test_a_scale_that_is_left_out_is_not_doubted(scale: str) -> None:
    (note,) = drafted(of_csv(f"id,address,type,scale,enum\nx,40001,i16,{scale},0=Off\n")).notes
    assert "its scale is left out" in note.message


def test_a_list_that_says_all_is_not_doubted() -> None:
    assert drafted(of_csv("id,address,fc,type,scale\nx,0,3,i16,1\ny,1,3,i16,1\n")).notes == []


def test_an_id_that_is_there_twice_is_numbered(tmp_path: Path) -> None:
    row = {"table": "holding", "address": 0, "type": "u16"}
    points = [row | {"id": name} for name in ("flow", "Flow", "flow_2", "流量")]
    made = loaded(drafted(of_json({"id": "m", "points": points})), tmp_path)
    assert [point.id for point in made.points] == ["flow", "flow_2", "flow_2_2", "holding_0"]


NAMED_BY: list[tuple[str, str, dict[str, str]]] = [
    # list, ids, names
    ("名称,地址,类型,倍率,单位\n电压,40032,uint16,0.1,V", "holding_31", {"en": "Holding 31", "zh": "电压"}),
    ("id,address\nA相电流,40032", "a_holding_31", {"en": "A holding 31", "zh": "A相电流"}),
    ("id,address,bit\n过压,40032,3", "holding_31_3", {"en": "Holding 31 3", "zh": "过压"}),
    ("name,address\n电压,40032", "holding_31", {"en": "Holding 31", "zh": "电压"}),
    ("id,名称,地址\nua,电压,40032", "ua", {"en": "Ua", "zh": "电压"}),
    ("id,name,zh,address\nua,Voltage,电压,40032", "ua", {"en": "Voltage", "zh": "电压"}),
    ("id,name,zh,address\nua,电压,A相电压,40032", "ua", {"en": "电压", "zh": "A相电压"}),
    ("id,address\nÖldruck,40032", "ldruck", {"en": "Öldruck"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "key", "names"), NAMED_BY, ids=[row[0][-20:] for row in NAMED_BY])  # fmt: skip
def test_a_point_keeps_what_its_list_calls_it(
    text: str, key: str, names: dict[str, str], tmp_path: Path
) -> None:
    (point,) = loaded(drafted(of_csv(text)), tmp_path).points
    assert (point.id, point.name) == (key, names)


def test_an_id_of_a_chinese_name_is_that_of_its_place_whatever_stands_before_it(
    tmp_path: Path,
) -> None:
    rows = ["A相电流,40001", "A相电压,40002", "A相电压,40003"]
    for some in (rows, rows[::-1], rows[1:]):
        draft = drafted(of_csv("\n".join(["名称,地址", *some])))
        names = {point.id: point.name["zh"] for point in loaded(draft, tmp_path).points}
        assert names["a_holding_1"] == names["a_holding_2"] == "A相电压"
        assert [note for note in draft.notes if "in the list" in note.message] == []


def test_a_chinese_name_is_said_where_its_point_is_left_out() -> None:
    notes = drafted(of_csv("名称,地址,功能码\n复位,12,6\n")).notes
    assert ("holding_12", "is '复位' in the list") in [(n.point, n.message) for n in notes]


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [("读写", "writable"), ("可读可写", "writable"), ("R/W", "writable"), ("R & W", "writable"), ("R/O", ""), ("Write-only", "write_only"), ("只写", "write_only"), ("只读", "")],
)  # fmt: skip
def test_access_is_understood_in_chinese_too(cell: str, wanted: str) -> None:
    fields = cells(f"名称,地址,读写\n电压,40001,{cell}\n")
    assert [key for key in ("writable", "write_only") if key in fields] == [wanted][: bool(wanted)]


def test_a_chinese_list_of_values_is_taken_apart() -> None:
    assert cells("名称,地址,枚举\n状态,40001,0：停止；1＝运行、2:故障\n")["enum"] == {"0": "停止", "1": "运行", "2": "故障"}  # fmt: skip


def test_every_unit_that_is_mapped_is_one() -> None:
    assert set(UNITS.values()) <= set(NAMES)
    assert all(name == name.lower() for name in UNITS)


WHOLE = st.integers(-(2**63), 2**64 - 1)
NUMBER = st.integers(1, 10**6) | st.floats(1e-9, 1e9) | st.floats(-1e9, -1e-9)
TEXT = st.text(max_size=12)
NAMED = st.dictionaries(st.integers(-3, 70).map(str), TEXT, min_size=1, max_size=4)
SPAN = st.lists(NUMBER, min_size=2, max_size=2, unique=True).map(sorted)
ROWS = st.fixed_dictionaries(
    {
        "id": TEXT.filter(bool) | st.sampled_from(["sf", "v"]),
        "table": st.sampled_from(register_maps.TABLES),
        "address": st.integers(0, 65535),
        "type": st.sampled_from(register_maps.TYPES),
    },
    optional={
        "name": TEXT, "zh": TEXT, "kind": st.sampled_from(register_maps.KINDS), "unit": st.sampled_from(["", "V", "kPa", "m^3"]) | TEXT,
        "words": st.integers(1, 8), "order": st.sampled_from(["AB", "BA", "ABCD", "CDAB", "DCBA", "GHEFCDAB", "HA"]),
        "scale": NUMBER, "offset": NUMBER, "scale_from": TEXT | st.sampled_from(["sf", "v", "-2", "11"]) | st.integers(-11, 11), "sentinels": st.lists(WHOLE | st.integers(-1, 300), max_size=3),
        "range": SPAN, "bit": st.integers(0, 63), "bit_width": st.integers(1, 64), "byte": st.sampled_from(["high", "low"]),
        "enum": NAMED, "bits": NAMED | st.just(1), "note": TEXT, "config": st.booleans(), "write_only": st.just(False),
    },
)  # fmt: skip


SPANS = st.lists(
    st.fixed_dictionaries({
        "table": st.sampled_from(register_maps.TABLES),
        "start": st.integers(0, 20) | st.integers(0, 65535),
        "length": st.integers(1, 8) | st.integers(1, 130),
    }),
    max_size=3,
)  # fmt: skip
ABOUT = st.fixed_dictionaries({}, optional={
    "limits": st.fixed_dictionaries({}, optional={"max_words": st.integers(1, 130), "max_bits": st.integers(1, 2100)}),
    "forbidden": SPANS, "read_together": SPANS,
})  # fmt: skip


@pytest.mark.usefixtures("unmeasured")
@given(rows=st.lists(ROWS, min_size=1, max_size=4), about=ABOUT)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_sound_list_says_its_profile_loads(
    tmp_path: Path, rows: list[dict[str, Any]], about: dict[str, Any]
) -> None:
    draft = drafted(of_json({"id": "m", "points": rows, **about}))
    lost = sum(note.lost for note in draft.notes)
    assert len(draft.profile["points"]) + lost == len(rows)
    if draft.profile["points"]:
        loaded(draft, tmp_path)


@given(cell=TEXT, column=st.sampled_from(sorted(COLUMNS)))
def test_whatever_stands_in_a_cell_it_is_taken_or_a_mistake(cell: str, column: str) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["id", "address", column], ["x", "40001", cell]])
    mistakes = Mistakes()
    registers = read_csv(text.getvalue(), "list", "l.csv", mistakes)
    if registers is not None and not mistakes.rows:
        assert len(registers.rows) == 1


WRONG_JSON = [
    ("{", "is not JSON"),
    ("[" * 100_000, "is not JSON"),
    ("[]", "points: is missing"),
    ('{"points": []}', "points: is missing"),
    ('{"points": [3]}', "points[0]: 3 is not a table"),
    ('{"points": [{}]}', "points[0].address: is missing"),
    ('{"device": {"name": 3}, "points": [{}]}', "device: is not a table of texts"),
    ('{"points": [{"id": "p", "table": "store", "address": 1, "type": "u16"}]}', "points[0].table: 'store'"),
    ('{"points": [{"id": "p", "table": "input", "address": 70000, "type": "u16"}]}', "not in 0..65535"),
    ('{"points": [{"id": "p", "table": "input", "address": "40001", "type": "u16"}]}', "'40001' is a text; allowed: a whole number in 0..65535"),
    ('{"points": [{"id": "p", "table": "input", "address": true, "type": "u16"}]}', "not in 0..65535"),
    ('{"points": [{"id": "p", "table": "input", "address": 1, "type": "u17"}]}', "points[0].type: 'u17'"),
    ('{"points": [{"id": "p", "table": "input", "address": 1, "type": "u16", "scale": NaN}]}', "finite"),
    ('{"points": [{"id": "p", "table": "input", "address": 1, "type": "u16", "scale": 0}]}', "is 0"),
    ('{"points": [{"id": "p", "table": "input", "address": 1, "type": "u16", "enum": {"x": "y"}}]}', "'x'"),
    ('{"points": [{"id": "p", "table": "input", "address": 1, "type": "u16", "bits": []}]}', "[] is not"),
    ('{"points": [{"id": "p", "table": "input", "address": 1, "type": "u16", "range": [2, 1]}]}', "low to high"),
    ('{"points": [{"id": "p", "table": "input", "address": 1, "type": "u16", "range": 2}]}', "two numbers"),
    ('{"points": [{"id": "p", "table": "input", "address": 1, "type": "u16", "sentinels": [0.5]}]}', "whole"),
    ('{"points": [{"id": "p", "table": "input", "address": 1, "type": "u16", "writable": 1}]}', "true or false"),
    ('{"points": [{"id": "p", "table": "input", "address": 1, "type": "u16", "order": "ab"}]}', "an order"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG_JSON, ids=[t[-60:] for t, _ in WRONG_JSON])
def test_a_map_that_cannot_be_is_said_with_its_place(text: str, said: str) -> None:
    mistakes = Mistakes()
    read_map(text, "m.json", mistakes)
    assert any(said in str(one) and str(one).startswith("m.json") for one in mistakes.rows)


# --- CSV


def cells(text: str) -> Mapping[str, Any]:
    return of_csv(text).rows[0].fields


VALUES = {
    "id": ("flow", "flow"), "name": ("Flow", "Flow"), "zh": ("流量", "流量"), "table": ("input", "input"),
    "type": ("i16", "i16"), "order": ("BA", "BA"), "words": ("1", 1), "scale": ("1/10", 0.1),
    "offset": ("-40", -40), "scale_from": ("sf", "sf"), "unit": ("bar", "bar"), "bit": ("3", 3),
    "bit_width": ("2", 2), "byte": ("hi", "high"), "kind": ("counter", "counter"), "note": ("n", "n"),
}  # fmt: skip
SYNONYMS = [(f, n) for f, names in COLUMNS.items() for n in names if f in VALUES]


@pytest.mark.parametrize(("field", "title"), SYNONYMS)
def test_a_column_may_be_called_by_each_of_its_names(field: str, title: str) -> None:
    written, wanted = VALUES[field]
    others = "" if field in ("id", "table") else "id,"
    head, row = ("id,", "x,") if field == "table" else (("", "") if not others else (others, "x,"))
    table, at = ("", "") if field == "table" else ("function,", "3,")
    text = f"{head}{title.upper().replace(' ', '_')},{table}Addr\n{row}{written},{at}7\n"
    assert cells(text)[field] == wanted


@pytest.mark.parametrize("title", COLUMNS["address"])
def test_an_address_may_be_called_by_each_of_its_names(title: str) -> None:
    assert cells(f"id,{title}\nx,40008\n")["address"] == 7


@pytest.mark.parametrize(
    ("field", "written", "key", "wanted"),
    [
        ("sentinels", "0xFFFF 32768", "sentinels", [65535, 32768]),
        ("enum", "0=Off; 1=On, by hand", "enum", {"0": "Off", "1": "On, by hand"}),
        ("bits", "0: dry run | 0x0F: door", "bits", {"0": "dry run", "15": "door"}),
        ("enum", "0=Off 1=On", "enum", {"0": "Off", "1": "On"}),
        ("enum", "0=Off / 1=On", "enum", {"0": "Off", "1": "On"}),
        (
            "enum",
            "0=Off\n1=On,\nby hand\n2=Trip",
            "enum",
            {"0": "Off", "1": "On, by hand", "2": "Trip"},
        ),
        ("access", "RW", "writable", True),
        ("access", "W", "write_only", True),
    ],
)
def test_cells_with_several_words_are_taken_apart(
    field: str, written: str, key: str, wanted: object
) -> None:
    for title in COLUMNS[field]:
        assert cells(f'id,address,{title}\nx,40001,"{written}"\n')[key] == wanted


@pytest.mark.parametrize("title", ["low", "high", "lower limit", "upper limit"])
def test_alarm_limits_are_not_taken_as_something_else(title: str) -> None:
    registers = of_csv(f"id,address,{title}\nx,40001,10\n")
    assert registers.unused == [f"column {title!r}"]
    assert not {"range", "scale"} & registers.rows[0].fields.keys()


@pytest.mark.parametrize(
    ("type", "written", "words", "good"),
    [
        ("float", "9999", [0x461C, 0x3C00], False),
        ("float", "-9999", [0xC61C, 0x3C00], False),
        ("float", "0x7F800001 NaN", [0x461C, 0x3C00], True),
        ("float", "9999", [0, 9999], True),
        ("double", "-9999", [0xC0C3, 0x8780, 0, 0], False),
    ],
)
def test_no_data_of_a_float_is_the_number_that_is_written(
    type: str, written: str, words: list[int], good: bool, tmp_path: Path
) -> None:
    draft = drafted(of_csv(f'id,address,type,order,sentinels\nx,40001,{type},ABCD,"{written}"\n'))
    (point,) = loaded(draft, tmp_path).points
    assert (decoded(point, words) is not None) == good
    assert draft.notes == []


@pytest.mark.parametrize("low", COLUMNS["min"])
@pytest.mark.parametrize("high", COLUMNS["max"])
def test_min_and_max_are_the_range(low: str, high: str) -> None:
    assert cells(f"id,address,{low},{high}\nx,40001,-5,1e2\n")["range"] == [-5, 100]


@pytest.mark.parametrize(("type", "name"), [(t, n) for t, names in TYPES.items() for n in names])
def test_types_are_understood_as_makers_write_them(type: str, name: str) -> None:
    assert cells(f"id,address,type\nx,40001,{name.upper()}\n")["type"] == type


@pytest.mark.parametrize(("name", "order"), [*ORDERS.items(), ("cd-ab", "CDAB"), ("BA", "BA")])
def test_orders_are_understood_as_makers_write_them(name: str, order: str) -> None:
    assert cells(f"id,address,type,order\nx,40001,u32,{name}\n")["order"] == order


@pytest.mark.parametrize(("table", "name"), [(t, n) for t, names in TABLES.items() for n in names])
def test_tables_are_understood_as_makers_write_them(table: str, name: str) -> None:
    fields = cells(f"id,address,table\nx,0x1A,{name.title()}\n")
    assert (fields["table"], fields["address"]) == (table, 26)


PLACES = [
    ("40001", "", "holding", 0), ("30011", "", "input", 10), ("10001", "", "discrete", 0),
    ("00012", "", "coil", 11), ("465536", "", "holding", 65535), ("4x0005", "", "holding", 4),
    ("5", "3", "holding", 5), ("5", "04", "input", 5), ("5", "0x01", "coil", 5), ("5", "FC2", "discrete", 5),
    ("5", "3/6", "holding", 5), ("40001", "3", "holding", 40001), ("4x0005", "3", "holding", 4),
    ("3x0002", "", "input", 1), ("0x1A", "3", "holding", 26), ("1Ah", "3", "holding", 26), ("001AH", "4", "input", 26),
    ("0009", "3", "holding", 9), ("0010", "3", "holding", 10), ("40001", "4", "input", 40001), ("0x0010", "1", "coil", 16),
]  # fmt: skip
DOUBTED = {("40001", "3"), ("40001", "4"), ("0010", "3"), ("0x0010", "1")}
"""What may mean another address in another list."""


@pytest.mark.parametrize(("written", "function", "table", "address"), PLACES)
def test_an_address_says_its_table_or_has_it_said(
    written: str, function: str, table: str, address: int
) -> None:
    fields = cells(f"id,address,fc\nx,{written},{function}\n")
    assert (fields["table"], fields["address"]) == (table, address)
    assert ("as_written" in fields) == ((written, function) in DOUBTED)


@pytest.mark.parametrize("written", ["40001-40002", "40001~40002", "40001 to 40002", "4x0001–4x0002"])  # fmt: skip
def test_a_span_of_addresses_is_where_a_value_begins_and_how_long_it_is(written: str) -> None:
    fields = cells(f"id,address,type\nx,{written},u32\n")
    assert (fields["table"], fields["address"], fields["words"]) == ("holding", 0, 2)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_byte_order_marks_and_decimal_commas(delimiter: str, tmp_path: Path) -> None:
    rows = [["id", "address", "scale", "zh"], ["flow", "40001", '"0,1"' if delimiter == ";" else "0.1", "流量"]]  # fmt: skip
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in [*rows, []]) + "\r\n"
    (point,) = loaded(drafted(of_csv(text)), tmp_path).points
    assert register(point).scale == 0.1
    assert point.name == {"en": "Flow", "zh": "流量"}


MARKED = [
    ("1,000", "0.1", 1000, "1,000 is taken as 1000 (row 2), because '.' is the decimal mark of 0.1 in row 3"),
    ("1.000", "0.10", 1, "1.000 is taken as 1.000 (row 2), because '.' is the decimal mark of 0.10 in row 3"),
    ("1,000", "0,25", 1, "1,000 is taken as 1.000 (row 2), because ',' is the decimal mark of 0,25 in row 3"),
    ("1.500", "1.000,5", 1500, "1.500 is taken as 1500"),
    ("1.500", "0.001", 1.5, "1.500 is taken as 1.500"),
    ("1,500", "1,000,000", 1500, "1,500 is taken as 1500"),
    ("/1.000", "x 0,5 V", 0.001, "1.000 is taken as 1000"),
    ("1,0", "0,5", 1, ""),
    ("1000.500", "1", 1000.5, ""),
    ("1.234.567", "1", 1234567, ""),
]  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(("one", "other", "scale", "said"), MARKED, ids=[row[0] + " beside " + row[1] for row in MARKED])  # fmt: skip
def test_a_mark_in_a_number_means_what_the_other_numbers_of_the_list_show_and_that_is_said(
    one: str, other: str, scale: float, said: str, delimiter: str
) -> None:
    text = io.StringIO()
    rows = [["id", "address", "scale"], ["x", "40001", one], ["y", "40002", other]]
    csv.writer(text, delimiter=delimiter).writerows(rows)
    registers = of_csv(text.getvalue())
    assert registers.rows[0].fields["scale"] == pytest.approx(scale)
    assert [note[: len(said)] for note in registers.assumed] == ([said] if said else [])


def test_a_mark_that_the_list_settles_in_many_rows_is_said_once() -> None:
    rows = [f"p{n};{40001 + n};1,000" for n in range(12)]
    (note,) = of_csv("\n".join(["id;address;scale", *rows, "q;40020;0,5"])).assumed
    assert "(row 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more)" in note


WRONG_CSV = [
    ("", "has 0 rows below a line"),
    ("id,address\n", "has 0 rows"),
    ("id;type\nx;u16\n", "row 1: has no column address (this line is to name the columns)"),
    ("address\n40001\n", "row 1: has no column id (this line is to name the columns); it may be called id, "),
    ("address\n40001\n", ", 中文, 中文名, "),
    ("名称\n电压\n", "row 1: has no column address (this line is to name the columns); it may be called address, addr, register, reg, register address, modbus address, register number, 地址"),
    ("id,address,access\nx,40001,禁止\n", "row 2.access: '禁止' is not one of"),
    ("id,tag,address\nx,y,40001\n", "columns 'id', 'tag' are all the id"),
    ("id,address\nx,40001\ny,here\n", "row 3.address: 'here' says no table"),
    ("id,address\nx,12\n", "row 2.address: '12' says no table"),
    ("id,address\nx,40000\n", "row 2.address: '40000' is not in 40001"),
    ("id,address\nx,\n", "row 2.address: is missing"),
    ("id,address,fc\nx,D100,3\n", "'D100' is no address; allowed: 40001 or 4x0001"),
    ("id,address\nx,40004.3\n", "'40004.3' has a point: write the address alone, and a bit in a column bit"),
    ("id,address,scale\nx,40001,10²\n", "'10²' is not a number"),
    ("id,address,fc\nx,100.3,3\n", "'100.3' has a point: write the address alone, and a bit in a column bit"),
    ("id,address,fc\nx,4x0001,4\n", "'4x0001' is of table holding, and the row says input"),
    ("id,address\nx,40002-40001\n", "'40002-40001' is no span of registers"),
    ("id,address\nx,00001-00002\n", "'00001-00002' is no span of registers"),
    ("id,address,words\nx,40001-40002,4\n", "are 2 registers, and words says 4"),
    ("id,address,scale,divisor\nx,40001,0.1,10\n", "row 2.divisor: is said by a scale too"),
    ("id,address,divisor\nx,40001,0\n", "row 2.divisor: is 0"),
    ("id,address,scale,unit\nx,40001,0.1kWh,Wh\n", "'0.1kWh' is in kWh, and unit says Wh"),
    ("id,address,scale\nx,40001,0.1 or 1\n", "row 2.scale: '0.1 or 1' is not a number"),
    ("id,address,scale\nx,40001,1:10\n", "row 2.scale: '1:10' is not a number"),
    ("id\taddress\tscale\nx\t40001\t1,000\n", "row 2.scale: '1,000' is 1000 or 1.000, and no other number of the list shows its decimal mark"),
    ("id;address;max;min\nx;40001;5;1\ny;40002;-1.000;5\n", "row 3.max: '1.000' is 1.000 or 1000"),
    ("id;address;scale\nx;40001;1/1.000\n", "row 2.scale: '1.000' is 1.000 or 1000"),
    ("id;address;scale\nx;40001;0.1\ny;40002;0,1\nz;40003;1,000\n", "row 4.scale: '1,000' is 1000 or 1.000, and the list has both marks: 0.1 in row 2 and 0,1 in row 3"),
    ("id;address;scale\nx;40001;1.2.3\n", "row 2.scale: '1.2.3' is not a number"),
    ("id;address;scale\nx;40001;1,00,000\n", "row 2.scale: '1,00,000' is not a number"),
    ('id,address,sentinels\nx,40001,"65,535"\n', "row 2.sentinels: '65,535' is one number or 2"),
    ("id;address;type;sentinels\nx;40001;float;9999,0\n", "row 2.sentinels: '9999,0' is one number or 2"),
    ("id,address\n,40001\n", "row 2.id: is missing"),
    ("id,address,table\nx,1,shelf\n", "table 'shelf' is not one of"),
    ("id,address,fc\nx,1,7\n", "function '7' is not one of 1, 2, 3, 4"),
    ("id,address,fc,table\nx,1,3,input\n", "function 3 does not read table input"),
    ("id,address,fc\nx,70000,3\n", "row 2.address: 70000 is not in 0..65535"),
    ("id,address,type\nx,40001,u12\n", "row 2.type: 'u12' is not one of"),
    ("id,address,order\nx,40001,sideways\n", "row 2.order: 'sideways' is no order"),
    ("id,address,scale\nx,40001,ten\n", "row 2.scale: 'ten' is not a number"),
    ("id,address,scale\nx,40001,1/0\n", "row 2.scale: '1/0' is not a number"),
    ("id,address,scale\nx,40001,0\n", "row 2.scale: is 0"),
    ("id,address,min\nx,40001,1\n", "row 2.range: has one end only"),
    ("id,address,min,max\nx,40001,2,1\n", "row 2.range: [2.0, 1.0] does not go"),
    ("id,address,bit\nx,40001,b\n", "row 2.bit: 'b' is not a whole number"),
    ("id,address,byte\nx,40001,middle\n", "row 2.byte: 'middle' is not one of"),
    ("id,address,enum\nx,40001,0=Off; 0=On\n", "names 0 twice"),
    ("id,address,enum\nx,40001,0=Off; A1=On\n", "cannot be taken apart at 'Off; A1=On'"),
    ("id,address,enum\nx,40001,see 0=Off\n", "row 2.enum: 'see 0=Off' is not of the form"),
    ("id,address,enum\nx,40001,0=12:30\n", "cannot be taken apart"),
    ("id,address,type,sentinels\nx,40001,float,1e39\n", "larger than any f32"),
    ("id,address,enum\nx,40001,on or off\n", "row 2.enum: 'on or off' is not of the form"),
    ("id,address,access\nx,40001,maybe\n", "row 2.access: 'maybe' is not one of"),
    ("id,address,kind\nx,40001,secret\n", "row 2.kind: 'secret' is not one of"),
    (f"id,address,enum\nx,40001,{'9' * 5000}=On\n", "is no number of a register; allowed: up to 20 signs"),
    (f"id,address,enum\nx,40001,0x{'F' * 5000}=On\n", "row 2.enum: '0xFFFF"),
    (f"id,address,fc\nx,0{'1' * 5000},3\n", "is no address; allowed: 40001 or 4x0001"),
    ("id,address\nx,40001,3,4\n", "row 2: has 4 cells for 2 columns"),
    ('id,address\n"x,40001\n', "is not CSV"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG_CSV, ids=[said for _, said in WRONG_CSV])
def test_a_list_that_cannot_be_is_said_with_its_row(text: str, said: str) -> None:
    with pytest.raises(ConfigErrors) as found:
        of_csv(text)
    assert any(str(one).startswith("l.csv") and said in str(one) for one in found.value.mistakes)


def test_columns_that_nothing_uses_and_registers_to_write_are_noted() -> None:
    draft = drafted(of_csv("id,address,fc,type,scale,Colour\nx,5,6,,,red\ny,6,3,u16,1,blue\n"))
    assert list(draft.profile["points"]) == ["y"]
    assert [(n.point, n.message) for n in draft.notes] == [
        ("x", "can only be written; Steward only reads"),
        ("", "column 'Colour' is not carried over"),
    ]


# --- TOML


@pytest.mark.parametrize(
    "value",
    ["", 'a "quoted" \\ text', "一\t\n\r\0\x7f\x1f", 0, -5, 2**53, 0.1, 1e-7, 1e300, 5e-324, -2.0,
     True, False, [], [1, 2.5, "x"], {"a-b": 1, "a b": {"1": "z", "": []}}],
)  # fmt: skip
def test_what_is_written_is_read_back(value: object) -> None:
    assert tomllib.loads(f"v = {value_text(value)}")["v"] == value


def test_remarks_stay_in_their_lines_whatever_they_hold() -> None:
    text = profile_text({"points": {"p": {"at": "x"}}}, {"p": ["a\nat = 1\x00\ud800"]}, ["h\r\n[x]"])  # fmt: skip
    assert tomllib.loads(text) == {"points": {"p": {"at": "x"}}}
