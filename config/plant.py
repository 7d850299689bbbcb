"""What exists at a site and how it is reached: the plant, expanded to its points, rules and plans."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from config.profile import (
    NO_TAGS,
    Derivation,
    Kind,
    Lane,
    ModbusLimits,
    Names,
    Profile,
    Register,
    Source,
    StateName,
    Tags,
    TrendSpec,
)
from config.rules import Rule
from config.standards import Plan


@dataclass(frozen=True, slots=True)
class Secret:
    """A name under which a secret is kept; never the secret itself."""

    name: str


LineKind = Literal["tcp", "tls", "rtu", "rtu_over_tcp", "mqtt", "rtsp", "fire", "reader"]
ROUND_TRIP_S: Final = 0.01
STEWARD: Final = "steward"
"""The agent that says what is made here, by the server; no plant may name another so."""
SCORE: Final = "condition_score"
"""The point that says how unusual the points of an asset are together, in σ."""
Parity = Literal["even", "odd", "none"]
ON_THE_WAY_S: Final = 2.0
"""From a read to the collector's look at it (flush, broker, journal): an unchanged value is repeated that much earlier."""
MODBUS_LINES: Final[tuple[LineKind, ...]] = ("tcp", "tls", "rtu", "rtu_over_tcp")


@dataclass(frozen=True, slots=True)
class Serial:
    """How characters go over a serial bus; `turnaround_s` is what a device takes to begin its answer."""

    baud: int = 9600
    parity: Parity = "even"
    stop_bits: int = 1
    turnaround_s: float = 0.005


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to believe: `server_name` stands in the certificate, `ca` is the file of who signed it.

    `certificate` and `secret` (the name of its key) are shown where the device asks who reads it.
    """

    server_name: str
    ca: str
    certificate: str = ""
    secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A serial bus or endpoint shared by devices; one request in flight at a time.

    `kind` is tcp or tls (`host`, `port`, `tls`), rtu (the serial port `path`, `serial`), rtu_over_tcp
    (a gateway at `host`, `port` that passes frames on to the bus that `serial` describes), mqtt (a
    broker of devices: `host`, `port`, `user`, `secret`; `tls` if it speaks so), rtsp (one camera each; `tls` if it speaks HTTPS), fire (where *we*
    listen for transmission devices: `host`, `port`) or reader (of a package: its name is `reader`, and
    `path` what it makes of it). `round_trip_s` is what the network takes for a request and its answer; `timeout_s` of a fire line is how long the
    bytes of one frame may take. Times in seconds.
    """

    id: str
    agent: str
    kind: LineKind
    host: str = ""
    port: int = 0
    timeout_s: float = 1.0
    backoff_s_max: float = 30.0
    user: str = ""
    secret: Secret | None = None
    path: str = ""
    serial: Serial | None = None
    tls: Tls | None = None
    round_trip_s: float = ROUND_TRIP_S
    reader: str = ""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Where a camera's recordings are asked for, and as whom."""

    host: str
    port: int
    https: bool = False
    user: str = ""
    secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """What answers on a line. `unit` is a Modbus unit (1..247), a name in an MQTT topic or
    the source address of a fire transmission device (0..2^48 - 1).
    """

    id: str
    profile: str
    line: str
    asset: str
    unit: str = ""
    path: str = ""
    """RTSP path of a camera, e.g. `/stream1`."""
    user: str = ""
    secret: Secret | None = None
    http_port: int = 0
    """Of a camera; 0 where its profile says it."""
    recorder: Recorder | None = None
    """None where the camera keeps its recordings itself."""
    view: int = 1
    """Counted up by people who have pointed a camera elsewhere: what it usually shows is learnt anew."""
    learnt: int = 1
    """Counted up by people after a repair: what its points usually are together is learnt anew."""

    def secrets(self) -> tuple[Secret, ...]:
        """All that reading it needs."""
        asked = (self.secret, self.recorder.secret if self.recorder else None)
        return tuple(secret for secret in asked if secret is not None)


@dataclass(frozen=True, slots=True)
class Asset:
    """One thing that is maintained. A part is an asset of its own: `a-booster/pump-1`."""

    id: str
    name: Names
    system: str
    location: str = ""
    asset_class: str = ""
    parent: str = ""
    in_service: str | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """An equipment family of the site; the order in the file is the order on the screen."""

    id: str
    name: Names


