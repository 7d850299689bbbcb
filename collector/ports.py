"""What the collector needs from outside, and what it shows to those above: small ports."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from collector.domain.alarms import Condition
from edge.readings import Codes, Floats, Ints, Lane

# --- broker ------------------------------------------------------------------------------------


class Message(msgspec.Struct, frozen=True):
    """One message as it arrived. `received` is the collector's clock, UTC ms."""

    topic: str
    payload: bytes
    received: int


class BatchSource(Protocol):
    """The broker as the collector sees it."""

    def batches(self) -> AsyncIterator[list[Message]]:
        """Lists of whatever arrived since the last list; never an empty one. Ends on close.

        Reconnects for ever by itself; an empty topic `""` message marks a (new) connection.
        Messages on `…/event` come in lists of their own, ahead of others that wait.
        """
        ...

    def waiting(self) -> Sequence[Message]:
        """What the next list would hold if it were taken now; it stays where it is."""
        ...

    async def commit(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Publish a `committed` or a `request`. Dropped when there is no connection: it is repeated."""
        ...

    async def close(self) -> None:
        """Give the connection back; may be called twice."""
        ...


# --- journal -----------------------------------------------------------------------------------

EntryKind = Literal["batch", "birth", "missing", "aside"]


class Entry(msgspec.Struct, frozen=True):
    """One journalled thing.

    `batch` and `birth` keep their payload as received; `missing` says that the numbers `seq` to
    `until` of a lane will never come; `aside` keeps a payload that cannot be right, with `reason`.
    `clock_error` is the agent's clock error in ms when it was accepted (edge minus collector).
    """

    received: int
    kind: EntryKind
    site: str
    agent: str
    lane: Lane | Literal[""] = ""
    epoch: str = ""
    seq: int = 0
    until: int = 0
    payload: bytes = b""
    clock_error: int = 0
    reason: str = ""
    readings: int = 0


MarkKey = tuple[str, str, str, str]
"""site, agent, epoch, lane"""
CountKey = tuple[str, str, str, int]
"""site, agent, lane, hour (UTC ms of its start, by receive time)"""


JUMP: Final = 1 << 32
"""So far a journal's positions leap over those that a reader may have seen of a lost part: how many entries lie
between two positions is their difference modulo this."""


class Journal(Protocol):
    """The durable log of what was accepted. Positions start at 1 and only grow."""

    def append(self, entries: Sequence[Entry]) -> int:
        """Keep a group of entries in one transaction; durable on return. Returns the last position.

        Raises `Unavailable` when the disk does not take it: nothing of the group is kept then.
        """
        ...

    def read_from(self, position: int, limit: int) -> list[tuple[int, Entry]]:
        """Entries behind `position`, at most `limit`, in order."""
        ...

    def groups_from(self, position: int, limit: int) -> list[tuple[int, list[Entry]]]:
        """Whole groups behind `position` as they were appended, each with its last position.

        As many as hold `limit` entries together, at least one if there is one.
        """
        ...

    def last(self) -> int:
        """Position of the last entry (0: none yet)."""
        ...

    def rise(self, position: int) -> None:
        """Give no position up to this one any more: a reader's cursor is ahead of a restored journal."""
        ...

    def births(self, position: int | None = None) -> list[Entry]:
        """The newest birth of every known epoch as of `position` (now if None), also after trimming."""
        ...

    def marks(self) -> Mapping[MarkKey, int]:
        """Highest contiguous number journalled, per site, agent, epoch and lane."""
        ...

    def trim(self, position: int) -> None:
        """Entries up to `position` may go; counts per hour and lane are kept."""
        ...

    def close(self) -> None:
        """Release the files; may be called twice."""
        ...


class Saved(Protocol):
    """Where a collector keeps what it, or its heir, would else learn anew from the whole journal. Calls block."""

    def load(self, name: str) -> bytes | None:
        """What was saved last under this name, None if nothing ever was. Raises `Unavailable`."""
        ...

    def save(self, name: str, content: bytes) -> None:
        """Put it in place of that, whole or not at all; durable on return. Raises `Unavailable` or `OSError`."""
        ...

    def where(self, name: str) -> str:
        """What to call it to people."""
        ...


# --- sharing -----------------------------------------------------------------------------------


class Leases(Protocol):
    """Which of several collectors has a site: each at most one at a time, as far as clocks can say.

    A lease is kept from when it is taken, also while the loop that took it is busy; without its keeper
    it ends by itself after `lasts_s`, real seconds. What must never be done twice does not rely on it.
    """

    lasts_s: float

    async def taken(self, site: str) -> None:
        """Return when the site's lease is ours, however long that takes."""
        ...

    async def lost(self, site: str) -> None:
        """Return when it is no longer ours, or nobody could be asked for as long as it lasts."""
        ...

    def found(self, site: str) -> str:
        """Why a lease that is waited for is not ours, in words, as far as was found last; "" before anything was."""
        ...

    def holds(self, site: str) -> bool:
        """Whether it is ours and has not run out by this machine's clock: true to the moment, also right after a stop."""
        ...

    async def give_back(self, site: str) -> None:
        """Let another have it at once; nothing if it is not ours."""
        ...

    async def close(self) -> None:
        """End without giving anything back; may be called twice."""
        ...


class Unavailable(Exception):
    """Something needed cannot be reached now; wait and try again."""


class TakenOver(Unavailable):
    """Another collector has it now: nothing of ours is taken any more, whatever is tried."""


# --- store -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What a series is: one point with one unit and kind, for ever."""

    site: str
    point: str
    unit: str
    kind: str


@dataclass(frozen=True, slots=True)
class StoreBatch:
    """Columns of equal length: `key` indexes `keys`; time UTC ms; NaN value = no value.

    `arrival` numbers readings in order of arrival: of equal (key, time) the highest stays. `given` says how many
    of them each agent, lane and hour of the journal gave; what it leaves out nobody asks after.
    """

    keys: Sequence[SeriesKey]
    key: Ints
    time: Ints
    value: Floats
    quality: Codes
    given: Mapping[CountKey, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.key)


class Quarantined(NamedTuple):
    """A reading that a store will never take: where it belongs, its time (UTC ms) and what it says, in the store's words; why."""

    site: str
    place: str
    time: str
    said: str
    reason: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Raw readings of one point, by time: UTC ms, value (NaN = none), quality."""

    time: Ints
    value: Floats
    quality: Codes


@dataclass(frozen=True, slots=True)
class Buckets:
    """One point in buckets; only buckets that hold a reading. `time` is the bucket's start, UTC ms.

    min, max, mean, first, last over readings with a value (NaN where there is none); `count` of all
    readings; `worst` quality code. mean is of values, not time-weighted. `width_ms` is wider than was
    asked where readings are gone and only their roll-ups are left.
    """

    time: Ints
    min: Floats
    max: Floats
    mean: Floats
    first: Floats
    last: Floats
    count: Ints
    worst: Codes
    width_ms: int


Kind = Literal["raw", "minute", "hour"]
"""What a store keeps: readings, and their roll-ups of minutes and hours."""


class ReadingStore(Protocol):
    """Where readings are kept for history. Calls block: run them beside the loop.

    Points are named (site, `asset/point`). Repeats of (series, source time) are absorbed: the last
    arrival stays.
    """

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        """Keep these and the journal position they reach, together. May be repeated.

        Raises `Unavailable`: nothing was kept, or (InfluxDB) a repeat will absorb what was.
        """
        ...

    def cursor(self) -> int:
        """Journal position up to which everything is stored (0: nothing)."""
        ...

    def taken(self) -> int | None:
        """Readings of all writes that moved the cursor, also those that replaced others or are gone.

        What a store refuses for ever is not among them. None: an older version wrote here and did not count.
        """
        ...

    def given(self) -> Mapping[CountKey, int]:
        """These, and what was refused, by who gave them (`StoreBatch.given`), since that is kept."""
        ...

    def latest(self, site: str, points: Sequence[str]) -> Mapping[str, tuple[int, float, int]]:
        """Last reading by source time: (UTC ms, value, quality) per point that has one."""
        ...

    def raw(self, site: str, point: str, start: int, end: int) -> Raw:
        """Readings with start ≤ time < end; empty when unknown."""
        ...

    def buckets(self, site: str, point: str, start: int, end: int, width_ms: int) -> Buckets:
        """The same span in buckets aligned to multiples of `width_ms` since 1970 UTC.

        Where the span begins before the readings that are kept, it is widened to whole minutes or
        hours, and the width to a multiple of them.
        """
        ...

    def delete_before(self, time: int, kind: Kind = "raw") -> None:
        """Retention: drop readings, or roll-ups that begin, before `time` (UTC ms); later ones too.

        Buckets of readings that are gone come from the roll-ups that are kept.
        """
        ...

    def kept_from(self) -> int:
        """Readings are kept from then on (UTC ms), earlier ones are gone: where retention cut last."""
        ...

    def newest(self) -> int | None:
        """Time of the newest reading that is kept, UTC ms; None where there is none."""
        ...

    def count(self) -> int:
        """Readings kept, repeats counted once."""
        ...

    def lost(self) -> int:
        """At most so many readings went with files that are gone; 0 where a store cannot tell."""
        ...

    def close(self) -> None:
        """Release files or connections; may be called twice."""
        ...


# --- live --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """All points that changed after a mark, one array per column.

    `mark` is given back to `changes_since` to go on. Times UTC ms, NaN value = none, time 0 = never.
    """

    mark: int
    points: Sequence[str]
    value: Floats
    quality: Codes
    source_time: Ints
    receive_time: Ints
    change: Ints


@dataclass(frozen=True, slots=True)
class RuleNow:
    """How a rule stands now. `since` (UTC ms) is when the condition began; `letter` is ISA A..G."""

    rule: str
    asset: str
    condition: Condition
    since: int
    letter: str
    alarm: str = ""
    """Id of the open occurrence, if any."""


class LiveView(Protocol):
    """The live table as those above see it. Point ids are `asset/point`; a table holds one or more sites."""

    def snapshot(self, site: str) -> LiveSnapshot:
        """Every point of the site."""
        ...

    def changes_since(self, site: str, mark: int) -> LiveSnapshot:
        """Points whose last change came after `mark`; a mark from another life gives everything."""
        ...

    def conditions(self, site: str) -> Mapping[str, RuleNow]:
        """Rule id to how it stands."""
        ...


# --- ledger ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One decision, appended for ever. `seq` is given by the ledger (0 before).

    `stream` is `alarm` or `occurrence`; `subject` the alarm's or occurrence's id; `at` the instant of
    the rule or of the person, UTC ms. `key` is the natural key: the same key is written once.
    """

    stream: Literal["alarm", "occurrence"]
    site: str
    subject: str
    kind: str
    at: int
    key: str
    by: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    schema: int = 1
    seq: int = 0


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """The current row of one alarm or occurrence: a fold of its events.

    `rule` rows are how a rule stands, kept by alarming for its own restart; `meter` rows (by plan)
    are a running meter up to where no late reading can come any more, kept by planning. `course` rows
    (by point) are as much of a watched point, kept by trending, and `trend` rows are what it says of
    it: open where work is suggested.
    """

    stream: Literal["alarm", "occurrence", "rule", "meter", "course", "trend"]
    site: str
    id: str
    open: bool
    data: Mapping[str, Any]


class Decisions(Protocol):
    """Alarms and occurrences: events and their current rows in one place, one transaction."""

    def append(
        self,
        events: Sequence[LedgerEvent],
        rows: Sequence[LedgerRow],
        cursors: Mapping[str, int] | None = None,
        *,
        only_if: Mapping[str, int] | None = None,
    ) -> None:
        """Keep events (those whose key is known already are left out), rows and named cursors at once.

        Raises `Unavailable`, and `TakenOver` where the cursors of `only_if` do not stand so: nothing is kept then.
        """
        ...

    def since(self, seq: int, limit: int = 1000) -> list[LedgerEvent]:
        """Events behind `seq`, in order."""
        ...

    def rows(
        self, stream: str, site: str | None = None, *, open_only: bool = False, limit: int = 100_000
    ) -> list[LedgerRow]:
        """Current rows, newest first."""
        ...

    def row(self, stream: str, site: str, id: str) -> LedgerRow | None:
        """One current row."""
        ...

    def history(self, stream: str, site: str, subject: str) -> list[LedgerEvent]:
        """All events of one subject, in order."""
        ...

    def cursor(self, name: str) -> int:
        """A named cursor, 0 if never written."""
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """What a person wants of an alarm or a plan. `id` is chosen by the asker and makes it repeatable.

    Kinds: `acknowledge`, `reset` (subject: alarm id), `done` (subject: occurrence id; data may hold
    `done_at`, UTC ms), `reading` (subject: point; data `value`), `serviced` (subject: asset; data may
    hold `at`, UTC ms).
    """

    id: str
    site: str
    kind: str
    subject: str
    by: str
    at: int
    data: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an ask: accepted, or refused with a reason's name."""

    ask: str
    accepted: bool
    reason: str
    at: int


class Asks(Protocol):
    """What people want, in order; written by the API, read by alarming and planning."""

    def ask(self, ask: Ask) -> int:
        """Keep it once per id; returns its seq (the earlier one's on a repeat). Raises `Unavailable`."""
        ...

    def since(self, seq: int, kinds: Sequence[str], limit: int = 1000) -> list[Ask]:
        """Asks of these kinds behind `seq`, in order."""
        ...

    def settle(self, outcome: Outcome) -> None:
        """Keep the outcome, once."""
        ...

    def outcome(self, ask_id: str) -> Outcome | None:
        """What came of it, None while it waits."""
        ...
