"""Many batches from JSON to columns at once, without an object for each number.

What the quick parser takes is exactly what `edge.readings.decode_batch` takes, and gives the same; whatever
is not in the plainest form is left to that one to judge.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import simdjson

from edge.readings import Batch, Malformed, decode_batch

INDEX_MAX: Final = 2**31 - 1
NUMBER_MAX: Final = 2**53
QUALITY_MAX: Final = 127
COLUMNS: Final = 4
BRACKET: Final = ord("[")
MEMBERS: Final = 9
_NULLABLE: Final = {float, int, type(None)}

_Header = tuple[str, int, int, int, int]
_Columns = tuple[bytes, bytes, bytes, bytes]


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """One batch: its header as on the wire, and `size` numbers of each column as native bytes.

    `index`, `offset` (ms after `t`) and `quality` are int64, `value` is float64 with NaN for null;
    `highest` is the highest index, -1 where the batch is empty.
    """

    e: str
    s: int
    o: int
    t: int
    n: int
    index: bytes
    offset: bytes
    value: bytes
    quality: bytes
    size: int
    highest: int


class Decoder:
    """Keeps the memory of its parser: not to be shared by threads."""

    def __init__(self) -> None:
        self._parser = simdjson.Parser()

    def decode(self, payloads: Sequence[bytes]) -> list[Decoded | Malformed]:
        """What `decode_batch` gives for each payload, as columns, or the `Malformed` that it raises."""
        quick = [self._quick(payload) for payload in payloads]
        if None in quick or _count(b"".join(payloads)) != COLUMNS * len(payloads):
            each = zip(payloads, quick, strict=True)  # or [[1], 2] would be read as [1, 2]
            quick = [plain if _count(payload) == COLUMNS else None for payload, plain in each]
        within = iter(_within([plain for plain in quick if plain is not None]))
        return [
            (None if plain is None else next(within)) or _thorough(payload)
            for payload, plain in zip(payloads, quick, strict=True)
        ]

    def _quick(self, payload: bytes) -> tuple[_Header, _Columns] | None:
        """None unless the payload is plain; that its numbers are within their bounds is not known yet."""
        if not payload.startswith(b"{"):
            return None  # a byte order mark is passed over here
        try:
            return _plain(self._parser.parse(payload))
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
            return None  # RuntimeError: a number beyond 64 bits


def _plain(found: Any) -> tuple[_Header, _Columns] | None:
    """Raises what the parser raises where something is not of its kind."""
    header = e, s, o, t, n = found["e"], found["s"], found["o"], found["t"], found["n"]
    if not (type(s) is type(o) is type(t) is type(n) is int):
        return None
    index, offset = (
        bytes(found["i"].as_buffer(of_type="i")),
        bytes(found["d"].as_buffer(of_type="i")),
    )
    value, quality = _values(found["v"]), bytes(found["q"].as_buffer(of_type="i"))
    if len(found) != MEMBERS or not len(index) == len(offset) == len(value) == len(quality):
        return None
    within = 1 <= s < NUMBER_MAX and 0 <= o <= s and abs(t) <= NUMBER_MAX and abs(n) <= NUMBER_MAX
    if not within or type(e) is not str:
        return None
    return header, (index, offset, value, quality)


def _values(found: Any) -> bytes:
    try:
        return bytes(found.as_buffer(of_type="d"))
    except TypeError:  # a null, or what is no number
        values = found.as_list()
        if not set(map(type, values)) <= _NULLABLE:
            raise
        return np.array(values, np.float64).tobytes()


def _count(text: bytes) -> int:
    """How many brackets open: at least one for each column."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == BRACKET))


def _within(found: Sequence[tuple[_Header, _Columns]]) -> list[Decoded | None]:
    """None for those that have a number out of its bounds: looked at in all batches together."""
    sizes = [len(columns[0]) // 8 for _, columns in found]
    highest, later, worst = _highest([columns for _, columns in found], sizes)
    fit = (highest <= INDEX_MAX) & (later <= 2 * NUMBER_MAX) & (worst <= QUALITY_MAX)
    rows = zip(found, sizes, highest.tolist(), fit.tolist(), strict=True)
    return [
        Decoded(*header, *columns, size, top if size else -1) if good else None
        for (header, columns), size, top, good in rows
    ]


def _highest(found: Sequence[_Columns], sizes: Sequence[int]) -> npt.NDArray[np.uint64]:
    """The highest index, offset + `NUMBER_MAX` and quality of each, 0 of what is empty; negative ones are huge."""
    columns = [columns[at] for at in (0, 1, 3) for columns in found]
    numbers = np.frombuffer(bytearray().join(columns), np.int64)
    third = len(numbers) // 3
    numbers[third : 2 * third] += NUMBER_MAX
    each = np.tile(np.array(sizes, np.int64), 3)
    highest = np.zeros(len(each), np.uint64)
    held = each > 0
    if held.any():
        starts = np.cumsum(each) - each
        highest[held] = np.maximum.reduceat(numbers.view(np.uint64), starts[held])
    return highest.reshape(3, len(found))


def _thorough(payload: bytes) -> Decoded | Malformed:
    try:
        batch = decode_batch(payload)
    except Malformed as error:
        return error
    return as_columns(batch)


def as_columns(batch: Batch) -> Decoded:
    """A batch whose columns are lists."""

    def numbers(column: Sequence[int]) -> bytes:
        return np.array(column, np.int64).tobytes()

    return Decoded(
        batch.e, batch.s, batch.o, batch.t, batch.n,
        numbers(batch.i), numbers(batch.d), np.array(batch.v, np.float64).tobytes(), numbers(batch.q),
        len(batch.i), max(batch.i, default=-1),
    )  # fmt: skip
