"""What the readings prove about a repair: N healthy minutes without a break, after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge.readings import BAD, QUALITIES

ProofReason = Literal["healthy", "abnormal", "unknown", "waiting"]

NOT_A_PROOF = frozenset({QUALITIES["stale_source"], QUALITIES["in_test"]})
"""Uncertain qualities that prove nothing."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One rule of the order: its condition, since when (UTC ms), whether its reading is usable."""

    condition: str
    since: int
    usable: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """Seconds healthy of seconds needed. `since` (UTC ms) is when the count began."""

    needed_s: float
    healthy_s: float
    since: int | None
    reason: ProofReason

    @property
    def complete(self) -> bool:
        """Whether the readings say that the fault is gone."""
        return self.reason == "healthy" and self.healthy_s >= self.needed_s


def usable(quality: int, source_time: int, *, now: int, silence_s: float) -> bool:
    """Whether a reading says how the equipment is now: good enough, and not older than it may be."""
    fresh = source_time > 0 and now - source_time <= silence_s * 1000
    return fresh and quality < BAD and quality not in NOT_A_PROOF


def prove(watched: Sequence[Watched], *, completed_at: int, needed_s: float, now: int) -> Proof:
    """Whether every rule has been NORMAL without a break since the work was completed.

    `completed_at` 0: the work is not done yet. UNKNOWN, an unusable reading or no rule at all
    prove nothing, and begin the count again.
    """
    reason = _health(watched)
    if reason != "healthy":
        return Proof(needed_s, 0.0, None, reason)
    if completed_at == 0:
        return Proof(needed_s, 0.0, None, "waiting")
    since = max(completed_at, *(w.since for w in watched))
    return Proof(needed_s, max(0, now - since) / 1000, since, "healthy")


def _health(watched: Sequence[Watched]) -> ProofReason:
    if any(w.condition == "ABNORMAL" for w in watched):
        return "abnormal"
    sound = [w.condition == "NORMAL" and w.usable for w in watched]
    return "healthy" if sound and all(sound) else "unknown"
