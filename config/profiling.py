"""Turns one profile file into its rows: parts multiplied, named bits made points of their own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from config.files import BitText, PartText, PointText, ProfileFile
from config.mistakes import Mistakes
from config.profile import (
    WORDS,
    JsonPath,
    ModbusLimits,
    Names,
    Profile,
    ProfilePoint,
    Register,
    Rung,
    Source,
    StateName,
    Table,
)

ORDERS: Mapping[int, tuple[str, ...]] = {
    1: ("AB", "BA", "ABCD", "CDAB", "BADC", "DCBA"),
    2: ("ABCD", "CDAB", "BADC", "DCBA"),
    4: ("ABCD", "CDAB", "BADC", "DCBA", "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"),
}
"""Registers of a value to the orders it may have."""
SILENCE_OF_POLL_S = {"fast": 60.0, "normal": 60.0, "slow": 300.0, "hourly": 10800.0}


@dataclass(frozen=True, slots=True)
class _Context:
    file: ProfileFile
    shown: str
    units: Mapping[str, str]
    mistakes: Mistakes

    def wrong(self, key: str, message: str) -> None:
        self.mistakes.add(self.shown, f"points.{key}" if key else "", message)


def make_profile(
    file: ProfileFile, shown: str, units: Mapping[str, str], mistakes: Mistakes
) -> Profile:
    """Rows of one profile; mistakes of meaning are added to `mistakes`."""
    context = _Context(file, shown, units, mistakes)
    points: list[ProfilePoint] = []
    for key, text in file.points.items():
        points.extend(_points(context, key, text))
    _check_unique(context, points)
    _check_scale_from(context)
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
        limits=_limits(file), rules=rules,
    )  # fmt: skip


def _limits(file: ProfileFile) -> ModbusLimits:
    modbus = file.modbus
    return ModbusLimits(
        max_words=modbus.max_words,
        max_bits=modbus.max_bits,
        pause_s=modbus.pause,
        forbidden=tuple(_span(text) for text in modbus.forbidden),
        together=tuple(_span(text) for text in modbus.together),
    )


def _span(text: str) -> tuple[Table, int, int]:
    table, _, numbers = text.partition(":")
    first, _, last = numbers.partition("-")
    return _table(table), int(first), int(last or first)


def _table(text: str) -> Table:
    tables: dict[str, Table] = {
        "holding": "holding", "input": "input", "coil": "coil", "discrete": "discrete",
    }  # fmt: skip
    return tables[text]


def _points(context: _Context, key: str, text: PointText) -> Iterator[ProfilePoint]:
    part_name, dot, own = key.rpartition(".")
    part = context.file.parts.get(part_name)
    if dot and part is None:
        context.mistakes.unknown(
            context.shown, f"points.{key}", part_name, list(context.file.parts)
        )
        return
    _check_text(context, key, text)
    for n in range(1, (part.count if part else 1) + 1):
        where = f"{part_name}-{n}" if part else ""
        source = _source(context, key, text, part, n)
        if source is None:
            continue
        if text.kind == "flags":
            yield from _bits(context, key, text, where, source)
        else:
            yield _point(text, own, where, source)


def _check_text(context: _Context, key: str, text: PointText) -> None:
    if text.unit not in context.units:
        context.mistakes.unknown(
            context.shown, f"points.{key}.unit", text.unit, [u for u in context.units if u]
        )
    for name, span in (("range", text.range), ("expected", text.expected)):
        if span and span[0] >= span[1]:
            context.wrong(f"{key}.{name}", f"{span} does not go from low to high")
    if text.kind == "state" and not text.names:
        context.wrong(f"{key}.names", "is missing: a state names its values")
    if text.kind == "flags" and not text.bits:
        context.wrong(f"{key}.bits", "is missing: flags name their bits")
    for number in text.names:
        if not _is_whole(number):
            context.wrong(f"{key}.names", f"{number!r} is not a whole number")


def _is_whole(number: str) -> bool:
    digits = number.removeprefix("-")
    return digits.isdecimal() and len(digits) <= 16


def _is_small(number: str) -> bool:
    """A register's address or a bit, or too large for one: its bounds are checked elsewhere."""
    return number.isdecimal() and len(number) <= 9


def _source(
    context: _Context, key: str, text: PointText, part: PartText | None, n: int
) -> Source | None:
    if context.file.protocol == "camera":
        if text.rung is None:
            context.wrong(f"{key}.rung", "is missing; allowed: tcp, describe, media")
            return None
        return Rung(text.rung)
    if text.at is None:
        context.wrong(f"{key}.at", "is missing: where the value stands")
        return None
    if context.file.protocol == "mqtt":
        return _json_path(context, key, text, n)
    return _register(context, key, text, (n - 1) * (part.stride if part else 0))


def _json_path(context: _Context, key: str, text: PointText, n: int) -> JsonPath | None:
    mqtt = context.file.mqtt
    if mqtt is None:
        context.wrong("", "[mqtt] is missing: an MQTT device has a topic")
        return None
    return JsonPath(
        topic=mqtt.topic,
        path=_steps((text.at or "").replace("{n}", str(n))),
        scale=text.scale,
        offset=text.offset,
        values=dict(text.values) if text.values is not None else None,
        time_path=_steps(mqtt.time) if mqtt.time else (),
    )


