"""A grid of bare timers in a process of its own, and how late what keeps to a grid is.

Says `{"p99_s": …, "most_s": …, "whole_periods": …}` in a line of JSON at its end (see `Late`).
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Late:
    """How late a grid was: what one in a hundred exceeds, the most, and how often by a period of a second or more."""

    p99_s: float
    most_s: float
    whole_periods: int

    @staticmethod
    def of(late: Sequence[float]) -> "Late":
        """From how late each was, seconds; at least one."""
        return Late(p99(late), max(late), sum(one >= 1.0 for one in late))


def p99(late: Sequence[float]) -> float:
    """What one in a hundred exceeds."""
    return float(np.percentile(late, 99))


def lateness(times: Sequence[float]) -> list[float]:
    """Seconds after its place in a grid of one second, the earliest taken as punctual.

    None is left out: one that was missed makes all behind it a second late.
    """
    offsets = [at - place for place, at in enumerate(times)]
    punctual = min(offsets)
    return [offset - punctual for offset in offsets]


async def grid(count: int, lasts_s: float) -> list[float]:
    """How late so many timers of one second are, with phases of their own."""
    loop = asyncio.get_running_loop()
    begun: list[list[float]] = [[] for _ in range(count)]
    start = loop.time()

    async def timer(n: int) -> None:
        at = start + n / count
        while at < start + lasts_s:
            await asyncio.sleep(at - loop.time())
            begun[n].append(time.perf_counter())
            at += 1.0

    await asyncio.gather(*(timer(n) for n in range(count)))
    return [one for times in begun for one in lateness(times)]


if __name__ == "__main__":
    print(json.dumps(asdict(Late.of(asyncio.run(grid(int(sys.argv[1]), float(sys.argv[2])))))))
