"""A device that counts its answers, and what one process of an agent made of them: the witness of the delivery model."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from commands.proving.delivery_history import some
from config.clock import Clock
from config.links import HEARTBEAT
from config.plant import Device, Point
from edge.ports import PointReading, ReadResult
from edge.readings import QUALITIES

TRIP_EVERY: Final = 10
"""So many answers, of which one tells of a trip."""
UNCERTAIN_EVERY: Final = 3
"""So many answers, of which one is no measurement."""
UNCERTAIN: Final = QUALITIES["substituted"]
MACHINES: Final = 2
"""Machines under one agent's name, whose readings lie in milliseconds of their own."""
AT_ONCE_MS_MAX: Final = MACHINES - 1
"""An event is kept as soon as it is read, and its time may be a millisecond off."""
UNKEPT_MS_MAX: Final = 250 + AT_ONCE_MS_MAX
"""So long memory alone may hold what was read: what the agent promises, not what it is set to."""
UNASKED_MS_MAX: Final = 1_000
"""A line that listens is to be emptied twice in this time."""


class Kept(NamedTuple):
    """A reading as the outbox was given it, and when (UTC ms)."""

    at: int
    reading: PointReading
    urgent: bool


@dataclass(slots=True)
class Life:
    """What one process of an agent asked, was answered, and gave to its outbox, in order; times in UTC ms."""

    began: int = 0
    asked: list[int] = field(default_factory=list)
    read: list[PointReading] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


@dataclass(slots=True)
class CountingDevice:
    """The device of a machine as its agent's reader: of every point each answer gives another value, so that every reading is news.

    `machine` is 0 or 1, and decides which milliseconds its readings are of. A silent one has nothing to tell.
    """

    clock: Clock
    machine: int = 0
    silent: bool = False
    answers: int = 0
    life: Life = field(default_factory=Life)
    """Of the process that asks now."""

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        """The number of the answer, negative on the second machine; points of events only where it tells of a trip."""
        now = self.clock.now()
        self.life.asked.append(now)
        if self.silent:
            return ReadResult([])
        self.answers += 1
        value = float(-self.answers if self.machine else self.answers)
        time = now - now % MACHINES + self.machine
        trip = self.answers % TRIP_EVERY == 0
        quality = UNCERTAIN if self.answers % UNCERTAIN_EVERY == 0 else 0
        told = [point.id for point in points if trip or point.spec.lane != "event"]
        readings = [PointReading(point, value, quality, time) for point in told]
        self.life.read += readings
        return ReadResult(readings)

    def forget(self, device: str) -> None:
        """Nothing is learnt of it."""

    def words(self) -> str:
        """There is nothing to say."""
        return ""

    async def close(self) -> None:
        """There is no link."""


class Row(NamedTuple):
    """A reading as it is compared: source time (UTC ms), NaN for no value."""

    point: str
    time: int
    value: float
    quality: int


@dataclass(frozen=True, slots=True)
class Witnessed:
    """Readings that devices gave, the events among them, and those that only memory held when the process was killed."""

    read: int = 0
    events: int = 0
    pending: int = 0
    problems: tuple[str, ...] = ()

    def __add__(self, other: "Witnessed") -> "Witnessed":
        return Witnessed(
            self.read + other.read,
            self.events + other.events,
            self.pending + other.pending,
            self.problems + other.problems,
        )


def witness(life: Life, killed: int, *, agent: str, events: Set[str]) -> Witnessed:
    """Hold what a process gave to its outbox against what it read, `killed` (UTC ms) being its end.

    Each reading was given once, that of an event at once and as urgent, another within `UNKEPT_MS_MAX`. What an
    agent says of itself nobody gave it: each time its heartbeat goes on by one, and it says each thing once.
    """
    own = [one.reading for one in life.kept if _is_own(one.reading, agent)]
    kept = [(_row(one.reading), one) for one in life.kept if not _is_own(one.reading, agent)]
    read, often = set(map(_row, life.read)), Counter(row for row, _ in kept)

    def late(row: Row, at: int) -> bool:
        return at - row.time > (AT_ONCE_MS_MAX if row.point in events else UNKEPT_MS_MAX)

    unkept = read - often.keys()
    lost = {row for row in unkept if late(row, killed)}
    problems = [
        *some(lost, "read and never made"),
        *some((row for row, one in kept if row in read and late(row, one.at)), "made too late"),
        *some(
            (row for row, one in kept if one.urgent != (row.point in events)), "on the wrong lane"
        ),
        *some(often - Counter(set(often)), "made twice"),
        *some(often.keys() - read, "made and never read"),
        *_wrong_of_itself(own, f"{agent}/{HEARTBEAT}"),
        *_unasked(life, killed),
    ]
    told = sum(row.point in events for row in read)
    return Witnessed(len(read), told, len(unkept - lost), tuple(problems))


def _is_own(reading: PointReading, agent: str) -> bool:
    return reading.point.startswith(f"{agent}/")


def _row(reading: PointReading) -> Row:
    value = math.nan if reading.value is None else reading.value
    return Row(reading.point, reading.time, value, reading.quality)


def _wrong_of_itself(said: Sequence[PointReading], heartbeat: str) -> Iterator[str]:
    beats = [reading for reading in said if reading.point == heartbeat]
    if [beat.value for beat in beats] != list(range(1, len(beats) + 1)):
        yield f"{len(beats)} heartbeats made that do not count 1, 2, 3"
    times = Counter(beat.time for beat in beats)
    often = Counter((reading.point, reading.time) for reading in said)
    yield from some(
        (key for key, n in often.items() if n > times[key[1]]), "said of itself too often"
    )


def _unasked(life: Life, killed: int) -> Iterator[str]:
    """An agent that does not ask hears of no news."""
    for before, after in pairwise([life.began, *life.asked, killed]):
        if after - before > UNASKED_MS_MAX:
            yield f"the device was not asked for {after - before} ms, from {before}"
