"""What every measurement starts: a fresh broker, processes of ours that talk in JSON, the load, and news of it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from commands.part_servers import MosquittoServer, start_mosquitto

ROOT: Final = Path(__file__).parents[1]
PROC: Final = Path("/proc")
RIGHTS: Final = "user collector\ntopic readwrite #\nuser load\ntopic readwrite #\n"
WORDS: Final = {"collector": "collector-word", "load": "load-word"}
RUN_S_MAX: Final = 300
TELL_EVERY_S: Final = 2.0
Report = Mapping[str, Any]
"""What one run says: `seconds`, `cpu_s`, `rss_mb`, `stored`."""


class Failed(Exception):
    """A measurement did not come to its end."""


def say(text: str) -> None:
    """News for whoever waits; the rows alone go to stdout."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """How far a run is, every two seconds."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._told = time.monotonic()

    def at(self, count: float) -> None:
        """`count` readings are stored by now."""
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self._told = time.monotonic()
            say(f"    {count / 1e6:.1f} of {self._wanted / 1e6:.1f} M readings stored")


@contextmanager
def broker(program: Path) -> Iterator[tuple[MosquittoServer, Path]]:
    """A fresh Mosquitto with the shipped configuration, and a folder."""
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as name:
        server = start_mosquitto(program, Path(name), users=WORDS, acl=RIGHTS)
        try:
            yield server, Path(name)
        finally:
            server.stop()


def started(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """A Python process of ours that talks in lines of JSON."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def line_of(process: subprocess.Popen[str]) -> Report:
    """The next line that it says."""
    assert process.stdout is not None  # noqa: S101  # it was started with a pipe
    line = process.stdout.readline()
    if not line:
        raise Failed(f"{process.args!r} ended with {process.wait()}")
    content: Report = json.loads(line)
    return content


def load_at(
    server: MosquittoServer, shape: str, readings: int, *more: str
) -> subprocess.Popen[str]:
    """The load generator, waiting for a line before it sends."""
    return started(
        "commands.load", "--shape", shape, "--readings", str(readings), "--port", str(server.port),
        "--user", "load", "--password", WORDS["load"], "--wait", *more,
    )  # fmt: skip


def go(load: subprocess.Popen[str]) -> None:
    """Let the load begin."""
    assert load.stdin is not None  # noqa: S101  # it was started with a pipe
    load.stdin.write("\n")
    load.stdin.flush()


def end(*processes: subprocess.Popen[Any]) -> None:
    """End what still runs of ours."""
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def cpu_s(pids: Sequence[int]) -> float:
    """User and system time of all their threads."""
    ticks = 0
    for pid in pids:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
