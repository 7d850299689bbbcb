import pytest

from commands.proving.accidents import ACCIDENTS
from commands.proving.lives import plan
from commands.proving.processes import make_report, prove_processes
from commands.proving.stranger import ANSWER_S_MAX

SEEDS = (4077, 190)
ROOM_S = 2.0
"""As long as most accidents last; while one does, no other of its subject begins."""
TAKEN = "session taken"
TAKEN_S_MAX = ANSWER_S_MAX
"""So long a stranger waits for the broker to end the agent's link: on a busy machine it may take that."""


def kinds_with_room(seed: int) -> set[str]:
    """The kinds of accident of a life that find their subject free, if each of them takes `ROOM_S`."""
    kinds: set[str] = set()
    free_at_s: dict[str, float] = {}
    for accident in plan(seed).accidents:
        subject = ACCIDENTS[accident.kind].subject
        if free_at_s.get(subject, 0.0) <= accident.at_s:
            kinds.add(accident.kind)
            free_at_s[subject] = accident.at_s + ROOM_S
    return kinds


def test_the_sample_has_every_kind_of_accident() -> None:
    """But the link left half-open at the end, which takes 40 s: the full run has it."""
    assert set().union(*(kinds_with_room(seed) for seed in SEEDS)) == set(ACCIDENTS)


def test_the_sample_begins_a_life_with_a_session_taken_and_leaves_it_alone_until_that_is_seen() -> (
    None
):
    life = plan(SEEDS[0])
    assert not life.while_it_starts
    assert life.accidents[0].kind == TAKEN
    meanwhile = {one.kind for one in life.accidents if one.at_s < TAKEN_S_MAX}
    assert meanwhile == {TAKEN, "server killed"}, "the server is neither the agent nor its broker"


def test_the_same_seed_plans_the_same_life() -> None:
    first, again = ([(one.at_s, one.kind) for one in plan(7).accidents] for _ in range(2))
    assert first == again


@pytest.mark.system
async def test_a_sample_of_short_lives_loses_and_doubles_nothing() -> None:
    """`steward prove processes` runs 200 seeds."""
    verdicts = await prove_processes(SEEDS, at_once=len(SEEDS))
    assert verdicts is not None, "the site did not come up"
    report = make_report(verdicts)
    assert report["problems"] == []
    assert report["held"] == len(SEEDS)
    assert report["made"] > 2_000
    assert report["stored"] == report["journalled"]
    assert sum(kind["seen"] for kind in report["accidents"].values()) >= 6
    assert report["accidents"][TAKEN]["seen"] > 0
