"""One asset under watch: readings become rows at even steps, rows wait until they are judged, and become scores."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from collector.domain.detector import Normal, Watch, began, judged, learnt_points, skipped
from collector.groups import SET_BACK_MS
from edge.readings import QUALITIES, Floats

FILL_MAX: Final = 60
"""So many rows on end are made of values that still hold; behind a longer hole the detector is told of the hole."""
NO_VALUE: Final = QUALITIES["no_answer"]
FEW_VALUES: Final = QUALITIES["stale_source"]

Score = tuple[str, int, float, int]
"""Point, UTC ms, value in σ (NaN: none), quality."""
Heard = tuple[int, int, float]
"""UTC ms, which of the asset's points, value (NaN: none)."""


@dataclass(frozen=True, slots=True)
class Row:
    """The points' values at `end` (UTC ms), behind so many rows (`hole`) that are not known at all."""

    end: int
    values: Floats
    hole: int = 0


@dataclass(slots=True)
class Scored:
    """`value` and `time` (UTC ms) are the last of each point; `slot` numbers the row that is open.

    `rows` are those that are learnt from, `waiting` those that are closed and not judged yet.
    `is_aside`: its detector stumbled; nothing is heard, judged or kept of it until the next start.
    """

    site: str
    point: str
    asked: str
    every_ms: int
    learn_rows: int
    silence_ms: Floats
    value: Floats
    time: Floats
    slot: int | None = None
    hole: int = 0
    rows: list[Floats] = field(default_factory=list)
    waiting: list[Row] = field(default_factory=list)
    watch: Watch | None = None
    is_aside: bool = False

    @property
    def name(self) -> str:
        """Site and point, of all sites together."""
        return f"{self.site}/{self.point}"

    def was_ahead(self, received: int, readings: Iterable[Heard]) -> bool:
        """Whether the point of one of these was last heard after they came: the server's clock was set back."""
        latest = received + SET_BACK_MS
        if self.slot is None or (self.slot + 1) * self.every_ms <= latest:
            return False
        return any(self.time[column] > latest for _, column, _ in readings)

    def set_back(self, received: int) -> None:
        """What was heard later than `received` (UTC ms) was heard then: go on from there."""
        self.time = np.minimum(self.time, received)
        if self.slot is not None:
            self.slot = min(self.slot, received // self.every_ms)

    def hear(self, readings: Iterable[Heard]) -> None:
        """Take readings in order of time; what comes behind its row's end is too late."""
        for at, column, value in readings:
            slot = at // self.every_ms
            if self.slot is None:
                self.slot = slot
            if slot > self.slot:
                self._close(self.slot, slot)
                self.slot = slot
            if slot == self.slot:
                self.value[column], self.time[column] = value, at

    def _close(self, over: int, slot: int) -> None:
        """The rows from `over` up to `slot`, of values that still hold; of a long hole only the first."""
        filled = over + 1 if slot - over > FILL_MAX else slot
        ends = np.arange(over + 1, filled + 1) * self.every_ms
        holds = ends[:, None] - self.time <= self.silence_ms + self.every_ms
        found = np.where(holds, self.value, np.nan)
        for end, values in zip(ends.tolist(), found, strict=True):
            self.waiting.append(Row(end, values, self.hole))
            self.hole = 0
        self.hole = slot - filled

    def judge(self, limit: int) -> list[Score]:
        """The scores of the rows that wait, oldest first, of at most so many; those that are learnt from have none."""
        due, self.waiting = self.waiting[:limit], self.waiting[limit:]
        learnt = 0
        while self.watch is None and learnt < len(due):
            self._learn(due[learnt].values)
            learnt += 1
        return [score for rows in _between_holes(due[learnt:]) for score in self._judged(rows)]

    def _learn(self, row: Floats) -> None:
        """A row without any value shows nothing; where half of the points said nothing usable, all is learnt anew."""
        if not np.isfinite(row).any():
            return
        self.rows.append(row)
        if len(self.rows) >= self.learn_rows:
            watch, self.rows = began(np.array(self.rows)), []
            self.watch = watch if sees_enough(watch) else None

    def _judged(self, rows: Sequence[Row]) -> Iterator[Score]:
        """Of rows of which only the first may lie behind a hole."""
        if self.watch is None:
            return
        watch = skipped(self.watch, rows[0].hole) if rows[0].hole else self.watch
        values = np.array([row.values for row in rows])
        self.watch, verdicts = judged(watch, values)
        there = (np.isfinite(values) & learnt_points(watch)).sum(1)
        for row, known, score in zip(rows, there.tolist(), verdicts.score.tolist(), strict=True):
            if known:
                quality = 0 if 2 * known >= len(row.values) else FEW_VALUES
                yield self.point, row.end, score, quality
            else:
                yield self.point, row.end, np.nan, NO_VALUE


def sees_enough(watch: Watch) -> bool:
    """Whether something was learnt of at least half of the points: else its score would be 0 whatever happens."""
    known = learnt_points(watch)
    return bool(2 * known.sum() >= len(known))


def _between_holes(rows: Sequence[Row]) -> list[list[Row]]:
    found: list[list[Row]] = []
    for row in rows:
        if row.hole or not found:
            found.append([])
        found[-1].append(row)
    return found


# --- the file ----------------------------------------------------------------------------------


class _Learnt(msgspec.Struct):
    """A watch as a file: columns are little-endian float64."""

    noise: bytes
    mean_noise: bytes
    wander: bytes
    level: bytes
    doubt: bytes
    recent: bytes
    above: int
    alarmed: bool


class SavedAsset(msgspec.Struct):
    """One asset's state; `asked` is what it was asked to watch, and how."""

    asked: str
    slot: int | None
    value: bytes
    time: bytes
    rows: list[bytes]
    learnt: _Learnt | None
    hole: int = 0
    waiting: list[tuple[int, bytes, int]] = []


_NORMAL: Final = ("noise", "mean_noise", "wander")
_OWN: Final = ("level", "doubt", "recent")


def saved(asset: Scored) -> SavedAsset:
    """Its state, for `take_up`."""
    watch = asset.watch
    learnt = None
    if watch is not None:
        columns = {name: getattr(watch.normal, name).tobytes() for name in _NORMAL}
        columns |= {name: getattr(watch, name).tobytes() for name in _OWN}
        learnt = _Learnt(**columns, above=watch.above, alarmed=watch.alarmed)
    return SavedAsset(
        asset.asked, asset.slot, asset.value.tobytes(), asset.time.tobytes(),
        [row.tobytes() for row in asset.rows], learnt, asset.hole,
        [(row.end, row.values.tobytes(), row.hole) for row in asset.waiting],
    )  # fmt: skip


def fits(kept: SavedAsset, points: int) -> bool:
    """Whether all its columns are of so many points: a file may be spoilt and yet be one."""
    size = 8 * points
    columns = [kept.value, kept.time, *kept.rows, *(values for _, values, _ in kept.waiting)]
    if kept.learnt is not None:
        columns += [getattr(kept.learnt, name) for name in (*_NORMAL, "level", "doubt")]
        columns += [kept.learnt.recent] if len(kept.learnt.recent) % size else []
    return all(len(column) == size for column in columns)


def take_up(asset: Scored, kept: SavedAsset) -> None:
    """Go on from there. A watch that sees nothing, as older versions kept it, is learnt anew."""
    asset.slot, asset.hole = kept.slot, kept.hole
    asset.value, asset.time = _floats(kept.value), _floats(kept.time)
    asset.rows = [_floats(row) for row in kept.rows]
    asset.waiting = [Row(end, _floats(values), hole) for end, values, hole in kept.waiting]
    if kept.learnt is not None:
        watch = _watch_of(kept.learnt, len(asset.value))
        asset.watch = watch if sees_enough(watch) else None


def _watch_of(learnt: _Learnt, points: int) -> Watch:
    normal = Normal(*(_floats(getattr(learnt, name)) for name in _NORMAL))
    level, doubt, recent = (_floats(getattr(learnt, name)) for name in _OWN)
    return Watch(normal, level, doubt, recent.reshape(-1, points), learnt.above, learnt.alarmed)


def _floats(column: bytes) -> Floats:
    return np.frombuffer(column, np.float64).copy()
