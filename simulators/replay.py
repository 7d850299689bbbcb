"""A recording played as a device: its rows shifted to now, by Modbus or as MQTT payloads."""

import csv
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from config.plant import Plant, Point
from config.profile import Names, Register
from simulators.faults import Answer, Fault
from simulators.layout import ILLEGAL_FUNCTION, TARGET_SILENT, Layout, Value, span
from simulators.payloads import payloads
from simulators.station import TABLES

DELIMITERS = ";\t,|"
MISSING = {"", "-", "--", "nan", "null", "none", "na", "n/a", "#n/a"}
TIME_NAMES = ("datetime", "timestamp", "time", "date", "ts", "date_time")
STEP_MS = 1000
"""Between rows whose time is missing or cannot be read."""
BUFFER_ROWS = 8
"""How far the Modbus device may lag so that a late reader misses no row; loggers keep such a buffer."""


class NotARecording(ValueError):
    """The file cannot be played; the message says why."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows of a recording. `offsets_ms` since the first row, strictly growing; None = empty cell.

    `unreadable` counts cells that hold neither a number nor a sign for "missing"; they are None too.
    """

    columns: tuple[str, ...]
    offsets_ms: tuple[int, ...]
    rows: tuple[tuple[float | None, ...], ...]
    unreadable: int = 0

    @property
    def lasts_s(self) -> float:
        """From the first row to the last, in recorded seconds."""
        return self.offsets_ms[-1] / 1000


def read_recording(path: Path) -> Recording:
    """Read a delimited text file with one header line; the delimiter is found by itself.

    A comma is the decimal sign where it is not the delimiter. Blank lines are left out, short rows
    are filled with missing cells.

    Raises:
        NotARecording: no text, no header, or no rows.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise NotARecording(f"{path}: {error}") from error
    if len(lines) < 2:
        raise NotARecording(f"{path}: needs a header line and at least one row")
    delimiter = max(DELIMITERS, key=lines[0].count)
    header, *cells = list(csv.reader(lines, delimiter=delimiter))
    if any(_number(cell, delimiter) is not None for cell in header):
        raise NotARecording(f"{path}: the first line holds numbers, so it is no header")
    return _recording([name.strip() for name in header], cells, delimiter)


def _recording(header: list[str], cells: list[list[str]], delimiter: str) -> Recording:
    at = _time_column(header, cells[0])
    kept = [place for place in range(len(header)) if place != at]
    unreadable = 0
    rows = []
    for row in cells:
        texts = [row[place].strip() if place < len(row) else "" for place in kept]
        numbers = [_number(text, delimiter) for text in texts]
        unreadable += sum(
            number is None and text.lower() not in MISSING
            for number, text in zip(numbers, texts, strict=True)
        )
        rows.append(tuple(numbers))
    times = [_time(row[at]) if at is not None and at < len(row) else None for row in cells]
    columns = tuple(header[place] for place in kept)
    return Recording(columns, _offsets(times), tuple(rows), unreadable)


def _time_column(header: Sequence[str], first: Sequence[str]) -> int | None:
    """The column named as a time, else the first that holds a date."""
    for place, name in enumerate(header):
        if re.sub(r"[\s-]+", "_", name.strip().lower()) in TIME_NAMES:
            return place
    dated = (place for place, cell in enumerate(first) if _time(cell) and not _plain(cell))
    return next(dated, None)


def _plain(cell: str) -> bool:
    return re.fullmatch(r"[\d.,+-]+", cell.strip()) is not None


def _time(cell: str) -> int | None:
    """UTC ms of an ISO date and time, or of seconds or milliseconds since 1970; else None."""
    text = cell.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        number = float(text)
        return round(number if number > 1e11 else number * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _number(cell: str, delimiter: str) -> float | None:
    text = cell.strip()
    if delimiter != "," and re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", text):
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _offsets(times: Iterable[int | None]) -> tuple[int, ...]:
    """Strictly growing offsets from the first; rows of one time are spread until the next time.

    A logger that writes whole seconds but ten rows a second means ten rows a second. Times that go
    back stand still, and behind the last time rows go on by 1 ms.
    """
    offsets: list[int] = []
    anchors: list[int] = []
    first: int | None = None
    for time in times:
        if time is None:
            offsets.append(offsets[-1] + STEP_MS if offsets else 0)
        else:
            if first is None:
                first = time - (offsets[-1] + STEP_MS if offsets else 0)
            if offsets and time - first <= offsets[-1]:
                offsets.append(offsets[-1])
                continue
            offsets.append(time - first if offsets else 0)
        anchors.append(len(offsets) - 1)
    for place, after in zip(anchors, [*anchors[1:], len(offsets)], strict=True):
        _spread(offsets, place, after)
    return _growing(offsets)


def _spread(offsets: list[int], place: int, after: int) -> None:
    """Share the time from one place to the next that moves on among the rows between them."""
    if after < len(offsets):
        span, rows = offsets[after] - offsets[place], after - place
        for step in range(1, rows):
            offsets[place + step] = offsets[place] + span * step // rows


def _growing(offsets: Iterable[int]) -> tuple[int, ...]:
    """Each at least 1 ms behind the one before it."""
    growing: list[int] = []
    for offset in offsets:
        growing.append(max(offset, growing[-1] + 1) if growing else offset)
    return tuple(growing)


# --- columns to points ----------------------------------------------------------------------------


class Named(Protocol):
    """A point of a plant or of a profile."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> Names: ...


