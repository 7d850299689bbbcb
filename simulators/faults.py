"""Faults as wrappers that compose: around what a device shows, and around how it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from config.profile import Table
from simulators.layout import Value

Values = Mapping[str, Value]
"""Point id to what it shows."""
Answer = list[int] | int | None
"""Words or bits; an exception code; or nothing, ever."""


@dataclass(frozen=True, slots=True)
class Read:
    """One read request to one unit. `connected_ms`: when its connection was opened, if that is known."""

    table: Table
    address: int
    count: int
    now_ms: int
    connected_ms: int | None = None


Answerer = Callable[[Read], Answer]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in force. `before` is what the device showed when it began."""

    kind: str
    since_ms: int
    options: Mapping[str, object] = field(default_factory=dict)
    before: Values = field(default_factory=dict)

    def number(self, name: str, default: float) -> float:
        """A numeric option."""
        value = self.options.get(name, default)
        return float(value) if isinstance(value, int | float) else default


def _stuck(fault: Fault, values: Values) -> Values:
    """Frozen: all points, or those whose path ends in the option `point`."""
    only = fault.options.get("point")
    return {
        point: fault.before.get(point, value) if is_named(point, only) else value
        for point, value in values.items()
    }


def _sensor_dead(fault: Fault, values: Values) -> Values:
    """Nothing comes from one sensor: registers hold "no data", JSON says null."""
    only = fault.options.get("point")
    return {point: None if is_named(point, only) else value for point, value in values.items()}


def _set(fault: Fault, values: Values) -> Values:
    """One point shows the option `value`, whatever the physics says."""
    only, shown = fault.options.get("point"), fault.options.get("value")
    wanted = shown if isinstance(shown, str) or shown is None else fault.number("value", 0.0)
    return {point: wanted if is_named(point, only) else value for point, value in values.items()}


def is_named(point: str, name: object) -> bool:
    """Whether an option `point` means this one: by its id, or the end of it; all if there is none."""
    return name is None or point == name or point.endswith(f"/{name}")


def _silent(fault: Fault, inner: Answerer) -> Answerer:
    """Takes requests and never answers."""
    return lambda read: None


def _refusing(fault: Fault, inner: Answerer) -> Answerer:
    """Answers with the exception `code` (default 2), everywhere or from `first` to `last`."""
    code = round(fault.number("code", 2))
    first, last = fault.number("first", 0), fault.number("last", 65535)

    def answer(read: Read) -> Answer:
        touched = read.address <= last and first < read.address + read.count
        return code if touched else inner(read)

    return answer


def _half_open(fault: Fault, inner: Answerer) -> Answerer:
    """Connections from before are dead without a word; a new one works."""

    def answer(read: Read) -> Answer:
        old = read.connected_ms is None or read.connected_ms <= fault.since_ms
        return None if old else inner(read)

    return answer


VALUE_FAULTS: Mapping[str, Callable[[Fault, Values], Values]] = {
    "stuck": _stuck,
    "sensor_dead": _sensor_dead,
    "set": _set,
}
ANSWER_FAULTS: Mapping[str, Callable[[Fault, Answerer], Answerer]] = {
    "silent": _silent,
    "refusing": _refusing,
    "half_open": _half_open,
}
LINK_FAULTS = ("link_lost", "slow")
"""`link_lost`: the line (or the device behind its gateway) is gone; `slow`: answers `seconds` late."""
REACH_FAULTS = ("refused", "vanished", "readdressed", "port_taken")
"""Of a line's address, on wires: it takes no connection; nothing comes there and nothing comes back; the device has
another address, which its name says once that is repaired; another process has the port where an edge would listen,
which it meets when it begins to. On sockets `refused` and `readdressed` are as `link_lost`, the others nothing."""
FRAME_FAULTS = (
    "garbled", "noise", "cut_short", "drip", "fragments", "wrong_unit", "stale", "one_behind",
    "wrong_function", "too_short", "stands_still", "reset",
)  # fmt: skip
"""What becomes of a frame on its way, see `simulators.spoiling`; fire devices know `garbled` alone."""
BROKER_FAULTS = ("broker_lost", "filter_refused")
"""Of MQTT devices, in virtual time only: their broker is gone, or lets nobody hear the device's topics."""
FIRE_FAULTS = ("two_alike", "stranger", "crowd")
"""Who comes to a fire device's line besides it, see `simulators.fire_intruders`."""
PACKAGE_FAULTS = (
    "unusable", "unready", "raises", "stubborn", "wrong_type", "wrong_time", "omits", "strangers",
)  # fmt: skip
"""Of a reader that a package brings, see `commands.virtual_package`; it knows those of values, `silent`,
`link_lost` and `slow` too."""
WIRE_FAULTS = frozenset({*REACH_FAULTS, *FRAME_FAULTS})
"""These need a wire: in virtual time a scenario with `wires = true`."""
NEEDS_POINT = ("sensor_dead", "set", "omits")
KINDS = (
    *VALUE_FAULTS, *ANSWER_FAULTS, *LINK_FAULTS, *REACH_FAULTS, *FRAME_FAULTS, *BROKER_FAULTS, *FIRE_FAULTS,
)  # fmt: skip
"""Faults that any device can have; the physical ones are the equipment's own `kinds`."""


def shown(faults: list[Fault], values: Values) -> Values:
    """What the device shows under its faults, in the order in which they came."""
    for fault in faults:
        wrap = VALUE_FAULTS.get(fault.kind)
        values = wrap(fault, values) if wrap else values
    return values


def answering(faults: list[Fault], inner: Answerer) -> Answerer:
    """How the device answers under its faults; a later one lies around an earlier one."""
    for fault in faults:
        wrap = ANSWER_FAULTS.get(fault.kind)
        inner = wrap(fault, inner) if wrap else inner
    return inner


def delay_s(faults: list[Fault]) -> float:
    """How late the device answers, seconds: the sum of its `slow` faults (2 s each unless said)."""
    return sum(fault.number("seconds", 2.0) for fault in faults if fault.kind == "slow")


def is_cut_off(faults: list[Fault]) -> bool:
    """Whether the device's link is gone."""
    return any(fault.kind in ("link_lost", "refused", "readdressed") for fault in faults)
