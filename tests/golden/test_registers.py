import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from config.plant import Point, PointSpec
from config.profile import Register
from edge.readings import BAD, QUALITIES
from edge.registers import decode, decode_text

FOLDER = Path(__file__).parents[1] / "data" / "golden"
CONVERSIONS = json.loads((FOLDER / "conversions.json").read_text(encoding="utf-8"))["conversions"]


EXACT = 2**53
"""A number beyond is `undecodable` (telemetry contract): a 64-bit float cannot hold it."""
BYTE = {"high": 8, "low": 0, None: None}


def point_of(row: Mapping[str, Any]) -> Point:
    """The file's row as a point; a byte of a word is a field of eight bits."""
    bit = row.get("bit", BYTE[row.get("byte")])
    register = Register(
        table=row["table"], address=row["address"],
        type="u16" if row["type"] == "u8" else row["type"], order=row.get("order") or "ABCD",
        scale=row.get("scale", 1), offset=row.get("offset", 0), words=len(row["words"]),
        bit=bit, bit_width=8 if "byte" in row else 1, no_data=tuple(row.get("sentinels", ())),
    )  # fmt: skip
    return Point("a/p", "a", "d", PointSpec({"en": "p"}, "measurement", "", register))


@pytest.mark.parametrize("row", CONVERSIONS, ids=[row["id"] for row in CONVERSIONS])
def test_a_golden_vector_decodes(row: Mapping[str, Any]) -> None:
    point, wanted = point_of(row), row["value"]
    if row["type"] == "string":
        assert decode_text(point, row["words"]) == wanted
        return
    value, quality = decode(point, row["words"])
    if wanted is None or abs(wanted) > EXACT:
        assert value is None
        assert quality >= BAD
    else:
        assert value == pytest.approx(wanted, rel=1e-12)
        assert quality == QUALITIES["good"]
