"""What is seen of pollers while they are measured, and that they did what is counted."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from config.plant import Device, Point
from edge.poller import LineStats
from edge.ports import PointReader, PointReading, ReadResult


class Watched:
    """A reader that notes when each read began, and the longest."""

    def __init__(self, reader: PointReader) -> None:
        self._reader = reader
        self.begun: list[float] = []
        self.longest_s = 0.0

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        """As the reader does."""
        begun = time.perf_counter()
        self.begun.append(begun)
        result = await self._reader.read(device, points)
        self.longest_s = max(self.longest_s, time.perf_counter() - begun)
        return result

    def forget(self, device: str) -> None:
        """As the reader does."""
        self._reader.forget(device)

    def words(self) -> str:
        """As the reader does."""
        return self._reader.words()

    async def close(self) -> None:
        """As the reader does."""
        await self._reader.close()


@dataclass(slots=True)
class Heard:
    """How many readings of a line were told."""

    readings: int = 0

    def take(self, readings: Sequence[PointReading]) -> None:
        """Where a poller's readings go."""
        self.readings += len(readings)


def unsound(stats: Sequence[LineStats], heard: Sequence[Heard], each: int) -> int:
    """How many lines were not read, or not `each` value at every read, or one of them bad, or the poller failed."""
    return sum(
        not own.reads
        or own.faults > 0
        or own.errors.total() > 0
        or one.readings != each * own.reads
        for own, one in zip(stats, heard, strict=True)
    )


async def cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """End tasks that should go on until then.

    Raises:
        RuntimeError: one had ended by itself.
        Exception: what one of them ended with, if it was not this end.
    """
    early = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    raise_any(await asyncio.gather(*tasks, return_exceptions=True))
    if early:
        raise RuntimeError(f"{early} of {len(tasks)} tasks ended by themselves")


def raise_any(results: Sequence[object]) -> None:
    """Raise the first of them that is an error; to be cancelled is none."""
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result
