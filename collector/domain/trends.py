"""What a point is like when all is well, in each state of its equipment, and whether it has changed since.

A trend is a value that is carried along: `took` gives the next one. What it keeps is bounded, whatever
comes: readings until the baseline is learnt, two sums, the readings of the open day, one median a day.
Readings may come in any portions; the outcome is the same to the last bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from collector.domain.slopes import DAY_MS, ROWS_MAX, Refusal, Slope, slope
from edge.readings import BAD, Codes, Floats, Ints

MAD_TO_SIGMA: Final = 1.4826
"""The median absolute deviation of a normal distribution is σ / 1.4826."""
LEARN_ROWS: Final = 500
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
    """Median, and σ from the median absolute deviation, in units of the point; never 0: at least `step` / √12."""

    median: float
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

    `first`: readings while the baseline is learnt, nothing after. `open_day`: readings of the last day;
    `days`: starts and medians of the days before it, at most `ROWS_MAX`. `change` stays until a reset.
    """

    step: float
    reset_at: int | None = None
    last: int | None = None
    first: tuple[float, ...] = ()
    baseline: Baseline | None = None
    sums: Sums = field(default_factory=Sums)
    change: Change | None = None
    open_day: tuple[tuple[int, float], ...] = ()
    days: tuple[tuple[int, float], ...] = ()


def baseline_of(value: Floats, *, step: float) -> Baseline:
    """The robust baseline of finite values: nearly half of them may be anything."""
    middle = float(np.median(value))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(value - middle)))
    return Baseline(middle, max(spread, step / np.sqrt(12)))


def took(trend: Trend, time: Ints, value: Floats, quality: Codes) -> Trend:
    """The trend after these readings (UTC ms, in order). Bad ones and those within ten minutes of the last one taken are left out."""
    usable = (quality < BAD) & np.isfinite(value)
    rows = zip(time[usable].tolist(), value[usable].tolist(), strict=True)
    for at, number in rows:
        if trend.last is None or at - trend.last >= SPACING_MS:
            trend = _took_one(trend, at, number)
    return trend


def _took_one(trend: Trend, at: int, number: float) -> Trend:
    trend = _day_closed(trend, at)
    trend = replace(trend, last=at, open_day=(*trend.open_day, (at, number)))
    if trend.baseline is None:
        return _learnt(trend, number)
    if trend.change is not None:
        return trend
    sums = summed(trend.sums, at, (number - trend.baseline.median) / trend.baseline.sigma)
    return replace(trend, sums=sums, change=_passed(sums, at))


def _learnt(trend: Trend, number: float) -> Trend:
    first = (*trend.first, number)
    if len(first) < LEARN_ROWS:
        return replace(trend, first=first)
    return replace(trend, first=(), baseline=baseline_of(np.array(first), step=trend.step))


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


def _day_closed(trend: Trend, at: int) -> Trend:
    """A day of UTC is enough here: it is a portion of readings, no date."""
    if not trend.open_day or trend.open_day[0][0] // DAY_MS == at // DAY_MS:
        return trend
    median = float(np.median([number for _, number in trend.open_day]))
    day = (trend.open_day[0][0] // DAY_MS * DAY_MS, median)
    return replace(trend, open_day=(), days=(*trend.days, day)[-ROWS_MAX:])


def slope_of(trend: Trend) -> Slope | Refusal:
    """The slope of the medians of whole days since the last reset, or why there is none."""
    time = np.array([at for at, _ in trend.days], dtype=np.int64)
    value = np.array([number for _, number in trend.days], dtype=np.float64)
    return slope(time, value, reset_at=trend.reset_at)


def reset(trend: Trend, at: int) -> Trend:
    """After maintenance (UTC ms) the equipment is another one: baseline and change are learnt anew."""
    return Trend(trend.step, reset_at=at, last=trend.last, days=trend.days)


def took_in_states(
    trends: Mapping[str, Trend], states: Mapping[str, tuple[Ints, Floats, Codes]], *, step: float
) -> Mapping[str, Trend]:
    """The trends of one point after its readings of each state. States beyond `STATES_MAX` are not followed."""
    grown = dict(trends)
    for state, rows in states.items():
        if state in grown or len(grown) < STATES_MAX:
            grown[state] = took(grown.get(state, Trend(step)), *rows)
    return MappingProxyType(grown)
