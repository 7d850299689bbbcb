"""A small plant written by hand, so that simulators are tested apart from the configuration files."""

from collections.abc import Iterable, Mapping

from config.plant import Asset, Device, Line, LineKind, Plant, Point, PointSpec
from config.profile import JsonPath, Kind, ModbusLimits, Profile, Register, Rung, Source, StateName

PUMP_STATES = {
    n: StateName(name, {"en": name})
    for n, name in enumerate(("stopped", "running", "tripped", "manual"))
}


def point(
    id: str,
    source: Source,
    device: str,
    *,
    kind: Kind = "measurement",
    states: Mapping[int, StateName] | None = None,
    period_s: float = 1.0,
) -> Point:
    asset, _, _ = id.rpartition("/")
    spec = PointSpec(
        name={"en": id}, kind=kind, unit="", source=source, states=states or {}, period_s=period_s
    )
    return Point(id, asset, device, spec)


def holding(address: int, type: str = "u16", **more: object) -> Register:
    return Register("holding", address, type, **more)  # type: ignore[arg-type]  # rows of test data


def booster_points(asset: str = "a-booster", device: str = "booster-a") -> list[Point]:
    made = [
        point(f"{asset}/discharge_pressure", holding(0, scale=0.01), device),
        point(f"{asset}/suction_pressure", holding(1, scale=0.01), device),
        point(f"{asset}/flow", holding(2, scale=0.1), device),
        point(f"{asset}/tank_level", holding(3, scale=0.001), device),
        *(
            point(f"{asset}/{name}", holding(8, bit=bit), device, kind="flag")
            for bit, name in {0: "dry_run", 1: "overpressure", 7: "door_open"}.items()
        ),
    ]
    for number in (1, 2):
        base, part = 20 + 20 * number, f"{asset}/pump-{number}"
        made += [
            point(f"{part}/run_hours", holding(base, "u32", order="CDAB", scale=0.1), device, kind="counter"),
            point(f"{part}/state", holding(base + 2, no_data=(65535,)), device, kind="state", states=PUMP_STATES),
            point(f"{part}/current", holding(base + 3, scale=0.1), device),
            point(f"{part}/starts", holding(base + 4, "u32"), device, kind="counter"),
            point(f"{part}/vibration", holding(base + 6, scale=0.01, no_data=(65535,)), device),
        ]  # fmt: skip
    return made


def generator_points() -> list[Point]:
    return [
        point("generator/run", Register("discrete", 0, "bit"), "generator", kind="flag"),
        point("generator/frequency", Register("input", 0, "f32", "CDAB"), "generator"),
        point("generator/oil_pressure", Register("input", 2, "u16", scale=0.01), "generator"),
        point("generator/run_hours", Register("input", 3, "u32", scale=0.1), "generator"),
    ]


def panel_points() -> list[Point]:
    names = ("fire", "fault", "disabled", "test", "zone_1_fire", "zone_2_fire", "zone_2_fault")
    return [
        point(f"fire-panel/{name}", holding(0, bit=bit), "fire-panel", kind="flag")
        for bit, name in enumerate(names)
    ]


def pit_points() -> list[Point]:
    topic, at = "pits/{unit}/state", ("ts",)
    switch = {"on": 1.0, "off": 0.0}
    return [
        point("sump-pit/level_m", JsonPath(topic, ("level_m",), time_path=at), "sump-pit", period_s=5),
        point("sump-pit/pump_1", JsonPath(topic, ("pumps", "p1"), values=switch), "sump-pit", kind="state", period_s=5),
        point("sump-pit/pump_2", JsonPath(topic, ("pumps", "p2"), values=switch), "sump-pit", kind="state", period_s=5),
        point("sump-pit/flood", JsonPath(topic, ("flood",)), "sump-pit", kind="flag", period_s=5),
        point("sump-pit/temperature", JsonPath(topic, ("temp",)), "sump-pit", period_s=5),
    ]  # fmt: skip


def camera_points() -> list[Point]:
    rungs = {"reachable": "tcp", "stream": "describe", "media": "media"}
    return [
        point(f"camera-1/{name}", Rung(step), "camera-1", kind="flag")  # type: ignore[arg-type]  # rows
        for name, step in rungs.items()
    ]


