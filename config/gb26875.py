"""Tables of GB/T 26875.3-2011 that profiles and frames share: what each status bit and analogue value means.

Source of all of them: "State bits" and "Analogue types" of the notes that the vectors came with
(tests/data/gb26875), put together from public implementations; the standard itself was not to be had.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

FireOf = Literal["device", "system", "component", "analogue"]

_BOTH: Final = {
    0: "normal", 1: "fire", 2: "fault", 3: "shielded", 4: "supervisory", 5: "started", 6: "feedback", 7: "delay",
}  # fmt: skip
STATE_BITS: Final[Mapping[FireOf, Mapping[int, str]]] = {
    "system": _BOTH | {
        8: "mains_fault", 9: "backup_power_fault", 10: "bus_fault", 11: "manual", 12: "config_changed", 13: "reset",
    },
    "component": _BOTH | {8: "supply_fault"},
    "device": {
        0: "normal", 1: "fire", 2: "fault", 3: "mains_fault", 4: "backup_power_fault", 5: "centre_link_down",
        6: "monitored_line_fault",
    },
}  # fmt: skip
"""Whose state to its bits (0 = least significant) and what 1 means; the others are reserved."""
CLEAR_BITS: Final[Mapping[FireOf, Mapping[int, str]]] = {
    "system": {0: "test", 11: "auto"}, "component": {0: "test"}, "device": {0: "test"},
}  # fmt: skip
"""What 0 means, where that says something too."""


@dataclass(frozen=True, slots=True)
class Analogue:
    """One analogue type: value in `unit` = raw i16 / `per_unit`, and the values that there can be."""

    quantity: str
    unit: str
    per_unit: int
    low: float
    high: float


ANALOGUES: Final[Mapping[int, Analogue]] = {
    1: Analogue("count", "", 1, 0, 32_000),
    2: Analogue("height", "m", 100, 0, 320),
    3: Analogue("temperature", "°C", 10, -273, 3_200),
    4: Analogue("pressure", "MPa", 10, 0, 3_200),
    5: Analogue("pressure", "kPa", 10, 0, 3_200),
    6: Analogue("gas", "%LEL", 10, 0, 100),
    7: Analogue("time", "s", 1, 0, 32_000),
    8: Analogue("voltage", "V", 10, 0, 3_200),
    9: Analogue("current", "A", 10, 0, 3_200),
    10: Analogue("flow", "L/s", 10, 0, 3_200),
    11: Analogue("air volume", "m3/min", 10, 0, 3_200),
    12: Analogue("air speed", "m/s", 1, 0, 20),
}
"""Analogue type to what it measures; 13-127 are reserved, 128-255 the maker's own."""
USER_ANALOGUES: Final = range(128, 256)
