"""What the DuckDB store says to DuckDB. Texts are made of numbers and our own file names only; values are bound."""

# ruff: noqa: S608  # only numbers and paths that we made stand in these texts

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from collector.adapters.store_pieces import Piece
from collector.adapters.store_spans import Span
from collector.ports import Kind

SCHEMA: Final = """
create table if not exists series
  (number integer, site varchar, point varchar, unit varchar, kind varchar);
create table if not exists open
  (series integer, time bigint, value double, quality utinyint, arrival bigint);
drop table if exists newest;
create table if not exists cursor (position bigint, arrival bigint);
insert into cursor select 0, 0 where not exists (from cursor);
create table if not exists given (site varchar, agent varchar, lane varchar, hour bigint, readings bigint);
create table if not exists given_open (rows varchar);
insert into given_open select '[]' where not exists (from given_open);
create table if not exists kept (kind varchar, since bigint);
"""
ADD_SERIES: Final = (
    "insert into series select unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)"
)
ADD_GIVEN: Final = "insert into given select unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)"
GIVEN: Final = "select site, agent, lane, hour, sum(readings) from given group by all"
ALL_SERIES: Final = "select site, point, unit, kind from series order by number"
OPEN_HOURS: Final = """
select distinct time // 3600000 * 3600000 from open where time >= $since and time < $before order by 1"""
OPEN_BY_MINUTE: Final = """
select time // 60000 * 60000 as minute, count(*) from open where time >= $since group by minute order by minute"""
DROP_BEHIND: Final = "delete from open where time < ?"
OF_SPAN: Final = "time >= $start and time < $end"
DROP_OPEN: Final = f"delete from open where {OF_SPAN} and arrival <= $arrival"
READINGS: Final = "series, time, value, quality"
ROLLED: Final = "time, min, max, sum, first, last, count, valued, worst"
ROLLED_TYPED: Final = """
  series::integer as series, time, min, max, sum, first, last,
  count::integer as count, valued::integer as valued, worst::utinyint as worst"""
TO_FILE: Final = "(format parquet, parquet_version v2, compression zstd)"
"""v2: times as packed differences, a third of the bytes of a file (docs/decisions/101)."""


MERGED: Final = """(format parquet, parquet_version v2, compression zstd, compression_level 19,
  row_group_size 32768, dictionary_size_limit 2000)"""
"""For what is read for years. Fewer rows at once, so that values of few digits have a dictionary beside those of
many; and no larger dictionary, which times and sums fit worse than their differences and bytes."""


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _read(paths: Iterable[Path]) -> str:
    return f"read_parquet([{', '.join(_quoted(path) for path in paths)}])"


def _within(spans: Sequence[Span]) -> str:
    return " or ".join(f"time >= {start} and time < {end}" for start, end in spans)


def of_series(numbers: Sequence[int]) -> str:
    """Condition for some series, in a form by which files can be skipped."""
    return f"series in ({', '.join(str(number) for number in numbers)})"


def held(pieces: Sequence[Piece], columns: str, where: str = "true") -> str:
    """Rows of files, of each only what it holds; in order of the pieces. At least one piece is there."""
    whole = [piece.file.path for piece in pieces if not piece.spans]
    texts = [f"select {columns} from {_read(whole)} where {where}"] if whole else []
    texts += [
        f"select {columns} from {_read([piece.file.path])} where ({where}) and ({_within(piece.spans)})"
        for piece in pieces
        if piece.spans
    ]
    return " union all ".join(texts)


def summed(pieces: Sequence[Piece], number: int, width_ms: int) -> str:
    """One series in buckets, by time."""
    rows = held(pieces, READINGS, of_series([number]))
    return f"""
    select time // {width_ms} * {width_ms} as bucket, min(value) as min, max(value) as max,
      avg(value) as mean, arg_min(value, time) as first, arg_max(value, time) as last,
      count(*) as count, max(quality) as worst
    from ({rows}) group by bucket order by bucket"""


def open_of(numbers: Sequence[int]) -> str:
    """Open readings of some series with `$start` ≤ time < `$end`, in order of arrival."""
    where = f"{of_series(numbers)} and {OF_SPAN}"
    return f"select {READINGS} from open where {where} order by arrival"


def readings_to_file(old: Sequence[Piece], beside: Sequence[Piece], part: Path) -> str:
    """Copy the readings of some hours into `part`: the last arrival of each, those `beside` last; sorted."""
    closed = f"union all select *, 0 from ({held(old, READINGS)})" if old else ""
    closed += f" union all select *, -1 from ({held(beside, READINGS)})" if beside else ""
    return f"""
    copy (
      select {READINGS} from (
        select * from open where {OF_SPAN} and arrival <= $arrival {closed})
      qualify row_number() over (partition by series, time order by arrival desc) = 1
      order by series, time
    ) to {_quoted(part)} {TO_FILE}"""


