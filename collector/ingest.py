"""One loop, one pass: what arrived is decided, journalled, shown, judged, and only then committed."""

import asyncio
import gc
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from collector.columns import Columns, Joined
from collector.groups import Group
from collector.live import TABLE, LiveTable
from collector.ports import BatchSource, Entry, Journal, Message, Saved, TakenOver, Unavailable
from collector.projecting import BACKOFF_S_MAX, BACKOFF_S_MIN, Offload, Projecting, inline
from collector.receiving import Receiving
from collector.scoring import Scoring
from config.clock import Clock
from config.plant import Plant
from edge.readings import Reply

log = logging.getLogger("steward.ingest")

ENTRIES_AT_ONCE: Final = 2_000
QUARANTINE_SHOWN_MAX: Final = 500
SCORES: Final = "scores"


def spare_garbage_collection() -> None:
    """For the process that runs ingest: look for cycles seldom.

    Decoded batches are lists of numbers by the ten thousand and never cyclic; looking through them
    took a fifth of the pass. Call once at the start of a process; collection itself stays on.
    """
    gc.set_threshold(100_000, 20, 100)


class Judge(Protocol):
    """What looks at each group in the same pass: alarming. Its calls do not wait for anything."""

    @property
    def position(self) -> int:
        """Journal position up to which its decisions are durable."""
        ...

    def recall(self) -> None:
        """Called once, when the live table is restored and before the first group is applied to it."""
        ...

    def judge(self, group: Group) -> None:
        """Let the timers act that are due by its receive time, then decide about the group.

        The live table has it already.
        """
        ...

    def flush(self) -> None:
        """Make decisions durable. Raises `Unavailable`: they are kept and tried again."""
        ...


@dataclass(slots=True)
class IngestStats:
    """Counted since the start. `corrected` are readings whose time was changed."""

    messages: int = 0
    groups: int = 0
    readings: int = 0
    set_aside: int = 0
    corrected: int = 0
    late: int = 0
    replayed: int = 0
    journal_refused: int = 0
    judge_refused: int = 0
    journal_ok: bool = True
    judges_ok: bool = True
    detail: str = ""


