from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from collector.domain.days import weekday_working
from collector.domain.intervals import Frame
from collector.domain.meters import MeterPath, MeterReading
from collector.domain.plans import Completion, Owed, counting, owed, still_open
from config.standards import Fixed, Interval, MaxGap, Meter, Period, PerPeriod

ZONE = ZoneInfo("UTC")


def at(day: str, hour: int = 12) -> int:
    return round(datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC).timestamp() * 1000)


def done(*days: str) -> list[Completion]:
    return [Completion(at(day), "li", str(n)) for n, day in enumerate(days)]


def frame(start: str) -> Frame:
    return Frame(ZONE, date.fromisoformat(start), lambda _: True)


def shown(rows: list[Owed]) -> list[tuple[str, str | None, bool]]:
    return [
        (row.due.key, datetime.fromtimestamp(row.done.at / 1000, UTC).date().isoformat() if row.done else None, row.too_late)
        for row in rows
    ]  # fmt: skip


FORTNIGHT = Fixed(Period(2, "week"), "2026-01-05")


def test_a_completion_goes_to_the_open_one_with_the_earliest_due() -> None:
    rows = owed(FORTNIGHT, frame("2026-01-01"), at("2026-01-20"), done("2026-01-06", "2026-01-19"))
    assert shown(rows) == [("2026-01-05", "2026-01-06", False), ("2026-01-19", "2026-01-19", False)]


def test_work_after_the_hard_limit_closes_the_latest_missed_one_too_late() -> None:
    rows = owed(FORTNIGHT, frame("2026-01-01"), at("2026-02-04"), done("2026-01-25"))
    assert shown(rows) == [
        ("2026-01-05", None, False), ("2026-01-19", "2026-01-25", True), ("2026-02-02", None, False),
    ]  # fmt: skip


def test_work_outside_every_window_is_extra() -> None:
    rows = owed(FORTNIGHT, frame("2026-01-01"), at("2026-01-03"), done("2026-01-02"))
    assert shown(rows) == [("2026-01-05", None, False)]


def test_the_moment_of_the_work_decides_not_that_of_its_entry() -> None:
    late_entry = [Completion(at("2026-01-19"), "li", "b"), Completion(at("2026-01-05"), "li", "a")]
    rows = owed(FORTNIGHT, frame("2026-01-01"), at("2026-01-20"), late_entry)
    assert [closed for _, closed, _ in shown(rows)] == ["2026-01-05", "2026-01-19"]


def test_the_jth_completion_of_a_period_closes_its_jth_slot() -> None:
    twice = PerPeriod("month", 2)
    rows = owed(twice, frame("2026-01-01"), at("2026-01-31"), done("2026-01-20", "2026-01-22"))
    assert [r for r in shown(rows) if r[0].startswith("2026-01/")] == [
        ("2026-01/1", "2026-01-20", False), ("2026-01/2", "2026-01-22", False),
    ]  # fmt: skip


def test_several_on_one_date_count_once_and_surplus_is_not_carried_over() -> None:
    rows = owed(
        PerPeriod("week"),
        frame("2026-05-04"),
        at("2026-05-12"),
        done("2026-05-04", "2026-05-04", "2026-05-06"),
    )
    assert shown(rows)[:2] == [("2026-W19/1", "2026-05-04", False), ("2026-W20/1", None, False)]


def test_a_minimum_spacing_holds_across_period_ends() -> None:
    spaced = PerPeriod("month", 1, min_spacing_days=10)
    counted = counting(spaced, frame("2026-01-01"), done("2026-01-28", "2026-02-03", "2026-02-08"))
    assert [datetime.fromtimestamp(c.at / 1000, UTC).day for c in counted] == [28, 8]


def test_twice_a_day_counts_both_of_one_date() -> None:
    both = [Completion(at("2026-05-04", 9), "li"), Completion(at("2026-05-04", 10), "li")]
    rows = owed(PerPeriod("day", 2), frame("2026-05-04"), at("2026-05-04", 20), both)
    assert [row.done is not None for row in rows[:2]] == [True, True]


def test_never_more_than_is_a_chain_and_says_when_it_came_too_late() -> None:
    rows = owed(MaxGap(15), frame("2026-01-01"), at("2026-03-01"), done("2026-01-10", "2026-02-20"))
    assert shown(rows) == [
        ("2026-01-16", "2026-01-10", False), ("2026-01-25", "2026-02-20", True), ("2026-03-07", None, False),
    ]  # fmt: skip


def test_never_more_than_ignores_work_before_it_counts() -> None:
    assert shown(owed(MaxGap(15), frame("2026-01-10"), at("2026-01-11"), done("2026-01-05"))) == [
        ("2026-01-25", None, False)
    ]


PATH = MeterPath(tuple(MeterReading(at(day), value) for day, value in (("2026-01-01", 100.0), ("2026-01-10", 620.0), ("2026-01-20", 1190.0))))  # fmt: skip


def test_a_fixed_meter_credits_by_windows() -> None:
    rows = owed(
        Meter("h", 500, tolerance=50),
        frame("2026-01-01"),
        at("2026-01-21"),
        done("2026-01-10"),
        PATH,
    )
    assert shown(rows)[0] == ("mark:500", "2026-01-10", True)
    assert [row.due.mark for row in rows] == [500, 1000, 1500]


def test_a_floating_meter_starts_again_at_each_service() -> None:
    rows = owed(
        Meter("h", 500, floating=True),
        frame("2026-01-01"),
        at("2026-01-21"),
        done("2026-01-12"),
        PATH,
    )
    assert [(row.due.mark, row.done is not None) for row in rows] == [(600, True), (1120, False)]


def test_a_meter_without_readings_owes_nothing() -> None:
    for floating in (False, True):
        every = Meter("h", 500, floating=floating)
        assert owed(every, frame("2026-01-01"), at("2026-01-21"), done("2026-01-02")) == []


OPEN = [
    ("a fixed one missed, until the next opens", FORTNIGHT, "2026-01-22", ["2026-01-19"]),
    ("before its window opens again", FORTNIGHT, "2026-01-19", ["2026-01-19"]),
    ("never more than, until it is done", MaxGap(5), "2026-03-01", ["2026-01-06"]),
    ("a slot, up to the end of its period", PerPeriod("week", 2), "2026-01-09", ["2026-W02/1", "2026-W02/2", "2026-W03/1"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "interval", "day", "keys"), OPEN, ids=[o[0] for o in OPEN])
def test_what_is_still_open(name: str, interval: Interval, day: str, keys: list[str]) -> None:
    rows = owed(interval, frame("2026-01-01"), at(day), [])
    assert sorted(still_open(interval, rows, at(day)))[: len(keys)] == keys


def test_a_period_whose_slots_roll_keeps_its_names() -> None:
    rolling = Frame(ZONE, date(2026, 5, 1), weekday_working)
    rows = owed(PerPeriod("month"), rolling, at("2026-05-15"), done("2026-05-31"))
    assert shown(rows)[0] == ("2026-05/1", "2026-05-31", False)


def test_work_before_the_plan_began_closes_no_slot() -> None:
    rows = owed(PerPeriod("week"), frame("2026-05-06"), at("2026-05-12"), done("2026-04-20"))
    assert [row.done for row in rows] == [None] * len(rows)
