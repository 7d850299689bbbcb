"""One journal group, decoded and joined: the columns that live table, rules and store share."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edge.readings import Codes, Floats, Ints

SET_BACK_MS: Final = 60_000
"""What was heard later than this after a group's receive time was heard before the server's clock was set back."""


@dataclass(frozen=True, slots=True)
class Group:
    """Readings of one journal group: columns of equal length, in order of arrival.

    `row` is the point's row in the live table. `time` is the source time in UTC ms, already corrected
    by the agent's clock error; `value` is NaN where there is none. `live` is False for what came on
    the lane `backfill`. `agent` indexes `agents` (`site/agent`). `position` is the journal position
    of the group's last entry and `received` its receive time, both as recorded, so that a replay is
    the same.
    """

    position: int
    received: int
    row: Ints
    time: Ints
    value: Floats
    quality: Codes
    live: npt.NDArray[np.bool_]
    agent: Ints
    agents: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.row)
