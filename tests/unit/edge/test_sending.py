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
