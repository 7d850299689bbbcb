"""Application data of GB/T 26875.3-2011: bytes to typed objects, by the table of types.

Source of the layouts: "Application data" of the notes beside the vectors (tests/data/gb26875/README.md).
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from config.gb26875 import ANALOGUES

TIME_BYTES: Final = 6
TEXT_BYTES: Final = 31
YEAR_0: Final = 2000
USER_TYPES: Final = range(128, 255)


class BadData(ValueError):
    """Application data is not what its type and number of objects say: none of it is believed."""


@dataclass(frozen=True, slots=True)
class WallTime:
    """What a clock shows, without zone; always a date that there is."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int

    @classmethod
    def of(cls, now_ms: int, zone: tzinfo) -> "WallTime":
        """What a clock in this zone shows at an instant (UTC ms)."""
        at = datetime.fromtimestamp(now_ms / 1000, zone)
        return cls(at.year, at.month, at.day, at.hour, at.minute, at.second)

    def utc_ms(self, zone: tzinfo) -> int:
        """The instant, if the clock goes right and shows this zone."""
        return round(self._in(zone).timestamp() * 1000)

    def iso(self) -> str:
        return self._in(UTC).replace(tzinfo=None).isoformat()

    def encode(self) -> bytes:
        """Six bytes; years that a byte cannot say become the nearest that it can."""
        year = min(255, max(0, self.year - YEAR_0))
        return bytes((self.second, self.minute, self.hour, self.day, self.month, year))

    def _in(self, zone: tzinfo) -> datetime:
        return datetime(
            self.year, self.month, self.day, self.hour, self.minute, self.second, tzinfo=zone
        )