def sizes_of(part: Path) -> str:
    """Series of a file and how many readings each has."""
    return f"select series, count(*) from {_read([part])} group by series order by series"


def readings_of(part: Path, numbers: Sequence[int]) -> str:
    """A file's readings of some series."""
    return f"select {READINGS} from {_read([part])} where {of_series(numbers)}"


def rolled_to_file(part: Path) -> str:
    """Copy the registered columns `rolled` into `part`; they are sorted."""
    return f"copy (select {ROLLED_TYPED} from rolled) to {_quoted(part)} {TO_FILE}"


def merged_to_file(pieces: Sequence[Piece], part: Path) -> str:
    """Copy what several files hold into one."""
    return f"copy ({held(pieces, '*')} order by series, time) to {_quoted(part)} {MERGED}"


def rolled_with(pieces: Sequence[Piece], beside: Piece, part: Path) -> str:
    """Copy roll-ups into one file, of each time what stands for most readings; of as many those of `pieces`."""
    return f"""
    copy (
      select * exclude (is_newer) from (
        select *, true as is_newer from ({held(pieces, "*")})
        union all select *, false from ({held([beside], "*")}))
      qualify row_number() over (partition by series, time order by count desc, is_newer desc) = 1
      order by series, time
    ) to {_quoted(part)} {MERGED}"""


def hours_lacking(hidden: Piece, newer: Sequence[Piece], kind: Kind, since: int) -> str:
    """Starts of the hours of which a file has rows from `since` on that newer files do not, or of fewer readings."""
    as_many = "" if kind == "raw" else " and n.count >= h.count"
    return f"""
    select distinct time // 3600000 * 3600000 from ({held([hidden], "*", f"time >= {since}")}) h
    anti join ({held(newer, "*")}) n on n.series = h.series and n.time = h.time{as_many} order by 1"""


def latest_of(pieces: Sequence[Piece], numbers: Sequence[int], since: int) -> str:
    """Last reading by time of each of some series; of equal times the one that arrived last."""
    mine = f"{of_series(numbers)} and time >= {since}"
    last = "max_by(struct_pack(value, quality), {0}) as last from ({1}) group by series"
    come = f"select series, max(time) as time, max(arrival) as arrival, {last}"
    texts = [come.format("row(time, arrival)", f"select * from open where {mine}")]
    if pieces:
        rows = held(pieces, READINGS, mine)
        texts.append(f"select series, max(time), 0, {last}".format("time", rows))
    return f"""
    select series, time, last.value, last.quality from ({" union all ".join(texts)})
    order by time, series, arrival"""


NEWEST_OPEN: Final = "select max(time) from open"


def newest_of(piece: Piece) -> str:
    """Time of the newest reading of a file; null where there is none."""
    return f"select max(time) from ({held([piece], 'time')})"


def hours_in(path: Path) -> str:
    """Starts of the hours of which a file has a row."""
    return f"select distinct time // 3600000 * 3600000 from {_read([path])}"


def all_of(path: Path) -> str:
    """Reads every value of a file."""
    return f"select max(hash(columns(*))) from {_read([path])}"


def nothing_of(path: Path) -> str:
    """No row of a file, with all its columns."""
    return f"select * from {_read([path])} limit 0"


def open_up_to(generation: int) -> str:
    """How many readings of some hours are open that had arrived when a file was written."""
    return f"select count(*) from (select distinct series, time from open where {OF_SPAN} and arrival <= {generation})"


def how_many(pieces: Sequence[Piece], what: str) -> str:
    """How many readings rows of files stand for: `count(*)`, or `sum(count)` of roll-ups."""
    return f"select {what} from ({held(pieces, '*')})"


def count_of(touched: Sequence[Piece], alone: Sequence[Piece]) -> tuple[str, str]:
    """Readings with `$start` <= time < `$end`, distinct where hours are open too; and those of files alone.

    Where no file is touched the first gives series and time of what is open, for `distinct` to count.
    """
    of_open = f"select series, time from open where {OF_SPAN}"
    if touched:
        both = f"{of_open} union all {held(touched, 'series, time', OF_SPAN)}"
        of_open = f"select count(*) from (select series, time from ({both}) group by all)"
    whole = held(alone, "time") if alone else "select 0 where false"
    return of_open, f"select count(*) from ({whole})"
