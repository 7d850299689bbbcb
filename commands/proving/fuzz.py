"""Fuzzes what the edge takes from devices: nothing crashes, nothing wrong is called good, memory stays flat.

Each kind of frames has a process of its own. Each receiver lives for `LIFE_FRAMES` frames and is then replaced;
chance is seeded by seed, kind and life, so one life of one kind can be played again alone. At last the beginning of
one life is lived many times over, which shows what receivers leave behind.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from os import cpu_count
from typing import Any, Final

from commands.proving import fuzz_fire, fuzz_modbus, fuzz_mqtt
from commands.proving.fuzz_cases import Life, Tally, Wrong, seeded
from commands.proving.fuzz_scales import Scales, resident_mb, set_aside
from commands.proving.telling import tell

KINDS: Final[Mapping[str, Life]] = {
    "modbus-tcp": fuzz_modbus.life("tcp"),
    "modbus-rtu": fuzz_modbus.life("rtu"),
    "modbus-rtu-over-tcp": fuzz_modbus.life("rtu_over_tcp"),
    "gb26875": fuzz_fire.life,
    "mqtt": fuzz_mqtt.life,
}
LIFE_FRAMES: Final = 50_000
WEIGHED_FRAMES_MIN: Final = 2_500
"""In a shorter life a receiver, and the fuzzer, still fill what they remember up to a bound."""
BIRTHS_MAX: Final = 100
BIRTH_EVERY: Final = 100
"""In so many frames of the run, until there are enough."""
BIRTH_FRAMES: Final = 20
TOLD_EVERY_S: Final = 10.0
GROWN_BLOCKS_MAX: Final = 600
"""Objects that may be held more in the last tenth than in the second, of a whole life or of all births: one kept of each
frame of any one kind of damage is more, and so are nine left behind by each receiver."""
GROWN_MB_MAX: Final = 2.0
"""MB that the process of a kind may hold more in the last tenth of its run, or of all births, than in the second."""
GROWN_MB_MAX_TOGETHER: Final = 4.0
FAILURES_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Failure:
    """What a receiver did that none may, and all that is needed to see it again."""

    kind: str
    seed: int
    life: int
    frame_number: int
    what: str
    frame: str

    def told(self) -> str:
        """What it was, its bytes, and how to see it again."""
        again = f"./steward prove fuzz --kind {self.kind} --seed {self.seed} --life {self.life}"
        where = f"{self.kind}, frame {self.frame_number} of life {self.life}"
        return f"{where}: {self.what}\n    {self.frame[:600] or 'no bytes'}\n    again: {again}"


@dataclass(slots=True)
class Part:
    """What came of one kind. `grown_blocks` is of the life in which most was kept, `left_blocks` of receivers that are
    gone, `grown_mb` of the whole run or of those, whichever is more.
    """

    kind: str
    tally: Tally = field(default_factory=Tally)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    lives: int = 0
    grown_blocks: int = 0
    left_blocks: int = 0
    grown_mb: float = 0.0
    end_mb: float = 0.0

    @property
    def flat(self) -> bool:
        """Whether nothing grew, neither in a receiver nor from one to the next."""
        blocks = max(self.grown_blocks, self.left_blocks)
        return blocks <= GROWN_BLOCKS_MAX and self.grown_mb <= GROWN_MB_MAX

    @property
    def problems(self) -> list[str]:
        """What no receiver may do, each with how to see it again; and what was not looked at."""
        found = [failure.told() for failure in self.failures]
        if not self.flat:
            found.append(f"{self.kind}: memory is not flat")
        if not self.tally.values:
            found.append(f"{self.kind}: nothing was accepted as good")
        if not self.failures and self.tally.right != self.tally.values:
            found.append(f"{self.kind}: only {self.tally.right} of {self.tally.values} accepted values were judged")  # fmt: skip
        return found


@dataclass(slots=True)
class Fuzzing:
    """One run of the proof, `frames` of each kind."""

    frames: int
    seed: int
    parts: dict[str, Part]
    seconds: float = 0.0

    @property
    def done(self) -> int:
        return sum(part.tally.count for part in self.parts.values())

    @property
    def not_honest(self) -> int:
        return sum(part.tally.not_honest for part in self.parts.values())

    @property
    def grown_mb(self) -> float:
        return sum(part.grown_mb for part in self.parts.values())

    @property
    def flat(self) -> bool:
        """Whether nothing grew, in no kind and not in all together."""
        each = all(part.flat for part in self.parts.values())
        return each and self.grown_mb <= GROWN_MB_MAX_TOGETHER

    @property
    def failures(self) -> list[Failure]:
        return [failure for part in self.parts.values() for failure in part.failures]

    @property
    def problems(self) -> list[str]:
        """Those of each kind; what only all together show; and what was not tried."""
        found = [problem for part in self.parts.values() for problem in part.problems]
        if self.grown_mb > GROWN_MB_MAX_TOGETHER:
            found.append(f"memory grew by {self.grown_mb:.1f} MB in all kinds together")
        for kind, part in self.parts.items():
            if part.tally.count < max(1, self.frames):
                found.append(f"{kind}: only {part.tally.count} frames of {self.frames}")
        return found

    @property
    def ok(self) -> bool:
        return not self.problems


def run(arguments: argparse.Namespace) -> int:
    """0 when the proof holds, 1 when it does not."""
    kinds = (arguments.kind,) if arguments.kind else tuple(KINDS)
    if kinds[0] not in KINDS:
        print(f"steward prove: {kinds[0]!r} is no kind of frames; allowed: {', '.join(KINDS)}", file=sys.stderr)  # fmt: skip
        return 2
    if arguments.life is not None and not arguments.kind:
        print("steward prove: --life is a life of one kind of frames: say which by --kind", file=sys.stderr)  # fmt: skip
        return 2
    fuzzing = fuzz(arguments.frames, arguments.seed, kinds, arguments.life)
    return tell(_report(fuzzing), as_json=arguments.json)


def fuzz(
    frames: int, seed: int, kinds: tuple[str, ...] = tuple(KINDS), only: int | None = None
) -> Fuzzing:
    """Give each kind so many frames, in as many processes at a time as there are cores; one kind alone in this one."""
    started = time.monotonic()
    print(
        f"steward prove: {frames} frames of each of {len(kinds)} kinds", file=sys.stderr, flush=True
    )
    if len(kinds) == 1:
        parts = [fuzz_kind(kinds[0], frames, seed, only)]
    else:
        at_once = min(len(kinds), cpu_count() or 1)
        anew = get_context("spawn")  # what another kind has held and freed would hide what grows
        with ProcessPoolExecutor(at_once, anew, max_tasks_per_child=1) as processes:
            parts = list(processes.map(fuzz_kind, kinds, repeat(frames), repeat(seed), repeat(only)))  # fmt: skip
    each = frames if only is None else 1
    return Fuzzing(each, seed, {part.kind: part for part in parts}, time.monotonic() - started)


def fuzz_kind(kind: str, frames: int, seed: int, only: int | None = None) -> Part:
    """Life after life of one kind; or `only` that one. Then births."""
    part = Part(kind)
    progress, run_scales = _Progress(part, frames), Scales(frames)
    with _quiet(), set_aside():
        while (left := frames - part.tally.count) > 0 and len(part.failures) < FAILURES_MAX:
            life = part.lives if only is None else only
            _whole_life(part, min(left, LIFE_FRAMES), seed, life, (progress.tell, run_scales.weigh))
            if only is not None:
                break
        part.grown_mb = run_scales.grown_mb
        if not part.failures:
            _births(part, min(BIRTHS_MAX, frames // BIRTH_EVERY), seed, only or 0)
    part.end_mb = resident_mb()
    part.seconds = progress.seconds
    return part


def _whole_life(
    part: Part, frames: int, seed: int, life: int, onlookers: Sequence[Callable[[int], None]]
) -> None:
    tally, before, scales = part.tally, part.tally.count, Scales(frames)

    def each() -> None:
        scales.weigh(tally.count - before)
        for look in onlookers:
            look(tally.count)

    _live(part, (seed, life, frames), tally, each)
    part.lives += 1
    if frames >= WEIGHED_FRAMES_MIN:
        part.grown_blocks = max(part.grown_blocks, scales.grown_blocks)


def _births(part: Part, births: int, seed: int, life: int) -> None:
    """The beginning of one life over and over: of the same devices, since what is cached of others grows too."""
    scales = Scales(births)
    for born in range(births):
        _live(part, (seed, life, BIRTH_FRAMES), Tally(), lambda: None)
        if part.failures:
            return
        scales.weigh(born + 1)
    part.left_blocks = scales.grown_blocks
    part.grown_mb = max(part.grown_mb, scales.grown_mb)


def _live(part: Part, which: tuple[int, int, int], tally: Tally, each: Callable[[], None]) -> None:
    """A life by seed, number and frames; what no receiver may do ends it and is kept."""
    (seed, life, frames), before = which, tally.count

    def failed(what: str, frame: str = "") -> None:
        part.failures.append(Failure(part.kind, seed, life, tally.count - before, what, frame))

    try:
        KINDS[part.kind](seeded(seed, part.kind, life), frames, tally, each)
    except Wrong as wrong:
        failed(wrong.what, wrong.frame.hex())
    except Exception as error:  # noqa: BLE001  a crash of whatever kind is what is looked for
        failed(f"crashed: {error!r}")


class _Progress:
    """Says every few seconds how far a kind is."""

    def __init__(self, part: Part, frames: int) -> None:
        self._part = part
        self._frames = frames
        self._started = self._told = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def tell(self, done: int) -> None:
        now = time.monotonic()
        if now - self._told < TOLD_EVERY_S:
            return
        self._told = now
        seconds = now - self._started
        print(
            f"steward prove: {self._part.kind}: {done} of {self._frames} frames in {seconds:.0f} s "
            f"({done / seconds:.0f}/s), {resident_mb():.0f} MB, {len(self._part.failures)} failures",
            file=sys.stderr, flush=True,
        )  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is logged: a million faults are meant."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


# --- what is said of it ----------------------------------------------------------------------------


def _report(fuzzing: Fuzzing) -> dict[str, Any]:
    return {
        "frames": fuzzing.done,
        "not_honest": fuzzing.not_honest,
        "seed": fuzzing.seed,
        "seconds": round(fuzzing.seconds, 1),
        "per_second": round(fuzzing.done / max(fuzzing.seconds, 1e-9)),
        "flat": fuzzing.flat,
        "grown_mb": round(fuzzing.grown_mb, 1),
        "kinds": {kind: _part_report(part) for kind, part in fuzzing.parts.items()},
        "problems": fuzzing.problems,
    }


def _part_report(part: Part) -> dict[str, Any]:
    return {
        "frames": part.tally.count,
        "not_honest": part.tally.not_honest,
        "lives": part.lives,
        "seconds": round(part.seconds, 1),
        "accepted": part.tally.values,
        "accepted_and_right": part.tally.right,
        "only_value_possible": part.tally.sole,
        "without_value": part.tally.without_value,
        "grown_objects_in_a_life": part.grown_blocks,
        "left_objects_of_births": part.left_blocks,
        "grown_mb": round(part.grown_mb, 1),
        "end_mb": round(part.end_mb, 1),
        "of": dict(part.tally.frames.most_common()),
    }
