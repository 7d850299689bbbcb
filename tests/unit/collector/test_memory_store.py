"""What only the twin of the store can do."""

import numpy as np
import pytest

from collector.adapters.memory_store import MemoryStore
from collector.buckets import in_buckets, nothing
from collector.ports import Unavailable


def test_the_twin_can_be_made_unavailable_and_comes_back() -> None:
    store = MemoryStore()
    store.write([], 3)
    store.unavailable = "as if the disk were gone"
    with pytest.raises(Unavailable, match="disk were gone"):
        store.write([], 4)
    store.unavailable = ""
    assert store.cursor() == 3


def test_no_readings_make_no_buckets() -> None:
    assert len(in_buckets(nothing(), 1000).time) == 0


@pytest.mark.parametrize("width", [0, -1])
def test_a_bucket_needs_a_width(width: int) -> None:
    with pytest.raises(ValueError, match="not above 0"):
        in_buckets(nothing(), width)


def test_buckets_before_1970_are_aligned_downwards() -> None:
    raw = nothing()
    early = type(raw)(np.array([-1500, -1, 0]), np.array([1.0, 2, 3]), np.zeros(3, np.uint8))
    assert in_buckets(early, 1000).time.tolist() == [-2000, -1000, 0]
