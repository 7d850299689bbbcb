"""`steward prove processes`: many short lives of edge, broker and server as real processes, each with its accidents."""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from commands.proving.accidents import ACCIDENTS, LEFT_HALF_OPEN
from commands.proving.counting_plant import write_plant
from commands.proving.kills import none_of
from commands.proving.lives import WHO, Template, Verdict, live, make_template
from commands.proving.telling import tell
from config.load import load_plant

TOLD_EVERY_S: Final = 10.0
RUNS_THAT_SEE_ALL: Final = 100
"""In so many runs every kind of accident must have been seen: the rarest comes to every twentieth."""
log = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """0 when nothing was lost or doubled in any life, 1 when something was, 3 when the site did not come up."""
    seeds = range(arguments.first, arguments.first + arguments.runs)
    verdicts = asyncio.run(prove_processes(seeds, at_once=arguments.at_once))
    if verdicts is None:
        return 3
    return tell(make_report(verdicts), as_json=arguments.json)


async def prove_processes(seeds: Sequence[int], *, at_once: int) -> list[Verdict] | None:
    """Live every seed, so many at once; folders of failed ones are kept and named. None if nothing came up."""
    folder = Path(tempfile.mkdtemp(prefix="steward-processes-"))
    verdicts: list[Verdict] = []
    try:
        plant_folder = folder / "plant"
        write_plant(plant_folder)
        template = await asyncio.to_thread(
            make_template, folder / "template", plant_folder, load_plant(plant_folder)
        )
        if template is None:
            return None
        await _live_all(template, folder, seeds, at_once, verdicts)
    finally:
        if all(verdict.ok for verdict in verdicts):
            shutil.rmtree(folder, ignore_errors=True)
    return sorted(verdicts, key=lambda verdict: verdict.seed)


async def _live_all(
    template: Template, folder: Path, seeds: Sequence[int], at_once: int, verdicts: list[Verdict]
) -> None:
    places = asyncio.Semaphore(at_once)

    async def one(seed: int) -> None:
        async with places:
            verdicts.append(await _live(template, folder / f"seed-{seed}", seed))

    telling = asyncio.create_task(_telling(verdicts, len(seeds)))
    try:
        async with asyncio.TaskGroup() as group:
            for seed in seeds:
                group.create_task(one(seed))
    finally:
        telling.cancel()


async def _live(template: Template, folder: Path, seed: int) -> Verdict:
    """A life that breaks down has failed; what a sound one left behind is removed."""
    try:
        verdict = await live(template, folder, seed)
    except Exception as error:
        log.exception("seed %d", seed)
        verdict = Verdict(seed, problems=(f"the run broke down: {error!r}",))
    if verdict.ok:
        await asyncio.to_thread(shutil.rmtree, folder)
    else:
        _say(f"seed {seed} FAILED, see {folder}: {'; '.join(verdict.problems)}")
    return verdict


async def _telling(verdicts: list[Verdict], of: int) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(TOLD_EVERY_S)
        made, bad = sum(v.made for v in verdicts), sum(not v.ok for v in verdicts)
        _say(f"{len(verdicts)} of {of} runs in {time.monotonic() - begun:.0f} s, {made} readings made, {bad} failed")  # fmt: skip


def _say(text: str) -> None:
    print(f"{WHO}: {text}", file=sys.stderr, flush=True)


def make_report(verdicts: list[Verdict]) -> dict[str, Any]:
    """All lives together: readings, accidents `seen` of those tried by kind, and what was wrong."""
    tried: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for verdict in verdicts:
        tried.update(verdict.tried)
        seen.update(verdict.seen)
    kinds = (*ACCIDENTS, LEFT_HALF_OPEN)
    enough = len(verdicts) >= RUNS_THAT_SEE_ALL
    sums = ("made", "journalled", "stored", "answered", "unkept", "alarms", "work_orders")
    found = {name: sum(getattr(verdict, name) for verdict in verdicts) for name in sums}
    return {
        "runs": len(verdicts),
        "held": sum(verdict.ok for verdict in verdicts),
        **found,
        "quiet_s_max": round(max((verdict.quiet_s for verdict in verdicts), default=0.0), 1),
        "accidents": {kind: {"seen": seen[kind], "tried": tried[kind]} for kind in kinds},
        "problems": [
            *(f"seed {v.seed}: {problem}" for v in verdicts for problem in v.problems),
            *(f"never seen: {kind}" for kind in kinds if enough and not seen[kind]),
            *none_of(found),
            *([] if seen.total() else ["no accident was seen"]),
        ],
    }
