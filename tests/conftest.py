"""What holds for every test: nothing is left running, and nobody outside this machine is spoken to."""

import asyncio
import ipaddress
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["tests.parts"]

THREAD_END_S_MAX = 5.0
POOLS = ("asyncio_", "AnyIO worker", "ThreadPoolExecutor")
"""Threads which belong to a pool that ends with its loop or its executor."""

_outside: list[str] = []


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto"):
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_local(str(address[0])):
        _outside.append(str(address))
        raise RuntimeError(f"tests speak to this machine only, not to {address}")


def _is_local(host: str) -> bool:
    if host in ("localhost", ""):
        return True
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


sys.addaudithook(_guard)


HERE = Path(__file__).parent
ALONE = HERE / "pipeline"
"""Long ones, that share nothing: each may run in any worker."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs in one worker: a file, or all that share one running demo."""
    for item in items:
        place = item.path
        if place.is_relative_to(HERE) and not place.is_relative_to(ALONE):
            group = place.parent if place.parent == HERE / "console" else place
            item.add_marker(pytest.mark.xdist_group(str(group.relative_to(HERE))))


@pytest.fixture
def anyio_backend() -> str:
    """Everything here is written for asyncio."""
    return "asyncio"


@pytest.fixture
def unmeasured() -> Iterator[None]:
    """Without coverage: it makes long runs of many seeds or hours four times as long; shorter ones show as much."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.fixture(autouse=True)
def _nobody_outside_is_spoken_to() -> Iterator[None]:
    _outside.clear()
    yield
    assert not _outside, f"connected to {_outside}"


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith(POOLS):
            thread.join(THREAD_END_S_MAX)
            assert not thread.is_alive(), f"thread {thread.name} is left"


@pytest.fixture
async def _no_task_is_left_in_the_loop() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = [task for task in asyncio.all_tasks() - before if not _is_of_the_runner(task)]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    assert not left, f"tasks are left: {[task.get_name() for task in left]} {left}"


def _is_of_the_runner(task: asyncio.Task[Any]) -> bool:
    return task.done() or "TestRunner" in getattr(task.get_coro(), "__qualname__", "")


@pytest.fixture(autouse=True)
def _no_task_is_left(request: pytest.FixtureRequest) -> None:
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("_no_task_is_left_in_the_loop")
