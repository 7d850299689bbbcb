import asyncio
import json
import operator
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from config.clock import SteppedClock
from config.plant import Device, Point, PointSpec
from config.profile import Availability, JsonPath
from edge import topics
from edge.device_messages import DeviceMessage, FeedDown
from edge.mqtt_feed import PahoFeed
from edge.mqtt_heard import WAITING_READINGS_MAX, Heard
from edge.mqtt_reader import READ_S_MAX, MqttDeviceReader
from edge.payloads import ENTRIES_MAX
from edge.poller import Poller
from edge.ports import PointReading
from edge.readings import BAD, QUALITIES
from edge.topics import Listeners, matches
from tests.unit.edge.rows import line, plant
from tests.unit.simulators.brokers import small_broker
from tests.waiting import until

START = 1_763_700_000_000
LINK_DOWN = QUALITIES["link_down"]
DEVICE = Device("d", "p", "l", "a", unit="u-1")
Look = Awaitable[list[tuple[float | None, int, int]]]
"""Value, quality and time (ms from the start) of what is told."""


class Feed:
    """A feed that is told what came."""

    def __init__(self) -> None:
        self.down = ""
        self.filters: frozenset[str] = frozenset()
        self.refused: frozenset[str] = frozenset()
        self.messages: list[DeviceMessage] = []
        self.closed = 0

    async def open(self, filters: frozenset[str]) -> frozenset[str]:
        if self.down:
            raise FeedDown(self.down)
        self.filters = filters
        return filters & self.refused

    def take(self) -> DeviceMessage | None:
        return self.messages.pop(0) if self.messages else None

    async def close(self) -> None:
        self.closed += 1

    def say(
        self, topic: str, payload: str | bytes, *, retained: bool = False, at: int = START,
        monotonic: float | None = None,
    ) -> None:  # fmt: skip
        raw = payload.encode() if isinstance(payload, str) else payload
        second = (at - START) / 1000 if monotonic is None else monotonic
        self.messages.append(DeviceMessage(topic, raw, retained, at, second))


def point(path: tuple[str | int, ...], name: str = "p", **source: Any) -> Point:
    topic, kind = source.pop("topic", "devices/{unit}"), source.pop("kind", "measurement")
    spec = PointSpec(
        {"en": name}, kind, "", JsonPath(topic, path, **source), period_s=10.0, longest_silence_s=60.0
    )  # fmt: skip
    return Point(f"a/{name}", "a", "d", spec)


async def heard(
    points: list[Point], *payloads: str | bytes, topic: str = "devices/u-1"
) -> list[PointReading]:
    feed = Feed()
    reader = MqttDeviceReader(feed, SteppedClock(START))
    await reader.read(DEVICE, points)
    for payload in payloads:
        feed.say(topic, payload)
    return (await reader.read(DEVICE, points)).readings


WRONG = [
    b"\xff\xfe", b"{", b'{"v":', b"[1,2]", b'{"v":"warm"}', b'{"v":{}}', b'{"v":[1]}',
    b'{"v":1e999}', b'{"v":NaN}', b"[" * 50_000, b'{"v":' + b"9" * 400 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("payload", WRONG, ids=range(len(WRONG)))
async def test_a_payload_that_cannot_be_read_gives_no_value(payload: bytes) -> None:
    readings = await heard([point(("v",))], payload)
    assert [(r.value, r.quality) for r in readings] == [(None, QUALITIES["undecodable"])]


async def test_a_payload_larger_than_allowed_gives_no_value() -> None:
    readings = await heard([point(("v",))], b'{"v":1,"pad":"' + b"x" * 300_000 + b'"}')
    assert [r.value for r in readings] == [None]


async def test_a_list_of_more_entries_than_are_read_gives_no_value() -> None:
    """They fit into a payload by the ten thousand, for each point anew."""
    each = [point(("[*]", "v"))]
    got = await heard(each, json.dumps([{"v": n} for n in range(ENTRIES_MAX)]))
    assert [r.value for r in got] == list(range(ENTRIES_MAX))
    got = await heard(each, json.dumps([{}] * (ENTRIES_MAX + 1)))
    assert [(r.value, r.quality) for r in got] == [(None, QUALITIES["undecodable"])]


async def test_null_is_a_sensor_without_value_and_an_absent_member_says_nothing() -> None:
    (reading,) = await heard([point(("v",))], '{"v":null}')
    assert reading.value is None
    assert reading.quality >= BAD
    assert await heard([point(("v",))], '{"w":1}') == []


async def test_words_are_mapped_and_truth_is_a_number() -> None:
    state = point(("s",), "s", values={"on": 1.0, "off": 0.0})
    flag = point(("f",), "f", kind="flag")
    got = await heard([state, flag], '{"s":"on","f":true}', '{"s":"burning","f":false}')
    assert [(r.point, r.value) for r in got] == [
        ("a/s", 1.0),
        ("a/s", None),
        ("a/f", 1.0),
        ("a/f", 0.0),
    ]


WRITTEN = [
    ('"21.5"', 21.5), ('" -3 "', -3.0), ('"1e3"', 1000.0), ("21.5", 21.5), ('"21,5"', None), ('"21.5 C"', None),
    ('"NaN"', None), ('"1_0"', None), ('""', None), ('"true"', None), ('"[1]"', None), ('"9007199254740993"', None),
    ('"' + "[" * 50_000 + '"', None), ('"\\"5\\""', None), ('"null"', None),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "value"), WRITTEN, ids=range(len(WRITTEN)))
async def test_a_number_written_as_a_text_is_read_where_the_profile_says_so(
    raw: str, value: float | None
) -> None:
    both = [point(("v",), text=True), point(("v",), "plain")]
    got = {r.point: r for r in await heard(both, f'{{"v":{raw}}}')}
    assert (got["a/p"].value, got["a/p"].quality >= BAD) == (value, value is None)
    assert got["a/plain"].value == (21.5 if raw == "21.5" else None)


async def test_a_scale_and_an_offset_are_applied() -> None:
    (reading,) = await heard([point(("v",), scale=0.1, offset=5)], '{"v":30}')
    assert reading.value == pytest.approx(8.0)


async def test_a_retained_message_without_a_time_is_stale_and_repeated_is_no_news() -> None:
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    only = [point(("v",))]
    await reader.read(DEVICE, only)
    feed.say("devices/u-1", '{"v":1}', retained=True)
    feed.say("devices/u-1", '{"v":1}', retained=True)
    (reading,) = (await reader.read(DEVICE, only)).readings
    assert (reading.value, reading.quality) == (1.0, QUALITIES["stale_source"])


async def test_the_same_reading_twice_is_no_news_where_the_device_says_the_time() -> None:
    payload = '{"v":1,"ts":1763700000000}'
    got = await heard([point(("v",), time_path=("ts",))], payload, payload)
    assert len(got) == 1
    assert got[0].time == START


async def test_silence_is_told_with_its_reason_once_a_period() -> None:
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    only = [point(("v",))]
    feed.say("devices/u-1", '{"v":1}')
    await reader.read(DEVICE, only)
    await clock.advance(61)
    assert [r.quality for r in (await reader.read(DEVICE, only)).readings] == [
        QUALITIES["no_answer"]
    ]
    assert (await reader.read(DEVICE, only)).readings == []
    feed.say("devices/u-1", '{"v":2}', at=clock.now())
    assert [r.value for r in (await reader.read(DEVICE, only)).readings] == [2.0]


async def test_the_points_of_a_silent_device_are_not_compared_with_one_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = 0

    def counted(one: object, other: object) -> bool:
        nonlocal compared
        compared += 1
        return one is other

    monkeypatch.setattr(Heard, "__eq__", counted)
    points, clock = [point(("v",), f"p{n}") for n in range(200)], SteppedClock(START)
    reader = MqttDeviceReader(Feed(), clock)
    await reader.read(DEVICE, points)
    await clock.advance(61.0)
    assert len((await reader.read(DEVICE, points)).readings) == len(points)
    assert compared <= len(points)


