"""`steward demo`: broker, server, edge agents and a simulated estate in one command, with one address to open."""

import argparse
import contextlib
import json
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands.access import make_secret, make_secrets, secrets_folder, write_secret
from commands.delivering import outbox_counts, whole_report
from commands.part_servers import free_port
from commands.supervising import Child, Children
from config.files import duration_s
from config.load import load_plant
from config.plant import Plant
from config.settings import Settings, environment_with

ROOT = Path(__file__).parent.parent
PLANT = ROOT / "config" / "plants" / "riverside"
EXAMPLE = "demo --for 120s --speed 10 --json"
READY_S_MAX = 60.0
QUIET_S_MAX = 15.0


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--for", dest="for_", default="", help="stop by itself after, e.g. 120s, and print the delivery report")  # fmt: skip
    parser.add_argument("--port", type=int, default=8080, help="port of the console (default 8080)")
    parser.add_argument("--data", default="", help="keep the data here (default: a fresh folder that is removed)")  # fmt: skip
    parser.add_argument("--speed", type=float, default=1.0, help="run the whole site faster than the clock")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the estate and its faults")
    parser.add_argument("--token-file", default="", help="also write an API token with all rights here")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """0 when it ran and stopped as asked; 3 when it could not start."""
    seconds = _seconds(arguments.for_)
    with contextlib.ExitStack() as stack:
        if arguments.data:
            data = Path(arguments.data).resolve()
        else:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="steward-demo-")))
        stop = _Stop()
        demo = Demo(load_plant(PLANT), data, arguments)
        stack.callback(demo.children.stop)
        if not demo.start(stop):
            return 3
        if arguments.token_file:
            write_secret(Path(arguments.token_file), demo.token)
        demo.watch(stop, seconds)
        return demo.finish() if seconds is not None else 0


def _seconds(text: str) -> float | None:
    if not text:
        return None
    try:
        return duration_s(text)
    except ValueError as error:
        print(f"steward demo: --for {text!r} {error}", file=sys.stderr)
        raise SystemExit(2) from error


