"""One row of a register list as a point of a profile, and by name what that point cannot say."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

from config.imported_fields import (
    field_of,
    free,
    is_bit,
    names_of,
    order_of,
    size_of,
    slug,
    titled,
)
from config.imported_scale import Exponent
from config.register_maps import FIELDS

UNITS: Final[Mapping[str, str]] = {
    "pct": "%", "percent": "%", "c": "°C", "degc": "°C", "deg c": "°C", "℃": "°C", "celsius": "°C",
    "amp": "A", "amps": "A", "volt": "V", "volts": "V", "watt": "W", "watts": "W", "hertz": "Hz",
    "rpm": "rpm", "r/min": "rpm", "rev/min": "rpm", "1/min": "rpm", "min-1": "rpm",
    "deg": "°", "degree": "°", "degrees": "°", "kelvin": "K", "па": "Pa", "pascal": "Pa",
    "m3": "m3", "m³": "m3", "m^3": "m3", "cbm": "m3", "m3/h": "m3/h", "m³/h": "m3/h", "m^3/h": "m3/h", "cbm/h": "m3/h",
    "l": "L", "litre": "L", "liter": "L", "l/min": "L/min", "lpm": "L/min",
    "hour": "h", "hours": "h", "hr": "h", "hrs": "h", "minute": "min", "minutes": "min",
    "sec": "s", "second": "s", "seconds": "s", "msec": "ms", "metre": "m", "meter": "m",
}  # fmt: skip
"""How makers write a unit, in small letters, to its name in config/units.toml; same size, no factor."""
NAMELESS: Final = ("string", "f32", "f64")
"""Types whose values nobody names."""
REMARKS: Final = ("note", "packed", "type_note")
POWERS: Final = range(-10, 0)
"""Scales that are as likely powers of ten."""
FLAG_TYPE: Final = {"i16": "u16", "i32": "u32", "i64": "u64"}
BESIDE: Final[Mapping[str, str]] = {
    "packed": "is kept as one number of several ({packed}); split it by bit_width where needed",
    "unit_from": "has the unit that {unit_from} says: no unit here",
    "as_written": "{as_written}",
    "optional": "is there on some models only: remove it where yours has it not",
}
"""What a point says and its profile does not."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something of the list that the profile does not say, or says otherwise. `point` "" is the device."""

    point: str
    message: str
    lost: bool = False
    """Whether the whole point is left out."""


@dataclass(slots=True)
class Draft:
    """A profile as `ProfileFile` has it, comments by point, and what was not carried over."""

    profile: dict[str, Any] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def note(self, point: str, message: str, *, lost: bool = False) -> None:
        self.notes.append(Note(point, message, lost))


