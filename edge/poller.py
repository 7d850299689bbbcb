"""Reads the devices of one line in turn: by poll class, one request in flight, for ever."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Final

import numpy as np

from config.clock import Clock
from config.plant import Device, Line, Plant, Point
from edge.ports import Again, ListeningReader, PointReader, PointReading, ReadResult, WordReader
from edge.readings import BAD, QUALITIES, QUALITY_NAMES
from edge.registers import with_exponents

log = logging.getLogger(__name__)

Sink = Callable[[Sequence[PointReading]], None]
QuietS = Callable[[Sequence[PointReading]], float]
"""For how many seconds these readings, all good and given to the sink, need not be given to it again."""

FIRST_READS_WITHIN_S: Final = 1.0
"""Every point is first read this soon after the start, whatever its class."""
LISTEN_S: Final = 0.5
"""How often a line whose devices send by themselves is emptied."""
BACKOFF_S_MIN: Final = 0.5
DEAD_SHARE: Final = 0.2
"""Of a line's time, what trying all that do not answer may take together: what a line that is not tight has left."""
GOOD: Final = QUALITIES["good"]
LINK_DOWN: Final = QUALITIES["link_down"]
NO_ANSWER: Final = QUALITIES["no_answer"]
NO_VALUES: Final = frozenset({QUALITIES["device_refused"], QUALITIES["undecodable"]})
"""What a device that answers gives instead of values."""


@dataclass(slots=True)
class LineStats:
    """Counts of one line since its start; times in monotonic seconds of our clock."""

    reads: int = 0
    missed: int = 0
    faults: int = 0
    busy_s: float = 0.0
    started_s: float = 0.0
    last_read_s: float = 0.0
    """How long the last read of a device took, with all its requests, whatever came of it."""
    errors: Counter[str] = field(default_factory=Counter)
    """Bad readings by reason, only those that a read gave."""
    last_good_s: dict[str, float] = field(default_factory=dict)
    """Device to when a reading of quality 0 last arrived, whatever time it says itself."""
    lost: set[str] = field(default_factory=set)
    """Ids of the devices (and of the line itself) that are lost now."""

    def utilisation(self, monotonic: float) -> float:
        """Part of the time since the start in which the line was busy, 0..1."""
        return self.busy_s / max(monotonic - self.started_s, 1e-9)


@dataclass(slots=True)
class _Loss:
    """Something that does not answer: since when, why, how often tried, when to try again."""

    since: float
    quality: int
    attempts: int = 0
    retry_at: float = 0.0


@dataclass(slots=True, eq=False)
class _Task:
    """The points of one device in one poll class. Seconds of the clock.

    `grid` is when its next regular cycle begins, `due` the same or, before a first or an extra read,
    earlier. `pace_s` is how often it reads, `period_s` how often it tells that it cannot.
    """

    device: Device
    points: tuple[Point, ...]
    period_s: float
    pace_s: float
    due: float = 0.0
    grid: float = 0.0
    name: str = ""
    """Of its device, in the log."""
    told_until: float = 0.0
    """Until when nobody need be told what it says again."""
    again: bool = False
    """Whether it was read last what it said before, all of it good."""
    alone: bool = True
    """Whether no other task reads a point of it, as it may an exponent: what is told of that by one is no news by the other."""

    def __post_init__(self) -> None:
        self.name = f"device {self.device.id}"


NOTHING_NEW: Final = ReadResult([])
"""A device says again what need not be told."""
_DUE: Final = attrgetter("due")
_END: Final = itemgetter(0)