@dataclass(slots=True)
class Ingest:
    """Call `restore` once, then `run`. Needs one `Receiving` of its own.

    `saved` keeps the table, and what the detectors have learnt.
    """

    source: BatchSource
    journal: Journal
    live: LiveTable
    judges: Sequence[Judge]
    plants: Sequence[Plant]
    clock: Clock
    projecting: Projecting | None = None
    offload: Offload = inline
    saved: Saved | None = None
    save_every_s: float = 60.0
    replied: Callable[[str, str, Reply], None] = lambda site, agent, reply: None
    """Told each reply of an agent: site, agent, reply."""
    stats: IngestStats = field(default_factory=IngestStats)
    quarantine: deque[Entry] = field(default_factory=lambda: deque(maxlen=QUARANTINE_SHOWN_MAX))
    """The newest that was set aside since the start; the journal has all of it."""
    receiving: Receiving = field(init=False)
    scoring: Scoring = field(init=False)
    _columns: Columns = field(init=False)
    _position: int = field(init=False, default=0)
    _saved_position: int = field(init=False, default=0)
    _saved_scores: int = field(init=False, default=0)
    _save_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.receiving = Receiving(self.plants, self.clock)
        self.scoring = Scoring(self.plants, self.live)
        self._columns = Columns(self.live)

    # --- start ---------------------------------------------------------------------------------

    def restore(self) -> None:
        """Bring live table and judges to the journal's end, with the times that were recorded.

        The judges have restored themselves before.
        """
        shown = self._restore_live()
        scored = self._restore_scores(shown)
        self._saved_position, self._saved_scores = min(shown, scored), scored
        self.journal.rise(max([shown, scored, self._stored(), *(j.position for j in self.judges)]))
        start = min([shown, scored, *(j.position for j in self.judges)])
        self._columns = Columns(self.live, self.journal.births(start))
        for judge in self.judges:
            judge.recall()
        self._replay(start, shown)
        self.receiving.restore(self.journal)
        self._position = self.journal.last()
        self._trim(self._read_by_all())
        self._save_at = self.clock.monotonic() + self.save_every_s

    def _restore_live(self) -> int:
        """Where the table stands; a file that cannot be read is named, and the next save writes over it."""
        content = self.saved.load(TABLE) if self.saved else None
        if self.saved is None or content is None:
            return 0
        shown = self.live.restore(content)
        if shown is None:
            log.warning("%s is spoilt: this start takes longer, and points that were last read before the journal begins show nothing until they are read again; nothing that is stored is lost", self.saved.where(TABLE))  # fmt: skip
        return shown or 0

    def _restore_scores(self, shown: int) -> int:
        """Where the detectors stand; where there are none they wait for nothing."""
        content = self.saved.load(SCORES) if self.saved else None
        scored = self.scoring.restore(content or b"", self.journal)
        return scored if len(self.scoring) else shown

    def _stored(self) -> int:
        if self.projecting is None:
            return 0
        try:
            return self.projecting.restore()
        except Unavailable as error:
            log.warning("the store cannot be asked where it stands: %s", error)
            return 0

    def _replay(self, position: int, shown: int) -> None:
        judged = {id(judge): judge.position for judge in self.judges}
        scored = self.scoring.position
        while groups := self.journal.groups_from(position, ENTRIES_AT_ONCE):
            for position, entries in groups:
                joined = self._columns.join(entries)
                group = joined.group(position, entries[-1].received)
                self.stats.replayed += len(group)
                if position > shown:
                    self.live.apply(group)
                if position > scored:
                    self.scoring.replayed(group, urgent=_are_urgent(entries))
                for judge in self.judges:
                    if position > judged[id(judge)]:
                        judge.judge(group)
        self._flush()

    # --- running -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take what arrives until the source is closed. Raises `TakenOver` when the journal or the ledger is not ours any more."""
        async for messages in self.source.batches():
            await self.take(messages)

    async def take(self, messages: Sequence[Message]) -> None:
        """One pass over one list of messages, from bytes to `committed`."""
        taken = self.receiving.take(messages)
        self.stats.messages += len(messages)
        if taken.entries:
            joined = self._columns.join(taken.entries, taken.batches)
            entries = [*taken.entries, *joined.aside] if joined.aside else taken.entries
            joined, entries = self._with_scores(joined, entries)
            self.quarantine.extend(entry for entry in entries if entry.kind == "aside")
            before, self._position = self._position, await self._journalled(entries)
            self.scoring.at(self._position)
            self._show(joined, entries[-1].received)
            if self.projecting is not None:
                self.projecting.offer(before, self._position, joined)
        for topic, payload, retain in taken.replies:
            await self.source.commit(topic, payload, retain=retain)
        for site, agent, reply in taken.told:
            self.replied(site, agent, reply)
        if self.clock.monotonic() >= self._save_at:
            await self.save()

    async def save(self) -> None:
        """Save the live table and let go of the part of the journal that everybody has read."""
        self._save_at = self.clock.monotonic() + self.save_every_s
        if self.saved is not None:
            content, position = self.live.dump(), self.live.position
            scores, scored = self.scoring.dump(), self.scoring.position
            try:
                await self.offload(partial(self.saved.save, TABLE, content))
                if len(self.scoring) and scores is not None:
                    await self.offload(partial(self.saved.save, SCORES, scores))
                    self._saved_scores = scored
                self._saved_position = min(position, self._saved_scores) if len(self.scoring) else position  # fmt: skip
            except (OSError, Unavailable) as error:
                log.warning("the live table cannot be saved, a start will take longer: %s", error)
        await self.offload(partial(self._trim, self._read_by_all()))

    # --- inside --------------------------------------------------------------------------------

    def _trim(self, position: int) -> None:
        try:
            self.journal.trim(position)
        except (OSError, Unavailable) as error:
            log.warning("the journal cannot let go of what all have read: %s", error)

    def _with_scores(self, joined: Joined, entries: list[Entry]) -> tuple[Joined, list[Entry]]:
        """The group with the scores that its readings make: journalled with them, and stored and judged as they are."""
        group = joined.group(self._position, entries[-1].received)
        made = self.scoring.take(group, urgent=_are_urgent(entries))
        if not made:
            return joined, entries
        return joined.with_more(self._columns.join(made)), [*entries, *made]

    async def _journalled(self, entries: Sequence[Entry]) -> int:
        """Append, however long it takes: nothing is committed and nothing taken meanwhile. Raises `TakenOver`."""
        backoff_s = BACKOFF_S_MIN
        while True:
            try:
                appending = asyncio.ensure_future(
                    self.offload(partial(self.journal.append, entries))
                )
                try:
                    await asyncio.sleep(0)  # the disk is at work from here on
                    self.receiving.look_ahead(self.source.waiting())
                    position: int = await appending
                except BaseException:
                    appending.cancel()  # or it would begin when nobody waits for it; in a thread it ends what it has begun
                    raise
            except TakenOver:
                raise
            except Unavailable as error:
                self._journal_refused(error)
            else:
                if not self.stats.journal_ok:
                    log.warning("the journal takes readings again")
                    self.stats.journal_ok, self.stats.detail = True, ""
                return position
            await self.clock.sleep_until(self.clock.monotonic() + backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    def _journal_refused(self, error: Unavailable) -> None:
        self.stats.journal_refused += 1
        if self.stats.journal_ok:
            log.error("nothing is committed until the journal can be written: %s", error)
        self.stats.journal_ok, self.stats.detail = False, str(error)

    def _show(self, joined: Joined, received: int) -> None:
        group = joined.group(self._position, received)
        self.stats.groups += 1
        self.stats.readings += len(group)
        self.stats.set_aside += sum(entry.readings for entry in joined.aside)
        self.stats.corrected += joined.corrected
        newest = self.live.apply(group)
        self.stats.late += int(group.live.sum()) - int(newest.sum())
        for judge in self.judges:
            judge.judge(group)
        self._flush()

    def _flush(self) -> None:
        try:
            for judge in self.judges:
                judge.flush()
        except TakenOver:
            raise
        except Unavailable as error:
            self.stats.judge_refused += 1
            if self.stats.judges_ok:
                log.error("decisions wait for the ledger: %s", error)
            self.stats.judges_ok = False
        else:
            self.stats.judges_ok = True

    def _read_by_all(self) -> int:
        readers = [judge.position for judge in self.judges]
        if self.projecting is not None:
            readers.append(self.projecting.position)
        if self.saved is not None:
            readers.append(self._saved_position)
        return min(readers, default=0)


def _are_urgent(entries: Sequence[Entry]) -> bool:
    """Whether they are a list of events: it says the same of what was journalled, which has no score beside them then."""
    return all(entry.lane == "event" for entry in entries if entry.kind == "batch")
