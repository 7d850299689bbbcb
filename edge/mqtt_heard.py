"""What is known of one point of an MQTT device: what it said, when that was, and what is news of it."""

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from config.plant import Point
from edge.device_messages import DeviceMessage
from edge.payloads import Stamp
from edge.ports import PointReading
from edge.readings import QUALITIES

log = logging.getLogger(__name__)

WAITING_READINGS_MAX: Final = 20_000
"""Readings of one point that may wait for the next read; beyond it the oldest go, counted."""
SAME_INSTANT_MS: Final = 1_000
"""A reading this little behind the last one came just after it; further behind the clock was set. On its way it may be as long."""
RECENT_READINGS_MAX: Final = 64
"""Readings of one point, with the device's own time, that are known when they come again."""
NO_ANSWER: Final = QUALITIES["no_answer"]
LINK_DOWN: Final = QUALITIES["link_down"]
STALE: Final = QUALITIES["stale_source"]
CLOCK_SUSPECT: Final = QUALITIES["clock_suspect"]
LOST: Final = (NO_ANSWER, LINK_DOWN)


@dataclass(slots=True, eq=False)
class Dating:
    """How a device dates what it says in one place: `epoch_ms` is its clock (UTC ms) at second 0 of our monotonic one, None while it has dated nothing."""

    place: tuple[str, ...]
    epoch_ms: float | None = None


@dataclass(slots=True, eq=False)
class Heard:
    """What is known of one point: its readings not yet handed on, and its last sign of life.

    Silence is counted in monotonic seconds: a wall clock that is set makes no device silent.
    """

    point: Point
    unit: str
    topic_filter: str
    dating: Dating
    since_s: float
    epoch_ms: float | None = None
    """As that of `dating`, of this point alone: under one topic filter may be several clocks."""
    last: PointReading | None = None
    """The last that its device dated, with the time that it was told with."""
    said_ms: int = 0
    """The time that the last came with; its own is later where several had the same."""
    stands_still: bool = False
    """Whether its own is much later, because something was told by our clock between two of the same."""
    clock_ms: int = 0
    """What our clock said of the newest that it dated."""
    dated: PointReading | None = None
    """The newest by its device's clock, as that dates it."""
    newest_ms: int = 0
    """The newest time that anything was told with; if its device dates nothing, the last."""
    ours_ms: int = 0
    """When it was told by our clock, if nothing newer was told since; else 0."""
    lost_as: int = 0
    """The reason, where it was last told that nothing is heard of it; else 0."""
    recent: dict[tuple[int, float | None, int], None] = field(default_factory=dict)
    told_silent_s: float | None = None
    waiting: deque[PointReading] = field(default_factory=deque)
    dropped_readings: int = 0

    @property
    def is_lost(self) -> bool:
        """Whether it was last told that nothing is heard of it."""
        return self.lost_as != 0


def keep(heard: Heard, reading: PointReading, stamp: Stamp, message: DeviceMessage) -> None:
    """Add one reading unless it is a repeat. A retained one is as old as the device says that it is.

    A repeat that is not retained is a sign of life all the same: some time stamps stand still. The newest is news when it
    comes again after something was told by our clock.
    """
    if not message.retained:
        heard.since_s = max(heard.since_s, message.received_s)
    own = (_of_the_device if stamp.by_device else _of_our_clock)(heard, reading, message)
    if own is not None:
        heard.lost_as = 0
        wait(heard, own)


def _of_our_clock(heard: Heard, reading: PointReading, message: DeviceMessage) -> PointReading:
    """What came without a time that its device says."""
    if message.retained and not reading.quality:
        reading = replace(reading, quality=STALE)
    heard.ours_ms = _in_its_time(heard, reading.time, message.received_s)
    return replace(reading, time=heard.ours_ms)


def _of_the_device(
    heard: Heard, reading: PointReading, message: DeviceMessage
) -> PointReading | None:
    """What its device dates; None if that is no news."""
    newest = heard.dated
    if newest and reading.quality == STALE != newest.quality and _same(reading, newest):
        return None  # it is away, and said that itself before
    repeats = _repeats(heard, reading)
    if newest and heard.ours_ms and reading.time == newest.time:
        own = _still(heard, reading, retained=message.retained)
    elif repeats:
        return None
    else:
        own = _dated(heard, reading, message)
    if message.retained:
        age_ms = max(0, message.received_ms - reading.time)
        heard.since_s = max(heard.since_s, message.received_s - age_ms / 1000)
    heard.newest_ms = max(heard.newest_ms, own.time)
    if own.time > heard.ours_ms:
        heard.ours_ms = 0
    return own


def _same(one: PointReading, other: PointReading) -> bool:
    return (one.time, one.value) == (other.time, other.value)


def _still(heard: Heard, reading: PointReading, *, retained: bool) -> PointReading:
    """What its device dates as it did its newest: its clock, or what it says, stands still."""
    heard.last, heard.said_ms = replace(reading, time=heard.newest_ms + 1), reading.time
    heard.dated, heard.stands_still = reading, True
    return _suspect(heard.last, retained=retained)


