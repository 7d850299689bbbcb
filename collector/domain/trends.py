"""What a point is like when all is well, in each state of its equipment, and whether it has changed since.

A trend is a value that is carried along: `took` gives the next one. What it keeps is bounded, whatever
comes: readings until the baseline is learnt, then two sums. Days, for a slope, are asked of the store.
Readings may come in any portions; the outcome is the same to the last bit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from collector.domain.slopes import MAD_TO_SIGMA, first_whole_day
from edge.readings import BAD, Codes, Floats, Ints

OUTLIER: Final = 3.0
"""What lies further from the median, in robust σ or in steps, has no say in the baseline."""
LEARN_ROWS: Final = 500
LEARN_PARTS: Final = 5
"""What is learnt is looked at in so many parts: where their medians lie apart, no baseline is believed."""
COMMON: Final = 50
"""A value that every fiftieth reading has is one of the point's steps, no chance."""
STATES_MAX: Final = 16
SPACING_MS: Final = 600_000
"""A reading every ten minutes is enough for a trend: a baseline takes three days and a half."""
ALLOWANCE: Final = 0.5
"""Half of the shift that is to be found soonest, in σ (Page 1954)."""
DECISION: Final = 16.0
"""In σ: a lasting shift of 1 σ passes it after some 32 readings, one of 2 σ after 11 (Siegmund 1985).

The usual 5 is for baselines known exactly; with one learnt from 500 readings, 8 was passed within two weeks of nothing.
"""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Mean and σ without outliers, in units of the point; σ is never 0: at least `step` / √12."""

    mean: float
    sigma: float


@dataclass(frozen=True, slots=True)
class Sums:
    """The two sums of a cumulative-sum chart in σ, and since when each has been above 0 (UTC ms)."""

    up: float = 0.0
    down: float = 0.0
    up_since: int | None = None
    down_since: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """The point left its baseline: seen `at`, likely `since` (UTC ms), up or down."""

    at: int
    since: int
    up: bool


@dataclass(frozen=True, slots=True)
class Trend:
    """One point in one state of its equipment. Times UTC ms. `step`: the smallest difference the point can show.

    `first`: readings while the baseline is learnt, nothing after. `change` stays until a reset.
    """

    step: float
    reset_at: int | None = None
    last: int | None = None
    first: tuple[float, ...] = ()
    baseline: Baseline | None = None
    sums: Sums = field(default_factory=Sums)
    change: Change | None = None


def baseline_of(value: Floats, *, step: float) -> Baseline:
    """The robust baseline of finite values: nearly half of them may be anything. `step`: above 0, else ValueError.

    Median and MAD only say what is an outlier: of a value in coarse steps, more than half are equal and MAD is 0.
    A step that is said to be finer than the values show is taken as they show it.
    """
    if step <= 0:
        raise ValueError(f"step {step}: the smallest difference that a point can show is above 0")
    step = max(step, _step_shown(value))
    middle, spread = _middle_and_spread(value)
    own = value[np.abs(value - middle) <= OUTLIER * max(spread, step)]
    return Baseline(float(own.mean()), max(float(own.std()), step / math.sqrt(12)))


def _step_shown(value: Floats) -> float:
    """The smallest difference between values that are there again and again; 0 where none are."""
    values, counts = np.unique(value, return_counts=True)
    common = values[counts > max(1, len(value) // COMMON)]
    return float(np.diff(common).min()) if len(common) > 1 else 0.0


def _middle_and_spread(value: Floats) -> tuple[float, float]:
    middle = float(np.median(value))
    return middle, MAD_TO_SIGMA * float(np.median(np.abs(value - middle)))


def steady(value: Floats, *, step: float) -> bool:
    """Whether the medians of the fifths of these values lie within 3 σ, σ being what is usual within a fifth.

    Otherwise something happened while they were read, and their mean would be of neither state.
    """
    found = [_middle_and_spread(part) for part in np.array_split(value, LEARN_PARTS)]
    middles, spreads = np.array(found).T
    return bool(
        np.ptp(middles) <= OUTLIER * max(float(np.median(spreads)), step, _step_shown(value))
    )


def took(trend: Trend, time: Ints, value: Floats, quality: Codes) -> Trend:
    """The trend after these readings (UTC ms, in order). Bad ones and those within ten minutes of the last one taken are left out."""
    usable = (quality < BAD) & np.isfinite(value)
    rows = zip(time[usable].tolist(), value[usable].tolist(), strict=True)
    for at, number in rows:
        if trend.last is None or at - trend.last >= SPACING_MS:
            trend = _took_one(trend, at, number)
    return trend


def _took_one(trend: Trend, at: int, number: float) -> Trend:
    trend = replace(trend, last=at)
    if trend.baseline is None:
        return _learnt(trend, number)
    if trend.change is not None:
        return trend
    sums = summed(trend.sums, at, (number - trend.baseline.mean) / trend.baseline.sigma)
    return replace(trend, sums=sums, change=_passed(sums, at))


def _learnt(trend: Trend, number: float) -> Trend:
    first = (*trend.first, number)
    if len(first) < LEARN_ROWS:
        return replace(trend, first=first)
    rows = np.array(first)
    if not steady(rows, step=trend.step):
        return replace(trend, first=first[LEARN_ROWS // LEARN_PARTS :])
    return replace(trend, first=(), baseline=baseline_of(rows, step=trend.step))


def summed(sums: Sums, at: int, z: float) -> Sums:
    """Page's sums after a deviation of `z` σ: S⁺ = max(0, S⁺ + z − k), S⁻ = max(0, S⁻ − z − k)."""
    up, down = max(0.0, sums.up + z - ALLOWANCE), max(0.0, sums.down - z - ALLOWANCE)
    return Sums(up, down, _since(up, sums.up_since, at), _since(down, sums.down_since, at))


def _since(total: float, before: int | None, at: int) -> int | None:
    if total == 0:
        return None
    return at if before is None else before


def _passed(sums: Sums, at: int) -> Change | None:
    if sums.up_since is not None and sums.up > DECISION:
        return Change(at, sums.up_since, up=True)
    if sums.down_since is not None and sums.down > DECISION:
        return Change(at, sums.down_since, up=False)
    return None


def same_since(trend: Trend) -> int | None:
    """From when on a slope may be drawn (UTC ms): behind the last maintenance and behind a change, which is a step and no creep.

    That is the begin of a UTC day: the day on which it happened is of neither.
    """
    begins = [trend.reset_at, trend.change.since if trend.change else None]
    last = max((at for at in begins if at is not None), default=None)
    return None if last is None else first_whole_day(last)


def reset(trend: Trend, at: int) -> Trend:
    """After maintenance (UTC ms) the equipment is another one: baseline and change are learnt anew."""
    return Trend(trend.step, reset_at=at, last=trend.last)


def took_in_states(
    trends: Mapping[str, Trend],
    states: Mapping[str, tuple[Ints, Floats, Codes]],
    *,
    step: float,
    reset_at: int | None = None,
) -> Mapping[str, Trend]:
    """The trends of one point after its readings of each state. States beyond `STATES_MAX` are not followed.

    `reset_at`: the last maintenance before a state that is new (UTC ms).
    """
    grown = dict(trends)
    for state, rows in states.items():
        if state in grown or len(grown) < STATES_MAX:
            grown[state] = took(grown.get(state, Trend(step, reset_at)), *rows)
    return MappingProxyType(grown)
