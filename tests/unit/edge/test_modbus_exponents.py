"""Values and the exponents that scale them, where one answer does not hold both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from config.plant import Point
from tests.unit.edge.modbus_twins import TwinLine, at, reader_of, reasons, values
from tests.unit.edge.rows import device, register_point

Place = tuple[int, int]
FIRST, THEN = (7, 1), (5, 2)
"""A value's words and its exponent, at one time and later: 70 and 500, whatever else is wrong."""


def places(twin: TwinLine) -> list[Place]:
    """Where, and for how many, it was asked since the last time."""
    asked = [(address, count) for _, _, address, count in twin.asked]
    twin.asked.clear()
    return asked


def scaled(value: int, exponent: int, *others: int) -> list[Point]:
    power = register_point("power", exponent, "i16")
    return [register_point("value", value, scale_from="power"), power, *at(*others)]


def refusing(*wanted: Place, code: int = 2) -> Callable[[int, int], int]:
    """An exception to just these requests."""
    return lambda address, count: code if (address, count) in wanted else 0


def hole(*holes: int) -> Callable[[int, int], int]:
    """As a device that does not have these, and says so by another exception to each alone."""

    def refuses(address: int, count: int) -> int:
        held = [one for one in holes if address <= one < address + count]
        return 0 if not held else 2 if count > 1 else 4

    return refuses


# --- a value is of one moment


@dataclass(frozen=True)
class Scene:
    """A value and its exponent somewhere, other points, and what the device refuses."""

    value: int
    exponent: int
    others: Sequence[int] = ()
    refuses: Callable[[int, int], int] = lambda _address, _count: 0
    missing: frozenset[int] = field(default=frozenset())


SCENES = {
    "in one answer": Scene(100, 104),
    "exponent far behind": Scene(100, 400),
    "exponent far before": Scene(400, 100),
    "a hole between": Scene(100, 104, missing=frozenset({102})),
    "a hole between, exponent first": Scene(104, 100, missing=frozenset({102})),
    "a hole between, others around": Scene(104, 100, (98, 99, 105), missing=frozenset({102})),
    "a refused point between": Scene(100, 104, (102,), missing=frozenset({102})),
    "a point between, refused otherwise": Scene(100, 104, (102,), hole(102)),
    "exponent refused alone, behind": Scene(100, 400, (399, 401), refusing((400, 1))),
    "exponent refused alone, before": Scene(400, 100, (99, 101), refusing((100, 1))),
    "exponent busy alone": Scene(400, 100, (99, 101), refusing((100, 1), code=6)),
    "short answers only": Scene(100, 104, range(90, 100), lambda _, count: 3 if count > 2 else 0),
}


@pytest.mark.parametrize("reloaded", [False, True], ids=["", "reloaded meanwhile"])
@pytest.mark.parametrize("name", SCENES)
async def test_a_value_is_never_told_by_the_exponent_of_another_moment(
    name: str, reloaded: bool
) -> None:
    """Whenever both change, and whatever else of the line is changed just then, for a reader new or settled."""
    scene, changes_at, more = SCENES[name], 0, True
    while more:
        for settled in (False, True):
            more = await _told_rightly(scene, changes_at, settled=settled, reloaded=reloaded)
        changes_at += 1
    assert changes_at > 1


async def _told_rightly(scene: Scene, changes_at: int, *, settled: bool, reloaded: bool) -> bool:
    """Whether a read asks as often as that. The next is right, and good."""
    twin = TwinLine(bad_addresses={1: set(scene.missing)}, refuses=scene.refuses)
    points = scaled(scene.value, scene.exponent, *scene.others)
    reader, _ = reader_of(twin)

    def are(now: tuple[int, int]) -> None:
        twin.words = dict(zip((scene.value, scene.exponent), now, strict=True))

    def changing() -> None:
        if len(twin.asked) == changes_at:
            are(THEN)
            if reloaded:
                reader.forget("another")

    are(FIRST)
    for _ in range(2 * settled):
        await reader.read(device(), points)
    twin.asked.clear()
    twin.before = changing
    told = values((await reader.read(device(), points)).readings)["value"]
    asked = len(places(twin))
    assert told in ({70.0, 500.0, None} if changes_at < asked else {70.0})
    twin.before = lambda: are(THEN)
    assert values((await reader.read(device(), points)).readings)["value"] == 500.0
    return changes_at < asked


# --- an exponent that is refused by itself


