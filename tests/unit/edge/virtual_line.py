"""A line of devices in memory and in virtual time: how long each read takes, what it says, and when it was read."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.plant import Device, Line, Plant, Point
from edge.poller import LineStats, Poller
from edge.ports import PointReading, ReadResult
from edge.readings import QUALITIES
from tests.unit.edge.rows import START_MS, device, line, plant, register_point

LOST = frozenset({"no_answer", "link_down"})
Paces = Mapping[str, Sequence[float]]
"""Device to the periods of its points, seconds."""


@dataclass(frozen=True, slots=True)
class Read:
    """One read of a device, in the seconds of the poller's clock."""

    device: str
    points: Sequence[str]
    begun: float
    ended: float


class SetClock(VirtualClock):
    """A clock that is set: `ahead_ms` by the wall, `slept_s` where the machine stood still."""

    ahead_ms = 0
    slept_s = 0.0

    def now(self) -> int:
        return super().now() + self.ahead_ms + round(1000 * self.slept_s)

    def monotonic(self) -> float:
        return super().monotonic() + self.slept_s


@dataclass
class Devices:
    """A `PointReader`: reads of a device take `takes_s` (else none), and give what `says` has of it or of
    a point (else good values)."""

    clock: SetClock
    takes_s: dict[str, float] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    raises: set[str] = field(default_factory=set)
    reads: list[Read] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    closed: int = 0
    busy: bool = False

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        assert not self.busy, "one request in flight"
        self.busy, begun = True, self.clock.monotonic()
        await asyncio.sleep(self.takes_s.get(device.id, 0.0))
        self.busy = False
        names = [point.id for point in points]
        self.reads.append(Read(device.id, names, begun, self.clock.monotonic()))
        if device.id in self.raises:
            raise RuntimeError("nobody foresaw it")
        why = [self.says.get(name, self.says.get(device.id, "good")) for name in names]
        readings = [self._reading(*said) for said in zip(names, why, strict=True)]
        facts = {name: fact for name, fact in self.facts.items() if name in names}
        return ReadResult(readings, not LOST.isdisjoint(why), facts=facts)

    def _reading(self, name: str, why: str) -> PointReading:
        value = 1.0 if why == "good" else None
        return PointReading(name, value, QUALITIES[why], self.clock.now())

    def forget(self, device: str) -> None:
        self.forgotten.append(device)

    def words(self) -> str:
        return ""

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Polled:
    """A poller at work; `told` is all that it told, and when."""

    poller: Poller
    devices: Devices
    clock: SetClock
    told: list[tuple[float, PointReading]] = field(default_factory=list)

    @property
    def stats(self) -> LineStats:
        return self.poller.stats

    def take(self, readings: Sequence[PointReading]) -> None:
        self.told += [(self.clock.monotonic(), reading) for reading in readings]

    async def lasts(self, seconds: float) -> None:
        """So long, in virtual time."""
        await asyncio.sleep(seconds)

    def begun(self, device: str = "", since: float = 0.0) -> list[float]:
        """When the reads of a device, or all, began."""
        return [
            r.begun for r in self.devices.reads if device in ("", r.device) and r.begun >= since
        ]

    def told_of(self, device: str, reason: str, since: float = 0.0) -> list[float]:
        """When the points of a device were told so."""
        code = QUALITIES[reason]
        return [
            at for at, r in self.told
            if at >= since and r.quality == code and r.point.startswith(f"{device}/")
        ]  # fmt: skip


def site(paces: Paces, row: Line) -> Plant:
    """Devices on one line, a point `device/number` for each pace."""
    points = [
        register_point(str(p), n, id=f"{name}/{n}", asset=name, device=name, period_s=p)
        for name, periods in paces.items()
        for n, p in enumerate(periods)
    ]
    return plant([row], [device(name) for name in paces], points)


Story = Callable[[Polled], Awaitable[None]]


def play(
    story: Story,
    paces: Paces,
    seed: int = 1,
    row: Line | None = None,
    start_s: float = 0.0,
    **of: Any,
) -> Polled:
    """Poll such devices (their fields by name), from `start_s` of the clock on, as long as the story lasts."""
    loop = VirtualLoop()
    clock, row = SetClock(loop, START_MS), row or line()
    clock.slept_s = start_s

    async def main() -> Polled:
        devices = Devices(clock, **of)
        rng = np.random.default_rng(seed)
        it = Polled(Poller(site(paces, row), row.id, devices, clock, rng), devices, clock)
        task = asyncio.create_task(it.poller.run(it.take))
        await story(it)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert devices.closed == 1
        return it

    return run_virtual(main(), loop=loop)


def after(seconds: float, paces: Paces, **of: Any) -> Polled:
    """What has happened on such a line by then."""
    return play(lambda it: it.lasts(seconds), paces, **of)
