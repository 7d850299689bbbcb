"""A sump pit: water runs in, float switches start one pump and then the other, a last float says flood."""

from collections.abc import Sequence

from simulators.physics.equipment import Build, Imposed, Outputs, Stepper, first

AREA_M2 = 2.0
START_M = (1.0, 1.4)
STOP_M = 0.4
FLOOD_M = 1.9
BRIM_M = 2.4
PUMP_M3_S = 0.008
"""What one pump lifts, 29 m3/h."""


class SumpPit:
    """Two pumps on floats. `flood` pours in more than both lift; `pump_dead` (option `pump`) stops one."""

    kinds = ("flood", "pump_dead", "rain")

    def __init__(self, build: Build) -> None:
        self._rng = build.rng
        self._clock = Stepper()
        self._level = 0.6
        self._running = [False, False]

    def update(self, now_ms: int, imposed: Sequence[Imposed]) -> Outputs:
        dt = self._clock.step(now_ms)
        dead = {round(one.number("pump", 1)) for one in imposed if one.kind == "pump_dead"}
        for place, start in enumerate(START_M):
            above = self._level > (STOP_M if self._running[place] else start)
            self._running[place] = above and place + 1 not in dead
        lifted = PUMP_M3_S * sum(self._running)
        level = self._level + dt * (_inflow(imposed) - lifted) / AREA_M2
        self._level = min(BRIM_M, max(0.05, level))
        ripple = self._rng.normal(0.0, 1.0, 2)
        return {
            "level_m": max(0.0, self._level + 0.003 * float(ripple[0])),
            "level": max(0.0, self._level + 0.003 * float(ripple[0])),
            "pump_1": float(self._running[0]),
            "pump_2": float(self._running[1]),
            "flood": float(self._level >= FLOOD_M),
            "temperature": 18.2 + 0.05 * float(ripple[1]),
        }


def _inflow(imposed: Sequence[Imposed]) -> float:
    """Cubic metres a second."""
    if first(imposed, "flood"):
        return 0.12
    return 0.006 if first(imposed, "rain") else 0.002
