"""The agent's disk queue: every batch that the collector has not committed yet, safe against kills and rollbacks."""

import logging
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from config.plant import Point
from edge.ageing import YOUNG_MS, Ages, next_run
from edge.batches import Outgoing, columns_of, cut, payload_of
from edge.outbox_file import OutboxFile, OutboxRefused
from edge.point_table import PointTable, grown
from edge.ports import PointReading
from edge.readings import LANES, WINDOW, Committed, Lane, PointRow

log = logging.getLogger(__name__)
T = TypeVar("T")

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
THINNED_TO: Final = 0.98
"""How full an outbox still is when thinning has ended."""
ROW_BYTES: Final = 64
"""What a batch takes on disk beside its columns."""


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """What the outbox may hold: beyond it the oldest that is neither numbered nor urgent goes.

    `mb_max` holds the seven days of 200 points that all change every 10 s, to the last digit of a
    float (28 bytes each). `days_max` are days of work: a clock that is set, or a time switched off, makes nothing old.
    `counts_max` bounds the counts, one per lane and hour: more than a year of three lanes. Those go
    that were begun first, for a wrong clock may name any hour.
    """

    mb_max: float = 512.0
    days_max: float = 7.0
    counts_max: int = 30_000


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was thinned for want of room since the file began. Times of making, UTC ms."""

    readings: int = 0
    first: int = 0
    last: int = 0

    def joined(self, other: "Dropped") -> "Dropped":
        """Both together: the span from the first to the last of either."""
        first = min((one.first for one in (self, other) if one.readings), default=0)
        return Dropped(self.readings + other.readings, first, max(self.last, other.last))


@dataclass(frozen=True, slots=True)
class HourCount:
    """Readings of one lane in one hour (UTC ms of its start, by time of making).

    What is not urgent is counted as made on `data`, whatever lane it is sent on later.
    """

    hour: int
    lane: str
    made: int
    sent: int
    thinned: int


class Outbox:
    """What was made is on disk when `keep` returns: from then on it is not lost.

    Args:
        path: the file, or `:memory:`.
        now: UTC ms.
        rng: gives each epoch its name.
        limits: when thinning begins.
        image: what `image()` gave, to begin from (in memory only).

    Raises:
        OutboxRefused: the file cannot be used, or another process has it.

    A damaged file is set aside by name and a new one begun: a new epoch with the same points.
    `now` is UTC ms, `monotonic` seconds of this process: how old a batch is says only the latter. When
    the wall clock is set, all that this process made and still holds is told by the new time.
    """

    def __init__(
        self, path: Path | str, *, now: int, rng: np.random.Generator,
        limits: OutboxLimits | None = None, image: bytes = b"",
    ) -> None:  # fmt: skip
        self._rng = rng
        self._limits = limits or OutboxLimits()
        self._now = now
        self.table = PointTable()
        """Of this epoch, from `define` on; only grows."""
        self._defined = False
        self.table_changes = 0
        """How often its rows have become other ones since the start."""
        self._ages = Ages(0)  # before every run
        self._file = OutboxFile(path, image, now, self._begin)
        try:
            self._load()
            last = self._last_made()
        except sqlite3.OperationalError as error:
            raise OutboxRefused(f"the outbox {path} cannot be used: {error}") from error
        except (sqlite3.DatabaseError, KeyError, msgspec.MsgspecError) as error:
            self._file.put_away(sqlite3.DatabaseError(f"{type(error).__name__}: {error}"), now)
            self._load()
            last = (0, 0)
        self._ages = Ages(next_run(*last, now))
        self._run_begun = False

    def _last_made(self) -> tuple[int, int]:
        found = self._file.db.execute(_LAST_MADE).fetchone()
        return (0, 0) if found is None else (found[0], found[1])

    def _load(self) -> None:
        """Take up what the file says."""
        db = self._file.db
        meta = {n: (v, t) for n, v, t in db.execute("SELECT name, value, text FROM meta")}
        self.epoch: str = meta["epoch"][1]
        self.connection: int = meta.get("connection", (0, ""))[0]
        self.dropped = Dropped(*(meta.get(name, (0, ""))[0] for name in _DROPPED))
        lanes = {lane: (given, mark) for lane, given, mark in db.execute("SELECT * FROM lanes")}
        self._given: dict[Lane, int] = {lane: lanes[lane][0] for lane in LANES}
        self._marks: dict[Lane, int] = {lane: lanes[lane][1] for lane in LANES}
        self._copied = dict(self._given)
        """What this file had given when it was opened: beyond that a number may mean another batch elsewhere."""
        for place, row in enumerate(self._rows()):
            if row.index != place:
                raise KeyError(f"index {place} of the table of points")
        self.batches, self._bytes = _size(db, "1 = 1", ())
        self._unnumbered, _ = _size(db, "seq IS NULL", ())
        self._shift = _shift_of(db, self._ages.began)

    def _begin(self, db: sqlite3.Connection) -> None:
        """A new epoch with the points known so far."""
        name = f"{self._now:x}-{self._rng.bytes(8).hex()}"
        db.execute("REPLACE INTO meta VALUES ('epoch', 0, ?)", (name,))
        db.executemany("REPLACE INTO lanes VALUES (?, 0, 0)", [(lane,) for lane in LANES])
        _write_points(db, self.table.rows())

    @contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        """Whatever is done inside: on damage the file is put away and a new one begun."""
        try:
            yield self._file.db
        except sqlite3.DatabaseError as error:
            self._file.put_away(error, self._now)
            self._load()
            raise OutboxRefused("the file was damaged, a new one is begun") from error

    def _durably(
        self, now: int, work: Callable[[sqlite3.Connection], T], *, soon: bool = False
    ) -> T:
        self._now = now
        with self._guarded():
            return self._file.durably(work, soon=soon)

    def _ran(self, now: int, monotonic: float) -> int:
        """Ms at work by now. Where the wall clock was set meanwhile it is noted, once for all batches of this run."""
        ran = self._ages.ran(monotonic)
        if step := self._ages.step(now, ran):
            self._durably(now, lambda db: db.execute(_SET_CLOCK, (self._ages.began, step)))
            self._shift += step
            log.warning("the clock was set by %+.0f s: unsent readings are told by it", step / 1000)
        self._ages.look(now, ran)
        return ran

    # --- who speaks, and of which points

    def connect(self, now: int) -> int:
        """The number of a new connection: above every earlier one, also of copies of this file."""
        number = max(self.connection + 1, now)
        self._durably(now, lambda db: _set(db, "connection", number))
        self.connection = number
        return number

    def define(self, points: Iterable[Point], now: int) -> None:
        """Give every point an index; one whose meaning changed gets a new one, one gone keeps its own."""
        self.take_up(self.planned(points), now)

    def planned(self, points: Iterable[Point]) -> "Planned":
        """What `define` takes up. Once points are defined another thread may ask: a table is replaced, never changed."""
        with self._guarded():
            table = grown(self._known(), points)
            both = zip_longest(table.rows(), self._known())
            return Planned(table, array("q", (row.index for row, old in both if row != old)))

    def take_up(self, planned: "Planned", now: int) -> None:
        """The points that are read from now on."""
        if planned.changed:
            rows = map(planned.table.row, planned.changed)
            self._durably(now, lambda db: _write_points(db, rows))
            self.table_changes += 1
        self.table, self._defined = planned.table, True

    def _known(self) -> Iterator[PointRow]:
        """The rows of this epoch; until points are defined only the file knows them."""
        return self.table.rows() if self._defined else self._rows()

    def _rows(self) -> Iterator[PointRow]:
        """The table as the file has it."""
        rows = self._file.db.execute("SELECT row FROM points ORDER BY place")
        return (msgspec.json.decode(row, type=PointRow) for (row,) in rows)

    # --- making

    def keep(
        self, readings: Sequence[PointReading], now: int, *, monotonic: float,
        urgent: Sequence[PointReading] = (), at_once: bool = False,
    ) -> None:  # fmt: skip
        """Make batches of `urgent` and of the rest, durable on return; of defined points only.

        `at_once`: they may be sent now, and get their numbers in the same write, unless others wait
        for theirs or the window is full.

        What comes in great numbers, a disk's refusal being over, is cut so that nothing urgent
        waits long behind one batch of it.

        Raises:
            OutboxRefused: nothing was kept.
        """
        lanes: tuple[tuple[Lane, Sequence[PointReading]], ...] = (
            ("event", urgent),
            ("data", readings),
        )
        made = [
            _Made(lane, len(part), columns_of(part, self.table))
            for lane, found in lanes
            for part in cut(found)
        ]
        if not made:
            return
        ran = self._ran(now, monotonic)
        self._thin(now, ran)
        given = dict(self._given)
        if at_once and not self._unnumbered and len(made) <= min(map(self._room, LANES)):
            for place, one in enumerate(made):
                given[one.lane] += 1
                made[place] = one._replace(seq=given[one.lane])

        def work(db: sqlite3.Connection) -> None:
            if not self._run_begun:
                _begin_run(db, self._ages.began)
            for one in made:
                _insert(db, one, now, ran, -self._shift)
            db.execute(_FORGET_HOURS, (self._limits.counts_max,))

        self._durably(now, work)
        self._run_begun = True
        self._given = given
        self.batches += len(made)
        self._unnumbered += sum(one.seq is None for one in made)
        self._bytes += sum(len(one.columns) + ROW_BYTES for one in made)

    def thin(self, now: int, monotonic: float) -> int:
        """Drop the oldest that is neither numbered nor urgent until it fits; how many readings went."""
        return self._thin(now, self._ran(now, monotonic))

    def _thin(self, now: int, ran: int) -> int:
        if not self._unnumbered:
            return 0
        room = self._limits.mb_max * 1_000_000
        if self._bytes > room:
            room *= THINNED_TO
        oldest = ran - self._limits.days_max * DAY_MS
        gone: list[_Thinned] = []
        size = self._bytes
        with self._guarded() as db, closing(db.execute(_THINNABLE)) as waiting:
            for row in map(_Thinned._make, waiting):
                if size <= room and row.ran >= oldest:
                    break
                gone.append(row)
                size -= row.size
        return self._drop(gone, now) if gone else 0

    def _drop(self, gone: Sequence["_Thinned"], now: int) -> int:
        readings = sum(row.readings for row in gone)
        first = self.dropped.first or gone[0].told
        dropped = Dropped(self.dropped.readings + readings, first, gone[-1].told)

        def work(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM batches WHERE id = ?", [(row.id,) for row in gone])
            for row in gone:
                _add(db, row.made, "data", (0, 0, row.readings))
            for name, value in zip(_DROPPED, astuple(dropped), strict=True):
                _set(db, name, value)

        if not self.dropped.readings:
            log.warning("outbox is full: the oldest readings that wait are dropped and counted")
        self._durably(now, work)
        self.dropped = dropped
        self.batches -= len(gone)
        self._unnumbered -= len(gone)
        self._bytes -= sum(row.size for row in gone)
        return readings

    # --- sending

    def number(self, lane: Lane, now: int, monotonic: float) -> int:
        """Give numbers to what waits for this lane, oldest first, up to the window; how many it gave."""
        room = self._room(lane)
        if room <= 0 or not self._unnumbered:
            return 0
        young = self._ran(now, monotonic) - YOUNG_MS
        with self._guarded() as db:
            waiting = db.execute(_WAITING[lane], (young, room)).fetchall()
        if not waiting:
            return 0
        given = self._given[lane]

        def work(db: sqlite3.Connection) -> None:
            for seq, (id_, made, readings) in enumerate(waiting, start=given + 1):
                db.execute("UPDATE batches SET lane = ?, seq = ? WHERE id = ?", (lane, seq, id_))
                _add(db, made, lane, (0, readings, 0))
            last = given + len(waiting)
            db.execute("UPDATE lanes SET given = ? WHERE lane = ?", (last, lane))

        self._durably(now, work)
        self._given[lane] = given + len(waiting)
        self._unnumbered -= len(waiting)
        return len(waiting)

    def _room(self, lane: Lane) -> int:
        """How many numbers of the lane may be given."""
        return self._marks[lane] + WINDOW - self._given[lane]

    def numbered(self, lane: Lane, after: int) -> Outgoing | None:
        """The first numbered batch of this lane behind `after`, None if there is none."""
        if after >= self._given[lane]:
            return None
        with self._guarded() as db:
            found = db.execute(_NUMBERED, (lane, after)).fetchone()
        return None if found is None else Outgoing(lane, *found)

    def payload(self, outgoing: Outgoing, now: int) -> bytes:
        """The batch as it goes over the wire at `now`, the edge's clock."""
        oldest = self._marks[outgoing.lane] + 1
        return payload_of(outgoing, epoch=self.epoch, oldest=oldest, now=now)

    def mark(self, lane: Lane) -> int:
        """The highest number of the lane known to be durable in the journal."""
        return self._marks[lane]

    def given(self, lane: Lane) -> int:
        """The highest number of the lane ever given in this epoch."""
        return self._given[lane]

    def commit(self, committed: Committed, now: int) -> bool:
        """Delete what the marks cover; True if any went up.

        Marks of another epoch and lower ones are ignored. A mark ahead of every number given shows
        that this file is an old copy: it opens a new epoch, drops what the marks cover of the copy, and
        all the rest is numbered anew, also what another collector was sent meanwhile.
        """
        if committed.epoch != self.epoch:
            return False
        marks = _marks(committed)
        if self.outrun_by(committed):
            self._renew(marks, now)
            return True
        up = {lane: marks[lane] for lane in LANES if marks[lane] > self._marks[lane]}
        if not up:
            return False
        # undone by a power cut it is as if the marks had not come yet: they come again
        batches, size = self._durably(now, lambda db: _cover(db, up), soon=True)
        self._marks |= up
        self.batches -= batches
        self._bytes -= size
        return True

    def outrun_by(self, committed: Committed) -> bool:
        """Whether marks of this epoch go beyond every number that was given."""
        return any(mark > self._given[lane] for lane, mark in _marks(committed).items())

    def _renew(self, marks: Mapping[Lane, int], now: int) -> None:
        covered = {lane: min(mark, self._copied[lane]) for lane, mark in marks.items()}

        def work(db: sqlite3.Connection) -> None:
            _cover(db, covered)
            db.execute("UPDATE batches SET lane = NULL, seq = NULL WHERE seq IS NOT NULL")
            self._begin(db)

        before = self.epoch
        self._durably(now, work)
        self._load()
        log.warning("outbox is an old copy: epoch %s closed, epoch %s begun", before, self.epoch)

    # --- what it holds

    def backlog(self) -> tuple[int, int | None]:
        """Batches held, and when the oldest of them was made (UTC ms)."""
        if not self.batches:
            return 0, None
        with self._guarded() as db:
            found = db.execute(_OLDEST).fetchone()
        return self.batches, found[0] if found else None

    def counts(self) -> list[HourCount]:
        """Made, sent and thinned, kept after deletion."""
        found = self._file.db.execute("SELECT * FROM counts ORDER BY hour, lane")
        return [HourCount(*row) for row in found]

    @property
    def set_aside(self) -> Sequence[Path]:
        """Damaged files that were put away, oldest first."""
        return self._file.set_aside

    def image(self) -> bytes:
        """A copy of the whole file as it is on disk now."""
        return self._file.db.serialize()

    def close(self) -> None:
        """Release the file; may be called twice."""
        self._file.close()


