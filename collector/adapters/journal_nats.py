"""The journal in NATS JetStream: one piece per group of entries, with one writer (docs/decisions/120-nats.md)."""

import logging
import threading
import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from collector.adapters.journal_sqlite import Commits, Standing
from collector.adapters.nats_counts import HourCounts
from collector.adapters.nats_link import NatsAt
from collector.adapters.nats_log import NatsLog, Piece
from collector.adapters.packed_entries import Damaged, pack, unpack
from collector.counting import HOUR_MS, Counts, Tally
from collector.ports import CountKey, Entry, MarkKey, Unavailable

log = logging.getLogger("steward.journal")

MB: Final = 1 << 20
CARRY: Final = "carry"
LOADS_MAX: Final = 5
PIECES_AT_ONCE: Final = 500
PIECES_MAX: Final = 20_000
"""Whoever opens the journal looks at every piece: 33 000 to 44 000 a second on two idle cores."""
ZLIB_LEVEL: Final = 6
SAVED: Final = "saved"
ZLIB_LEVEL_SAVED: Final = 1


class _Carry(msgspec.Struct):
    """What stands for the pieces that were cut off, as of piece `seq` and position `last`.

    `before` are the births as they stood behind the last piece that was cut; both say which of `entries`.
    """

    seq: int = 0
    last: int = 0
    marks: list[tuple[str, str, str, str, int]] = []
    entries: bytes = pack([])
    births: list[int] = []
    before: list[int] = []


_encoder = msgspec.msgpack.Encoder()
_carries = msgspec.msgpack.Decoder(_Carry)


