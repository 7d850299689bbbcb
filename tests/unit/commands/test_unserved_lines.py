"""Lines that no simulator speaks are refused by their names, not left out in silence."""

import shutil
from pathlib import Path

import pytest

from commands import main
from commands.access import write_secret
from commands.scenarios import run_scenario
from config.clock import ScaledClock
from config.load import LIBRARY, load_plant
from config.mistakes import ConfigErrors
from simulators.estate import Estate
from simulators.scenario import read_scenario
from simulators.serving import Access, serving


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Riverside, whose power is on a serial bus."""
    monkeypatch.setenv("STEWARD_DATA", str(tmp_path / "data"))
    folder = tmp_path / "plants" / "riverside"
    shutil.copytree(LIBRARY / "plants" / "riverside", folder)
    path = folder / "plant.toml"
    text = path.read_text(encoding="utf-8")
    old = 'tcp = "127.0.0.1:15024"'
    assert old in text
    bus = 'rtu = "/dev/ttyUSB9"\nbaud = 9600\nparity = "even"'
    path.write_text(text.replace(old, bus), encoding="utf-8")
    return folder


async def test_the_simulator_refuses_a_line_that_it_cannot_serve(folder: Path) -> None:
    plant = load_plant(folder)
    ports = dict.fromkeys(plant.lines, 0)
    with pytest.raises(ConfigErrors) as refused:
        async with serving(Estate(plant), ScaledClock(), Access(ports=ports)):
            pass
    assert str(refused.value) == (
        "plant.toml: lines.power: is rtu, which is not simulated on sockets;"
        " allowed: tcp, rtu_over_tcp, mqtt, rtsp, fire"
    )


def test_the_command_names_the_line_and_starts_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_secret(folder.parents[1] / "data" / "secrets" / "broker-devices.riverside.pits", "word")
    assert main.main(["simulate", "devices", str(folder)]) == main.WRONG_USE
    assert "plant.toml: lines.power: is rtu, which is not" in capsys.readouterr().err


def test_a_scenario_without_wires_names_a_line_that_it_cannot_play(folder: Path) -> None:
    path = folder / "plant.toml"
    text = path.read_text(encoding="utf-8")
    fires = "[lines.fires]\nagent = 'edge-b'\nfire = '127.0.0.1:5200'\n\n[devices.booster-a]"
    path.write_text(text.replace("[devices.booster-a]", fires, 1), encoding="utf-8")
    scenario = folder / "nothing.toml"
    scenario.write_text('about = "Nothing"\nplant = "riverside"\nexpect = []\n', encoding="utf-8")
    with pytest.raises(ConfigErrors) as refused:
        run_scenario(read_scenario(scenario), load_plant(folder))
    assert str(refused.value) == (
        "plant.toml: lines.fires: is fire, which is not simulated in a scenario without wires = true;"
        " allowed: tcp, tls, rtu, rtu_over_tcp, mqtt, rtsp, simulated"
    )


def test_a_tls_line_is_played_by_its_twin_where_others_go_by_wire(folder: Path) -> None:
    (folder / "ca.pem").touch()
    path = folder / "plant.toml"
    text = path.read_text(encoding="utf-8")
    old, new = 'tcp = "127.0.0.1:15021"', 'tls = "127.0.0.1:15021"\nca = "ca.pem"'
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    scenario = folder / "nothing.toml"
    scenario.write_text(WIRED, encoding="utf-8")
    verdict = run_scenario(read_scenario(scenario), load_plant(folder))
    assert len(verdict.rows) == 2
    assert verdict.ok, verdict.rows


WIRED = """
about = "Nothing happens"
plant = "riverside"
wires = true
lasts = "90s"

[[expect]]
reading = { point = "a-booster/discharge_pressure", quality = "good", during = ["5s", "90s"] }

[[expect]]
reading = { point = "b-booster/discharge_pressure", quality = "good", during = ["5s", "90s"] }
"""


def test_health_names_a_line_that_nobody_serves(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["healthy", "devices", str(folder)]) == 1
    assert (
        "not simulated, for they are neither tcp nor rtu_over_tcp: power" in capsys.readouterr().err
    )