def match(columns: Sequence[str], points: Sequence[Named]) -> Mapping[str, int]:
    """Point id to column: the same name first, then the one column that contains it, or the reverse.

    Names are compared without case, signs and the suffix RMS, against the point's id and its
    English name.
    """
    plain = [_plainly(column) for column in columns]
    found: dict[str, int] = {}
    for same in (True, False):
        for point in points:
            free = [place for place in range(len(columns)) if place not in found.values()]
            names = {_plainly(point.id.rpartition("/")[2]), _plainly(point.name["en"])}
            fits = [p for p in free if any(_fits(plain[p], name, same=same) for name in names)]
            if point.id not in found and len(fits) == 1:
                found[point.id] = fits[0]
    return found


def _plainly(name: str) -> str:
    return re.sub(r"[^0-9a-z\u4e00-\u9fff]", "", name.lower()).removesuffix("rms")


def _fits(column: str, name: str, *, same: bool) -> bool:
    return column == name if same else bool(name and column) and (name in column or column in name)


def is_row_number(point: Named) -> bool:
    """Whether the point carries the number of the row (`row`, `row_number`)."""
    return point.id.rpartition("/")[2] in ("row", "row_number")


def find_device(plant: Plant, recording: Recording, protocol: str) -> str:
    """The device of this protocol whose points match most columns; one that numbers rows comes first.

    Raises:
        NotARecording: none matches any.
    """
    best, most = "", (False, 0)
    for device in plant.devices.values():
        if plant.profiles[device.profile].protocol == protocol:
            found = len(match(recording.columns, _points(plant, device.id)))
            numbers = any(is_row_number(p) and p.device == device.id for p in plant.points.values())
            score = (numbers, found)
            best, most = (device.id, score) if found and score > most else (best, most)
    if not best:
        raise NotARecording(f"no {protocol} device of {plant.site} has points named like {', '.join(recording.columns)}")  # fmt: skip
    return best


def _points(plant: Plant, device: str) -> tuple[Point, ...]:
    return tuple(p for p in plant.points.values() if p.device == device and not is_row_number(p))


# --- playing --------------------------------------------------------------------------------------


