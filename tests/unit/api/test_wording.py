"""What the API says in words, and how it reads and shows instants."""

import pytest

from api.history import POINTS_MAX, width_for
from api.times import local_date, parse, shown, text_of
from api.wording import every_text, why_text
from config.rules import Level
from config.standards import Fixed, Interval, MaxGap, Meter, Period, PerPeriod
from tests.unit.api.plants import PRESSURE, rule


@pytest.mark.parametrize(
    ("interval", "en", "zh"),
    [
        (Fixed(Period(1, "week"), "2025-01-01"), "every week", "每周一次"),
        (Fixed(Period(1, "month"), "2025-01-01"), "every month", "每个月一次"),
        (Fixed(Period(2, "month"), "2025-01-01"), "every 2 months", "每 2 个月一次"),
        (Fixed(Period(5, "year"), "2025-01-01"), "every 5 years", "每 5 年一次"),
        (MaxGap(15), "at most 15 days apart", "间隔不超过 15 天"),
        (PerPeriod("month"), "once each month", "每月 1 次"),
        (PerPeriod("half_year", 2), "twice each half-year", "每半年 2 次"),
        (PerPeriod("week", 3), "3 times each week", "每周 3 次"),
        (Meter("run_hours", 2000.0), "every 2000 h", "每 2000 小时"),
    ],
)
def test_how_often(interval: Interval, en: str, zh: str) -> None:
    assert every_text(interval) == {"en": en, "zh": zh}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "above 7 bar for 10 s"),
        ({"levels": (Level("high", 7.5, "high"), Level("low", 1, "low")), "on_delay_s": 0.0},
         "above 7.5 bar or below 1 bar"),
        ({"kind": "state", "abnormal_states": (2, 3)}, "state 2, 3 for 10 s"),
        ({"kind": "silent", "on_delay_s": 0.0}, "no usable reading"),
    ],
)  # fmt: skip
def test_what_makes_a_rule_abnormal(changes: dict[str, object], text: str) -> None:
    assert why_text(rule("r", PRESSURE, **changes), "bar") == text


@pytest.mark.parametrize(
    "span_s", [1, 60, 3600, 7200, 86_400, 604_800, 31_536_000, 63_072_000, 10**10]
)
def test_a_chart_never_asks_for_more_than_fits(span_s: int) -> None:
    width = width_for(span_s * 1000)
    assert span_s * 1000 / width + 1 <= POINTS_MAX


def test_an_instant_is_read_back() -> None:
    assert parse(text_of(1_763_700_000_123)) == 1_763_700_000_123
    assert shown(None) is None
    assert shown(0) is None


def test_the_date_is_the_sites() -> None:
    assert local_date(1_763_740_800_000, "Asia/Shanghai") == "2025-11-22"
    assert local_date(1_763_740_800_000, "UTC") == "2025-11-21"
