"""`steward export PLANT POINT…`: readings as a Parquet or CSV file, from the running server or from the files."""

import argparse
import fnmatch
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote
from zoneinfo import ZoneInfo

import numpy as np

from api.history import width_for
from api.times import parse, text_of
from collector.adapters.export_file import SELECT, ExportFile
from collector.domain.days import midnight
from collector.ports import Raw, ReadingStore, Unavailable
from commands.asking import Refused, ServerAway, ask
from commands.server import open_store
from commands.serving import plant_of
from commands.whole_file import harmless, whole
from config.plant import Plant, Point
from config.settings import Settings, read_settings
from edge.readings import QUALITY_NAMES, Ints

EXAMPLE = "export config/plants/riverside 'booster/*' --from 2026-03-01 --to 2026-04-01 --out march.parquet"
DAY_MS: Final = 86_400_000
QUARTER_MS: Final = 900_000
"""Local time changes at none but these."""
AT_ONCE_MS: Final = 10 * DAY_MS
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
HELD_MAX: Final = 2000
"""Readings that the server gives at once."""


class WrongUse(Exception):
    """What was asked for cannot be exported; the message says why."""


class Source(Protocol):
    """Where readings come from."""

    name: str

    def pieces(self, point: str, start: int, end: int) -> Iterator[Raw]:
        """Readings with start ≤ time < end (UTC ms), in order."""
        ...


@dataclass(slots=True)
class FromStore:
    """The store, opened by this process."""

    store: ReadingStore
    site: str
    name: str

    def pieces(self, point: str, start: int, end: int) -> Iterator[Raw]:
        """A few days at once, where there are some."""
        start = max(start, self.store.kept_from())
        if end - start > AT_ONCE_MS:
            start, end = self._held(point, start, end)
        for first in range(start, end, AT_ONCE_MS):
            yield self.store.raw(self.site, point, first, min(first + AT_ONCE_MS, end))

    def _held(self, point: str, start: int, end: int) -> tuple[int, int]:
        """The part of a span within which all its readings lie: who says 1970 need not wait for 55 years."""
        found = self.store.buckets(self.site, point, start, end, width_for(end - start))
        if not len(found.time):
            return start, start
        return max(start, int(found.time[0])), min(end, int(found.time[-1]) + found.width_ms)


@dataclass(slots=True)
class FromServer:
    """The running server, which owns the files. It gives few readings at once: a span with more is halved.

    `kept_from` is asked for where a span holds too many readings only: it costs the server a whole
    delivery report. Retention may run meanwhile, so it is asked for again before giving up.
    """

    settings: Settings
    site: str
    name: str = "the running server"
    kept_from: int | None = None
    taken_from: int | None = None
    """From when (UTC ms) readings were kept when retention was first seen."""

    def pieces(self, point: str, start: int, end: int) -> Iterator[Raw]:
        """As many at once as the server gives."""
        width = end - start
        while start < end:
            last = min(start + width, end)
            found = self._asked(point, start, last)
            if found is not None:
                yield found
                start = last
                width = 2 * width if len(found.time) <= HELD_MAX // 2 else width
            elif self.kept_from is None or last - start == 1:
                start = self._moved(point, start)
            else:
                width = (last - start) // 2

    def look(self) -> int:
        """From when readings are kept now, UTC ms."""
        kept: int = ask(self.settings, "delivery")["kept_from"]
        if self.taken_from is None:
            self.taken_from = kept
        self.kept_from = kept
        return kept

    def taken(self) -> tuple[int, int] | None:
        """The span (UTC ms) that retention took while this was read, where any was noticed."""
        if self.kept_from is None or self.taken_from is None:
            return None
        with suppress(ServerAway):  # the readings are all there, whatever it says
            self.look()
        return (self.taken_from, self.kept_from) if self.taken_from < self.kept_from else None

    def _asked(self, point: str, start: int, end: int) -> Raw | None:
        """The readings; None where they are too many, or some are left as roll-ups only."""
        asked = f"history?point={quote(point, safe='')}&start={start}&end={end}&resolution=raw"
        try:
            return _raw(ask(self.settings, f"sites/{self.site}/{asked}"))
        except Refused as error:
            if error.kind != "too-many-readings":
                raise
            return None

    def _moved(self, point: str, start: int) -> int:
        """Where to go on: no earlier than what is kept now."""
        first = self.kept_from is None
        kept = self.look()
        if kept <= start and not first:
            raise Unavailable(
                f"the server says that {point} has too many readings at {text_of(start)} to give "
                "them; if its log does not say why, export from the files with the server stopped"
            )
        return max(start, kept)


