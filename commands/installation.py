"""One installation on this machine: broker, server and edge agents as child processes over a data folder."""

import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from commands.access import make_secrets, private_folder, secrets_folder, token_of
from commands.local_http import open_local
from commands.part_servers import free_port, listens
from commands.serving import RUN_HEADER, when_asked
from commands.supervising import Child, Children
from config.plant import Plant
from config.settings import Settings, environment_with

ROOT = Path(__file__).parent.parent
READY_S_MAX = 60.0
DEVICES_S_MAX = 15.0
LOOK_S = 0.1


class Stop:
    """Set by Ctrl-C, SIGTERM, or the end of the terminal."""

    def __init__(self, *, install: bool = True) -> None:
        self.asked = False
        if not install:
            return
        for number in when_asked():
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


@dataclass(frozen=True, slots=True)
class RealPart:
    """A program that is not ours, and the folder that it runs in."""

    command: Sequence[str]
    folder: Path


@dataclass(slots=True)
class Installation:
    """Processes over one data folder; `plants` maps each plant's folder to the plant."""

    plants: Mapping[str, Plant]
    data: Path
    port: int
    speed: float = 1.0
    who: str = "steward"
    endpoints: Mapping[str, str] = field(default_factory=dict)
    children: Children = field(default_factory=Children)
    by_name: dict[str, Child] = field(default_factory=dict)
    broker_port: int = field(default_factory=free_port)
    origin_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    start_ms: int = 0
    """What its clock says at the origin; 0: the wall's time."""
    started: float = field(default_factory=time.monotonic)
    parts: dict[str, RealPart] = field(default_factory=dict)
    """Real parts by name: `broker` stands for ours, others beside our processes."""
    told: dict[str, str] = field(default_factory=dict)
    """What its processes are told beyond the usual, by environment variable."""
    run_id: str = field(default_factory=lambda: secrets.token_hex(8))
    """By this its server is told from another that holds the port."""

    @property
    def url(self) -> str:
        """Where the console and the API are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Settings:
        """The settings of all its processes, as far as commands need them."""
        return Settings(
            data=self.data, http_port=self.port, secrets=secrets_folder(Settings(data=self.data))
        )

    def say(self, text: str) -> None:
        """Progress for people, on standard error."""
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"{self.who}: {text}", file=sys.stderr, flush=True)

    def prepare(self) -> None:
        """Make the data folder, its secrets, and say where lines stand in this run."""
        private_folder(self.data)
        make_secrets(self.plants.values(), self.settings)
        own = {
            line.id: f"127.0.0.1:{self.broker_port}"
            for plant in self.plants.values()
            for line in plant.lines.values()
            if line.kind == "mqtt" and not line.user
        }
        (self.data / "lines.json").write_text(
            json.dumps({**own, **self.endpoints}), encoding="utf-8"
        )
        self.say(f"data in {self.data}, logs in {self.data / 'logs'}")

    def start(self, stop: Stop, *devices: str) -> bool:
        """Start broker, server and every agent; `devices` is a command that stands for the equipment.

        Agents do not wait for the server: what it takes to start is no silence of the equipment. They wait
        for `devices`: what that takes is no lost contact, which at ten times the clock's speed is an alarm at once.
        False when asked to stop meanwhile, or when the server did not come up.
        """
        folders = list(self.plants)
        for name in self.parts:
            self.by_name[name] = self.children.start(self.part(name))
        if "broker" not in self.parts:
            self.run("broker", "broker", *folders)
        if devices:
            self.run("devices", *devices)
            self._wait_for_devices(stop)
        for folder, plant in self.plants.items():
            for agent in plant.agents:
                self.run(f"{plant.site}.{agent}", "edge", folder, agent)
        self.run("server", "server", *folders)
        return self.wait_for_server(stop)

    def run(self, name: str, *words: str, broker_port: int = 0) -> Child:
        """One more process: a command of ours with this installation's settings."""
        child = self.child(name, *words, broker_port=broker_port)
        self.by_name[name] = self.children.start(child)
        return child

    def child(self, name: str, *words: str, broker_port: int = 0) -> Child:
        """A process like that, which is neither started nor kept alive."""
        return Child(
            name,
            [sys.executable, str(ROOT / "steward.py"), *words],
            self.environment(broker_port or self.broker_port),
            self.data / "logs" / f"{name}.log",
        )

    def part(self, name: str) -> Child:
        """A real part, which is neither started nor kept alive."""
        real = self.parts[name]
        log = self.data / "logs" / f"{name}.log"
        return Child(name, real.command, self.environment(self.broker_port), log, real.folder)

    def environment(self, broker_port: int) -> dict[str, str]:
        """What every process is told."""
        return environment_with(
            STEWARD_PARENT=str(os.getpid()),
            STEWARD_RUN=self.run_id,
            STEWARD_DATA=str(self.data),
            STEWARD_SECRETS=str(self.settings.secrets),
            STEWARD_BROKER_PORT=str(broker_port),
            STEWARD_HTTP_PORT=str(self.port),
            STEWARD_CLOCK_ORIGIN_MS=str(self.origin_ms),
            STEWARD_CLOCK_FACTOR=str(self.speed),
            STEWARD_CLOCK_START_MS=str(self.start_ms),
            **self.told,
        )

    def _wait_for_devices(self, stop: Stop) -> None:
        """Until they listen where lines are told to find them; not for ever, for the agents say what is not there."""
        until = time.monotonic() + DEVICES_S_MAX
        ports = [int(at.rpartition(":")[2]) for at in self.endpoints.values()]
        while not all(map(listens, ports)) and not stop.asked and time.monotonic() < until:
            time.sleep(LOOK_S)

    def wait_for_server(self, stop: Stop) -> bool:
        """Until the API answers; False when asked to stop or when the server did not come up."""
        while not stop.asked and time.monotonic() - self.started < READY_S_MAX:
            if not self.by_name["server"].pid:
                return self.failed("server")
            if self._answers():
                return True
            time.sleep(LOOK_S)
        return False if stop.asked else self.failed("server")

    def _answers(self) -> bool:
        """Whether the API answers, and it is this installation's."""
        try:
            with open_local(f"{self.url}/api/v1/health/live", 2) as answer:
                return answer.headers.get(RUN_HEADER) == self.run_id
        except (OSError, HTTPException):
            return False

    def failed(self, name: str) -> bool:
        """Say how a process ended; False."""
        log = self.data / "logs" / f"{name}.log"
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        tail = "\n".join(text.splitlines()[-15:])
        print(f"{self.who}: {name} did not come up. Its log ends with:\n{tail}", file=sys.stderr)
        return False

    def address(self) -> str:
        """The one address to open: at the first start the link that makes the first administrator."""
        link = self.data / "first-start-link"
        return link.read_text(encoding="utf-8").strip() if link.exists() else self.url

    def watch(self, stop: Stop, until: float | None = None) -> None:
        """Keep the processes alive until asked, or until so many seconds after the start."""
        told = 0.0
        while not stop.asked:
            for said in self.children.look():
                self.say(said)
            elapsed = time.monotonic() - self.started
            if until is not None and elapsed >= until:
                return
            if until is not None and sys.stderr.isatty() and elapsed - told >= 10:
                told = elapsed
                self.say(f"{elapsed:.0f} of {until:.0f} s")
            time.sleep(0.2)
        self.say("stopping")

    def call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One call to the API with the owner's token, JSON both ways; raises OSError and ValueError."""
        return json.loads(self.read(path, body))

    def read(self, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """The same, whatever the answer is."""
        token = token_of("owner", self.settings)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data=data, headers=headers)  # noqa: S310  # our own
        with open_local(request, 10) as answer:
            return bytes(answer.read())


def port_or_free(wanted: int, say: Callable[[str], None]) -> int:
    """The wanted port, or a free one where it is taken, saying so."""
    if is_free(wanted):
        return wanted
    port = free_port()
    say(f"port {wanted} is taken (another demo?); using {port}")
    return port


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
