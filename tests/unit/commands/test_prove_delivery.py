import logging
from collections.abc import Iterator

import pytest

from collector.adapters.memory_bus import MemoryBus
from collector.adapters.memory_journal import MemoryJournal
from commands.prove import SEEDS_THAT_SEE_ALL, delivery_report
from commands.prove_delivery import Verdict, run_model

KINDS = (
    "agent_killed", "collector_killed", "broker_killed", "cut", "collector_cut", "agent_half_open",
    "agent_taken_over", "agent_doubled", "collector_taken_over", "two_collectors", "message_repeated",
)  # fmt: skip
"""Some of those that the proof promises: cuts, kills, repeats and taken sessions."""

WITHOUT = (
    (MemoryBus, "cut", {"cut", "agent_taken_over"}),
    (MemoryBus, "cut_collector", {"collector_cut", "collector_taken_over"}),
    (MemoryBus, "stall_collector", {"collector_half_open"}),
    (MemoryJournal, "forget_after", {"journal_restored"}),
)
"""What breaks a part, and the kinds of accident that hit nothing when it does not. Seed 5 has them all."""


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def sound() -> Verdict:
    return run_model(5)


def verdicts(count: int, accidents: dict[str, int]) -> list[Verdict]:
    """So many sound runs; what happened, happened in the first."""
    nothing = dict.fromkeys(accidents, 0)
    return [Verdict(n, 10, 10, 0, 0, 0, 0, 0, 0, accidents if n == 0 else nothing, ()) for n in range(count)]  # fmt: skip


def test_every_run_says_of_every_kind_how_often_it_happened(sound: Verdict) -> None:
    assert set(KINDS) <= set(sound.accidents)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("part", "breaks", "kinds"), WITHOUT)
def test_an_accident_that_hits_nothing_has_not_happened(
    part: type, breaks: str, kinds: set[str], sound: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, breaks, lambda *_, **__: False)
    verdict = run_model(5)
    assert all(sound.accidents[kind] > 0 for kind in kinds)
    assert all(verdict.accidents[kind] == 0 for kind in kinds)
    problems = delivery_report([verdict] * SEEDS_THAT_SEE_ALL)["problems"]
    assert {f"never happened: {kind}" for kind in kinds} <= set(problems)


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
