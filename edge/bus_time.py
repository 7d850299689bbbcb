"""How long a line's requests take and who uses how much of it: pure, known before anything is read.

Frames as Modbus over serial line V1.02 has them: a character is a start bit, 8 data bits, parity if
any, stop bits; between frames the line is quiet for 3.5 characters, above 19 200 baud for 1.75 ms.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from config.plant import MODBUS_LINES, Line, Plant, Point, Serial
from config.profile import Register, Table
from edge.registers import (
    LinkCost,
    ReadRequest,
    plan_reads,
    planned,
    register_of,
    unconfirmed,
    width,
    with_exponents,
)
from edge.spans import Span

REQUEST_BYTES: Final = 8
"""Of a read over a serial line: unit, function, address, count, CRC."""
ANSWER_BYTES: Final = 5
"""Of its answer beside the data: unit, function, length, CRC."""
GAP_CHARACTERS: Final = 3.5
FAST_BAUD: Final = 19_200
FAST_GAP_S: Final = 0.00175
TCP_BYTE_S: Final = LinkCost().byte_s
FULL: Final = 1.0
TIGHT: Final = 0.8
LATE_MAX: Final = 4.0
"""So many timeouts (with the time of the frames) after its request an answer on a serial bus may come and is known to be late."""
LONGEST: Final[tuple[Table, int]] = ("holding", 125)


def character_s(serial: Serial) -> float:
    """Seconds of one character."""
    return (1 + 8 + (serial.parity != "none") + serial.stop_bits) / serial.baud


def gap_s(serial: Serial) -> float:
    """Seconds of quiet that part two frames."""
    return FAST_GAP_S if serial.baud > FAST_BAUD else GAP_CHARACTERS * character_s(serial)


def link_cost(line: Line, pause_s: float = 0.0) -> LinkCost:
    """What requests take on a line, to a device that wants a pause between them.

    A serial bus: both frames, the quiet before each, and the device's turnaround; through a gateway
    the network's round trip too. TCP: the round trip, then the pause, and bytes at 100 Mbit/s.
    """
    if line.serial is None:
        return LinkCost(line.round_trip_s + pause_s, TCP_BYTE_S)
    character, gap = character_s(line.serial), gap_s(line.serial)
    frames_s = (REQUEST_BYTES + ANSWER_BYTES) * character
    network_s = line.round_trip_s if line.kind == "rtu_over_tcp" else 0.0
    quiet_s = max(gap, pause_s) + max(gap, line.serial.turnaround_s)
    return LinkCost(frames_s + quiet_s + network_s, character)


def late_s(line: Line) -> float:
    """Seconds after the last request on a serial bus until none of its answers is known to come late; 0 for any other line."""
    return LATE_MAX * (line.timeout_s + link_cost(line).of(*LONGEST)) if line.serial else 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a cycle, and the addresses in it that no point stands in."""

    table: Table
    first: int
    last: int
    holes: tuple[Span, ...] = ()
    again: bool = False
    """Whether it asks for exponents once more."""


@dataclass(frozen=True, slots=True)
class Use:
    """What one device takes of its line in one poll class."""

    line: str
    device: str
    poll: str
    period_s: float
    requests: int
    registers: int
    """Registers or bits asked for."""
    holes: int
    """Of these, what no point stands in."""
    cycle_s: float
    unread: tuple[str, ...]
    """Points that no request reads, because the model's limits do not let it."""
    again: tuple[str, ...] = ()
    """Exponents that are asked for once more in each cycle, by so many of the requests:"""
    again_requests: int = 0
    asked: tuple[Asked, ...] = ()
    """The requests of a cycle in their order; those for exponents once more behind the others."""
    proven: bool = True
    """Whether the search for a cheaper plan ended, and found none."""

    @property
    def share(self) -> float:
        """Part of the line's time, 1 is all of it."""
        return self.cycle_s / self.period_s


