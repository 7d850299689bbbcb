"""One line for the tests of recovery: two devices whose values never overlap, polled for real."""

import asyncio
import gc
import logging
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from config.clock import ScaledClock
from config.plant import Device, Line, Point
from config.profile import ModbusLimits
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import PymodbusTransport
from edge.poller import Poller, _Loss
from edge.ports import PointReader, PointReading, ReadResult
from edge.readings import BAD, QUALITY_NAMES
from tests.unit.edge.fault_proxy import FaultProxy
from tests.unit.edge.modbus_twins import RecordingServer, asked_for, framed
from tests.unit.edge.rows import device, plant, register_point
from tests.waiting import until

TIMEOUT_S = 0.4
CAP_S = 0.6
PACE_S = 0.05
HOURLY_S = 3600.0
WAIT_S = 30.0
"""How long a test waits for what takes one second on a quiet machine."""
DEVICES = (device("one", unit="1"), device("two", unit="2"))
ADDRESSES = {"near": 10, "far": 500}
"""Too far apart for one request: two of the same form, that only their numbers tell apart."""
BESIDE = {f"{name}_too": address + 1 for name, address in (ADDRESSES | {"hourly": 700}).items()}
"""On a bus, where of one register no part can be asked for."""


def points(*, on_a_bus: bool = False) -> list[Point]:
    """Of each device two fast points and one that is read every hour; on a bus one more beside each."""
    more = BESIDE if on_a_bus else {}
    return [
        register_point(
            name, address, id=f"{row.id}/{name}", asset=row.id, device=row.id,
            period_s=HOURLY_S if name.startswith("hourly") else PACE_S,
        )
        for row in DEVICES
        for name, address in (ADDRESSES | {"hourly": 700} | more).items()
    ]  # fmt: skip


def honest(request: bytes) -> bytes:
    """Each word is its unit times a thousand and its address."""
    function, address, count = asked_for(request)
    words = (request[6] * 1000 + a for a in range(address, address + count))
    data = b"".join(word.to_bytes(2, "big") for word in words)
    return framed(request, bytes((function, len(data))) + data)


def right(point: str) -> float:
    """What this point holds, and no other."""
    owner, _, name = point.partition("/")
    unit = 1 if owner == "one" else 2
    return unit * 1000.0 + (ADDRESSES | {"hourly": 700} | BESIDE)[name]


@dataclass(slots=True)
class Attempt:
    """One read of a device, in the seconds of the poller's clock."""

    device: str
    begun: float
    ended: float
    good: bool


@dataclass
class Watched:
    """A reader that keeps when it was asked and whether that gave values."""

    inner: PointReader
    clock: ScaledClock
    attempts: list[Attempt] = field(default_factory=list)
    busy: int = 0

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        begun = self.clock.monotonic()
        self.busy += 1
        try:
            result = await self.inner.read(device, points)
        finally:
            self.busy -= 1
        good = not result.lost and all(reading.quality < BAD for reading in result.readings)
        self.attempts.append(Attempt(device.id, begun, self.clock.monotonic(), good))
        return result

    def forget(self, device: str) -> None:
        self.inner.forget(device)

    def words(self) -> str:
        return self.inner.words()

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class PolledLine:
    """A poller at work; `told` is all that it told, in order, `log` what it said of lost and back."""

    poller: Poller
    watched: Watched
    clock: ScaledClock
    told: list[PointReading] = field(default_factory=list)

    def reasons(self, since: int = 0) -> dict[str, list[str]]:
        """By point the reasons told since."""
        found: dict[str, list[str]] = {}
        for reading in self.told[since:]:
            found.setdefault(reading.point, []).append(QUALITY_NAMES[reading.quality])
        return found

    async def until_each(self, names: Iterable[str], reason: str) -> int:
        """Return once each of these points is told so anew; where in `told` that was."""
        since, wanted = len(self.told), set(names)
        await until(
            lambda: wanted <= {p for p, said in self.reasons(since).items() if said[-1] == reason},
            WAIT_S,
        )
        return len(self.told)

    async def between_reads(self) -> None:
        """Return while nothing is asked: a fault that begins in the middle of a read is told in two ways."""
        await until(lambda: not self.watched.busy, WAIT_S)

    async def until_tried(self, times: int) -> None:
        """Return once everything that is lost was tried so often: the back-off is at its cap."""
        await until(lambda: all(loss.attempts >= times for loss in self._tried()), WAIT_S)

    def retries_within_s(self) -> float:
        """When the last of what is lost will be tried again."""
        now = self.clock.monotonic()
        return max((loss.retry_at - now for loss in self._tried()), default=0.0)

    def _tried(self) -> list[_Loss]:
        """What is lost and tried: behind a lost line, only the line."""
        losses = self.poller._losses
        return [line for name, line in losses.items() if name.startswith("line")] or [
            *losses.values()
        ]


ALL = tuple(point.id for point in points())
FAST = tuple(name for name in ALL if not name.endswith("hourly"))


@asynccontextmanager
async def polled(
    line: Line, rows: Sequence[Point] = (), name: str = "polling"
) -> AsyncIterator[PolledLine]:
    """Polls the line until left, in a task of this name; then nothing of it may be left."""
    clock = ScaledClock()
    reader = ModbusReader(PymodbusTransport(line), lambda _: ModbusLimits(), clock, line)
    watched = Watched(reader, clock)
    site = plant([line], DEVICES, list(rows) or points(on_a_bus=line.serial is not None))
    polled = PolledLine(
        Poller(site, line.id, watched, clock, np.random.default_rng(5)), watched, clock
    )
    task = asyncio.create_task(polled.poller.run(polled.told.extend), name=name)
    try:
        yield polled
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled(), "polling ended by itself"
    for reading in polled.told:
        assert reading.quality >= BAD or reading.value == right(reading.point), reading


@asynccontextmanager
async def proxied() -> AsyncIterator[FaultProxy]:
    """An honest server behind a proxy."""
    async with RecordingServer(honest).running() as server, FaultProxy(server.port).running() as it:
        yield it


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Afterwards as many descriptors and tasks as before."""
    before = descriptors(), len(asyncio.all_tasks())
    yield
    await until(lambda: descriptors() <= before[0] and len(asyncio.all_tasks()) <= before[1])


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


AT_ONCE = 8
"""Lines that fail beside each other in one loop: such rows wait for time-outs, not for the machine."""


def batches(names: Sequence[str]) -> list[Sequence[str]]:
    """So many at once that the loop keeps their time."""
    return [names[i : i + AT_ONCE] for i in range(0, len(names), AT_ONCE)]


@contextmanager
def tasks_noted(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Meanwhile each record keeps which task said it (`taskName` is there from Python 3.12 on)."""
    caplog.handler.addFilter(_note_task)
    try:
        yield
    finally:
        caplog.handler.removeFilter(_note_task)  # one handler serves all tests


def _note_task(record: logging.LogRecord) -> bool:
    task = asyncio.current_task()
    record.taskName = task.get_name() if task else None
    return True


def said(caplog: pytest.LogCaptureFixture, by: str = "") -> dict[str, list[str]]:
    """What the poller (of one task) logged, by who it is of: the words behind the name."""
    found: dict[str, list[str]] = {}
    for record in caplog.records:
        if record.name == "edge.poller" and by in ("", getattr(record, "taskName", "")):
            assert record.levelno == logging.WARNING, record
            who = re.match(r"(line|device) \S+", text := record.getMessage())
            assert who, text
            found.setdefault(who[0], []).append(text[len(who[0]) + 1 :])
    return found