async def test_a_device_whose_time_stamp_stands_still_is_not_silent_while_it_speaks() -> None:
    only = [point(("v",), time_path=("ts",))]
    feed, clock, reader = await listening(*only)
    payload = json.dumps({"v": 1, "ts": START})
    for first in (True, False, False, False, False):
        feed.say("devices/u-1", payload, at=clock.now())
        assert [r.value for r in (await reader.read(DEVICE, only)).readings] == [1.0] * first
        await clock.advance(40)
    feed.say("devices/u-1", payload, retained=True, at=clock.now())
    await clock.advance(25)
    got = (await reader.read(DEVICE, only)).readings
    assert [r.quality for r in got] == [QUALITIES["no_answer"]], "a retained one is no sign of life"


async def test_a_broker_that_is_gone_is_a_link_down_and_lost_until_it_is_back() -> None:
    feed = Feed()
    feed.down = "connection refused"
    reader = MqttDeviceReader(feed, SteppedClock(START))
    only = [point(("v",))]
    result = await reader.read(DEVICE, only)
    assert result.lost
    assert "refused" in result.detail
    assert [(r.value, r.quality) for r in result.readings] == [(None, QUALITIES["link_down"])]
    feed.down = ""
    feed.say("devices/u-1", '{"v":1}')
    result = await reader.read(DEVICE, only)
    assert [(r.value, r.quality) for r in result.readings] == [(1.0, 0)]
    assert not result.lost
    await reader.close()
    assert feed.closed == 1


async def test_messages_of_another_topic_are_not_for_this_device() -> None:
    assert await heard([point(("v",))], '{"v":1}', topic="devices/u-2") == []


FILTERS = [
    ("a/b", "a/b", True), ("a/+", "a/b", True), ("a/#", "a/b/c", True), ("#", "a", True),
    ("a/+", "a/b/c", False), ("a/b", "a", False), ("a", "a/b", False), ("/a", "a", False), ("+/b", "/b", True),
]  # fmt: skip


@pytest.mark.parametrize(("topic_filter", "topic", "covered"), FILTERS)
def test_filters_cover_topics_as_mqtt_says(topic_filter: str, topic: str, covered: bool) -> None:
    assert matches(topic_filter, topic) is covered


HOUR_MS = 3_600_000


class SetClock(SteppedClock):
    """A wall clock that can be set: how far ahead of the true time it is."""

    ahead_ms = 0

    def now(self) -> int:
        return super().now() + self.ahead_ms


async def test_a_clock_set_forward_makes_no_device_silent() -> None:
    feed, clock = Feed(), SetClock(START)
    reader = MqttDeviceReader(feed, clock)
    only = [point(("v",))]
    feed.say("devices/u-1", '{"v":1}')
    await reader.read(DEVICE, only)
    clock.ahead_ms = HOUR_MS
    await clock.advance(5)
    assert (await reader.read(DEVICE, only)).readings == []


async def test_a_clock_set_forward_and_back_hides_no_silent_device() -> None:
    feed, clock = Feed(), SetClock(START)
    reader = MqttDeviceReader(feed, clock)
    only = [point(("v",))]
    feed.say("devices/u-1", '{"v":1}', at=START + HOUR_MS, monotonic=0.0)
    await reader.read(DEVICE, only)
    await clock.advance(61)
    assert [r.quality for r in (await reader.read(DEVICE, only)).readings] == [
        QUALITIES["no_answer"]
    ]


async def test_a_clock_set_back_takes_the_readings_with_it() -> None:
    feed, clock = Feed(), SetClock(START)
    reader = MqttDeviceReader(feed, clock)
    only = [point(("v",))]
    feed.say("devices/u-1", '{"v":1}', at=START + HOUR_MS, monotonic=0.0)
    feed.say("devices/u-1", '{"v":2}', at=START + 1_000)
    feed.say("devices/u-1", '{"v":3}', at=START + 1_000)
    times = [r.time for r in (await reader.read(DEVICE, only)).readings]
    assert times == [START + HOUR_MS, START + 1_000, START + 1_001]


async def test_a_retained_message_is_as_old_as_its_device_says() -> None:
    feed, clock = Feed(), SetClock(START)
    reader = MqttDeviceReader(feed, clock)
    only = [point(("v",), time_path=("ts",))]
    await reader.read(DEVICE, only)
    await clock.advance(59)
    payload = json.dumps({"v": 1, "ts": START + 50_000})
    feed.say("devices/u-1", payload, retained=True, at=clock.now())
    assert [r.value for r in (await reader.read(DEVICE, only)).readings] == [1.0]
    await clock.advance(50)
    assert (await reader.read(DEVICE, only)).readings == []
    await clock.advance(2)
    assert len((await reader.read(DEVICE, only)).readings) == 1


async def test_readings_beyond_what_may_wait_are_counted() -> None:
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    only = [point(("[*]", "v"))]
    await reader.read(DEVICE, only)
    values = range(WAITING_READINGS_MAX + 10)
    for begin in range(0, len(values), ENTRIES_MAX):
        part = values[begin : begin + ENTRIES_MAX]
        feed.say("devices/u-1", json.dumps([{"v": n} for n in part]))
    readings = (await reader.read(DEVICE, only)).readings
    assert (len(readings), reader.dropped_readings) == (WAITING_READINGS_MAX, 10)
    assert readings[0].value == 10.0


# --- wills -----------------------------------------------------------------------------------------

WILL = Availability("devices/{unit}/online", (), "online", "offline")
WILL_TOPIC = "devices/u-1/online"


async def listening(*points: Point) -> tuple[Feed, SteppedClock, MqttDeviceReader]:
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    await reader.read(DEVICE, points)
    return feed, clock, reader


async def test_a_device_whose_will_was_told_is_down_at_once_and_once_a_period() -> None:
    both = [point(("v",), availability=WILL), point(("w",), "w", availability=WILL)]
    feed, clock, reader = await listening(*both)
    assert feed.filters == {"devices/u-1", WILL_TOPIC}
    feed.say("devices/u-1", '{"v":1,"w":2}')
    feed.say(WILL_TOPIC, "offline")
    got = (await reader.read(DEVICE, both)).readings
    assert [(r.point, r.value) for r in got] == [("a/p", 1.0), ("a/p", None), ("a/w", 2.0), ("a/w", None)]  # fmt: skip
    assert {r.quality for r in got if r.value is None} == {QUALITIES["link_down"]}
    assert (await reader.read(DEVICE, both)).readings == []
    await clock.advance(10)
    again = (await reader.read(DEVICE, both)).readings
    assert [r.quality for r in again] == [QUALITIES["link_down"]] * 2


async def test_a_device_that_is_back_is_not_down_and_speaks_good_values() -> None:
    only = [point(("v",), availability=WILL)]
    feed, clock, reader = await listening(*only)
    feed.say(WILL_TOPIC, "offline", retained=True)
    await reader.read(DEVICE, only)
    await clock.advance(10)
    feed.say(WILL_TOPIC, "online", at=clock.now())
    assert (await reader.read(DEVICE, only)).readings == []
    feed.say("devices/u-1", '{"v":1}', at=clock.now())
    assert [(r.value, r.quality) for r in (await reader.read(DEVICE, only)).readings] == [(1.0, 0)]


async def test_what_is_said_in_the_name_of_a_device_that_is_away_is_stale() -> None:
    only = [point(("v",), availability=WILL)]
    feed, _, reader = await listening(*only)
    feed.say(WILL_TOPIC, "offline")
    feed.say("devices/u-1", '{"v":1}')
    got = (await reader.read(DEVICE, only)).readings
    assert [(r.value, r.quality) for r in got] == [(None, QUALITIES["link_down"]), (1.0, QUALITIES["stale_source"])]  # fmt: skip


async def test_a_word_that_nobody_knows_is_no_will_and_another_device_is_not_meant() -> None:
    only = [point(("v",), availability=WILL)]
    feed, _, reader = await listening(*only)
    feed.say(WILL_TOPIC, "asleep")
    feed.say(WILL_TOPIC, b"\xff")
    feed.say("devices/u-2/online", "offline")
    assert (await reader.read(DEVICE, only)).readings == []


