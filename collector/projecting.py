"""Moves the journal into the store with its own cursor: from memory when caught up, else from the journal."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from collector.columns import Columns, Joined
from collector.live import LiveTable
from collector.ports import JUMP, CountKey, Journal, StoreBatch, Unavailable
from config.clock import Clock
from edge.readings import Codes, Floats, Ints

T = TypeVar("T")
log = logging.getLogger("steward.projecting")

READINGS_AT_ONCE: Final = 200_000
MEMORY_BYTES_MAX: Final = 75_000_000
"""What may wait in memory for the store; what comes above it is read from the journal later."""
READING_BYTES: Final = 25
GROUP_BYTES: Final = 1_200
"""What a group takes beside its readings, measured."""
GIVEN_BYTES: Final = 250
"""What it takes for each agent, lane and hour that gave some."""
ENTRIES_AT_ONCE: Final = 2_000
LEAP_MS: Final = 10_000
"""No two starts are so near each other; 2^31 such leaps are there till the year 2650."""
LINGER_S: Final = 0.25
"""From one write of little to the next, so that a quiet plant does not write row by row."""
BACKOFF_S_MIN: Final = 0.5
BACKOFF_S_MAX: Final = 30.0


class Offload(Protocol):
    """Does blocking work beside the loop, or at once where nothing may leave it."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def inline(work: Callable[[], T]) -> T:
    """The offload of virtual time: at once."""
    return work()


class Sink(Protocol):
    """The two verbs of `ReadingStore` that projecting needs."""

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None: ...

    def cursor(self) -> int: ...


