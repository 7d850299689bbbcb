from typing import Any

import pytest

from collector.domain.slopes import Refusal
from commands.report import verdict
from commands.trends_report import REFUSALS, lines


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ((0, 0, 0, 0), 0), ((1, 0, 0, 0), 1), ((0, 1, 0, 0), 1), ((0, 0, 1, 0), 1), ((0, 0, 0, 1), 1),
        ((None, None, 0, 0), 3), ((0, None, 0, 0), 3), ((None, 0, 0, 0), 3), ((0, 0, None, 0), 3),
        ((0, 0, 0, None), 3), ((2, None, 0, 0), 1), ((None, 0, 2, 0), 1), ((None, 0, 0, 2), 1),
        ((0, 0, 0, 0, 7), 1), ((0, 0, 0, 0, None), 3),
    ],
)  # fmt: skip
def test_what_is_not_known_is_neither_yes_nor_no(counts: tuple[int | None, ...], code: int) -> None:
    names = ("lost", "doubled", "unstored", "refused", "gone")
    assert verdict(dict.fromkeys(names, 0) | dict(zip(names, counts, strict=False))) == code


NOTHING: dict[str, Any] = {"state": None, "days": 4, "slope": None, "refusal": "too_short", "reached": None, "mean": None, "learnt": 300, "change": None}  # fmt: skip
CREEP: dict[str, Any] = {"state": {"en": "Running"}, "days": 41, "refusal": None, "slope": {"per_day": 0.12 / 7}, "mean": 3.1, "sigma": 0.12, "learnt": 500, "change": None}  # fmt: skip
LEARNING = "; 300 of 500 readings learnt"
USUAL = "; usual: 3.1 ± 0.12 mm/s"
CHANGED = {"seen_at": "2026-11-12T00:00:00.000Z", "since": "2026-11-10T18:30:00.000Z", "up": True}


def reached(latest: str | None) -> dict[str, Any]:
    return {"limit": 7.1, "earliest": "2026-12-11T00:00:00.000Z", "latest": latest}


@pytest.mark.parametrize(
    ("suggested", "states", "told"),
    [
        (False, [], [": not computed yet"]),
        (False, [NOTHING], [": 4 days of readings, 15 needed" + LEARNING]),
        (False, [{**CREEP, "reached": None}], [" (Running): rises by 0.12 mm/s a week; no limit ahead" + USUAL]),
        (False, [{**CREEP, "reached": None, "change": CHANGED}], [f" (Running): rises by 0.12 mm/s a week; no limit ahead{USUAL}; higher than usual since 2026-11-11 02:30 (Asia/Shanghai)"]),
        (True, [{**CREEP, "reached": reached("2027-01-01T00:00:00.000Z")}, NOTHING],
         [" (Running): rises by 0.12 mm/s a week; reaches 7.1 in 21 to 42 days; plan work" + USUAL, ": 4 days of readings, 15 needed" + LEARNING]),
        (False, [{**CREEP, "reached": reached(None)}], [" (Running): rises by 0.12 mm/s a week; reaches 7.1 in 21 days at the earliest" + USUAL]),
    ],
    ids=["not yet", "young", "no limit", "changed", "in a span", "perhaps never"],
)  # fmt: skip
def test_a_trend_is_told_in_words(
    suggested: bool, states: list[dict[str, Any]], told: list[str]
) -> None:
    item = {"point": "p/v", "at": None, "unit": "mm/s", "suggested": suggested, "states": states}
    site = {
        "site": "riverside",
        "now": "2026-11-20T00:00:00.000Z",
        "time_zone": "Asia/Shanghai",
        "days_needed": 15,
        "learn_rows": 500,
        "items": [item],
    }
    assert list(lines([site])) == [f"riverside/p/v{words}" for words in told]


def test_every_refusal_has_its_words() -> None:
    assert set(REFUSALS) == {str(refusal) for refusal in Refusal}
