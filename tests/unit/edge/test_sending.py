from collections.abc import Iterator

import numpy as np
import pytest

from edge.outbox import Outbox
from edge.ports import PointReading
from edge.readings import Committed
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
