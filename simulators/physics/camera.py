"""A camera as far as a probe sees it: does it answer, does it describe its stream, does media move."""

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.physics.equipment import Build, Imposed, Outputs, first


@dataclass(frozen=True, slots=True)
class CameraState:
    """The rungs of the ladder: TCP answers, DESCRIBE is served, RTP packets advance."""

    reachable: bool = True
    describes: bool = True
    media: bool = True


class Camera:
    """One camera. `no_media` describes its stream but sends none; `no_stream` refuses to describe it."""

    kinds = ("no_media", "no_stream", "unreachable")

    def __init__(self, build: Build) -> None:
        del build

    def update(self, now_ms: int, imposed: Sequence[Imposed]) -> Outputs:
        reachable = first(imposed, "unreachable") is None
        describes = reachable and first(imposed, "no_stream") is None
        media = describes and first(imposed, "no_media") is None
        return {"reachable": float(reachable), "stream": float(describes), "media": float(media)}


def camera_state(shown: Outputs) -> CameraState:
    """The rungs that a camera's outputs stand for."""
    return CameraState(bool(shown["reachable"]), bool(shown["stream"]), bool(shown["media"]))
