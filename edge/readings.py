"""What an edge says and hears: the telemetry contract between edge and collector (see docs/asyncapi.yaml)."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

CONTRACT: Final = "1.0"
Lane = Literal["event", "data", "backfill"]
LANES: Final[tuple[Lane, ...]] = ("event", "data", "backfill")
"""In the order in which they are sent."""
WINDOW: Final = 32
"""Batches of a lane that may be ahead of `committed`."""

QUALITIES: Final[dict[str, int]] = {
    "good": 0,
    "substituted": 1,
    "stale_source": 2,
    "clock_suspect": 3,
    "frozen": 4,
    "out_of_expected_range": 5,
    "rate_implausible": 6,
    "in_test": 7,
    "not_read_yet": 64,
    "no_answer": 65,
    "link_down": 66,
    "device_refused": 67,
    "undecodable": 68,
    "sensor_fault": 69,
    "out_of_physical_range": 70,
    "disabled": 71,
}
"""Reason to code. Once given, a number never changes. 0 good, 1-63 uncertain, 64-127 bad."""
QUALITY_NAMES: Final[dict[int, str]] = {code: name for name, code in QUALITIES.items()}
BAD: Final = 64

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Readings:
    """Columns of equal length: point index (int64), source time (UTC ms, int64), value, quality.

    A bad reading's value is NaN here and null on the wire.
    """

    index: Ints
    time: Ints
    value: Floats
    quality: Codes

    def __len__(self) -> int:
        return len(self.index)


Index = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Millis = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
QualityCode = Annotated[int, msgspec.Meta(ge=0, le=127)]


class Batch(msgspec.Struct, omit_defaults=False):
    """One batch on the wire, columnar; the lane stands in the topic.

    The bounds are those of the arrays that the columns become: what is decoded fits them.
    """

    e: str
    s: Count
    o: Count
    t: Millis
    n: Millis
    i: list[Index]
    d: list[Millis]
    v: list[float | None]
    q: list[QualityCode]


class PointRow(msgspec.Struct, frozen=True):
    """One row of the birth's table: what an index means for ever in its epoch. Times in seconds."""

    index: int
    point: str
    unit: str
    kind: str
    decimals: int
    lane: str
    period_s: float
    longest_silence_s: float
    retired: bool = False


class Birth(msgspec.Struct):
    """Who speaks and which point each index means."""

    contract: str
    connection: int
    epoch: str
    version: str
    plant_hash: str
    points: list[PointRow]
    profile_hashes: dict[str, str] = {}
    facts: dict[str, str] = {}


class State(msgspec.Struct):
    """Every 10 s, and as the will with `lost`. `now` is the edge's clock, UTC ms."""

    state: Literal["ready", "lost", "stopped"]
    connection: Count
    epoch: str
    now: Millis
    backlog: Count = 0
    oldest_unsent: Millis | None = None


class Committed(msgspec.Struct):
    """Per lane the highest contiguous sequence that is durable in the journal (0: none).

    `connection` is that of the newest birth the collector has seen: only a mark with the edge's own
    connection number is the answer to its birth; an older one was kept by the broker.
    """

    epoch: str
    event: Count = 0
    data: Count = 0
    backfill: Count = 0
    connection: Count = 0


class Request(msgspec.Struct):
    """What the collector asks of an edge; ignored after `expires` (UTC ms)."""

    id: str
    expires: int
    what: Literal["rebirth", "reload", "diagnose"]


class Reply(msgspec.Struct):
    """What came of a request."""

    id: str
    outcome: str
    detail: dict[str, str] = {}


class Malformed(Exception):
    """A payload is not what the contract says; the message says where."""


_encoder = msgspec.json.Encoder()
_batches = msgspec.json.Decoder(Batch)


def encode(message: msgspec.Struct) -> bytes:
    """JSON bytes of any message of this contract."""
    return _encoder.encode(message)


def encode_batch(readings: Readings, *, epoch: str, seq: int, oldest: int, now: int) -> bytes:
    """One batch as bytes; times become offsets from the earliest."""
    base = int(readings.time.min()) if len(readings) else now
    values = [None if v != v else v for v in readings.value.tolist()]
    return _encoder.encode(
        Batch(
            e=epoch, s=seq, o=oldest, t=base, n=now,
            i=readings.index.tolist(), d=(readings.time - base).tolist(),
            v=values, q=readings.quality.tolist(),
        )
    )  # fmt: skip


def decode_batch(payload: bytes) -> Batch:
    """Parse and check the structure of one batch.

    Raises:
        Malformed: not JSON of that form, columns of unequal length, a number out of bounds.
    """
    try:
        batch = _batches.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error
    length = len(batch.i)
    if not (len(batch.d) == len(batch.v) == len(batch.q) == length):
        raise Malformed(f"columns of {length}, {len(batch.d)}, {len(batch.v)} and {len(batch.q)}")
    if batch.s < 1 or batch.s >= 2**53:
        raise Malformed(f"sequence {batch.s} is not in 1..2^53")
    if batch.o > batch.s:
        raise Malformed(f"oldest {batch.o} is above {batch.s}")
    return batch


T = TypeVar("T", bound=msgspec.Struct)


def decode(payload: bytes, kind: type[T]) -> T:
    """Parse any other message; members that are not known are ignored.

    Raises:
        Malformed: not JSON of that form.
    """
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error


@dataclass(frozen=True, slots=True)
class Topic:
    """`steward/v1/{site}/{agent}/{what}`."""

    site: str
    agent: str
    what: str


def topic(site: str, agent: str, what: str) -> str:
    """The topic of one kind of message of one agent."""
    return f"steward/v1/{site}/{agent}/{what}"


def parse_topic(text: str) -> Topic | None:
    """The parts of one of our topics, None for any other."""
    parts = text.split("/")
    if len(parts) != 5 or parts[0] != "steward" or parts[1] != "v1":
        return None
    return Topic(parts[2], parts[3], parts[4])
