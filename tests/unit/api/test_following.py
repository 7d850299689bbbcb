"""The follower: one fault one order, whatever flaps, is killed or comes late; readings close it."""

import asyncio
from logging import WARNING

import pytest

from api.aside import count_waiting
from api.desk.work_orders import READINGS, Event, State, fold, from_data
from api.following import CURSOR
from api.ordering import ORDER, Change
from api.ports import Conflict, DeskEvent, DeskRow
from api.problems import Problem
from collector.ports import LedgerEvent, Unavailable
from tests.unit.api.desks import BOSS, HIGH, LOW, TO_COMPLETED, TRIP, DeskSite
from tests.unit.api.plants import PRESSURE, SITE, START

HOUR = 3600


@pytest.fixture
def site() -> DeskSite:
    return DeskSite()


def kinds(site: DeskSite, number: str = "202511-0001") -> list[str]:
    return [e.kind for e in site.ordering.history(SITE, number)]


def test_an_annunciated_alarm_becomes_one_fault_order(site: DeskSite) -> None:
    site.alarm("1", at=START - 5000)
    site.tick()
    order = site.order().order
    assert (order.number, order.kind, order.state) == ("202511-0001", "fault", State.REPORTED)
    assert (order.asset, order.fault_class, order.priority) == ("a-booster", "pressure", "high")
    assert (order.alarm, order.rules, order.cause) == ("1", (HIGH,), "alarm:1")
    assert order.raised_at == START - 5000
    assert order.title == {"en": "Booster A: Pressure high", "zh": "泵组A：压力高"}


def test_a_title_has_only_the_languages_that_both_names_have(site: DeskSite) -> None:
    site.alarm("1", TRIP)
    site.tick()
    assert site.order().order.title == {"en": "Pump 1: Pressure high"}


@pytest.mark.parametrize("kind", ["raised", "returned", "acknowledged", "condition", "closed"])
def test_no_other_event_of_an_alarm_makes_an_order(site: DeskSite, kind: str) -> None:
    site.alarm("1", kind=kind)
    site.tick()
    assert site.orders() == []
    assert site.desk.cursor(CURSOR) == 1


@pytest.mark.parametrize("rule", ["watched@a-booster", "gone@a-booster"])
def test_rules_that_want_no_order_and_rules_that_are_gone_make_none(
    site: DeskSite, rule: str
) -> None:
    site.alarm("1", rule)
    site.tick()
    assert site.orders() == []


def test_events_of_a_site_that_is_not_here_are_passed_over(site: DeskSite) -> None:
    event = LedgerEvent("alarm", "elsewhere", "1", "annunciated", START, "k", data={"rule": HIGH})
    site.decisions.append([event], [])
    site.tick()
    assert site.desk.cursor(CURSOR) == 1


def test_a_flapping_alarm_has_one_order(site: DeskSite) -> None:
    for n in range(20):
        site.alarm(f"{n}", at=START + n * 1000)
    site.tick()
    order = site.order().order
    assert len(order.alarms) == 20
    assert kinds(site) == ["raised", *["joined"] * 19]


def test_the_same_alarm_annunciated_again_changes_nothing(site: DeskSite) -> None:
    site.alarm("1")
    site.alarm("1", at=START + 9000)
    site.tick()
    assert kinds(site) == ["raised"]


def test_another_rule_of_the_same_fault_joins_and_raises_the_priority(site: DeskSite) -> None:
    site.alarm("1", HIGH)
    site.alarm("2", LOW)
    site.tick()
    order = site.order().order
    assert (order.priority, order.rules) == ("critical", (HIGH, LOW))
    assert kinds(site) == ["raised", "joined", "priority"]


def test_an_alarm_whose_priority_rises_raises_that_of_its_order(site: DeskSite) -> None:
    site.alarm("1")
    site.alarm("1", at=START + 1000, priority="critical")
    site.alarm("1", at=START + 2000, priority="low")
    site.tick()
    assert site.order().order.priority == "critical"


