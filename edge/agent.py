"""One agent at a site: polls its lines, keeps what is news, and sends it until the collector has it."""

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple

import numpy as np

from config.clock import Clock
from config.links import PERIOD_S, ROWS, UNDECLARED, link_points
from config.plant import Plant, Point
from edge.bus_time import late_s
from edge.deadbands import Deadbands
from edge.diagnostics import Diagnostics, Now
from edge.outbox import Dropped, Outbox, Planned
from edge.outbox_file import OutboxRefused
from edge.plausibility import Plausibility
from edge.point_table import PointTable
from edge.poller import Poller
from edge.ports import Connect, LinkLost, PointReader, PointReading
from edge.readings import CONTRACT, Birth, encode
from edge.reloading import CannotReload, Changes, Files, MakeReader, by_line, changes
from edge.session import DEAF_S, DEAF_S_MAX, Session, SessionStats

log = logging.getLogger(__name__)

FLUSH_S: Final = 0.25
AGAIN_S: Final = 2.0
FLUSH_READINGS: Final = 500
REFUSED_S: Final = 2.0
"""A disk that refuses is asked this often."""
KEPT_AT_ONCE_MAX: Final = 5_000
"""Readings of one durable write, however long the disk refused."""
PENDING_READINGS_MAX: Final = 100_000
"""Readings kept in memory while the disk refuses them, urgent ones and others so many each."""
ENDING_S: Final = 5.0
"""A reload waits so long for lines that end, in real seconds."""
BRIEF_S: Final = 60.0
BRIEF_MAX: Final = 3
"""After so many connections in a row that lasted less than `BRIEF_S` the log says what may be behind it."""
BACKOFF_S: Final = 1.0
BACKOFF_S_MAX: Final = 30.0


@dataclass(slots=True)
class AgentStats:
    """Counted since the start. `overflowed` are readings that neither disk nor memory took, urgent
    ones among them; an agent says of itself how many, with what its outbox dropped.
    """

    flushes: int = 0
    refused: int = 0
    overflowed: Dropped = field(default_factory=Dropped)


class _News(NamedTuple):
    """What the files say anew: against the running plant, by line, and the table of its points."""

    plant: Plant
    found: Changes
    lines: Mapping[str, Plant]
    table: Planned