def _asked(request: ReadRequest, points: Iterable[Point], *, again: bool) -> Asked:
    wanted: set[int] = set()
    for point in points:
        if request.holds(point):
            register = register_of(point)
            wanted.update(range(register.address, register.address + width(register)))
    holes: list[Span] = []
    for address in range(request.address, request.last + 1):
        if address in wanted:
            continue
        first = holes.pop()[0] if holes and holes[-1][1] == address - 1 else address
        holes.append((first, address))
    return Asked(request.table, request.address, request.last, tuple(holes), again)


def uses_of(plant: Plant, lines: Iterable[Line] | None = None) -> tuple[Use, ...]:
    """Every device and poll class of the Modbus lines, as the poller will read them."""
    chosen = plant.lines.values() if lines is None else lines
    return tuple(
        _use(plant, line, device.id, period_s, points, own)
        for line in chosen
        if line.kind in MODBUS_LINES
        for device in plant.devices.values()
        if device.line == line.id
        for own in [_points(plant, device.id)]
        for period_s, points in by_period(own).items()
    )


def by_period(points: Iterable[Point]) -> Mapping[float, Sequence[Point]]:
    """Points by how often they are read, in seconds."""
    groups: dict[float, list[Point]] = {}
    for point in points:
        groups.setdefault(point.period_s, []).append(point)
    return groups


def _points(plant: Plant, device: str) -> list[Point]:
    return [
        p for p in plant.points.values() if p.device == device and isinstance(p.source, Register)
    ]


def _use(
    plant: Plant,
    line: Line,
    device: str,
    period_s: float,
    group: Sequence[Point],
    own: Sequence[Point],
) -> Use:
    limits = plant.limits_of(device)
    cost = link_cost(line, limits.pause_s)
    points = with_exponents(group, own)
    first, proven = planned(points, limits, cost)
    exponents = unconfirmed(first, points)
    more = [request for some in exponents for request in plan_reads(some, limits, cost)]
    requests = [*first, *more]
    asked = tuple(_asked(request, points, again=n >= len(first)) for n, request in enumerate(requests))  # fmt: skip
    read = {point.id for request in requests for point in request.points}
    return Use(
        line.id, device, group[0].poll, period_s, len(requests),
        sum(request.count for request in requests), sum(end - begin + 1 for one in asked for begin, end in one.holes),
        sum(cost.of(request.table, request.count) for request in requests),
        tuple(point.id for point in points if point.id not in read),
        tuple(dict.fromkeys(point.id for some in exponents for point in some)), len(more),
        asked=asked, proven=proven,
    )  # fmt: skip


def shares(uses: Iterable[Use]) -> Mapping[str, float]:
    """Line to the part of its time that is used, 1 is all of it."""
    found: dict[str, float] = {}
    for use in uses:
        found[use.line] = found.get(use.line, 0.0) + use.share
    return found


class LineTooBusy(Exception):
    """What is to be read of a line takes longer than there is time; the message is the table of its uses."""


def refuse_overload(uses: Sequence[Use]) -> None:
    """Raises LineTooBusy if a line can never keep its pace."""
    full = {line: share for line, share in shares(uses).items() if share > FULL}
    if full:
        rows = [use for use in uses if use.line in full]
        said = (f"line {line} needs {share:.0%} of its time" for line, share in full.items())
        raise LineTooBusy("\n".join([*said, *table(rows)]))


def table(uses: Sequence[Use]) -> list[str]:
    """Lines of text: who uses how much, most first within each line."""
    head = f"  {'line':12} {'device':16} {'poll':8} {'every':>8} {'requests':>8} {'registers':>9} {'holes':>6} {'takes':>9} {'of line':>8}"
    rows = sorted(uses, key=lambda use: (use.line, -use.share))
    return [head, *(_row(use) for use in rows)]


def _row(use: Use) -> str:
    return (
        f"  {use.line:12} {use.device:16} {use.poll:8} {f'{use.period_s:g} s':>8} {use.requests:8}"
        f" {use.registers:9} {use.holes:6} {f'{1000 * use.cycle_s:.1f} ms':>9} {use.share:8.1%}"
    )