def test_another_fault_class_has_an_order_of_its_own(site: DeskSite) -> None:
    site.alarm("1", HIGH)
    site.alarm("2", TRIP)
    site.tick()
    assert [k.order.number for k in site.orders()] == ["202511-0001", "202511-0002"]


def test_an_alarm_that_returned_before_anybody_did_anything_leaves_its_order_open(
    site: DeskSite,
) -> None:
    site.alarm("1")
    site.alarm("1", kind="returned", open=False)
    site.tick()
    assert site.order().order.state is State.REPORTED


def test_a_step_that_is_repeated_after_a_kill_writes_nothing_twice(site: DeskSite) -> None:
    site.alarm("1", HIGH)
    site.alarm("2", LOW)
    site.alarm("3", TRIP)
    site.tick()
    before = site.ordering.list(SITE)
    site.desk.append([], [], {CURSOR: 0})
    site.another_follower().tick(START)
    assert site.ordering.list(SITE) == before


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("call", range(1, 7))
def test_a_kill_at_any_append_leaves_one_order_per_fault(
    site: DeskSite, call: int, kept: bool
) -> None:
    for n, rule in enumerate((HIGH, LOW, TRIP, HIGH)):
        site.alarm(f"{n}", rule, at=START + n)
    site.occurrence("o", "wants_order")
    append, calls = site.desk.append, []

    def killing(*arguments: object, **named: object) -> list[DeskEvent]:
        calls.append(1)
        if len(calls) == call and not kept:
            raise Killed
        new = append(*arguments, **named)  # type: ignore[arg-type]  # whatever it is given
        if len(calls) == call:
            raise Killed
        return new

    site.desk.append = killing  # type: ignore[method-assign]  # the fault is injected here
    with pytest.raises(Killed):
        site.tick()
    site.desk.append = append  # type: ignore[method-assign]  # and ends here
    site.another_follower().tick(START)
    orders = [k.order for k in site.orders()]
    assert [(o.kind, o.fault_class) for o in orders] == [
        ("fault", "pressure"), ("fault", "trip"), ("inspection", ""),
    ]  # fmt: skip
    assert [o.number for o in orders] == ["202511-0001", "202511-0002", "202511-0003"]
    assert orders[0].alarms == ("0", "1", "3")


def test_the_row_is_a_fold_of_the_events(site: DeskSite) -> None:
    site.alarm("1", HIGH)
    site.alarm("2", LOW)
    site.tick()
    site.work(site.order(), TO_COMPLETED[:4])
    events = site.ordering.history(SITE, "202511-0001")
    row = site.desk.row(ORDER, SITE, "202511-0001")
    assert row is not None
    assert fold(Event(e.kind, e.at, e.by, e.data) for e in events) == from_data(row.data)


# --- closing by readings -------------------------------------------------------------------------


async def completed(site: DeskSite, rule: str = HIGH) -> None:
    site.alarm("1", rule)
    site.tick()
    site.read()
    site.stands(rule, "NORMAL")
    site.work(site.order())


async def test_a_repair_is_closed_by_readings_after_five_healthy_minutes(site: DeskSite) -> None:
    await completed(site)
    await site.wait(4.5)
    assert site.order().order.state is State.COMPLETED
    await site.wait(0.5)
    assert site.order().order.state is State.CLOSED
    verify, close = site.ordering.history(SITE, "202511-0001")[-2:]
    assert (verify.kind, verify.by) == ("verify", READINGS)
    assert (close.kind, close.by) == ("close", READINGS)
    assert verify.data["healthy_s"] == 300


async def test_a_rule_may_want_fewer_minutes(site: DeskSite) -> None:
    await completed(site, TRIP)
    await site.wait(2)
    assert site.order().order.state is State.CLOSED


