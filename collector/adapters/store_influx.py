"""Readings in InfluxDB 2.x: bulk line protocol in, Flux out; the cursor is kept after the write."""

import csv
import gzip
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import urllib3
from influxdb_client import BucketRetentionRules, InfluxDBClient, WriteService
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.rest import ApiException

from collector.adapters.lineprotocol import MEASUREMENT, QUALITY, Field, encode_lines, field_of
from collector.buckets import in_buckets, nothing
from collector.ports import Buckets, Kind, Raw, StoreBatch, Unavailable
from edge.readings import BAD, Floats, Ints

log = logging.getLogger("steward.store")

TIMEOUT_MS: Final = 30_000
LINES_AT_ONCE: Final = 20_000
GZIP_LEVEL: Final = 1
FIELDS_BY_NAME_MAX: Final = 50
TIME_MS_MAX: Final = 9_223_372_036_000
"""InfluxDB's times are 64-bit nanoseconds."""
CURSOR: Final = "steward_cursor"
BUCKET_COLUMNS: Final = ("min", "max", "mean", "first", "last")
Table = tuple[list[str], list[str]]
"""Times and values of one result, as text."""


class InfluxStore:
    """`ReadingStore` in one bucket, made with its retention (seconds, 0: for ever) if it is not there.

    A server that is away does not hinder the start: each call raises `Unavailable` until it is back.
    What InfluxDB refuses for ever (a field of another type, a time behind the retention) is counted in
    `refused` and logged: it must not block what comes behind it.
    """

    def __init__(
        self, url: str, token: str, org: str, bucket: str, *, retention_s: int = 0
    ) -> None:
        self._url, self._org, self._bucket, self._retention_s = url, org, bucket, retention_s
        self._client = InfluxDBClient(url=url, token=token, org=org, timeout=TIMEOUT_MS)
        self._writes = WriteService(self._client.api_client)
        self._made = False
        self._cut = -(2**62)
        self.refused = 0

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """What the client raises becomes `Unavailable`, with who must do what."""
        try:
            if not self._made:
                self._make_bucket()
            yield
        except ApiException as error:
            raise Unavailable(self._why(error)) from error
        except InfluxDBError as error:  # the token does not even see the organisation
            raise Unavailable(self._absent(str(error))) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"InfluxDB at {self._url} does not answer: {error}") from error

    def _why(self, error: ApiException) -> str:
        where = f"InfluxDB at {self._url}"
        said = f"({error.status}: {_message(error)})"
        if error.status in (401, 403):
            return f"{where} refuses the token: give it read and write on bucket {self._bucket!r} {said}"
        if error.status == 404:
            self._made = False
            return self._absent(said)
        return f"{where} cannot take or give readings now {said}"

    def _absent(self, said: str) -> str:
        return (
            f"InfluxDB at {self._url} has no bucket {self._bucket!r} in {self._org!r}: create it, or "
            f"give a token that may {said}"
        )

    def _make_bucket(self) -> None:
        buckets = self._client.buckets_api()
        found = buckets.find_bucket_by_name(self._bucket)
        if found is None:
            rules = BucketRetentionRules(type="expire", every_seconds=self._retention_s)
            buckets.create_bucket(bucket_name=self._bucket, retention_rules=rules, org=self._org)
            log.info("made bucket %s with retention %d s", self._bucket, self._retention_s)
        self._made = True

    # --- writing ------------------------------------------------------------------------------------

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        """Write the lines, then the cursor: a repeat after a failure in between changes nothing."""
        with self._reached():
            for batch in batches:
                lines = encode_lines(batch)
                for start in range(0, len(lines), LINES_AT_ONCE):
                    self._post(lines[start : start + LINES_AT_ONCE])
            self._post([f"{CURSOR} position={cursor}i\n"])

    def _post(self, lines: Sequence[str]) -> None:
        """Post lines; a body that is refused as a whole is halved until the wrong line stands alone."""
        body = gzip.compress("".join(lines).encode(), GZIP_LEVEL)
        try:
            self._writes.post_write(
                self._org, self._bucket, body, precision="ms",
                content_encoding="gzip", content_type="text/plain; charset=utf-8",
            )  # fmt: skip
        except ApiException as error:
            if error.status in (400, 413) and len(lines) > 1:
                self._post(lines[: len(lines) // 2])
                self._post(lines[len(lines) // 2 :])
            elif error.status in (400, 413, 422):
                self._refuse(_message(error))
            else:
                raise

    def _refuse(self, message: str) -> None:
        dropped = re.search(r"dropped=(\d+)", message)
        self.refused += int(dropped[1]) if dropped else 1
        log.error("InfluxDB refuses readings for ever, %d so far: %s", self.refused, message)

    def delete_before(self, time: int, kind: Kind = "raw") -> None:
        """Readings; there are no roll-ups here, so with readings their buckets go too."""
        if kind != "raw":
            return
        stop = np.datetime_as_string(np.datetime64(_bound(time) * 1_000_000 - 1, "ns"))
        with self._reached():
            self._client.delete_api().delete(
                "1677-09-22T00:00:00Z", f"{stop}Z", f'_measurement="{MEASUREMENT}"',
                bucket=self._bucket, org=self._org,
            )  # fmt: skip
        self._cut = max(self._cut, time)

    # --- reading ------------------------------------------------------------------------------------

    def cursor(self) -> int:
        rows = self._ask(f"{self._from()} |> {_measured(CURSOR)} |> last()")
        return int(rows[0]["_value"]) if rows else 0

    def kept_from(self) -> int:
        """As this process knows it."""
        return self._cut

    def newest(self) -> int | None:
        rows = self._ask(
            f'{self._from()} |> {_measured(MEASUREMENT)} |> last() |> keep(columns: ["_time"])'
            ' |> group() |> sort(columns: ["_time"], desc: true) |> limit(n: 1)'
        )
        if not rows:
            return None
        return int(np.datetime64(rows[0]["_time"].rstrip("Z"), "ms").astype(np.int64))

    def count(self) -> int:
        quality = f"r._field =~ /{QUALITY.replace('/', chr(92) + '/')}$/"
        rows = self._ask(
            f"{self._from()} |> {_measured(MEASUREMENT, quality)} |> count() |> group() |> sum()"
        )
        return int(rows[0]["_value"]) if rows else 0

    def latest(self, site: str, points: Sequence[str]) -> Mapping[str, tuple[int, float, int]]:
        if not points:
            return {}
        fields = {point: field_of(site, point) for point in points}
        if len(points) <= FIELDS_BY_NAME_MAX:
            which = " or ".join(f"({_is(field)})" for field in fields.values())
        else:
            which = _tag("site", field_of(site, "").site)
        rows = self._ask(f"{self._from()} |> {_measured(MEASUREMENT, which)} |> last()")
        last = {
            (row.get("asset", ""), row["_field"]): (row["_time"], row["_value"]) for row in rows
        }
        found = {}
        for point, field in fields.items():
            quality = last.get((field.asset, field.name + QUALITY))
            if quality is not None:
                value = last.get((field.asset, field.name), ("", ""))
                found[point] = _latest_of(quality, value)
        return found

    def raw(self, site: str, point: str, start: int, end: int) -> Raw:
        if start >= end:
            return nothing()
        field = field_of(site, point)
        tables = self._tables(
            f"{self._from(start, end)} |> {_measured(MEASUREMENT, _is(field))}", "_field"
        )
        time, code = _column(tables.get(field.name + QUALITY))
        at, value = _column(tables.get(field.name))
        quality = code.astype(np.uint8)
        return Raw(time, np.where(quality >= BAD, np.nan, _aligned(time, at, value)), quality)

    def buckets(self, site: str, point: str, start: int, end: int, width_ms: int) -> Buckets:
        if start >= end:
            return in_buckets(nothing(), width_ms)
        field, span = field_of(site, point), self._from(start, end)
        of_quality = f"{span} |> {_measured(MEASUREMENT, _only(field, field.name + QUALITY))}"
        quality = self._windows(of_quality, width_ms, {"count": "count", "worst": "max"})
        time, count = quality.get("count", _column(None))
        worst = _aligned(time, *quality.get("worst", _column(None))).astype(np.uint8)
        of_value = f"{span} |> {_measured(MEASUREMENT, _only(field, field.name))}"
        if len(worst) and int(worst.max()) >= BAD:
            of_value = f"{span} |> {_measured(MEASUREMENT, _is(field))} |> {_usable(field.name)}"
        columns = self._windows(of_value, width_ms, {name: name for name in BUCKET_COLUMNS})
        aligned = {name: _aligned(time, *columns.get(name, _column(None))) for name in BUCKET_COLUMNS}  # fmt: skip
        return Buckets(
            time=time // width_ms * width_ms,  # the first window begins where the span does
            count=count.astype(np.int64),
            worst=worst,
            width_ms=width_ms,
            **aligned,
        )

    def _windows(
        self, source: str, width_ms: int, wanted: Mapping[str, str]
    ) -> dict[str, tuple[Ints, Floats]]:
        """Start and value of each window, by result; `wanted` maps results to functions."""
        queries = (
            f"{source} |> aggregateWindow(every: {width_ms}ms, fn: {function}, createEmpty: false,"
            f' timeSrc: "_start") |> yield(name: "{result}")'
            for result, function in wanted.items()
        )
        tables = self._tables("\n".join(queries), "result")
        return {result: _column(table) for result, table in tables.items()}

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _from(self, start: int = -TIME_MS_MAX, end: int = TIME_MS_MAX) -> str:
        """The bucket's span; both UTC ms."""
        span = ", ".join(
            f"{name}: time(v: {_bound(at) * 1_000_000})"
            for name, at in (("start", start), ("stop", end))
        )
        return f"from(bucket: {_text(self._bucket)}) |> range({span})"

    def _ask(self, query: str) -> list[dict[str, str]]:
        """Rows of a Flux query, as text by column name."""
        with self._reached():
            response = self._client.query_api().query_raw(query)
            text = response.data.decode("utf-8")
        return _rows(text)

    def _tables(self, query: str, by: str) -> dict[str, Table]:
        tables: dict[str, Table] = {}
        for row in self._ask(query):
            times, values = tables.setdefault(row[by], ([], []))
            times.append(row["_time"])
            values.append(row["_value"])
        return tables


# --- Flux ------------------------------------------------------------------------------------------


def _bound(time: int) -> int:
    return max(-TIME_MS_MAX, min(TIME_MS_MAX, time))


def _text(text: str) -> str:
    """A string literal of Flux."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'


def _measured(measurement: str, which: str = "true") -> str:
    return f'filter(fn: (r) => r._measurement == "{measurement}" and ({which}))'


def _tag(name: str, text: str) -> str:
    return f"r.{name} == {_text(text)}" if text else f"not exists r.{name}"


def _is(field: Field) -> str:
    """Condition for a point's value and quality; for all fields of its asset when the name is empty."""
    place = f"{_tag('site', field.site)} and {_tag('asset', field.asset)}"
    if not field.name:
        return place
    names = (field.name, field.name + QUALITY)
    return f"{place} and ({' or '.join(f'r._field == {_text(name)}' for name in names)})"


def _only(field: Field, name: str) -> str:
    """Condition for one field of an asset, by its own name."""
    return f"{_is(Field(field.site, field.asset, ''))} and r._field == {_text(name)}"


def _usable(name: str) -> str:
    """Only values whose quality at the same time is not bad.

    A value that a missing one replaced still stands beside its bad quality, since one field cannot be
    deleted. Joining them is slower, and done where there is anything bad in the span.
    """
    value, quality = _text(name), _text(name + QUALITY)
    return (
        'pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
        f" |> filter(fn: (r) => exists r[{value}] and r[{quality}] < {BAD})"
        f' |> rename(fn: (column) => if column == {value} then "_value" else column)'
        ' |> sort(columns: ["_time"])'
    )


def _rows(text: str) -> list[dict[str, str]]:
    """Rows of Flux's annotated CSV. A result's name stands in its annotation `#default` only."""
    rows: list[dict[str, str]] = []
    header: list[str] = []
    defaults: list[str] = []
    for cells in csv.reader(text.splitlines()):
        if not cells or cells[0].startswith("#"):
            header = []
            defaults = cells if cells and cells[0] == "#default" else defaults
        elif not header:
            header = cells
        else:
            filled = (cell or default for cell, default in zip(cells, defaults, strict=True))
            rows.append(dict(zip(header, filled, strict=True)))
    return rows


def _column(table: Table | None) -> tuple[Ints, Floats]:
    """Times (UTC ms) and values of a result, by time."""
    times, values = table or ([], [])
    at = np.array([text.rstrip("Z") for text in times], "datetime64[ms]").astype(np.int64)
    order = np.argsort(at, kind="stable")
    return at[order], np.array([float(text) for text in values], np.float64)[order]


def _aligned(time: Ints, at: Ints, value: Floats) -> Floats:
    """Values at the given times, NaN where there is none; both times ascending, `at` within `time`."""
    out = np.full(len(time), np.nan)
    out[np.searchsorted(time, at)] = value
    return out


def _latest_of(quality: tuple[str, str], value: tuple[str, str]) -> tuple[int, float, int]:
    code = int(quality[1])
    there = value[0] == quality[0] and code < BAD
    at = int(np.datetime64(quality[0].rstrip("Z"), "ms").astype(np.int64))
    return at, float(value[1]) if there else np.nan, code


def _message(error: ApiException) -> str:
    body: Any = error.body
    return str(body or error.reason or "").strip()
