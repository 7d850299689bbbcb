"""A small plant by hand: one booster with a pressure point, a pump flag, two rules and one plan."""

from config.plant import Asset, Device, Line, Plant, Point, PointSpec, System
from config.profile import Register, StateName, Tags
from config.rules import Level, Rule, WorkOrderPolicy
from config.standards import Duty, PerPeriod, Plan

SITE = "riverside"
START = 1_763_700_000_000
PRESSURE, PUMP = "a-booster/pressure", "a-booster/pump-1/running"


def point(id: str, unit: str = "bar") -> Point:
    spec = PointSpec(
        {"en": "Pressure", "zh": "压力"}, "measurement", unit, Register("holding", 0, "u16"),
        states={1: StateName("on", {"en": "On", "zh": "开"})},
        tags=Tags("Pressure_Sensor", ("water", "pressure", "sensor")) if unit == "bar" else Tags(),
    )  # fmt: skip
    return Point(id, id.rpartition("/")[0], "booster", spec)


def rule(id: str, point: str, **changes: object) -> Rule:
    base: dict[str, object] = {
        "id": id, "site": SITE, "asset": point.rpartition("/")[0], "point": point,
        "name": {"en": "Pressure high", "zh": "压力高"}, "kind": "limit",
        "alarm_class": "equipment", "priority": "high", "levels": (Level("high", 7.0, "high"),),
        "deadband": 0.2, "on_delay_s": 10.0, "work_order": WorkOrderPolicy(fault_class="pressure"),
    }  # fmt: skip
    return Rule(**{**base, **changes})  # type: ignore[arg-type]  # cases are data


RULES = (
    rule("pressure_high@a-booster", PRESSURE),
    rule("pressure_low@a-booster", PRESSURE, levels=(Level("low", 1.0, "low"),), priority="critical"),
    rule("tripped@a-booster/pump-1", PUMP, kind="state", abnormal_states=(1,), levels=(),
         work_order=WorkOrderPolicy(fault_class="trip", healthy_minutes=2.0)),
    rule("watched@a-booster", PRESSURE, work_order=WorkOrderPolicy("never")),
)  # fmt: skip
DUTY = Duty(
    "test_run", "grade-3", {"en": "Trial run", "zh": "试运行"}, "class:booster",
    PerPeriod("month"), ("R1",), statutory=True,
)  # fmt: skip
PLAN = Plan("grade-3/test_run@a-booster", SITE, "a-booster", DUTY, "2025-11-01")


def plant(site: str = SITE) -> Plant:
    """The plant at one site."""
    assets = (
        Asset("a-booster", {"en": "Booster A", "zh": "泵组A"}, "water", "house-a", "booster"),
        Asset("a-booster/pump-1", {"en": "Pump 1"}, "water", parent="a-booster"),
        Asset("b-lift", {"en": "Lift B", "zh": "电梯B"}, "lifts"),
    )
    points = (point(PRESSURE), point(PUMP, ""))
    return Plant(
        site=site, name={"en": "Riverside", "zh": "河畔"}, time_zone="Asia/Shanghai",
        calendar="cn", seasons={},
        systems={s: System(s, {"en": s}) for s in ("water", "lifts")},
        locations={"house-a": {"en": "House A"}}, agents=("agent-1",),
        lines={"line": Line("line", "agent-1", "tcp")},
        devices={"booster": Device("booster", "duo", "line", "a-booster", "1")},
        profiles={}, assets={a.id: a for a in assets}, points={p.id: p for p in points},
        rules={r.id: r for r in RULES}, plans={PLAN.id: PLAN}, poll_classes={"normal": 10.0},
        hash="abc",
    )  # fmt: skip
