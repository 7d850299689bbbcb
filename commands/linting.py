"""`steward lint`: format, lint, types, import rules and the console, each as its own line."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLE = "lint --fix"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--fix", action="store_true", help="mend what can be mended by itself")


def run(arguments: argparse.Namespace) -> int:
    """0 when everything is clean, 1 otherwise."""
    bin_ = Path(sys.executable).parent
    fix = arguments.fix
    steps: list[tuple[str, list[object]]] = [
        ("format", [bin_ / "ruff", "format", *([] if fix else ["--check"]), "-q", "."]),
        ("lint", [bin_ / "ruff", "check", *(["--fix"] if fix else []), "-q", "."]),
        ("types", [bin_ / "mypy", "."]),
        ("imports", [bin_ / "lint-imports", "--no-cache"]),
        ("lock files", [sys.executable, "-m", "commands.lock", "--check"]),
        ("console", ["npm", "--prefix", "api/console", "run", "-s", "check"]),
    ]
    wrong = [name for name, command in steps if not _step(name, [str(c) for c in command])]
    print(f"lint: {', '.join(wrong)} not clean" if wrong else "lint: all clean")
    return 1 if wrong else 0


def _step(name: str, command: list[str]) -> bool:
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    ok = done.returncode == 0
    print(f"{'ok ' if ok else 'NO '} {name:10} {time.monotonic() - started:5.1f} s", flush=True)
    if not ok:
        print(done.stdout + done.stderr, flush=True)
    return ok
