"""A plant made for recordings: one line and one device each, laid out by a library profile or by the columns."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Literal

from config.load import LIBRARY, load_profile
from config.plant import Plant
from config.profile import ProfilePoint
from simulators.replay import Player, Recording, is_row_number, match

By = Literal["modbus", "mqtt"]
WAYS: tuple[By, ...] = ("modbus", "mqtt")
SITE = "replay"
COLUMNS_MAX = 61
"""Columns that fit beside the row number into one Modbus request of 125 registers, two each."""
STEP_S_MIN = 0.01
"""Rows that follow each other faster than this cannot all be read by Modbus: the speed is lowered."""
ROUND_TRIP_MS = 0.5
"""To a process of the same machine."""
POLLS_A_ROW = 2
SHORTEST_SILENCE_MS = 2000.5
"""Beside one and a half periods the shortest that a point may have, and less than a millisecond more:
every reading that is a millisecond younger is sent, changed or not, and every row is found again."""
AGENTS: Mapping[By, str] = {"modbus": "edge-modbus", "mqtt": "edge-mqtt"}


@dataclass(frozen=True, slots=True)
class Part:
    """One recording to be played one way. `id` names its line, device, asset and profile."""

    id: str
    by: By
    path: Path
    recording: Recording
    speed: float
    library: str = ""
    """The library profile that it fits; "" where one is made from its columns."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Columns that are not played: labels beside a library profile, or what no request can hold."""
        columns = self.recording.columns
        if self.library:
            played = set(match(columns, _library_points(self.library)).values())
            return tuple(name for place, name in enumerate(columns) if place not in played)
        return columns[COLUMNS_MAX:] if self.by == "modbus" else ()


def part_of(id: str, by: By, path: Path, recording: Recording, speed: float) -> Part:
    """The part, at a speed at which each of its rows can be read."""
    if by == "modbus":
        speed = min(speed, step_s(recording) / STEP_S_MIN)
    return Part(id, by, path, recording, speed, fitting_profile(by, recording.columns))


def step_s(recording: Recording) -> float:
    """The usual time from row to row, in seconds of the recording."""
    offsets = recording.offsets_ms
    steps = [after - before for before, after in pairwise(offsets)]
    return float(median(steps)) / 1000 if steps else 1.0


def fitting_profile(by: By, columns: Sequence[str]) -> str:
    """The library profile that numbers rows and all of whose values have a column; "" if none."""
    for path in sorted((LIBRARY / "profiles").glob("*.toml")):
        profile = load_profile(path)
        numbered = any(is_row_number(point) for point in profile.points)
        if profile.protocol == by and numbered:
            points = _values(profile.points)
            if points and len(match(columns, points)) == len(points):
                return profile.id
    return ""


def _library_points(name: str) -> list[ProfilePoint]:
    return _values(load_profile(LIBRARY / "profiles" / f"{name}.toml").points)


def _values(points: Sequence[ProfilePoint]) -> list[ProfilePoint]:
    return [point for point in points if not is_row_number(point)]


def player_of(part: Part, plant: Plant) -> Player:
    """The part as the device of its plant."""
    columns = None
    if not part.library:
        columns = {f"{part.id}/{name}": place for place, name in enumerate(_names(part))}
    return Player(plant, part.id, part.recording, speed=part.speed, columns=columns)


def _names(part: Part) -> list[str]:
    count = len(part.recording.columns) - len(part.left_out)
    return [f"column_{number}" for number in range(1, count + 1)]


def _period_ms(part: Part) -> float:
    return 1000 * max(step_s(part.recording) / part.speed, STEP_S_MIN) / POLLS_A_ROW


def _pace(part: Part) -> str:
    """Poll class and silence of each of its points."""
    silence_ms = SHORTEST_SILENCE_MS + 1.5 * _period_ms(part)
    return f'longest_silence = "{silence_ms:.3f}ms"\npoll = "{part.id}"'


# --- files ----------------------------------------------------------------------------------------


def write_plant(folder: Path, parts: Sequence[Part]) -> None:
    """Write plant and profiles; where the lines stand is said at the start (`lines.json`)."""
    (folder / "profiles").mkdir(parents=True)
    (folder / "plant.toml").write_text("\n".join(_plant(parts)), encoding="utf-8")
    for part in parts:
        text = _adapted(part) if part.library else "\n".join(_made(part))
        (folder / "profiles" / f"{part.id}.toml").write_text(text, encoding="utf-8")


def _plant(parts: Sequence[Part]) -> Iterator[str]:
    yield f'site = "{SITE}"\nname = {{ en = "Recordings", zh = "录制数据" }}\ntime_zone = "UTC"\n\n[poll]'
    for part in parts:
        yield f'{part.id} = "{_period_ms(part):.3f}ms"'
    for part in parts:
        kind = "tcp" if part.by == "modbus" else "mqtt"
        unit = "1" if part.by == "modbus" else f'"{part.id}"'
        yield f'\n[lines.{part.id}]\nagent = "{AGENTS[part.by]}"\n{kind} = "127.0.0.1:1"\nbackoff_max = "1s"'
        if part.by == "modbus":
            yield f'round_trip = "{ROUND_TRIP_MS}ms"'
        yield f'\n[devices.{part.id}]\nprofile = "{part.id}"\nline = "{part.id}"\nunit = {unit}\nasset = "{part.id}"'
        yield f'\n[assets.{part.id}]\nname = {{ en = {_text(part.path.name)} }}\nsystem = "test-bench"'
    yield ""


def _adapted(part: Part) -> str:
    """The library's profile under the part's own name, topic and pace, with every reading sent."""
    text = (LIBRARY / "profiles" / f"{part.library}.toml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^(longest_silence|deadband|deadband_percent|poll) *=.*\n", "", text)
    text = re.sub(r"(?m)^profile *=.*$", f'profile = "{part.id}"', text)
    text = re.sub(r'(?m)^topic *= *"devices/[^/]+/', f'topic = "devices/{SITE}/', text)
    return re.sub(r"(?m)^\[points\.[^\]]+\]$", lambda found: f"{found[0]}\n{_pace(part)}", text)


def _made(part: Part) -> Iterator[str]:
    """A profile from the columns: the row's number, then a float a column, in both word orders."""
    names = _names(part)
    yield f'profile = "{part.id}"\nversion = 1\nname = {{ en = {_text(part.path.name)} }}'
    yield f'protocol = "{part.by}"\nclass = "recorded"\n'
    if part.by == "modbus":
        yield f'[modbus]\ntogether = ["input:0-{2 * len(names) + 1}"]'
    else:
        yield f'[mqtt]\ntopic = "devices/{SITE}/{{unit}}/row"\ntime = "ts"'
    number = 'at = "input:0"\ntype = "u32"' if part.by == "modbus" else 'at = "row"'
    yield from _point(part, "row_number", "Row number", f'kind = "counter"\n{number}')
    for place, name in enumerate(names):
        order = ("ABCD", "CDAB")[place % 2]
        register = f'at = "input:{2 * place + 2}"\ntype = "f32"\norder = "{order}"'
        at = register if part.by == "modbus" else f'at = "{name}"'
        yield from _point(part, name, part.recording.columns[place] or name, at)


def _point(part: Part, id: str, name: str, where: str) -> Iterator[str]:
    yield f"\n[points.{id}]\nname = {{ en = {_text(name)} }}\n{where}"
    yield f"decimals = 4\n{_pace(part)}"


def _text(words: str) -> str:
    """A text as TOML writes it: JSON's form is among its forms."""
    return json.dumps(words, ensure_ascii=False).replace("\x7f", "\\u007f")
