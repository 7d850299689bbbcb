"""The table of an epoch: which point each index means, for ever. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import msgspec

from config.plant import Point
from edge.readings import PointRow


class PointIndex(Mapping[str, int]):
    """Point (`asset/name`) to its place among these, of those that are not None.

    Of an asset only its first place is held; where the points of several stand alike behind it they share
    one table of names. A dict took 50 bytes for every point.
    """

    __slots__ = ("_assets",)

    def __init__(self, points: Iterable[Point | None] = ()) -> None:
        self._assets: dict[str, tuple[int, Mapping[str, int]]] = {}
        """By asset the place of its first point, and how far behind it each of its points stands."""
        alike: dict[tuple[tuple[str, int], ...], Mapping[str, int]] = {}
        live = (
            (*_split(point.id), place) for place, point in enumerate(points) if point is not None
        )
        for asset, own in groupby(live, itemgetter(0)):
            places = {name: place for _, name, place in own}
            first, known = self._assets.get(asset, (min(places.values()), {}))
            names = {**known, **{name: place - first for name, place in places.items()}}
            self._assets[asset] = first, alike.setdefault(tuple(names.items()), names)

    def __getitem__(self, id: str) -> int:
        asset, _, name = id.rpartition("/")
        first, names = self._assets[asset]
        return first + names[name]

    def __iter__(self) -> Iterator[str]:
        return (f"{asset}/{name}" for asset, (_, names) in self._assets.items() for name in names)

    def __len__(self) -> int:
        return sum(len(names) for _, names in self._assets.values())


def _split(id: str) -> tuple[str, str]:
    asset, _, name = id.rpartition("/")
    return asset, name


@dataclass(frozen=True, slots=True)
class PointTable:
    """By index the point that is read now, None where it is retired. Its row is made when it is asked for."""

    points: Sequence[Point | None] = ()
    index: Mapping[str, int] = field(default_factory=PointIndex)
    """Point to its index, of those that are read now."""
    retired: Mapping[int, PointRow] = field(default_factory=dict)

    def point(self, id: str) -> Point | None:
        """The point of that id, if it is read now."""
        index = self.index.get(id)
        return None if index is None else self.points[index]

    def places(self, ids: Iterable[str]) -> list[int]:
        """The index of each of these points, -1 of one that is not read now."""
        points, index_of, last = self.points, self.index.get, len(self.points) - 1
        places: list[int] = []
        place = -1
        for id in ids:
            point = points[place + 1] if place < last else None
            if point is not None and point.id == id:
                place += 1  # most follow each other as they stand here
            else:
                place = index_of(id, -1)
            places.append(place)
        return places

    def live(self) -> Iterator[Point]:
        """All points that are read now."""
        return (point for point in self.points if point is not None)

    def row(self, index: int) -> PointRow:
        """What the birth says of an index."""
        point = self.points[index]
        return self.retired[index] if point is None else _row(index, point)

    def rows(self) -> Iterator[PointRow]:
        """The whole table."""
        return map(self.row, range(len(self.points)))


def grown(rows: Iterable[PointRow], points: Iterable[Point]) -> PointTable:
    """The table of these rows with these points live: an index means one point, unit, kind and scale for ever."""
    wanted = {point.id: point for point in points}
    placed: list[Point | None] = []
    live: set[str] = set()
    retired: dict[int, PointRow] = {}
    for row in rows:
        point = wanted.get(row.point)
        if point is not None and point.id not in live and _means(point) == _meaning(row):
            live.add(point.id)
            placed.append(point)
        else:
            retired[len(placed)] = msgspec.structs.replace(row, retired=True)
            placed.append(None)
    placed += [point for point in wanted.values() if point.id not in live]
    return PointTable(placed, PointIndex(placed), retired)


def _meaning(row: PointRow) -> tuple[str, str, int]:
    return row.unit, row.kind, row.decimals


def _means(point: Point) -> tuple[str, str, int]:
    return point.unit, point.kind, point.decimals


def _row(index: int, point: Point) -> PointRow:
    return PointRow(
        index=index, point=point.id, unit=point.unit, kind=point.kind, decimals=point.decimals,
        lane=point.lane, period_s=point.period_s, longest_silence_s=point.longest_silence_s,
    )  # fmt: skip
