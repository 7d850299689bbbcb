"""Reads MQTT devices: listens to their own topics and turns payloads into readings by profile."""

import asyncio
import logging
from collections.abc import Iterator, Sequence, Set
from typing import Final

from msgspec.structs import replace

from config.clock import Clock
from config.plant import Device, Point
from config.profile import JsonPath
from edge.device_messages import DeviceFeed, DeviceMessage, FeedDown, Latest
from edge.mqtt_faults import Faults
from edge.mqtt_heard import (
    LINK_DOWN,
    NO_ANSWER,
    STALE,
    Dating,
    Heard,
    handed_on,
    is_silent,
    keep,
    must_be_told,
    take_over,
    tell_lost,
    wait,
)
from edge.payloads import Stamp, readings_of
from edge.ports import PointReading, ReadResult
from edge.topics import Listeners
from edge.wills import Said, Wills

log = logging.getLogger(__name__)

HEARING_S_MAX: Final = 0.02
"""So long at most the loop is kept from everything else, and by one reading."""
READ_S_MAX: Final = 1.0
"""So long at most one read hears what came, and by one reading; the rest waits for the next."""


class MqttDeviceReader:
    """A `PointReader` over one broker of devices.

    `read` hands on every reading that came since the last call; what takes longer than `READ_S_MAX` to
    hear waits for the next, so that no device keeps the others waiting. A message repeated (same point, time
    and value where the device says the time, among the last ones; a retained one with the payload last
    seen) is not news, unless the point said something else at that same time since (many a clock
    counts whole seconds), or it is the newest and something was told by our clock since: then it is
    `clock_suspect` (a retained one `stale_source`), just after that. Each reading has an instant of its own.
    A retained message whose time is not known is `stale_source`. What is told by our clock has the time
    that the device would give it, as far behind as what it said last. A point of which nothing was heard
    for its longest silence is `no_answer`, told once a period. A device whose will
    says that it is away is `link_down` at once and once a period until it says that it is back, or the
    broker was gone; what is said in its name meanwhile is `stale_source`. A broker that is gone is
    `link_down` and lost; what was heard of all its devices before comes first. One that refuses a topic
    filter makes only the points `link_down` that speak there, once a period.
    """

    def __init__(self, feed: DeviceFeed, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock
        self._points: dict[str, Heard] = {}
        self._left: dict[str, Heard] = {}
        """What was known of points that were forgotten since the last read began."""
        self._forgotten: set[str] = set()
        """Devices that were, since then."""
        self._dating: dict[tuple[str, ...], Dating] = {}
        """By device and place, of all points that are listened for."""
        self._listening = Listeners[Heard]()
        self._filters: frozenset[str] | None = None
        """All that is listened to; None where it has changed."""
        self._wills = Wills()
        self._latest = Latest()
        self._at_hand: Iterator[bool] = iter(())
        """The rest of the message that is being heard."""
        self._faults = Faults()
        self._silent: dict[str, float] = {}
        self._refused: frozenset[str] = frozenset()
        self._down_s: float | None = None
        """When the broker was last found gone, if it is."""
        self._words_since_s = 0.0
        """Before that, a will is of a time of which nobody knows who came back."""

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        self._register(device, points)
        self._left.clear()
        self._forgotten.clear()
        try:
            self._refused = await self._feed.open(self._all_filters())
        except FeedDown as error:
            told_so = self._down_s is not None
            self._down_s = self._clock.monotonic()
            await self._hear()
            told = () if device.id in self._forgotten else self._points.values()
            before = [r for heard in told for r in handed_on(heard)]
            if told_so:  # what is left to hear of a line that was told to be gone is not good
                before = [_stale(reading) for reading in before]
            down = self.lost(points, LINK_DOWN)
            return ReadResult([*before, *down], lost=True, line_lost=True, detail=str(error))
        if self._down_s is not None:
            self._forget_words(self._down_s)
            self._down_s = None
        await self._hear()
        if device.id in self._forgotten:
            return ReadResult([])  # whoever asked has another definition meanwhile
        known = [self._points[point.id] for point in points if point.id in self._points]
        return ReadResult(self._hand_on(device, known))

    def expect(self, device: Device, points: Sequence[Point]) -> None:
        self._register(device, points)

    def lost(self, points: Sequence[Point], quality: int) -> list[PointReading]:
        now, at, known = self._clock.now(), self._clock.monotonic(), self._points
        return [
            tell_lost(known[point.id], quality, now, at)
            if point.id in known
            else PointReading(point.id, None, quality, now)
            for point in points
        ]

    def forget(self, device: str) -> None:
        self._forgotten.add(device)
        gone = {k: heard for k, heard in self._points.items() if heard.point.device == device}
        self._left |= gone
        self._dating = {place: one for place, one in self._dating.items() if place[0] != device}
        self._points = {k: heard for k, heard in self._points.items() if k not in gone}
        self._listening.remove(lambda heard: heard.point.device == device)
        self._filters = None
        self._silent.pop(device, None)
        self._faults.forget(device)
        self._wills.forget(device)

    def words(self) -> str:
        said = [f"{self.dropped_readings} readings dropped"] if self.dropped_readings else []
        said += self._faults.words()
        if self._refused:
            said.append(f"topic filters refused by the broker: {', '.join(sorted(self._refused))}")
        return ", ".join(said)

    async def close(self) -> None:
        await self._feed.close()

    @property
    def fault(self) -> Exception | None:
        """The last on which hearing a message failed in us."""
        return self._faults.last

    @property
    def dropped_readings(self) -> int:
        """Readings that were not handed on, because too many came between two reads."""
        return sum(heard.dropped_readings for heard in self._points.values())

    def _register(self, device: Device, points: Sequence[Point]) -> None:
        """Listen for points not seen before; what was last heard on their topic counts for them."""
        said: dict[str, list[DeviceMessage]] = {}
        for point in points:
            if point.id in self._points or not isinstance(point.source, JsonPath):
                continue
            topic_filter = point.source.topic.replace("{unit}", device.unit)
            left = self._left.pop(point.id, None)
            if left and left.waiting and (left.point, left.unit) == (point, device.unit):
                self._dating.setdefault(left.dating.place, left.dating)
                self._listen(device, point.source, left)  # what waits is handed on first
                continue
            if topic_filter not in said:
                said[topic_filter] = self._latest.of(topic_filter)
            before = said[topic_filter]
            since_s = max((m.received_s for m in before), default=self._clock.monotonic())
            dating = self._dating_of(device, point.source, topic_filter, left)
            heard = Heard(point, device.unit, topic_filter, dating, since_s)
            self._listen(device, point.source, heard)
            self._hear_before(heard, before, left)

    def _dating_of(
        self, device: Device, source: JsonPath, topic_filter: str, left: Heard | None
    ) -> Dating:
        """One for all points that it dates in one place, before and after a reload."""
        place = (device.id, topic_filter, source.zone, *map(str, source.time_path))
        known = left.dating if left and left.dating.place == place else Dating(place)
        return self._dating.setdefault(place, known)

    def _hear_before(
        self, heard: Heard, before: Sequence[DeviceMessage], left: Heard | None
    ) -> None:
        """Take in what was last said on its topics, all of it before what was told by our clock since."""
        if left and (left.point.source, left.unit) == (heard.point.source, heard.unit):
            heard.dated = left.dated
        for message in before:
            for _ in self._heard_by(heard, message, is_new=left is None):
                pass
        if left:
            take_over(heard, left)
        if before and self._wills.away(heard.point.device):
            wait(heard, tell_lost(heard, LINK_DOWN, self._clock.now(), self._clock.monotonic()))

    def _listen(self, device: Device, source: JsonPath, heard: Heard) -> None:
        self._points[heard.point.id] = heard
        self._listening.add(heard.topic_filter, heard)
        self._filters = None
        self._expect(device, source)

    def _expect(self, device: Device, source: JsonPath) -> None:
        """Know the device by its will; what that last said still holds."""
        if source.availability is None:
            return
        if topic_filter := self._wills.expect(device, source.availability):
            for message in self._latest.of(topic_filter):
                if message.received_s >= self._words_since_s:
                    self._words_in(message)

    def _forget_words(self, gone_s: float) -> None:
        """Nobody knows who is away: what was said while the broker was gone was not heard."""
        self._words_since_s = gone_s
        self._wills.forget_words()
        for topic_filter in self._wills.filters():
            self._latest.forget(topic_filter)

    def _all_filters(self) -> frozenset[str]:
        if self._filters is None:
            self._filters = frozenset((*self._listening.filters(), *self._wills.filters()))
        return self._filters

    async def _hear(self) -> None:
        """What came, for `READ_S_MAX`; others have their turn at least every `HEARING_S_MAX`."""
        began_s = since_s = self._clock.monotonic()
        while since_s - began_s < READ_S_MAX:
            if not next(self._at_hand, False):
                message = self._feed.take()
                if message is None:
                    return
                self._at_hand = self._hearing(message)
            since_s = await self._others(since_s)

    def _hearing(self, message: DeviceMessage) -> Iterator[bool]:
        """Hear a message step by step: at most one reading each."""
        for heard in self._listeners_of(message):
            yield from self._heard_by(heard, message, is_new=True)
            yield True

    def _heard_by(self, heard: Heard, message: DeviceMessage, *, is_new: bool) -> Iterator[bool]:
        """Hear what a message says of a point, reading by reading. Where that fails only the point is told bad.

        What came before a broker that is back was told to be gone, and is heard only then, is not good, over a reload too.
        """
        try:
            for reading, stamp in self._said(heard, message):
                late = message.late or (is_new and message.received_s < self._words_since_s)
                if late:
                    self._latest.note_late(message)
                keep(heard, _stale(reading) if late else reading, stamp, message)
                yield True
        except Exception as error:  # noqa: BLE001  # logged by what is called
            self._faults.add(heard.point.device, heard.point.id, message.topic, error)
            if is_new and heard.lost_as != NO_ANSWER:
                wait(heard, tell_lost(heard, NO_ANSWER, message.received_ms, message.received_s))

    def _words_in(self, message: DeviceMessage) -> list[Said]:
        """What it says of devices being there."""
        try:
            return self._wills.heard(message)
        except Exception as error:  # noqa: BLE001  # logged by what is called
            self._faults.add("", "a will", message.topic, error)
            return []

    async def _others(self, since_s: float) -> float:
        """Let them have their turn if it is time; returns when they last had it."""
        if self._clock.monotonic() - since_s < HEARING_S_MAX:
            return since_s
        await asyncio.sleep(0)
        return self._clock.monotonic()

    def _listeners_of(self, message: DeviceMessage) -> list[Heard]:
        """Whom it is news for, once it is known what it says of devices being there."""
        repeats = message.retained and self._latest.repeats(message)
        if not repeats:
            self._latest.keep(message)
        known = message.received_s >= self._words_since_s
        for said in self._words_in(message) if known else ():
            if not said.online:
                self._lose(said.device, message)
        return [h for h in self._listening.of(message.topic) if not repeats or h.is_lost]

    def _said(self, heard: Heard, message: DeviceMessage) -> Iterator[tuple[PointReading, Stamp]]:
        """What a message says of the point; of a device that is away it is not good."""
        away = self._wills.away(heard.point.device)
        for reading, stamp in readings_of(
            heard.point, heard.unit, message.payload, message.received_ms
        ):
            yield _stale(reading) if away else reading, stamp

    def _lose(self, device: str, message: DeviceMessage) -> None:
        """The device is away, from this message on."""
        for heard in self._points.values():
            if heard.point.device == device:
                wait(heard, tell_lost(heard, LINK_DOWN, message.received_ms, message.received_s))

    def _hand_on(self, device: Device, points: Sequence[Heard]) -> list[PointReading]:
        at, now, away = self._clock.monotonic(), self._clock.now(), self._wills.away(device.id)
        deaf = {heard.topic_filter for heard in points} & self._refused
        silent = {h for h in points if away or h.topic_filter in deaf or is_silent(h, at)}
        readings: list[PointReading] = []
        for heard in points:
            fresh = handed_on(heard)
            readings += fresh
            if fresh and away:
                heard.told_silent_s = at
            elif heard in silent and must_be_told(heard, at):
                quality = LINK_DOWN if away or heard.topic_filter in deaf else NO_ANSWER
                readings.append(tell_lost(heard, quality, now, at))
        lost = "its will says that it is away" if away else _refusal(deaf) or "silent"
        self._note(device, lost if len(silent) == len(points) > 0 else "", at)
        return readings

    def _note(self, device: Device, lost: str, at: float) -> None:
        """One line when a device falls silent, one when it speaks again."""
        if lost and device.id not in self._silent:
            self._silent[device.id] = at
            log.warning("device %s lost: %s", device.id, lost)
        elif not lost and device.id in self._silent:
            seconds = at - self._silent.pop(device.id)
            log.warning("device %s back after %.1f s", device.id, seconds)


def _stale(reading: PointReading) -> PointReading:
    """As it is, but not good."""
    return reading if reading.quality else replace(reading, quality=STALE)


def _refusal(filters: Set[str]) -> str:
    return f"the broker refuses topic filter {', '.join(sorted(filters))}" if filters else ""