async def test_points_that_are_read_later_hear_of_the_will_too() -> None:
    first = point(("v",), availability=WILL)
    later = point(("w",), "w", availability=WILL)
    feed, _, reader = await listening(first)
    feed.say(WILL_TOPIC, "offline")
    await reader.read(DEVICE, [first])
    got = (await reader.read(DEVICE, [later])).readings
    assert [(r.point, r.quality) for r in got] == [("a/w", QUALITIES["link_down"])]


async def test_a_device_that_is_away_is_so_after_a_reload_too() -> None:
    only = [point(("v",), availability=WILL)]
    feed, _, reader = await listening(*only)
    feed.say("devices/u-1", '{"v":1}')
    feed.say(WILL_TOPIC, "offline")
    await reader.read(DEVICE, only)
    reader.forget("d")
    got = (await reader.read(DEVICE, only)).readings
    assert [(r.value, r.quality) for r in got] == [
        (1.0, QUALITIES["stale_source"]), (None, QUALITIES["link_down"]),
    ]  # fmt: skip


async def test_a_device_that_has_a_will_no_longer_is_not_away() -> None:
    feed, _, reader = await listening(point(("v",), availability=WILL))
    feed.say(WILL_TOPIC, "offline")
    await reader.read(DEVICE, [point(("v",), availability=WILL)])
    reader.forget("d")
    assert (await reader.read(DEVICE, [point(("v",))])).readings == []


async def test_a_reload_begins_no_silence_anew() -> None:
    only = [point(("v",))]
    feed, clock, reader = await listening(*only)
    feed.say("devices/u-1", '{"v":1}')
    await reader.read(DEVICE, only)
    await clock.advance(55.0)
    reader.forget("d")
    await reader.read(DEVICE, only)
    await clock.advance(6.0)
    got = (await reader.read(DEVICE, only)).readings
    assert [r.quality for r in got] == [QUALITIES["no_answer"]]


# --- after something bad ----------------------------------------------------------------------------

NO_ANSWER = QUALITIES["no_answer"]
SUSPECT, STALE = QUALITIES["clock_suspect"], QUALITIES["stale_source"]


async def fail(
    kind: str, feed: Feed, clock: SteppedClock, look: Callable[[], Look]
) -> tuple[int, int]:
    """What makes a point bad, told by our clock and over again; returns the quality and the time that it is told with."""
    if kind == "silence":
        await clock.advance(61)
    elif kind == "will":
        feed.say(WILL_TOPIC, "offline", at=clock.now())
    elif kind == "cut payload":
        feed.say("devices/u-1", '{"v":', at=clock.now())
    else:
        feed.down = "gone"
    ((_, quality, bad_at),) = await look()
    await clock.advance(10)
    if feed.down:
        feed.down = ""
        assert await look() == []
    feed.say(WILL_TOPIC, "online", at=clock.now())
    return quality, bad_at


def looks(reader: MqttDeviceReader, points: list[Point]) -> Callable[[], Look]:
    async def look() -> list[tuple[float | None, int, int]]:
        return [(r.value, r.quality, r.time - START) for r in (await reader.read(DEVICE, points)).readings]  # fmt: skip

    return look


FAILURES = [
    ("silence", NO_ANSWER), ("will", LINK_DOWN), ("broker", LINK_DOWN), ("cut payload", QUALITIES["undecodable"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "quality"), FAILURES)
async def test_a_device_that_says_again_what_it_said_before_it_was_bad_is_heard(
    kind: str, quality: int
) -> None:
    only = [point(("v",), time_path=("ts",), availability=WILL)]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    payload = json.dumps({"v": 1, "ts": START})
    feed.say("devices/u-1", payload)
    assert await look() == [(1.0, 0, 0)]
    await clock.advance(1)
    told, bad_at = await fail(kind, feed, clock, look)
    assert told == quality
    feed.say("devices/u-1", payload, at=clock.now())
    assert await look() == [(1.0, SUSPECT, bad_at + 1)]
    feed.say("devices/u-1", payload, at=clock.now())
    assert await look() == [], "a repeat"


async def test_what_was_heard_before_the_broker_was_gone_is_told_at_once_of_all_its_devices() -> (
    None
):
    """A line that is lost is tried by one device at a time, ever more seldom."""
    other = Device("o", "p", "l", "a", unit="u-2")
    mine, others = [point(("v",))], [structs.replace(point(("v",), "q"), device="o")]
    feed, clock, reader = await listening(*mine)
    await reader.read(other, others)
    feed.say("devices/u-1", '{"v":1}')
    feed.say("devices/u-2", '{"v":2}', at=START + 1)
    feed.down = "gone"
    await clock.advance(1)
    result = await reader.read(DEVICE, mine)
    told = [(r.point, r.value, r.quality, r.time - START) for r in result.readings]
    assert told == [("a/p", 1.0, 0, 0), ("a/q", 2.0, 0, 1), ("a/p", None, LINK_DOWN, 1000)]
    assert (result.lost, result.line_lost) == (True, True)
    feed.down = ""
    assert (await reader.read(DEVICE, mine)).readings == []


@pytest.mark.parametrize("payload", [f'{{"v":1,"ts":{START}}}', '{"v":1}'])
async def test_what_the_broker_keeps_is_heard_again_after_it_was_gone(payload: str) -> None:
    only = [point(("v",), time_path=("ts",) if "ts" in payload else ())]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    feed.say("devices/u-1", payload, retained=True)
    await look()
    await clock.advance(1)
    await fail("broker", feed, clock, look)
    feed.say("devices/u-1", payload, retained=True, at=clock.now())
    feed.say("devices/u-1", payload, retained=True, at=clock.now())
    at = 1001 if "ts" in payload else 11_000
    assert await look() == [(1.0, STALE, at)], "just after it was gone, or now"


@pytest.mark.parametrize(("kind", "quality"), FAILURES)
@pytest.mark.parametrize("slow_ms", [0, HOUR_MS])
async def test_a_device_whose_clock_is_slow_is_seen_after_it_was_bad(
    kind: str, quality: int, slow_ms: int
) -> None:
    """What is shown is the newest by time: what is told by our clock has the time that the device would give it."""
    only = [point(("v",), time_path=("ts",), availability=WILL)]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)

    def say(value: int) -> None:
        feed.say("devices/u-1", json.dumps({"v": value, "ts": clock.now() - slow_ms}), at=clock.now())  # fmt: skip

    say(0)
    assert await look() == [(0.0, 0, -slow_ms)]
    await clock.advance(1)
    told, bad_at = await fail(kind, feed, clock, look)
    assert told == quality
    assert bad_at == clock.now() - START - 10_000 - slow_ms
    for value in (1, 2):
        await clock.advance(1)
        say(value)
        assert await look() == [(float(value), 0, clock.now() - START - slow_ms)]