class Player:
    """A recording on one device of a plant. Row 1 is the first below the header, due at the start.

    `speed` plays it faster than its clock; where the whole run is scaled, leave it at 1. `columns`
    says which column each point shows, where their names do not.
    """

    def __init__(
        self,
        plant: Plant,
        device: str,
        recording: Recording,
        *,
        speed: float = 1.0,
        columns: Mapping[str, int] | None = None,
    ) -> None:
        self.device = plant.devices[device]
        self.points = tuple(p for p in plant.points.values() if p.device == device)
        self.columns = columns or match(recording.columns, _points(plant, device))
        self.limits = plant.limits_of(device)
        self._recording = recording
        self._numbers = [p.id for p in self.points if is_row_number(p)]
        self._after = _growing(round(offset / speed) for offset in recording.offsets_ms)
        self._start_ms: int | None = None

    def __len__(self) -> int:
        return len(self._after)

    def begin(self, now_ms: int) -> None:
        """Let the first row be due now (UTC ms), if it has not begun yet."""
        if self._start_ms is None:
            self._start_ms = now_ms

    def at_ms(self, place: int) -> int:
        """When the row at a place (0-based) is due, UTC ms. Only once it has begun."""
        assert self._start_ms is not None, "begin first"  # noqa: S101  # a mistake of the caller
        return self._start_ms + self._after[place]

    @property
    def lasts_s(self) -> float:
        """From the first row to the last, in seconds of its clock."""
        return self._after[-1] / 1000

    def cell(self, place: int, column: int) -> float | None:
        """What stands in the recording, None where the cell is empty."""
        return self._recording.rows[place][column]

    def values(self, place: int) -> dict[str, Value]:
        """What the points show in the row at a place; points without a column show nothing."""
        row = self._recording.rows[place]
        shown: dict[str, Value] = {point.id: None for point in self.points}
        shown |= {point: row[column] for point, column in self.columns.items()}
        return shown | dict.fromkeys(self._numbers, float(place + 1))


class ReplayModbus:
    """The recording as a Modbus device: what one request reads comes from one row.

    It begins with the first read of the row number. Then the row moves on with the time, but not past
    one that the reader of the row number has not had, up to `BUFFER_ROWS`. The last row stays.
    """

    up = True

    def __init__(self, player: Player, now: Callable[[], int]) -> None:
        self._player = player
        self._now = now
        self._layout = Layout(player.points, player.limits)
        self._read = -1
        self._due = 0
        self._begun = False
        self._number_at = [
            (p.source.table, p.source.address, span(p.source))
            for p in player.points
            if is_row_number(p) and isinstance(p.source, Register)
        ]

    def delay_s(self, unit: int) -> float:
        return 0.0

    def faults_of(self, unit: int) -> Sequence[Fault]:
        """A recording is played as it is."""
        return ()

    @property
    def finished(self) -> bool:
        """Whether the last row has been read."""
        return self._read == len(self._player) - 1

    def answer(
        self, unit: int, function: int, address: int, count: int, connected_ms: int | None = None
    ) -> Answer:
        """Words of the row that is due, or an exception code."""
        table = TABLES.get(function)
        if table is None:
            return ILLEGAL_FUNCTION
        if unit != int(self._player.device.unit or 1):
            return TARGET_SILENT
        counts = self._has_number(table, address, count)
        if counts:
            self._player.begin(self._now())
            self._begun = True
        row = self._row() if self._begun else 0
        words = self._layout.read(table, address, count, self._player.values(row))
        if isinstance(words, list) and counts:
            self._read = row
        return words

    def _row(self) -> int:
        now, last = self._now(), len(self._player) - 1
        while self._due < last and self._player.at_ms(self._due + 1) <= now:
            self._due += 1
        return min(self._due, max(self._read + 1, self._due - BUFFER_ROWS))

    def _has_number(self, table: str, address: int, count: int) -> bool:
        """Whether a read takes the whole row number; where there is none, any read counts."""
        return not self._number_at or any(
            table == own and address <= first and first + words <= address + count
            for own, first, words in self._number_at
        )


class ReplayMqtt:
    """The recording as an MQTT device: each row is said once, with its own shifted time.

    It begins with the first call of `publications`.
    """

    def __init__(self, player: Player) -> None:
        self._player = player
        self._next = 0

    @property
    def finished(self) -> bool:
        """Whether every row has been said."""
        return self._next == len(self._player)

    def publications(self, now_ms: int) -> list[tuple[str, bytes]]:
        """The rows that have become due since the last call, in order."""
        self._player.begin(now_ms)
        said: list[tuple[str, bytes]] = []
        while not self.finished and self._player.at_ms(self._next) <= now_ms:
            at, values = self._player.at_ms(self._next), self._player.values(self._next)
            said += payloads(self._player.device.unit, self._player.points, values, at)
            self._next += 1
        return said
