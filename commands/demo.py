"""`steward demo`: broker, server, edge agents and a simulated estate in one command, with one address to open."""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from commands.access import make_secret, secrets_folder, token_of, write_secret
from commands.delivering import outbox_counts
from commands.installation import READY_S_MAX, ROOT, Installation, Stop, port_or_free
from commands.part_servers import free_ports
from commands.reconciling import proven, whole_report
from commands.settling import NotSettled, settle
from config.forms import duration_s
from config.load import load_plant

PLANT = ROOT / "config" / "plants" / "riverside"
EXAMPLE = "demo --for 120s --speed 10 --json"
VERDICTS = ("confirmed", "contradicted", "absent", "not_observable")


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--for", dest="for_", default="", help="stop by itself after, e.g. 120s, and print the delivery report")  # fmt: skip
    parser.add_argument(
        "--port",
        type=int,
        default=8080,
        help="port of the console (default 8080; 0: any that is free)",
    )
    parser.add_argument("--data", default="", help="keep the data here (default: a fresh folder that is removed)")  # fmt: skip
    parser.add_argument("--speed", type=float, default=1.0, help="run the whole site faster than the clock")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the estate and its faults")
    parser.add_argument("--token-file", default="", help="also write an API token with all rights here")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """0 when it ran and stopped as asked; 1 when a reading was lost or doubled; 3 when it could not start."""
    seconds = _seconds(arguments.for_)
    if arguments.speed <= 0:
        print(f"steward demo: --speed {arguments.speed:g} is not above 0", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        data = _data(arguments.data, stack)
        stop = Stop()
        demo = prepare(data, arguments.port, arguments.speed)
        stack.callback(demo.children.stop)
        first_live_s = start(demo, stop, arguments.seed)
        if first_live_s is None:
            return 0 if stop.asked else 3
        if arguments.token_file:
            write_secret(Path(arguments.token_file), token_of("owner", demo.settings))
        demo.watch(stop, seconds)
        if seconds is None or stop.asked:
            return 0
        try:
            report = {"first_live_value_s": first_live_s, **quiet_report(demo)}
        except OSError as error:
            demo.say(f"the server does not answer, there is no report: {error}")
            return 3
        print(json.dumps(report, ensure_ascii=False) if arguments.json else shown(report))
        return 0 if proven(report["readings"]) else 1


def _seconds(text: str) -> float | None:
    if not text:
        return None
    try:
        return duration_s(text)
    except ValueError as error:
        print(f"steward demo: --for {text!r} {error}", file=sys.stderr)
        raise SystemExit(2) from error


def _data(given: str, stack: contextlib.ExitStack) -> Path:
    if given:
        return Path(given).resolve()
    return Path(
        stack.enter_context(
            tempfile.TemporaryDirectory(prefix="steward-demo-", ignore_cleanup_errors=True)
        )
    )


def prepare(data: Path, port: int, speed: float) -> Installation:
    """The demo's installation, with a free port for every simulated line."""
    plant = load_plant(PLANT)
    lines = [line.id for line in plant.lines.values() if line.kind != "mqtt"]
    own, broker, *ports = free_ports(2 + len(lines))
    demo = Installation(
        {str(PLANT): plant}, data, own, speed, "steward demo",
        {line: f"127.0.0.1:{at}" for line, at in zip(lines, ports, strict=True)},
        broker_port=broker,
    )  # fmt: skip
    if port:
        demo.port = port_or_free(port, demo.say)
    demo.prepare()
    make_secret(secrets_folder(demo.settings) / "cameras")
    return demo


def start(
    demo: Installation,
    stop: Stop,
    seed: int = 1,
    *,
    faults: bool = True,
    technician: bool = True,
) -> float | None:
    """Start everything; seconds until the first live value, None when that did not come.

    Without `technician` nobody attends to the faults: they stay for people.
    """
    words = ["simulate", "devices", str(PLANT), "--seed", str(seed)]
    if not demo.start(stop, *words, *(["--faults"] if faults else [])):
        return None
    if technician:
        make_technician(demo)
    return _wait_for_life(demo, stop)


def make_technician(demo: Installation) -> None:
    """An API token for the simulated technician, kept among the secrets."""
    path = secrets_folder(demo.settings) / "token-technician"
    if not path.exists():
        sites = [plant.site for plant in demo.plants.values()]
        body = {"name": "technician", "roles": ["technician", "operator"], "sites": sites}
        write_secret(path, demo.call("tokens", body)["token"])


def _wait_for_life(demo: Installation, stop: Stop) -> float | None:
    (plant,) = demo.plants.values()
    while not stop.asked and time.monotonic() - demo.started < READY_S_MAX:
        with contextlib.suppress(OSError, ValueError):
            live = demo.call(f"sites/{plant.site}/live")
            if any(value is not None for value in live["value"]):
                seconds = round(time.monotonic() - demo.started, 2)
                demo.say(f"first live value after {seconds:.1f} s: {len(plant.devices)} devices, {len(plant.points)} points")  # fmt: skip
                print(f"\n  Open {demo.address()}\n", file=sys.stderr, flush=True)
                demo.say("choose a name and a password there; Ctrl-C stops everything")
                return seconds
        time.sleep(0.1)
    if not stop.asked:
        demo.failed("devices")
    return None


def quiet_report(demo: Installation) -> dict[str, Any]:
    """Stop reading devices, let everything arrive, and count."""
    (plant,) = demo.plants.values()
    demo.say("nothing is read any more; what was made is let arrive")
    try:
        settle(demo, lambda: _tell(demo))
    except NotSettled as error:
        demo.say(f"the report is not final: {error}")
    return report(demo, plant.site)


def _tell(demo: Installation) -> None:
    for said in demo.children.look():
        demo.say(said)


def report(demo: Installation, site: str) -> dict[str, Any]:
    """What `demo --json` prints, as it stands."""
    orders = _all(demo, f"sites/{site}/orders?state=all")
    alarms = _all(demo, f"sites/{site}/alarms?state=all")
    due = demo.call(f"sites/{site}/due?state=all")["items"]
    closed = [o for o in orders if o["state"] == "closed"]
    by_readings = [o for o in closed if o.get("closed_by") == "readings"]
    ended = ("closed", "cancelled", "merged")
    faults = Counter((o["asset"], o["fault_class"]) for o in orders if o["kind"] == "fault")
    return {
        **whole_report(demo.call("delivery"), outbox_counts(demo.data)),
        "alarms": {
            "raised": len(alarms),
            "returned": sum(1 for a in alarms if a["returned_at"]),
            "active": sum(1 for a in alarms if a["condition"] == "ABNORMAL" and not a["closed_at"]),
        },
        "work_orders": {
            "opened": len(orders),
            "closed_by_readings": len(by_readings),
            "repaired_by_technician": sum(1 for o in by_readings if o["assignee"] == "technician"),
            "closed_by_people": len(closed) - len(by_readings),
            "open": sum(1 for o in orders if o["state"] not in ended),
            "most_for_one_fault": max(faults.values(), default=0),
            "soonest_closed_by_readings_s": min((_lasted_s(o) for o in by_readings), default=None),
        },
        "occurrences": {"due": sum(1 for d in due if d["state"] in ("due", "late"))}
        | {verdict: sum(1 for d in due if d["verdict"] == verdict) for verdict in VERDICTS},
        "restarts": {child.name: child.deaths for child in demo.children.rows},
    }


def _lasted_s(order: Mapping[str, Any]) -> float:
    """From reported to closed."""
    raised, closed = (datetime.fromisoformat(order[at]) for at in ("raised_at", "updated_at"))
    return round((closed - raised).total_seconds(), 1)


def _all(demo: Installation, path: str) -> list[dict[str, Any]]:
    """Every item of a list that comes in pages."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = demo.call(f"{path}&limit=200" + (f"&cursor={cursor}" if cursor else ""))
        items += page["items"]
        cursor = page.get("next")
        if not cursor:
            return items


def shown(report: Mapping[str, Any]) -> str:
    """What `demo` prints for people: what is not known is left out."""
    return "\n".join(_lines(report))


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"first live value after {report['first_live_value_s']} s"
    for name in ("readings", "alarms", "work_orders", "occurrences"):
        known = {key: value for key, value in report[name].items() if value is not None}
        said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in known.items())
        yield f"{name.replace('_', ' ')}: {said}"
