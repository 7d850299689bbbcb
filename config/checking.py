"""What in a profile cannot be: keys that nothing uses, values that no register holds, ranges that no request may read."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from config.files import ModbusText, PointText, ProfileFile
from config.mistakes import Mistakes
from config.plant import ON_THE_WAY_S
from config.profile import (
    PROTOCOLS,
    WORDS,
    FireValue,
    JsonPath,
    ModbusLimits,
    ProfilePoint,
    Register,
    Table,
)
from config.readers import installed_readers

Span = tuple[Table, int, int]
"""Table, first and last address, inclusive."""

MQTT_KEYS = {"topic", "time", "error", "expects", "text"}
UNUSED: Mapping[str, Set[str]] = {
    "modbus": {"rung", "values", *MQTT_KEYS},
    "mqtt": {"rung", "type", "order", "words", "bit_width", "scale_from", "bits", "no_data"},
    "gb26875": {"rung", "type", "order", "words", "bit_width", "scale_from", "values", "no_data", *MQTT_KEYS},
    "camera": {"at", "type", "order", "words", "bit_width", "scale", "offset", "scale_from", "values", "bits", "no_data", *MQTT_KEYS},
    "coil": {"rung", "values", "order", "words", "bit_width", "scale", "offset", "scale_from", "bits", "no_data", *MQTT_KEYS},
}  # fmt: skip
"""Protocol, or `coil` for a table of bits, to the keys of a point that mean nothing there."""
NOT_OF_KIND: Mapping[str, Set[str]] = {
    "measurement": {"bits"},
    "counter": {"bits", "frozen_after"},
    "state": {"bits", "frozen_after", "rate_max", "rolls_over_at", "scale_from"},
    "flag": {"bits", "frozen_after", "rate_max", "rolls_over_at", "scale_from"},
    "flags": {"frozen_after", "rate_max", "rolls_over_at", "scale_from"},
}
"""Kind of a point to the keys that mean nothing for it."""
PROTOCOL_TABLES: Set[str] = {"modbus", "mqtt", "gb26875", "camera"}
UNUSED_BY_OTHERS: Set[str] = UNUSED["camera"] - {"at"} | {"rung"}
"""The same for readers that packages bring: they tell values in the unit of the profile."""
BIT_TABLES = ("coil", "discrete")
BIT_TYPES = ("u16", "u32", "u64", "bit")
"""Types of which single bits can be taken."""
FIELD_TYPES = ("u16", "u32", "u64", "i16", "i32", "i64")
"""Types of which a field of several bits can be taken; the signed ones extend its sign."""
LAST_ADDRESS = 65535
SILENCE_OF_POLL_S = {"slow": 300.0, "hourly": 10_800.0}
SILENCE_S = 60.0
SILENCE_PERIODS = 3


@dataclass(frozen=True, slots=True)
class Context:
    """The file of a profile, what it allows in a request, and where its mistakes go."""

    file: ProfileFile
    shown: str
    units: Mapping[str, str]
    mistakes: Mistakes
    limits: ModbusLimits

    def wrong(self, key: str, message: str) -> None:
        self.mistakes.add(self.shown, f"points.{key}" if key else "", message)


def make_limits(modbus: ModbusText, shown: str, mistakes: Mistakes) -> ModbusLimits:
    """What one request may hold; ranges that are none are mistakes and left out."""
    return ModbusLimits(
        max_words=modbus.max_words,
        max_bits=modbus.max_bits,
        pause_s=modbus.pause,
        forbidden=tuple(_spans("forbidden", modbus.forbidden, shown, mistakes)),
        together=tuple(_spans("together", modbus.together, shown, mistakes)),
    )


def _spans(key: str, texts: Sequence[str], shown: str, mistakes: Mistakes) -> Iterator[Span]:
    for text in texts:
        name, _, numbers = text.partition(":")
        first, _, last = numbers.partition("-")
        span = table_of(name), int(first), int(last or first)
        if span[1] > span[2]:
            mistakes.add(shown, f"modbus.{key}", f"{text!r} does not go from low to high")
        elif span[2] > LAST_ADDRESS:
            mistakes.add(shown, f"modbus.{key}", f"{text!r} is not in 0..{LAST_ADDRESS}")
        else:
            yield span


def table_of(text: str) -> Table:
    """The table of that name."""
    tables: dict[str, Table] = {
        "holding": "holding", "input": "input", "coil": "coil", "discrete": "discrete",
    }  # fmt: skip
    return tables[text]


# --- what is written at a point ----------------------------------------------------------------


def check_text(context: Context, key: str, text: PointText) -> None:
    """Mistakes of meaning in a point, wherever it stands."""
    if text.unit not in context.units:
        context.mistakes.unknown(
            context.shown, f"points.{key}.unit", text.unit, [u for u in context.units if u]
        )
    _check_ranges(context, key, text)
    if text.scale == 0:
        context.wrong(f"{key}.scale", "is 0: every value would be the offset; allowed: all others")
    _check_heartbeat(context, key, text)
    _check_kind(context, key, text)
    _check_words(context, key, text)
    _check_exponent(context, key, text)
    _check_movement(context, key, text)
    _check_used(context, key, text)


INTEGERS: Set[str] = {"u16", "i16", "u32", "i32", "u64", "i64"}


def _check_ranges(context: Context, key: str, text: PointText) -> None:
    """What is expected or named can be at all: any value outside the range is dropped."""
    for name, span in (("range", text.range), ("expected", text.expected)):
        if span and span[0] >= span[1]:
            context.wrong(f"{key}.{name}", f"{span} does not go from low to high")
    if text.range is None or text.range[0] >= text.range[1]:
        return
    low, high = text.range
    if text.expected and (text.expected[0] > high or text.expected[1] < low):
        context.wrong(f"{key}.expected", f"{text.expected} is all outside the range; allowed: some of {text.range}")  # fmt: skip
    can_be = [number for number in sorted(_named(text) or ()) if not _is_no_data(text, number)]
    outside = [number for number in can_be if not low <= number <= high]
    if outside:
        context.wrong(f"{key}.range", f"{text.range} leaves out {', '.join(map(str, outside))}, which the {text.kind} can be; leave it out, or let it hold all of them")  # fmt: skip


def _is_no_data(text: PointText, number: int) -> bool:
    """Whether what means this number says that there is none: it is the same word, or field, whatever its sign."""
    if text.type not in INTEGERS or text.scale != 1 or text.offset:
        return False
    own, size = _own_no_data(text, (text.at or "").rpartition(":")[2].partition(".")[2])
    return number % size in {one % size for one in own}


def _named(text: PointText) -> Set[int] | None:
    """The only values that a flag or a state can have; None for a number."""
    states = {int(number) for number in text.names if is_whole(number)}
    return {"flag": {0, 1}, "state": states}.get(text.kind)


def _check_kind(context: Context, key: str, text: PointText) -> None:
    if text.kind == "state" and not text.names:
        context.wrong(f"{key}.names", "is missing: a state names its values")
    if text.kind == "flags" and not text.bits:
        context.wrong(f"{key}.bits", "is missing: flags name their bits")
    if text.kind != "flags" and text.bits:
        context.wrong(f"{key}.bits", f"is not used by a {text.kind}; allowed: with kind = 'flags'")
    for number in text.names:
        if not is_whole(number):
            context.wrong(f"{key}.names", f"{number!r} is not a whole number")


def _check_words(context: Context, key: str, text: PointText) -> None:
    """A word that means a value which the point cannot have would never be read."""
    allowed = _named(text)
    for word, number in (text.values or {}).items():
        if allowed is not None and number * text.scale + text.offset not in allowed:
            context.wrong(f"{key}.values", f"{word!r} means {number:g}, which a {text.kind} cannot be; allowed: {', '.join(map(str, sorted(allowed)))}")  # fmt: skip


def _check_exponent(context: Context, key: str, text: PointText) -> None:
    """Only a number is multiplied by a power of ten."""
    if text.scale_from is None or "scale_from" in _unused(context.file.protocol, text.at or ""):
        return
    single = text.type == "bit" or ("." in (text.at or "") and text.bit_width == 1)
    what = "a text" if text.type == "string" else "a single bit" if single else f"of kind {text.kind}"  # fmt: skip
    if text.type == "string" or single or text.kind not in ("measurement", "counter"):
        context.wrong(f"{key}.scale_from", f"scales a number, and this is {what}: leave it out")


def _check_movement(context: Context, key: str, text: PointText) -> None:
    """Only numbers move; what counts may stand still and jumps where it rolls over."""
    moves = ("measurement", "counter")
    if text.rate_max is not None and text.kind not in moves:
        context.wrong(f"{key}.rate_max", f"means nothing for a {text.kind}; only for {' and '.join(moves)}")  # fmt: skip
    if text.frozen_after is not None and text.kind != "measurement":
        context.wrong(f"{key}.frozen_after", f"means nothing for a {text.kind}; only for measurement")  # fmt: skip
    turns = text.kind == "measurement" and text.rate_max is not None  # an angle
    if text.rolls_over_at is not None and text.kind != "counter" and not turns:
        context.wrong(f"{key}.rolls_over_at", f"means nothing for a {text.kind}; only for counter, and for measurement with rate_max")  # fmt: skip


def _check_heartbeat(context: Context, key: str, text: PointText) -> None:
    """A point is not silent before its device is."""
    least = 4 * context.file.gb26875.heartbeat + ON_THE_WAY_S
    silence = text.longest_silence
    if context.file.protocol == "gb26875" and silence is not None and silence < least:
        context.wrong(f"{key}.longest_silence", f"{silence:g} s ends before three heartbeats are missed; allowed: {least:g} s or more")  # fmt: skip


def _check_used(context: Context, key: str, text: PointText) -> None:
    """Every key that is given is looked at, by the protocol or the table."""
    protocol, at = context.file.protocol, text.at or ""
    of_bits = _of_bits(protocol, at)
    unused = _unused(protocol, at) | ({"type"} if of_bits and text.type != "bit" else set())
    hidden = unused_keys(protocol, at, text.kind)
    names = {field.alias or name for name, field in PointText.model_fields.items()}
    allowed = ", ".join(sorted(names - hidden))
    for name in sorted(text.model_fields_set & unused):
        whose = "a single bit" if of_bits else f"a point of protocol {protocol}"
        context.wrong(f"{key}.{name}", f"is not used by {whose}; allowed: {allowed}")


def _of_bits(protocol: str, at: str) -> bool:
    return protocol == "modbus" and at.startswith(BIT_TABLES)


def _unused(protocol: str, at: str) -> Set[str]:
    return UNUSED.get("coil" if _of_bits(protocol, at) else protocol, UNUSED_BY_OTHERS)


def unused_keys(protocol: str, at: str, kind: str) -> Set[str]:
    """Keys that a point of that protocol, place and kind cannot have."""
    said_by_table = {"type"} if _of_bits(protocol, at) else set()
    return _unused(protocol, at) | NOT_OF_KIND.get(kind, set()) | said_by_table


def refused_keys(file: Mapping[str, object], location: Sequence[int | str]) -> Set[str]:
    """Keys that would be refused at a place of a profile as it is written: not to be offered there."""
    protocol = str(file.get("protocol", ""))
    if not location:
        return PROTOCOL_TABLES - {protocol}
    points = file.get("points")
    if location[0] != "points" or len(location) != 2 or not isinstance(points, dict):
        return set()
    point = points.get(location[1])
    told = point if isinstance(point, dict) else {}
    return unused_keys(protocol, str(told.get("at", "")), str(told.get("kind", "measurement")))


def is_small(number: str) -> bool:
    """A register's address, a bit or a place in a list, or too large for one: its bounds are checked elsewhere."""
    return number.isdecimal() and len(number) <= 9


