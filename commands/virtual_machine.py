"""What befalls the machine that an edge runs on: a clock that is set, a disk that is full, a file that is spoilt."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.clock import Clock

PAGE_BYTES: Final = 4096
GARBAGE: Final = b"\xa5\x5a"


@dataclass(slots=True)
class EdgeClock:
    """A clock of one machine, `ahead_s` before the true one; how time passes is no concern of who sets it."""

    true: Clock
    ahead_s: float = 0.0

    def now(self) -> int:
        return self.true.now() + round(self.ahead_s * 1000)

    def monotonic(self) -> float:
        return self.true.monotonic()

    async def sleep_until(self, deadline: float) -> None:
        await self.true.sleep_until(deadline)


@contextmanager
def full_disk() -> Iterator[None]:
    """The operating system refuses every byte that this process would write to a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def spoil(path: Path) -> None:
    """Every page of an SQLite file behind the first.

    Raises:
        ValueError: it has no other, so nothing would be spoilt.
    """
    size = path.stat().st_size
    if size <= PAGE_BYTES:
        raise ValueError(f"{path} has {size} bytes, no page behind the first")
    with path.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(GARBAGE * ((size - PAGE_BYTES) // 2))
