"""Fuzzes the payloads of MQTT devices: the real reader behind a feed of its own, message by message."""

import asyncio
import json
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from commands.proving.fuzz_cases import HONEST, Each, Hands, Tally, Wrong, damaged, near, noise
from commands.proving.fuzz_mqtt_oracle import Says, read, says
from config.plant import Device, Point, PointSpec
from config.profile import Availability, JsonPath, Kind
from edge.device_messages import DeviceMessage, Waiting
from edge.mqtt_heard import LOST
from edge.mqtt_reader import MqttDeviceReader
from edge.ports import PointReading
from edge.readings import BAD, QUALITIES

UNIT: Final = "u-1"
DEVICE: Final = Device("d", "p", "l", "a", unit=UNIT)
ONLINE: Final = Availability("devices/{unit}/online", (), "online", "offline")
ONLINE_TOPIC: Final = f"devices/{UNIT}/online"
NEWS_LAST: Final = 32
ON_ITS_WAY_MS: Final = 1_000
STRANGE: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 7, 0.5, 1e300, 1e-300, 2**53, 2**53 + 1, -(2**63), 2**64, 10**40, "", "on", "ON", "21.5",
    "NaN", "true", [], {}, [1], {"v": 1}, [[[]]], "1970-01-01", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z",
)  # fmt: skip
TOKENS: Final = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"01", b"+1", b"1.", b".5", b"0x10", b"1_0", b'"\\ud800"', b"9" * 400)  # fmt: skip


def _point(name: str, topic: str, *path: str | int, kind: Kind = "measurement", span: tuple[float, float] | None = None, **source: Any) -> Point:  # fmt: skip
    where = JsonPath(topic, path, availability=ONLINE, **source)
    spec = PointSpec({"en": name}, kind, "", where, range=span, longest_silence_s=1e9)
    return Point(f"a/{name}", "a", "d", spec)


STATE: Final = "devices/{unit}/state"
GATEWAY: Final = "gw/+/telemetry"
CHOSEN: Final = "chosen/{unit}"
PLAIN: Final = "plain/{unit}"
LOCAL: Final = "/local/{unit}"
TOPICS: Final = (STATE, GATEWAY, CHOSEN, PLAIN, LOCAL)
_TS: Final = ("ts",)
POINTS: Final = (
    _point("v", STATE, "v", time_path=_TS, span=(-50.0, 150.0)),
    _point("w", STATE, "deep", "w", time_path=_TS, scale=0.1, offset=-5.0),
    _point("third", STATE, "deep", "list", 2, time_path=_TS),
    _point("relay", STATE, "relay", time_path=_TS, kind="flag", values={"ON": 1.0, "OFF": 0.0}),
    _point("mode", STATE, "mode", time_path=_TS, kind="state"),
    _point("written", STATE, "written", time_path=_TS, text=True),
    _point("t", GATEWAY, "{unit}", "[*]", "values", "t", time_path=("{unit}", "[*]", "ts")),
    _point("c", CHOSEN, "rows", "[id=b]", "v", expects=((("unit",), "C"),)),
    _point("f", CHOSEN, "flag", kind="flag"),
    _point("e", CHOSEN, "values", "e", error_path=("errors", "e")),
    _point("plain", PLAIN, span=(-1e6, 1e6)),
    _point("local", LOCAL, "v", time_path=("Time",), zone="Europe/Berlin"),
)


