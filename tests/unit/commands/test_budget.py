"""A line that cannot keep its pace is refused by each command that would read it, with what helps."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from commands import main
from commands.edge import check_budget
from config.load import LIBRARY, load_plant
from edge.bus_time import LineTooBusy, uses_of

RIVERSIDE = LIBRARY / "plants" / "riverside"


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Riverside, where the power line is so far away that a request takes longer than its period."""
    monkeypatch.setenv("STEWARD_DATA", str(tmp_path / "data"))
    folder = tmp_path / "plants" / "riverside"
    shutil.copytree(RIVERSIDE, folder)
    path = folder / "plant.toml"
    text = path.read_text(encoding="utf-8")
    spoiled = re.sub(r"(\[lines\.power\]\n)", r"\1round_trip = '20s'\n", text)
    assert spoiled != text
    path.write_text(spoiled, encoding="utf-8")
    return folder


def test_check_says_which_line_is_too_busy(full: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["check", str(full)]) == main.WRONG_USE
    said = capsys.readouterr().out
    assert "a line is too busy" in said
    assert "line power CANNOT be read at this pace" in said
    assert main.main(["check", str(full), "--json"]) == main.WRONG_USE


def test_up_starts_nothing_and_says_what_helps(
    full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["up", str(full)]) == main.WRONG_USE
    said = capsys.readouterr().err.rstrip().splitlines()
    assert re.match(r"line power needs \d{3,}% of its time: read less often", said[-1])
    assert said[-1].endswith("or say the network's round_trip where it is shorter")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("round_trip", "nearly"), [(0.7, False), (0.9, True)])
def test_a_line_that_has_little_time_left_is_a_warning(
    round_trip: float, nearly: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the power line's requests that begin in each second, one takes this long."""
    plant = load_plant(RIVERSIDE)
    line = plant.lines["power"]
    per_s = sum(use.requests / use.period_s for use in uses_of(plant, [line]))
    slow = replace(line, round_trip_s=round_trip / per_s)
    check_budget(replace(plant, lines={**plant.lines, line.id: slow}), line.agent)
    said = [text for text in caplog.messages if "nearly full" in text]
    assert [text.startswith("line power is nearly full: what is read needs 90 %") for text in said] == [True] * nearly  # fmt: skip


def test_an_agent_refuses_its_own_lines_only_and_its_last_line_says_why(
    full: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant = load_plant(full)
    own = plant.lines["power"].agent
    for agent in set(plant.agents) - {own}:
        check_budget(plant, agent)
    with pytest.raises(LineTooBusy, match="power"):
        check_budget(plant, own)
    assert main.main(["edge", str(full), own]) == main.WRONG_USE
    assert capsys.readouterr().err.rstrip().splitlines()[-1].startswith("line power needs")
