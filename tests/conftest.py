"""What holds for every test: nothing is left running, and nobody outside this machine is spoken to."""

import asyncio
import ipaddress
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

pytest_plugins = ["tests.parts"]

TOGETHER = ("tests/console/", "tests/unit/test_guards.py")
"""What shares something dear (a running demo; a run of pytest): in one worker, or each would make it."""
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


hypothesis.settings.register_profile("steward", deadline=None, derandomize=True)
hypothesis.settings.load_profile(
    "steward"
)  # the same everywhere: a stall of the machine is no failure


def pytest_configure(config: pytest.Config) -> None:
    """Where a seed is given (`--hypothesis-seed=N`), properties are tried with other examples than always."""
    if config.getoption("--hypothesis-seed", None) is not None:
        hypothesis.settings.register_profile(
            "seeded", deadline=None, derandomize=False, database=None
        )
        hypothesis.settings.load_profile("seeded")


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # no types
    """Each test to the worker that is free, but those of `TOGETHER` to one."""

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Scheduling:
    """Ours: with pytest 9.2 xdist 3.8 does not see groups (it writes a node's id where no one reads it)."""
    return _Scheduling(config, log)


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
