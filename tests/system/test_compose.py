"""The containers' own commands, variables, volumes and health checks, as processes over the real servers.

What is other than in compose: addresses and ports, the user, and that the image's folder is a copy made
by the Dockerfile's COPY lines. Mosquitto and InfluxDB read what compose gives them.
"""

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from collector.adapters.store_influx import InfluxStore
from commands.part_servers import free_ports, start_influxd, start_mosquitto_in
from tests.composing import Machine, Service, make_app, services
from tests.waiting import until

pytestmark = pytest.mark.system
SERVICES = services()
API = "/api/v1/sites/riverside"
STOP_S_MAX = 15.0
POINTS = ("a-booster/discharge_pressure", "sump-pit/level_m", "camera-1/media")
"""Over Modbus through the one agent; over MQTT, and over RTSP with a password, through the other."""


@dataclass
class Stack:
    """What runs, and what its API says."""

    machine: Machine
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def once(self, name: str) -> None:
        """A container that does its work and ends."""
        ended = self._popen(SERVICES[name], self.machine.command(SERVICES[name]))
        assert ended.wait(30) == 0, self.log(name)

    @contextmanager
    def stays(self, name: str) -> Iterator[None]:
        """A container that runs until it is asked to end, and then ends well."""
        process = self._popen(SERVICES[name], self.machine.command(SERVICES[name]))
        self.running[name] = process
        try:
            yield
        finally:
            process.terminate()
            try:
                code = process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        assert code == 0, self.log(name)

    def healthy(self, name: str) -> bool:
        """Its health check, as the container would be asked."""
        assert self.running[name].poll() is None, self.log(name)
        asked = self._popen(SERVICES[name], self.machine.health_check(SERVICES[name]))
        return asked.wait(30) == 0

    def place(self, name: str, path: str) -> Path:
        """Where a container's file or folder is on this machine."""
        return self.machine.root(SERVICES[name]) / path.lstrip("/")

    def get(self, path: str, who: str = "owner") -> Any:
        """One answer of the API, to the owner or to the simulated technician."""
        url = f"http://127.0.0.1:{self.machine.ports['server']}{path}"
        holder = {"owner": "server", "technician": "devices"}[who]
        token = self.place(holder, f"/data/secrets/token-{who}").read_text().strip()
        request = urllib.request.Request(
            url, headers={"Authorization": f"Bearer {token}"}
        )  # our own server
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own server
            return json.loads(answer.read())

    def live(self) -> set[str]:
        """The points that have a value now."""
        live = self.get(f"{API}/live")
        pairs = zip(live["points"], live["value"], strict=True)
        return {point for point, value in pairs if value is not None}

    def history(self, point: str) -> list[float]:
        """The values that are stored of a point."""
        found: list[float] = self.get(f"{API}/history?point={point}&resolution=raw")["value"]
        return found

    def log(self, name: str) -> str:
        return (self.machine.folder / f"{name}.log").read_text(errors="replace")

    def _popen(self, service: Service, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.machine.folder / f"{service.name}.log").open("ab") as out:
            return subprocess.Popen(
                command, cwd=self.machine.app, env=self.machine.environment(service),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip


def start_servers(stack: Stack, programs: Callable[[str], Path], ends: ExitStack) -> InfluxStore:
    """Mosquitto and InfluxDB on what `secrets` made; what is in InfluxDB."""
    ports, told = stack.machine.ports, SERVICES["influxdb"].environment
    folder = stack.place("broker", SERVICES["broker"].said["working_dir"])
    broker = start_mosquitto_in(programs("mosquitto"), folder, ports["broker"])
    ends.callback(broker.stop)
    token = stack.place("influxdb", told["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE"]).read_text()
    org, bucket = told["DOCKER_INFLUXDB_INIT_ORG"], told["DOCKER_INFLUXDB_INIT_BUCKET"]
    folder = stack.machine.folder / "influxd"
    store = start_influxd(programs("influxd"), folder, org=org, bucket=bucket, token=token.strip())
    ends.callback(store.stop)
    ports["influxdb"] = urlsplit(store.url).port or 0
    return ends.enter_context(closing(InfluxStore(store.url, store.token, org, bucket)))


def new_stack(folder: Path) -> Stack:
    """A machine with free ports for everything that compose gives a name."""
    broker, server, *free = free_ports(2 + 32)
    ports = {"broker": broker, "server": server, "influxdb": 0}
    machine = Machine(folder, make_app(folder / "app"), ports)
    lines = [line for line in machine.lines() if line != "pits"]
    machine.move_lines(dict(zip(lines, free[: len(lines)], strict=True)))
    return Stack(machine)


async def test_the_stack_of_compose_shows_live_values_and_history_from_influxdb(
    part_programs: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in ("mosquitto", "influxd"):
        part_programs(name)
    stack = new_stack(tmp_path)
    with ExitStack() as ends:
        stack.once("secrets")
        store = start_servers(stack, part_programs, ends)
        ends.enter_context(stack.stays("server"))
        await until(lambda: stack.healthy("server"), 60)
        stack.once("technician")
        for name in ("devices", "edge-a", "edge-b"):
            ends.enter_context(stack.stays(name))
        await until(lambda: set(POINTS) <= stack.live(), 60)
        await until(lambda: all(stack.healthy(name) for name in stack.running), 60)
        for point in POINTS:
            await until(lambda point=point: stack.history(point), 60)  # type: ignore[misc]  # mypy cannot infer a lambda's default
        assert store.count() > len(POINTS)
        await until(lambda: stack.get("/api/v1/health/ready")["ok"], 60)
        assert stack.get(f"{API}/orders?state=open", "technician")["items"] is not None
        stack.once("secrets")  # as at each later start
        stack.once("technician")
        assert stack.live()
    assert not (stack.place("server", "/data") / "store").exists()
    link = (stack.place("server", "/data") / "first-start-link").read_text()
    assert link.startswith(f"http://127.0.0.1:{stack.machine.ports['server']}/setup?link=")
    assert link.strip() in stack.log("server")
    assert_no_secret_was_said(stack)


def assert_no_secret_was_said(stack: Stack) -> None:
    """Every secret is readable by its owner only, and in no log."""
    logs = [path.read_text(errors="replace") for path in stack.machine.folder.glob("*.log")]
    assert len(logs) == len([s for s in SERVICES.values() if s.ours])
    made = [p for p in stack.place("secrets", "/secrets").glob("*/*") if p.parent.name != "broker"]
    assert {"token-owner", "token-technician", "token", "cameras"} <= {path.name for path in made}
    for path in made:
        assert path.stat().st_mode & 0o777 == 0o600
        assert not [log for log in logs if path.read_text().strip() in log]
