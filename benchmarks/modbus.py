"""Rows 6 to 9 and 16 to 18: requests issued, polls a second, use of a serial line, punctuality, what an agent takes."""

import asyncio
import logging
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pymodbus.client import AsyncModbusTcpClient

from benchmarks import modbus_agents, modbus_requests
from benchmarks.modbus_devices import serving
from benchmarks.modbus_requests import rtu
from benchmarks.modbus_timers import Late, lateness
from benchmarks.modbus_watched import Heard, Watched, cancelled, raise_any, unsound
from benchmarks.modbus_wire import use_of, wire_s
from benchmarks.rows import Row, main
from benchmarks.running import end, line_of, say, started
from config.clock import ScaledClock
from config.plant import Device, Line, Plant, Point, PointSpec
from config.profile import ModbusLimits, Profile, Register
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import PymodbusTransport
from edge.poller import LineStats, Poller
from edge.ports import PointReader

DEVICES: Final = 100
WORDS: Final = 10
ROUNDS: Final = 5
ROUND_S: Final = 3.0
POLL_ROUNDS: Final = 15
POLL_S: Final = 1.0
"""Many short rounds in turn: a machine that is shared is faster now and slower then, for seconds."""
GRID: Final = 1000
DEAD: Final = 5
GRID_S: Final = 600.0
NO_LIMITS: Final = ModbusLimits()


def run(small: bool, only: Sequence[str] = ()) -> Sequence[Row]:
    """All rows, or only those of these numbers; `small` shortens row 9 to a minute, row 17 to half."""
    logging.getLogger("edge").setLevel(logging.ERROR)  # its dead devices are lost on purpose
    return [row for number in only or MEASURES for row in MEASURES[number](small)]


# --- row 7: polls a second


def _polls() -> Iterator[Row]:
    with serving("--tcp", str(DEVICES)) as found:
        ports = list(found["ports"])
        rounds = [_round(ports, number) for number in range(POLL_ROUNDS)]
    ours, bare = (statistics.median(r[k] for r in rounds) for k in (0, 1))
    single = sorted(mine / theirs for mine, theirs in rounds)
    note = f"{DEVICES} devices in a process of their own, {WORDS} registers each, as fast as it goes; ours decodes, judges and dates each value, all of them good; {POLL_ROUNDS} rounds of {POLL_S:g} s each in turn, ratios from {single[0]:.2f} to {single[-1]:.2f}, median {statistics.median(single):.2f}"
    yield Row("7 polls/s", ours, "polls/s", bare, 0.9, note=note)


def _round(ports: Sequence[int], number: int) -> tuple[float, float]:
    """Ours and the bare loop, one after the other, in turn first."""
    say(f"  row 7: round {number + 1} of {POLL_ROUNDS}")
    if number % 2:
        bare = asyncio.run(_bare(ports))
        return asyncio.run(_ours(ports)), bare
    return asyncio.run(_ours(ports)), asyncio.run(_bare(ports))


async def _ours(ports: Sequence[int]) -> float:
    lines = [Line(f"l{n}", "e", "tcp", "127.0.0.1", port) for n, port in enumerate(ports)]
    plant = _plant(lines, 1e-6)
    pollers = [_poller(plant, line, _reader(line)) for line in lines]
    heard = [Heard() for _ in pollers]
    tasks = [asyncio.create_task(p.run(one.take)) for p, one in zip(pollers, heard, strict=True)]
    try:
        await asyncio.sleep(1.5)
        before, begun = sum(p.stats.reads for p in pollers), time.perf_counter()
        await asyncio.sleep(POLL_S)
        rate = (sum(p.stats.reads for p in pollers) - before) / (time.perf_counter() - begun)
        if bad := unsound([p.stats for p in pollers], heard, WORDS):
            raise ValueError(f"{bad} devices gave other than good values")
    finally:
        await cancelled(tasks)
    return rate


async def _bare(ports: Sequence[int]) -> float:
    count, going = 0, True

    async def loop(client: AsyncModbusTcpClient) -> None:
        nonlocal count
        while going:  # Python 3.11's wait_for, in pymodbus, may swallow a cancel
            answer = await client.read_holding_registers(0, count=WORDS, device_id=1)
            if answer.isError():
                raise ValueError(answer)
            count += 1

    clients = [AsyncModbusTcpClient("127.0.0.1", port=port) for port in ports]
    for client in clients:
        await client.connect()
    tasks = [asyncio.create_task(loop(client)) for client in clients]
    try:
        await asyncio.sleep(0.5)
        before, begun = count, time.perf_counter()
        await asyncio.sleep(POLL_S)
        rate = (count - before) / (time.perf_counter() - begun)
    finally:
        going = False
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for client in clients:
            client.close()
    raise_any(ends)
    return rate


# --- row 8: use of a serial line


def _serial_lines() -> Iterator[Row]:
    for baud in (9600, 115_200):
        with serving("--baud", str(baud)) as found:
            used = [asyncio.run(_line_use(str(found["path"]), baud)) for _ in range(ROUNDS)]
        note = f"125 registers a request, against the time of its frames and their quiet by Modbus over serial line, worked out apart from the edge and its twin; {ROUNDS} rounds from {min(used):.3f} to {max(used):.3f}"
        yield Row(f"8 use of a line at {baud} baud", statistics.median(used), "", None, 0.95, note=note)  # fmt: skip


async def _line_use(path: str, baud: int) -> float:
    """The part of the time for which the standard has the wire in use; a read that fails raises."""
    line = rtu(baud, path)
    transport = PymodbusTransport(line)
    try:
        await transport.request(1, "holding", 0, 125)
        count, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < ROUND_S:
            await transport.request(1, "holding", 0, 125)
            count += 1
        took = time.perf_counter() - begun
    finally:
        await transport.close()
    return use_of(count, wire_s(baud, 125), took)