@dataclass(slots=True)
class Agent:
    """Runs until cancelled; `readers` by line. Connects again for ever, and reads on meanwhile.

    Making one raises `OutboxRefused` if the outbox cannot take the table of points.
    """

    plant: Plant
    id: str
    readers: Mapping[str, PointReader]
    outbox: Outbox
    connect: Connect
    clock: Clock
    rng: np.random.Generator
    version: str = "0.1.0"
    files: Files | None = None
    make_reader: MakeReader | None = None
    """For lines that a reload brings; without both nothing is reloaded."""
    taken_up: Callable[[Plant], None] = lambda plant: None
    """Told the plant that a reload has taken up."""
    pace: float = 1.0
    """How much faster its clock runs than the wires to the broker: what it waits there is in real time."""
    reports: bool = True
    """Whether it says how it stands with outbox, lines and devices: one that only empties its outbox would fill it."""
    stats: AgentStats = field(default_factory=AgentStats)
    session_stats: SessionStats = field(default_factory=SessionStats)
    pollers: list[Poller] = field(init=False)
    _jitter: np.random.Generator = field(init=False)
    """Of all pollers: one for each took 0.8 KB a line."""
    connected: bool = field(init=False, default=False)
    _speaking: Session | None = field(init=False, default=None)
    """The connection that there is."""
    _deaf: int = field(init=False, default=0)
    """Connections in a row on which nobody answered: each next one is given twice as long."""
    _news: Deadbands = field(init=False)
    _plausible: Plausibility = field(init=False)
    _events: Set[str] = field(init=False)
    """The points that are urgent."""
    _pending: list[PointReading] = field(init=False, default_factory=list)
    _urgent: list[PointReading] = field(init=False, default_factory=list)
    _refusing: bool = field(init=False, default=False)
    _at_once: int = field(init=False, default=KEPT_AT_ONCE_MAX)
    """Readings of the next durable write: fewer after one that was refused, for there may be room for these."""
    _refused_at: float | None = field(init=False, default=None)
    """Since when the outbox refuses, as the log was told."""
    _diagnostics: Diagnostics = field(init=False)
    _lost_at: float | None = field(init=False, default=None)
    _back_at: float = field(init=False, default=-math.inf)
    _brief: int = field(init=False, default=0)
    """Connections in a row that were lost again before long."""
    _buses_rest_until: float = field(init=False, default=0.0)
    """Until when what buses that a reload ended were asked may still be answered."""
    _lines: dict[str, asyncio.Task[None]] = field(init=False, default_factory=dict)
    _group: asyncio.TaskGroup | None = field(init=False, default=None)
    _reloading: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)
    _reloads: set["asyncio.Task[tuple[str, dict[str, str]]]"] = field(
        init=False, default_factory=set
    )
    _made: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _said_again: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _wake: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.outbox.define(self._points_of(self.plant), self.clock.now())
        self._diagnostics = Diagnostics(self.id)
        self._news = Deadbands(self.outbox.table)
        self._plausible = Plausibility(self.outbox.table.live())
        self._events = _events(self.outbox.table)
        (self._jitter,) = self.rng.spawn(1)
        self.pollers = [
            Poller(own, line, self.readers[line], self.clock, self._jitter)
            for line, own in by_line(self.plant)
            if line in self.readers
        ]

    def _points_of(self, plant: Plant) -> Iterator[Point]:
        devices = {device.id: device for device in plant.devices_of(self.id)}
        own = link_points(plant.lines, devices.values(), (*ROWS, *UNDECLARED))
        yield from (plant.points.get(point.id, point) for point in own)
        yield from (point for point in plant.points.values() if point.device in devices)

    async def run(self) -> None:
        """Poll, keep and send until cancelled; then keep what was read last and say `stopped`."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for poller in self.pollers:
                    self._begin(poller)
                group.create_task(self._flushing(self._made, FLUSH_S))
                group.create_task(self._flushing(self._said_again, AGAIN_S))
                group.create_task(self._diagnosing())
                group.create_task(self._connecting())
        finally:
            self._group = None
            await self._end_reloads()
            self.flush()
            if left := [*self._pending, *self._urgent]:
                log.error("agent %s ends: %d readings in memory, which its outbox did not take, are lost", self.id, len(left))  # fmt: skip

    def _begin(self, poller: Poller) -> None:
        bus = self.plant.lines[poller.line_id].serial is not None
        rest_s = max(0.0, self._buses_rest_until - self.clock.monotonic()) if bus else 0.0
        if self._group is not None:
            self._lines[poller.line_id] = self._group.create_task(
                poller.run(self.take, rest_s, self._news.quiet_s)
            )

    # --- another plant

    async def reload(self) -> tuple[str, dict[str, str]]:
        """Read the files anew and touch only what changed: `done` and what it was, or `refused` and why.

        What is refused changes nothing; `failed` is what nobody foresaw once the change had begun. It goes on when whoever asked is gone, with the broker
        for one: half done it would leave lines that nobody reads.
        """
        if self.files is None or self.make_reader is None:
            return "refused", {"reason": "this agent was started without files to read anew"}
        task = asyncio.ensure_future(self._reload(self.files, self.make_reader))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
        return await asyncio.shield(task)

    async def _end_reloads(self) -> None:
        """The agent ends: nobody is there to read by what a reload still brings."""
        for task in self._reloads:
            task.cancel()
        await asyncio.gather(*self._reloads, return_exceptions=True)

    async def _reload(self, files: Files, make_reader: MakeReader) -> tuple[str, dict[str, str]]:
        async with self._reloading:
            try:
                news = await asyncio.to_thread(self._read, files)
                found = news.found
                begun = self._pollers(news, make_reader)
                self._define(news.table)
            except (CannotReload, OutboxRefused) as error:
                log.error("agent %s goes on as it was: %s", self.id, error)
                return "refused", {"reason": str(error)}
            except Exception as error:  # its words may hold anything: they stay here
                log.exception("agent %s goes on as it was", self.id)
                return "refused", {
                    "reason": f"{type(error).__name__}: see the log of agent {self.id}"
                }
            try:
                late = await self._take_up(news, begun)
            except Exception as error:
                log.exception("agent %s is between two plants: start it anew", self.id)
                return "failed", {
                    "reason": f"{type(error).__name__}: agent {self.id} is between two plants: start it anew"
                }
        log.warning("agent %s has read its files anew: %s", self.id, found)
        if not late:
            return "done", {"changed": str(found)}
        log.error("agent %s: not ended within %g s: line %s", self.id, ENDING_S, ", ".join(late))
        return "done", {"changed": str(found), "not_ended": ", ".join(late)}

    def _read(self, files: Files) -> "_News":
        """In a thread: all that takes longer the more points there are."""
        plant = files()
        found = changes(self.plant, plant, self.id)
        lines = dict(by_line(plant))
        return _News(plant, found, lines, self.outbox.planned(self._points_of(plant)))

    def _pollers(self, news: "_News", make_reader: MakeReader) -> list[Poller]:
        """Of the lines that begin."""
        plant, lines = news.plant, news.lines
        readers = [(line, make_reader(plant, plant.lines[line])) for line in news.found.begun]
        return [Poller(lines[line], line, reader, self.clock, self._jitter) for line, reader in readers]  # fmt: skip

    def _define(self, table: Planned) -> None:
        """The last that may be refused: from here on the outbox takes readings of its points."""
        self.flush()
        if self._pending or self._urgent:
            raise CannotReload("the disk takes no readings: those in memory are the old plant's")
        self.outbox.take_up(table, self.clock.now())

    async def _take_up(self, news: "_News", begun: Sequence[Poller]) -> list[str]:
        """All at once up to where it waits: no value read by the old plant is taken by the new one.

        Gives the lines that did not end in time; those that begin do so all the same.
        """
        self._news.change(self.outbox.table)
        self._plausible.change(self.outbox.table.live())
        self._events = _events(self.outbox.table)
        plant, found = news.plant, news.found
        # what these buses were asked may still be answered, whatever a bus is called now, and by the next reload
        rest_s = max((late_s(self.plant.lines[line]) for line in found.ended), default=0.0)
        self._rest_buses(rest_s)
        self.plant = plant
        self.taken_up(plant)
        ended = self._cancelled(
            {*found.ended, *found.begun}
        )  # one may be there with nothing to read
        touched: dict[str, set[str]] = {}
        for device in found.touched & plant.devices.keys():
            touched.setdefault(plant.devices[device].line, set()).add(device)
        for poller in self.pollers:
            own = touched.get(poller.line_id, set()) | (found.touched & poller.devices())
            if own:
                self._change(poller, news.lines[poller.line_id], own)
        if ended:
            await asyncio.wait(ended.values(), timeout=ENDING_S)
            self._rest_buses(rest_s)
        for poller in begun:
            self.pollers.append(poller)
            self._begin(poller)
        return sorted(line for line, task in ended.items() if not task.done())

    def _rest_buses(self, rest_s: float) -> None:
        """Have buses that begin meanwhile wait so long."""
        until = self.clock.monotonic() + rest_s
        self._buses_rest_until = max(self._buses_rest_until, until)

    def _cancelled(self, ended: Collection[str]) -> dict[str, "asyncio.Task[None]"]:
        """By line; what one still reads after that counts for nothing."""
        tasks = {line: self._lines.pop(line) for line in ended if line in self._lines}
        for task in tasks.values():
            task.cancel()
        for poller in self.pollers:
            if poller.line_id in ended:
                poller.end()
        self.pollers = [poller for poller in self.pollers if poller.line_id not in ended]
        return tasks

    def _change(self, poller: Poller, plant: Plant, touched: Collection[str]) -> None:
        poller.change(plant, touched)
        task = self._lines.get(poller.line_id)
        if task is not None and task.done():  # it had nothing to read until now
            self._begin(poller)

    # --- what was read

    def take(self, readings: Sequence[PointReading]) -> None:
        """Keep what is news of these readings: urgent ones on disk at once, others within 250 ms.

        What was sent before and is said again only before its silence ends waits up to `AGAIN_S` for more to share its batch.
        """
        judged = self._plausible.judged(readings, self.clock.monotonic())
        (news, wait_s), events = self._news.news(judged), self._events
        self._pending += [reading for reading in news if reading.point not in events]
        self._urgent += [reading for reading in news if reading.point in events]
        due = bool(self._urgent) or len(self._pending) >= FLUSH_READINGS
        if due and not self._refusing:
            self.flush()
        elif self._pending or self._urgent:
            self._bound()
            patient = wait_s >= AGAIN_S and not self._refusing
            (self._said_again if patient else self._made).set()

    def flush(self) -> None:
        """Make batches of what is pending; what the disk refuses stays pending, within a bound."""
        before = self.stats.flushes
        try:
            while self._pending or self._urgent:
                self._flush_some()
            self._refusing = False
            self._at_once = KEPT_AT_ONCE_MAX
            if self.stats.flushes > before:
                self._takes()
        except OutboxRefused as error:
            self._refusing, self._at_once = True, max(FLUSH_READINGS, self._at_once // 2)
            self._refused(error)
            self._bound()
            self._made.set()

    def _flush_some(self) -> None:
        pending, urgent = self._pending[: self._at_once], self._urgent[: self._at_once]
        self.outbox.keep(
            pending,
            self.clock.now(),
            monotonic=self.clock.monotonic(),
            urgent=urgent,
            at_once=self._speaking is not None and self._speaking.may_send(),
        )
        del self._pending[: len(pending)], self._urgent[: len(urgent)]
        self.stats.flushes += 1
        self._wake.set()

    def _bound(self) -> None:
        """Let the oldest go of what memory may not hold."""
        for waiting in (self._pending, self._urgent):
            if excess := waiting[: max(0, len(waiting) - PENDING_READINGS_MAX)]:
                del waiting[: len(excess)]
                gone = Dropped(len(excess), excess[0].time, excess[-1].time)
                self.stats.overflowed = self.stats.overflowed.joined(gone)

    async def _flushing(self, made: asyncio.Event, within_s: float) -> None:
        while True:
            await made.wait()
            made.clear()
            await self._sleep(REFUSED_S if self._refusing else within_s)
            self.flush()

    async def _diagnosing(self) -> None:
        while True:
            await self._sleep(PERIOD_S)
            if self.connected:
                self.diagnose()

    def diagnose(self) -> None:
        """Say how it stands with outbox, lines and devices."""
        if not self.reports:
            return
        now = Now(self.clock.now(), self.clock.monotonic())
        try:
            backlog = self.outbox.backlog()
        except OutboxRefused as error:
            self._refused(error)
            return
        dropped = self.outbox.dropped.joined(self.stats.overflowed)
        said = chain(
            [self._diagnostics.beat(now)],
            self._diagnostics.of_outbox(backlog, dropped, now),
            self._diagnostics.of_lines(self.plant, self.pollers, now),
        )
        self.take(list(said))

    def _refused(self, error: Exception) -> None:
        self.stats.refused += 1
        if self._refused_at is None:
            self._refused_at = self.clock.monotonic()
            log.error("outbox of agent %s: %s", self.id, error)

    def _takes(self) -> None:
        """It has just taken all that waited: if it refused, that is over, which is said once."""
        if self._refused_at is None:
            return
        for_s, self._refused_at = self.clock.monotonic() - self._refused_at, None
        log.warning("outbox of agent %s takes readings again after %.1f s; lost since the start: %d", self.id, for_s, self.stats.overflowed.readings)  # fmt: skip

    # --- connections

    async def _connecting(self) -> None:
        attempts = 0
        while True:
            session = await self._one_connection()
            attempts = 0 if session is not None and session.answered else attempts + 1
            longest = min(BACKOFF_S_MAX, BACKOFF_S * 2.0 ** min(attempts, 10))
            await self._sleep(longest * self.rng.uniform(0.5, 1.0))

    async def _one_connection(self) -> Session | None:
        """The connection as a task of its own: in Python 3.11 a task group that ends with an error
        forgets that its task was cancelled meanwhile, and an agent asked to stop would go on.
        """
        task = asyncio.create_task(self._connection())
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        return task.result()

    async def _connection(self) -> Session | None:
        """One connection from its attempt to its end; None if the outbox would not number it."""
        session: Session | None = None
        try:
            session = self._session()
            async with self.connect(encode(session.state("lost"))) as publisher:
                self._back()
                self._deaf += 1
                self._speaking = session
                await session.run(publisher)
        except* LinkLost as lost:
            self._lost(_first(lost))
        except* OutboxRefused as refused:
            self._refused(_first(refused))
        finally:
            self._speaking = None
        self.connected = False
        if session is not None and session.answered:
            self._deaf = 0
        return session

    def _session(self) -> Session:
        return Session(
            agent=self.id,
            pace=self.pace,
            patience_s=min(DEAF_S_MAX, DEAF_S * 2.0 ** min(self._deaf, 10)),
            outbox=self.outbox,
            clock=self.clock,
            connection=self.outbox.connect(self.clock.now()),
            wake=self._wake,
            describe=self.birth,
            on_answer=self._answered,
            refused=self._refused,
            stats=self.session_stats,
            reload=self.reload,
            lines=self.lines,
        )

    def lines(self) -> dict[str, str]:
        """What is to be known of each line, in words."""
        now = self.clock.monotonic()
        return {f"line {poller.line_id}": poller.words(now) for poller in self.pollers}

    def birth(self, connection: int) -> Birth:
        """Who speaks on this connection; its table is the outbox's."""
        return Birth(
            contract=CONTRACT,
            connection=connection,
            epoch=self.outbox.epoch,
            version=self.version,
            plant_hash=self.plant.hash,
            points=[],
            profile_hashes=self._profile_hashes(),
            facts={point: fact for poller in self.pollers for point, fact in poller.facts.items()},
        )

    def _profile_hashes(self) -> dict[str, str]:
        """Of the profiles that this agent's devices have."""
        used = {device.profile for device in self.plant.devices_of(self.id)}
        return {name: hash for name, hash in self.plant.profile_hashes.items() if name in used}

    def _answered(self) -> None:
        """The collector is there: the next reading of every point is news, whatever its deadband."""
        self._news.restart()
        for poller in self.pollers:
            poller.tell_all()
        self.diagnose()

    def _back(self) -> None:
        self.connected = True
        if self._lost_at is not None:
            away_s = self.clock.monotonic() - self._lost_at
            log.warning("broker of agent %s is back after %.1f s", self.id, away_s)
            self._lost_at = None
        self._back_at = self.clock.monotonic()

    def _lost(self, error: Exception) -> None:
        if self._lost_at is None:
            log.warning("broker of agent %s is lost: %s", self.id, error)
            self._lost_at = self.clock.monotonic()
            lasted_s = self._lost_at - self._back_at
            self._brief = self._brief + 1 if lasted_s < BRIEF_S * self.pace else 0
            if self._brief == BRIEF_MAX:
                log.warning("agent %s loses each connection soon after it is made: the link is bad, or another agent runs under its name (a copied installation?)", self.id)  # fmt: skip

    async def _sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.monotonic() + seconds)


def _events(table: PointTable) -> Set[str]:
    return {point.id for point in table.live() if point.lane == "event"}


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """The first error of a group, however deep it lies."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(str(error))
