"""`steward healthy server|edge|devices`: whether one process of a deployment works; what its container asks."""

import argparse
import socket
import sys
import time
from pathlib import Path

from commands.local_http import open_local
from commands.serving import plant_of
from config.plant import MODBUS_LINES
from config.settings import Settings, read_settings

EXAMPLE = "healthy server"
HOST = "127.0.0.1"
ANSWER_S_MAX = 5.0
SERVED = ("tcp", "rtu_over_tcp")
"""Modbus lines that the simulators speak."""
QUIET_S_MAX = 90.0
"""A point that does not change is kept again before its longest silence ends, a minute as a rule."""


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parts = parser.add_subparsers(dest="what", required=True)
    parts.add_parser("server", help="the API answers")
    parts.add_parser("edge", help="readings were kept in the outbox within 90 s, broker or not")
    devices = parts.add_parser("devices", help="every simulated line listens")
    devices.add_argument("plant", help="folder of the plant")


def run(arguments: argparse.Namespace) -> int:
    """0 when it works, 1 with the reason when it does not."""
    settings = read_settings()
    if arguments.what == "server":
        wrong = _server(settings)
    elif arguments.what == "edge":
        wrong = _edge(settings)
    else:
        wrong = _devices(arguments.plant, settings)
    if wrong:
        print(f"steward healthy: {wrong}", file=sys.stderr)
    return 1 if wrong else 0


def _server(settings: Settings) -> str:
    url = f"http://{HOST}:{settings.http_port}/api/v1/health/live"
    try:
        open_local(url, ANSWER_S_MAX).close()
    except OSError as error:
        return f"{url}: {error}"
    return ""


def _edge(settings: Settings) -> str:
    files = list((settings.data / "edge").glob("*"))
    if not files:
        return f"no outbox in {settings.data / 'edge'}"
    age_s = time.time() - max(_changed(path) for path in files)
    return f"nothing was kept for {age_s:.0f} s" if age_s > QUIET_S_MAX else ""


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _devices(folder: str, settings: Settings) -> str:
    lines = plant_of(folder, settings).lines.values()
    if unserved := [
        line.id for line in lines if line.kind in MODBUS_LINES and line.kind not in SERVED
    ]:
        return f"not simulated, for they are neither tcp nor rtu_over_tcp: {', '.join(unserved)}"
    silent = [
        line.id for line in lines if line.kind in (*SERVED, "rtsp") and not _listens(line.port)
    ]
    return f"not listening: {', '.join(silent)}" if silent else ""


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=ANSWER_S_MAX).close()
    except OSError:
        return False
    return True
