"""`steward export PLANT POINT…`: readings as a Parquet or CSV file, from the running server or from the files."""

import argparse
import fnmatch
import json
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from api.times import parse, text_of
from collector.adapters.export_file import SELECT, ExportFile
from collector.domain.days import midnight
from collector.ports import Unavailable
from commands.asking import ServerAway, ask
from commands.export_sources import FromServer, FromStore, Source
from commands.server import open_store
from commands.serving import plant_of
from commands.whole_file import harmless, whole
from config.plant import Plant, Point
from config.settings import Settings, read_settings
from edge.readings import QUALITY_NAMES, Ints

EXAMPLE = "export config/plants/riverside 'booster/*' --from 2026-03-01 --to 2026-04-01 --out march.parquet"
QUARTER_MS: Final = 900_000
"""Local time changes at none but these."""
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class WrongUse(Exception):
    """What was asked for cannot be exported; the message says why."""


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
            kept = source.kept_from()
            with whole(out, force=arguments.force) as part:
                count = write(source, part, points, (start, end), zone, arguments.language)
        except (ServerAway, FileExistsError) as error:
            print(f"steward export: {error}", file=sys.stderr)
            return 3 if isinstance(error, ServerAway) else 2
        now = kept
        with suppress(ServerAway, Unavailable):  # the file is whole, whatever is said now
            now = source.kept_from()
    for line in missing((start, end), kept, now):
        print(f"steward export: {line}", file=sys.stderr)
    said = {"file": str(out), "source": source.name, "points": len(points), "readings": count}
    _say(said | {"kept_from": text_of(now) if now else None}, as_json=arguments.json)
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


def missing(span: tuple[int, int], kept: int, now: int) -> list[str]:
    """What retention took of an asked span, in words; `kept`: from when readings were kept at the begin (UTC ms)."""
    start, end = span
    found = []
    if start < kept:
        found.append(f"readings are kept from {text_of(kept)} on: of what was asked before that, the file has none")  # fmt: skip
    if max(start, kept) < min(now, end):
        begin, last = text_of(max(start, kept)), text_of(min(now, end))
        found.append(f"retention ran meanwhile and took readings from {begin} to {last}: of some points they are not in the file")  # fmt: skip
    return found


def _say(said: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(said, ensure_ascii=False))
    else:
        print(f"{said['readings']} readings of {said['points']} points from {said['source']} are in {said['file']}")  # fmt: skip
