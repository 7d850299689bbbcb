"""`steward prove fire`: an urgent alarm does not queue behind a ten-fold flood, nor behind a backlog, however long that is."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.latency import PROBES, Meanwhile, measured
from commands.parts import NotHere, ensure
from commands.proving.telling import tell

LATER_MS_MAX: Final = 150.0
TIMES: Final = 10
SECONDS: Final = 14.0
"""Longer than all alarms take one after the other."""
QUIET, FLOOD, BACKLOG, LONG = "quiet", "flood", "backlog", "backlog_three_times_as_long"
JUDGED_MIN: Final = 50
BACKLOG_EVERY_S: Final = 0.01


def phases(rate: float, backlog: int) -> dict[str, Meanwhile]:
    """By name what arrives beside the alarms; a backlog comes as history, all agents' windows always full."""
    return {
        QUIET: Meanwhile(int(rate * SECONDS), rate),
        FLOOD: Meanwhile(int(TIMES * rate * SECONDS), TIMES * rate),
        BACKLOG: Meanwhile(backlog, 0.0, BACKLOG_EVERY_S, "backfill"),
        LONG: Meanwhile(3 * backlog, 0.0, BACKLOG_EVERY_S, "backfill"),
    }


def run(arguments: argparse.Namespace) -> int:
    """0 when the proof holds, 1 when it does not, 3 where Mosquitto cannot be had."""
    program = ensure(["mosquitto"], say=_say)["mosquitto"]
    if isinstance(program, NotHere):
        _say(f"{program.part} cannot be had: {program.reason}")
        return 3
    found = prove_fire(program, arguments.rate, arguments.backlog)
    return tell(found, as_json=arguments.json)


def prove_fire(program: Path, rate: float, backlog: int) -> dict[str, Any]:
    """Each phase once, in processes of its own: broker, load, and a collector with journal, rules, ledger and store."""
    took: dict[str, Sequence[float]] = {}
    echoes: dict[str, Sequence[float]] = {}
    for name, meanwhile in phases(rate, backlog).items():
        took[name], echoes[name] = measured(program, meanwhile)
        _say(f"{name}: {len(took[name])} alarms beside {meanwhile.readings} readings")
    return {
        "readings_per_s": rate, "flood_times": TIMES, "backlog": [backlog, 3 * backlog],
        "alarms": {name: len(each) for name, each in took.items()},
        "p50_ms": {name: round(_percentile(each, 50), 1) for name, each in took.items()},
        "p99_ms": {name: round(_percentile(each, 99), 1) for name, each in took.items()},
        "broker_alone_p99_ms": {name: round(_percentile(each, 99), 1) for name, each in echoes.items()},
        "problems": problems(took),
    }  # fmt: skip


def problems(took: Mapping[str, Sequence[float]]) -> list[str]:
    """What does not hold of the milliseconds from an alarm's reading to the commit of its decision, by phase."""
    few = [f"only {len(each)} alarms were raised meanwhile: {name}" for name, each in took.items() if len(each) < min(JUDGED_MIN, PROBES)]  # fmt: skip
    quiet = _percentile(took[QUIET], 99)
    later = {name: _percentile(each, 99) - quiet for name, each in took.items()}
    grows = later[LONG] - later[BACKLOG]
    found = [f"p99 in {name} is {ms:.0f} ms above the quiet one" for name, ms in later.items() if ms > LATER_MS_MAX]  # fmt: skip
    if grows > LATER_MS_MAX:
        found.append(f"p99 grows by {grows:.0f} ms with the backlog")
    return few + found


def _percentile(each: Sequence[float], percent: float) -> float:
    return float(np.percentile(each, percent)) if each else float("nan")


def _say(text: str) -> None:
    print(f"steward prove: {text}", file=sys.stderr, flush=True)
