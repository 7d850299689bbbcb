"""Readings in InfluxDB 2.x: bulk line protocol in, Flux out; the cursor is kept after the write."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from collector.adapters import influx_flux as flux
from collector.adapters.influx_cursor import CURSOR, Noted, noted_in
from collector.adapters.influx_given import Given
from collector.adapters.influx_rolling import NAMES, Hours, Place, Rolling, plan_of
from collector.adapters.influx_server import Bucket
from collector.adapters.lineprotocol import (
    HIDDEN,
    MEASUREMENT,
    QUALITY,
    Field,
    LineEncoder,
    Reached,
    field_of,
)
from collector.adapters.store_spans import hour_of
from collector.buckets import (
    HOUR_MS,
    Kept,
    Late,
    as_buckets,
    fitted,
    in_buckets,
    in_order,
    nothing,
    widened,
)
from collector.ports import Buckets, CountKey, Kind, Quarantined, Raw, SeriesKey, StoreBatch
from edge.readings import BAD

log = logging.getLogger("steward.store")

FIELDS_BY_NAME_MAX: Final = 50
KEPT: Final = "steward_kept"


class InfluxStore:
    """`ReadingStore` in one bucket, made with its retention (seconds, 0: for ever) if it is not there.

    One process writes into it. A server that is away does not hinder the start: each call raises
    `Unavailable` until it is back. What InfluxDB refuses for ever (a field of another type, a time behind the
    retention) is named in the log, and counted with the cursor: it must not block what comes beside and behind
    it. `refused` is that count, as far as it is known. `journal` names the one whose cursor this is;
    `ca_file` holds the authorities that are trusted, else the machine's own are.
    """

    def __init__(  # noqa: PLR0913  # where, as whom, into what
        self, url: str, token: str, org: str, bucket: str, *,
        ca_file: str = "", journal: str = "", retention_s: int = 0,
    ) -> None:  # fmt: skip
        self._bucket = Bucket(url, token, org, bucket, retention_s=retention_s, ca_file=ca_file)
        self._hours, self._rolling = Hours(self._bucket), Rolling(self._bucket)
        self._encoder: LineEncoder | None = None
        self._known: Kept | None = None
        self._keys: list[SeriesKey] = []
        self._found: list[Place] = []
        self._journal, self.refused = journal, 0
        self._noted: Noted | None = None
        self._given = Given(self._bucket, journal)
        self._writing, self._at_work = threading.Lock(), threading.Lock()
        self.late = Late()

    # --- writing ------------------------------------------------------------------------------------

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        """Write the lines, then the cursor: a repeat after a failure in between changes nothing."""
        with self._writing:
            noted = self._noted or self._ask_noted()
            count = sum(len(batch) for batch in batches)
            batches = [self._in_time(batch) for batch in batches]
            for batch in batches:
                self._hours.touch(batch.time, batch.key, self._places(batch.keys))
            refused = sum(len(self._bucket.post(self._bodies(batch))) for batch in batches)
            noted = noted.after(cursor, count, refused)
            self._bucket.note(self._given.lines(batches) + noted.line(self._journal))
            self._given.kept()
            self._noted, self.refused = noted, noted.refused

    def _places(self, keys: Sequence[SeriesKey]) -> list[Place]:
        """Site and asset of each key; the same keys as last time cost a comparison by identity."""
        if self._keys != (listed := list(keys)):
            fields = [field_of(key.site, key.point) for key in listed]
            self._keys, self._found = listed, [(field.site, field.asset) for field in fields]
        return self._found

    def _bodies(self, batch: StoreBatch) -> Iterator[bytes]:
        return self._encoding().bodies(batch) if len(batch) else iter(())

    def _in_time(self, batch: StoreBatch) -> StoreBatch:
        """What came before retention cut it off."""
        stays = batch.time >= self.kept.raw
        if stays.all():
            return batch
        self.late.dropped += len(batch) - int(stays.sum())
        return StoreBatch(
            batch.keys, batch.key[stays], batch.time[stays], batch.value[stays],
            batch.quality[stays], batch.given,
        )  # fmt: skip

    def _encoding(self) -> LineEncoder:
        """Knows what stands in the bucket, asked once."""
        if self._encoder is None:
            reached: dict[Field, Reached] = {}
            for row in self._ask(f"{self._from()} |> last()"):
                name = row["_field"].removesuffix(QUALITY).removesuffix(HIDDEN)
                field = Field(row.get("site", ""), row.get("asset", ""), name)
                before, at = reached.get(field, Reached()), flux.time_of(row["_time"])
                said = before.said if row["_field"] == name else max(before.said, at)
                reached[field] = Reached(max(before.any, at), said)
            self._encoder = LineEncoder(reached)
        return self._encoder

    # --- closing hours, retention -------------------------------------------------------------------

    def close_hours(self, before: int) -> int:
        """Write the roll-ups of every open hour that ended by `before` (UTC ms); returns of how many."""
        with self._at_work:
            self._rolling.look()
            hours = [hour for hour in sorted(self._hours.open()) if hour + HOUR_MS <= before]
            for hour in hours:
                self._roll(hour)
            return len(hours)

    def _roll(self, hour: int) -> None:
        """A reading that comes meanwhile leaves the hour open, as does a kill: then its roll-ups are made anew."""
        with self._writing:
            begun, places = self._hours.generation(hour), self._encoding().places()
            touched, again = self._hours.touched(hour), self._hours.begin(hour)
        self._rolling.roll(hour, places, touched, again=again)
        with self._writing:
            if self._hours.generation(hour) == begun:
                self._hours.close(hour)

    def delete_before(self, time: int, kind: Kind = "raw") -> None:
        """Forget what is older at once. Readings are rolled up before they go; their last hour goes later."""
        kept = self.kept.but(kind, time)
        if kind == "raw":
            self.close_hours(hour_of(time) + HOUR_MS)
        with self._writing:
            self._keep(kept)
        self._bucket.delete(NAMES[kind], -flux.TIME_MS_MAX, hour_of(getattr(kept, kind)))

    def lower_cut(self, time: int, kind: Kind) -> None:
        """Take back a cut that is later than `time`: what is still there from then on is shown again."""
        with self._writing:
            if time < getattr(self.kept, kind):
                self._keep(self.kept.at(kind, time))

    @property
    def kept(self) -> Kept:
        """From when on each kind is kept."""
        if self._known is None:
            rows = self._bucket.ask(f"{flux.source(self._bucket.name, KEPT)} |> last()")
            self._known = Kept(**{row["_field"]: int(row["_value"]) for row in rows})
        return self._known

    def _keep(self, kept: Kept) -> None:
        fields = f"raw={kept.raw}i,minute={kept.minute}i,hour={kept.hour}i"
        self._bucket.note(f"{KEPT} {fields}\n")
        self._known = kept

    # --- reading ------------------------------------------------------------------------------------

    def cursor(self) -> int:
        """Asked each time, also by the next write: another process may have written since."""
        self._noted = None
        self._given.forget()
        return self._ask_noted().position

    def taken(self) -> int | None:
        return self._ask_noted().taken

    def given(self) -> Mapping[CountKey, int]:
        return self._given.all()

    @property
    def quarantine(self) -> Sequence[Quarantined]:
        """The newest readings of this life that InfluxDB will never take, oldest first."""
        return tuple(self._bucket.quarantine)

    def _ask_noted(self) -> Noted:
        rows = self._bucket.ask(f"{flux.source(self._bucket.name, CURSOR)} |> last()")
        noted = noted_in(rows, self._journal)
        self.refused = noted.refused
        return noted

    def kept_from(self) -> int:
        return self.kept.raw

    def newest(self) -> int | None:
        rows = self._ask(
            f'{self._from(self.kept.raw)} |> last() |> keep(columns: ["_time"]) |> group()'
            ' |> sort(columns: ["_time"], desc: true) |> limit(n: 1)'
        )
        return flux.time_of(rows[0]["_time"]) if rows else None

    def count(self) -> int:
        """Values, and readings without one; exactly where one of these replaced a value."""
        since = self._from(self.kept.raw)
        each = "count() |> group() |> sum()"
        missing = f"{flux.where(flux.ending(QUALITY))} |> {flux.where(flux.MISSING)}"
        hidden = f"{flux.where(flux.ending(HIDDEN))} |> {flux.where('r._value == 1')}"
        rows = self._ask(
            f'{since} |> {flux.where(flux.VALUES)} |> {each} |> yield(name: "values")\n'
            f'{since} |> {missing} |> {each} |> yield(name: "missing")\n'
            f'{since} |> {hidden} |> yield(name: "hidden")'
        )
        counted = sum(int(row["_value"]) for row in rows if row["result"] != "hidden")
        return counted + self._miscounted([row for row in rows if row["result"] == "hidden"])

    def _miscounted(self, rows: Sequence[Mapping[str, str]]) -> int:
        """How much a sum of values and missing values is off where hidden ones are."""
        spans: dict[Field, list[int]] = {}
        for row in rows:
            name = row["_field"].removesuffix(HIDDEN)
            place = Field(row.get("site", ""), row.get("asset", ""), name)
            spans.setdefault(place, []).append(flux.time_of(row["_time"]))
        off = 0
        for place, times in spans.items():
            tables = self._point(place, min(times), max(times) + 1)
            raw = flux.raw_of(tables, place)
            values = flux.column(tables.get(("_result", place.name)))[0]
            off += len(raw.time) - len(values) - int((raw.quality >= BAD).sum())
        return off

    def latest(self, site: str, points: Sequence[str]) -> Mapping[str, tuple[int, float, int]]:
        if not points:
            return {}
        places = {point: field_of(site, point) for point in points}
        if len(points) <= FIELDS_BY_NAME_MAX:
            which = " or ".join(f"({flux.is_point(place)})" for place in places.values())
        else:
            which = flux.tag("site", field_of(site, "").site)
        rows = self._ask(f"{self._from(self.kept.raw)} |> {flux.where(which)} |> last()")
        by_asset: dict[str, list[Mapping[str, str]]] = {}
        for row in rows:
            by_asset.setdefault(row.get("asset", ""), []).append(row)
        tables = {asset: flux.tables_of(found) for asset, found in by_asset.items()}
        found = {
            point: _last_of(tables.get(place.asset, {}), place) for point, place in places.items()
        }
        return {point: last for point, last in found.items() if last is not None}

    def raw(self, site: str, point: str, start: int, end: int) -> Raw:
        start, place = max(start, self.kept.raw), field_of(site, point)
        return self._rolling.raw(place, (start, end)) if start < end else nothing()

    def buckets(self, site: str, point: str, start: int, end: int, width_ms: int) -> Buckets:
        """From roll-ups where whole ones lie in a bucket and their hour is not open."""
        start, end, width_ms = fitted(start, end, width_ms, self.kept)
        if start >= end:
            return in_buckets(nothing(), width_ms)
        plan = plan_of(start, end, width_ms, self.kept, self._hours.open())
        place = field_of(site, point)
        parts = [self._rolling.part(place, kind, span, width_ms) for kind, span in plan]
        return as_buckets(widened(in_order(parts), width_ms), width_ms)

    def lost(self) -> int:
        """How InfluxDB keeps its files is its own."""
        return 0

    def close(self) -> None:
        """Give the connections back."""
        self._bucket.close()

    def _from(self, start: int = -flux.TIME_MS_MAX, end: int = flux.TIME_MS_MAX) -> str:
        """Readings of the bucket's span; both UTC ms."""
        return flux.source(self._bucket.name, MEASUREMENT, start, end)

    def _ask(self, query: str) -> list[dict[str, str]]:
        return self._bucket.ask(query)

    def _point(self, place: Field, start: int, end: int) -> flux.Tables:
        query = f"{self._from(start, end)} |> {flux.where(flux.is_point(place))}"
        return self._bucket.tables(query)


def _last_of(tables: flux.Tables, place: Field) -> tuple[int, float, int] | None:
    """The last reading of a point, of the last of each of its fields."""
    raw = flux.raw_of(tables, place)
    if len(raw.time) == 0:
        return None
    return int(raw.time[-1]), float(raw.value[-1]), int(raw.quality[-1])
