"""An outbox whose files may not grow: what is kept stays, what was sent goes, and then there is room again."""

from pathlib import Path

import numpy as np
import pytest

from edge.outbox import Outbox
from edge.outbox_file import OutboxRefused
from edge.ports import PointReading
from edge.readings import Committed
from tests.unit.edge.rows import START_MS, register_point
from tests.unit.edge.small_files import files_may_have

POINTS = [register_point(f"p{n}", n) for n in range(50)]
LIMIT_BYTES = 200_000
READING_BYTES_MAX = 28
"""See `OutboxLimits`."""


def kept_until_refused(box: Outbox, first: int) -> int:
    """How many batches it took."""
    for n in range(first, first + 100_000):
        rows = [PointReading(point.id, 0.1 + n, 0, START_MS + n) for point in POINTS]
        try:
            box.keep(rows, START_MS + n, monotonic=n / 1000)
        except OutboxRefused:
            with pytest.raises(OutboxRefused, match="is its disk full"):
                box.keep(rows, START_MS + n, monotonic=n / 1000)
            return n - first
    raise AssertionError("nothing was refused")


def sent_all(box: Outbox, now: int) -> int:
    """Number and commit until nothing waits; how many batches."""
    sent = 0
    while box.number("data", now, (now - START_MS) / 1000):
        seq = box.given("data")
        sent += seq - box.mark("data")
        assert box.commit(Committed(box.epoch, box.mark("event"), seq, box.mark("backfill")), now)
    return sent


@pytest.mark.usefixtures("unmeasured")
def test_an_outbox_that_may_not_grow_gives_back_what_it_took_and_takes_as_much_again(
    tmp_path: Path,
) -> None:
    box = Outbox(tmp_path / "o", now=START_MS, rng=np.random.default_rng(1))
    box.define(POINTS, START_MS)
    with files_may_have(LIMIT_BYTES):
        before = 0
        for _ in range(2):
            kept = kept_until_refused(box, before)
            most = kept * len(POINTS) * READING_BYTES_MAX
            assert most > LIMIT_BYTES, "it is full of readings, not of its log"
            assert box.batches == kept
            assert sent_all(box, START_MS + before + kept) == kept
            assert box.batches == 0
            before += kept
    made = sum(count.made for count in box.counts())
    assert made == sum(count.sent for count in box.counts()) == before * len(POINTS)
    box.close()
    again = Outbox(tmp_path / "o", now=START_MS, rng=np.random.default_rng(1))
    assert (again.batches, again.given("data"), again.set_aside) == (0, before, [])
    again.close()
