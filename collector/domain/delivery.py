"""Which numbered batches are kept, which were had already, and what will never come: rules 3-7 of delivery."""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from edge.readings import CONTRACT, Birth, PointRow

ARRIVALS_TO_BELIEVE: Final = 3
"""Arrivals after which a batch that cannot be read counts as the next one of its lane."""
BODIES_REMEMBERED: Final = 1_000
CLOCK_WINDOW_MS: Final = 300_000
LEAP_MS: Final = 24 * 3_600_000
"""A clock is not taken to have leapt further than this on the word of one message alone."""
LAG_MS: Final = 60_000
LAG_LASTS_MS: Final = 5_000
LAG_VARIES_MS: Final = 5_000
"""A sample this far behind is a delay, or a clock set back: a delay does not stay the same for so long."""
POINT_ID: Final = re.compile(r"[a-z0-9-]+(?:/[a-z0-9-]+)*/[a-z0-9_]+")
EPOCH_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
KINDS: Final = frozenset({"measurement", "counter", "state", "flag"})
_SET_AT_SENDING: Final = re.compile(rb'"[no]":\s*-?\d+')


class Step(Enum):
    """What to do with a batch whose structure is sound."""

    KEEP = "keep"
    REPEAT = "repeat"
    GAP = "gap"


class Accepted(NamedTuple):
    """`missing` is the last number that will never come, counted from the mark + 1 (0: none)."""

    step: Step
    missing: int


_KEEP = Accepted(Step.KEEP, 0)
_REPEAT = Accepted(Step.REPEAT, 0)
_GAP = Accepted(Step.GAP, 0)


def accept(mark: int, seq: int, oldest: int) -> Accepted:
    """Compare one batch with the highest contiguous number kept so far.

    Args:
        mark: highest contiguous number of the lane (0: none).
        seq: the batch's number, at least 1.
        oldest: the lowest number that the edge still holds, at most `seq`.
    """
    if seq <= mark:
        return _REPEAT
    waiting = mark + 1
    if oldest <= waiting:
        return _KEEP if seq == waiting else _GAP
    return Accepted(Step.KEEP if seq == oldest else Step.GAP, oldest - 1)


@dataclass(slots=True)
class Arrivals:
    """How often each batch that cannot be read came since its lane last went on."""

    _counts: dict[int, int] = field(default_factory=dict)

    def believed(self, payload: bytes) -> bool:
        """Count one arrival; True once the same one has come often enough to count as the next.

        The same means: but for the two members that an edge sets anew at each sending.
        """
        body = hash(_SET_AT_SENDING.sub(b"", payload))
        if len(self._counts) >= BODIES_REMEMBERED:
            self._counts.clear()
        count = self._counts.get(body, 0) + 1
        self._counts[body] = count
        return count >= ARRIVALS_TO_BELIEVE

    def clear(self) -> None:
        """The lane went on."""
        if self._counts:
            self._counts.clear()


@dataclass(slots=True)
class ClockError:
    """An agent's clock minus the collector's, in ms, from the sample with the least delay.

    A message can only be late, never early: of all samples (sent minus received) of the last 2.5 to
    5 minutes the greatest is the nearest to the truth. A sample more than a day away from what is
    known is no delay: it counts once the next one agrees, and then for all that came before. So does
    one that is more than a minute behind, once others have agreed for five seconds.
    """

    _since: int = 0
    _now: int | None = None
    _before: int | None = None
    _doubted: tuple[int, int] | None = None

    def sample(self, sent: int, received: int) -> None:
        """Take up one message: when the agent says it sent it, when it came (both UTC ms)."""
        error = sent - received
        if self._doubts(error, received):
            return
        age = received - self._since
        if self._now is None or age >= CLOCK_WINDOW_MS // 2 or age < 0:
            self._before = self._now if 0 <= age < CLOCK_WINDOW_MS else None
            self._since, self._now = received, error
        elif error > self._now:
            self._now = error

    def _doubts(self, error: int, received: int) -> bool:
        """Whether the sample leaps to where no others have been before it."""
        doubted, self._doubted = self._doubted, None
        leap = error - self.ms
        if self._now is None or -LAG_MS <= leap <= LEAP_MS:
            return False
        far = abs(leap) > LEAP_MS
        agrees = doubted is not None and abs(error - doubted[0]) <= (LEAP_MS if far else LAG_VARIES_MS)  # fmt: skip
        first = doubted if doubted is not None and agrees else (error, received)
        if agrees and (far or received - first[1] >= LAG_LASTS_MS):
            self._now = self._before = None
            return False
        self._doubted = first
        return True

    @property
    def ms(self) -> int:
        """The error now; 0 before the first sample."""
        if self._now is None:
            return 0
        return self._now if self._before is None or self._now > self._before else self._before


def wrong_with_birth(birth: Birth) -> str:
    """What cannot be right about a birth, empty if nothing."""
    if birth.contract.partition(".")[0] != CONTRACT.partition(".")[0]:
        return f"contract {birth.contract} is not one of {CONTRACT.partition('.')[0]}.x"
    if not EPOCH_ID.fullmatch(birth.epoch):
        return "the epoch is not 1 to 64 letters and digits"
    if not 0 <= birth.connection < 2**53:
        return f"connection {birth.connection} is not in 0..2^53"
    seen: set[str] = set()
    for position, row in enumerate(birth.points):
        reason = _wrong_with_row(position, row)
        if not reason and not row.retired and row.point in seen:
            reason = f"{row.point} stands twice"
        if reason:
            return f"points[{position}]: {reason}"
        if not row.retired:
            seen.add(row.point)
    return ""


def _wrong_with_row(position: int, row: PointRow) -> str:
    if row.index != position:
        return f"index {row.index} is not its place in the table"
    if len(row.point) > 200 or not POINT_ID.fullmatch(row.point):
        return "the point's id is not asset/point"
    if row.kind not in KINDS:
        return f"kind {row.kind!r} is not one of {', '.join(sorted(KINDS))}"
    if len(row.unit) > 32 or not row.unit.isprintable():
        return "the unit is not up to 32 printable letters"
    return ""


def change_of_meaning(known: Birth, birth: Birth) -> str:
    """Where a birth of a known epoch gives an index another meaning, empty if it only grew."""
    if len(birth.points) < len(known.points):
        return f"the table shrank from {len(known.points)} to {len(birth.points)} points"
    for old, new in zip(known.points, birth.points, strict=False):
        if _meaning(old) != _meaning(new):
            return f"index {old.index} meant {old.point} in {old.unit!r}, now {new.point} in {new.unit!r}"
    return ""


def _meaning(row: PointRow) -> tuple[str, str, str, int]:
    return row.point, row.unit, row.kind, row.decimals
