"""`steward simulate run|devices|load|replay`: scenarios in virtual time or for real, and strangers on real sockets."""

import argparse
import json
import sys
import time
from pathlib import Path

from commands import load, replaying
from commands.devices import run_devices
from commands.scenarios import Verdict, run_scenario, scenario_plant
from simulators.scenario import FOLDER, read_scenario, scenarios

EXAMPLE = "simulate run standby-takes-over"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command and of each thing it does."""
    parts = parser.add_subparsers(dest="what", required=True)
    running = parts.add_parser("run", help="scenarios, each with a verdict")
    running.add_argument("scenario", nargs="+", help=f"all, or some of: {', '.join(scenarios())}")
    running.add_argument("--seed", type=int, help="another seed than the scenario's own")
    running.add_argument(
        "--real", action="store_true", help="with sockets and processes, in real time"
    )
    running.add_argument("--json", action="store_true")
    devices = parts.add_parser("devices", help="protocol servers of a plant's equipment")
    devices.add_argument("plant", help="folder of the plant")
    devices.add_argument("--seed", type=int, default=1)
    devices.add_argument("--host", default="127.0.0.1", help="address that the devices listen on")
    devices.add_argument("--faults", action="store_true", help="let a few honest faults happen")
    load.add(parts.add_parser("load", help="publish pre-encoded batches"))
    playing = parts.add_parser(
        "replay", help="play recordings as devices, through edge, broker and store"
    )
    replaying.add(playing)


def run(arguments: argparse.Namespace) -> int:
    """0 when every verdict is yes."""
    if arguments.what == "devices":
        return run_devices(
            arguments.plant, arguments.seed, faults=arguments.faults, host=arguments.host
        )
    if arguments.what == "load":
        return load.run(arguments)
    if arguments.what == "replay":
        return replaying.run(arguments)
    return _run_scenarios(arguments)


def _run_scenarios(arguments: argparse.Namespace) -> int:
    names = scenarios() if arguments.scenario == ["all"] else tuple(arguments.scenario)
    unknown = [name for name in names if not _file(name).is_file()]
    if unknown:
        print(f"steward simulate: no scenario {', '.join(unknown)}; there are {', '.join(scenarios())}", file=sys.stderr)  # fmt: skip
        return 2
    verdicts: list[Verdict] = []
    for name in names:
        started = time.monotonic()
        verdict = _one(name, arguments)
        verdicts.append(verdict)
        if not arguments.json:
            _print(verdict, time.monotonic() - started)
    if arguments.json:
        print(json.dumps([_json(v) for v in verdicts], ensure_ascii=False))
    return 0 if all(v.ok for v in verdicts) else 1


def _file(name: str) -> Path:
    return Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"


def _one(name: str, arguments: argparse.Namespace) -> Verdict:
    scenario = read_scenario(_file(name))
    plant = scenario_plant(scenario.plant)
    read_scenario(_file(name), plant)
    if arguments.real:
        from commands.real_site import run_real  # starts processes: only where asked

        return run_real(scenario, plant, arguments.seed)
    return run_scenario(scenario, plant, arguments.seed)


def _print(verdict: Verdict, seconds: float) -> None:
    print(
        f"{'yes' if verdict.ok else 'NO '}  {verdict.scenario} (seed {verdict.seed}, {seconds:.1f} s)"
    )
    for row in verdict.rows:
        print(f"  {'ok' if row.ok else 'NO'}  {row.what}: wanted {row.expected}; seen {row.seen}")


def _json(verdict: Verdict) -> dict[str, object]:
    return {
        "scenario": verdict.scenario,
        "seed": verdict.seed,
        "verdict": "yes" if verdict.ok else "no",
        "expected": [f"{row.what}: {row.expected}" for row in verdict.rows],
        "seen": [{"what": row.what, "seen": row.seen, "ok": row.ok} for row in verdict.rows],
    }