async def test_healthy_minutes_before_the_repair_prove_nothing(site: DeskSite) -> None:
    site.alarm("1")
    site.tick()
    site.stands(HIGH, "NORMAL", since=START - 10**7)
    await site.wait(30)
    site.work(site.order())
    await site.wait(4.5)
    assert site.order().order.state is State.COMPLETED


@pytest.mark.parametrize("condition", ["UNKNOWN", "ABNORMAL"])
async def test_a_break_begins_the_count_again(site: DeskSite, condition: str) -> None:
    await completed(site)
    await site.wait(4)
    site.stands(HIGH, condition)
    await site.wait(0.5)
    site.stands(HIGH, "NORMAL")
    await site.wait(4.5)
    assert site.order().order.state is State.COMPLETED
    await site.wait(1)
    assert site.order().order.state is State.CLOSED


async def test_no_readings_prove_nothing_however_long(site: DeskSite) -> None:
    await completed(site)
    await site.wait(2)
    await site.wait(60, reading=False)
    assert site.order().order.state is State.COMPLETED
    await site.wait(4)
    assert site.order().order.state is State.COMPLETED
    await site.wait(1.5)
    assert site.order().order.state is State.CLOSED


async def test_a_bad_reading_begins_the_count_again(site: DeskSite) -> None:
    await completed(site)
    await site.wait(4)
    site.read({PRESSURE: float("nan")}, quality=65)
    site.tick()
    await site.wait(4.5)
    assert site.order().order.state is State.COMPLETED


async def test_every_rule_that_joined_must_be_healthy(site: DeskSite) -> None:
    await completed(site)
    site.alarm("2", LOW, at=START - 1)
    site.stands(LOW, "ABNORMAL")
    await site.wait(10)
    assert site.order().order.state is State.COMPLETED


async def test_a_rule_that_is_retired_leaves_the_proof_to_people(site: DeskSite) -> None:
    await completed(site)
    del site.plant.rules[HIGH]  # type: ignore[attr-defined]  # the plant is edited
    await site.wait(10)
    assert site.order().order.state is State.COMPLETED


async def test_nothing_is_closed_that_nobody_completed(site: DeskSite) -> None:
    site.alarm("1")
    site.tick()
    site.stands(HIGH, "NORMAL")
    await site.wait(60)
    assert site.order().order.state is State.REPORTED


async def test_a_supervisor_may_verify_with_a_reason_without_readings(site: DeskSite) -> None:
    await completed(site)
    with pytest.raises(Problem, match="reason_missing"):
        site.ordering.move(site.order(), "verify", {}, BOSS)
    site.work(site.order(), ("verify", "close"))
    assert site.order().order.state is State.CLOSED


async def test_a_person_who_is_quicker_than_the_readings_wins(site: DeskSite) -> None:
    await completed(site)
    await site.wait(4.5)
    listed = site.ordering.list
    stale = site.ordering.list(SITE)
    site.ordering.list = lambda *_a, **_n: stale  # type: ignore[method-assign]  # what it read a moment ago
    site.work(site.ordering.find(SITE, "202511-0001"), ("reopen",))
    await site.wait(1)
    site.ordering.list = listed  # type: ignore[method-assign]  # back again
    assert site.order().order.state is State.REPORTED


# --- the fault comes back ------------------------------------------------------------------------


async def test_an_alarm_after_completion_reopens_the_order(site: DeskSite) -> None:
    await completed(site)
    await site.clock.advance(60)
    site.alarm("2")
    site.tick()
    assert (site.order().order.state, kinds(site)[-2:]) == (State.REPORTED, ["joined", "reopen"])


async def test_an_alarm_of_before_the_completion_reopens_nothing(site: DeskSite) -> None:
    await completed(site)
    site.alarm("2", at=START - 1000)
    site.tick()
    assert (site.order().order.state, kinds(site)[-1]) == (State.COMPLETED, "joined")


