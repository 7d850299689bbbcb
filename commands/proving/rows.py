"""Holds what a store has of a played recording against the recording, cell by cell."""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from collector.ports import Raw
from commands.proving.recorded_plant import By
from config.profile import Register
from edge.readings import BAD
from simulators.layout import encode
from simulators.replay import Player, is_row_number

RawOf = Callable[[str], Raw]
"""Everything that is stored of a point."""
SHARE_MIN: dict[By, float] = {"modbus": 0.95, "mqtt": 1.0}
SHOWN_MAX = 5
ON_ITS_WAY_MS = 1_000
"""A row that was on its way while its device was told silent stands just after that (decision 090)."""


@dataclass(slots=True)
class Comparison:
    """What a played recording came to. `cells` were compared, `missing` of them hold no value.

    `repeats` are rows stored again at another time; `wrong` says the first of what is not as it must be.
    """

    by: By
    rows: int
    stored_rows: int = 0
    repeats: int = 0
    cells: int = 0
    missing: int = 0
    wrongs: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The part of the rows that is there, 0..1."""
        return self.stored_rows / self.rows if self.rows else 1.0

    @property
    def ok(self) -> bool:
        """By Modbus 95 % of the rows, each to the register's resolution; by MQTT all, once, exact."""
        once = self.by == "modbus" or not self.repeats
        return not self.wrongs and once and self.share >= SHARE_MIN[self.by]

    def note(self, what: str) -> None:
        """Count something wrong; the first few are kept in words."""
        self.wrongs += 1
        if len(self.wrong) < SHOWN_MAX:
            self.wrong.append(what)


Stored = dict[int, tuple[float, int]]
"""Source time to value (NaN = none) and quality."""


def compare(player: Player, by: By, raw_of: RawOf) -> Comparison:
    """Compare every stored row with the row of the recording whose number it carries."""
    found = Comparison(by, len(player))
    number = next(point.id for point in player.points if is_row_number(point))
    rows = _rows(found, player, _stored(raw_of(number)))
    for point, column in player.columns.items():
        stored = _stored(raw_of(point))
        for time, place in rows.items():
            found.cells += 1
            reading = stored.pop(time, None)
            for said in _cell(found, player, (point, column), place, reading):
                found.note(f"row {place + 1}, {point}: {said}")
        for time, (value, _) in stored.items():
            if not math.isnan(value):
                found.note(f"{point}: {value!r} at {time} belongs to no row")
    return found


def _stored(raw: Raw) -> Stored:
    return {
        int(t): (float(v), int(q)) for t, v, q in zip(raw.time, raw.value, raw.quality, strict=True)
    }


def _rows(found: Comparison, player: Player, numbers: Stored) -> dict[int, int]:
    """Time to place (0-based) of every stored row; counts those that came again."""
    rows: dict[int, int] = {}
    for time, (value, quality) in numbers.items():
        if math.isnan(value) or quality >= BAD:
            continue
        place = int(value) - 1
        if value != place + 1 or not 0 <= place < len(player):
            found.note(f"there is no row {value!r}")
        elif found.by == "mqtt" and not 0 <= time - player.at_ms(place) < ON_ITS_WAY_MS:
            found.note(f"row {place + 1} is at {time}, not at {player.at_ms(place)}")
        else:
            rows[time] = place
    found.stored_rows = len(set(rows.values()))
    found.repeats = len(rows) - found.stored_rows
    return rows


def _cell(
    found: Comparison, player: Player, at: tuple[str, int], place: int, reading: tuple[float, int] | None
) -> Iterator[str]:  # fmt: skip
    if reading is None:
        yield "is not stored"
        return
    value, quality = reading
    register = next(p.source for p in player.points if p.id == at[0])
    wanted = player.cell(place, at[1])
    if isinstance(register, Register) and encode(register, wanted) == encode(register, None):
        wanted = None
    if wanted is None:
        found.missing += 1
        if not math.isnan(value) or quality < BAD:
            yield f"the cell is empty, stored is {value!r} of quality {quality}"
    elif math.isnan(value) or quality >= BAD:
        yield f"is stored as missing ({quality}), the recording has {wanted!r}"
    elif not _equal(register, wanted, value):
        yield f"stored is {value!r}, the recording has {wanted!r}"


def _equal(source: object, wanted: float, value: float) -> bool:
    if isinstance(source, Register):
        return abs(value - wanted) <= resolution(source, wanted) * (1 + 1e-9)
    return struct.pack(">d", value) == struct.pack(">d", wanted)


def resolution(register: Register, value: float) -> float:
    """How far from `value` its register may stand: half of its last place, in the point's unit."""
    if register.type == "f64":
        return 0.0
    if register.type != "f32":
        return abs(register.scale) / 2
    number = np.float32((value - register.offset) / register.scale)
    return float(np.spacing(np.abs(number))) * abs(register.scale) / 2