def _steps(path: str) -> tuple[str | int, ...]:
    return tuple(int(step) if _is_small(step) else step for step in path.split(".") if step)


def _register(context: _Context, key: str, text: PointText, shift: int) -> Register | None:
    table, _, place = (text.at or "").partition(":")
    address, _, bit = place.partition(".")
    if table not in ("holding", "input", "coil", "discrete") or not _is_small(address) or (bit and not _is_small(bit)):  # fmt: skip
        context.wrong(f"{key}.at", f"{text.at!r} is not of the form table:address[.bit]; tables: holding, input, coil, discrete")  # fmt: skip
        return None
    words = text.words or WORDS.get(text.type, 0)
    if not words:
        context.wrong(f"{key}.words", "is missing: a string says how many registers it takes")
        return None
    order = text.order or (context.file.modbus.order if words > 1 else "ABCD")
    if text.type != "string" and order not in ORDERS.get(words, ()):
        context.mistakes.unknown(context.shown, f"points.{key}.order", order, ORDERS.get(words, ()))
        return None
    first = int(address) + shift
    if first + words - 1 > 65535:
        context.wrong(f"{key}.at", f"{first} is not in 0..{65536 - words}")
        return None
    if bit and not 0 <= int(bit) < 16 * words:
        context.wrong(f"{key}.at", f"bit {bit} is not in 0..{16 * words - 1}")
        return None
    if table in ("coil", "discrete"):
        return Register(_table(table), first, "bit", order)
    return Register(
        _table(table), first, text.type, order, text.scale, text.offset,
        int(bit) if bit else None, words=words, no_data=tuple(text.no_data), scale_from=text.scale_from,
    )  # fmt: skip


def _point(text: PointText, own: str, part: str, source: Source) -> ProfilePoint:
    states = {
        int(number): StateName(state.id, state.table())
        for number, state in text.names.items()
        if _is_whole(number)
    }
    decimals = text.decimals if text.decimals is not None else _decimals(text)
    return ProfilePoint(
        id=own, part=part, name=text.name.table(),
        kind="measurement" if text.kind == "flags" else text.kind,
        unit=text.unit, source=source, decimals=decimals,
        range=_pair(text.range), expected=_pair(text.expected), states=states,
        rolls_over_at=text.rolls_over_at, poll=text.poll, deadband=text.deadband,
        deadband_percent=text.deadband_percent, longest_silence_s=_silence(text),
        lane=text.lane, brick_class=text.class_,
    )  # fmt: skip


def _decimals(text: PointText) -> int:
    if text.kind in ("state", "flag"):
        return 0
    if text.type in ("f32", "f64"):
        return 2
    return min(9, max(0, len(f"{text.scale:.9f}".rstrip("0").partition(".")[2])))


def _silence(text: PointText) -> float:
    if text.longest_silence is not None:
        return text.longest_silence
    return SILENCE_OF_POLL_S.get(text.poll, 60.0)


def _pair(span: Sequence[float] | None) -> tuple[float, float] | None:
    return (float(span[0]), float(span[1])) if span else None


def _bits(
    context: _Context, key: str, text: PointText, part: str, source: Source
) -> Iterator[ProfilePoint]:
    if not isinstance(source, Register):
        context.wrong(key, "flags need a register; give each JSON member a point of kind flag")
        return
    for number, named in text.bits.items():
        if not _is_small(number) or int(number) >= 16 * source.words:
            context.wrong(f"{key}.bits.{number}", f"is not a bit in 0..{16 * source.words - 1}")
            continue
        bit = named if isinstance(named, BitText) else BitText(id=named)
        register = Register(
            source.table, source.address, source.type, source.order,
            bit=int(number), words=source.words, no_data=source.no_data,
        )  # fmt: skip
        yield ProfilePoint(
            id=bit.id, part=part, name=_bit_names(bit), kind="flag", unit="", source=register,
            decimals=0, poll=text.poll, longest_silence_s=_silence(text),
            lane="event" if "event" in (bit.lane, text.lane) else "data",
        )  # fmt: skip


def _bit_names(bit: BitText) -> Names:
    words = bit.id.replace("_", " ")
    english = bit.en or words[0].upper() + words[1:]
    return {"en": english} | ({"zh": bit.zh} if bit.zh else {})


def _check_unique(context: _Context, points: Sequence[ProfilePoint]) -> None:
    seen: set[tuple[str, str]] = set()
    for point in points:
        if (point.part, point.id) in seen:
            context.wrong(point.id, "is named twice")
        seen.add((point.part, point.id))


def _check_scale_from(context: _Context) -> None:
    for key, text in context.file.points.items():
        if text.scale_from is not None and text.scale_from not in context.file.points:
            context.mistakes.unknown(
                context.shown, f"points.{key}.scale_from", text.scale_from,
                list(context.file.points),
            )  # fmt: skip
