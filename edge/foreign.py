"""A reader that is not ours: made by the package that brings it, and fenced in, so that it harms no other line."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, Protocol

from config.clock import Clock
from config.plant import Device, Line, Point, Secret
from config.readers import installed_readers, package_of
from edge.fencing import Busy, Calls, Late, Outcome, Passwords, Raised, given, in_thread
from edge.foreign_results import Told, Unsound, sound
from edge.ports import PointReader, PointReading, ReadResult
from edge.readings import QUALITIES

log = logging.getLogger(__name__)
LINK_DOWN: Final = QUALITIES["link_down"]
NO_ANSWER: Final = QUALITIES["no_answer"]
CLOSE_S: Final = 2.0
"""How long closing may take, in real seconds."""
Begin = Callable[[Callable[[], PointReader]], asyncio.Future[Outcome[PointReader]]]
"""Begins to make a reader where it holds up nothing; ends with what came of it."""


class MakeForeign(Protocol):
    """What stands in the group `steward.readers`: makes the reader of one line, and connects nothing yet.

    `line.path` is what the plant says at `at`, a point's `source.at` what its profile says there;
    values are told in the unit of the profile, times in UTC ms. A read that takes longer than
    `line.timeout_s` (real seconds) is cancelled, its points are `no_answer`. Anything that it raises,
    and anything told that `edge.foreign_results` refuses, makes the line `link_down`. It is imported and called
    in a thread, all else in the agent's loop, which it must not block.
    """

    def __call__(
        self, line: Line, devices: Sequence[Device], clock: Clock, password_of: Callable[[Secret], str], /
    ) -> PointReader: ...  # fmt: skip


class Unusable(Exception):
    """There is no reader to ask; the message says why."""


class ForeignReader:
    """A `PointReader` over that of a package. What it does wrong is said as the line's loss, with the package's name."""

    def __init__(
        self,
        line: Line,
        devices: Sequence[Device],
        clock: Clock,
        password_of: Callable[[Secret], str],
        begin: Begin = in_thread,
    ) -> None:
        self._line, self._devices, self._clock = line, tuple(devices), clock
        self._passwords = Passwords(line.path, password_of)
        self._name = f"reader {line.reader}"
        self._begin = begin
        self._inner: PointReader | None = None
        self._making: asyncio.Future[Outcome[PointReader]] | None = None
        self._unusable = "has not begun"
        self._calls = Calls[Any]()
        self._others = 0

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        try:
            inner = await self._made()
            told = await self._calls.run(lambda: inner.read(device, points), self._line.timeout_s)
            return self._taken(sound(told, points, self._clock.now()))
        except Unusable as error:
            return self._bad(points, LINK_DOWN, str(error))
        except Late:
            return self._bad(points, NO_ANSWER, f"gave nothing within {self._line.timeout_s:g} s")
        except Busy:
            return self._bad(points, LINK_DOWN, "goes on with a read that was ended")
        except Unsound as error:
            return self._bad(points, LINK_DOWN, f"is wrong: {self._passwords.line(str(error))}")
        except Raised as raised:
            return self._bad(points, LINK_DOWN, f"failed: {self._passwords.said(raised.__cause__)}")
        except Exception as error:  # noqa: BLE001  # of an object that it gave
            return self._bad(points, LINK_DOWN, f"is wrong: {self._passwords.said(error)}")

    def _taken(self, told: Told) -> ReadResult:
        if told.others:
            if not self._others:
                other = self._passwords.line(repr(told.others[0]))
                log.warning("%s tells of points that it was not asked for, as %s: they are dropped, and counted", self._name, other)  # fmt: skip
            self._others += len(told.others)
        told.result.detail = self._passwords.line(told.result.detail)
        return told.result

    def _bad(self, points: Sequence[Point], quality: int, why: str) -> ReadResult:
        now = self._clock.now()
        bad = [PointReading(point.id, None, quality, now) for point in points]
        down = quality == LINK_DOWN
        return ReadResult(bad, lost=True, line_lost=down, detail=f"{self._name} {why}")

    # --- making it

    async def _made(self) -> PointReader:
        """The package's reader; one that cannot be made is tried again with the next read.

        Raises:
            Unusable: there is none, or none yet.
        """
        if self._inner is not None:
            return self._inner
        if self._making is None:
            self._making = self._begin(self._make)
        await asyncio.wait([self._making], timeout=self._line.timeout_s)
        if not self._making.done():
            raise Unusable("is still being made")
        making, self._making = self._making, None
        try:
            self._inner = given(making.result())
        except Raised as raised:
            self._cannot(raised.__cause__)
        return self._inner

    def _make(self) -> PointReader:
        """In a thread: an import may take long."""
        found = installed_readers().get(self._line.reader)
        if found is None:
            raise Unusable("is not installed")
        self._name = f"reader {self._line.reader} of package {package_of(found)}"
        make: MakeForeign = found.load()
        return make(self._line, self._devices, self._clock, self._passwords)

    def _cannot(self, error: BaseException | None) -> NoReturn:
        if isinstance(error, Unusable):
            self._unusable = str(error)
            raise error
        why = f"cannot be used: {self._passwords.said(error)}"
        if self._unusable != "cannot be used":
            self._unusable = "cannot be used"  # why stands in the log
            log.error("line %s cannot be read: %s %s\n%s", self._line.id, self._name, why, self._passwords.trace(error))  # fmt: skip
        raise Unusable(why)

    # --- what else it is asked

    def forget(self, device: str) -> None:
        """Never asked for: its line begins anew with any of its devices (`edge.reloading`)."""

    def words(self) -> str:
        if self._inner is None:
            return f"{self._name} {self._unusable}"
        dropped = f"{self._others} readings of other points dropped" if self._others else ""
        try:
            said = self._passwords.line(self._inner.words())
        except (Exception, SystemExit) as error:  # noqa: BLE001  # words of one line, among those of all
            log.error("%s failed: %s", self._name, self._passwords.said(error))
            said = f"{self._name} failed"
        return "; ".join(filter(None, (said, dropped)))

    async def close(self) -> None:
        if self._inner is None:
            return
        try:
            await Calls[None]().run(self._inner.close, CLOSE_S)
        except Late:
            log.error("%s does not close within %g s", self._name, CLOSE_S)
        except Raised as raised:
            log.error("%s failed: %s", self._name, self._passwords.said(raised.__cause__))