async def test_a_closed_order_is_reopened_in_the_window_its_last_instant_included(
    site: DeskSite,
) -> None:
    await completed(site)
    await site.wait(6)
    completed_at = site.order().order.completed_at
    site.alarm("2", at=completed_at + 24 * HOUR * 1000)
    site.tick()
    assert site.order().order.state is State.REPORTED


async def test_after_the_window_the_fault_is_a_new_order(site: DeskSite) -> None:
    await completed(site)
    await site.wait(6)
    completed_at = site.order().order.completed_at
    site.alarm("2", at=completed_at + 24 * HOUR * 1000 + 1)
    site.tick()
    assert [k.order.state for k in site.orders()] == [State.CLOSED, State.REPORTED]


async def test_an_order_still_open_is_reopened_whenever_its_fault_returns(site: DeskSite) -> None:
    await completed(site)
    await site.clock.advance(100 * HOUR)
    site.alarm("2")
    site.tick()
    assert site.order().order.state is State.REPORTED


async def test_the_cause_of_an_order_never_makes_a_second_one(site: DeskSite) -> None:
    await completed(site)
    await site.wait(6)
    await site.clock.advance(100 * HOUR)
    site.alarm("1")
    site.tick()
    assert site.order().order.state is State.REPORTED


def test_a_cancelled_order_stays_cancelled_and_a_new_alarm_makes_a_new_one(site: DeskSite) -> None:
    site.alarm("1")
    site.tick()
    site.work(site.order(), ("cancel",))
    site.alarm("1", at=START + 1000)
    site.tick()
    assert site.order().order.state is State.CANCELLED
    site.alarm("2", at=START + 2000)
    site.tick()
    assert [k.order.state for k in site.orders()] == [State.CANCELLED, State.REPORTED]


def test_a_fault_whose_order_was_merged_joins_the_survivor(site: DeskSite) -> None:
    site.alarm("1", TRIP)
    site.alarm("2", HIGH, at=START + 60_000)
    site.tick()
    trip, high = site.orders()
    site.work(trip, ("merge",), into=high.order.number)
    site.alarm("3", TRIP)
    site.tick()
    survivor = site.ordering.find(SITE, high.order.number).order
    assert survivor.alarms == ("2", "1", "3")
    assert survivor.rules == (HIGH, TRIP)
    assert len(site.orders()) == 2
    assert survivor.marks[-1].kind == "merged_in"
    assert survivor.marks[-1].info == str(trip.order.raised_at)


def test_a_merge_takes_no_urgent_fault_off_its_deadline(site: DeskSite) -> None:
    """Whoever may merge may not thereby lower a priority: the survivor takes the more urgent one."""
    site.alarm("1", TRIP)
    site.alarm("2", HIGH)
    site.tick()
    trip, high = site.orders()
    site.work(site.ordering.find(SITE, high.order.number), ("triage",), priority="low")
    site.work(trip, ("merge",), into=high.order.number)
    assert site.ordering.find(SITE, high.order.number).order.priority == trip.order.priority


@pytest.mark.parametrize("into", ["202511-0001", "202511-0002"])
def test_an_order_is_merged_neither_into_itself_nor_into_one_that_is_done(
    site: DeskSite, into: str
) -> None:
    site.alarm("1", TRIP)
    site.alarm("2", HIGH)
    site.tick()
    first, second = site.orders()
    site.work(second, ("cancel",))
    with pytest.raises(Problem) as refused:
        site.work(first, ("merge",), into=into)
    assert refused.value.extras["reason"] == "not_mergeable"


# --- two orders of one fault ---------------------------------------------------------------------


async def _two_orders_the_older_one_open_again(site: DeskSite) -> None:
    await completed(site)
    await site.wait(6)
    await site.clock.advance(25 * HOUR)
    site.alarm("2")
    site.tick()
    older, newer = site.orders()
    site.read()
    site.stands(HIGH, "NORMAL")
    site.work(newer)
    await site.wait(6)
    site.work(older, ("reopen",))


