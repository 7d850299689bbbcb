"""A small plant whose devices count their answers, so that every reading says by itself which answer it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

from commands.proving.history import Key
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

Given = Sequence[tuple[int, int]]
"""(connection, number of the answer) in order; a connection is known by when it was opened (UTC ms)."""


def asset_of(unit: int) -> str:
    """What a device belongs to."""
    return f"counter-{unit}"


@dataclass(slots=True)
class CountingDevices:
    """The devices of the line as a Modbus endpoint; `given` are the answers of each asset."""

    up: bool = True
    given: dict[str, list[tuple[int, int]]] = field(
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
        given.append((connected_ms or 0, number))
        return [*divmod(number, 1 << 16)] * NUMBERS + [number // TRIP_EVERY % 2]


# --- what became of the answers


@dataclass(frozen=True, slots=True)
class Witnessed:
    """Answers given and, of them, those that the agent had not yet kept when it was killed."""

    given: int
    unkept: int
    problems: tuple[str, ...]


def witness(given: Mapping[str, Given], stored: Mapping[Key, Sequence[float | None]]) -> Witnessed:
    """Compare the devices' own account with the store.

    Each answer is stored once, by all its points, in order. Of what was given on one connection only
    the end may be missing: the agent was killed before that was in its outbox.
    """
    found: list[str] = []
    unkept = 0
    for asset, answers in given.items():
        by_point = _stored_of(asset, stored)
        numbers = by_point[_name(1)]
        found += [f"{asset}/{point} tells of other answers than {_name(1)}" for point, other in by_point.items() if other != numbers]  # fmt: skip
        found += [f"{asset}: answer {after:.0f} is stored behind {before:.0f}" for before, after in pairwise(numbers) if after <= before]  # fmt: skip
        kept = set(numbers)
        if strange := kept - {number for _, number in answers}:
            found.append(f"{asset}: {len(strange)} answers are stored that were never given, first {min(strange):.0f}")  # fmt: skip
        found += [f"{asset}: answer {number} is lost, and later ones of its connection are stored" for number in _holes(answers, kept)]  # fmt: skip
        unkept += sum(number not in kept for _, number in answers)
    return Witnessed(sum(map(len, given.values())), unkept, tuple(found))


def _stored_of(asset: str, stored: Mapping[Key, Sequence[float | None]]) -> dict[str, list[float]]:
    """Of each counting point what is stored with a value, by source time."""
    rows: dict[str, list[tuple[int, float]]] = {_name(n): [] for n in range(1, NUMBERS + 1)}
    for (_, point, at), values in stored.items():
        of_asset, _, name = point.rpartition("/")
        if of_asset == asset and name in rows:
            rows[name] += [(at, value) for value in values if value == value and value is not None]
    return {name: [value for _, value in sorted(of_point)] for name, of_point in rows.items()}


def _holes(answers: Given, kept: set[float]) -> list[int]:
    """Numbers that are not kept although a later one of the same connection is."""
    holes: list[int] = []
    for _, rows in groupby(sorted(answers), key=lambda row: row[0]):
        numbers = [number for _, number in rows]
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
