"""The live table: the last reading of every point, as columns; the one place that knows "now"."""

import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from collector.groups import SET_BACK_MS, Group
from collector.ports import LiveSnapshot, RuleNow, SeriesKey
from config.plant import Plant
from edge.readings import QUALITIES, Codes, Floats, Ints

TABLE: Final = "live"
"""The name under which the table is saved."""
LIFE_SHIFT: Final = 32
"""A mark is the table's life above its change counter; a counter lasts a year at 100 groups a second."""

_COLUMNS: Final = {
    "value": (np.float64, np.nan),
    "quality": (np.uint8, QUALITIES["not_read_yet"]),
    "source_time": (np.int64, 0),
    "receive_time": (np.int64, 0),
    "change": (np.int64, 0),
    "order": (np.int64, np.iinfo(np.int64).min),
}


Owners = Mapping[tuple[str, str], str]
"""(site, `asset/point`) to the agent that reads it."""


def owners_of(plants: Iterable[Plant]) -> Owners:
    """Which agent reads each point of the plants."""
    return {
        (plant.site, point.id): agent
        for plant in plants
        for point in plant.points.values()
        if (agent := plant.agent_of(point))
    }


class SeriesList:
    """Every series seen in this life, numbered from 0; grows only, so it may be shared."""

    def __init__(self) -> None:
        self.keys: list[SeriesKey] = []
        self._numbers: dict[SeriesKey, int] = {}

    def number(self, key: SeriesKey) -> int:
        """The series' number, a new one for a new key."""
        number = self._numbers.setdefault(key, len(self.keys))
        if number == len(self.keys):
            self.keys.append(key)
        return number


class _Saved(msgspec.Struct):
    """The table as a file; columns are little-endian bytes in the order of `rows`."""

    position: int
    rows: list[tuple[str, str]]
    columns: dict[str, bytes]


@dataclass(slots=True)
class _Site:
    points: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    index: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def array(self) -> Ints:
        if len(self.index) != len(self.rows):
            self.index = np.array(self.rows, np.int64)
        return self.index


