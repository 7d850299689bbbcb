"""A booster set: pumps hold the pressure of a zone, a standby takes over when the duty pump is lost."""

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.physics.equipment import (
    Build,
    Imposed,
    Outputs,
    Stepper,
    approach,
    daily,
    first,
)

SET_PRESSURE_BAR = 5.0
SUCTION_BAR = 1.0
AMBIENT_C = 24.0


@dataclass(slots=True)
class _Pump:
    """One pump: `state` as its contactor says; hours and starts as its counters say."""

    part: str
    state: str = "stopped"
    hours: float = 0.0
    starts: int = 0
    bearing_c: float = AMBIENT_C
    speed_hz: float = 0.0


class BoosterSet:
    """Pumps in duty and standby.

    A pump that trips, or is taken to manual, is replaced 2 to 3 s later by the next one that is
    ready. Without any the pressure leaks away with a time constant of 8 s.
    """

    kinds = ("trip", "no_takeover", "manual", "dry_run", "overpressure", "changeover", "door_open")

    def __init__(self, build: Build) -> None:
        self._rng = build.rng
        names = build.parts or ("pump-1", "pump-2")
        self._pumps = [_Pump(part) for part in names]
        for place, pump in enumerate(self._pumps):
            pump.hours = 2000.0 + 150.0 * place + float(self._rng.uniform(0, 50))
            pump.starts = 400 + 20 * place
        self._clock = Stepper()
        self._duty = 0
        self._pumps[0].state = "running"
        self._pumps[0].bearing_c = 52.0
        self._pumps[0].speed_hz = 42.0
        self._takeover_ms: int | None = None
        self._changed_ms = -1
        self._pressure = SET_PRESSURE_BAR
        self._flow = 9.0
        self._tank = 2.1
        self._energy_kwh = 9300.0

    def update(self, now_ms: int, imposed: Sequence[Imposed]) -> Outputs:
        dt = self._clock.step(now_ms)
        dry = first(imposed, "dry_run") is not None
        for pump in self._pumps:
            self._protect(pump, imposed, dry)
        self._exercise(now_ms, imposed)
        if not dry:
            self._control(now_ms, imposed)
        self._water(now_ms, dt, imposed, dry)
        for pump in self._pumps:
            self._turn(pump, dt)
        return self._show(imposed, dry)

    def _protect(self, pump: _Pump, imposed: Sequence[Imposed], dry: bool) -> None:
        """What takes a pump out of service, and what gives it back as standby."""
        if first(imposed, "trip", pump.part):
            pump.state = "tripped"
        elif first(imposed, "manual", pump.part):
            pump.state = "manual"
        elif pump.state in ("tripped", "manual") or (dry and pump.state == "running"):
            pump.state = "stopped"

    def _exercise(self, now_ms: int, imposed: Sequence[Imposed]) -> None:
        """A changeover by hand: once per command the next ready pump takes the duty."""
        order = first(imposed, "changeover")
        if order is None or order.since_ms <= self._changed_ms:
            return
        self._changed_ms = order.since_ms
        standby = self._ready()
        if standby is not None and standby != self._duty:
            if self._pumps[self._duty].state == "running":
                self._pumps[self._duty].state = "stopped"
            self._start(standby)

    def _control(self, now_ms: int, imposed: Sequence[Imposed]) -> None:
        """Keep one pump running: the controller's own logic with its delay."""
        if any(pump.state == "running" for pump in self._pumps):
            self._takeover_ms = None
            return
        if self._takeover_ms is None:
            self._takeover_ms = now_ms + round(float(self._rng.uniform(1500, 2500)))
        alone = first(imposed, "no_takeover") is not None
        chosen = self._own() if alone else self._ready()
        if now_ms >= self._takeover_ms and chosen is not None:
            self._start(chosen)

    def _own(self) -> int | None:
        """The duty pump, if it is ready."""
        return self._duty if self._pumps[self._duty].state == "stopped" else None

    def _ready(self) -> int | None:
        """The next stopped pump after the duty pump, the duty pump itself last."""
        count = len(self._pumps)
        for place in range(self._duty + 1, self._duty + count + 1):
            if self._pumps[place % count].state == "stopped":
                return place % count
        return None

    def _start(self, place: int) -> None:
        self._duty = place
        self._takeover_ms = None
        self._pumps[place].state = "running"
        self._pumps[place].starts += 1

    def _water(self, now_ms: int, dt: float, imposed: Sequence[Imposed], dry: bool) -> None:
        running = any(pump.state == "running" for pump in self._pumps)
        target, tau = (SET_PRESSURE_BAR, 2.0) if running else (SUCTION_BAR, 8.0)
        if first(imposed, "overpressure"):
            target, tau = 11.0, 5.0
        self._pressure = approach(self._pressure, target, dt, tau)
        demand = daily(now_ms, 6.0, 12.0) * max(0.0, self._pressure / SET_PRESSURE_BAR) ** 0.5
        self._flow = approach(self._flow, demand if running else demand * 0.3, dt, 6.0)
        self._tank = approach(self._tank, 0.15 if dry else 2.1, dt, 20.0 if dry else 300.0)

    def _turn(self, pump: _Pump, dt: float) -> None:
        running = pump.state == "running"
        pump.speed_hz = approach(pump.speed_hz, 30.0 + self._flow if running else 0.0, dt, 1.5)
        pump.bearing_c = approach(pump.bearing_c, 52.0 if running else AMBIENT_C, dt, 600.0)
        if running:
            pump.hours += dt / 3600
            self._energy_kwh += (0.8 + 0.35 * self._flow) * dt / 3600

    def _show(self, imposed: Sequence[Imposed], dry: bool) -> Outputs:
        noise = self._rng.normal(0.0, 1.0, 4)
        suction = SUCTION_BAR - (0.8 if dry else 0.0)
        shown: Outputs = {
            "discharge_pressure": max(0.0, self._pressure + 0.015 * float(noise[0])),
            "suction_pressure": max(0.0, suction + 0.01 * float(noise[1])),
            "flow": max(0.0, self._flow + 0.08 * float(noise[2])),
            "tank_level": max(0.0, self._tank + 0.004 * float(noise[3])),
            "dry_run": float(dry),
            "overpressure": float(self._pressure > 10.0),
            "sensor_failure": 0.0,
            "door_open": float(first(imposed, "door_open") is not None),
            "mode": "automatic",
            "set_pressure": SET_PRESSURE_BAR,
            "run_hours_total": sum(pump.hours for pump in self._pumps),
            "energy": self._energy_kwh,
        }
        for pump in self._pumps:
            shown |= self._show_pump(pump)
        return shown

    def _show_pump(self, pump: _Pump) -> Outputs:
        running = pump.state == "running"
        wobble = self._rng.normal(0.0, 1.0, 3)
        values: Outputs = {
            "state": pump.state,
            "current": max(0.0, 5.0 + 0.7 * self._flow + 0.1 * float(wobble[0]))
            if running
            else 0.0,
            "bearing_temperature": pump.bearing_c + 0.1 * float(wobble[1]),
            "vibration": max(0.0, (1.8 if running else 0.1) + 0.05 * float(wobble[2])),
            "speed": pump.speed_hz,
            "run_hours": pump.hours,
            "starts": float(pump.starts),
        }
        return {f"{pump.part}/{name}": value for name, value in values.items()}
