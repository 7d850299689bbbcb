"""Starts processes, restarts what dies, stops them by their own process ids."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESTART_S_MIN = 0.5
RESTART_S_MAX = 10.0
QUIET_S = 30.0
"""A process that lived this long is restarted without delay."""


@dataclass(slots=True)
class Child:
    """One process of ours. `deaths` counts ends that nobody asked for."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    deaths: int = 0
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restart_at: float = 0.0
    wait_s: float = RESTART_S_MIN

    def start(self) -> None:
        """Start it; its output goes to its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                list(self.command), env=dict(self.environment), stdout=out, stderr=out,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self.started = time.monotonic()

    def restart(self) -> None:
        """Kill it and start it again at once."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        self.start()

    @property
    def pid(self) -> int:
        """Its process id, 0 when it does not run."""
        return self.process.pid if self.process is not None and self.process.poll() is None else 0

    def look(self) -> str:
        """Restart it if it died and its pause is over; says in words what happened, else nothing."""
        if self.process is None or self.process.poll() is None:
            return ""
        now = time.monotonic()
        if not self.restart_at:
            self.deaths += 1
            self.wait_s = RESTART_S_MIN if now - self.started > QUIET_S else min(2 * self.wait_s, RESTART_S_MAX)  # fmt: skip
            self.restart_at = now + self.wait_s
            return f"{self.name} ended with {self.process.returncode}; again in {self.wait_s:.1f} s (log: {self.log})"  # fmt: skip
        if now >= self.restart_at:
            self.restart_at = 0.0
            self.start()
            return f"{self.name} runs again"
        return ""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if it still runs."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(slots=True)
class Children:
    """All processes of one run, stopped in the reverse order of their start."""

    rows: list[Child] = field(default_factory=list)

    def start(self, child: Child) -> Child:
        """Start one more."""
        self.rows.append(child)
        child.start()
        return child

    def look(self) -> list[str]:
        """What happened since the last look."""
        return [said for said in (child.look() for child in self.rows) if said]

    def stop(self, *, patience_s: float = 4.0) -> None:
        """Ask each to end, wait together, then kill what is left."""
        for child in reversed(self.rows):
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + patience_s
        for child in self.rows:
            if child.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.05, deadline - time.monotonic()))
        for child in self.rows:
            child.signal(signal.SIGKILL)
            if child.process is not None:
                child.process.wait()