async def test_an_alarm_joins_the_open_order_also_when_a_newer_one_is_closed(
    site: DeskSite,
) -> None:
    await _two_orders_the_older_one_open_again(site)
    site.alarm("3")
    site.alarm("4", TRIP)
    site.tick()
    orders = [k.order for k in site.orders()]
    assert [o.state for o in orders] == [State.REPORTED, State.CLOSED, State.REPORTED]
    assert orders[0].alarms == ("1", "3")
    assert orders[2].alarms == ("4",)


async def test_what_was_opened_again_is_the_last_of_its_fault(site: DeskSite) -> None:
    await _two_orders_the_older_one_open_again(site)
    last = site.ordering.last_of(SITE, "a-booster", "pressure")
    assert last is not None
    assert last.order.number == "202511-0001"


async def test_the_alarm_of_a_closed_order_joins_the_open_one_of_its_fault(site: DeskSite) -> None:
    await _two_orders_the_older_one_open_again(site)
    site.alarm("2", at=site.clock.now() + 1)
    site.tick()
    assert [k.order.state for k in site.orders()] == [State.REPORTED, State.CLOSED]
    assert site.orders()[0].order.alarms == ("1", "2")


async def test_an_order_is_not_opened_again_beside_the_open_one_of_its_fault(
    site: DeskSite,
) -> None:
    await _two_orders_the_older_one_open_again(site)
    with pytest.raises(Problem) as refused:
        site.work(site.orders()[1], ("reopen",))
    assert refused.value.extras == {"reason": "fault_is_open", "order": "202511-0001"}


async def test_a_survivor_that_ended_gives_way_to_the_open_order_of_its_own_fault(
    site: DeskSite,
) -> None:
    site.alarm("1", HIGH)
    site.alarm("2", TRIP)
    site.tick()
    pressure, trip = site.orders()
    site.work(pressure, ("merge",), into=trip.order.number)
    site.work(site.orders()[1], (*TO_COMPLETED, "verify", "close"))
    await site.clock.advance(25 * HOUR)
    site.alarm("3", TRIP)
    site.tick()
    site.alarm("1", HIGH)
    site.tick()
    states = [k.order.state for k in site.orders()]
    assert states == [State.MERGED, State.CLOSED, State.REPORTED]
    assert site.orders()[2].order.alarms == ("3", "1")


def conflicting(site: DeskSite, word: str) -> None:
    """Every append that concerns an order of these words conflicts from now on."""
    append = site.desk.append

    def refusing(events: list[DeskEvent], *more: object) -> list[DeskEvent]:
        if any(word in str(e.data) for e in events):
            raise Conflict("held by another")
        return append(events, *more)  # type: ignore[arg-type]  # handed on

    site.desk.append = refusing  # type: ignore[method-assign,assignment]  # the fault


async def test_an_event_in_endless_conflict_is_set_aside_and_all_others_go_on(
    site: DeskSite, caplog: pytest.LogCaptureFixture
) -> None:
    await completed(site)
    append = site.desk.append
    conflicting(site, TRIP)
    site.alarm("2", TRIP)
    site.alarm("3", HIGH, at=START - 1)
    await site.wait(6)
    assert site.order().order.alarms == ("1", "3")
    assert site.order().order.state is State.CLOSED
    assert [r.levelname for r in caplog.records if r.levelno >= WARNING].count("ERROR") == 2
    assert count_waiting(site.desk) == 1
    site.desk.append = append  # type: ignore[method-assign]  # the conflict ends
    site.tick()
    site.tick()
    assert [k.order.alarms for k in site.orders()] == [("1", "3"), ("2",)]
    assert count_waiting(site.desk) == 0


def test_an_event_set_aside_that_nothing_is_left_of_waits_no_more(site: DeskSite) -> None:
    append = site.desk.append
    conflicting(site, TRIP)
    site.alarm("1", TRIP)
    site.tick()
    site.desk.append = append  # type: ignore[method-assign]  # the conflict ends
    del site.plant.rules[TRIP]  # type: ignore[attr-defined]  # the plant is edited
    site.another_follower().tick(START)
    assert (site.orders(), count_waiting(site.desk)) == ([], 0)


