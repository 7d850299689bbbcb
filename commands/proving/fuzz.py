"""Fuzzes what the edge takes from devices: nothing crashes, nothing wrong is called good, memory stays flat.

Each receiver lives for `LIFE_FRAMES` frames and is then replaced; chance is seeded by seed, kind and
life, so one life of one kind can be played again alone.
"""

import argparse
import logging
import sys
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from commands.proving import fuzz_fire, fuzz_modbus, fuzz_mqtt
from commands.proving.fuzz_cases import Life, Tally, Wrong, seeded
from commands.proving.telling import tell

KINDS: Final[Mapping[str, Life]] = {
    "modbus-tcp": fuzz_modbus.life("tcp"),
    "modbus-rtu-over-tcp": fuzz_modbus.life("rtu_over_tcp"),
    "gb26875": fuzz_fire.life,
    "mqtt": fuzz_mqtt.life,
}
LIFE_FRAMES: Final = 50_000
TOLD_EVERY_S: Final = 3.0
SAMPLES: Final = 100
GROWN_BYTES_MAX: Final = 600_000
"""What a receiver may hold more in the last quarter of its life than in the second: one small object kept
of each frame is more, plans that a Modbus reader remembers until there are 1 000 are less."""
GROWN_MB_MAX: Final = 16.0
"""What the process may hold more at the end than after the first life of each kind."""
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
    """What came of one kind. `grown_bytes` is of the first life, of which every byte is counted."""

    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    lives: int = 0
    grown_bytes: int = 0


@dataclass(slots=True)
class Fuzzing:
    """One run of the proof."""

    frames: int
    seed: int
    parts: dict[str, Part]
    failures: list[Failure] = field(default_factory=list)
    warm_mb: float = 0.0
    end_mb: float = 0.0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        return sum(part.tally.count for part in self.parts.values())

    @property
    def flat(self) -> bool:
        """Whether nothing grew, neither in a receiver nor in the process."""
        grown = [part.grown_bytes for part in self.parts.values()]
        return max(grown, default=0) <= GROWN_BYTES_MAX and self.end_mb - self.warm_mb <= GROWN_MB_MAX  # fmt: skip

    @property
    def problems(self) -> list[str]:
        """What no receiver may do, each with how to see it again; and what was not tried."""
        found = [failure.told() for failure in self.failures]
        if not self.flat:
            found.append("memory is not flat")
        if self.done < max(1, self.frames):
            found.append(f"only {self.done} frames of {self.frames}")
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
    fuzzing = fuzz(arguments.frames, arguments.seed, kinds, arguments.life)
    return tell(_report(fuzzing), as_json=arguments.json)


def fuzz(
    frames: int, seed: int, kinds: tuple[str, ...] = tuple(KINDS), only: int | None = None
) -> Fuzzing:
    """Give each kind its part of the frames, life after life in turn."""
    fuzzing = Fuzzing(frames, seed, {kind: Part() for kind in kinds})
    each = -(-frames // len(kinds))
    progress = _Progress(fuzzing)
    with _quiet():
        while (left := _next(fuzzing, each)) and len(fuzzing.failures) < FAILURES_MAX:
            kind, most = left
            if kind == kinds[0] and fuzzing.parts[kind].lives == 1:
                fuzzing.warm_mb = resident_mb()
            _live(fuzzing, kind, only, most, progress)
            if only is not None:
                fuzzing.frames = fuzzing.done
                break
    fuzzing.end_mb = resident_mb()
    fuzzing.warm_mb = fuzzing.warm_mb or fuzzing.end_mb
    fuzzing.seconds = progress.seconds
    return fuzzing


def _next(fuzzing: Fuzzing, each: int) -> tuple[str, int] | None:
    """The kind that has lived least, and how many frames its next life may have; None at the end."""
    kind, part = min(fuzzing.parts.items(), key=lambda row: row[1].lives)
    left = each - part.tally.count
    return (kind, min(left, LIFE_FRAMES)) if left > 0 else None


def _live(
    fuzzing: Fuzzing, kind: str, only: int | None, frames: int, progress: "_Progress"
) -> None:
    part = fuzzing.parts[kind]
    life = part.lives if only is None else only
    before, tally, started = part.tally.count, part.tally, time.monotonic()
    scales = _Scales(frames) if not part.lives else None

    def each() -> None:
        progress.tell(kind)
        if scales:
            scales.weigh(tally.count - before)

    try:
        KINDS[kind](seeded(fuzzing.seed, kind, life), frames, tally, each)
    except Wrong as wrong:
        fuzzing.failures.append(Failure(kind, fuzzing.seed, life, tally.count - before, wrong.what, wrong.frame.hex()))  # fmt: skip
    except Exception as error:  # noqa: BLE001  a crash of whatever kind is what is looked for
        fuzzing.failures.append(Failure(kind, fuzzing.seed, life, tally.count - before, f"crashed: {error!r}", ""))  # fmt: skip
    part.lives += 1
    part.seconds += time.monotonic() - started
    part.grown_bytes += scales.grown_bytes() if scales else 0


class _Scales:
    """Counts every byte that a receiver allocates in the last three quarters of its life and still holds."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._step = max(1, frames // SAMPLES)
        self._next = frames // 4
        self._second: list[int] = []
        self._last: list[int] = []

    def weigh(self, done: int) -> None:
        """Look, at a hundredth of the life."""
        if done < self._next:
            return
        if not tracemalloc.is_tracing():
            tracemalloc.start()
        self._next = done + self._step
        held = tracemalloc.get_traced_memory()[0]
        if done < self._frames // 2:
            self._second.append(held)
        elif done >= 3 * self._frames // 4:
            self._last.append(held)

    def grown_bytes(self) -> int:
        """Least of the last quarter less the most of the second: what comes and goes is no growth."""
        tracemalloc.stop()
        return max(0, min(self._last, default=0) - max(self._second, default=0))


class _Progress:
    """Says every few seconds how far it is."""

    def __init__(self, fuzzing: Fuzzing) -> None:
        self._fuzzing = fuzzing
        self._started = self._told = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def tell(self, kind: str) -> None:
        now = time.monotonic()
        if now - self._told < TOLD_EVERY_S:
            return
        self._told = now
        done, seconds = self._fuzzing.done, now - self._started
        print(
            f"steward prove: {done} of {self._fuzzing.frames} frames in {seconds:.0f} s ({done / seconds:.0f}/s), "
            f"now {kind}, {resident_mb():.0f} MB, {len(self._fuzzing.failures)} failures",
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


def resident_mb() -> float:
    """Memory of this process; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * 4096 / 1e6


# --- what is said of it ----------------------------------------------------------------------------


def _report(fuzzing: Fuzzing) -> dict[str, Any]:
    return {
        "frames": fuzzing.done,
        "seed": fuzzing.seed,
        "seconds": round(fuzzing.seconds, 1),
        "per_second": round(fuzzing.done / max(fuzzing.seconds, 1e-9)),
        "memory_mb": {"warm": round(fuzzing.warm_mb, 1), "end": round(fuzzing.end_mb, 1)},
        "flat": fuzzing.flat,
        "kinds": {kind: _part_report(part) for kind, part in fuzzing.parts.items()},
        "problems": fuzzing.problems,
    }


def _part_report(part: Part) -> dict[str, Any]:
    return {
        "frames": part.tally.count,
        "lives": part.lives,
        "seconds": round(part.seconds, 1),
        "readings_with_value": part.tally.values,
        "readings_without_value": part.tally.without_value,
        "grown_bytes": part.grown_bytes,
        "of": dict(part.tally.frames.most_common()),
    }
