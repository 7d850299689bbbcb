"""`steward test`: all tests with coverage, after bringing the real parts that this machine may have."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from commands.parts import NotHere, ensure
from config.settings import environment_with, in_ci

ROOT = Path(__file__).parent.parent
PARTS = ("mosquitto", "mbpoll", "chromium", "postgres", "influxd")
EXAMPLE = "test --only unit,real"
WORKERS = ("-n", "2", "--dist", "loadscope", "--no-loadscope-reorder", "--max-worker-restart", "0")
"""Two at a time, shared out by tests/conftest.py; each worker starts the real servers that its tests need."""
PLACES = {
    "unit": ["tests/unit", "tests/contract", "tests/rules", "tests/golden"],
    "real": ["tests/system", "tests/contract"],
    "pipeline": ["tests/pipeline"],
    "browser": ["tests/console"],
}
FIXED = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": ""}
"""Hundreds of processes begin in the tests: each would compile all modules where the machine forbids to keep them."""
WHOLE = (
    "collector/domain/*", "collector/decoding.py",
    "edge/registers.py", "edge/decoding.py", "edge/readings.py",
)  # fmt: skip
"""What is covered to the last branch."""


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "--only", default="", help=f"some of: {', '.join(PLACES)}; no coverage then"
    )
    parser.add_argument("pytest", nargs="*", help="more for pytest, after --")


def run(arguments: argparse.Namespace) -> int:
    """Pytest's own exit code; 1 also where coverage is too low."""
    chosen = [name for name in arguments.only.split(",") if name]
    for name in chosen:
        if name not in PLACES:
            print(f"steward test: no part {name!r}; there are {', '.join(PLACES)}", file=sys.stderr)
            return 2
    if not chosen or {"real", "browser"} & set(chosen):
        _bring_parts()
    paths = [p for name in chosen for p in PLACES[name] if (ROOT / p).exists()] or ["tests"]
    coverage = [] if chosen or arguments.pytest else ["--cov", "--cov-report="]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *WORKERS, *coverage, *paths, *arguments.pytest],
        cwd=ROOT, check=False, stdin=subprocess.DEVNULL, env=environment_with(**FIXED),
    )  # fmt: skip
    print(f"tests took {time.monotonic() - started:.0f} s", flush=True)
    if done.returncode or not coverage:
        return done.returncode
    return _coverage()


def _bring_parts() -> None:
    print("steward test: looking for the real parts", file=sys.stderr, flush=True)
    for name, where in ensure(PARTS).items():
        shown = f"not here: {where.reason}" if isinstance(where, NotHere) else str(where)
        print(f"  {name:10} {shown}", file=sys.stderr, flush=True)
    if in_ci():
        print("  CI is set: a missing part fails its tests", file=sys.stderr, flush=True)


def _coverage() -> int:
    report = [sys.executable, "-m", "coverage", "report"]
    whole = subprocess.run([*report, "--format=total"], cwd=ROOT, check=False, capture_output=True, text=True)  # fmt: skip
    print(f"branch coverage {whole.stdout.strip()} % (at least 90)", flush=True)
    if whole.returncode:
        subprocess.run(report, cwd=ROOT, check=False)
    pure = [*report, "--fail-under=100", f"--include={','.join(WHOLE)}"]
    domain = subprocess.run(pure, cwd=ROOT, check=False, capture_output=True, text=True)
    print(f"domain and codec: {'100 %' if not domain.returncode else 'below 100 %'}", flush=True)
    if domain.returncode:
        print(domain.stdout)
    return 1 if whole.returncode or domain.returncode else 0
