"""What one model of equipment says and how: rows of points, without saying where it stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from config.gb26875 import FireOf

Names = Mapping[str, str]
"""Language tag to text; `en` is always there."""

PROTOCOLS: Final = ("modbus", "mqtt", "camera", "gb26875")
"""Those that Steward speaks itself; any other is the name of a reader that a package brings."""
Kind = Literal["measurement", "counter", "state", "flag"]
Table = Literal["holding", "input", "coil", "discrete"]
WordType = Literal[
    "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bcd16", "bcd32", "string", "bit"
]
Lane = Literal["data", "event"]

WORDS: Mapping[str, int] = {
    "u16": 1, "i16": 1, "bcd16": 1, "bit": 1,
    "u32": 2, "i32": 2, "f32": 2, "bcd32": 2,
    "u64": 4, "i64": 4, "f64": 4,
}  # fmt: skip
"""Registers that a value of a type takes; `string` says its own length."""


def spells(order: str, words: int) -> bool:
    """Whether an order says of each byte of so many words where it stands: words moved, their bytes swapped in all or none."""
    letters = "ABCDEFGH"[: 2 * words]
    whole = [letters[n : n + 2] for n in range(0, len(letters), 2)]
    pairs = sorted(order[n : n + 2] for n in range(0, len(order), 2))
    return len(order) == 2 * words and pairs in (whole, [pair[::-1] for pair in whole])


@dataclass(frozen=True, slots=True)
class Register:
    """Where a Modbus value stands and how its words become a number.

    `order` is ABCD, CDAB, BADC or DCBA, A the most significant byte by its place on the wire (for
    8 bytes the same pattern over words: ABCD most significant word first, CDAB low word first).
    Orders may also be written out in full (AB, BA, ABCDEFGH, GHEFCDAB, EFGHABCD …). `bit` is set for a field
    of `bit_width` bits of a word (0 = least significant; a byte of a word has 8; signed types extend
    the field's sign). value = raw × scale + offset.
    `no_data` are raw unsigned numbers, after the order, before scaling (a file may say them signed);
    `no_word` those of the whole word or words of which a bit or a field is taken.
    `scale_from` is the way from the point's own asset to the point that holds its decimal exponent:
    `sf`, `pump-1/sf` of a part, `../sf` of the whole that a part belongs to.
    """

    table: Table
    address: int
    type: WordType
    order: str = "ABCD"
    scale: float = 1.0
    offset: float = 0.0
    bit: int | None = None
    bit_width: int = 1
    words: int = 1
    no_data: tuple[int, ...] = ()
    scale_from: str | None = None
    no_word: tuple[int, ...] = ()


Path = tuple[str | int, ...]
"""Steps into a message; none of them is the message itself."""


@dataclass(frozen=True, slots=True)
class Availability:
    """Where a device or its broker says whether it is there: the words for yes and for no, at a path."""

    topic: str
    path: Path
    online: str
    offline: str


@dataclass(frozen=True, slots=True)
class JsonPath:
    """Where an MQTT device's value stands: topic, keys into the JSON, value map.

    A topic may hold `{unit}`, and `+` for a level that may be anything.

    A step of a path is a key, a place in a list, `[key=text]` (the entry of a list whose key says so)
    or `[*]` (each entry is a reading of its own; the same entry is meant in `time_path`). Keys may hold
    `{unit}` too. Something at `error_path` means that the device has no value and says why. Where the
    words at `expects` are others, the value is not what the profile takes it for. `zone` (IANA) is
    that of times without one; "" where nobody knows it. With `text` a number may be written as a string.
    """

    topic: str
    path: Path
    scale: float = 1.0
    offset: float = 0.0
    values: Mapping[str, float] | None = None
    time_path: Path = ()
    error_path: Path = ()
    zone: str = ""
    expects: tuple[tuple[Path, str], ...] = ()
    text: bool = False
    availability: Availability | None = None


CameraStep = Literal[
    "tcp", "describe", "media", "picture", "black", "frozen", "blurred", "moved", "live",
    "recorder", "recording", "segment_age", "clock_offset",
]  # fmt: skip
"""What can be known of a camera from outside."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the camera ladder, or a number found on the way (`segment_age`, `clock_offset`, s).

    `tcp`, `describe`, `media`: the stream; `picture`: a snapshot that can be read, on which stand
    `black` … `moved` (1 = so it is); `live`: all of these are well. `recorder`: it tells what it has;
    `recording`: its newest segment is young enough.
    """

    step: CameraStep


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """From where on a picture is a failure's; shares are 0..1.

    `frames` consecutive pictures must say so, for frozen `frozen_frames`; a look of the camera (by day,
    in the dark, in infrared light) is usual after `learn_frames` that agree. `black_below` is a grey
    level (0..255), `changed_max` the part of a picture that the camera's own writing may change,
    `sharpness_min` and `likeness_min` are parts of what is usual.
    """

    frames: int = 3
    frozen_frames: int = 5
    learn_frames: int = 6
    black_below: float = 20.0
    changed_max: float = 0.06
    sharpness_min: float = 0.55
    likeness_min: float = 0.5


@dataclass(frozen=True, slots=True)
class CameraModel:
    """Where a camera model keeps what HTTP tells, and how it is judged. Paths are empty where it has none.

    `http_port` 0 is the port of the line. `newest` leads to the ends of segments in the JSON that
    `recordings` gives (`{unit}` is the device's); `recording_s_max` is how old the last may be.
    """

    snapshot: str = ""
    http_port: int = 0
    https: bool = False
    onvif: str = ""
    recordings: str = ""
    newest: tuple[str | int, ...] = ()
    recording_s_max: float = 300.0
    pictures: PictureLimits = field(default_factory=PictureLimits)


@dataclass(frozen=True, slots=True)
class FirePlace:
    """What a transmission device tells of: itself, a system behind it, a component, a value measured there.

    Type and address of a system 0..255, zone and position of a component 0..65535 (GB/T 26875.3).
    """

    of: FireOf
    system_type: int = 0
    system_address: int = 0
    zone: int = 0
    position: int = 0
    analogue_type: int = 0


@dataclass(frozen=True, slots=True)
class FireValue:
    """One bit of the state of a place (0 = least significant), or the value measured there.

    Tables of bits and analogue types: `config.gb26875`. value = the table's value × scale + offset.
    `component_type` is what should stand at the place; None where that does not matter.
    """

    place: FirePlace
    bit: int | None = None
    component_type: int | None = None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Foreign:
    """Where a value stands, in words that the reader of its protocol understands."""

    at: str


Source = Register | JsonPath | Rung | FireValue | Foreign


@dataclass(frozen=True, slots=True)
class Tags:
    """What a point is to other systems: its Brick class ("" for none) and its Haystack markers but `point`, which every point has."""

    brick: str = ""
    haystack: tuple[str, ...] = ()

    def has(self, wanted: Iterable[str]) -> bool:
        """Whether each of these is its Brick class or one of its markers."""
        return set(wanted) <= {self.brick, *self.haystack}


NO_TAGS: Final = Tags()


@dataclass(frozen=True, slots=True)
class StateName:
    """One value of an enumeration."""

    id: str
    names: Names


DerivedKind = Literal["time_in", "share_in", "starts", "growth", "night_minimum"]


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a point of a day is made of another point's readings (`of`, its id within the site).

    `states` for time_in, share_in and starts; `between` (minutes of the local day) and `over_s` for
    night_minimum.
    """

    kind: DerivedKind
    of: str
    states: frozenset[int] = frozenset()
    between: tuple[int, int] = (120, 240)
    over_s: float = 600.0


@dataclass(frozen=True, slots=True)
class TrendSpec:
    """Watch a point's baseline and slope: in each state of the point `by` by itself ("": it has none).

    `by` is as the profile writes it: `part.point` is of the same part, `point` of the whole device.
    """

    by: str
    horizon_s: float


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """Judge these points of the whole device together, a row every `every_s`; the first `learn_rows` show what is usual."""

    points: tuple[str, ...]
    every_s: float
    learn_rows: int


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """One point of a profile, parts and named bits already made separate points.

    `part` is the path below the device's asset ("" or "pump-1"); the point's id is unique in it.
    Ranges are in `unit`, `rate_max` in `unit` per second. `poll` names a poll class of the plant, by
    which the longest silence goes where it is None. Times in seconds.
    """

    id: str
    part: str
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
    frozen_after_s: float | None = None
    poll: str = "normal"
    deadband: float = 0.0
    deadband_percent: float = 0.0
    longest_silence_s: float | None = None
    lane: Lane = "data"
    tags: Tags = NO_TAGS
    trend: TrendSpec | None = None


@dataclass(frozen=True, slots=True)
class ModbusLimits:
    """What one device model allows per request. Ranges are (table, first, last), inclusive."""

    max_words: int = 125
    max_bits: int = 2000
    pause_s: float = 0.0
    forbidden: tuple[tuple[Table, int, int], ...] = ()
    together: tuple[tuple[Table, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """One device model. `rules` are default alarm rules as written (validated, not yet expanded)."""

    id: str
    version: int
    name: Names
    protocol: str
    asset_class: str
    points: tuple[ProfilePoint, ...]
    parts: Mapping[str, Names] = field(default_factory=dict)
    part_class: Mapping[str, str] = field(default_factory=dict)
    limits: ModbusLimits = field(default_factory=ModbusLimits)
    silence_s: float = 0.0
    """Of a fire transmission device: so long without a frame, and nothing is known of it."""
    camera: CameraModel = field(default_factory=CameraModel)
    watch: WatchSpec | None = None
    rules: tuple[Mapping[str, object], ...] = ()
