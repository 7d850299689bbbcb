"""Hourly roll-ups of one point asked in InfluxQL: a row an hour with all columns, where Flux takes a pass over a column each."""

import msgspec
import numpy as np

from collector.adapters.influx_flux import OF_ROLL_UPS, bound
from collector.adapters.lineprotocol import Field
from collector.adapters.store_spans import Span
from collector.buckets import Rolled


class _Series(msgspec.Struct):
    values: list[list[float | None]]
    partial: bool = False


class _Result(msgspec.Struct):
    series: list[_Series] = []
    error: str = ""


class _Answer(msgspec.Struct):
    results: list[_Result] = []


def question(measurement: str, place: Field, span: Span) -> str:
    """The roll-ups of a point within a span (UTC ms), by time."""
    columns = ", ".join(_name(f"{place.name}/{each}") for each in OF_ROLL_UPS)
    start, end = (f"{bound(at)}ms" for at in span)
    return (
        f"SELECT {columns} FROM {_name(measurement)} WHERE site = {_text(place.site)}"  # noqa: S608  # names and texts are escaped
        f" AND asset = {_text(place.asset)} AND time >= {start} AND time < {end}"
    )


def _name(content: str) -> str:
    return '"' + content.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(content: str) -> str:
    return "'" + content.replace("\\", "\\\\").replace("'", "\\'") + "'"


def rolled_of(answer: bytes) -> Rolled | None:
    """What an answer (msgpack, times in UTC ms) says; None where it is an error, or not all."""
    try:
        (result,) = msgspec.msgpack.decode(answer, type=_Answer).results
    except (msgspec.DecodeError, ValueError):
        return None
    if result.error or any(series.partial for series in result.series):
        return None
    rows = [row for series in result.series for row in series.values]
    table = np.array(rows, np.float64).reshape(-1, 1 + len(OF_ROLL_UPS))
    columns = dict(zip(OF_ROLL_UPS, table[:, 1:].T, strict=True))
    count, valued, worst = (np.nan_to_num(columns.pop(each)) for each in ("count", "valued", "worst"))  # fmt: skip
    return Rolled(
        **columns, time=table[:, 0].astype(np.int64), count=count.astype(np.int64),
        valued=valued.astype(np.int64), worst=worst.astype(np.uint8),
    )  # fmt: skip
