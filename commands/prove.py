"""`steward prove NAME`: proofs that take longer than a minute."""

import argparse
import importlib
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import Any

from commands.prove_delivery import Verdict, run_model
from commands.prove_pictures import run_proof
from commands.proving.telling import tell

EXAMPLE = "prove replay ../shared/data/skab"
TOLD_EVERY_S = 10.0
SEEDS_THAT_SEE_ALL = 100
"""In so many runs every kind of accident must have happened: the rarest, a disk put back from a copy, hits one in four."""
SPEED_MIN = 20.0


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of each proof."""
    proofs = parser.add_subparsers(dest="proof", required=True)
    kills = proofs.add_parser("kills", help="kill -9 of edge, broker, server and InfluxDB, then compare made, journalled and stored")  # fmt: skip
    kills.add_argument(
        "--seconds", type=float, default=120.0, help="how long (default 120): a pump trips after 40"
    )
    kills.add_argument("--kills", type=_some, default=40, help="at least so many (default 40)")
    kills.add_argument("--seed", type=int, default=1)
    kills.add_argument("--broker", choices=("own", "mosquitto"), default="own")
    kills.add_argument("--store", choices=("duckdb", "influxd"), default="duckdb", help="influxd is killed too")  # fmt: skip
    delivery = proofs.add_parser("delivery", help="the delivery rules in a model, in virtual time")
    delivery.add_argument("--seeds", type=_some, default=1000, help="how many runs (default 1000)")
    delivery.add_argument("--first", type=int, default=0, help="the first seed")
    outage = proofs.add_parser("outage", help="days without a link, a full disk, a damaged file; then catch-up, in virtual time")  # fmt: skip
    outage.add_argument("--hours", type=float, default=72.0, help="how long the link is down (default 72)")  # fmt: skip
    outage.add_argument("--points", type=int, default=200, help="points read every 10 s (default 200)")  # fmt: skip
    outage.add_argument("--seed", type=int, default=1)
    replay = proofs.add_parser("replay", help="every recording of a folder, by Modbus and by MQTT")
    replay.add_argument("folder", help="searched for *.csv, also below")
    replay.add_argument("--within", type=float, default=120.0, help="seconds that the longest may take (default 120)")  # fmt: skip
    fuzz = proofs.add_parser("fuzz", help="damaged and random answers of devices, in memory and over a pseudo-terminal: no crash, nothing wrong called good, memory flat")  # fmt: skip
    fuzz.add_argument("--frames", type=_some, default=200_000, help="how many of each of the five kinds of frames, honest answers among them (default 200000: a million in all)")  # fmt: skip
    fuzz.add_argument("--seed", type=int, default=1)
    fuzz.add_argument("--kind", help="only this kind of frames")
    fuzz.add_argument(
        "--life", type=int, help="only this life of a receiver of that kind, as a failure names it"
    )
    pictures = proofs.add_parser("pictures", help="cameras through days of weather and every failure of their pictures")  # fmt: skip
    pictures.add_argument("--seeds", type=_some, default=20, help="how many cameras (default 20)")
    pictures.add_argument("--first", type=int, default=1, help="the first seed")
    pictures.add_argument("--days", type=int, default=1, help="sound days of each (default 1)")
    pictures.add_argument("--minutes", type=float, default=1.0, help="from picture to picture (default 1)")  # fmt: skip
    others = (
        _add_processes(proofs),
        _add_readings(proofs),
        _add_away(proofs),
        _add_backfill(proofs),
        _add_endurance(proofs),
        _add_fire(proofs),
    )
    for proof in (kills, delivery, outage, replay, fuzz, pictures, *others):
        proof.add_argument("--json", action="store_true")


def _add_readings(proofs: Any) -> argparse.ArgumentParser:
    readings: argparse.ArgumentParser = proofs.add_parser("readings", help="millions of readings in the store, open and closed, compared to the bit")  # fmt: skip
    readings.add_argument("--readings", type=_some, default=10_000_000, help="how many (default 10000000)")  # fmt: skip
    return readings


def _add_backfill(proofs: Any) -> argparse.ArgumentParser:
    backfill: argparse.ArgumentParser = proofs.add_parser("backfill", help="hours of history with faults in them arrive at once, in virtual time: nobody is paged, nothing is missing")  # fmt: skip
    backfill.add_argument("--hours", type=float, default=6.0, help="how long the link was down (default 6)")  # fmt: skip
    backfill.add_argument("--seed", type=int, default=1)
    return backfill


def _add_endurance(proofs: Any) -> argparse.ArgumentParser:
    endurance: argparse.ArgumentParser = proofs.add_parser("endurance", help="a whole site runs on, faster than the clock: no process grows in memory or descriptors")  # fmt: skip
    endurance.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    endurance.add_argument("--speed", type=float, default=10.0, help="how fast (default 10)")
    endurance.add_argument("--seed", type=int, default=1)
    return endurance


def _add_fire(proofs: Any) -> argparse.ArgumentParser:
    fire: argparse.ArgumentParser = proofs.add_parser("fire", help="an urgent alarm beside a ten-fold flood and beside a backlog, through Mosquitto")  # fmt: skip
    fire.add_argument("--rate", type=float, default=20_000.0, help="readings a second when it is quiet (default 20000)")  # fmt: skip
    fire.add_argument("--backlog", type=_some, default=6_000_000, help="readings of the shorter backlog (default 6000000)")  # fmt: skip
    return fire


def _add_processes(proofs: Any) -> argparse.ArgumentParser:
    processes: argparse.ArgumentParser = proofs.add_parser("processes", help="many short lives of edge, broker and server as processes: kills, links that fail, taken sessions, repeats")  # fmt: skip
    processes.add_argument("--runs", type=_some, default=200, help="how many lives (default 200)")
    processes.add_argument("--first", type=int, default=0, help="the first seed")
    processes.add_argument("--at-once", type=_some, default=2, help="lives at a time (default 2)")
    return processes


def _add_away(proofs: Any) -> argparse.ArgumentParser:
    away: argparse.ArgumentParser = proofs.add_parser("away", help="InfluxDB is killed and comes back after ten minutes: alarms and live view go on, the store catches up at 5 times live or more")  # fmt: skip
    away.add_argument("--seconds", type=float, default=600.0, help="how long it is away (default 600)")  # fmt: skip
    return away


def _some(text: str) -> int:
    """How many, at least one: nothing is proved by none."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {text}")
    return number


