"""Payloads are laid out by the profile's paths and read back exactly."""

import json
import math

import pytest

from config.profile import Availability, JsonPath, Kind
from simulators.layout import Value
from simulators.payloads import payloads, will
from tests.unit.simulators.plants import point

CASES: list[tuple[str, JsonPath, Kind, Value, object]] = [
    ("a double", JsonPath("t", ("a",)), "measurement", 0.1 + 0.2, {"a": 0.1 + 0.2}),
    ("scaled", JsonPath("t", ("a", "b"), scale=0.1), "measurement", 1.5, {"a": {"b": 15.0}}),
    ("in a list", JsonPath("t", ("a", 1, "v")), "measurement", 2.0, {"a": [None, {"v": 2.0}]}),
    ("in a named entry", JsonPath("t", ("a", "[id=x7]", "v")), "measurement", 2.0, {"a": [{"id": "x7", "v": 2.0}]}),
    ("in each entry", JsonPath("t", ("a", "[*]", "v"), time_path=("a", "[*]", "at")), "measurement", 2.0, {"a": [{"v": 2.0, "at": 9}]}),
    ("under its unit", JsonPath("t", ("{unit}",)), "measurement", 2.0, {"u1": 2.0}),
    ("a flag", JsonPath("t", ("a",)), "flag", 1.0, {"a": True}),
    ("a state", JsonPath("t", ("a",)), "state", 3.0, {"a": 3}),
    ("a word", JsonPath("t", ("a",), values={"ON": 1, "OFF": 0}), "state", 1.0, {"a": "ON"}),
    ("a truth", JsonPath("t", ("a",), values={"true": 1, "false": 0}), "flag", 0.0, {"a": False}),
    ("no word", JsonPath("t", ("a",), values={"ON": 1}), "state", 7.0, {"a": None}),
    ("nothing", JsonPath("t", ("a",)), "measurement", None, {"a": None}),
    ("infinite", JsonPath("t", ("a",)), "measurement", math.inf, {"a": None}),
    ("text", JsonPath("t", ("a",)), "measurement", "SN-1", {"a": "SN-1"}),
    ("with its time", JsonPath("t", ("a",), time_path=("at",)), "measurement", 1.0, {"a": 1.0, "at": 9}),
    ("with a local time", JsonPath("t", ("a",), time_path=("at",), zone="Asia/Shanghai"), "measurement", 1.0, {"a": 1.0, "at": "1970-01-01T08:00:00.009"}),
    ("with its unit", JsonPath("t", ("a",), expects=((("units", "a"), "C"),)), "measurement", 1.0, {"a": 1.0, "units": {"a": "C"}}),
    ("a number as a text", JsonPath("t", ("a",), text=True), "measurement", 21.5, {"a": "21.5"}),
    ("the payload itself", JsonPath("t", ()), "measurement", 1.0, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("source", "kind", "value", "tree"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])  # fmt: skip
def test_a_value_stands_where_the_profile_says(
    source: JsonPath, kind: Kind, value: Value, tree: object
) -> None:
    one = point("x/a", source, "x", kind=kind)
    ((topic, payload),) = payloads("u1", [one], {"x/a": value}, 9)
    assert topic == "t"
    assert json.loads(payload) == tree


def test_points_of_one_topic_share_a_payload_and_units_name_topics() -> None:
    points = [
        point("x/a", JsonPath("d/{unit}/s", ("p", "a")), "x"),
        point("x/b", JsonPath("d/{unit}/s", ("p", "b")), "x"),
        point("x/c", JsonPath("d/{unit}/t", ("c",)), "x"),
    ]
    said = dict(payloads("u1", points, {"x/a": 1.0, "x/b": 2.0, "x/c": 3.0}, 0))
    assert {t: json.loads(p) for t, p in said.items()} == {
        "d/u1/s": {"p": {"a": 1.0, "b": 2.0}},
        "d/u1/t": {"c": 3.0},
    }


def test_named_entries_of_one_list_lie_beside_each_other() -> None:
    points = [
        point("x/a", JsonPath("t", ("s", "[n=one]", "v")), "x"),
        point("x/b", JsonPath("t", ("s", "[n=two]", "v")), "x"),
        point("x/c", JsonPath("t", ("s", "[n=one]", "w")), "x"),
    ]
    ((_, payload),) = payloads("u", points, {"x/a": 1.0, "x/b": 2.0, "x/c": 3.0}, 0)
    assert json.loads(payload) == {"s": [{"n": "one", "v": 1.0, "w": 3.0}, {"n": "two", "v": 2.0}]}


@pytest.mark.parametrize(("path", "said"), [((), "gone"), (("state",), '{"state": "gone"}')])
def test_a_will_is_what_the_profile_says_stands_there(path: tuple[str, ...], said: str) -> None:
    known = Availability("d/{unit}/+/lwt", path, "here", "gone")
    points = [point("x/a", JsonPath("t", ("a",), availability=known), "x")]
    assert will("u1", points, online=False) == [("d/u1/any/lwt", said.encode())]


def test_a_device_without_a_will_leaves_without_a_word() -> None:
    assert will("u1", [point("x/a", JsonPath("t", ("a",)), "x")], online=False) == []
