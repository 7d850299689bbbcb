"""Which place a point has, told from its asset's first place and its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.plant import Point
from edge.batches import columns_of
from edge.deadbands import Deadbands
from edge.point_table import PointIndex, PointTable, grown
from edge.ports import PointReading
from tests.unit.edge.rows import register_point

ids = st.from_regex(r"([ab]/){1,2}[xyz]{0,2}", fullmatch=True)


def rows(names: list[str | None]) -> list[Point | None]:
    return [None if id is None else register_point(id, 0, id=id) for id in names]


@given(st.lists(st.one_of(st.none(), ids), max_size=30, unique_by=lambda id: id or object()))
def test_it_is_the_dictionary_of_the_places(names: list[str | None]) -> None:
    index = PointIndex(rows(names))
    expected = {id: place for place, id in enumerate(names) if id is not None}
    assert dict(index) == expected
    assert len(index) == len(expected)
    for id in ("a/", "b/x", "a/a/x", "a/b/x", "a/xyz", "nobody/x"):
        assert index.get(id) == expected.get(id)
        assert (id in index) == (id in expected)


def test_points_of_other_assets_that_stand_alike_take_nothing_of_their_own() -> None:
    names = [f"{asset}/{name}" for asset in ("m1", "m2", "m3") for name in ("x", "y", "z")]
    (_, one), (_, two), (_, three) = PointIndex(rows([*names]))._assets.values()
    assert one is two is three


@given(
    st.lists(st.one_of(st.none(), ids), max_size=20, unique_by=lambda id: id or object()), st.data()
)
def test_places_are_those_of_the_index_in_whatever_order_they_are_asked_for(
    names: list[str | None], data: st.DataObject
) -> None:
    table = PointTable(points := rows(names), PointIndex(points))
    known = [id for id in names if id is not None]
    asked = data.draw(st.lists(st.sampled_from([*known, "nobody/x"])) | st.just(known))
    assert table.places(asked) == [names.index(id) if id in names else -1 for id in asked]


def test_a_batch_of_a_point_that_is_not_read_is_refused() -> None:
    table = grown((), rows(["a/x"]))  # type: ignore[arg-type]  # none of them is None
    with pytest.raises(KeyError, match="a/y"):
        columns_of([PointReading("a/x", 1.0, 0, 1), PointReading("a/y", 1.0, 0, 1)], table)


@given(st.permutations(range(8)), st.integers(0, 7))
def test_readings_are_news_of_their_own_points_in_whatever_order_they_come(
    order: list[int], unknown: int
) -> None:
    points = [register_point(str(n), 0, id=f"a{n % 2}/{n}", deadband=0.5) for n in range(8)]
    readings = [PointReading(f"a{n % 2}/{n}", float(n), 0, 1000) for n in order]
    readings.insert(unknown, PointReading("a1/nobody", 1.0, 0, 1000))
    bands = Deadbands(grown((), points))
    known = [one for one in readings if one.point != "a1/nobody"]
    assert bands.news(readings).readings == known
    later = [PointReading(one.point, one.value, 0, 2000) for one in readings]
    assert bands.news(later).readings == []
    assert bands.quiet_s(later) == min(point.spec.quiet_ms for point in points) / 1000 - 1
