"""Columns to InfluxDB's line protocol in bulk: names are escaped once, no object per reading.

One line per asset and time: `readings,asset=booster,site=riverside pressure=4.2,pressure/quality=0i 1773…`.
A missing value has its quality only. A name of ours never holds a slash behind the asset, so `/quality`
cannot collide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.buckets import kept
from collector.ports import SeriesKey, StoreBatch
from edge.readings import Ints

MEASUREMENT: Final = "readings"
QUALITY: Final = "/quality"
_SAFE: Final = str.maketrans(
    {code: f"%{code:02X}" for code in (*range(32), 127, ord("\\"), ord("%"))}
)
_ESCAPED: Final = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})


@dataclass(frozen=True, slots=True)
class Field:
    """Where a point stands in InfluxDB: tags and field name. An empty tag is left out."""

    site: str
    asset: str
    name: str


def field_of(site: str, point: str) -> Field:
    """The place of one point; what line protocol cannot hold is written as `%XX`."""
    asset, _, name = point.translate(_SAFE).rpartition("/")
    return Field(site.translate(_SAFE), asset, name)


@dataclass(frozen=True, slots=True)
class _Texts:
    """Pre-escaped text per key: number of its line, number of its field, and what stands before values."""

    line: Ints
    field: Ints
    heads: list[str]
    before_value: list[str]
    before_quality: list[str]
    alone: list[str]


def encode_lines(batch: StoreBatch) -> list[str]:
    """Lines of a batch, each ending in a newline; of equal (point, time) the last arrival only."""
    texts = _texts(batch.keys)
    order = _in_lines(batch, texts)
    if len(order) == 0:
        return []
    key, time = batch.key[order], batch.time[order]
    line = texts.line[key]
    fragments = _fragments(batch, order, texts)
    starts = np.flatnonzero(np.append(True, (line[1:] != line[:-1]) | (time[1:] != time[:-1])))
    ends = np.append(starts[1:], len(order))
    heads = texts.heads
    columns = (line[starts], time[starts], starts, ends)
    return [
        f"{heads[of]} {','.join(fragments[start:end])} {at}\n"
        for of, at, start, end in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _in_lines(batch: StoreBatch, texts: _Texts) -> Ints:
    """Indices of the readings to write, sorted by line and time."""
    stays = kept(texts.field[batch.key], batch.time)
    line = texts.line[batch.key[stays]]
    ordered: Ints = stays[np.argsort(line, kind="stable")]  # `stays` is by time already
    return ordered


def _fragments(batch: StoreBatch, order: Ints, texts: _Texts) -> list[str]:
    before, between, alone = texts.before_value, texts.before_quality, texts.alone
    value = batch.value[order]
    columns = (batch.key[order], value, np.isfinite(value), batch.quality[order])
    return [
        f"{before[k]}{v!r}{between[k]}{q}i" if there else f"{alone[k]}{q}i"
        for k, v, there, q in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _texts(keys: Sequence[SeriesKey]) -> _Texts:
    lines: dict[str, int] = {}
    fields: dict[Field, int] = {}
    line, number, before, between, alone = [], [], [], [], []
    for key in keys:
        field = field_of(key.site, key.point)
        line.append(lines.setdefault(_head(field), len(lines)))
        number.append(fields.setdefault(field, len(fields)))
        name = field.name.translate(_ESCAPED)
        before.append(f"{name}=")
        between.append(f",{name}{QUALITY}=")
        alone.append(f"{name}{QUALITY}=")
    return _Texts(
        np.array(line, np.int64), np.array(number, np.int64), list(lines), before, between, alone
    )


def _head(field: Field) -> str:
    tags = (("asset", field.asset), ("site", field.site))
    return MEASUREMENT + "".join(f",{tag}={text.translate(_ESCAPED)}" for tag, text in tags if text)
