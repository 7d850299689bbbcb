"""A small plant whose devices count their answers, so that every reading says by itself which answer it was."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

from commands.proving.history import Key
from edge.agent import FLUSH_S
from simulators.faults import Answer, Fault
from simulators.layout import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, TARGET_SILENT

SITE: Final = "lives"
AGENT: Final = "edge-a"
LINE: Final = "hall"
UNITS: Final = (1, 2)
NUMBERS: Final = 60
"""Points of each device that show the number of the answer, two registers each."""
WORDS: Final = 2 * NUMBERS + 1
PERIOD_MS: Final = 250
TRIP_EVERY: Final = 6
"""So many answers it is tripped, so many it is not."""
READ_HOLDING: Final = 3

UNKEPT_MS_MAX: Final = round(1000 * FLUSH_S) + PERIOD_MS
"""So long before a kill an answer may have been given that was not kept yet: the agent's flush and one read."""

Kills = Sequence[tuple[int, int]]
"""(when the signal was sent, when the process was dead) of each kill in order, UTC ms."""
Given = Sequence[tuple[int, int, int]]
"""(connection, number of the answer, when it was given) in order, times in UTC ms; a connection is known by when it was opened."""


def asset_of(unit: int) -> str:
    """What a device belongs to."""
    return f"counter-{unit}"


def tripped(number: int) -> int:
    """1 where the answer of this number says that the device is tripped, else 0."""
    return number // TRIP_EVERY % 2


@dataclass(slots=True)
class CountingDevices:
    """The devices of the line as a Modbus endpoint; `given` are the answers of each asset, by the time (UTC ms) of `now`."""

    now: Callable[[], int]
    up: bool = True
    given: dict[str, list[tuple[int, int, int]]] = field(
        default_factory=lambda: {asset_of(unit): [] for unit in UNITS}
    )

    def delay_s(self, unit: int) -> float:
        """They answer at once."""
        return 0.0

    def faults_of(self, unit: int) -> Sequence[Fault]:
        """They have none."""
        return ()

    def answer(
        self, unit: int, function: int, address: int, count: int, connected_ms: int | None = None
    ) -> Answer:
        """All registers of one answer; an exception code for anything but a read of them all."""
        if unit not in UNITS:
            return TARGET_SILENT
        if function != READ_HOLDING:
            return ILLEGAL_FUNCTION
        if (address, count) != (0, WORDS):
            return ILLEGAL_ADDRESS
        given = self.given[asset_of(unit)]
        number = len(given) + 1
        given.append((connected_ms or 0, number, self.now()))
        return [*divmod(number, 1 << 16)] * NUMBERS + [tripped(number)]


# --- what became of the answers


@dataclass(frozen=True, slots=True)
class Witnessed:
    """Answers given and, of them, those that the agent had not yet kept when it was killed."""

    given: int
    unkept: int
    problems: tuple[str, ...]


def witness(
    given: Mapping[str, Given],
    stored: Mapping[Key, Sequence[float | None]],
    kills: Kills = (),
) -> Witnessed:
    """Compare the devices' own account with the store, `kills` being those of the agent.

    Each answer is stored once, by all its points, in order, and with it whether the device is tripped.
    Of what was given on one connection of the line the last answer may be missing, and before a kill
    what was given within `UNKEPT_MS_MAX`: that was not in the agent's outbox yet.
    """
    found: list[str] = []
    unkept: dict[str, set[int]] = {}
    for asset, answers in given.items():
        by_point = _stored_of(asset, stored)
        trips = by_point.pop("tripped")
        numbers = [number for _, number in by_point[_name(1)]]
        found += [f"{asset}/{point} tells of other answers than {_name(1)}" for point, other in by_point.items() if other != by_point[_name(1)]]  # fmt: skip
        found += [f"{asset}: answer {after:.0f} is stored behind {before:.0f}" for before, after in pairwise(numbers) if after <= before]  # fmt: skip
        found += _wrong_trips(asset, by_point[_name(1)], trips)
        kept = set(numbers)
        if strange := kept - {number for _, number, _ in answers}:
            found.append(f"{asset}: {len(strange)} answers are stored that were never given, first {min(strange):.0f}")  # fmt: skip
        holes = _holes(answers, kept)
        found += [f"{asset}: answer {number} is lost, and later ones of its connection are stored" for number in holes]  # fmt: skip
        unkept[asset] = {number for _, number, _ in answers} - kept - set(holes)
    found += _lost(given, unkept, kills)
    return Witnessed(sum(map(len, given.values())), sum(map(len, unkept.values())), tuple(found))


Rows = list[tuple[int, float]]
"""(source time, value) by source time"""