def elevator_points() -> list[Point]:
    doors = {0: StateName("closed", {"en": "Closed"}), 1: StateName("open", {"en": "Open"})}
    ways = {n: StateName(w, {"en": w}) for n, w in enumerate(("none", "up", "down"))}
    states = {n: StateName(w, {"en": w}) for n, w in enumerate(("normal", "inspection", "fault", "fire_recall"))}  # fmt: skip
    return [
        point("elevator-1/floor", holding(0, "i16"), "elevator-1"),
        point("elevator-1/direction", holding(1), "elevator-1", kind="state", states=ways),
        point("elevator-1/door", holding(2), "elevator-1", kind="state", states=doors),
        point("elevator-1/state", holding(3), "elevator-1", kind="state", states=states),
        point("elevator-1/alarm_button", holding(4, bit=0), "elevator-1", kind="flag"),
    ]


def other_points() -> list[Point]:
    return [
        point("chiller/supply", holding(0, "i16", scale=0.1), "chiller"),
        point("chiller/energy", holding(1, "u64"), "chiller", kind="counter"),
        point("chiller/serial", holding(5, "string", words=4), "chiller"),
        point("chiller/alarm", holding(9, bit=3), "chiller", kind="flag"),
        point("chiller/mode", holding(10), "chiller", kind="state", states=PUMP_STATES),
    ]


CLASSES = {
    "a-booster": "booster-set", "generator": "generator", "fire-panel": "fire-panel",
    "sump-pit": "sump-pit", "camera-1": "camera", "elevator-1": "elevator", "chiller": "chiller-plant",
}  # fmt: skip


def small_plant(*, limits: ModbusLimits | None = None) -> Plant:
    """Two devices on one Modbus line (booster 3, generator 4), the rest on lines of their own."""
    points = [
        *booster_points(), *generator_points(), *panel_points(), *pit_points(), *camera_points(),
        *elevator_points(), *other_points(),
    ]  # fmt: skip
    rows = [
        ("booster-a", "modbus", "a-serial", "a-booster", "3"),
        ("generator", "modbus", "a-serial", "generator", "4"),
        ("fire-panel", "modbus", "panel-line", "fire-panel", "1"),
        ("elevator-1", "modbus", "lift-line", "elevator-1", "1"),
        ("chiller", "modbus", "chiller-line", "chiller", "1"),
        ("sump-pit", "mqtt", "pits", "sump-pit", "p7"),
        ("camera-1", "camera", "camera-1", "camera-1", ""),
    ]
    return plant_of(rows, points, limits or ModbusLimits())


def plant_of(
    rows: Iterable[tuple[str, str, str, str, str]], points: list[Point], limits: ModbusLimits
) -> Plant:
    """A plant of (device, protocol, line, asset, unit) rows; each device has a profile of its own."""
    own = list(rows)
    kinds: dict[str, LineKind] = {"modbus": "tcp", "mqtt": "mqtt", "camera": "rtsp"}
    assets = [Asset(a, {"en": a}, "all", asset_class=CLASSES.get(a, ""), device=d) for d, _, _, a, _ in own]  # fmt: skip
    parts = sorted({p.asset for p in points} - {a.id for a in assets})
    assets += [
        Asset(a, {"en": a}, "all", asset_class="pump", parent=a.split("/")[0]) for a in parts
    ]
    return Plant(
        site="test", name={"en": "Test"}, time_zone="Asia/Shanghai", calendar="cn", seasons={},
        systems={}, locations={}, agents=("edge-a",),
        lines={line: Line(line, "edge-a", kinds[p], "127.0.0.1", 0) for _, p, line, _, _ in own},
        devices={d: Device(d, f"{d}-profile", line, a, unit) for d, _, line, a, unit in own},
        profiles={
            f"{d}-profile": Profile(f"{d}-profile", 1, {"en": d}, p, a, (), limits=limits)
            for d, p, _, a, _ in own
        },
        assets={a.id: a for a in assets},
        points={p.id: p for p in points},
        rules={}, plans={}, poll_classes={"normal": 10.0},
    )  # fmt: skip
