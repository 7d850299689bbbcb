"""Profiles and lines of fire transmission devices: what they say, and every mistake in them at once."""

import shutil
from pathlib import Path

import pytest

from config.gb26875 import ANALOGUES
from config.load import LIBRARY, load_plant
from config.mistakes import ConfigErrors
from config.plant import Plant
from config.profile import FirePlace, FireValue

PLANT = """
site = "tower"
name = { en = "Tower", zh = "塔楼" }
time_zone = "Asia/Shanghai"

[lines.panels]
agent = "e"
fire = "0.0.0.0:9099"

[devices.panel-a]
profile = "panel"
line = "panels"
unit = 889
asset = "fire-a"

[devices.panel-b]
profile = "panel"
line = "panels"
unit = 0
asset = "fire-b"

[assets.fire-a]
name = { en = "Fire alarm A" }
system = "fire-alarm"

[assets.fire-b]
name = { en = "Fire alarm B" }
system = "fire-alarm"
"""
PROFILE = """
profile = "panel"
version = 1
name = { en = "Panel" }
protocol = "gb26875"
class = "fire-panel"

[gb26875]
heartbeat = "20s"

[parts.zone]
count = 2
name = { en = "Zone {n}" }

[points.mains]
name = { en = "Mains fault" }
kind = "flag"
at = "device:3"

[points.mode]
name = { en = "Mode" }
kind = "state"
at = "system:1-1:11"
names = { 0 = { id = "automatic", en = "Automatic" }, 1 = { id = "manual", en = "Manual" } }

[points."zone.detector"]
name = { en = "Detector" }
kind = "flags"
at = "component:1-1/40@{n}-7"
lane = "event"
bits = { 1 = "fire", 2 = { id = "fault", en = "Detector fault" } }

[points.pressure]
name = { en = "Main pressure" }
at = "analogue:11-1/0-1:5"
unit = "bar"
scale = 0.01
longest_silence = "90s"

[points.level]
name = { en = "Tank level" }
at = "analogue:11-1/92@0-2:2"
unit = "m"
"""


def written(tmp_path: Path, old: str = "", new: str = "") -> Path:
    """The plant's folder, with one thing replaced in whichever file holds it."""
    folder = tmp_path / "plants" / "tower"
    (folder / "profiles").mkdir(parents=True)
    assert not old or old in PLANT + PROFILE, old
    (folder / "plant.toml").write_text(
        PLANT.replace(old, new, 1) if old else PLANT, encoding="utf-8"
    )
    (folder / "profiles" / "panel.toml").write_text(PROFILE.replace(old, new, 1) if old else PROFILE, encoding="utf-8")  # fmt: skip
    return folder


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return load_plant(written(tmp_path))


def test_every_point_says_its_place_and_its_bit(plant: Plant) -> None:
    source = {id.removeprefix("fire-a/"): p.source for id, p in plant.points.items() if p.device == "panel-a"}  # fmt: skip
    assert source == {
        "mains": FireValue(FirePlace("device"), 3),
        "mode": FireValue(FirePlace("system", 1, 1), 11),
        "zone-1/fire": FireValue(FirePlace("component", 1, 1, 1, 7), 1, 40),
        "zone-1/fault": FireValue(FirePlace("component", 1, 1, 1, 7), 2, 40),
        "zone-2/fire": FireValue(FirePlace("component", 1, 1, 2, 7), 1, 40),
        "zone-2/fault": FireValue(FirePlace("component", 1, 1, 2, 7), 2, 40),
        "pressure": FireValue(FirePlace("analogue", 11, 1, 0, 1, 5), None, None, 0.01),
        "level": FireValue(FirePlace("analogue", 11, 1, 0, 2, 2), None, 92),
    }
    assert plant.points["fire-a/zone-2/fire"].lane == "event"
    assert plant.points["fire-a/level"].decimals == 2


def test_a_device_is_silent_after_three_heartbeats_and_its_points_later(plant: Plant) -> None:
    assert plant.profiles["panel"].silence_s == 60.0
    assert plant.points["fire-a/mains"].longest_silence_s == 120.0
    assert plant.points["fire-a/pressure"].longest_silence_s == 90.0


def test_a_line_is_where_we_listen_and_a_unit_a_source_address(plant: Plant) -> None:
    line = plant.lines["panels"]
    assert (line.kind, line.host, line.port) == ("fire", "0.0.0.0", 9099)  # noqa: S104  # as written
    assert [device.unit for device in plant.devices.values()] == ["889", "0"]


