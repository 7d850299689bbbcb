"""Names of GB/T 26875.3-2011 for people: systems, components, and what the bits of a word say.

Source: "System types", "Component types", "State bits" and "Operation bits" of the notes beside the
vectors (tests/data/gb26875/README.md); words as the vectors have them where they do.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from config.gb26875 import CLEAR_BITS, STATE_BITS, FireOf

OPERATIONS: Final = (
    "reset",
    "mute",
    "manual_alarm",
    "alarm_cancelled",
    "self_test",
    "confirm",
    "test",
)
"""Bits 0 to 6 of an operation; bit 5 at the transmission device answers a guard check."""
SYSTEM_TYPES: Final[Mapping[int, str]] = {
    0: "general", 1: "fire alarm system", 10: "linkage controller", 11: "hydrant system", 12: "sprinkler system",
    13: "gas extinguishing system", 14: "water spray system (pump)", 15: "water spray system (pressure vessel)",
    16: "foam system", 17: "dry powder system", 18: "smoke control system", 19: "fire doors and shutters",
    20: "fire lift", 21: "emergency broadcast", 22: "emergency lighting and signs", 23: "fire power supply",
    24: "fire telephone",
}  # fmt: skip
COMPONENT_TYPES: Final[Mapping[int, str]] = {
    0: "general", 1: "fire alarm controller", 10: "gas detector", 11: "point gas detector",
    12: "stand-alone gas detector", 13: "line gas detector", 16: "electrical fire monitor",
    17: "residual current detector", 18: "electrical temperature detector", 21: "loop", 22: "repeater panel",
    23: "manual call point", 24: "hydrant button", 25: "fire detector", 30: "heat detector",
    31: "point heat detector", 32: "point heat detector S", 33: "point heat detector R", 34: "line heat detector",
    35: "line heat detector S", 36: "line heat detector R", 37: "fibre heat detector", 40: "smoke detector",
    41: "ion smoke detector", 42: "photoelectric smoke detector", 43: "beam smoke detector",
    44: "aspirating smoke detector", 50: "combined detector", 51: "smoke and heat detector",
    52: "light and heat detector", 53: "light and smoke detector", 61: "ultraviolet flame detector",
    62: "infrared flame detector", 69: "optical flame detector", 74: "gas sensor", 78: "video detector",
    79: "acoustic detector", 81: "gas extinguishing controller", 82: "electrical fire control device",
    83: "control room display", 84: "module", 85: "input module", 86: "output module", 87: "input/output module",
    88: "relay module", 91: "fire pump", 92: "fire water tank", 95: "sprinkler pump", 96: "flow indicator",
    97: "signal valve", 98: "alarm valve", 99: "pressure switch", 101: "valve actuator", 102: "fire door",
    103: "fire damper", 104: "ventilation", 105: "foam pump", 106: "pipe solenoid valve", 111: "smoke fan",
    113: "exhaust damper", 114: "normally closed inlet", 115: "smoke outlet", 116: "powered smoke curtain",
    117: "shutter controller", 118: "door monitor", 121: "alarm device",
}  # fmt: skip


def type_name(names: Mapping[int, str], number: int) -> str:
    """Of a system or component type."""
    return names.get(number) or ("user" if number > 127 else "reserved")


def state_flags(of: FireOf, state: int) -> tuple[str, ...]:
    """What the bits of a state say, lowest first; reserved ones say nothing."""
    return tuple(_flags(STATE_BITS[of], CLEAR_BITS[of], state))


def operation_flags(operation: int, *, of_device: bool) -> tuple[str, ...]:
    """What was done, by the bits of an operation."""
    names = dict(enumerate(OPERATIONS)) | ({5: "guard_answer"} if of_device else {})
    return tuple(_flags(names, {}, operation))


def _flags(names: Mapping[int, str], clear: Mapping[int, str], word: int) -> Iterator[str]:
    for bit, name in names.items():
        if word >> bit & 1:
            yield name
        elif bit in clear:
            yield clear[bit]