# --- merging -------------------------------------------------------------------------------------

DONE = {"done_at": START, "done_by": "wang", "state": "done"}


def test_a_fault_is_not_merged_into_what_is_no_fault(site: DeskSite) -> None:
    site.occurrence("o", "wants_order")
    site.alarm("1")
    site.tick()
    inspection, fault = site.orders()
    with pytest.raises(Problem) as refused:
        site.work(fault, ("merge",), into=inspection.order.number)
    assert refused.value.extras["reason"] == "fault_into_other_kind"


@pytest.mark.parametrize("verdict", ["confirmed", "contradicted"])
def test_an_inspection_that_a_fault_took_up_neither_completes_nor_closes_it(
    site: DeskSite, verdict: str
) -> None:
    site.occurrence("o", "wants_order")
    site.alarm("1")
    site.tick()
    inspection, fault = site.orders()
    site.work(inspection, ("merge",), into=fault.order.number)
    site.occurrence("o", f"verdict_{verdict}", open=False, verdict=verdict, **DONE)
    site.tick()
    assert site.orders()[1].order.state is State.REPORTED
    evidence = site.ordering.history(SITE, fault.order.number)[-1]
    assert (evidence.kind, evidence.data["verdict"]) == ("evidence", verdict)


async def test_an_inspection_that_holds_an_alarm_is_closed_by_its_readings_only(
    site: DeskSite,
) -> None:
    site.occurrence("o", "wants_order")
    site.tick()
    change = Change(SITE)
    held = {"alarm": "1", "rule": HIGH}
    change.add(site.order(), [Event("joined", START, "li", held)])
    site.ordering.keep(change)
    site.read()
    site.stands(HIGH, "NORMAL")
    site.occurrence("o", "done", open=False, verdict="confirmed", **DONE)
    site.tick()
    assert site.order().order.state is State.COMPLETED
    await site.wait(5)
    assert site.order().order.state is State.CLOSED


# --- inspections ---------------------------------------------------------------------------------


def test_an_occurrence_that_wants_an_order_gets_one_inspection(site: DeskSite) -> None:
    site.occurrence("o", "due")
    site.tick()
    assert site.orders() == []
    site.occurrence("o", "wants_order")
    site.tick()
    order = site.order().order
    assert (order.kind, order.occurrence, order.priority) == ("inspection", "o", "high")
    assert order.title["zh"] == "泵组A：试运行"


def test_one_that_is_over_already_gets_none(site: DeskSite) -> None:
    site.occurrence("o", "wants_order", open=False)
    site.occurrence("p", "wants_order", plan="gone")
    site.tick()
    assert site.orders() == []


def test_an_event_without_a_row_is_passed_over(site: DeskSite) -> None:
    event = LedgerEvent("occurrence", SITE, "plan", "completed", START, "k")
    site.decisions.append([event], [])
    site.tick()
    assert site.desk.cursor(CURSOR) == 1


def test_done_and_confirmed_closes_the_inspection(site: DeskSite) -> None:
    site.occurrence("o", "wants_order")
    site.tick()
    done = {"done_at": START, "done_by": "wang", "state": "done"}
    site.occurrence("o", "done", open=False, verdict="confirmed", verdict_span=[1, 2], **done)
    site.tick()
    events = site.ordering.history(SITE, "202511-0001")
    assert [(e.kind, e.by) for e in events[1:]] == [
        ("complete", "wang"), ("verify", READINGS), ("close", READINGS),
    ]  # fmt: skip
    assert events[2].data == {"verdict": "confirmed", "span": [1, 2]}