def _dated(heard: Heard, reading: PointReading, message: DeviceMessage) -> PointReading:
    """The reading with an instant of its own; what is newer than the last says how late its device is."""
    own = _with_its_own_instant(heard, reading)
    if 0 <= heard.ours_ms - own.time < SAME_INSTANT_MS:  # on its way while we told something else
        own = replace(own, time=heard.newest_ms + 1)
    if reading.time >= heard.said_ms and not message.retained:
        heard.epoch_ms = heard.dating.epoch_ms = reading.time - 1000 * message.received_s
    if heard.dated is None or reading.time >= heard.dated.time:
        heard.dated = reading
    if heard.stands_still and heard.said_ms < reading.time and own.time < heard.newest_ms:
        # what stood still is told behind it: it is news when it comes again
        heard.ours_ms = heard.newest_ms
    heard.stands_still = heard.stands_still and reading.time == heard.said_ms
    was_away = heard.last is not None and heard.last.quality == STALE
    heard.last, heard.said_ms = own, reading.time
    if heard.stands_still and (message.retained or was_away):
        return _suspect(own, retained=message.retained)
    return own


def _suspect(own: PointReading, *, retained: bool) -> PointReading:
    """What may be older than the time that it is told with."""
    return replace(own, quality=own.quality or (STALE if retained else CLOCK_SUSPECT))


def tell_lost(heard: Heard, quality: int, now: int, at_s: float) -> PointReading:
    """A reading of our own, told by our clock: UTC ms and monotonic seconds."""
    heard.ours_ms, heard.lost_as = _in_its_time(heard, now, at_s), quality
    return PointReading(heard.point.id, None, quality, heard.ours_ms)


def take_over(heard: Heard, left: Heard) -> None:
    """Know what was told of it before a reload; what it has said by now is older than what was told by our clock."""
    heard.newest_ms = max(heard.newest_ms, left.newest_ms)
    if heard.dating is left.dating and heard.epoch_ms is None:
        heard.epoch_ms = left.epoch_ms
    if heard.last is None and heard.dated is left.dated:  # what it said last was no news again
        heard.last, heard.said_ms, heard.stands_still = left.last, left.said_ms, left.stands_still
    elif heard.last and left.last and heard.said_ms == left.said_ms:
        said, suspect = heard.last, CLOCK_SUSPECT if left.stands_still else 0
        heard.last, heard.stands_still = replace(said, time=left.last.time), left.stands_still
        told = replace(heard.last, quality=said.quality or suspect)
        heard.waiting = deque(told if reading is said else reading for reading in heard.waiting)
    heard.ours_ms, heard.lost_as = left.ours_ms, left.lost_as


def _in_its_time(heard: Heard, now: int, at_s: float) -> int:
    """Our time as its device would date it: what that says next would else be older, and seen nowhere."""
    known = [ms for ms in (heard.epoch_ms, heard.dating.epoch_ms) if ms is not None]
    if known:  # rather too early than later than what it says next
        heard.newest_ms = max(round(min(known) + 1000 * at_s), heard.newest_ms + 1)
    elif heard.clock_ms - SAME_INSTANT_MS < now <= heard.newest_ms:
        heard.clock_ms, heard.newest_ms = now, heard.newest_ms + 1
    else:
        heard.clock_ms = heard.newest_ms = now
    return heard.newest_ms


def _repeats(heard: Heard, reading: PointReading) -> bool:
    """Whether it came before; back at an older value within the same instant is no repeat."""
    key, last = (reading.time, reading.value, reading.quality), heard.last
    known = key in heard.recent
    heard.recent[key] = None
    if len(heard.recent) > RECENT_READINGS_MAX:
        del heard.recent[next(iter(heard.recent))]
    if last is None or reading.time != heard.said_ms:
        return known
    return (last.value, last.quality) == (reading.value, reading.quality)


def _with_its_own_instant(heard: Heard, reading: PointReading) -> PointReading:
    last = heard.last
    if last and heard.said_ms <= reading.time <= (heard.said_ms if heard.stands_still else last.time):  # fmt: skip
        return replace(reading, time=last.time + 1)
    return reading


def wait(heard: Heard, reading: PointReading) -> None:
    """It is handed on with the next read; of too many the oldest go, counted."""
    heard.waiting.append(reading)
    if len(heard.waiting) > WAITING_READINGS_MAX:
        heard.waiting.popleft()
        if not heard.dropped_readings:
            log.warning("point %s says more than is read: the oldest go, counted", heard.point.id)
        heard.dropped_readings += 1


def handed_on(heard: Heard) -> list[PointReading]:
    """Its readings not yet handed on."""
    fresh = [*heard.waiting]
    heard.waiting.clear()
    if fresh:
        heard.told_silent_s = None
    return fresh


def is_silent(heard: Heard, at: float) -> bool:
    """Whether nothing was heard of it for its longest silence, at this monotonic second."""
    return at - heard.since_s > heard.point.longest_silence_s


def must_be_told(heard: Heard, at: float) -> bool:
    """Once a period that it is silent."""
    told = heard.told_silent_s
    if told is not None and at - told < heard.point.period_s:
        return False
    heard.told_silent_s = at
    return True
