"""A register list as a table of text: whose columns mean what, and each cell in the maker's way of writing."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

from config.mistakes import Mistakes
from config.number_marks import Ambiguous, Marks, marks_of
from config.register_cells import CELLS, Unclear
from config.register_maps import POINTS_MAX, RegisterMap, Row, check_row
from config.register_words import (
    COLUMNS,
    DECIMALS,
    DOUBTFUL,
    EMPTY,
    SIZELESS,
    folded,
    plain,
    plain_type,
)

NUMBERS: Final = ("scale", "divisor", "offset", "min", "max")
NAMING: Final = ("id", "name", "zh")
"""Columns of which one must be there."""
TEXTS: Final = (*NAMING, "note")
"""Columns whose cells hold whatever they hold."""
KEPT: Final = (*TEXTS, "enum", "bits")
"""Columns of texts for people: their signs stay as they are written."""


def read_csv(text: str, name: str, shown: str, mistakes: Mistakes) -> RegisterMap | None:
    """A register list from CSV (comma, semicolon or tab; the first line names the columns).

    `name` becomes the id of the map. None and a mistake for each cell that cannot be understood.
    """
    if "\0" in text:
        mistakes.add(shown, "", "holds a zero byte: save it as CSV UTF-8")
        return None
    lines = text.removeprefix("\ufeff").lstrip("\r\n")
    delimiter = max(",;\t", key=lines.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter, strict=True)
    try:
        table = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]  # fmt: skip
    except csv.Error as error:
        mistakes.add(shown, f"row {reader.line_num}", f"is not CSV: {error}")
        return None
    if len(table) < 2 or len(table) > POINTS_MAX:
        mistakes.add(shown, "", f"has {max(0, len(table) - 1)} rows below a line of column names; allowed: 1..{POINTS_MAX}")  # fmt: skip
        return None
    columns = _columns(table[0][1], shown, mistakes)
    if columns is None:
        return None
    marks = marks_of((number, folded(cell)) for number, cells in table[1:] for field, cell in zip(columns, cells, strict=False) if field in NUMBERS)  # fmt: skip
    rows = [_row(number, columns, cells, (delimiter, marks), (shown, mistakes)) for number, cells in table[1:]]  # fmt: skip
    sound = [row for row in rows if row]
    unused = [f"column {title!r}" for title, field in zip(table[0][1], columns, strict=True) if not field and title.strip()]  # fmt: skip
    sizeless = _sizeless(columns, [cells for _, cells in table[1:]])
    return RegisterMap(
        name, {}, sound, {}, unused, marks.notes() + sizeless + _assumed(columns, sound, unused)
    )


def _sizeless(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Types that do not say how long they are, where nothing else does."""
    if "type" not in columns or "words" in columns:
        return []
    place = columns.index("type")
    said = sorted({cells[place].strip() for cells in rows if place < len(cells) and plain_type(cells[place]) in SIZELESS})  # fmt: skip
    return [f"type {' and '.join(said)} says no size: 16 bits are taken; write uint32 or int32 where it has two registers"] if said else []  # fmt: skip


def _assumed(columns: Sequence[str], rows: Sequence[Row], unused: Sequence[str]) -> list[str]:
    """What the list does not say, and is taken for what it mostly is."""
    said: list[str] = []
    if unused and not set(columns) & {"scale", "divisor", "scale_from"}:
        said.append(f"no column was taken for the scale: every number is as it stands in its register, unless {' or '.join(unused)} says otherwise")  # fmt: skip
    if unused and "type" not in columns:
        said.append(f"no column was taken for the type: every register is read as u16, unless {' or '.join(unused)} says otherwise")  # fmt: skip
    places = {row.fields.get("address") for row in rows}
    if set(columns) & {"table", "function"} and 1 in places and 0 not in places:
        said.append("the lowest address is 1: where the list counts from 1, each is one too high; compare a value with what the device shows")  # fmt: skip
    return said


def _columns(titles: Sequence[str], shown: str, mistakes: Mistakes) -> list[str] | None:
    """Of each column its field, "" for one that is not known."""
    fields = [next((f for f, names in COLUMNS.items() if plain(t) in names), "") for t in titles]
    doubtful = [title for title in titles if plain(title) in DOUBTFUL and not ("scale" in fields and plain(title) in DECIMALS)]  # fmt: skip
    for title in doubtful:
        mistakes.add(shown, "row 1", f"column {title!r} {DOUBTFUL[plain(title)]}")
    if doubtful:
        return None
    for field in COLUMNS:
        if fields.count(field) > 1:
            both = [title for title, own in zip(titles, fields, strict=True) if own == field]
            mistakes.add(shown, "row 1", f"columns {', '.join(map(repr, both))} are all the {field}: keep one")  # fmt: skip
            return None
    missing: list[tuple[str, ...]] = [] if set(NAMING) & set(fields) else [NAMING]
    missing += [] if "address" in fields else [("address",)]
    for field, *others in missing:
        offered = ", ".join(name for one in (field, *others) for name in COLUMNS[one])
        mistakes.add(shown, "row 1", f"has no column {field} (this line is to name the columns); it may be called {offered}")  # fmt: skip
    return None if missing else fields


def _row(
    number: int,
    columns: Sequence[str],
    cells: Sequence[str],
    written: tuple[str, Marks],
    told: tuple[str, Mistakes],
) -> Row | None:
    (delimiter, marks), (shown, mistakes) = written, told
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        mistakes.add(shown, f"row {number}", f"has {len(cells)} cells for {len(columns)} columns: quote texts that hold {delimiter!r}")  # fmt: skip
        return None
    given = {f: c.strip() for f, c in zip(columns, cells, strict=False) if f and c.strip()}
    given = {f: c if f in KEPT else folded(c) for f, c in given.items()}
    given = {f: c for f, c in given.items() if f in TEXTS or folded(c).lower() not in EMPTY}
    fields: dict[str, Any] = {}
    sound = True
    for key in [key for key in given if key in NUMBERS]:
        try:
            given[key] = marks.plain(number, given[key])
        except Ambiguous as error:
            mistakes.add(shown, f"row {number}.{key}", str(error))
            return None
    for key, make in CELLS.items():
        try:
            fields |= make(given)
        except Unclear as error:
            mistakes.add(shown, f"row {number}.{key}", str(error))
            sound = False
    row = Row(f"row {number}", fields)
    if sound:
        check_row(row, shown, mistakes)
    return row if sound else None