def steps(path: str) -> tuple[str | int, ...]:
    """A path into a JSON value."""
    return tuple(int(step) if is_small(step) else step for step in path.split(".") if step)


def is_whole(number: str) -> bool:
    """A whole number, of either sign, that a float can hold."""
    digits = number.removeprefix("-")
    return digits.isdecimal() and len(digits) <= 16


def check_file(context: Context) -> None:
    """The table of another protocol, and ranges that can never come in one request."""
    protocol = context.file.protocol
    if protocol not in PROTOCOLS and protocol not in (readers := installed_readers()):
        allowed = [*PROTOCOLS, *readers]
        context.mistakes.unknown(context.shown, "protocol", protocol, allowed)
    for name in sorted(context.file.model_fields_set & (PROTOCOL_TABLES - {protocol})):
        context.mistakes.add(
            context.shown, name, f"is not used by protocol {context.file.protocol}; leave it out"
        )
    for span in context.limits.together:
        _check_readable(context, "modbus.together", span)


# --- what stands in a register -----------------------------------------------------------------


def words_of(context: Context, key: str, text: PointText) -> int | None:
    """How many registers the value takes; None where that cannot be."""
    wanted = WORDS.get(text.type)
    if wanted is None and text.words is None:
        context.wrong(f"{key}.words", "is missing: a string says how many registers it takes")
    if wanted is not None and text.words not in (None, wanted):
        context.wrong(f"{key}.words", f"{text.words} is not what {text.type} takes; allowed: {wanted}")  # fmt: skip
        return None
    return wanted or text.words


