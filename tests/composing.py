"""What docker-compose.yml and the Dockerfile say, as values that tests compare and act on."""

import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML ships no types

from config.settings import environment_with

ROOT = Path(__file__).parents[1]
OURS = "steward"
"""The image that the Dockerfile makes."""


def read_yaml(name: str) -> Any:
    """A YAML file of the project."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Mount:
    """`source` is the name of a volume, or a file or folder of the project."""

    source: str
    target: str
    read_only: bool

    @property
    def file(self) -> Path | None:
        """What of the project it mounts, if not a volume."""
        return ROOT / self.source if self.source.startswith("./") else None


@dataclass(frozen=True, slots=True)
class Service:
    """One container; `said` is everything that is written about it."""

    name: str
    said: Mapping[str, Any]

    @property
    def ours(self) -> bool:
        return bool(self.said["image"] == OURS)

    @property
    def once(self) -> bool:
        """Whether it does its work and ends."""
        return bool(self.said["restart"] == "no")

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.said.get("environment", {}))

    @property
    def mounts(self) -> list[Mount]:
        parts = [text.split(":") for text in self.said.get("volumes", [])]
        return [Mount(source, target, rest == ["ro"]) for source, target, *rest in parts]


def services() -> dict[str, Service]:
    """Every service by name."""
    found = read_yaml("docker-compose.yml")["services"]
    return {name: Service(name, said) for name, said in found.items()}


def dockerfile() -> list[str]:
    """The Dockerfile's instructions, each on one line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line and line[0] != "#"]


def image_copies() -> Iterator[tuple[str, str]]:
    """What the last stage copies out of the project: source, and place below /app."""
    lines = dockerfile()
    last = max(n for n, line in enumerate(lines) if line.startswith("FROM "))
    for line in lines[last:]:
        found = re.fullmatch(r"COPY (?!--from)(\S+) (\S+)", line)
        if found:
            yield found[1], found[2]


def make_app(folder: Path) -> Path:
    """The image's /app, in a folder: nothing but what the Dockerfile copies."""
    for source, place in image_copies():
        if (ROOT / source).is_dir():
            leave = shutil.ignore_patterns("node_modules", "__pycache__", "static")
            shutil.copytree(ROOT / source, folder / place, ignore=leave)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, folder / place)
    return folder


@dataclass(frozen=True, slots=True)
class Machine:
    """Runs our containers' commands as processes: same words, variables and volumes, other addresses.

    Container `x` finds its files below `folder/roots/x`; a volume is a folder below `folder/volumes`.
    """

    folder: Path
    app: Path
    ports: dict[str, int]
    """Host name in compose to the port that it has here."""

    def root(self, service: Service) -> Path:
        """The container's file system, with its volumes in place."""
        root = self.folder / "roots" / service.name
        root.mkdir(parents=True, exist_ok=True)
        for mount in sorted(service.mounts, key=lambda m: m.target.count("/")):
            if mount.file is not None and mount.file.name != "lines.json":
                continue
            source = self.folder / "lines.json" if mount.file else self._volume(mount.source)
            place = root / mount.target.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.is_symlink():
                place.symlink_to(source)
        return root

    def _volume(self, name: str) -> Path:
        path = self.folder / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def lines(self) -> dict[str, str]:
        """`deploy/lines.json`: line to address."""
        text = (ROOT / "deploy" / "lines.json").read_text(encoding="utf-8")
        return dict(json.loads(text))

    def move_lines(self, ports: Mapping[str, int]) -> None:
        """The lines at addresses of this machine; those without a port of their own at the broker's."""
        broker = self.ports["broker"]
        moved = {line: f"127.0.0.1:{ports.get(line, broker)}" for line in self.lines()}
        (self.folder / "lines.json").write_text(json.dumps(moved), encoding="utf-8")

    def environment(self, service: Service) -> dict[str, str]:
        """What compose tells the container."""
        root = self.root(service)
        told = {k: f"{root}{v}" if v.startswith("/") else v for k, v in service.environment.items()}
        here = {
            "STEWARD_BROKER_HOST": "127.0.0.1",
            "STEWARD_BROKER_PORT": str(self.ports["broker"]),
            "STEWARD_HTTP_PORT": str(self.ports["server"]),
            "STEWARD_INFLUX_URL": f"http://127.0.0.1:{self.ports['influxdb']}",
        }
        told |= {name: value for name, value in here.items() if name in told}
        if told.get("STEWARD_HTTP_HOST") == "server":
            told["STEWARD_HTTP_HOST"] = "127.0.0.1"
        return environment_with(**told)

    def command(self, service: Service) -> list[str]:
        """What the container runs."""
        root = self.root(service)
        words = [f"{root}{w}" if w.startswith("/") else w for w in service.said["command"]]
        return [sys.executable, str(self.app / "steward.py"), *words]

    def health_check(self, service: Service) -> list[str]:
        """What is asked of the container."""
        kind, python, script, *words = service.said["healthcheck"]["test"]
        assert (kind, python, script) == ("CMD", "python", "/app/steward.py")
        return [sys.executable, str(self.app / "steward.py"), *words]
