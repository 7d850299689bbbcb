"""Runs one asyncio main until a signal asks it to end; logging and settings as every process has them."""

import asyncio
import contextlib
import ctypes
import logging
import os
import resource
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from config.load import load_plant
from config.plant import Plant
from config.settings import Settings

log = logging.getLogger("steward.serving")

PARENT_LOOK_S = 0.5
M_ARENA_MAX = -8
"""Of glibc's mallopt(3)."""
TURN_S = 0.001
RUN_HEADER = "steward-run"
"""In every answer of a server that a parent watches over: the run that it belongs to."""


def start_logging(level: str) -> None:
    """One line an event, with UTC time."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for talkative in ("apscheduler", "amqtt", "transitions", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)


def allow_files(count: int) -> None:
    """Let this process have so many descriptors, as far as the system lets it; a shell gives 1 024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < count:
        log.warning("this process may have %d descriptors and wants %d: with many consoles open it could not begin its next file; raise the limit (ulimit -Hn, LimitNOFILE)", most, count)  # fmt: skip


def share_one_heap() -> None:
    """Let all threads take memory from one heap; to be called before there are any, by a process that is to run for years.

    glibc gives each thread that meets another one a heap of its own, and each of these stays as large as it ever
    was: a server's hourly work, which falls to another thread each time, grew by some MB an hour (decision 140).
    Other C libraries have no such call, and no such heaps.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def take_short_turns() -> None:
    """Let a thread that computes hand on to one that waits after a millisecond, not Python's five.

    Beside half a million readings a second an alarm was in the ledger in 4.8 ms where it took 5.2 (in one of a hundred
    11 and 15): journal and loop wait for each other, and for whoever writes the store. Nothing came in slower.
    """
    sys.setswitchinterval(TURN_S)


def when_asked() -> tuple[signal.Signals, ...]:
    """The signals that ask a process to end; the terminal's end is none for what runs under nohup."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT, *(() if ignored else (signal.SIGHUP,)))


def parent() -> int:
    """The process that watches over this one, 0 when it was started by hand or by a container."""
    return int(os.environ.get("STEWARD_PARENT") or 0)


def run_id() -> str:
    """Which run this process belongs to, empty when started by hand."""
    return os.environ.get("STEWARD_RUN", "")


def run_until_asked(main: Coroutine[Any, Any, None]) -> int:
    """Run `main`; signals and its parent's end cancel it. 0 when it ended by itself or was asked to."""

    async def guarded() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(main)
        for number in when_asked():
            loop.add_signal_handler(number, task.cancel)
        watching = asyncio.create_task(_orphaned(parent(), task))
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        finally:
            watching.cancel()

    asyncio.run(guarded())
    return 0


async def _orphaned(parent_id: int, task: asyncio.Future[None]) -> None:
    """Cancel the task when the parent has ended, however it did."""
    while parent_id and os.getppid() == parent_id:  # noqa: ASYNC110  # no event tells of it
        await asyncio.sleep(PARENT_LOOK_S)
    if parent_id:
        task.cancel()


def endpoints(settings: Settings) -> dict[str, str]:
    """Where lines stand instead of where the plant says: `lines.json` in the data folder, if any."""
    path = settings.data / "lines.json"
    if not path.is_file():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=dict[str, str])


def plant_of(folder: str, settings: Settings) -> Plant:
    """The plant of a folder, with its lines where this run has them."""
    return load_plant(Path(folder), endpoints=endpoints(settings))
