"""Roll-ups in InfluxDB: which hours have them, how they are written, and from what a bucket is made.

An hour is *open* from before its first reading is written until its roll-ups are; a late reading opens it
again. Which are open stands in the bucket itself, so that nothing is forgotten over a kill: readings of open
hours are read themselves, all else comes from roll-ups.
"""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Final

import numpy as np

from collector.adapters import influx_flux as flux
from collector.adapters import influx_ql
from collector.adapters.influx_server import Bucket
from collector.adapters.lineprotocol import HIDDEN, MEASUREMENT, Field, escaped, head_of
from collector.adapters.store_spans import (
    Span,
    hour_of,
    joined_hours,
    overlap,
    within_grain,
    without,
)
from collector.buckets import (
    GRAIN_MS,
    HOUR_MS,
    MINUTE_MS,
    ROLL_UPS,
    Kept,
    Rolled,
    of_readings,
    rolled_up,
    widened,
)
from collector.ports import Kind, Raw
from edge.readings import Ints

log = logging.getLogger("steward.store")

NAMES: Final[Mapping[Kind, str]] = {"raw": MEASUREMENT, "minute": "minutes", "hour": "hours"}
"""Measurements."""
HOURS: Final = "steward_hours"
CLOSED, OPEN, AGAIN = 0, 1, 2
"""What `steward_hours` says of an hour; `AGAIN`: old roll-ups of it may be there, whole or in part."""
LINES_AT_ONCE: Final = 5_000
TOUCHED_MAX: Final = 50
"""Assets that are remembered of an hour; where more were touched, all are rolled up."""
Place = tuple[str, str]
"""Site and asset, as tags hold them."""
OPEN_SPANS_MAX: Final = 2
READ_MS_MAX: Final = 2 * HOUR_MS
"""Readings of so short a span are fetched and joined here: nine windows of them take InfluxDB longer."""


