"""Looks at cameras rung by rung: do they stream, what do they show, are they recorded, is their clock right."""

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from config.clock import Clock
from config.plant import Device, Point
from config.profile import CameraModel, CameraStep, Rung
from edge.pictures import FAULTS, Frame, Verdict, Verdicts, Watch
from edge.ports import PointReading, ReadResult
from edge.readings import QUALITIES

log = logging.getLogger(__name__)

StreamStep = Literal["tcp", "describe", "media"]
STREAM: Final[tuple[StreamStep, ...]] = ("tcp", "describe", "media")
PICTURE: Final[Set[CameraStep]] = {"picture", *FAULTS}
RECORDED: Final[Set[CameraStep]] = {"recorder", "recording", "segment_age"}
STREAMED: Final[Set[CameraStep]] = {*STREAM, "live"}
CLOCK: Final[Set[CameraStep]] = {"clock_offset"}
PICTURE_PERIODS: Final = 2.5
"""A picture says how the camera is now until the next but one should have come."""


@dataclass(frozen=True, slots=True)
class Climb:
    """What a look at a stream found: rung to held (True) or failed (False), up to the first failure."""

    rungs: Mapping[StreamStep, bool] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A picture, or why there is none."""

    frame: Frame | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recorder has: `age_s` of the end of its newest segment, None if it has none at all."""

    answered: bool
    age_s: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """How far a camera's clock is ahead, seconds, or why nobody knows."""

    offset_s: float | None
    detail: str = ""


class CameraProbe(Protocol):
    """Looks at one camera from outside. No verb raises for anything a camera or recorder does."""

    async def climb(self, device: Device, highest: StreamStep) -> Climb:
        """Try the rungs from the lowest up to `highest`, ending at the first that fails.

        Leaves no session open at the camera.
        """
        ...

    async def look(self, device: Device) -> Snapshot:
        """Take one picture."""
        ...

    async def recorded(self, device: Device) -> Recorded:
        """Ask what the recorder has of this camera."""
        ...

    async def clock(self, device: Device) -> Told:
        """Compare its clock with ours."""
        ...


@dataclass(frozen=True, slots=True)
class _Fact:
    """A value, or the quality that says why there is none."""

    value: float | None
    quality: int = QUALITIES["good"]


_Known = Mapping[CameraStep, _Fact]
_LINK_DOWN: Final = _Fact(None, QUALITIES["link_down"])
_NOT_YET: Final = _Fact(None, QUALITIES["not_read_yet"])
_NONE: Final = _Fact(None, QUALITIES["sensor_fault"])
_FACT_OF: Final[Mapping[Verdict, _Fact]] = {
    Verdict.NO: _Fact(0.0), Verdict.YES: _Fact(1.0), Verdict.LEARNING: _NOT_YET, Verdict.HIDDEN: _NONE,
}  # fmt: skip


@dataclass(slots=True)
class _Seen:
    """What one camera has shown; its last picture counts `until` then (seconds of the clock)."""

    watch: Watch
    shows: bool | None = None
    """Whether its last picture shows what is there now."""
    until: float = 0.0