# --- row 9: punctuality


def _punctual(lasts_s: float) -> Iterator[Row]:
    """Beside the same grid of bare timers in a process of its own: both see the machine as it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with serving("--tcp", str(GRID), "--dead", str(DEAD)) as found:
            say(f"  row 9: {GRID} devices for {lasts_s:.0f} s beside a grid of bare timers")
            timers = started("benchmarks.modbus_timers", str(GRID), str(lasts_s))
            grid = asyncio.run(_grid_of_devices(list(found["ports"]), lasts_s))
            bare = Late(**line_of(timers))
            end(timers)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    yield from grid_rows(grid, bare, lasts_s)


@dataclass(frozen=True, slots=True)
class Grid:
    """What was seen of the living devices; `longest_s` is of one read, `lost` how many of the dead ones were known to be so."""

    late: Sequence[float]
    longest_s: float
    living: Sequence[LineStats]
    heard: Sequence[Heard]
    lost: int


def grid_rows(grid: Grid, bare: Late, lasts_s: float) -> Iterator[Row]:
    """Of each living device a read in every second is due but for one: its phase, or the end, may cost it that."""
    due, reads = int(lasts_s) - 1, [stats.reads for stats in grid.living]
    own = Late.of(grid.late)
    p99_ms, bare_ms = 1000 * own.p99_s, 1000 * bare.p99_s
    note = f"p99 of ours {p99_ms:.1f} ms, of bare timers {bare_ms:.1f} ms; {GRID} devices at 1 s for {lasts_s:.0f} s, {DEAD} of them dead, each on a line of its own, as TCP devices are ({grid.lost} were known as lost)"
    yield Row("9 p99 late beyond bare timers", p99_ms - bare_ms, "ms", None, 20.0, "lower", note)
    missed = sum(stats.missed for stats in grid.living)
    note = f"most late: ours {own.most_s:.2f} s, bare timers {bare.most_s:.2f} s ({bare.whole_periods} of theirs by a whole second, which is a cycle missed); longest read {grid.longest_s:.2f} s"
    yield Row("9 cycles missed", missed, "cycles", None, 0.0, "lower", note)
    note = f"{sum(reads)} reads of {len(reads)} devices, of the least read one {min(reads)}, due {due} of each"
    yield Row("9 living devices read less often than due", sum(n < due for n in reads), "devices", None, 0.0, "lower", note)  # fmt: skip
    bad = unsound(grid.living, grid.heard, WORDS)
    yield Row("9 living devices that gave other than good values", bad, "devices", None, 0.0, "lower")  # fmt: skip


async def _grid_of_devices(ports: Sequence[int], lasts_s: float) -> Grid:
    lines = [Line(f"l{n}", "e", "tcp", "127.0.0.1", port) for n, port in enumerate(ports)]
    plant = _plant(lines, 1.0)
    readers = [Watched(_reader(line)) for line in lines]
    pollers = [_poller(plant, line, reader) for line, reader in zip(lines, readers, strict=True)]
    heard = [Heard() for _ in pollers]
    tasks = [asyncio.create_task(p.run(one.take)) for p, one in zip(pollers, heard, strict=True)]
    try:
        await asyncio.sleep(lasts_s)
    finally:
        await cancelled(tasks)
    late = [one for reader in readers[DEAD:] for one in lateness(reader.begun[2:])]
    lost = sum(bool(poller.stats.lost) for poller in pollers[:DEAD])
    longest_s = max(reader.longest_s for reader in readers[DEAD:])
    return Grid(late, longest_s, [poller.stats for poller in pollers[DEAD:]], heard[DEAD:], lost)


# --- what they share


def _plant(lines: Sequence[Line], period_s: float) -> Plant:
    specs = [
        PointSpec({"en": "x"}, "measurement", "", Register("holding", a, "u16"), period_s=period_s)
        for a in range(WORDS)
    ]
    points = [
        Point(f"{line.id}/{a}", line.id, line.id, spec)
        for line in lines
        for a, spec in enumerate(specs)
    ]
    return Plant(
        site="s", name={"en": "S"}, time_zone="UTC", calendar="none", seasons={}, systems={},
        locations={}, agents=("e",), lines={line.id: line for line in lines},
        devices={line.id: Device(line.id, "m", line.id, line.id, "1") for line in lines},
        profiles={"m": Profile("m", 1, {"en": "M"}, "modbus", "pump", ())}, assets={},
        points={point.id: point for point in points}, rules={}, plans={}, poll_classes={},
    )  # fmt: skip


def _reader(line: Line) -> ModbusReader:
    return ModbusReader(PymodbusTransport(line), lambda _: NO_LIMITS, ScaledClock(), line)


def _poller(plant: Plant, line: Line, reader: PointReader) -> Poller:
    """With a phase of its own, as an agent's pollers have."""
    phase = np.random.default_rng([1, int(line.id[1:])])
    return Poller(plant, line.id, reader, ScaledClock(), phase)


MEASURES: Final[Mapping[str, Callable[[bool], Iterable[Row]]]] = {
    "6": lambda _: modbus_requests.run(),
    "7": lambda _: _polls(),
    "8": lambda _: _serial_lines(),
    "9": lambda small: _punctual(60.0 if small else GRID_S),
    **modbus_agents.MEASURES,
}
"""By the number of a row."""


if __name__ == "__main__":
    numbers = [word for word in sys.argv[1:] if not word.startswith("-")]
    sys.exit(main(lambda small: run(small, numbers)))