def _raw(found: dict[str, Any]) -> Raw:
    value = np.array(found["value"], np.float64)  # None is NaN
    return Raw(np.array(found["time"], np.int64), value, np.array(found["quality"], np.uint8))


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("plant", help="folder of the plant")
    parser.add_argument("points", nargs="+", metavar="POINT", help="asset/point, or a pattern: 'booster/*'")  # fmt: skip
    parser.add_argument("--from", dest="start", required=True, metavar="TIME", help="a day of the site, or an RFC 3339 time with offset")  # fmt: skip
    parser.add_argument("--to", dest="end", default="", metavar="TIME", help="the same, not included; now unless told")  # fmt: skip
    parser.add_argument("--out", required=True, metavar="FILE", help="ends in .parquet or .csv; a CSV begins with a byte order mark, for Excel")  # fmt: skip
    parser.add_argument("--language", default="en", help="of the points' names, where the plant has them in it")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print what was written as one JSON object")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """0 when the file is written, 2 when it cannot be as asked, 3 when nobody has the readings now."""
    settings = read_settings()
    plant = plant_of(arguments.plant, settings)
    try:
        out = _free(Path(arguments.out), force=arguments.force)
        points = _points(plant, arguments.points)
        zone = ZoneInfo(plant.time_zone)
        start = instant(arguments.start, zone)
        end = instant(arguments.end, zone) if arguments.end else settings.clock().now()
        if start >= end:
            raise WrongUse("--from must lie before --to")
    except WrongUse as error:
        print(f"steward export: {error}", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        source = _source(settings, plant.site, stack)
        try:
            with whole(out, force=arguments.force) as part:
                count = write(source, part, points, (start, end), zone, arguments.language)
        except (ServerAway, FileExistsError) as error:
            print(f"steward export: {error}", file=sys.stderr)
            return 3 if isinstance(error, ServerAway) else 2
        _say_taken(source)
    _say(arguments, out, source, len(points), count)
    return 0


def write(
    source: Source,
    part: Path,
    points: Sequence[Point],
    span: tuple[int, int],
    zone: ZoneInfo,
    language: str,
) -> int:
    """Write the file; returns how many readings it holds."""
    count = 0
    with ExportFile(part, QUALITY_NAMES) as file:
        for n, point in enumerate(points):
            texts = (point.id, point.name.get(language, point.name["en"]), point.unit)
            file.begin(*(map(harmless, texts) if part.suffix == ".csv" else texts))
            for raw in source.pieces(point.id, *span):
                file.add(raw, offsets_min(raw.time, zone))
                count += len(raw.time)
                _show(f"{point.id}: {n} of {len(points)} points done, {count} readings")
        file.finish()
    _show("")
    return count


def offsets_min(time: Ints, zone: ZoneInfo) -> Ints:
    """By how many minutes local time was ahead of UTC at instants (UTC ms)."""
    quarters, which = np.unique(time // QUARTER_MS, return_inverse=True)
    offsets = [
        datetime.fromtimestamp(quarter * QUARTER_MS // 1000, UTC).astimezone(zone).utcoffset()
        for quarter in quarters.tolist()
    ]
    minutes = [int(offset.total_seconds()) // 60 if offset else 0 for offset in offsets]
    found: Ints = np.array(minutes, np.int64)[which]
    return found


def instant(text: str, zone: ZoneInfo) -> int:
    """UTC ms of a day's begin at the site, or of an RFC 3339 time.

    Raises:
        WrongUse: neither.
    """
    try:
        return midnight(date.fromisoformat(text), zone) if DAY.fullmatch(text) else _time(text)
    except ValueError as error:
        raise WrongUse(f"{text!r} is neither a day (2026-03-01) nor a time with offset (2026-03-01T08:00:00Z)") from error  # fmt: skip


def _time(text: str) -> int:
    if "T" not in text:  # a bare number would be milliseconds: 20260301 is in 1970
        raise ValueError("no time of day")
    return parse(text)


def _free(out: Path, *, force: bool) -> Path:
    if out.suffix not in SELECT:
        raise WrongUse(f"{out} ends in neither of {', '.join(SELECT)}")
    if not out.parent.is_dir():
        raise WrongUse(f"{out.parent} is no folder")
    if out.exists() and not force:
        raise WrongUse(f"{out} is there already; --force replaces it")
    return out


def _points(plant: Plant, patterns: Sequence[str]) -> list[Point]:
    found: dict[str, Point] = {}
    for pattern in patterns:
        ids = fnmatch.filter(plant.points, pattern)
        if not ids:
            raise WrongUse(f"{plant.site} has no point {pattern!r}; see ./steward check")
        found |= {id: plant.points[id] for id in ids}
    return list(found.values())


def _source(settings: Settings, site: str, stack: ExitStack) -> Source:
    """The server where one runs; InfluxDB can be read beside it.

    Raises:
        Unavailable: neither server nor files can be read; the message says why of both.
    """
    if settings.store != "duckdb":
        return _opened(settings, site, stack, "InfluxDB")
    try:
        ask(settings, f"sites/{site}")
        return FromServer(settings, site)
    except ServerAway as error:
        away = error
    try:
        return _opened(settings, site, stack, f"the files in {settings.data / 'store'}")
    except Unavailable as error:
        if "another process" not in str(error):
            raise
        raise Unavailable(f"{away}; and its files are open in another process, so they cannot be read instead") from error  # fmt: skip


def _opened(settings: Settings, site: str, stack: ExitStack, name: str) -> FromStore:
    store = open_store(settings)
    stack.callback(store.close)
    return FromStore(store, site, name)


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _say_taken(source: Source) -> None:
    if isinstance(source, FromServer) and (taken := source.taken()):
        begin, end = map(text_of, taken)
        print(f"steward export: retention ran meanwhile and took readings from {begin} to {end}: of some points they are not in the file", file=sys.stderr)  # fmt: skip


def _say(arguments: argparse.Namespace, out: Path, source: Source, points: int, count: int) -> None:
    if arguments.json:
        said = {"file": str(out), "source": source.name, "points": points, "readings": count}
        print(json.dumps(said, ensure_ascii=False))
    else:
        print(f"{count} readings of {points} points from {source.name} are in {out}")
