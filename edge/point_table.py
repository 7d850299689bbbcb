"""The table of an epoch: which point each index means, for ever. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from config.plant import Point
from edge.readings import PointRow


@dataclass(frozen=True, slots=True)
class PointTable:
    """By index the point that is read now, None where it is retired. Its row is made when it is asked for."""

    points: Sequence[Point | None] = ()
    index: Mapping[str, int] = field(default_factory=dict)
    """Point to its index, of those that are read now."""
    retired: Mapping[int, PointRow] = field(default_factory=dict)

    def point(self, id: str) -> Point | None:
        """The point of that id, if it is read now."""
        index = self.index.get(id)
        return None if index is None else self.points[index]

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
    index: dict[str, int] = {}
    retired: dict[int, PointRow] = {}
    for row in rows:
        point = wanted.get(row.point)
        if point is not None and point.id not in index and _means(point) == _meaning(row):
            index[point.id] = len(placed)
            placed.append(point)
        else:
            retired[len(placed)] = msgspec.structs.replace(row, retired=True)
            placed.append(None)
    for point in wanted.values():
        if point.id not in index:
            index[point.id] = len(placed)
            placed.append(point)
    return PointTable(placed, index, retired)


def _meaning(row: PointRow) -> tuple[str, str, int]:
    return row.unit, row.kind, row.decimals


def _means(point: Point) -> tuple[str, str, int]:
    return point.unit, point.kind, point.decimals


def _row(index: int, point: Point) -> PointRow:
    return PointRow(
        index=index, point=point.id, unit=point.unit, kind=point.kind, decimals=point.decimals,
        lane=point.lane, period_s=point.period_s, longest_silence_s=point.longest_silence_s,
    )  # fmt: skip
