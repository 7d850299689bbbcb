"""A reader that is not ours: made by the package that brings it, and fenced in, so that it harms no other line."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from config.clock import Clock
from config.plant import Device, Line, Point, Secret
from config.readers import installed_readers, package_of
from edge.ports import PointReader, PointReading, ReadResult
from edge.readings import QUALITIES

log = logging.getLogger(__name__)
LINK_DOWN = QUALITIES["link_down"]


class MakeForeign(Protocol):
    """What stands in the group `steward.readers`: makes the reader of one line, and connects nothing yet.

    `line.path` is what the plant says at `at`, a point's `source.at` what its profile says there;
    values are told in the unit of the profile. Anything that it raises makes the line `link_down`.
    """

    def __call__(
        self, line: Line, devices: Sequence[Device], clock: Clock, password_of: Callable[[Secret], str], /
    ) -> PointReader: ...  # fmt: skip


class ForeignReader:
    """A `PointReader` over that of a package. What it raises is said as the line's loss, with the package's name."""

    def __init__(
        self,
        line: Line,
        devices: Sequence[Device],
        clock: Clock,
        password_of: Callable[[Secret], str],
    ) -> None:
        self._clock = clock
        self._name = f"reader {line.reader}"
        self._inner: PointReader | None = None
        self._unusable = f"{self._name} is not installed"
        found = installed_readers().get(line.reader)
        if found is None:
            return
        self._name = f"{self._name} of package {package_of(found)}"
        try:
            make: MakeForeign = found.load()
            self._inner = make(line, devices, clock, password_of)
        except Exception as error:
            log.exception("line %s cannot be read: %s", line.id, self._name)
            self._unusable = f"{self._name} cannot be used: {type(error).__name__}: {error}"

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        if self._inner is None:
            return self._down(points, self._unusable)
        try:
            return await self._inner.read(device, points)
        except Exception as error:  # noqa: BLE001  # said once, as the line's loss
            return self._down(points, f"{self._name} failed: {type(error).__name__}: {error}")

    def _down(self, points: Sequence[Point], why: str) -> ReadResult:
        now = self._clock.now()
        down = [PointReading(point.id, None, LINK_DOWN, now) for point in points]
        return ReadResult(down, lost=True, line_lost=True, detail=why)

    def forget(self, device: str) -> None:
        """Never asked for: its line begins anew with any of its devices (`edge.reloading`)."""

    def words(self) -> str:
        if self._inner is None:  # why stands in the log: what a stranger raises may hold anything
            return f"{self._name} cannot be used"
        try:
            return self._inner.words()
        except Exception:
            log.exception("%s failed", self._name)
            return f"{self._name} failed"

    async def close(self) -> None:
        try:
            if self._inner is not None:
                await self._inner.close()
        except Exception:
            log.exception("%s failed", self._name)
