"""Reads a Modbus profile's points for real: of its own simulator, told what to hold, or of a device."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from config.clock import ScaledClock
from config.plant import Device, Line, Point, PointSpec
from config.profile import Profile, Register, Table
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import ModbusTransport, PymodbusTransport
from edge.ports import ReadResult
from edge.readings import BAD, QUALITIES, QUALITY_NAMES
from edge.registers import register_of, width
from simulators.modbus_server import ModbusServer
from simulators.telling import Holding, Told, rounds

UNIT = 1
ASSET = "device"
RELATIVE = {"f32": 1e-6}
"""How near a value must come back; all other types hold theirs to 1e-9."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one read of one point gave: raw words (None if none came), value or text, quality by name."""

    point: str
    words: tuple[int, ...] | None
    value: float | str | None
    quality: str


@dataclass(slots=True)
class Result:
    """One point after its trial: what was seen last or went wrong first, the different values it held, and what was wrong."""

    point: str
    unit: str
    seen: Seen
    held: set[object] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Kept:
    """A transport that keeps the words that came through it."""

    inner: ModbusTransport
    words: dict[tuple[Table, int], int] = field(default_factory=dict)

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        answer = await self.inner.request(unit, table, address, count)
        self.words |= {(table, address + place): word for place, word in enumerate(answer)}
        return answer

    async def close(self) -> None:
        await self.inner.close()


@dataclass(slots=True)
class _Reading:
    """A profile's points behind one line, through the edge's own reader."""

    reader: ModbusReader
    kept: _Kept
    device: Device
    detail: str = ""

    async def seen(self, points: Sequence[Point]) -> dict[str, Seen]:
        """One read of these points."""
        self.kept.words.clear()
        result = await self.reader.read(self.device, points)
        self.detail = result.detail
        found = {
            r.point: Seen(r.point, self._words(r.point, points), r.value, QUALITY_NAMES[r.quality])
            for r in result.readings
        }
        for point in points:
            if register_of(point).type == "string":
                found[point.id] = self._text(point, points, result)
        return found

    def _text(self, point: Point, points: Sequence[Point], result: ReadResult) -> Seen:
        text, words = result.facts.get(point.id), self._words(point.id, points)
        why = "undecodable" if words else "no_answer" if result.lost else "device_refused"
        return Seen(point.id, words, text, why if text is None else "good")

    def _words(self, id: str, points: Sequence[Point]) -> tuple[int, ...] | None:
        source = next(register_of(point) for point in points if point.id == id)
        places = range(source.address, source.address + width(source))
        words = [self.kept.words.get((source.table, place)) for place in places]
        return tuple(word for word in words if word is not None) if None not in words else None


@asynccontextmanager
async def _reading(profile: Profile, line: Line, unit: int) -> AsyncIterator[_Reading]:
    kept = _Kept(PymodbusTransport(line))
    reader = ModbusReader(kept, lambda _profile: profile.limits, ScaledClock(), line)
    try:
        yield _Reading(reader, kept, Device("trial", profile.id, line.id, ASSET, str(unit)))
    finally:
        await reader.close()


def points_of(profile: Profile) -> tuple[Point, ...]:
    """The points of a profile on one device that carries the asset `device`."""
    return tuple(
        Point(
            id="/".join(filter(None, (ASSET, row.part, row.id))),
            asset="/".join(filter(None, (ASSET, row.part))), device="trial",
            spec=PointSpec(
                name=row.name, kind=row.kind, unit=row.unit, source=row.source,
                decimals=row.decimals, range=row.range, expected=row.expected, states=row.states,
            ),
        )
        for row in profile.points
        if isinstance(row.source, Register)
    )  # fmt: skip


async def try_simulated(profile: Profile) -> list[Result]:
    """Each point of a Modbus profile, told value after value by a simulator on a free local port."""
    points = points_of(profile)
    results = {p.id: Result(_short(p.id), p.unit, Seen(p.id, None, None, "not_read_yet")) for p in points}  # fmt: skip
    holding = Holding(UNIT, profile.limits)
    # what the pause protects is a device: the simulator needs none, and every value costs a read
    swift = _without_pause(profile)
    server = ModbusServer(holding, ScaledClock())
    port = await server.start()
    try:
        async with _reading(
            swift, Line("trial", "trial", "tcp", "127.0.0.1", port), UNIT
        ) as reading:
            for one in rounds(points):
                holding.words = one.words
                seen = await reading.seen(one.points)
                for told, point in zip(one.told, one.points, strict=True):
                    _compare(results[told.point], point, told, seen[told.point])
    finally:
        await server.close()
    if not {1, 2, 3, 4}.issuperset(server.functions):
        raise AssertionError(f"only reads are sent, but there were functions {server.functions}")
    return list(results.values())


def _without_pause(profile: Profile) -> Profile:
    limits = profile.limits
    swift = type(limits)(limits.max_words, limits.max_bits, 0.0, limits.forbidden, limits.together)
    return Profile(
        profile.id, profile.version, profile.name, profile.protocol, profile.asset_class,
        profile.points, limits=swift,
    )  # fmt: skip


def _compare(result: Result, point: Point, told: Told, seen: Seen) -> None:
    result.seen = result.seen if result.wrong else seen
    result.held.add(told.value)
    if seen.quality != told.quality or not _same(point, told.wanted, seen.value):
        result.wrong.append(
            f"held {_said(told.value)}: wanted {_said(told.wanted)} ({told.quality}), "
            f"came {_said(seen.value)} ({seen.quality})"
        )


def _same(point: Point, wanted: float | str | None, came: float | str | None) -> bool:
    if isinstance(wanted, int | float) and isinstance(came, int | float):
        source = register_of(point)
        near = RELATIVE.get(source.type, 1e-9)
        return math.isclose(wanted, came, rel_tol=near, abs_tol=near * abs(source.offset))
    return wanted == came


async def try_device(profile: Profile, line: Line, unit: int) -> tuple[list[Result], str]:
    """Each point of a Modbus profile as one read of a device gives it, and what went wrong last; nothing is written."""
    points = points_of(profile)
    async with _reading(profile, line, unit) as reading:
        seen = await reading.seen(points)
    return [_one_read(point, seen[point.id]) for point in points], reading.detail


def _one_read(point: Point, seen: Seen) -> Result:
    wrong = [] if is_readable(seen) else [seen.quality]
    return Result(_short(point.id), point.unit, seen, {seen.value}, wrong)


def is_away(results: Sequence[Result]) -> bool:
    """Whether there was no connection at all, so that nothing is known of any point."""
    return all(result.seen.quality == "link_down" for result in results)


def is_readable(seen: Seen) -> bool:
    """Whether the device gave the point: a value, or by its own sentinel the word that it has none."""
    return QUALITIES[seen.quality] < BAD or seen.quality == "sensor_fault"


def _short(point: str) -> str:
    return point.removeprefix(f"{ASSET}/")


def _said(value: object) -> str:
    return "nothing" if value is None else f"{value:.10g}" if isinstance(value, float) else repr(value)  # fmt: skip
