"""When each plan wants the planner again: columns of instants, so that a tick asks all of them in one scan."""

import numpy as np


class Idle:
    """From when until when (UTC ms) each of `count` plans, by its number, may be passed over. At first none may."""

    def __init__(self, count: int) -> None:
        self._since = np.zeros(count, np.int64)
        self._until = np.zeros(count, np.int64)

    def span(self, number: int) -> tuple[int, int]:
        """It may be passed over at since ≤ t < until."""
        return int(self._since[number]), int(self._until[number])

    def rest(self, number: int, since: int, until: int) -> None:
        """Nothing new in since ≤ t < until, unless it is woken; before `since` (a clock put back) there may be."""
        self._since[number], self._until[number] = since, until

    def wake(self, number: int) -> None:
        """Something is new at any time."""
        self.rest(number, 0, 0)

    def over(self, now: int) -> list[int]:
        """Numbers of the plans that may not be passed over at `now`."""
        busy: list[int] = np.flatnonzero((now < self._since) | (self._until <= now)).tolist()
        return busy