@dataclass(slots=True)
class ProjectingStats:
    """`stored` counts readings handed to the store, `refused` writes it did not take and reads the journal did not give."""

    stored: int = 0
    writes: int = 0
    refused: int = 0
    ok: bool = True
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the store keeps of joined readings; the rest of them need not wait with it."""

    series: Ints
    time: Ints
    value: Floats
    quality: Codes
    given: Counter[CountKey]

    def __len__(self) -> int:
        return len(self.series)


def _leap(end: int, now: int) -> int:
    """How far the journal leaps now (UTC ms) from its end: further than any that leapt before, whatever is put back."""
    return JUMP * max(1, now // LEAP_MS - end // JUMP)


def _stored(joined: Joined) -> _Stored:
    return _Stored(joined.series, joined.time, joined.value, joined.quality, joined.given)


@dataclass(frozen=True, slots=True)
class _Offer:
    before: int
    position: int
    readings: _Stored

    @property
    def bytes(self) -> int:
        given = len(self.readings.given)
        return GROUP_BYTES + READING_BYTES * len(self.readings) + GIVEN_BYTES * given


class Projecting:
    """Feeds `store` behind `journal`; `position` is the journal position that the store holds.

    `offer` is called by ingest with each durable group, in order; it never waits and keeps a bounded
    amount: what it cannot hold is read from the journal.
    """

    def __init__(
        self,
        journal: Journal,
        store: Sink,
        live: LiveTable,
        offload: Offload,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._store = store
        self._live = live
        self._offload = offload
        self._clock = clock
        self._waiting: deque[_Offer] = deque()
        self._held = self._held_bytes = 0
        self._columns: Columns | None = None
        self._news = asyncio.Event()
        self._little_at = float("-inf")
        """When a write of little began last (monotonic seconds)."""
        self._end = journal.last()
        """Where the journal ended before this life."""
        self._leap = 0
        """How far behind that it goes on."""
        self._asked = False
        self.position = 0
        self.stats = ProjectingStats()

    @property
    def lag(self) -> int:
        """Journal entries that the store does not hold yet."""
        return max(0, self._journal.last() - self.position) % JUMP

    @property
    def is_behind(self) -> bool:
        """Whether the journal goes on behind what the store holds."""
        return self.position < self._journal.last()

    def restore(self) -> int:
        """Learn from the store where to go on; returns that position. Raises `Unavailable`.

        A store that is ahead knew a journal which is gone: the whole journal is stored again then, which changes
        nothing that is stored. While it cannot be asked nothing is given a position that it may have seen.
        """
        try:
            position = self._store.cursor()
        except Unavailable:
            if not self._asked and self._journal.last() == self._end:  # nothing was taken yet
                self._leap = _leap(self._end, self._clock.now())
                self._journal.rise(self._end + self._leap)
            self._asked = True
            raise
        self._asked = True
        if position > max(self._end, self.position):
            self._begin_again(position)
            position = 0
        elif position == self._end:
            position += self._leap
        self.position = position  # only now: the journal lets go of what lies before it
        return position

    def _begin_again(self, ahead: int) -> None:
        self._journal.rise(ahead)  # first: a store that takes nothing stays ahead
        self._store.write([], 0)  # a kill before the first write must not leave it ahead
        log.warning("the store knows the journal up to position %d, and it ended at %d, as an older copy does: all that it has is stored once more", ahead, self._end)  # fmt: skip

    def offer(self, before: int, position: int, joined: Joined) -> None:
        """Take up the group that lies behind journal position `before` and ends at `position`."""
        if self._held_bytes < MEMORY_BYTES_MAX:
            offer = _Offer(before, position, _stored(joined))
            self._waiting.append(offer)
            self._held += len(offer.readings)
            self._held_bytes += offer.bytes
        self._news.set()

    async def run(self) -> None:
        """Store what the journal holds and what is offered, for ever."""
        await self._patiently(self.restore)
        if not self.lag:
            self._well()
        while True:
            if not self.is_behind:
                self._news.clear()
                await self._news.wait()
            await self._linger()
            await self.step()

    async def _linger(self) -> None:
        """What must be read from the journal has waited already."""
        until = self._little_at + LINGER_S
        while self._caught_up() and self._clock.monotonic() < until:
            await self._clock.sleep_until(self._clock.monotonic() + LINGER_S / 10)
        if self._caught_up():
            self._little_at = self._clock.monotonic()

    def _caught_up(self) -> bool:
        """Whether memory holds all that is to be stored, and little of it."""
        joins_on = bool(self._waiting) and self._waiting[0].before <= self.position
        return joins_on and self._held < READINGS_AT_ONCE

    async def _patiently(self, work: Callable[[], T]) -> T:
        """What it gives, however long the store or the journal cannot be reached."""
        backoff_s = BACKOFF_S_MIN
        while True:
            try:
                return await self._offload(work)
            except Unavailable as error:
                self._refused(error)
            await self._clock.sleep_until(self._clock.monotonic() + backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    async def drain(self) -> None:
        """Store everything that is journalled now: for an orderly end."""
        while self.is_behind:
            await self.step()

    async def step(self) -> None:
        """Store the next piece, from memory if it joins on to what is stored."""
        position, readings = self._from_memory()
        if readings:
            self._columns = None
        else:
            position, readings = await self._from_journal()
        if readings:
            await self._write(position, readings)
        else:  # the store's cursor stays where the journal has something: a start would take it for ahead
            self.position = max(self.position, position)
            self._well()

    def _from_memory(self) -> tuple[int, list[_Stored]]:
        position, found, size = self.position, [], 0
        while self._waiting and self._waiting[0].before <= position and size < READINGS_AT_ONCE:
            offer = self._waiting.popleft()
            self._held -= len(offer.readings)
            self._held_bytes -= offer.bytes
            if offer.position > position:
                position = offer.position
                size += len(offer.readings)
                found.append(offer.readings)
        return position, found

    async def _from_journal(self) -> tuple[int, list[_Stored]]:
        """The next piece of the journal; an empty one reaches its end (a file may have been set aside)."""
        if self._columns is None:
            births = await self._patiently(partial(self._journal.births, self.position))
            self._columns = Columns(self._live, births)
        last = self._journal.last()
        read = partial(self._journal.groups_from, self.position, ENTRIES_AT_ONCE)
        groups = await self._patiently(read)
        if not groups:
            return last, []
        return groups[-1][0], [_stored(self._columns.join(entries)) for _, entries in groups]

    async def _write(self, position: int, readings: list[_Stored]) -> None:
        batch = self._as_stored(readings)
        batches = [batch] if len(batch) else []
        await self._patiently(partial(self._store.write, batches, position))
        self._well()
        self.position = position
        self.stats.stored += len(batch)
        self.stats.writes += 1

    def _refused(self, error: Unavailable) -> None:
        if self.stats.ok:
            log.warning("readings do not reach the store, the journal keeps them: %s", error)
        self.stats.ok, self.stats.detail = False, str(error)
        self.stats.refused += 1

    def _well(self) -> None:
        if not self.stats.ok:
            log.info("readings reach the store again; %d journal entries to go", self.lag)
        self.stats.ok, self.stats.detail = True, ""

    def _as_stored(self, readings: list[_Stored]) -> StoreBatch:
        def column(name: str) -> Any:
            parts = [getattr(part, name) for part in readings]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)

        keys = self._live.series.keys
        if not readings:
            none = np.empty(0, np.int64)
            return StoreBatch(keys, none, none, none.astype(float), none.astype(np.uint8))
        given: Counter[CountKey] = Counter()
        for part in readings:
            given.update(part.given)
        return StoreBatch(
            keys, column("series"), column("time"), column("value"), column("quality"), given
        )
