"""The files people write, as strict models: what may stand where, before any of it is put together."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from config.forms import (
    AssetId,
    BrickClass,
    Day,
    Duration,
    Endpoint,
    HttpPath,
    Id,
    Marker,
    Months,
    Number,
    Order,
    PointId,
    PointKey,
    Printable,
    Ranges,
    Season,
    SerialPort,
    Source,
    Target,
    Text,
    TimeOfDay,
)
from config.profile import CameraStep, DerivedKind


class Strict(BaseModel):
    """Unknown keys are refused, types are not guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class Names(Strict):
    """One name in each language; `en` is required."""

    en: Text
    zh: str | None = None

    def table(self) -> dict[str, str]:
        """Language tag to text."""
        return {"en": self.en} | ({"zh": self.zh} if self.zh else {})


class StateText(Names):
    """One value of an enumeration."""

    id: PointId


class BitText(Strict):
    """One named bit of a fault word; Brick class and Haystack markers are those of the word unless it has its own."""

    id: PointId
    en: str | None = None
    zh: str | None = None
    lane: Literal["data", "event"] = "data"
    class_: BrickClass | None = Field(None, alias="class")
    haystack: list[Marker] | None = None


class LevelText(Strict):
    """A limit with a priority of its own."""

    limit: Number
    priority: Literal["critical", "high", "medium", "low"]


class WorkOrderText(Strict):
    """What becomes of a fault."""

    raise_: Literal["at_once", "never"] = Field("at_once", alias="raise")
    fault_class: Id = "fault"
    healthy: Duration = 300.0


class RuleText(Strict):
    """One alarm rule."""

    on: str
    name: Names | None = None
    kind: Literal["limit", "state", "silent"]
    class_: Literal["fire", "life_safety", "equipment", "instrument", "communication", "condition"] = Field("equipment", alias="class")  # fmt: skip
    priority: Literal["critical", "high", "medium", "low"]
    high_high: Number | LevelText | None = None
    high: Number | LevelText | None = None
    low: Number | LevelText | None = None
    low_low: Number | LevelText | None = None
    deadband: Annotated[Number, Field(ge=0)] = 0.0
    abnormal: list[str | int] = []
    silent_after: Duration | None = None
    on_delay: Duration = 0.0
    off_delay: Duration = 0.0
    latch: bool = False
    regroup: Duration = 300.0
    respond_within: Duration | None = None
    work_order: WorkOrderText = Field(default_factory=lambda: WorkOrderText.model_validate({}))
    cause: Names | None = None
    consequence: Names | None = None
    action: Names | None = None


class TrendText(Strict):
    """A point whose baseline and slope are watched.

    `by` is the state or flag in which its equipment is another one; what comes within `horizon` is planned for.
    """

    by: PointKey | None = None
    horizon: Annotated[Duration, Field(gt=0)] = 60 * 86_400.0


class PointText(Strict):
    """One point of a profile. `class` is its Brick class, `haystack` its Haystack markers.

    A state is one of `names`, a flag 0 or 1: any other number is `undecodable`, for it must not look normal.
    `no_data` are the raw numbers by which a register says that it has none: of flags, or of a bit of
    it (`at = "holding:8.3"`), those of the whole register; of a field, those that fit into it are its own.
    `rolls_over_at` is in the point's unit: the number that it never shows, or the greatest that it shows; of a whole register the raw one.
    """

    name: Names
    kind: Literal["measurement", "counter", "state", "flag", "flags"] = "measurement"
    at: str | None = None
    topic: str | None = None
    time: str | None = None
    error: str | None = None
    expects: dict[str, str] = {}
    text: bool = False
    rung: CameraStep | None = None
    type: Literal["u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bcd16", "bcd32", "string", "bit"] = "u16"  # fmt: skip
    order: Order | None = None
    words: Annotated[int, Field(ge=1, le=125)] | None = None
    bit_width: Annotated[int, Field(ge=1, le=64)] = 1
    scale: Number = 1.0
    offset: Number = 0.0
    scale_from: PointKey | None = None
    unit: str = ""
    decimals: Annotated[int, Field(ge=0, le=9)] | None = None
    range: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    expected: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    names: dict[str, StateText] = {}
    bits: dict[str, PointId | BitText] = {}
    values: dict[str, Number] | None = None
    no_data: list[int] = []
    rolls_over_at: Annotated[Number, Field(gt=0)] | None = None
    rate_max: Annotated[Number, Field(gt=0)] | None = None
    frozen_after: Annotated[Duration, Field(gt=0)] | None = None
    poll: Id = "normal"
    deadband: Annotated[Number, Field(ge=0)] = 0.0
    deadband_percent: Annotated[Number, Field(ge=0, le=100)] = 0.0
    longest_silence: Duration | None = None
    lane: Literal["data", "event"] = "data"
    trend: TrendText | None = None
    class_: BrickClass | None = Field(None, alias="class")
    haystack: list[Marker] = []


