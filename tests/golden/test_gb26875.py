"""Frames of the field and of published examples, decoded and answered exactly (tests/data/gb26875)."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest

from config.gb26875 import ANALOGUES
from edge.gb26875 import BadFrame, Frame, Splitter, Verdict, confirm, decode
from edge.gb26875_data import (
    Application,
    BadData,
    ComponentAnalogue,
    ComponentState,
    DeviceOperation,
    DeviceState,
    Item,
    SystemOperation,
    SystemState,
    WallTime,
    decode_application,
)
from edge.gb26875_names import (
    COMPONENT_TYPES,
    SYSTEM_TYPES,
    operation_flags,
    state_flags,
    type_name,
)

VECTORS: Final = json.loads(
    (Path(__file__).parents[1] / "data/gb26875/vectors.json").read_text(encoding="utf-8")
)
FRAMES: Final = {row["id"]: row for row in VECTORS["frames"]}


def flags(item: Item) -> tuple[str, ...] | None:
    if isinstance(item, SystemState):
        return state_flags("system", item.state)
    if isinstance(item, ComponentState):
        return state_flags("component", item.state)
    if isinstance(item, DeviceState):
        return state_flags("device", item.state)
    if isinstance(item, SystemOperation | DeviceOperation):
        return operation_flags(item.operation, of_device=isinstance(item, DeviceOperation))
    return None


def shown(item: Item) -> dict[str, Any]:
    """An object as the vectors write it."""
    found = asdict(item)
    if "time" in found:
        found["time"] = item.time.iso() if item.time else None  # type: ignore[union-attr]  # those that have one
    for member, names in (("system_type", SYSTEM_TYPES), ("component_type", COMPONENT_TYPES)):
        if member in found:
            found[f"{member}_name"] = type_name(names, found[member])
    if "main" in found:
        found["version"] = [found.pop("main"), found.pop("minor")]
    if (said := flags(item)) is not None:
        found["flags"] = list(said)
    if isinstance(item, ComponentAnalogue):
        row = ANALOGUES[item.analogue_type]
        found |= {"quantity": row.quantity, "unit": row.unit, "value": item.value}
    return found


def shown_application(app: Application | None, wanted: Mapping[str, Any]) -> dict[str, Any]:
    if app is None:
        return {"type": None, "objects": []}
    objects = [shown(item) for item in app.objects] if app.known else None
    found = {"type": app.type, "type_name": app.name, "count": app.count, "objects": objects}
    return found | {key: app.opaque.hex() for key in ("opaque",) if key in wanted}


@pytest.mark.parametrize("row", FRAMES.values(), ids=FRAMES)
def test_a_frame_is_taken_apart_as_published(row: Mapping[str, Any]) -> None:
    raw = bytes.fromhex(row["frame"])
    assert len(raw) == row["bytes"]
    if not row["ok"]:
        with pytest.raises(BadFrame) as raised:
            decode(raw)
        assert raised.value.verdict == row["verdict"]
        assert row["error"] in str(raised.value)
        return
    frame, wanted = decode(raw), row["header"]
    header = frame.header
    assert f"{raw[-3]:02x}" == row["checksum"]
    assert header.time is not None
    assert {
        "serial": header.serial, "version": list(header.version), "time": header.time.iso(),
        "source": header.source, "target": header.target, "app_length": len(frame.data), "command": header.command,
    } == {key: value for key, value in wanted.items() if key != "command_name"}  # fmt: skip
    app = {key: value for key, value in row["app"].items() if key != "note"}
    assert shown_application(frame.app, app) == app


@pytest.mark.parametrize("row", VECTORS["appdata"], ids=lambda row: row["id"])
def test_application_data_is_taken_apart_as_published(row: Mapping[str, Any]) -> None:
    raw = bytes.fromhex(row["appdata"])
    if row["ok"]:
        assert shown_application(decode_application(raw), row["app"]) == row["app"]
    else:
        with pytest.raises(BadData, match=row["error"]):
            decode_application(raw)


@pytest.mark.parametrize("row", VECTORS["streams"], ids=lambda row: row["id"])
def test_a_stream_falls_into_its_frames(row: Mapping[str, Any]) -> None:
    splitter = Splitter()
    found = [one for chunk in row["chunks"] for one in splitter.feed(bytes.fromhex(chunk))]
    frames = [one for one in found if isinstance(one, Frame)]
    assert frames == [decode(bytes.fromhex(one["hex"])) for one in row["frames"]]
    assert not splitter.begun


@pytest.mark.parametrize(
    ("sent", "answer"), [(k, r["reply"]) for k, r in FRAMES.items() if r.get("reply", "").endswith("confirm")]
)  # fmt: skip
def test_a_frame_is_confirmed_byte_for_byte_as_published(sent: str, answer: str) -> None:
    frame = decode(bytes.fromhex(FRAMES[sent]["frame"]))
    assert confirm(frame.header, WallTime(2012, 9, 26, 9, 58, 35)).hex() == FRAMES[answer]["frame"]


def test_what_a_denial_repeats_is_known_of_a_frame_that_is_not_believed() -> None:
    for id in ("sf-bad-checksum", "own-count-wrong"):
        with pytest.raises(BadFrame) as raised:
            decode(bytes.fromhex(FRAMES[id]["frame"]))
        assert raised.value.header is not None
        assert raised.value.verdict in (Verdict.BAD_CHECKSUM, Verdict.BAD_DATA)
