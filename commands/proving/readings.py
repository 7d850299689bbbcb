"""`steward prove readings`: ten million readings in a store, with repeats, open and closed, compared to the bit."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

import numpy as np

from collector.adapters.store_duckdb import DuckDbStore
from collector.buckets import in_buckets
from collector.ports import Buckets, Raw, ReadingStore, SeriesKey, StoreBatch
from commands.proving.telling import tell
from edge.readings import QUALITIES, Ints

START_MS: Final = 1_773_532_800_000
STEP_MS: Final = 2_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
POINTS: Final = 1_000
AT_ONCE: Final = 200_000
LOOKED_AT: Final = 7
"""So many points are compared, spread over all of them."""
WIDTHS_MS: Final = (7_000, 60_000, HOUR_MS)
MEAN_OFF_MAX: Final = 1e-12


def run(arguments: argparse.Namespace) -> int:
    """0 when the store gives back what was written, 1 when it does not."""
    steps = max(1, arguments.readings // POINTS)
    with tempfile.TemporaryDirectory(prefix="steward-prove-") as name:
        store = DuckDbStore(Path(name))
        _say(f"{steps * POINTS} readings are written")
        fill(store, steps, POINTS)
        problems = [f"open: {problem}" for problem in problems_of(store, steps, POINTS)]
        _say("hours are closed")
        store.close_hours(START_MS + steps * STEP_MS + 2 * DAY_MS)
        problems += [f"closed: {problem}" for problem in problems_of(store, steps, POINTS)]
        problems += store.troubles
        store.close()
    return tell({"readings": steps * POINTS, "problems": problems}, as_json=arguments.json)


def _say(text: str) -> None:
    print(f"steward prove: {text}", file=sys.stderr, flush=True)


def fill(store: ReadingStore, steps: int, points: int) -> None:
    """Write so many readings of each point by time, the first piece once more: its times count once."""
    keys = [_key(point) for point in range(points)]
    pieces = list(_pieces(steps, points))
    for position, rows in enumerate([*pieces, pieces[0]], start=1):
        point, step = rows % points, rows // points
        raw = expected(point, step)
        store.write([StoreBatch(keys, point, raw.time, raw.value, raw.quality)], position)


def _pieces(steps: int, points: int) -> Iterator[Ints]:
    for first in range(0, steps * points, AT_ONCE):
        yield np.arange(first, min(first + AT_ONCE, steps * points))


def _key(point: int) -> SeriesKey:
    return SeriesKey("riverside", f"asset-{point}/value", "bar", "measurement")


def expected(point: Ints, step: Ints) -> Raw:
    """What is written of points at steps: a value that is a sum of sixteenths, every 97th without one."""
    missing = (point + step) % 97 == 0
    value = np.where(missing, np.nan, point + np.sin(step) + step / 16)
    quality = np.where(missing, QUALITIES["no_answer"], 0).astype(np.uint8)
    return Raw(START_MS + step * STEP_MS, value, quality)


def problems_of(store: ReadingStore, steps: int, points: int) -> list[str]:
    """What the store does not give back as it was written."""
    found = []
    if (count := store.count()) != steps * points:
        found.append(f"{count} readings are counted, not {steps * points}")
    end, each = START_MS + steps * STEP_MS, np.arange(steps)
    for number in np.unique(np.linspace(0, points - 1, LOOKED_AT, dtype=np.int64)).tolist():
        key, wanted = _key(number), expected(np.full(steps, number), each)
        if not _same(store.raw(key.site, key.point, START_MS, end), wanted):
            found.append(f"the readings of {key.point} are others")
        found += [
            f"the buckets of {width} ms of {key.point} are others"
            for width in WIDTHS_MS
            if not _same(store.buckets(key.site, key.point, START_MS, end, width), in_buckets(wanted, width))
        ]  # fmt: skip
    return found


def _same(one: Raw | Buckets, other: Raw | Buckets) -> bool:
    """To the bit, but for means: each store sums in an order of its own."""
    columns = [(f.name, np.asarray(getattr(one, f.name)), np.asarray(getattr(other, f.name))) for f in fields(other)]  # fmt: skip
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=MEAN_OFF_MAX, atol=0, equal_nan=True)
        if name == "mean"
        else a.tobytes() == b.tobytes()
        for name, a, b in columns
    )
