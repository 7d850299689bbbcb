"""Points that are made once a day of other points: from a profile's `[derived]` to points of a device's assets."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from config.files import DerivedText, ProfileFile
from config.plant import Point, PointSpec
from config.profile import NO_TAGS, Derivation, DerivedKind, JsonPath, Kind, Tags

DAY_S: Final = 86_400.0
SOURCES: Final[Mapping[DerivedKind, tuple[Kind, ...]]] = {
    "time_in": ("state", "flag"), "share_in": ("state", "flag"), "starts": ("state", "flag"),
    "growth": ("counter",), "night_minimum": ("measurement",),
}  # fmt: skip
"""Kind of derivation to the kinds of point that it can be made of."""
UNITS: Final[Mapping[DerivedKind, str]] = {"time_in": "h", "share_in": "%", "starts": ""}
"""Of the others it is the source's."""
TAGS: Final[Mapping[DerivedKind, Tags]] = {
    "time_in": Tags("Duration_Sensor"), "share_in": NO_TAGS, "starts": NO_TAGS,
}  # fmt: skip
"""Of the others, which are of the same quantity, they are the source's. A share of time and a number of starts have no class that is surely theirs."""
STATED: Final = ("time_in", "share_in", "starts")

Wrong = Callable[[str, str], None]
"""Told a path in the profile's file and what is wrong there."""


def derived_points(
    file: ProfileFile, asset: str, points: Mapping[str, Point], wrong: Wrong
) -> Iterator[Point]:
    """The derived points of one device whose own points are there already; mistakes are told."""
    for key, text in file.derived.items():
        for where in _wheres(file, key, asset):
            id = f"{where}/{key.rpartition('.')[2]}"
            source = points.get(f"{where}/{text.of.rpartition('.')[2]}")
            if key.rpartition(".")[0] != text.of.rpartition(".")[0] or source is None:
                wrong(f"derived.{key}.of", f"{text.of!r} is no point of the same part")
            elif id in points:
                wrong(f"derived.{key}", "is a point of the device already")
            elif (spec := _spec(key, text, source, wrong)) is not None:
                yield Point(id, where, "", spec)


def _wheres(file: ProfileFile, key: str, asset: str) -> list[str]:
    """The assets that have it: the device's own, or each of a part."""
    name, dot, _ = key.rpartition(".")
    if not dot:
        return [asset]
    part = file.parts.get(name)
    return [f"{asset}/{name}-{n}" for n in range(1, part.count + 1)] if part else [f"{asset}/{name}"]  # fmt: skip


def _spec(key: str, text: DerivedText, source: Point, wrong: Wrong) -> PointSpec | None:
    allowed = SOURCES[text.kind]
    if source.kind not in allowed:
        wrong(f"derived.{key}.of", f"{text.of!r} is a {source.kind}; {text.kind} is made of: {', '.join(allowed)}")  # fmt: skip
        return None
    known = {state.id: number for number, state in source.states.items()}
    states = {one if isinstance(one, int) else known.get(one, -1) for one in text.states}
    if text.kind in STATED and (not states or -1 in states):
        wrong(f"derived.{key}.states", f"name states of {text.of}: {', '.join(known) or '0, 1'}")
        return None
    first, last = (60 * int(at[:2]) + int(at[3:]) for at in text.between)
    if last - first < text.over / 60:
        wrong(f"derived.{key}.between", f"is no part of one day that holds {text.over:g} s")
        return None
    return PointSpec(
        name=text.name.table(), kind="measurement", unit=UNITS.get(text.kind, source.unit),
        source=JsonPath(topic="", path=()), decimals=0 if text.kind == "starts" else max(source.spec.decimals, 2),
        poll="hourly", period_s=DAY_S, longest_silence_s=2 * DAY_S, derived=True, tags=TAGS.get(text.kind, source.spec.tags),
        derive=Derivation(text.kind, source.id, frozenset(states), (first, last), text.over),
    )  # fmt: skip
