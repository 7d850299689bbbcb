"""Row 19: how fast history comes after an outage beside the live rate, with nothing lost and nothing doubled."""

import asyncio
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.rows import Row, main
from benchmarks.running import WORDS, Failed, broker, end, go, line_of, load_at, say, started
from commands.load import PERIOD_MS, SHAPES
from commands.parts import NotHere, ensure
from commands.prove_outage import TIMES_LIVE_MIN, Outage, prove_long
from commands.proving.away import prove_away
from commands.proving.outage_site import PERIOD_MS as CYCLE_MS
from commands.proving.real_parts import INFLUXD

HOURS: Final = 72.0
POINTS: Final = 200
AWAY_S: Final = 60.0
SHAPE: Final = "agent"
BACKLOG: Final = 3_000_000
"""Readings of one agent: 60 points, one a second, for half a day and more."""


def of_a_link(hours: float) -> list[Row]:
    """An agent hours without its link and killed meanwhile: the real agent, outbox and collector, in virtual time."""
    logging.disable(logging.CRITICAL)  # hours of it in seconds
    try:
        found = prove_long(Outage(hours, POINTS), say)
    finally:
        logging.disable(logging.NOTSET)
    live, figures = POINTS * 1000 / CYCLE_MS, found.figures
    note = f"{hours:.0f} h, {POINTS} points every {CYCLE_MS // 1000} s, in the time of the site, which a window of batches takes; {figures['kills']:.0f} kills"
    return [
        _beside_live("19 a link that was down", figures["times_live"] * live, live, note),
        *_whole("19 a link that was down", figures["made"], figures["journalled"]),
        _problems("19 a link that was down", found.problems),
    ]  # fmt: skip


def of_a_backlog(readings: int) -> list[Row]:
    """One agent sends what its outbox held as fast as it is committed: Mosquitto, journal, DuckDB."""
    name = "19 one agent's backlog through Mosquitto into DuckDB"
    program = ensure(["mosquitto"])["mosquitto"]
    if isinstance(program, NotHere):
        return [Row(name, None, "readings/s", note=f"not run: {program.reason}")]
    with broker(program) as (server, folder):
        (folder / "collector").mkdir()
        collector = started(
            "benchmarks.collector", "--folder", str(folder / "collector"), "--shape", SHAPE,
            "--readings", str(readings), "--port", str(server.port),
            "--user", "collector", "--password", WORDS["collector"],
        )  # fmt: skip
        load = load_at(server, SHAPE, readings, "--lane", "backfill")
        try:
            line_of(load)
            go(load)
            report = line_of(collector)
        finally:
            end(load, collector)
    live = SHAPES[SHAPE].points * 1000 / PERIOD_MS
    rate = readings / report["seconds"]
    return [
        _beside_live(name, rate, live, f"{readings} readings, {SHAPES[SHAPE].points} points, one a second"),
        *_whole(name, readings, report["stored"]),
    ]  # fmt: skip


def of_a_store(seconds: float) -> list[Row]:
    """InfluxDB killed under a whole site of processes, and back."""
    name = "19 InfluxDB that was away"
    program = ensure([INFLUXD])[INFLUXD]
    if isinstance(program, NotHere):
        return [Row(name, None, "readings/s", note=f"not run: {program.reason}")]
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
        found: Mapping[str, Any] | None = asyncio.run(prove_away(Path(folder), seconds, program))
    if found is None or "times_live" not in found:
        raise Failed("the site with InfluxDB did not come up, or its store did not catch up")
    live = found["live_per_s"]
    note = f"{seconds:.0f} s away; {found['caught_up_readings']:.0f} readings in {found['caught_up_in_s']} s"
    return [
        _beside_live(name, found["times_live"] * live, live, note),
        _problems(name, found["problems"]),
    ]


def _beside_live(name: str, rate: float, live: float, note: str) -> Row:
    return Row(f"{name}: catch-up beside live", rate, "readings/s", live, TIMES_LIVE_MIN, note=note)


def _whole(name: str, made: float, kept: float) -> list[Row]:
    """None missing, none too many."""
    return [
        Row(f"{name}: made and not kept", max(0.0, made - kept), "readings", None, 0.0, "lower"),
        Row(f"{name}: kept and not made", max(0.0, kept - made), "readings", None, 0.0, "lower"),
    ]


def _problems(name: str, problems: Sequence[str]) -> Row:
    """What the proof found wrong, each reading that is lost, doubled or another one among it."""
    found = float(len(problems))
    return Row(f"{name}: problems", found, "", None, 0.0, "lower", "; ".join(problems))


def run(small: bool) -> list[Row]:
    """Row 19. Small: an hour, a tenth of the backlog, ten seconds; no target claimed."""
    sides: Sequence[Callable[[], list[Row]]] = (
        lambda: of_a_link(1.0 if small else HOURS),
        lambda: of_a_backlog(BACKLOG // 10 if small else BACKLOG),
        lambda: of_a_store(10.0 if small else AWAY_S),
    )
    rows = [row for side in sides for row in side()]
    return [replace(row, target=None) for row in rows] if small else rows


if __name__ == "__main__":
    raise SystemExit(main(run))
