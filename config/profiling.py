"""Turns one profile file into its rows: parts multiplied, named bits made points of their own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from config.cameras import make_camera, rung_of
from config.checking import (
    BIT_TABLES,
    LAST_ADDRESS,
    Context,
    check_bits,
    check_file,
    check_register,
    check_text,
    is_small,
    is_whole,
    make_limits,
    sentinels,
    table_of,
    words_of,
)
from config.files import BitText, PartText, PointText, ProfileFile
from config.fire_points import fire_value, with_bit
from config.gb26875 import STATE_BITS
from config.json_paths import json_path
from config.mistakes import Mistakes
from config.profile import (
    PROTOCOLS,
    FireValue,
    Foreign,
    Names,
    Profile,
    ProfilePoint,
    Register,
    Source,
    StateName,
    Table,
    Tags,
    spells,
)
from config.rollovers import range_of
from config.scaling import with_exponents
from config.tags import contradictions
from config.watching import trend_of, watch_of

ORDERS: Mapping[int, tuple[str, ...]] = {
    1: ("AB", "BA", "ABCD", "CDAB", "BADC", "DCBA"),
    2: ("ABCD", "CDAB", "BADC", "DCBA"),
    4: ("ABCD", "CDAB", "BADC", "DCBA", "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"),
}
"""Registers of a value to the orders it may have, beside those that it spells (`spells`)."""
HEARTBEATS_MISSED = 3
"""So many signs of life of a transmission device that did not come are silence."""


def make_profile(
    file: ProfileFile, shown: str, units: Mapping[str, str], mistakes: Mistakes
) -> Profile:
    """Rows of one profile; mistakes of meaning are added to `mistakes`."""
    limits = make_limits(file.modbus, shown, mistakes)
    context = Context(file, shown, units, mistakes, limits)
    check_file(context)
    points: list[ProfilePoint] = []
    for key, text in file.points.items():
        points.extend(_points(context, key, text))
    _check_unique(context, points)
    points = with_exponents(context, points)
    parts = {
        f"{name}-{n}": {tag: t.replace("{n}", str(n)) for tag, t in part.name.table().items()}
        for name, part in file.parts.items()
        for n in range(1, part.count + 1)
    }
    classes = {
        f"{name}-{n}": part.class_
        for name, part in file.parts.items()
        for n in range(1, part.count + 1)
    }
    rules = tuple({"id": key, "rule": rule} for key, rule in file.rules.items())
    return Profile(
        id=file.profile, version=file.version, name=file.name.table(), protocol=file.protocol,
        asset_class=file.class_, points=tuple(points), parts=parts, part_class=classes,
        limits=limits, silence_s=_silence_s(file), camera=make_camera(file.camera),
        watch=watch_of(context), rules=rules,
    )  # fmt: skip


def _silence_s(file: ProfileFile) -> float:
    return HEARTBEATS_MISSED * file.gb26875.heartbeat if file.protocol == "gb26875" else 0.0


def _points(context: Context, key: str, text: PointText) -> Iterator[ProfilePoint]:
    part_name, dot, _ = key.rpartition(".")
    part = context.file.parts.get(part_name)
    if dot and part is None:
        context.mistakes.unknown(
            context.shown, f"points.{key}", part_name, list(context.file.parts)
        )
        return
    check_text(context, key, text)
    trend = trend_of(context, key)
    for n in range(1, (part.count if part else 1) + 1):
        where = f"{part_name}-{n}" if part else ""
        source = _source(context, key, text, part, n)
        if source is None:
            continue
        if text.kind == "flags":
            yield from _bits(context, key, text, where, source)
        else:
            yield replace(_point(context, key, text, where, source), trend=trend)


def _source(
    context: Context, key: str, text: PointText, part: PartText | None, n: int
) -> Source | None:
    if context.file.protocol == "camera":
        return rung_of(context, key, text)
    if text.at is None:
        context.wrong(f"{key}.at", "is missing: where the value stands")
        return None
    if context.file.protocol == "mqtt":
        return json_path(context, key, text, n)
    if context.file.protocol == "gb26875":
        return fire_value(context, key, text, part, n)
    if context.file.protocol not in PROTOCOLS:
        return Foreign(text.at.replace("{n}", str(n)))
    return _register(context, key, text, (n - 1) * (part.stride if part else 0))


def _register(context: Context, key: str, text: PointText, shift: int) -> Register | None:
    place, words = _place(context, key, text), words_of(context, key, text)
    if place is None or words is None:
        return None
    table, first, bit = place[0], place[1] + shift, place[2]
    if not _fits(context, key, text, bit, words, first):
        return None
    order = text.order or (context.file.modbus.order if words > 1 else "ABCD")
    if table in BIT_TABLES:
        register = Register(table, first, "bit", order)
    else:
        own, whole = sentinels(context, key, text, bit)
        register = Register(
            table, first, text.type, order, text.scale, text.offset, int(bit) if bit else None,
            text.bit_width, words, no_data=own, scale_from=text.scale_from, no_word=whole,
        )  # fmt: skip
    check_register(context, key, register)
    return register


def _place(context: Context, key: str, text: PointText) -> tuple[Table, int, str] | None:
    """Table, address as written and bit ("" for a whole value)."""
    table, _, place = (text.at or "").partition(":")
    address, _, bit = place.partition(".")
    if table not in ("holding", "input", "coil", "discrete") or not is_small(address) or (bit and not is_small(bit)):  # fmt: skip
        context.wrong(f"{key}.at", f"{text.at!r} is not of the form table:address[.bit] such as holding:0; tables: holding, input, coil, discrete; addresses are decimal and from 0, so 40001 is holding:0")  # fmt: skip
        return None
    check_bits(context, key, text, bit)
    return table_of(table), int(address), bit


def _fits(context: Context, key: str, text: PointText, bit: str, words: int, first: int) -> bool:
    """Whether order, address and bit are such as a value of so many registers can have."""
    order = text.order or (context.file.modbus.order if words > 1 else "ABCD")
    allowed = ORDERS[1 if text.type == "string" else words]
    if order not in allowed and not spells(order, words):
        context.mistakes.unknown(context.shown, f"points.{key}.order", order, allowed)
    elif first + words - 1 > LAST_ADDRESS:
        context.wrong(f"{key}.at", f"{first} is not in 0..{LAST_ADDRESS + 1 - words}")
    elif bit and int(bit) + text.bit_width > 16 * words:
        context.wrong(f"{key}.at", f"bit {bit} is not in 0..{16 * words - text.bit_width}")
    else:
        return True
    return False


def _tags(context: Context, key: str, text: PointText, bit: BitText | None = None) -> Tags:
    """The Brick class and Haystack markers of a point or of one of its bits; what contradicts them is a mistake."""
    brick = (bit.class_ if bit else None) or text.class_ or ""
    markers = text.haystack if bit is None or bit.haystack is None else bit.haystack
    tags, kind = Tags(brick, tuple(markers)), "flag" if text.kind == "flags" else text.kind
    for what, said in contradictions(tags, kind, text.unit, context.units):
        context.wrong(f"{key}.{what}", said)
    return tags


def _whole_register(text: PointText, source: Source) -> str | None:
    """The type of the register that the point is; None where it is a part of one, or none."""
    return text.type if isinstance(source, Register) and source.bit is None else None


def _point(context: Context, key: str, text: PointText, part: str, source: Source) -> ProfilePoint:
    own = key.rpartition(".")[2]
    states = {
        int(number): StateName(state.id, state.table())
        for number, state in text.names.items()
        if is_whole(number)
    }
    decimals = text.decimals if text.decimals is not None else _decimals(text, source)
    return ProfilePoint(
        id=own, part=part, name=text.name.table(),
        kind="measurement" if text.kind == "flags" else text.kind,
        unit=text.unit, source=source, decimals=decimals,
        range=_pair(text.range), expected=_pair(text.expected), states=states,
        rolls_over_at=text.rolls_over_at and range_of(text.rolls_over_at, text.scale, _whole_register(text, source)),
        rate_max=text.rate_max, frozen_after_s=text.frozen_after, poll=text.poll, deadband=text.deadband,
        deadband_percent=text.deadband_percent,
        longest_silence_s=_longest_silence_s(context, text),
        lane=text.lane, tags=_tags(context, key, text),
    )  # fmt: skip


def _decimals(text: PointText, source: Source) -> int:
    if text.kind in ("state", "flag"):
        return 0
    if isinstance(source, FireValue | Foreign):
        return 2
    if text.type in ("f32", "f64"):
        return 2
    return min(9, max(0, len(f"{text.scale:.9f}".rstrip("0").partition(".")[2])))


def _pair(span: Sequence[float] | None) -> tuple[float, float] | None:
    return (float(span[0]), float(span[1])) if span else None


def _bits(
    context: Context, key: str, text: PointText, part: str, source: Source
) -> Iterator[ProfilePoint]:
    if not isinstance(source, Register | FireValue):
        context.wrong(key, "flags need a register; give each JSON member a point of kind flag")
        return
    for number, named in text.bits.items():
        own = _bit_of(source, int(number)) if is_small(number) else None
        if own is None:
            context.wrong(f"{key}.bits.{number}", f"is not a bit in {_bits_of(source)}")
            continue
        bit = named if isinstance(named, BitText) else BitText.model_validate({"id": named})
        yield ProfilePoint(
            id=bit.id, part=part, name=_bit_names(bit), kind="flag", unit="", source=own,
            decimals=0, poll=text.poll, longest_silence_s=_longest_silence_s(context, text),
            lane="event" if "event" in (bit.lane, text.lane) else "data",
            tags=_tags(context, f"{key}.bits.{number}", text, bit),
        )  # fmt: skip


def _bit_of(source: Register | FireValue, bit: int) -> Source | None:
    """One bit of a word or of a state; None if it has none there."""
    if isinstance(source, FireValue):
        return with_bit(source, bit)
    if bit >= 16 * source.words:
        return None
    return Register(
        source.table, source.address, source.type, source.order,
        bit=bit, words=source.words, no_word=source.no_word,
    )  # fmt: skip


def _bits_of(source: Register | FireValue) -> str:
    if isinstance(source, FireValue):
        return f"0..{max(STATE_BITS[source.place.of])}"
    return f"0..{16 * source.words - 1}"


def _longest_silence_s(context: Context, text: PointText) -> float | None:
    """Devices that are known by their heartbeat are silent before their points are."""
    if context.file.protocol == "gb26875" and text.longest_silence is None:
        return 2 * _silence_s(context.file)
    return text.longest_silence


def _bit_names(bit: BitText) -> Names:
    words = bit.id.replace("_", " ")
    english = bit.en or words[0].upper() + words[1:]
    return {"en": english} | ({"zh": bit.zh} if bit.zh else {})


def _check_unique(context: Context, points: Sequence[ProfilePoint]) -> None:
    seen: set[tuple[str, str]] = set()
    for point in points:
        if (point.part, point.id) in seen:
            context.wrong(point.id, "is named twice")
        seen.add((point.part, point.id))
