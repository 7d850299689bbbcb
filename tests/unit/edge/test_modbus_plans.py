"""What devices that are read alike have in common, and what each has of its own."""

from typing import Any

from config.plant import Point
from config.profile import ModbusLimits
from edge.modbus_plans import NOT_ASKED, Plan
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
    assert one.blocks[0].texts is other.blocks[0].texts
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
    assert near.texts == ((3, 1),)
    assert (far.numbers(), far.texts) == ([2], ())


def test_a_part_of_a_request_means_the_same_points() -> None:
    one = plan("a")
    near = one.requests()[0]
    halves = near.smaller(one.limits)
    parts = [one.block(half) for half in halves]
    assert [(part.numbers(), part.texts) for part in parts] == [([1], ()), ([0], ((3, 0),))]


def scaled() -> list[Point]:
    """A value beside its exponent, one far from the same, and one whose exponent is not asked for."""
    return [
        register_point("near", 3, scale_from="power"),
        register_point("far", 300, scale_from="power"),
        register_point("none", 301, scale_from="another"),
        register_point("power", 5),
    ]


def test_a_value_beside_its_exponent_is_a_row_as_any_other() -> None:
    blocks = Plan(device(), tuple(scaled()), ModbusLimits(), LinkCost(), ()).blocks
    near, far = sorted(blocks, key=lambda block: block.address)
    meaning = {at: decoded for at, _, decoded in near.rows}
    assert (near.far, far.rows) == ((), ())
    assert meaning[0]([7, 0, 2], 0, 1.0) == (700.0, 0)
    assert [(at, begin, exponent) for at, begin, _, exponent in far.far] == [
        (1, 0, 3),
        (2, 1, NOT_ASKED),
    ]


def test_an_exponent_that_is_never_alone_is_confirmed_by_the_request_that_holds_it() -> None:
    one = Plan(device(), tuple(scaled()), ModbusLimits(), LinkCost(), ())
    assert [(r.address, r.count) for r in (*one.before, *one.after)] == [(5, 1)]
    one.never_alone({"a/none"})
    assert [(r.address, r.count) for r in (*one.before, *one.after)] == [(5, 1)]
    one.never_alone({"a/power"})
    assert [(r.address, r.count) for r in (*one.before, *one.after)] == [(3, 3)]
    assert [(b.address, b.count) for b in (*one.before_blocks, *one.after_blocks)] == [(3, 3)]
