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
from edge.readings import BAD, QUALITIES

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
class Heard:
    """What is known of one point: its readings not yet handed on, and its last sign of life.

    Silence is counted in monotonic seconds: a wall clock that is set makes no device silent.
    """

    point: Point
    unit: str
    topic_filter: str
    since_s: float
    last: PointReading | None = None
    said_ms: int = 0
    """The time that the last reading came with; its own is later where several had the same."""
    ours_ms: int = 0
    """The last time that anything was told with that its device did not say."""
    behind: tuple[PointReading, DeviceMessage] | None = None
    """The last reading not yet handed on, where its device dates it before `ours_ms`."""
    recent: dict[tuple[int, float | None, int], None] = field(default_factory=dict)
    told_silent_s: float | None = None
    waiting: deque[PointReading] = field(default_factory=deque)
    dropped_readings: int = 0


def keep(heard: Heard, reading: PointReading, stamp: Stamp, message: DeviceMessage) -> None:
    """Add one reading unless it is a repeat. A retained one is as old as the device says that it is.

    A repeat that is not retained is a sign of life all the same: some time stamps stand still.
    """
    if not message.retained:
        heard.since_s = max(heard.since_s, message.received_s)
    if stamp.by_device and _repeats(heard, reading):
        return
    if message.retained and not stamp.by_device and not reading.quality:
        reading = replace(reading, quality=STALE)
    own = _with_its_own_instant(heard, reading, stamp)
    heard.last, heard.said_ms = own, reading.time
    if message.retained and stamp.by_device:
        age_ms = max(0, message.received_ms - own.time)
        heard.since_s = max(heard.since_s, message.received_s - age_ms / 1000)
    if stamp.by_device:
        _compare(heard, own, message)
    else:
        heard.ours_ms, heard.behind = own.time, None
        if own.quality >= BAD:
            heard.recent.clear()
    wait(heard, own)


def _compare(heard: Heard, reading: PointReading, message: DeviceMessage) -> None:
    """Remember what its device dates before what was told by our clock; of several the newest."""
    if reading.time >= heard.ours_ms:
        heard.behind = None
    elif heard.behind is None or reading.time >= heard.behind[0].time:
        heard.behind = (reading, message)


def tell_lost(heard: Heard, quality: int, now: int) -> PointReading:
    """A reading of our own: whatever is said next is news, though it was said before."""
    heard.recent.clear()
    heard.behind = None
    heard.last = PointReading(heard.point.id, None, quality, now)
    heard.said_ms = heard.ours_ms = now
    return heard.last


def is_lost(heard: Heard) -> bool:
    """Whether it was last told that nothing is heard of it."""
    return heard.last is not None and heard.last.quality in LOST


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


def _with_its_own_instant(heard: Heard, reading: PointReading, stamp: Stamp) -> PointReading:
    last = heard.last
    if last is None:
        return reading
    if heard.said_ms <= reading.time <= last.time:
        return replace(reading, time=last.time + 1)
    if stamp.by_device:
        return reading
    return replace(reading, time=_just_after(last.time, reading.time))


def _just_after(last: int, time: int) -> int:
    """The instant after the last one if that is hardly later; a clock that was set far back is followed."""
    return last + 1 if 0 <= last - time < SAME_INSTANT_MS else time


def wait(heard: Heard, reading: PointReading) -> None:
    """It is handed on with the next read; of too many the oldest go, counted."""
    heard.waiting.append(reading)
    if len(heard.waiting) > WAITING_READINGS_MAX:
        heard.waiting.popleft()
        if not heard.dropped_readings:
            log.warning("point %s says more than is read: the oldest go, counted", heard.point.id)
        heard.dropped_readings += 1


def handed_on(heard: Heard) -> list[PointReading]:
    """Its readings not yet handed on; what is behind comes last, just after the one that it is behind."""
    if heard.behind is None:
        fresh = [*heard.waiting]
    else:
        (late, message), heard.behind = heard.behind, None
        heard.ours_ms += 1
        again = replace(late, quality=late.quality or _doubt(late, message), time=heard.ours_ms)
        fresh = [*(r for r in heard.waiting if r is not late), again]
    heard.waiting.clear()
    if fresh:
        heard.told_silent_s = None
    return fresh


def _doubt(late: PointReading, message: DeviceMessage) -> int:
    """Of what is late: nothing where it was only on its way while we told something else."""
    if message.received_ms - late.time < SAME_INSTANT_MS:
        return 0
    return STALE if message.retained else CLOCK_SUSPECT


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
