"""What the DuckDB store says to DuckDB. Texts are made of our own file names only; values are bound."""

# ruff: noqa: S608  # only paths that we made stand in these texts

from collections.abc import Sequence
from typing import Final

from collector.adapters.hour_files import HourFile

SCHEMA: Final = """
create table if not exists series
  (number integer, site varchar, point varchar, unit varchar, kind varchar);
create table if not exists open
  (series integer, time bigint, value double, quality utinyint, arrival bigint);
create table if not exists newest
  (series integer, time bigint, value double, quality utinyint);
create table if not exists cursor (position bigint, arrival bigint);
insert into cursor select 0, 0 where not exists (from cursor);
"""
ADD_SERIES: Final = (
    "insert into series select unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)"
)
NEWEST_OPEN: Final = """
with mine as (select * from open where series in (select unnest($numbers))),
last as (select series, max(time) as time from mine group by series)
select m.series, m.time, m.value, m.quality, m.arrival
from mine m join last l on m.series = l.series and m.time = l.time
union all
select *, 0 from newest where series in (select unnest($numbers))
"""
OPEN_HOURS: Final = "select distinct time // 3600000 * 3600000 from open where time < ? order by 1"
DROP_OPEN: Final = (
    "delete from open where time >= $hour and time < $hour + 3600000 and arrival <= $arrival"
)
SPAN: Final = "series in (select unnest($numbers)) and time >= $start and time < $end"


def _read(files: Sequence[HourFile]) -> str:
    names = ", ".join(_quoted(file) for file in files)
    return f"read_parquet([{names}])"


def _quoted(file: HourFile) -> str:
    return "'" + str(file.path).replace("'", "''") + "'"


def hour_to_file(old: HourFile | None, part: HourFile) -> str:
    """Copy an hour's readings from time `$keep` on into `part`: the last arrival of each, sorted."""
    closed = f"union all select *, 0 from {_read([old])}" if old else ""
    return f"""
    copy (
      select series, time, value, quality from (
        select * from open
        where time >= $hour and time < $hour + 3600000 and arrival <= $arrival {closed})
      where time >= $keep
      qualify row_number() over (partition by series, time order by arrival desc) = 1
      order by series, time
    ) to {_quoted(part)} (format parquet, compression zstd)"""


def newest_of_file(file: HourFile) -> str:
    """Take the last reading of each series of a new file into `newest`."""
    return f"""
    create or replace temp table top as
      select r.* from {_read([file])} r
      join (select series, max(time) as time from {_read([file])} group by series) m
      on r.series = m.series and r.time = m.time;
    delete from newest using top where newest.series = top.series and newest.time <= top.time;
    insert into newest select top.* from top anti join newest on top.series = newest.series;
    drop table top"""


def readings(files: Sequence[HourFile]) -> str:
    """Readings of a span, in any order, with repeats; what is in files came before what is open."""
    closed = f"select *, 0 from {_read(files)} where {SPAN}" if files else ""
    return f"select * from open where {SPAN}" + (f" union all {closed}" if closed else "")


def count_of(touched: Sequence[HourFile], alone: Sequence[HourFile]) -> str:
    """Readings kept: distinct where hours are open too, by the files' own counts where not."""
    again = f" union select series, time from {_read(touched)}" if touched else ""
    whole = f" + (select count(*) from {_read(alone)})" if alone else ""
    return f"select (select count(*) from (select distinct series, time from open{again})){whole}"
