"""Profiles of MQTT devices: what they may say of topics, paths, times and wills, and every mistake in words."""

from pathlib import Path

import pytest

from config.load import load_plant
from config.mistakes import ConfigErrors
from config.plant import Plant
from config.profile import Availability, JsonPath

PLANT = """
site = "house"
name = { en = "House" }
time_zone = "Asia/Shanghai"

[lines.broker]
agent = "e"
mqtt = "127.0.0.1:1883"

[devices.d]
profile = "plug"
line = "broker"
unit = "u"
asset = "a"

[assets.a]
name = { en = "A" }
system = "lv-distribution"
"""
PROFILE = """
profile = "plug"
version = 1
name = { en = "Plug" }
protocol = "mqtt"
class = "plug"

[mqtt]
topic = "tele/+/{unit}"
time = "Time"
time_zone = "site"
availability = { topic = "tele/{unit}/LWT", at = "state", online = "Online", offline = "Offline" }

[points.power]
name = { en = "Power" }
at = 'ENERGY."a.b".2.[id=x y].v'
unit = "W"
expects = { "units.power" = "W" }
topic = "{unit}/status/switch:0"
time = "rows.[*].ts"
error = "errors.power"

[points.voltage]
name = { en = "Voltage" }
at = "voltage"
unit = "V"
"""


def source_of(tmp_path: Path, point: str, old: str = "", new: str = "") -> JsonPath:
    (tmp_path / "profiles").mkdir()
    assert not old or old in PROFILE, old
    written = PROFILE.replace(old, new, 1) if old else PROFILE
    (tmp_path / "profiles/plug.toml").write_text(written, encoding="utf-8")
    (tmp_path / "plant.toml").write_text(PLANT, encoding="utf-8")
    source = load_plant(tmp_path).points[f"a/{point}"].source
    assert isinstance(source, JsonPath)
    return source


def test_a_point_may_have_a_topic_paths_and_words_of_its_own(tmp_path: Path) -> None:
    assert source_of(tmp_path, "power") == JsonPath(
        "{unit}/status/switch:0", ("ENERGY", "a.b", 2, "[id=x y]", "v"),
        time_path=("rows", "[*]", "ts"), error_path=("errors", "power"), zone="Asia/Shanghai",
        expects=((("units", "power"), "W"),),
        availability=Availability("tele/{unit}/LWT", ("state",), "Online", "Offline"),
    )  # fmt: skip


def test_a_number_may_be_written_as_a_text(tmp_path: Path) -> None:
    assert source_of(tmp_path, "voltage", 'at = "voltage"', 'at = "voltage"\ntext = true').text


def test_what_a_point_does_not_say_is_said_for_all(tmp_path: Path) -> None:
    source = source_of(tmp_path, "voltage", 'time_zone = "site"', 'time_zone = "Europe/Berlin"')
    assert (source.topic, source.time_path, source.zone) == ("tele/+/{unit}", ("Time",), "Europe/Berlin")  # fmt: skip


def test_a_whole_payload_is_a_value_too(tmp_path: Path) -> None:
    assert source_of(tmp_path, "voltage", 'at = "voltage"', 'at = ""').path == ()


MISTAKES = [
    ("tele/+/{unit}", "tele/#", "mqtt.topic: 'tele/#' is no topic of one device; allowed: levels"),
    ("tele/+/{unit}", "tele/a+", "mqtt.topic: 'tele/a+' is no topic"),
    ("tele/+/{unit}", "", "mqtt.topic: '' is no topic"),
    ("{unit}/status", "x#/status", "points.power.topic: 'x#/status/switch:0' is no topic"),
    ("tele/{unit}/LWT", "#", "mqtt.availability.topic: '#' is no topic"),
    ('at = "voltage"', 'at = "a..b"', "points.voltage.at: 'a..b' is no path; allowed: keys, places"),
    ('at = "voltage"', 'at = "a."', "points.voltage.at: 'a.' is no path"),
    ('at = "voltage"', 'at = "a.[b]"', "points.voltage.at: 'a.[b]' is no path"),
    ('at = "voltage"', 'at = "[*].a.[*]"', "points.voltage.at: '[*].a.[*]' is no path; allowed: keys, places and [key=text] or one [*]"),
    ('"rows.[*].ts"', '"rows.[*"', "points.power.time: 'rows.[*' is no path"),
    ('"errors.power"', '".x"', "points.power.error: '.x' is no path"),
    ('"units.power" = "W"', '"units..power" = "W"', "points.power.expects: 'units..power' is no path"),
    ('"site"', '"Mars/Base"', "mqtt.time_zone: 'Mars/Base' is no zone; allowed: site, or an IANA zone"),
    ('at = "voltage"', 'at = "voltage"\nkind = "flag"\nvalues = { on = 1, off = 0, stuck = 7 }', "points.voltage.values: 'stuck' means 7, which a flag cannot be; allowed: 0, 1"),
    ('at = "voltage"', 'at = "voltage"\nkind = "state"\nnames = { 2 = { id = "up", en = "Up" } }\nvalues = { up = 2, down = 3 }', "points.voltage.values: 'down' means 3, which a state cannot be; allowed: 2"),
    ('at = "voltage"', 'at = "voltage"\ntext = true\nvalues = { "on" = 1 }', "points.voltage.text: is not used by a point with values"),
    ('offline = "Offline"', 'offline = "Online"', "mqtt.availability.offline: 'Online' is the word for online too"),
    ('online = "Online"', 'there = "Online"', "mqtt.availability.there: unknown key; allowed: at, offline, online, topic"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES)
def test_a_mistake_is_said_with_what_is_allowed(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigErrors) as caught:
        source_of(tmp_path, "power", old, new)
    assert said in str(caught.value)


def test_a_zone_without_any_time_is_told(tmp_path: Path) -> None:
    profile = PROFILE.replace('time = "Time"\n', "").replace('time = "rows.[*].ts"\n', "")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/plug.toml").write_text(profile, encoding="utf-8")
    (tmp_path / "plant.toml").write_text(PLANT, encoding="utf-8")
    with pytest.raises(ConfigErrors, match=r"mqtt\.time_zone: is not used without a time"):
        load_plant(tmp_path)


def test_keys_of_a_payload_mean_nothing_in_a_register(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"points\.power\.expects: is not used by a point of protocol modbus"):  # fmt: skip
        source_of(tmp_path, "power", 'protocol = "mqtt"', 'protocol = "modbus"')


@pytest.mark.parametrize("protocol", ["modbus", "gb26875", "camera", "some-package"])
def test_a_text_for_a_number_is_of_mqtt_alone(protocol: str, tmp_path: Path) -> None:
    profile = PROFILE.replace('at = "voltage"', 'at = "voltage"\ntext = true')
    with pytest.raises(ConfigErrors, match=r"points\.voltage\.text: is not used by"):
        loaded(tmp_path, profile.replace('protocol = "mqtt"', f'protocol = "{protocol}"'))


def loaded(folder: Path, profile: str) -> Plant:
    (folder / "profiles").mkdir()
    (folder / "profiles/plug.toml").write_text(profile, encoding="utf-8")
    (folder / "plant.toml").write_text(PLANT, encoding="utf-8")
    return load_plant(folder)
