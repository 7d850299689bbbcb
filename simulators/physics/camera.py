"""A camera as far as a probe sees it: its stream, what its pictures show, its recordings, its clock."""

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.physics.equipment import Build, Imposed, Outputs, first

FAILURES = ("black", "frozen", "blurred", "moved")
"""What can be wrong with a picture; the first in force is seen."""
CLOCK_OFF_S = 300.0


@dataclass(frozen=True, slots=True)
class CameraState:
    """The rungs of the ladder: TCP answers, DESCRIBE is served, RTP packets advance, snapshots are given.

    `failure` is what is wrong with the picture. `frozen_ms` and `recorded_ms` are since when nothing new
    is shown or recorded (UTC ms; None: it is). `recorder` is whether that can be asked at all.
    """

    reachable: bool = True
    describes: bool = True
    media: bool = True
    picture: bool = True
    failure: str = ""
    frozen_ms: int | None = None
    recorder: bool = True
    recorded_ms: int | None = None
    clock_offset_s: float = 0.0


class Camera:
    """One camera. `no_media` describes its stream but sends none; `no_stream` refuses to describe it.

    `clock_off` puts its clock `seconds` ahead (300 unless said).
    """

    kinds = (
        "no_media", "no_stream", "unreachable", "no_picture", *FAILURES,
        "not_recording", "recorder_down", "clock_off",
    )  # fmt: skip

    def __init__(self, build: Build) -> None:
        del build

    def update(self, now_ms: int, imposed: Sequence[Imposed]) -> Outputs:
        state = camera_state(imposed)
        shown = {f: float(state.picture and state.failure == f) for f in FAILURES}
        works = state.media and state.picture and state.failure not in ("black", "frozen")
        silent_ms = 0 if state.recorded_ms is None else now_ms - state.recorded_ms
        return {
            "reachable": float(state.reachable), "stream": float(state.describes),
            "media": float(state.media), "live": float(works), "picture": float(state.picture), **shown,
            "recorder": float(state.recorder), "recording": float(silent_ms < 300_000),
            "segment_age": silent_ms / 1000, "clock_offset": state.clock_offset_s,
        }  # fmt: skip


def camera_state(imposed: Sequence[Imposed]) -> CameraState:
    """How a camera stands under what is imposed."""
    if first(imposed, "unreachable"):
        return UNREACHABLE
    describes = first(imposed, "no_stream") is None
    seen = next((one for kind in FAILURES for one in imposed if one.kind == kind), None)
    stopped, off = first(imposed, "not_recording"), first(imposed, "clock_off")
    return CameraState(
        describes=describes,
        media=describes and first(imposed, "no_media") is None,
        picture=first(imposed, "no_picture") is None,
        failure=seen.kind if seen else "",
        frozen_ms=seen.since_ms if seen and seen.kind == "frozen" else None,
        recorder=first(imposed, "recorder_down") is None,
        recorded_ms=stopped.since_ms if stopped else None,
        clock_offset_s=off.number("seconds", CLOCK_OFF_S) if off else 0.0,
    )


UNREACHABLE = CameraState(
    reachable=False, describes=False, media=False, picture=False, recorder=False
)
