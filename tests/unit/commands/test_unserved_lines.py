"""Lines that no simulator speaks are refused by their names, not left out in silence."""

import shutil
from pathlib import Path

import pytest

from commands import main
from config.clock import ScaledClock
from config.load import LIBRARY, load_plant
from simulators.estate import Estate
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
    with pytest.raises(NotImplementedError, match="line power: rtu lines are not"):
        async with serving(Estate(plant), ScaledClock(), Access(ports=ports)):
            pass


def test_health_names_a_line_that_nobody_serves(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["healthy", "devices", str(folder)]) == 1
    assert (
        "not simulated, for they are neither tcp nor rtu_over_tcp: power" in capsys.readouterr().err
    )