async def test_a_fault_is_told_after_all_that_a_device_has_said() -> None:
    """Even after what it dated by a clock that was ahead: the newest is what is shown."""
    only = [point(("v",), time_path=("ts",))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    for value, ahead_ms in enumerate((HOUR_MS, 0, 0)):
        await clock.advance(1)
        feed.say("devices/u-1", json.dumps({"v": value, "ts": clock.now() + ahead_ms}), at=clock.now())  # fmt: skip
        await look()
    _, bad_at = await fail("silence", feed, clock, look)
    assert bad_at == HOUR_MS + 1000 + 1


async def test_the_first_that_a_device_says_after_a_fault_tells_how_late_it_is() -> None:
    only = [point(("v",), time_path=("ts",))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    _, first_at = await fail("silence", feed, clock, look)
    feed.say("devices/u-1", json.dumps({"v": 1, "ts": clock.now() - HOUR_MS}), at=clock.now())
    await look()
    _, bad_at = await fail("silence", feed, clock, look)
    assert bad_at == first_at + 1, "an hour ago by its clock, but not before the first"


async def test_how_late_a_device_is_is_known_of_all_that_it_dates_there_and_over_a_reload() -> None:
    both = [point((name,), name, time_path=("ts",)) for name in "vw"]
    feed, clock, reader = await listening(*both)
    look = looks(reader, both)
    feed.say("devices/u-1", json.dumps({"v": 1, "ts": clock.now() - HOUR_MS}), at=clock.now())
    await look()
    await clock.advance(61)
    assert [at for _, _, at in await look()] == [61_000 - HOUR_MS] * 2
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, both)
    await clock.advance(60)
    assert [at for *_, quality, at in await look() if quality] == [121_000 - HOUR_MS] * 2


async def test_a_reload_with_something_waiting_forgets_not_how_late_its_device_is() -> None:
    first, new = (point((name,), name, time_path=("ts",)) for name in "vw")
    feed, clock, reader = await listening(first)
    other = Device("o", "p", "l", "a", unit="u-2")
    feed.say("devices/u-1", json.dumps({"v": 1, "ts": clock.now() - HOUR_MS}), at=clock.now())
    await reader.read(other, [])
    reader.forget(DEVICE.id)
    look = looks(reader, [first, new])
    await look()
    _, bad_at = (await told_of_both(look, feed))[1]
    assert bad_at == -HOUR_MS


async def told_of_both(look: Callable[[], Look], feed: Feed) -> list[tuple[int, int]]:
    """Quality and time of two points when their broker is gone."""
    feed.down = "gone"
    return [(quality, at) for _, quality, at in await look()]


async def test_of_several_clocks_under_one_topic_filter_none_hides_what_another_says() -> None:
    both = [point((name,), name, topic="devices/{unit}/+", time_path=("ts",)) for name in "vw"]
    feed, clock, reader = await listening(*both)
    look = looks(reader, both)

    async def say(value: int) -> list[int]:
        for name, late_ms in (("w", HOUR_MS), ("v", 0)):
            said = {name: value, "ts": clock.now() - late_ms}
            feed.say(f"devices/u-1/{name}", json.dumps(said), at=clock.now())
        return [at for *_, at in await look()]

    await say(1)
    await clock.advance(5)
    bad = [at for _, at in await told_of_both(look, feed)]
    feed.down = ""
    await clock.advance(10)
    assert all(said > bad_at for said, bad_at in zip(await say(2), bad, strict=True))


async def test_an_agent_whose_clock_is_set_before_a_fault_knows_when_its_device_would_tell_it() -> (
    None
):
    only = [point(("v",), time_path=("ts",))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    feed.say("devices/u-1", json.dumps({"v": 1, "ts": START}), at=START - HOUR_MS, monotonic=0.0)
    await look()
    _, bad_at = await fail("silence", feed, clock, look)
    assert bad_at == 61_000, "our clock was an hour behind when the device spoke"


async def test_what_a_bridge_says_again_of_a_device_that_is_away_is_no_news() -> None:
    only = [point(("v",), time_path=("ts",), availability=WILL)]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    payload = json.dumps({"v": 1, "ts": START})
    feed.say("devices/u-1", payload, at=clock.now())
    await look()
    await clock.advance(10)
    feed.say(WILL_TOPIC, "offline", at=clock.now())
    await look()
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, only)
    feed.say("devices/u-1", payload, at=clock.now())
    assert [quality for _, quality, _ in await look()] == [LINK_DOWN]
    feed.say(WILL_TOPIC, "online", at=clock.now())
    feed.say("devices/u-1", payload, at=clock.now())
    feed.say("devices/u-1", payload, at=clock.now())
    assert [(value, quality) for value, quality, _ in await look()] == [(1.0, SUSPECT)]


@pytest.mark.parametrize("value", [1, 2])
async def test_what_a_bridge_said_while_its_device_was_away_is_not_good_when_it_is_back(
    value: int,
) -> None:
    """By its stamp it is hours old; whatever comes with that stamp next may be as old."""
    only = [point(("v",), time_path=("ts",), availability=WILL)]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    payload = json.dumps({"v": 1, "ts": START})
    feed.say(WILL_TOPIC, "offline", at=clock.now())
    feed.say("devices/u-1", payload, at=clock.now())
    assert [quality for _, quality, _ in await look()] == [LINK_DOWN, STALE]
    await clock.advance(3 * 3600)
    ((_, quality, down_at),) = await look()
    assert quality == LINK_DOWN
    feed.say("devices/u-1", payload, at=clock.now())
    assert await look() == [(1.0, STALE, down_at + 1)]
    feed.say(WILL_TOPIC, "online", at=clock.now())
    for _ in range(2):
        feed.say("devices/u-1", json.dumps({"v": value, "ts": START}), at=clock.now())
    assert await look() == [(value, SUSPECT, down_at + 2)]
    feed.say("devices/u-1", json.dumps({"v": 3, "ts": clock.now()}), at=clock.now())
    assert await look() == [(3.0, 0, clock.now() - START)]


async def test_values_with_a_stamp_that_stands_still_are_seen_after_a_fault() -> None:
    """A date alone, or minutes: each value is another, and none is older than the fault."""
    only = [point(("v",), time_path=("ts",))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    told = list[tuple[float | None, int, int]]()
    for value in (0, 1, 2, 2, 3, 4):
        if len(told) == 3:
            told.append((None, *await fail("cut payload", feed, clock, look)))
        await clock.advance(1)
        feed.say("devices/u-1", json.dumps({"v": value, "ts": START}), at=clock.now())
        told += await look()
    times = [at for *_, at in told]
    assert times == sorted(set(times))
    assert [value for value, *_ in told] == [0, 1, 2, None, 2, 3, 4]


@pytest.mark.parametrize("retained", [False, True])
async def test_what_changed_behind_one_that_stood_still_is_seen_when_it_is_said_again(
    retained: bool,
) -> None:
    """Its stamp says when the value last changed; the change was not heard before the fault."""
    only = [point(("v",), time_path=("ts",))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    closed = json.dumps({"v": 0, "ts": START})
    opened = json.dumps({"v": 1, "ts": START + 5_000})
    feed.say("devices/u-1", closed, at=clock.now())
    await look()
    await clock.advance(10)
    _, bad_at = await fail("broker", feed, clock, look)
    feed.say("devices/u-1", closed, retained=retained, at=clock.now())
    assert [(value, at) for value, _, at in await look()] == [(0.0, bad_at + 1)]
    for _ in range(3):
        feed.say("devices/u-1", opened, at=clock.now())
    assert await look() == [(1.0, 0, 5_000), (1.0, SUSPECT, bad_at + 2)]


async def test_of_a_retained_list_nothing_is_good_after_a_fault() -> None:
    only = [point(("[*]", "v"), time_path=("[*]", "ts"))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    entries = json.dumps([{"v": value, "ts": START} for value in (0, 1)])
    feed.say("devices/u-1", entries, retained=True, at=clock.now())
    assert await look() == [(0.0, 0, 0), (1.0, 0, 1)]
    for _ in range(2):
        _, bad_at = await fail("broker", feed, clock, look)
        feed.say("devices/u-1", entries, retained=True, at=clock.now())
        assert await look() == [(0.0, STALE, bad_at + 1), (1.0, STALE, bad_at + 2)]


async def test_a_stamp_that_stands_still_does_so_over_a_reload() -> None:
    only = [point(("v",), time_path=("ts",))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)

    async def say(value: int) -> list[tuple[float | None, int, int]]:
        await clock.advance(1)
        feed.say("devices/u-1", json.dumps({"v": value, "ts": START}), at=clock.now())
        return await look()

    assert [await say(value) for value in (0, 1)] == [[(0.0, 0, 0)], [(1.0, 0, 1)]]
    _, bad_at = await fail("cut payload", feed, clock, look)
    assert await say(1) == [(1.0, SUSPECT, bad_at + 1)]
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, only)
    assert await look() == [(1.0, SUSPECT, bad_at + 1)]
    assert await say(2) == [(2.0, 0, bad_at + 2)]


async def test_a_reload_while_a_device_is_away_forgets_not_when_the_last_was_told() -> None:
    only = [point(("v",), time_path=("ts",), availability=WILL)]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    for value in (1, 2):
        feed.say("devices/u-1", json.dumps({"v": value, "ts": START}), at=clock.now())
    assert await look() == [(1.0, 0, 0), (2.0, 0, 1)]
    await clock.advance(1)
    feed.say(WILL_TOPIC, "offline", at=clock.now())
    await look()
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, only)
    assert [quality for _, quality, _ in await look()] == [LINK_DOWN]
    feed.say(WILL_TOPIC, "online", at=clock.now())
    assert await look() == []
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, only)
    assert await look() == [(2.0, 0, 1)]


async def test_a_reload_that_gives_a_device_another_unit_knows_nothing_of_the_one_before() -> None:
    only = [point(("v",), time_path=("ts",))]
    feed, clock, reader = await listening(*only)
    payload = json.dumps({"v": 1, "ts": START})
    feed.say("devices/u-1", payload, at=clock.now())
    await reader.read(DEVICE, only)
    other = replace(DEVICE, unit="u-2")
    reader.forget(DEVICE.id)
    reader.expect(other, only)
    feed.say("devices/u-2", payload, at=clock.now())
    (told,) = (await reader.read(other, only)).readings
    assert (told.value, told.quality, told.time) == (1.0, 0, START)


async def test_what_was_on_its_way_while_silence_was_told_comes_just_after() -> None:
    only = [point((name,), name, time_path=("ts",)) for name in "vw"]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    feed.say("devices/u-1", json.dumps({"v": 1, "w": 2, "ts": clock.now()}), at=clock.now())
    await look()
    await clock.advance(61)
    assert await look() == [(None, NO_ANSWER, 61_000), (None, NO_ANSWER, 61_000)]
    feed.say("devices/u-1", json.dumps({"v": 3, "w": 4, "ts": clock.now() - 40}), at=clock.now() + 5)  # fmt: skip
    assert await look() == [(3.0, 0, 61_001), (4.0, 0, 61_001)]


async def test_what_a_device_kept_through_a_fault_comes_with_its_own_times() -> None:
    only = [point(("[*]", "v"), time_path=("[*]", "ts"))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    feed.say("devices/u-1", json.dumps([{"v": 0, "ts": clock.now()}]), at=clock.now())
    await look()
    await fail("silence", feed, clock, look)
    entries = [{"v": at, "ts": START + 1000 * at} for at in (40, 50, 30, 70)]
    feed.say("devices/u-1", json.dumps(entries), at=clock.now())
    assert await look() == [(float(at), 0, 1000 * at) for at in (40, 50, 30, 70)]


async def test_of_a_list_that_comes_again_after_a_fault_the_newest_holds() -> None:
    only = [point(("[*]", "v"), time_path=("[*]", "ts"))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    entries = json.dumps([{"v": at, "ts": START + 1000 * at} for at in (-30, -10, -20)])
    feed.say("devices/u-1", entries, at=clock.now())
    await look()
    _, bad_at = await fail("silence", feed, clock, look)
    feed.say("devices/u-1", entries, at=clock.now())
    assert await look() == [(-10.0, SUSPECT, bad_at + 1)]


async def test_a_reload_makes_nothing_good_that_a_device_said_before_it_was_silent() -> None:
    only = [point(("v",), time_path=("ts",))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    payload = json.dumps({"v": 1, "ts": START})
    feed.say("devices/u-1", payload, at=clock.now())
    await look()
    _, bad_at = await fail("silence", feed, clock, look)
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, only)
    told = await look()
    assert told[0] == (1.0, 0, 0), "as it was told before"
    assert [quality for _, quality, at in told if at >= bad_at] == [NO_ANSWER]
    feed.say("devices/u-1", payload, at=clock.now())
    ((value, quality, at),) = await look()
    assert (value, quality) == (1.0, SUSPECT)
    assert at == told[-1][2] + 1


@pytest.mark.parametrize("is_reloaded", [False, True])
async def test_a_device_that_came_back_while_its_broker_was_gone_is_not_away(
    is_reloaded: bool,
) -> None:
    only = [point(("v",), availability=WILL)]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    feed.say(WILL_TOPIC, "offline", at=clock.now())
    await look()
    feed.down = "gone"  # and "online" is said meanwhile
    await look()
    feed.down = ""
    if is_reloaded:
        await look()
        reader.forget(DEVICE.id)
    feed.say("devices/u-1", '{"v":1}', at=clock.now())
    assert [(value, quality) for value, quality, _ in await look()] == [(1.0, 0)]


async def test_a_will_that_the_broker_keeps_is_heard_again_after_it_was_gone() -> None:
    only = [point(("v",), availability=WILL)]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    feed.say(WILL_TOPIC, "offline", retained=True, at=clock.now())
    await look()
    feed.down = "gone"
    await look()
    feed.down = ""
    feed.say(WILL_TOPIC, "offline", retained=True, at=clock.now())
    feed.say("devices/u-1", '{"v":1}', at=clock.now())
    assert [quality for _, quality, _ in await look()] == [LINK_DOWN, STALE]


async def test_what_a_broker_keeps_without_a_time_is_no_sign_of_life() -> None:
    only = [point(("v",))]
    feed, clock, reader = await listening(*only)
    look = looks(reader, only)
    feed.say("devices/u-1", '{"v":1}', retained=True, at=clock.now())
    assert [quality for _, quality, _ in await look()] == [STALE]
    await clock.advance(61)
    assert [quality for _, quality, _ in await look()] == [NO_ANSWER]
    feed.down = "gone"
    assert [quality for _, quality, _ in await look()] == [LINK_DOWN]
    feed.down = ""
    await clock.advance(50)
    feed.say("devices/u-1", '{"v":1}', retained=True, at=clock.now())
    assert [quality for _, quality, _ in await look()] == [STALE, NO_ANSWER]


async def test_a_lost_line_is_told_with_the_time_that_its_devices_would_give_it() -> None:
    """Once a period, by whoever reads us, without a read."""
    only = [point(("v",), time_path=("ts",))]
    site = plant([line(kind="mqtt", host="h", port=1)], [DEVICE], only)
    feed, clock = Feed(), SteppedClock(START)
    poller, told = (
        Poller(site, "l", MqttDeviceReader(feed, clock), clock, np.random.default_rng(1)),
        list[PointReading](),
    )
    task = asyncio.ensure_future(poller.run(told.extend))
    await clock.advance(2)
    for value, is_down in ((1, False), (2, True), (3, False)):
        feed.down = "gone" if is_down else ""
        await clock.advance(45)
        feed.say(
            "devices/u-1", json.dumps({"v": value, "ts": clock.now() - HOUR_MS}), at=clock.now()
        )
        await clock.advance(45)
    times = [reading.time for reading in told]
    assert times == sorted(set(times))
    assert sum(reading.quality == LINK_DOWN for reading in told) >= 4
    assert max(times) < START - HOUR_MS + 300_000
    assert [reading.value for reading in told if reading.value is not None] == [1.0, 2.0, 3.0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# --- reloads ----------------------------------------------------------------------------------------


async def test_a_reload_loses_nothing_that_a_device_of_it_says() -> None:
    """What was heard and not handed on yet, and what comes before the device is read again."""
    other, others = Device("o", "p", "l", "a", unit="u-2"), structs.replace(point(("v",), "q"), device="o")  # fmt: skip
    site = plant([line(kind="mqtt", host="h", port=1)], [DEVICE, other], [point(("v",)), others])
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    poller, told = Poller(site, "l", reader, clock, np.random.default_rng(1)), list[PointReading]()
    task = asyncio.ensure_future(poller.run(told.extend))
    await clock.advance(2)
    for value in (3, 1, 0, 2):
        feed.say("devices/u-1", f'{{"v":{value}}}', at=clock.now() + value)
        await reader.read(other, [others])
        if value == 1:
            poller.change(site, {"d"})
    await clock.advance(2)
    assert [r.value for r in told if r.point == "a/p"] == [3.0, 1.0, 0.0, 2.0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_waits_of_a_point_that_is_another_now_is_not_handed_on() -> None:
    only = [point(("v",))]
    feed, _, reader = await listening(*only)
    feed.say("devices/u-1", '{"v":1,"w":2}')
    await reader.read(DEVICE, [])
    reader.forget("d")
    moved = [point(("w",))]
    reader.expect(DEVICE, moved)
    assert [r.value for r in (await reader.read(DEVICE, moved)).readings] == [2.0]


async def test_a_device_that_is_forgotten_while_it_is_read_tells_by_the_next_read() -> None:
    """Who asked by the old definition throws away what that read gives."""
    only = [point(("v",))]
    feed, _, reader = await listening(*only)
    feed.say("devices/u-1", '{"v":1}')
    opening = feed.open

    async def opened(filters: frozenset[str]) -> frozenset[str]:
        reader.forget("d")
        reader.expect(DEVICE, only)
        return await opening(filters)

    feed.open = opened  # type: ignore[method-assign]
    assert (await reader.read(DEVICE, only)).readings == []
    feed.open = opening  # type: ignore[method-assign]
    assert [r.value for r in (await reader.read(DEVICE, only)).readings] == [1.0]


# --- what is news, and when it was ---------------------------------------------------------------------


async def test_a_list_of_readings_sent_again_is_no_news() -> None:
    payload = json.dumps([{"v": n, "ts": START + n * 1000} for n in range(3)])
    got = await heard([point(("[*]", "v"), time_path=("[*]", "ts"))], payload, payload)
    assert [r.value for r in got] == [0.0, 1.0, 2.0]


async def test_an_older_reading_that_comes_again_is_no_news() -> None:
    one, two = f'{{"v":1,"ts":{START}}}', f'{{"v":2,"ts":{START + 1000}}}'
    got = await heard([point(("v",), time_path=("ts",))], one, two, one, two)
    assert [r.value for r in got] == [1.0, 2.0]


SAME_SECOND = [
    ((0, 1, 0), [0.0, 1.0, 0.0]),
    ((0, 0, 1, 1), [0.0, 1.0]),
    ((0, 1, 0, 1), [0.0, 1.0, 0.0, 1.0]),
]


@pytest.mark.parametrize(("said", "values"), SAME_SECOND)
async def test_a_state_that_toggles_within_a_second_of_its_clock_ends_as_it_is(
    said: tuple[int, ...], values: list[float]
) -> None:
    payloads = [json.dumps({"v": value, "ts": START // 1000}) for value in said]
    got = await heard([point(("v",), kind="flag", time_path=("ts",))], *payloads)
    assert [r.value for r in got] == values
    assert [r.time for r in got] == [START + n for n in range(len(values))]


async def test_however_many_come_at_once_each_reading_has_an_instant_of_its_own() -> None:
    got = await heard([point(("v",))], *(f'{{"v":{n}}}' for n in range(1500)))
    assert [(r.value, r.time - START) for r in got] == [(n, n) for n in range(1500)]


async def test_what_a_device_said_before_its_last_second_is_no_news_when_it_comes_again() -> None:
    old = [f'{{"v":{value},"ts":{START // 1000}}}' for value in (0, 1, 0)]
    new = f'{{"v":1,"ts":{START // 1000 + 1}}}'
    got = await heard([point(("v",), kind="flag", time_path=("ts",))], *old, new, *old, new)
    assert [r.value for r in got] == [0.0, 1.0, 0.0, 1.0]


async def test_a_state_that_is_back_after_older_ones_came_between_ends_as_it_is() -> None:
    first, second = f'{{"v":9,"ts":{START}}}', f'{{"v":39,"ts":{START}}}'
    others = [f'{{"v":{value},"ts":{START + at}}}' for value, at in ((101, -1000), (99, 0))]
    got = await heard([point(("v",), time_path=("ts",))], first, second, *others, second)
    told = [(r.time - START, r.value) for r in got]
    assert told == [(0, 9.0), (1, 39.0), (-1000, 101.0), (0, 99.0), (1, 39.0)]


@pytest.mark.parametrize("received", ["2026-10-25T00:35:00+00:00", "2026-10-25T01:35:00+00:00"])
async def test_an_hour_that_a_zone_has_twice_is_the_one_that_was_just_now(received: str) -> None:
    """Berlin's clocks showed 02:30 twice that night, 5 minutes before each of these instants."""
    at = round(datetime.fromisoformat(received).timestamp() * 1000)
    only = point(("v",), time_path=("t",), zone="Europe/Berlin")
    feed, _, reader = await listening(only)
    feed.say("devices/u-1", '{"v":1,"t":"2026-10-25T02:30:00"}', at=at, monotonic=0.0)
    (reading,) = (await reader.read(DEVICE, [only])).readings
    assert reading.time == at - 5 * 60_000


KINDS = [
    ("measurement", "true", None), ("counter", "false", None), ("flag", "true", 1.0), ("flag", "2", None),
    ("flag", "0.5", None), ("state", "3", 3.0), ("state", "1.5", None), ("state", "true", 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "raw", "value"), KINDS)
async def test_a_value_is_such_as_its_kind_can_have(
    kind: str, raw: str, value: float | None
) -> None:
    (reading,) = await heard([point(("v",), kind=kind)], f'{{"v":{raw}}}')
    assert (reading.value, reading.quality >= BAD) == (value, value is None)


async def test_a_level_of_the_topic_that_may_be_anything() -> None:
    only = [point(("v",), topic="gw/+/{unit}")]
    assert [r.value for r in await heard(only, '{"v":1}', topic="gw/x/u-1")] == [1.0]
    assert await heard(only, '{"v":1}', topic="gw/x/u-2") == []


@pytest.mark.parametrize("host", ["pump..room", "x" * 64 + ".local"])
async def test_a_host_that_can_have_no_address_is_down_by_name(host: str) -> None:
    feed = PahoFeed(line(kind="mqtt", host=host, port=1883), str, SteppedClock())
    for _ in range(2):
        with pytest.raises(FeedDown, match=re.escape(f"{host}:1883: ")):
            await feed.open(frozenset({"a"}))


async def test_the_keep_alive_is_such_that_a_dumb_broker_is_noticed_within_forty_seconds() -> None:
    """By the keep-alive and once more: paho gives up when a ping stays without answer for as long."""
    async with small_broker() as broker:
        feed = PahoFeed(line(kind="mqtt", host="127.0.0.1", port=broker.port), str, SteppedClock())
        try:
            await feed.open(frozenset({"a"}))
        finally:
            await feed.close()
        assert 2 * broker.keep_alive_s == 40


async def test_an_opening_that_is_broken_off_leaves_nothing_that_looks_like_a_connection() -> None:
    async with silent_server() as port:
        feed = PahoFeed(line(kind="mqtt", host="127.0.0.1", port=port, timeout_s=30.0), str, SteppedClock())  # fmt: skip
        opening = asyncio.create_task(feed.open(frozenset({"a"})))
        await until(lambda: paho_threads() > 0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        assert paho_threads() == 0


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Takes connections and says nothing."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def paho_threads() -> int:
    return sum(thread.name.startswith("paho-") for thread in threading.enumerate())


async def test_what_is_no_longer_listened_for_is_unsubscribed_and_the_rest_stays() -> None:
    """A reload takes a device away, or one comes and another goes."""
    async with small_broker() as broker:
        feed = PahoFeed(line(kind="mqtt", host="127.0.0.1", port=broker.port), str, SteppedClock())
        try:
            for wanted in ({"a", "b"}, {"a"}, {"a", "c"}, {"b"}, {"b"}):
                await feed.open(frozenset(wanted))
                await until(partial(operator.eq, broker.filters, wanted))
        finally:
            await feed.close()
        assert len(broker.users) == 1, "by one connection"


async def test_a_device_that_a_reload_takes_away_silences_no_other_of_its_broker() -> None:
    other = Device("o", "p", "l", "a", unit="u-2")
    mine, others = point(("v",)), Point("a/q", "a", "o", point(("v",), "q").spec)
    async with small_broker() as broker:
        feed = PahoFeed(line(kind="mqtt", host="127.0.0.1", port=broker.port), str, SteppedClock())
        reader = MqttDeviceReader(feed, SteppedClock(START))
        try:
            await reader.read(DEVICE, [mine])
            await reader.read(other, [others])
            reader.forget("o")
            assert not (await reader.read(DEVICE, [mine])).lost
            await until(lambda: broker.filters == {"devices/u-1"})
        finally:
            await reader.close()


# --- topic filters that the broker refuses ------------------------------------------------------------


async def test_a_refused_topic_filter_takes_down_its_points_alone_and_by_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SteppedClock(START)
    other = Device("o", "p", "l", "a", unit="u-2")
    mine, others = point(("v",)), structs.replace(point(("v",), "q"), device="o")
    async with small_broker() as broker:
        broker.refused = {"devices/u-2"}
        own = line(kind="mqtt", host="127.0.0.1", port=broker.port, backoff_s_max=30.0)
        reader = MqttDeviceReader(PahoFeed(own, str, clock), clock)
        try:
            first = await reader.read(DEVICE, [mine])
            refused = await reader.read(other, [others])
            assert not first.lost
            assert not refused.lost
            assert [(r.point, r.quality) for r in refused.readings] == [("a/q", LINK_DOWN)]
            assert (await reader.read(other, [others])).readings == [], "told once a period"
            assert (await reader.read(DEVICE, [mine])).readings == []
            assert "device o lost: the broker refuses topic filter devices/u-2" in caplog.text
            assert "refused by the broker: devices/u-2" in reader.words()
            broker.refused = set()
            await clock.advance(31)
            assert (await reader.read(other, [others])).readings == [], "asked again, and allowed"
            assert (reader.words(), broker.filters) == ("", {"devices/u-1", "devices/u-2"})
        finally:
            await reader.close()
        assert len(broker.users) == 1, "by one connection"


async def test_a_device_of_which_one_topic_is_refused_speaks_by_the_other() -> None:
    both = [point(("v",)), point(("v",), "q", topic="more/{unit}")]
    feed, clock = Feed(), SteppedClock(START)
    feed.refused = frozenset({"more/u-1"})
    reader = MqttDeviceReader(feed, clock)
    feed.say("devices/u-1", '{"v":1}')
    got = (await reader.read(DEVICE, both)).readings
    assert [(r.point, r.value, r.quality) for r in got] == [("a/p", 1.0, 0), ("a/q", None, LINK_DOWN)]  # fmt: skip


# --- many devices -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("topic_filter", "topic", "covered"), FILTERS)
def test_listeners_are_found_by_what_their_filters_cover(topic_filter: str, topic: str, covered: bool) -> None:  # fmt: skip
    listeners = Listeners[str]()
    listeners.add(topic_filter, "one")
    listeners.add("others/+", "other")
    for _ in range(2):
        assert list(listeners.of(topic)) == ["one"] * covered
    listeners.add(topic_filter, "two")
    assert list(listeners.of(topic)) == ["one", "two"] * covered
    listeners.remove(lambda row: row == "one")
    assert list(listeners.of(topic)) == ["two"] * covered
    listeners.remove(lambda row: row == "two")
    assert list(listeners.filters()) == ["others/+"]


async def test_a_message_is_not_compared_with_the_filters_of_all_devices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = 0

    def counted(topic_filter: str, topic: str) -> bool:
        nonlocal compared
        compared += 1
        return matches(topic_filter, topic)

    monkeypatch.setattr(topics, "matches", counted)
    feed = Feed()
    reader = MqttDeviceReader(feed, SteppedClock(START))
    rows = [(replace(DEVICE, id=f"d{n}", unit=f"u-{n}"), structs.replace(point(("v",), f"p{n}", topic="gw/+/{unit}" if n < 5 else "devices/{unit}", availability=WILL), device=f"d{n}")) for n in range(50)]  # fmt: skip
    for device, own in rows:
        await reader.read(device, [own])
    compared = 0
    for _ in range(3):
        for device, own in rows:
            feed.say(f"devices/{device.unit}", '{"v":1}')
            if own.source == rows[0][1].source:
                feed.say(f"gw/x/{device.unit}", '{"v":1}')
    heard_of = [reading.point for device, own in rows for reading in (await reader.read(device, [own])).readings]  # fmt: skip
    assert heard_of == [own.id for _, own in rows for _ in range(3)]
    assert compared == (50 + 5) * 5, "each topic once with each filter that has a wildcard"


async def test_what_a_wildcard_covers_is_remembered_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topics, "TOPICS_KNOWN_MAX", 3)
    listeners = Listeners[str]()
    listeners.add("a/+", "row")
    assert all(listeners.of(f"a/{n % 7}") == ("row",) for n in range(100))
    assert len(listeners._known) <= 3


class SlowClock(SteppedClock):
    """Two milliseconds pass with each look at it."""

    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return super().monotonic() + 0.002 * self.looks


async def test_many_messages_do_not_keep_the_loop_from_everything_else() -> None:
    feed = Feed()
    reader = MqttDeviceReader(feed, SlowClock(START))
    only = [point(("v",))]
    await reader.read(DEVICE, only)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    for n in range(100):
        feed.say("devices/u-1", f'{{"v":{n}}}')
    beside = asyncio.create_task(others())
    got = (await reader.read(DEVICE, only)).readings
    assert len(got) == 100
    assert turns > 20
    many = [point(("v",), f"p{n}") for n in range(200)]
    await reader.read(DEVICE, many)
    turns = 0
    feed.say("devices/u-1", '{"v":1}')
    assert len((await reader.read(DEVICE, many)).readings) == 200
    assert turns > 20, "one message that many points stand in"
    lists = [point(("[*]", "v"), "lists", topic="lists")]
    await reader.read(DEVICE, lists)
    turns = 0
    feed.say("lists", json.dumps([{"v": n} for n in range(300)]))
    assert len((await reader.read(DEVICE, lists)).readings) == 300
    beside.cancel()
    assert turns > 20, "one message of many readings of one point"


async def test_a_device_that_says_more_than_a_read_hears_keeps_no_other_waiting() -> None:
    """What is left of a message, and the messages behind it, are heard by the next reads: each once, in order."""
    feed, clock = Feed(), SlowClock(START)
    reader = MqttDeviceReader(feed, clock)
    mad = [point(("[*]", "v"), name, topic="lists") for name in ("one", "two")]
    quiet = replace(DEVICE, id="quiet")
    other = [structs.replace(point(("v",), "other", topic="other"), device="quiet")]
    await reader.read(DEVICE, mad)
    await reader.read(quiet, other)
    entries = 500
    for first in range(3):
        feed.say("lists", json.dumps([{"v": first * entries + n} for n in range(entries)]))
    feed.say("other", '{"v":1}')
    mads, others, reads = list[PointReading](), list[PointReading](), 0
    while not others:
        began_s = clock.monotonic()
        others += (await reader.read(quiet, other)).readings
        assert clock.monotonic() - began_s < READ_S_MAX + 0.1
        mads += (await reader.read(DEVICE, mad)).readings
        reads += 2
    assert reads >= 3 * 2 * entries * 0.002 / READ_S_MAX
    assert [r.value for r in others] == [1.0]
    for one in mad:
        assert [r.value for r in mads if r.point == one.id] == list(range(3 * entries))


async def test_a_will_that_is_heard_after_its_broker_was_gone_says_not_who_is_away_now() -> None:
    """Nor after a reload, for which what was said last counts."""
    feed, clock = Feed(), SlowClock(START)
    reader = MqttDeviceReader(feed, clock)
    only = [point(("v",), availability=WILL), point(("[*]",), "list", topic="lists")]
    await reader.read(DEVICE, only)
    feed.say("lists", json.dumps([*range(1000)]))
    feed.say(WILL_TOPIC, "offline")
    feed.down = "gone"
    assert (await reader.read(DEVICE, only)).line_lost
    assert feed.messages, "more than a read hears"
    feed.down = ""
    feed.say("devices/u-1", '{"v":1}', monotonic=clock.monotonic())
    while feed.messages:
        told = (await reader.read(DEVICE, only)).readings
    assert (told[0].point, told[0].value, told[0].quality) == ("a/p", 1.0, 0)
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, only)
    feed.say("devices/u-1", '{"v":2}', monotonic=clock.monotonic())
    told = (await reader.read(DEVICE, only)).readings
    assert [(r.value, r.quality) for r in told if r.point == "a/p"][-1:] == [(2.0, 0)]


async def test_what_is_left_to_hear_of_a_broker_that_was_told_gone_is_not_good() -> None:
    feed, clock = Feed(), SlowClock(START)
    reader = MqttDeviceReader(feed, clock)
    only = [point(("[*]",), "list", topic="lists")]
    await reader.read(DEVICE, only)
    entries = 1500
    feed.say("lists", json.dumps([*range(entries)]))
    feed.down = "gone"
    first = (await reader.read(DEVICE, only)).readings
    assert 0 < len(first) < entries
    assert [r.quality for r in first] == [0] * (len(first) - 1) + [LINK_DOWN]
    values = [r.value for r in first if not r.quality]
    while len(values) < entries:
        more = (await reader.read(DEVICE, only)).readings
        assert {r.quality for r in more} == {QUALITIES["stale_source"], LINK_DOWN}
        values += [r.value for r in more if r.value is not None]
    assert values == list(range(entries))


class Unheard(bytes):
    """A payload on which reading it fails as nobody foresaw."""

    def removeprefix(self, _prefix: object) -> bytes:
        raise RuntimeError("nobody foresaw it")


class UnheardToo(Unheard):
    def removeprefix(self, _prefix: object) -> bytes:
        raise ZeroDivisionError("nor this")


async def test_a_message_that_cannot_be_heard_makes_only_its_points_bad(
    caplog: pytest.LogCaptureFixture,
) -> None:
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    quiet = replace(DEVICE, id="quiet")
    other = [structs.replace(point(("v",), "other", topic="other"), device="quiet")]
    own = [point(("v",))]
    await reader.read(DEVICE, own)
    await reader.read(quiet, other)
    feed.say("other", '{"v":1}')
    feed.messages.append(
        DeviceMessage("devices/u-1", Unheard(b'{"v":"unheard"}'), False, START, 0.0)
    )
    feed.messages.append(
        DeviceMessage("devices/u-1", Unheard(b'{"v":"nor this"}'), False, START, 0.0)
    )
    feed.say("other", '{"v":2}', at=START + 1)
    told = (await reader.read(quiet, other)).readings
    assert [(r.value, r.quality) for r in told] == [(1.0, 0), (2.0, 0)]
    told = (await reader.read(DEVICE, own)).readings
    assert [(r.value, r.quality) for r in told] == [(None, QUALITIES["no_answer"])]
    assert "2 times a message could not be heard" in reader.words()
    assert caplog.text.count("could not be heard") == 1, "said once, else counted"
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, own)
    assert caplog.text.count("could not be heard") == 2, "of a device that is read anew it is news"
    await clock.advance(1)
    feed.say("devices/u-1", '{"v":3}', at=clock.now())
    assert (await reader.read(DEVICE, own)).readings[-1].value == 3.0
    feed.messages.append(DeviceMessage("other", UnheardToo(b"1"), False, START, 0.0))
    feed.messages.append(DeviceMessage("other", Unheard(b"2"), False, START, 0.0))
    feed.messages.append(DeviceMessage("other", UnheardToo(b"3"), False, START, 0.0))
    await reader.read(quiet, other)
    assert caplog.text.count("a/other: a message on other could not be heard") == 2


async def test_a_will_that_cannot_be_heard_costs_no_other_device_anything() -> None:
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    quiet = replace(DEVICE, id="quiet")
    other = [structs.replace(point(("v",), "other", topic="other"), device="quiet")]
    own = [point(("v",), availability=WILL)]
    await reader.read(DEVICE, own)
    await reader.read(quiet, other)
    feed.messages.append(DeviceMessage(WILL_TOPIC, Unheard(b"a will"), False, START, 0.0))
    feed.say("other", '{"v":1}')
    assert [r.value for r in (await reader.read(quiet, other)).readings] == [1.0]
    assert "1 times a message could not be heard" in reader.words()
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, own)
    assert "2 times" in reader.words()


async def test_what_is_left_to_hear_of_a_broker_that_was_told_gone_is_not_good_when_it_is_back() -> (
    None
):
    only = [point(("[*]", "v"), topic="lists", time_path=("[*]", "t"))]
    feed, clock = Feed(), SlowClock(START)
    reader = MqttDeviceReader(feed, clock)
    await reader.read(DEVICE, only)
    rows = [{"v": n, "t": START + n} for n in range(1500)]
    feed.say("lists", json.dumps(rows))
    feed.down = "gone"
    first = (await reader.read(DEVICE, only)).readings
    feed.down = ""
    assert {r.quality for r in first[:-1]} == {0}
    assert first[-1].quality == LINK_DOWN
    rest: list[PointReading] = []
    while not rest or rest[-1].value != 1499.0:
        rest += (await reader.read(DEVICE, only)).readings
    assert {r.quality for r in rest} == {STALE}
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, only)
    again = (await reader.read(DEVICE, only)).readings
    assert {r.quality for r in again} <= {STALE}, "over a reload too"
    feed.say("lists", json.dumps([{"v": 1500, "t": START + 5_000}]), at=clock.now())
    await clock.advance(1)
    feed.say("lists", json.dumps([{"v": 1501, "t": START + 6_000}]), at=clock.now())
    assert (await reader.read(DEVICE, only)).readings[-1].quality == 0


@pytest.mark.parametrize("dated", [False, True])
async def test_what_was_told_good_before_its_broker_went_stays_so_over_a_reload(
    *, dated: bool
) -> None:
    only = [point(("v",), topic="a/+", time_path=("t",) if dated else ())]
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    look = looks(reader, only)
    for n in (1, 2):
        await clock.advance(1)
        feed.say(f"a/{n}", json.dumps({"v": n, "t": clock.now()}), at=clock.now())
        assert await look() == [(n, 0, 1000 * n)]
    await clock.advance(10)
    feed.down = "gone"
    await look()
    feed.down = ""
    await clock.advance(10)
    await look()
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, only)
    assert STALE not in {quality for _, quality, _ in await look()}


async def test_a_message_that_failed_is_told_once_over_a_reload_and_moves_no_other() -> None:
    only = [point(("v",), topic="a/+", time_path=("t",))]
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    look = looks(reader, only)

    async def said(topic: str, payload: bytes) -> list[tuple[float | None, int, int]]:
        await clock.advance(2)
        now = clock.monotonic()
        feed.messages.append(DeviceMessage(topic, payload, False, clock.now(), now))
        return await look()

    assert await said("a/1", b'{"v":41,"t":%d}' % (START + 1000)) == [(41.0, 0, 1000)]
    ((_, quality, _),) = await said("a/2", Unheard(b"!"))
    assert quality == NO_ANSWER
    assert await said("a/1", b'{"v":42,"t":%d}' % (START + 5000)) == [(42.0, 0, 5000)]
    await clock.advance(2)
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, only)
    assert {(42.0, 0, 5000)}.issuperset(await look())


async def test_a_message_that_fails_is_the_reason_once_the_broker_is_back() -> None:
    only = [point(("v",))]
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    look = looks(reader, only)
    feed.say("devices/u-1", '{"v":1}', at=clock.now())
    await look()
    await clock.advance(1)
    feed.down = "gone"
    assert [quality for _, quality, _ in await look()] == [LINK_DOWN]
    feed.down = ""
    found = []
    for n in range(3):
        await clock.advance(1)
        payload = Unheard(b"unheard %d" % n)
        feed.messages.append(DeviceMessage("devices/u-1", payload, False, clock.now(), clock.monotonic()))  # fmt: skip
        found += [quality for _, quality, _ in await look()]
    assert found == [NO_ANSWER]


async def test_of_two_wills_that_cannot_be_heard_each_is_named_and_again_after_a_reload(
    caplog: pytest.LogCaptureFixture,
) -> None:
    feed, clock = Feed(), SteppedClock(START)
    reader = MqttDeviceReader(feed, clock)
    wills = [Availability(topic=f"w/{n}", path=(), online="on", offline="off") for n in "ab"]
    own = [point(("v",), availability=wills[0])]
    other = [structs.replace(point(("v",), "other", topic="other", availability=wills[1]), device="quiet")]  # fmt: skip
    quiet = replace(DEVICE, id="quiet")
    await reader.read(DEVICE, own)
    await reader.read(quiet, other)
    for n in "aab":
        feed.messages.append(DeviceMessage(f"w/{n}", Unheard(b"a will of %s" % n.encode()), False, START, 0.0))  # fmt: skip
    await reader.read(quiet, other)
    assert [caplog.text.count(f"a will: a message on w/{n} could not") for n in "ab"] == [1, 1]
    reader.forget(DEVICE.id)
    reader.expect(DEVICE, own)
    assert caplog.text.count("a will: a message on w/a could not") == 2
