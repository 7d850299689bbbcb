"""The table of an epoch: which point each index means, for ever. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from config.plant import Point
from edge.readings import PointRow


@dataclass(frozen=True, slots=True)
class PointTable:
    """By index the point that is read now, or None where only a row is left of it.

    A row takes five times what a point's place takes here, so it is made when it is asked for.
    """

    points: Sequence[Point | None] = ()
    index: Mapping[str, int] = field(default_factory=dict)
    """Point to its index, of those that are not retired."""
    left: Mapping[int, PointRow] = field(default_factory=dict)
    """Index to its row where it has no point: retired, or of a file whose plant is not known yet."""

    def point(self, id: str) -> Point | None:
        """The point of that id, if it is read now."""
        index = self.index.get(id)
        return None if index is None else self.points[index]

    def row(self, index: int) -> PointRow:
        """What the birth says of an index."""
        point = self.points[index]
        return self.left[index] if point is None else _row(index, point)

    def rows(self) -> Iterator[PointRow]:
        """The whole table."""
        return map(self.row, range(len(self.points)))

    def changed(self, old: "PointTable") -> Iterator[PointRow]:
        """Rows that are not as they were in `old`, from which this one has grown."""
        known = len(old.points)
        return (row for row in self.rows() if row.index >= known or row != old.row(row.index))


def table_of(rows: Iterable[PointRow]) -> PointTable:
    """The table that a file holds, in the order of its indexes."""
    left = {row.index: row for row in rows}
    index = {row.point: row.index for row in left.values() if not row.retired}
    return PointTable([None] * len(left), index, left)


def grown(table: PointTable, points: Iterable[Point]) -> PointTable:
    """The table with these points live: an index means one point, unit, kind and scale for ever."""
    wanted = {point.id: point for point in points}
    placed: list[Point | None] = []
    index: dict[str, int] = {}
    left: dict[int, PointRow] = {}
    for row in table.rows():
        point = wanted.get(row.point)
        if point is not None and row.point not in index and _means(point) == _meaning(row):
            index[point.id] = row.index
            placed.append(point)
        else:
            left[row.index] = msgspec.structs.replace(row, retired=True)
            placed.append(None)
    for point in wanted.values():
        if point.id not in index:
            index[point.id] = len(placed)
            placed.append(point)
    return PointTable(placed, index, left)


def _meaning(row: PointRow) -> tuple[str, str, int]:
    return row.unit, row.kind, row.decimals


def _means(point: Point) -> tuple[str, str, int]:
    return point.unit, point.kind, point.decimals


def _row(index: int, point: Point) -> PointRow:
    return PointRow(
        index=index, point=point.id, unit=point.unit, kind=point.kind, decimals=point.decimals,
        lane=point.lane, period_s=point.period_s, longest_silence_s=point.longest_silence_s,
    )  # fmt: skip
