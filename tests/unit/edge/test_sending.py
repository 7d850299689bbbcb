from collections import deque
from collections.abc import Iterator

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

    bytes_per_s = 125_000.0
    way_s = 0.1

    def __init__(self) -> None:
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


def test_history_fills_the_line_and_leaves_no_queue_before_what_is_urgent(box: Outbox) -> None:
    """Small batches, then larger ones: what may be in flight is known in bytes."""
    for count in [100] * 300 + [500] * 150:
        readings = [PointReading("a/p", 0.1 * n, 0, START_MS + n) for n in range(count)]
        box.keep(readings, START_MS, monotonic=0.0)
    now, wall, line, sending = 3600.0, START_MS + 3_600_000, Line(), Sending(box, 7)
    sending.begin()
    sending.take(Committed(box.epoch, connection=7), monotonic=now, now=wall)
    begun, waits, line.free_at = now, [], now
    while box.batches:
        while item := sending.next(monotonic=now, now=wall):
            seq = decode_batch(item[1]).s
            waits.append(line.carry(seq, len(item[1]), now))
        now, seq = line.answers.popleft()
        sending.take(Committed(box.epoch, backfill=seq, connection=7), monotonic=now, now=wall)
    assert np.percentile(waits, 99) <= 0.25
    assert line.busy_s / (now - begun) >= 0.75
