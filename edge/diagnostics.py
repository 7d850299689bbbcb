"""What an agent says of its outbox, its lines and its devices, as readings of the points in `config.links`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from config.links import HEARTBEAT, LINK_ERRORS, device_asset, line_asset
from config.plant import Line, Plant
from edge.outbox import Dropped
from edge.poller import LineStats, Poller
from edge.ports import PointReading
from edge.readings import QUALITIES

LOOK_S_MIN: Final = 30.0
"""How much a line is used is said of so long at least: a burst of first reads is no busy line."""
GOOD: Final = QUALITIES["good"]


@dataclass(frozen=True, slots=True)
class Now:
    """One instant: UTC ms, and seconds of the monotonic clock."""

    ms: int
    s: float


@dataclass(slots=True)
class Diagnostics:
    """Of one agent; a line's use is that since it was looked at last."""

    agent: str
    _looks: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Line to when it was looked at (monotonic) and how long it had been busy by then."""
    _beats: int = 0

    def beat(self, now: Now) -> PointReading:
        """The synthetic reading: always another value, so always news; its absence is what it is for."""
        self._beats += 1
        return PointReading(f"{self.agent}/{HEARTBEAT}", float(self._beats), GOOD, now.ms)

    def of_outbox(
        self, backlog: tuple[int, int | None], dropped: Dropped, now: Now
    ) -> Iterator[PointReading]:
        """Batches held, the age of the oldest, and what had to be dropped, of which span."""
        batches, oldest = backlog
        age_s = max(0.0, (now.ms - oldest) / 1000) if oldest is not None else 0.0
        said = {
            "outbox_batches": batches, "outbox_age": age_s, "outbox_dropped": dropped.readings,
        }  # fmt: skip
        if dropped.readings:
            said |= {
                "outbox_dropped_from": dropped.first / 1000,
                "outbox_dropped_until": dropped.last / 1000,
            }
        for name, value in said.items():
            yield PointReading(f"{self.agent}/{name}", float(value), GOOD, now.ms)

    def of_lines(self, plant: Plant, pollers: Iterable[Poller], now: Now) -> Iterator[PointReading]:
        """How each line is used, what went wrong on it, and when each device last gave a good reading."""
        for poller in pollers:
            line = plant.lines[poller.line_id]
            for name, value in self._of_line(line, poller.stats, now).items():
                yield PointReading(f"{line_asset(line)}/{name}", value, GOOD, now.ms)
            for device in poller.devices():
                asset = device_asset(plant.devices[device], line)
                age_s = _age_s(poller.stats, device, now)
                yield PointReading(f"{asset}/last_good_age", age_s, GOOD, now.ms)

    def _of_line(self, line: Line, stats: LineStats, now: Now) -> dict[str, float]:
        said = {f"errors_{reason}": float(stats.errors[reason]) for reason in LINK_ERRORS}
        said |= {"missed": float(stats.missed), "round_trip": 1000 * stats.last_read_s}
        since_s, busy_s = self._looks.get(line.id, (stats.started_s, 0.0))
        if busy_s > stats.busy_s:  # the line began anew
            since_s, busy_s = stats.started_s, 0.0
        used = (stats.busy_s - busy_s) / max(now.s - since_s, LOOK_S_MIN)
        said["utilisation"] = min(100.0, 100 * used)
        if now.s - since_s >= LOOK_S_MIN:
            self._looks[line.id] = now.s, stats.busy_s
        return said


def _age_s(stats: LineStats, device: str, now: Now) -> float:
    """Since a device's last good reading, or since the line was begun."""
    return now.s - stats.last_good_s.get(device, stats.started_s)
