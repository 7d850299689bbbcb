"""The only module that touches the wall clock: real, scaled and virtual time behind one port."""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import Any, Protocol, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Clock(Protocol):
    """What a loop asks for the time; decisions take `now` instead."""

    def now(self) -> int:
        """UTC milliseconds since 1970. May be called at any time; never raises."""
        ...

    def monotonic(self) -> float:
        """Seconds of this clock's pace since an arbitrary start; never goes back."""
        ...

    async def sleep_until(self, deadline: float) -> None:
        """Return once `monotonic()` has reached `deadline` (seconds); at once if it has."""
        ...


_BOOT: int | None = getattr(time, "CLOCK_BOOTTIME", None)
_steady_s = time.monotonic if _BOOT is None else partial(time.clock_gettime, _BOOT)
"""Seconds since boot, those asleep too where the system counts them: a sleep is no set clock."""


class ScaledClock:
    """Wall time times a factor from an origin; factor 1 is real time.

    Every process given the same `origin_ms` (wall UTC ms), `factor` and `start_ms` (what this clock
    says at the origin; the wall's own time if 0) tells the same time.
    """

    def __init__(self, *, origin_ms: int = 0, factor: float = 1.0, start_ms: int = 0) -> None:
        if factor <= 0:
            raise ValueError(f"factor must be above 0, got {factor}")
        self._origin_ms = origin_ms
        self._start_ms = start_ms or origin_ms
        self.factor = factor
        if factor == 1.0:
            self.monotonic = _steady_s  # type: ignore[method-assign]  # asked six times a read of a device

    def now(self) -> int:
        wall = time.time_ns() // 1_000_000
        if self.factor == 1.0:
            return self._start_ms + wall - self._origin_ms
        return self._start_ms + round((wall - self._origin_ms) * self.factor)

    def monotonic(self) -> float:
        return _steady_s() * self.factor

    async def sleep_until(self, deadline: float) -> None:
        await asyncio.sleep(max(0.0, (deadline - self.monotonic()) / self.factor))


class SteppedClock:
    """A clock that a test moves by hand; sleepers wake in order of their deadlines."""

    def __init__(self, start_ms: int = 1_763_700_000_000) -> None:
        self._now_ms = start_ms
        self._start_ms = start_ms
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return (self._now_ms - self._start_ms) / 1000

    async def sleep_until(self, deadline: float) -> None:
        if deadline <= self.monotonic():
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((deadline, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, waking each sleeper at its own instant and letting it run."""
        end = self._now_ms + round(seconds * 1000)
        await _let_run()
        while True:
            due = [self._instant(d) for d, f in self._sleepers if not f.done()]
            instant = min([*due, end])
            if instant > end or (instant == end and self._now_ms == end and not due):
                break
            self._now_ms = max(self._now_ms, min(instant, end))
            woken = [
                f for d, f in self._sleepers if self._instant(d) <= self._now_ms and not f.done()
            ]
            self._sleepers = [(d, f) for d, f in self._sleepers if f not in woken and not f.done()]
            for future in woken:
                future.set_result(None)
            await _let_run()
            if not woken and self._now_ms >= end:
                break

    def _instant(self, deadline: float) -> int:
        """A deadline as UTC ms, rounded: sums of seconds seldom meet a millisecond exactly."""
        return self._start_ms + round(deadline * 1000)


async def _let_run() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for a timer, moves the loop's time to it."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("virtual time stands still: every task waits for something untimed")
        ready = super().select(0)
        if not ready and timeout > 0:
            self.elapsed_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer, so that hours run in seconds.

    Deterministic as long as nothing inside uses threads, sockets or processes: in-memory twins only.
    What is given to the loop's threads (`asyncio.to_thread`) is done at once, in this one.
    """

    timer_step_s = 0.0
    """How much later than asked a timer may come: nothing here is to wait for an instant by looping."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.elapsed_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # it is whoever awaits it who hears of it
            future.set_exception(error)
        return future


class VirtualClock:
    """The clock of a `VirtualLoop`: UTC starts at `start_ms` when the loop's time is 0."""

    def __init__(self, loop: VirtualLoop, start_ms: int) -> None:
        self._loop = loop
        self._start_ms = start_ms

    def now(self) -> int:
        return self._start_ms + round(self._loop.time() * 1000)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep_until(self, deadline: float) -> None:
        await asyncio.sleep(max(0.0, deadline - self.monotonic()))


def run_virtual(main: Coroutine[Any, Any, T], *, loop: VirtualLoop) -> T:
    """Run `main` to its end in virtual time; left-over tasks are cancelled, the loop is closed."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)
