"""An elevator: people call it, it travels floor by floor, opens its doors and waits for the next call."""

from collections.abc import Sequence

from simulators.physics.equipment import Build, Imposed, Outputs, Stepper, approach, first

FLOOR_S = 2.0
DOORS_S = 6.0
CALLS_PER_S = 1 / 40
SPEED_M_S = 1.75


class Elevator:
    """One car. In fault or entrapment it stops where it is; fire recall takes it to its lowest floor."""

    kinds = ("fault", "entrapment", "inspection", "fire_recall", "door_held")

    def __init__(self, build: Build) -> None:
        self._rng = build.rng
        self._clock = Stepper()
        self._lowest, self._highest = _floors(build)
        self._floor = float(self._lowest)
        self._target = self._lowest
        self._doors_s = 0.0
        self._load_kg = 0.0
        self._trips = 15_000 + int(self._rng.integers(0, 500))
        self._motor_c = 38.0
        self._direction = "none"
        self._hours = 5200.0

    def update(self, now_ms: int, imposed: Sequence[Imposed]) -> Outputs:
        dt = self._clock.step(now_ms)
        state = _state(imposed)
        if state == "fire_recall":
            self._target = self._lowest
        elif state == "normal":
            self._call(dt)
        if state in ("normal", "fire_recall"):
            self._travel(dt)
        else:
            self._direction = "none"
        moving = self._direction != "none"
        self._hours += dt / 3600 if moving else 0.0
        self._motor_c = approach(self._motor_c, 55.0 if moving else 38.0, dt, 400.0)
        return self._show(state, imposed, moving=moving)

    def _call(self, dt: float) -> None:
        """A new call, while the car stands with closed doors."""
        idle = self._doors_s <= 0 and self._floor == self._target
        if idle and self._rng.random() < 1 - (1 - CALLS_PER_S) ** dt:
            self._target = int(self._rng.integers(self._lowest, self._highest + 1))
            self._load_kg = float(self._rng.choice([0.0, 75.0, 150.0, 300.0]))
            self._trips += int(self._target != self._floor)

    def _travel(self, dt: float) -> None:
        if self._doors_s > 0:
            self._doors_s = max(0.0, self._doors_s - dt)
            self._direction = "none"
            return
        way = self._target - self._floor
        if way == 0:
            self._direction = "none"
            return
        self._direction = "up" if way > 0 else "down"
        step = min(abs(way), dt / FLOOR_S)
        self._floor += step if way > 0 else -step
        if abs(self._target - self._floor) < 1e-9:
            self._floor = float(self._target)
            self._doors_s = DOORS_S
            self._direction = "none"

    def _show(self, state: str, imposed: Sequence[Imposed], *, moving: bool) -> Outputs:
        trapped = first(imposed, "entrapment") is not None
        stuck_open = first(imposed, "door_held") is not None
        level = not trapped and abs(self._floor - round(self._floor)) < 0.05
        load = max(75.0, self._load_kg) if trapped else self._load_kg
        return {
            "floor": float(round(self._floor)),
            "direction": self._direction,
            "door": "open" if stuck_open or self._doors_s > 0 else "closed",
            "state": state,
            "car_load": load,
            "occupied": float(load > 0),
            "level": float(level),
            "alarm_button": float(trapped),
            "trips": float(self._trips),
            "run_hours": self._hours,
            "mains": 1.0,
            "motor_temperature": self._motor_c + 0.1 * float(self._rng.normal()),
            "speed": SPEED_M_S if moving else 0.0,
        }


def _state(imposed: Sequence[Imposed]) -> str:
    if first(imposed, "fault") or first(imposed, "entrapment"):
        return "fault"
    for kind in ("fire_recall", "inspection"):
        if first(imposed, kind):
            return kind
    return "normal"


def _floors(build: Build) -> tuple[int, int]:
    """Floors 1 to 18, as far as the profile allows them."""
    point = build.points.get("floor")
    low, high = (point and (point.expected or point.range)) or (1, 18)
    return max(1, round(low)), min(18, round(high))
