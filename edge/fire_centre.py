"""What a monitoring centre knows of its fire transmission devices: bytes in, answers and readings out, no sockets."""

import logging
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from config.clock import Clock
from config.plant import Device, Point
from config.profile import FirePlace, FireValue
from edge.fire_values import place_of, read_point
from edge.gb26875 import ANSWER, CONFIRM, DENY, SEND, BadFrame, Frame, Splitter, confirm, deny
from edge.gb26875_data import (
    ComponentAnalogue,
    ComponentState,
    Item,
    WallTime,
)
from edge.gb26875_names import COMPONENT_TYPES, type_name
from edge.ports import PointReading
from edge.readings import BAD, QUALITIES

log = logging.getLogger(__name__)

RESENT_S: Final = 30.0
"""What was not confirmed is sent again for so long (customarily three times, 10 s each)."""
WAITING_READINGS_MAX: Final = 20_000
"""Readings of one device that may wait for the next read; beyond it the oldest go, counted."""
RECENT_FRAMES_MAX: Final = 32
TOLD_MAX: Final = 200
"""Strangers, and places of one device that its profile does not know: more of them are only counted."""
SAME_INSTANT_MS: Final = 1_000
CLOCK_ERROR_S_MAX: Final = 60.0
ANSWERS: Final = frozenset({CONFIRM, ANSWER, DENY})
LINK_DOWN: Final = QUALITIES["link_down"]
NO_ANSWER: Final = QUALITIES["no_answer"]
NOT_READ_YET: Final = QUALITIES["not_read_yet"]
STALE: Final = QUALITIES["stale_source"]
WORDS: Final = {LINK_DOWN: "no connection", NO_ANSWER: "silent", NOT_READ_YET: "not heard yet"}