class Planned(NamedTuple):
    """A table that an outbox may take up, and the indices whose rows are other ones than before."""

    table: PointTable
    changed: Sequence[int]


class _Made(NamedTuple):
    """A batch that is made, with its number if it has one at once."""

    lane: Lane
    readings: int
    columns: bytes
    seq: int | None = None


class _Thinned(NamedTuple):
    """What there is to know of a batch that may be dropped; `told` is when it was made, as known now."""

    id: int
    made: int
    told: int
    readings: int
    size: int
    ran: int


_DROPPED: Final = ("dropped_readings", "dropped_first", "dropped_last")
_SHIFTED: Final = "shift + COALESCE((SELECT runs.shift FROM runs WHERE began <= ran ORDER BY began DESC LIMIT 1), 0)"
"""By how much the clock was set since a batch was made: in its run, less what was before it in that run."""
_NUMBERED: Final = (
    f"SELECT seq, columns, made, {_SHIFTED} FROM batches"  # noqa: S608  # our own words
    " WHERE lane = ? AND seq > ? ORDER BY seq LIMIT 1"
)
_THINNABLE: Final = (
    f"SELECT id, made, made + {_SHIFTED}, readings, LENGTH(columns) + {ROW_BYTES}, ran FROM batches"  # noqa: S608  # our own number
    " WHERE seq IS NULL AND urgent = 0 ORDER BY ran, id"
)
_WAITING: Final[dict[Lane, str]] = {
    "event": "SELECT id, made, readings FROM batches"
    " WHERE seq IS NULL AND urgent = 1 AND ?1 = ?1 ORDER BY ran, id LIMIT ?2",
    "data": "SELECT id, made, readings FROM batches"
    " WHERE seq IS NULL AND urgent = 0 AND ran > ?1 ORDER BY ran, id LIMIT ?2",
    "backfill": "SELECT id, made, readings FROM batches"
    " WHERE seq IS NULL AND urgent = 0 AND ran <= ?1 ORDER BY ran, id LIMIT ?2",
}
"""By lane, what waits for it: made before or after ?1 (ms at work), at most ?2."""
_FORGET_HOURS: Final = (
    "DELETE FROM counts WHERE rowid <= (SELECT rowid FROM counts ORDER BY rowid DESC LIMIT 1) - ?"
)
_OLDEST: Final = f"SELECT made + {_SHIFTED} FROM batches ORDER BY id LIMIT 1"  # noqa: S608  # our own words
_LAST_MADE: Final = f"SELECT ran, made + {_SHIFTED} FROM batches ORDER BY id DESC LIMIT 1"  # noqa: S608  # our own words
_SET_CLOCK: Final = (
    "INSERT INTO runs VALUES (?1, ?2) ON CONFLICT (began) DO UPDATE SET shift = shift + ?2"
)
_FORGET_RUNS: Final = (
    "DELETE FROM runs WHERE began < COALESCE((SELECT MAX(began) FROM runs"
    " WHERE began <= (SELECT COALESCE(MIN(ran), 1 << 62) FROM batches)), 0)"
)


