"""What an urgent alarm may wait for; `steward prove fire` measures it, here nothing is timed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import latency
from benchmarks.latency import Meanwhile
from commands.proving import fire

QUIET = [20.0] * 100


def took(**other: list[float]) -> dict[str, list[float]]:
    return {fire.QUIET: QUIET, fire.FLOOD: QUIET, fire.BACKLOG: QUIET, fire.LONG: QUIET, **other}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (took(), []),
        (took(flood=[169.0] * 100), []),
        (took(flood=[180.0] * 100), ["p99 in flood is 160 ms above the quiet one"]),
        (took(backlog=[10.0] * 10), ["only 10 alarms were raised meanwhile: backlog"]),
        (took(backlog=[20.0] * 100, backlog_three_times_as_long=[175.0] * 100),
         ["p99 in backlog_three_times_as_long is 155 ms above the quiet one", "p99 grows by 155 ms with the backlog"]),
    ],
    ids=["all alike", "within", "flood", "few", "grows"],
)  # fmt: skip
def test_what_holds_up_an_alarm_is_named(found: dict[str, list[float]], said: list[str]) -> None:
    assert fire.problems(found) == said


def test_the_flood_is_ten_times_the_quiet_and_the_backlogs_are_history() -> None:
    found = fire.phases(1000.0, 5000)
    assert found[fire.FLOOD].rate == 10 * found[fire.QUIET].rate
    assert {name for name, phase in found.items() if phase.lane == "backfill"} == {fire.BACKLOG, fire.LONG}  # fmt: skip
    assert found[fire.LONG].readings > 2 * found[fire.BACKLOG].readings


@pytest.mark.system
def test_alarms_are_raised_beside_a_flood_and_a_backlog(
    part_programs: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "PROBES", 12)
    few = {
        name: Meanwhile(100_000, 50_000.0, 0.001, phase.lane)
        for name, phase in fire.phases(1.0, 1).items()
        if name in (fire.QUIET, fire.LONG)
    }
    monkeypatch.setattr(fire, "phases", lambda *_: few | {fire.FLOOD: few[fire.QUIET], fire.BACKLOG: few[fire.LONG]})  # fmt: skip
    found = fire.prove_fire(part_programs("mosquitto"), 1.0, 1)
    assert set(found["alarms"]) == {fire.QUIET, fire.FLOOD, fire.BACKLOG, fire.LONG}
    assert all(0 < count <= 12 for count in found["alarms"].values())
    assert all(ms > 0 for ms in [*found["p50_ms"].values(), *found["p99_ms"].values()])
