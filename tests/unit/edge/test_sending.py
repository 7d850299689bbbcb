from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from edge.outbox import Outbox
from edge.ports import PointReading
from edge.readings import Committed, decode_batch
from edge.sending import Heard, Sending
from tests.unit.edge.rows import START_MS, register_point


@pytest.fixture
def box() -> Iterator[Outbox]:
    made = Outbox(":memory:", now=START_MS, rng=np.random.default_rng(1))
    made.define([register_point("p", 0, "u16")], START_MS)
    made.keep([PointReading("a/p", 1.0, 0, START_MS)], START_MS, monotonic=0.0)
    yield made
    made.close()


def resent_at(box: Outbox, pace: float, until_s: int) -> list[int]:
    """Whole seconds at which the one batch went out again."""
    sending = Sending(box, 7, pace=pace)
    sending.begin()
    mark = Committed(box.epoch, connection=7)
    assert sending.take(mark, monotonic=0.0, now=START_MS) is Heard.ANSWERED
    assert sending.next(monotonic=0.0, now=START_MS) is not None
    return [s for s in range(1, until_s) if sending.next(monotonic=float(s), now=START_MS)]


def test_what_is_not_committed_goes_out_again_after_two_seconds_and_then_ever_more_seldom(
    box: Outbox,
) -> None:
    assert resent_at(box, 1.0, 80) == [2, 6, 14, 30, 46, 62, 78]


def test_a_site_that_runs_faster_than_the_clock_does_not_hurry_the_broker(box: Outbox) -> None:
    assert resent_at(box, 20.0, 300) == [40, 120, 280]


class Talk:
    """Three batches in flight at second 0; what goes out at a time, and the collector's mark of then."""

    def __init__(self, box: Outbox) -> None:
        fill(box, [1, 1])
        self.box = box
        self.sending = Sending(box, 7)
        self.sending.begin()
        self.mark(0.0, 0)
        assert self.sent(0.0) == [1, 2, 3]

    def mark(self, at: float, data: int) -> None:
        said = Committed(self.box.epoch, data=data, connection=7)
        self.sending.take(said, monotonic=at, now=START_MS)

    def sent(self, at: float) -> list[int]:
        seqs = []
        while item := self.sending.next(monotonic=at, now=START_MS):
            seqs.append(decode_batch(item[1]).s)
        return seqs


def test_at_a_gap_all_is_sent_again_at_once_and_once(box: Outbox) -> None:
    """The same mark answers what came twice, too: it says nothing of what is behind that."""
    talk = Talk(box)
    talk.mark(0.1, 0)
    assert talk.sent(0.1) == [1, 2, 3]
    for at in (0.2, 1.2, 1.9):
        talk.mark(at, 0)
        assert talk.sent(at) == []
    talk.mark(1.95, 3)
    fill(box, [1, 1])
    assert talk.sent(1.95) == [4, 5]
    talk.mark(3.0, 3)
    assert talk.sent(3.0) == [], "may be the answer to 1, 2 or 3, which went twice"
    talk.mark(3.1, 4)
    talk.mark(3.2, 4)
    assert talk.sent(3.2) == [5], "4 went behind them: they are answered"


@pytest.mark.parametrize("away_s", [2.5, 5.0, 7.0, 13.0, 15.0, 25.0])
def test_a_collector_that_is_back_is_sent_all_at_once(box: Outbox, away_s: float) -> None:
    talk = Talk(box)
    for tenths in range(1, int(10 * away_s)):
        talk.sent(tenths / 10)
    talk.mark(away_s, 0)
    assert talk.sent(away_s) == [1, 2, 3]


def test_what_was_sent_again_in_vain_is_probed_for_and_sent_once_more_if_only_the_probe_comes(
    box: Outbox,
) -> None:
    talk = Talk(box)
    assert talk.sent(2.0) == [1, 2, 3]
    assert talk.sent(5.9) == []
    assert talk.sent(6.0) == [1]
    talk.mark(6.1, 1)
    assert talk.sent(8.0) == []
    assert talk.sent(8.1) == [2, 3]


def test_marks_that_stand_at_the_probe_have_the_rest_sent_once(box: Outbox) -> None:
    talk = Talk(box)
    assert [talk.sent(2.0), talk.sent(6.0)] == [[1, 2, 3], [1]]
    talk.mark(6.1, 1)
    talk.mark(6.2, 1)
    assert talk.sent(6.2) == [2, 3]
    for at in (6.3, 6.4, 6.5):
        talk.mark(at, 1)
        assert talk.sent(at) == []


def test_nothing_is_known_of_what_went_after_a_probe_that_was_the_last(box: Outbox) -> None:
    talk = Talk(box)
    talk.mark(0.1, 2)
    assert [talk.sent(2.5), talk.sent(7.0)] == [[3], [3]]
    talk.mark(7.2, 3)
    fill(box, [1, 1])
    assert talk.sent(7.2) == [4, 5]
    talk.mark(7.3, 3)
    assert talk.sent(7.3) == []