class CameraReader:
    """A `PointReader` over the cameras of one line.

    A rung that was tried is a good reading: 1 it held, 0 it failed. A rung above a failed one cannot
    be tried and is bad, `link_down`: nobody knows whether it would hold. A fault of the picture is a
    good 0 or 1 once it is known; before it is `not_read_yet`, behind another fault `sensor_fault`.
    A camera is never `lost` to the poller, so the ladder is climbed at its own pace and the lowest
    rung stays a good 0.
    """

    def __init__(
        self, probe: CameraProbe, clock: Clock, model_of: Callable[[str], CameraModel]
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._model_of = model_of
        self._failing: dict[tuple[str, str], tuple[str, float]] = {}
        self._seen: dict[str, _Seen] = {}

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        readings: list[PointReading] = []
        for steps, ask in (
            (STREAMED, self._stream), (PICTURE, self._picture),
            (RECORDED, self._recorded), (CLOCK, self._clock_offset),
        ):  # fmt: skip
            asked = [p for p in points if isinstance(p.source, Rung) and p.source.step in steps]
            if asked:
                known = await ask(device, asked)
                now = self._clock.now()
                readings += [_reading(point, known, now) for point in asked]
        return ReadResult(readings)

    def forget(self, device: str) -> None:
        self._seen.pop(device, None)
        self._failing = {key: since for key, since in self._failing.items() if key[0] != device}

    def words(self) -> str:
        return ""

    async def close(self) -> None:
        """Nothing is kept open between two looks."""

    # --- the stream, and whether it is live

    async def _stream(self, device: Device, points: Sequence[Point]) -> _Known:
        steps = {p.source.step for p in points if isinstance(p.source, Rung)}
        asked: list[StreamStep] = [s for s in STREAM if s in steps or "live" in steps]
        climb = await self._probe.climb(device, asked[-1])
        self._note(
            device, "stream", {str(step): held for step, held in climb.rungs.items()}, climb.detail
        )
        known: dict[CameraStep, _Fact] = {s: _held(climb.rungs.get(s)) for s in STREAM}
        return known | {"live": self._live(device, climb)}

    def _live(self, device: Device, climb: Climb) -> _Fact:
        """Whether somebody who looks sees what is there now: packets move, and the picture is no old one."""
        seen = self._seen.get(device.id)
        if not all(climb.rungs.values()):
            return _held(False)
        if seen is None or seen.shows is None or self._clock.monotonic() > seen.until:
            return _NOT_YET
        return _held(seen.shows)

    # --- its pictures

    async def _picture(self, device: Device, points: Sequence[Point]) -> _Known:
        seen = self._seen.setdefault(
            device.id, _Seen(Watch(self._model_of(device.profile).pictures))
        )
        shot = await self._probe.look(device)
        self._note(device, "picture", {"picture": shot.frame is not None}, shot.detail)
        seen.until = self._clock.monotonic() + PICTURE_PERIODS * max(p.period_s for p in points)
        if shot.frame is None:
            seen.shows = False
            return {"picture": _held(False), **dict.fromkeys(FAULTS, _LINK_DOWN)}
        verdicts = seen.watch.judge(shot.frame)
        seen.shows = _shows(verdicts)
        return {
            "picture": _held(True),
            **{fault: _FACT_OF[said] for fault, said in verdicts.items()},
        }

    # --- its recordings and its clock

    async def _recorded(self, device: Device, points: Sequence[Point]) -> _Known:
        del points
        told = await self._probe.recorded(device)
        self._note(device, "recorder", {"recorder": told.answered}, told.detail)
        if not told.answered:
            return {"recorder": _held(False), "recording": _LINK_DOWN, "segment_age": _LINK_DOWN}
        if told.age_s is None:
            return {"recorder": _held(True), "recording": _held(False), "segment_age": _NONE}
        young = told.age_s <= self._model_of(device.profile).recording_s_max
        return {
            "recorder": _held(True),
            "recording": _held(young),
            "segment_age": _Fact(told.age_s),
        }

    async def _clock_offset(self, device: Device, points: Sequence[Point]) -> _Known:
        del points
        told = await self._probe.clock(device)
        self._note(device, "clock", {"clock": told.offset_s is not None}, told.detail)
        return {"clock_offset": _LINK_DOWN if told.offset_s is None else _Fact(told.offset_s)}

    def _note(self, device: Device, what: str, rungs: Mapping[str, bool], detail: str) -> None:
        """One line when a rung begins to fail, one when it and all that was tried with it holds again."""
        now, key = self._clock.monotonic(), (device.id, what)
        failed = next((rung for rung, held in rungs.items() if not held), None)
        known = self._failing.get(key)
        if failed is not None and known is None:
            self._failing[key] = failed, now
            log.warning("camera %s lost at rung %s: %s", device.id, failed, detail)
        elif failed is None and known is not None and known[0] in rungs:
            del self._failing[key]
            log.warning("camera %s back at rung %s after %.1f s", device.id, known[0], now - known[1])  # fmt: skip


def _held(held: bool | None) -> _Fact:
    return _LINK_DOWN if held is None else _Fact(float(held))


def _shows(verdicts: Verdicts) -> bool | None:
    """Whether a picture shows what is there now; None if that is not known yet."""
    said = (verdicts["black"], verdicts["frozen"])
    if Verdict.YES in said:
        return False
    return None if Verdict.LEARNING in said else True


def _reading(point: Point, known: _Known, now: int) -> PointReading:
    assert isinstance(point.source, Rung)  # noqa: S101  # only such were asked for
    fact = known[point.source.step]
    return PointReading(point.id, fact.value, fact.quality, now)
