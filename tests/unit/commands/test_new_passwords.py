"""A password that is changed in its file is taken with the next connection: no restart, no reload."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from commands.edge import Readers
from commands.serving import plant_of
from config.clock import ScaledClock
from config.load import LIBRARY
from config.plant import Line, Plant, Point, Secret
from config.settings import read_settings
from edge.ports import PointReader
from simulators.camera_server import CameraServer, Login
from simulators.physics.camera import CameraState
from tests.unit.simulators.brokers import small_broker

Made = Callable[[str, Line], PointReader]


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEWARD_DATA", str(tmp_path))
    monkeypatch.setenv("STEWARD_SECRETS", str(tmp_path))
    return tmp_path


def riverside() -> Plant:
    return plant_of(str(LIBRARY / "plants" / "riverside"), read_settings())


def points_of(plant: Plant, device: str) -> list[Point]:
    return [point for point in plant.points.values() if point.device == device]


async def test_of_devices_broker(secrets: Path) -> None:
    plant = riverside()
    pit, points = plant.devices["pit"], points_of(plant, "pit")
    (secrets / "pits").write_text("old", encoding="utf-8")
    async with small_broker() as broker:
        line = replace(plant.lines["pits"], port=broker.port, user="u", secret=Secret("pits"))
        reader = Readers(read_settings(), ScaledClock()).make(plant, line)
        await reader.read(pit, points)
        await reader.close()
        (secrets / "pits").write_text("new", encoding="utf-8")
        await reader.read(pit, points)
        await reader.close()
        (secrets / "pits").unlink()
        await reader.read(pit, points)
        await reader.close()
        assert broker.users == [("u", "old"), ("u", "new"), ("u", "new")], "a lost file loses none"


async def test_of_a_camera(secrets: Path) -> None:
    plant = riverside()
    camera = plant.devices["camera-1"]
    (described,) = [p for p in points_of(plant, camera.id) if p.id.endswith("/stream")]
    (secrets / "cameras").write_text("old", encoding="utf-8")
    server = CameraServer(CameraState, ScaledClock(), Login("steward", "new"), "/stream1")
    line = replace(plant.lines[camera.line], port=await server.start())
    try:
        readers = Readers(read_settings(), ScaledClock())
        readers.know(plant)
        reader = readers.make(replace(plant, devices={camera.id: camera}), line)
        refused = await reader.read(camera, [described])
        (secrets / "cameras").write_text("new", encoding="utf-8")
        taken = await reader.read(camera, [described])
        told = [reading.value for result in (refused, taken) for reading in result.readings]
        assert told == [0.0, 1.0]
        await reader.close()
    finally:
        await server.close()
