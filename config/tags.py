"""What a point is to other systems: its Brick class and its Haystack markers, and where they contradict what it is here."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Final

from config.profile import Kind, Tags

FUNCTION_OF: Final[Mapping[str, str]] = {
    "Sensor": "sensor", "Status": "sensor", "Alarm": "sensor", "Setpoint": "sp", "Command": "cmd",
    "Parameter": "", "Limit": "",
}  # fmt: skip
"""How the name of a Brick point ends (its kinds, brickschema.org), and the Haystack function of such a point."""
FUNCTIONS: Final = ("sensor", "cmd", "sp")
"""A Haystack point has exactly one of these (project-haystack.org, chapter Points)."""
QUANTITIES: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "Pressure": ("pressure", frozenset({"pressure"})),
    "Temperature": ("temp", frozenset({"temperature", "temperature difference"})),
    "Voltage": ("volt", frozenset({"voltage"})),
    "Current": ("current", frozenset({"electric current"})),
    "Frequency": ("freq", frozenset({"frequency"})),
    "Power": ("power", frozenset({"power", "apparent power", "reactive power"})),
    "Energy": ("energy", frozenset({"energy", "reactive energy"})),
    "Flow": ("flow", frozenset({"volume flow"})),
    "Level": ("level", frozenset({"length, level", "share"})),
    "Speed": ("speed", frozenset({"speed", "rotation", "share"})),
    "Time": ("", frozenset({"time", "time in service"})),
}  # fmt: skip
"""Word of a Brick class to its Haystack marker, and what a unit of it measures (config/units.toml)."""
NUMBERS: Final = ("measurement", "counter")


def contradictions(
    tags: Tags, kind: Kind, unit: str, units: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Key and what is wrong with it, of a point of that kind and unit; `units` say what each measures."""
    *_, quantity, end = ["", *tags.brick.split("_")]
    if tags.brick and end not in FUNCTION_OF:
        yield "class", f"{tags.brick!r} is no Brick class of a point: such end in _{', _'.join(FUNCTION_OF)}"  # fmt: skip
    if end == "Alarm" and kind in NUMBERS:
        yield "class", f"{tags.brick!r} is there or not, and this is a {kind}; allowed: with kind state, flag or flags"  # fmt: skip
    measured = QUANTITIES.get(quantity) if end in ("Sensor", "Setpoint") else None
    if measured and kind not in NUMBERS:
        yield "class", f"{tags.brick!r} is a number, and this is a {kind}; allowed: a class that ends in _Status or _Alarm"  # fmt: skip
    if measured and _other(unit, [measured[1]], units):
        yield "class", f"{tags.brick!r} is of {_said(measured[1])}, and the unit {unit} of {units[unit]}"  # fmt: skip
    yield from _of_markers(tags, FUNCTION_OF.get(end, ""), kind, (unit, units))


def _of_markers(
    tags: Tags, brick_function: str, kind: Kind, told: tuple[str, Mapping[str, str]]
) -> Iterator[tuple[str, str]]:
    unit, units = told
    if not tags.haystack:
        return
    if "point" in tags.haystack or len(set(tags.haystack)) < len(tags.haystack):
        yield "haystack", "names a marker twice, or point, which every point has: leave it out"
    functions = [marker for marker in tags.haystack if marker in FUNCTIONS]
    if len(functions) != 1:
        yield "haystack", f"has {' and '.join(functions) or 'none'} of {', '.join(FUNCTIONS)}; allowed: exactly one"  # fmt: skip
    elif brick_function not in ("", functions[0]):
        yield "haystack", f"says {functions[0]}, and the class {tags.brick} is a {brick_function}"
    if "alarm" in tags.haystack and kind in NUMBERS:
        yield "haystack", f"says alarm, which is there or not, and this is a {kind}"
    of = [sort for marker, sort in QUANTITIES.values() if marker in tags.haystack]
    if kind in NUMBERS and of and _other(unit, of, units):
        yield "haystack", f"says {_said({m for m, sort in QUANTITIES.values() if m in tags.haystack})}, and the unit {unit} is of {units[unit]}"  # fmt: skip


def _other(unit: str, sorts: Sequence[frozenset[str]], units: Mapping[str, str]) -> bool:
    """Whether a unit measures something else than all of these."""
    return bool(unit) and unit in units and not any(units[unit] in sort for sort in sorts)


def _said(names: Set[str]) -> str:
    return " or ".join(sorted(names))