class Poller:
    """Polls one line of a plant.

    The task whose cycle must end first goes first. A cycle that could not be run before the next was
    due is missed: counted, never queued. A device that does not answer, or the whole line when its
    link is down, is tried again after a jittered back-off that doubles up to `backoff_s_max`, for
    ever; meanwhile all its points are told bad, with the reason, at their own pace. Where several do not
    answer they are tried in turn, so that all together take no more than `DEAD_SHARE` of the time (or
    one try per longest back-off, if that is more). A device that answers a cycle without a single value is read again after `backoff_s_max` at the latest.
    Where a reader raises, what it was asked for is told `no_answer`. `facts` holds the strings that were read, by point.
    """

    def __init__(
        self,
        plant: Plant,
        line_id: str,
        reader: PointReader,
        clock: Clock,
        rng: np.random.Generator,
    ) -> None:
        self._line = plant.lines[line_id]
        self._reader = reader
        self._clock = clock
        self._rng = rng
        self._tasks = _tasks(plant, self._line)
        self._losses: dict[str, _Loss] = {}
        """By name; what was tried longest ago first."""
        self._others_at = 0.0
        """Where several devices are lost: when the next of them may be tried."""
        self._rests_until = -math.inf
        self._name = f"line {line_id}"
        self._sleep: asyncio.Timeout | None = None
        self._ask: Callable[[Device, Sequence[Point]], Awaitable[ReadResult | Again]] = (
            reader.read_words if isinstance(reader, WordReader) else reader.read
        )
        self._empty: dict[_Task, float] = {}
        """Tasks whose last answer held no value, and since when."""
        self.facts: dict[str, str] = {}
        self.stats = LineStats()

    @property
    def line_id(self) -> str:
        """The line that it polls."""
        return self._line.id

    def devices(self) -> set[str]:
        """The devices that it reads."""
        return {task.device.id for task in self._tasks}

    def words(self, now: float) -> str:
        """The state of the line for a person, at `now` of the monotonic clock."""
        stats = self.stats
        said = [
            f"{len(self.devices())} devices", f"{stats.reads} reads", f"{stats.missed} missed",
            f"{stats.utilisation(now):.1%} busy", f"last read took {1000 * stats.last_read_s:.1f} ms",
        ]  # fmt: skip
        said += [f"{count} {reason}" for reason, count in stats.errors.most_common()]
        lost = (f"{name} lost for {now - loss.since:.0f} s ({QUALITY_NAMES[loss.quality]})" for name, loss in self._losses.items())  # fmt: skip
        more = self._reader.words()
        return "; ".join([", ".join(said), *lost, *([more] if more else [])])

    async def run(
        self, sink: Sink, rest_s: float = 0.0, quiet_s: QuietS = lambda readings: 0.0
    ) -> None:
        """Poll until cancelled, from in `rest_s` on; returns at once if nothing is on the line. Closes the reader."""
        self._quiet_s = quiet_s
        self._stagger(rest_s)
        try:
            while self._tasks:
                now = self._clock.monotonic()
                at, task, retry = self._next(now)
                if at > now:
                    if not await self._slept_until(at):
                        continue
                    now = self._clock.monotonic()
                try:
                    await self._turn(task, sink, now, retry=retry)
                except Exception:
                    self.stats.faults += 1
                    log.exception("%s: reading %s failed", self._name, task.name)
                    if not retry:  # whose next is set, and beside which the regular cycle goes on
                        self._advance(task, task.period_s, self._clock.monotonic())
        finally:
            await self._reader.close()

    def change(self, plant: Plant, touched: Collection[str]) -> None:
        """Read these devices as `plant` has them from now on; the others keep connection and pace."""
        for device in touched:
            self._reader.forget(device)
            self._losses.pop(f"device {device}", None)
            self.stats.lost.discard(f"device {device}")
        fresh = [task for task in _tasks(plant, self._line) if task.device.id in touched]
        gone = {point.id for task in self._tasks for point in task.points if task.device.id in touched}  # fmt: skip
        self.facts = {point: fact for point, fact in self.facts.items() if point not in gone}
        self._tasks = [task for task in self._tasks if task.device.id not in touched] + fresh
        self._empty = {task: at for task, at in self._empty.items() if task in self._tasks}
        if isinstance(self._reader, ListeningReader):
            for task in fresh:
                self._reader.expect(task.device, task.points)
        self._spread(fresh, self._clock.monotonic())
        self._wake()

    def tell_all(self) -> None:
        """Give the sink what is read next, though it was given the same before."""
        for task in self._tasks:
            task.told_until = 0.0

    def end(self) -> None:
        """Have nothing more to read, though whoever reads now may not hear that its task is cancelled."""
        self._tasks = []
        self._wake()

    # --- who is next

    def _wake(self) -> None:
        """End a sleep as a timeout would: what is next has changed."""
        if self._sleep is not None:
            self._sleep.reschedule(0.0)
            self._sleep = None

    async def _slept_until(self, at: float) -> bool:
        """False if it was woken."""
        try:
            async with asyncio.timeout(None) as self._sleep:
                await self._clock.sleep_until(at)
        except TimeoutError:
            return False
        finally:
            self._sleep = None
        return True

    def _stagger(self, rest_s: float) -> None:
        self.stats.started_s = self._clock.monotonic()
        self._rests_until = self.stats.started_s + rest_s
        self._spread(self._tasks, self.stats.started_s)

    def _spread(self, tasks: Sequence[_Task], start: float) -> None:
        """Spread the first reads over a second and the regular ones over their period, none before the line has rested."""
        start = max(start, self._rests_until)
        for place, task in enumerate(tasks):
            part = (place + self._rng.random()) / len(tasks)
            task.due = start + part * min(task.pace_s, FIRST_READS_WITHIN_S)
            task.grid = start + part * task.pace_s

    def _next(self, now: float) -> tuple[float, _Task, bool]:
        """When to begin what: of all that can begin first, what must end first. True for a retry."""
        tasks = self._tasks
        if len(tasks) == 1 and not self._losses:
            return max(now, tasks[0].due), tasks[0], False
        retries = list(self._retries()) if self._losses else ()
        starts = [min(map(_DUE, tasks)), *(at for at, _, _ in retries)]
        earliest = max(now, min(starts))
        can = [(task.due + task.period_s, task, False) for task in tasks if task.due <= earliest]  # fmt: skip
        if lost := next((one for one in retries if one[0] <= earliest), None):
            _, loss, task = lost
            can.append((loss.retry_at + self._line.backoff_s_max, task, True))
        _, task, retry = min(can, key=_END)
        return earliest, task, retry

    def _retries(self) -> Iterable[tuple[float, _Loss, _Task]]:
        """What is lost, each with when it may be tried and a task for it; behind a lost line, only the line is tried."""
        if loss := self._losses.get(self._name):
            yield loss.retry_at, loss, self._tasks[loss.attempts % len(self._tasks)]
            return
        others_at = self._others_at if len(self._losses) > 1 else 0.0
        for device, loss in self._losses.items():
            tasks = [task for task in self._tasks if task.name == device]
            yield max(loss.retry_at, others_at), loss, min(tasks, key=lambda task: task.period_s)

    def _advance(self, task: _Task, every_s: float, now: float) -> None:
        """Set the next cycle, ever in the same phase; those that went by meanwhile are missed."""
        behind_s = now - task.grid
        least = 1 if task.due == task.grid else 0  # a clock may wake a moment early
        steps = max(least, math.ceil(behind_s / every_s - 1e-9))
        self.stats.missed += max(0, steps - 1)
        task.grid += steps * every_s
        task.due = task.grid

    # --- one turn

    async def _turn(self, task: _Task, sink: Sink, now: float, *, retry: bool) -> None:
        loss = None
        if self._losses:
            loss = self._losses.get(self._name) or self._losses.get(task.name)
        if loss:
            task.told_until = 0.0
            if not retry:
                self._tell_bad(task, loss.quality, sink)
                self._advance(task, task.period_s, now)
                await asyncio.sleep(0)  # nothing is waited for while nothing is asked
                return
            loss.retry_at = now + self._line.backoff_s_max
        tasks = self._tasks
        try:
            answer = await self._ask(task.device, task.points)
            ended = self._clock.monotonic()
            result = self._looked_at(task, answer, now, ended)
        except Exception:
            self._fails(task, loss, sink, retry=retry)
            raise
        if tasks is not self._tasks and task not in self._tasks:
            return  # read by a definition that no longer holds
        self._hand_on(task, result, sink, retry=retry)
        if not retry:
            self._advance(task, task.pace_s, ended)
        self._judge(task, result)

    def _fails(self, task: _Task, loss: _Loss | None, sink: Sink, *, retry: bool) -> None:
        """Reading it failed in us."""
        task.told_until = 0.0
        if not retry and task in self._tasks:  # what is lost is told so anyway
            self._tell_bad(task, NO_ANSWER, sink)
        if loss:
            loss.attempts += 1  # behind a lost line the next try is of another device

    def _tell_bad(self, task: _Task, quality: int, sink: Sink) -> None:
        if isinstance(self._reader, ListeningReader):
            sink(self._reader.lost(task.points, quality))
        else:
            now = self._clock.now()
            sink([PointReading(point.id, None, quality, now) for point in task.points])

    def _hand_on(self, task: _Task, result: ReadResult, sink: Sink, *, retry: bool) -> None:
        if result.facts:
            self.facts |= result.facts
        readings = result.readings
        if retry and result.lost:  # bad readings keep their own pace
            readings = [reading for reading in readings if reading.quality < BAD]
        if readings:
            sink(readings)
        if task.again and task.alone:
            task.told_until = self._clock.monotonic() + self._quiet_s(readings)

    def _looked_at(
        self, task: _Task, result: ReadResult | Again, begun: float, ended: float
    ) -> ReadResult:
        """What a read says that began and ended then, and what it counts for."""
        stats = self.stats
        stats.last_read_s = ended - begun
        stats.busy_s += stats.last_read_s
        stats.reads += 1
        task.again = again = False
        if not isinstance(result, ReadResult):
            if ended < task.told_until:
                stats.last_good_s[task.device.id] = ended
                return NOTHING_NEW
            result, again = result(), True
        task.told_until = 0.0
        good = 0
        for reading in result.readings:
            if reading.quality == GOOD:
                good += 1
            elif reading.quality >= BAD:
                stats.errors[QUALITY_NAMES.get(reading.quality, "unknown")] += 1
        if good:
            stats.last_good_s[task.device.id] = ended
        task.again = again and good == len(result.readings)
        return result

    # --- lost and back

    def _judge(self, task: _Task, result: ReadResult) -> None:
        """What this result says of the line and of the device."""
        untried = result.retry_s > 0.0 and self._name in self._losses  # says nothing of the line
        if result.lost and (result.line_lost or untried or _says_down(result.readings)):
            self._lose(self._name, LINK_DOWN, result.detail)
            return
        if self._losses:
            self._regain(self._name, task, self._tasks)
        if result.lost:
            self._lose(task.name, NO_ANSWER, result.detail, result.retry_s)
            return
        if self._losses:
            same_device = [other for other in self._tasks if other.device is task.device]
            self._regain(task.name, task, same_device)
        if not result.readings:
            return
        if result.readings[0].quality in NO_VALUES and _says_nothing(result.readings):
            self._gives_nothing(task, result.detail)
        elif task in self._empty:
            self._gives_again(task)

    def _gives_nothing(self, task: _Task, detail: str) -> None:
        """Said once of a device; a slow cycle does not wait for its next turn to find it healed."""
        now = self._clock.monotonic()
        if not self._empty_of(task.device):
            log.warning("%s answers without values: %s", task.name, detail or "undecodable")
        self._empty.setdefault(task, now)
        task.due = min(task.due, now + self._line.backoff_s_max)

    def _gives_again(self, task: _Task) -> None:
        since = self._empty.pop(task)
        if not self._empty_of(task.device):
            now = self._clock.monotonic()
            log.warning("%s gives values again after %.1f s", task.name, now - since)

    def _empty_of(self, device: Device) -> bool:
        return any(task.device is device for task in self._empty)

    def _lose(self, name: str, quality: int, detail: str, retry_s: float = 0.0) -> None:
        now = self._clock.monotonic()
        if name not in self._losses:
            log.warning("%s lost: %s", name, detail or QUALITY_NAMES[quality])
            self._losses[name] = _Loss(now, quality)
            self.stats.lost.add(name)
        loss = self._losses[name] = self._losses.pop(name)  # the others are tried before it
        if retry_s:  # it was not tried: no reason to wait longer the next time
            loss.retry_at = now + retry_s
            return
        rest_s = self.stats.last_read_s * (1.0 / DEAD_SHARE - 1.0)
        self._others_at = now + min(rest_s, self._line.backoff_s_max)
        longest = min(self._line.backoff_s_max, BACKOFF_S_MIN * 2.0 ** min(loss.attempts, 30))
        wait = longest * self._rng.uniform(0.5, 1.0)
        if (
            self._line.serial and quality == NO_ANSWER
        ):  # until no late answer can come: not on the line
            wait = max(wait, self._line.timeout_s)
        loss.retry_at = now + wait
        loss.attempts += 1

    def _regain(self, name: str, read: _Task, tasks: Iterable[_Task]) -> None:
        """If it was lost: say so once, and read everything behind it at once."""
        loss = self._losses.pop(name, None)
        if loss is None:
            return
        now = self._clock.monotonic()
        self.stats.lost.discard(name)
        log.warning("%s back after %.1f s", name, now - loss.since)
        for task in tasks:
            if task is not read:
                task.due = min(task.due, now)


