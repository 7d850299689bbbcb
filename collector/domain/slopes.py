"""Is a point creeping, how fast, and when would it reach its limit: Theil–Sen behind Mann–Kendall, or why not."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from edge.readings import Floats, Ints

DAY_MS: Final = 86_400_000
SPAN_MIN_MS: Final = 14 * DAY_MS
ROWS_MIN: Final = 10
"""From ten rows on the normal approximation of Mann–Kendall holds (Kendall 1975)."""
ROWS_MAX: Final = 800
"""All pairs are compared: two years of days are 320 000 pairs."""
P_MAX: Final = 0.01
Z_95: Final = 1.959964
"""The normal distribution's 97.5 % quantile: two-sided 95 %."""


class Refusal(StrEnum):
    """Why no slope is given."""

    AFTER_RESET = "after_reset"
    TOO_SHORT = "too_short"
    TOO_FEW = "too_few"
    NOT_SIGNIFICANT = "not_significant"


@dataclass(frozen=True, slots=True)
class MannKendall:
    """`s` counts rising pairs less falling ones; `variance` of it without a trend, ties allowed for; `p` two-sided."""

    s: int
    variance: float
    p: float


@dataclass(frozen=True, slots=True)
class Slope:
    """Units of the point a day, with its 95 % interval; `level` is the line's value at `at` (UTC ms)."""

    per_day: float
    low: float
    high: float
    at: int
    level: float
    p: float


@dataclass(frozen=True, slots=True)
class TimeToLimit:
    """When the line reaches the limit (UTC ms), by the steepest and the flattest slope of the interval.

    `latest` is None where the flattest does not lead there within a hundred years.
    """

    earliest: int
    latest: int | None


HORIZON_DAYS: Final = 36_525


def slope(time: Ints, value: Floats, *, reset_at: int | None = None) -> Slope | Refusal:
    """The slope of rows in order of time (UTC ms), finite values, at most `ROWS_MAX` of them: the last ones count.

    Rows before the maintenance at `reset_at` say nothing of the equipment as it is now. Refused under
    14 days, under ten rows, and where Mann–Kendall finds no trend at 1 %. Theil–Sen: the median of the
    slopes of all pairs (Sen 1968), its interval from the ranks that Kendall's variance leaves open.
    """
    since = time >= (reset_at if reset_at is not None else time.min(initial=0))
    t, v = time[since][-ROWS_MAX:], value[since][-ROWS_MAX:]
    refusal = _too_little(t, cut=not since.all())
    if refusal is not None:
        return refusal
    test = mann_kendall(v)
    if test.p > P_MAX:
        return Refusal.NOT_SIGNIFICANT
    days = (t - t[-1]) / DAY_MS
    pairs = _pair_slopes(days, v)
    per_day = float(np.median(pairs))
    low, high = _interval(pairs, test.variance)
    return Slope(per_day, low, high, int(t[-1]), float(np.median(v - per_day * days)), test.p)


def _too_little(time: Ints, *, cut: bool) -> Refusal | None:
    """`cut`: there are rows, but of before a reset."""
    if len(time) < 2 or time[-1] - time[0] < SPAN_MIN_MS:
        return Refusal.AFTER_RESET if cut else Refusal.TOO_SHORT
    return Refusal.TOO_FEW if len(time) < ROWS_MIN else None


def mann_kendall(value: Floats) -> MannKendall:
    """The test for a trend of values in order (Mann 1945, Kendall 1975), corrected for continuity."""
    n = len(value)
    above = np.sign(value[None, :] - value[:, None])
    s = int(np.triu(above, 1).sum())
    ties = np.unique(value, return_counts=True)[1]
    variance = (_kendall_sum(n) - sum(_kendall_sum(int(t)) for t in ties)) / 18
    z = (abs(s) - 1) / math.sqrt(variance) if s else 0.0
    return MannKendall(s, variance, math.erfc(z / math.sqrt(2)))


def _kendall_sum(n: int) -> int:
    return n * (n - 1) * (2 * n + 5)


def _pair_slopes(days: Floats, value: Floats) -> Floats:
    """Slopes of all pairs of different times, sorted."""
    first, second = np.triu_indices(len(days), 1)
    run = days[second] - days[first]
    apart = run > 0
    return np.sort((value[second] - value[first])[apart] / run[apart])


def _interval(pairs: Floats, variance: float) -> tuple[float, float]:
    """The slopes at the ranks (N − C)/2 and (N + C)/2 + 1, C = 1.96 √variance (Gilbert 1987, 16.5)."""
    half = Z_95 * math.sqrt(variance)
    low = math.floor((len(pairs) - half) / 2) - 1
    high = math.ceil((len(pairs) + half) / 2)
    return float(pairs[max(0, low)]), float(pairs[min(len(pairs) - 1, high)])


def time_to_limit(found: Slope, limit: float, *, rising: bool) -> TimeToLimit | None:
    """When the limit is reached; `rising`: it is passed from below. None where the line leads away from it.

    A line that stands beyond the limit has reached it at `found.at`.
    """
    sign = 1 if rising else -1
    gap = sign * (limit - found.level)
    flat, steep = sorted((sign * found.low, sign * found.high))
    if gap <= 0:
        return TimeToLimit(found.at, found.at)
    earliest = _reached(found.at, gap, steep)
    return None if earliest is None else TimeToLimit(earliest, _reached(found.at, gap, flat))


def _reached(at: int, gap: float, per_day: float) -> int | None:
    if gap >= per_day * HORIZON_DAYS:
        return None
    return at + round(gap / per_day * DAY_MS)