def check_bits(context: Context, key: str, text: PointText, bit: str) -> None:
    """Bits are taken of a word that has them, and said in one place."""
    if text.kind == "flags" and (bit or (text.at or "").startswith(BIT_TABLES)):
        context.wrong(f"{key}.at", f"{text.at!r} is one bit: flags stand in a word; allowed: holding:N, input:N")  # fmt: skip
    if text.bit_width > 1 and not bit:
        context.wrong(f"{key}.bit_width", "needs the lowest bit of the field; allowed: with at = 'table:address.bit'")  # fmt: skip
    types = FIELD_TYPES if text.bit_width > 1 else BIT_TYPES
    if (bit or text.kind == "flags") and text.type not in types:
        context.wrong(f"{key}.type", f"{text.type!r} has no bits to take; allowed: {', '.join(types)}")  # fmt: skip


def sentinels(
    context: Context, key: str, text: PointText, bit: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """`no_data` as raw unsigned numbers: those of the value, and those of the whole word that it is a part of.

    A number that fits into a field is the field's; all others, and all of flags, are the word's.
    Signed types say theirs either way.
    """
    if text.no_data and text.type == "string":
        context.wrong(f"{key}.no_data", "is compared with whole numbers: a text has none; leave it out")  # fmt: skip
        return (), ()
    whole = _ends(text, 16 * WORDS.get(text.type, 1))
    for number in text.no_data:
        if not whole[0] <= number < whole[1]:
            context.wrong(f"{key}.no_data", f"{number} never stands in {text.type}; allowed: {whole[0]}..{whole[1] - 1}{_hint(text)}")  # fmt: skip
    own, end = _own_no_data(text, bit)
    if own and end == 2:  # a bit is 0 or 1
        context.wrong(f"{key}.no_data", f"{own[0]} is what the bit itself may be; allowed: what its whole word is that has no data")  # fmt: skip
    return tuple(n % end for n in own), tuple(n % whole[1] for n in text.no_data if n not in own)


def _own_no_data(text: PointText, bit: str) -> tuple[Sequence[int], int]:
    """Which of `no_data` are of the value, not of the word that it is a part of; how many numbers it can be."""
    if text.kind == "flags":
        return (), 1
    is_part = bit or text.type == "bit"
    low, end = _ends(text, text.bit_width if is_part else 16 * WORDS.get(text.type, 1))
    return [n for n in text.no_data if low <= n < end or not is_part], end


def _ends(text: PointText, bits: int) -> tuple[int, int]:
    """From where and up to where (not included) a number of so many bits may be said."""
    size = 1 << bits
    # TOML's whole numbers end at 63 bits: the upper half of 64 can only be said as if signed
    return (-size // 2 if text.type in ("i16", "i32", "i64", "u64", "f64") else 0), size


def _hint(text: PointText) -> str:
    floats = text.type in ("f32", "f64")
    return ", its bits as a whole number (NaN of f32 = 2143289344)" if floats else ""


# --- what a request may read -------------------------------------------------------------------


def check_register(context: Context, key: str, register: Register) -> None:
    """The value can be read: not forbidden, and not longer than a request."""
    count = 1 if register.table in BIT_TABLES else register.words
    span = register.table, register.address, register.address + count - 1
    _check_readable(context, f"points.{key}.at", span)


def _check_readable(context: Context, path: str, span: Span) -> None:
    limits, table = context.limits, span[0]
    whole = grown(span, limits.together)
    for other in limits.forbidden:
        if _overlap(whole, other):
            context.mistakes.add(
                context.shown, path, f"{_said(whole)} touches {_said(other)}, which is forbidden"
            )
    name = "max_bits" if table in BIT_TABLES else "max_words"
    longest = limits.max_bits if table in BIT_TABLES else limits.max_words
    count = whole[2] - whole[1] + 1
    if count > longest:
        context.mistakes.add(
            context.shown, path,
            f"{_said(whole)} must come in one request of {count}; allowed: {name} = {longest}",
        )  # fmt: skip


def grown(span: Span, together: Sequence[Span]) -> Span:
    """The span with every range that must be read with it, directly or through another."""
    for _ in together:
        for other in together:
            if _overlap(span, other):
                span = span[0], min(span[1], other[1]), max(span[2], other[2])
    return span


def _overlap(one: Span, other: Span) -> bool:
    return one[0] == other[0] and one[1] <= other[2] and other[1] <= one[2]


def _said(span: Span) -> str:
    return f"{span[0]}:{span[1]}" + (f"-{span[2]}" if span[2] > span[1] else "")


# --- how long a point may be silent ------------------------------------------------------------


def silence_s(point: ProfilePoint, period_s: float) -> float:
    """The longest silence as stated, else as its poll class has it, several periods at least."""
    if point.longest_silence_s is not None:
        return point.longest_silence_s
    usual = SILENCE_OF_POLL_S.get(point.poll, SILENCE_S)
    return max(usual, SILENCE_PERIODS * period_s)


def silence_mistake(point: ProfilePoint, period_s: float) -> str:
    """Why the next reading may come after the silence has begun; "" where it cannot.

    Devices that send by themselves are not polled.
    """
    silence, least = silence_s(point, period_s), 1.5 * period_s + ON_THE_WAY_S
    if silence >= least or isinstance(point.source, JsonPath):
        return ""
    return (
        f"{silence:g} s ends before the next reading is sure to be there; allowed: {least:g} s or more "
        f"(1.5 x {period_s:g} s of poll {point.poll} + {ON_THE_WAY_S:g} s on the way)"
    )


# --- how long a value may stand still ----------------------------------------------------------


def frozen_mistake(point: ProfilePoint, period_s: float) -> str:
    """Why two readings that are the same would be frozen at once; "" where they are not.

    Devices that send by themselves are not polled.
    """
    frozen_s = point.frozen_after_s
    if frozen_s is None or frozen_s > period_s or isinstance(point.source, JsonPath | FireValue):
        return ""
    return (
        f"{frozen_s:g} s are over with the second reading, which may well be the same; "
        f"allowed: more than {period_s:g} s (poll {point.poll})"
    )
