"""A scenario as people write it: the forms of its file."""

from typing import Literal, get_args

from config.files import Strict
from config.forms import AssetId, Duration, Id, PointId, Words

START = "2026-03-02T08:00:00"
"""Local time at which a scenario begins unless it says otherwise."""
Verb = Literal[
    "fault",
    "repair",
    "done",
    "restart",
    "cut",
    "mend",
    "deafen",
    "stall",
    "take",
    "broker",
    "server",
    "disk",
    "damage",
    "clock",
    "reload",
]
VERBS: tuple[Verb, ...] = get_args(Verb)
Outcome = Literal["confirmed", "contradicted", "absent", "not_observable"]
Level = Literal["warning", "error"]


class FaultText(Strict):
    """A fault or command, with the options of its kind."""

    asset: AssetId
    kind: str
    point: PointId | None = None
    value: float | int | str | None = None
    zone: int | None = None
    pump: int | None = None
    minutes: float | int | None = None
    seconds: float | int | None = None
    code: int | None = None
    first: int | None = None
    last: int | None = None


class RepairText(Strict):
    """A repair of one kind of fault only."""

    asset: AssetId
    kind: str


class DoneText(Strict):
    """Somebody claims that a duty was done."""

    duty: Id
    asset: AssetId
    by: str = "technician"


class ClockText(Strict):
    """Somebody sets the clock of an edge's machine."""

    agent: Id
    seconds: float


class StallText(Strict):
    """Nothing gets through between an agent and the broker for so long."""

    agent: Id
    seconds: float


class ReloadText(Strict):
    """Somebody writes down that a device was repaired, and has its agent read the files anew."""

    agent: Id
    device: Id


class AtText(Strict):
    """One line of the timetable: a time and exactly one thing."""

    t: Duration
    fault: FaultText | None = None
    repair: AssetId | RepairText | None = None
    done: DoneText | None = None
    restart: Id | None = None
    cut: Id | None = None
    mend: Id | None = None
    deafen: Id | None = None
    stall: StallText | None = None
    take: Id | None = None
    broker: Literal["stops", "starts", "loses", "carries"] | None = None
    server: Literal["stops", "starts"] | None = None
    disk: Literal["fills", "empties"] | None = None
    damage: Id | None = None
    clock: ClockText | None = None
    reload: ReloadText | None = None


class OrderText(Strict):
    """A work order that must follow."""

    cause: str
    kind: str | None = None
    count: int = 1
    closed_by: Literal["readings", "people"] | None = None


class OccurrenceText(Strict):
    """A verdict that must follow."""

    duty: Id
    asset: AssetId
    verdict: Outcome


class ReadingText(Strict):
    """What a point must show."""

    point: str
    quality: str
    during: list[Duration]
    gap_max: Duration | None = None


class LogText(Strict):
    """What an edge must log, once."""

    says: Words
    during: list[Duration]
    level: Level = "warning"


class ExpectText(Strict):
    """One expectation: exactly one of `alarm`, `work_order`, `occurrence`, `reading`, `log`."""

    alarm: str | None = None
    raised: list[Duration] | None = None
    returned: list[Duration] | Literal["never"] | None = None
    unknown: list[Duration] | None = None
    priority: str | None = None
    count: int = 1
    work_order: OrderText | None = None
    occurrence: OccurrenceText | None = None
    reading: ReadingText | None = None
    log: LogText | None = None


class NothingElseText(Strict):
    """Of what nothing may follow beyond what is expected. Work orders here are those of faults, lines
    of the log those of edges, of warnings and errors.
    """

    alarms: bool = False
    work_orders: bool = False
    log: bool = False


class ScenarioFile(Strict):
    """A scenario file."""

    about: str
    plant: Id
    seed: int = 1
    start: str = START
    lasts: Duration | None = None
    wires: bool = False
    at: list[AtText] | None = None
    expect: list[ExpectText]
    expect_nothing_else: NothingElseText = NothingElseText()
