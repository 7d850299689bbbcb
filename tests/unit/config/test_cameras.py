"""What is said of a camera that cannot be asked what its points need."""

from pathlib import Path

import pytest

from config.load import load_plant
from tests.unit.config.test_load import library, mistakes, spoil

__all__ = ["library"]

CAMERA, PLANT = "profiles/network-camera.toml", "plants/riverside/plant.toml"
FIRST = 'unit = "cam-1"'
RECORDER = 'recorder = { at = "nvr.local:%d"%s }'

SPOILED = [
    ("no rung", CAMERA, 'rung = "tcp"\n', "", "rung: is missing; allowed: tcp, describe, media, picture"),
    ("a rung that is none", CAMERA, 'rung = "tcp"', 'rung = "ping"', "'tcp'"),
    ("a rung that is no measurement", CAMERA, 'kind = "flag"\nrung = "media"', 'kind = "measurement"\nunit = "s"\nrung = "media"', "measurement is not what media is; allowed: flag"),
    ("no snapshot", CAMERA, 'snapshot = "/snapshot.jpg"\n', "", "camera.snapshot: is missing: points.frozen needs it"),
    ("no recordings", CAMERA, 'recordings = "/recordings/{unit}"\n', "", "camera.recordings: is missing: points.segment_age needs it"),
    ("no way to the newest", CAMERA, 'newest = "[*].end"\n', "", "camera.newest: is missing: points.recording needs it"),
    ("neither onvif nor snapshot", CAMERA, 'snapshot = "/snapshot.jpg"\nonvif = "/onvif/device_service"\n', "", "camera.onvif: is missing: points.clock_offset needs it, or a snapshot"),
    ("https without an authority", CAMERA, "[camera]\n", "[camera]\nhttps = true\n", "lines.cam-1.ca: is missing: camera-1 is asked by HTTPS"),
    ("a recorder by https without one", PLANT, FIRST, f"{FIRST}\n{RECORDER % (443, ', https = true')}", "lines.cam-1.ca: is missing: camera-1 is asked by HTTPS"),
    ("a recorder's port", PLANT, FIRST, f"{FIRST}\n{RECORDER % (70_000, '')}", "devices.camera-1.recorder.at: port 70000 is not in 1..65535"),
    ("a recorder that no resolver can know", PLANT, FIRST, f"{FIRST}\n{(RECORDER % (80, '')).replace('nvr.', 'nvr..')}", "devices.camera-1.recorder.at: 'nvr..local:80' is not of the form"),
    ("a recorder of a pump", PLANT, "unit = 3", f"unit = 3\n{RECORDER % (80, '')}", "devices.booster-a.recorder: is not used by a device of protocol modbus"),
    ("a view of a pump", PLANT, "unit = 3", "unit = 3\nview = 2", "devices.booster-a.view: is not used by a device of protocol modbus"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "old", "new", "said"), SPOILED, ids=[s[0] for s in SPOILED])  # fmt: skip
def test_what_a_rung_stands_on_must_be_there(
    library: Path, name: str, file: str, old: str, new: str, said: str
) -> None:
    spoil(library, file, old, new)
    found = mistakes(library)
    assert any(said in m for m in found), found


def test_a_recorder_is_asked_where_the_plant_says(library: Path) -> None:
    spoil(library, PLANT, FIRST, f'{FIRST}\nrecorder = {{ at = "[::1]:8080", user = "nvr" }}')
    devices = load_plant(library / "plants" / "riverside", library=library).devices
    own = devices["camera-1"].recorder
    assert own is not None
    assert (own.host, own.port, own.https, own.user) == ("::1", 8080, False, "nvr")
    assert devices["camera-2"].recorder is None
