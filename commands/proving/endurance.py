"""`steward prove endurance`: a whole site runs on, faster than the clock, and its processes grow neither in memory nor in descriptors."""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from commands.demo import prepare, quiet_report, start
from commands.installation import Installation, Stop
from commands.part_servers import free_port
from commands.proving.telling import tell
from commands.reconciling import WRONG

GROWTH_MAX: Final = 0.05
POOLED: Final = 2
"""Descriptors of a connection to the ledger: the pool of these fills when they are first wanted at once, up to six."""
EVERY_S: Final = 5.0
TOLD_EVERY_S: Final = 60.0
PAGE_MB: Final = 4096 / 1e6
STRANGERS: Final = ("devices",)
"""The equipment stands for what is outside."""


class Sample(NamedTuple):
    """One process at one moment: resident memory in MB, open descriptors."""

    mb: float
    descriptors: int


@dataclass(frozen=True, slots=True)
class Grown:
    """One process: medians of the memory of two windows in MB, descriptors at most in the first and at least in the last."""

    mb: tuple[float, float]
    descriptors: tuple[int, int]

    @property
    def growth(self) -> float:
        """Of memory, as a part of the first window's."""
        return self.mb[1] / self.mb[0] - 1


def run(arguments: argparse.Namespace) -> int:
    """0 when nothing grew and nothing was lost, 1 when something did, 3 when the site did not come up."""
    with tempfile.TemporaryDirectory(prefix="steward-endurance-", ignore_cleanup_errors=True) as folder:  # fmt: skip
        found = prove_endurance(Path(folder), arguments.minutes * 60, arguments.speed, arguments.seed)  # fmt: skip
    if found is None:
        return 3
    return tell(found, as_json=arguments.json)


def prove_endurance(data: Path, seconds: float, speed: float, seed: int) -> dict[str, Any] | None:
    """One run; what it came to, None if the site did not come up."""
    site, stop = prepare(data, free_port(), speed), Stop(install=False)
    try:
        if start(site, stop, seed) is None:
            return None
        samples = _watched(site, seconds)
        deaths = {child.name: child.deaths for child in site.children.rows if child.deaths}
        readings = quiet_report(site)["readings"]
    finally:
        site.children.stop()
    grown = {name: grown_in(each) for name, each in samples.items() if each}
    problems = [f"{name} ended {count} times" for name, count in deaths.items()]
    problems += [f"{name} was never seen" for name, each in samples.items() if not each]
    problems += [said for name, one in grown.items() for said in wrong_with(name, one)]
    problems += [f"readings {name}: {readings[name]}" for name in WRONG if readings[name] != 0]
    return {
        "minutes": round(seconds / 60, 2), "speed": speed, "seed": seed, "made": readings["made"],
        "memory_mb": {name: [round(mb, 1) for mb in one.mb] for name, one in grown.items()},
        "memory_growth": {name: round(one.growth, 4) for name, one in grown.items()},
        "descriptors": {name: list(one.descriptors) for name, one in grown.items()},
        "problems": problems,
    }  # fmt: skip


def grown_in(samples: Sequence[Sample]) -> Grown:
    """What comes behind the first third, which warms up: its first quarter beside its last."""
    warm = samples[len(samples) // 3 :]
    size = max(1, len(warm) // 4)
    first, last = warm[:size], warm[-size:]
    return Grown(
        (statistics.median(s.mb for s in first), statistics.median(s.mb for s in last)),
        (max(s.descriptors for s in first), min(s.descriptors for s in last)),
    )


def wrong_with(name: str, grown: Grown) -> list[str]:
    """What of a process grew; descriptors come and go, so the fewest of later are held beside the most of before."""
    found = []
    if grown.growth >= GROWTH_MAX:
        found.append(f"{name} grew by {grown.growth:.1%}, from {grown.mb[0]:.1f} to {grown.mb[1]:.1f} MB")  # fmt: skip
    if grown.descriptors[1] > grown.descriptors[0] + POOLED:
        before, now = grown.descriptors
        found.append(f"{name} has {now} descriptors at least, and had {before} at most")
    return found


def _watched(site: Installation, seconds: float) -> Mapping[str, Sequence[Sample]]:
    """Samples of each of our processes, by name, while people look at the site now and then."""
    samples: dict[str, list[Sample]] = {name: [] for name in site.by_name if name not in STRANGERS}
    begun, told = time.monotonic(), 0.0
    while (elapsed := time.monotonic() - begun) < seconds:
        for said in site.children.look():
            site.say(said)
        for name, found in samples.items():
            if pid := site.by_name[name].pid:
                with contextlib.suppress(OSError):  # it has just ended
                    found.append(sample(pid))
        _look(site)
        if elapsed - told >= TOLD_EVERY_S:
            told = elapsed
            now = ", ".join(
                f"{name} {found[-1].mb:.0f} MB" for name, found in samples.items() if found
            )
            _say(f"{elapsed / 60:.0f} of {seconds / 60:.0f} min: {now}")
        time.sleep(max(0.0, min(EVERY_S, begun + seconds - time.monotonic())))
    return samples


def sample(pid: int) -> Sample:
    """A process as it is now. Raises `OSError` where it is no more."""
    place = Path("/proc") / str(pid)
    pages = int((place / "statm").read_text(encoding="ascii").split()[1])
    return Sample(pages * PAGE_MB, sum(1 for _ in (place / "fd").iterdir()))


def _look(site: Installation) -> None:
    """What somebody at the console asks for."""
    (plant,) = site.plants.values()
    point = next(iter(plant.points))
    for path in ("overview", "live", "alarms?state=all", f"history?point={point}", "trends"):
        with contextlib.suppress(OSError, ValueError):
            site.call(f"sites/{plant.site}/{path}")


def _say(text: str) -> None:
    print(f"steward prove: {text}", file=sys.stderr, flush=True)
