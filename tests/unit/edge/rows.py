"""Small plants, points and registers for the tests of the edge."""

from collections.abc import Sequence
from typing import Any

from config.plant import Device, Line, LineKind, Plant, Point, PointSpec
from config.profile import JsonPath, ModbusLimits, Profile, Register, Rung

START_MS = 1_763_700_000_000


def point(source: Register | JsonPath | Rung, name: str = "p", **fields: Any) -> Point:
    """Any other field of the point or of its spec by name."""
    own = {key: fields.pop(key) for key in list(fields) if key in Point.__struct_fields__}
    row: dict[str, Any] = {
        "name": {"en": name},
        "kind": "measurement",
        "unit": "",
        "source": source,
    }
    place: dict[str, Any] = {"id": f"a/{name}", "asset": "a", "device": "d"}
    return Point(**(place | own), spec=PointSpec(**(row | fields)))


def register_point(name: str, address: int, type: str = "u16", **fields: Any) -> Point:
    """A point of a Modbus register; fields of the register and of the point, by name."""
    own = {key: fields.pop(key) for key in list(fields) if key in Register.__slots__}
    source = Register(**{"table": "holding", "address": address, "type": type, **own})
    return point(source, name, **fields)


def plant(lines: Sequence[Line], devices: Sequence[Device], points: Sequence[Point]) -> Plant:
    profiles = {
        device.profile: Profile(device.profile, 1, {"en": "x"}, "modbus", "pump", ())
        for device in devices
    }
    return Plant(
        site="s",
        name={"en": "S"},
        time_zone="UTC",
        calendar="none",
        seasons={},
        systems={},
        locations={},
        agents=("e",),
        lines={line.id: line for line in lines},
        devices={device.id: device for device in devices},
        profiles=profiles,
        assets={},
        points={row.id: row for row in points},
        rules={},
        plans={},
        poll_classes={},
    )


def line(id: str = "l", kind: LineKind = "tcp", **fields: Any) -> Line:
    return Line(id, "e", kind, **fields)


def device(id: str = "d", **fields: Any) -> Device:
    row: dict[str, Any] = {"profile": "m", "line": "l", "asset": "a", "unit": "1"}
    return Device(id, **(row | fields))


NO_LIMITS = ModbusLimits()