class ModbusText(Strict):
    """What a Modbus device allows."""

    order: Order = "ABCD"
    max_words: Annotated[int, Field(ge=1, le=125)] = 125
    max_bits: Annotated[int, Field(ge=1, le=2000)] = 2000
    pause: Duration = 0.0
    forbidden: list[Ranges] = []
    together: list[Ranges] = []


class AvailabilityText(Strict):
    """The topic of a device's will, and what stands there (at a path) while it is there and when it is not."""

    topic: str
    at: str = ""
    online: str = "online"
    offline: str = "offline"


class MqttText(Strict):
    """Where an MQTT device speaks; `{unit}` is the device's own name, `+` any one level.

    `time` and `error` are paths into a message: when it was measured, and what stands there only when
    the device has no values. `time_zone` is that of times without one: an IANA zone, or `site`.
    """

    topic: str
    time: str = ""
    time_zone: str = ""
    error: str = ""
    availability: AvailabilityText | None = None


class FireText(Strict):
    """How often a fire transmission device gives a sign of life; three missed, and it is silent."""

    heartbeat: Annotated[Duration, Field(gt=0, le=3600)] = 30.0


class CameraText(Strict):
    """What a camera tells by HTTP, and from where on a picture is a failure's.

    Without `http_port` it is the port of the line; `{unit}` in `recordings` is the device's. `newest` is
    the path to the ends of segments in that JSON, `[*]` for every entry of a list.
    """

    snapshot: HttpPath = ""
    http_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    https: bool = False
    onvif: HttpPath = ""
    recordings: HttpPath = ""
    newest: str = ""
    recording_max: Annotated[Duration, Field(gt=0)] = 300.0
    frames: Annotated[int, Field(ge=1, le=60)] = 3
    frozen_frames: Annotated[int, Field(ge=2, le=60)] = 5
    learn_frames: Annotated[int, Field(ge=3, le=1000)] = 6
    black_below: Annotated[Number, Field(ge=0, le=255)] = 20.0
    changed_max: Annotated[Number, Field(ge=0, lt=1)] = 0.06
    sharpness_min: Annotated[Number, Field(gt=0, lt=1)] = 0.55
    likeness_min: Annotated[Number, Field(gt=0, lt=1)] = 0.5


class PartText(Strict):
    """Something that a device has several of; addresses shift by `stride`, `{n}` is its number."""

    count: Annotated[int, Field(ge=1, le=64)]
    stride: Annotated[int, Field(ge=0)] = 0
    name: Names
    class_: Id = Field("part", alias="class")


class WatchText(Strict):
    """Points of the whole device that are judged together: how unusual they are becomes a point of the asset."""

    points: Annotated[list[PointId], Field(min_length=2)]
    every: Annotated[Duration, Field(ge=0.1)] = 60.0
    learn: Annotated[int, Field(ge=100, le=10_000)] = 400


class DerivedText(Strict):
    """A point that is made once a day of the readings of another one, `of`.

    `states` are those whose time or starts count; `between` the part of the night and `over` the time of which a
    least flow is the mean.
    """

    name: Names
    of: PointKey
    kind: DerivedKind
    states: list[Id | Annotated[int, Field(ge=0)]] = []
    between: Annotated[list[TimeOfDay], Field(min_length=2, max_length=2)] = ["02:00", "04:00"]
    over: Annotated[Duration, Field(ge=60, le=7200)] = 600.0


class ProfileFile(Strict):
    """config/profiles/*.toml."""

    profile: Id
    version: Annotated[int, Field(ge=1)]
    name: Names
    protocol: Id
    class_: Id = Field(alias="class")
    modbus: ModbusText = ModbusText()
    mqtt: MqttText | None = None
    gb26875: FireText = FireText()
    camera: CameraText = CameraText()
    watch: WatchText | None = None
    parts: dict[Id, PartText] = {}
    points: dict[PointKey, PointText]
    derived: dict[PointKey, DerivedText] = {}
    rules: dict[Id, RuleText] = {}


class SecretText(Strict):
    """The name of a secret."""

    secret: Id