def test_done_without_proof_waits_for_the_planner(site: DeskSite) -> None:
    site.occurrence("o", "wants_order")
    site.tick()
    done = {"done_at": START, "done_by": "wang", "state": "done"}
    site.occurrence("o", "done", open=False, **done)
    site.tick()
    assert site.order().order.state is State.COMPLETED
    site.occurrence("o", "verdict_contradicted", open=False, verdict="contradicted", **done)
    site.tick()
    assert kinds(site)[-1] == "evidence"
    assert site.order().order.state is State.COMPLETED


async def test_what_the_planner_verified_only_needs_closing(site: DeskSite) -> None:
    site.occurrence("o", "wants_order")
    site.tick()
    done = {"done_at": START, "done_by": "wang", "state": "done"}
    site.occurrence("o", "done", open=False, **done)
    site.tick()
    site.work(site.order(), ("verify",))
    await site.clock.advance(1)
    site.occurrence("o", "verdict_confirmed", open=False, verdict="confirmed", **done)
    site.tick()
    assert kinds(site)[-3:] == ["complete", "verify", "close"]
    await site.clock.advance(1)
    site.occurrence("o", "verdict_confirmed", open=False, verdict="confirmed", **done)
    site.tick()
    assert kinds(site)[-1] == "close"


def test_readings_alone_complete_nothing_that_a_person_must_do(site: DeskSite) -> None:
    site.occurrence("o", "wants_order")
    site.occurrence("o", "verdict_confirmed", verdict="confirmed")
    site.tick()
    assert site.order().order.state is State.REPORTED


def test_an_inspection_completed_by_a_technician_is_said_to_the_planner_once(
    site: DeskSite,
) -> None:
    site.occurrence("o", "wants_order")
    site.tick()
    site.work(site.order(), ("dispatch", "accept", "start", "complete"))
    site.tick()
    site.tick()
    (ask,) = site.asks.since(0, ["done"])
    assert (ask.subject, ask.by, ask.data["done_at"]) == ("o", "boss", START)


def test_an_occurrence_done_without_the_order_is_not_said_again(site: DeskSite) -> None:
    site.occurrence("o", "wants_order")
    site.tick()
    site.occurrence("o", "done", open=False, done_at=START, done_by="wang")
    site.tick()
    site.tick()
    assert site.asks.since(0, ["done"]) == []


# --- running -------------------------------------------------------------------------------------


@pytest.mark.parametrize("offloaded", [False, True])
async def test_it_follows_once_a_second_and_waits_while_the_ledger_is_away(
    site: DeskSite, offloaded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def offload(call: object) -> None:
        call()  # type: ignore[operator]  # the blocking step

    running = asyncio.create_task(site.following.run(offload if offloaded else None))
    since = site.decisions.since

    def away(*_arguments: object) -> list[LedgerEvent]:
        raise Unavailable("the disk is full")

    await site.clock.advance(1)
    site.decisions.since = away  # type: ignore[method-assign,assignment]  # the ledger goes away
    site.alarm("1")
    with caplog.at_level("INFO", "api.following"):
        await site.clock.advance(5)
        assert site.orders() == []
        site.decisions.since = since  # type: ignore[method-assign]  # and comes back
        await site.clock.advance(1)
    assert len(site.orders()) == 1
    assert len(caplog.records) == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_a_number_taken_by_somebody_else_at_the_same_time_is_tried_again(site: DeskSite) -> None:
    append, once = site.desk.append, list[int]()

    def racing(events: list[DeskEvent], rows: list[DeskRow], *more: object) -> list[DeskEvent]:
        if not once:
            once.append(1)
            other = DeskRow(
                ORDER, SITE, "202511-0001", True, {**rows[0].data, "fault_class": "other"}
            )
            append([], [other])
        return append(events, rows, *more)  # type: ignore[arg-type]  # handed on

    site.desk.append = racing  # type: ignore[method-assign,assignment]  # somebody is quicker
    site.alarm("1")
    site.tick()
    site.tick()
    assert {r.id for r in site.desk.rows(ORDER)} == {"202511-0001", "202511-0002"}