@dataclass(frozen=True, slots=True)
class PointSpec:
    """What a point is, wherever it stands: one row for all devices of a profile.

    Ranges are in `unit`; times in seconds.
    """

    name: Names
    kind: Kind
    unit: str
    source: Source
    decimals: int = 2
    range: tuple[float, float] | None = None
    expected: tuple[float, float] | None = None
    states: Mapping[int, StateName] = field(default_factory=dict)
    rolls_over_at: float | None = None
    rate_max: float | None = None
    """How much it can change in a second; None if nobody knows."""
    frozen_after_s: float | None = None
    """How long it can stay the same to the last digit."""
    poll: str = "normal"
    period_s: float = 10.0
    deadband: float = 0.0
    deadband_percent: float = 0.0
    longest_silence_s: float = 60.0
    lane: Lane = "data"
    tags: Tags = NO_TAGS
    trend: TrendSpec | None = None
    derived: bool = False
    """Made of readings by the collector: no device tells it."""
    derive: Derivation | None = None
    """Made once a day of another point's readings: no device tells it."""
    quiet_ms: int = field(init=False)
    """How long what was sent is no news if it comes again; nothing for a silence of one period or less."""
    patient_ms: int = field(init=False)
    """How long after what was sent the same must have been sent again."""

    def __post_init__(self) -> None:
        patient_ms = math.floor(1000 * (self.longest_silence_s - ON_THE_WAY_S))
        quiet_ms = max(0, math.floor(patient_ms - 1500 * self.period_s))
        object.__setattr__(self, "patient_ms", patient_ms)  # it is frozen
        object.__setattr__(self, "quiet_ms", quiet_ms)


class Point(msgspec.Struct, frozen=True, gc=False):
    """One quantity or status of one asset, with all that anybody needs to read or show it.

    `id` is `asset/point` within the site. A struct that the garbage collector does not look at takes
    three quarters of a dataclass, and there is one for every point of every device.
    """

    id: str
    asset: str
    device: str
    spec: PointSpec

    @property
    def exponent(self) -> str | None:
        """The id of the point of its device that holds its decimal exponent; None if it has none."""
        source = self.spec.source
        way = source.scale_from if isinstance(source, Register) else None
        if way is None:
            return None
        if way.startswith("../"):
            return f"{self.asset.rpartition('/')[0]}/{way[3:]}"
        return f"{self.asset}/{way}"

    @property
    def name(self) -> Names:
        return self.spec.name

    @property
    def kind(self) -> Kind:
        return self.spec.kind

    @property
    def unit(self) -> str:
        return self.spec.unit

    @property
    def source(self) -> Source:
        return self.spec.source

    @property
    def decimals(self) -> int:
        return self.spec.decimals

    @property
    def range(self) -> tuple[float, float] | None:
        return self.spec.range

    @property
    def expected(self) -> tuple[float, float] | None:
        return self.spec.expected

    @property
    def states(self) -> Mapping[int, StateName]:
        return self.spec.states

    @property
    def rolls_over_at(self) -> float | None:
        return self.spec.rolls_over_at

    @property
    def rate_max(self) -> float | None:
        return self.spec.rate_max

    @property
    def frozen_after_s(self) -> float | None:
        return self.spec.frozen_after_s

    @property
    def poll(self) -> str:
        return self.spec.poll

    @property
    def period_s(self) -> float:
        return self.spec.period_s

    @property
    def longest_silence_s(self) -> float:
        return self.spec.longest_silence_s

    @property
    def lane(self) -> Lane:
        return self.spec.lane


@dataclass(frozen=True, slots=True)
class Plant:
    """One site as loaded from its files: everything else in Steward is about these rows."""

    site: str
    name: Names
    time_zone: str
    calendar: str
    seasons: Mapping[str, str]
    systems: Mapping[str, System]
    locations: Mapping[str, Names]
    agents: tuple[str, ...]
    lines: Mapping[str, Line]
    devices: Mapping[str, Device]
    profiles: Mapping[str, Profile]
    assets: Mapping[str, Asset]
    points: Mapping[str, Point]
    rules: Mapping[str, Rule]
    plans: Mapping[str, Plan]
    poll_classes: Mapping[str, float]
    """Poll class to its period in seconds."""
    hash: str = ""
    profile_hashes: Mapping[str, str] = field(default_factory=dict)
    """Profile to the hash of its file: the library's profiles are not of the plant's folder."""

    def points_of(self, asset: str) -> tuple[Point, ...]:
        """Points of one asset, in the order of its profile."""
        return tuple(p for p in self.points.values() if p.asset == asset)

    def state_of(self, point: Point) -> Point | None:
        """The point that says in which state the equipment of a watched point is, None where none does."""
        by = point.spec.trend.by if point.spec.trend else ""
        part, _, own = by.rpartition(".")
        return (
            self.points.get(f"{point.asset if part else self.devices[point.device].asset}/{own}")
            if by
            else None
        )

    def devices_of(self, agent: str) -> tuple[Device, ...]:
        """Devices that one agent reads."""
        return tuple(d for d in self.devices.values() if self.lines[d.line].agent == agent)

    def agent_of(self, point: Point) -> str:
        """Which agent reads a point, or says it of itself and its links; `steward` derives it, or is the server; "" if none does."""
        if point.spec.derived:
            return STEWARD
        if point.device in self.devices:
            return self.lines[self.devices[point.device].line].agent
        whole = point.asset.partition("/")[0]
        return whole if whole in (*self.agents, STEWARD) else ""

    def limits_of(self, device: str) -> ModbusLimits:
        """Request limits of a device's model."""
        return self.profiles[self.devices[device].profile].limits
