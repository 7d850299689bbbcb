"""What devices that are read alike have in common, and what each has of its own."""

from typing import Any

from config.plant import Point
from config.profile import ModbusLimits
from edge.modbus_plans import Plan
from edge.registers import LinkCost
from tests.unit.edge.rows import device, register_point


def points(asset: str, **fields: Any) -> list[Point]:
    """Three registers, one apart from the others, and a text."""
    made = [
        register_point(f"{n}", n, id=f"{asset}/{n}", asset=asset, **fields) for n in (3, 1, 200)
    ]
    return [*made, register_point("text", 2, "string", id=f"{asset}/text", asset=asset)]


def plan(asset: str, **fields: Any) -> Plan:
    return Plan(device(asset), tuple(points(asset, **fields)), ModbusLimits(), LinkCost(), ())


def test_devices_that_are_read_alike_share_what_their_answers_mean() -> None:
    one, other = plan("a"), plan("b")
    assert [a.rows is b.rows for a, b in zip(one.blocks, other.blocks, strict=True)] == [True, True]
    assert one.blocks[0].others is other.blocks[0].others
    narrow = plan("c", range=(0.0, 1.0))
    assert [a.rows == b.rows for a, b in zip(one.blocks, narrow.blocks, strict=True)] == [
        False,
        False,
    ]


def test_points_that_are_read_alike_share_it_at_whatever_address() -> None:
    near, far = plan("a").blocks
    assert len({decoded for _, _, decoded in (*near.rows, *far.rows)}) == 1


def test_each_block_says_which_points_stand_where() -> None:
    one = plan("a")
    near, far = one.blocks
    assert sorted((at, begin) for at, begin, _ in near.rows) == [(0, 2), (1, 0)]
    assert near.others == ((3, 1, None),)
    assert [point.id for point in far.points(one.points)] == ["a/200"]


def test_a_part_of_a_request_means_the_same_points() -> None:
    one = plan("a")
    near = one.requests()[0]
    halves = near.smaller(one.limits)
    parts = [{p.id for p in one.block(half).points(one.points)} for half in halves]
    assert parts == [{"a/1"}, {"a/3", "a/text"}]
