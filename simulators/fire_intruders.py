"""Who connects to a fire line besides a device: a second panel of its address, a stranger, a crowd that says nothing."""

import asyncio
from collections.abc import Callable, Mapping, Set
from typing import Final

from simulators.fire_client import FireDevice

STRANGER: Final = 60_001
"""A source address that no device of the line has."""
CROWD: Final = 40
"""More than an edge takes besides its devices."""
NOTHING: Final[frozenset[str]] = frozenset()

Beside = tuple[int | None, frozenset[str]]
"""The source address of one (None: the device's own), and its faults."""
WHO: Final[Mapping[str, tuple[Beside, ...]]] = {
    "two_alike": ((None, NOTHING),),
    "stranger": ((STRANGER, NOTHING),),
    "crowd": ((STRANGER, frozenset({"silent"})),) * CROWD,
}
"""Fault of a device to who comes with it."""


class Intruders:
    """Those who come with the faults of one device, and go with them. `make` makes one, not yet started."""

    def __init__(self, make: Callable[[int | None, Set[str]], FireDevice]) -> None:
        self._make = make
        self._here: dict[str, list[FireDevice]] = {}

    async def update(self, faults: Set[str]) -> None:
        """Let come who belongs to these kinds of fault and is not there, and go who does not."""
        for kind in self._here.keys() - faults:
            await asyncio.gather(*(one.close() for one in self._here.pop(kind)))
        for kind in (WHO.keys() & faults) - self._here.keys():
            self._here[kind] = [self._make(*row) for row in WHO[kind]]
            for one in self._here[kind]:
                one.start()

    async def close(self) -> None:
        """All go; may be called twice."""
        await self.update(NOTHING)