def run(arguments: argparse.Namespace) -> int:
    """0 when the proof holds, 1 when it does not."""
    if arguments.proof == "delivery":
        return _delivery(arguments)
    if arguments.proof == "pictures":
        return run_proof(arguments, _say)
    if arguments.proof == "replay":
        return _replay(arguments)
    if arguments.proof == "outage":
        return _outage(arguments)
    proof = importlib.import_module(
        f"commands.proving.{arguments.proof}"
    )  # some start a whole site
    return int(proof.run(arguments))


def _say(text: str) -> None:
    print(f"steward prove: {text}", file=sys.stderr, flush=True)


# --- delivery -------------------------------------------------------------------------------------


def _delivery(arguments: argparse.Namespace) -> int:
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    return tell(delivery_report(prove_delivery(seeds)), as_json=arguments.json)


def prove_delivery(seeds: range) -> list[Verdict]:
    """Run the model for each seed, in as many processes as there are cores."""
    verdicts: list[Verdict] = []
    told = started = time.monotonic()
    with ProcessPoolExecutor(cpu_count() or 1, initializer=_say_nothing) as pool:
        for verdict in pool.map(run_model, seeds, chunksize=4):
            verdicts.append(verdict)
            if time.monotonic() - told > TOLD_EVERY_S:
                told = time.monotonic()
                _say(f"{len(verdicts)} of {len(seeds)} seeds in {told - started:.0f} s")
    return verdicts


def _say_nothing() -> None:
    logging.disable(logging.CRITICAL)  # of accidents by the thousand


def delivery_report(verdicts: list[Verdict]) -> dict[str, Any]:
    """All runs together: readings, accidents by kind, and what was wrong; what there was none of in many runs too."""
    accidents: dict[str, int] = {}
    for verdict in verdicts:
        for name, count in verdict.accidents.items():
            accidents[name] = accidents.get(name, 0) + count
    enough = len(verdicts) >= SEEDS_THAT_SEE_ALL
    witnessed = {
        "read": sum(verdict.read for verdict in verdicts),
        "of_these_events": sum(verdict.events for verdict in verdicts),
        "pending_at_kills": sum(verdict.pending for verdict in verdicts),
    }
    return {
        "seeds": len(verdicts),
        "held": sum(verdict.ok for verdict in verdicts),
        **witnessed,
        "made": sum(verdict.made for verdict in verdicts),
        "journalled": sum(verdict.journalled for verdict in verdicts),
        "lost_beyond_thinned": sum(max(0, v.lost - v.thinned) for v in verdicts),
        "thinned": sum(verdict.thinned for verdict in verdicts),
        "forgotten_by_a_restored_journal": sum(verdict.forgotten for verdict in verdicts),
        "of_these_not_stored": sum(verdict.not_stored for verdict in verdicts),
        "absorbed": sum(verdict.absorbed for verdict in verdicts),
        "accidents": accidents,
        "problems": [
            *(f"seed {v.seed}: {problem}" for v in verdicts for problem in v.problems),
            *(f"never happened: {name}" for name, n in accidents.items() if enough and not n),
            *(f"none {name}" for name, n in witnessed.items() if enough and not n),
            *([] if any(accidents.values()) else ["no accident happened"]),
        ],
    }


# --- outage ---------------------------------------------------------------------------------------


def _outage(arguments: argparse.Namespace) -> int:
    from commands.prove_outage import Outage, prove_outage

    logging.disable(logging.CRITICAL)  # hours of it in seconds
    episodes = prove_outage(Outage(arguments.hours, arguments.points, arguments.seed), _say)
    problems = [f"{one.name}: {problem}" for one in episodes for problem in one.problems]
    figures = {one.name: one.figures for one in episodes}
    return tell({**figures, "problems": problems}, as_json=arguments.json)


# --- replay ---------------------------------------------------------------------------------------


def _replay(arguments: argparse.Namespace) -> int:
    from commands.proving.recorded_plant import WAYS
    from commands.replaying import play_and_tell  # brings broker, edge and store with it

    folder = Path(arguments.folder)
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.csv"))
    if not files:
        _say(f"no *.csv in {folder}")
        return 3
    _say(f"{len(files)} recordings, each by Modbus and by MQTT, within {arguments.within:.0f} s")
    return play_and_tell(
        files,
        WAYS,
        lambda recording: max(SPEED_MIN, recording.lasts_s / arguments.within),
        as_json=arguments.json,
    )