@dataclass(slots=True)
class _Writer:
    """Makes payloads of one of the topics, right ones and such as only look like it."""

    rng: random.Random
    now_ms: int
    kind: str

    def tree(self) -> Any:
        """What a device says there."""
        rng = self.rng
        number = rng.choice((rng.randrange(100), rng.uniform(-40, 100), float(rng.randrange(10))))
        if self.kind == STATE:
            deep = {"w": number, "list": [1, 2, number]}
            return {"ts": self.now_ms, "v": number, "deep": deep, "relay": rng.choice(("ON", "OFF")), "mode": rng.randrange(5), "written": str(number)}  # fmt: skip
        if self.kind == GATEWAY:
            rows = [{"ts": self.now_ms - 1000 * n, "values": {"t": number + n}} for n in range(rng.randint(1, 3))]  # fmt: skip
            return {UNIT: rows[::-1], "u-2": [{"ts": self.now_ms, "values": {"t": -1}}]}
        if self.kind == CHOSEN:
            rows = [{"id": "a", "v": 1e5}, {"id": "b", "v": number}]
            return {"rows": rows, "unit": "C", "flag": rng.random() < 0.5, "values": {"e": number}}
        if self.kind == LOCAL:
            at = datetime.fromtimestamp(self.now_ms / 1000, UTC).replace(tzinfo=None)
            return {"Time": at.isoformat(timespec="seconds"), "v": number}
        return number

    def right(self) -> bytes:
        return json.dumps(self.tree()).encode()

    def strange(self) -> bytes:
        """One value, list or object is another."""
        return json.dumps(self.changed(self.tree())).encode()

    def changed(self, here: Any) -> Any:
        """The same but for one thing somewhere in it."""
        rng = self.rng
        if not isinstance(here, dict | list) or not here or rng.random() < 0.15:
            return rng.choice(STRANGE)
        if isinstance(here, list):
            at = rng.randrange(len(here))
            return [*here[:at], self.changed(here[at]), *here[at + 1 :]]
        key = rng.choice(list(here))
        if rng.random() < 0.15:
            return {k: v for k, v in here.items() if k != key}
        if rng.random() < 0.1:
            return {("x" if k == key else k): v for k, v in here.items()}
        return here | {key: self.changed(here[key])}

    def token(self) -> bytes:
        """Something that is no JSON in the place of a number."""
        raw = self.right()
        digits = [at for at, byte in enumerate(raw) if byte in b"0123456789"]
        at = self.rng.choice(digits)
        end = at
        while end < len(raw) and raw[end] in b"0123456789.e-+":
            end += 1
        return raw[:at] + self.rng.choice(TOKENS) + raw[end:]

    def twice_a_key(self) -> bytes:
        key = self.rng.choice((b"v", b"ts", b"deep", b"rows", b"Time"))
        return b'{"%s":%d,' % (key, self.rng.randrange(50)) + self.right()[1:]

    def deep(self) -> bytes:
        depth = self.rng.choice((10, 500, 2000))
        return self.rng.choice((b"[" * depth + b"]" * depth, b'{"v":' * depth + b"1" + b"}" * depth, b"[" * depth))  # fmt: skip

    def long(self) -> bytes:
        if self.rng.random() < 0.95:
            return b" " * 2000 + self.right()
        return self.right()[:-1] + b',"pad":"' + b"x" * 270_000 + b'"}'


MARKED: Final = "with a mark before"
PADDED: Final = "with NULs behind"
EMPTY: Final = "empty"
Make = Callable[[_Writer], bytes]
SAID: Final[dict[str, Make]] = {
    "another value": _Writer.strange,
    "several other values": lambda w: json.dumps(w.changed(w.changed(w.tree()))).encode(),
    "no JSON inside": _Writer.token,
    "bits flipped or bytes lost": lambda w: damaged(w.rng, w.right()),
    "cut": lambda w: w.right()[: w.rng.randrange(len(w.right()) + 1)],
    "joined": lambda w: w.right() + w.rng.choice((b"", b" ", b"\n", b",")) + w.right(),
    "a key twice": _Writer.twice_a_key,
    "deep": _Writer.deep,
    "long": _Writer.long,
    "not UTF-8": lambda w: w.right().replace(b'"', b'"\xff', 1) + b"\xfe",
    MARKED: lambda w: b"\xef\xbb\xbf" + w.right(),
    PADDED: lambda w: w.right() + b"\0" * w.rng.randint(1, 3),
    EMPTY: lambda w: w.rng.choice((b"", b"\0", b"\xef\xbb\xbf")),
    "another topic's": lambda w: _Writer(w.rng, w.now_ms, w.rng.choice(TOPICS)).right(),
    "noise": lambda w: noise(w.rng),
}
AGAIN: Final = "sent again"
SAME_INSTANT: Final = "at the instant of the last"
WILL: Final = "will"
KINDS: Final = (*SAID, AGAIN, SAME_INSTANT, WILL, *[HONEST] * 4)


@dataclass(frozen=True, slots=True)
class _Told:
    """The last reading of a point: with which time (UTC ms) it was said, and which it was given."""

    said_ms: int
    given_ms: int
    value: float | None
    quality: int


class _Feed:
    """A `DeviceFeed` that is told what came."""

    def __init__(self) -> None:
        self.waiting = Waiting()

    async def open(self, filters: frozenset[str]) -> frozenset[str]:
        """It always is."""
        return frozenset()

    def take(self) -> DeviceMessage | None:
        return self.waiting.take()

    async def close(self) -> None:
        """Nothing to give back."""