class LineText(Strict):
    """One line: exactly one of tcp, tls, rtu, rtu_over_tcp, mqtt, rtsp, fire, reader.

    A `reader` is one that an installed package brings; `at` is what it makes of it.
    """

    agent: Id
    tcp: Endpoint | None = None
    tls: Endpoint | None = None
    rtu: SerialPort | None = None
    rtu_over_tcp: Endpoint | None = None
    mqtt: Endpoint | None = None
    rtsp: Endpoint | None = None
    fire: Endpoint | None = None
    reader: Id | None = None
    at: Printable | None = None
    round_trip: Annotated[Duration, Field(gt=0, le=60)] | None = None
    baud: Annotated[int, Field(ge=300, le=4_000_000)] | None = None
    parity: Literal["even", "odd", "none"] | None = None
    stop_bits: Literal[1, 2] | None = None
    turnaround: Annotated[Duration, Field(le=10)] | None = None
    server_name: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: SecretText | None = None
    timeout: Annotated[Duration, Field(gt=0)] = 1.0
    backoff_max: Duration = 30.0
    user: str = ""
    password: SecretText | None = None


class RecorderText(Strict):
    """Where a camera's recordings are asked for."""

    at: Endpoint
    https: bool = False
    user: str = ""
    password: SecretText | None = None


class DeviceText(Strict):
    """One device."""

    profile: Id
    line: Id
    asset: AssetId
    unit: int | str = ""
    path: str = ""
    user: str = ""
    password: SecretText | None = None
    http_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    recorder: RecorderText | None = None
    view: Annotated[int, Field(ge=1)] = 1
    learnt: Annotated[int, Field(ge=1)] = 1


class AssetText(Strict):
    """One asset."""

    name: Names
    system: Id
    location: str = ""
    class_: Id | None = Field(None, alias="class")
    in_service: Day | None = None
    serves: list[str] = []
    fed_by: AssetId | None = None


class PlantFile(Strict):
    """config/plants/<site>/plant.toml."""

    site: Id
    name: Names
    time_zone: str
    calendar: Literal["cn", "none"] = "cn"
    standards: list[Id] = []
    plans_start: Day | None = None
    seasons: dict[Id, Season] = {}
    poll: dict[Id, Annotated[Duration, Field(gt=0)]] = {}
    locations: dict[str, Names] = {}
    lines: dict[Id, LineText]
    devices: dict[Id, DeviceText]
    assets: dict[AssetId, AssetText]


class AlarmsFile(Strict):
    """config/plants/<site>/alarms.toml."""

    rules: dict[Id, RuleText] = {}


class EveryText(Strict):
    """A typed interval: exactly one of the kinds, with its own keys."""

    fixed: Months | None = None
    anchor: Day | None = None
    max_gap: Duration | None = None
    per_period: Literal["day", "week", "half_month", "month", "quarter", "half_year", "year"] | None = None  # fmt: skip
    times: Annotated[int, Field(ge=1, le=48)] = 1
    min_spacing: Duration | None = None
    meter: str | None = None
    every: Annotated[Number, Field(gt=0)] | None = None
    floating: bool = False
    tolerance: Annotated[Number, Field(ge=0)] = 0.0


class EvidenceText(Strict):
    """What the readings must show: exactly one kind."""

    ran: str | None = None
    for_at_least: Duration | None = None
    changed_over: Annotated[list[str], Field(min_length=2)] | None = None
    is_: str | int | None = Field(None, alias="is")


class DutyText(Strict):
    """One duty of a standard."""

    name: Names
    on: Target
    every: EveryText
    source: Annotated[list[Source], Field(min_length=1)]  # fmt: skip
    evidence: EvidenceText | None = None
    closes: Literal["by_person", "by_readings"] = "by_person"
    statutory: bool = False
    tolerance: Duration | None = None


class StandardFile(Strict):
    """config/standards/*.toml."""

    standard: Id
    name: Names
    duties: dict[Id, DutyText]


class UnitsFile(Strict):
    """config/units.toml."""

    units: dict[str, str]


class SystemsFile(Strict):
    """config/systems.toml."""

    systems: dict[Id, Names]


MODELS: dict[str, type[Strict]] = {
    "profile": ProfileFile,
    "plant": PlantFile,
    "alarms": AlarmsFile,
    "standard": StandardFile,
}
"""Kind of file to its model; a JSON Schema is generated from each."""


def schema(kind: str) -> dict[str, Any]:
    """JSON Schema of one kind of file, for editors."""
    return MODELS[kind].model_json_schema(by_alias=True)