def _stored_of(asset: str, stored: Mapping[Key, Sequence[float | None]]) -> dict[str, Rows]:
    """Of each point of a device what is stored with a value."""
    rows: dict[str, Rows] = {name: [] for name in (*map(_name, range(1, NUMBERS + 1)), "tripped")}
    for (_, point, at), values in stored.items():
        of_asset, _, name = point.rpartition("/")
        if of_asset == asset and name in rows:
            rows[name] += [(at, value) for value in values if value == value and value is not None]
    return {name: sorted(of_point) for name, of_point in rows.items()}


def _wrong_trips(asset: str, numbers: Rows, trips: Rows) -> Iterator[str]:
    """A trip is told when it changes: each is of a stored answer, and the last one holds for every answer."""
    told = dict(trips)
    if strange := told.keys() - dict(numbers).keys():
        yield f"{asset}: {len(strange)} readings of tripped belong to no stored answer, first at {min(strange)}"
    last: float | None = None
    for at, number in numbers:
        last = told.get(at, last)
        if last != tripped(int(number)):
            yield f"{asset}: tripped is stored as {last} with answer {number:.0f}"


def _lost(
    given: Mapping[str, Given], unkept: Mapping[str, set[int]], kills: Kills
) -> Iterator[str]:
    """Answers that the agent must have kept before its connection ended."""
    of_connection: dict[int, list[tuple[int, str, int]]] = defaultdict(list)
    for asset, answers in given.items():
        for connection, number, at in answers:
            of_connection[connection].append((at, asset, number))
    for connection, rows in of_connection.items():
        kill = next((sent for sent, dead in kills if dead >= connection), None)
        for at, asset, number in sorted(rows)[:-1]:
            if number in unkept[asset] and (kill is None or at < kill - UNKEPT_MS_MAX):
                when = "on a connection that no kill ended" if kill is None else f"{kill - at} ms before a kill"  # fmt: skip
                yield f"{asset}: answer {number} is lost, given {when}"


def _holes(answers: Given, kept: set[float]) -> list[int]:
    """Numbers that are not kept although a later one of the same connection is."""
    holes: list[int] = []
    for _, rows in groupby(sorted(answers), key=lambda row: row[0]):
        numbers = [number for _, number, _ in rows]
        last = max((number for number in numbers if number in kept), default=0)
        holes += [number for number in numbers if number < last and number not in kept]
    return holes


# --- files


def write_plant(folder: Path) -> None:
    """Write plant and profile; where the line stands is said at the start (`lines.json`)."""
    (folder / "profiles").mkdir(parents=True)
    devices = "".join(_DEVICE.format(unit=unit, asset=asset_of(unit), line=LINE) for unit in UNITS)
    plant = _PLANT.format(site=SITE, agent=AGENT, line=LINE, period=PERIOD_MS) + devices
    (folder / "plant.toml").write_text(plant, encoding="utf-8")
    points = "".join(_NUMBER.format(name=_name(n), at=2 * n - 2) for n in range(1, NUMBERS + 1))
    profile = _PROFILE.format(last=WORDS - 1) + points
    (folder / "profiles" / "counter.toml").write_text(profile, encoding="utf-8")


def _name(number: int) -> str:
    return f"number_{number}"


_PLANT: Final = """\
site = "{site}"
name = {{ en = "Many short lives", zh = "多次短运行" }}
time_zone = "UTC"

[poll]
normal = "{period}ms"

[lines.{line}]
agent = "{agent}"
tcp = "127.0.0.1:1"
timeout = "3s"
backoff_max = "1s"
"""
_DEVICE: Final = """
[devices.{asset}]
profile = "counter"
line = "{line}"
unit = {unit}
asset = "{asset}"

[assets.{asset}]
name = {{ en = "Counter {unit}", zh = "计数器 {unit}" }}
system = "test-bench"
"""
_PROFILE: Final = """\
profile = "counter"
version = 1
name = {{ en = "Counter of its own answers", zh = "应答计数器" }}
protocol = "modbus"
class = "counter"

[modbus]
together = ["holding:0-{last}"]

[points.tripped]
name = {{ en = "Tripped", zh = "跳闸" }}
kind = "flag"
at = "holding:{last}"
type = "bit"
lane = "event"

[rules.tripped]
on = "tripped"
name = {{ en = "Tripped", zh = "跳闸" }}
kind = "state"
priority = "high"
work_order = {{ raise = "at_once", fault_class = "trip" }}
"""
_NUMBER: Final = """
[points.{name}]
name = {{ en = "Number of the answer", zh = "应答序号" }}
at = "holding:{at}"
type = "u32"
"""