class Hours:
    """The open hours. Known from the bucket once it was asked; safe to call from several threads."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._open: dict[int, int] | None = None
        self._generation: dict[int, int] = {}
        self._touched: dict[int, set[Place]] = {}
        self._lock = threading.Lock()

    def open(self) -> Mapping[int, int]:
        """Start of each open hour (UTC ms), and whether it is `OPEN` or `AGAIN`. Raises `Unavailable`."""
        with self._lock:
            if self._open is None:
                self._open = self._read()
            return dict(self._open)

    def _read(self) -> dict[int, int]:
        marks = flux.source(self._bucket.name, HOURS)
        rows = self._bucket.ask(f"{marks} |> {flux.where('r._value > 0')}")
        if not rows and not self._bucket.ask(f"{marks} |> limit(n: 1)"):
            return self._unmarked()
        return {flux.time_of(row["_time"]): int(row["_value"]) for row in rows}

    def _unmarked(self) -> dict[int, int]:
        """The hours of readings that were written before there were marks: all of them are open."""
        readings = flux.source(self._bucket.name, MEASUREMENT)
        rows = self._bucket.ask(f"{readings} |> {flux.HOURS_OF}")
        found = {flux.time_of(row["_value"]): OPEN for row in rows}
        if found:
            self._note(found)
        return found

    def touch(self, time: Ints, key: Ints, places: Sequence[Place]) -> None:
        """Open the hours of these times, before their readings are written; `key` indexes `places`."""
        known, hours = self.open(), time // HOUR_MS * HOUR_MS
        touched = np.unique(hours).tolist()
        new = [hour for hour in touched if hour not in known]
        if new:
            rolled = self._marked(new[0], new[-1])
            self._mark({hour: AGAIN if hour in rolled else OPEN for hour in new})
        with self._lock:
            self._touched |= {hour: set() for hour in new}
            for hour in touched:
                self._generation[hour] = self._generation.get(hour, 0) + 1
                if hour in self._touched:
                    keys = key if len(touched) == 1 else key[hours == hour]
                    self._remember(
                        hour, {places[n] for n in np.flatnonzero(np.bincount(keys)).tolist()}
                    )

    def _remember(self, hour: int, places: set[Place]) -> None:
        self._touched[hour] |= places
        if len(self._touched[hour]) > TOUCHED_MAX:
            del self._touched[hour]

    def touched(self, hour: int) -> set[Place] | None:
        """The assets that were written to since it was opened; None: any, as when another life opened it."""
        with self._lock:
            return set(self._touched[hour]) if hour in self._touched else None

    def generation(self, hour: int) -> int:
        """Grows with each write that touches the hour."""
        return self._generation.get(hour, 0)

    def begin(self, hour: int) -> bool:
        """Note that roll-ups of it are being written; returns whether there may be older ones."""
        again = self.open().get(hour) == AGAIN
        if not again:
            self._mark({hour: AGAIN})
        return again

    def close(self, hour: int) -> None:
        """Its roll-ups are there."""
        self._mark({hour: CLOSED})
        self._generation.pop(hour, None)
        self._touched.pop(hour, None)

    def _marked(self, first: int, last: int) -> set[int]:
        marks = flux.source(self._bucket.name, HOURS, first, last + 1)
        return {flux.time_of(row["_time"]) for row in self._bucket.ask(marks)}

    def _note(self, marks: Mapping[int, int]) -> None:
        self._bucket.note("".join(f"{HOURS} open={mark}i {at}\n" for at, mark in marks.items()))

    def _mark(self, marks: Mapping[int, int]) -> None:
        self._note(marks)
        with self._lock:
            if self._open is not None:
                self._open |= marks
                self._open = {hour: mark for hour, mark in self._open.items() if mark != CLOSED}


def plan_of(
    start: int, end: int, width_ms: int, kept: Kept, hours: Iterable[int]
) -> list[tuple[Kind, Span]]:
    """From what the buckets of a span are made, by time: the widest roll-ups, readings for what is left.

    `hours` are the open ones. What is hidden of the readings is read again where the span begins before them.
    """
    opened = _joined(hour for hour in hours if hour >= hour_of(kept.raw))
    rest: list[Span] = [(start, end)]
    found: list[tuple[Kind, Span]] = []
    for kind in reversed(ROLL_UPS):
        grain = GRAIN_MS[kind]
        if width_ms % grain == 0:
            whole = without(within_grain(rest, grain), opened)
            taken = overlap(whole, [(getattr(kept, kind), 2**62)])
            found += [(kind, span) for span in taken]
            rest = without(rest, taken)
    since = kept.raw if start >= kept.raw else hour_of(kept.raw)
    found += [("raw", span) for span in overlap(rest, [(since, 2**62)])]
    return sorted(found, key=lambda one: one[1])


def _joined(hours: Iterable[int]) -> list[Span]:
    """Open hours as spans; where these are many, as one: a question each takes longer than the readings."""
    spans = joined_hours(sorted(hours))
    return spans if len(spans) <= OPEN_SPANS_MAX else [(spans[0][0], spans[-1][1])]


class Rolling:
    """Makes buckets of what the plan says, and roll-ups of hours that are over."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._mixed: set[str] | None = None

    def look(self) -> None:
        """Ask anew which fields somebody else wrote with another type."""
        found = self._bucket.mixed(MEASUREMENT)
        for name in sorted(found - (self._mixed or set())):
            log.error(
                "field %r of bucket %s has several types: somebody else writes it, too; what is of that type "
                "is shown as if it were ours, and in its shard none of ours can be kept",
                name, self._bucket.name,
            )  # fmt: skip
        self._mixed = found

    def is_mixed(self, place: Field) -> bool:
        """Whether somebody else wrote a field of this name with another type."""
        if self._mixed is None:
            self.look()
        return place.name in (self._mixed or ())

    def raw(self, place: Field, span: Span) -> Raw:
        """Readings of a point.

        Of a field with several types InfluxDB gives the shards before the first that has another type, and
        nothing behind them: what is behind is asked for until there is none.
        """
        (start, end), parts = span, [self._raw(place, *span)]
        while self.is_mixed(place) and len(parts[-1].time):
            start = self._bucket.next_shard(int(parts[-1].time[-1]))
            if start >= end:
                break
            parts.append(self._raw(place, start, end))
        return Raw(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("time", "value", "quality")))  # fmt: skip

    def _raw(self, place: Field, start: int, end: int) -> Raw:
        source = flux.source(self._bucket.name, MEASUREMENT, start, end)
        return flux.raw_of(
            self._bucket.tables(f"{source} |> {flux.where(flux.is_point(place))}"), place
        )

    def part(self, place: Field, kind: Kind, span: Span, width_ms: int) -> Rolled:
        """One point within a span in buckets of `width_ms`."""
        source = flux.source(self._bucket.name, NAMES[kind], *span)
        if kind == "raw" and (span[1] - span[0] <= READ_MS_MAX or self.is_mixed(place)):
            return rolled_up(self.raw(place, span), width_ms)
        if kind == "raw":
            return self._of_point(
                f"{source} |> {flux.where(flux.is_point(place))}", place, width_ms
            )
        hours = self._hours(place, span) if kind == "hour" else None
        if hours is not None:
            return widened(hours, width_ms)
        names = [f"{place.name}/{each}" for each in flux.OF_ROLL_UPS]
        condition = f"{flux.at_place(place.site, place.asset)} and {flux.named(names)}"
        asked = flux.windows_of_roll_ups(f"{source} |> {flux.where(condition)}", width_ms)
        tables = self._bucket.tables(asked)
        return flux.rolled_of_roll_ups(tables, place.name, width_ms)

    def _hours(self, place: Field, span: Span) -> Rolled | None:
        """Roll-ups of hours, one by one; None where InfluxDB takes no InfluxQL."""
        answer = self._bucket.ask_ql(influx_ql.question(NAMES["hour"], place, span))
        return None if answer is None else influx_ql.rolled_of(answer)

    def _of_point(self, readings: str, place: Field, width_ms: int) -> Rolled:
        tables = self._bucket.tables(flux.windows_of_readings(readings, width_ms))
        return self._windows(tables, readings, place, width_ms)

    def _windows(self, tables: flux.Tables, readings: str, place: Field, width_ms: int) -> Rolled:
        """Where a reading without a value stands over an older one, InfluxDB's windows would count both."""
        if ("hidden", place.name + HIDDEN) not in tables:
            return flux.rolled_of_readings(tables, place.name, width_ms)
        alone = self._bucket.tables(f"{readings} |> {flux.where(flux.is_point(place))}")
        return widened(of_readings(flux.raw_of(alone, place)), width_ms)

    def roll(
        self, hour: int, places: set[Place], touched: set[Place] | None, *, again: bool
    ) -> None:
        """Write the roll-ups of an hour, of the touched assets or (None) of all; `again`: old ones go first."""
        span = (hour, hour + HOUR_MS)
        conditions = None if touched is None or touched >= places else _of_places(touched)
        rolled = places if touched is None or conditions is None else touched
        for kind, condition in product(ROLL_UPS, conditions or [""] if again else ()):
            self._bucket.delete(NAMES[kind], *span, condition)
        for site, asset in sorted(rolled):
            lines = self._lines_of(site, asset, span)
            for at in range(0, len(lines), LINES_AT_ONCE):
                self._bucket.note("".join(lines[at : at + LINES_AT_ONCE]))

    def _lines_of(self, site: str, asset: str, span: Span) -> list[str]:
        source = flux.source(self._bucket.name, MEASUREMENT, *span)
        readings = f"{source} |> {flux.where(flux.at_place(site, asset))}"
        tables = self._bucket.tables(flux.windows_of_readings(readings, MINUTE_MS))
        lines: list[str] = []
        for name in flux.names_in(tables):
            minutes = self._windows(tables, readings, Field(site, asset, name), MINUTE_MS)
            both: dict[Kind, Rolled] = {"minute": minutes, "hour": widened(minutes, HOUR_MS)}
            for kind, rolled in both.items():
                lines += _lines(head_of(NAMES[kind], site, asset), escaped(name), rolled)
        return lines


def _of_places(places: Iterable[Place]) -> list[str] | None:
    """Conditions of a deletion, an asset each; None: for one there is none, as a tag is empty or holds such signs."""
    if not all(name and not {'"', "$"} & set(name) for place in places for name in place):
        return None
    return [f' AND site="{site}" AND asset="{asset}"' for site, asset in sorted(places)]


def _lines(head: str, name: str, rolled: Rolled) -> list[str]:
    whole = ("count", "valued", "worst")
    columns: Sequence[list[float]] = [
        getattr(rolled, each).tolist() for each in ("time", *whole, *flux.FLOATS)
    ]
    lines = []
    for time, *numbers in zip(*columns, strict=True):
        fields = [f"{name}/{each}={n}i" for each, n in zip(whole, numbers[:3], strict=True)]
        if numbers[1]:
            fields += [
                f"{name}/{each}={n!r}" for each, n in zip(flux.FLOATS, numbers[3:], strict=True)
            ]
        lines.append(f"{head} {','.join(fields)} {time}\n")
    return lines
