"""Payloads of the field, read by profiles as people write them: every value, time and reason that they must give."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from config.clock import SteppedClock
from config.load import load_plant
from config.plant import Plant
from edge.device_messages import DeviceMessage, Waiting
from edge.mqtt_reader import MqttDeviceReader
from edge.ports import PointReading
from edge.readings import BAD, QUALITIES

DATA = Path(__file__).parents[1] / "data/mqtt"
SAMPLES = json.loads((DATA / "samples.json").read_text(encoding="utf-8"))["samples"]
IDS = [sample["id"] for sample in SAMPLES]
RECEIVED = 1_800_000_000_000
UNITS = {
    "tasmota-plug": "athomspv3a", "tasmota-weather": "Wetterstation2023",
    "shelly-plus-2pm-switch": "shellyplus2pm-Einfahrt", "zigbee2mqtt-plug": "PS5",
    "thingsboard-gateway": "gateway", "neuron-group": "modbus",
}  # fmt: skip
PLANT = """
site = "house"
name = {{ en = "House" }}
time_zone = "Europe/Vienna"

[lines.broker]
agent = "e"
mqtt = "127.0.0.1:1883"

[devices.d]
profile = "{profile}"
line = "broker"
unit = "{unit}"
asset = "a"

[assets.a]
name = {{ en = "A" }}
system = "lv-distribution"
"""


class Feed:
    """Brings what a test puts in."""

    def __init__(self) -> None:
        self.filters: frozenset[str] = frozenset()
        self.waiting = Waiting()

    async def open(self, filters: frozenset[str]) -> frozenset[str]:
        self.filters = filters
        return frozenset()

    def take(self) -> DeviceMessage | None:
        return self.waiting.take()

    async def close(self) -> None:
        pass


def plant_with(tmp_path: Path, profile: str) -> Plant:
    folder = tmp_path / "plant"
    (folder / "profiles").mkdir(parents=True)
    written = (DATA / "profiles" / f"{profile}.toml").read_text(encoding="utf-8")
    (folder / "profiles" / f"{profile}.toml").write_text(written, encoding="utf-8")
    plant = PLANT.format(profile=profile, unit=UNITS[profile])
    (folder / "plant.toml").write_text(plant, encoding="utf-8")
    return load_plant(folder)


async def heard(plant: Plant, topic: str, *payloads: str) -> list[PointReading]:
    feed = Feed()
    reader = MqttDeviceReader(feed, SteppedClock(RECEIVED))
    points = tuple(plant.points.values())
    await reader.read(plant.devices["d"], points)
    for payload in payloads:
        feed.waiting.add(DeviceMessage(topic, payload.encode(), False, RECEIVED, 0.0))
    return (await reader.read(plant.devices["d"], points)).readings


def expected(sample: Mapping[str, Any]) -> list[tuple[str, float | None, str | None]]:
    return [
        (f"a/{row['point']}", None if row["value"] is None else float(row["value"]), row.get("time"))
        for row in sample["expected"]
    ]  # fmt: skip


def time_of(sample: Mapping[str, Any]) -> int | None:
    said = sample["time"].get("utc")
    return round(datetime.fromisoformat(said).timestamp() * 1000) if said else None


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
async def test_every_point_of_a_sample_is_read_and_no_other(
    sample: Mapping[str, Any], tmp_path: Path
) -> None:
    got = await heard(plant_with(tmp_path, sample["id"]), sample["topic"], sample["payload"])
    wanted = expected(sample)
    assert sorted((r.point, str(r.value)) for r in got) == sorted((p, str(v)) for p, v, _ in wanted)  # fmt: skip
    for point, value, time in wanted:
        (reading,) = [r for r in got if (r.point, r.value) == (point, value)]
        assert (reading.quality == 0) is (value is not None)
        if time:
            assert reading.time == datetime.fromisoformat(time).timestamp() * 1000
        elif value is not None and time_of(sample):
            assert reading.time == time_of(sample)


LOCAL = [
    ("tasmota-plug", "2024-01-14T17:03:15+00:00"),
    ("tasmota-weather", "2023-08-20T09:09:47+00:00"),
]


@pytest.mark.parametrize(("id", "utc"), LOCAL)
async def test_a_local_time_is_in_the_zone_that_the_profile_says(
    id: str, utc: str, tmp_path: Path
) -> None:
    (sample,) = [sample for sample in SAMPLES if sample["id"] == id]
    got = await heard(plant_with(tmp_path, id), sample["topic"], sample["payload"])
    assert {r.time for r in got} == {round(datetime.fromisoformat(utc).timestamp() * 1000)}


async def test_a_value_under_errors_is_a_code_and_no_value(tmp_path: Path) -> None:
    plant = plant_with(tmp_path, "neuron-group")
    (sample,) = [sample for sample in SAMPLES if sample["id"] == "neuron-group"]
    got = {r.point: r for r in await heard(plant, sample["topic"], sample["payload"])}
    assert got["a/tag1"].quality == QUALITIES["device_refused"]
    assert got["a/tag0"].value == 123.0


async def test_a_unit_that_the_message_says_otherwise_gives_no_value(tmp_path: Path) -> None:
    plant = plant_with(tmp_path, "tasmota-weather")
    (sample,) = [sample for sample in SAMPLES if sample["id"] == "tasmota-weather"]
    payload = sample["payload"].replace('"TempUnit":"C"', '"TempUnit":"F"')
    got = {r.point.removeprefix("a/"): r for r in await heard(plant, sample["topic"], payload)}
    assert {name for name, r in got.items() if r.quality >= BAD} == {"probe_temperature", "air_temperature"}  # fmt: skip


async def test_what_is_not_in_a_message_stays_as_it_was(tmp_path: Path) -> None:
    plant = plant_with(tmp_path, "zigbee2mqtt-plug")
    got = await heard(plant, "zigbee2mqtt/PS5", '{"update":{"state":"idle"},"voltage":230.5}')
    assert [(r.point, r.value) for r in got] == [("a/voltage", 230.5)]


WILLS = [
    ("tasmota-plug", "tele/athomspv3a/LWT", "Offline", "Online"),
    ("shelly-plus-2pm-switch", "shellyplus2pm-Einfahrt/online", "false", "true"),
    ("zigbee2mqtt-plug", "zigbee2mqtt/PS5/availability", '{"state":"offline"}', '{"state":"online"}'),
]  # fmt: skip


@pytest.mark.parametrize(("id", "topic", "gone", "back"), WILLS)
async def test_a_will_makes_all_points_of_its_device_bad(
    id: str, topic: str, gone: str, back: str, tmp_path: Path
) -> None:
    plant = plant_with(tmp_path, id)
    assert await heard(plant, topic, back) == []
    got = await heard(plant, topic, back, gone)
    assert {r.point for r in got} == set(plant.points)
    assert {(r.value, r.quality) for r in got} == {(None, QUALITIES["link_down"])}
