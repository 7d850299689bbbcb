"""A verdict fails when something that must follow does not, and when anything else does."""

from dataclasses import replace
from typing import Any

import pytest

from simulators.scenario import (
    AlarmExpected,
    Expected,
    LogExpected,
    OccurrenceExpected,
    OrderExpected,
    ReadingExpected,
    Scenario,
)
from simulators.verdict import History, is_named, judge, passed

TRIPPED = "a-booster/pump-1 tripped"


def alarm(t: float, kind: str, **more: Any) -> dict[str, Any]:
    row = {
        "t": t, "kind": kind, "alarm": "A1", "rule": "tripped@a-booster/pump-1",
        "asset": "a-booster/pump-1", "name": "Pump tripped", "priority": "high",
    }  # fmt: skip
    return row | more


def order(t: float, kind: str, **more: Any) -> dict[str, Any]:
    row = {
        "t": t, "kind": kind, "order": "W1", "order_kind": "fault",
        "rule": "tripped@a-booster/pump-1", "asset": "a-booster/pump-1", "name": "Pump tripped",
    }  # fmt: skip
    return row | more


OTHER = {"alarm": "A2", "order": "W2", "rule": "low-pressure@a-booster", "asset": "a-booster", "name": "Discharge pressure low"}  # fmt: skip


def scenario(*expected: Expected, alone: bool = False) -> Scenario:
    return Scenario(
        "case", "", "riverside", 1, "2026-01-01T00:00:00", 60, (), expected, alone, alone
    )


TRIP = [alarm(11, "raised"), alarm(30, "acknowledged"), alarm(485, "returned")]
DONE = [order(12, "opened"), order(20, "moved"), order(800, "closed", closed_by="readings")]


def seen(*readings: tuple[float, str], point: str = "a/b") -> History:
    return History(readings=[{"t": t, "point": point, "quality": q} for t, q in readings])


CASES: list[tuple[str, Expected, History, bool]] = [
    ("read so", ReadingExpected("a/b", "bad", (10, 20)), seen((9, "good"), (10, "bad"), (20, "bad"), (21, "good")), True),
    ("once read otherwise", ReadingExpected("a/b", "bad", (10, 20)), seen((11, "bad"), (15, "good")), False),
    ("not read then", ReadingExpected("a/b", "bad", (10, 20)), seen((9, "bad"), (21, "bad")), False),
    ("another point read", ReadingExpected("a/b", "bad", (10, 20)), seen((15, "bad"), point="a/c"), False),
    ("read without a gap", ReadingExpected("a/b", "bad", (10, 20), 6), seen((15, "bad")), True),
    ("a gap at the end", ReadingExpected("a/b", "bad", (10, 20), 6), seen((13, "bad")), False),
    ("a gap between", ReadingExpected("a/b", "bad", (10, 20), 6), seen((11, "bad"), (18, "bad")), False),
    ("in its window", AlarmExpected(TRIPPED, (10, 14), (480, 540)), History(TRIP), True),
    ("any time will do", AlarmExpected(TRIPPED), History(TRIP), True),
    ("too late", AlarmExpected(TRIPPED, (1, 10)), History(TRIP), False),
    ("returned too early", AlarmExpected(TRIPPED, None, (500, 540)), History(TRIP), False),
    ("not returned", AlarmExpected(TRIPPED, None, (0, 540)), History(TRIP[:1]), False),
    ("nothing came", AlarmExpected(TRIPPED), History(), False),
    ("twice instead of once", AlarmExpected(TRIPPED), History([*TRIP, alarm(500, "raised", alarm="A3")]), False),
    ("twice as expected", AlarmExpected(TRIPPED, count=2), History([*TRIP, alarm(500, "raised", alarm="A3")]), True),
    ("none as expected", AlarmExpected(TRIPPED, count=0), History(), True),
    ("returned although never", AlarmExpected(TRIPPED, never_returns=True), History(TRIP), False),
    ("never returned", AlarmExpected(TRIPPED, never_returns=True), History(TRIP[:1]), True),
    ("unknown as expected", AlarmExpected(TRIPPED, unknown=(40, 50)), History([*TRIP, alarm(45, "unknown")]), True),
    ("not unknown", AlarmExpected(TRIPPED, unknown=(40, 50)), History(TRIP), False),
    ("another priority", AlarmExpected(TRIPPED, priority="low"), History(TRIP), False),
    ("its priority", AlarmExpected(TRIPPED, priority="high"), History(TRIP), True),
    ("another asset", AlarmExpected("a-booster/pump-2 tripped"), History(TRIP), False),
    ("one order", OrderExpected(TRIPPED, "fault", 1, "readings"), History(orders=DONE), True),
    ("not closed", OrderExpected(TRIPPED, "fault", 1, "readings"), History(orders=DONE[:1]), False),
    ("closed by people", OrderExpected(TRIPPED, closed_by="people"), History(orders=DONE), False),
    ("still open will do", OrderExpected(TRIPPED), History(orders=DONE[:1]), True),
    ("a second order", OrderExpected(TRIPPED), History(orders=[*DONE, order(13, "opened", order="W9")]), False),
    ("another kind", OrderExpected(TRIPPED, "inspection"), History(orders=DONE), False),
    ("no order", OrderExpected(TRIPPED), History(), False),
    ("a verdict", OccurrenceExpected("d", "a", "absent"), History(occurrences=[{"t": 1, "duty": "d", "asset": "a", "verdict": "absent"}]), True),
    ("another verdict", OccurrenceExpected("d", "a", "absent"), History(occurrences=[{"t": 1, "duty": "d", "asset": "a", "verdict": "confirmed"}]), False),
    ("no verdict yet", OccurrenceExpected("d", "a", "absent"), History(occurrences=[{"t": 1, "duty": "d", "asset": "a", "verdict": None}]), False),
    ("no occurrence", OccurrenceExpected("d", "a", "absent"), History(), False),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "history", "ok"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])  # fmt: skip
