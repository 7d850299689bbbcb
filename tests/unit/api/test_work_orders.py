"""The table of moves, tried in every state by every role, and the row as a fold of its events."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.desk.work_orders import (
    ENDED,
    INSPECTIONS,
    KINDS,
    MOVES,
    PROVED,
    READINGS,
    ROLES,
    SUPERVISORS,
    UNDONE,
    Event,
    State,
    WorkOrder,
    apply,
    fold,
    from_data,
    legal_moves,
    raised,
    refuse,
    to_data,
)

SAID = {"reason": "because", "assignee": "wang", "into": "202511-0002"}
RAISED = Event(
    "raised", 1000, READINGS,
    {
        "number": "202511-0001", "site": "riverside", "kind": "fault", "title": {"en": "Leak"},
        "asset": "a-booster", "priority": "high", "cause": "alarm:1", "alarm": "1",
        "rule": "leak@a-booster", "fault_class": "leak",
    },
)  # fmt: skip

# State to the moves it allows (page 07); inspection kinds have the second tuple as well.
LEGAL = {
    "reported": (("triage", "cancel", "merge"), ("dispatch",)),
    "triaged": (("dispatch", "cancel", "merge"), ()),
    "dispatched": (("dispatch", "accept", "cancel", "merge", "hand_over"), ()),
    "accepted": (("depart", "cancel", "merge", "hand_over"), ("arrive", "start")),
    "departed": (("arrive", "cancel", "merge", "hand_over"), ()),
    "arrived": (("start", "cancel", "merge", "hand_over"), ()),
    "in_progress": (("pause", "complete", "cancel", "merge", "hand_over"), ()),
    "paused": (("resume", "cancel", "merge"), ()),
    "completed": (("verify", "reopen"), ()),
    "verified": (("close", "reopen"), ()),
    "closed": (("reopen",), ()),
    "cancelled": ((), ()),
    "merged": ((), ()),
    "handed_over": (("dispatch", "accept", "cancel", "merge"), ()),
}


def order(state: str = "reported", kind: str = "fault", assignee: str = "wang") -> WorkOrder:
    data = {**to_data(raised(RAISED)), "state": state, "kind": kind, "assignee": assignee}
    return from_data(data)


def test_the_table_of_this_test_knows_every_state() -> None:
    assert set(LEGAL) == {str(s) for s in State}
    assert set(State) == ENDED | PROVED | UNDONE


@pytest.mark.parametrize(("state", "kind"), list(product(LEGAL, KINDS)))
def test_each_state_allows_its_moves_and_no_others(state: str, kind: str) -> None:
    everybody, inspections = LEGAL[state]
    expected = {*everybody, *(inspections if kind in INSPECTIONS else ())}
    one = order(state, kind)
    assert set(legal_moves(one)) == expected
    for name in MOVES:
        refusal = refuse(one, name, by="boss", roles=("admin",), said=SAID)
        assert (refusal is None) == (name in expected), name
        if refusal is not None:
            assert refusal.reason == "illegal_move"
            assert set(refusal.legal) == expected


@pytest.mark.parametrize("name", MOVES)
def test_each_move_leads_to_its_state(name: str) -> None:
    source = sorted(MOVES[name].sources)[0]
    moved = apply(order(source), Event(name, 2000, "wang", SAID))
    assert moved.state is MOVES[name].target
    assert moved.updated_at == 2000


def test_an_unknown_move_names_the_legal_ones() -> None:
    refusal = refuse(order(), "explode", by="boss", roles=("admin",), said={})
    assert refusal is not None
    assert (refusal.reason, refusal.legal) == ("unknown_move", ("triage", "cancel", "merge"))


MAY: dict[str, set[str]] = {
    "triage": {"operator", "planner"},
    "dispatch": {"operator", "planner"},
    "accept": {"technician"},
    "depart": {"technician"},
    "arrive": {"technician"},
    "start": {"technician"},
    "pause": {"technician"},
    "resume": {"technician"},
    "complete": {"technician"},
    "verify": set(),
    "close": {"planner"},
    "reopen": {"operator", "planner"},
    "cancel": {"planner"},
    "merge": {"operator", "planner"},
    "hand_over": {"operator", "technician", "planner"},
}


@pytest.mark.parametrize(("name", "role"), list(product(MOVES, ROLES)))
def test_each_role_makes_its_moves_only(name: str, role: str) -> None:
    source = sorted(MOVES[name].sources)[0]
    refusal = refuse(order(source), name, by="wang", roles=(role,), said=SAID)
    allowed = role in MAY[name] or role in SUPERVISORS
    assert (refusal is None) == allowed
    assert refusal is None or refusal.reason == "role_missing"


@pytest.mark.parametrize(
    ("roles", "by", "reason"),
    [
        (("technician",), "wang", None),
        (("technician",), "li", "not_assignee"),
        (("manager",), "li", None),
        (("planner", "technician"), "li", "not_assignee"),
    ],
)
def test_work_is_done_by_whom_it_was_given_to_or_a_supervisor(
    roles: tuple[str, ...], by: str, reason: str | None
) -> None:
    refusal = refuse(order("dispatched"), "accept", by=by, roles=roles, said={})
    assert (refusal.reason if refusal else None) == reason


@pytest.mark.parametrize(
    ("move", "state", "role", "reason"),
    [
        ("accept", "dispatched", "technician", "priority_not_yours"),
        ("hand_over", "in_progress", "operator", "priority_not_yours"),
        ("dispatch", "triaged", "operator", "priority_not_yours"),
        ("triage", "reported", "operator", None),
        ("dispatch", "triaged", "planner", None),
        ("accept", "dispatched", "admin", None),
    ],
)
def test_a_priority_is_changed_by_planners_and_at_triage(
    move: str, state: str, role: str, reason: str | None
) -> None:
    said = {**SAID, "priority": "low"}
    refusal = refuse(order(state), move, by="wang", roles=(role,), said=said)
    assert (refusal.reason if refusal else None) == reason
    same = {**SAID, "priority": "high"}
    assert refuse(order(state), move, by="wang", roles=(role,), said=same) is None


def test_work_that_is_nobodys_may_be_taken() -> None:
    one = order("dispatched", assignee="")
    assert refuse(one, "accept", by="li", roles=("technician",), said={}) is None


@pytest.mark.parametrize(
    ("name", "missing"),
    [(m.name, n) for m in MOVES.values() for n in m.needs],
)
def test_what_a_move_needs_must_be_said(name: str, missing: str) -> None:
    source = sorted(MOVES[name].sources)[0]
    for empty in ({}, {missing: "  "}):
        refusal = refuse(order(source), name, by="wang", roles=("admin",), said=empty)
        assert refusal is not None
        assert refusal.reason == f"{missing}_missing"


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "fault"])
def test_what_has_no_alarm_and_is_no_fault_is_verified_without_a_reason(kind: str) -> None:
    one = from_data({**to_data(order("completed", kind)), "alarms": [], "rules": []})
    assert refuse(one, "verify", by="p", roles=("planner",), said={}) is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_with_alarms_is_verified_by_a_supervisor_with_a_reason(kind: str) -> None:
    one = order("completed", kind)

    def reason(role: str, **said: str) -> str | None:
        refusal = refuse(one, "verify", by="p", roles=(role,), said=said)
        return refusal.reason if refusal else None

    assert reason("planner", reason="looks well") == "role_missing"
    for role in SUPERVISORS:
        assert reason(role, reason=" \t\n ") == "reason_missing"
        assert reason(role, reason="looked at it") is None


def test_a_fault_that_a_person_reported_wants_a_supervisors_reason_too() -> None:
    one = from_data({**to_data(order("completed")), "alarms": [], "rules": []})
    assert refuse(one, "verify", by="p", roles=("planner",), said=SAID) is not None
    assert refuse(one, "verify", by="p", roles=("manager",), said=SAID) is None


def test_readings_complete_inspections_from_any_state_of_work_and_faults_from_none() -> None:
    for state in UNDONE - {State.IN_PROGRESS}:
        for kind in KINDS:
            refusal = refuse(order(state, kind), "complete", by=READINGS, roles=(), said={})
            assert (refusal is None) == (kind in INSPECTIONS)


def test_a_persons_name_does_not_make_them_the_readings() -> None:
    refusal = refuse(order("completed"), "verify", by="wang", roles=("technician",), said=SAID)
    assert refusal is not None


def test_the_whole_way_of_an_order() -> None:
    steps = [
        ("triage", {}), ("dispatch", {"assignee": "li"}), ("accept", {}), ("depart", {}),
        ("arrive", {}), ("start", {}), ("pause", {"reason": "parts"}), ("resume", {}),
        ("complete", {}), ("verify", {}), ("close", {}),
    ]  # fmt: skip
    one = fold([RAISED, *(Event(m, 2000 + i, "li", d) for i, (m, d) in enumerate(steps))])
    assert one.state is State.CLOSED
    assert not one.open
    assert one.assignee == "li"
    assert one.completed_at == 2008
    assert one.closed_by == "li"
    assert one.paused_reason == ""
    assert [m.kind for m in one.marks] == ["raised", "accept", "pause", "resume", "complete"]


def test_a_pause_shows_its_reason_until_it_ends() -> None:
    paused = apply(order("in_progress"), Event("pause", 1, "li", {"reason": "parts"}))
    assert paused.paused_reason == "parts"
    assert apply(paused, Event("resume", 2, "li", {})).paused_reason == ""


def test_reopening_forgets_the_completion_and_keeps_the_assignee() -> None:
    one = fold([RAISED, Event("complete", 2000, "li", {}), Event("reopen", 3000, "op", SAID)])
    assert (one.state, one.completed_at, one.assignee) == (State.REPORTED, 0, "wang")


def test_a_merged_order_says_into_which() -> None:
    one = apply(order(), Event("merge", 2000, "op", {"into": "202511-0009"}))
    assert (one.state, one.merged_into, one.open) == (State.MERGED, "202511-0009", False)


def test_alarms_that_join_are_listed_once() -> None:
    joining = Event("joined", 2000, READINGS, {"alarm": "2", "rule": "other@a-booster"})
    one = fold([RAISED, joining, joining, Event("joined", 2001, READINGS, {"rule": "third"})])
    assert one.alarms == ("1", "2")
    assert one.rules == ("leak@a-booster", "other@a-booster", "third")


def test_a_rise_of_priority_is_a_mark_for_the_clocks() -> None:
    one = apply(order(), Event("priority", 2000, READINGS, {"priority": "critical"}))
    assert one.priority == "critical"
    assert (one.marks[-1].kind, one.marks[-1].info) == ("priority", "critical")


def test_an_unknown_kind_of_event_changes_nothing_but_the_time() -> None:
    one = apply(order(), Event("comment", 2000, "li", {"text": "hm"}))
    assert one == from_data({**to_data(order()), "updated_at": 2000})


def test_time_never_runs_back_on_an_order() -> None:
    assert apply(order(), Event("comment", 10, "li", {})).updated_at == 1000


def test_no_events_make_no_order() -> None:
    with pytest.raises(ValueError, match="without events"):
        fold([])


@given(
    st.lists(st.sampled_from([*MOVES, "joined", "priority", "comment", "merged_in"]), max_size=12)
)
def test_a_row_says_everything_that_its_events_said(names: list[str]) -> None:
    data = {**SAID, "alarm": "2", "rule": "r", "priority": "low", "started_at": "5"}
    one = fold([RAISED, *(Event(n, 2000 + i, "li", data) for i, n in enumerate(names))])
    assert from_data(to_data(one)) == one