def _begin_run(db: sqlite3.Connection, began: int) -> None:
    """What earlier runs say of their clock is not said of this one; what speaks of no batch goes."""
    db.execute(_FORGET_RUNS)
    db.execute("INSERT OR IGNORE INTO runs SELECT ?, 0 WHERE EXISTS (SELECT 1 FROM runs)", (began,))


def _shift_of(db: sqlite3.Connection, began: int) -> int:
    """By how much the clock was set in a run."""
    found = db.execute("SELECT shift FROM runs WHERE began = ?", (began,)).fetchone()
    return int(found[0]) if found else 0


def _set(db: sqlite3.Connection, name: str, value: int) -> None:
    db.execute("REPLACE INTO meta VALUES (?, ?, '')", (name, value))


def _write_points(db: sqlite3.Connection, rows: Iterable[PointRow]) -> None:
    encoded = ((row.index, msgspec.json.encode(row)) for row in rows)
    db.executemany("REPLACE INTO points VALUES (?, ?)", encoded)


def _insert(db: sqlite3.Connection, made: _Made, now: int, ran: int, shift: int) -> None:
    lane, readings, columns, seq = made
    urgent, numbered = int(lane == "event"), seq is not None
    db.execute(
        "INSERT INTO batches (urgent, made, readings, columns, lane, seq, ran, shift)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (urgent, now, readings, columns, lane if numbered else None, seq, ran, shift),
    )
    if numbered:
        db.execute("UPDATE lanes SET given = ? WHERE lane = ?", (seq, lane))
    _add(db, now, lane, (readings, readings if numbered else 0, 0))


