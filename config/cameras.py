"""What a profile and a plant say of cameras, checked: what a rung stands on must be there to be asked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from config.checking import Context, steps
from config.files import CameraText, DeviceText, PointText, RecorderText
from config.plant import Line, Recorder, Secret
from config.profile import CameraModel, CameraStep, PictureLimits, Profile, Rung

NUMBERS: Final[frozenset[CameraStep]] = frozenset({"segment_age", "clock_offset"})
"""What is measured; all other rungs hold or do not."""
NEEDS: Final[Mapping[CameraStep, Sequence[str]]] = {
    "picture": ("snapshot",), "black": ("snapshot",), "frozen": ("snapshot",),
    "blurred": ("snapshot",), "moved": ("snapshot",), "live": ("snapshot",),
    "recorder": ("recordings", "newest"), "recording": ("recordings", "newest"),
    "segment_age": ("recordings", "newest"),
}  # fmt: skip
"""Rung to the keys of [camera] without which it cannot be tried."""
OF_CAMERAS: Final = ("http_port", "recorder", "view")


def rung_of(context: Context, key: str, text: PointText) -> Rung | None:
    """The rung of a camera's point."""
    if text.rung is None:
        context.wrong(f"{key}.rung", f"is missing; allowed: tcp, describe, media, {', '.join(NEEDS)}, clock_offset")  # fmt: skip
        return None
    wanted = "measurement" if text.rung in NUMBERS else "flag"
    if text.kind != wanted:
        context.wrong(f"{key}.kind", f"{text.kind} is not what {text.rung} is; allowed: {wanted}")
    camera = context.file.camera
    for name in NEEDS.get(text.rung, ()):
        if not getattr(camera, name):
            context.mistakes.add(context.shown, f"camera.{name}", f"is missing: points.{key} needs it")  # fmt: skip
    if text.rung == "clock_offset" and not (camera.onvif or camera.snapshot):
        context.mistakes.add(context.shown, "camera.onvif", f"is missing: points.{key} needs it, or a snapshot, whose answer has a date")  # fmt: skip
    return Rung(text.rung)


def make_camera(text: CameraText) -> CameraModel:
    """The model's rows."""
    return CameraModel(
        snapshot=text.snapshot, http_port=text.http_port or 0, https=text.https, onvif=text.onvif,
        recordings=text.recordings, newest=steps(text.newest), recording_s_max=text.recording_max,
        pictures=PictureLimits(
            frames=text.frames, frozen_frames=text.frozen_frames, learn_frames=text.learn_frames,
            black_below=text.black_below, changed_max=text.changed_max,
            sharpness_min=text.sharpness_min, likeness_min=text.likeness_min,
        ),
    )  # fmt: skip


def make_recorder(text: RecorderText | None) -> Recorder | None:
    """The recorder that a device names."""
    if text is None:
        return None
    host, _, port = text.at.rpartition(":")
    secret = Secret(text.password.secret) if text.password else None
    return Recorder(host.strip("[]"), int(port), text.https, text.user, secret)


def check_camera(
    key: str, text: DeviceText, profile: Profile, line: Line, wrong: Callable[[str, str], None]
) -> None:
    """Mistakes in what a device says as a camera."""
    if profile.protocol != "camera":
        for name in sorted(text.model_fields_set & set(OF_CAMERAS)):
            wrong(f"devices.{key}.{name}", f"is not used by a device of protocol {profile.protocol}")  # fmt: skip
        return
    recorder = make_recorder(text.recorder)
    if recorder is not None and not 1 <= recorder.port <= 65535:
        wrong(f"devices.{key}.recorder.at", f"port {recorder.port} is not in 1..65535")
    if (profile.camera.https or (recorder is not None and recorder.https)) and line.tls is None:
        wrong(f"lines.{line.id}.ca", f"is missing: {key} is asked by HTTPS; the file, beside plant.toml, of who signed its certificate (or the certificate itself)")  # fmt: skip
