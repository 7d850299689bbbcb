"""A drawn camera through whole days, then through every failure: what is found, how soon, and what is said wrongly."""

import argparse
import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from os import cpu_count
from typing import Any
from zoneinfo import ZoneInfo

from commands.proving.telling import tell
from config.profile import PictureLimits
from edge.pictures import FAULTS, Fault, Verdict, Verdicts, Watch, frame_of_cells
from simulators.pictures import Scene

START = datetime(2026, 3, 2, tzinfo=ZoneInfo("Asia/Shanghai"))
BEFORE = timedelta(hours=1)
"""Sound pictures between the days and a failure, so that light and weather are those of the hour."""
TOLD_EVERY_S = 10.0
HOURS = (2, 13)
"""At night and by day."""


@dataclass(frozen=True, slots=True)
class Found:
    """One failure: after how many of its pictures it was said, and its end; None = never."""

    fault: Fault
    hour: int
    pictures: int | None
    gone: int | None
    others: tuple[Fault, ...]
    """Faults that were said beside it."""


@dataclass(frozen=True, slots=True)
class PictureVerdict:
    """What came of one camera. `alarms` are faults said of sound pictures."""

    seed: int
    pictures: int
    alarms: tuple[str, ...]
    found: tuple[Found, ...]
    unknown: Mapping[Fault, int] = field(default_factory=dict)
    """Fault to the pictures after which it was not known whether it is there."""

    def problems(self, limits: PictureLimits) -> list[str]:
        """What should not be."""
        said = [f"false alarm: {text}" for text in self.alarms]
        for one in self.found:
            most = limits.frozen_frames + 1 if one.fault == "frozen" else limits.frames
            if one.pictures is None or one.pictures > most:
                said.append(f"{one.fault} at {one.hour}:00 found after {one.pictures}, not {most}")
            if one.gone is None or one.gone > limits.frames:
                said.append(f"{one.fault} at {one.hour}:00 gone after {one.gone}")
            said += [f"{one.fault} at {one.hour}:00 called {other}" for other in one.others]
        return said


def run_pictures(
    seed: int, *, minutes: float = 1.0, days: int = 1, limits: PictureLimits | None = None
) -> PictureVerdict:
    """One camera, a picture every `minutes`: sound for some days, then each failure by night and by day."""
    limits = limits or PictureLimits()
    scene, watch = Scene(seed), Watch(limits)
    alarms: list[str] = []
    unknown = dict.fromkeys(FAULTS, 0)
    step, end = timedelta(minutes=minutes), START + timedelta(days=days)
    count = 0
    for now in _times(START, end, step):
        said = watch.judge(frame_of_cells(scene.draw(now)))
        count += 1
        alarms += [f"{fault} at {now:%d. %H:%M}" for fault in _yes(said)]
        for fault in FAULTS:
            unknown[fault] += said[fault] is Verdict.LEARNING
    hours = HOURS if scene.sees_at_night else HOURS[1:]
    found = [
        _fail(scene, watch, fault, end + timedelta(hours=hour), step)
        for hour in hours
        for fault in FAULTS
    ]
    return PictureVerdict(seed, count, tuple(alarms), tuple(found), unknown)


def _times(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    while start < end:
        yield start
        start += step


def _yes(said: Verdicts) -> list[Fault]:
    return [fault for fault in FAULTS if said[fault] is Verdict.YES]


def _fail(scene: Scene, watch: Watch, fault: Fault, at: datetime, step: timedelta) -> Found:
    """Let one thing go wrong at a time, on a copy of what was learnt, and mend it again."""
    watch, hour = copy.deepcopy(watch), at.hour
    for now in _times(at - BEFORE, at, max(step, BEFORE / 4)):
        watch.judge(frame_of_cells(scene.draw(now)))
    shown = at if fault == "frozen" else None
    others: set[Fault] = set()
    pictures = gone = None
    for number in range(1, 13):
        picture = scene.draw(at, "" if shown else fault, shown=shown)
        said = _yes(watch.judge(frame_of_cells(picture)))
        others |= set(said) - {fault}
        at += step
        if fault in said:
            pictures = number
            break
    for number in range(1, 13):
        said = _yes(watch.judge(frame_of_cells(scene.draw(at))))
        others |= set(said) - {fault}
        at += step
        if fault not in said:
            gone = number
            break
    return Found(fault, hour, pictures, gone, tuple(sorted(others)))


# --- the command ---------------------------------------------------------------------------------


def run_proof(arguments: argparse.Namespace, say: Callable[[str], None]) -> int:
    """0 when nothing false was said and everything was found in time, 1 otherwise."""
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    one = partial(run_pictures, minutes=arguments.minutes, days=arguments.days)
    verdicts: list[PictureVerdict] = []
    told = started = time.monotonic()
    with ProcessPoolExecutor(cpu_count() or 1) as pool:
        for verdict in pool.map(one, seeds):
            verdicts.append(verdict)
            if time.monotonic() - told > TOLD_EVERY_S:
                told = time.monotonic()
                say(f"{len(verdicts)} of {len(seeds)} cameras in {told - started:.0f} s")
    return tell(summary(verdicts, PictureLimits()), as_json=arguments.json)


def summary(verdicts: Sequence[PictureVerdict], limits: PictureLimits) -> dict[str, Any]:
    """The figures of all cameras, and what should not be."""
    problems = [f"seed {v.seed}: {text}" for v in verdicts for text in v.problems(limits)]
    found = [one for verdict in verdicts for one in verdict.found]
    slowest = {
        fault: max((one.pictures or 0 for one in found if one.fault == fault), default=0)
        for fault in FAULTS
    }
    return {
        "cameras": len(verdicts),
        "sound pictures": sum(verdict.pictures for verdict in verdicts),
        "false alarms": sum(len(verdict.alarms) for verdict in verdicts),
        "failures": len(found),
        "found": sum(one.pictures is not None for one in found),
        "pictures until found, at most": slowest,
        "blurred or moved not known, share of pictures": round(
            sum(v.unknown["blurred"] + v.unknown["moved"] for v in verdicts)
            / max(1, 2 * sum(v.pictures for v in verdicts)), 4,
        ),
        "problems": problems,
    }  # fmt: skip
