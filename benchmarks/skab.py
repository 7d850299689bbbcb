"""SKAB, a pump benchmark: the multivariate detector by the published protocol, beside T² and T²+Q in the same run.

`steward bench skab DIR`: the folder holds the set's files, as published (`valve1/0.csv` and so on).
They are GPL-3.0 and no part of this repository.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.rows import Row
from benchmarks.running import Failed, say
from benchmarks.skab_reference import t2, t2_q, t2_q_published
from benchmarks.skab_scoring import Flags, Judged, nab, outliers
from collector.domain.detector import began, judged
from edge.readings import Floats, Ints

TRAINING: Final = 400
WHOLE_SET: Final = 34
F1_BEST, NAB_BEST = 0.78, 32.42
FAR_MAX, MAR_MAX = 14.0, 28.0
OURS, T2, T2_Q, T2_Q_PUBLISHED = "ours", "T²", "T²+Q", "T²+Q as published"
Method = Callable[[Floats, Floats], Flags]
"""Training rows and test rows to what is said of each test row."""


@dataclass(frozen=True, slots=True)
class File:
    """One file: seconds, columns of values, labels."""

    name: str
    time: Ints
    values: Floats
    anomaly: Flags
    changepoint: Flags


def run(small: bool, folder: Path | None = None) -> Sequence[Row]:
    """The whole folder, which takes seconds: `small` changes nothing."""
    del small
    if folder is None:
        note = "not run: it needs the folder of the set's files (steward bench skab DIR)"
        return [Row("skab F1", None, "", target=F1_BEST, note=note)]
    files = read(folder)
    if not files:
        raise Failed(f"no labelled file of SKAB under {folder}")
    _can_be_scored(files, folder)
    return rows_of({name: _said(name, method, files) for name, method in METHODS.items()})


def _can_be_scored(files: Sequence[File], folder: Path) -> None:
    anomaly = np.concatenate([file.anomaly[TRAINING:] for file in files])
    change = np.concatenate([file.changepoint[TRAINING:] for file in files])
    if not (anomaly.any() and change.any()) or anomaly.all():
        raise Failed(f"{folder}: the rows after the first {TRAINING} of each file hold no anomaly, no changepoint or nothing else")  # fmt: skip


def _ours(train: Floats, test: Floats) -> Flags:
    """Row by row, as they would come."""
    watch, said = began(train), np.zeros(len(test), dtype=np.bool_)
    for at in range(len(test)):
        watch, verdicts = judged(watch, test[at : at + 1])
        said[at] = verdicts.alarmed[0]
    return said


METHODS: Final[Mapping[str, Method]] = {
    OURS: _ours,
    T2: t2,
    T2_Q: t2_q,
    T2_Q_PUBLISHED: t2_q_published,
}


def read(folder: Path) -> list[File]:
    """Every labelled file below the folder, by name; `anomaly-free` has no labels and is left out."""
    found = [_read(path, folder) for path in sorted(folder.rglob("*.csv"))]
    return [file for file in found if file is not None]


def _read(path: Path, folder: Path) -> File | None:
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            rows = list(csv.reader(text, delimiter=";"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Failed(f"{path} is no CSV file: {error}") from error
    if not rows or rows[0][-2:] != ["anomaly", "changepoint"]:
        return None
    for line, row in enumerate(rows[1:], 2):
        if wrong := _wrong(row, len(rows[0])):
            raise Failed(f"{path}, line {line}: {wrong}; put a whole copy of the file there, or take it out of the folder")  # fmt: skip
    time = np.array([row[0] for row in rows[1:]], dtype="datetime64[s]").astype(np.int64)
    numbers = np.array([row[1:] for row in rows[1:]], dtype=np.float64)
    name = path.relative_to(folder).with_suffix("").as_posix()
    return File(name, time, numbers[:, :-2], numbers[:, -2] == 1, numbers[:, -1] == 1)


def _wrong(row: Sequence[str], width: int) -> str:
    """What is wrong with a row of `datetime;…;anomaly;changepoint`; empty where nothing is."""
    if len(row) != width:
        return f"{len(row)} values instead of {width}"
    try:
        np.datetime64(row[0], "s")
        numbers = [float(text) for text in row[1:]]
    except ValueError as error:
        return str(error)
    return "" if np.isfinite(numbers).all() else "a value that is no finite number"


def _said(name: str, method: Method, files: Sequence[File]) -> Sequence[Judged]:
    """Fitted anew for each file on its first 400 rows, without labels; only the rest counts."""
    say(f"  {name}: {len(files)} files")
    return [
        Judged(
            file.name, file.time[TRAINING:], file.anomaly[TRAINING:], file.changepoint[TRAINING:],
            method(file.values[:TRAINING], file.values[TRAINING:]),
        )
        for file in files
    ]  # fmt: skip


def rows_of(found: Mapping[str, Sequence[Judged]]) -> Sequence[Row]:
    """The four figures against the goal, F1 and NAB beside each reference, and what an operator would notice."""
    files = found[OURS]
    counts = {name: outliers(said) for name, said in found.items()}
    scores = {name: nab(said, "standard") for name, said in found.items()}
    ours, peer = counts[OURS], counts[T2_Q]
    whole = len(files) == WHOLE_SET
    of = f"{len(files)} files" + ("" if whole else f" of {WHOLE_SET}: not to be set beside the leaderboard")  # fmt: skip
    rows = [
        Row("skab F1", ours.f1, "", target=F1_BEST if whole else None, note=of),
        Row(
            "skab NAB standard",
            scores[OURS],
            "",
            target=NAB_BEST if whole else None,
            note=_parts(files),
        ),
        Row("skab FAR", ours.far, "%", target=FAR_MAX, better="lower"),
        Row("skab MAR", ours.mar, "%", target=MAR_MAX, better="lower"),
    ]
    for name in (T2, T2_Q, T2_Q_PUBLISHED):
        rows.append(Row(f"skab F1 beside {name}", ours.f1, "", counts[name].f1, 1.0))
        rows.append(Row(f"skab NAB above {name}'s {scores[name]:.1f}", scores[OURS] - scores[name], "", target=0.0))  # fmt: skip
        rows.append(Row(f"skab FAR beside {name}", ours.far, "%", counts[name].far, better="lower"))
        rows.append(Row(f"skab MAR beside {name}", ours.mar, "%", counts[name].mar, better="lower"))
    for profile in ("low FP", "low FN"):
        rows.append(Row(f"skab NAB {profile}", nab(files, profile), "", nab(found[T2_Q], profile)))
    note = "alarms with no anomalous row in them; touching rows are one alarm; hours of normal rows"
    rows.append(Row("skab false alarms", ours.alarms_per_hour, "1/h", peer.alarms_per_hour, better="lower", note=note))  # fmt: skip
    return rows


def _parts(files: Sequence[Judged]) -> str:
    """F1, FAR, MAR and NAB of each folder by itself."""
    told = []
    for folder, group in groupby(files, key=lambda file: file.name.rpartition("/")[0]):
        said = list(group)
        count = outliers(said)
        told.append(f"{folder or 'files'} ({len(said)}): F1 {count.f1:.2f}, FAR {count.far:.1f}, MAR {count.mar:.1f}, NAB {nab(said, 'standard'):.1f}")  # fmt: skip
    return "; ".join(told)
