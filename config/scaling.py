"""Which point of a profile holds the decimal exponent of another: found once, seen from the part it stands in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from config.checking import BIT_TABLES, Context
from config.profile import ProfilePoint, Register

Place = tuple[str, str]
"""Part and id of a point."""


def with_exponents(context: Context, points: Sequence[ProfilePoint]) -> list[ProfilePoint]:
    """The points, `scale_from` of each made the way to the point that it means (see `Register`).

    A name is a key of the file. Without a part it means the point of the own part, or else of the
    device itself. One that means no point, several or one that holds no whole number is a mistake.
    """
    by_place = {(point.part, point.id): point for point in points}
    return [_resolved(context, by_place, point) for point in points]


def _resolved(
    context: Context, by_place: Mapping[Place, ProfilePoint], point: ProfilePoint
) -> ProfilePoint:
    source = point.source
    if not isinstance(source, Register) or source.scale_from is None:
        return point
    found = _meant(context, by_place, point, source.scale_from)
    if found is None:
        return point
    if why := _no_exponent(found):
        context.wrong(_path(point), f"{source.scale_from!r} {why}: allowed is a whole number of its own")  # fmt: skip
    return replace(point, source=replace(source, scale_from=_way(point.part, found)))


def _meant(
    context: Context, by_place: Mapping[Place, ProfilePoint], point: ProfilePoint, name: str
) -> ProfilePoint | None:
    """The point that a name means; None where that is a mistake, which is said."""
    part, dot, id = name.rpartition(".")
    places = [(point.part, id), ("", id)]
    if dot and part != _part_name(point):
        count = context.file.parts[part].count if part in context.file.parts else 1
        if count > 1:
            context.wrong(_path(point), f"{name!r} is of {part}-1 to {part}-{count}, and nothing says which; allowed: a point of the device itself or of the same part")  # fmt: skip
            return None
        places = [(f"{part}-1", id)]
    elif dot:
        places = places[:1]
    found = next((by_place[place] for place in places if place in by_place), None)
    if found is None:
        _say_missing(context, point, name)
    return found


def _say_missing(context: Context, point: ProfilePoint, name: str) -> None:
    text = context.file.points.get(name)
    if text is None:
        context.mistakes.unknown(context.shown, f"points.{_path(point)}", name, list(context.file.points))  # fmt: skip
    elif text.kind == "flags":
        context.wrong(_path(point), f"{name!r} names single bits: allowed is a whole number of its own")  # fmt: skip


def why_no_exponent(
    *, single_bit: bool, type: str, scale_from: str | None, scale: float, offset: float
) -> str:
    """Why a value cannot be another's decimal exponent: it must be a whole number by itself; "" if it can."""
    if single_bit:
        return "is a single bit"
    if type in ("f32", "f64", "string"):
        return f"is a {type}"
    if scale_from:
        return f"is scaled by {scale_from!r} itself"
    if scale % 1 or offset % 1:
        return "has a scale or an offset that is no whole number"
    return ""


def _no_exponent(point: ProfilePoint) -> str:
    source = point.source
    if not isinstance(source, Register):
        raise TypeError(point.id)
    return why_no_exponent(
        single_bit=source.table in BIT_TABLES or point.kind == "flag", type=source.type,
        scale_from=source.scale_from, scale=source.scale, offset=source.offset,
    )  # fmt: skip


def _part_name(point: ProfilePoint) -> str:
    return point.part.rpartition("-")[0]


def _path(point: ProfilePoint) -> str:
    own = f"{_part_name(point)}.{point.id}" if point.part else point.id
    return f"{own}.scale_from"


def _way(part: str, other: ProfilePoint) -> str:
    """From the asset of a part ("" for the whole) to a point."""
    if other.part == part:
        return other.id
    return "/".join(filter(None, (".." if part else "", other.part, other.id)))
