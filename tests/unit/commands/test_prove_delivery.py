import pytest

from commands.prove import SEEDS_THAT_SEE_ALL, delivery_report
from commands.prove_delivery import Verdict, run_model

KINDS = (
    "agent_killed", "collector_killed", "broker_killed", "cut", "collector_cut", "agent_half_open",
    "agent_taken_over", "agent_doubled", "collector_taken_over", "two_collectors", "message_repeated",
)  # fmt: skip
"""Some of those that the proof promises: cuts, kills, repeats and taken sessions."""


def verdicts(count: int, accidents: dict[str, int]) -> list[Verdict]:
    """So many sound runs; what happened, happened in the first."""
    nothing = dict.fromkeys(accidents, 0)
    return [Verdict(n, 10, 10, 0, 0, 0, 0, accidents if n == 0 else nothing, ()) for n in range(count)]  # fmt: skip


def test_every_run_says_of_every_kind_how_often_it_happened() -> None:
    assert set(KINDS) <= set(run_model(3).accidents)


@pytest.mark.parametrize("kind", KINDS)
def test_an_accident_that_never_happened_in_many_runs_is_a_fault_of_the_proof(kind: str) -> None:
    all_once = dict.fromkeys(KINDS, 1)
    but_one = {**all_once, kind: 0}
    assert delivery_report(verdicts(SEEDS_THAT_SEE_ALL, all_once))["problems"] == []
    assert delivery_report(verdicts(SEEDS_THAT_SEE_ALL - 1, but_one))["problems"] == []
    report = delivery_report(verdicts(SEEDS_THAT_SEE_ALL, but_one))
    assert report["problems"] == [f"never happened: {kind}"]


def test_runs_without_any_accident_are_no_proof() -> None:
    assert delivery_report(verdicts(1, dict.fromkeys(KINDS, 0)))["problems"] == ["no accident happened"]  # fmt: skip
