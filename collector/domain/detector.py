"""One asset's points judged together: how far are they from where they stood when all was well?

Each point is a level that may wander, as far as it wandered while it was learnt, and noise about it (a local-level
model: Harvey 1989, 2.3). What wanders by itself, a temperature, may go on doing so, and after a while says little;
what stood still, a flow, is believed at once. While all is well the levels are followed; in an alarm they
are held, and only the doubt grows. Nothing is asked of the rows to come, and memory is bounded.
"""

import math
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from edge.readings import Floats, Ints

MEAN_ROWS: Final = 16
"""What is judged is the mean of so many rows."""
BLOCK_ROWS: Final = 25
"""Means of so many rows show how a level wanders."""
LEARN_ROWS_MIN: Final = 4 * BLOCK_ROWS
MEDIAN_OF_SQUARES: Final = 0.455
"""Of a normal deviate of variance 1: the median of χ² with one degree of freedom."""
WANDER_FACTOR: Final = 2.0
WANDER_MIN: Final = 0.1
"""Noise that a level wanders by, unseen, over as many rows as were learnt, as a share of the variance."""
NOISE_MIN: Final = 0.8
"""The mean's σ, of that which independent rows would have: what is seen within a block is less."""
FOLLOW: Final = 4.0
"""A row moves a level by a quarter of what independent noise would allow."""
PULL_MAX: Final = 4.0
"""A row further off than so many σ pulls its level like one that is as far off: a jump is judged, not followed."""
DUST: Final = 1e-12
"""A point whose values differ by no larger share of them never moved: that is rounding."""
FAR_MAX: Final = 12.0
"""No point counts for more than so many σ."""
TOGETHER: Final = 3
"""The score is the length of the three largest deviations: what is wrong shows in a few points."""
POINTS: Final = 8
"""Of more points than these the largest are larger by chance: by so much the score is less than their length."""
ALARM: Final = 3.5
CLEAR: Final = 2.3
"""Both in σ of a score of `POINTS` points, chosen on recordings: decision 100."""
HOLD_ROWS: Final = 3
"""So many rows in a row beyond `ALARM` begin an alarm."""
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Normal:
    """What was learnt of each point, in its unit; infinite noise: it never moved, so nothing can be said of it.

    `noise`: variance of a row about its level; `mean_noise`: of the mean of `MEAN_ROWS` rows; `wander`:
    by which the level moves in a row.
    """

    noise: Floats
    mean_noise: Floats
    wander: Floats


