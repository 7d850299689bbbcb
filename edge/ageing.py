"""How long an outbox has been at work, counted by what runs evenly: the wall clock may be set, or was never right."""

from dataclasses import dataclass
from typing import Final

YOUNG_MS: Final = 60_000
"""A batch older than this when it is first sent is history."""
STEP_MS: Final = 60_000
"""A wall clock that went this much further or less far than the even one was set; the contract calls
a clock wrong from here on.
"""


@dataclass(slots=True)
class Ages:
    """Milliseconds at work over all runs of a file; a run is the life of one process.

    A run begins at `began`, above everything that earlier runs counted.
    """

    began: int
    _origin_s: float | None = None
    _ahead_ms: int | None = None
    """The wall clock minus ours when last looked at."""

    def ran(self, monotonic: float) -> int:
        """The count at `monotonic` (seconds, of this process); the first call is the beginning."""
        if self._origin_s is None:
            self._origin_s = monotonic
        return self.began + round((monotonic - self._origin_s) * 1000)

    def step(self, now: int, ran: int) -> int:
        """By how many ms the wall clock was set since `look`; 0 if it was not."""
        step = 0 if self._ahead_ms is None else now - ran - self._ahead_ms
        return step if abs(step) > STEP_MS else 0

    def look(self, now: int, ran: int) -> None:
        """Remember how the wall clock stands."""
        self._ahead_ms = now - ran


def next_run(ran: int, made: int, now: int) -> int:
    """Where a new run begins, behind a last batch made at `ran` and at `made` by the wall clock.

    Between two runs only the wall clock counts. It may have been set, so it is believed up to a
    minute: enough to make history of what was left, too little to make it old. A clock that went
    back says nothing, and what was left is history.
    """
    away = now - made
    return ran + 1 + (away if 0 <= away < YOUNG_MS else YOUNG_MS)
