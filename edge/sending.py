"""What an agent sends next on one connection, decided from its outbox and the marks it hears."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from edge.outbox import Outbox
from edge.readings import LANES, Committed, Lane

RESEND_AFTER_S: Final = 2.0
DOUBLINGS_MAX: Final = 3
STUCK_AFTER_S: Final = 60.0
ASK_AFTER_S: Final = 30.0
"""When nothing was committed for so long the collector is asked, by a birth, whether it is there."""


HISTORY: Final[Lane] = "backfill"
QUEUED_S: Final = 0.05
"""History that takes this much longer than at best stands in a queue, and what is urgent stands behind it."""


class Heard(Enum):
    """What a mark meant."""

    IGNORED = "of another epoch, or beyond every number given and no answer to our birth"
    ANSWERED = "the answer to our birth: numbers may be given"
    RENEWED = "our outbox was an old copy: a new epoch has begun"
    PROGRESS = "something went up"
    REPEATED = "the same marks again"


class _Sent(NamedTuple):
    """A batch in flight."""

    seq: int
    at: float
    size: int
    alone: bool
    """Whether nothing of its lane was in flight before it: it shows what one of its size takes."""


@dataclass(slots=True)
class _Flight:
    """One lane: the highest number sent on this connection, and when (monotonic seconds).

    `tried` is when the window was last begun or its mark last moved, `since` when the mark began to
    stand still under what is in flight.
    """

    sent: int = 0
    tried: float = 0.0
    since: float | None = None
    waits: int = 0
    """How often it was sent again in vain: each time it waits twice as long, up to a bound."""
    again: int = -1
    """The highest number that was out when something was last sent again."""
    probe: int = -1
    """The number of the batch that was last sent again alone."""

    window: float = 0.0
    """Bytes of history that may be in flight beside one batch: as many as the line carries without a queue."""
    best_s: float = float("inf")
    narrowed: float | None = None
    """When the line last had a queue; until then the window doubles with each answer, then grows slowly."""
    under_way: deque["_Sent"] = field(default_factory=deque)

    def narrow(self, monotonic: float) -> None:
        """Halve the window."""
        self.window /= 2
        self.narrowed = monotonic

    def widen(self, size: int, carried: int) -> None:
        """Let more be in flight, so many bytes having come through while so many were carried.

        Never much more than that: what the line did not have to carry says nothing of it.
        """
        more = size if self.narrowed is None else size * min(1.0, size / max(self.window, 1.0))
        self.window = min(self.window + more, float(carried + size))

    def lost(self, mark: int) -> bool:
        """Whether what is in flight beyond a mark that stands still seems lost, not only late.

        A line keeps the order: once the mark is beyond `again`, what came twice has been answered.
        """
        return mark > self.again or mark == self.probe < self.again

    def waited(self, monotonic: float) -> None:
        """Something is sent again now."""
        self.again, self.tried = max(self.again, self.sent), monotonic
        self.probe = -1
        self.waits += 1

    @property
    def wait_s(self) -> float:
        return RESEND_AFTER_S * 2.0 ** min(self.waits, DOUBLINGS_MAX)


@dataclass(slots=True)
class Sending:
    """One connection of an agent. Gives no number until the collector has answered its birth."""

    outbox: Outbox
    connection: int
    pace: float = 1.0
    answered: bool = False
    heard: float = float("-inf")
    """When the collector itself was last heard (monotonic seconds): by a mark with the number of this
    connection. One of an earlier connection was kept by the broker and says nothing of today.
    """
    epoch: str = ""
    _flights: dict[Lane, _Flight] = field(default_factory=lambda: {n: _Flight() for n in LANES})

    def begin(self) -> None:
        """A birth is about to be sent: its answer decides from where to send.

        Since when nothing is committed stays known: a birth commits nothing.
        """
        since = {lane: flight.since for lane, flight in self._flights.items()}
        same = self.epoch == self.outbox.epoch
        self._flights = {lane: _Flight(since=since[lane] if same else None) for lane in LANES}
        self.epoch = self.outbox.epoch
        self.answered = False

    def take(self, committed: Committed, *, monotonic: float, now: int) -> Heard:
        """Take up marks: delete what they cover, and see what they say beside.

        Raises:
            OutboxRefused: nothing was taken up; the marks will come again.
        """
        answer = not self.answered and committed.connection == self.connection
        if committed.epoch != self.outbox.epoch:
            return Heard.IGNORED
        if self.outbox.outrun_by(committed) and not answer:
            return Heard.IGNORED
        silent_s = monotonic - self.heard
        if committed.connection == self.connection:
            self.heard = monotonic
        before = {lane: self.outbox.mark(lane) for lane in LANES}
        moved = self.outbox.commit(committed, now)
        if self.outbox.epoch != committed.epoch:
            return Heard.RENEWED
        self._advance(before, monotonic)
        if answer:
            self.answered = True
            return Heard.ANSWERED
        if moved:
            return Heard.PROGRESS
        self._repeat(monotonic, silent_s)
        return Heard.REPEATED

    def _advance(self, before: Mapping[Lane, int], monotonic: float) -> None:
        for lane, flight in self._flights.items():
            if self.outbox.mark(lane) != before[lane]:
                self._measure(lane, flight, monotonic)
                flight.tried = monotonic
                flight.waits = 0
                flight.since = monotonic if self._flying(lane) else None

    def _measure(self, lane: Lane, flight: _Flight, monotonic: float) -> None:
        """Let more be in flight while it comes through as fast as ever, less once it has to wait."""
        carried = _in_flight(flight)
        while flight.under_way and flight.under_way[0].seq <= self.outbox.mark(lane):
            sent = flight.under_way.popleft()
            took = monotonic - sent.at
            flight.best_s = took if sent.alone else min(flight.best_s, took)
            if took <= flight.best_s + QUEUED_S * self.pace:
                flight.widen(sent.size, carried)
            elif flight.narrowed is None or sent.at >= flight.narrowed:  # sent since, and still
                flight.narrow(monotonic)

    def _repeat(self, monotonic: float, silent_s: float) -> None:
        """At a gap, or when the collector is back, all in flight is sent again at once.

        Not for the answer to a batch that came twice, though it is the same mark: what is sent again
        would be answered so too, and a slow line would end carrying nothing else.
        """
        for lane, flight in self._flights.items():
            back = flight.waits > 0 and silent_s >= flight.wait_s * self.pace / 2
            if self._flying(lane) and (back or flight.lost(self.outbox.mark(lane))):
                flight.waited(monotonic)
                flight.sent = 0

    def _flying(self, lane: Lane) -> bool:
        return self._flights[lane].sent > self.outbox.mark(lane)

    def next(self, *, monotonic: float, now: int) -> tuple[Lane, bytes] | None:
        """The next batch to send, urgent ones first; None if there is nothing to send now.

        Raises:
            OutboxRefused: no number can be given now.
        """
        if not self.may_send():
            return None
        for lane, flight in self._flights.items():
            payload = self._again(lane, flight, monotonic, now)
            if payload is None:
                payload = self._next_of(lane, flight, monotonic, now)
            if payload is not None:
                return lane, payload
        return None

    def _again(self, lane: Lane, flight: _Flight, monotonic: float, now: int) -> bytes | None:
        """After a wait in vain, the first batch in flight as a probe; None if all of it is to go, or nothing.

        What was sent again once is more likely late than lost twice, and sent once more it delays all
        behind it. If the mark comes to the probe and stops there, the rest is lost.
        """
        mark = self.outbox.mark(lane)
        if not self._flying(lane) or monotonic - flight.tried < flight.wait_s * self.pace:
            return None
        all_of_it = flight.lost(mark)
        flight.waited(monotonic)
        if all_of_it:
            flight.sent = 0
            return None
        first = self.outbox.numbered(lane, mark)
        if first is None:
            return None
        flight.probe = first.seq
        return self.outbox.payload(first, now)

    def may_send(self) -> bool:
        """True if the birth is answered, so that batches of this epoch may be numbered and sent."""
        return self.answered and self.epoch == self.outbox.epoch

    def rests(self) -> bool:
        """True if the birth is answered and the outbox holds nothing: whoever makes a batch says so."""
        return self.may_send() and not self.outbox.batches

    def stuck(self, monotonic: float) -> bool:
        """True if something has been in flight for a minute in which the collector was heard."""
        long_ago = monotonic - STUCK_AFTER_S
        return self._uncommitted_since() <= long_ago < self.heard

    def doubtful(self, monotonic: float) -> bool:
        """True if nothing is committed and nothing heard, so that nobody may be there to commit."""
        lately = monotonic - ASK_AFTER_S
        return self._uncommitted_since() <= lately and self.heard <= lately

    def _uncommitted_since(self) -> float:
        """Since when a lane's mark has stood still under what was sent (monotonic seconds)."""
        since = [flight.since for flight in self._flights.values() if flight.since is not None]
        return min(since, default=float("inf"))

    def _next_of(self, lane: Lane, flight: _Flight, monotonic: float, now: int) -> bytes | None:
        mark = self.outbox.mark(lane)
        after = max(flight.sent, mark)
        if lane == HISTORY and after > mark and _in_flight(flight) >= flight.window:
            return None
        found = self.outbox.numbered(lane, after)
        if found is None and self.outbox.number(lane, now, monotonic):
            found = self.outbox.numbered(lane, after)
        if found is None:
            return None
        if flight.sent <= mark:
            flight.tried = monotonic
        if flight.since is None:
            flight.since = monotonic
        if after == mark:
            flight.under_way.clear()
        payload = self.outbox.payload(found, now)
        sent = _Sent(found.seq, monotonic, len(payload), alone=not flight.under_way)
        flight.under_way.append(sent)
        flight.sent = found.seq
        return payload


def _in_flight(flight: _Flight) -> int:
    return sum(sent.size for sent in flight.under_way)
