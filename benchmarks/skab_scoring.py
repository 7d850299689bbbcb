"""How SKAB's leaderboard scores: rows of 0 and 1 for outliers, their changes against the true changepoints."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edge.readings import Ints

Flags = npt.NDArray[np.bool_]
WINDOW_S: Final = 60
STEPS: Final = 1000
"""The source lays so many steps over a window, and so does this."""
PROFILES: Final[Mapping[str, tuple[float, float, float]]] = {
    "standard": (1.0, -0.11, -1.0),
    "low FP": (1.0, -0.22, -1.0),
    "low FN": (1.0, -0.11, -2.0),
}
"""(A_tp, A_fp, A_fn): a detection at a window's left edge, one outside all windows, a window without one."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The test part of one file: times in s, rows inside an anomaly, rows at which the state changes, and what a method said."""

    name: str
    time: Ints
    anomaly: Flags
    changepoint: Flags
    said: Flags


@dataclass(frozen=True, slots=True)
class Outliers:
    """Rows, summed over files. `alarms` are false alarms: runs of rows said without one true row among them; `hours` of normal rows."""

    tp: int
    fp: int
    fn: int
    tn: int
    alarms: int
    hours: float

    @property
    def f1(self) -> float:
        return self.tp / (self.tp + (self.fn + self.fp) / 2)

    @property
    def far(self) -> float:
        """False alarm rate, % of normal rows."""
        return 100 * self.fp / (self.fp + self.tn)

    @property
    def mar(self) -> float:
        """Missed alarm rate, % of anomalous rows."""
        return 100 * self.fn / (self.fn + self.tp)

    @property
    def alarms_per_hour(self) -> float:
        return self.alarms / self.hours


def outliers(files: Iterable[Judged]) -> Outliers:
    """Count rows and false alarms over all files."""
    tp = fp = fn = tn = alarms = 0
    for one in files:
        tp += int((one.said & one.anomaly).sum())
        fp += int((one.said & ~one.anomaly).sum())
        fn += int((~one.said & one.anomaly).sum())
        tn += int((~one.said & ~one.anomaly).sum())
        alarms += _false_alarms(one)
    return Outliers(tp, fp, fn, tn, alarms, (fp + tn) / 3600)


def _false_alarms(one: Judged) -> int:
    begins = np.flatnonzero(np.diff(one.said, prepend=False) & one.said)
    runs = np.split(one.anomaly & one.said, begins)[1:]
    return sum(not run.any() for run in runs)


def nab(files: Sequence[Judged], profile: str) -> float:
    """100 is perfect, 0 what no detection at all scores; below it worse than that."""
    a_tp, a_fp, a_fn = PROFILES[profile]
    total, count = 0.0, 0
    for one in files:
        windows = _windows(one.time[one.changepoint].tolist())
        detections = one.time[np.diff(one.said, prepend=False)].tolist()
        count += len(windows)
        for left, right in windows:
            hit = next((at for at in detections if left <= at <= right), None)
            total += (
                a_fn if hit is None else _credit((hit - left) / max(right - left, 1), a_tp, a_fp)
            )
        total += a_fp * sum(not any(a <= at <= b for a, b in windows) for at in detections)
    return 100 * (total - count * a_fn) / (count * (a_tp - a_fn))


def _windows(changes: Sequence[int]) -> list[tuple[int, int]]:
    """60 s from each change on; where two overlap, the later one begins where the earlier ends."""
    windows: list[tuple[int, int]] = []
    for at in changes:
        begin = max(at, windows[-1][1]) if windows else at
        windows.append((begin, at + WINDOW_S))
    return windows


def _credit(share: float, a_tp: float, a_fp: float) -> float:
    """From `a_tp` at the left edge to `a_fp` at the right one, along a tanh."""
    step = min(int(share * STEPS), STEPS - 1)
    x = math.pi * (step / (STEPS - 1) - 0.5)
    fall = -math.tanh(x) / math.tanh(math.pi / 2)
    return (a_tp - a_fp) / 2 * fall + (a_tp + a_fp) / 2