@dataclass(frozen=True, slots=True)
class Watched:
    """One device, all its points, and after how many seconds without a frame it is silent."""

    device: Device
    points: tuple[Point, ...]
    silence_s: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What some bytes led to: answers to send on the same link, then links to end.

    A link ends whose device has come by another, or speaks again after a silence: on a new one it
    tells its whole state, of which nobody knows what it still is.
    """

    answers: bytes = b""
    over: tuple[int, ...] = ()


@dataclass(slots=True)
class CentreStats:
    """Counts since the start. `bad` by verdict; `strangers` are frames of no device of the line;
    `unmapped` objects of no point; `unasked` answers to questions that nobody put; `taken_over` are
    links whose device spoke on another one.
    """

    confirmed: int = 0
    denied: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    strangers: int = 0
    unmapped: int = 0
    unasked: int = 0
    repeated: int = 0
    taken_over: int = 0
    dropped_readings: int = 0
    clock_error_s: dict[str, float] = field(default_factory=dict)
    """Device to how far the clock in its frames is ahead of ours, seconds."""

    def words(self) -> str:
        """What was confirmed and denied, whatever else came, and clocks that are wrong."""
        rare = {
            **{f"frames {verdict}": count for verdict, count in self.bad.items()},
            "frames of strangers": self.strangers, "objects of no point": self.unmapped,
            "answers to no question": self.unasked, "sent again late": self.repeated,
            "links taken over": self.taken_over, "readings dropped": self.dropped_readings,
        }  # fmt: skip
        said = [f"{self.confirmed} confirmed", f"{self.denied} denied"]
        said += [f"{count} {name}" for name, count in rare.items() if count]
        said += [f"clock of {device} {error_s:+.0f} s" for device, error_s in self.clock_error_s.items() if abs(error_s) > CLOCK_ERROR_S_MAX]  # fmt: skip
        return ", ".join(said)


@dataclass(slots=True)
class _Sent:
    """What a device sent on a link of late: each counts its own frames."""

    serial: int = -1
    recent: dict[tuple[int, bytes], float] = field(default_factory=dict)


@dataclass(slots=True)
class _Link:
    splitter: Splitter = field(default_factory=Splitter)
    stranger: bool = True
    sent: dict[int, _Sent] = field(default_factory=dict)
    """By source address; only devices of the line have one."""


@dataclass(slots=True)
class _Known:
    """What is known of one device. `_s` are monotonic seconds, `_ms` UTC."""

    watched: Watched
    since_s: float
    by_place: dict[FirePlace, list[tuple[Point, FireValue]]] = field(default_factory=dict)
    link: int | None = None
    comes_by_s: float = 0.0
    """Until when it is not lost though its connection is gone: we have ended it."""
    heard_s: float | None = None
    heard_ms: int = 0
    held: dict[str, tuple[float | None, int]] = field(default_factory=dict)
    """Point to value and quality as last told, for as long as that is known to hold."""
    held_s: dict[str, float] = field(default_factory=dict)
    """When each of them was told by the device; `told_s` is when it was handed on."""
    waiting: deque[PointReading] = field(default_factory=deque)
    last_ms: dict[str, int] = field(default_factory=dict)
    told_s: dict[str, float] = field(default_factory=dict)
    trouble: int = 0
    trouble_s: float = 0.0


class Centre:
    """Confirms what devices send, denies what cannot be believed, and remembers what they told.

    A frame of a device that is not on the line is not answered: nobody here takes its alarms, and
    its own panel must come to know. What a device told holds while it gives signs of life: it is
    handed on again, once a period, with the time of its last frame. A measured value changes without
    a word: beyond its point's longest silence it is `stale_source`. After a silence, or a link gone
    for longer than a device sends again, all is unknown (`not_read_yet`) until it is told anew.
    Readings have the time of arrival: panels' clocks are not believed, only compared.
    """

    def __init__(self, watched: Sequence[Watched], clock: Clock, zone: tzinfo) -> None:
        self.stats = CentreStats()
        self._clock = clock
        self._zone = zone
        self._links: dict[int, _Link] = {}
        self._by_source: dict[int, _Known] = {}
        self._by_device: dict[str, _Known] = {}
        self._told: defaultdict[str, set[object]] = defaultdict(set)
        """By what it is about: what senders make up takes no place from anything else."""
        for row in watched:
            known = _Known(row, clock.monotonic())
            self._by_source[int(row.device.unit)] = self._by_device[row.device.id] = known
            for point in row.points:
                if isinstance(point.source, FireValue):
                    known.by_place.setdefault(point.source.place, []).append((point, point.source))

    # --- links

    def opened(self, link: int) -> None:
        """A connection has come; nobody knows yet whose."""
        self._links[link] = _Link()

    def arrived(self, link: int, chunk: bytes) -> Heard:
        """Bytes of a link, in order. Never raises for anything in them."""
        return self._heard(link, self._links[link].splitter.feed(chunk))

    def late(self, link: int) -> Heard:
        """The rest of a frame that was begun did not come in time."""
        return self._heard(link, self._links[link].splitter.late())

    def begun(self, link: int) -> bool:
        """Whether part of a frame has come."""
        return self._links[link].splitter.begun

    def is_stranger(self, link: int) -> bool:
        """Whether no device of the line has spoken on it yet."""
        return self._links[link].stranger

    def closed(self, link: int) -> None:
        """The connection is gone; may be called twice."""
        self._links.pop(link, None)
        for known in self._by_source.values():
            if known.link == link:
                known.link = None

    def closing(self) -> None:
        """We end all connections: those devices come again, if the line goes on."""
        for known in self._by_device.values():
            if known.link is not None:
                known.comes_by_s = self._clock.monotonic() + RESENT_S

    def go_on_from(self, before: "Centre") -> None:
        """Take over what a centre of this line, whose connections have ended, knew of devices that
        are as they were, and what it has confirmed and not handed on.
        """
        for device, known in before.known().items():
            new = self._by_device.get(device)
            if new is not None and new.watched == known.watched:
                self._by_device[device] = self._by_source[int(known.watched.device.unit)] = known

    def known(self) -> "dict[str, _Known]":
        """What is known of each device, for the centre that goes on from here."""
        return self._by_device

    # --- frames

    def _heard(self, link: int, found: Sequence[Frame | BadFrame]) -> Heard:
        answers, over = b"", list[int]()
        for one in found:
            if isinstance(one, BadFrame):
                answers += self._refuse(one)
                continue
            known = self._by_source.get(one.header.source)
            if known is None:
                self._note_stranger(one.header.source)
                continue
            if known.link is not None and known.link != link:
                over.append(known.link)
                self.stats.taken_over += 1
                device = known.watched.device.id
                self._once(device, "taken", "device %s speaks on another connection, the old one is ended: said once, counted on", device)  # fmt: skip
            if self._live(known, link):
                over.append(link)
            answers += self._answer(known, link, one)
        return Heard(answers, tuple(over))

    def _refuse(self, bad: BadFrame) -> bytes:
        self.stats.bad[bad.verdict] += 1
        known = self._by_source.get(bad.header.source) if bad.header else None
        if bad.header is None or known is None or bad.header.command in ANSWERS:
            return b""
        self.stats.denied += 1
        device = known.watched.device.id
        self._once(device, bad.verdict, "a frame of device %s is denied: %s", device, bad.verdict)  # fmt: skip
        return deny(bad.header, self._wall())

    def _note_stranger(self, source: int) -> None:
        self.stats.strangers += 1
        self._once("all strangers", source, "a device of source address %d is not on this line: it gets no answer", source)  # fmt: skip

    def _answer(self, known: _Known, link: int, frame: Frame) -> bytes:
        header = frame.header
        if header.command in ANSWERS:
            self.stats.unasked += 1
            return b""
        if header.command != SEND:
            self.stats.denied += 1
            return deny(header, self._wall())
        self._compare_clocks(known, frame)
        if self._is_news(self._links[link], frame):
            self._take(known, frame)
        self.stats.confirmed += 1
        return confirm(header, self._wall())

    def _wall(self) -> WallTime:
        return WallTime.of(self._clock.now(), self._zone)

    def _live(self, known: _Known, link: int) -> bool:
        """A sign of life. What was told before holds no longer if something may have been missed.

        True if it was missed on this very link.
        """
        at, longest_s = self._clock.monotonic(), known.watched.silence_s
        same = known.link == link
        if not same:
            longest_s = min(longest_s, RESENT_S)
        missed = known.heard_s is not None and at - known.heard_s > longest_s
        if missed:
            known.held.clear()
        known.link, known.comes_by_s, self._links[link].stranger = link, 0.0, False
        known.heard_s, known.heard_ms = at, self._clock.now()
        return same and missed

    def _compare_clocks(self, known: _Known, frame: Frame) -> None:
        if frame.header.time is None:
            return
        error_s = (frame.header.time.utc_ms(self._zone) - self._clock.now()) / 1000
        device = known.watched.device.id
        self.stats.clock_error_s[device] = error_s
        if abs(error_s) > CLOCK_ERROR_S_MAX:
            self._once(device, "clock", "the clock of device %s is %+.0f s from ours", device, error_s)  # fmt: skip

    def _is_news(self, link: _Link, frame: Frame) -> bool:
        """False for what was sent again although later frames have come since: it is history.

        A frame like the last one is taken once more: it says the same, and devices that never count
        their frames up are heard too.
        """
        at, key = self._clock.monotonic(), (frame.header.serial, frame.data)
        sent = link.sent.setdefault(frame.header.source, _Sent())
        before = sent.recent.pop(key, None)
        sent.recent[key] = at
        if len(sent.recent) > RECENT_FRAMES_MAX:
            del sent.recent[next(iter(sent.recent))]
        if before is not None and frame.header.serial != sent.serial and at - before < RESENT_S:
            self.stats.repeated += 1
            return False
        sent.serial = frame.header.serial
        return True

    def _take(self, known: _Known, frame: Frame) -> None:
        for item in frame.app.objects if frame.app else ():
            place = place_of(item)
            points = known.by_place.get(place) if place else None
            if not points:
                self.stats.unmapped += 1
                self._note_unmapped(known, place, item)
                continue
            for point, source in points:
                value, quality = read_point(point, source, item)
                known.held[point.id] = value, quality
                known.held_s[point.id] = self._clock.monotonic()
                self._wait(known, point.id, value, quality)

    def _wait(self, known: _Known, point: str, value: float | None, quality: int) -> None:
        now_ms = _instant(known, point, self._clock.now())
        known.waiting.append(PointReading(point, value, quality, now_ms))
        known.told_s[point] = self._clock.monotonic()
        if len(known.waiting) > WAITING_READINGS_MAX:
            known.waiting.popleft()
            if not self.stats.dropped_readings:
                log.warning("device %s says more than is read: the oldest go, counted", known.watched.device.id)  # fmt: skip
            self.stats.dropped_readings += 1

    def _note_unmapped(self, known: _Known, place: FirePlace | None, item: Item) -> None:
        if place is None:
            return
        kind = type_name(COMPONENT_TYPES, item.component_type) if isinstance(item, ComponentState | ComponentAnalogue) else place.of  # fmt: skip
        device = known.watched.device.id
        self._once(f"places of {device}", place, "device %s tells of %s at %s, which its profile does not know", device, kind, place)  # fmt: skip

    def _once(self, about: str, key: object, message: str, *what: object) -> None:
        """Log it once each; about one thing not more than `TOLD_MAX`, whatever senders make up."""
        told = self._told[about]
        if key not in told and len(told) < TOLD_MAX:
            told.add(key)
            log.warning(message, *what)

    # --- readings

    def readings(self, device: str) -> list[PointReading]:
        """What came of a device since the last call, oldest first, then what is due to be said again."""
        known = self._by_device[device]
        found = list(known.waiting)
        known.waiting.clear()
        trouble = self._trouble(known)
        changed = trouble != known.trouble
        self._note(known, trouble)
        if trouble:
            return [*found, *self._bad(known, trouble, at_once=changed)]
        return [*found, *self._again(known, at_once=changed)]

    def _trouble(self, known: _Known) -> int:
        """Why nothing is known of the device; 0 while it gives signs of life."""
        at = self._clock.monotonic()
        silence_s = known.watched.silence_s
        if known.heard_s is None:
            return NOT_READ_YET if at - known.since_s <= silence_s else LINK_DOWN
        if known.link is None and at >= known.comes_by_s:
            return LINK_DOWN
        return NO_ANSWER if at - known.heard_s > silence_s else 0

    def _bad(self, known: _Known, quality: int, *, at_once: bool) -> Iterator[PointReading]:
        for point in known.watched.points:
            if at_once or self._is_due(known, point):
                yield self._tell(known, point, None, quality, self._clock.now())

    def _again(self, known: _Known, *, at_once: bool) -> Iterator[PointReading]:
        """What still holds, when a frame has come since it was last told; what was never told."""
        for point in known.watched.points:
            value, quality = self._held(known, point)
            newly = (known.heard_s or 0.0) > known.told_s.get(point.id, -1.0)
            if (at_once or self._is_due(known, point)) and (newly or quality == NOT_READ_YET):
                since_ms = self._clock.now() if quality == NOT_READ_YET else known.heard_ms
                yield self._tell(known, point, value, quality, since_ms)

    def _held(self, known: _Known, point: Point) -> tuple[float | None, int]:
        value, quality = known.held.get(point.id, (None, NOT_READ_YET))
        if quality < BAD and isinstance(point.source, FireValue) and point.source.bit is None:
            age_s = self._clock.monotonic() - known.held_s[point.id]
            quality = STALE if age_s > point.longest_silence_s else quality
        return value, quality

    def _is_due(self, known: _Known, point: Point) -> bool:
        told = known.told_s.get(point.id)
        return told is None or self._clock.monotonic() - told >= point.period_s

    def _tell(
        self, known: _Known, point: Point, value: float | None, quality: int, now_ms: int
    ) -> PointReading:
        known.told_s[point.id] = self._clock.monotonic()
        return PointReading(point.id, value, quality, _instant(known, point.id, now_ms))

    def _note(self, known: _Known, trouble: int) -> None:
        """One line when a device is lost, one when it speaks again."""
        at, device = self._clock.monotonic(), known.watched.device.id
        lost, was_lost = trouble in (LINK_DOWN, NO_ANSWER), known.trouble in (LINK_DOWN, NO_ANSWER)
        if lost and not was_lost:
            known.trouble_s = at
            log.warning("device %s lost: %s", device, WORDS[trouble])
        elif was_lost and not lost:
            log.warning("device %s back after %.1f s", device, at - known.trouble_s)
        known.trouble = trouble


def _instant(known: _Known, point: str, ms: int) -> int:
    """This time (UTC ms), but each reading of a point has an instant of its own."""
    last = known.last_ms.get(point)
    if last is not None and 0 <= last - ms < SAME_INSTANT_MS:
        ms = last + 1
    known.last_ms[point] = ms
    return ms
