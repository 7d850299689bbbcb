"""`steward screenshots`: starts a demo and takes a picture of every page, to be looked at by people."""

import argparse
import contextlib
import importlib.util
import sys
import tempfile
import time
from pathlib import Path

from commands.demo import prepare, start
from commands.installation import ROOT, Installation, Stop
from commands.parts import NotHere, ensure

EXAMPLE = "screenshots --out /tmp/pictures"
SITE_MINUTES = 16.0
"""How much of the site's time passes first: the trends have a course, and a second fault has come."""


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--out", default="screenshots", help="folder of the pictures (default ./screenshots)")  # fmt: skip
    parser.add_argument("--speed", type=float, default=10.0, help="run the site faster than the clock (default 10)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the estate and its faults")


def run(arguments: argparse.Namespace) -> int:
    """0 when all pictures were taken; 3 where the browser, the console or the demo cannot be had."""
    if arguments.speed <= 0:
        print(f"steward screenshots: --speed {arguments.speed:g} is not above 0", file=sys.stderr)
        return 2
    program = _browser()
    if isinstance(program, str):
        print(f"steward screenshots: {program}", file=sys.stderr)
        return 3
    folder = Path(arguments.out).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"steward screenshots: --out {folder}: {error.strerror}", file=sys.stderr)
        return 2
    return _shoot(program, folder, arguments.speed, arguments.seed)


def _browser() -> Path | str:
    """The browser's program, or what is missing and what to do."""
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed. ./steward installs it; elsewhere: pip install playwright"  # fmt: skip
    if not (ROOT / "api" / "static" / "index.html").exists():
        return "the console is not built. ./steward builds it; elsewhere: npm ci && npm run build in api/console"  # fmt: skip
    found = ensure(["chromium"])["chromium"]
    return f"no Chromium: {found.reason}" if isinstance(found, NotHere) else found


def _shoot(program: Path, folder: Path, speed: float, seed: int) -> int:
    from playwright.sync_api import Error  # only here: --help works without a browser

    from commands.shooting import shoot

    stop = Stop()
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="steward-screenshots-", ignore_cleanup_errors=True)
        )
        demo = prepare(Path(data), 0, speed)
        demo.who = "steward screenshots"
        stack.callback(demo.children.stop)
        if start(demo, stop, seed, technician=False) is None:
            return 3
        try:
            count = shoot(program, demo, folder, lambda: something_to_see(demo, stop))
        except Error as error:
            print(f"steward screenshots: the browser could not go on: {error}", file=sys.stderr)
            return 1
    print(f"{count} pictures in {folder}")
    return 1 if stop.asked else 0


def something_to_see(demo: Installation, stop: Stop) -> bool:
    """Wait until an alarm is active, an order open and `SITE_MINUTES` have passed; false when asked to stop."""
    (plant,) = demo.plants.values()
    seconds = SITE_MINUTES * 60 / demo.speed
    demo.say(f"waiting until the site has run for {SITE_MINUTES:g} min, {seconds:.0f} s here")
    while not stop.asked:
        alarms = demo.call(f"sites/{plant.site}/alarms?state=active")["items"]
        orders = demo.call(f"sites/{plant.site}/orders?state=open")["items"]
        if alarms and orders and time.monotonic() - demo.started >= seconds:
            demo.call(f"sites/{plant.site}/alarms/{alarms[-1]['id']}/acknowledge", {})
            return True
        time.sleep(0.5)
    return False
