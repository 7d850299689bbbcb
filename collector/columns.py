"""Batches to columns: one pass of numpy over everything that a journal group holds."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from collector.counting import given_by
from collector.decoding import Decoded, Decoder
from collector.groups import Group
from collector.live import LiveTable
from collector.ports import CountKey, Entry, SeriesKey
from edge.readings import (
    BAD,
    QUALITIES,
    Birth,
    Codes,
    Floats,
    Ints,
    Malformed,
    decode,
)

log = logging.getLogger("steward.columns")

SUSPECT: Final = QUALITIES["clock_suspect"]
CORRECTED_MS: Final = 60_000
"""A clock error above this is taken out of the source time."""
AHEAD_MS: Final = 24 * 3_600_000
YEAR_2000_MS: Final = 946_684_800_000


@dataclass(frozen=True, slots=True)
class Table:
    """Where the rows of one birth stand in the columns of all births."""

    agent: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Joined:
    """Columns of one group before it has a position, and what was set aside on the way."""

    row: Ints
    series: Ints
    time: Ints
    value: Floats
    quality: Codes
    live: npt.NDArray[np.bool_]
    agent: Ints
    agents: tuple[str, ...]
    aside: list[Entry]
    corrected: int = 0
    """Readings whose time was corrected or replaced."""
    given: Counter[CountKey] = field(default_factory=Counter)
    """How many are of each agent, lane and hour."""

    def __len__(self) -> int:
        return len(self.row)

    def with_more(self, other: "Joined") -> "Joined":
        """These columns and those of entries that stand behind them, as one join of all would give them."""
        both = [np.concatenate(pair) for pair in zip(self.columns(), other.columns(), strict=True)]
        row, series, time, value, quality, live, agent = both
        return Joined(
            row, series, time, value, quality, live, agent, other.agents,
            [*self.aside, *other.aside], self.corrected + other.corrected, self.given + other.given,
        )  # fmt: skip

    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """All of equal length, in the order of the fields."""
        return self.row, self.series, self.time, self.value, self.quality, self.live, self.agent

    def group(self, position: int, received: int) -> Group:
        """The group as it stands in the journal."""
        return Group(
            position, received, self.row, self.time, self.value, self.quality, self.live,
            self.agent, self.agents,
        )  # fmt: skip


@dataclass(slots=True)
class _Pile:
    """What of each batch is needed once per batch."""

    batches: list[Decoded] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


class Columns:
    """Joins the batches of journal entries, using the births that came before them.

    The same entries in the same order give the same columns. Two of them may share
    `live` (one for what arrives, one for what is read again). A point that the plant gives to one
    agent is not taken from another.
    """

    def __init__(self, live: LiveTable, births: Iterable[Entry] = ()) -> None:
        self._live = live
        self._decoder = Decoder()
        self._tables: dict[tuple[str, str, str], Table] = {}
        self._agents: dict[str, int] = {}
        self._unborn: set[tuple[str, str, str]] = set()
        self._names: tuple[str, ...] = ()
        self._rows = np.empty(0, np.int64)
        self._numbers = np.empty(0, np.int64)
        self._retired = np.empty(0, np.bool_)
        self._end = 0
        for entry in births:
            self.born(entry)

    @property
    def rows_held(self) -> int:
        """Rows of the tables of all births."""
        return self._end

    def born(self, entry: Entry) -> None:
        """Take up a birth. One that cannot be read is left out: it was set aside when it came.

        A table that is already known, as after a birth that only tells other facts, takes no room.
        """
        try:
            birth = decode(entry.payload, Birth)
        except Malformed:
            return
        rows, numbers, retired = self._table_of(entry, birth)
        name = (entry.site, entry.agent, entry.epoch)
        known = self._tables.get(name)
        if known is not None and known.size == len(rows):
            at = slice(known.offset, known.offset + known.size)
            held = zip(
                (rows, numbers, retired), (self._rows, self._numbers, self._retired), strict=True
            )
            if all(np.array_equal(new, all_of[at]) for new, all_of in held):
                return
        offset = self._make_room(len(rows))
        at = slice(offset, self._end)
        self._rows[at], self._numbers[at], self._retired[at] = rows, numbers, retired
        agent = self._agent(f"{entry.site}/{entry.agent}")
        self._tables[name] = Table(agent, offset, len(rows))

    def _table_of(self, entry: Entry, birth: Birth) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
        """By index: the row of the point (-1: not the agent's), the number of its series, if retired."""
        size = 1 + max((row.index for row in birth.points), default=-1)
        rows, numbers = np.full(size, -1, np.int64), np.zeros(size, np.int64)
        retired = np.zeros(size, np.bool_)
        for point in birth.points:
            if self._live.owners.get((entry.site, point.point), entry.agent) != entry.agent:
                continue
            key = SeriesKey(entry.site, point.point, point.unit, point.kind)
            rows[point.index] = self._live.row(entry.site, point.point)
            numbers[point.index] = self._live.series.number(key)
            retired[point.index] = point.retired
        return rows, numbers, retired

    def join(self, entries: Sequence[Entry], batches: Sequence[Decoded] | None = None) -> Joined:
        """Columns of all batches among the entries, in order of arrival.

        `batches` are those of the entries of kind `batch`, in order, if they are decoded already. One that
        cannot be decoded, and should not be in a journal, is left out and said.
        """
        known: Iterator[Decoded | Malformed] = iter(
            self._decoder.decode([e.payload for e in entries if e.kind == "batch"])
            if batches is None
            else batches
        )
        pile = _Pile()
        for entry in entries:
            if entry.kind == "birth":
                self.born(entry)
            elif entry.kind == "batch":
                batch = next(known)
                table = self._tables.get((entry.site, entry.agent, entry.epoch))
                if isinstance(batch, Malformed):
                    log.error("batch %d of %s/%s, lane %s, came out of the journal unreadable and is lost: %s", entry.seq, entry.site, entry.agent, entry.lane, batch)  # fmt: skip
                elif table is None:
                    self._say_unborn(entry)
                else:
                    pile.batches.append(batch)
                    pile.entries.append(entry)
                    pile.tables.append(table)
        return self._joined(pile)

    def _say_unborn(self, entry: Entry) -> None:
        """Once for each epoch: nothing is journalled before its birth, so the journal has lost that."""
        name = (entry.site, entry.agent, entry.epoch)
        if name not in self._unborn:
            self._unborn.add(name)
            log.error("readings of %s/%s do not reach the store or the alarms from batch %d on: the birth that names their points is lost from the journal; they do again once the agent has told it anew, as when it is restarted", entry.site, entry.agent, entry.seq)  # fmt: skip

    def _joined(self, pile: _Pile) -> Joined:
        lengths = np.fromiter((b.size for b in pile.batches), np.int64, len(pile.batches))

        def spread(numbers: Iterable[int]) -> Ints:
            each = np.fromiter(numbers, np.int64, len(lengths))
            return np.repeat(each, lengths)

        index = _column(b.index for b in pile.batches)
        total = len(index)
        time = spread(b.t for b in pile.batches) + _column(b.offset for b in pile.batches)
        value = _column(b.value for b in pile.batches).view(np.float64)
        quality = _column(b.quality for b in pile.batches).astype(np.uint8)
        unknown = (index < 0) | (index >= spread(t.size for t in pile.tables))
        if unknown.any():
            index[unknown] = 0
        at = index + spread(t.offset for t in pile.tables)
        row = self._rows[at] if total else index
        corrected = _correct(pile, lengths, time, quality)
        value[quality >= BAD] = np.nan
        reasons = {
            "unknown_index": unknown,
            "not_its_point": row < 0,
            "retired_index": self._retired[at] if total else unknown,
            "not_finite": (quality < BAD) & ~np.isfinite(value),
        }
        keep, aside = _judge(pile, lengths, reasons)
        live = spread(e.lane != "backfill" for e in pile.entries).astype(np.bool_)
        agent = spread(t.agent for t in pile.tables)
        series = self._numbers[at] if total else index
        columns = (row, series, time, value, quality, live, agent)
        if keep is not None:
            columns = tuple(c[keep] for c in columns)  # type: ignore[assignment]  # the same columns, shorter
        given = given_by(zip(pile.entries, (b.size for b in pile.batches), strict=True), aside)
        return Joined(*columns, agents=self._names, aside=aside, corrected=corrected, given=given)

    def _agent(self, name: str) -> int:
        if name not in self._agents:
            self._agents[name] = len(self._agents)
            self._names = tuple(self._agents)
        return self._agents[name]

    def _make_room(self, size: int) -> int:
        offset, self._end = self._end, self._end + size
        if self._end > len(self._rows):
            more = max(self._end, 2 * len(self._rows)) - len(self._rows)
            self._rows = np.concatenate([self._rows, np.full(more, -1, np.int64)])
            self._numbers = np.concatenate([self._numbers, np.zeros(more, np.int64)])
            self._retired = np.concatenate([self._retired, np.zeros(more, np.bool_)])
        return offset


def _column(parts: Iterable[bytes]) -> Ints:
    """Columns behind each other, one's own to change."""
    return np.frombuffer(bytearray().join(parts), np.int64)


def _correct(pile: _Pile, lengths: Ints, time: Ints, quality: Codes) -> int:
    """Take clock errors out of the times, in place; returns how many times were changed."""
    count = len(lengths)
    error = np.fromiter((e.clock_error for e in pile.entries), np.int64, count)
    received = np.repeat(np.fromiter((e.received for e in pile.entries), np.int64, count), lengths)
    suspect = np.zeros(len(time), np.bool_)
    wrong = np.abs(error) > CORRECTED_MS
    if wrong.any():
        suspect |= np.repeat(wrong, lengths)
        time -= np.repeat(np.where(wrong, error, 0), lengths)
    absurd = (time > received + AHEAD_MS) | (time < YEAR_2000_MS)
    if absurd.any():
        suspect |= absurd
        time[absurd] = received[absurd]
    quality[suspect & (quality == 0)] = SUSPECT
    return int(suspect.sum())


def _judge(
    pile: _Pile, lengths: Ints, reasons: dict[str, npt.NDArray[np.bool_]]
) -> tuple[npt.NDArray[np.bool_] | None, list[Entry]]:
    """Which readings stay (None: all), and an entry for those of each batch that do not."""
    if not any(mask.any() for mask in reasons.values()):
        return None, []
    gone = np.zeros(int(lengths.sum()), np.bool_)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    aside = []
    for reason, mask in reasons.items():
        counts = np.bincount(owner[mask & ~gone], minlength=len(lengths))
        for number in np.flatnonzero(counts).tolist():
            aside.append(_aside(pile.entries[number], int(counts[number]), reason))
        gone |= mask
    return ~gone, aside


def _aside(entry: Entry, readings: int, reason: str) -> Entry:
    return Entry(
        entry.received, "aside", entry.site, entry.agent, entry.lane, entry.epoch,
        readings=readings, reason=reason,
    )  # fmt: skip