@pytest.mark.parametrize("code", [2, 4])
@pytest.mark.parametrize(("value", "exponent"), [(400, 11), (0, 401)], ids=["before", "behind"])
async def test_an_exponent_that_comes_only_among_others_is_asked_for_among_them_which_is_said_once(
    value: int, exponent: int, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    twin = TwinLine(words={value: 7, exponent: 1}, refuses=refusing((exponent, 1), code=code))
    reader, _ = reader_of(twin)
    points = scaled(value, exponent, exponent - 1, exponent + 1)
    for unit in ("1", "2", "1", "2"):
        result = await reader.read(device(f"d{unit}", unit=unit), points)
        assert values(result.readings)["value"] == 70.0
        assert set(reasons(result).values()) == {"good"}
    group = exponent - 1, 3
    assert places(twin)[-6:] == [group, (value, 1), group] * 2
    assert [record.getMessage() for record in caplog.records] == [
        f"profile m: device d1 refuses exponents asked for alone, now asked for with others: ['holding {exponent}']"
    ]


async def test_an_exponent_that_is_given_alone_is_not_said_to_be_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is asked for again for a value that a hole took from it, and was alone for one far away."""
    twin = TwinLine(bad_addresses={1: {102}}, words={104: 0})
    reader, _ = reader_of(twin)
    points = [*scaled(100, 104), register_point("far", 400, scale_from="power")]
    assert set(reasons(await reader.read(device(), points)).values()) == {"good"}
    assert places(twin)[-2:] == [(100, 1), (104, 1)]
    assert "alone" not in caplog.text


async def test_an_exponent_that_is_given_once_only_takes_its_value_with_the_reason() -> None:
    """And it is not asked for on and on."""
    group, alone = (10, 3), (11, 1)
    twin = TwinLine(words={400: 7, 11: 1})

    def refuses(address: int, count: int) -> int:
        asked = [row[2:] for row in twin.asked]
        return 4 if (address, count) == alone or asked.count(group) > 1 else 0

    twin.refuses = refuses
    reader, _ = reader_of(twin)
    result = await reader.read(device(), scaled(400, 11, 10, 12))
    assert sorted(places(twin)) == [group, group, alone, (400, 1), (400, 1)]
    bad = {name: why for name, why in reasons(result).items() if why != "good"}
    assert bad == {"value": "device_refused"}


async def test_where_an_exponent_is_confirmed_over_a_hole_that_is_refused_is_learned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is asked for beside that does not touch the hole: one request ends before it, another begins behind it."""
    twin = TwinLine(bad_addresses={1: {125}}, words={124: 0, 126: 0})
    reader, _ = reader_of(twin)
    powers = [register_point(f"power{a}", a, "i16") for a in (124, 126)]
    far = [register_point(f"{a + 1000}", a + 1000, scale_from=f"power{a}") for a in (124, 126)]
    points = [*at(*range(2, 124)), *powers, *at(*range(127, 240)), *far]
    assert set(reasons(await reader.read(device(), points)).values()) == {"good"}
    assert (124, 3) in places(twin)
    assert set(reasons(await reader.read(device(), points)).values()) == {"good"}
    assert not [one for one in places(twin) if one in ((124, 3), (125, 1))]
    assert [record.getMessage() for record in caplog.records] == [
        "profile m: device d refuses holding 124..126: exception 2, now read apart: [('holding', 124, 126)]"
    ]


@pytest.mark.parametrize("bad_at", [1, 2, 3])
@pytest.mark.parametrize("value", [0, 800], ids=["behind", "before"])
async def test_a_value_has_the_reason_of_its_exponent_if_that_is_none_before_or_after_it(
    value: int, bad_at: int
) -> None:
    twin = TwinLine()
    twin.before = lambda: twin.words.update({400: 0x8000 if len(twin.asked) + 1 == bad_at else 1})
    reader, _ = reader_of(twin)
    power = register_point("power", 400, "i16", no_data=(0x8000,))
    points = [register_point("value", value, scale_from="power"), power]
    result = await reader.read(device(), points)
    exponent_asked = twin.asked[bad_at - 1][2] == 400
    assert reasons(result)["value"] == ("sensor_fault" if exponent_asked else "good")
    assert len(twin.asked) == 3


# --- what came stays


async def test_what_came_before_a_device_fell_silent_is_told_though_it_was_to_be_asked_again() -> (
    None
):
    twin = TwinLine(bad_addresses={1: {102}}, words={100: 7, 104: 1}, fails_at=5)
    reader, _ = reader_of(twin)
    result = await reader.read(device(), scaled(100, 104, 400))
    assert places(twin) == [(100, 5), (100, 1), (104, 1), (400, 1), (100, 1)]
    assert result.lost
    assert values(result.readings) == {"value": None, "power": 1, "400": 400}
    assert reasons(result) == {"value": "no_answer", "power": "good", "400": "good"}


@pytest.mark.parametrize(("code", "reason"), [(4, "device_refused"), (10, "no_answer")])
async def test_a_value_has_the_reason_for_which_its_exponent_is_not_given_again(
    code: int, reason: str
) -> None:
    twin = TwinLine(words={100: 7, 104: 1})
    twin.refuses = lambda _address, count: 2 if count > 1 else code * (len(twin.asked) > 4)
    reader, _ = reader_of(twin)
    result = await reader.read(device(), scaled(100, 104))
    assert reasons(result) == {"value": reason, "power": "good"}
    assert result.lost is (code == 10)


async def test_a_value_that_is_known_to_be_right_is_told_though_the_device_falls_silent_then() -> (
    None
):
    twin = TwinLine(words={0: 7, 200: 1, 400: 1}, fails_at=4)
    reader, _ = reader_of(twin)
    result = await reader.read(device(), scaled(0, 200, 400))  # exponent, value, exponent, other
    assert reasons(result) == {"value": "good", "power": "good", "400": "no_answer"}