def _says_down(readings: Sequence[PointReading]) -> bool:
    return any(reading.quality == LINK_DOWN for reading in readings)


def _says_nothing(readings: Sequence[PointReading]) -> bool:
    return all(reading.quality in NO_VALUES for reading in readings)


def _tasks(plant: Plant, line: Line) -> list[_Task]:
    """One task per device and poll class; devices that send by themselves have one for all."""
    listens = line.kind in ("mqtt", "fire")
    tasks: list[_Task] = []
    own: dict[str, list[Point]] = {d.id: [] for d in plant.devices.values() if d.line == line.id}
    for point in plant.points.values():
        if point.device in own:
            own[point.device].append(point)
    for id, points in own.items():
        device = plant.devices[id]
        groups: dict[float, list[Point]] = {}
        for point in points:
            groups.setdefault(0.0 if listens else point.period_s, []).append(point)
        read = [with_exponents(group, points) for group in groups.values()]
        shared = {id for id, tasks in Counter(p.id for ps in read for p in ps).items() if tasks > 1}
        for group, asked in zip(groups.values(), read, strict=True):
            period_s = min(point.period_s for point in group)
            pace_s = min(period_s, LISTEN_S) if listens else period_s
            alone = shared.isdisjoint(point.id for point in asked)
            tasks.append(_Task(device, asked, period_s, pace_s, alone=alone))
    return tasks
