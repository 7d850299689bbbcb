import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from config.plant import Point, PointSpec
from config.profile import Register
from edge.decoding import decode, decode_text
from edge.readings import BAD, QUALITIES

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "tests" / "data" / "golden", ROOT.parent / "shared" / "data" / "golden")


def conversions_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of every file that has conversions; nothing where the folder is not."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))]
    return [row for text in texts for row in json.loads(text).get("conversions", ())]


CONVERSIONS = {
    json.dumps(row, sort_keys=True): row for folder in FOLDERS for row in conversions_of(folder)
}
"""Each once: the project's own are copies of those that may stand beside it."""
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


def test_every_file_with_conversions_is_read(tmp_path: Path) -> None:
    assert len(conversions_of(FOLDERS[0])) >= 10
    for name, key in (("more", "conversions"), ("other", "frames")):
        (tmp_path / f"{name}.json").write_text(json.dumps({key: [{"id": name}]}), encoding="utf-8")
    assert conversions_of(tmp_path) == [{"id": "more"}]
    assert conversions_of(tmp_path / "nowhere") == []


@pytest.mark.parametrize("row", CONVERSIONS.values(), ids=lambda row: row["id"])
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
