"""Columns to InfluxDB's line protocol in bulk: names are escaped once, no object per reading.

One line per asset and time: `readings,asset=booster,site=riverside pressure=4.2,flow=17.5 1773…`.
A quality stands beside its value only where it says more than "good", since a field beside each value takes
InfluxDB twice the work: `pressure/quality=1i`. A missing value has its quality only. No name of ours holds a
slash behind the asset, so these fields cannot collide.

InfluxDB forgets no field that was written at a time once. So what may stand there already is overwritten:
`LineEncoder` knows how far each field has come, and what is later than that needs nothing of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Raw

from collector.ports import SeriesKey, StoreBatch
from edge.readings import BAD, Codes, Floats, Ints

MEASUREMENT: Final = "readings"
QUALITY: Final = "/quality"
HIDDEN: Final = "/hidden"
"""1 where a reading has no value, whatever stands there from an earlier arrival."""
READINGS_AT_ONCE: Final = 60_000
"""In one body, which the next is encoded behind."""
READINGS_IN_CACHE: Final = 10_000
"""Written at a time: an eighth faster than all of a body (the lists stay in the processor's cache)."""
PATTERNS_MAX: Final = 10_000
NUMBER_BYTES: Final = 4
"""Of a field's number, as rows and patterns hold it."""
NEVER: Final = -(2**62)
SPAN_MAX: Final = 2**62
_SAFE: Final = str.maketrans(
    {code: f"%{code:02X}" for code in (*range(32), 127, ord("\\"), ord("%"))}
)
RESERVED: Final = {"time": "%74ime"}
"""Names of fields that InfluxDB drops without a word."""
_ESCAPED: Final = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_COMMAS: Final = bytes.maketrans(b"\1", b",")
"""Commas of ours, as they stand in texts until those that part a list are gone: no name holds such a character."""
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Field:
    """Where a point stands in InfluxDB: tags and field name. An empty tag is left out."""

    site: str
    asset: str
    name: str


@dataclass(frozen=True, slots=True)
class Reached:
    """The last time (UTC ms) at which a field has any reading, and one whose quality was said."""

    any: int = NEVER
    said: int = NEVER


def field_of(site: str, point: str) -> Field:
    """The place of one point; what line protocol cannot hold is written as `%XX`."""
    asset, _, name = point.translate(_SAFE).rpartition("/")
    return Field(site.translate(_SAFE), asset, RESERVED.get(name, name))


def head_of(measurement: str, site: str, asset: str) -> str:
    """What a line begins with, escaped."""
    tags = (("asset", asset), ("site", site))
    return measurement + "".join(f",{tag}={text.translate(_ESCAPED)}" for tag, text in tags if text)


def escaped(name: str) -> str:
    """A field's name as a line holds it."""
    return name.translate(_ESCAPED)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Readings in the order of their lines: number of the field, and how each is written."""

    field: npt.NDArray[np.int32]
    line: Ints
    time: Ints
    value: Floats
    quality: Codes
    said: npt.NDArray[np.bool_]
    there: npt.NDArray[np.bool_]
    late: npt.NDArray[np.bool_]
    hides: npt.NDArray[np.bool_]


class LineEncoder:
    """Writes batches as bodies of whole lines; `reached` says what stands in InfluxDB before the first.

    Only one may write into a bucket: what others put there it does not know.
    """

    def __init__(self, reached: Mapping[Field, Reached]) -> None:
        self._before = reached
        self._fields: dict[Field, int] = {}
        self._lines: dict[str, int] = {}
        self._heads: list[bytes] = []
        self._names: list[bytes] = []
        self._patterns: dict[bytes, tuple[bytes, list[Raw]]] = {}
        self._line = np.empty(0, np.int64)
        self._any = np.empty(0, np.int64)
        self._said = np.empty(0, np.int64)
        self._keys: list[SeriesKey] = []
        self._numbers = np.empty(0, np.int64)

    def places(self) -> set[tuple[str, str]]:
        """Site and asset of every line that was there before or was written since."""
        return {(field.site, field.asset) for field in (*self._before, *self._fields)}

    def bodies(self, batch: StoreBatch) -> Iterator[bytes]:
        """The batch in bodies of about `READINGS_AT_ONCE`; of equal (point, time) the last arrival only.

        The first is smaller, so that it is on its way soon.
        """
        rows = self._rows(batch)
        if rows is None:
            return
        for start, end in _pieces(rows, 0, len(rows.time), READINGS_AT_ONCE, READINGS_IN_CACHE):
            pieces = _pieces(rows, start, end, READINGS_IN_CACHE)
            yield b"".join([self._text(rows, *piece) for piece in pieces])

    def _rows(self, batch: StoreBatch) -> _Rows | None:
        number = self._lookup(batch.keys)[batch.key]
        order, field, time = _in_lines(self._line[number], number, batch.time)
        if len(order) == 0:
            return None
        value, quality = batch.value[order], batch.quality[order]
        there = np.isfinite(value) & (quality < BAD)
        late, before = time <= self._said[field], self._any[field]
        hides = ~there & ((time <= before) | (quality < BAD))
        said = ~there | (quality > 0) | late
        self._any[field] = np.maximum(before, time)  # of a field the latest comes last
        if said.any():
            np.maximum.at(self._said, field[said], time[said])
        return _Rows(
            field.astype(np.int32),
            self._line[field],
            time,
            value,
            quality,
            said,
            there,
            late,
            hides,
        )

    def _lookup(self, keys: Sequence[SeriesKey]) -> Ints:
        """Number of each key's field; the same keys as last time cost a comparison by identity."""
        listed = list(keys)
        if listed != self._keys:
            self._numbers = np.array([self._number(key) for key in listed], np.int64)
            self._keys = listed
            new = list(self._fields)[len(self._line) :]
            before = [self._before.get(field, Reached()) for field in new]
            lines = [self._lines[head_of(MEASUREMENT, field.site, field.asset)] for field in new]
            self._line = _grown(self._line, lines)
            self._any = _grown(self._any, [reached.any for reached in before])
            self._said = _grown(self._said, [reached.said for reached in before])
        return self._numbers

    def _number(self, key: SeriesKey) -> int:
        field = field_of(key.site, key.point)
        number = self._fields.setdefault(field, len(self._names))
        if number == len(self._names):
            head = head_of(MEASUREMENT, field.site, field.asset)
            if self._lines.setdefault(head, len(self._heads)) == len(self._heads):
                self._heads.append(head.encode().replace(b",", b"\1"))
            self._names.append(escaped(field.name).encode().replace(b",", b"\1"))
        return number

    def _text(self, rows: _Rows, start: int, end: int) -> bytes:
        """One list of texts and numbers, which msgspec writes behind each other; the commas between them go."""
        piece = slice(start, end)
        field, time = rows.field[piece], rows.time[piece]
        values: list[float | Raw] = rows.value[piece].tolist()
        before: list[Raw] = []
        begins = _line_starts(rows.line[piece], time)
        ends, patterns, known = [*begins[1:], end - start], field.tobytes(), self._patterns
        ended = b""
        for at, to, instant in zip(begins, ends, time[begins].tolist(), strict=True):
            pattern = patterns[NUMBER_BYTES * at : NUMBER_BYTES * to]
            head, names = known[pattern] if pattern in known else self._befores(pattern)
            before.append(Raw(ended + head))
            before += names
            ended = b" %d\n" % instant
        self._tell(rows, start, before, values)
        out: list[float | Raw] = [0.0] * (2 * len(before))
        out[0::2], out[1::2] = before, values
        return _encode(out)[1:-1].translate(_COMMAS, b",") + ended

    def _befores(self, pattern: bytes) -> tuple[bytes, list[Raw]]:
        """What a line begins with, and what stands before its further values: most lines hold the same fields again and again."""
        if len(self._patterns) >= PATTERNS_MAX:
            self._patterns.clear()
        first, *others = np.frombuffer(pattern, np.int32).tolist()
        head = b"%b %b=" % (self._heads[self._line[first]], self._names[first])
        found = head, [Raw(b"\1%b=" % self._names[number]) for number in others]
        self._patterns[pattern] = found
        return found

    def _tell(self, rows: _Rows, start: int, before: list[Raw], values: list[float | Raw]) -> None:
        """Say the quality where it must be said; of a reading without a value that alone."""
        piece = slice(start, start + len(before))
        told = np.flatnonzero(rows.said[piece])
        columns = (rows.field, rows.quality, rows.there, rows.late, rows.hides)
        picked = (told, *(column[piece][told] for column in columns))
        for at, number, quality, there, late, hides in zip(*(c.tolist() for c in picked), strict=True):  # fmt: skip
            name = self._names[number]
            if there:
                said = _encode(values[at]) + b"\1%b/quality=%di" % (name, quality)
            else:
                before[at], said = Raw(bytes(before[at])[:-1] + b"/quality="), b"%di" % quality
            if hides or (there and late):
                said += b"\1%b/hidden=%di" % (name, hides)
            values[at] = Raw(said)


def _grown(column: Ints, more: Sequence[int]) -> Ints:
    return np.concatenate([column, np.array(more, np.int64)])


def _in_lines(line: Ints, number: Ints, time: Ints) -> tuple[Ints, Ints, Ints]:
    """Indices of the readings to write, by line, time and field, the last of each; with these, their numbers and times."""
    if len(time) == 0:
        return time, number, time
    order = _sorted(line, time, number)
    number, time = number[order], time[order]
    differs = (number[1:] != number[:-1]) | (time[1:] != time[:-1])
    if differs.all():
        return order, number, time
    last = np.append(differs, True)
    return order[last], number[last], time[last]


def _sorted(line: Ints, time: Ints, number: Ints) -> Ints:
    """By one number of all three where it fits, which is several times faster."""
    first = int(time.min())
    times, fields = int(time.max()) - first + 1, int(number.max()) + 1
    if times * fields * (int(line.max()) + 1) >= SPAN_MAX:
        return np.lexsort((number, time, line))
    return np.argsort((line * times + (time - first)) * fields + number, kind="stable")


def _line_starts(line: Ints, time: Ints) -> list[int]:
    begins: list[int] = np.flatnonzero((line[1:] != line[:-1]) | (time[1:] != time[:-1])).tolist()
    return [0, *(at + 1 for at in begins)]


def _pieces(
    rows: _Rows, start: int, end: int, size: int, first: int = 0
) -> Iterator[tuple[int, int]]:
    """Where pieces begin and end: at the first line behind each `size` readings, `first` before."""
    ahead = first or size
    line, time = rows.line, rows.time
    while start < end:
        to, ahead = min(start + ahead, end), size
        while to < end and (line[to], time[to]) == (line[to - 1], time[to - 1]):
            to += 1
        yield start, to
        start = to