def _marks(committed: Committed) -> dict[Lane, int]:
    return {
        "event": committed.event,
        "data": committed.data,
        "backfill": committed.backfill,
    }


def _cover(db: sqlite3.Connection, marks: Mapping[Lane, int]) -> tuple[int, int]:
    """Delete what the marks cover and write them; how many batches and bytes went."""
    batches = size = 0
    for lane, mark in marks.items():
        which = (lane, mark)
        found = _size(db, "lane = ? AND seq <= ?", which)
        batches, size = batches + found[0], size + found[1]
        db.execute("DELETE FROM batches WHERE lane = ? AND seq <= ?", which)
        db.execute("UPDATE lanes SET committed = ? WHERE lane = ?", (mark, lane))
    return batches, size


def _size(db: sqlite3.Connection, where: str, values: Sequence[object]) -> tuple[int, int]:
    """Batches and bytes of those that `where` (our own words) selects."""
    found = db.execute(
        f"SELECT COUNT(*), COALESCE(SUM(LENGTH(columns)), 0) FROM batches WHERE {where}",  # noqa: S608  # our own words
        values,
    ).fetchone()
    return found[0], found[1] + ROW_BYTES * found[0]


def _add(db: sqlite3.Connection, at: int, lane: str, counts: tuple[int, int, int]) -> None:
    """Count (made, sent, thinned) readings in the hour of `at`."""
    hour = at - at % HOUR_MS
    db.execute(
        "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT (hour, lane) DO UPDATE SET"
        " made = made + excluded.made, sent = sent + excluded.sent,"
        " thinned = thinned + excluded.thinned",
        (hour, lane, *counts),
    )
