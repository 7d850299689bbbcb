"""Equipment that nobody has modelled yet: every point behaves quietly, as its profile expects."""

from collections.abc import Sequence

from config.plant import Point
from simulators.physics.equipment import Build, Imposed, Outputs, Shown, Stepper


class Generic:
    """Measurements wander about the middle of their range, counters count seconds, the rest rests."""

    kinds: tuple[str, ...] = ()

    def __init__(self, build: Build) -> None:
        self._build = build
        self._clock = Stepper()
        self._seconds = 0.0

    def update(self, now_ms: int, imposed: Sequence[Imposed]) -> Outputs:
        self._seconds += self._clock.step(now_ms)
        return {path: self._show(point) for path, point in self._build.points.items()}

    def _show(self, point: Point) -> Shown:
        if point.kind == "counter":
            return float(int(self._seconds))
        if point.kind == "state":
            return float(min(point.states, default=0))
        if point.kind == "flag":
            return 0.0
        low, high = point.expected or point.range or (0.0, 100.0)
        middle, width = (low + high) / 2, (high - low) / 2
        return middle + width * 0.2 * float(self._build.rng.uniform(-1, 1))
