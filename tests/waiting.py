"""Waiting for a condition with a deadline: tests do not sleep."""

import asyncio
from collections.abc import Callable


async def until(predicate: Callable[[], object], timeout: float = 5.0) -> None:
    """Return as soon as `predicate()` is true; AssertionError after `timeout` real seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not predicate():
        if loop.time() > deadline:
            raise AssertionError(f"not so within {timeout} s: {predicate}")
        await asyncio.sleep(0.005)
