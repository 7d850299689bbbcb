"""Readings older than the newest of their point: history that is sent afterwards, or a clock that was set back."""

from dataclasses import dataclass, replace
from typing import Final

SET_BACK_MS: Final = 60_000
"""What is older than the newest by no more than this is history, whatever follows it."""
SET_BACK_READINGS: Final = 3
"""So many that are older, each newer than the one before, may be of a clock that was set."""
HISTORY_PACE: Final = 1.5
"""Times that go on so much faster than the readings come are history that is sent afterwards."""


@dataclass(frozen=True, slots=True)
class Older:
    """Readings in a row that are older than the newest: how many, the time of the last, and the first's
    time (UTC ms) and arrival (seconds of a clock that nobody sets).
    """

    count: int
    last: int
    first: int
    first_came_s: float


def with_older(row: Older | None, time: int, monotonic: float) -> Older:
    """The row with one more, or a row of this one where it does not go on."""
    if row is None or time <= row.last:
        return Older(1, time, time, monotonic)
    return replace(row, count=row.count + 1, last=time)


def was_set_back(row: Older, monotonic: float) -> bool:
    """Whether only a clock that was set back gives such a row, its last having come at `monotonic`."""
    lasted_ms = (monotonic - row.first_came_s) * 1000
    return row.count >= SET_BACK_READINGS and row.last - row.first <= HISTORY_PACE * lasted_ms
