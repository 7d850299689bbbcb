"""Weighs what a process holds while something runs on in it."""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SAMPLES: Final = 20
EARLY: Final = slice(SAMPLES // 10, SAMPLES // 5)
"""The second tenth: the first is for warming up."""
LAST: Final = slice(-SAMPLES // 10, None)


@dataclass(slots=True)
class Scales:
    """Weighs at every twentieth of so many steps.

    In objects, as Python itself counts them exactly up to 512 bytes each, and in MB of the process, which is all.
    Cycles that nobody holds are let go before, and what Python caches of names: thousands that are no growth.
    """

    steps: int
    blocks: list[int] = field(default_factory=list)
    mb: list[float] = field(default_factory=list)

    def weigh(self, done: int) -> None:
        """Call after each step."""
        if done * SAMPLES >= self.steps * (len(self.blocks) + 1):
            sys._clear_type_cache()  # noqa: SLF001  it holds names that were made for one look-up
            gc.collect()
            self.blocks.append(sys.getallocatedblocks())
            self.mb.append(resident_mb())

    @property
    def grown_blocks(self) -> int:
        """Objects more at the end than early on."""
        return int(_grown(self.blocks))

    @property
    def grown_mb(self) -> float:
        """MB more at the end than early on."""
        return _grown(self.mb)


def _grown(weights: Sequence[float]) -> float:
    """Least of the last tenth less the most of the second: what comes and goes is no growth; 0 of too few."""
    early, last = weights[EARLY], weights[LAST]
    return max(0.0, min(last) - max(early)) if early else 0.0


@contextmanager
def set_aside() -> Iterator[None]:
    """What is there already is no garbage and need not be looked through at each weighing."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def resident_mb() -> float:
    """Memory of this process; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * 4096 / 1e6
