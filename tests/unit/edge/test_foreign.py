"""A protocol that an installed package brings: found by name, read like any other, and no harm to other lines."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from commands.edge import Readers
from config.clock import SteppedClock
from config.load import load_plant
from config.mistakes import ConfigErrors
from config.plant import Plant
from config.profile import Foreign
from config.settings import read_settings
from edge.foreign import ForeignReader
from edge.poller import Poller
from edge.ports import PointReading
from edge.readings import QUALITY_NAMES

PROFILE = """
profile = "thermostat"
version = 1
name = { en = "Thermostat" }
protocol = "bacnet"
class = "thermostat"

[parts.zone]
count = 2
name = { en = "Zone {n}" }

[points."zone.temperature"]
name = { en = "Temperature" }
at = "analog-input,{n}"
unit = "°C"
"""
PLANT = """
site = "tower"
name = { en = "Tower" }
time_zone = "Asia/Shanghai"

[lines.rooms]
agent = "e"
reader = "bacnet"
at = "10.0.0.0/24"
password = { secret = "rooms" }

[devices.t]
profile = "thermostat"
line = "rooms"
unit = "4711"
asset = "rooms"

[assets.rooms]
name = { en = "Rooms" }
system = "secondary-water"
"""
CODE = """
from edge.ports import PointReading, ReadResult

class Bacnet:
    def __init__(self, line, devices, clock, password_of):
        self.line, self.devices, self.clock = line, devices, clock
        self.word = password_of(line.secret)

    async def read(self, device, points):
        told = [(p, float(p.source.at.partition(",")[2])) for p in points]
        return ReadResult([PointReading(p.id, value, 0, self.clock.now()) for p, value in told])

    def forget(self, device):
        pass

    def words(self):
        return f"{len(self.devices)} devices at {self.line.path}"

    async def close(self):
        pass
"""
BROKEN = {
    "no such module": "import nothing_of_that_name",
    "no such name": "Bacnot = 1",
    "made wrongly": "def Bacnet(*_):\n    raise RuntimeError('no licence')",
}
Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lays a package on the path as pip would, that brings the reader `bacnet` with this code."""
    path = tmp_path / "packages"
    about = path / "steward_bacnet-1.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: steward-bacnet\nVersion: 1.2\n")
    points = "[steward.readers]\nbacnet = steward_bacnet:Bacnet\n"
    (about / "entry_points.txt").write_text(points)
    monkeypatch.setenv("STEWARD_SECRET_ROOMS", "word")

    def lay(code: str) -> None:
        (path / "steward_bacnet.py").write_text(code)
        monkeypatch.syspath_prepend(str(path))

    yield lay
    sys.modules.pop("steward_bacnet", None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plants" / "tower"
    (folder / "profiles").mkdir(parents=True)
    (folder / "plant.toml").write_text(PLANT, encoding="utf-8")
    (folder / "profiles" / "thermostat.toml").write_text(PROFILE, encoding="utf-8")
    return folder


async def polled(plant: Plant, seconds: float = 15.0) -> tuple[list[PointReading], Poller]:
    """What the line `rooms` tells in so long, read as `steward edge` reads it."""
    clock, told = SteppedClock(), list[PointReading]()
    reader = Readers(read_settings(), clock).make(plant, plant.lines["rooms"])
    poller = Poller(plant, "rooms", reader, clock, np.random.default_rng(1))
    task = asyncio.ensure_future(poller.run(told.extend))
    await clock.advance(seconds)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return told, poller


async def test_a_reader_that_a_package_brings_reads_what_its_profile_says(
    folder: Path, install: Install
) -> None:
    install(CODE)
    plant = load_plant(folder)
    sources = {point.source for point in plant.points.values() if point.device == "t"}
    assert sources == {Foreign("analog-input,1"), Foreign("analog-input,2")}
    told, poller = await polled(plant)
    assert {(r.point, r.value) for r in told} == {
        ("rooms/zone-1/temperature", 1.0), ("rooms/zone-2/temperature", 2.0),
    }  # fmt: skip
    assert poller.words(1.0).endswith("; 1 devices at 10.0.0.0/24")


@pytest.mark.parametrize("name", BROKEN)
async def test_a_package_that_cannot_be_used_is_named_and_its_line_is_down(
    name: str, folder: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(BROKEN[name])
    told, poller = await polled(load_plant(folder))
    assert {QUALITY_NAMES[r.quality] for r in told} == {"link_down"}
    lost = [r.getMessage() for r in caplog.records if "line rooms lost" in r.getMessage()]
    assert len(lost) == 1
    assert "reader bacnet of package steward-bacnet 1.2 cannot be used: " in lost[0]
    assert poller.words(1.0).endswith("package steward-bacnet 1.2 cannot be used")


async def test_what_a_reader_raises_stays_on_its_line(
    folder: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(CODE.replace("told = [", "raise KeyError(device.id)\n        told = [").replace("        pass", "        raise OSError('gone')"))  # fmt: skip
    told, _ = await polled(load_plant(folder))
    assert {QUALITY_NAMES[r.quality] for r in told} == {"link_down"}
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert (
        "line rooms lost: reader bacnet of package steward-bacnet 1.2 failed: KeyError: 't'" in said
    )
    assert "reader bacnet of package steward-bacnet 1.2 failed" in said, "at its end too"


async def test_a_package_that_was_taken_away_meanwhile_is_said(
    folder: Path, install: Install
) -> None:
    install(CODE)
    plant = load_plant(folder)
    (line,) = plant.lines.values()
    sys.path.remove(str(folder.parents[1] / "packages"))
    reader = ForeignReader(line, [], SteppedClock(), lambda _: "")
    result = await reader.read(plant.devices["t"], list(plant.points.values())[:1])
    assert (result.lost, result.line_lost, result.detail) == (
        True,
        True,
        "reader bacnet is not installed",
    )


def mistakes(folder: Path) -> list[str]:
    with pytest.raises(ConfigErrors) as found:
        load_plant(folder)
    return str(found.value).splitlines()


def test_a_reader_that_nobody_has_installed_is_a_mistake_with_what_is_allowed(
    folder: Path, install: Install
) -> None:
    assert mistakes(folder) == [
        "plants/tower/plant.toml: lines.rooms.reader: 'bacnet' is unknown; allowed: none, for no package that brings a reader is installed",
        "plants/tower/profiles/thermostat.toml: protocol: 'bacnet' is unknown; allowed: camera, gb26875, modbus, mqtt",
    ]  # fmt: skip
    install(CODE)
    path = folder / "plant.toml"
    path.write_text(PLANT.replace('"bacnet"', '"knx"'), encoding="utf-8")
    assert mistakes(folder) == [
        "plants/tower/plant.toml: lines.rooms.reader: 'knx' is unknown; allowed: bacnet",
        "plants/tower/plant.toml: devices.t.line: rooms is knx; thermostat needs reader = 'bacnet'",
    ]


def test_what_no_other_reader_uses_is_a_mistake(folder: Path, install: Install) -> None:
    install(CODE)
    path = folder / "profiles" / "thermostat.toml"
    path.write_text(f"{PROFILE}scale = 0.1\n[modbus]\nmax_words = 9\n", encoding="utf-8")
    found = mistakes(folder)
    assert any("points.zone.temperature.scale: is not used by a point of protocol bacnet" in m for m in found)  # fmt: skip
    assert any("modbus: is not used by protocol bacnet" in m for m in found)
