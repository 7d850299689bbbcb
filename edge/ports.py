"""What the edge needs from outside: something that reads devices, something that carries batches."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from config.plant import Device, Point


class PointReading(msgspec.Struct, gc=False):
    """One reading of one point: value (None if bad), quality code, source time (UTC ms).

    Nobody changes one. As a dataclass it took twice as long to make, frozen ten times; the garbage
    collector need not look at it, for nothing that it holds leads back to it.
    """

    point: str
    value: float | None
    quality: int
    time: int


class ReadResult(msgspec.Struct):
    """What one read of a device gave: a reading for *every* point asked for, good or bad.

    A device that sends by itself (MQTT) gives every reading that came since the last call, oldest
    first, and none for a point that is merely quiet. Points of type `string` give a fact, no reading.
    `lost` says that the link itself is gone (connect refused, reset, no answer): the caller backs off.
    `line_lost` says that it is gone for every device of the line, which readings of `link_down` say too.
    `retry_s` says that it was not tried, for it cannot be for so many seconds.
    `facts` are strings (serial numbers) for the birth.
    """

    readings: list[PointReading]
    lost: bool = False
    detail: str = ""
    facts: dict[str, str] = {}
    line_lost: bool = False
    retry_s: float = 0.0


class PointReader(Protocol):
    """Reads points of devices on one line; never writes to them."""

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        """Read these points once. May be repeated. Never raises for anything a device does:
        what happened stands in the quality of each reading. One call at a time per line.
        """
        ...

    def forget(self, device: str) -> None:
        """Let go of what was learnt of a device: its definition has changed."""
        ...

    def words(self) -> str:
        """What a person may want to know of it beside its readings, without secrets; may be empty."""
        ...

    async def close(self) -> None:
        """Give the link back; may be called twice."""
        ...


Again = Callable[[], ReadResult]
"""Makes the result of a read that gave, word for word, what the last one gave that had no fault."""


@runtime_checkable
class WordReader(PointReader, Protocol):
    """A reader that sees by the words alone that a device says again what it said."""

    async def read_words(self, device: Device, points: Sequence[Point]) -> ReadResult | Again:
        """As `read`; what says again what it said is only worked out if somebody wants it."""
        ...


@runtime_checkable
class ListeningReader(PointReader, Protocol):
    """A reader whose devices speak by themselves: what it does not listen for when they speak is gone."""

    def expect(self, device: Device, points: Sequence[Point]) -> None:
        """Listen for these points from now on; they are read later."""
        ...

    def lost(self, points: Sequence[Point], quality: int) -> list[PointReading]:
        """That nothing is heard of these points, with the time that their devices would give it."""
        ...


class Publisher(Protocol):
    """Carries messages of one agent for the life of one connection."""

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand over one message (QoS 1) for topic `what` (birth, event, data, backfill, state, reply).

        Returning does not mean stored. Raises `LinkLost` when the connection is gone.
        """
        ...

    def queued(self) -> bool:
        """True while something handed over waits here: the line takes no more for now."""
        ...

    async def received(self) -> tuple[str, bytes]:
        """The next `committed` or `request`, in order. Raises `LinkLost` when the connection is gone."""
        ...

    async def close(self) -> None:
        """End the connection; may be called twice."""
        ...


Connect = Callable[[bytes], "PublisherContext"]
"""Opens a connection whose will is the given `state` payload; raises `LinkLost` on failure."""


class PublisherContext(Protocol):
    """`async with connect(will) as publisher:`, one connection's life."""

    async def __aenter__(self) -> Publisher: ...

    async def __aexit__(self, *exc: object) -> None: ...


class LinkLost(Exception):
    """The broker is not reachable; keep, wait and try again."""
