"""Every Modbus profile that there is, and every one made of a maker's list, under its own test."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from commands import main, profile_trial
from commands.profile_trial import points_of, try_device, try_simulated
from config.clock import ScaledClock
from config.load import LIBRARY, load_profile
from config.plant import Line, Point
from config.profile import Profile
from simulators.layout import footprint
from simulators.modbus_server import ModbusServer
from simulators.telling import Holding, Round, register, rounds

MAPS = sorted((Path(__file__).parents[1] / "data" / "register_maps").glob("*.json"))
PROFILES = sorted((LIBRARY / "profiles").glob("*.toml"))
MODBUS = [path for path in PROFILES if load_profile(path).protocol == "modbus"]


async def assert_right(profile: Profile) -> None:
    results = await try_simulated(profile)
    assert len(results) == len(profile.points)
    assert [(r.point, r.wrong) for r in results if r.wrong] == []
    assert all(len(result.held) >= 2 for result in results)


@pytest.mark.parametrize("path", MODBUS, ids=lambda path: path.stem)
async def test_every_point_of_a_profile_comes_back_right(path: Path) -> None:
    await assert_right(load_profile(path))


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
async def test_every_point_of_a_makers_list_comes_back_right(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / f"{path.stem}.toml"
    assert main.main(["profile", "import", str(path), "-o", str(made)]) == main.DONE
    assert str(made) in capsys.readouterr().out
    await assert_right(load_profile(made))


SCALED = """
profile = "meter"
version = 1
name = { en = "Meter" }
protocol = "modbus"
class = "energy-meter"

[parts.phase]
count = 3
stride = 10
name = { en = "Phase {n}" }

[points.power_sf]
name = { en = "Exponent of all powers" }
at = "holding:0"
type = "i16"

[points."phase.power"]
name = { en = "Power" }
at = "holding:10"
scale_from = "power_sf"

[points."phase.energy"]
name = { en = "Energy" }
at = "holding:11"
scale_from = "phase.energy_sf"

[points."phase.energy_sf"]
name = { en = "Exponent of its energy" }
at = "holding:12"
type = "i16"
"""


async def test_parts_are_scaled_by_exponents_of_their_own_and_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "meter.toml"
    path.write_text(SCALED, encoding="utf-8")
    await assert_right(load_profile(path))


async def test_a_word_that_comes_back_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = load_profile(LIBRARY / "profiles" / "generator.toml")
    frequency = ("holding", 1031)

    def one_more(points: Sequence[Point]) -> Iterator[Round]:
        for one in rounds(points):
            words = {at: (w + 1) % 65536 if at == frequency else w for at, w in one.words.items()}
            yield Round(one.points, one.told, words)

    monkeypatch.setattr(profile_trial, "rounds", one_more)
    failed = [result for result in await try_simulated(profile) if result.wrong]
    assert [result.point for result in failed] == ["frequency"]
    assert failed[0].wrong[0].startswith("held 0: wanted 0 (good), came 0.1 (good)")


async def test_a_device_is_only_read_and_what_it_refuses_is_named() -> None:
    profile = load_profile(LIBRARY / "profiles" / "generator.toml")
    points = points_of(profile)
    first = next(rounds(points))
    holding = Holding(7, profile.limits, first.words)
    server = ModbusServer(holding, ScaledClock())
    port = await server.start()
    try:
        line = Line("l", "a", "tcp", "127.0.0.1", port)
        results, detail = await try_device(profile, line, 7)
        wanted = {told.point.removeprefix("device/"): told for told in first.told}
        assert {r.point: r.seen.value for r in results if r.point in wanted} == {
            name: told.wanted for name, told in wanted.items()
        }
        assert detail == ""
        nobody, detail = await try_device(profile, line, 8)
        assert {result.seen.quality for result in nobody} == {"no_answer"}
        assert "exception 11" in detail
    finally:
        await server.close()
    assert set(server.functions) <= {1, 2, 3, 4}


@pytest.mark.parametrize("path", MODBUS, ids=lambda path: path.stem)
def test_points_of_a_round_share_no_bit_and_every_point_has_a_turn(path: Path) -> None:
    points = points_of(load_profile(path))
    seen: set[str] = set()
    for one in rounds(points):
        taken: set[tuple[str, int, int]] = set()
        for point in one.points:
            at = register(point)
            own = {(at.table, at.address + n, bit) for n, mask in enumerate(footprint(at)) for bit in range(16) if mask >> bit & 1}  # fmt: skip
            assert not own & taken
            taken |= own
            seen.add(point.id)
    assert seen == {point.id for point in points}


def test_json_maps_name_their_source() -> None:
    assert len(MAPS) == 12
    for path in MAPS:
        assert json.loads(path.read_text(encoding="utf-8"))["source"]
