"""A standby generator: rests on its battery charger, runs when commanded, burns fuel and warms up."""

from collections.abc import Sequence

from simulators.physics.equipment import (
    Build,
    Imposed,
    Outputs,
    Stepper,
    approach,
    first,
)

CRANKING_S = 4.0


class Generator:
    """A diesel set. `trial_run` (option `minutes`, default 15) starts it 4 s after the command."""

    kinds = ("trial_run", "fail_to_start", "low_fuel", "battery_flat", "overheat")

    def __init__(self, build: Build) -> None:
        self._rng = build.rng
        self._clock = Stepper()
        self._running = False
        self._hours = 312.0 + float(self._rng.uniform(0, 20))
        self._starts = 95
        self._volts = 0.0
        self._hertz = 0.0
        self._oil = 0.0
        self._coolant = 35.0
        self._fuel = 82.0

    def update(self, now_ms: int, imposed: Sequence[Imposed]) -> Outputs:
        dt = self._clock.step(now_ms)
        wanted = any(_runs(one, now_ms) for one in imposed)
        running = wanted and first(imposed, "fail_to_start") is None
        self._starts += int(running and not self._running)
        self._running = running
        self._turn(dt, imposed)
        return self._show(imposed, failed=wanted and not running)

    def _turn(self, dt: float, imposed: Sequence[Imposed]) -> None:
        on = self._running
        self._volts = approach(self._volts, 231.0 if on else 0.0, dt, 1.0)
        self._hertz = approach(self._hertz, 50.0 if on else 0.0, dt, 1.0)
        self._oil = approach(self._oil, 4.1 if on else 0.0, dt, 2.0)
        hot = 108.0 if first(imposed, "overheat") else 84.0
        self._coolant = approach(self._coolant, hot if on else 35.0, dt, 180.0 if on else 1800.0)
        self._hours += dt / 3600 if on else 0.0
        self._fuel = max(0.0, self._fuel - (dt * 0.0011 if on else 0.0))

    def _show(self, imposed: Sequence[Imposed], *, failed: bool) -> Outputs:
        noise = self._rng.normal(0.0, 1.0, 6)
        live = 1.0 if self._volts > 20 else 0.0
        battery = 27.3 if self._running else 26.9
        shown: Outputs = {
            f"voltage_l{phase}": max(0.0, self._volts + live * 0.4 * float(noise[phase]))
            for phase in (1, 2, 3)
        }
        shown |= {
            "run": float(self._running),
            "mode": "automatic",
            "mains": 1.0,
            "breaker": 0.0,
            "frequency": max(0.0, self._hertz + live * 0.03 * float(noise[4])),
            "oil_pressure": self._oil,
            "coolant_temperature": self._coolant,
            "fuel_level": 8.0 if first(imposed, "low_fuel") else self._fuel,
            "battery_voltage": (19.5 if first(imposed, "battery_flat") else battery)
            + 0.02 * float(noise[5]),
            "run_hours": self._hours,
            "starts": float(self._starts),
            "failed_to_start": float(failed),
            "overheated": float(self._coolant > 98.0),
            "low_oil": 0.0,
            "charger_failed": float(first(imposed, "battery_flat") is not None),
        }
        return shown


def _runs(one: Imposed, now_ms: int) -> bool:
    """Whether this command wants the engine to turn now."""
    if one.kind != "trial_run":
        return False
    elapsed_s = (now_ms - one.since_ms) / 1000
    return CRANKING_S <= elapsed_s < CRANKING_S + 60 * one.number("minutes", 15.0)
