"""Runs one asyncio main until a signal asks it to end; logging and settings as every process has them."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from config.load import load_plant
from config.plant import Plant
from config.settings import Settings


def start_logging(level: str) -> None:
    """One line an event, with UTC time."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for talkative in ("apscheduler", "amqtt", "transitions", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)


def run_until_asked(main: Coroutine[Any, Any, None]) -> int:
    """Run `main`; SIGTERM and SIGINT cancel it. 0 when it ended by itself or was asked to."""

    async def guarded() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(main)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(guarded())
    return 0


def endpoints(settings: Settings) -> dict[str, str]:
    """Where lines stand instead of where the plant says: `lines.json` in the data folder, if any."""
    path = settings.data / "lines.json"
    if not path.is_file():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=dict[str, str])


def plant_of(folder: str, settings: Settings) -> Plant:
    """The plant of a folder, with its lines where this run has them."""
    return load_plant(Path(folder), endpoints=endpoints(settings))
