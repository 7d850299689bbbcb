"""From what the InfluxDB store makes its buckets."""

import pytest

from collector.adapters.influx_rolling import plan_of
from collector.adapters.store_spans import Span
from collector.buckets import Kept
from collector.ports import Kind

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
Plan = list[tuple[Kind, Span]]
ALL = Kept()

PLANS: dict[str, tuple[tuple[int, int, int], Kept, list[int], Plan]] = {
    "seconds come from readings": ((0, HOUR, 1000), ALL, [], [("raw", (0, HOUR))]),
    "minutes where the width is minutes": (
        (1, HOUR, 7 * MINUTE),
        ALL,
        [],
        [("raw", (1, MINUTE)), ("minute", (MINUTE, HOUR))],
    ),
    "hours where it is hours, finer at the edges": (
        (HOUR - MINUTE - 1, 3 * HOUR + 1, HOUR),
        ALL,
        [],
        [
            ("raw", (HOUR - MINUTE - 1, HOUR - MINUTE)),
            ("minute", (HOUR - MINUTE, HOUR)),
            ("hour", (HOUR, 3 * HOUR)),
            ("raw", (3 * HOUR, 3 * HOUR + 1)),
        ],
    ),
    "an open hour is read itself": (
        (0, 4 * HOUR, DAY // 2),
        ALL,
        [2 * HOUR],
        [("hour", (0, 2 * HOUR)), ("raw", (2 * HOUR, 3 * HOUR)), ("hour", (3 * HOUR, 4 * HOUR))],
    ),
    "many open hours are read as one stretch": (
        (0, 9 * HOUR, HOUR),
        ALL,
        [HOUR, 3 * HOUR, 7 * HOUR],
        [("hour", (0, HOUR)), ("raw", (HOUR, 8 * HOUR)), ("hour", (8 * HOUR, 9 * HOUR))],
    ),
    "an open hour behind the readings' retention is none": (
        (0, 2 * HOUR, HOUR),
        Kept(raw=2 * HOUR),
        [0],
        [("hour", (0, 2 * HOUR))],
    ),
    "what begins before the readings sees the hour of the cut whole": (
        (HOUR, 3 * HOUR, MINUTE),
        Kept(raw=2 * HOUR + 5),
        [2 * HOUR],
        [("minute", (HOUR, 2 * HOUR)), ("raw", (2 * HOUR, 3 * HOUR))],
    ),
    "what begins with the readings sees nothing before": (
        (2 * HOUR + 5, 3 * HOUR, MINUTE),
        Kept(raw=2 * HOUR + 5),
        [2 * HOUR],
        [("raw", (2 * HOUR + 5, 3 * HOUR))],
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_widest_roll_ups_that_fit_are_read(name: str) -> None:
    (start, end, width), kept, opened, expected = PLANS[name]
    assert plan_of(start, end, width, kept, opened) == expected