def life(rng: random.Random, frames: int, tally: Tally, each: Each) -> None:
    """A life of a reader with one device of many topics."""
    fuzzed = _Fuzzed(rng, tally)
    asyncio.run(fuzzed.live(frames, each))


class _Fuzzed:
    """One reader, and what it may believe."""

    def __init__(self, rng: random.Random, tally: Tally) -> None:
        self._rng = rng
        self._tally = tally
        self._clock = Hands()
        self._feed = _Feed()
        self._reader = MqttDeviceReader(self._feed, self._clock)
        self._by_id = {point.id: point for point in POINTS}
        self._away = False
        self._last: dict[str, bytes] = {}
        self._before: list[tuple[str, bytes]] = []
        self._news: dict[str, list[tuple[int, float | None]]] = {point.id: [] for point in POINTS}
        self._told: dict[str, tuple[_Told, ...]] = {}
        """The last that its device dated, or if nobody sees whether that was the one without a value: that too."""
        self._newest: dict[str, int] = {point.id: 0 for point in POINTS}
        self._quality: dict[str, int] = {}
        self._honest_ms: dict[str, int] = {}

    async def live(self, frames: int, each: Each) -> None:
        await self._reader.read(DEVICE, POINTS)
        for _ in range(frames):
            await self._step()
            each()

    async def _step(self) -> None:
        kind = self._rng.choice(KINDS)
        self._tally.frames[kind] += 1
        self._clock.s += self._rng.choice((1.5, 3.0, 20.0))
        message = self._message(kind)
        must = self._changed(message)
        self._feed.waiting.add(message)
        result = await self._reader.read(DEVICE, POINTS)
        if self._reader.fault is not None:
            raise self._reader.fault
        repeats = message.retained and self._last.get(message.topic) == message.payload
        self._last[message.topic] = message.payload
        if message.topic == ONLINE_TOPIC:
            self._judge_will(message, result.readings)
        lost = {point for point, quality in self._quality.items() if quality in LOST}
        read_well = {
            r.point
            for r in result.readings
            if self._judge(message, r, repeats=repeats and r.point not in lost)
        }
        if kind in (HONEST, MARKED, PADDED) and not message.retained and not self._away:
            self._judge_honest(message, read_well)
        if kind == EMPTY and any(r.quality != QUALITIES["link_down"] for r in result.readings):
            raise Wrong("a reading of an empty message", message.payload)
        if missed := must - {reading.point for reading in result.readings}:
            raise Wrong(f"{missed} said another value at the same instant, not read", message.payload)  # fmt: skip

    def _message(self, kind: str) -> DeviceMessage:
        where = self._rng.choice(TOPICS)
        topic = where.replace("{unit}", UNIT).replace("+", self._rng.choice(("g1", "g2")))
        if kind == AGAIN and self._before:
            topic, payload = self._rng.choice(self._before)
        elif kind == WILL:
            topic, payload = ONLINE_TOPIC, self._word()
        elif kind in SAID:
            payload = SAID[kind](_Writer(self._rng, self._clock.now(), where))
        elif kind == SAME_INSTANT and where in self._honest_ms:
            payload = _Writer(self._rng, self._honest_ms[where], where).right()
        else:
            self._honest_ms[where] = self._clock.now()
            payload = _Writer(self._rng, self._clock.now(), where).right()
        self._before = [*self._before[-7:], (topic, payload)]
        retained = self._rng.random() < 0.1
        return DeviceMessage(topic, payload, retained, self._clock.now(), self._clock.s)

    def _word(self) -> bytes:
        word = self._rng.choice((b"online", b"online", b"offline"))
        return word if self._rng.random() < 0.8 else damaged(self._rng, word)

    # --- judging

    def _judge_will(self, message: DeviceMessage, readings: list[PointReading]) -> None:
        was, word = self._away, read(message.payload)
        self._away = word == "offline" or (was and word != "online")
        down = {r.point for r in readings if r.quality == QUALITIES["link_down"]}
        if self._away and not was and down != set(self._by_id):
            raise Wrong("a device that is away, and not every point says so", message.payload)

    def _judge(self, message: DeviceMessage, reading: PointReading, *, repeats: bool) -> bool:
        """Whether it is good, or late and nothing else."""
        self._tally.values += reading.value is not None
        self._tally.without_value += reading.value is None
        raw, newest = message.payload, self._newest[reading.point]
        if (reading.value is None) is not (reading.quality >= BAD):
            raise Wrong(f"{reading.point}: value {reading.value} with quality {reading.quality}", raw)  # fmt: skip
        if reading.quality in LOST and reading.time <= newest:
            raise Wrong(
                f"{reading.point} is lost at {reading.time}, not after all that was told", raw
            )
        self._newest[reading.point] = max(newest, reading.time)
        self._quality[reading.point] = reading.quality
        lasts = self._told.get(reading.point, ())
        said = self._said(reading.point, message)
        fit = [one for one in said if reading.value is not None and near(one.value, reading.value)]
        given = _given(
            reading, {time for one in fit if one.good for time in one.times}, lasts, newest
        )
        told = _Told(
            reading.time if given is None else given, reading.time, reading.value, reading.quality
        )
        self._told[reading.point] = (*lasts[:1], told) if given is None else (told,)
        if reading.value is None:
            return False
        if repeats or not fit:
            raise Wrong(f"{reading.point} = {reading.value}, which the message does not say", raw)
        self._tally.judged([one.value for one in said])
        if not reading.quality:
            self._judge_good(message, reading, fit, given, newest)
        return not reading.quality

    def _judge_good(
        self,
        message: DeviceMessage,
        reading: PointReading,
        fit: list[Says],
        given: int | None,
        newest: int,
    ) -> None:
        """A good reading has its own time, is news, and comes of a device that is there."""
        raw = message.payload
        if self._away:
            raise Wrong(f"{reading.point} is good though its device is away", raw)
        untimed = [one for one in fit if one.good and not one.times]
        at_arrival = 0 <= reading.time - message.received_ms <= len(fit)
        in_its_time = self._dates(reading.point) and reading.time > newest
        arrived = untimed and not message.retained and (at_arrival or in_its_time)
        if given is None and not arrived:
            raise Wrong(f"{reading.point} = {reading.value} at {reading.time}", raw)
        if given == reading.time and (given, reading.value) in self._news[reading.point]:
            raise Wrong(f"{reading.point} = {reading.value} at {reading.time} is no news", raw)
        self._add_news(reading.point, reading.time, reading.value)

    def _dates(self, point: str) -> bool:
        """Whether its device may date it, and so say how late it is."""
        source = self._by_id[point].source
        return isinstance(source, JsonPath) and bool(source.time_path)

    def _add_news(self, point: str, time: int, value: float | None) -> None:
        self._news[point] = [*self._news[point][1 - NEWS_LAST :], (time, value)]

    def _changed(self, message: DeviceMessage) -> set[str]:
        """Points that say another value than the last, with the time of the last."""
        if message.retained or self._away:
            return set()
        found = set[str]()
        for point, (last, *others) in self._told.items():
            said = self._said(point, message)
            if others or len(said) != 1 or not said[0].good or said[0].times != {last.said_ms}:
                continue
            if last.value is None or not near(said[0].value, last.value):
                found.add(point)
        return found

    def _said(self, point: str, message: DeviceMessage) -> list[Says]:
        whose = self._by_id[point]
        source = whose.source
        if not isinstance(source, JsonPath):
            raise TypeError(point)
        wanted = source.topic.replace("{unit}", UNIT).split("/")
        given = message.topic.split("/")
        if len(wanted) != len(given) or any(w not in ("+", g) for w, g in zip(wanted, given, strict=True)):  # fmt: skip
            return []
        return says(whose, source, UNIT, message.payload)

    def _judge_honest(self, message: DeviceMessage, good: set[str]) -> None:
        for point in POINTS:
            if self._said(point.id, message) and point.id not in good:
                raise Wrong(f"{point.id} was not read of an honest message", message.payload)


def _given(
    reading: PointReading, dated: Collection[int], lasts: Collection[_Told], newest: int
) -> int | None:
    """With which of the times that its device may have said it has it: its own, or the next instant where that was
    taken or we told something while it was on its way; None if with none.
    """
    if reading.time in dated:
        return reading.time
    for last in lasts:
        again = reading.value == last.value and reading.quality == last.quality
        taken = {time for time in dated if last.said_ms <= time <= last.given_ms}
        if reading.time == last.given_ms + 1 and taken and not again:
            return min(taken)
    still = {time for time in dated if any(time == last.said_ms for last in lasts)}
    on_its_way = {time for time in dated if 0 <= newest - time < ON_ITS_WAY_MS}
    moved = still or on_its_way
    return min(moved) if moved and reading.time == newest + 1 else None