def test_an_expectation_is_held_against_what_followed(
    expected: Expected, history: History, ok: bool
) -> None:
    (row,) = judge(scenario(expected), history)
    assert row.ok is ok, row
    assert row.expected
    assert row.seen


def test_nothing_else_means_that_no_other_claim_is_contradicted() -> None:
    def seen(verdict: str) -> History:
        return History(occurrences=[{"t": 5, "duty": "patrol", "asset": "pit", "verdict": verdict}])

    assert passed(judge(scenario(alone=True), seen("confirmed")))
    *_, row = judge(scenario(alone=True), seen("contradicted"))
    assert (row.ok, row.seen) == (False, "patrol of pit")


def test_nothing_else_means_no_other_alarm_and_no_other_fault_order() -> None:
    wanted = scenario(AlarmExpected(TRIPPED), OrderExpected(TRIPPED), alone=True)
    planned = order(5, "opened", order="W7", order_kind="inspection", rule="lubricate", asset="a-booster")  # fmt: skip
    assert passed(judge(wanted, History(TRIP, [*DONE, planned])))
    more = History([*TRIP, alarm(20, "raised", **OTHER)], [*DONE, order(21, "opened", **OTHER)])
    rows = judge(wanted, more)
    assert not passed(rows)
    assert [row.ok for row in rows] == [True, True, False, False, True]
    assert "low-pressure@a-booster of a-booster 20.0 s" in rows[2].seen


NAMES = [
    ("fire-panel zone 3 fire", "zone-fire@fire-panel/zone_3_fire", "fire-panel", "Zone 3 fire", True),
    ("fire-panel zone 2 fire", "zone-fire@fire-panel/zone_3_fire", "fire-panel", "Zone 3 fire", False),
    ("fire-panel panel lost", "panel-lost@fire-panel", "fire-panel", "Fire panel lost", True),
    ("a-booster low pressure", "low-pressure@a-booster", "a-booster", "Discharge pressure low", True),
    ("a-booster low pressure", "no-pressure-reading@a-booster", "a-booster", "No reading of the discharge pressure", False),
    ("a-booster tripped", "tripped@a-booster/pump-1", "a-booster/pump-1", "Pump tripped", False),
    ("generator generator-trial-run", "generator-trial-run", "generator", "", True),
    ("camera-2 无媒体流", "no-media@camera-2", "camera-2", "无媒体流", True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rule", "asset", "name", "same"), NAMES)
def test_a_name_is_an_asset_and_words_of_the_rule(
    text: str, rule: str, asset: str, name: str, same: bool
) -> None:
    assert is_named(text, {"rule": rule, "asset": asset, "name": name}) is same


LOST = ("warning", "device d lost: silent")
LOGS = [
    ("once in its window", [(5, *LOST)], True),
    ("nothing", [], False),
    ("other words", [(5, "warning", "device d lost: no answer")], False),
    ("too late", [(12, *LOST)], False),
    ("twice", [(5, *LOST), (6, *LOST)], False),
    ("once more outside of its window", [(5, *LOST), (12, *LOST)], False),
    ("once more where another expects it", [(5, *LOST), (25, *LOST)], True),
    ("as an error", [(5, "error", LOST[1])], False),
]  # fmt: skip


@pytest.mark.parametrize(("log", "ok"), [row[1:] for row in LOGS], ids=[row[0] for row in LOGS])
def test_a_line_of_the_log_is_there_once_in_its_window(
    log: list[tuple[float, str, str]], ok: bool
) -> None:
    lines = [{"t": t, "level": level, "text": text} for t, level, text in log]
    wanted = LogExpected("d lost: silent", (0, 10))
    later = LogExpected("d lost", (20, 30))
    first, _ = judge(scenario(wanted, later), History(log=lines))
    assert first.ok is ok


def test_a_line_that_must_be_an_error_is_no_warning() -> None:
    wanted = LogExpected("is damaged", (0, 10), "error")
    for level in ("error", "warning"):
        log = [{"t": 5, "level": level, "text": "outbox o is damaged"}]
        assert passed(judge(scenario(wanted), History(log=log))) is (level == "error")


def test_a_line_of_the_log_that_nobody_expects_fails_where_nothing_else_may_be_said() -> None:
    lost, other = ({"t": 5, "level": "warning", "text": f"device {d} lost: silent"} for d in "de")
    wanted = LogExpected("device d lost", (0, 10))
    silent = replace(scenario(wanted), no_other_log=True)
    assert passed(judge(scenario(wanted), History(log=[lost, other])))
    assert passed(judge(silent, History(log=[lost])))
    *_, row = judge(silent, History(log=[lost, other]))
    assert (row.ok, row.seen) == (False, "warning 5.0 s: device e lost: silent")