@dataclass(frozen=True, slots=True)
class Watch:
    """An asset under watch: where its points stand (`level`, with the variance `doubt`), the last rows, the alarm.

    `above`: rows on end beyond `ALARM` so far.
    """

    normal: Normal
    level: Floats
    doubt: Floats
    recent: Floats
    above: int = 0
    alarmed: bool = False


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Of each row: the score in σ, whether there is an alarm, and which point (column) leads."""

    score: Floats
    alarmed: Flags
    leading: Ints


def began(rows: Floats) -> Watch:
    """A watch that has learnt from rows (row, point) at even intervals in which all was well; NaN: no value.

    At least `LEARN_ROWS_MIN` rows, else ValueError. A point with fewer values, or that never moved, is left out.
    """
    if len(rows) < LEARN_ROWS_MIN:
        raise ValueError(f"{len(rows)} rows to learn from; {LEARN_ROWS_MIN} are needed")
    learnt = np.array([_learnt(column[np.isfinite(column)]) for column in rows.T])
    noise, mean_noise, wander, level, doubt = learnt.T
    return Watch(Normal(noise, mean_noise, wander), level, doubt, rows[1 - MEAN_ROWS :].copy())


def learnt_points(watch: Watch) -> Flags:
    """Of which points anything can be said: they had values while it was learnt, and moved."""
    return np.isfinite(watch.normal.noise)


def skipped(watch: Watch, rows: int) -> Watch:
    """After so many rows that are not known at all: levels may have wandered, and no mean reaches over the gap."""
    doubt = watch.doubt + rows * watch.normal.wander
    return replace(watch, doubt=doubt, recent=np.full_like(watch.recent, np.nan), above=0)


def _learnt(values: Floats) -> tuple[float, float, float, float, float]:
    """Noise, noise of the mean, wander, level, and doubt of it (variances but the level)."""
    if len(values) < LEARN_ROWS_MIN or np.ptp(values) <= DUST * np.abs(values).max():
        return math.inf, math.inf, 0.0, 0.0, 0.0
    blocks, means = _sliding(values, BLOCK_ROWS), _sliding(values, MEAN_ROWS)
    middle, begin = BLOCK_ROWS // 2, (BLOCK_ROWS - MEAN_ROWS) // 2
    step = float(np.diff(np.unique(values)).min())
    rounding = step**2 / 12
    noise = max(float(np.var(values[middle : middle + len(blocks)] - blocks)), rounding)
    spread = float(np.mean((means[begin : begin + len(blocks)] - blocks) ** 2))
    mean_noise = max(spread, NOISE_MIN**2 * noise / MEAN_ROWS)
    steps = float(np.median((blocks[BLOCK_ROWS:] - blocks[:-BLOCK_ROWS]) ** 2)) / MEDIAN_OF_SQUARES
    wandered = WANDER_FACTOR * max(steps - 2 * noise / BLOCK_ROWS, 0.0)
    wander = wandered / BLOCK_ROWS + WANDER_MIN * noise / len(values)
    return noise, mean_noise, wander, float(blocks[-1]), noise / BLOCK_ROWS + wandered / 2


def _sliding(values: Floats, count: int) -> Floats:
    """Means of `count` values from each on."""
    means: Floats = np.lib.stride_tricks.sliding_window_view(values, count).mean(1)
    return means


def judged(watch: Watch, rows: Floats) -> tuple[Watch, Verdicts]:
    """The next rows (row, point), one at a time, each from what was known by then; NaN: no value.

    What does not depend on the row before is reckoned for all of them at once: many rows cost less than one by one.
    """
    score, alarmed = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.bool_)
    leading = np.zeros(len(rows), dtype=np.int64)
    chance = _by_chance(max(POINTS, int(learnt_points(watch).sum()))) - _by_chance(POINTS)
    last = np.concatenate([watch.recent, rows])
    mean, spread = _means(last, len(rows), watch.normal.mean_noise)
    follows = FOLLOW * np.maximum(watch.normal.noise, MEAN_ROWS * watch.normal.mean_noise)
    for at, row in enumerate(rows):
        doubt = watch.doubt + watch.normal.wander
        far = np.minimum(np.abs(mean[at] - watch.level) / np.sqrt(doubt + spread[at]), FAR_MAX)
        score[at], leading[at] = max(0.0, _length(far) - chance), far.argmax()
        watch = _next(watch, row, doubt, follows, float(score[at]))
        alarmed[at] = watch.alarmed
    return replace(watch, recent=last[len(rows) :].copy()), Verdicts(score, alarmed, leading)


def _means(last: Floats, rows: int, mean_noise: Floats) -> tuple[Floats, Floats]:
    """Of each of so many rows: the mean of its window, and that mean's variance, which is infinite where it has no value.

    `last` begins with the rows before. They are added in their order, whatever the portion: the same bits come out.
    """
    there = np.isfinite(last)
    filled = np.where(there, last, 0.0)
    until = np.add.accumulate(there, axis=0, dtype=np.int64)
    count = until[MEAN_ROWS - 1 :] - until[:rows] + there[:rows]
    if rows == 1:
        total = np.add.accumulate(filled, axis=0)[-1:]
    else:
        total = filled[:rows].copy()
        for k in range(1, MEAN_ROWS):
            total += filled[k : k + rows]
    some = np.maximum(count, 1)
    return total / some, np.where(count > 0, mean_noise * MEAN_ROWS / some, np.inf)


def _length(far: Floats) -> float:
    return math.hypot(*np.sort(far)[-TOGETHER:].tolist())


@cache
def _by_chance(points: int) -> float:
    """About how long the largest deviations of so many quiet points are, by Blom's places of ordered normal numbers (1958)."""
    places = [(i - 0.375) / (points + 0.25) for i in range(1, TOGETHER + 1)]
    return math.sqrt(sum(NormalDist().inv_cdf(1 - place / 2) ** 2 for place in places))


def _next(watch: Watch, row: Floats, doubt: Floats, follows: Floats, score: float) -> Watch:
    """An alarm begins after `HOLD_ROWS` rows and ends below `CLEAR`; levels follow only while none begins."""
    above = watch.above + 1 if score > ALARM else 0
    alarmed = score > CLEAR if watch.alarmed else above >= HOLD_ROWS
    level = watch.level
    if not alarmed and not above:
        level, doubt = _followed(watch, row, doubt, follows)
    return Watch(watch.normal, level, doubt, watch.recent, above, alarmed)


def _followed(watch: Watch, row: Floats, doubt: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """The level and its doubt after a row: Kalman's gain for noise that is not independent from row to row."""
    there = np.isfinite(row)
    gain = np.where(there, doubt / (doubt + noise), 0.0)
    bound = PULL_MAX * np.sqrt(watch.normal.noise + doubt)
    off = np.minimum(np.maximum(np.where(there, row - watch.level, 0.0), -bound), bound)
    return watch.level + gain * off, (1 - gain) * doubt
