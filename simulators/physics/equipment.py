"""What every piece of simulated equipment is: explicit time in, what its sensors would show out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from config.plant import Point

Shown = float | str | None
"""A number in the point's unit, the id of a state (`running`), or nothing where a sensor is dead."""
Outputs = dict[str, Shown]
"""Point, as a path relative to the asset (`flow`, `pump-1/state`), to what it shows."""


@dataclass(frozen=True, slots=True)
class Imposed:
    """A physical fault or a command in force: `part` is relative to the asset ("" = the whole)."""

    kind: str
    part: str = ""
    since_ms: int = 0
    options: Mapping[str, object] = field(default_factory=dict)

    def number(self, name: str, default: float) -> float:
        """A numeric option."""
        value = self.options.get(name, default)
        return float(value) if isinstance(value, int | float) else default


class Equipment(Protocol):
    """One piece of equipment. Steps must not go back in time; equal seeds and steps give equal outputs."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Physical faults and commands that it knows."""
        ...

    def update(self, now_ms: int, imposed: Sequence[Imposed]) -> Outputs:
        """Move on to `now_ms` (UTC ms) under what is imposed, and show the sensors' values."""
        ...


@dataclass(frozen=True, slots=True)
class Build:
    """What equipment is made from: its points by relative path, its parts, its own random numbers."""

    points: Mapping[str, Point]
    parts: tuple[str, ...]
    rng: np.random.Generator


class Stepper:
    """Seconds since the previous step (0 at the first)."""

    def __init__(self) -> None:
        self._last_ms: int | None = None

    def step(self, now_ms: int) -> float:
        elapsed = 0 if self._last_ms is None else max(0, now_ms - self._last_ms)
        self._last_ms = now_ms
        return elapsed / 1000


def approach(value: float, target: float, dt_s: float, tau_s: float) -> float:
    """First-order lag: where `value` is after `dt_s` on its way to `target`."""
    return target + (value - target) * math.exp(-dt_s / tau_s)


def first(imposed: Iterable[Imposed], kind: str, part: str | None = None) -> Imposed | None:
    """The first imposed thing of a kind (on a part, if one is named)."""
    for one in imposed:
        if one.kind == kind and (part is None or one.part == part):
            return one
    return None


def daily(now_ms: int, low: float, high: float) -> float:
    """A smooth daily course, lowest at 20:00 UTC and highest at 08:00 UTC."""
    share = (now_ms / 86_400_000.0) % 1.0
    return low + (high - low) * (0.5 - 0.5 * math.cos(2 * math.pi * (share - 20 / 24)))
