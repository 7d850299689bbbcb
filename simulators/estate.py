"""The simulated estate: equipment, faults and registers of one plant, moved by explicit time."""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from config.plant import Plant
from simulators import faults
from simulators.faults import Fault
from simulators.fire_client import Objects
from simulators.fire_frames import told, wall_time
from simulators.layout import Value
from simulators.payloads import payloads, will
from simulators.physics.camera import UNREACHABLE, CameraState, camera_state
from simulators.physics.equipment import Imposed
from simulators.pictures import Picture, Scene
from simulators.station import LineWords, Station

STEP_MS = 500
"""Grid on which physics moves, whoever asks and when: equal seeds give equal days."""
MUTE = frozenset({"silent", "link_lost", "filter_refused"})
"""Faults of an MQTT device of which nothing is heard."""
STEPS_MAX = 7200
"""Steps for one jump of time; a longer jump takes longer steps."""


class UnknownFault(ValueError):
    """No such asset, or no such fault of it; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a timetable. `verb` is `fault` or `repair` (of `kind`, or all); `at_ms` UTC ms."""

    at_ms: int
    verb: str
    asset: str
    kind: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


class Estate:
    """All equipment of one plant. `advance` first; everything else is as of that time."""

    def __init__(self, plant: Plant, seed: int = 1) -> None:
        self.plant = plant
        self.stations = {d.id: Station(plant, d, seed) for d in plant.devices.values()}
        self._lines: dict[str, LineWords] = {}
        self._seed = seed
        self._scenes: dict[str, Scene] = {}
        self._now_ms = 0
        self._timetable: list[Step] = []
        self._published: dict[str, tuple[int, object]] = {}
        self._gone: set[str] = set()
        self.moves: Counter[str] = Counter()
        """How often the address of a line has changed."""

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, now_ms: int) -> None:
        """Move everything to the last grid instant up to `now_ms` (UTC ms); never goes back."""
        if not self._now_ms:
            self._now_ms = now_ms - now_ms % STEP_MS
            self._tick()
        step = max(STEP_MS, (now_ms - self._now_ms) // STEPS_MAX // STEP_MS * STEP_MS)
        while self._now_ms + step <= now_ms:
            self._now_ms += step
            self._tick()

    def _tick(self) -> None:
        while self._timetable and self._timetable[0].at_ms <= self._now_ms:
            step = self._timetable.pop(0)
            if step.verb == "repair":
                self.repair(step.asset, step.kind or None)
            else:
                self.fault(step.asset, step.kind, **step.options)
        for station in self.stations.values():
            station.update(self._now_ms)

    def schedule(self, steps: Iterable[Step]) -> None:
        """Let these happen by themselves, each at the first grid instant not before its time."""
        self._timetable = sorted([*self._timetable, *steps], key=lambda step: step.at_ms)

    def fault(self, asset: str, kind: str, **options: object) -> None:
        """Let something go wrong (or command it) from now on; the same kind again replaces it.

        `asset` is an asset, a part, or a device or line by its id.

        Raises:
            UnknownFault: no such asset or kind.
        """
        stations, part = self._find(asset)
        if kind == "readdressed":
            self.moves.update({station.device.line for station in stations})
        for station in stations:
            _check(station, kind, options, self._kinds(station))
            self._drop(station, asset, kind)
            if kind in station.equipment.kinds:
                imposed = Imposed(kind, part, self._now_ms, options)
                station.imposed.append((asset, imposed))
            else:
                below = _below(part, options)
                fault = Fault(kind, self._now_ms, below, dict(station.values))
                station.faults.append((asset, fault))

    def repair(self, asset: str, kind: str | None = None) -> None:
        """Take back the faults (of one kind) of this asset, its parts, its controller and their link.

        Raises:
            UnknownFault: no such asset.
        """
        stations, part = self._find(asset)

        def stays(at: str, of: str) -> bool:
            return (kind is not None and of != kind) or bool(part and not _within(at, asset))

        for station in stations:
            station.imposed = [(at, one) for at, one in station.imposed if stays(at, one.kind)]
            station.faults = [(at, one) for at, one in station.faults if stays(at, one.kind)]

    def clear(self) -> None:
        """Repair everything and forget the timetable."""
        self._timetable = []
        for station in self.stations.values():
            station.imposed, station.faults = [], []

    def words(self, line_id: str) -> LineWords:
        """The Modbus endpoint of a line; one object per line, so its counts last."""
        if line_id not in self._lines:
            own = [s for s in self.stations.values() if s.device.line == line_id]
            self._lines[line_id] = LineWords(own, self.now_ms)
        return self._lines[line_id]

    def publications(self, now_ms: int, line: str | None = None) -> list[tuple[str, bytes]]:
        """What MQTT devices (of one line) say now: at their pace, and when a state or flag changes."""
        said: list[tuple[str, bytes]] = []
        for station in self.stations.values():
            own = self.plant.lines[station.device.line]
            if own.kind == "mqtt" and line in (None, own.id):
                said += self._say(station, now_ms)
        return said

    def _say(self, station: Station, now_ms: int) -> list[tuple[str, bytes]]:
        mute = MUTE & {fault.kind for fault in station.active()}
        said = self._will(station, gone="link_lost" in mute)
        discrete = [station.values.get(p.id) for p in station.points if p.kind in ("state", "flag")]
        last_ms, before = self._published.get(station.device.id, (0, None))
        pace_ms = 1000 * min((p.period_s for p in station.points), default=10.0)
        if mute or (now_ms - last_ms < pace_ms and discrete == before):
            return said
        self._published[station.device.id] = (now_ms, discrete)
        told = {p.id: _rounded(station.values.get(p.id), p.decimals) for p in station.points}
        return said + payloads(station.device.unit, station.points, told, now_ms)

    def _will(self, station: Station, *, gone: bool) -> list[tuple[str, bytes]]:
        """What its broker says when the device goes, and the device when it is back."""
        if gone is (station.device.id in self._gone):
            return []
        (self._gone.add if gone else self._gone.discard)(station.device.id)
        return will(station.device.unit, station.points, online=not gone)

    def fire_objects(self, device: str, zone: tzinfo) -> Objects:
        """What a fire transmission device shows now, on a clock of this zone."""
        station = self.stations[device]
        return told(station.points, station.values, wall_time(self._now_ms, zone))

    def faults_of_line(self, line: str) -> frozenset[str]:
        """Kinds of the faults that the devices of a line have now."""
        own = (s for s in self.stations.values() if s.device.line == line)
        return frozenset(fault.kind for station in own for fault in station.active())

    def faults_of_device(self, device: str) -> frozenset[str]:
        """Kinds of the faults that a device has now."""
        return frozenset(fault.kind for fault in self.stations[device].active())

    def camera(self, asset: str) -> CameraState:
        """How the camera of this asset stands; a cut or silent one cannot be reached."""
        station = self._find(asset)[0][0]
        kinds = {fault.kind for fault in station.active()}
        if kinds & {"link_lost", "silent"}:
            return UNREACHABLE
        return camera_state([one for _, one in station.imposed])

    def picture(self, asset: str) -> Picture:
        """What the camera of this asset shows now."""
        if asset not in self._scenes:
            self._scenes[asset] = Scene(self._seed + zlib.crc32(asset.encode()))
        state = self.camera(asset)
        shown = None if state.frozen_ms is None else self._local(state.frozen_ms)
        return self._scenes[asset].draw(self._local(self._now_ms), state.failure, shown=shown)

    def _local(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(self.plant.time_zone))

    def value(self, point: str) -> Value:
        """What one point (`asset/point`) shows now, in its unit."""
        return self.stations[self.plant.points[point].device].values.get(point)

    def _find(self, asset: str) -> tuple[list[Station], str]:
        """The stations that an asset, device or line means, and the part below the device's asset."""
        named = [s for s in self.stations.values() if asset in (s.device.asset, s.device.id)]
        if named:
            return named, ""
        for station in self.stations.values():
            if asset.startswith(f"{station.device.asset}/"):
                return [station], asset.removeprefix(f"{station.device.asset}/")
        behind = [s for s in self.stations.values() if s.device.line == asset]
        if not behind:
            known = ", ".join(sorted(s.device.asset for s in self.stations.values()))
            raise UnknownFault(f"{asset!r} is no asset, device or line with a device: {known}")
        return behind, ""

    def _kinds(self, station: Station) -> Sequence[str]:
        by_package = self.plant.lines[station.device.line].kind == "reader"
        own = faults.PACKAGE_FAULTS if by_package else ()
        return (*station.equipment.kinds, *faults.KINDS, *own)

    def _drop(self, station: Station, asset: str, kind: str) -> None:
        station.imposed = [e for e in station.imposed if (e[0], e[1].kind) != (asset, kind)]
        if kind not in faults.NEEDS_POINT:
            station.faults = [e for e in station.faults if (e[0], e[1].kind) != (asset, kind)]


def _check(
    station: Station, kind: str, options: Mapping[str, object], known: Sequence[str]
) -> None:
    if kind not in known:
        raise UnknownFault(f"{kind!r} is no fault of {station.device.asset}: {', '.join(known)}")
    if kind in faults.NEEDS_POINT and "point" not in options:
        raise UnknownFault(f"{kind} of {station.device.asset} needs a point")


def _rounded(value: Value, decimals: int) -> Value:
    """To one place more than is shown: the resolution of a device that writes decimal text."""
    return round(value, decimals + 1) if isinstance(value, float) else value


def _within(asset: str, whole: str) -> bool:
    return asset == whole or asset.startswith(f"{whole}/")


def _below(part: str, options: Mapping[str, object]) -> Mapping[str, object]:
    """Options whose point is named from the part."""
    return (
        {**options, "point": f"{part}/{options['point']}"}
        if part and "point" in options
        else options
    )