@dataclass(slots=True)
class _Index:
    """What is known of each piece that is there, in order: number, position it reaches, hour, births."""

    seqs: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    hours: list[int] = field(default_factory=list)
    births: list[tuple[int, Entry]] = field(default_factory=list)

    def add(self, seq: int, last: int, entries: Sequence[Entry]) -> None:
        self.seqs.append(seq)
        self.ends.append(last)
        self.hours.append(entries[-1].received // HOUR_MS)
        self.births += [(last, entry) for entry in entries if entry.kind == "birth"]

    def drop(self, count: int) -> list[Entry]:
        """Forget the first pieces; returns the births that they held."""
        last = self.ends[count - 1]
        gone = [entry for at, entry in self.births if at <= last]
        del self.seqs[:count], self.ends[:count], self.hours[:count]
        self.births = self.births[len(gone) :]
        return gone


class NatsJournal:
    """Keeps the entries of one site, or of any `name`, in a stream of its own. Calls block.

    Whoever opens it last owns it: an earlier owner's `append` raises `Unavailable` from then on. Durable
    means what the server means by it: `sync_interval: always`, or copies on several servers. `trim` cuts
    off whole hours, and everything above `file_bytes` or `pieces_max`. At `cap_bytes` nothing more is taken, so that
    nothing is lost: agents keep it; it is opened, read and cut all the same. `fill` (0..1) says
    beforehand how near that is. The server sets so much of its disk apart at once. `commits` says how long
    writes take, `set_aside` how many damaged groups were found; none is ever `dropped`.

    Raises:
        Unavailable: NATS cannot be used.
    """

    def __init__(
        self,
        at: NatsAt,
        name: str,
        *,
        file_bytes: int = 256 * MB,
        cap_bytes: int = 1024 * MB,
        pieces_max: int = PIECES_MAX,
    ) -> None:
        self._file_bytes = file_bytes
        self._pieces_max = pieces_max
        self._cap_bytes = cap_bytes
        self._lock = threading.RLock()
        self._log = NatsLog(at, name, cap_bytes)
        self._floor = 0
        self.dropped = self.set_aside = 0
        self.commits = Commits()
        self._begin(_Carry())
        try:
            self._load()
        except BaseException:
            self._log.close()
            raise

    # --- the port ------------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> int:
        with self._lock:
            if not entries:
                return self.last()
            last = self.last() + len(entries)
            data = pack(entries)
            with self.commits.timed():
                self._log.append(data, last)
            self._counts.add(self._log.last, self._take(self._log.last, last, entries))
            return last

    def read_from(self, position: int, limit: int) -> list[tuple[int, Entry]]:
        found: list[tuple[int, Entry]] = []
        for last, entries in self.groups_from(position, limit):
            numbered = enumerate(entries, last - len(entries) + 1)
            found += [(at, entry) for at, entry in numbered if at > position]
        if 0 < len(found) < limit:
            found += self.read_from(found[-1][0], limit - len(found))
        return found[:limit]

    def groups_from(self, position: int, limit: int) -> list[tuple[int, list[Entry]]]:
        found: list[tuple[int, list[Entry]]] = []
        with self._lock:
            end = bisect_right(self._index.ends, position)
            while not found and limit > 0 and end < len(self._index.ends):
                begin, end = end, self._window(end, limit)
                pieces = self._log.read(self._index.seqs[begin], self._index.seqs[end - 1])
                if not pieces:  # an empty answer would be the journal's end to who asks
                    raise Unavailable(
                        "the journal cannot be read: the server does not have what it had"
                    )
                found += [(piece.last, read) for piece in pieces if (read := _entries(piece))]
        return found

    def _window(self, begin: int, limit: int) -> int:
        """The end of the pieces from `begin` on that hold `limit` entries together."""
        held, end = 0, begin
        reached = self._index.ends[begin - 1] if begin else self._cut_at
        while held < limit and end < len(self._index.ends):
            held += self._index.ends[end] - reached
            reached = self._index.ends[end]
            end += 1
        return end

    def last(self) -> int:
        return max(self._last, self._floor)

    def rise(self, position: int) -> None:
        with self._lock:
            self._floor = max(self._floor, position)

    def births(self, position: int | None = None) -> list[Entry]:
        with self._lock:
            if position is None:
                return self._tally.all_births()
            tally = Tally()
            tally.add(self._before.all_births())
            tally.add(entry for at, entry in self._index.births if at <= position)
            return tally.all_births()

    def marks(self) -> Mapping[MarkKey, int]:
        with self._lock:
            return dict(self._tally.marks)

    def trim(self, position: int) -> None:
        with self._lock:
            count = self._may_go(position)
            if not count:
                return
            number = self._index.seqs[count - 1]
            self._cut_at = self._index.ends[count - 1]
            self._before.add(self._index.drop(count))
            try:
                self._counts.keep(self._log.last)
                self._log.keep(CARRY, self._packed_carry())
                self._log.cut(number)
            except Unavailable as error:
                log.warning("the journal is cut the next time: %s", error)

    def prove(self) -> None:
        """Return if nobody opened it after us; else raises `TakenOver`. Raises `Unavailable`."""
        with self._lock:
            self._log.prove()

    def close(self) -> None:
        with self._lock:
            self._log.close()

    # --- `Saved`: the heir finds live table and detectors where it finds the journal -------------

    def load(self, name: str) -> bytes | None:
        kept = self._log.kept(f"{SAVED}_{name}")
        return None if kept is None else zlib.decompress(kept)

    def save(self, name: str, content: bytes) -> None:
        self._log.keep(f"{SAVED}_{name}", zlib.compress(content, ZLIB_LEVEL_SAVED))

    def where(self, name: str) -> str:
        return f"what NATS keeps beside the journal as {name}"

    # --- what metrics and the delivery report read ---------------------------------------------

    def counts(self) -> Mapping[CountKey, Counts]:
        """Everything ever journalled, per agent, lane and hour."""
        with self._lock:
            held = self._counts.held()
        return self._counts.with_others(held)

    def standing(self) -> Standing:
        """Its end, with the counts and marks of all up to there: one moment, whatever is appended meanwhile."""
        with self._lock:
            last, marks = self.last(), self.marks()
            try:
                held = self._counts.held()
            except Unavailable as error:
                return Standing(last, None, marks, str(error))
        try:
            return Standing(last, self._counts.with_others(held), marks)
        except Unavailable as error:
            return Standing(last, None, marks, str(error))

    @property
    def fill(self) -> float:
        """The part of the cap that is used, 0..1."""
        return self._log.bytes / self._cap_bytes

    # --- inside --------------------------------------------------------------------------------

    def _load(self) -> None:
        """Learn what is there. Whoever had it before may cut while we read: then begin again."""
        for _ in range(LOADS_MAX):
            carry = _unpacked_carry(self._log.kept(CARRY))
            self._begin(carry)
            first, _ = self._log.state()
            seen = 0
            for at in range(max(1, first), self._log.fence, PIECES_AT_ONCE):
                for piece in self._log.read(at, min(at + PIECES_AT_ONCE, self._log.fence) - 1):
                    seen += piece.seq > carry.seq
                    self._learn(piece, carry)
            if seen == max(0, self._log.fence - 1 - carry.seq):
                return
        raise Unavailable("the journal is being cut by somebody else: try again")

    def _begin(self, carry: _Carry) -> None:
        self._index = _Index()
        self._counts = HourCounts(self._log)
        self._before = Tally()
        self._tally = Tally()
        self._last = self._cut_at = carry.last
        entries = unpack(carry.entries)
        self._before.add(entries[number] for number in carry.before)
        self._tally.add(entries[number] for number in carry.births)
        self._tally.marks.update({(s, a, e, lane): n for s, a, e, lane, n in carry.marks})

    def _learn(self, piece: Piece, carry: _Carry) -> None:
        entries = _entries(piece)
        if not entries:
            self._last = max(self._last, piece.last)  # a damaged one: its positions are given
            self.set_aside += bool(piece.last)
            return
        if not self._index.ends:
            self._cut_at = piece.last - len(entries)
        if piece.seq > carry.seq:
            self._counts.found(piece.seq, self._take(piece.seq, piece.last, entries))
        else:
            self._index.add(piece.seq, piece.last, entries)

    def _take(self, seq: int, last: int, entries: Sequence[Entry]) -> Mapping[CountKey, Counts]:
        """Take up a piece; returns what it counts."""
        self._index.add(seq, last, entries)
        self._tally.add(entries)
        self._last = last
        counts, self._tally.counts = self._tally.counts, {}
        return counts

    def _may_go(self, position: int) -> int:
        """How many pieces up to this position are to be cut off now."""
        count = bisect_right(self._index.ends, position)
        small = self._log.bytes <= self._file_bytes and len(self._index.seqs) <= self._pieces_max
        if small and self._index.hours:
            newest = self._index.hours[-1]
            while count and self._index.hours[count - 1] >= newest:
                count -= 1
        return count

    def _packed_carry(self) -> bytes:
        marks = [(*key, number) for key, number in self._tally.marks.items()]
        births, before = self._tally.all_births(), self._before.all_births()
        number = {entry: n for n, entry in enumerate(dict.fromkeys([*births, *before]))}
        carry = _Carry(
            self._log.last, self._last, marks, pack(list(number)),
            [number[entry] for entry in births], [number[entry] for entry in before],
        )  # fmt: skip
        return zlib.compress(_encoder.encode(carry), ZLIB_LEVEL)


def _unpacked_carry(packed: bytes | None) -> _Carry:
    return _carries.decode(zlib.decompress(packed)) if packed else _Carry()


def _entries(piece: Piece) -> list[Entry]:
    """The group of a piece, empty for a fence; one that cannot be read is named and left out."""
    try:
        return unpack(piece.data)
    except Damaged as error:
        log.error("piece %d of the journal is malformed (%s): left out", piece.seq, error)
        return []