def test_what_was_only_late_is_not_sent_once_more(box: Outbox) -> None:
    talk = Talk(box)
    assert [talk.sent(2.0), talk.sent(6.0)] == [[1, 2, 3], [1]]
    talk.mark(6.1, 1)
    talk.mark(7.1, 2)
    assert talk.sent(9.0) == []
    assert talk.sent(9.1) == [3]


@dataclass
class Live:
    """A batch a second over a line of 256 kbit/s that stands still from second 20 to 52.

    The collector keeps what comes in order and says its mark for all that it has kept; of a gap
    nothing, for no batch is lost.
    """

    box: Outbox
    readings: int
    on_the_line: deque[tuple[float, int]] = field(default_factory=deque)
    free_at: float = 0.0
    mark: int = 0
    sent: int = 0

    def run(self, seconds: int) -> None:
        sending = Sending(self.box, 7)
        sending.begin()
        self._hear(sending, 0.0)
        for at in (n / 20 for n in range(seconds * 20)):
            if at % 1.0 == 0.0:
                batch = [PointReading("a/p", 0.1 * n, 0, START_MS) for n in range(self.readings)]
                self.box.keep(batch, START_MS, monotonic=at)
            while self.on_the_line and self.on_the_line[0][0] <= at:
                seq = self.on_the_line.popleft()[1]
                self.mark = max(self.mark, seq) if seq <= self.mark + 1 else self.mark
                self._hear(sending, at)
            while item := sending.next(monotonic=at, now=START_MS):
                begins = max(at, self.free_at)
                begins = 52.0 if 20.0 <= begins < 52.0 else begins
                self.free_at = begins + len(item[1]) / 32_000
                self.on_the_line.append((self.free_at + 0.2, decode_batch(item[1]).s))
                self.sent += 1

    def _hear(self, sending: Sending, at: float) -> None:
        said = Committed(self.box.epoch, data=self.mark, connection=7)
        sending.take(said, monotonic=at, now=START_MS)


@pytest.mark.parametrize("readings", [250, 500, 1000])
def test_a_line_that_stood_still_carries_little_twice(box: Outbox, readings: int) -> None:
    """An eighth, a quarter, half of what it carries: it was full of repeats for ever after."""
    one = Live(box, readings)
    one.run(130)
    assert box.batches <= 1
    assert one.sent <= one.mark * 1.15


class Line:
    """Carries so many bytes a second, one batch after the other; each is answered a tenth of a second later."""

    way_s = 0.1

    def __init__(self, bytes_per_s: float = 125_000.0) -> None:
        self.bytes_per_s = bytes_per_s
        self.free_at = 0.0
        self.busy_s = 0.0
        self.answers: deque[tuple[float, int]] = deque()

    def carry(self, seq: int, size: int, at: float) -> float:
        """How long something urgent that comes now has to wait for what is on the line."""
        begins = max(at, self.free_at)
        self.free_at = begins + size / self.bytes_per_s
        self.busy_s += size / self.bytes_per_s
        self.answers.append((self.free_at + self.way_s, seq))
        return self.free_at - at


@dataclass
class CatchUp:
    """An agent that sends history over a line; `waits` are what each batch would have had an urgent one wait, s."""

    box: Outbox
    line: Line
    now: float = 3600.0
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wall = START_MS + 3_600_000
        self.line.free_at = self.now
        self.sending = Sending(self.box, 7)
        self.sending.begin()
        self._hear(0)

    def run(self, batches_left: int = 0) -> None:
        while self.box.batches > batches_left:
            while item := self.sending.next(monotonic=self.now, now=self.wall):
                seq = decode_batch(item[1]).s
                self.waits.append(self.line.carry(seq, len(item[1]), self.now))
            self.now, seq = self.line.answers.popleft()
            self._hear(seq)

    def _hear(self, mark: int) -> None:
        said = Committed(self.box.epoch, backfill=mark, connection=7)
        self.sending.take(said, monotonic=self.now, now=self.wall)


def fill(box: Outbox, sizes: list[int]) -> None:
    for count in sizes:
        readings = [PointReading("a/p", 0.1 * n, 0, START_MS + n) for n in range(count)]
        box.keep(readings, START_MS, monotonic=0.0)


def test_history_fills_the_line_and_leaves_no_queue_before_what_is_urgent(box: Outbox) -> None:
    """Small batches, then larger ones: what may be in flight is known in bytes."""
    fill(box, [100] * 300 + [500] * 150)
    one = CatchUp(box, Line())
    one.run()
    assert np.percentile(one.waits, 99) <= 0.25
    assert one.line.busy_s / (one.now - 3600.0) >= 0.75


def test_a_line_that_becomes_slow_has_a_queue_for_a_moment_only(box: Outbox) -> None:
    """However long it was fast: what it did not have to carry is no measure of what it carries."""
    fill(box, [500] * 800)
    one = CatchUp(box, Line(12_500_000.0))
    one.run(batches_left=300)
    one.line.bytes_per_s = 125_000.0
    one.waits.clear()
    one.run()
    assert max(one.waits[:30]) > 1.0  # what was in flight when it became slow
    assert max(one.waits[100:]) <= 0.25