@dataclass(frozen=True, slots=True)
class RowPoint:
    """The point `key` of the fields of a row that can be one."""

    key: str
    fields: Mapping[str, Any]
    draft: Draft

    def note(self, message: str) -> None:
        self.draft.note(self.key, message)

    def made(self, units: Set[str], exponent: Exponent, taken: set[str]) -> dict[str, Any] | None:
        """The point as `PointText` has it; what it says beside goes to the notes and remarks.

        None, with the reason as a note, for a number whose scale nobody can tell.
        """
        fields, kind = self.fields, self._kind()
        if exponent.why and kind in ("measurement", "counter") and fields["type"] != "string":
            self.draft.note(self.key, f"{exponent.why}; unscaled it would look like a value", lost=True)  # fmt: skip
            return None
        point: dict[str, Any] = {"name": names_of(self.key, fields)}
        if kind != "measurement":
            point["kind"] = kind
        point |= self._place(kind)
        if kind in ("flags", "flag") or fields["type"] == "string":
            self._say_no_number(("scale", "offset", "scale_from", "unit"))
        else:
            point |= self._value(kind, units, exponent)
        point |= self._meanings(kind, taken)
        if fields["table"] in ("holding", "input"):
            point |= self._no_data(kind)
        if fields.get("config"):
            point["poll"] = "slow"
        self._say_the_rest()
        return point

    def _kind(self) -> str:
        fields = self.fields
        if self._named_bits():
            return "flags"
        single = is_bit(fields)
        if fields.get("enum") and fields["type"] not in NAMELESS:
            return "state"
        if single and fields.get("kind") not in (None, "flag"):
            self.note(f"is one bit: a flag, not a {fields['kind']}")
        return "flag" if single else self._asked_kind()

    def _asked_kind(self) -> str:
        kind = str(self.fields.get("kind") or "measurement")
        if kind in ("state", "flag"):
            self.note(f"names no values as a {kind} does: kept as a measurement")
            return "measurement"
        return kind

    def _named_bits(self) -> Mapping[str, str]:
        fields = self.fields
        bits = fields.get("bits")
        if not isinstance(bits, dict):
            return {}
        of_word = fields["table"] in ("holding", "input") and fields["type"] in ("bit", *FLAG_TYPE, *FLAG_TYPE.values())  # fmt: skip
        if not of_word or field_of(fields)[0] is not None:
            self.note("names bits, which only a whole word has: left out")
            return {}
        size = 16 * size_of(fields)
        inside = {n: text for n, text in bits.items() if 0 <= int(n) < size}
        for number in sorted(bits.keys() - inside.keys()):
            self.note(f"names bit {number} of {size}: left out")
        return inside

    def _place(self, kind: str) -> dict[str, Any]:
        fields = self.fields
        at = f"{fields['table']}:{fields['address']}"
        if fields["table"] in ("coil", "discrete"):
            return {"at": at}
        bit, width = field_of(fields)
        place: dict[str, Any] = {"at": at if bit is None else f"{at}.{bit}"}
        type = {"u8": "u16", "i8": "i16"}.get(fields["type"], fields["type"])
        if kind == "flags" or (bit is not None and width == 1):
            type = FLAG_TYPE.get(type, type)
        if type == "bit" and (kind == "flags" or bit is not None):
            type = "u16"
        if type != "u16":
            place["type"] = type
        if bit is not None and width > 1:
            place["bit_width"] = width
        if order := order_of(fields):
            place["order"] = order
        return place | ({"words": fields["words"]} if type == "string" else {})

    def _value(self, kind: str, units: Set[str], exponent: Exponent) -> dict[str, Any]:
        fields = self.fields
        made: dict[str, Any] = {}
        if kind == "state":
            self._say_no_number(("scale", "offset", "scale_from"))
        else:
            made |= {k: fields[k] for k, usual in (("scale", 1), ("offset", 0)) if (fields.get(k) or usual) != usual}  # fmt: skip
            made |= self._exponent(exponent)
        made |= self._unit(units)
        if span := fields.get("range"):
            outside = [n for n in sorted(map(int, fields["enum"])) if not span[0] <= n <= span[1]] if kind == "state" else []  # fmt: skip
            if outside:
                self.note(f"range {span[0]:g}..{span[1]:g} leaves out {', '.join(map(str, outside))}, which has a name: the range is left out")  # fmt: skip
            else:
                made["range"] = span
        self._say_what_is_doubtful(made)
        return made

    def _say_what_is_doubtful(self, made: Mapping[str, Any]) -> None:
        """A range of raw numbers instead of values, and a scale that divides or is a power of ten instead of multiplying."""
        scale, bits = made.get("scale", 1), 16 * size_of(self.fields)
        said = self.fields.get("scale") if "scale" in made else None
        if said in (10, 100, 1000):
            self.note(f"scale {scale:g} multiplies: 5 is read as {5 * scale:g}; some lists mean division by {scale:g}, then write 1/{scale:g}")  # fmt: skip
        if said in POWERS:
            self.note(f"scale {scale:g} multiplies: 5 is read as {5 * scale:g}; some lists mean 10^{scale:g}, then write {10**scale:g} or call the column exponent")  # fmt: skip
        if "range" not in made or scale == 1 or "scale_from" in made or self.fields["type"] in NAMELESS:  # fmt: skip
            return
        most = abs(scale) * 2.0**bits
        if max(map(abs, made["range"])) > most + abs(made.get("offset", 0)):
            low, high = made["range"]
            self.note(f"range {low:g}..{high:g} is more than {self.fields['type']} x {scale:g} can give: raw numbers, perhaps; range is in the unit, after scale, and other values are dropped")  # fmt: skip

    def _say_no_number(self, keys: Sequence[str]) -> None:
        usual = (None, "", 0, 1)
        given = [key for key in keys if self.fields.get(key) not in usual]
        if given:
            self.note(f"is a text, a bit or one of named values: its {', '.join(given)} is left out")  # fmt: skip

    def _exponent(self, exponent: Exponent) -> dict[str, Any]:
        if exponent.note:
            self.note(exponent.note)
        if exponent.key:
            return {"scale_from": exponent.key, "decimals": 2}
        return {"scale": float(f"1e{exponent.power}")} if exponent.power else {}

    def _unit(self, units: Set[str]) -> dict[str, str]:
        given = (self.fields.get("unit") or "").strip()
        unit = given if given in units else UNITS.get(given.lower())
        if given and unit is None:
            close = [name for name in units if name.lower() == given.lower()]
            unit = close[0] if len(close) == 1 else None
            if unit:
                self.note(f"unit {given!r} is taken as {unit}")
        if unit is None or (given and unit not in units):
            self.note(f"unit {given!r} is not in config/units.toml: left out")
            return {}
        return {"unit": unit} if unit else {}

    def _meanings(self, kind: str, taken: set[str]) -> dict[str, Any]:
        if kind == "state":
            return {"names": _states(self.fields["enum"])}
        if self.fields.get("enum"):
            self.note(f"names values, which {kind} of {self.fields['type']} has not: left out")
        if kind != "flags":
            return {}
        bits: dict[str, Any] = {}
        for number, text in sorted(self._named_bits().items(), key=lambda row: int(row[0])):
            own = free(f"{self.key}_{slug(text, '_') or number}", taken)
            taken.add(own)
            bits[str(int(number))] = {"id": own, "en": f"{titled(self.key)}: {text or number}"}
        return {"bits": bits}

    def _no_data(self, kind: str) -> dict[str, Any]:
        given, type = self.fields.get("sentinels") or [], self.fields["type"]
        if given and type == "string":
            self.note(f"no data = {_listed(given)}: a text cannot say so, left out")
            return {}
        bits = 16 * size_of(self.fields)
        low = -(1 << bits - 1) if type in ("i8", "i16", "i32", "i64") else 0
        sound = [n for n in given if low <= n < 1 << bits]
        if len(sound) < len(given):
            self.note(f"no data = {_listed([n for n in given if n not in sound])} never stands in {bits} bits: left out")  # fmt: skip
        if kind == "flags" or is_bit(self.fields):
            sound = [n % (1 << bits) for n in sound]  # its type has no sign
        if kind != "flags" and is_bit(self.fields) and (own := {0, 1} & {*sound}):
            self.note(f"no data = {_listed(sorted(own))}: what the bit itself may be, left out")
            sound = [n for n in sound if n not in own]
        # the upper half of 64 bits can be written in TOML only as if it were signed
        return {"no_data": [n - (1 << 64) if n >= 1 << 63 else n for n in sound]} if sound else {}

    def _say_the_rest(self) -> None:
        fields = self.fields
        if said := [str(fields[key]) for key in REMARKS if fields.get(key)]:
            self.draft.remarks[self.key] = said
        for key, message in BESIDE.items():
            if fields.get(key):
                self.note(message.format_map(fields))
        if fields["type"] in ("u8", "i8") and not fields.get("byte") and fields.get("bit") is None:
            self.note("says not which byte of the word: the low one is taken")
        if fields.get("bit_width") and fields.get("bit") is None and not fields.get("byte"):
            self.note("says a width and no bit: the lowest bits are taken")
        for key in fields.keys() - FIELDS.keys():
            self.note(f"{key} is not carried over: {fields[key]}")


def _states(enum: Mapping[str, str]) -> dict[str, Any]:
    taken: set[str] = set()
    states: dict[str, Any] = {}
    for number, text in sorted(enum.items(), key=lambda row: int(row[0])):
        # a name such as "2 compressors" alone is no word to write in a rule
        own = free(slug(text, "_")[:60].strip("_") or f"value_{number.replace('-', 'minus_')}", taken)  # fmt: skip
        taken.add(own)
        states[str(int(number))] = {"id": own, "en": text or number}
    return states


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