WRONG = [
    ("no form", '"device:3"', '"holding:3"', "points.mains.at: 'holding:3' is not of the form device[:BIT]"),
    ("no place", '"device:3"', '""', "points.mains.at: '' is not of the form"),
    ("a device with a system", '"device:3"', '"device:1-1:3"', "is not of the form"),
    ("a system without a number", '"system:1-1:11"', '"system:11"', "points.mode.at: 'system:11' is not of the form"),
    ("a system with a component", '"system:1-1:11"', '"system:1-1/1-1:11"', "is not of the form"),
    ("a component without a zone", '"component:1-1/40@{n}-7"', '"component:1-1"', "is not of the form"),
    ("digits of another script", '"device:3"', '"device:٣"', "is not of the form"),
    ("a bit that is reserved", '"device:3"', '"device:7"', "points.mains.at: bit 7 of a device is reserved; allowed: 0 (normal), 1 (fire)"),
    ("a component's reserved bit", "bits = { 1", "bits = { 9", "points.zone.detector.bits.9: is not a bit in 0..8"),
    ("no bit", '"device:3"', '"device"', "points.mains.at: 'device' says no bit; allowed: 0 (normal)"),
    ("flags with a bit", '40@{n}-7"', '40@{n}-7:1"', "is one bit: flags name theirs in `bits`"),
    ("a system type of 256", '"system:1-1:11"', '"system:256-1:11"', "points.mode.at: system type 256 is not in 0..255"),
    ("a system address of 300", '"system:1-1:11"', '"system:1-300:11"', "system address 300 is not in 0..255"),
    ("a component type of 999", "40@{n}-7", "999@{n}-7", "component type 999 is not in 0..255"),
    ("a zone of 70000", "40@{n}-7", "40@70000-7", "zone 70000 is not in 0..65535"),
    ("a measured flag", 'at = "analogue:11-1/92@0-2:2"', 'kind = "flag"\nat = "analogue:11-1/92@0-2:2"', "points.level.kind: 'flag' is not what analogue tells; allowed: measurement, counter"),
    ("a bit that is measured", 'kind = "flag"\n', "", "points.mains.kind: 'measurement' is not what device tells; allowed: flag, state, flags"),
    ("a bit with a scale", 'at = "device:3"', 'at = "device:3"\nscale = 0.1', "points.mains.scale: is not used by a bit"),
    ("a bit with a unit", 'at = "device:3"', 'at = "device:3"\nunit = "V"', "points.mains.unit: is not used by a bit"),
    ("a bit that is 2", "1 = { id = \"manual\"", "2 = { id = \"manual\"", "points.mode.names: '2' is no value of a bit; allowed: 0, 1"),
    ("a reserved analogue type", "0-2:2", "0-2:13", "points.level.at: analogue type 13 is reserved; allowed: 1..12, 128..255"),
    ("no analogue type", "0-2:2", "0-2", "analogue type 0 is reserved"),
    ("another unit without a scale", 'unit = "m"', 'unit = "bar"', "points.level.unit: 'bar' is not 'm', the unit of height; another one needs a scale"),
    ("a register's type", 'at = "device:3"', 'at = "device:3"\ntype = "u32"', "points.mains.type: is not used by a point of protocol gb26875"),
    ("a register's sentinel", 'at = "device:3"', 'at = "device:3"\nno_data = [1]', "points.mains.no_data: is not used"),
    ("a topic", "[gb26875]", '[mqtt]\ntopic = "x"\n[gb26875]', "mqtt: is not used by protocol gb26875"),
    ("a heart that stands still", '"20s"', '"0s"', "gb26875.heartbeat"),
    ("a silence before three heartbeats", '"90s"', '"80s"', "points.pressure.longest_silence: 80 s ends before three heartbeats are missed; allowed: 82 s or more"),
    ("a stride", "count = 2", "count = 2\nstride = 1", "stride 1 shifts nothing by protocol gb26875; write {n} into the address"),
    ("the same detector twice", "40@{n}-7", "40@1-7", None),
    ("a name for a unit", "unit = 889", 'unit = "a"', "devices.panel-a.unit: 'a' is not in 0..281474976710655"),
    ("no unit", "unit = 889\n", "", "devices.panel-a.unit: '' is not in 0.."),
    ("a unit of seven bytes", "unit = 889", "unit = 281474976710656", "is not in 0..281474976710655"),
    ("a unit below 0", "unit = 889", "unit = -1", "devices.panel-a.unit: -1 is not in"),
    ("a unit that is another's", "unit = 889", "unit = 0", "devices.panel-b.unit: 0 on panels is panel-a's"),
    ("a line of another kind", "fire = ", "tcp = ", "panels is tcp; panel needs fire"),
    ("a Modbus profile", 'profile = "panel"\nline', 'profile = "fire-panel"\nline', "panels is fire; fire-panel needs tcp or tls"),
    ("a port of 0", "0.0.0.0:9099", "0.0.0.0:0", "lines.panels.fire: port 0 is not in 1..65535"),
    ("a baud rate", 'agent = "e"', 'agent = "e"\nbaud = 9600', "lines.panels.baud: means nothing for fire"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "said"), WRONG, ids=[row[0] for row in WRONG])
def test_what_cannot_be_right_is_named(
    tmp_path: Path, name: str, old: str, new: str, said: str | None
) -> None:
    folder = written(tmp_path, old, new)
    if said is None:
        assert load_plant(folder).points
        return
    with pytest.raises(ConfigErrors) as raised:
        load_plant(folder)
    assert any(said in str(one) for one in raised.value.mistakes), raised.value


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    folder = written(tmp_path, "unit = 889", "unit = -1")
    profile = folder / "profiles" / "panel.toml"
    text = profile.read_text(encoding="utf-8").replace("device:3", "device:9").replace("0-2:2", "0-2:99")  # fmt: skip
    profile.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigErrors) as raised:
        load_plant(folder)
    found = " ".join(str(one) for one in raised.value.mistakes)
    assert "bit 9 of a device" in found
    assert "analogue type 99" in found
    assert "panel-a.unit: -1" in found


def test_a_heartbeat_means_nothing_elsewhere(tmp_path: Path) -> None:
    library = tmp_path / "config"
    shutil.copytree(LIBRARY, library, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    path = library / "profiles" / "booster-duo.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("[modbus]", '[gb26875]\nheartbeat = "5s"\n[modbus]', 1), encoding="utf-8")  # fmt: skip
    with pytest.raises(ConfigErrors, match="gb26875: is not used by protocol modbus"):
        load_plant(library / "plants" / "riverside", library=library)


def test_every_unit_of_the_table_is_one_that_a_point_may_have() -> None:
    text = (LIBRARY / "units.toml").read_text(encoding="utf-8")
    assert all(f'"{row.unit}" = ' in text for row in ANALOGUES.values())
