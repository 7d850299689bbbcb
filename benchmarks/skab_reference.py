"""What the detector is measured against: Hotelling's T², and T² with Q on principal components, written after their description."""

import math
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np

from benchmarks.skab_scoring import Flags
from edge.readings import Floats

P: Final = 0.999
Z_P: Final = 3.0902
"""The normal distribution's 99.9 % quantile."""
EXPLAINED: Final = 0.85
MEDIAN_ROWS: Final = 5
T2_FACTOR: Final = 2.0
"""The leaderboard's run of T² multiplies the control limit by it: chosen on the data that it is scored on."""


def t2(train: Floats, test: Floats) -> Flags:
    """T² of standardised rows, running median of 5, beyond twice the control limit at 99.9 %."""
    rows, tested = _standardised(train, test)
    inverse = np.linalg.inv(np.cov(rows.T))
    statistic = np.einsum("ij,jk,ik->i", tested, inverse, tested)
    return _median(statistic) > T2_FACTOR * t2_limit(rows.shape[1], len(rows))


def t2_q(train: Floats, test: Floats) -> Flags:
    """T² of the components that explain 85 %, or Q of the rest, running medians of 5, beyond their limits at 99.9 %.

    Where no component is left out there is no Q.
    """
    return _t2_q(train, test, _power_sums)


def t2_q_published(train: Floats, test: Floats) -> Flags:
    """The same with the leaderboard's own limit of Q, which takes powers of the sum for sums of the powers."""
    return _t2_q(train, test, lambda residual: tuple(float(residual.sum()) ** n for n in (1, 2, 3)))


def _t2_q(train: Floats, test: Floats, sums: Callable[[Floats], tuple[float, ...]]) -> Flags:
    rows, tested = _standardised(train, test)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(values) / values.sum(), EXPLAINED)) + 1
    parts = tested @ vectors[:, :kept]
    rest = tested - parts @ vectors[:, :kept].T
    out: Flags = _median((parts**2 / values[:kept]).sum(1)) > t2_limit(kept, len(rows))
    if kept == rows.shape[1]:
        return out
    beside: Flags = _median((rest**2).sum(1)) > q_limit(sums(values[kept:]))
    return out | beside


def _standardised(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Columns that stood still in the training are left out, as the leaderboard does."""
    moved = train.std(0) > 0
    train, test = train[:, moved], test[:, moved]
    return (train - train.mean(0)) / train.std(0), (test - train.mean(0)) / train.std(0)


def _median(statistic: Floats) -> Floats:
    """Of each row and the four before it; 0 for the first four, as the leaderboard has it."""
    windows = np.lib.stride_tricks.sliding_window_view(statistic, MEDIAN_ROWS)
    return np.append(np.zeros(MEDIAN_ROWS - 1), np.median(windows, 1))


@cache
def t2_limit(columns: int, rows: int) -> float:
    """The control limit: m (n² − 1) / (n (n − m)) · F(0.999; m, n − m)."""
    m, n = columns, rows
    return m * (n - 1) * (n + 1) / (n * (n - m)) * f_quantile(P, m, n - m)


def _power_sums(residual: Floats) -> tuple[float, ...]:
    return tuple(float((residual**power).sum()) for power in (1, 2, 3))


def q_limit(sums: tuple[float, ...]) -> float:
    """Jackson and Mudholkar's limit (1979) from the sums of the left-out components' variances, their squares and cubes."""
    one, two, three = sums
    h = 1 - 2 * one * three / (3 * two**2)
    inner = Z_P * h * math.sqrt(2 * two) / one + 1 + two * h * (h - 1) / one**2
    return one * math.pow(inner, 1 / h)


def f_quantile(p: float, m: int, n: int) -> float:
    """Of the F distribution, by summing its density over x = u² / (1 − u²)."""
    u = (np.arange(1_000_000) + 0.5) / 1_000_000
    x = u**2 / (1 - u**2)
    scale = math.lgamma((m + n) / 2) - math.lgamma(m / 2) - math.lgamma(n / 2)
    log = scale + m / 2 * math.log(m / n) + (m / 2 - 1) * np.log(x) - (m + n) / 2 * np.log1p(m / n * x)  # fmt: skip
    share = np.cumsum(np.exp(log) * 2 * u / (1 - u**2) ** 2) / 1_000_000
    return float(x[np.searchsorted(share, p)])
