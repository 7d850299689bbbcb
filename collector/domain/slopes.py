"""Is a point creeping, how fast, and when would it reach its limit: Theil–Sen behind Mann–Kendall, or why not.

Days depend on one another (weather, load): as far as neighbours do, the test and the interval are made wider.
"""

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
STALE_MS: Final = 3 * DAY_MS
"""A point of which nothing has come for so long may stand anywhere now."""
P_MAX: Final = 0.01
Z_95: Final = 1.959964
"""The normal distribution's 97.5 % quantile: two-sided 95 %."""
DOUBT: Final = 0.5
"""So many standard errors are added to the dependence that a series shows: decision 102."""
DEPENDENCE_MAX: Final = 0.97
DUST: Final = 1e-9
"""What is left about a line, as a share of the largest value, below which it is rounding and no dependence."""
MAD_TO_SIGMA: Final = 1.4826
"""The median absolute deviation of a normal distribution is σ / 1.4826."""


class Refusal(StrEnum):
    """Why no slope is given."""

    AFTER_RESET = "after_reset"
    TOO_SHORT = "too_short"
    TOO_FEW = "too_few"
    STALE = "stale"
    GAP = "gap"
    NOT_SIGNIFICANT = "not_significant"


@dataclass(frozen=True, slots=True)
class MannKendall:
    """`s` counts rising pairs less falling ones; `variance` of it without a trend, ties and dependence allowed for; `p` two-sided."""

    s: int
    variance: float
    p: float


@dataclass(frozen=True, slots=True)
class Slope:
    """Units of the point a day, with its 95 % interval; `level` is the line's value at `at` (UTC ms), `spread` σ about the line."""

    per_day: float
    low: float
    high: float
    at: int
    level: float
    spread: float
    p: float


@dataclass(frozen=True, slots=True)
class TimeToLimit:
    """When the limit is reached (UTC ms): by the steepest slope from a spread above the line, by the flattest from one below.

    `latest` is None where the flattest does not lead there within a hundred years.
    """

    earliest: int
    latest: int | None


HORIZON_DAYS: Final = 36_525
"""A hundred years: whoever plans for longer has other worries."""


def daily_medians(time: Ints, value: Floats) -> tuple[Ints, Floats]:
    """Of each UTC day its noon and the median of its finite values, of rows in order of time (UTC ms).

    UTC is enough here: a day is a portion of readings, no date.
    """
    there = np.isfinite(value)
    day, begins = np.unique(time[there] // DAY_MS, return_index=True)
    portions = np.split(value[there], begins[1:]) if len(day) else []
    return day * DAY_MS + DAY_MS // 2, np.array([np.median(one) for one in portions])


def first_whole_day(since: int) -> int:
    """The begin of the first UTC day none of which was before `since` (UTC ms): a day's median mixes what was before."""
    return -(-since // DAY_MS) * DAY_MS


def slope(time: Ints, value: Floats, *, now: int, since: int | None = None) -> Slope | Refusal:
    """The slope of rows in order of time (UTC ms), finite values, at most `ROWS_MAX` of them: the last ones count.

    Rows before `since`, a maintenance or a step, say nothing of the equipment as it is now. Refused under
    14 days, under ten rows, where nothing came lately or for half of the span, and where Mann–Kendall
    finds no trend at 1 %. Theil–Sen: the median of the slopes of all pairs (Sen 1968), its interval from
    the ranks that Kendall's variance leaves open.
    """
    kept = np.ones(len(time), dtype=np.bool_) if since is None else time >= since
    t, v = time[kept][-ROWS_MAX:], value[kept][-ROWS_MAX:]
    refusal = _too_little(t, cut=not kept.all()) or _with_holes(t, now)
    if refusal is not None:
        return refusal
    days = (t - t[-1]) / DAY_MS
    pairs = _pair_slopes(days, v)
    per_day = float(np.median(pairs))
    rest = v - per_day * days
    exact = np.ptp(rest) <= DUST * np.abs(v).max()
    test = mann_kendall(v, 0.0 if exact else dependence(rest))
    if test.p > P_MAX:
        return Refusal.NOT_SIGNIFICANT
    low, high = _interval(pairs, test.variance)
    level = float(np.median(rest))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(rest - level)))
    return Slope(per_day, low, high, int(t[-1]), level, spread, test.p)


def _too_little(time: Ints, *, cut: bool) -> Refusal | None:
    """`cut`: there are rows, but of before `since`."""
    if len(time) < 2 or time[-1] - time[0] < SPAN_MIN_MS:
        return Refusal.AFTER_RESET if cut else Refusal.TOO_SHORT
    return Refusal.TOO_FEW if len(time) < ROWS_MIN else None


def _with_holes(time: Ints, now: int) -> Refusal | None:
    """A line through two clusters far apart says nothing of what was between, nor an old one of now."""
    if now - int(time[-1]) > STALE_MS:
        return Refusal.STALE
    return Refusal.GAP if 2 * np.diff(time).max() > time[-1] - time[0] else None


def dependence(rest: Floats) -> float:
    """Correlation of each value with the next about a line, in 0 … `DEPENDENCE_MAX`, rather too large than too small.

    What a short series shows is too small by (2 + 4 ρ) / n, two parameters of the line being its own
    (Kendall 1954, with a trend taken out), and uncertain by 1 / √n: half of that is added. At least five values.
    """
    n = len(rest)
    off = rest - rest.mean()
    square = float((off**2).sum())
    found = float((off[1:] * off[:-1]).sum()) / square if square else 0.0
    likely = (n * found + 2) / (n - 4) + DOUBT / math.sqrt(n)
    return min(max(0.0, likely), DEPENDENCE_MAX)


def mann_kendall(value: Floats, dependent: float = 0.0) -> MannKendall:
    """The test for a trend of values in order (Mann 1945, Kendall 1975), corrected for continuity.

    `dependent`: correlation r of neighbours, by which the variance grows (1 + r) / (1 − r)-fold: that of
    an autoregressive series of first order, in the limit of a long one (Bayley and Hammersley 1946).
    """
    n = len(value)
    above = np.sign(value[None, :] - value[:, None])
    s = int(np.triu(above, 1).sum())
    ties = np.unique(value, return_counts=True)[1]
    alone = (_kendall_sum(n) - sum(_kendall_sum(int(t)) for t in ties)) / 18
    variance = alone * (1 + dependent) / (1 - dependent)
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
    """When the limit is reached; `rising`: it is passed from below. None where the line does not lead there.

    A line that stands beyond the limit has reached it at `found.at`.
    """
    sign = 1 if rising else -1
    gap = sign * (limit - found.level)
    flat, steep = sorted((sign * found.low, sign * found.high))
    if gap <= 0:
        return TimeToLimit(found.at, found.at)
    if _reached(found.at, gap, sign * found.per_day) is None:
        return None
    earliest = _reached(found.at, max(0.0, gap - found.spread), steep)
    latest = _reached(found.at, gap + found.spread, flat)
    return None if earliest is None else TimeToLimit(earliest, latest)


def _reached(at: int, gap: float, per_day: float) -> int | None:
    if gap >= per_day * HORIZON_DAYS:
        return None
    return at + round(gap / per_day * DAY_MS)
