import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence

import pytest

from collector.adapters.memory_bus import MemoryBus
from commands.prove import SEEDS_THAT_SEE_ALL, delivery_report
from commands.prove_delivery import Verdict, run_model
from commands.proving.delivery_history import WitnessedJournal
from commands.proving.delivery_parts import EVENTS
from edge.agent import Agent
from edge.diagnostics import Diagnostics
from edge.outbox_file import OutboxFile
from edge.ports import PointReading

Work = Callable[[sqlite3.Connection], object]
KINDS = (
    "agent_killed", "collector_killed", "broker_killed", "cut", "collector_cut", "agent_half_open",
    "agent_taken_over", "agent_doubled", "collector_taken_over", "two_collectors", "message_repeated",
)  # fmt: skip
"""Some of those that the proof promises: cuts, kills, repeats and taken sessions."""

WITHOUT = (
    (MemoryBus, "cut", {"cut", "agent_taken_over"}),
    (MemoryBus, "cut_collector", {"collector_cut", "collector_taken_over"}),
    (MemoryBus, "stall_collector", {"collector_half_open"}),
    (WitnessedJournal, "forget_after", {"journal_restored"}),
)
"""What breaks a part, and the kinds of accident that hit nothing when it does not."""


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def sound() -> Verdict:
    """A run in which all of these happened."""
    wanted = set().union(*(kinds for *_, kinds in WITHOUT))
    runs = (run_model(seed) for seed in range(101, 160))
    return next(run for run in runs if all(run.accidents[kind] for kind in wanted))


def verdicts(count: int, accidents: dict[str, int]) -> list[Verdict]:
    """So many sound runs; what happened, happened in the first."""
    nothing = dict.fromkeys(accidents, 0)
    return [verdict(n, accidents=accidents if n == 0 else nothing) for n in range(count)]


def verdict(seed: int, *, accidents: dict[str, int], read: int = 10) -> Verdict:
    """A sound run; of ten readings one is an event, and one was pending at a kill."""
    return Verdict(
        seed, read, read // 10, read // 10, made=10, journalled=10, lost=0, forgotten=0, not_stored=0,
        thinned=0, missing=0, absorbed=0, accidents=accidents, problems=(),
    )  # fmt: skip


def test_every_run_says_of_every_kind_how_often_it_happened(sound: Verdict) -> None:
    assert set(KINDS) <= set(sound.accidents)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("part", "breaks", "kinds"), WITHOUT)
def test_an_accident_that_hits_nothing_has_not_happened(
    part: type, breaks: str, kinds: set[str], sound: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, breaks, lambda *_, **__: False)
    verdict = run_model(sound.seed)
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


def test_runs_in_which_no_device_was_read_are_no_proof() -> None:
    unread = [verdict(n, accidents={"cut": 1}, read=0) for n in range(SEEDS_THAT_SEE_ALL)]
    problems = ["none read", "none of_these_events", "none pending_at_kills"]
    assert delivery_report(unread)["problems"] == problems


# --- agents that double and drop

flush_some, take = Agent._flush_some, Agent.take


def keep_twice(self: Agent) -> None:
    pending, urgent = list(self._pending), list(self._urgent)
    flush_some(self)
    now, monotonic = self.clock.now(), self.clock.monotonic()
    self.outbox.keep(pending, now, monotonic=monotonic, urgent=urgent)


def drop_a_third(self: Agent) -> None:
    own = f"{self.id}/"
    self._pending = [r for n, r in enumerate(self._pending) if n % 3 or r.point.startswith(own)]
    flush_some(self)


def take_no_trip(self: Agent, readings: Sequence[PointReading]) -> None:
    take(self, [reading for reading in readings if reading.point not in EVENTS])


def take_trips_late(self: Agent, readings: Sequence[PointReading]) -> None:
    take_no_trip(self, readings)
    self._pending += [reading for reading in readings if reading.point in EVENTS]


async def connect_once(self: Agent) -> None:
    await self._one_connection()
    await asyncio.get_running_loop().create_future()


PLANTED = (
    ("_flush_some", keep_twice, "made twice"),
    ("_flush_some", drop_a_third, "read and never made"),
    ("_connecting", connect_once, "stuck"),
    ("take", take_no_trip, "read and never made, first Row(point='pump/trip'"),
    ("take", take_trips_late, "made too late, first Row(point='pump/trip'"),
)
SHORT_S = 30.0


def test_a_short_run_of_an_honest_agent_holds() -> None:
    short = run_model(5, trouble_s=SHORT_S)
    assert short.problems == ()
    assert short.read > 100
    assert 0 < short.events < short.read


@pytest.mark.parametrize(("method", "planted", "said"), PLANTED, ids=[row[1].__name__ for row in PLANTED])  # fmt: skip
def test_an_agent_that_doubles_or_drops_is_found_in_a_short_run(
    method: str, planted: Callable[..., None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, method, planted)
    found = run_model(0, trouble_s=SHORT_S).problems
    assert any(said in problem for problem in found), found


def test_a_gap_that_nobody_was_told_of_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = run_model(3, trouble_s=100.0)
    assert honest.thinned > 0
    assert honest.problems == ()
    monkeypatch.setattr(Diagnostics, "of_outbox", lambda *_: iter(()))
    assert "readings dropped that nobody was told of" in str(run_model(3, trouble_s=100.0).problems)


def test_an_outbox_that_does_not_wait_for_its_disk_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run_model(9, trouble_s=200.0).problems == ()
    durably = OutboxFile.durably

    def hastily(self: OutboxFile, work: Work, *, soon: bool = False) -> object:
        return durably(self, work, soon=True)

    monkeypatch.setattr(OutboxFile, "durably", hastily)
    assert "urgent readings lost" in str(run_model(9, trouble_s=200.0).problems)