class _Stop:
    """Set by Ctrl-C or SIGTERM."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


@dataclass(slots=True)
class Demo:
    """One run of the whole system in child processes."""

    plant: Plant
    data: Path
    arguments: argparse.Namespace
    children: Children = field(default_factory=Children)
    port: int = 0
    broker_port: int = 0
    token: str = ""
    first_live_s: float | None = None
    started: float = 0.0
    origin_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    children_of: dict[str, Child] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Settings:
        return Settings(data=self.data)

    # --- start ---------------------------------------------------------------------------------

    def start(self, stop: _Stop) -> bool:
        """Start every process and wait for the first live value; False when that failed."""
        self.started = time.monotonic()
        self.data.mkdir(parents=True, exist_ok=True)
        self.port = _port(self.arguments.port)
        self.broker_port = free_port()
        make_secrets([self.plant], self.settings)
        make_secret(secrets_folder(self.settings) / "cameras")
        endpoints = {line.id: f"127.0.0.1:{free_port()}" for line in self.plant.lines.values() if line.kind != "mqtt"}  # fmt: skip
        endpoints |= {line.id: f"127.0.0.1:{self.broker_port}" for line in self.plant.lines.values() if line.kind == "mqtt"}  # fmt: skip
        (self.data / "lines.json").write_text(json.dumps(endpoints), encoding="utf-8")
        say(f"data in {self.data}, logs in {self.data / 'logs'}")
        self._start("broker", "broker", str(PLANT))
        self._start("server", "server", str(PLANT))
        for agent in self.plant.agents:
            self._start(agent, "edge", str(PLANT), agent)
        if not self._wait_for_server(stop):
            return False
        self.token = (secrets_folder(self.settings) / "token-owner").read_text(encoding="utf-8").strip()  # fmt: skip
        self._make_technician()
        self._start("devices", "simulate", "devices", str(PLANT), "--faults", "--seed", str(self.arguments.seed))  # fmt: skip
        return self._wait_for_life(stop)

    def _start(self, name: str, *words: str) -> None:
        child = Child(
            name, [sys.executable, str(ROOT / "steward.py"), *words], self._environment(),
            self.data / "logs" / f"{name}.log",
        )  # fmt: skip
        self.children_of[name] = self.children.start(child)

    def _environment(self) -> dict[str, str]:
        return environment_with(
            STEWARD_DATA=str(self.data), STEWARD_SECRETS=str(secrets_folder(self.settings)),
            STEWARD_BROKER_PORT=str(self.broker_port), STEWARD_HTTP_PORT=str(self.port),
            STEWARD_CLOCK_ORIGIN_MS=str(self.origin_ms),
            STEWARD_CLOCK_FACTOR=str(self.arguments.speed),
        )  # fmt: skip

    def _wait_for_server(self, stop: _Stop) -> bool:
        while not stop.asked and time.monotonic() - self.started < READY_S_MAX:
            server = self.children_of["server"]
            if not server.pid:
                return self._failed("server")
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/api/v1/health/live", timeout=2).close()  # noqa: S310  # our own
                return True
            time.sleep(0.1)
        return False if stop.asked else self._failed("server")

    def _wait_for_life(self, stop: _Stop) -> bool:
        while not stop.asked and time.monotonic() - self.started < READY_S_MAX:
            with contextlib.suppress(OSError, ValueError):
                live = self.get(f"sites/{self.plant.site}/live")
                if any(value is not None for value in live["value"]):
                    self.first_live_s = round(time.monotonic() - self.started, 2)
                    self._welcome()
                    return True
            time.sleep(0.1)
        return False if stop.asked else self._failed("devices")

    def _failed(self, name: str) -> bool:
        log = self.data / "logs" / f"{name}.log"
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]) if log.exists() else ""  # fmt: skip
        print(f"steward demo: {name} did not come up. Its log ends with:\n{tail}", file=sys.stderr)
        return False

    def _make_technician(self) -> None:
        body = {"name": "technician", "roles": ["technician", "operator"], "sites": [self.plant.site]}  # fmt: skip
        made = self.call("tokens", body)
        write_secret(secrets_folder(self.settings) / "token-technician", made["token"])

    def _welcome(self) -> None:
        link = self.data / "first-start-link"
        address = link.read_text(encoding="utf-8").strip() if link.exists() else self.url
        say(f"first live value after {self.first_live_s:.1f} s: {len(self.plant.devices)} devices, {len(self.plant.points)} points")  # fmt: skip
        print(f"\n  Open {address}\n", file=sys.stderr, flush=True)
        say("choose a name and a password there; Ctrl-C stops everything")

    # --- running -------------------------------------------------------------------------------

    def watch(self, stop: _Stop, seconds: float | None) -> None:
        """Keep the processes alive until asked, or for so long since the start."""
        told = 0.0
        while not stop.asked:
            for said in self.children.look():
                say(said)
            elapsed = time.monotonic() - self.started
            if seconds is not None and elapsed >= seconds:
                return
            if seconds is not None and sys.stderr.isatty() and elapsed - told >= 10:
                told = elapsed
                say(f"{elapsed:.0f} of {seconds:.0f} s")
            time.sleep(0.2)
        say("stopping")

    def finish(self) -> int:
        """Stop the sources, let everything arrive, print the report."""
        report = self._quiet_report()
        if self.arguments.json:
            print(json.dumps(report, ensure_ascii=False))
        else:
            _print(report)
        return 0

    def _quiet_report(self) -> dict[str, Any]:
        deadline = time.monotonic() + QUIET_S_MAX
        while True:
            report = self.report()
            readings = report["readings"]
            quiet = not readings["held_batches"] and not readings["waiting_for_store"]
            if quiet or time.monotonic() > deadline:
                return report
            time.sleep(0.5)

    def report(self) -> dict[str, Any]:
        """What `demo --json` prints."""
        site = self.plant.site
        orders = self.get(f"sites/{site}/orders?state=all&limit=1000")["items"]
        alarms = self.get(f"sites/{site}/alarms?state=all&limit=1000")["items"]
        due = self.get(f"sites/{site}/due?state=all")["items"]
        closed = [o for o in orders if o["state"] == "closed"]
        by_readings = [o for o in closed if o.get("closed_by") == "readings"]
        return {
            "first_live_value_s": self.first_live_s,
            **whole_report(self.get("delivery"), outbox_counts(self.data)),
            "alarms": {
                "raised": len(alarms),
                "returned": sum(1 for a in alarms if a["returned_at"]),
                "active": sum(1 for a in alarms if a["condition"] == "ABNORMAL" and not a["closed_at"]),
            },
            "work_orders": {
                "opened": len(orders),
                "closed_by_readings": len(by_readings),
                "closed_by_people": len(closed) - len(by_readings),
                "open": sum(1 for o in orders if o["state"] not in ("closed", "cancelled", "merged")),
            },
            "occurrences": {
                "due": sum(1 for d in due if d["state"] in ("due", "late")),
                **{v: sum(1 for d in due if d["verdict"] == v) for v in ("confirmed", "contradicted", "absent", "not_observable")},
            },
            "restarts": {c.name: c.deaths for c in self.children.rows},
        }  # fmt: skip

    # --- HTTP ----------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        """One GET with the owner's token."""
        return self.call(path)

    def call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One call with the owner's token."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data=data, headers=headers)  # noqa: S310  # our own
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own server
            return json.loads(answer.read())


def _port(wanted: int) -> int:
    """The wanted port, or a free one where it is taken, saying so."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            port = free_port()
            say(f"port {wanted} is taken (another demo?); using {port}")
            return port
    return wanted


def say(text: str) -> None:
    """Progress for people, on standard error."""
    print(f"steward demo: {text}", file=sys.stderr, flush=True)


def _print(report: Mapping[str, Any]) -> None:
    for line in _lines(report):
        print(line)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"first live value after {report['first_live_value_s']} s"
    for name in ("readings", "alarms", "work_orders", "occurrences"):
        shown = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in report[name].items())
        yield f"{name.replace('_', ' ')}: {shown}"
