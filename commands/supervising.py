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
RESTART_WRONG_S = 60.0
WRONG_USE = 2
"""The exit code of a process that cannot work until somebody mends what it was told."""
MEND = "steward: mend"
QUIET_S = 30.0
"""A process that lived this long is restarted without delay."""


@dataclass(slots=True)
class Child:
    """One process of ours. `deaths` counts ends that nobody asked for."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    folder: Path | None = None
    """Where it runs, if that matters to it."""
    deaths: int = 0
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restart_at: float = 0.0
    wait_s: float = RESTART_S_MIN
    told: str = ""
    """Of what it said that somebody must mend, so that it is repeated once only."""
    _begins: int = 0

    def start(self) -> None:
        """Start it; its output goes to its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.touch(mode=0o600)
        self.log.chmod(0o600)
        self._begins = self.log.stat().st_size
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                list(self.command), env=dict(self.environment), stdout=out, stderr=out,
                stdin=subprocess.DEVNULL, start_new_session=True, cwd=self.folder,
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
            self.restart_at = now + self._pause(now, self.process.returncode)
            return self._ended(self.process.returncode)
        if now >= self.restart_at:
            self.restart_at = 0.0
            self.start()
            return "" if self.told else f"{self.name} runs again"
        return ""

    def _pause(self, now: float, code: int) -> float:
        """How long to wait before it starts again: long where it said that somebody must mend a file."""
        self.deaths += 1
        if code == WRONG_USE:
            self.wait_s = RESTART_WRONG_S
        elif now - self.started > QUIET_S:
            self.wait_s = RESTART_S_MIN
        else:
            self.wait_s = min(2 * self.wait_s, RESTART_S_MAX)
        return self.wait_s

    def _ended(self, code: int) -> str:
        """How it ended, in words; nothing when it ends as it did before for want of the same thing."""
        said = self._last_words() if code == WRONG_USE else ""
        if said and said == self.told:
            return ""
        self.told = said
        why = f": {said}" if said else ""
        return f"{self.name} ended with {code}{why}; again in {self.wait_s:.1f} s (log: {self.log})"

    def _last_words(self) -> str:
        text = self.log.read_bytes()[self._begins :].decode(errors="replace")
        lines = [line for line in text.splitlines() if line and not line.startswith(MEND)]
        return lines[-1] if lines else ""

    def end(self, patience_s: float) -> None:
        """End it for good: asked, then killed; nobody starts it again."""
        self.signal(signal.SIGTERM)
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

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
