"""A pump on a test bench, as steady as such recordings are when nothing is done to it."""

from collections.abc import Mapping, Sequence

from simulators.physics.equipment import Build, Imposed, Outputs, Stepper

STEADY: Mapping[str, tuple[float, float]] = {
    "accelerometer_1": (0.214, 0.002),
    "accelerometer_2": (0.268, 0.003),
    "current": (2.3, 0.3),
    "pressure": (0.2, 0.25),
    "temperature": (89.0, 0.15),
    "thermocouple": (27.5, 0.02),
    "voltage": (231.0, 9.0),
    "flow": (122.0, 1.0),
}
"""Point to mean and standard deviation, in the profile's units."""


class BenchPump:
    """Noise about a steady state; `imbalance` doubles the vibration. One row a second."""

    kinds = ("imbalance",)

    def __init__(self, build: Build) -> None:
        self._rng = build.rng
        self._clock = Stepper()
        self._seconds = 0.0

    def update(self, now_ms: int, imposed: Sequence[Imposed]) -> Outputs:
        self._seconds += self._clock.step(now_ms)
        shaken = 2.0 if any(one.kind == "imbalance" for one in imposed) else 1.0
        shown: Outputs = {
            name: mean + spread * float(self._rng.normal())
            for name, (mean, spread) in STEADY.items()
        }
        for number in (1, 2):
            name = f"accelerometer_{number}"
            shown[name] = shaken * STEADY[name][0] + STEADY[name][1] * float(self._rng.normal())
        return shown | {"row_number": float(1 + int(self._seconds))}