class LiveTable:
    """Columns over all points of all plants, and over points that only a birth knows.

    `value` (NaN: none), `quality`, `source_time` and `receive_time` (UTC ms, 0: never) and `change`
    are indexed by row. They may be replaced by longer ones when a point is new: read them anew each
    time, never write to them. `position` is the journal position of the last group applied. `series`
    numbers what the store keeps, `owners` says which agent a point of a plant is taken from.
    """

    value: Floats
    quality: Codes
    source_time: Ints
    receive_time: Ints
    change: Ints
    order: Ints

    def __init__(self, plants: Iterable[Plant], *, life: int | None = None) -> None:
        life = secrets.randbits(20) if life is None else life
        self._counter = (life << LIFE_SHIFT) + 1
        self._rows: dict[tuple[str, str], int] = {}
        self._sites: dict[str, _Site] = {}
        self._conditions: dict[str, Mapping[str, RuleNow]] = {}
        self._newest: Group | None = None
        self.position = 0
        self._allocate(64)
        plants = tuple(plants)
        self.owners = owners_of(plants)
        self.series = SeriesList()
        for plant in plants:
            self._sites.setdefault(plant.site, _Site())
            for point in plant.points:
                self.row(plant.site, point)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, site: str, point: str) -> int:
        """The point's row, a new one if it has none yet."""
        row = self._rows.get((site, point))
        if row is None:
            row = self._rows[site, point] = len(self._rows)
            if row >= len(self.value):
                self._allocate(2 * row)
            self._counter += 1
            self.change[row] = self._counter
            place = self._sites.setdefault(site, _Site())
            place.points.append(point)
            place.rows.append(row)
        return row

    def apply(self, group: Group) -> npt.NDArray[np.bool_]:
        """Take up a group; returns which of its readings are now (or were within it) the newest.

        A reading older by source time than its row's last is late and changes nothing; neither does
        back-fill. A source time ahead of its arrival counts as its arrival, so that a clock that ran
        ahead cannot freeze a point; nor can the server's, once it is set back.
        """
        self.position = max(self.position, group.position)
        row, time = group.row, group.time
        if (self.order[row] > group.received + SET_BACK_MS).any():
            self._set_back(group.received)
        order = np.minimum(time, group.received)
        newest: npt.NDArray[np.bool_] = group.live & (order >= self.order[row])
        self._newest = group if newest.all() else None
        if not newest.any():
            return newest
        np.maximum.at(self.order, row[newest], order[newest])
        last = newest & (order == self.order[row])
        touched = row[last]
        self._counter += 1
        # Of several readings of one row the last in order of arrival stays, as numpy assigns in order.
        self.value[touched] = group.value[last]
        self.quality[touched] = group.quality[last]
        self.source_time[touched] = time[last]
        self.receive_time[touched] = group.received
        self.change[touched] = self._counter
        return newest

    def is_newest(self, group: Group) -> bool:
        """Whether the group was applied last, and no reading of it was late or history."""
        return group is self._newest

    # --- LiveView ------------------------------------------------------------------------------

    def snapshot(self, site: str) -> LiveSnapshot:
        """Every point of the site; of a site that is not known, none."""
        place = self._sites.get(site) or _Site()
        return self._columns(place.array(), place.points)

    def changes_since(self, site: str, mark: int) -> LiveSnapshot:
        """Points whose last change came after `mark`; a mark from another life gives everything."""
        if mark >> LIFE_SHIFT != self._counter >> LIFE_SHIFT or mark > self._counter:
            return self.snapshot(site)
        place = self._sites.get(site) or _Site()
        rows = place.array() if mark < self._counter else place.array()[:0]
        changed = np.flatnonzero(self.change[rows] > mark)
        return self._columns(rows[changed], [place.points[i] for i in changed.tolist()])

    def conditions(self, site: str) -> Mapping[str, RuleNow]:
        """Rule id to how it stands, as alarming last said."""
        return self._conditions.get(site, {})

    def set_conditions(self, site: str, conditions: Mapping[str, RuleNow]) -> None:
        """Called by alarming when a rule of the site stands differently."""
        self._conditions[site] = conditions

    # --- file ----------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """The table with its journal position, for `restore`."""
        size = len(self)
        columns = {name: getattr(self, name)[:size].tobytes() for name in _COLUMNS}
        return msgspec.msgpack.encode(_Saved(self.position, list(self._rows), columns))

    def restore(self, saved: bytes) -> int | None:
        """Take up what `dump` gave; returns its journal position, None if it cannot be read.

        All points count as changed, as marks of the earlier life are not of this one.
        """
        try:
            file = msgspec.msgpack.decode(saved, type=_Saved)
            columns = {n: np.frombuffer(file.columns[n], t) for n, (t, _) in _COLUMNS.items()}
        except (msgspec.MsgspecError, KeyError, ValueError):
            return None
        if any(len(column) != len(file.rows) for column in columns.values()):
            return None
        rows = np.array([self.row(site, point) for site, point in file.rows], np.int64)
        self._counter += 1
        for name in _COLUMNS:
            getattr(self, name)[rows] = columns[name]
        self.change[rows] = self._counter
        self.position = file.position
        return file.position

    # --- inside --------------------------------------------------------------------------------

    def _set_back(self, received: int) -> None:
        self._counter += 1
        self.change[self.receive_time > received] = self._counter
        for column in (self.order, self.source_time, self.receive_time):
            np.minimum(column, received, out=column)

    def _columns(self, rows: Ints, points: list[str]) -> LiveSnapshot:
        return LiveSnapshot(
            mark=self._counter,
            points=tuple(points),
            value=self.value[rows],
            quality=self.quality[rows],
            source_time=self.source_time[rows],
            receive_time=self.receive_time[rows],
            change=self.change[rows],
        )

    def _allocate(self, size: int) -> None:
        for name, (kind, empty) in _COLUMNS.items():
            column = np.full(size, empty, kind)
            if hasattr(self, name):
                old = getattr(self, name)
                column[: len(old)] = old
            setattr(self, name, column)


def save(path: Path, content: bytes) -> None:
    """Put the content in place of the file, whole or not at all, and on the disk: the journal lets go of the rest then."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path) -> bytes:
    """The file's content, empty if there is none."""
    return path.read_bytes() if path.is_file() else b""


@dataclass(frozen=True, slots=True)
class SavedFiles:
    """`Saved` in files: the live table as `file`, what else there is beside it (`file.NAME`)."""

    file: Path

    def load(self, name: str) -> bytes | None:
        path = self._path(name)
        return load(path) if path.is_file() else None

    def save(self, name: str, content: bytes) -> None:
        save(self._path(name), content)

    def where(self, name: str) -> str:
        return str(self._path(name))

    def _path(self, name: str) -> Path:
        return self.file if name == TABLE else self.file.with_name(f"{self.file.name}.{name}")