def read_time(six: bytes) -> WallTime | None:
    """Second, minute, hour, day, month, year - 2000; None where they are no date."""
    second, minute, hour, day, month, year = six
    try:
        datetime(YEAR_0 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return WallTime(YEAR_0 + year, month, day, hour, minute, second)


def read_text(raw: bytes) -> str:
    """GB 18030 up to the first zero byte, without blanks behind; what is none of it becomes U+FFFD."""
    return raw.partition(b"\0")[0].decode("gb18030", "replace").rstrip(" ")


# --- what devices tell ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SystemState:
    """Type 1. `state`: 16 bits."""

    system_type: int
    system_address: int
    state: int
    time: WallTime | None


@dataclass(frozen=True, slots=True)
class ComponentState:
    """Type 2. `state`: 16 bits; `text` is the place in the panel's words."""

    system_type: int
    system_address: int
    component_type: int
    zone: int
    position: int
    state: int
    text: str
    time: WallTime | None


@dataclass(frozen=True, slots=True)
class ComponentAnalogue:
    """Type 3. `raw`: -32768..32767 in steps of its analogue type."""

    system_type: int
    system_address: int
    component_type: int
    zone: int
    position: int
    analogue_type: int
    raw: int
    time: WallTime | None

    @property
    def value(self) -> float:
        """In the unit of the table; the raw number where the type is the maker's own."""
        row = ANALOGUES.get(self.analogue_type)
        return self.raw / row.per_unit if row else float(self.raw)


@dataclass(frozen=True, slots=True)
class SystemOperation:
    """Type 4: somebody worked the panel. `operation`: 8 bits."""

    system_type: int
    system_address: int
    operation: int
    operator: int
    time: WallTime | None


@dataclass(frozen=True, slots=True)
class SystemVersion:
    """Type 5."""

    system_type: int
    system_address: int
    main: int
    minor: int


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """Type 6."""

    system_type: int
    system_address: int
    text: str


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """Type 7."""

    system_type: int
    system_address: int
    component_type: int
    zone: int
    position: int
    text: str


@dataclass(frozen=True, slots=True)
class SystemTime:
    """Type 8: what the panel's clock shows."""

    system_type: int
    system_address: int
    time: WallTime | None


@dataclass(frozen=True, slots=True)
class DeviceState:
    """Type 21, of the transmission device itself. `state`: 8 bits."""

    state: int
    time: WallTime | None


@dataclass(frozen=True, slots=True)
class DeviceOperation:
    """Type 24: somebody worked the transmission device. `operation`: 8 bits."""

    operation: int
    operator: int
    time: WallTime | None


@dataclass(frozen=True, slots=True)
class DeviceVersion:
    """Type 25."""

    main: int
    minor: int


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """Type 26."""

    text: str


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """Type 28; type 90 where a centre sets it."""

    time: WallTime | None


# --- what a centre may ask (recognised, never sent) --------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskSystem:
    """Types 61, 65, 66, 68."""

    system_type: int
    system_address: int


@dataclass(frozen=True, slots=True)
class AskComponent:
    """Types 62, 63, 67."""

    system_type: int
    system_address: int
    zone: int
    position: int


@dataclass(frozen=True, slots=True)
class AskSystemOperations:
    """Type 64."""

    system_type: int
    system_address: int
    records: int
    time: WallTime | None


@dataclass(frozen=True, slots=True)
class AskDevice:
    """Types 81, 85, 86, 88, 89."""

    reserved: int


@dataclass(frozen=True, slots=True)
class AskDeviceOperations:
    """Type 84."""

    records: int
    time: WallTime | None


@dataclass(frozen=True, slots=True)
class GuardCheck:
    """Type 91."""

    timeout_minutes: int


Item = (
    SystemState | ComponentState | ComponentAnalogue | SystemOperation | SystemVersion | SystemConfig
    | ComponentConfig | SystemTime | DeviceState | DeviceOperation | DeviceVersion | DeviceConfig | DeviceTime
    | AskSystem | AskComponent | AskSystemOperations | AskDevice | AskDeviceOperations | GuardCheck
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """One type: its name, what its objects become, their bytes in the order of that class's members.

    Six bytes in a row are a time and 31 a text; with `text_behind` the last byte says how long the
    text is that follows. All numbers little endian.
    """

    name: str
    make: Callable[..., Item]
    packed: struct.Struct
    text_behind: bool = False


def _row(name: str, make: Callable[..., Item], packed: str, *, text_behind: bool = False) -> Layout:
    return Layout(name, make, struct.Struct(f"<{packed}"), text_behind)


LAYOUTS: Final[Mapping[int, Layout]] = {
    1: _row("system_state", SystemState, "BBH6s"),
    2: _row("component_state", ComponentState, "BBBHHH31s6s"),
    3: _row("component_analogue", ComponentAnalogue, "BBBHHBh6s"),
    4: _row("system_operation", SystemOperation, "BBBB6s"),
    5: _row("system_version", SystemVersion, "BBBB"),
    6: _row("system_config", SystemConfig, "BBB", text_behind=True),
    7: _row("component_config", ComponentConfig, "BBBHH31s"),
    8: _row("system_time", SystemTime, "BB6s"),
    21: _row("device_state", DeviceState, "B6s"),
    24: _row("device_operation", DeviceOperation, "BB6s"),
    25: _row("device_version", DeviceVersion, "BB"),
    26: _row("device_config", DeviceConfig, "B", text_behind=True),
    28: _row("device_time", DeviceTime, "6s"),
    61: _row("read_system_state", AskSystem, "BB"),
    62: _row("read_component_state", AskComponent, "BBHH"),
    63: _row("read_component_analogue", AskComponent, "BBHH"),
    64: _row("read_system_operations", AskSystemOperations, "BBB6s"),
    65: _row("read_system_version", AskSystem, "BB"),
    66: _row("read_system_config", AskSystem, "BB"),
    67: _row("read_component_config", AskComponent, "BBHH"),
    68: _row("read_system_time", AskSystem, "BB"),
    81: _row("read_device_state", AskDevice, "B"),
    84: _row("read_device_operations", AskDeviceOperations, "B6s"),
    85: _row("read_device_version", AskDevice, "B"),
    86: _row("read_device_config", AskDevice, "B"),
    88: _row("read_device_time", AskDevice, "B"),
    89: _row("init_device", AskDevice, "B"),
    90: _row("set_device_time", DeviceTime, "6s"),
    91: _row("guard_check", GuardCheck, "B"),
}
"""Type to its layout; the rest is reserved, or the maker's own (128-254)."""


@dataclass(frozen=True, slots=True)
class Application:
    """Application data: objects of one type; of a type that no table knows, the bytes as they are.

    `count` is None where not even the number of objects was said.
    """

    type: int
    count: int | None
    objects: tuple[Item, ...] = ()
    opaque: bytes = b""

    @property
    def known(self) -> bool:
        return self.type in LAYOUTS

    @property
    def name(self) -> str:
        """Of its type: `user`, or `reserved`, where the table has none."""
        if self.known:
            return LAYOUTS[self.type].name
        return "user" if self.type in USER_TYPES else "reserved"


def decode_application(data: bytes) -> Application | None:
    """What the application data of a frame holds; None if there is none (a heartbeat, an answer).

    Raises:
        BadData: a known type whose objects do not fill the data exactly; nothing of it counts.
    """
    if not data:
        return None
    layout = LAYOUTS.get(data[0])
    if layout is None:
        return Application(data[0], data[1] if len(data) > 1 else None, (), data[2:])
    if len(data) < 2:
        raise BadData("application data too short")
    items, rest = [], data[2:]
    for _ in range(data[1]):
        item, rest = _take(layout, rest)
        items.append(item)
    if rest:
        raise BadData("application data too long")
    return Application(data[0], data[1], tuple(items))


def _take(layout: Layout, data: bytes) -> tuple[Item, bytes]:
    """The first object, and what follows it."""
    size = layout.packed.size
    if len(data) < size:
        raise BadData("application data too short")
    members = [_member(one) for one in layout.packed.unpack(data[:size])]
    if layout.text_behind:
        size += int(members.pop())
        if len(data) < size:
            raise BadData("application data too short")
        members.append(read_text(data[layout.packed.size : size]))
    return layout.make(*members), data[size:]


def _member(raw: int | bytes) -> Any:
    if isinstance(raw, int):
        return raw
    return read_time(raw) if len(raw) == TIME_BYTES else read_text(raw)
