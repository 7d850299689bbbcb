"""Where a point of a fire transmission device stands, as written, checked against the protocol's tables."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, cast

from config.checking import Context
from config.files import PartText, PointText
from config.gb26875 import ANALOGUES, STATE_BITS, USER_ANALOGUES, FireOf
from config.profile import FirePlace, FireValue

FORMS: Final = (
    "device[:BIT], system:TYPE-ADDRESS[:BIT], component:TYPE-ADDRESS/[KIND@]ZONE-POSITION[:BIT], "
    "analogue:TYPE-ADDRESS/[KIND@]ZONE-POSITION:ANALOGUE"
)
"""TYPE and ADDRESS are the system's, KIND is the component's type; `{n}` is the number of a part."""
_AT: Final = re.compile(
    r"(?P<of>device|system|component|analogue)"
    r"(?P<system>:(?P<system_type>\d{1,3})-(?P<system_address>\d{1,3}))?"
    r"(?P<component>/((?P<component_type>\d{1,3})@)?(?P<zone>\d{1,5})-(?P<position>\d{1,5}))?"
    r"(:(?P<last>\d{1,3}))?",
    re.ASCII,
)
_LARGEST: Final[Mapping[str, int]] = {
    "system_type": 255, "system_address": 255, "component_type": 255, "zone": 65535, "position": 65535,
}  # fmt: skip
_PARTS: Final[Mapping[FireOf, tuple[bool, bool]]] = {
    "device": (False, False), "system": (True, False), "component": (True, True), "analogue": (True, True),
}  # fmt: skip
"""Of what, to whether a system and a component are named."""
_KINDS: Final[Mapping[bool, tuple[str, ...]]] = {
    True: ("measurement", "counter"), False: ("flag", "state", "flags"),
}  # fmt: skip
"""Whether it is measured, to what its point may be."""


def fire_value(
    context: Context, key: str, text: PointText, part: PartText | None, n: int
) -> FireValue | None:
    """The value that `at` means for part `n`; None, and a mistake, where it means none.

    Flags have no bit of their own yet: see `with_bit`.
    """
    if part is not None and part.stride:
        context.wrong(f"{key}.at", f"stride {part.stride} shifts nothing by protocol gb26875; write {{n}} into the address")  # fmt: skip
    found = _AT.fullmatch((text.at or "").replace("{n}", str(n)))
    if found is None or _named(found) != _PARTS[cast("FireOf", found["of"])]:
        context.wrong(f"{key}.at", f"{text.at!r} is not of the form {FORMS}")
        return None
    numbers = {name: int(found[name] or 0) for name in _LARGEST}
    for name, number in numbers.items():
        if number > _LARGEST[name]:
            context.wrong(f"{key}.at", f"{name.replace('_', ' ')} {number} is not in 0..{_LARGEST[name]}")  # fmt: skip
    of, last = cast("FireOf", found["of"]), found["last"]
    component_type = int(found["component_type"]) if found["component_type"] else None
    del numbers["component_type"]
    value = FireValue(
        FirePlace(of, **numbers), None, component_type, text.scale, text.offset,
    )  # fmt: skip
    _check_kind(context, key, text, of)
    if of == "analogue":
        return _measured(context, key, text, value, int(last or 0))
    return _told(context, key, text, value, last)


def with_bit(value: FireValue, bit: int) -> FireValue | None:
    """The same place's other bit; None if the table has none."""
    return replace(value, bit=bit) if bit in STATE_BITS[value.place.of] else None


def _named(found: re.Match[str]) -> tuple[bool, bool]:
    return found["system"] is not None, found["component"] is not None


def _check_kind(context: Context, key: str, text: PointText, of: FireOf) -> None:
    allowed = _KINDS[of == "analogue"]
    if text.kind not in allowed:
        context.wrong(f"{key}.kind", f"{text.kind!r} is not what {of} tells; allowed: {', '.join(allowed)}")  # fmt: skip
    if of != "analogue":
        for name in sorted(text.model_fields_set & {"scale", "offset", "unit"}):
            context.wrong(f"{key}.{name}", "is not used by a bit of a state; leave it out")
        for number in text.names:
            if number not in ("0", "1"):
                context.wrong(f"{key}.names", f"{number!r} is no value of a bit; allowed: 0, 1")


def _measured(
    context: Context, key: str, text: PointText, value: FireValue, analogue_type: int
) -> FireValue:
    """The table says the unit; only with a `scale` may the point have another."""
    row = ANALOGUES.get(analogue_type)
    if row is None and analogue_type not in USER_ANALOGUES:
        context.wrong(f"{key}.at", f"analogue type {analogue_type} is reserved; allowed: 1..12, 128..255")  # fmt: skip
    if row is not None and text.unit != row.unit and "scale" not in text.model_fields_set:
        context.wrong(f"{key}.unit", f"{text.unit!r} is not {row.unit!r}, the unit of {row.quantity}; another one needs a scale")  # fmt: skip
    return replace(value, place=replace(value.place, analogue_type=analogue_type))


def _told(
    context: Context, key: str, text: PointText, value: FireValue, bit: str | None
) -> FireValue | None:
    if text.kind == "flags":
        if bit is not None:
            context.wrong(f"{key}.at", f"{text.at!r} is one bit: flags name theirs in `bits`; leave it out")  # fmt: skip
        return value
    if bit is None:
        context.wrong(f"{key}.at", f"{text.at!r} says no bit; allowed: {_bits(value)}")
        return None
    told = with_bit(value, int(bit))
    if told is None:
        context.wrong(f"{key}.at", f"bit {bit} of a {value.place.of} is reserved; allowed: {_bits(value)}")  # fmt: skip
    return told


def _bits(value: FireValue) -> str:
    return ", ".join(f"{bit} ({name})" for bit, name in STATE_BITS[value.place.of].items())
