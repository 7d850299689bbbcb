"""A reader that a package brings, in virtual time: found and fenced in as any other, and as wrong as its faults say."""

import asyncio
import contextlib
import importlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Final

import msgspec

from config.clock import Clock
from config.plant import Device, Line, Point, Secret
from edge.fencing import Outcome, outcome_of
from edge.foreign import Begin
from edge.ports import PointReader, PointReading, ReadResult
from edge.readings import QUALITIES
from simulators import faults
from simulators.faults import Fault
from simulators.station import Station

NAME: Final = "simulated"
"""Of the reader, in the group `steward.readers`."""
PACKAGES: Final = Path(faults.__file__).parent / "packages"
"""Where its package lies, as pip would lay it."""
STRANGER: Final = "elsewhere/temperature"
"""A point that nobody asks for."""
STUBBORN_S: Final = 60.0
"""How long a stubborn read takes unless said."""
RAISED: Final[Mapping[str, type[BaseException]]] = {
    error.__name__: error for error in (RuntimeError, SystemExit, asyncio.CancelledError)
}
GOOD: Final = QUALITIES["good"]

StationOf = Callable[[str], Station]
"""A device as it stands now."""
STATION_OF: ContextVar[StationOf] = ContextVar("STATION_OF")
"""What stands at the other end of its lines: a package is told nothing of it, it has to find it by itself."""


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """The package is installed until the block is left."""
    sys.path.append(str(PACKAGES))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(PACKAGES))


def make(
    line: Line, devices: Sequence[Device], clock: Clock, password_of: Callable[[Secret], str]
) -> PointReader:
    """The reader of one line.

    Raises:
        RuntimeError: a device of the line is `unusable`.
    """
    station_of = STATION_OF.get()
    if _faults(station_of, devices, "unusable"):
        raise RuntimeError("no licence")
    return SimulatedReader(clock, station_of)


def making(station_of: StationOf, devices: Sequence[Device]) -> Begin:
    """Makes readers in the loop, as late as `unready` says (`seconds`): threads know no virtual time."""

    async def made(call: Callable[[], PointReader]) -> Outcome[PointReader]:
        late = _faults(station_of, devices, "unready")
        await asyncio.sleep(max((fault.number("seconds", 0.0) for fault in late), default=0.0))
        return outcome_of(call)

    return lambda call: asyncio.ensure_future(made(call))


def _faults(station_of: StationOf, devices: Sequence[Device], kind: str) -> list[Fault]:
    active = (fault for device in devices for fault in station_of(device.id).active())
    return [fault for fault in active if fault.kind == kind]


class SimulatedReader:
    """A `PointReader` of what its devices show.

    `raises` the error of its option `value`; `stubborn` takes `seconds`, whoever ends it; `wrong_type`
    tells values as text, `wrong_time` seconds; `omits` does not tell a point, `strangers` tells one
    that nobody asked for. A sensor that is dead is told as NaN.
    """

    def __init__(self, clock: Clock, station_of: StationOf) -> None:
        self._clock = clock
        self._station_of = station_of

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        for fault in self._station_of(device.id).active():
            await _befallen(fault)
        station, now = self._station_of(device.id), self._clock.now()
        shown = ((point.id, station.values.get(point.id)) for point in points)
        told = [PointReading(id, math.nan if value is None else value, GOOD, now) for id, value in shown]  # type: ignore[arg-type]  # fmt: skip  # text too, and it is refused
        for fault in station.active():
            told = TELLS[fault.kind](fault, told) if fault.kind in TELLS else told
        return ReadResult(told)

    def forget(self, device: str) -> None:
        """Nothing is learnt."""

    def words(self) -> str:
        return ""

    async def close(self) -> None:
        """Nothing is kept open."""


async def _befallen(fault: Fault) -> None:
    """What happens to a read before anything is told."""
    match fault.kind:
        case "link_lost":
            raise ConnectionRefusedError("connection refused")
        case "raises":
            raise RAISED.get(str(fault.options.get("value")), RuntimeError)("out of order")
        case "silent":
            await asyncio.get_running_loop().create_future()
        case "slow":
            await asyncio.sleep(fault.number("seconds", 2.0))
        case "stubborn":
            await _however(fault.number("seconds", STUBBORN_S))
        case _:
            pass


async def _however(seconds: float) -> None:
    """Sleep so long, whoever cancels it."""
    time = asyncio.get_running_loop().time
    end = time() + seconds
    while (left := end - time()) > 0:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(left)


Told = list[PointReading]
TELLS: Final[Mapping[str, Callable[[Fault, Told], Told]]] = {
    "wrong_type": lambda fault, told: [msgspec.structs.replace(one, value=str(one.value)) for one in told],
    "wrong_time": lambda fault, told: [msgspec.structs.replace(one, time=one.time // 1000) for one in told],
    "omits": lambda fault, told: [one for one in told if not faults.is_named(one.point, fault.options["point"])],
    "strangers": lambda fault, told: [*told, PointReading(STRANGER, 1.0, GOOD, told[0].time)],
}  # fmt: skip
"""What becomes of what is told."""
